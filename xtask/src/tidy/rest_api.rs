//! The table of `docs/rest-api.md` says what `docs/openapi.json` says, and names tests that exist. That the file says what the
//! service does is a test of the service.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::files::TextFile;

const FILE: &str = "docs/openapi.json";
const TABLE: &str = "docs/rest-api.md";
const METHODS: [&str; 5] = ["get", "head", "put", "post", "delete"];

/// An operation as text, such as `HEAD /api/health`, and the statuses it is answered with.
type Operations = BTreeMap<String, BTreeSet<String>>;

/// Names every difference between the file and the table, and every test that does not exist.
pub(super) fn check(files: &[TextFile]) -> Vec<String> {
    let text = |path: &str| files.iter().find(|file| file.path == path);
    let (Some(file), Some(table)) = (text(FILE), text(TABLE)) else {
        return vec![format!("{FILE} or {TABLE} is missing")];
    };
    let of_file = match serde_json::from_str(&file.text) {
        Ok(value) => read_file(&value),
        Err(error) => return vec![format!("{FILE}: {error}")],
    };
    let rows = read_table(&table.text);
    let mut faults = compare(&of_file, &rows);
    for row in &rows {
        if row.tests.is_empty() {
            faults.push(format!(
                "{TABLE}:{}: {} names no test",
                row.line, row.operation
            ));
        }
        for test in row.tests.iter().filter(|test| !exists(files, test)) {
            faults.push(format!("{TABLE}:{}: there is no test `{test}`", row.line));
        }
    }
    faults
}

fn read_file(file: &Value) -> Operations {
    let mut operations = Operations::new();
    for (path, item) in file["paths"].as_object().into_iter().flatten() {
        for method in METHODS {
            let responses = item[method]["responses"].as_object();
            if let Some(responses) = responses {
                let operation = format!("{} {path}", method.to_uppercase());
                operations.insert(operation, responses.keys().cloned().collect());
            }
        }
    }
    operations
}

/// A row of the table: every line of one whose code names a method and a path.
struct Row<'a> {
    line: usize,
    operation: &'a str,
    statuses: BTreeSet<String>,
    tests: Vec<&'a str>,
}

fn read_table(text: &str) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let codes = || line.split('`').skip(1).step_by(2);
        let operation = codes().find(|code| is_operation(code));
        let (true, Some(operation)) = (line.starts_with('|'), operation) else {
            continue;
        };
        rows.push(Row {
            line: index + 1,
            operation,
            statuses: statuses(line),
            tests: codes().filter(|code| code.contains("::")).collect(),
        });
    }
    rows
}

fn is_operation(code: &str) -> bool {
    code.split_once(' ').is_some_and(|(method, path)| {
        path.starts_with('/') && METHODS.iter().any(|known| known.to_uppercase() == method)
    })
}

/// The numbers of the cells that hold nothing but statuses.
fn statuses(line: &str) -> BTreeSet<String> {
    let is_status = |word: &str| word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit());
    line.split('|')
        .filter(|cell| cell.split_whitespace().all(is_status))
        .flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect()
}

fn compare(of_file: &Operations, rows: &[Row<'_>]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for row in rows {
        let at = format!("{TABLE}:{}: {}", row.line, row.operation);
        if !seen.insert(row.operation) {
            faults.push(format!("{at} stands in the table twice"));
        }
        match of_file.get(row.operation) {
            None => faults.push(format!("{at} is not in {FILE}")),
            Some(statuses) if *statuses != row.statuses => faults.push(format!(
                "{at} has the statuses {:?}, in {FILE} {statuses:?}",
                row.statuses
            )),
            Some(_) => {}
        }
    }
    for operation in of_file.keys() {
        if !seen.contains(operation.as_str()) {
            faults.push(format!("{TABLE}: {operation} is missing"));
        }
    }
    faults
}

/// Whether `file::test` is a test. The file of the server's tests has no extension, and a folder stands before `::` as well.
fn exists(files: &[TextFile], test: &str) -> bool {
    let Some((file, name)) = test.rsplit_once("::") else {
        return false;
    };
    let (path, definition) = match Path::new(file).extension().and_then(|end| end.to_str()) {
        Some("py") => (
            format!("tests/conformance/python/{file}"),
            format!("def {name}("),
        ),
        Some("mjs") => (
            format!("tests/conformance/js/{file}"),
            format!("test(\"{name}\""),
        ),
        _ => (
            format!("crates/server/tests/server/{}.rs", file.replace("::", "/")),
            format!("fn {name}()"),
        ),
    };
    files
        .iter()
        .any(|file| file.path == path && file.text.contains(&definition))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str =
        "| 1 | `GET /a/{b}` | `c` | 200 | 400 404 | `d::e`, `d::f::g`, `h.py::i`, `j.mjs::k l` |";

    fn check_one(row: &str) -> Vec<String> {
        let file = |path: &str, text: &str| TextFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let openapi = r#"{"paths": {"/a/{b}": {"get": {"responses": {"200": {}, "400": {}, "404": {}}}, "parameters": []}}}"#;
        check(&[
            file(FILE, openapi),
            file(TABLE, row),
            file("crates/server/tests/server/d.rs", "async fn e() {"),
            file("crates/server/tests/server/d/f.rs", "async fn g() {"),
            file("tests/conformance/python/h.py", "def i(api):"),
            file("tests/conformance/js/j.mjs", "test(\"k l\", async () => {"),
        ])
    }

    #[test]
    fn a_row_that_says_what_the_file_says_passes() {
        assert_eq!(check_one(ROW), [""; 0]);
    }

    #[test]
    fn each_difference_is_a_fault() {
        let table = [
            ("", "docs/rest-api.md: GET /a/{b} is missing"),
            (
                &ROW.replace("404", "409"),
                "docs/rest-api.md:1: GET /a/{b} has the statuses {\"200\", \"400\", \"409\"}, in docs/openapi.json {\"200\", \"400\", \"404\"}",
            ),
            (
                &format!("{ROW}\n{ROW}"),
                "docs/rest-api.md:2: GET /a/{b} stands in the table twice",
            ),
            (
                &format!("{ROW}\n{}", ROW.replace("GET", "PUT")),
                "docs/rest-api.md:2: PUT /a/{b} is not in docs/openapi.json",
            ),
        ];
        for (text, fault) in table {
            assert_eq!(check_one(text), [fault]);
        }
    }

    #[test]
    fn a_row_names_tests_that_exist() {
        for (named, fault) in [
            ("d::e", "docs/rest-api.md:1: there is no test `d::x`"),
            ("h.py::i", "docs/rest-api.md:1: there is no test `h.py::x`"),
            (
                "j.mjs::k l",
                "docs/rest-api.md:1: there is no test `j.mjs::x`",
            ),
        ] {
            let (file, _) = named.rsplit_once("::").unwrap();
            let row = ROW.replace(&format!("`{named}`"), &format!("`{file}::x`"));
            assert_eq!(check_one(&row), [fault]);
        }
        let row = ROW.split_once("`d::e`").unwrap().0;
        assert_eq!(
            check_one(row),
            ["docs/rest-api.md:1: GET /a/{b} names no test"]
        );
    }
}

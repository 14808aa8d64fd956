//! What a measurement tells: lines for people, JSON for programs, and whether its bar is held.

use serde_json::Value;

pub(crate) struct Report {
    pub(crate) text: String,
    pub(crate) json: Value,
    pub(crate) is_passed: bool,
}

/// Lays out rows in columns, the first row being their heads.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells = widths.iter().enumerate().map(|(column, width)| {
            let cell = row.get(column).map_or("", String::as_str);
            format!("{cell:<width$}")
        });
        text.push_str(&line(cells));
        if index == 0 {
            text.push_str(&line(widths.iter().map(|width| "-".repeat(*width))));
        }
    }
    text
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

/// Shows a count with thousands or millions.
pub(crate) fn count(value: f64) -> String {
    match value {
        large if large >= 1e6 => format!("{:.2} M", large / 1e6),
        middle if middle >= 1e4 => format!("{:.0} k", middle / 1e3),
        small => format!("{small:.0}"),
    }
}

pub(crate) fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / f64::from(1 << 20))
}

/// Shows whether a bar is held.
pub(crate) fn verdict(is_held: bool) -> &'static str {
    if is_held { "held" } else { "NOT held" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let rows = [
            vec!["a".to_owned(), "long".to_owned()],
            vec!["wide".to_owned(), "b".to_owned()],
        ];
        assert_eq!(
            table(&rows),
            "| a    | long |\n| ---- | ---- |\n| wide | b    |\n"
        );
    }

    #[test]
    fn counts_and_sizes_are_short() {
        assert_eq!(
            [count(2_190_000.0), count(181_000.0), count(900.0)],
            ["2.19 M", "181 k", "900"]
        );
        assert_eq!(mebibytes(1_572_864.0), "1.5 MiB");
    }
}

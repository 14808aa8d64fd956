//! Rules that hold for every text file of the repository.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::workspace::{Workspace, output};

const LONGEST_SHOWN: usize = 5;

/// Text that must not be in the repository, and why. Written in two halves so that this file
/// passes its own check.
const BANNED: &[(&str, &str, Bounds)] = &[
    (concat!("TO", "DO"), UNFINISHED, Bounds::Word),
    (concat!("FIX", "ME"), UNFINISHED, Bounds::Word),
    (concat!("/wo", "rk/"), MACHINE, Bounds::None),
    (concat!("/ro", "ot/"), MACHINE, Bounds::None),
    (concat!("registry.", "npmjs"), REGISTRY, Bounds::None),
    (concat!("registry.", "yarnpkg"), REGISTRY, Bounds::None),
    (concat!("pypi", ".org"), REGISTRY, Bounds::None),
    (concat!("python", "hosted.org"), REGISTRY, Bounds::None),
    (concat!("index.", "crates.io"), REGISTRY, Bounds::None),
    (concat!("static.", "crates.io"), REGISTRY, Bounds::None),
    (concat!("://", "crates.io"), REGISTRY, Bounds::None),
    (concat!("deb.", "debian.org"), REGISTRY, Bounds::None),
    (concat!("proxy.", "golang.org"), REGISTRY, Bounds::None),
    (concat!("\"resolved\"", ": \"http"), REGISTRY, Bounds::None),
];

const UNFINISHED: &str = "finish it or leave it out";
const MACHINE: &str = "a path of one machine";
const REGISTRY: &str = "packages are named, registries are not";

/// Whether a banned text counts inside a longer word.
enum Bounds {
    None,
    Word,
}

/// A UTF-8 file that is tracked, or would be if everything was added now.
pub(super) struct TextFile {
    /// Relative to the root of the repository, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

/// Reads the text files that git does not ignore, in the order of their names.
pub(super) fn list(workspace: &Workspace) -> Result<Vec<TextFile>> {
    let mut command = Command::new("git");
    command
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(&workspace.root);
    let listing = output(&mut command)?;
    let mut files = Vec::new();
    for path in listing.split_terminator('\0') {
        let file: PathBuf = workspace.root.join(path);
        // A tracked file that is deleted in the work tree is listed too; it has no text.
        let Ok(bytes) = std::fs::read(&file) else {
            continue;
        };
        if let Ok(text) = String::from_utf8(bytes)
            && !text.contains('\0')
        {
            files.push(TextFile {
                path: path.to_owned(),
                text,
            });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Names every banned text and every `mod.rs`.
pub(super) fn check(files: &[TextFile]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files {
        if file.path.rsplit('/').next() == Some("mod.rs") {
            faults.push(format!(
                "{}: name it after its folder, beside it",
                file.path
            ));
        }
        for (index, line) in file.text.lines().enumerate() {
            for (text, reason, bounds) in BANNED {
                if contains(line, text, bounds) {
                    faults.push(format!("{}:{}: `{text}`: {reason}", file.path, index + 1));
                }
            }
        }
    }
    faults
}

/// Prints the longest Rust files; a look at them may be worth it, their length is no fault.
pub(super) fn print_longest(files: &[TextFile]) {
    let mut sources: Vec<(usize, &str)> = files
        .iter()
        .filter(|file| file.path.ends_with(".rs"))
        .map(|file| (file.text.lines().count(), file.path.as_str()))
        .collect();
    sources.sort_by(|a, b| b.cmp(a));
    println!("longest Rust files:");
    for (lines, path) in sources.iter().take(LONGEST_SHOWN) {
        println!("{lines:>6} {path}");
    }
}

fn contains(line: &str, text: &str, bounds: &Bounds) -> bool {
    line.match_indices(text).any(|(start, _)| match bounds {
        Bounds::None => true,
        Bounds::Word => {
            let before = line[..start].chars().next_back();
            let after = line[start + text.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        }
    })
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(path: &str, text: &str) -> Vec<String> {
        check(&[TextFile {
            path: path.to_owned(),
            text: text.to_owned(),
        }])
    }

    #[test]
    fn a_banned_text_is_named_with_its_line() {
        let text = concat!("fine\n// TO", "DO: later\n");
        let fault = concat!("src/a.rs:2: `TO", "DO`: finish it or leave it out");
        assert_eq!(check_one("src/a.rs", text), [fault]);
    }

    #[test]
    fn a_banned_word_inside_another_passes() {
        assert!(check_one("a.md", concat!("MASTO", "DON and TO", "DO_LIST")).is_empty());
    }

    #[test]
    fn a_lock_file_names_no_registry() {
        let line = concat!("\"resolved\"", ": \"https://packages.example/ws.tgz\"");
        assert_eq!(check_one("package-lock.json", line).len(), 1);
    }

    #[test]
    fn a_module_file_is_refused() {
        assert_eq!(check_one("src/a/mod.rs", "").len(), 1);
        assert!(check_one("src/a/small_mod.rs", "").is_empty());
    }
}

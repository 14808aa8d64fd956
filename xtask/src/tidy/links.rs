//! Relative links in Markdown lead somewhere.

use std::path::Path;

use super::files::TextFile;

/// Names every link whose file does not exist. Fragments are not looked up.
pub(super) fn check(root: &Path, files: &[TextFile]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
        for (line, target) in find_links(&file.text) {
            if !resolves(root, folder, target) {
                faults.push(format!("{}:{line}: link to nowhere: {target}", file.path));
            }
        }
    }
    faults
}

fn resolves(root: &Path, folder: &Path, target: &str) -> bool {
    let path = target.split(['#', '?']).next().unwrap_or_default();
    if path.is_empty() || is_absolute_url(path) {
        return true;
    }
    match path.strip_prefix('/') {
        Some(path) => root.join(path).exists(),
        None => root.join(folder).join(path).exists(),
    }
}

/// Whether the target starts with a scheme, such as `https:` or `mailto:`.
fn is_absolute_url(target: &str) -> bool {
    target.split_once(':').is_some_and(|(scheme, _)| {
        !scheme.is_empty()
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

/// Targets of inline links and images and of link definitions, with their line numbers. Code,
/// fenced or in the line, is left out.
fn find_links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    let mut is_code = false;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if trimmed.starts_with("```") || trimmed.starts_with("~~~") {
            is_code = !is_code;
        } else if !is_code {
            links.extend(
                find_links_in_line(line)
                    .into_iter()
                    .map(|target| (index + 1, target)),
            );
        }
    }
    links
}

fn find_links_in_line(line: &str) -> Vec<&str> {
    let mut links = Vec::new();
    if line.starts_with('[')
        && let Some((_, target)) = line.split_once("]:")
    {
        links.extend(first_word(target));
    }
    // Every second part is between backquotes.
    for prose in line.split('`').step_by(2) {
        for (start, opening) in prose.match_indices("](") {
            let rest = &prose[start + opening.len()..];
            if let Some((target, _)) = rest.split_once(')') {
                links.extend(first_word(target));
            }
        }
    }
    links
}

/// The target without a title behind it or angle brackets around it.
fn first_word(target: &str) -> Option<&str> {
    let word = target.split_whitespace().next()?;
    Some(word.trim_start_matches('<').trim_end_matches('>'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(text: &str) -> Vec<&str> {
        find_links(text)
            .into_iter()
            .map(|(_, target)| target)
            .collect()
    }

    #[test]
    fn links_images_and_definitions_are_found() {
        let text = "see [a](docs/a.md), [`b`](b.md#part) and ![c](c.png \"title\")\n[d]: <d.md>\n";
        assert_eq!(targets(text), ["docs/a.md", "b.md#part", "c.png", "d.md"]);
    }

    #[test]
    fn code_holds_no_links() {
        assert!(targets("```\n[a](b)\n```\nand `f[0](x)` too").is_empty());
    }

    #[test]
    fn only_relative_targets_are_looked_up() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let from = Path::new("src");
        for good in [
            "#part",
            "https://example.com/x",
            "mailto:a@b",
            "tidy.rs#x",
            "/src/main.rs",
        ] {
            assert!(resolves(root, from, good), "{good}");
        }
        assert!(!resolves(root, from, "absent.md"));
    }
}

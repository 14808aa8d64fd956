//! Durations, sizes and names: how they are written.

use std::time::Duration;

/// Units of durations in milliseconds, largest first.
const DURATION_UNITS: &[(&str, u64)] = &[
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Units of sizes in bytes; binary ones first and largest first, as they are printed.
const SIZE_UNITS: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
];

/// Reads a duration such as `500ms` or `7d`.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    parse_with_unit(text, DURATION_UNITS).map(Duration::from_millis)
}

/// Writes a duration so that it reads back, in the largest unit that needs no fraction.
pub(super) fn format_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        "0s".to_owned()
    } else {
        format_with_unit(millis, DURATION_UNITS)
    }
}

/// Reads a size such as `512KiB` or `16MB`.
pub(super) fn parse_size(text: &str) -> Option<usize> {
    parse_with_unit(text, SIZE_UNITS).and_then(|bytes| usize::try_from(bytes).ok())
}

/// Writes a size so that it reads back, in the largest unit that needs no fraction.
pub(super) fn format_size(bytes: usize) -> String {
    format_with_unit(bytes as u64, SIZE_UNITS)
}

fn parse_with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits_end = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (digits, unit) = text.split_at(digits_end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

fn format_with_unit(amount: u64, units: &[(&str, u64)]) -> String {
    for (name, factor) in units {
        if amount >= *factor && amount.is_multiple_of(*factor) {
            return format!("{}{name}", amount / factor);
        }
    }
    format!("{amount}{}", units.last().map_or("", |(name, _)| name))
}

/// Returns the candidate that a misspelt name most likely means.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let mut best = None;
    for candidate in candidates {
        let edits = edit_distance(name, candidate);
        if edits <= (candidate.len() / 3).max(1) && best.is_none_or(|(least, _)| edits < least) {
            best = Some((edits, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Counts the letters to insert, remove, replace or swap with their neighbour.
fn edit_distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut rows = vec![(0..=right.len()).collect::<Vec<usize>>()];
    for (i, from) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in right.iter().enumerate() {
            let mut edits = (rows[i][j] + usize::from(from != to))
                .min(rows[i][j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *from == right[j - 1] && left[i - 1] == *to {
                edits = edits.min(rows[i - 1][j - 1] + 1);
            }
            row.push(edits);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

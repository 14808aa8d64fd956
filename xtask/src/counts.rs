//! Test totals, read from the closing lines of the runners.

use std::fmt;
use std::ops::AddAssign;

/// How many tests passed and failed; its text is the closing line of `cargo xtask test`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Counts {
    /// Adds a `test result:` line of cargo test; any other line changes nothing.
    pub(crate) fn observe_cargo(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result:") else {
            return;
        };
        self.passed += number_before(result, "passed");
        self.failed += number_before(result, "failed");
    }

    /// Adds the `simulation result:` line of the simulator.
    pub(crate) fn observe_simulation(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("simulation result:") {
            self.passed += number_before(result, "passed");
            self.failed += number_before(result, "failed");
        }
    }

    /// Adds the summary line of pytest, with or without its frame of `=`. An error in a fixture
    /// counts as a failure.
    pub(crate) fn observe_pytest(&mut self, line: &str) {
        let line = line.trim_matches(['=', ' ']);
        let is_summary = line.contains(" in ")
            && line.ends_with(['s', ')'])
            && line.starts_with(|first: char| first.is_ascii_digit());
        if !is_summary {
            return;
        }
        self.passed += number_before(line, "passed");
        self.failed += number_before(line, "failed")
            + number_before(line, "error")
            + number_before(line, "errors");
    }

    /// Adds a total of `node --test`: `ℹ pass 3` in its plain form, `# pass 3` in TAP.
    pub(crate) fn observe_node(&mut self, line: &str) {
        let Some(total) = line.strip_prefix("ℹ ").or_else(|| line.strip_prefix("# ")) else {
            return;
        };
        let mut words = total.split_whitespace();
        let (Some(kind), Some(count), None) = (words.next(), words.next(), words.next()) else {
            return;
        };
        let count = count.parse().unwrap_or(0);
        match kind {
            "pass" => self.passed += count,
            "fail" | "cancelled" => self.failed += count,
            _ => {}
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// The number in front of `word`, or 0. Commas and semicolons part the items.
fn number_before(text: &str, word: &str) -> u64 {
    let words: Vec<&str> = text
        .split([' ', ',', ';'])
        .filter(|part| !part.is_empty())
        .collect();
    let pair = words.windows(2).find(|pair| pair[1] == word);
    pair.and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(observe: fn(&mut Counts, &str), lines: &str, passed: u64, failed: u64) {
        let mut counts = Counts::default();
        lines.lines().for_each(|line| observe(&mut counts, line));
        assert_eq!(counts, Counts { passed, failed }, "{lines}");
    }

    #[test]
    fn cargo_results_add_up_over_binaries() {
        let lines = "\
running 2 tests
test tests::a_failed_test_result ... ok
test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s
test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out";
        check(Counts::observe_cargo, lines, 15, 2);
    }

    #[test]
    fn promises_that_the_simulator_saw_kept_are_counted() {
        let lines = "\
10000 seeds in 6.1 s (1639 a second): 4600000 steps, 3 failed in a row
simulation result: 21 passed; 1 failed; 2 of 10000 seeds broke a promise";
        check(Counts::observe_simulation, lines, 21, 1);
    }

    #[test]
    fn a_pytest_summary_counts_errors_as_failures() {
        check(Counts::observe_pytest, "40 passed in 3.21s", 40, 0);
        check(
            Counts::observe_pytest,
            "=== 1 failed, 38 passed, 1 skipped, 2 errors in 63.21s (0:01:03) ===",
            38,
            3,
        );
        check(Counts::observe_pytest, "1 error in 0.10s", 0, 1);
        check(
            Counts::observe_pytest,
            "FAILED test_send.py::a - 3 failed in a row",
            0,
            0,
        );
    }

    #[test]
    fn node_totals_are_read_from_both_of_its_forms() {
        check(
            Counts::observe_node,
            "ℹ tests 5\nℹ pass 3\nℹ fail 1\nℹ cancelled 1",
            3,
            2,
        );
        check(
            Counts::observe_node,
            "# pass 7\n# fail 0\n# pass the salt please",
            7,
            0,
        );
    }

    #[test]
    fn the_closing_line_is_the_plain_one() {
        let mut counts = Counts {
            passed: 1,
            failed: 0,
        };
        counts += Counts {
            passed: 2,
            failed: 1,
        };
        assert_eq!(counts.to_string(), "3 passed, 1 failed");
    }
}

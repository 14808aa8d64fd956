//! Runs of one measurement: those that were disturbed apart, and two kinds by turns.

use std::time::Duration;

/// How long a kind has its turn: short beside the moods of a machine.
const SLICE: Duration = Duration::from_millis(250);

/// Runs, or pairs of them.
#[derive(Debug)]
pub(crate) struct Runs<T> {
    /// What other processes may take, in per cent of a core.
    others_max: f64,
    kept: Vec<T>,
    disturbed: Vec<T>,
}

impl<T> Runs<T> {
    pub(crate) fn new(others_max: f64) -> Self {
        Self {
            others_max,
            kept: Vec::new(),
            disturbed: Vec::new(),
        }
    }

    /// Adds a run during which other processes took this much.
    pub(crate) fn add(&mut self, run: T, others_percent: f64) {
        match others_percent <= self.others_max {
            true => self.kept.push(run),
            false => self.disturbed.push(run),
        }
    }

    pub(crate) fn kept(&self) -> &[T] {
        &self.kept
    }

    pub(crate) fn disturbed(&self) -> &[T] {
        &self.disturbed
    }

    /// Returns the undisturbed runs, or all if there are none.
    pub(crate) fn counted(&self) -> &[T] {
        match self.kept.is_empty() {
            true => &self.disturbed,
            false => &self.kept,
        }
    }

    /// Says how many count.
    pub(crate) fn share(&self) -> String {
        let all = self.kept.len() + self.disturbed.len();
        match self.kept.len() {
            0 => format!("all {all} disturbed"),
            kept => format!("{kept} of {all}"),
        }
    }
}

/// Gives two sides their turns for a time each.
pub(crate) fn by_turns(
    time: Duration,
    mut first: impl FnMut(Duration),
    mut second: impl FnMut(Duration),
) {
    let mut left = time;
    while !left.is_zero() {
        let slice = left.min(SLICE);
        left -= slice;
        first(slice);
        second(slice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disturbed_runs_count_only_if_there_are_no_others() {
        let mut runs = Runs::new(5.0);
        runs.add("disturbed", 5.1);
        assert_eq!(
            (runs.counted(), runs.share().as_str()),
            (&["disturbed"][..], "all 1 disturbed")
        );
        runs.add("quiet", 5.0);
        assert_eq!(
            (runs.counted(), runs.share().as_str()),
            (&["quiet"][..], "1 of 2")
        );
    }

    #[test]
    fn each_side_has_its_time_in_slices_by_turns() {
        let turns = std::cell::RefCell::new(Vec::new());
        by_turns(
            Duration::from_millis(600),
            |slice| turns.borrow_mut().push(('a', slice.as_millis())),
            |slice| turns.borrow_mut().push(('b', slice.as_millis())),
        );
        let expected = [
            ('a', 250),
            ('b', 250),
            ('a', 250),
            ('b', 250),
            ('a', 100),
            ('b', 100),
        ];
        assert_eq!(turns.into_inner(), expected);
    }
}

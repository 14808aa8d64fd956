//! How much of its time the load generator has something to do. It never waits, so that waking it is not charged to the service, and
//! its CPU time tells nothing.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    last: Instant,
    busy: Duration,
    all: Duration,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self {
            last: Instant::now(),
            busy: Duration::ZERO,
            all: Duration::ZERO,
        }
    }

    /// Begins a turn after a pause, which does not count.
    pub(crate) fn resume(&mut self) {
        self.last = Instant::now();
    }

    /// Ends a turn, and tells whether it had anything to do.
    pub(crate) fn turn(&mut self, had_work: bool) {
        let now = Instant::now();
        let elapsed = now - std::mem::replace(&mut self.last, now);
        self.all += elapsed;
        if had_work {
            self.busy += elapsed;
        }
    }

    /// Returns the share of busy turns since an earlier moment, in per cent.
    pub(crate) fn percent_since(&self, earlier: &Self) -> f64 {
        let all = (self.all - earlier.all).as_secs_f64();
        match all > 0.0 {
            true => (self.busy - earlier.busy).as_secs_f64() / all * 100.0,
            false => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_turns_do_not_count() {
        let start = Meter::start();
        let mut meter = start;
        meter.turn(false);
        assert_eq!(meter.percent_since(&start), 0.0);
        let start = meter;
        meter.turn(true);
        assert_eq!(meter.percent_since(&start), 100.0);
        assert_eq!(meter.percent_since(&meter), 0.0);
    }
}

//! Random numbers from a seed, so that a run can be repeated.

use std::ops::Range;
use std::time::Duration;

/// SplitMix64.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Returns a number below `end`, which is above 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Returns a time of the range, in whole milliseconds.
    pub(crate) fn duration(&mut self, range: &Range<Duration>) -> Duration {
        let width = (range.end - range.start).as_millis() as u64;
        range.start + Duration::from_millis(self.below(width.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again() {
        let numbers = |seed| {
            let mut random = Random::new(seed);
            [random.next(), random.next(), random.next()]
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
    }

    #[test]
    fn times_stay_in_their_range() {
        let mut random = Random::new(7);
        let range = Duration::from_millis(300)..Duration::from_millis(2500);
        assert!((0..1000).all(|_| range.contains(&random.duration(&range))));
    }
}

//! When clients acknowledge what they have received.

use std::time::Duration;

/// Official clients acknowledge once in this time.
const ACK_INTERVAL: Duration = Duration::from_secs(1);

/// Spreads the acknowledgements of all subscribers over their interval.
pub(crate) struct AckClock {
    subscribers: usize,
    /// How many were due so far, all rounds together.
    given: u64,
}

impl AckClock {
    pub(crate) fn new(subscribers: usize) -> Self {
        Self {
            subscribers,
            given: 0,
        }
    }

    /// Returns whose turn has come since the last call.
    pub(crate) fn due(&mut self, elapsed: Duration) -> impl Iterator<Item = usize> + use<> {
        let subscribers = self.subscribers as u64;
        let rounds = elapsed.as_secs_f64() / ACK_INTERVAL.as_secs_f64();
        let given = (rounds * subscribers as f64) as u64;
        let from = std::mem::replace(&mut self.given, given);
        (from..given).map(move |turn| (turn % subscribers) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subscriber_has_its_turn_once_in_an_interval() {
        let mut clock = AckClock::new(3);
        assert_eq!(clock.due(Duration::from_millis(100)).count(), 0);
        assert_eq!(
            clock.due(Duration::from_millis(700)).collect::<Vec<_>>(),
            [0, 1]
        );
        assert_eq!(
            clock.due(Duration::from_millis(1400)).collect::<Vec<_>>(),
            [2, 0]
        );
        assert_eq!(clock.due(Duration::from_millis(1400)).count(), 0);
    }
}

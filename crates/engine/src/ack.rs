use std::collections::VecDeque;
use std::ops::RangeInclusive;

/// The ack ids of a connection's last successful requests, oldest first. Clients count upwards, so a run of consecutive ids
/// is kept as one range. Source: client-protocols 3.6.
#[derive(Debug, Default)]
pub(crate) struct AckHistory {
    runs: VecDeque<RangeInclusive<u64>>,
    len: usize,
}

impl AckHistory {
    pub(crate) fn contains(&self, ack_id: u64) -> bool {
        self.runs.iter().any(|run| run.contains(&ack_id))
    }

    /// Remembers an id that is not remembered yet, forgetting the oldest beyond `max`.
    pub(crate) fn remember(&mut self, ack_id: u64, max: usize) {
        debug_assert!(!self.contains(ack_id), "ack id remembered twice");
        match self.runs.back_mut() {
            Some(run) if run.end().checked_add(1) == Some(ack_id) => *run = *run.start()..=ack_id,
            Some(_) | None => self.runs.push_back(ack_id..=ack_id),
        }
        self.len += 1;
        while self.len > max {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(run) = self.runs.front_mut() {
            self.len -= 1;
            match run.start() == run.end() {
                true => {
                    self.runs.pop_front();
                }
                false => *run = run.start() + 1..=*run.end(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_ids_are_forgotten_first_whatever_their_order() {
        let mut history = AckHistory::default();
        for ack_id in [7, 8, 9, 3, u64::MAX, 0] {
            history.remember(ack_id, 4);
        }
        let remembered: Vec<_> = [7, 8, 9, 3, u64::MAX, 0]
            .into_iter()
            .filter(|&ack_id| history.contains(ack_id))
            .collect();
        assert_eq!(remembered, [9, 3, u64::MAX, 0]);
    }

    #[test]
    fn consecutive_ids_take_one_run() {
        let mut history = AckHistory::default();
        for ack_id in 1..=5000 {
            history.remember(ack_id, 1000);
        }
        assert_eq!(history.runs.len(), 1);
        assert!(!history.contains(4000));
        assert!(history.contains(4001));
    }
}

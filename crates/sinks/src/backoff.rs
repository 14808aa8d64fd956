//! Pauses between attempts, and the end of them.

use std::time::Duration;

use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Pauses that double from a tenth of a second up to five seconds, until a time is over.
pub(crate) struct Backoff {
    pause: Duration,
    deadline: Instant,
}

impl Backoff {
    pub(crate) fn new(retry_for: Duration) -> Self {
        Self {
            pause: FIRST_PAUSE,
            deadline: Instant::now() + retry_for,
        }
    }

    /// Waits before the next attempt, at least for a time that the other side has asked for; `false` if there is to be none.
    pub(crate) async fn wait(&mut self, at_least: Duration) -> bool {
        let pause = self.pause.max(at_least);
        if Instant::now() + pause > self.deadline {
            return false;
        }
        tokio::time::sleep(pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }

    /// Waits before what is left is tried again, with short pauses anew if some of it has gone well; the end stays.
    pub(crate) async fn again(&mut self, has_helped: bool) -> bool {
        if has_helped {
            self.pause = FIRST_PAUSE;
        }
        self.wait(Duration::ZERO).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_double_and_end() {
        let start = Instant::now();
        let mut backoff = Backoff::new(Duration::from_secs(20));
        let mut made = Vec::new();
        while backoff.wait(Duration::ZERO).await {
            made.push(start.elapsed().as_millis());
        }
        assert_eq!(made, [100, 300, 700, 1500, 3100, 6300, 11_300, 16_300]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_is_asked_for_is_kept() {
        let start = Instant::now();
        let mut backoff = Backoff::new(Duration::from_secs(20));
        assert!(backoff.wait(Duration::from_secs(7)).await);
        assert_eq!(start.elapsed().as_secs(), 7);
        assert!(!backoff.wait(Duration::from_secs(14)).await);
    }
}

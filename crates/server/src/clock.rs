use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hubwire_engine::Time;

/// The node's clock: one origin for all of its shards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Returns the time as the engine counts it.
    pub(crate) fn now(self) -> Time {
        Time::from_ms(self.origin.elapsed().as_millis() as u64)
    }
}

/// Returns the seconds since 1970, as tokens count them.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}

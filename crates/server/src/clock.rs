use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hubwire_engine::Time;

/// The node's clock: one origin for all of its shards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
    unix_origin_ms: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            origin: Instant::now(),
            unix_origin_ms: unix_time().as_millis() as u64,
        }
    }

    /// Returns the milliseconds from 1970 to the origin.
    pub(crate) fn unix_origin_ms(self) -> u64 {
        self.unix_origin_ms
    }

    /// Returns the time as the engine counts it.
    pub(crate) fn now(self) -> Time {
        Time::from_ms(self.origin.elapsed().as_millis() as u64)
    }
}

/// Returns the seconds since 1970, as tokens count them.
pub(crate) fn unix_seconds() -> u64 {
    unix_time().as_secs()
}

/// Returns the milliseconds since 1970.
pub(crate) fn unix_milliseconds() -> u64 {
    unix_time().as_millis() as u64
}

fn unix_time() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
}

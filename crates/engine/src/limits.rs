use crate::timers::Time;

/// The engine's limits that an operator may set.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Ack ids remembered for each connection; older ones may be used again. Source: client-protocols 3.6.
    pub remembered_ack_ids: usize,
    /// Milliseconds from the moment a close is queued until the socket is dropped. Source: client-protocols 7.2.
    pub close_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            remembered_ack_ids: 1000,
            close_timeout_ms: 5_000,
        }
    }
}

/// What a hub's settings say about its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubSettings {
    /// Milliseconds between two pings to a client. Source: client-protocols 7.1.
    pub keep_alive_interval_ms: u64,
    /// Closes a subprotocol connection whose event failed, instead of answering with an ack error.
    pub drop_connection_on_event_failure: bool,
}

impl HubSettings {
    /// Milliseconds of silence after which a client counts as gone: two intervals and 5 s.
    pub(crate) fn silence_max_ms(&self) -> u64 {
        2 * self.keep_alive_interval_ms + 5_000
    }

    pub(crate) fn next_ping(&self, now: Time) -> Time {
        now.after_ms(self.keep_alive_interval_ms)
    }
}

impl Default for HubSettings {
    fn default() -> Self {
        Self {
            keep_alive_interval_ms: 20_000,
            drop_connection_on_event_failure: false,
        }
    }
}

//! What can be counted. Source: events-and-operations 10.2.

use std::time::Duration;

use hubwire_protocol::names::Hub;

/// Learns what can be counted. Each method returns at once.
pub trait Observer: Send + Sync {
    /// A handler was asked or told, retries included.
    fn handled(&self, hub: &Hub, kind: Kind, outcome: Outcome, elapsed: Duration);
    /// A request is repeated.
    fn retried(&self);
    /// A handler did not agree to get events, or could not be asked whether it does.
    fn abuse_protection_failed(&self);
    /// A notification of a handler was dropped, since too many are under way.
    fn notification_dropped(&self, hub: &Hub);
    /// A listener has got an event.
    fn listener_delivered(&self, hub: &Hub);
    /// A listener did not get an event: its queue was full, or it could not be reached.
    fn listener_dropped(&self, hub: &Hub);
}

/// Counts nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn handled(&self, _: &Hub, _: Kind, _: Outcome, _: Duration) {}
    fn retried(&self) {}
    fn abuse_protection_failed(&self) {}
    fn notification_dropped(&self, _: &Hub) {}
    fn listener_delivered(&self, _: &Hub) {}
    fn listener_dropped(&self, _: &Hub) {}
}

/// What a handler was asked or told, as a metric has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// May a client connect?
    Connect,
    /// A connection is there.
    Connected,
    /// A connection is gone.
    Disconnected,
    /// A user event.
    User,
    /// A user event whose answer is awaited by its client.
    Invocation,
    /// A connection joined or left a group.
    Presence,
}

impl Kind {
    /// Returns the value of a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::User => "user",
            Self::Invocation => "invocation",
            Self::Presence => "presence",
        }
    }
}

/// How it went, as a metric has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A status of 2xx and a response that makes sense.
    Success,
    /// Another status.
    Rejected,
    /// No response in time.
    Timeout,
    /// The handler cannot be reached, or its response makes no sense.
    Failed,
    /// The handler does not agree to get events.
    Invalid,
}

impl Outcome {
    /// Returns the value of a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Rejected => "rejected",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
            Self::Invalid => "invalid",
        }
    }
}

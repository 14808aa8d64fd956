use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::input::ConnectionKey;

/// A point in time: milliseconds since an origin that all shards of a node share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(u64);

impl Time {
    /// Makes a time from milliseconds since the origin.
    pub fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Returns the milliseconds since the origin.
    pub fn as_ms(self) -> u64 {
        self.0
    }

    /// Returns the time `ms` milliseconds later.
    pub fn after_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Returns the milliseconds since `earlier`, or 0 if that is later.
    pub fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// What is to be looked at when a timer is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Ping the client, or give it up; with the milliseconds between pings when the timer was set.
    KeepAlive(ConnectionKey, u32),
    /// Drop the socket of a connection that was closed.
    CloseDeadline(ConnectionKey),
    /// End a connection that has not recovered.
    RecoveryWindow(ConnectionKey),
    /// Close a connection that is as old as it may get. Set for one that will be before its next ping, or while it waits for its
    /// client.
    Lifetime(ConnectionKey),
    /// Ack fragments of the connection's streams, or end those that are idle.
    Streams(ConnectionKey),
}

/// All timers of a shard. A timer is never cancelled: one that no longer means anything is ignored when it is due, which
/// happens within a keep-alive interval or a recovery window, so there are about as many entries as connections.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Time, Timer)>>,
}

impl Timers {
    pub(crate) fn set(&mut self, due: Time, timer: Timer) {
        self.heap.push(Reverse((due, timer)));
    }

    pub(crate) fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }

    pub(crate) fn pop_due(&mut self, now: Time) -> Option<Timer> {
        match self.next() {
            Some(due) if due <= now => self.heap.pop().map(|Reverse((_, timer))| timer),
            Some(_) | None => None,
        }
    }
}

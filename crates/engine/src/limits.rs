use hubwire_protocol::token::ReconnectionKey;

use crate::connection_id::ConnectionId;
use crate::timers::Time;

/// What a shard is told once.
#[derive(Clone, Debug)]
pub struct ShardSettings {
    /// The number of its process.
    pub node: u16,
    /// Its own number in the process.
    pub number: u16,
    /// How many shards the process has.
    pub shards: u16,
    /// Milliseconds from 1970 to the origin of [`Time`].
    pub unix_origin_ms: u64,
    /// Signs reconnection tokens.
    pub reconnection_key: ReconnectionKey,
    /// Limits of the process.
    pub limits: Limits,
}

impl ShardSettings {
    /// Tells whether a connection with this id is or was in this shard.
    pub(crate) fn has(&self, id: &ConnectionId) -> bool {
        id.node == self.node && id.shard == self.number
    }

    pub(crate) fn unix_ms(&self, now: Time) -> u64 {
        self.unix_origin_ms + now.as_ms()
    }
}

/// The engine's limits that an operator may set.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Ack ids remembered for each connection; older ones may be used again. Source: client-protocols 3.6.
    pub remembered_ack_ids: usize,
    /// Milliseconds from the moment a close is queued until the socket is dropped. Source: client-protocols 7.2.
    pub close_timeout_ms: u64,
    /// Milliseconds that a reliable connection waits for a new socket. Source: client-protocols 5.3.
    pub recovery_window_ms: u64,
    /// Seconds that a reconnection token is good. Source: client-protocols 5.4.
    pub reconnection_token_lifetime_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            remembered_ack_ids: 1000,
            close_timeout_ms: 5_000,
            recovery_window_ms: 30_000,
            reconnection_token_lifetime_s: 7 * 24 * 3600,
        }
    }
}

/// How much of what a reliable connection was sent may wait for its acknowledgement. Source: client-protocols 5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferLimits {
    /// Messages.
    pub messages: usize,
    /// Bytes of encoded frames.
    pub bytes: usize,
}

/// Which events of a hub somebody handles or listens to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventSettings {
    /// Events of users and invocations, maybe not every one.
    pub user: bool,
    /// Beginnings and ends of connections.
    pub system: bool,
    /// Beginnings and ends of memberships.
    pub presence: bool,
}

/// What a hub's settings say about its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubSettings {
    /// Milliseconds between two pings to a client. Source: client-protocols 7.1.
    pub keep_alive_interval_ms: u64,
    /// Milliseconds after which a connection is closed, however alive it is; 0 is never. A change counts for connections that exist
    /// from their next ping on. Source: events-and-operations 9.4.
    pub connection_lifetime_ms: u64,
    /// Closes a subprotocol connection whose event failed, instead of answering with an ack error.
    pub drop_connection_on_event_failure: bool,
    /// Bounds what waits for the acknowledgement of a reliable connection.
    pub reliable_buffer: BufferLimits,
    /// What is told of the hub's connections, beyond answering that nothing handles an event.
    pub events: EventSettings,
    /// Knows the frames of streams; without it they are violations.
    pub streaming: bool,
    /// Knows the frames of group state; without it they are violations.
    pub group_state: bool,
    /// Knows the frames of invocations; without it they are violations.
    pub invocation: bool,
}

impl HubSettings {
    /// Milliseconds of silence after which a client counts as gone: two intervals and 5 s.
    pub(crate) fn silence_max_ms(&self) -> u64 {
        2 * self.keep_alive_interval_ms + 5_000
    }

    /// Returns when a connection that exists since then is to be closed, if ever.
    pub(crate) fn end_of_life(&self, since: Time) -> Option<Time> {
        match self.connection_lifetime_ms {
            0 => None,
            lifetime => Some(since.after_ms(lifetime)),
        }
    }
}

impl Default for HubSettings {
    fn default() -> Self {
        Self {
            keep_alive_interval_ms: 20_000,
            connection_lifetime_ms: 0,
            drop_connection_on_event_failure: false,
            reliable_buffer: BufferLimits {
                messages: 1000,
                bytes: 16 << 20,
            },
            events: EventSettings::default(),
            streaming: true,
            group_state: true,
            invocation: true,
        }
    }
}

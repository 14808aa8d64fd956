//! What differs from run to run beside the events: how many shards there are, how tight the limits.

use hubwire_engine::{BufferLimits, EventSettings, HubSettings, Limits, ShardSettings};
use hubwire_protocol::token::ReconnectionKey;

use crate::random::Random;

/// Names that runs use. Few, so that much meets in one place.
pub(crate) const HUBS: [&str; 2] = ["chat", "other"];
pub(crate) const GROUPS: [&str; 3] = ["g0", "g1", "h.2"];
pub(crate) const USERS: [&str; 3] = ["ann", "bob", "eve"];
/// The number of the simulated process.
pub(crate) const NODE: u16 = 5;
/// Where the clock starts, in milliseconds since 1970.
pub(crate) const UNIX_ORIGIN_MS: u64 = 1_700_000_000_000;

/// What of a hub's settings may change while it has connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HubEvents {
    pub(crate) events: EventSettings,
    /// A failed event ends its connection.
    pub(crate) are_failures_fatal: bool,
}

impl HubEvents {
    pub(crate) fn choose(random: &mut Random) -> Self {
        Self {
            events: EventSettings {
                user: random.percent(90),
                system: random.percent(80),
                presence: random.percent(80),
            },
            are_failures_fatal: random.percent(10),
        }
    }
}

/// The settings of one run.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) shards: usize,
    pub(crate) hubs: usize,
    pub(crate) clients_max: usize,
    pub(crate) steps: usize,
    pub(crate) inbox_capacity: usize,
    pub(crate) queue_messages: usize,
    pub(crate) queue_bytes: usize,
    /// Bytes that are on their way to a client at most.
    pub(crate) pipe_bytes: usize,
    pub(crate) buffer: BufferLimits,
    pub(crate) recovery_window_ms: u64,
    pub(crate) keep_alive_ms: u64,
    pub(crate) remembered_ack_ids: usize,
    pub(crate) payload_max: usize,
    /// Somebody handles events, and clients raise them.
    pub(crate) has_events: bool,
    /// Clients show states of groups and watch them.
    pub(crate) has_states: bool,
}

impl Settings {
    pub(crate) fn choose(random: &mut Random) -> Self {
        let has_events = random.percent(60);
        let has_states = !has_events || random.percent(40);
        let messages = random.pick(&[3, 10, 1000, 1000]);
        let bytes = random.pick(&[1_500, 1 << 20, 1 << 20]);
        Self {
            shards: random.pick(&[1, 2, 2, 3, 3]),
            hubs: random.pick(&[1, 1, 1, 2]),
            clients_max: random.pick(&[3, 5, 9]),
            steps: random.pick(&[200, 400, 800]),
            inbox_capacity: random.pick(&[1, 2, 4, 1000]),
            queue_messages: random.pick(&[4, 12, 1000, 1000]),
            queue_bytes: random.pick(&[2_000, 1 << 20, 1 << 20]),
            pipe_bytes: random.pick(&[0, 300, 2_000, 1 << 20]),
            // What follows from an answer is more than one thing, so the model must know at which of them a buffer is full. It
            // does not know lengths of frames, nor states that wait for a client.
            buffer: BufferLimits {
                messages: match has_events && has_states {
                    true => 1000,
                    false => messages,
                },
                bytes: match has_events {
                    true => 1 << 30,
                    false => bytes,
                },
            },
            recovery_window_ms: random.pick(&[1_000, 7_000, 30_000]),
            keep_alive_ms: random.pick(&[1_000, 20_000]),
            remembered_ack_ids: random.pick(&[2, 1000, 1000]),
            payload_max: random.pick(&[1, 20, 300]),
            has_events,
            has_states,
        }
    }

    /// Milliseconds of silence after which a client counts as gone. Source: client-protocols 7.1.
    pub(crate) fn silence_ms(&self) -> u64 {
        2 * self.keep_alive_ms + 5_000
    }

    pub(crate) fn hub_settings(&self, events: HubEvents) -> HubSettings {
        HubSettings {
            keep_alive_interval_ms: self.keep_alive_ms,
            reliable_buffer: self.buffer,
            drop_connection_on_event_failure: events.are_failures_fatal,
            events: events.events,
            ..HubSettings::default()
        }
    }

    pub(crate) fn shard_settings(&self, number: usize, key: &ReconnectionKey) -> ShardSettings {
        ShardSettings {
            node: NODE,
            number: number as u16,
            shards: self.shards as u16,
            unix_origin_ms: UNIX_ORIGIN_MS,
            reconnection_key: key.clone(),
            limits: Limits {
                remembered_ack_ids: self.remembered_ack_ids,
                recovery_window_ms: self.recovery_window_ms,
                ..Limits::default()
            },
        }
    }
}

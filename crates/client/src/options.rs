//! What a client does on its own.

use std::time::Duration;

use hubwire_protocol::subprotocol::Subprotocol;

/// What a connection speaks. The reliable ones survive a lost socket without losing messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// `json.webpubsub.azure.v1`.
    Json,
    /// `json.reliable.webpubsub.azure.v1`, the default.
    #[default]
    ReliableJson,
    /// `protobuf.webpubsub.azure.v1`. The sender of a message is not told.
    Protobuf,
    /// `protobuf.reliable.webpubsub.azure.v1`. The sender of a message is not told.
    ReliableProtobuf,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Json,
        Self::ReliableJson,
        Self::Protobuf,
        Self::ReliableProtobuf,
    ];

    /// Returns the name that is negotiated.
    pub fn name(self) -> &'static str {
        self.subprotocol()
            .name()
            .expect("only simple clients have no name")
    }

    /// Tells whether connections survive their sockets.
    pub fn is_reliable(self) -> bool {
        self.subprotocol().is_reliable()
    }

    pub(crate) fn subprotocol(self) -> Subprotocol {
        match self {
            Self::Json => Subprotocol::Json,
            Self::ReliableJson => Subprotocol::ReliableJson,
            Self::Protobuf => Subprotocol::Protobuf,
            Self::ReliableProtobuf => Subprotocol::ReliableProtobuf,
        }
    }
}

/// Waits between attempts: doubled each time up to a limit, each shortened at random by up to a half so that clients that lost
/// their connections together do not come back together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait, 1 s by default.
    pub first: Duration,
    /// The longest wait, 30 s by default.
    pub max: Duration,
    /// Attempts before giving up; `None`, without end.
    pub attempts_max: Option<u32>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            max: Duration::from_secs(30),
            attempts_max: None,
        }
    }
}

impl Backoff {
    /// Returns the wait before an attempt, counted from 0, or `None` if there is to be none. `random` is any number.
    pub fn wait(&self, attempt: u32, random: u64) -> Option<Duration> {
        if self.attempts_max.is_some_and(|max| attempt >= max) {
            return None;
        }
        let factor = 1_u32.checked_shl(attempt.min(31)).unwrap_or(u32::MAX);
        let wait = self.first.saturating_mul(factor).min(self.max);
        let wait_us = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        Some(Duration::from_micros(wait_us - random % (wait_us / 2 + 1)))
    }
}

/// Everything that the state machine can be told beforehand. [`crate::Builder`] sets it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// What is spoken.
    pub protocol: Protocol,
    /// Makes a new connection when one is lost for good. On by default.
    pub auto_reconnect: bool,
    /// Joins the groups again on a new connection. On by default.
    pub auto_rejoin_groups: bool,
    /// Waits between attempts at a new connection.
    pub reconnect: Backoff,
    /// How long a lost connection of a reliable protocol is tried to be recovered. 30 s by default, which is how long the service
    /// keeps it.
    pub recovery_window: Duration,
    /// How often a request is sent again after a failure of the service, or after the socket was lost before its answer. 3 by default.
    pub message_retries: u32,
    /// Waits before sending again what the service failed at.
    pub message_backoff: Backoff,
    /// How long a request may take with all its repetitions, time without a connection included. 30 s by default.
    pub ack_timeout: Duration,
    /// Opening a socket and hearing the first word on it may take this long. 30 s by default.
    pub connect_timeout: Duration,
    /// Time between pings; `None`, none are sent. 20 s by default.
    pub ping_interval: Option<Duration>,
    /// A socket on which nothing arrived for so long is dropped; `None`, never. 120 s by default.
    pub silence_timeout: Option<Duration>,
    /// How long a stop waits for the service's close. 5 s by default.
    pub stop_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            protocol: Protocol::default(),
            auto_reconnect: true,
            auto_rejoin_groups: true,
            reconnect: Backoff::default(),
            recovery_window: Duration::from_secs(30),
            message_retries: 3,
            message_backoff: Backoff::default(),
            ack_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(30),
            ping_interval: Some(Duration::from_secs(20)),
            silence_timeout: Some(Duration::from_secs(120)),
            stop_timeout: Duration::from_secs(5),
        }
    }
}

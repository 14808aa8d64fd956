//! Bounds on what connections may use.

use std::time::Duration;

/// Bounds what connections may use.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitsConfig {
    /// Bounds one message from a client, after its fragments are joined.
    ///
    /// Bytes; default: 1 MiB; range: 1 KiB to 1 GiB. Raise it for larger payloads.
    pub message_max: usize,
    /// Bounds the messages waiting for one socket; beyond it the client is closed as too slow.
    ///
    /// Messages; default: 1000; range: from 1. Raise it where clients receive in bursts.
    pub outbound_queue_messages: usize,
    /// Bounds the bytes waiting for one socket; beyond it the client is closed as too slow.
    ///
    /// Bytes; default: 16 MiB; range: from 1 KiB. Lower it to bound memory with many slow clients.
    pub outbound_queue_bytes: usize,
    /// Sets how long a reliable connection whose socket was lost waits for a new one before it ends.
    ///
    /// Default: 30 s; range: 0 s to 1 h, where 0 ends it at once. Raise it where clients lose their network for longer; what
    /// they are sent meanwhile is kept.
    pub recovery_window: Duration,
    /// Sets how long a reconnection token is good; each recovery hands out a new one.
    ///
    /// Default: 7 d; range: 1 min to 365 d. Lower it to bound the use of a stolen one.
    pub reconnection_token_lifetime: Duration,
    /// Counts the ack ids remembered per connection, so that a repeated request is answered and not executed again.
    ///
    /// Ids; default: 1000; range: from 0, where 0 recognises no repetition. Raise it where clients retry late.
    pub remembered_ack_ids: usize,
    /// Bounds the wait for a client's answer to a close frame.
    ///
    /// Default: 5 s; range: 0 s to 1 h. Lower it to free sockets of vanished clients sooner.
    pub close_timeout: Duration,
    /// Bounds the client connections of the process; further ones are refused with 429.
    ///
    /// Connections; default: 0, no limit. Set it to what the machine is sized for.
    pub connections_max: usize,
    /// Bounds TLS, the request head and the upgrade of one new connection together.
    ///
    /// Default: 10 s; range: 1 ms to 1 h. Lower it under attack by clients that connect and stay silent.
    pub handshake_timeout: Duration,
    /// Bounds the connections that are between accept and the end of their upgrade.
    ///
    /// Connections; default: 1024; range: from 1. Raise it where many clients reconnect at once.
    pub handshakes_max: usize,
    /// Bounds the bytes waiting for all clients together, or for their acknowledgement. Above it the clients with most waiting
    /// are closed as too slow; an eighth further on new connections are refused with 503.
    ///
    /// Bytes; default: 0, no limit. Set it well below the memory of the machine. A message that many slow clients have yet to
    /// read is counted for each of them, although it is in memory once; one that they have yet to acknowledge is counted once.
    pub memory: usize,
    /// Bounds the REST requests of the process; further ones are refused with 429.
    ///
    /// Requests a second, up to a second's worth at once; default: 0, no limit.
    pub rest_requests_per_second: usize,
    /// Bounds the messages that are sent in the process. Beyond it REST is refused with 429, and a publishing client is not
    /// read until it may go on.
    ///
    /// Messages a second, up to a second's worth at once; default: 0, no limit.
    pub messages_per_second: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            message_max: 1 << 20,
            outbound_queue_messages: 1000,
            outbound_queue_bytes: 16 << 20,
            recovery_window: Duration::from_secs(30),
            reconnection_token_lifetime: Duration::from_secs(7 * 24 * 3600),
            remembered_ack_ids: 1000,
            close_timeout: Duration::from_secs(5),
            connections_max: 0,
            handshake_timeout: Duration::from_secs(10),
            handshakes_max: 1024,
            memory: 0,
            rest_requests_per_second: 0,
            messages_per_second: 0,
        }
    }
}

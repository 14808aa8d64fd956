//! What clients may use, by what their tokens say of them.

use std::time::Duration;

/// The application firewall: what clients with the same user, token or claim may use together, in all hubs. Nothing is limited
/// by default. Source: events-and-operations 9.4.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FirewallConfig {
    /// Bounds how many connections there are at a time. At most 32 rules.
    pub client_connection_count_rules: Vec<ConnectionCountRule>,
    /// Bounds how much is sent by clients. At most 32 rules.
    pub client_traffic_control_rules: Vec<TrafficControlRule>,
    /// Closes every connection at this age.
    ///
    /// Default: 0 s, which is never; range: otherwise 1 s to 365 d. Set it so that clients come back with a fresh token from
    /// time to time.
    pub max_client_connection_lifetime: Duration,
}

/// What clients have in common that are counted together. A client whose token does not have it is not counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ThrottleKey {
    /// The user id of the token.
    UserId,
    /// The signature of the token: everybody who uses the same one.
    JwtSignature,
    /// The value of the claim of this name.
    JwtCustomClaim(String),
}

/// A new connection beyond the count is refused with 429.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionCountRule {
    /// Who is counted together.
    pub key: ThrottleKey,
    /// Default: 20; at least 1.
    pub max_count: usize,
}

/// A client that sends more than this is closed with 1008.
#[derive(Clone, Debug, PartialEq)]
pub struct TrafficControlRule {
    /// Who is counted together.
    pub key: ThrottleKey,
    /// Bytes of messages in a window. Default: 1 GiB; range: 1 B to 512 GiB.
    pub max_inbound_message_bytes: usize,
    /// When counting begins anew. Default: 60 s; range: 1 s to 1 h.
    pub aggregation_window: Duration,
}

impl ConnectionCountRule {
    /// Limits clients to 20 connections at a time.
    pub fn new(key: ThrottleKey) -> Self {
        Self { key, max_count: 20 }
    }
}

impl TrafficControlRule {
    /// Limits clients to 1 GiB in a minute.
    pub fn new(key: ThrottleKey) -> Self {
        Self {
            key,
            max_inbound_message_bytes: 1 << 30,
            aggregation_window: Duration::from_secs(60),
        }
    }
}

//! How events leave the service.

use std::time::Duration;

use hubwire_upstream::{
    NOTIFICATIONS_MAX_DEFAULT, REQUESTS_PER_HOST_MAX_DEFAULT, RESPONSE_BODY_MAX_DEFAULT,
    RETRY_DELAYS_DEFAULT, TIMEOUT_DEFAULT,
};

/// Says how events leave the service, for all event handlers.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamConfig {
    /// Lists the hosts that the service names to handlers in `WebHook-Request-Origin`, and that a handler has to allow.
    ///
    /// Default: empty, the host of the first public endpoint without its port, or else that of the first listener; `localhost` on
    /// loopback.
    pub request_origins: Vec<String>,
    /// Bounds an event from the first attempt to the headers of the response, where its handler says nothing else.
    ///
    /// Default: 100 s; range: 1 ms to 1 h. Lower it where a client should not wait that long for an answer.
    pub timeout: Duration,
    /// Sets the pauses between the attempts of an event; there is one attempt more than there are pauses.
    ///
    /// Default: 1 s, 3 s, 5 s; at most 10 pauses of at most 1 h each. Empty for a single attempt.
    pub retry_delays: Vec<Duration>,
    /// Bounds the body of a response.
    ///
    /// Bytes; default: 16 MiB; range: 1 KiB to 1 GiB.
    pub response_body_max: usize,
    /// Says whether handlers may be at loopback, private and link-local addresses.
    ///
    /// Default: auto. Addresses where clouds keep the secrets of a machine are never allowed.
    pub private_addresses: PrivateAddressPolicy,
    /// Asks all handlers with abuse protection at the start, and after a reload, whether they agree, and warns of those that do not.
    ///
    /// Default: false, each is asked before its first event, so that it may start later than the service.
    pub validate_on_load: bool,
    /// Bounds the requests to one host at a time; further ones wait within their timeout.
    ///
    /// Requests; default: 256; range: from 1.
    pub requests_per_host_max: usize,
    /// Bounds the notifications, such as `connected`, that are under way at a time; further ones are dropped and counted.
    ///
    /// Notifications; default: 100,000; range: from 1. All connections may end at once, as in a shutdown.
    pub notifications_max: usize,
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            request_origins: Vec::new(),
            timeout: TIMEOUT_DEFAULT,
            retry_delays: RETRY_DELAYS_DEFAULT.to_vec(),
            response_body_max: RESPONSE_BODY_MAX_DEFAULT,
            private_addresses: PrivateAddressPolicy::Auto,
            validate_on_load: false,
            requests_per_host_max: REQUESTS_PER_HOST_MAX_DEFAULT,
            notifications_max: NOTIFICATIONS_MAX_DEFAULT,
        }
    }
}

/// Says whether handlers may be at loopback, private and link-local addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivateAddressPolicy {
    /// Only while every listener is on loopback.
    Auto,
    /// They may.
    Allow,
    /// They may not.
    Deny,
}

impl PrivateAddressPolicy {
    /// Lists every value with its word in the configuration file.
    pub(super) const WORDS: &[(&str, Self)] = &[
        ("auto", Self::Auto),
        ("allow", Self::Allow),
        ("deny", Self::Deny),
    ];
}

//! Settings of hubs.

use std::collections::BTreeMap;
use std::time::Duration;

use super::event_handler::EventHandlerConfig;
use super::event_listener::EventListenerConfig;

/// Name of the entry that every hub without its own entry uses.
pub(super) const DEFAULT_HUB: &str = "_default";

/// Holds the settings of one hub.
#[derive(Clone, Debug, PartialEq)]
pub struct HubConfig {
    /// Says whether a client may connect without a token.
    ///
    /// Default: deny. A token that is presented must be valid either way.
    pub anonymous_connect_policy: AnonymousConnectPolicy,
    /// Sets how often an idle client is pinged; one that stays silent is taken for gone.
    ///
    /// Default: 20 s; range: 1 s to 120 s. Lower it behind proxies that cut idle connections early, raise it to save
    /// traffic.
    pub web_socket_keep_alive_interval: Duration,
    /// Lists the browser origins that may connect, such as `https://app.example.com`.
    ///
    /// Default: empty, any origin may. Requests without an `Origin` header do not come from browsers and are not checked.
    pub allowed_origins: Vec<String>,
    /// Closes a subprotocol connection whose event could not be delivered, instead of only answering with an error ack.
    ///
    /// Default: false.
    pub drop_connection_on_event_failure: bool,
    /// Bounds the hub's connections; further ones are refused with 429.
    ///
    /// Connections; default: 0, no limit but that of the process.
    pub connections_max: usize,
    /// Bounds the hub's REST requests, as `limits.rest_requests_per_second` does for all hubs together.
    ///
    /// Requests a second; default: 0, no limit.
    pub rest_requests_per_second: usize,
    /// Bounds the hub's messages, as `limits.messages_per_second` does for all hubs together.
    ///
    /// Messages a second; default: 0, no limit.
    pub messages_per_second: usize,
    /// Bounds the messages that a reliable connection has not acknowledged; beyond it the connection ends for good.
    ///
    /// Messages; default: 1000; range: from 1. Official clients acknowledge once a second, so this is also about how many
    /// messages a second each of them can receive: raise it, and `reliable_buffer_bytes`, where senders are faster.
    pub reliable_buffer_messages: usize,
    /// Bounds the bytes that a reliable connection has not acknowledged, likewise.
    ///
    /// Bytes; default: 16 MiB; range: from 1 KiB. Lower it to bound memory with many clients that lose their network.
    pub reliable_buffer_bytes: usize,
    /// Knows the frames of streams; without it they are as any unknown frame, which closes the connection.
    ///
    /// Default: true.
    pub streaming: bool,
    /// Knows the frames of group state, likewise.
    ///
    /// Default: true.
    pub group_state: bool,
    /// Knows the frames of invocations, likewise.
    ///
    /// Default: true.
    pub invocation: bool,
    /// Lists the webhooks that the hub's events are sent to; the first that matches an event gets it.
    ///
    /// Default: none.
    pub event_handlers: Vec<EventHandlerConfig>,
    /// Lists the streams that the hub's events are copied to; all that match an event get it.
    ///
    /// Default: none.
    pub event_listeners: Vec<EventListenerConfig>,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            anonymous_connect_policy: AnonymousConnectPolicy::Deny,
            web_socket_keep_alive_interval: Duration::from_secs(20),
            allowed_origins: Vec::new(),
            drop_connection_on_event_failure: false,
            connections_max: 0,
            rest_requests_per_second: 0,
            messages_per_second: 0,
            reliable_buffer_messages: 1000,
            reliable_buffer_bytes: 16 << 20,
            streaming: true,
            group_state: true,
            invocation: true,
            event_handlers: Vec::new(),
            event_listeners: Vec::new(),
        }
    }
}

/// Says whether a client may connect without a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnonymousConnectPolicy {
    /// A valid token is required.
    Deny,
    /// A token may be absent.
    Allow,
}

impl AnonymousConnectPolicy {
    /// Lists every value with its word in the configuration file.
    pub(super) const WORDS: &[(&str, Self)] = &[("deny", Self::Deny), ("allow", Self::Allow)];
}

/// Holds the settings of every hub; a hub without its own entry uses `_default`.
///
/// An entry inherits nothing from `_default`: what it leaves out has the documented default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hubs {
    default: HubConfig,
    named: BTreeMap<String, HubConfig>,
}

impl Hubs {
    /// Returns the settings of a hub, given its name in lower case.
    pub fn get(&self, hub_lower_case: &str) -> &HubConfig {
        self.named.get(hub_lower_case).unwrap_or(&self.default)
    }

    /// Replaces the settings of a hub, given its name in lower case, or those of every unlisted hub for `_default`.
    pub fn set(&mut self, hub_lower_case: &str, settings: HubConfig) {
        if hub_lower_case == DEFAULT_HUB {
            self.default = settings;
        } else {
            self.named.insert(hub_lower_case.to_owned(), settings);
        }
    }

    /// Returns the hubs that have their own entry, in the order of their names; `_default` is not among them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &HubConfig)> {
        self.named
            .iter()
            .map(|(name, settings)| (name.as_str(), settings))
    }

    /// Returns the settings of the hubs that have no entry of their own.
    pub fn default_hub(&self) -> &HubConfig {
        &self.default
    }
}

/// Tells whether a name follows the official pattern of hub names.
pub(super) fn is_hub_name(name: &str) -> bool {
    let is_inner = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'`' | b',' | b'.' | b'[' | b']')
    };
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.len() <= 128
        && name.bytes().all(is_inner)
}

//! From the configuration to the settings of what delivers events. Nothing here can fail: all was checked when it was loaded.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use hubwire_engine::EventSettings;
use hubwire_protocol::names::Hub;
use hubwire_upstream::{
    GroupPresence, Handler, HubSettings, Listener, Observer, Secret, Settings, Sink, Tunnel,
    UserEventPattern,
};

use crate::config::{
    Config, EventHandlerConfig, EventListenerConfig, HubConfig, ListenerConfig, ListenerEndpoint,
};

/// What the settings hold beside the configuration.
pub(crate) struct Surroundings<'a> {
    /// Addresses that are listened on, with the ports that the system has chosen.
    pub(crate) bound: &'a [SocketAddr],
    /// What counts.
    pub(crate) observer: Arc<dyn Observer>,
    /// What handlers at `tunnel:///` are reached through.
    pub(crate) tunnel: Option<Arc<dyn Tunnel>>,
    /// Returns where the events of a listener go; the same sink for an endpoint that was there before.
    pub(crate) sinks: &'a mut dyn FnMut(&ListenerEndpoint) -> Arc<dyn Sink>,
}

/// Returns all that the configuration says of events.
pub(crate) fn upstream_settings(config: &Config, around: Surroundings<'_>) -> Settings {
    let Surroundings {
        bound,
        observer,
        tunnel,
        sinks,
    } = around;
    let upstream = &config.upstream;
    // First, so that a hub that gets an entry with the same endpoint does not take over what the others use.
    let default_hub = hub_settings(config, config.hubs.default_hub(), sinks);
    let mut hubs = HashMap::new();
    for (name, hub) in config.hubs.iter() {
        if let Ok(name) = Hub::new(name) {
            hubs.insert(name, hub_settings(config, hub, sinks));
        }
    }
    Settings {
        hubs,
        default_hub,
        request_origins: request_origins(config),
        accepted_origins: accepted_origins(config, bound),
        access_keys: access_keys(config),
        retry_delays: upstream.retry_delays.clone(),
        response_body_max: upstream.response_body_max,
        private_addresses: config.private_addresses(),
        requests_per_host_max: upstream.requests_per_host_max,
        notifications_max: upstream.notifications_max,
        tunnel,
        observer,
        ..Settings::default()
    }
}

/// Returns which events a hub's connections raise.
///
/// The end of a connection is an event wherever there is a handler or a listener, since it also ends what is kept for the
/// connection, such as the state that a handler has set.
pub(crate) fn event_settings(hub: &HubConfig) -> EventSettings {
    let handlers = hub.event_handlers.iter();
    let patterns = handlers.map(|handler| &handler.user_event_pattern).chain(
        hub.event_listeners
            .iter()
            .map(|listener| &listener.user_event_pattern),
    );
    let wants_presence = |handler: &EventHandlerConfig| {
        let presence = handler.group_presence_events.as_ref();
        presence.is_some_and(|presence| !presence.event_names.is_empty())
    };
    EventSettings {
        user: patterns
            .map(|pattern| UserEventPattern::parse(pattern))
            .any(|pattern| pattern != UserEventPattern::default()),
        system: !(hub.event_handlers.is_empty() && hub.event_listeners.is_empty()),
        presence: hub.event_handlers.iter().any(wants_presence),
    }
}

fn hub_settings(
    config: &Config,
    hub: &HubConfig,
    sinks: &mut dyn FnMut(&ListenerEndpoint) -> Arc<dyn Sink>,
) -> HubSettings {
    let handlers = hub.event_handlers.iter();
    let listeners = hub.event_listeners.iter();
    HubSettings {
        handlers: handlers
            .map(|handler| self::handler(config, handler))
            .collect(),
        listeners: listeners
            .map(|listener| self::listener(listener, sinks(&listener.endpoint)))
            .collect(),
    }
}

fn handler(config: &Config, handler: &EventHandlerConfig) -> Handler {
    let presence = handler.group_presence_events.as_ref();
    Handler {
        url_template: handler.url_template.template().clone(),
        user_event_pattern: UserEventPattern::parse(&handler.user_event_pattern),
        system_events: handler.system_events.clone(),
        group_presence: presence.map(|presence| GroupPresence {
            event_names: presence.event_names.clone(),
            group_filters: presence
                .group_filters
                .iter()
                .map(|filter| filter.pattern().clone())
                .collect(),
        }),
        auth: handler.auth.to_auth(),
        timeout: handler.timeout.unwrap_or(config.upstream.timeout),
        abuse_protection: handler.abuse_protection,
        forward_reject_body: handler.forward_reject_body,
    }
}

fn listener(listener: &EventListenerConfig, sink: Arc<dyn Sink>) -> Listener {
    Listener {
        system_events: listener.system_events.clone(),
        user_event_pattern: UserEventPattern::parse(&listener.user_event_pattern),
        sink,
        queue_events_max: listener.queue_events,
        queue_bytes_max: listener.queue_bytes,
    }
}

/// Returns what signs events: the access keys, unless they are refused everywhere. Source: events-and-operations 4.
fn access_keys(config: &Config) -> Vec<Secret> {
    if config.auth.disable_local_auth {
        return Vec::new();
    }
    let keys = [Some(&config.keys.primary), config.keys.secondary.as_ref()].into_iter();
    keys.flatten().cloned().collect()
}

/// Returns the hosts that the service names to handlers. Source: events-and-operations 3.
fn request_origins(config: &Config) -> Vec<String> {
    if !config.upstream.request_origins.is_empty() {
        return config.upstream.request_origins.clone();
    }
    if let Some(endpoint) = config.public_endpoints.first() {
        return vec![endpoint.host.clone()];
    }
    let is_serving = |listener: &&ListenerConfig| listener.roles.client || listener.roles.rest;
    let first = config.listeners.iter().find(is_serving);
    let address = first.and_then(|listener| listener.bind.first());
    address.map(|address| host(*address)).into_iter().collect()
}

/// Returns what a handler may allow instead: every name of the service, with and without its port.
fn accepted_origins(config: &Config, bound: &[SocketAddr]) -> Vec<String> {
    let mut origins = Vec::new();
    for endpoint in &config.public_endpoints {
        origins.push(endpoint.host.clone());
        origins.push(format!("{}:{}", endpoint.host, endpoint.port));
    }
    if config.public_endpoints.is_empty() {
        for address in bound {
            for host in [host(*address), literal_host(*address)] {
                origins.push(format!("{host}:{}", address.port()));
                origins.push(host);
            }
        }
        origins.sort();
        origins.dedup();
    }
    origins
}

/// Returns under which host a listener is reached by programs of the same machine, or by others if it is on one address.
fn host(address: SocketAddr) -> String {
    let ip = address.ip().to_canonical();
    match ip.is_loopback() || ip.is_unspecified() {
        true => "localhost".to_owned(),
        false => literal_host(address),
    }
}

/// Returns the same without a name, as in the endpoint that the service prints.
fn literal_host(address: SocketAddr) -> String {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) if ip.is_unspecified() => format!("[{}]", Ipv6Addr::LOCALHOST),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hubwire_upstream::{
        ListenerEvent, NoObserver, PresenceEvent, PrivateAddresses, SinkFuture, SystemEvent,
    };

    use super::*;
    use crate::config::{
        GroupFilter, GroupPresenceConfig, HandlerUrl, PrivateAddressPolicy, Secret,
    };

    struct Nowhere;

    impl Sink for Nowhere {
        fn deliver<'a>(&'a self, _: &'a [ListenerEvent]) -> SinkFuture<'a> {
            Box::pin(async { Ok(()) })
        }
    }

    fn settings(config: &Config, bound: &[&str]) -> (Settings, Vec<ListenerEndpoint>) {
        let bound: Vec<SocketAddr> = bound.iter().map(|text| text.parse().unwrap()).collect();
        let mut endpoints = Vec::new();
        let settings = upstream_settings(
            config,
            Surroundings {
                bound: &bound,
                observer: Arc::new(NoObserver),
                tunnel: None,
                sinks: &mut |endpoint| {
                    endpoints.push(endpoint.clone());
                    Arc::new(Nowhere)
                },
            },
        );
        (settings, endpoints)
    }

    fn handler_config() -> EventHandlerConfig {
        let url = HandlerUrl::parse("http://127.0.0.1:3000/{event}", PrivateAddresses::Allow);
        EventHandlerConfig::new(url.unwrap())
    }

    fn hub(handlers: Vec<EventHandlerConfig>, listeners: Vec<EventListenerConfig>) -> HubConfig {
        HubConfig {
            event_handlers: handlers,
            event_listeners: listeners,
            ..HubConfig::default()
        }
    }

    /// Source: events-and-operations 3, `upstream.request_origins`.
    #[test]
    fn the_origin_is_the_configured_one_or_the_public_host_or_that_of_the_first_listener() {
        let mut config = Config::default();
        config.listeners[0].bind = vec!["0.0.0.0:8080".parse().unwrap()];
        let (local, _) = settings(&config, &["0.0.0.0:8080"]);
        assert_eq!(local.request_origins, ["localhost"]);
        // Handlers are often told the endpoint that the service prints, which has a port and may have the address.
        let names = ["127.0.0.1", "127.0.0.1:8080", "localhost", "localhost:8080"];
        assert_eq!(local.accepted_origins, names);

        config.listeners[0].bind = vec!["10.0.0.7:80".parse().unwrap()];
        assert_eq!(settings(&config, &[]).0.request_origins, ["10.0.0.7"]);

        config.public_endpoints = vec!["https://Pubsub.example.com:8443".parse().unwrap()];
        let (public, _) = settings(&config, &["10.0.0.7:80"]);
        assert_eq!(public.request_origins, ["pubsub.example.com"]);
        let accepted = ["pubsub.example.com", "pubsub.example.com:8443"];
        assert_eq!(public.accepted_origins, accepted);

        config.upstream.request_origins = vec!["a.example".to_owned(), "b.example".to_owned()];
        let (configured, _) = settings(&config, &[]);
        assert_eq!(configured.request_origins, ["a.example", "b.example"]);
    }

    /// Source: events-and-operations 4.1.
    #[test]
    fn both_access_keys_sign_and_none_where_they_are_refused_everywhere() {
        let mut config = Config::default();
        config.keys.secondary = Some(Secret::new("another-key-that-nobody-knows-at-all"));
        let exposed = |config: &Config| {
            let keys = settings(config, &[]).0.access_keys;
            let keys: Vec<String> = keys.iter().map(|key| key.expose().to_owned()).collect();
            keys
        };
        assert_eq!(
            exposed(&config),
            [
                crate::config::DEVELOPMENT_KEY,
                "another-key-that-nobody-knows-at-all"
            ]
        );
        config.auth.disable_local_auth = true;
        assert!(exposed(&config).is_empty());
    }

    /// Source: events-and-operations 9.1, `private_addresses`.
    #[test]
    fn private_addresses_are_allowed_by_default_only_while_every_listener_is_on_loopback() {
        let mut config = Config::default();
        assert_eq!(config.private_addresses(), PrivateAddresses::Allow);
        config.listeners[0].bind.push("0.0.0.0:9".parse().unwrap());
        assert_eq!(config.private_addresses(), PrivateAddresses::Deny);
        config.upstream.private_addresses = PrivateAddressPolicy::Allow;
        assert_eq!(config.private_addresses(), PrivateAddresses::Allow);
        config.listeners[0].bind.pop();
        config.upstream.private_addresses = PrivateAddressPolicy::Deny;
        assert_eq!(
            settings(&config, &[]).0.private_addresses,
            PrivateAddresses::Deny
        );
    }

    #[test]
    fn handlers_and_listeners_keep_their_order_and_settings() {
        let mut config = Config::default();
        config.upstream.timeout = Duration::from_secs(7);
        let slow = EventHandlerConfig {
            timeout: Some(Duration::from_secs(9)),
            system_events: vec![SystemEvent::Connect],
            abuse_protection: false,
            ..handler_config()
        };
        let listener = EventListenerConfig {
            queue_events: 3,
            ..EventListenerConfig::new(ListenerEndpoint::Stdout)
        };
        config
            .hubs
            .set("chat", hub(vec![handler_config(), slow], vec![listener]));

        let (settings, endpoints) = settings(&config, &[]);

        let chat = &settings.hubs[&Hub::new("Chat").unwrap()];
        assert_eq!(chat.handlers[0].timeout, Duration::from_secs(7));
        assert_eq!(chat.handlers[1].timeout, Duration::from_secs(9));
        assert_eq!(chat.handlers[1].system_events, [SystemEvent::Connect]);
        assert!(!chat.handlers[1].abuse_protection);
        assert_eq!(chat.listeners[0].queue_events_max, 3);
        assert_eq!(endpoints, [ListenerEndpoint::Stdout]);
        assert!(settings.default_hub.handlers.is_empty());
    }

    #[test]
    fn a_hub_raises_the_events_that_somebody_wants() {
        let of = |handlers, listeners| event_settings(&hub(handlers, listeners));
        assert_eq!(of(vec![], vec![]), EventSettings::default());
        let only_system = of(vec![handler_config()], vec![]);
        assert_eq!(
            (only_system.user, only_system.system, only_system.presence),
            (false, true, false)
        );
        let listener = EventListenerConfig {
            user_event_pattern: "*".to_owned(),
            ..EventListenerConfig::new(ListenerEndpoint::Stdout)
        };
        assert!(of(vec![], vec![listener]).user);
        let present = |event_names| EventHandlerConfig {
            user_event_pattern: " , ".to_owned(),
            group_presence_events: Some(GroupPresenceConfig {
                event_names,
                group_filters: vec![GroupFilter::parse("room.*").unwrap()],
            }),
            ..handler_config()
        };
        let joined = of(vec![present(vec![PresenceEvent::Joined])], vec![]);
        assert!(joined.presence && !joined.user);
        assert!(!of(vec![present(vec![])], vec![]).presence);
    }
}

//! From settings as they were written to the checked configuration.

mod auth;
mod events;
mod firewall;
mod listeners;
mod network;
mod upstream;

use std::net::SocketAddr;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::error::{ConfigError, Place};
use super::hub::{AnonymousConnectPolicy, DEFAULT_HUB, HubConfig, Hubs, is_hub_name};
use super::logging::{Level, LogCategory, LogFormat};
use super::secret::Secret;
use super::section::{Field, Section};
use super::tree::{Table, Value};
use super::{Config, SHARDS_MAX};

use events::{Surroundings, read_event_listeners, read_handlers};
pub(super) use firewall::{count_word, traffic_word};
use listeners::{Bound, read_listeners};
use upstream::read_upstream;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const KIB: usize = 1 << 10;
const GIB: usize = 1 << 30;
/// Largest count of a quota.
const COUNT_MAX: usize = 1_000_000_000;
/// Least length of a key in bytes.
const KEY_MIN: usize = 32;

/// Checks all settings; `environment` is what secrets may refer to.
pub(super) fn check(
    settings: Table,
    environment: &[(String, String)],
) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    let mut bound: Vec<Bound> = Vec::new();
    for address in &config.listeners[0].bind {
        bound.push((*address, Place::Default));
    }
    let mut root = Section::root(settings);
    root.read(
        "public_endpoints",
        &mut config.public_endpoints,
        read_endpoints,
    )?;
    root.read("shutdown_timeout", &mut config.shutdown_timeout, |field| {
        field.duration(Duration::ZERO..=HOUR)
    })?;
    root.read("shards", &mut config.shards, |field| {
        field.count(1..=SHARDS_MAX)
    })?;
    if let Some(listeners) = root.take("listeners") {
        (config.listeners, bound) = read_listeners(listeners)?;
    }
    if let Some(keys) = root.take("keys") {
        read_keys(keys.section()?, &mut config, environment)?;
    }
    if let Some(auth) = root.take("auth") {
        auth::read_auth(auth.section()?, &mut config.auth)?;
    }
    if let Some(rest) = root.take("rest") {
        read_rest(rest.section()?, &mut config)?;
    }
    root.read("upstream", &mut config.upstream, |field| {
        read_upstream(field.section()?)
    })?;
    let around = Surroundings {
        environment,
        private: config.private_addresses(),
    };
    root.read("hubs", &mut config.hubs, |field| read_hubs(field, around))?;
    if let Some(limits) = root.take("limits") {
        read_limits(limits.section()?, &mut config)?;
    }
    if let Some(network) = root.take("network") {
        network::read_network(network.section()?, &mut config.network)?;
    }
    if let Some(firewall) = root.take("firewall") {
        firewall::read_firewall(firewall.section()?, &mut config.firewall)?;
    }
    if let Some(logging) = root.take("logging") {
        read_logging(logging.section()?, &mut config)?;
    }
    root.finish()?;
    refuse_known_key_beyond_loopback(&config, &bound)?;
    if config.auth.disable_local_auth && config.keys.internal.is_none() {
        return Err(Place::Default.refuse(
            "keys.internal is not set, and with auth.disable_local_auth it must be, since the tokens that the service \
             issues must not be signed by a key that is refused; see `hubwire keygen`",
        ));
    }
    Ok(config)
}

fn refuse_known_key_beyond_loopback(config: &Config, bound: &[Bound]) -> Result<(), ConfigError> {
    for (address, place) in bound {
        if let Some(setting) = known_key_at(config, *address) {
            return Err(place.refuse(format!(
                "refusing to listen on {address} with the development key that everybody knows; set {setting} (see \
                 `hubwire keygen`) or, in a throw-away container, pass --allow-development-key"
            )));
        }
    }
    Ok(())
}

/// Returns the setting that holds the development key, if one does and must not while an address is listened on.
pub(super) fn known_key_at(config: &Config, address: SocketAddr) -> Option<&'static str> {
    let is_allowed = config.auth.allow_development_key || address.ip().to_canonical().is_loopback();
    match is_allowed {
        true => None,
        false => config.keys.development_key_setting(),
    }
}

fn read_endpoints(field: Field) -> Result<Vec<Endpoint>, ConfigError> {
    let mut endpoints = Vec::new();
    for item in field.list()? {
        let text = item.text()?;
        match text.parse() {
            Ok(endpoint) => endpoints.push(endpoint),
            // What stands before the `@` may be a password.
            Err(error) if text.contains('@') => {
                return Err(item.refuse_unseen(&format!("is refused: {error}")));
            }
            Err(error) => return Err(item.refuse(&format!("but {error}"))),
        }
    }
    Ok(endpoints)
}

fn read_keys(
    mut section: Section,
    config: &mut Config,
    environment: &[(String, String)],
) -> Result<(), ConfigError> {
    let keys = &mut config.keys;
    section.read("primary", &mut keys.primary, |field| {
        read_key(&field, environment)
    })?;
    section.read("secondary", &mut keys.secondary, |field| {
        read_key(&field, environment).map(Some)
    })?;
    section.read("internal", &mut keys.internal, |field| {
        read_key(&field, environment).map(Some)
    })?;
    section.finish()
}

fn read_key(field: &Field, environment: &[(String, String)]) -> Result<Secret, ConfigError> {
    let key = field.secret(environment)?;
    let text = key.expose();
    if text.len() < KEY_MIN {
        let wrong = format!(
            "has {} bytes, a key has at least {KEY_MIN}; `hubwire keygen` prints a good one",
            text.len()
        );
        Err(field.refuse_unseen(&wrong))
    } else if text.contains(';') {
        Err(field.refuse_unseen(
            "contains `;`, which would end it in a connection string; \
             `hubwire keygen` prints a good one",
        ))
    } else if text.contains(char::is_control) {
        Err(field.refuse_unseen(
            "contains a control character, such as a line break; \
             `hubwire keygen` prints a good one",
        ))
    } else if text.trim() != text {
        Err(field.refuse_unseen("begins or ends with white space; remove it"))
    } else {
        Ok(key)
    }
}

fn read_rest(mut section: Section, config: &mut Config) -> Result<(), ConfigError> {
    let rest = &mut config.rest;
    section.read(
        "keep_encoded_slash",
        &mut rest.keep_encoded_slash,
        |field| field.truth(),
    )?;
    section.read(
        "require_content_length",
        &mut rest.require_content_length,
        |field| field.truth(),
    )?;
    section.read("body_max", &mut rest.body_max, |field| {
        field.size(KIB..=GIB)
    })?;
    if let Some(cors) = section.take("cors") {
        let mut cors = cors.section()?;
        let origins = &mut rest.cors_allowed_origins;
        cors.read("allowed_origins", origins, read_origins)?;
        cors.finish()?;
    }
    section.finish()
}

fn read_hubs(field: Field, around: Surroundings<'_>) -> Result<Hubs, ConfigError> {
    let mut hubs = Hubs::default();
    for (name, field) in field.section()?.take_all() {
        if name != DEFAULT_HUB && !is_hub_name(&name) {
            return Err(field.key_place().refuse(format!(
                "{name:?} is no hub name, which is a letter and then up to 127 letters, digits or _ ` , . [ ]"
            )));
        }
        hubs.set(&name, read_hub(field.section()?, around)?);
    }
    Ok(hubs)
}

/// Writes hub names in lower case, as they are compared.
pub(super) fn lower_hub_names(settings: &mut Table) -> Result<(), ConfigError> {
    let Some(Value::Table(hubs)) = settings.get_mut("hubs").map(|node| &mut node.value) else {
        return Ok(());
    };
    for (name, node) in std::mem::take(hubs) {
        let place = node.key_place.clone();
        if hubs.insert(name.to_lowercase(), node).is_some() {
            return Err(place.refuse(format!(
                "hub {name:?} is listed twice; names that differ only in case are one hub, merge the entries"
            )));
        }
    }
    Ok(())
}

fn read_hub(mut section: Section, around: Surroundings<'_>) -> Result<HubConfig, ConfigError> {
    let mut hub = HubConfig::default();
    let policy = &mut hub.anonymous_connect_policy;
    section.read("anonymous_connect_policy", policy, |field| {
        field.choice(AnonymousConnectPolicy::WORDS)
    })?;
    let interval = &mut hub.web_socket_keep_alive_interval;
    section.read("web_socket_keep_alive_interval", interval, |field| {
        field.duration(SECOND..=120 * SECOND)
    })?;
    section.read("allowed_origins", &mut hub.allowed_origins, read_origins)?;
    let drop_connection = &mut hub.drop_connection_on_event_failure;
    section.read(
        "drop_connection_on_event_failure",
        drop_connection,
        |field| field.truth(),
    )?;
    for (key, limit) in [
        ("connections_max", &mut hub.connections_max),
        (
            "rest_requests_per_second",
            &mut hub.rest_requests_per_second,
        ),
        ("messages_per_second", &mut hub.messages_per_second),
    ] {
        section.read(key, limit, |field| field.count(0..=COUNT_MAX))?;
    }
    let messages = &mut hub.reliable_buffer_messages;
    section.read("reliable_buffer_messages", messages, |field| {
        field.count(1..=usize::MAX)
    })?;
    let bytes = &mut hub.reliable_buffer_bytes;
    section.read("reliable_buffer_bytes", bytes, |field| {
        field.size(KIB..=usize::MAX)
    })?;
    for (key, is_on) in [
        ("streaming", &mut hub.streaming),
        ("group_state", &mut hub.group_state),
        ("invocation", &mut hub.invocation),
    ] {
        section.read(key, is_on, |field| field.truth())?;
    }
    section.read("event_handlers", &mut hub.event_handlers, |field| {
        read_handlers(field, around)
    })?;
    section.read("event_listeners", &mut hub.event_listeners, |field| {
        read_event_listeners(field, around)
    })?;
    section.finish()?;
    Ok(hub)
}

fn read_origins(field: Field) -> Result<Vec<String>, ConfigError> {
    let mut origins = Vec::new();
    for item in field.list()? {
        let origin = item.text()?.to_ascii_lowercase();
        let has_host = origin.split_once("://").is_some_and(|(scheme, host)| {
            !scheme.is_empty()
                && !host.is_empty()
                && !host.contains(['/', '?', '#', '*', '@'])
                && !host.contains(char::is_whitespace)
        });
        if origin == "*" {
            return Err(item.refuse("name each origin; for a hub, an empty list allows every one"));
        }
        // `null` is what browsers send for pages without an origin.
        if !has_host && origin != "null" {
            return Err(item.refuse(
                "expected an origin as browsers send it, such as \"https://app.example.com\", without \
                 a path",
            ));
        }
        origins.push(origin);
    }
    Ok(origins)
}

fn read_limits(mut section: Section, config: &mut Config) -> Result<(), ConfigError> {
    let limits = &mut config.limits;
    section.read("message_max", &mut limits.message_max, |field| {
        field.size(KIB..=GIB)
    })?;
    section.read(
        "outbound_queue_messages",
        &mut limits.outbound_queue_messages,
        |field| field.count(1..=usize::MAX),
    )?;
    section.read(
        "outbound_queue_bytes",
        &mut limits.outbound_queue_bytes,
        |field| field.size(KIB..=usize::MAX),
    )?;
    section.read("recovery_window", &mut limits.recovery_window, |field| {
        field.duration(Duration::ZERO..=HOUR)
    })?;
    section.read(
        "reconnection_token_lifetime",
        &mut limits.reconnection_token_lifetime,
        |field| field.duration(MINUTE..=365 * DAY),
    )?;
    section.read(
        "remembered_ack_ids",
        &mut limits.remembered_ack_ids,
        |field| field.count(0..=usize::MAX),
    )?;
    section.read("close_timeout", &mut limits.close_timeout, |field| {
        field.duration(Duration::ZERO..=HOUR)
    })?;
    section.read("connections_max", &mut limits.connections_max, |field| {
        field.count(0..=usize::MAX)
    })?;
    let timeout = &mut limits.handshake_timeout;
    section.read("handshake_timeout", timeout, |field| {
        field.duration(Duration::from_millis(1)..=HOUR)
    })?;
    section.read("handshakes_max", &mut limits.handshakes_max, |field| {
        field.count(1..=usize::MAX)
    })?;
    section.read("memory", &mut limits.memory, |field| {
        field.size(0..=usize::MAX)
    })?;
    for (key, limit) in [
        (
            "rest_requests_per_second",
            &mut limits.rest_requests_per_second,
        ),
        ("messages_per_second", &mut limits.messages_per_second),
    ] {
        section.read(key, limit, |field| field.count(0..=COUNT_MAX))?;
    }
    section.finish()
}

fn read_logging(mut section: Section, config: &mut Config) -> Result<(), ConfigError> {
    let logging = &mut config.logging;
    section.read("level", &mut logging.level, |field| {
        field.choice(Level::WORDS)
    })?;
    section.read("format", &mut logging.format, |field| {
        field.choice(LogFormat::WORDS)
    })?;
    section.read("categories", &mut logging.categories, |field| {
        let mut categories = Vec::new();
        for item in field.list()? {
            categories.push(item.choice(LogCategory::WORDS)?);
        }
        Ok(categories)
    })?;
    section.finish()
}

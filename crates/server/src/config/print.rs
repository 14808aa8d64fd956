//! The configuration written as TOML.

mod access;
mod events;

use std::fmt::{self, Write};

use super::Config;
use super::hub::{AnonymousConnectPolicy, DEFAULT_HUB, HubConfig};
use super::listener::{ListenerConfig, Roles, TlsVersion};
use super::logging::{Level, LogCategory, LogFormat};
use super::overlay::word;
use super::secret::{DEVELOPMENT_KEY, Keys, Secret};
use super::upstream::{PrivateAddressPolicy, UpstreamConfig};
use super::value::{format_duration, format_size};

/// Writes the whole configuration as TOML that loads back, secrets excepted.
pub(super) fn to_toml(config: &Config) -> String {
    let mut text = String::new();
    write_all(&mut text, config).expect("writing to a String never fails");
    text
}

fn write_all(out: &mut String, config: &Config) -> fmt::Result {
    writeln!(
        out,
        "public_endpoints = {}",
        quoted_list(config.public_endpoints.iter().map(ToString::to_string))
    )?;
    writeln!(
        out,
        "shutdown_timeout = \"{}\"",
        format_duration(config.shutdown_timeout)
    )?;
    writeln!(out, "shards = {}", config.shards)?;
    for listener in &config.listeners {
        write_listener(out, listener)?;
    }
    write_keys(out, &config.keys)?;
    access::write_auth(out, &config.auth)?;
    writeln!(out, "\n[rest]")?;
    writeln!(
        out,
        "keep_encoded_slash = {}",
        config.rest.keep_encoded_slash
    )?;
    writeln!(
        out,
        "require_content_length = {}",
        config.rest.require_content_length
    )?;
    writeln!(out, "body_max = \"{}\"", format_size(config.rest.body_max))?;
    let origins = config.rest.cors_allowed_origins.iter().cloned();
    writeln!(
        out,
        "cors = {{ allowed_origins = {} }}",
        quoted_list(origins)
    )?;
    write_upstream(out, &config.upstream)?;
    write_hub(out, DEFAULT_HUB, config.hubs.default_hub())?;
    for (name, hub) in config.hubs.iter() {
        write_hub(out, name, hub)?;
    }
    write_limits(out, config)?;
    access::write_network(out, &config.network)?;
    access::write_firewall(out, &config.firewall)?;
    let categories = config
        .logging
        .categories
        .iter()
        .map(|category| word(LogCategory::WORDS, *category).to_owned());
    writeln!(out, "\n[logging]")?;
    writeln!(
        out,
        "level = {}",
        quoted(word(Level::WORDS, config.logging.level))
    )?;
    writeln!(
        out,
        "format = {}",
        quoted(word(LogFormat::WORDS, config.logging.format))
    )?;
    writeln!(out, "categories = {}", quoted_list(categories))
}

fn write_listener(out: &mut String, listener: &ListenerConfig) -> fmt::Result {
    let Roles {
        client,
        rest,
        tunnel,
        health,
        metrics,
    } = listener.roles;
    let roles = [
        ("client", client),
        ("rest", rest),
        ("tunnel", tunnel),
        ("health", health),
        ("metrics", metrics),
    ];
    let served = roles
        .iter()
        .filter(|(_, is_served)| *is_served)
        .map(|(role, _)| (*role).to_owned());
    writeln!(out, "\n[[listeners]]")?;
    writeln!(
        out,
        "bind = {}",
        quoted_list(listener.bind.iter().map(ToString::to_string))
    )?;
    writeln!(out, "roles = {}", quoted_list(served))?;
    if let Some(tls) = &listener.tls {
        let (cert, key) = (
            quoted(&tls.cert.to_string_lossy()),
            quoted(&tls.key.to_string_lossy()),
        );
        let min_version = quoted(word(TlsVersion::WORDS, tls.min_version));
        let requested = tls.request_client_certificate;
        write!(
            out,
            "tls = {{ cert = {cert}, key = {key}, min_version = {min_version}, request_client_certificate = {requested}"
        )?;
        if let Some(client_ca) = &tls.client_ca {
            write!(
                out,
                ", client_ca = {}",
                quoted(&client_ca.to_string_lossy())
            )?;
        }
        writeln!(out, " }}")?;
    }
    Ok(())
}

fn write_keys(out: &mut String, keys: &Keys) -> fmt::Result {
    writeln!(out, "\n[keys]")?;
    let settings = [
        ("primary", Some(&keys.primary)),
        ("secondary", keys.secondary.as_ref()),
        ("internal", keys.internal.as_ref()),
    ];
    for (name, key) in settings {
        match key.map(Secret::expose) {
            None => writeln!(out, "# {name} is not set")?,
            Some(DEVELOPMENT_KEY) => writeln!(
                out,
                "{name} = \"{DEVELOPMENT_KEY}\"  # the development key, which everybody knows"
            )?,
            Some(_) => writeln!(out, "# {name} = \"***\"  (set, and not printed)")?,
        }
    }
    Ok(())
}

fn write_hub(out: &mut String, name: &str, hub: &HubConfig) -> fmt::Result {
    let is_bare = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let name = if is_bare {
        name.to_owned()
    } else {
        quoted(name)
    };
    let policy = word(AnonymousConnectPolicy::WORDS, hub.anonymous_connect_policy);
    writeln!(out, "\n[hubs.{name}]")?;
    writeln!(out, "anonymous_connect_policy = {}", quoted(policy))?;
    writeln!(
        out,
        "web_socket_keep_alive_interval = \"{}\"",
        format_duration(hub.web_socket_keep_alive_interval)
    )?;
    writeln!(
        out,
        "allowed_origins = {}",
        quoted_list(hub.allowed_origins.iter().cloned())
    )?;
    writeln!(
        out,
        "drop_connection_on_event_failure = {}",
        hub.drop_connection_on_event_failure
    )?;
    writeln!(out, "connections_max = {}", hub.connections_max)?;
    writeln!(
        out,
        "rest_requests_per_second = {}",
        hub.rest_requests_per_second
    )?;
    writeln!(out, "messages_per_second = {}", hub.messages_per_second)?;
    writeln!(
        out,
        "reliable_buffer_messages = {}",
        hub.reliable_buffer_messages
    )?;
    writeln!(
        out,
        "reliable_buffer_bytes = \"{}\"",
        format_size(hub.reliable_buffer_bytes)
    )?;
    writeln!(out, "streaming = {}", hub.streaming)?;
    writeln!(out, "group_state = {}", hub.group_state)?;
    writeln!(out, "invocation = {}", hub.invocation)?;
    for handler in &hub.event_handlers {
        events::write_handler(out, &name, handler)?;
    }
    for listener in &hub.event_listeners {
        events::write_listener(out, &name, listener)?;
    }
    Ok(())
}

fn write_upstream(out: &mut String, upstream: &UpstreamConfig) -> fmt::Result {
    let delays = upstream.retry_delays.iter();
    writeln!(out, "\n[upstream]")?;
    writeln!(
        out,
        "request_origins = {}",
        quoted_list(upstream.request_origins.iter().cloned())
    )?;
    writeln!(out, "timeout = \"{}\"", format_duration(upstream.timeout))?;
    writeln!(
        out,
        "retry_delays = {}",
        quoted_list(delays.map(|delay| format_duration(*delay)))
    )?;
    writeln!(
        out,
        "response_body_max = \"{}\"",
        format_size(upstream.response_body_max)
    )?;
    writeln!(
        out,
        "private_addresses = {}",
        quoted(word(
            PrivateAddressPolicy::WORDS,
            upstream.private_addresses
        ))
    )?;
    writeln!(out, "validate_on_load = {}", upstream.validate_on_load)?;
    writeln!(
        out,
        "requests_per_host_max = {}",
        upstream.requests_per_host_max
    )?;
    writeln!(out, "notifications_max = {}", upstream.notifications_max)
}

fn write_limits(out: &mut String, config: &Config) -> fmt::Result {
    let limits = &config.limits;
    writeln!(out, "\n[limits]")?;
    writeln!(out, "message_max = \"{}\"", format_size(limits.message_max))?;
    writeln!(
        out,
        "outbound_queue_messages = {}",
        limits.outbound_queue_messages
    )?;
    writeln!(
        out,
        "outbound_queue_bytes = \"{}\"",
        format_size(limits.outbound_queue_bytes)
    )?;
    writeln!(
        out,
        "recovery_window = \"{}\"",
        format_duration(limits.recovery_window)
    )?;
    writeln!(
        out,
        "reconnection_token_lifetime = \"{}\"",
        format_duration(limits.reconnection_token_lifetime)
    )?;
    writeln!(out, "remembered_ack_ids = {}", limits.remembered_ack_ids)?;
    writeln!(
        out,
        "close_timeout = \"{}\"",
        format_duration(limits.close_timeout)
    )?;
    writeln!(out, "connections_max = {}", limits.connections_max)?;
    writeln!(
        out,
        "handshake_timeout = \"{}\"",
        format_duration(limits.handshake_timeout)
    )?;
    writeln!(out, "handshakes_max = {}", limits.handshakes_max)?;
    writeln!(out, "memory = \"{}\"", format_size(limits.memory))?;
    writeln!(
        out,
        "rest_requests_per_second = {}",
        limits.rest_requests_per_second
    )?;
    writeln!(out, "messages_per_second = {}", limits.messages_per_second)
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn quoted_list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.map(|item| quoted(&item)).collect();
    format!("[{}]", items.join(", "))
}

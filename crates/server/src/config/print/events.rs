//! Event handlers and event listeners written as TOML, without their secrets.

use std::fmt::{self, Write};

use hubwire_upstream::{IdentitySource, PresenceEvent, SystemEvent};

use super::super::event_handler::{
    EventHandlerConfig, HandlerAuth, PRESENCE_EVENTS, SYSTEM_EVENTS,
};
use super::super::event_listener::{EventListenerConfig, ListenerEndpoint};
use super::super::overlay::word;
use super::super::secret::SecretText;
use super::super::value::{format_duration, format_size};
use super::{quoted, quoted_list};

/// What stands for a secret.
const HIDDEN: &str = "***";

/// Writes a handler of a hub, whose name may be quoted.
pub(super) fn write_handler(
    out: &mut String,
    hub: &str,
    handler: &EventHandlerConfig,
) -> fmt::Result {
    writeln!(out, "\n[[hubs.{hub}.event_handlers]]")?;
    let url = shown_url(handler.url_template.written());
    writeln!(out, "url_template = {}{}", quoted(&url), note(&url))?;
    let pattern = quoted(&handler.user_event_pattern);
    writeln!(out, "user_event_pattern = {pattern}")?;
    writeln!(
        out,
        "system_events = {}",
        system_events(&handler.system_events)
    )?;
    if let Some(presence) = &handler.group_presence_events {
        let names = presence.event_names.iter();
        let names = names.map(|event: &PresenceEvent| word(PRESENCE_EVENTS, *event).to_owned());
        let filters = presence.group_filters.iter();
        writeln!(
            out,
            "group_presence_events = {{ event_names = {}, group_filters = {} }}",
            quoted_list(names),
            quoted_list(filters.map(|filter| filter.as_str().to_owned()))
        )?;
    }
    let auth = auth(&handler.auth);
    writeln!(out, "auth = {auth}{}", note(&auth))?;
    if let Some(timeout) = handler.timeout {
        writeln!(out, "timeout = \"{}\"", format_duration(timeout))?;
    }
    writeln!(out, "abuse_protection = {}", handler.abuse_protection)?;
    writeln!(out, "forward_reject_body = {}", handler.forward_reject_body)
}

/// Writes a listener of a hub, whose name may be quoted.
pub(super) fn write_listener(
    out: &mut String,
    hub: &str,
    listener: &EventListenerConfig,
) -> fmt::Result {
    writeln!(out, "\n[[hubs.{hub}.event_listeners]]")?;
    writeln!(
        out,
        "filter = {{ type = \"event_name\", system_events = {}, user_event_pattern = {} }}",
        system_events(&listener.system_events),
        quoted(&listener.user_event_pattern)
    )?;
    let endpoint = endpoint(&listener.endpoint);
    writeln!(out, "endpoint = {endpoint}{}", note(&endpoint))?;
    writeln!(out, "queue_events = {}", listener.queue_events)?;
    writeln!(
        out,
        "queue_bytes = \"{}\"",
        format_size(listener.queue_bytes)
    )
}

fn system_events(events: &[SystemEvent]) -> String {
    let events = events.iter();
    quoted_list(events.map(|event| word(SYSTEM_EVENTS, *event).to_owned()))
}

fn auth(auth: &HandlerAuth) -> String {
    match auth {
        HandlerAuth::None => table(&[("type", Some(quoted("none")))]),
        HandlerAuth::ManagedIdentity(identity) => {
            let client_id = match &identity.source {
                IdentitySource::InstanceMetadata { client_id, .. } => client_id.as_deref(),
                IdentitySource::WorkloadIdentity { client_id, .. } => Some(client_id.as_str()),
            };
            table(&[
                ("type", Some(quoted("managed_identity"))),
                ("resource", Some(quoted(&identity.resource))),
                ("client_id", client_id.map(quoted)),
            ])
        }
        HandlerAuth::ClientCredentials {
            token_url,
            client_id,
            client_secret,
            scope,
        } => table(&[
            ("type", Some(quoted("oauth2_client_credentials"))),
            (
                "token_url",
                Some(quoted(&shown_url(token_url.text.written()))),
            ),
            ("client_id", Some(quoted(client_id))),
            ("client_secret", Some(secret(client_secret))),
            ("scope", (!scope.is_empty()).then(|| quoted(scope))),
        ]),
        HandlerAuth::StaticHeader(header) => table(&[
            ("type", Some(quoted("static_header"))),
            ("name", Some(quoted(&header.name))),
            ("value", Some(secret(&header.value))),
        ]),
    }
}

fn endpoint(endpoint: &ListenerEndpoint) -> String {
    match endpoint {
        ListenerEndpoint::Nats {
            url,
            subject,
            jetstream,
            credentials,
        } => table(&[
            ("type", Some(quoted("nats"))),
            ("url", Some(quoted(&shown_urls(url.written())))),
            ("subject", Some(quoted(subject))),
            ("jetstream", Some(jetstream.to_string())),
            ("credentials", credentials.as_ref().map(secret)),
        ]),
        ListenerEndpoint::Http { url, batch } => table(&[
            ("type", Some(quoted("http"))),
            ("url", Some(quoted(&shown_url(url.text.written())))),
            ("batch", Some(batch.to_string())),
        ]),
        ListenerEndpoint::File { path } => table(&[
            ("type", Some(quoted("file"))),
            ("path", Some(quoted(&path.to_string_lossy()))),
        ]),
        ListenerEndpoint::Stdout => table(&[("type", Some(quoted("stdout")))]),
        ListenerEndpoint::Kafka {
            brokers,
            topic,
            sasl,
            tls,
        } => {
            let sasl = sasl.as_ref().map(|sasl| {
                table(&[
                    ("mechanism", Some(quoted("plain"))),
                    ("username", Some(quoted(&sasl.username))),
                    ("password", Some(secret(&sasl.password))),
                ])
            });
            table(&[
                ("type", Some(quoted("kafka"))),
                ("brokers", Some(quoted_list(brokers.iter().cloned()))),
                ("topic", Some(quoted(topic))),
                ("sasl", sasl),
                ("tls", Some(tls.to_string())),
            ])
        }
    }
}

fn table(entries: &[(&str, Option<String>)]) -> String {
    let entries = entries.iter().filter_map(|(key, value)| {
        let value = value.as_ref()?;
        Some(format!("{key} = {value}"))
    });
    format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
}

/// Says what stands for a secret, behind a line that has one.
fn note(line: &str) -> &'static str {
    match line.contains(HIDDEN) {
        true => "  # *** is set, and not printed",
        false => "",
    }
}

fn secret(text: &SecretText) -> String {
    quoted(&shown_secret(text.written()))
}

/// Shows references, behind the name of a scheme such as `Bearer`.
fn shown_secret(written: &str) -> String {
    let value = match written.split_once(' ') {
        Some((scheme, value)) if scheme.bytes().all(|byte| byte.is_ascii_alphabetic()) => value,
        _ => written,
    };
    match is_references(value) && !value.is_empty() {
        true => written.to_owned(),
        false => HIDDEN.to_owned(),
    }
}

fn shown_urls(written: &str) -> String {
    let urls: Vec<String> = written.split(',').map(shown_url).collect();
    urls.join(",")
}

/// Shows a URL without what was written as its user, its password, and the values of its query.
fn shown_url(written: &str) -> String {
    // What stands before the `@` of the host may hold any of the other marks.
    let start = written.find("://").map_or(0, |scheme| scheme + 3);
    let end = written[start..]
        .find('/')
        .map_or(written.len(), |path| start + path);
    let host = written[start..end]
        .rfind('@')
        .map_or(start, |at| start + at);
    let (base, query) = match written[host..].split_once('?') {
        Some((base, query)) => (&written[..host + base.len()], Some(query)),
        None => {
            let base = written[host..].split('#').next().unwrap_or_default();
            (&written[..host + base.len()], None)
        }
    };
    let mut shown = shown_base(base);
    if let Some(query) = query {
        let pairs: Vec<String> = query.split('&').map(shown_pair).collect();
        shown.push('?');
        shown.push_str(&pairs.join("&"));
    }
    shown
}

fn shown_base(base: &str) -> String {
    let Some((scheme, rest)) = base.split_once("://") else {
        // A scheme that only a reference gives.
        return match is_references(base) {
            true => base.to_owned(),
            false => HIDDEN.to_owned(),
        };
    };
    match rest.rsplit_once('@') {
        Some((user, _)) if is_references(&user.replacen("}:${", "}${", 1)) => base.to_owned(),
        Some((_, host)) => format!("{scheme}://{HIDDEN}@{host}"),
        None => base.to_owned(),
    }
}

fn shown_pair(pair: &str) -> String {
    let is_shown = |value: &str| {
        is_references(value)
            || value.eq_ignore_ascii_case("{hub}")
            || value.eq_ignore_ascii_case("{event}")
    };
    match pair.split_once('=') {
        Some((_, value)) if is_shown(value) => pair.to_owned(),
        Some((name, _)) => format!("{name}={HIDDEN}"),
        None if is_shown(pair) => pair.to_owned(),
        None => HIDDEN.to_owned(),
    }
}

/// Tells whether a text consists of references only.
fn is_references(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let Some((_, after)) = rest
            .strip_prefix("${")
            .and_then(|rest| rest.split_once('}'))
        else {
            return false;
        };
        rest = after;
    }
    true
}

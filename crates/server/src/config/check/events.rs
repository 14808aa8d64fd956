//! Event handlers and event listeners of hubs.

use hubwire_protocol::names::EventName;
use hubwire_upstream::{
    IdentitySource, ManagedIdentity, PrivateAddresses, SystemEvent, Url, UrlError,
};

use super::super::error::ConfigError;
use super::super::event_handler::{
    EventHandlerConfig, GroupFilter, GroupPresenceConfig, HandlerAuth, HandlerUrl, PRESENCE_EVENTS,
    SYSTEM_EVENTS, StaticHeaderConfig,
};
use super::super::event_listener::{EventListenerConfig, HttpUrl, ListenerEndpoint, SaslConfig};
use super::super::secret::SecretText;
use super::super::section::{Field, Section};
use super::upstream::TIMEOUT_MIN;
use super::{COUNT_MAX, HOUR, KIB};
use crate::sinks;

/// Longest name of a topic of Kafka. Bytes.
const TOPIC_MAX: usize = 249;

/// What the reading of handlers and listeners depends on.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    /// What secrets may refer to.
    pub(super) environment: &'a [(String, String)],
    /// Whether handlers may be in private networks.
    pub(super) private: PrivateAddresses,
}

pub(super) fn read_handlers(
    field: Field,
    around: Surroundings<'_>,
) -> Result<Vec<EventHandlerConfig>, ConfigError> {
    let sections = field.tables()?.into_iter();
    sections
        .map(|section| read_handler(section, around))
        .collect()
}

fn read_handler(
    mut section: Section,
    around: Surroundings<'_>,
) -> Result<EventHandlerConfig, ConfigError> {
    let url = required(&mut section, "url_template")?;
    let mut handler = EventHandlerConfig::new(read_template(&url, around)?);
    let pattern = &mut handler.user_event_pattern;
    section.read("user_event_pattern", pattern, |field| read_pattern(&field))?;
    section.read("system_events", &mut handler.system_events, |field| {
        read_names(field, SYSTEM_EVENTS)
    })?;
    let presence = &mut handler.group_presence_events;
    section.read("group_presence_events", presence, |field| {
        read_presence(field.section()?).map(Some)
    })?;
    section.read("auth", &mut handler.auth, |field| {
        read_auth(field.section()?, around)
    })?;
    section.read("timeout", &mut handler.timeout, |field| {
        field.duration(TIMEOUT_MIN..=HOUR).map(Some)
    })?;
    for (key, is_on) in [
        ("abuse_protection", &mut handler.abuse_protection),
        ("forward_reject_body", &mut handler.forward_reject_body),
    ] {
        section.read(key, is_on, |field| field.truth())?;
    }
    section.finish()?;
    Ok(handler)
}

fn read_template(field: &Field, around: Surroundings<'_>) -> Result<HandlerUrl, ConfigError> {
    let (written, parts) = field.secret_parts(around.environment)?;
    HandlerUrl::of_parts(&written, &parts, around.private)
        .map_err(|error| refuse_url(field, &error))
}

/// Refuses a URL by an error that shows neither its query nor its secrets.
fn refuse_url(field: &Field, error: &UrlError) -> ConfigError {
    let way_out = match error {
        UrlError::PrivateAddress(_) => {
            "; set that to \"allow\" where handlers are in your own network"
        }
        UrlError::Malformed(_)
        | UrlError::UserInfo(_)
        | UrlError::ParameterInHost(_)
        | UrlError::Parameter(..)
        | UrlError::MetadataAddress(_) => "",
    };
    field.refuse_unseen(&format!("is refused: {error}{way_out}"))
}

fn read_pattern(field: &Field) -> Result<String, ConfigError> {
    let text = field.text()?;
    if text.trim() != "*" {
        let names = text.split(',').map(str::trim);
        for name in names.filter(|name| !name.is_empty()) {
            if EventName::new(name).is_err() {
                return Err(field.refuse(&format!(
                    "but {name:?} is no name of an event; write \"*\" for all, or names with commas between them, \
                     without wildcards"
                )));
            }
        }
    }
    Ok(text)
}

fn read_names<T: Copy + PartialEq>(
    field: Field,
    words: &[(&str, T)],
) -> Result<Vec<T>, ConfigError> {
    let mut names = Vec::new();
    for item in field.list()? {
        let name = item.name(words)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn read_presence(mut section: Section) -> Result<GroupPresenceConfig, ConfigError> {
    let mut presence = GroupPresenceConfig::default();
    section.read("event_names", &mut presence.event_names, |field| {
        read_names(field, PRESENCE_EVENTS)
    })?;
    section.read("group_filters", &mut presence.group_filters, |field| {
        let mut filters = Vec::new();
        for item in field.list()? {
            let filter = GroupFilter::parse(&item.text()?);
            filters.push(filter.ok_or_else(|| {
                item.refuse(
                    "expected a pattern of group names, such as \"room.*\", with at most 5 wildcards",
                )
            })?);
        }
        Ok(filters)
    })?;
    section.finish()?;
    Ok(presence)
}

#[derive(Clone, Copy)]
enum AuthType {
    None,
    ManagedIdentity,
    ClientCredentials,
    StaticHeader,
}

const AUTH_TYPES: &[(&str, AuthType)] = &[
    ("none", AuthType::None),
    ("managed_identity", AuthType::ManagedIdentity),
    ("oauth2_client_credentials", AuthType::ClientCredentials),
    ("static_header", AuthType::StaticHeader),
];

fn read_auth(mut section: Section, around: Surroundings<'_>) -> Result<HandlerAuth, ConfigError> {
    let auth = match required(&mut section, "type")?.choice(AUTH_TYPES)? {
        AuthType::None => HandlerAuth::None,
        AuthType::ManagedIdentity => read_identity(&mut section, around)?,
        AuthType::ClientCredentials => HandlerAuth::ClientCredentials {
            token_url: read_http_url(&required(&mut section, "token_url")?, around)?,
            client_id: required(&mut section, "client_id")?.filled_text()?,
            client_secret: required(&mut section, "client_secret")?
                .secret_text(around.environment)?,
            scope: optional_text(&mut section, "scope")?.unwrap_or_default(),
        },
        AuthType::StaticHeader => {
            let field = required(&mut section, "name")?;
            let name = field.text()?;
            let value = required(&mut section, "value")?.secret_text(around.environment)?;
            let header = StaticHeaderConfig::new(&name, value)
                .map_err(|error| field.refuse_unseen(&format!("is refused: {error}")))?;
            HandlerAuth::StaticHeader(header)
        }
    };
    section.finish()?;
    Ok(auth)
}

/// Reads an identity. Its tokens come from the file of a workload identity where the platform names one in the environment, as it
/// does for the libraries of Azure, and from the metadata service otherwise.
fn read_identity(
    section: &mut Section,
    around: Surroundings<'_>,
) -> Result<HandlerAuth, ConfigError> {
    let place = required(section, "resource")?;
    let resource = place.filled_text()?;
    let client_id = optional_text(section, "client_id")?;
    let variable = |wanted: &str| {
        let mut variables = around.environment.iter();
        let found = variables.find(|(name, value)| name == wanted && !value.is_empty());
        found.map(|(_, value)| value.clone())
    };
    let workload = (
        variable("AZURE_FEDERATED_TOKEN_FILE"),
        variable("AZURE_TENANT_ID"),
        client_id.clone().or_else(|| variable("AZURE_CLIENT_ID")),
    );
    let source = match workload {
        (Some(token_file), Some(tenant), Some(client_id)) => {
            let authority = variable("AZURE_AUTHORITY_HOST")
                .unwrap_or_else(|| "https://login.microsoftonline.com/".to_owned());
            let authority = authority.trim_end_matches('/');
            let url = format!("{authority}/{tenant}/oauth2/v2.0/token");
            IdentitySource::WorkloadIdentity {
                token_url: Url::parse(&url, around.private).map_err(|error| {
                    place.refuse_unseen(&format!(
                        "cannot be used with AZURE_AUTHORITY_HOST and AZURE_TENANT_ID: {error}"
                    ))
                })?,
                client_id,
                token_file: token_file.into(),
            }
        }
        _ => IdentitySource::InstanceMetadata {
            endpoint: Url::of_metadata_service(IdentitySource::METADATA_ENDPOINT)
                .map_err(|error| refuse_url(&place, &error))?,
            client_id,
        },
    };
    Ok(HandlerAuth::ManagedIdentity(ManagedIdentity {
        resource,
        source,
    }))
}

pub(super) fn read_event_listeners(
    field: Field,
    around: Surroundings<'_>,
) -> Result<Vec<EventListenerConfig>, ConfigError> {
    let sections = field.tables()?.into_iter();
    sections
        .map(|section| read_listener(section, around))
        .collect()
}

fn read_listener(
    mut section: Section,
    around: Surroundings<'_>,
) -> Result<EventListenerConfig, ConfigError> {
    let endpoint = required(&mut section, "endpoint")?.section()?;
    let mut listener = EventListenerConfig::new(read_endpoint(endpoint, around)?);
    if let Some(filter) = section.take("filter") {
        let mut filter = filter.section()?;
        filter.read("type", &mut (), |field| field.choice(&[("event_name", ())]))?;
        filter.read("system_events", &mut listener.system_events, |field| {
            read_names(field, SYSTEM_EVENTS)
        })?;
        // Source: events-and-operations 8, `connect` is not allowed and ignored.
        listener
            .system_events
            .retain(|event| *event != SystemEvent::Connect);
        let pattern = &mut listener.user_event_pattern;
        filter.read("user_event_pattern", pattern, |field| read_pattern(&field))?;
        filter.finish()?;
    }
    section.read("queue_events", &mut listener.queue_events, |field| {
        field.count(1..=COUNT_MAX)
    })?;
    section.read("queue_bytes", &mut listener.queue_bytes, |field| {
        field.size(KIB..=usize::MAX)
    })?;
    section.finish()?;
    Ok(listener)
}

#[derive(Clone, Copy)]
enum EndpointType {
    Nats,
    Http,
    File,
    Stdout,
    Kafka,
}

const ENDPOINT_TYPES: &[(&str, EndpointType)] = &[
    ("nats", EndpointType::Nats),
    ("http", EndpointType::Http),
    ("file", EndpointType::File),
    ("stdout", EndpointType::Stdout),
    ("kafka", EndpointType::Kafka),
];

fn read_endpoint(
    mut section: Section,
    around: Surroundings<'_>,
) -> Result<ListenerEndpoint, ConfigError> {
    let kind = required(&mut section, "type")?;
    let endpoint = match kind.choice(ENDPOINT_TYPES)? {
        EndpointType::Nats => ListenerEndpoint::Nats {
            url: read_nats_url(&required(&mut section, "url")?, around)?,
            subject: read_subject(&required(&mut section, "subject")?)?,
            jetstream: read_truth(&mut section, "jetstream")?,
            credentials: match section.take("credentials") {
                Some(field) => Some(field.secret_text(around.environment)?),
                None => None,
            },
        },
        EndpointType::Http => ListenerEndpoint::Http {
            url: read_http_url(&required(&mut section, "url")?, around)?,
            batch: read_truth(&mut section, "batch")?,
        },
        EndpointType::File => ListenerEndpoint::File {
            path: required(&mut section, "path")?.file_path()?,
        },
        EndpointType::Stdout => ListenerEndpoint::Stdout,
        EndpointType::Kafka => ListenerEndpoint::Kafka {
            brokers: read_brokers(required(&mut section, "brokers")?)?,
            topic: read_topic(&required(&mut section, "topic")?)?,
            sasl: match section.take("sasl") {
                Some(field) => Some(read_sasl(field.section()?, around)?),
                None => None,
            },
            tls: read_truth(&mut section, "tls")?,
        },
    };
    section.finish()?;
    match sinks::sink(&endpoint, around.private) {
        Ok(_) => Ok(endpoint),
        Err(error) => Err(kind.refuse(&format!("but {error}"))),
    }
}

fn read_nats_url(field: &Field, around: Surroundings<'_>) -> Result<SecretText, ConfigError> {
    let text = field.secret_text(around.environment)?;
    let is_url = |url: &str| {
        let rest = ["nats://", "tls://"]
            .iter()
            .find_map(|scheme| url.strip_prefix(scheme));
        rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
    };
    match text.secret().expose().split(',').map(str::trim).all(is_url) {
        true => Ok(text),
        // A password may be in it.
        false => Err(field.refuse_unseen(
            "is no URL of NATS, such as \"nats://nats:4222\" or \"tls://nats.example.com:4222\"; several are separated by commas",
        )),
    }
}

fn read_subject(field: &Field) -> Result<String, ConfigError> {
    let subject = field.text()?;
    let is_token = |token: &str| {
        !token.is_empty()
            && !token.contains(['*', '>'])
            && !token.contains(|letter: char| letter.is_whitespace() || letter.is_control())
    };
    match subject.split('.').all(is_token) {
        true => Ok(subject),
        false => Err(field
            .refuse("expected the beginning of a subject, such as \"hubwire\", without wildcards")),
    }
}

fn read_http_url(field: &Field, around: Surroundings<'_>) -> Result<HttpUrl, ConfigError> {
    let text = field.secret_text(around.environment)?;
    match Url::parse(text.secret().expose(), around.private) {
        Ok(url) => Ok(HttpUrl { text, url }),
        Err(error) => Err(refuse_url(field, &hidden(error, &text))),
    }
}

/// Takes what references stand for out of an error.
fn hidden(error: UrlError, url: &SecretText) -> UrlError {
    let written = url.written();
    if written == url.secret().expose() {
        return error;
    }
    let shown = written
        .split(['?', '#'])
        .next()
        .unwrap_or_default()
        .to_owned();
    match error {
        UrlError::Malformed(_) => UrlError::Malformed(shown),
        UrlError::UserInfo(_) => UrlError::UserInfo("***".to_owned()),
        UrlError::ParameterInHost(_) => UrlError::ParameterInHost(shown),
        UrlError::Parameter(..) => UrlError::Malformed(shown),
        UrlError::PrivateAddress(_) => UrlError::PrivateAddress(shown),
        UrlError::MetadataAddress(_) => UrlError::MetadataAddress(shown),
    }
}

fn read_brokers(field: Field) -> Result<Vec<String>, ConfigError> {
    let none = field.refuse_unseen("is empty, list at least one broker, such as \"kafka:9092\"");
    let mut brokers = Vec::new();
    for item in field.list()? {
        let broker = item.text()?;
        let has_port = broker.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.parse().is_ok_and(|port: u16| port > 0)
        });
        if !has_port || broker.contains(['/', '@', ',']) || broker.contains(char::is_whitespace) {
            return Err(item.refuse("expected a host and a port, such as \"kafka:9092\""));
        }
        brokers.push(broker);
    }
    match brokers.is_empty() {
        true => Err(none),
        false => Ok(brokers),
    }
}

fn read_topic(field: &Field) -> Result<String, ConfigError> {
    let topic = field.text()?;
    let is_valid = (1..=TOPIC_MAX).contains(&topic.len())
        && topic
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    match is_valid {
        true => Ok(topic),
        false => Err(field.refuse("expected 1 to 249 letters, digits or . _ -")),
    }
}

fn read_sasl(mut section: Section, around: Surroundings<'_>) -> Result<SaslConfig, ConfigError> {
    required(&mut section, "mechanism")?.choice(&[("plain", ())])?;
    let sasl = SaslConfig {
        username: required(&mut section, "username")?.filled_text()?,
        password: required(&mut section, "password")?.secret_text(around.environment)?,
    };
    section.finish()?;
    Ok(sasl)
}

fn required(section: &mut Section, key: &'static str) -> Result<Field, ConfigError> {
    let field = section.take(key);
    field.ok_or_else(|| section.refuse(&format!("has no `{key}`")))
}

fn optional_text(section: &mut Section, key: &'static str) -> Result<Option<String>, ConfigError> {
    section
        .take(key)
        .map(|field| field.filled_text())
        .transpose()
}

fn read_truth(section: &mut Section, key: &'static str) -> Result<bool, ConfigError> {
    section.take(key).map_or(Ok(false), |field| field.truth())
}

//! From the request of a service to an event. Source: events-and-operations 4, 5, 6.1.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use hubwire_protocol::event::{ClientCertificate, ConnectRequest};
use hubwire_protocol::http::ContentType;
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::payload::{DataType, Payload};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::event::{
    ConnectEvent, ConnectedEvent, Context, DisconnectedEvent, GroupEvent, MqttConnect, UserEvent,
};
use crate::state::ConnectionState;

pub(crate) const CONNECTION_ID: &str = "ce-connectionid";
pub(crate) const METADATA_PREFIX: &str = "x-webpubsub-metadata-";
const TYPE_PREFIX: &str = "azure.webpubsub.";

/// An event of any kind.
#[derive(Debug)]
pub(crate) enum Event {
    Connect(ConnectEvent),
    User(UserEvent),
    Connected(ConnectedEvent),
    Disconnected(DisconnectedEvent),
    Joined(GroupEvent),
    Left(GroupEvent),
}

/// What kind of event a request says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Connect,
    User,
    Connected,
    Disconnected,
    Joined,
    Left,
    /// One that is not known here, of a newer service.
    Unknown,
}

/// A request is no event. The text goes to the service and is logged, so it holds no value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("the header `{0}` is missing")]
    Missing(&'static str),
    #[error("the header `{0}` is not UTF-8")]
    NotUtf8(&'static str),
    #[error("the body is not what `{0}` says")]
    Body(&'static str),
    #[error("a header `x-webpubsub-metadata-*` breaks a rule of metadata")]
    Metadata,
}

impl Kind {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, RequestError> {
        let kind = required(headers, "ce-type")?.to_ascii_lowercase();
        Ok(match kind.strip_prefix(TYPE_PREFIX) {
            Some("sys.connect") => Self::Connect,
            Some("sys.connected") => Self::Connected,
            Some("sys.disconnected") => Self::Disconnected,
            Some("gp.joined") => Self::Joined,
            Some("gp.left") => Self::Left,
            Some(rest) if rest.starts_with("user.") => Self::User,
            Some(_) | None => Self::Unknown,
        })
    }
}

impl Event {
    /// Reads a request whose signature is right. `None` if its kind is not known.
    pub(crate) fn read(headers: &HeaderMap, body: Bytes) -> Result<Option<Self>, RequestError> {
        let kind = Kind::of(headers)?;
        let context = context(headers)?;
        Ok(Some(match kind {
            Kind::Unknown => return Ok(None),
            Kind::Connect => Self::Connect(connect(context, &body)?),
            Kind::User => Self::User(UserEvent {
                payload: Payload {
                    data_type: data_type(headers),
                    data: body,
                },
                metadata: metadata(headers)?,
                context,
            }),
            Kind::Connected => Self::Connected(ConnectedEvent { context }),
            Kind::Disconnected => {
                let reason = json::<DisconnectedBody>(&body)?.reason;
                let reason = reason.filter(|reason| !reason.is_empty());
                Self::Disconnected(DisconnectedEvent { context, reason })
            }
            Kind::Joined => Self::Joined(group(context, &body)?),
            Kind::Left => Self::Left(group(context, &body)?),
        }))
    }
}

fn context(headers: &HeaderMap) -> Result<Context, RequestError> {
    let text = |name| optional(headers, name).map(Option::unwrap_or_default);
    Ok(Context {
        hub: required(headers, "ce-hub")?,
        connection_id: required(headers, CONNECTION_ID)?,
        user_id: optional(headers, "ce-userid")?,
        subprotocol: optional(headers, "ce-subprotocol")?,
        event_name: required(headers, "ce-eventname")?,
        id: text("ce-id")?,
        time: text("ce-time")?,
        state: ConnectionState::of(headers),
    })
}

fn required(headers: &HeaderMap, name: &'static str) -> Result<String, RequestError> {
    optional(headers, name)?.ok_or(RequestError::Missing(name))
}

/// Returns a header; `None` if it is empty. The one of the user may hold UTF-8.
fn optional(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, RequestError> {
    let bytes = headers.get(name).map(HeaderValue::as_bytes);
    let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(bytes).map_err(|_| RequestError::NotUtf8(name))?;
    Ok(Some(text.to_owned()))
}

/// Returns the type of the data. An MQTT client may give any content type, which says nothing of the bytes.
fn data_type(headers: &HeaderMap) -> DataType {
    let text = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = ContentType::parse(text).map_or("", |parsed| parsed.media_type);
    match media_type.to_ascii_lowercase().as_str() {
        "text/plain" => DataType::Text,
        "application/json" => DataType::Json,
        "application/x-protobuf" => DataType::Protobuf,
        _ => DataType::Binary,
    }
}

fn metadata(headers: &HeaderMap) -> Result<Metadata, RequestError> {
    let mut metadata = Metadata::default();
    for (name, value) in headers {
        let Some(key) = name.as_str().strip_prefix(METADATA_PREFIX) else {
            continue;
        };
        let value = value.to_str().map_err(|_| RequestError::Metadata)?;
        metadata
            .insert(key.to_owned(), value.to_owned())
            .map_err(|_| RequestError::Metadata)?;
    }
    Ok(metadata)
}

/// Reads a body, which counts as an object without members where there is none.
fn json<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, RequestError> {
    let body = match body.trim_ascii() {
        [] => b"{}",
        body => body,
    };
    serde_json::from_slice(body).map_err(|_| RequestError::Body("ce-type"))
}

fn group(context: Context, body: &[u8]) -> Result<GroupEvent, RequestError> {
    let GroupBody { group } = json(body)?;
    Ok(GroupEvent { context, group })
}

fn connect(context: Context, body: &[u8]) -> Result<ConnectEvent, RequestError> {
    let body: ConnectBody = json(body)?;
    let certificates = body.client_certificates.unwrap_or_default();
    let request = ConnectRequest {
        claims: body.claims.unwrap_or_default().0,
        query: body.query.unwrap_or_default().0,
        headers: body.headers.unwrap_or_default().0,
        subprotocols: body.subprotocols.unwrap_or_default(),
        client_certificates: certificates
            .into_iter()
            .map(|certificate| ClientCertificate {
                thumbprint: certificate.thumbprint.unwrap_or_default(),
                content: certificate.content.unwrap_or_default(),
            })
            .collect(),
    };
    let mqtt = body.mqtt.map(mqtt_connect).transpose()?;
    Ok(ConnectEvent {
        context,
        request,
        mqtt,
    })
}

fn mqtt_connect(body: MqttBody) -> Result<MqttConnect, RequestError> {
    let password = body
        .password
        .map(|password| BASE64_STANDARD.decode(password))
        .transpose()
        .map_err(|_| RequestError::Body("ce-type"))?;
    let properties = body.user_properties.unwrap_or_default();
    Ok(MqttConnect {
        protocol_version: body.protocol_version,
        username: body.username,
        password: password.map(Bytes::from),
        user_properties: properties
            .into_iter()
            .map(|property| (property.name, property.value))
            .collect(),
    })
}

#[derive(Deserialize)]
struct DisconnectedBody {
    reason: Option<String>,
}

#[derive(Deserialize)]
struct GroupBody {
    group: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConnectBody {
    claims: Option<Lists>,
    query: Option<Lists>,
    headers: Option<Lists>,
    subprotocols: Option<Vec<String>>,
    client_certificates: Option<Vec<CertificateBody>>,
    mqtt: Option<MqttBody>,
}

#[derive(Deserialize)]
struct CertificateBody {
    thumbprint: Option<String>,
    content: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MqttBody {
    protocol_version: u8,
    username: Option<String>,
    password: Option<String>,
    user_properties: Option<Vec<PropertyBody>>,
}

#[derive(Deserialize)]
struct PropertyBody {
    name: String,
    value: String,
}

/// Lists of texts by name, in their order.
#[derive(Default)]
struct Lists(Vec<(String, Vec<String>)>);

impl<'de> Deserialize<'de> for Lists {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Lists;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("lists of texts by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lists, A::Error> {
                let mut lists = Vec::new();
                while let Some((name, values)) = map.next_entry::<_, Option<_>>()? {
                    lists.push((name, values.unwrap_or_default()));
                }
                Ok(Lists(lists))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests;

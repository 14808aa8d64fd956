//! An event with the attributes that CloudEvents give it. Source: events-and-operations 1, 4, 5, 8.1.

use std::sync::Arc;

use bytes::Bytes;
use hubwire_protocol::event::{ConnectRequest, Event, EventKind};
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::names::{Hub, UserId};
use hubwire_protocol::payload::DataType;
use serde::ser::{Serialize, SerializeMap, Serializer};
use time::OffsetDateTime;

/// An event as handlers and listeners get it.
#[derive(Clone, Debug)]
pub struct CloudEvent {
    /// `ce-hub`.
    pub hub: Hub,
    /// `ce-connectionId`.
    pub connection_id: Arc<str>,
    /// `ce-id`.
    pub id: u64,
    /// `ce-type`, such as `azure.webpubsub.sys.connected`.
    pub kind: String,
    /// `ce-source`.
    pub source: String,
    /// `ce-time`: UTC, in seconds.
    pub time: String,
    /// `ce-eventName`.
    pub event_name: String,
    /// `ce-userId`.
    pub user: Option<UserId>,
    /// `ce-subprotocol`.
    pub subprotocol: Option<Arc<str>>,
    /// The media type of `body`.
    pub content_type: &'static str,
    /// The data.
    pub body: Bytes,
    /// What travels beside the data of a user event.
    pub metadata: Metadata,
}

const JSON: &str = "application/json";

impl CloudEvent {
    pub(crate) fn new(event: Event) -> Self {
        let (category, event_name, content_type, body, metadata) = match event.kind {
            EventKind::Connect(ref request) => (
                "sys",
                "connect".to_owned(),
                JSON,
                to_json(&ConnectBody(request)),
                Metadata::default(),
            ),
            EventKind::Connected => {
                let body = Bytes::from_static(b"{}");
                (
                    "sys",
                    "connected".to_owned(),
                    JSON,
                    body,
                    Metadata::default(),
                )
            }
            EventKind::Disconnected { reason } => {
                let body = to_json(&Single(
                    "reason",
                    Some(&*reason).filter(|reason| !reason.is_empty()),
                ));
                (
                    "sys",
                    "disconnected".to_owned(),
                    JSON,
                    body,
                    Metadata::default(),
                )
            }
            EventKind::User { name, content } => {
                let content_type = content_type(content.payload.data_type);
                (
                    "user",
                    name.as_str().to_owned(),
                    content_type,
                    content.payload.data,
                    content.metadata,
                )
            }
            EventKind::Joined { group } => {
                let body = to_json(&Single("group", Some(group.as_str())));
                ("gp", "joined".to_owned(), JSON, body, Metadata::default())
            }
            EventKind::Left { group } => {
                let body = to_json(&Single("group", Some(group.as_str())));
                ("gp", "left".to_owned(), JSON, body, Metadata::default())
            }
        };
        let is_negotiated = (category, event_name.as_str()) != ("sys", "connect");
        Self {
            kind: ["azure.webpubsub.", category, ".", &event_name].concat(),
            source: [
                "/hubs/",
                event.hub.as_str(),
                "/client/",
                &event.connection_id,
            ]
            .concat(),
            time: utc(event.time),
            subprotocol: event
                .subprotocol
                .filter(|subprotocol| is_negotiated && !subprotocol.is_empty()),
            hub: event.hub,
            connection_id: event.connection_id,
            id: event.id,
            event_name,
            user: event.user,
            content_type,
            body,
            metadata,
        }
    }
}

/// Returns the media type of a kind of data. Source: events-and-operations 4.
fn content_type(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Text => "text/plain; charset=utf-8",
        DataType::Json => JSON,
        DataType::Binary => "application/octet-stream",
        DataType::Protobuf => "application/x-protobuf",
    }
}

/// Returns milliseconds since 1970 as `yyyy-MM-ddTHH:mm:ssZ`.
fn utc(milliseconds: u64) -> String {
    let seconds = i64::try_from(milliseconds / 1000).unwrap_or(i64::MAX);
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    // Years are four digits: later times are none that `OffsetDateTime` has.
    let year = time.year().unsigned_abs();
    let mut text = String::with_capacity("yyyy-MM-ddTHH:mm:ssZ".len());
    for (number, end) in [
        (year / 100, ""),
        (year % 100, "-"),
        (u8::from(time.month()).into(), "-"),
        (time.day().into(), "T"),
        (time.hour().into(), ":"),
        (time.minute().into(), ":"),
        (time.second().into(), "Z"),
    ] {
        let digit = |number: u32| char::from_digit(number % 10, 10).unwrap_or('0');
        text.push(digit(number / 10));
        text.push(digit(number));
        text.push_str(end);
    }
    text
}

fn to_json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value)
        .expect("text and lists of text have a JSON form")
        .into()
}

/// An object with one member.
struct Single<'a>(&'static str, Option<&'a str>);

impl Serialize for Single<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.0, self.1)])
    }
}

/// The body of `connect`. Source: events-and-operations 5.1.
struct ConnectBody<'a>(&'a ConnectRequest);

impl Serialize for ConnectBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(request) = self;
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("claims", &Lists(&request.claims, &[]))?;
        // The caller has taken the client's credentials out. What gets past it by mistake does not get past here.
        map.serialize_entry("query", &Lists(&request.query, &["access_token"]))?;
        map.serialize_entry("headers", &Lists(&request.headers, &["authorization"]))?;
        map.serialize_entry("subprotocols", &request.subprotocols)?;
        let certificates: Vec<Certificate<'_>> = request
            .client_certificates
            .iter()
            .map(|certificate| Certificate {
                thumbprint: &certificate.thumbprint,
                content: &certificate.content,
            })
            .collect();
        map.serialize_entry("clientCertificates", &certificates)?;
        map.end()
    }
}

#[derive(serde::Serialize)]
struct Certificate<'a> {
    thumbprint: &'a str,
    content: &'a str,
}

/// Lists of texts by name, in their order, without certain names.
struct Lists<'a>(&'a [(String, Vec<String>)], &'static [&'static str]);

impl Serialize for Lists<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(lists, without) = self;
        let is_left_out = |name: &str| without.iter().any(|other| name.eq_ignore_ascii_case(other));
        serializer.collect_map(
            lists
                .iter()
                .filter(|(name, _)| !is_left_out(name))
                .map(|(name, values)| (name, values)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_without_a_fraction() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(1_709_210_096_999), "2024-02-29T12:34:56Z");
        assert_eq!(utc(u64::MAX), "1970-01-01T00:00:00Z");
    }
}

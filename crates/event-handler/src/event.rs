//! What a handler is told. Source: events-and-operations 4, 5.

use std::fmt;

use bytes::Bytes;
use http::StatusCode;
use hubwire_protocol::event::ConnectRequest;
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::payload::{DataType, Payload};
use serde::de::DeserializeOwned;

use crate::rejection::Rejection;
use crate::state::ConnectionState;

/// What every event says of its connection. The default is for tests of handlers.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Context {
    /// The connection's hub.
    pub hub: String,
    /// The connection's id; the client id of an MQTT client.
    pub connection_id: String,
    /// Its user, if any.
    pub user_id: Option<String>,
    /// Its subprotocol. Absent for simple clients, and for `connect`, which is before it is negotiated.
    pub subprotocol: Option<String>,
    /// The event's name, such as `connect`; for a user event the one that the client gave it, `message` for simple clients.
    pub event_name: String,
    /// Counts the events of the connection. It stays the same when an event is repeated.
    pub id: String,
    /// When the event was, as `yyyy-MM-ddTHH:mm:ssZ`.
    pub time: String,
    /// What an earlier answer kept with the connection.
    pub state: ConnectionState,
}

/// A client wants to connect. `Debug` shows nothing that the client sent.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct ConnectEvent {
    /// The connection that there would be.
    pub context: Context,
    /// What the client's handshake says.
    pub request: ConnectRequest,
    /// What an MQTT client says besides.
    pub mqtt: Option<MqttConnect>,
}

/// What the CONNECT packet of an MQTT client says. `Debug` shows no password.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MqttConnect {
    /// 4 for MQTT 3.1.1, 5 for MQTT 5.
    pub protocol_version: u8,
    /// The user name.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Bytes>,
    /// Names and values of the user properties.
    pub user_properties: Vec<(String, String)>,
}

/// A client raised an event, by a message or by an invocation.
#[derive(Clone)]
#[non_exhaustive]
pub struct UserEvent {
    /// The connection.
    pub context: Context,
    /// The event's data.
    pub payload: Payload,
    /// What travels beside the data. Keys are in lower case.
    pub metadata: Metadata,
}

/// A connection is there.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ConnectedEvent {
    /// The connection.
    pub context: Context,
}

/// A connection is gone for good. A reliable connection that only lost its socket is not.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DisconnectedEvent {
    /// The connection.
    pub context: Context,
    /// Why; absent for a clean close by the client.
    pub reason: Option<String>,
}

/// A connection became a member of a group, or is one no longer.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct GroupEvent {
    /// The connection.
    pub context: Context,
    /// The group.
    pub group: String,
}

impl ConnectEvent {
    /// Returns the first value of a claim of the client's token.
    ///
    /// ```
    /// # let mut event = hubwire_event_handler::ConnectEvent::default();
    /// event.request.claims.push(("sub".into(), vec!["alice".into()]));
    /// assert_eq!(event.claim("sub"), Some("alice"));
    /// ```
    pub fn claim(&self, name: &str) -> Option<&str> {
        first(&self.request.claims, |other| other == name)
    }

    /// Returns the first value of a query parameter of the client's URL.
    ///
    /// ```
    /// # let mut event = hubwire_event_handler::ConnectEvent::default();
    /// event.request.query.push(("room".into(), vec!["blue".into()]));
    /// assert_eq!(event.query("room"), Some("blue"));
    /// ```
    pub fn query(&self, name: &str) -> Option<&str> {
        first(&self.request.query, |other| other == name)
    }

    /// Returns the first value of a header of the client's handshake, whatever the letter case of its name.
    ///
    /// ```
    /// # let mut event = hubwire_event_handler::ConnectEvent::default();
    /// event.request.headers.push(("User-Agent".into(), vec!["teapot".into()]));
    /// assert_eq!(event.header("user-agent"), Some("teapot"));
    /// ```
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.request.headers, |other| {
            other.eq_ignore_ascii_case(name)
        })
    }
}

fn first(lists: &[(String, Vec<String>)], is_it: impl Fn(&str) -> bool) -> Option<&str> {
    let (_, values) = lists.iter().find(|(name, _)| is_it(name))?;
    values.first().map(String::as_str)
}

impl UserEvent {
    /// Returns the data as text, whatever its type.
    ///
    /// # Errors
    ///
    /// A rejection with 400 if it is not UTF-8, which can happen for binary data only.
    ///
    /// ```
    /// # let mut event = hubwire_event_handler::UserEvent::default();
    /// event.payload.data = "hello".into();
    /// assert_eq!(event.text()?, "hello");
    /// # Ok::<(), hubwire_event_handler::Rejection>(())
    /// ```
    pub fn text(&self) -> Result<&str, Rejection> {
        std::str::from_utf8(&self.payload.data)
            .map_err(|_| Rejection::new(StatusCode::BAD_REQUEST).with_text("the data is no text"))
    }

    /// Reads the data as JSON, whatever its type: simple clients send JSON as text.
    ///
    /// # Errors
    ///
    /// A rejection with 400 if it is not the JSON of a `T`.
    ///
    /// ```
    /// # let mut event = hubwire_event_handler::UserEvent::default();
    /// event.payload.data = "[1, 2]".into();
    /// assert_eq!(event.json::<Vec<u32>>()?, [1, 2]);
    /// # Ok::<(), hubwire_event_handler::Rejection>(())
    /// ```
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Rejection> {
        serde_json::from_slice(&self.payload.data).map_err(|_| {
            Rejection::new(StatusCode::BAD_REQUEST).with_text("the data is not the expected JSON")
        })
    }
}

/// Empty text, for tests of handlers.
impl Default for UserEvent {
    fn default() -> Self {
        Self {
            context: Context::default(),
            payload: Payload {
                data_type: DataType::Text,
                data: Bytes::new(),
            },
            metadata: Metadata::default(),
        }
    }
}

impl fmt::Debug for ConnectEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectEvent")
            .field("context", &self.context)
            .field("subprotocols", &self.request.subprotocols)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MqttConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MqttConnect")
            .field("protocol_version", &self.protocol_version)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for UserEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserEvent")
            .field("context", &self.context)
            .field("data_type", &self.payload.data_type)
            .field("bytes", &self.payload.data.len())
            .finish_non_exhaustive()
    }
}

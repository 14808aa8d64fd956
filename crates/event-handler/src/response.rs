//! What a handler answers. Source: events-and-operations 5.1, 5.4.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response};
use http_body_util::Full;
use hubwire_protocol::metadata::{Metadata, MetadataError};
use hubwire_protocol::names::{GroupName, NameError, UserId};
use hubwire_protocol::payload::{DataType, Payload, is_any, is_json};
use serde::Serialize;

use crate::request::METADATA_PREFIX;
use crate::state::{ConnectionState, STATE};

/// Lets a client connect. What is not given stays as the client's token has it.
///
/// ```
/// use hubwire_event_handler::ConnectResponse;
///
/// let response = ConnectResponse::new()
///     .user_id("alice")
///     .groups(["lobby"])
///     .roles(["webpubsub.sendToGroup.lobby"]);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ConnectResponse {
    body: ConnectBody,
    state: Option<ConnectionState>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ConnectBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subprotocol: Option<String>,
}

/// Answers a user event: what it holds is sent to the client, before the ack if there is one.
///
/// ```
/// use hubwire_event_handler::UserEventResponse;
///
/// let response = UserEventResponse::text("hello").metadata("mood", "good");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct UserEventResponse {
    payload: Payload,
    metadata: Vec<(String, String)>,
    state: Option<ConnectionState>,
}

/// The service would not take an answer. The text is logged, so it holds no value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResponseError {
    #[error("the user id is only white space, or longer than 1,024 UTF-16 code units")]
    UserId,
    #[error("a role is empty")]
    Role,
    #[error("a group: {0}")]
    Group(NameError),
    #[error("the subprotocol is empty, or no name that a handshake can hold")]
    Subprotocol,
    #[error("the JSON is nested more than 64 deep")]
    Json,
    #[error("the data is no google.protobuf.Any")]
    Protobuf,
    #[error("metadata: {0}")]
    Metadata(#[from] MetadataError),
    #[error("a metadata value holds a comma, or white space at an end, and would not arrive whole")]
    MetadataValue,
}

impl ConnectResponse {
    /// Makes one that leaves everything as the client's token has it.
    ///
    /// ```
    /// let response = hubwire_event_handler::ConnectResponse::new();
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the user id: 1 to 1,024 UTF-16 code units, or empty for a connection without a user.
    ///
    /// ```
    /// let response = hubwire_event_handler::ConnectResponse::new().user_id("alice");
    /// ```
    pub fn user_id(mut self, user_id: impl Into<String>) -> Self {
        self.body.user_id = Some(user_id.into());
        self
    }

    /// Sets the groups that the connection is in from the start, instead of the token's; none leaves those of the token. A name is
    /// 1 to 1,024 UTF-16 code units, not only white space.
    ///
    /// ```
    /// let response = hubwire_event_handler::ConnectResponse::new().groups(["lobby", "news"]);
    /// ```
    pub fn groups(mut self, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.body.groups = Some(groups.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the roles, instead of the token's; none takes all away.
    ///
    /// ```
    /// let response = hubwire_event_handler::ConnectResponse::new()
    ///     .roles(["webpubsub.joinLeaveGroup.lobby", "webpubsub.sendToGroup.lobby"]);
    /// ```
    pub fn roles(mut self, roles: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.body.roles = Some(roles.into_iter().map(Into::into).collect());
        self
    }

    /// Chooses one of the subprotocols that the client offers. Without it the service takes the first that it speaks. A connection
    /// of a subprotocol that the service does not speak is that of a simple client.
    ///
    /// ```
    /// let response = hubwire_event_handler::ConnectResponse::new().subprotocol("graphql-ws");
    /// ```
    pub fn subprotocol(mut self, subprotocol: impl Into<String>) -> Self {
        self.body.subprotocol = Some(subprotocol.into());
        self
    }

    /// Keeps a state with the connection.
    ///
    /// ```
    /// use hubwire_event_handler::{ConnectResponse, ConnectionState};
    ///
    /// let state = ConnectionState::new(&serde_json::json!({ "visits": 1 }))?;
    /// let response = ConnectResponse::new().state(state);
    /// # Ok::<(), hubwire_event_handler::StateError>(())
    /// ```
    pub fn state(mut self, state: ConnectionState) -> Self {
        self.state = Some(state);
        self
    }

    pub(crate) fn into_response(self) -> Result<Response<Full<Bytes>>, ResponseError> {
        self.body.check()?;
        let mut response = Response::default();
        if self.body != ConnectBody::default() {
            let body = serde_json::to_vec(&self.body).expect("texts and lists of them are JSON");
            *response.body_mut() = Full::new(body.into());
            set_content_type(&mut response, "application/json");
        }
        set_state(&mut response, self.state.as_ref());
        Ok(response)
    }
}

impl ConnectBody {
    fn check(&self) -> Result<(), ResponseError> {
        let user_id = self.user_id.as_deref().filter(|id| !id.is_empty());
        if user_id.is_some_and(|id| UserId::new(id).is_err()) {
            return Err(ResponseError::UserId);
        }
        let mut roles = self.roles.iter().flatten();
        if roles.any(|role| role.trim().is_empty()) {
            return Err(ResponseError::Role);
        }
        for group in self.groups.iter().flatten() {
            GroupName::new(group).map_err(ResponseError::Group)?;
        }
        match &self.subprotocol {
            Some(subprotocol) if !is_token(subprotocol) => Err(ResponseError::Subprotocol),
            Some(_) | None => Ok(()),
        }
    }
}

/// Tells whether a subprotocol can be in a handshake (RFC 6455, 11.3.4).
fn is_token(text: &str) -> bool {
    let is_token_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token_byte)
}

impl UserEventResponse {
    /// Says nothing: the client gets its ack only, and an invocation succeeds without data.
    ///
    /// ```
    /// let response = hubwire_event_handler::UserEventResponse::empty();
    /// ```
    pub fn empty() -> Self {
        Self::of(DataType::Text, Bytes::new())
    }

    /// Answers with text. An empty one is not sent, unless it has metadata.
    ///
    /// ```
    /// let response = hubwire_event_handler::UserEventResponse::text("hello");
    /// ```
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(DataType::Text, text.into().into())
    }

    /// Answers with JSON, nested at most 64 deep. The JavaScript client drops a message whose data is `null`.
    ///
    /// # Errors
    ///
    /// That of `serde_json`, if the value has no JSON form.
    ///
    /// ```
    /// use hubwire_event_handler::UserEventResponse;
    ///
    /// let response = UserEventResponse::json(&serde_json::json!({ "sum": 3 }))?;
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn json(value: &(impl Serialize + ?Sized)) -> Result<Self, serde_json::Error> {
        Ok(Self::of(DataType::Json, serde_json::to_vec(value)?.into()))
    }

    /// Answers with bytes.
    ///
    /// ```
    /// let response = hubwire_event_handler::UserEventResponse::binary(vec![0, 159]);
    /// ```
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self::of(DataType::Binary, data.into())
    }

    /// Answers with a serialized `google.protobuf.Any`. Clients that do not speak protobuf get its bytes.
    ///
    /// ```
    /// let response = hubwire_event_handler::UserEventResponse::protobuf(vec![0x0a, 1, b'x']);
    /// ```
    pub fn protobuf(any: impl Into<Bytes>) -> Self {
        Self::of(DataType::Protobuf, any.into())
    }

    /// Adds metadata to what the client gets: at most 256 bytes of key and 1,024 of value, printable ASCII without a comma, and 8,192
    /// bytes in all. Keys arrive in lower case.
    ///
    /// ```
    /// let response = hubwire_event_handler::UserEventResponse::text("hello").metadata("mood", "good");
    /// ```
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// Keeps a state with the connection, instead of the one it has.
    ///
    /// ```
    /// use hubwire_event_handler::{ConnectionState, UserEventResponse};
    ///
    /// let state = ConnectionState::new(&serde_json::json!({ "visits": 2 }))?;
    /// let response = UserEventResponse::empty().state(state);
    /// # Ok::<(), hubwire_event_handler::StateError>(())
    /// ```
    pub fn state(mut self, state: ConnectionState) -> Self {
        self.state = Some(state);
        self
    }

    fn of(data_type: DataType, data: Bytes) -> Self {
        Self {
            payload: Payload { data_type, data },
            metadata: Vec::new(),
            state: None,
        }
    }

    pub(crate) fn into_response(self) -> Result<Response<Full<Bytes>>, ResponseError> {
        let Payload { data_type, data } = self.payload;
        let content_type = match data_type {
            DataType::Text => "text/plain; charset=utf-8",
            DataType::Json if !is_json(&data) => return Err(ResponseError::Json),
            DataType::Json => "application/json",
            DataType::Binary => "application/octet-stream",
            DataType::Protobuf if !is_any(&data) => return Err(ResponseError::Protobuf),
            DataType::Protobuf => "application/x-protobuf",
        };
        let mut response = Response::default();
        if !data.is_empty() {
            *response.body_mut() = Full::new(data);
            set_content_type(&mut response, content_type);
        }
        set_metadata(&mut response, self.metadata)?;
        set_state(&mut response, self.state.as_ref());
        Ok(response)
    }
}

fn set_content_type(response: &mut Response<Full<Bytes>>, content_type: &'static str) {
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
}

fn set_state(response: &mut Response<Full<Bytes>>, state: Option<&ConnectionState>) {
    if let Some(value) = state.and_then(ConnectionState::to_header) {
        response.headers_mut().insert(STATE, value);
    }
}

fn set_metadata(
    response: &mut Response<Full<Bytes>>,
    entries: Vec<(String, String)>,
) -> Result<(), ResponseError> {
    let mut metadata = Metadata::default();
    for (key, value) in entries {
        // The service takes what is behind the last comma.
        if value.contains(',') || value.trim() != value {
            return Err(ResponseError::MetadataValue);
        }
        metadata.insert(key.to_ascii_lowercase(), value)?;
    }
    for (key, value) in metadata.iter() {
        let name = HeaderName::try_from([METADATA_PREFIX, key].concat());
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) else {
            return Err(MetadataError::KeyCharacters(key.to_owned()).into());
        };
        response.headers_mut().insert(name, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests;

//! What clients say to the service and what it says to them, whatever the subprotocol.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use crate::metadata::Metadata;
use crate::names::{EventName, GroupName, StreamId, UserId};
use crate::payload::{DataType, Payload};
use crate::state::{GroupState, StateItem};

/// Longest message time to live. Seconds. Source: client-protocols 0.
pub const TTL_SECONDS_MAX: u16 = 300;
/// Idle timeout of a stream whose start names none. Milliseconds. Source: client-protocols 3.8.
pub const STREAM_IDLE_TIMEOUT_DEFAULT_MS: u32 = 300_000;
/// Longest idle timeout of a stream. Milliseconds. Source: client-protocols 3.8.
pub const STREAM_IDLE_TIMEOUT_MAX_MS: u32 = 3_600_000;

/// A message's payload with what travels beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The user's data.
    pub payload: Payload,
    /// Metadata, often empty.
    pub metadata: Metadata,
}

impl Content {
    /// Returns empty text without metadata.
    pub fn empty() -> Self {
        Self {
            payload: Payload {
                data_type: DataType::Text,
                data: Bytes::new(),
            },
            metadata: Metadata::default(),
        }
    }
}

impl core::convert::From<Payload> for Content {
    fn from(payload: Payload) -> Self {
        Self {
            payload,
            metadata: Metadata::default(),
        }
    }
}

impl core::convert::From<&str> for Content {
    fn from(text: &str) -> Self {
        Payload::text(text).into()
    }
}

impl core::convert::From<String> for Content {
    fn from(text: String) -> Self {
        Payload::text(text).into()
    }
}

impl core::convert::From<Bytes> for Content {
    fn from(data: Bytes) -> Self {
        Payload::binary(data).into()
    }
}

/// A client's frame. Source: client-protocols 3.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMessage {
    /// Joins a group.
    JoinGroup {
        /// The group.
        group: GroupName,
        /// Asks for an ack.
        ack_id: Option<u64>,
    },
    /// Leaves a group.
    LeaveGroup {
        /// The group.
        group: GroupName,
        /// Asks for an ack.
        ack_id: Option<u64>,
    },
    /// Publishes to a group.
    SendToGroup {
        /// The group.
        group: GroupName,
        /// What to send.
        content: Content,
        /// Leaves the sender out even if it is a member.
        no_echo: bool,
        /// Seconds that the message may wait for a receiver, up to [`TTL_SECONDS_MAX`]; 0 is for ever.
        ttl_seconds: u16,
        /// Asks for an ack.
        ack_id: Option<u64>,
    },
    /// Raises a user event.
    Event {
        /// Its name.
        event: EventName,
        /// Its data.
        content: Content,
        /// Asks for an ack.
        ack_id: Option<u64>,
    },
    /// Asks for a pong.
    Ping,
    /// Confirms everything up to a sequence id; without effect on a connection that is not reliable.
    SequenceAck {
        /// The highest sequence id received.
        sequence_id: u64,
    },
    /// Opens a stream to a group.
    StartStream {
        /// The group.
        group: GroupName,
        /// Names the stream among the connection's.
        stream: StreamId,
        /// Leaves the sender out of all of it even if it is a member.
        no_echo: bool,
        /// Milliseconds without a fragment or keep-alive after which the stream ends, from 1 to
        /// [`STREAM_IDLE_TIMEOUT_MAX_MS`].
        idle_timeout_ms: u32,
        /// The frame carries data too, which makes it a bad request.
        has_data: bool,
    },
    /// Publishes a fragment of a stream, or keeps the stream open.
    StreamData {
        /// The stream.
        stream: StreamId,
        /// The fragment with its number, from 1 on; `None` only keeps the stream open.
        fragment: Option<(u64, Payload)>,
    },
    /// Ends a stream.
    EndStream {
        /// The stream.
        stream: StreamId,
        /// Why, if not because it is complete.
        error: Option<UserStreamError>,
    },
    /// Raises a user event and wants its answer.
    Invoke {
        /// Names the invocation among the connection's, never empty.
        invocation_id: String,
        /// The event; `None` if the invocation is for something that is not an event.
        event: Option<EventName>,
        /// Its data, if any.
        content: Option<Content>,
    },
    /// No longer wants the answer to an invocation.
    CancelInvocation {
        /// The invocation.
        invocation_id: String,
    },
    /// Sets what the connection shows of itself in a group, or clears it.
    SetGroupState {
        /// The group.
        group: GroupName,
        /// The entries; `None` clears them.
        state: Option<GroupState>,
        /// Asks for an ack.
        ack_id: Option<u64>,
    },
    /// Wants the states of a group's members, now and whenever one changes.
    SubscribeGroupState {
        /// The group.
        group: GroupName,
        /// Asks for an ack.
        ack_id: Option<u64>,
    },
    /// No longer wants them.
    UnsubscribeGroupState {
        /// The group.
        group: GroupName,
        /// Asks for an ack.
        ack_id: Option<u64>,
    },
}

/// What a publisher says of a stream that it gives up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserStreamError {
    /// For people.
    pub message: Option<String>,
    /// For programs; the publisher's own.
    pub user_error_code: Option<String>,
}

/// Who a data message comes from, as its receivers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// The app server: send to all, to a user, to a connection.
    Server,
    /// A group, whoever published.
    Group {
        /// The group.
        group: GroupName,
        /// The publishing client's user, if a client published and it has one.
        user: Option<UserId>,
    },
}

/// A data message to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataMessage {
    /// Its origin.
    pub from: From,
    /// What it carries.
    pub content: Content,
    /// Which part of a stream it is, if it is one.
    pub stream: Option<Fragment>,
}

impl DataMessage {
    /// Tells whether it is the last message of a stream, which carries no data.
    pub fn is_end_of_stream(&self) -> bool {
        self.stream
            .as_ref()
            .is_some_and(|fragment| fragment.end.is_some())
    }
}

/// A message's place in a stream. Source: client-protocols 3.8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The stream, unique among those of its publisher only.
    pub stream: StreamId,
    /// The fragment's number, from 1 on. Not the sequence id of reliable connections.
    pub sequence_id: u64,
    /// Set in the last message of a stream, which carries no data.
    pub end: Option<StreamEnd>,
}

/// How a stream ended, as its subscribers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEnd {
    /// Why, if not because it is complete.
    pub error: Option<StreamError>,
}

/// Why a stream ended early, as its subscribers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamError {
    /// What went wrong, for programs.
    pub name: StreamErrorName,
    /// What went wrong, for people, and the publisher's own code.
    pub details: UserStreamError,
}

/// Why a stream is refused, a fragment is, or a stream ended early. Source: client-protocols 3.8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamErrorName {
    /// The publisher has no permission, or no longer.
    Forbidden,
    /// The stream exists already, there are too many, or its start carries data.
    BadRequest,
    /// Fragments are missing before this one.
    InvalidSequenceId,
    /// There is no such stream.
    StreamNotFound,
    /// Nothing came for the stream's idle timeout.
    IdleTimeout,
    /// The publisher said so.
    UserError,
    /// The publisher is gone.
    Cancelled,
}

impl StreamErrorName {
    /// Returns the name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forbidden => "Forbidden",
            Self::BadRequest => "BadRequest",
            Self::InvalidSequenceId => "InvalidSequenceId",
            Self::StreamNotFound => "StreamNotFound",
            Self::IdleTimeout => "IdleTimeout",
            Self::UserError => "UserError",
            Self::Cancelled => "Cancelled",
        }
    }
}

/// States of members of a group, to a connection that has subscribed to them. Numbered and replayed like data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStateMessage {
    /// The group.
    pub group: GroupName,
    /// All that there are, instead of those that have changed.
    pub is_snapshot: bool,
    /// The states.
    pub items: Vec<StateItem>,
}

/// Why a request with an ack id failed. Source: client-protocols 3.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckErrorName {
    /// The connection has no permission.
    Forbidden,
    /// The request could not be carried out; it may be repeated with the same ack id.
    InternalServerError,
    /// A request with this ack id has succeeded before.
    Duplicate,
}

impl AckErrorName {
    /// Returns the name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forbidden => "Forbidden",
            Self::InternalServerError => "InternalServerError",
            Self::Duplicate => "Duplicate",
        }
    }
}

/// The failed outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckError {
    /// What went wrong, for programs.
    pub name: AckErrorName,
    /// What went wrong, for people.
    pub message: String,
}

/// A service's frame that is not data and goes to one connection.
#[derive(Clone, Debug)]
pub enum ControlMessage<'a> {
    /// The first frame of a connection.
    Connected {
        /// The connection's id.
        connection_id: &'a str,
        /// Its user, if any.
        user: Option<&'a UserId>,
        /// What a new socket proves with that it continues this connection; reliable ones only.
        reconnection_token: Option<&'a str>,
    },
    /// The last frame before a close that the application or the operator asked for.
    Disconnected {
        /// Why.
        message: &'a str,
    },
    /// The answer to a request with an ack id.
    Ack {
        /// The client's number.
        ack_id: u64,
        /// How it went.
        outcome: Result<(), &'a AckError>,
    },
    /// The answer to a ping.
    Pong,
    /// The answer to an invocation.
    InvokeResponse {
        /// The client's name for it.
        invocation_id: &'a str,
        /// What was answered, if anything; on failure a name for programs and a text for people.
        outcome: Result<Option<&'a Content>, NamedError<'a>>,
    },
    /// Confirms the fragments of a stream before a number.
    StreamAck {
        /// The stream.
        stream: &'a StreamId,
        /// The number of the next fragment.
        expected_sequence_id: u64,
    },
    /// Refuses a fragment; the stream stays open.
    StreamNack {
        /// The stream.
        stream: &'a StreamId,
        /// The number of the next fragment.
        expected_sequence_id: u64,
        /// Why.
        error: NamedError<'a>,
    },
    /// A stream is closed, or never was open.
    StreamClosed {
        /// The stream.
        stream: &'a StreamId,
        /// Why, if not because its publisher ended it.
        error: Option<NamedError<'a>>,
    },
}

/// An error with a name for programs and a text for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedError<'a> {
    /// The name.
    pub name: &'a str,
    /// The text.
    pub message: &'a str,
}

/// A service's frame as a client reads it. Names of errors are texts, since the service may have more of them than are known here.
/// Source: client-protocols 3.5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceMessage {
    /// The first frame of a connection, or of a socket that recovered it.
    Connected {
        /// The connection's id.
        connection_id: String,
        /// Its user, if any.
        user_id: Option<String>,
        /// What recovers the connection; reliable ones only.
        reconnection_token: Option<ReconnectionToken>,
    },
    /// The last frame before a close that was asked for.
    Disconnected {
        /// Why.
        message: String,
    },
    /// The answer to a request with an ack id.
    Ack {
        /// The client's number.
        ack_id: u64,
        /// How it went.
        outcome: Result<(), ReceivedError>,
    },
    /// The answer to a ping.
    Pong,
    /// The answer to an invocation.
    InvokeResponse {
        /// The client's name for it.
        invocation_id: String,
        /// What was answered, if anything.
        outcome: Result<Option<Content>, ReceivedError>,
    },
    /// Confirms the fragments of a stream before a number.
    StreamAck {
        /// The stream.
        stream: String,
        /// The number of the next fragment.
        expected_sequence_id: u64,
    },
    /// Refuses a fragment; the stream stays open.
    StreamNack {
        /// The stream.
        stream: String,
        /// The number of the next fragment.
        expected_sequence_id: u64,
        /// Why.
        error: ReceivedError,
    },
    /// A stream is closed, or never was open.
    StreamClosed {
        /// The stream.
        stream: String,
        /// Why, if not because its publisher ended it.
        error: Option<ReceivedError>,
    },
    /// A data message.
    Data(ReceivedData),
    /// States of members of a group.
    GroupState {
        /// The group.
        group: String,
        /// All that there are, instead of those that have changed.
        is_snapshot: bool,
        /// The states.
        items: Vec<ReceivedStateItem>,
        /// The connection's number for it; reliable ones only.
        sequence_id: Option<u64>,
    },
    /// A kind of frame that is not known here, to be skipped.
    Unknown,
}

/// What recovers a reliable connection. A secret: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ReconnectionToken(String);

impl ReconnectionToken {
    /// Takes the text that the service gave.
    pub fn new(token: String) -> Self {
        Self(token)
    }

    /// Returns the text, to be sent to the service and nowhere else.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ReconnectionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReconnectionToken(..)")
    }
}

/// An error of the service with a name for programs and a text for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceivedError {
    /// The name.
    pub name: String,
    /// The text.
    pub message: String,
}

/// A data message as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedData {
    /// Its origin.
    pub from: ReceivedFrom,
    /// What it carries.
    pub content: Content,
    /// Which part of a stream it is, if it is one.
    pub stream: Option<ReceivedFragment>,
    /// The connection's number for it; reliable ones only.
    pub sequence_id: Option<u64>,
}

/// Who a data message comes from, as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceivedFrom {
    /// The app server.
    Server,
    /// A group.
    Group {
        /// The group.
        group: String,
        /// The publishing client's user, if it has one; protobuf never tells.
        user_id: Option<String>,
    },
}

/// A message's place in a stream, as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedFragment {
    /// The stream, unique among those of its publisher only.
    pub stream: String,
    /// The fragment's number, from 1 on.
    pub sequence_id: u64,
    /// Set in the last message of a stream, which carries no data.
    pub end: Option<ReceivedStreamEnd>,
}

/// How a stream ended, as a client reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceivedStreamEnd {
    /// Why, if not because it is complete.
    pub error: Option<ReceivedError>,
    /// The publisher's own code.
    pub user_error_code: Option<String>,
}

/// The state of one connection in a group, as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedStateItem {
    /// The connection's id.
    pub connection_id: String,
    /// Its user, if any.
    pub user_id: Option<String>,
    /// The entries; `None` where they were cleared.
    pub state: Option<BTreeMap<String, String>>,
    /// Milliseconds since 1970.
    pub updated_at: u64,
}

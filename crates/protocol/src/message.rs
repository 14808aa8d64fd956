//! What clients say to the service and what it says to them, whatever the subprotocol.

use crate::metadata::Metadata;
use crate::names::{EventName, GroupName, UserId};
use crate::payload::Payload;

/// Longest message time to live. Seconds. Source: client-protocols 0.
pub const TTL_SECONDS_MAX: u16 = 300;

/// A message's payload with what travels beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The user's data.
    pub payload: Payload,
    /// Metadata, often empty.
    pub metadata: Metadata,
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
}

//! The closed set of client formats, how one is chosen, and the dispatch to the codecs below.

pub mod json;
pub mod protobuf;
mod sequence;

pub use sequence::{Envelope, NumberHead, Unnumbered};

use bytes::Bytes;

use crate::message::{
    ClientMessage, ControlMessage, DataMessage, GroupStateMessage, ServiceMessage,
};
use crate::payload::DataType;

/// What a connection speaks. Source: client-protocols 1.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subprotocol {
    /// No envelope: payloads as they are.
    Simple,
    /// `json.webpubsub.azure.v1`.
    Json,
    /// `json.reliable.webpubsub.azure.v1`.
    ReliableJson,
    /// `protobuf.webpubsub.azure.v1`.
    Protobuf,
    /// `protobuf.reliable.webpubsub.azure.v1`.
    ReliableProtobuf,
}

/// How a subprotocol writes its frames; the reliable ones add a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Payloads as they are.
    Simple,
    /// JSON objects in text messages.
    Json,
    /// Protocol buffers in binary messages.
    Protobuf,
}

/// Whether an encoded message goes out as text or as binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireKind {
    /// A WebSocket text message.
    Text,
    /// A WebSocket binary message.
    Binary,
}

/// The frame is not one of its subprotocol; the connection is closed with 1007. The text says what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidMessage(pub(crate) &'static str);

impl Subprotocol {
    /// All of them, each at its [`Subprotocol::index`].
    pub const ALL: [Self; 5] = [
        Self::Simple,
        Self::Json,
        Self::ReliableJson,
        Self::Protobuf,
        Self::ReliableProtobuf,
    ];
    /// How many there are; [`Subprotocol::index`] stays below.
    pub const COUNT: usize = Self::ALL.len();

    /// Returns the registered name; simple clients have none.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Simple => None,
            Self::Json => Some("json.webpubsub.azure.v1"),
            Self::ReliableJson => Some("json.reliable.webpubsub.azure.v1"),
            Self::Protobuf => Some("protobuf.webpubsub.azure.v1"),
            Self::ReliableProtobuf => Some("protobuf.reliable.webpubsub.azure.v1"),
        }
    }

    /// Returns a dense number for tables with one entry a subprotocol.
    pub fn index(self) -> usize {
        self as usize
    }

    /// Returns how its frames are written.
    pub fn format(self) -> Format {
        match self {
            Self::Simple => Format::Simple,
            Self::Json | Self::ReliableJson => Format::Json,
            Self::Protobuf | Self::ReliableProtobuf => Format::Protobuf,
        }
    }

    /// Tells whether messages are numbered, and a connection outlives its socket.
    pub fn is_reliable(self) -> bool {
        matches!(self, Self::ReliableJson | Self::ReliableProtobuf)
    }

    /// Chooses from the client's list, in its order: the first name that is one of ours, whatever its letter case.
    /// Returns it with the client's spelling, which the answer echoes; `None` means a simple client.
    pub fn negotiate<'a>(offered: impl IntoIterator<Item = &'a str>) -> Option<(Self, &'a str)> {
        offered.into_iter().find_map(|offered| {
            let is_offered = |subprotocol: &Self| {
                subprotocol
                    .name()
                    .is_some_and(|name| name.eq_ignore_ascii_case(offered))
            };
            let subprotocol = Self::ALL.into_iter().find(is_offered)?;
            Some((subprotocol, offered))
        })
    }
}

impl Format {
    /// Encodes a data message, without number.
    pub fn encode_data(self, message: &DataMessage) -> (WireKind, Bytes) {
        match self {
            Self::Simple => {
                let payload = &message.content.payload;
                let kind = match payload.data_type {
                    DataType::Json => WireKind::Text,
                    DataType::Text => return (WireKind::Text, valid_text(&payload.data)),
                    DataType::Binary | DataType::Protobuf => WireKind::Binary,
                };
                (kind, payload.data.clone())
            }
            Self::Json => (WireKind::Text, json::encode_data(message)),
            Self::Protobuf => (WireKind::Binary, protobuf::encode_data(message)),
        }
    }

    /// Encodes states of a group, without number; `None` where the format has no such frame.
    pub fn encode_group_state(self, message: &GroupStateMessage) -> Option<(WireKind, Bytes)> {
        match self {
            Self::Simple => None,
            Self::Json => Some((WireKind::Text, json::encode_group_state(message))),
            Self::Protobuf => Some((WireKind::Binary, protobuf::encode_group_state(message))),
        }
    }

    /// Encodes a message to one connection; `None` where the format has no such frame.
    pub fn encode_control(self, message: &ControlMessage<'_>) -> Option<(WireKind, Bytes)> {
        match self {
            Self::Simple => None,
            Self::Json => Some((WireKind::Text, json::encode_control(message))),
            Self::Protobuf => Some((WireKind::Binary, protobuf::encode_control(message))),
        }
    }

    /// Encodes a client's frame. `None` where no client of the format can say so: in the simple one nothing, in the others an invocation
    /// without an event and the start of a stream with data.
    pub fn encode_client(self, message: &ClientMessage) -> Option<(WireKind, Bytes)> {
        match self {
            Self::Simple => None,
            Self::Json => Some((WireKind::Text, json::encode_client(message)?)),
            Self::Protobuf => Some((WireKind::Binary, protobuf::encode_client(message)?)),
        }
    }

    /// Parses a frame of the service, sequence id included.
    ///
    /// # Errors
    ///
    /// [`InvalidMessage`] for a frame that is not one of the format; the simple format has none.
    pub fn parse_service(
        self,
        kind: WireKind,
        frame: Bytes,
    ) -> Result<ServiceMessage, InvalidMessage> {
        match (self, kind) {
            (Self::Json, WireKind::Text) => json::parse_service(&frame),
            (Self::Protobuf, WireKind::Binary) => protobuf::parse_service(frame),
            (Self::Simple, _) => Err(InvalidMessage("the simple format has no frames")),
            (Self::Json, WireKind::Binary) => Err(InvalidMessage("not a text message")),
            (Self::Protobuf, WireKind::Text) => Err(InvalidMessage("not a binary message")),
        }
    }
}

/// A text frame must be UTF-8, and REST does not check what it takes as text: what is not becomes U+FFFD.
fn valid_text(data: &Bytes) -> Bytes {
    match std::str::from_utf8(data) {
        Ok(_) => data.clone(),
        Err(_) => String::from_utf8_lossy(data).into_owned().into(),
    }
}

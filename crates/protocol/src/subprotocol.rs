//! The closed set of client formats, how one is chosen, and the dispatch to the codecs below.

pub mod json;

use crate::message::{ControlMessage, DataMessage};
use crate::payload::DataType;
use bytes::Bytes;

/// The format a connection speaks. Source: client-protocols 1.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subprotocol {
    /// No envelope: payloads as they are.
    Simple,
    /// `json.webpubsub.azure.v1`.
    Json,
}

/// Whether an encoded message goes out as text or as binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireKind {
    /// A WebSocket text message.
    Text,
    /// A WebSocket binary message.
    Binary,
}

impl Subprotocol {
    /// How many there are; [`Subprotocol::index`] stays below.
    pub const COUNT: usize = 2;

    /// Returns the registered name; simple clients have none.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Simple => None,
            Self::Json => Some(json::NAME),
        }
    }

    /// Returns a dense number for tables with one entry a subprotocol.
    pub fn index(self) -> usize {
        match self {
            Self::Simple => 0,
            Self::Json => 1,
        }
    }

    /// Chooses from the client's list, in its order: the first name that is one of ours, whatever its letter case.
    /// Returns it with the client's spelling, which the answer echoes; `None` means a simple client.
    pub fn negotiate<'a>(offered: impl IntoIterator<Item = &'a str>) -> Option<(Self, &'a str)> {
        offered.into_iter().find_map(|name| {
            name.eq_ignore_ascii_case(json::NAME)
                .then_some((Self::Json, name))
        })
    }

    /// Encodes a data message.
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
        }
    }

    /// Encodes a message to one connection; `None` where the format has no such frame.
    pub fn encode_control(self, message: &ControlMessage<'_>) -> Option<(WireKind, Bytes)> {
        match self {
            Self::Simple => None,
            Self::Json => Some((WireKind::Text, json::encode_control(message))),
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

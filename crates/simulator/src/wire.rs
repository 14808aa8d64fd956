//! What goes over the wire, read and written without the codecs of `hubwire-protocol`: they are under test here too.

mod json;
mod protobuf;

use bytes::Bytes;
use hubwire_protocol::payload::DataType;
use hubwire_protocol::subprotocol::{Format, Subprotocol, WireKind};

/// The event that clients of subprotocols raise.
pub(crate) const EVENT: &str = "deed";

/// Entries of a group state, sorted.
pub(crate) type Entries = Vec<(String, String)>;

/// A client's frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClientFrame {
    Join {
        group: &'static str,
        ack_id: Option<u64>,
    },
    Leave {
        group: &'static str,
        ack_id: Option<u64>,
    },
    Send {
        group: &'static str,
        data_type: DataType,
        data: Bytes,
        no_echo: bool,
        ttl_seconds: u16,
        ack_id: Option<u64>,
    },
    StartStream {
        stream: String,
        group: &'static str,
        no_echo: bool,
        idle_timeout_ms: u32,
    },
    Fragment {
        stream: String,
        sequence_id: u64,
        data: Bytes,
    },
    KeepStream {
        stream: String,
    },
    EndStream {
        stream: String,
        is_failed: bool,
    },
    SetState {
        group: &'static str,
        state: Option<Entries>,
        ack_id: Option<u64>,
    },
    Watch {
        group: &'static str,
        ack_id: Option<u64>,
    },
    Unwatch {
        group: &'static str,
        ack_id: Option<u64>,
    },
    Event {
        data_type: DataType,
        data: Bytes,
        ack_id: Option<u64>,
    },
    Invoke {
        id: String,
        data_type: DataType,
        data: Bytes,
    },
    Cancel {
        id: String,
    },
    SequenceAck(u64),
    Ping,
    /// What a simple client sends.
    Bare {
        is_text: bool,
        data: Bytes,
    },
    /// Nothing that a subprotocol knows.
    Nonsense,
}

impl ClientFrame {
    pub(crate) fn ack_id(&self) -> Option<u64> {
        match self {
            Self::Join { ack_id, .. }
            | Self::Leave { ack_id, .. }
            | Self::Send { ack_id, .. }
            | Self::SetState { ack_id, .. }
            | Self::Watch { ack_id, .. }
            | Self::Unwatch { ack_id, .. }
            | Self::Event { ack_id, .. } => *ack_id,
            Self::StartStream { .. }
            | Self::Fragment { .. }
            | Self::KeepStream { .. }
            | Self::EndStream { .. }
            | Self::Invoke { .. }
            | Self::Cancel { .. }
            | Self::SequenceAck(_)
            | Self::Ping
            | Self::Bare { .. }
            | Self::Nonsense => None,
        }
    }

    /// Tells whether it is handled while an event before it waits for its answer. Source: client-protocols 3.7.
    pub(crate) fn passes_events(&self) -> bool {
        matches!(
            self,
            Self::Ping | Self::SequenceAck(_) | Self::Invoke { .. } | Self::Cancel { .. }
        )
    }

    pub(crate) fn encode(&self, subprotocol: Subprotocol) -> (WireKind, Vec<u8>) {
        match (self, subprotocol.format()) {
            (Self::Bare { is_text, data }, _) => match is_text {
                true => (WireKind::Text, data.to_vec()),
                false => (WireKind::Binary, data.to_vec()),
            },
            (_, Format::Protobuf) => (WireKind::Binary, protobuf::encode(self)),
            (_, Format::Json | Format::Simple) => (WireKind::Text, json::encode(self).into_bytes()),
        }
    }
}

/// A frame of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServiceFrame {
    Connected {
        id: String,
        user: Option<String>,
        token: Option<String>,
    },
    Disconnected,
    Ack {
        ack_id: u64,
        error: Option<String>,
    },
    Pong,
    StreamAck {
        stream: String,
        expected: u64,
    },
    StreamNack {
        stream: String,
        expected: u64,
        name: String,
    },
    StreamClosed {
        stream: String,
        error: Option<String>,
    },
    /// What came of an invocation: data, if there is some, or the name of an error.
    InvokeResponse {
        id: String,
        outcome: Result<Option<(DataType, Bytes)>, String>,
    },
    Data(Data),
    States(States),
    /// What a simple client gets.
    Bare {
        is_text: bool,
        data: Bytes,
    },
}

/// A data message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Data {
    pub(crate) sequence_id: Option<u64>,
    /// Absent if the app server sent it.
    pub(crate) group: Option<String>,
    /// The sender's user, in formats that tell.
    pub(crate) user: Option<Option<String>>,
    pub(crate) data_type: DataType,
    pub(crate) data: Bytes,
    pub(crate) part: Option<Part>,
}

impl Data {
    pub(crate) fn stream(&self) -> Option<&String> {
        self.part.as_ref().map(|part| &part.stream)
    }
}

/// The place of a message in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) stream: String,
    pub(crate) sequence_id: u64,
    /// Set at the end, with the name of the error if it is one.
    pub(crate) end: Option<Option<String>>,
}

/// States of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct States {
    pub(crate) sequence_id: Option<u64>,
    pub(crate) group: String,
    pub(crate) is_snapshot: bool,
    pub(crate) items: Vec<StateItem>,
}

/// What a connection shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateItem {
    pub(crate) connection: String,
    pub(crate) user: Option<String>,
    pub(crate) state: Option<Entries>,
    pub(crate) updated_at: u64,
}

impl ServiceFrame {
    pub(crate) fn sequence_id(&self) -> Option<u64> {
        match self {
            Self::Data(data) => data.sequence_id,
            Self::States(states) => states.sequence_id,
            Self::Connected { .. }
            | Self::Disconnected
            | Self::Ack { .. }
            | Self::Pong
            | Self::StreamAck { .. }
            | Self::StreamNack { .. }
            | Self::StreamClosed { .. }
            | Self::InvokeResponse { .. }
            | Self::Bare { .. } => None,
        }
    }

    /// Reads a frame; the text says what is wrong with it.
    pub(crate) fn decode(format: Format, is_text: bool, payload: &[u8]) -> Result<Self, String> {
        match (format, is_text) {
            (Format::Simple, _) => Ok(Self::Bare {
                is_text,
                data: Bytes::copy_from_slice(payload),
            }),
            (Format::Json, true) => json::decode(payload),
            (Format::Protobuf, false) => protobuf::decode(payload),
            (Format::Json, false) => Err("a JSON client got a binary message".to_owned()),
            (Format::Protobuf, true) => Err("a protobuf client got a text message".to_owned()),
        }
    }
}

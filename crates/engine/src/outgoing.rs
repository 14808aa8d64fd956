use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hubwire_protocol::message::DataMessage;
use hubwire_protocol::subprotocol::{Subprotocol, WireKind};

use crate::timers::Time;

/// What a [`Frame`] is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A text message.
    Text,
    /// A binary message.
    Binary,
    /// A ping.
    Ping,
    /// A pong.
    Pong,
    /// A close frame; nothing follows it.
    Close,
}

/// An encoded frame without its WebSocket head, shared by all sockets that send it. The size of one pointer.
#[derive(Clone, Debug)]
pub struct Frame(Arc<(FrameKind, Bytes)>);

impl Frame {
    /// Makes a frame.
    pub fn new(kind: FrameKind, payload: Bytes) -> Self {
        Self(Arc::new((kind, payload)))
    }

    /// Returns what it is on the wire.
    pub fn kind(&self) -> FrameKind {
        self.0.0
    }

    /// Returns the payload.
    pub fn payload(&self) -> &Bytes {
        &self.0.1
    }
}

impl From<(WireKind, Bytes)> for Frame {
    fn from((kind, payload): (WireKind, Bytes)) -> Self {
        let kind = match kind {
            WireKind::Text => FrameKind::Text,
            WireKind::Binary => FrameKind::Binary,
        };
        Self::new(kind, payload)
    }
}

/// A message on its way to any number of receivers in any number of shards, encoded at most once for each subprotocol by the
/// first receiver that needs it.
#[derive(Debug)]
pub struct Message {
    data: DataMessage,
    expires: Option<Time>,
    frames: [OnceLock<Frame>; Subprotocol::COUNT],
}

impl Message {
    /// Makes a message that may wait for a receiver for `ttl_seconds` from `now` on; 0 is for ever.
    pub fn new(data: DataMessage, now: Time, ttl_seconds: u16) -> Self {
        Self {
            data,
            expires: (ttl_seconds > 0).then(|| now.after_ms(u64::from(ttl_seconds) * 1000)),
            frames: [const { OnceLock::new() }; Subprotocol::COUNT],
        }
    }

    /// Returns the frame that receivers of this subprotocol get.
    pub fn frame(&self, subprotocol: Subprotocol) -> &Frame {
        self.frames[subprotocol.index()].get_or_init(|| subprotocol.encode_data(&self.data).into())
    }

    /// Returns the moment from which on it is no longer sent to anybody.
    pub fn expires(&self) -> Option<Time> {
        self.expires
    }
}

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hubwire_protocol::message::{DataMessage, GroupStateMessage};
use hubwire_protocol::subprotocol::{Envelope, Format, Subprotocol, Unnumbered, WireKind};

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
pub struct Frame(Arc<Encoded>);

#[derive(Debug)]
struct Encoded {
    kind: FrameKind,
    payload: Bytes,
    envelope: Option<Envelope>,
    expires: Option<Time>,
    /// How many shards keep it for reliable connections.
    keepers: AtomicU32,
}

impl Frame {
    /// Makes a frame that is complete and does not expire.
    pub fn new(kind: FrameKind, payload: Bytes) -> Self {
        Self::with(kind, payload, None, None)
    }

    /// Makes a frame; with an envelope `payload` is what follows the number, and from `expires` on it is no longer sent.
    pub fn with(
        kind: FrameKind,
        payload: Bytes,
        envelope: Option<Envelope>,
        expires: Option<Time>,
    ) -> Self {
        Self(Arc::new(Encoded {
            kind,
            payload,
            envelope,
            expires,
            keepers: AtomicU32::new(0),
        }))
    }

    /// Counts a shard more that keeps it. Returns the bytes that this takes: those of the payload for the first one.
    pub(crate) fn keep(&self) -> usize {
        match self.0.keepers.fetch_add(1, Ordering::Relaxed) {
            0 => self.0.payload.len(),
            _ => 0,
        }
    }

    /// Counts a shard less that keeps it. Returns the bytes that this gives back.
    pub(crate) fn let_go(&self) -> usize {
        match self.0.keepers.fetch_sub(1, Ordering::Relaxed) {
            1 => self.0.payload.len(),
            _ => 0,
        }
    }

    /// Returns what it is on the wire.
    pub fn kind(&self) -> FrameKind {
        self.0.kind
    }

    /// Returns the payload; of a numbered frame what follows its number.
    pub fn payload(&self) -> &Bytes {
        &self.0.payload
    }

    /// Returns what turns the payload into a whole frame with its receiver's number, for a frame that has one.
    pub fn envelope(&self) -> Option<Envelope> {
        self.0.envelope
    }

    /// Returns the moment from which on it is no longer sent.
    pub fn expires(&self) -> Option<Time> {
        self.0.expires
    }

    /// Tells whether it is too late to send it.
    pub fn is_expired(&self, now: Time) -> bool {
        self.0.expires.is_some_and(|expires| expires <= now)
    }
}

impl From<(WireKind, Bytes)> for Frame {
    fn from((kind, payload): (WireKind, Bytes)) -> Self {
        Self::new(kind.into(), payload)
    }
}

impl From<WireKind> for FrameKind {
    fn from(kind: WireKind) -> Self {
        match kind {
            WireKind::Text => Self::Text,
            WireKind::Binary => Self::Binary,
        }
    }
}

/// A message on its way to any number of receivers in any number of shards, encoded at most once for each format by the first
/// receiver that needs it.
#[derive(Debug)]
pub struct Message {
    body: Body,
    expires: Option<Time>,
    frames: [OnceLock<Option<Frame>>; Subprotocol::COUNT],
}

#[derive(Debug)]
enum Body {
    Data(DataMessage),
    GroupState(GroupStateMessage),
}

impl Message {
    /// Makes a message that may wait for a receiver for `ttl_seconds` from `now` on; 0 is for ever.
    pub fn new(data: DataMessage, now: Time, ttl_seconds: u16) -> Self {
        Self::with(
            Body::Data(data),
            (ttl_seconds > 0).then(|| now.after_ms(u64::from(ttl_seconds) * 1000)),
        )
    }

    /// Makes a message with states of a group.
    pub(crate) fn group_state(states: GroupStateMessage) -> Self {
        Self::with(Body::GroupState(states), None)
    }

    fn with(body: Body, expires: Option<Time>) -> Self {
        Self {
            body,
            expires,
            frames: [const { OnceLock::new() }; Subprotocol::COUNT],
        }
    }

    /// Returns the frame that receivers of this subprotocol get, if they get any.
    pub fn frame(&self, subprotocol: Subprotocol) -> Option<&Frame> {
        self.frames[subprotocol.index()]
            .get_or_init(|| self.encode(subprotocol))
            .as_ref()
    }

    fn encode(&self, subprotocol: Subprotocol) -> Option<Frame> {
        let (kind, payload, envelope) = match subprotocol {
            Subprotocol::ReliableJson => self.numbered(Subprotocol::Json)?,
            Subprotocol::ReliableProtobuf => self.numbered(Subprotocol::Protobuf)?,
            Subprotocol::Simple | Subprotocol::Json | Subprotocol::Protobuf => {
                let (kind, payload) = self.plain(subprotocol.format())?;
                (kind.into(), payload, None)
            }
        };
        Some(Frame::with(kind, payload, envelope, self.expires))
    }

    fn plain(&self, format: Format) -> Option<(WireKind, Bytes)> {
        match &self.body {
            // The end of a stream says nothing to those who see only payloads.
            Body::Data(data) if format == Format::Simple && data.is_end_of_stream() => None,
            Body::Data(data) => Some(format.encode_data(data)),
            Body::GroupState(states) => format.encode_group_state(states),
        }
    }

    /// The body of a numbered frame is a part of the plain one.
    fn numbered(&self, plain: Subprotocol) -> Option<(FrameKind, Bytes, Option<Envelope>)> {
        let frame = self.frame(plain)?;
        let Unnumbered { body, envelope } = Unnumbered::of(plain.format(), frame.payload())?;
        Some((frame.kind(), body, Some(envelope)))
    }
}

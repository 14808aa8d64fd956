//! Reads a stream of frames as owned events.

use hubwire_ws::{DecodeError, Decoder, Event, MessageKind, Progress};

/// A limit that no test comes near.
pub(crate) const NO_LIMIT: usize = 1 << 24;

/// What [`Event`] says, without borrowing from the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// A close frame.
    Close(Option<u16>, String),
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Message {
                kind: MessageKind::Text,
                payload,
            } => Self::Text(String::from_utf8(payload.to_vec()).expect("a text message is UTF-8")),
            Event::Message {
                kind: MessageKind::Binary,
                payload,
            } => Self::Binary(payload.to_vec()),
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong(payload) => Self::Pong(payload.to_vec()),
            Event::Close { code, reason } => Self::Close(code, reason.to_owned()),
        }
    }
}

/// The receiving side of a socket: a decoder with the bytes that it has not taken yet.
#[derive(Debug)]
pub(crate) struct Receiver {
    decoder: Decoder,
    waiting: Vec<u8>,
    needed: usize,
    message_max: usize,
}

impl Receiver {
    /// Makes one with a limit for messages.
    pub(crate) fn new(message_max: usize) -> Self {
        Self {
            decoder: Decoder::default(),
            waiting: Vec::new(),
            needed: 0,
            message_max,
        }
    }

    /// Appends bytes and returns the events that they complete. The decoder is only asked when it has what it needed.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Vec<Seen>, DecodeError> {
        self.waiting.extend_from_slice(bytes);
        let mut seen = Vec::new();
        while self.waiting.len() >= self.needed {
            match self.decoder.decode(&mut self.waiting, self.message_max)? {
                Progress::Event { event, consumed } => {
                    seen.push(event.into());
                    self.waiting.drain(..consumed);
                    self.needed = 0;
                }
                Progress::Fragment { consumed } => {
                    self.waiting.drain(..consumed);
                    self.needed = 0;
                }
                Progress::Incomplete { needed } => {
                    assert!(
                        needed > self.waiting.len(),
                        "asked for no more than is there"
                    );
                    self.needed = needed;
                }
            }
        }
        Ok(seen)
    }
}

/// Decodes a whole stream that is there at once.
pub(crate) fn decode_all(bytes: &[u8], message_max: usize) -> Result<Vec<Seen>, DecodeError> {
    Receiver::new(message_max).receive(bytes)
}

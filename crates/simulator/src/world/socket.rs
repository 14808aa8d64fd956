//! A client's socket: what waits, what is on its way in both directions, and how far it is closed.

use std::collections::VecDeque;
use std::rc::Rc;

use hubwire_engine::{ConnectionKey, Fault};

use crate::wire::{ClientFrame, ServiceFrame};

/// Frames and bytes above the limits that a reliable connection may have waiting. Source: client-protocols 0.
const CONTROL_MESSAGES: usize = 32;
const CONTROL_BYTES: usize = 64 * 1024;

/// Something for the client.
#[derive(Clone, Debug)]
pub(crate) enum Down {
    Frame {
        frame: Rc<ServiceFrame>,
        len: usize,
        expires: Option<u64>,
    },
    Close(Option<u16>),
}

/// Something from the client.
#[derive(Clone, Debug)]
pub(crate) enum Up {
    Frame(ClientFrame),
    /// Bytes that break the rules below the subprotocol.
    Broken(Fault),
    Close(Option<u16>),
}

#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) key: ConnectionKey,
    pub(crate) client: usize,
    pub(crate) is_attached: bool,
    /// The client is gone; the service has not noticed.
    pub(crate) is_cut: bool,
    /// What the client sends is no longer understood, and thrown away.
    pub(crate) is_deaf: bool,
    /// The client's close frame has come.
    pub(crate) peer_closed: bool,
    pub(crate) is_overflowed: bool,
    /// The service does not read it: as much as may waits behind an event.
    pub(crate) is_reading_held: bool,
    /// A close frame is queued, nothing follows it.
    pub(crate) is_closing: bool,
    messages_max: usize,
    bytes_max: usize,
    queue: VecDeque<Down>,
    pub(crate) down: VecDeque<Down>,
    pub(crate) up: VecDeque<Up>,
}

impl Down {
    fn len(&self) -> usize {
        match self {
            Self::Frame { len, .. } => *len,
            Self::Close(_) => 0,
        }
    }

    fn is_expired(&self, now: u64) -> bool {
        match self {
            Self::Frame { expires, .. } => expires.is_some_and(|expires| expires <= now),
            Self::Close(_) => false,
        }
    }
}

impl Socket {
    pub(crate) fn new(key: ConnectionKey, client: usize, messages: usize, bytes: usize) -> Self {
        Self {
            key,
            client,
            is_attached: false,
            is_cut: false,
            is_deaf: false,
            peer_closed: false,
            is_overflowed: false,
            is_reading_held: false,
            is_closing: false,
            messages_max: messages,
            bytes_max: bytes,
            queue: VecDeque::new(),
            down: VecDeque::new(),
            up: VecDeque::new(),
        }
    }

    /// Makes room for all that a reliable connection may be sent at once.
    pub(crate) fn with_replay(mut self, messages: usize, bytes: usize) -> Self {
        self.messages_max = self.messages_max.max(messages) + CONTROL_MESSAGES;
        self.bytes_max = self.bytes_max.max(bytes) + CONTROL_BYTES;
        self
    }

    /// Queues a frame. False if there is no room even after a write.
    pub(crate) fn push(&mut self, down: Down, pipe_bytes: usize, now: u64) -> bool {
        if !self.has_room(down.len()) {
            self.write(pipe_bytes, now);
            self.queue.retain(|waiting| !waiting.is_expired(now));
        }
        let has_room = self.has_room(down.len());
        if has_room {
            self.queue.push_back(down);
        }
        has_room
    }

    pub(crate) fn push_close(&mut self, code: Option<u16>) {
        self.is_closing = true;
        self.queue.push_back(Down::Close(code));
    }

    fn has_room(&self, len: usize) -> bool {
        let bytes: usize = self.queue.iter().map(Down::len).sum();
        self.queue.len() < self.messages_max && bytes + len <= self.bytes_max
    }

    /// Sends what the network takes.
    pub(crate) fn write(&mut self, pipe_bytes: usize, now: u64) {
        if !self.is_attached {
            return;
        }
        let mut flying: usize = self.down.iter().map(Down::len).sum();
        while let Some(first) = self.queue.front() {
            if first.is_expired(now) {
                self.queue.pop_front();
                continue;
            }
            if !self.down.is_empty() && flying + first.len() > pipe_bytes {
                return;
            }
            flying += first.len();
            self.down.extend(self.queue.pop_front());
        }
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.queue.is_empty() && self.down.is_empty()
    }

    /// Tells whether both sides have closed.
    pub(crate) fn is_finished(&self) -> bool {
        self.is_closing && self.peer_closed && self.queue.is_empty()
    }
}

//! A client's socket: owned by its shard for life, with what is waiting to be sent and the rest of an unfinished frame.

mod io;
mod output;
#[cfg(test)]
mod tests;
mod turn;

pub(crate) use io::Io;
pub(crate) use output::{Queue, QueueLimits};
pub(crate) use turn::Turn;

use bytes::Bytes;
use hubwire_engine::{ConnectionKey, FrameId, Time};
use hubwire_ws::Decoder;

/// A socket on its way from the upgrade to its connection's shard.
#[derive(Debug)]
pub(crate) struct Attach {
    /// The connection.
    pub(crate) key: ConnectionKey,
    /// The bare socket, with its TLS state if it has one.
    pub(crate) io: Io,
    /// What came with the upgrade request: bytes that will raise no readiness.
    pub(crate) received: Bytes,
}

/// How far the closing of a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// It is open.
    No,
    /// Our close frame is queued; nothing is queued behind it.
    Queued,
    /// Our close frame is written.
    Sent,
}

/// What came of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// All there was, or all that the socket takes now.
    Ok,
    /// The close frame is out and the peer's is in, or the peer cannot send one any more: the socket is done.
    Finished,
    /// The socket is broken.
    Broken,
}

/// A client's socket. Idle, it owns no buffer.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) key: ConnectionKey,
    /// Absent while the upgrade is under way; output then waits in the queue.
    pub(crate) io: Option<Io>,
    pub(crate) queue: Queue,
    /// Set for a reliable connection, which may get all that it has missed at once.
    queue_limits: Option<Box<QueueLimits>>,
    pub(crate) decoder: Decoder,
    /// The start of an unfinished frame, or what is left to parse while the socket is paused.
    pub(crate) input: Vec<u8>,
    /// Bytes that `input` must have before it is worth parsing.
    pub(crate) needed: usize,
    pub(crate) closing: Closing,
    /// The peer's close frame has come.
    pub(crate) peer_closed: bool,
    /// What comes in is no longer understood and thrown away, until the peer ends the connection.
    pub(crate) is_deaf: bool,
    /// A command of this client waits for room in another shard; until then it is not read.
    pub(crate) is_paused: bool,
    /// As many messages of this client wait for the answer of an event handler as may; until then it is not read.
    pub(crate) is_held: bool,
    /// It is on the list of sockets to write at the end of the turn.
    pub(crate) is_dirty: bool,
    /// It is on the list of sockets to read again.
    pub(crate) reads_again: bool,
    /// The kernel takes no more; a readiness event will tell.
    is_blocked: bool,
    /// The queue has been full and the engine is being told.
    pub(crate) is_overflowed: bool,
}

impl Socket {
    pub(crate) fn new(key: ConnectionKey, queue_limits: Option<QueueLimits>) -> Self {
        Self {
            key,
            io: None,
            queue: Queue::default(),
            queue_limits: queue_limits.map(Box::new),
            decoder: Decoder::default(),
            input: Vec::new(),
            needed: 0,
            closing: Closing::No,
            peer_closed: false,
            is_deaf: false,
            is_paused: false,
            is_held: false,
            is_dirty: false,
            reads_again: false,
            is_blocked: false,
            is_overflowed: false,
        }
    }

    /// Tells whether nothing is read from it for now.
    pub(crate) fn is_unread(&self) -> bool {
        self.is_paused || self.is_held
    }

    /// Notes that the kernel takes output again.
    pub(crate) fn unblock(&mut self) {
        self.is_blocked = false;
    }

    /// Tells whether nothing is waiting to be sent.
    pub(crate) fn is_drained(&self) -> bool {
        self.queue.is_empty() && !self.is_blocked
    }

    /// Returns how much may wait for it, given how much may wait for most.
    pub(crate) fn queue_limits(&self, usual: QueueLimits) -> QueueLimits {
        self.queue_limits.as_deref().copied().unwrap_or(usual)
    }

    /// Queues a frame of this turn with its number, or 0.
    pub(crate) fn push(
        &mut self,
        turn: &mut Turn,
        frame: FrameId,
        sequence_id: u64,
        frame_len: usize,
    ) {
        self.queue.push(turn, frame, sequence_id, frame_len);
    }

    /// Writes what is waiting, as far as the socket takes it. Returns what came of it and the bytes written.
    pub(crate) fn write(&mut self, turn: &mut Turn, now: Time) -> (Written, usize) {
        let Some(io) = &mut self.io else {
            self.queue.spill(turn, 0);
            return (Written::Ok, 0);
        };
        if self.is_blocked {
            self.queue.spill(turn, 0);
            return (Written::Ok, 0);
        }
        let (bytes, outcome) = self.queue.write(io, turn, now);
        match outcome {
            Ok(is_blocked) => self.is_blocked = is_blocked,
            Err(_) => return (Written::Broken, bytes),
        }
        if self.queue.is_empty() && !self.is_blocked && self.closing != Closing::No {
            self.closing = Closing::Sent;
            if self.peer_closed {
                io.finish();
                return (Written::Finished, bytes);
            }
            if self.is_deaf {
                io.finish();
            }
        }
        (Written::Ok, bytes)
    }
}

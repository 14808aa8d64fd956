use std::collections::VecDeque;
use std::io::{self, IoSlice};

use hubwire_engine::{BufferLimits, Frame, FrameId, Time};
use hubwire_ws::HEADER_MAX;

use super::io::Sink;
use super::turn::{Head, NO_RUN, Run, Turn, wire_len};

/// Frames of earlier turns given to the kernel in one call; each takes up to three slices.
const GATHERED_MAX: usize = 64;
/// Frames of one turn that are not contiguous are copied together up to this length. Bytes.
const COPIED_TOGETHER_MAX: usize = 64 * 1024;
/// Room for frames that are not numbered, above that for numbered ones.
const CONTROL_MESSAGES: usize = 32;
/// Bytes of these.
const CONTROL_BYTES: usize = 64 * 1024;

/// How much may wait for one socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLimits {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

impl QueueLimits {
    /// Returns the limits of a reliable connection, to which all that it has not acknowledged may be sent at once. There is some
    /// room above for other frames and for headers. Source: client-protocols 0.
    pub(crate) fn with_replay(self, buffer: BufferLimits) -> Self {
        Self {
            messages: self.messages.max(buffer.messages) + CONTROL_MESSAGES,
            bytes: self.bytes.max(buffer.bytes + buffer.messages * HEADER_MAX) + CONTROL_BYTES,
        }
    }
}

/// What is waiting for one socket: frames of earlier turns, and of this one.
#[derive(Debug)]
pub(crate) struct Queue {
    /// Runs of this turn's frames.
    head: u32,
    tail: u32,
    pending_messages: u32,
    pending_bytes: usize,
    /// Absent unless the socket was slower than its messages.
    backlog: Option<Box<Backlog>>,
}

#[derive(Debug, Default)]
struct Backlog {
    frames: VecDeque<Waiting>,
    bytes: usize,
    /// Bytes of the first frame, head included, that are written.
    written: usize,
}

/// A frame of an earlier turn, shared with all other sockets it waits for.
#[derive(Debug)]
struct Waiting {
    frame: Frame,
    /// Its number, or 0.
    sequence_id: u64,
}

impl Waiting {
    fn wire_len(&self) -> usize {
        wire_len(&self.frame, self.sequence_id)
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            head: NO_RUN,
            tail: NO_RUN,
            pending_messages: 0,
            pending_bytes: 0,
            backlog: None,
        }
    }
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.head == NO_RUN && self.backlog.is_none()
    }

    /// Returns the bytes kept from earlier turns.
    pub(crate) fn backlog_bytes(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.bytes)
    }

    /// Tells whether a frame of this length is still within the limits.
    pub(crate) fn has_room(&self, frame_len: usize, limits: QueueLimits) -> bool {
        let (messages, bytes) = self
            .backlog
            .as_ref()
            .map_or((0, 0), |backlog| (backlog.frames.len(), backlog.bytes));
        messages + (self.pending_messages as usize) < limits.messages
            && bytes + self.pending_bytes + frame_len <= limits.bytes
    }

    pub(super) fn push(
        &mut self,
        turn: &mut Turn,
        frame: FrameId,
        sequence_id: u64,
        frame_len: usize,
    ) {
        let FrameId(frame) = frame;
        self.pending_messages += 1;
        self.pending_bytes += frame_len;
        if let Some(run) = turn.runs.get_mut(self.tail as usize)
            && run.last + 1 == frame
            && run.sequence_id(frame) == sequence_id
        {
            run.last = frame;
            return;
        }
        let index = turn.runs.len() as u32;
        turn.runs.push(Run {
            first: frame,
            last: frame,
            next: NO_RUN,
            sequence_id,
        });
        match turn.runs.get_mut(self.tail as usize) {
            Some(tail) => tail.next = index,
            None => self.head = index,
        }
        self.tail = index;
    }

    /// Writes as much as the socket takes. Returns the bytes written, and whether the kernel wants no more for now.
    pub(super) fn write(
        &mut self,
        sink: &mut impl Sink,
        turn: &mut Turn,
        now: Time,
    ) -> (usize, io::Result<bool>) {
        let mut total = 0;
        if self.backlog.is_none()
            && let Some(slice) = self.slice(turn)
        {
            let len = slice.len();
            match sink.write(slice) {
                Ok(written) => {
                    total = written;
                    match written == len {
                        true => self.clear_pending(),
                        false => self.spill(turn, written),
                    }
                }
                Err(error) if is_transient(&error) => self.spill(turn, 0),
                Err(error) => return (0, Err(error)),
            }
        } else {
            self.spill(turn, 0);
        }
        let mut is_blocked = false;
        while !is_blocked && let Some(backlog) = &mut self.backlog {
            match backlog.write(sink, now) {
                Ok(written) => total += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => is_blocked = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (total, Err(error)),
            }
            if backlog.frames.is_empty() {
                self.backlog = None;
            }
        }
        match sink.flush() {
            Ok(is_flushed) => (total, Ok(is_blocked || !is_flushed)),
            Err(error) => (total, Err(error)),
        }
    }

    /// Returns this turn's share as one slice: where it is, if it is one, else copied together, if it is not too long for that.
    fn slice<'t>(&self, turn: &'t mut Turn) -> Option<&'t [u8]> {
        let run = turn.runs.get(self.head as usize)?;
        if run.next == NO_RUN
            && let Some(range) = turn.contiguous(run.first, run.last)
        {
            return Some(turn.laid_out(range));
        }
        if self.pending_bytes > COPIED_TOGETHER_MAX {
            return None;
        }
        turn.copy_together(self.head)
    }

    /// Returns this turn's frames with their numbers.
    fn pending<'t>(&self, turn: &'t Turn) -> impl Iterator<Item = (&'t Frame, u64)> + use<'t> {
        let first = turn.runs.get(self.head as usize);
        std::iter::successors(first, |run| turn.runs.get(run.next as usize)).flat_map(|run| {
            (run.first..=run.last).map(|index| (turn.frame(index), run.sequence_id(index)))
        })
    }

    /// Keeps this turn's share, except its first `written` bytes, for later.
    pub(super) fn spill(&mut self, turn: &Turn, written: usize) {
        if self.head == NO_RUN {
            return;
        }
        let pending = self.pending(turn);
        let backlog = self.backlog.get_or_insert_default();
        let mut skip = written;
        for (frame, sequence_id) in pending {
            let waiting = Waiting {
                frame: frame.clone(),
                sequence_id,
            };
            let len = waiting.wire_len();
            if skip >= len {
                skip -= len;
                continue;
            }
            if skip > 0 {
                backlog.written = skip;
                skip = 0;
            }
            backlog.bytes += len;
            backlog.frames.push_back(waiting);
        }
        self.clear_pending();
    }

    /// Throws away what has expired, except a frame that is partly written.
    pub(crate) fn drop_expired(&mut self, now: Time) {
        if let Some(backlog) = &mut self.backlog {
            backlog.drop_expired(now);
            if backlog.frames.is_empty() {
                self.backlog = None;
            }
        }
    }

    /// Throws away all that waits from earlier turns, except a frame that is partly written.
    pub(crate) fn discard(&mut self) {
        let Some(backlog) = &mut self.backlog else {
            return;
        };
        let kept = usize::from(backlog.written > 0);
        backlog.frames.truncate(kept);
        backlog.bytes = backlog.frames.iter().map(Waiting::wire_len).sum();
        if backlog.frames.is_empty() {
            self.backlog = None;
        }
    }

    fn clear_pending(&mut self) {
        self.head = NO_RUN;
        self.tail = NO_RUN;
        self.pending_messages = 0;
        self.pending_bytes = 0;
    }
}

impl Backlog {
    fn write(&mut self, sink: &mut impl Sink, now: Time) -> io::Result<usize> {
        while self.written == 0
            && self
                .frames
                .front()
                .is_some_and(|first| first.is_expired(now))
        {
            let expired = self.frames.pop_front();
            self.bytes -= expired.map_or(0, |waiting| waiting.wire_len());
        }
        let gathered: Vec<(Head, &[u8])> = self
            .frames
            .iter()
            .take(GATHERED_MAX)
            .enumerate()
            .take_while(|(index, waiting)| *index == 0 || !waiting.is_expired(now))
            .map(|(_, waiting)| {
                let head = Head::new(&waiting.frame, waiting.sequence_id);
                (head, waiting.frame.payload().as_ref())
            })
            .collect();
        let mut skip = self.written;
        let mut slices = Vec::with_capacity(3 * gathered.len());
        for (head, payload) in &gathered {
            for part in [head.header(), head.number(), payload] {
                let skipped = skip.min(part.len());
                skip -= skipped;
                if skipped < part.len() {
                    slices.push(IoSlice::new(&part[skipped..]));
                }
            }
        }
        if slices.is_empty() {
            return Ok(0);
        }
        let written = sink.write_vectored(&slices)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.advance(written);
        Ok(written)
    }

    fn advance(&mut self, written: usize) {
        self.written += written;
        while let Some(first) = self.frames.front() {
            let len = first.wire_len();
            if self.written < len {
                return;
            }
            self.written -= len;
            self.bytes -= len;
            self.frames.pop_front();
        }
    }

    fn drop_expired(&mut self, now: Time) {
        let mut is_first = true;
        let is_partly_written = self.written > 0;
        self.frames.retain(|waiting| {
            let keeps = !waiting.is_expired(now) || (is_first && is_partly_written);
            is_first = false;
            if !keeps {
                self.bytes -= waiting.wire_len();
            }
            keeps
        });
    }
}

impl Waiting {
    fn is_expired(&self, now: Time) -> bool {
        self.frame.is_expired(now)
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

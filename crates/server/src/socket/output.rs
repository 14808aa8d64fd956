use std::collections::VecDeque;
use std::io::{self, IoSlice};

use hubwire_engine::{Frame, FrameId, Time};
use hubwire_ws::Header;

use super::io::Sink;
use super::turn::{NO_RUN, Run, Turn, header, wire_len};

/// Frames given to the kernel in one call when they are not contiguous; each takes two slices.
const GATHERED_MAX: usize = 64;

/// How much may wait for one socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLimits {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
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
    expires: Option<Time>,
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

    pub(super) fn push(&mut self, turn: &mut Turn, frame: FrameId, frame_len: usize) {
        let FrameId(frame) = frame;
        self.pending_messages += 1;
        self.pending_bytes += frame_len;
        if let Some(run) = turn.runs.get_mut(self.tail as usize)
            && run.last + 1 == frame
        {
            run.last = frame;
            return;
        }
        let index = turn.runs.len() as u32;
        turn.runs.push(Run {
            first: frame,
            last: frame,
            next: NO_RUN,
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
        turn: &Turn,
        now: Time,
    ) -> (usize, io::Result<bool>) {
        let mut total = 0;
        if self.backlog.is_none()
            && let Some(slice) = self.contiguous(turn)
        {
            match sink.write(slice) {
                Ok(written) => {
                    total = written;
                    match written == slice.len() {
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

    /// Returns this turn's share as one slice, if it is one.
    fn contiguous<'t>(&self, turn: &'t Turn) -> Option<&'t [u8]> {
        let run = turn.runs.get(self.head as usize)?;
        match run.next {
            NO_RUN => turn.contiguous(run.first, run.last),
            _ => None,
        }
    }

    /// Keeps this turn's share, except its first `written` bytes, for later.
    pub(super) fn spill(&mut self, turn: &Turn, written: usize) {
        if self.head == NO_RUN {
            return;
        }
        let backlog = self.backlog.get_or_insert_default();
        let mut skip = written;
        let mut run_index = self.head;
        while let Some(run) = turn.runs.get(run_index as usize) {
            for index in run.first..=run.last {
                let queued = turn.frame(index);
                let len = wire_len(&queued.frame);
                if skip >= len {
                    skip -= len;
                    continue;
                }
                if skip > 0 {
                    backlog.written = skip;
                    skip = 0;
                }
                backlog.bytes += len;
                backlog.frames.push_back(Waiting {
                    frame: queued.frame.clone(),
                    expires: queued.expires,
                });
            }
            run_index = run.next;
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
        backlog.bytes = backlog
            .frames
            .iter()
            .map(|waiting| wire_len(&waiting.frame))
            .sum();
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
            self.bytes -= expired.map_or(0, |waiting| wire_len(&waiting.frame));
        }
        let gathered: Vec<(Header, &[u8])> = self
            .frames
            .iter()
            .take(GATHERED_MAX)
            .enumerate()
            .take_while(|(index, waiting)| *index == 0 || !waiting.is_expired(now))
            .map(|(_, waiting)| (header(&waiting.frame), waiting.frame.payload().as_ref()))
            .collect();
        let mut skip = self.written;
        let mut slices = Vec::with_capacity(2 * gathered.len());
        for (header, payload) in &gathered {
            for part in [header.as_bytes(), payload] {
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
            let len = wire_len(&first.frame);
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
                self.bytes -= wire_len(&waiting.frame);
            }
            keeps
        });
    }
}

impl Waiting {
    fn is_expired(&self, now: Time) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

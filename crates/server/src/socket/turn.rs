use std::ops::Range;

use hubwire_engine::{Frame, FrameId, FrameKind, Outputs};
use hubwire_protocol::subprotocol::{Envelope, NumberHead};
use hubwire_ws::{Header, Opcode};

/// Frames longer than this are written from where they are instead of being copied next to the others of the turn. Bytes.
const COPIED_MAX: usize = 16 * 1024;
/// Room for frames copied together that is kept from turn to turn. Frames.
const COPIES_KEPT: usize = 4096;
/// Marks the end of a list of runs.
pub(super) const NO_RUN: u32 = u32::MAX;

/// The frames of one turn of a shard, ready to be written: back to back in one arena, so that what a socket gets is usually one
/// contiguous slice. Frames are referred to by [`FrameId`]; a socket's share is a list of runs of consecutive frames.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// The engine's outputs, which own the frames.
    pub(crate) outputs: Outputs,
    arena: Vec<u8>,
    places: Vec<Place>,
    /// How many frames are not in the arena, and how long they are together.
    outside: usize,
    outside_bytes: usize,
    pub(super) runs: Vec<Run>,
    together: Together,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    start: u32,
    /// Equal to `start` for a frame that is not in the arena.
    end: u32,
}

/// Consecutive frames for one socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) next: u32,
    /// The number of the first frame, from which the others count on; 0 if they have none.
    pub(super) sequence_id: u64,
}

impl Run {
    /// Returns the number of a frame of the run; 0 if it has none.
    pub(super) fn sequence_id(&self, frame: u32) -> u64 {
        match self.sequence_id {
            0 => 0,
            first => first + u64::from(frame - self.first),
        }
    }
}

impl Turn {
    /// Lays out the frames added since the last call. One that is numbered for each receiver has no place in the arena.
    #[inline]
    pub(crate) fn lay_out(&mut self) {
        // Usually there is none, since this is asked for each delivery.
        if self.places.len() < self.outputs.frames.len() {
            self.lay_out_added();
        }
    }

    fn lay_out_added(&mut self) {
        for frame in &self.outputs.frames[self.places.len()..] {
            let start = self.arena.len() as u32;
            let payload = frame.payload();
            if payload.len() <= COPIED_MAX && frame.envelope().is_none() {
                self.arena.extend_from_slice(Head::new(frame, 0).header());
                self.arena.extend_from_slice(payload);
            } else {
                self.outside += 1;
                self.outside_bytes += payload.len();
            }
            self.places.push(Place {
                start,
                end: self.arena.len() as u32,
            });
        }
    }

    /// Returns where consecutive frames are in the arena, if all of them are there.
    pub(super) fn contiguous(&self, first: u32, last: u32) -> Option<Range<usize>> {
        let places = &self.places[first as usize..=last as usize];
        let start = places.first()?.start as usize;
        let end = places.last()?.end as usize;
        let is_whole = self.outside == 0 || places.iter().all(|place| place.end > place.start);
        is_whole.then_some(start..end)
    }

    /// Returns a part of the arena.
    pub(super) fn laid_out(&self, range: Range<usize>) -> &[u8] {
        &self.arena[range]
    }

    /// Copies the frames of a list of runs together, unless there is a long one.
    pub(super) fn copy_together(&mut self, first_run: u32) -> Option<&[u8]> {
        let mut count = 0;
        let mut next = first_run;
        while let Some(run) = self.runs.get(next as usize) {
            for index in run.first..=run.last {
                let sequence_id = run.sequence_id(index);
                if !self.together.reuse(count, index, sequence_id) {
                    let frame = &self.outputs.frames[index as usize];
                    if frame.payload().len() > COPIED_MAX {
                        return None;
                    }
                    self.together.put(count, index, frame, sequence_id);
                }
                count += 1;
            }
            next = run.next;
        }
        Some(self.together.first(count))
    }

    pub(super) fn frame(&self, frame: u32) -> &Frame {
        &self.outputs.frames[frame as usize]
    }

    /// Returns the bytes that a frame takes on the wire, with its receiver's number or 0.
    pub(crate) fn frame_len(&self, frame: FrameId, sequence_id: u64) -> usize {
        wire_len(self.frame(frame.0), sequence_id)
    }

    /// Returns the bytes of the turn's frames so far.
    pub(crate) fn len(&self) -> usize {
        self.arena.len() + self.outside_bytes
    }

    /// Forgets the frames of the turn. Nothing may refer to them any more.
    pub(crate) fn clear(&mut self) {
        debug_assert!(self.outputs.list.is_empty());
        self.outputs.frames.clear();
        self.places.clear();
        self.outside = 0;
        self.outside_bytes = 0;
        self.runs.clear();
        self.together.clear();
        self.arena.clear();
        if self.arena.capacity() > 1 << 20 {
            self.arena = Vec::new();
        }
    }
}

/// Frames of the turn copied together for one socket. The next socket often gets the same frames with other numbers: as far as that
/// is so, the copies are used again, and only the numbers in them are changed.
#[derive(Debug, Default)]
struct Together {
    bytes: Vec<u8>,
    copies: Vec<Copied>,
}

/// Where the copy of a frame begins in [`Together`], and its parts.
#[derive(Clone, Copy, Debug)]
struct Copied {
    frame: u32,
    header: u32,
    number: u32,
    payload: u32,
    envelope: Option<Envelope>,
}

impl Together {
    /// Returns whether the copy at this position is of this frame and can be given this number, which is then done.
    fn reuse(&mut self, position: usize, frame: u32, sequence_id: u64) -> bool {
        let Some(copied) = self.copies.get(position) else {
            return false;
        };
        if copied.frame != frame {
            return false;
        }
        copied.envelope.is_none_or(|envelope| {
            let number = copied.number as usize..copied.payload as usize;
            envelope.renumber(&mut self.bytes[number], sequence_id)
        })
    }

    /// Copies a frame to this position, behind those before it.
    fn put(&mut self, position: usize, index: u32, frame: &Frame, sequence_id: u64) {
        if let Some(old) = self.copies.get(position) {
            self.bytes.truncate(old.header as usize);
            self.copies.truncate(position);
        }
        let head = Head::new(frame, sequence_id);
        let header = self.bytes.len() as u32;
        self.bytes.extend_from_slice(head.header());
        let number = self.bytes.len() as u32;
        self.bytes.extend_from_slice(head.number());
        let payload = self.bytes.len() as u32;
        self.bytes.extend_from_slice(frame.payload());
        self.copies.push(Copied {
            frame: index,
            header,
            number,
            payload,
            envelope: frame.envelope(),
        });
    }

    /// Returns the bytes of the first `count` frames.
    fn first(&self, count: usize) -> &[u8] {
        match self.copies.get(count) {
            Some(behind) => &self.bytes[..behind.header as usize],
            None => &self.bytes,
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.copies.clear();
        self.copies.shrink_to(COPIES_KEPT);
    }
}

/// What stands before the payload of a frame on the wire: its WebSocket header, and the number that it has for its receiver.
pub(super) struct Head {
    header: Header,
    number: Option<NumberHead>,
}

impl Head {
    pub(super) fn new(frame: &Frame, sequence_id: u64) -> Self {
        let opcode = match frame.kind() {
            FrameKind::Text => Opcode::Text,
            FrameKind::Binary => Opcode::Binary,
            FrameKind::Ping => Opcode::Ping,
            FrameKind::Pong => Opcode::Pong,
            FrameKind::Close => Opcode::Close,
        };
        let len = frame.payload().len();
        let number = frame
            .envelope()
            .map(|envelope| envelope.head(len, sequence_id));
        let number_len = number.as_ref().map_or(0, |number| number.as_bytes().len());
        Self {
            header: Header::new(opcode, number_len + len),
            number,
        }
    }

    pub(super) fn header(&self) -> &[u8] {
        self.header.as_bytes()
    }

    pub(super) fn number(&self) -> &[u8] {
        self.number.as_ref().map_or(&[], NumberHead::as_bytes)
    }
}

pub(super) fn wire_len(frame: &Frame, sequence_id: u64) -> usize {
    let payload_len = frame.payload().len();
    match frame.envelope() {
        None => Header::len_for(payload_len) + payload_len,
        Some(envelope) => {
            let len = envelope.head_len(payload_len, sequence_id) + payload_len;
            Header::len_for(len) + len
        }
    }
}

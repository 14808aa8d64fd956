use hubwire_engine::{Frame, FrameId, FrameKind, Outputs};
use hubwire_protocol::subprotocol::NumberHead;
use hubwire_ws::{Header, Opcode};

/// Frames longer than this are written from where they are instead of being copied next to the others of the turn. Bytes.
pub(super) const COPIED_MAX: usize = 16 * 1024;
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
    pub(crate) fn lay_out(&mut self) {
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

    /// Returns the bytes of consecutive frames, if all of them are in the arena.
    pub(super) fn contiguous(&self, first: u32, last: u32) -> Option<&[u8]> {
        let places = &self.places[first as usize..=last as usize];
        let start = places.first()?.start as usize;
        let end = places.last()?.end as usize;
        let is_whole = self.outside == 0 || places.iter().all(|place| place.end > place.start);
        is_whole.then(|| &self.arena[start..end])
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
        self.arena.clear();
        if self.arena.capacity() > 1 << 20 {
            self.arena = Vec::new();
        }
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

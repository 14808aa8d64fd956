//! Frames of a client, good and bad.

const FINAL: u8 = 0x80;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

const MASK: [u8; 4] = [0x9C, 0x05, 0xE3, 0x7A];
const MASK_LEN: usize = 4;

/// A frame of a client: final, masked and with the shortest length form, unless it is changed.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    first: u8,
    mask: Option<[u8; MASK_LEN]>,
    payload: Vec<u8>,
    /// The length it claims to have; its own if absent.
    announced: Option<u64>,
    /// How many bytes its length takes beside the second byte; the fewest if absent.
    length_len: Option<usize>,
    /// How many of its bytes are sent; all if absent.
    kept: Option<usize>,
}

/// A text message.
pub(super) fn text(payload: impl AsRef<[u8]>) -> Frame {
    opcode(TEXT, payload)
}

/// A binary message.
pub(super) fn binary(payload: impl AsRef<[u8]>) -> Frame {
    opcode(BINARY, payload)
}

/// A fragment that is neither the first nor the last.
pub(super) fn middle(payload: impl AsRef<[u8]>) -> Frame {
    opcode(CONTINUATION, payload).unfinished()
}

/// The last fragment.
pub(super) fn last(payload: impl AsRef<[u8]>) -> Frame {
    opcode(CONTINUATION, payload)
}

pub(super) fn ping(payload: impl AsRef<[u8]>) -> Frame {
    opcode(PING, payload)
}

pub(super) fn pong(payload: impl AsRef<[u8]>) -> Frame {
    opcode(PONG, payload)
}

/// A close frame with a code and a reason.
pub(super) fn close(code: u16, reason: impl AsRef<[u8]>) -> Frame {
    opcode(CLOSE, [&code.to_be_bytes(), reason.as_ref()].concat())
}

/// A close frame with any payload.
pub(super) fn bare_close(payload: impl AsRef<[u8]>) -> Frame {
    opcode(CLOSE, payload)
}

/// A frame of any type.
pub(super) fn opcode(opcode: u8, payload: impl AsRef<[u8]>) -> Frame {
    Frame {
        first: FINAL | opcode,
        mask: Some(MASK),
        payload: payload.as_ref().to_vec(),
        announced: None,
        length_len: None,
        kept: None,
    }
}

/// A message in fragments of this many bytes each, the last one with the rest. `frame` is the whole message.
pub(super) fn fragments_of(frame: &Frame, len: usize) -> Vec<Frame> {
    let count = frame.payload.len().div_ceil(len);
    let mut frames: Vec<Frame> = frame.payload.chunks(len).map(middle).collect();
    frames[0].first = frame.first & !FINAL;
    frames[count - 1].first |= FINAL;
    frames
}

/// A text of this many bytes.
pub(super) fn letters(len: usize) -> String {
    let mut letters = "abcdefghijklmnopqrstuvwxyz".repeat(len / 26 + 1);
    letters.truncate(len);
    letters
}

/// This many bytes, of all values.
pub(super) fn bytes(len: usize) -> Vec<u8> {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let mut bytes = all.repeat(len / all.len() + 1);
    bytes.truncate(len);
    bytes
}

impl Frame {
    /// The same without the bit that says that it is the last of its message.
    pub(super) fn unfinished(mut self) -> Self {
        self.first &= !FINAL;
        self
    }

    /// The same with some of the three reserved bits, of which 4 is the first.
    pub(super) fn reserved(mut self, bits: u8) -> Self {
        self.first |= bits << 4;
        self
    }

    /// The same with this masking key.
    pub(super) fn masked_by(mut self, mask: [u8; MASK_LEN]) -> Self {
        self.mask = Some(mask);
        self
    }

    /// The same as a server would send it.
    pub(super) fn unmasked(mut self) -> Self {
        self.mask = None;
        self
    }

    /// The same with its length in 2 or 8 bytes, whether it needs them or not.
    pub(super) fn length_in(mut self, bytes: usize) -> Self {
        self.length_len = Some(bytes);
        self
    }

    /// The same with another length than it has.
    pub(super) fn announcing(mut self, len: u64) -> Self {
        self.announced = Some(len);
        self
    }

    /// Only the first bytes of it.
    pub(super) fn cut_to(mut self, len: usize) -> Self {
        self.kept = Some(len);
        self
    }

    /// Only its head: nothing of its payload.
    pub(super) fn head_only(self) -> Self {
        let len = self.head_len();
        self.cut_to(len)
    }

    /// All of it but the last byte.
    pub(super) fn without_last_byte(self) -> Self {
        let len = self.bytes().len();
        self.cut_to(len - 1)
    }

    pub(super) fn is_close(&self) -> bool {
        self.first & 0x0F == CLOSE
    }

    /// Returns the length of all that comes before the payload.
    pub(super) fn head_len(&self) -> usize {
        2 + self.length_len() + self.mask.map_or(0, |mask| mask.len())
    }

    /// Returns what goes over the wire.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let len = self.len();
        let mask_bit = if self.mask.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![self.first];
        match self.length_len() {
            0 => bytes.push(mask_bit | len as u8),
            2 => {
                bytes.push(mask_bit | 126);
                bytes.extend_from_slice(&(len as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask_bit | 127);
                bytes.extend_from_slice(&len.to_be_bytes());
            }
        }
        bytes.extend_from_slice(self.mask.as_ref().map_or(&[], |mask| mask));
        let head_len = bytes.len();
        bytes.extend_from_slice(&self.payload);
        if let Some(mask) = self.mask {
            for (index, byte) in bytes[head_len..].iter_mut().enumerate() {
                *byte ^= mask[index % MASK_LEN];
            }
        }
        bytes.truncate(self.kept.unwrap_or(usize::MAX));
        bytes
    }

    fn len(&self) -> u64 {
        self.announced.unwrap_or(self.payload.len() as u64)
    }

    fn length_len(&self) -> usize {
        self.length_len.unwrap_or(match self.len() {
            0..=125 => 0,
            126..=0xFFFF => 2,
            _ => 8,
        })
    }
}

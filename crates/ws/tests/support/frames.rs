//! Builds the masked frames of a client.

/// The mask of frames whose mask does not matter. No byte of it is zero, so masked and plain bytes always differ.
pub(crate) const MASK: [u8; 4] = [0x5A, 0xC3, 0x17, 0x9E];

/// A frame as a client may send it, with the first byte as it is on the wire.
#[derive(Clone, Debug)]
pub(crate) struct ClientFrame {
    pub(crate) first: u8,
    pub(crate) mask: [u8; 4],
    pub(crate) payload: Vec<u8>,
}

impl ClientFrame {
    /// Makes a frame of one byte of flags and opcode, and a payload.
    pub(crate) fn new(first: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            first,
            mask: MASK,
            payload: payload.into(),
        }
    }

    /// Returns the bytes on the wire, with the shortest form of the length.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        let masked = self.payload.iter().zip(self.mask.iter().cycle());
        bytes.extend(masked.map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// Returns the head alone, mask included.
    pub(crate) fn head(&self) -> Vec<u8> {
        let mut bytes = vec![self.first];
        match self.payload.len() {
            len @ 0..=125 => bytes.push(0x80 | len as u8),
            len @ 126..=0xFFFF => {
                bytes.push(0x80 | 126);
                bytes.extend((len as u16).to_be_bytes());
            }
            len => {
                bytes.push(0x80 | 127);
                bytes.extend((len as u64).to_be_bytes());
            }
        }
        bytes.extend(self.mask);
        bytes
    }
}

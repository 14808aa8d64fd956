/// Longest reason that fits a close frame. UTF-8 bytes.
pub const CLOSE_REASON_MAX: usize = 123;

/// Tells whether a peer may send `code` in a close frame (RFC 6455 section 7.4).
pub fn is_valid_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The payload of a close frame: nothing, or a code and a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosePayload {
    bytes: [u8; CLOSE_REASON_MAX + 2],
    len: u8,
}

impl ClosePayload {
    /// Builds a payload; a reason beyond [`CLOSE_REASON_MAX`] is cut on a character boundary.
    pub fn new(code: u16, reason: &str) -> Self {
        let reason = &reason[..reason.floor_char_boundary(CLOSE_REASON_MAX)];
        let mut bytes = [0; CLOSE_REASON_MAX + 2];
        bytes[..2].copy_from_slice(&code.to_be_bytes());
        bytes[2..2 + reason.len()].copy_from_slice(reason.as_bytes());
        Self {
            bytes,
            len: 2 + reason.len() as u8,
        }
    }

    /// Builds the empty payload, which answers a close frame that carries no code.
    pub fn empty() -> Self {
        Self {
            bytes: [0; CLOSE_REASON_MAX + 2],
            len: 0,
        }
    }

    /// Returns the bytes on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const BYTES: usize = 24;
const TEXT: usize = BYTES / 3 * 4;

/// Names a connection, within one hub and for ever: node, shard and slot, so that no map is needed to find it, and 128 random bits,
/// so that it cannot be guessed and is never used again. As text it is 32 characters of `[A-Za-z0-9_-]`.
/// Source: client-protocols 1.7.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    /// The process that has the connection.
    pub node: u16,
    /// The shard of that node.
    pub shard: u16,
    /// The place in that shard.
    pub slot: u32,
    /// What tells it from every other connection that was in this place.
    pub random: [u8; 16],
}

impl ConnectionId {
    /// Reads an id that a client or a caller gives; `None` is an id that no connection can have.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; BYTES];
        if text.len() != TEXT {
            return None;
        }
        URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        let [n0, n1, s0, s1, p0, p1, p2, p3, random @ ..] = bytes;
        Some(Self {
            node: u16::from_be_bytes([n0, n1]),
            shard: u16::from_be_bytes([s0, s1]),
            slot: u32::from_be_bytes([p0, p1, p2, p3]),
            random,
        })
    }
}

impl ConnectionId {
    /// Returns the id as text, all of it ASCII, without allocating. Ids are listed in the order of this.
    pub fn text(&self) -> [u8; TEXT] {
        let mut bytes = [0; BYTES];
        bytes[..2].copy_from_slice(&self.node.to_be_bytes());
        bytes[2..4].copy_from_slice(&self.shard.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.slot.to_be_bytes());
        bytes[8..].copy_from_slice(&self.random);
        let mut text = [0; TEXT];
        URL_SAFE_NO_PAD
            .encode_slice(bytes, &mut text)
            .expect("24 bytes are 32 characters");
        text
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

//! WebSocket frames as a client writes and reads them.

/// Frames of a client are masked; the key need not be secret between programs of one machine.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x3c, 0xa5];
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;

pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A frame of the service.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) opcode: u8,
    pub(crate) payload: &'a [u8],
    /// Bytes of the whole frame.
    pub(crate) len: usize,
}

/// The service sent a frame that is masked, fragmented or longer than memory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads the first frame, if it is there as a whole.
pub(crate) fn decode(bytes: &[u8]) -> Result<Option<Frame<'_>>, Malformed> {
    let [first, second, ..] = *bytes else {
        return Ok(None);
    };
    if first & 0xf0 != FINAL || second & MASKED != 0 {
        return Err(Malformed);
    }
    let (head, payload_len) = match second {
        126 => match bytes.get(2..4) {
            Some(len) => (
                4,
                len.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
            ),
            None => return Ok(None),
        },
        127 => match bytes.get(2..10) {
            Some(len) => (
                10,
                len.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
            ),
            None => return Ok(None),
        },
        short => (2, u64::from(short)),
    };
    let payload_len = usize::try_from(payload_len).map_err(|_| Malformed)?;
    let len = payload_len.checked_add(head).ok_or(Malformed)?;
    Ok(bytes.get(head..len).map(|payload| Frame {
        opcode: first & 0x0f,
        payload,
        len,
    }))
}

/// Appends a frame.
pub(crate) fn encode(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(FINAL | opcode);
    match payload.len() {
        short @ 0..=125 => out.push(MASKED | short as u8),
        medium @ 126..=0xffff => {
            out.push(MASKED | 126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    let begin = out.len();
    out.extend_from_slice(payload);
    for bytes in out[begin..].chunks_mut(MASK.len()) {
        for (byte, key) in bytes.iter_mut().zip(MASK) {
            *byte ^= key;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_the_service_is_read() {
        let frame = Frame {
            opcode: TEXT,
            payload: b"hello",
            len: 7,
        };
        assert_eq!(decode(b"\x81\x05hello\x81"), Ok(Some(frame)));
    }

    #[test]
    fn lengths_have_three_forms() {
        for len in [0, 125, 126, 0xffff, 0x10000] {
            let mut bytes = vec![0x82];
            match len {
                0..=125 => bytes.push(len as u8),
                126..=0xffff => {
                    bytes.push(126);
                    bytes.extend((len as u16).to_be_bytes());
                }
                _ => {
                    bytes.push(127);
                    bytes.extend((len as u64).to_be_bytes());
                }
            }
            let head = bytes.len();
            bytes.resize(head + len, b'x');
            let frame = decode(&bytes).expect("well formed").expect("whole");
            assert_eq!((frame.payload.len(), frame.len), (len, head + len));
            for cut in (0..bytes.len()).take(12).chain([bytes.len() - 1]) {
                assert_eq!(decode(&bytes[..cut]), Ok(None), "{len} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_masked_or_fragmented_frame_is_refused() {
        assert_eq!(decode(b"\x81\x85\0\0\0\0hello"), Err(Malformed));
        assert_eq!(decode(b"\x01\x05hello"), Err(Malformed));
    }

    #[test]
    fn a_frame_of_the_client_is_masked() {
        for len in [0, 5, 125, 126, 300, 0x10000] {
            let payload: Vec<u8> = (0..len).map(|index| index as u8).collect();
            let mut bytes = Vec::new();
            encode(TEXT, &payload, &mut bytes);
            let head = match len {
                0..=125 => 2,
                126..=0xffff => 4,
                _ => 10,
            };
            assert_eq!(bytes[0], 0x81);
            assert_eq!(bytes[1] & MASKED, MASKED);
            assert_eq!(bytes[head..head + 4], MASK);
            let unmasked: Vec<u8> = bytes[head + 4..]
                .iter()
                .zip(MASK.iter().cycle())
                .map(|(byte, key)| byte ^ key)
                .collect();
            assert_eq!(unmasked, payload);
        }
    }
}

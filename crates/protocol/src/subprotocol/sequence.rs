//! Sequence ids of reliable connections. A frame is encoded once for all its receivers, and each reliable one gets it behind a small
//! head of its own that holds the number. Source: client-protocols 5.1.

use bytes::Bytes;

use super::Format;

/// Longest head: `{"sequenceId":18446744073709551615,`. Bytes.
const HEAD_MAX: usize = 35;
/// What stands before a number in JSON.
const JSON_START: &[u8] = br#"{"sequenceId":"#;
const POWERS_OF_TEN: [u64; 20] = {
    let mut powers = [1; 20];
    let mut index = 1;
    while index < powers.len() {
        powers[index] = powers[index - 1] * 10;
        index += 1;
    }
    powers
};
/// Wire type of protobuf fields with a length.
const LEN: u8 = 2;

/// A numbered frame without its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unnumbered {
    /// What follows the head, the same for all receivers.
    pub body: Bytes,
    /// What the head looks like.
    pub envelope: Envelope,
}

/// What stands around the number and the body of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// The number is the first property of the object.
    Json,
    /// The number is the first field of the message inside of the `DownstreamMessage`.
    Protobuf {
        /// Tag of that message.
        message: u8,
        /// Tag of the number in it.
        sequence_id: u8,
    },
}

/// The start of a frame, for one receiver.
#[derive(Clone, Copy, Debug)]
pub struct NumberHead {
    bytes: [u8; HEAD_MAX],
    len: u8,
}

impl Unnumbered {
    /// Takes a frame without number apart: one that [`Format::encode_data`] or [`Format::encode_group_state`] has made. The body
    /// is a part of it and not a copy. `None` for a format that does not number its frames.
    pub fn of(format: Format, frame: &Bytes) -> Option<Self> {
        match format {
            Format::Simple => None,
            Format::Json => Some(Self {
                body: frame.slice(1..),
                envelope: Envelope::Json,
            }),
            Format::Protobuf => {
                let message = *frame.first()?;
                let sequence_id = match message >> 3 {
                    // DataMessage.sequence_id
                    2 => 4 << 3,
                    // GroupStateUpdateMessage.sequence_id, GroupStateSnapshotMessage.sequence_id
                    9 | 10 => 3 << 3,
                    _ => return None,
                };
                debug_assert_eq!(message & 7, LEN);
                let len_bytes = 1 + frame[1..].iter().position(|byte| byte & 0x80 == 0)?;
                Some(Self {
                    body: frame.slice(1 + len_bytes..),
                    envelope: Envelope::Protobuf {
                        message,
                        sequence_id,
                    },
                })
            }
        }
    }
}

impl Envelope {
    /// Returns the length of the head that turns a body of this length into the frame with this number, without making it.
    pub fn head_len(self, body_len: usize, sequence_id: u64) -> usize {
        match self {
            Self::Json => JSON_START.len() + decimal_len(sequence_id) + 1,
            Self::Protobuf { .. } => {
                let number_len = 1 + varint_len(sequence_id);
                1 + varint_len((number_len + body_len) as u64) + number_len
            }
        }
    }

    /// Writes another number into a head that [`Envelope::head`] has made for a body of the same length. Returns whether it takes as
    /// many bytes as the one before; if not, the head is of no use until it is given a number that does.
    pub fn renumber(self, head: &mut [u8], sequence_id: u64) -> bool {
        let number = match self {
            Self::Json => head
                .split_last_mut()
                .and_then(|(_comma, start)| start.get_mut(JSON_START.len()..)),
            Self::Protobuf { .. } => {
                let len_bytes = head.iter().skip(1).position(|byte| byte & 0x80 == 0);
                len_bytes.and_then(|more| head.get_mut(1 + more + 2..))
            }
        };
        number.is_some_and(|number| match self {
            Self::Json => fill_decimal(number, sequence_id),
            Self::Protobuf { .. } => fill_varint(number, sequence_id),
        })
    }

    /// Makes the head that turns a body of this length into the frame with this number.
    pub fn head(self, body_len: usize, sequence_id: u64) -> NumberHead {
        let mut head = NumberHead {
            bytes: [0; HEAD_MAX],
            len: 0,
        };
        match self {
            Self::Json => {
                head.push(JSON_START);
                head.push_decimal(sequence_id);
                head.push(b",");
            }
            Self::Protobuf {
                message,
                sequence_id: tag,
            } => {
                let number_len = 1 + varint_len(sequence_id);
                head.push(&[message]);
                head.push_varint((number_len + body_len) as u64);
                head.push(&[tag]);
                head.push_varint(sequence_id);
            }
        }
        head
    }
}

impl NumberHead {
    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn push(&mut self, bytes: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u8;
    }

    fn push_decimal(&mut self, number: u64) {
        let start = usize::from(self.len);
        let digits = decimal_len(number);
        let fits = fill_decimal(&mut self.bytes[start..start + digits], number);
        debug_assert!(fits || number == 0);
        self.len += digits as u8;
    }

    fn push_varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.push(&[number as u8 | 0x80]);
            number >>= 7;
        }
        self.push(&[number as u8]);
    }
}

/// Writes a number in decimal. Returns whether it has just as many digits as there is room for.
fn fill_decimal(digits: &mut [u8], number: u64) -> bool {
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    rest == 0 && digits.first().is_some_and(|first| *first != b'0')
}

/// Writes a number other than 0 as a varint. Returns whether it has just as many bytes as there is room for.
fn fill_varint(bytes: &mut [u8], number: u64) -> bool {
    let mut rest = number;
    for byte in bytes.iter_mut() {
        *byte = rest as u8 | 0x80;
        rest >>= 7;
    }
    let Some(last) = bytes.last_mut() else {
        return false;
    };
    *last &= 0x7F;
    rest == 0 && *last != 0
}

/// Returns how many digits a number has. This is asked several times for each message and receiver, and `ilog10` costs five times as
/// much.
fn decimal_len(number: u64) -> usize {
    // 0 has a digit too, and setting the lowest bit reaches no power of ten.
    let number = number | 1;
    let bits = u64::BITS - number.leading_zeros();
    // Rounded down, bits * log10(2) are the digits of the number or one less.
    let digits = ((bits * 1233) >> 12) as usize;
    digits + usize::from(number >= POWERS_OF_TEN[digits])
}

fn varint_len(number: u64) -> usize {
    (64 - number.max(1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_body_are_the_frame_with_its_number() {
        let frame = Bytes::from_static(br#"{"type":"message"}"#);
        let unnumbered = Unnumbered::of(Format::Json, &frame).expect("JSON is numbered");
        for (sequence_id, head) in [
            (1, r#"{"sequenceId":1,"#),
            (u64::MAX, r#"{"sequenceId":18446744073709551615,"#),
        ] {
            let made = unnumbered.envelope.head(unnumbered.body.len(), sequence_id);
            assert_eq!(made.as_bytes(), head.as_bytes());
        }
        assert_eq!(unnumbered.body, br#""type":"message"}"#.as_slice());
    }

    #[test]
    fn protobuf_length_covers_the_number() {
        // data_message { from: "server" }, of 200 bytes in all
        let mut bytes = vec![0x12, 0xC8, 0x01];
        bytes.extend([7; 200]);
        let frame = Bytes::from(bytes);
        let unnumbered = Unnumbered::of(Format::Protobuf, &frame).expect("protobuf is numbered");
        assert_eq!(unnumbered.body.len(), 200);
        let head = unnumbered.envelope.head(200, 300);
        assert_eq!(head.as_bytes(), [0x12, 0xCB, 0x01, 0x20, 0xAC, 0x02]);
        let longest = Envelope::Protobuf {
            message: 0x4A,
            sequence_id: 0x18,
        };
        let head = longest.head(usize::MAX - 11, u64::MAX);
        assert_eq!(head.as_bytes().len(), 1 + 10 + 1 + 10);
    }

    #[test]
    fn length_of_a_head_is_known_without_it() {
        let protobuf = Envelope::Protobuf {
            message: 0x12,
            sequence_id: 0x20,
        };
        let powers = (0..20).map(|power| 10_u64.pow(power));
        let bits = (0..64).map(|bit| 1_u64 << bit);
        for number in powers
            .chain(bits)
            .flat_map(|at| [at - 1, at, at + 1])
            .chain([u64::MAX])
        {
            for (envelope, body_len) in [
                (Envelope::Json, 7),
                (protobuf, 0),
                (protobuf, 119),
                (protobuf, 120),
                (protobuf, 1 << 20),
            ] {
                let head = envelope.head(body_len, number);
                let len = envelope.head_len(body_len, number);
                assert_eq!(
                    len,
                    head.as_bytes().len(),
                    "{envelope:?} {body_len} {number}"
                );
            }
            let json = format!("{{\"sequenceId\":{number},");
            assert_eq!(Envelope::Json.head(7, number).as_bytes(), json.as_bytes());
        }
    }

    #[test]
    fn head_takes_another_number_of_the_same_length() {
        let protobuf = Envelope::Protobuf {
            message: 0x12,
            sequence_id: 0x20,
        };
        let numbers = [1, 2, 9, 10, 99, 127, 128, 300, 16_383, 16_384, u64::MAX];
        for envelope in [Envelope::Json, protobuf] {
            for (from, to) in numbers
                .iter()
                .flat_map(|from| numbers.map(|to| (*from, to)))
            {
                let mut head = envelope.head(200, from).as_bytes().to_vec();
                let wanted = envelope.head(200, to);
                let fits = envelope.renumber(&mut head, to);
                assert_eq!(fits, head.len() == wanted.as_bytes().len(), "{from} {to}");
                assert!(!fits || head == wanted.as_bytes());
                assert!(envelope.renumber(&mut head, from));
                assert_eq!(head, envelope.head(200, from).as_bytes());
            }
        }
    }

    #[test]
    fn other_frames_have_no_number() {
        let pong = Bytes::from_static(&[0x22, 0]);
        assert_eq!(Unnumbered::of(Format::Protobuf, &pong), None);
        assert_eq!(Unnumbered::of(Format::Simple, &pong), None);
    }
}

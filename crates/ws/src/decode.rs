use crate::close::is_valid_close_code;
use crate::frame::Opcode;

const CONTROL_PAYLOAD_MAX: u64 = 125;

/// Whether a message was sent as text or as binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// Valid UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// What a client sent, unmasked and, if it came in fragments, reassembled.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole message.
    Message {
        /// Text or binary.
        kind: MessageKind,
        /// The payload, at most the decoder's limit.
        payload: &'a [u8],
    },
    /// A ping, to be answered by a pong with the same payload.
    Ping(&'a [u8]),
    /// A pong, asked for or not.
    Pong(&'a [u8]),
    /// The peer's close frame.
    Close {
        /// The close code, absent in an empty frame.
        code: Option<u16>,
        /// The reason, often empty.
        reason: &'a str,
    },
}

/// How far [`Decoder::decode`] came.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// The first `consumed` bytes held what completes an event.
    Event {
        /// The event.
        event: Event<'a>,
        /// Bytes of the input that belong to it.
        consumed: usize,
    },
    /// The first `consumed` bytes were a fragment, which the decoder keeps.
    Fragment {
        /// Bytes of the input that were taken.
        consumed: usize,
    },
    /// The input ends inside a frame and was left as it is; the frame is at least `needed` bytes long in all.
    Incomplete {
        /// Bytes that the input must have before it is worth calling again.
        needed: usize,
    },
}

/// A violation of RFC 6455, or a message beyond the limit. The connection cannot go on after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A reserved bit is set although no extension was negotiated.
    #[error("reserved bit set")]
    ReservedBits,
    /// The frame type is not defined.
    #[error("unknown opcode")]
    UnknownOpcode,
    /// The frame is not masked, as every frame of a client must be.
    #[error("frame not masked")]
    Unmasked,
    /// A control frame is fragmented or longer than 125 bytes.
    #[error("control frame fragmented or too long")]
    InvalidControl,
    /// A continuation came without a message to continue.
    #[error("continuation without a message")]
    UnexpectedContinuation,
    /// A new message began before the fragmented one ended.
    #[error("message begun inside a fragmented message")]
    ExpectedContinuation,
    /// A close frame's payload is a single byte or its code is not one a peer may send.
    #[error("invalid close frame")]
    InvalidClose,
    /// A text message or a close reason is not UTF-8.
    #[error("text is not valid UTF-8")]
    InvalidUtf8,
    /// The message, fragments together, is longer than the limit.
    #[error("message too large")]
    TooLarge,
}

impl DecodeError {
    /// Returns the close code that tells the peer: 1002, 1007 or 1009.
    pub fn close_code(self) -> u16 {
        match self {
            Self::ReservedBits
            | Self::UnknownOpcode
            | Self::Unmasked
            | Self::InvalidControl
            | Self::UnexpectedContinuation
            | Self::ExpectedContinuation
            | Self::InvalidClose => 1002,
            Self::InvalidUtf8 => 1007,
            Self::TooLarge => 1009,
        }
    }
}

/// The receiving side of one client connection. Idle, it owns no memory beyond itself.
#[derive(Debug, Default)]
pub struct Decoder {
    assembly: Option<Box<Assembly>>,
    /// The last event was the assembled message, whose memory can go.
    assembly_is_done: bool,
}

#[derive(Debug)]
struct Assembly {
    kind: MessageKind,
    payload: Vec<u8>,
}

struct FrameHead {
    is_final: bool,
    opcode: Opcode,
    mask: [u8; 4],
    head_len: usize,
    payload_len: usize,
}

impl Decoder {
    /// Takes the next frame from the start of `input`, unmasking it in place.
    ///
    /// Messages longer than `message_max` bytes, fragments together, fail as soon as a head announces them, before
    /// their payload is buffered. A frame's payload is only touched once all of it is there.
    ///
    /// # Errors
    ///
    /// A [`DecodeError`] for the first violation; the decoder must not be used afterwards.
    pub fn decode<'a>(
        &'a mut self,
        input: &'a mut [u8],
        message_max: usize,
    ) -> Result<Progress<'a>, DecodeError> {
        if self.assembly_is_done {
            self.assembly_is_done = false;
            self.assembly = None;
        }
        let head = match self.parse_head(input, message_max)? {
            Ok(head) => head,
            Err(needed) => return Ok(Progress::Incomplete { needed }),
        };
        let consumed = head.head_len + head.payload_len;
        if input.len() < consumed {
            return Ok(Progress::Incomplete { needed: consumed });
        }
        let payload = &mut input[head.head_len..consumed];
        unmask(payload, head.mask);
        let payload = &*payload;
        let event = match head.opcode {
            Opcode::Ping => Event::Ping(payload),
            Opcode::Pong => Event::Pong(payload),
            Opcode::Close => close_event(payload)?,
            Opcode::Text => match self.first_frame(MessageKind::Text, head.is_final, payload)? {
                Some(event) => event,
                None => return Ok(Progress::Fragment { consumed }),
            },
            Opcode::Binary => {
                match self.first_frame(MessageKind::Binary, head.is_final, payload)? {
                    Some(event) => event,
                    None => return Ok(Progress::Fragment { consumed }),
                }
            }
            Opcode::Continuation => match self.continuation(head.is_final, payload)? {
                Some(event) => event,
                None => return Ok(Progress::Fragment { consumed }),
            },
        };
        Ok(Progress::Event { event, consumed })
    }

    /// Reads a frame's head. The inner error is the number of bytes needed to go on.
    fn parse_head(
        &self,
        input: &[u8],
        message_max: usize,
    ) -> Result<Result<FrameHead, usize>, DecodeError> {
        let &[first, second, ..] = input else {
            return Ok(Err(2));
        };
        if first & 0x70 != 0 {
            return Err(DecodeError::ReservedBits);
        }
        let opcode = Opcode::from_bits(first & 0x0F).ok_or(DecodeError::UnknownOpcode)?;
        let is_final = first & 0x80 != 0;
        if second & 0x80 == 0 {
            return Err(DecodeError::Unmasked);
        }
        self.check_order(opcode)?;
        let short_len = u64::from(second & 0x7F);
        if opcode.is_control() && (!is_final || short_len > CONTROL_PAYLOAD_MAX) {
            return Err(DecodeError::InvalidControl);
        }
        let length_len = match short_len {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let head_len = 2 + length_len + 4;
        if input.len() < head_len {
            return Ok(Err(head_len));
        }
        let payload_len = match length_len {
            0 => short_len,
            _ => input[2..2 + length_len]
                .iter()
                .fold(0, |len, &byte| len << 8 | u64::from(byte)),
        };
        let assembled = match &self.assembly {
            Some(assembly) if !opcode.is_control() => assembly.payload.len(),
            _ => 0,
        };
        if !opcode.is_control() && payload_len > message_max.saturating_sub(assembled) as u64 {
            return Err(DecodeError::TooLarge);
        }
        let mut mask = [0; 4];
        mask.copy_from_slice(&input[head_len - 4..head_len]);
        Ok(Ok(FrameHead {
            is_final,
            opcode,
            mask,
            head_len,
            payload_len: payload_len as usize,
        }))
    }

    fn check_order(&self, opcode: Opcode) -> Result<(), DecodeError> {
        match opcode {
            Opcode::Continuation if self.assembly.is_none() => {
                Err(DecodeError::UnexpectedContinuation)
            }
            Opcode::Text | Opcode::Binary if self.assembly.is_some() => {
                Err(DecodeError::ExpectedContinuation)
            }
            Opcode::Continuation
            | Opcode::Text
            | Opcode::Binary
            | Opcode::Close
            | Opcode::Ping
            | Opcode::Pong => Ok(()),
        }
    }

    fn first_frame<'a>(
        &mut self,
        kind: MessageKind,
        is_final: bool,
        payload: &'a [u8],
    ) -> Result<Option<Event<'a>>, DecodeError> {
        if is_final {
            check_text(kind, payload)?;
            return Ok(Some(Event::Message { kind, payload }));
        }
        self.assembly = Some(Box::new(Assembly {
            kind,
            payload: payload.to_vec(),
        }));
        Ok(None)
    }

    fn continuation(
        &mut self,
        is_final: bool,
        payload: &[u8],
    ) -> Result<Option<Event<'_>>, DecodeError> {
        let assembly = self
            .assembly
            .as_mut()
            .expect("check_order lets a continuation pass only inside a message");
        assembly.payload.extend_from_slice(payload);
        if !is_final {
            return Ok(None);
        }
        check_text(assembly.kind, &assembly.payload)?;
        self.assembly_is_done = true;
        Ok(Some(Event::Message {
            kind: assembly.kind,
            payload: &assembly.payload,
        }))
    }
}

fn check_text(kind: MessageKind, payload: &[u8]) -> Result<(), DecodeError> {
    match kind {
        MessageKind::Text => simdutf8::basic::from_utf8(payload)
            .map(|_| ())
            .map_err(|_| DecodeError::InvalidUtf8),
        MessageKind::Binary => Ok(()),
    }
}

fn close_event(payload: &[u8]) -> Result<Event<'_>, DecodeError> {
    match payload {
        [] => Ok(Event::Close {
            code: None,
            reason: "",
        }),
        [_] => Err(DecodeError::InvalidClose),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !is_valid_close_code(code) {
                return Err(DecodeError::InvalidClose);
            }
            let reason =
                simdutf8::basic::from_utf8(reason).map_err(|_| DecodeError::InvalidUtf8)?;
            Ok(Event::Close {
                code: Some(code),
                reason,
            })
        }
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let (words, tail) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in tail.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

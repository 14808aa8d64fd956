//! What holds for every stream of frames, however it is cut.

#[path = "support/frames.rs"]
mod frames;
#[path = "support/receiver.rs"]
mod receiver;

use frames::ClientFrame;
use hubwire_ws::{CLOSE_REASON_MAX, ClosePayload, DecodeError, Decoder, Header, Opcode, Progress};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use receiver::{NO_LIMIT, Receiver, Seen, decode_all};

proptest! {
    #[test]
    fn any_frames_cut_anywhere_give_the_events_that_were_sent(
        messages in vec(sent_message(), 0..8),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(SentMessage::bytes).collect();
        let expected: Vec<Seen> = messages.iter().flat_map(SentMessage::seen).collect();

        prop_assert_eq!(decode_all(&bytes, NO_LIMIT), Ok(expected.clone()));
        prop_assert_eq!(decode_in_pieces(&bytes, &cuts, NO_LIMIT), Ok(expected));
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_take_no_more_than_given(
        bytes in vec(any::<u8>(), 0..300),
        message_max in 0_usize..500,
    ) {
        let mut decoder = Decoder::default();
        let mut input = bytes;
        loop {
            let len = input.len();
            let consumed = match decoder.decode(&mut input, message_max) {
                Ok(Progress::Event { consumed, .. } | Progress::Fragment { consumed }) => consumed,
                Ok(Progress::Incomplete { needed }) => {
                    prop_assert!(needed > len);
                    break;
                }
                Err(_) => break,
            };
            prop_assert!((6..=len).contains(&consumed));
            input.drain(..consumed);
        }
    }

    #[test]
    fn arbitrary_bytes_give_the_same_outcome_however_they_are_cut(
        mut bytes in vec(any::<u8>(), 0..200),
        cuts in vec(any::<Index>(), 0..6),
        mask_everything in any::<bool>(),
    ) {
        if mask_everything {
            bytes.iter_mut().skip(1).step_by(8).for_each(|byte| *byte |= 0x80);
            bytes.iter_mut().step_by(8).for_each(|byte| *byte &= 0x8F);
        }
        prop_assert_eq!(decode_in_pieces(&bytes, &cuts, 100), decode_all(&bytes, 100));
    }

    #[test]
    fn head_of_the_service_is_read_back_once_a_mask_is_added(
        opcode in prop_oneof![Just(Opcode::Text), Just(Opcode::Binary)],
        len in prop_oneof![0_usize..300, 65_500_usize..66_000],
    ) {
        let header = Header::new(opcode, len);
        prop_assert_eq!(header.as_bytes().len(), Header::len_for(len));
        let mut bytes = header.as_bytes().to_vec();
        bytes[1] |= 0x80;
        bytes.extend([0; 4]);
        bytes.resize(bytes.len() + len, b'x');

        let expected = match opcode {
            Opcode::Text => Seen::Text("x".repeat(len)),
            _ => Seen::Binary(vec![b'x'; len]),
        };
        prop_assert_eq!(decode_all(&bytes, NO_LIMIT), Ok(vec![expected]));
    }

    #[test]
    fn close_payload_is_read_back_with_as_much_of_the_reason_as_fits(
        code in 3000_u16..5000,
        reason in "\\PC{0,60}",
    ) {
        let payload = ClosePayload::new(code, &reason);
        let bytes = ClientFrame::new(0x88, payload.as_bytes()).bytes();
        let kept = reason.floor_char_boundary(CLOSE_REASON_MAX);
        let expected = Seen::Close(Some(code), reason[..kept].to_owned());
        prop_assert_eq!(decode_all(&bytes, NO_LIMIT), Ok(vec![expected]));
    }
}

/// A message with the control frames that a client sends between its fragments.
#[derive(Clone, Debug)]
struct SentMessage {
    is_text: bool,
    fragments: Vec<(Vec<u8>, Vec<SentControl>)>,
    mask: [u8; 4],
}

#[derive(Clone, Debug)]
struct SentControl {
    is_ping: bool,
    payload: Vec<u8>,
}

impl SentMessage {
    fn bytes(&self) -> Vec<u8> {
        let last = self.fragments.len() - 1;
        let mut bytes = Vec::new();
        for (index, (payload, controls)) in self.fragments.iter().enumerate() {
            let opcode = match (index, self.is_text) {
                (0, true) => 0x1,
                (0, false) => 0x2,
                _ => 0x0,
            };
            let is_final = if index == last { 0x80 } else { 0 };
            bytes.extend(self.frame(is_final | opcode, payload));
            for control in controls {
                let opcode = if control.is_ping { 0x9 } else { 0xA };
                bytes.extend(self.frame(0x80 | opcode, &control.payload));
            }
        }
        bytes
    }

    fn frame(&self, first: u8, payload: &[u8]) -> Vec<u8> {
        ClientFrame {
            first,
            mask: self.mask,
            payload: payload.to_vec(),
        }
        .bytes()
    }

    /// The message comes with its last fragment, so after the control frames before and before those behind it.
    fn seen(&self) -> Vec<Seen> {
        let last = self.fragments.len() - 1;
        let mut seen = Vec::new();
        for (index, (_, controls)) in self.fragments.iter().enumerate() {
            if index == last {
                seen.push(self.message());
            }
            seen.extend(controls.iter().map(|control| match control.is_ping {
                true => Seen::Ping(control.payload.clone()),
                false => Seen::Pong(control.payload.clone()),
            }));
        }
        seen
    }

    fn message(&self) -> Seen {
        let payload = self
            .fragments
            .iter()
            .flat_map(|(payload, _)| payload.clone())
            .collect();
        match self.is_text {
            true => Seen::Text(String::from_utf8(payload).expect("fragments of one text")),
            false => Seen::Binary(payload),
        }
    }
}

fn sent_message() -> impl Strategy<Value = SentMessage> {
    let payload = prop_oneof![
        "\\PC{0,200}".prop_map(|text| (true, text.into_bytes())),
        vec(any::<u8>(), 0..400).prop_map(|bytes| (false, bytes)),
    ];
    let cuts = vec((any::<Index>(), vec(sent_control(), 0..3)), 0..4);
    let behind = vec(sent_control(), 0..3);
    (payload, cuts, behind, any::<[u8; 4]>()).prop_map(
        |((is_text, payload), cuts, behind, mask)| {
            let mut cuts: Vec<_> = cuts
                .into_iter()
                .map(|(cut, controls)| (cut.index(payload.len() + 1), controls))
                .collect();
            cuts.sort_by_key(|(cut, _)| *cut);
            cuts.push((payload.len(), behind));
            let mut start = 0;
            let fragments = cuts
                .into_iter()
                .map(|(end, controls)| {
                    let fragment = payload[start..end].to_vec();
                    start = end;
                    (fragment, controls)
                })
                .collect();
            SentMessage {
                is_text,
                fragments,
                mask,
            }
        },
    )
}

fn sent_control() -> impl Strategy<Value = SentControl> {
    (any::<bool>(), vec(any::<u8>(), 0..126))
        .prop_map(|(is_ping, payload)| SentControl { is_ping, payload })
}

fn decode_in_pieces(
    bytes: &[u8],
    cuts: &[Index],
    message_max: usize,
) -> Result<Vec<Seen>, DecodeError> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.push(bytes.len());
    cuts.sort_unstable();
    let mut receiver = Receiver::new(message_max);
    let mut seen = Vec::new();
    let mut start = 0;
    for end in cuts {
        seen.extend(receiver.receive(&bytes[start..end])?);
        start = end;
    }
    Ok(seen)
}

//! What the decoder accepts and refuses, on exact bytes.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[path = "support/frames.rs"]
mod frames;
#[path = "support/receiver.rs"]
mod receiver;

use frames::{ClientFrame, MASK};
use hubwire_ws::{DecodeError, Decoder, Progress, is_valid_close_code};
use receiver::{NO_LIMIT, Seen, decode_all};

const FINAL: u8 = 0x80;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

#[test]
fn masked_text_of_the_rfc_is_unmasked() {
    let hello = [
        0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58,
    ];
    check(&hello, &[Seen::Text("Hello".to_owned())]);
}

#[test]
fn every_length_form_is_read() {
    for len in [
        0, 1, 7, 8, 9, 125, 126, 127, 128, 65_534, 65_535, 65_536, 65_537,
    ] {
        let payload: Vec<u8> = (0..len).map(|index| index as u8).collect();
        check(
            &frame(FINAL | BINARY, payload.clone()),
            &[Seen::Binary(payload)],
        );
    }
}

#[test]
fn length_forms_longer_than_necessary_are_read_too() {
    let [a, b, c, d] = MASK;
    let short_as_two = [FINAL | BINARY, 0xFE, 0, 1, a, b, c, d, 0x42 ^ a];
    let short_as_eight = [
        FINAL | BINARY,
        0xFF,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        1,
        a,
        b,
        c,
        d,
        0x42 ^ a,
    ];
    check(&short_as_two, &[Seen::Binary(vec![0x42])]);
    check(&short_as_eight, &[Seen::Binary(vec![0x42])]);
}

#[test]
fn control_frames_carry_up_to_125_bytes() {
    let payload = vec![7; 125];
    check(
        &frame(FINAL | PING, payload.clone()),
        &[Seen::Ping(payload.clone())],
    );
    check(
        &frame(FINAL | PONG, payload.clone()),
        &[Seen::Pong(payload)],
    );
    check(&frame(FINAL | PING, ""), &[Seen::Ping(Vec::new())]);
    let reason = "r".repeat(123);
    check(
        &close_frame(1000, reason.as_bytes()),
        &[Seen::Close(Some(1000), reason)],
    );
}

#[test]
fn each_reserved_bit_is_refused() {
    for bit in [0x40, 0x20, 0x10, 0x70] {
        check_error(
            &frame(FINAL | bit | TEXT, "x"),
            DecodeError::ReservedBits,
            1002,
        );
        check_error(
            &frame(FINAL | bit | PING, "x"),
            DecodeError::ReservedBits,
            1002,
        );
    }
}

#[test]
fn each_undefined_opcode_is_refused() {
    for opcode in [0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF] {
        check_error(
            &frame(FINAL | opcode, "x"),
            DecodeError::UnknownOpcode,
            1002,
        );
    }
}

#[test]
fn unmasked_frames_are_refused_from_their_second_byte_on() {
    check_error(&[FINAL | TEXT, 0x00], DecodeError::Unmasked, 1002);
    check_error(
        &[FINAL | TEXT, 0x05, b'H', b'e', b'l', b'l', b'o'],
        DecodeError::Unmasked,
        1002,
    );
    check_error(&[FINAL | PING, 0x00], DecodeError::Unmasked, 1002);
}

#[test]
fn fragmented_control_frames_are_refused() {
    for opcode in [CLOSE, PING, PONG] {
        check_error(&frame(opcode, ""), DecodeError::InvalidControl, 1002);
    }
}

#[test]
fn control_frames_beyond_125_bytes_are_refused_before_their_length_is_there() {
    for opcode in [CLOSE, PING, PONG] {
        check_error(
            &[FINAL | opcode, 0x80 | 126],
            DecodeError::InvalidControl,
            1002,
        );
        check_error(
            &[FINAL | opcode, 0x80 | 127],
            DecodeError::InvalidControl,
            1002,
        );
    }
}

#[test]
fn continuation_without_a_message_is_refused() {
    let expected = DecodeError::UnexpectedContinuation;
    check_error(&frame(FINAL | CONTINUATION, "x"), expected, 1002);
    check_error(&frame(CONTINUATION, "x"), expected, 1002);
    let after_a_whole_message = [
        frame(TEXT, "a"),
        frame(FINAL | CONTINUATION, "b"),
        frame(FINAL | CONTINUATION, "c"),
    ];
    check_error(&after_a_whole_message.concat(), expected, 1002);
}

#[test]
fn message_inside_a_fragmented_message_is_refused() {
    for opcode in [TEXT, BINARY] {
        let bytes = [frame(TEXT, "a"), frame(FINAL | opcode, "b")].concat();
        check_error(&bytes, DecodeError::ExpectedContinuation, 1002);
    }
}

/// Checklist 122.
#[test]
fn fragments_are_reassembled_with_the_kind_of_the_first() {
    let text = [
        frame(TEXT, "a"),
        frame(CONTINUATION, ""),
        frame(FINAL | CONTINUATION, "b"),
    ];
    check(&text.concat(), &[Seen::Text("ab".to_owned())]);
    let binary = [frame(BINARY, [0xFF]), frame(FINAL | CONTINUATION, [0xFE])];
    check(&binary.concat(), &[Seen::Binary(vec![0xFF, 0xFE])]);
    let empty = [frame(TEXT, ""), frame(FINAL | CONTINUATION, "")];
    check(&empty.concat(), &[Seen::Text(String::new())]);
}

/// Checklist 122.
#[test]
fn control_frames_between_fragments_are_seen_at_once() {
    let bytes = [
        frame(TEXT, "a"),
        frame(FINAL | PING, "p"),
        frame(CONTINUATION, "b"),
        frame(FINAL | PONG, "q"),
        frame(FINAL | CONTINUATION, "c"),
        frame(FINAL | TEXT, "next"),
    ];
    let expected = [
        Seen::Ping(b"p".to_vec()),
        Seen::Pong(b"q".to_vec()),
        Seen::Text("abc".to_owned()),
        Seen::Text("next".to_owned()),
    ];
    check(&bytes.concat(), &expected);
}

#[test]
fn close_frame_between_fragments_is_seen() {
    let bytes = [frame(TEXT, "a"), close_frame(1001, b"")].concat();
    check(&bytes, &[Seen::Close(Some(1001), String::new())]);
}

/// Checklist 121.
#[test]
fn message_of_exactly_the_limit_passes_and_one_byte_more_is_refused() {
    for limit in [0, 1, 125, 126, 1000, 65_535, 65_536, 1_048_576] {
        let payload = vec![b'x'; limit];
        let whole = frame(FINAL | BINARY, payload.clone());
        assert_eq!(decode_all(&whole, limit), Ok(vec![Seen::Binary(payload)]));
        let longer = ClientFrame::new(FINAL | BINARY, vec![b'x'; limit + 1]);
        assert_eq!(
            decode_all(&longer.head(), limit),
            Err(DecodeError::TooLarge)
        );
    }
    assert_eq!(DecodeError::TooLarge.close_code(), 1009);
}

/// Checklist 121.
#[test]
fn limit_counts_all_fragments_of_a_message() {
    let fragments = [
        frame(TEXT, "aaaa"),
        frame(CONTINUATION, "bbb"),
        frame(FINAL | CONTINUATION, "ccc"),
    ];
    let expected = Seen::Text("aaaabbbccc".to_owned());
    assert_eq!(decode_all(&fragments.concat(), 10), Ok(vec![expected]));
    assert_eq!(
        decode_all(&fragments.concat(), 9),
        Err(DecodeError::TooLarge)
    );
    assert_eq!(
        decode_all(&fragments.concat(), 3),
        Err(DecodeError::TooLarge)
    );
}

#[test]
fn limit_starts_anew_with_each_message() {
    let message = [frame(TEXT, "aaa"), frame(FINAL | CONTINUATION, "bb")].concat();
    let seen = decode_all(&[message.clone(), message].concat(), 5);
    assert_eq!(
        seen.unwrap(),
        [
            Seen::Text("aaabb".to_owned()),
            Seen::Text("aaabb".to_owned())
        ]
    );
}

#[test]
fn control_frames_do_not_count_towards_the_limit() {
    let bytes = [
        frame(TEXT, "ab"),
        frame(FINAL | PING, vec![0; 125]),
        frame(FINAL | CONTINUATION, "c"),
    ];
    let expected = [Seen::Ping(vec![0; 125]), Seen::Text("abc".to_owned())];
    assert_eq!(decode_all(&bytes.concat(), 3).unwrap(), expected);
}

#[test]
fn largest_announced_length_is_refused_whatever_the_limit() {
    let head = [
        FINAL | BINARY,
        0xFF,
        0xFF,
        0xFF,
        0xFF,
        0xFF,
        0xFF,
        0xFF,
        0xFF,
        0xFF,
        1,
        2,
        3,
        4,
    ];
    for limit in [0, 1_048_576, usize::MAX / 2] {
        assert_eq!(
            decode_all(&head, limit),
            Err(DecodeError::TooLarge),
            "{limit}"
        );
    }
}

#[test]
fn close_codes_are_those_of_the_rfc_and_its_registry() {
    for code in 0..=5000 {
        let is_valid = match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => true,
            // 1004 to 1006 and 1015 never travel, below 1000 nothing is defined, and 1016 to 2999 are unassigned.
            0..=999 | 1004..=1006 | 1015..=2999 | 5000.. => false,
        };
        assert_eq!(is_valid_close_code(code), is_valid, "{code}");
        match is_valid {
            true => check(
                &close_frame(code, b"r"),
                &[Seen::Close(Some(code), "r".to_owned())],
            ),
            false => check_error(&close_frame(code, b"r"), DecodeError::InvalidClose, 1002),
        }
    }
    assert!(!is_valid_close_code(u16::MAX));
}

#[test]
fn close_frame_may_be_empty_and_never_a_single_byte() {
    check(
        &frame(FINAL | CLOSE, ""),
        &[Seen::Close(None, String::new())],
    );
    check(
        &close_frame(1000, b""),
        &[Seen::Close(Some(1000), String::new())],
    );
    check_error(&frame(FINAL | CLOSE, [3]), DecodeError::InvalidClose, 1002);
}

#[test]
fn invalid_utf8_in_text_is_refused() {
    let invalid: [&[u8]; 8] = [
        &[0x80],
        &[0xC3],
        &[0xC0, 0xAF],
        &[0xED, 0xA0, 0x80],
        &[0xF4, 0x90, 0x80, 0x80],
        &[0xE2, 0x82],
        &[0xFF],
        b"valid first \xF0\x9F\x98",
    ];
    for payload in invalid {
        check_error(
            &frame(FINAL | TEXT, payload),
            DecodeError::InvalidUtf8,
            1007,
        );
        check(
            &frame(FINAL | BINARY, payload),
            &[Seen::Binary(payload.to_vec())],
        );
    }
}

#[test]
fn character_may_be_split_over_fragments() {
    let text = "grüße 😀";
    for at in 0..=text.len() {
        let (start, end) = text.as_bytes().split_at(at);
        let bytes = [frame(TEXT, start), frame(FINAL | CONTINUATION, end)].concat();
        check(&bytes, &[Seen::Text(text.to_owned())]);
    }
}

#[test]
fn invalid_utf8_across_fragments_is_refused() {
    let cut_short = [
        frame(TEXT, [b'a', 0xF0]),
        frame(FINAL | CONTINUATION, [0x9F, 0x98]),
    ];
    check_error(&cut_short.concat(), DecodeError::InvalidUtf8, 1007);
    let broken_by_the_next = [frame(TEXT, [0xC3]), frame(FINAL | CONTINUATION, "a")];
    check_error(&broken_by_the_next.concat(), DecodeError::InvalidUtf8, 1007);
}

#[test]
fn invalid_utf8_in_a_close_reason_is_refused() {
    check_error(&close_frame(1000, &[0xC3]), DecodeError::InvalidUtf8, 1007);
    let reason = "schön 😀";
    check(
        &close_frame(1000, reason.as_bytes()),
        &[Seen::Close(Some(1000), reason.to_owned())],
    );
}

#[test]
fn needed_is_exact_for_input_that_comes_byte_by_byte() {
    for len in [0, 1, 125, 126, 300, 65_536] {
        let sent = ClientFrame::new(FINAL | BINARY, vec![b'x'; len]);
        let (bytes, head_len) = (sent.bytes(), sent.head().len());
        let mut decoder = Decoder::default();
        // The rest of a long payload is all the same.
        for have in 0..bytes.len().min(head_len + 40) {
            let mut input = bytes[..have].to_vec();
            let needed = match have {
                0..2 => 2,
                _ if have < head_len => head_len,
                _ => bytes.len(),
            };
            let progress = decoder.decode(&mut input, NO_LIMIT);
            assert_eq!(
                progress,
                Ok(Progress::Incomplete { needed }),
                "{have} of {len}"
            );
        }
    }
}

#[test]
fn nothing_is_unmasked_before_a_frame_is_whole() {
    let bytes = frame(FINAL | TEXT, "do not touch this yet");
    let mut decoder = Decoder::default();
    for have in 0..bytes.len() {
        let mut input = bytes[..have].to_vec();
        decoder.decode(&mut input, NO_LIMIT).unwrap();
        assert_eq!(input, bytes[..have], "{have}");
    }
}

#[test]
fn bytes_behind_a_frame_are_left_as_they_are() {
    let first = frame(FINAL | TEXT, "one");
    let second = frame(FINAL | TEXT, "two");
    let mut input = [first.clone(), second.clone()].concat();
    let mut decoder = Decoder::default();
    let progress = decoder.decode(&mut input, NO_LIMIT).unwrap();
    let Progress::Event { consumed, .. } = progress else {
        panic!("{progress:?}");
    };
    assert_eq!(consumed, first.len());
    assert_eq!(input[consumed..], second);
}

#[test]
fn fragment_reports_what_it_consumed() {
    let mut input = frame(TEXT, "abc");
    let consumed = input.len();
    let mut decoder = Decoder::default();
    assert_eq!(
        decoder.decode(&mut input, NO_LIMIT),
        Ok(Progress::Fragment { consumed })
    );
}

#[test]
fn zero_mask_and_every_alignment_are_unmasked() {
    for len in 0..40 {
        let payload: Vec<u8> = (0..len).collect();
        for mask in [[0; 4], [1, 0, 0, 0], [0, 0, 0, 0xFF], MASK] {
            let sent = ClientFrame {
                first: FINAL | BINARY,
                mask,
                payload: payload.clone(),
            };
            check(&sent.bytes(), &[Seen::Binary(payload.clone())]);
        }
    }
}

fn check(bytes: &[u8], expected: &[Seen]) {
    assert_eq!(decode_all(bytes, NO_LIMIT).as_deref(), Ok(expected));
}

fn check_error(bytes: &[u8], expected: DecodeError, close_code: u16) {
    assert_eq!(decode_all(bytes, NO_LIMIT), Err(expected), "{bytes:02x?}");
    assert_eq!(expected.close_code(), close_code);
}

fn frame(first: u8, payload: impl Into<Vec<u8>>) -> Vec<u8> {
    ClientFrame::new(first, payload).bytes()
}

fn close_frame(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FINAL | CLOSE, [&code.to_be_bytes(), reason].concat())
}

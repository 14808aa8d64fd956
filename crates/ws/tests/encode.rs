//! What the service puts on the wire: heads, close payloads and the handshake's answer.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use hubwire_ws::{CLOSE_REASON_MAX, ClosePayload, HEADER_MAX, Header, Opcode, accept_key};

#[test]
fn head_has_the_shortest_length_form() {
    let cases: [(usize, &[u8]); 7] = [
        (0, &[0x82, 0]),
        (125, &[0x82, 125]),
        (126, &[0x82, 126, 0, 126]),
        (127, &[0x82, 126, 0, 127]),
        (65_535, &[0x82, 126, 0xFF, 0xFF]),
        (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        (0x0102_0304_0506, &[0x82, 127, 0, 0, 1, 2, 3, 4, 5, 6]),
    ];
    for (payload_len, expected) in cases {
        let header = Header::new(Opcode::Binary, payload_len);
        assert_eq!(header.as_bytes(), expected);
        assert_eq!(Header::len_for(payload_len), expected.len());
        assert!(expected.len() <= HEADER_MAX);
    }
}

#[test]
fn head_is_final_and_carries_the_opcode() {
    let opcodes = [
        (Opcode::Continuation, 0x80),
        (Opcode::Text, 0x81),
        (Opcode::Binary, 0x82),
        (Opcode::Close, 0x88),
        (Opcode::Ping, 0x89),
        (Opcode::Pong, 0x8A),
    ];
    for (opcode, first) in opcodes {
        assert_eq!(Header::new(opcode, 0).as_bytes(), [first, 0]);
        assert_eq!(Opcode::from_bits(opcode.bits()), Some(opcode));
        assert_eq!(opcode.is_control(), opcode.bits() >= 8);
    }
}

/// Checklist 127.
#[test]
fn close_reason_is_cut_to_123_bytes_on_a_character_boundary() {
    let cases = [
        (String::new(), 0),
        ("r".repeat(122), 122),
        ("r".repeat(123), 123),
        ("r".repeat(124), 123),
        ("r".repeat(122) + "ü", 122),
        ("r".repeat(121) + "ü", 123),
        ("😀".repeat(31), 120),
    ];
    for (reason, kept) in cases {
        let payload = ClosePayload::new(1008, &reason);
        let (code, text) = payload.as_bytes().split_at(2);
        assert_eq!(code, [0x03, 0xF0]);
        assert_eq!(std::str::from_utf8(text).unwrap(), &reason[..kept]);
        assert!(text.len() <= CLOSE_REASON_MAX);
    }
}

#[test]
fn empty_close_payload_has_no_code() {
    assert_eq!(ClosePayload::empty().as_bytes(), b"");
}

#[test]
fn accept_key_is_that_of_the_rfc() {
    let answer = accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(answer.as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

#[test]
fn key_that_is_not_the_base64_of_16_bytes_has_no_answer() {
    let keys: [&[u8]; 7] = [
        b"",
        b"dGhlIHNhbXBsZSBub25jZQ",
        b"dGhlIHNhbXBsZSBub25jZQ== ",
        b"dGhlIHNhbXBsZSBub25j",
        b"dGhlIHNhbXBsZSBub25jZTEy",
        b"!!!!!!!!!!!!!!!!!!!!!!==",
        b"\xFF\xFE",
    ];
    for key in keys {
        assert_eq!(accept_key(key), None, "{key:?}");
    }
}

//! What clients of `protobuf.webpubsub.azure.v1` may send and what they may not (client-protocols 4).

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use bytes::Bytes;
use hubwire_protocol::message::{ClientMessage, Content, UserStreamError};
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::names::{EventName, GroupName, StreamId};
use hubwire_protocol::payload::{DataType, Payload};
use hubwire_protocol::state::GroupState;
use hubwire_protocol::subprotocol::{json, protobuf};
use proptest::prelude::*;

use wire::{entry, hex, len, message, varint};

#[path = "support/wire.rs"]
mod wire;

const SEND: u32 = 1;
const EVENT: u32 = 5;
const JOIN: u32 = 6;
const LEAVE: u32 = 7;
const SEQUENCE_ACK: u32 = 8;
const PING: u32 = 9;
const INVOKE: u32 = 10;
const CANCEL: u32 = 11;
const STREAM_DATA: u32 = 13;
const STREAM_END: u32 = 14;
const SET_STATE: u32 = 15;
const SUBSCRIBE_STATE: u32 = 16;
const UNSUBSCRIBE_STATE: u32 = 17;

/// Messages that have a group in their field 1, and no other field that must be there.
const OF_A_GROUP: [u32; 5] = [JOIN, LEAVE, SET_STATE, SUBSCRIBE_STATE, UNSUBSCRIBE_STATE];

/// One frame of each kind, byte for byte, and the JSON frame that means the same.
const GOLDEN: [(&str, &str); 17] = [
    (
        "0A 17 0A 01 'g' 10 07 1A 04 0A 02 'hi' 20 01 28 3C 32 06 0A 01 'k' 12 01 'v'",
        r#"{"type":"sendToGroup","group":"g","ackId":7,"dataType":"text","data":"hi","noEcho":true,"ttlSeconds":60,"metadata":{"k":"v"}}"#,
    ),
    (
        "0A 0D 0A 01 'g' 20 01 3A 06 0A 01 's' 10 88 27",
        r#"{"type":"sendToGroup","group":"g","noEcho":true,"stream":{"streamId":"s","idleTimeoutMs":5000}}"#,
    ),
    (
        "2A 14 0A 01 'e' 12 05 22 03 '[1]' 18 01 22 06 0A 01 'k' 12 01 'v'",
        r#"{"type":"event","event":"e","data":[1],"ackId":1,"metadata":{"k":"v"}}"#,
    ),
    (
        "2A 0D 0A 01 'e' 12 08 1A 06 0A 01 'a' 12 01 'b'",
        r#"{"type":"event","event":"e","dataType":"protobuf","data":"CgFhEgFi"}"#,
    ),
    (
        "32 08 0A 04 'room' 10 00",
        r#"{"type":"joinGroup","group":"room","ackId":0}"#,
    ),
    (
        "3A 06 0A 04 'room'",
        r#"{"type":"leaveGroup","group":"room"}"#,
    ),
    (
        "42 03 08 AC 02",
        r#"{"type":"sequenceAck","sequenceId":300}"#,
    ),
    ("4A 00", r#"{"type":"ping"}"#),
    (
        "52 15 0A 01 'e' 12 01 '1' 1A 05 12 03 00 01 FF 22 06 0A 01 'k' 12 01 'v'",
        r#"{"type":"invoke","event":"e","invocationId":"1","dataType":"binary","data":"AAH/","metadata":{"k":"v"}}"#,
    ),
    (
        "5A 03 0A 01 '1'",
        r#"{"type":"cancelInvocation","invocationId":"1"}"#,
    ),
    (
        "6A 0B 0A 01 's' 10 01 1A 04 0A 02 'hi'",
        r#"{"type":"streamData","streamId":"s","streamSequenceId":1,"dataType":"text","data":"hi"}"#,
    ),
    ("6A 03 0A 01 's'", r#"{"type":"streamData","streamId":"s"}"#),
    ("72 03 0A 01 's'", r#"{"type":"streamEnd","streamId":"s"}"#),
    (
        "72 0E 0A 01 's' 12 09 0A 03 'out' 12 02 'T1'",
        r#"{"type":"streamEnd","streamId":"s","error":{"message":"out","userErrorCode":"T1"}}"#,
    ),
    (
        "7A 0F 0A 01 'g' 10 02 1A 08 0A 06 0A 01 'k' 12 01 'v'",
        r#"{"type":"setGroupState","group":"g","ackId":2,"state":{"k":"v"}}"#,
    ),
    (
        "82 01 05 0A 01 'g' 10 03",
        r#"{"type":"subscribeGroupState","group":"g","ackId":3}"#,
    ),
    (
        "8A 01 05 0A 01 'g' 10 04",
        r#"{"type":"unsubscribeGroupState","group":"g","ackId":4}"#,
    ),
];

#[test]
fn every_frame_is_known_by_its_bytes() {
    let group = GroupName::new("g").unwrap();
    let room = GroupName::new("room").unwrap();
    let stream = StreamId::new("s").unwrap();
    let expected = [
        ClientMessage::SendToGroup {
            group: group.clone(),
            content: metadata_content(DataType::Text, b"hi", &[("k", "v")]),
            no_echo: true,
            ttl_seconds: 60,
            ack_id: Some(7),
        },
        ClientMessage::StartStream {
            group: group.clone(),
            stream: stream.clone(),
            no_echo: true,
            idle_timeout_ms: 5000,
            has_data: false,
        },
        ClientMessage::Event {
            event: EventName::new("e").unwrap(),
            content: metadata_content(DataType::Json, b"[1]", &[("k", "v")]),
            ack_id: Some(1),
        },
        event_message(content(DataType::Protobuf, b"\x0A\x01a\x12\x01b")),
        ClientMessage::JoinGroup {
            group: room.clone(),
            ack_id: Some(0),
        },
        ClientMessage::LeaveGroup {
            group: room,
            ack_id: None,
        },
        ClientMessage::SequenceAck { sequence_id: 300 },
        ClientMessage::Ping,
        invoke_message(Some(metadata_content(
            DataType::Binary,
            &[0, 1, 0xFF],
            &[("k", "v")],
        ))),
        ClientMessage::CancelInvocation {
            invocation_id: "1".to_owned(),
        },
        ClientMessage::StreamData {
            stream: stream.clone(),
            fragment: Some((1, content(DataType::Text, b"hi").payload)),
        },
        ClientMessage::StreamData {
            stream: stream.clone(),
            fragment: None,
        },
        ClientMessage::EndStream {
            stream: stream.clone(),
            error: None,
        },
        ClientMessage::EndStream {
            stream,
            error: Some(UserStreamError {
                message: Some("out".to_owned()),
                user_error_code: Some("T1".to_owned()),
            }),
        },
        ClientMessage::SetGroupState {
            group: group.clone(),
            state: Some(group_state(&[("k", "v")])),
            ack_id: Some(2),
        },
        ClientMessage::SubscribeGroupState {
            group: group.clone(),
            ack_id: Some(3),
        },
        ClientMessage::UnsubscribeGroupState {
            group,
            ack_id: Some(4),
        },
    ];
    for ((bytes, _), expected) in GOLDEN.iter().zip(expected) {
        accepts(&hex(bytes), expected);
    }
}

#[test]
fn every_frame_means_what_its_json_frame_means() {
    for (bytes, text) in GOLDEN {
        accepts(&hex(bytes), json::parse(text.as_bytes()).unwrap());
    }
}

/// Checklist 80.
#[test]
fn ack_id_counts_when_it_is_there_whatever_it_is() {
    for ack_id in [
        0,
        1,
        u64::from(u32::MAX) + 1,
        (1 << 53) + 1,
        1 << 63,
        u64::MAX,
    ] {
        let field = varint(2, ack_id);
        assert_eq!(
            ack_id_of(&message(JOIN, &[group("g"), field])),
            Some(ack_id)
        );
    }
    for number in OF_A_GROUP {
        assert_eq!(ack_id_of(&message(number, &[group("g")])), None);
        let zero = message(number, &[group("g"), varint(2, 0)]);
        assert_eq!(ack_id_of(&zero), Some(0));
    }
    assert_eq!(ack_id_of(&send(&[text("x")])), None);
    assert_eq!(ack_id_of(&send(&[text("x"), varint(2, 0)])), Some(0));
    assert_eq!(ack_id_of(&event(&[len(2, len(1, "x"))])), None);
    let zero = event(&[len(2, len(1, "x")), varint(3, 0)]);
    assert_eq!(ack_id_of(&zero), Some(0));
}

/// Checklist 82.
#[test]
fn bytes_that_are_no_message_are_refused() {
    let frames = [
        "",
        "00",
        "FF",
        "'{\"type\":\"ping\"}'",
        "'ping'",
        // Cut short: a tag, a length, a value, a number.
        "CA",
        "4A",
        "4A 01",
        "32 08 0A 04 'room' 10",
        "32 05 0A 04 'roo'",
        "42 01 08",
        // The group reaches out of its message.
        "32 04 0A 04 'room'",
        // Field number 0.
        "02 00",
        "4A 00 02 00",
        // Longer than 10 bytes, and than 64 bits.
        "42 0C 08 FF FF FF FF FF FF FF FF FF FF 01",
        "42 0B 08 FF FF FF FF FF FF FF FF FF 02",
        // Other wire types than the schema's.
        "48 00",
        "49 00 00 00 00 00 00 00 00",
        "32 02 08 01",
        "32 05 0A 01 'g' 12 00",
        // A length that no frame has.
        "32 FF FF FF FF 0F",
        "32 FF FF FF FF FF FF FF FF FF 01",
        "4A 00 12 FF FF FF FF 07",
        // Names that are not UTF-8.
        "32 03 0A 01 FF",
        "32 05 0A 03 ED A0 80",
    ];
    for frame in frames {
        refuses(&hex(frame));
    }
}

/// Checklist 82, 88.
#[test]
fn frame_without_a_message_that_is_known_is_refused() {
    for number in [2, 3, 4, 12, 18, 100, (1 << 29) - 1] {
        refuses(&message(number, &[group("g"), varint(2, 1)]));
        refuses(&varint(number, 1));
    }
}

/// Checklist 88.
#[test]
fn unknown_fields_are_skipped_wherever_they_are() {
    let unknown = [
        varint(99, u64::MAX),
        len(100, "anything"),
        hex("A1 06 01 02 03 04 05 06 07 08"),
        hex("A5 06 01 02 03 04"),
        hex("A3 06 08 01 A4 06"),
    ]
    .concat();
    let join = message(JOIN, &[unknown.clone(), group("g"), unknown.clone()]);
    let expected = parse(&message(JOIN, &[group("g")]));
    accepts(&[unknown.clone(), join, unknown.clone()].concat(), expected);

    let stream = message(7, &[len(1, "s"), unknown.clone()]);
    accepts(&send(&[stream]), start_message(300_000, false));
    let data = message(3, &[unknown.clone(), len(1, "x")]);
    accepts(&send(&[data]), send_message(content(DataType::Text, b"x")));
    let metadata = message(6, &[len(1, "k"), unknown, len(2, "v")]);
    accepts(
        &send(&[text("x"), metadata]),
        send_message(metadata_content(DataType::Text, b"x", &[("k", "v")])),
    );
}

/// As protocol buffers have it.
#[test]
fn last_of_repeated_fields_counts() {
    accepts(
        &[message(JOIN, &[group("g")]), message(PING, &[])].concat(),
        ClientMessage::Ping,
    );
    let join = message(JOIN, &[group("a"), varint(2, 1), group("g"), varint(2, 2)]);
    assert_eq!(join_of(&join), ("g".to_owned(), Some(2)));
    let halves = [message(JOIN, &[group("g")]), message(JOIN, &[varint(2, 2)])];
    assert_eq!(join_of(&halves.concat()), ("g".to_owned(), Some(2)));
    let twice = message(3, &[len(1, "x"), len(4, "{}"), len(2, [1])]);
    accepts(
        &send(&[twice]),
        send_message(content(DataType::Binary, &[1])),
    );
    accepts(
        &send(&[text("x"), entry(6, "k", "a"), entry(6, "k", "b")]),
        send_message(metadata_content(DataType::Text, b"x", &[("k", "b")])),
    );
}

#[test]
fn deep_nesting_is_no_recursion() {
    let starts = hex("A3 06").repeat(100_000);
    let ends = hex("A4 06").repeat(100_000);
    refuses(&[message(PING, &[]), starts.clone(), ends.clone()].concat());
    refuses(&starts);
    refuses(&message(JOIN, &[group("g"), starts, ends]));
}

/// Checklist 77, 78.
#[test]
fn group_name_is_checked() {
    for number in OF_A_GROUP {
        for name in ["g", " g ", "Room", &"😀".repeat(512)] {
            parse(&message(number, &[group(name)]));
        }
        for name in ["", " ", "\t\n", "\u{a0}\u{2003}", &"a".repeat(1025)] {
            refuses(&message(number, &[group(name)]));
        }
        refuses(&message(number, &[]));
    }
    refuses(&message(SEND, &[text("x")]));
    refuses(&message(SEND, &[group(&"ü".repeat(1025)), text("x")]));
}

/// Checklist 67.
#[test]
fn event_name_is_checked() {
    let data = || len(2, len(1, "x"));
    let longest = "a".repeat(128);
    for name in ["e", "E1_.-", "message", &longest] {
        parse(&message(EVENT, &[len(1, name), data()]));
        parse(&message(INVOKE, &[len(1, name), len(2, "1")]));
    }
    let too_long = "a".repeat(129);
    for name in ["", "1a", "_a", "a/b", "a b", " a", "ä", "a\n", &too_long] {
        refuses(&message(EVENT, &[len(1, name), data()]));
        refuses(&message(INVOKE, &[len(1, name), len(2, "1")]));
    }
    refuses(&message(EVENT, &[data()]));
    refuses(&message(INVOKE, &[len(2, "1")]));
}

#[test]
fn data_has_the_type_of_its_field() {
    let cases: [(u32, DataType, &[u8]); 6] = [
        (1, DataType::Text, "ü😀\n\0".as_bytes()),
        (2, DataType::Binary, &[0, 1, 0xFF]),
        (3, DataType::Protobuf, b"\x0A\x01a\x12\x01b"),
        (3, DataType::Protobuf, b""),
        (4, DataType::Json, br#"{"a":1}"#),
        (4, DataType::Json, b"false"),
    ];
    for (field, data_type, data) in cases {
        let expected = content(data_type, data);
        let data = len(field, data);
        accepts(&send(&[len(3, &data)]), send_message(expected.clone()));
        accepts(&event(&[len(2, &data)]), event_message(expected.clone()));
        accepts(
            &invoke(&[len(3, &data)]),
            invoke_message(Some(expected.clone())),
        );
        accepts(
            &stream_data(&[varint(2, 1), len(3, &data)]),
            fragment_message(1, expected.payload),
        );
    }
}

/// Checklist 82.
#[test]
fn data_must_be_there() {
    for data in [vec![], len(3, []), len(3, varint(9, 1))] {
        refuses(&send(&[data]));
    }
    for data in [vec![], len(2, []), len(2, varint(9, 1))] {
        refuses(&event(&[data]));
    }
}

/// Checklist 83.
#[test]
fn empty_text_and_binary_are_data() {
    accepts(
        &send(&[len(3, hex("0A 00"))]),
        send_message(content(DataType::Text, b"")),
    );
    accepts(
        &send(&[len(3, hex("12 00"))]),
        send_message(content(DataType::Binary, b"")),
    );
    accepts(
        &event(&[len(2, hex("0A 00"))]),
        event_message(content(DataType::Text, b"")),
    );
    accepts(
        &event(&[len(2, hex("12 00"))]),
        event_message(content(DataType::Binary, b"")),
    );
}

/// Checklist 56.
#[test]
fn missing_data_with_metadata_is_empty_text() {
    let expected = metadata_content(DataType::Text, b"", &[("a", "b")]);
    for data in [vec![], len(3, [])] {
        accepts(
            &send(&[data.clone(), entry(6, "a", "b")]),
            send_message(expected.clone()),
        );
        accepts(
            &invoke(&[data, entry(4, "a", "b")]),
            invoke_message(Some(expected.clone())),
        );
    }
    for data in [vec![], len(2, [])] {
        accepts(
            &event(&[data, entry(4, "a", "b")]),
            event_message(expected.clone()),
        );
    }
}

/// Section 4.3.
#[test]
fn data_that_is_not_what_its_field_says_is_refused() {
    let cases: [(u32, &[u8]); 17] = [
        (1, b"\xFF"),
        (1, b"\xED\xA0\x80"),
        (1, b"a\xC3"),
        (3, b"\0\0"),
        (3, b"\x0A\x05a"),
        (3, b"\x0A\x01\xFF"),
        (4, b""),
        (4, b" "),
        (4, b"{"),
        (4, b"{} {}"),
        (4, b"01"),
        (4, b"NaN"),
        (4, b"'x'"),
        (4, b"\"\n\""),
        (4, b"\"\xFF\""),
        (4, b"null"),
        (4, b" \r\n\tnull "),
    ];
    for (field, data) in cases {
        let data = len(field, data);
        refuses(&send(&[len(3, &data)]));
        refuses(&send(&[len(3, &data), entry(6, "k", "v")]));
        refuses(&event(&[len(2, &data)]));
        refuses(&invoke(&[len(3, &data)]));
        refuses(&stream_data(&[varint(2, 1), len(3, &data)]));
        refuses(&send(&[len(3, &data), len(7, len(1, "s"))]));
    }
}

#[test]
fn json_data_is_kept_byte_for_byte() {
    let values = [
        "9007199254740993",
        "123456789012345678901234567890",
        "1e400",
        "-0.0",
        r#"{"b":1,"a":2,"b":3}"#,
        " [\n\t1 ]\r\n",
        r#""\u0041\/\ud800""#,
    ];
    for value in values {
        accepts(
            &send(&[len(3, len(4, value))]),
            send_message(content(DataType::Json, value.as_bytes())),
        );
    }
}

#[test]
fn json_data_may_nest_64_deep_and_no_deeper() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    accepts(
        &send(&[len(3, len(4, nested(64)))]),
        send_message(content(DataType::Json, nested(64).as_bytes())),
    );
    for depth in [65, 100_000] {
        refuses(&send(&[len(3, len(4, nested(depth)))]));
    }
}

/// Checklist 84.
#[test]
fn any_is_kept_byte_for_byte() {
    // Fields out of order, repeated and unknown.
    let any = hex("12 01 'b' 0A 01 'x' 98 06 01 0A 01 'a'");
    accepts(
        &send(&[len(3, len(3, &any))]),
        send_message(content(DataType::Protobuf, &any)),
    );
}

/// Checklist 58.
#[test]
fn no_echo_is_off_unless_it_is_set() {
    for (field, expected) in [
        (vec![], false),
        (varint(4, 0), false),
        (varint(4, 1), true),
        (varint(4, 2), true),
    ] {
        let ClientMessage::SendToGroup { no_echo, .. } = parse(&send(&[text("x"), field])) else {
            panic!("not a send");
        };
        assert_eq!(no_echo, expected);
    }
}

/// Checklist 60.
#[test]
fn ttl_is_0_to_300() {
    for (field, expected) in [
        (vec![], 0),
        (varint(5, 0), 0),
        (varint(5, 1), 1),
        (varint(5, 300), 300),
    ] {
        let ClientMessage::SendToGroup { ttl_seconds, .. } = parse(&send(&[text("x"), field]))
        else {
            panic!("not a send");
        };
        assert_eq!(ttl_seconds, expected);
    }
    for seconds in [301, 65_536, u64::from(u32::MAX), u64::MAX] {
        refuses(&send(&[text("x"), varint(5, seconds)]));
        refuses(&send(&[len(7, len(1, "s")), varint(5, seconds)]));
    }
}

/// Checklist 61.
#[test]
fn metadata_keeps_the_case_of_its_keys() {
    let entries = [
        entry(6, "trace", "b"),
        entry(6, "Trace", "\t"),
        entry(6, "!#~", ""),
    ];
    let expected = [("!#~", ""), ("Trace", "\t"), ("trace", "b")];
    accepts(
        &send(&[text("x"), entries.concat()]),
        send_message(metadata_content(DataType::Text, b"x", &expected)),
    );
    accepts(
        &send(&[text("x"), message(6, &[len(1, "k")])]),
        send_message(metadata_content(DataType::Text, b"x", &[("k", "")])),
    );
}

/// Checklist 62.
#[test]
fn metadata_that_breaks_a_rule_is_refused() {
    let long_total = |field| {
        let entries = (0..9).map(|index| entry(field, index.to_string(), "v".repeat(1000)));
        entries.collect::<Vec<_>>().concat()
    };
    let refuses_metadata = |entries: &dyn Fn(u32) -> Vec<u8>| {
        refuses(&send(&[text("x"), entries(6)]));
        refuses(&send(&[len(7, len(1, "s")), entries(6)]));
        refuses(&event(&[len(2, len(1, "x")), entries(4)]));
        refuses(&invoke(&[entries(4)]));
    };
    let long_key = "k".repeat(257);
    let long_value = "v".repeat(1025);
    for (key, value) in [
        ("", "v"),
        ("a b", "v"),
        ("ü", "v"),
        ("a:b", "v"),
        ("a", "ü"),
        ("a", "\n"),
        ("a", "\0"),
        ("a", "\u{7f}"),
        (&long_key, "v"),
        ("a", &long_value),
    ] {
        refuses_metadata(&|field| entry(field, key, value));
    }
    refuses_metadata(&long_total);
    refuses_metadata(&|field| len(field, []));
    refuses_metadata(&|field| entry(field, [0xFF], "v"));
    refuses_metadata(&|field| entry(field, "k", [0xFF]));
    refuses_metadata(&|field| varint(field, 1));
}

/// Checklist 69.
#[test]
fn sequence_ack_is_any_unsigned_number() {
    for sequence_id in [0, 1, 1 << 53, u64::MAX] {
        accepts(
            &message(SEQUENCE_ACK, &[varint(1, sequence_id)]),
            ClientMessage::SequenceAck { sequence_id },
        );
    }
    accepts(
        &message(SEQUENCE_ACK, &[]),
        ClientMessage::SequenceAck { sequence_id: 0 },
    );
}

/// Section 3.2.
#[test]
fn stream_is_for_sends_only() {
    for stream in [len(5, []), len(5, len(1, "s"))] {
        refuses(&event(&[len(2, len(1, "x")), stream.clone()]));
        refuses(&invoke(&[len(3, len(1, "x")), stream]));
    }
}

/// Section 3.8, rule 1.
#[test]
fn stream_of_a_send_starts_a_stream() {
    let stream = || len(7, len(1, "s"));
    accepts(&send(&[stream()]), start_message(300_000, false));
    accepts(
        &send(&[stream(), len(3, [])]),
        start_message(300_000, false),
    );
    // Its ack id is ignored, and metadata and a time to live are of no use.
    let fields = [stream(), varint(2, 7), varint(5, 60), entry(6, "k", "v")];
    accepts(&send(&fields), start_message(300_000, false));
}

/// Section 3.8, rule 2.
#[test]
fn start_of_a_stream_with_data_says_so() {
    for data in [
        len(1, ""),
        len(1, "x"),
        len(2, [1]),
        len(3, ""),
        len(4, "1"),
    ] {
        let fields = [len(7, len(1, "s")), len(3, data)];
        accepts(&send(&fields), start_message(300_000, true));
    }
}

/// Section 3.8, rule 1.
#[test]
fn idle_timeout_of_a_stream_is_1_to_3600000() {
    let start = |timeout_ms| send(&[message(7, &[len(1, "s"), varint(2, timeout_ms)])]);
    for timeout_ms in [1, 3_600_000] {
        accepts(
            &start(u64::from(timeout_ms)),
            start_message(timeout_ms, false),
        );
    }
    for timeout_ms in [0, 3_600_001, u64::from(u32::MAX), u64::MAX] {
        refuses(&start(timeout_ms));
    }
}

/// Section 3.8, rule 1.
#[test]
fn stream_id_is_1_to_256_bytes() {
    let of_a_stream: [fn(&str) -> Vec<u8>; 3] = [
        |id| send(&[len(7, len(1, id))]),
        |id| message(STREAM_DATA, &[len(1, id)]),
        |id| message(STREAM_END, &[len(1, id)]),
    ];
    for frame in of_a_stream {
        for id in ["s", " ", &"s".repeat(256), &"ü".repeat(128)] {
            parse(&frame(id));
        }
        for id in ["", &"s".repeat(257), &"ü".repeat(129)] {
            refuses(&frame(id));
        }
    }
    refuses(&send(&[len(7, [])]));
    refuses(&message(STREAM_DATA, &[]));
    refuses(&message(STREAM_END, &[]));
}

/// Section 3.8, rule 3.
#[test]
fn fragment_has_a_number_and_data_or_neither() {
    let data = || len(3, len(1, "x"));
    let payload = || content(DataType::Text, b"x").payload;
    for number in [1, 2, u64::MAX] {
        accepts(
            &stream_data(&[varint(2, number), data()]),
            fragment_message(number, payload()),
        );
    }
    accepts(
        &stream_data(&[varint(2, 1), len(3, len(1, ""))]),
        fragment_message(1, content(DataType::Text, b"").payload),
    );
    refuses(&stream_data(&[varint(2, 0), data()]));
    refuses(&stream_data(&[varint(2, 0)]));
    refuses(&stream_data(&[varint(2, 1)]));
    refuses(&stream_data(&[data()]));
    refuses(&stream_data(&[len(3, [])]));
    refuses(&stream_data(&[varint(2, 1), len(3, [])]));
}

/// Section 3.8, rule 6.
#[test]
fn end_of_a_stream_may_carry_an_error() {
    for (fields, error) in [
        (vec![], None),
        (len(2, []), Some((None, None))),
        (len(2, len(1, "m")), Some((Some("m"), None))),
        (len(2, len(2, "c")), Some((None, Some("c")))),
        (len(2, hex("0A 00 12 00")), Some((Some(""), Some("")))),
    ] {
        let error = error.map(|(message, code)| UserStreamError {
            message: message.map(str::to_owned),
            user_error_code: code.map(str::to_owned),
        });
        let stream = StreamId::new("s").unwrap();
        accepts(
            &message(STREAM_END, &[len(1, "s"), fields]),
            ClientMessage::EndStream { stream, error },
        );
    }
    refuses(&message(STREAM_END, &[len(1, "s"), len(2, len(1, [0xFF]))]));
}

/// Section 3.9.
#[test]
fn invocation_needs_no_data() {
    accepts(&invoke(&[]), invoke_message(None));
    accepts(&invoke(&[len(3, [])]), invoke_message(None));
    accepts(
        &invoke(&[len(3, hex("0A 00"))]),
        invoke_message(Some(content(DataType::Text, b""))),
    );
}

/// Section 3.9.
#[test]
fn invocation_id_is_not_empty() {
    for id in [vec![], len(2, "")] {
        refuses(&message(INVOKE, &[len(1, "e"), id]));
    }
    for id in [vec![], len(1, "")] {
        refuses(&message(CANCEL, &[id]));
    }
}

/// Section 3.10.
#[test]
fn state_that_is_not_set_clears_it() {
    for (field, state) in [
        (vec![], None),
        (len(3, []), Some(group_state(&[]))),
        (
            message(3, &[entry(1, "b", "grün\n"), entry(1, "ä b", "")]),
            Some(group_state(&[("b", "grün\n"), ("ä b", "")])),
        ),
    ] {
        accepts(
            &message(SET_STATE, &[group("g"), field]),
            ClientMessage::SetGroupState {
                group: GroupName::new("g").unwrap(),
                state,
                ack_id: None,
            },
        );
    }
}

/// Section 3.10.
#[test]
fn state_over_a_limit_is_refused() {
    let set = |entries: &[Vec<u8>]| message(SET_STATE, &[group("g"), message(3, entries)]);
    parse(&set(&[entry(1, "k".repeat(256), "v".repeat(1024))]));
    refuses(&set(&[entry(1, "k".repeat(257), "v")]));
    refuses(&set(&[entry(1, "k", "v".repeat(1025))]));
    refuses(&set(&[entry(1, "", "v")]));
    let entries: Vec<_> = (0..8)
        .map(|index| entry(1, index.to_string(), "v".repeat(1023)))
        .collect();
    parse(&set(&entries));
    let beyond = [entries, vec![entry(1, "8", "")]].concat();
    refuses(&set(&beyond));
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_refused(frame in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = protobuf::parse(&frame);
    }

    #[test]
    fn changed_frames_are_a_message_or_refused(
        chosen in 0..GOLDEN.len(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        is_cut in any::<bool>(),
    ) {
        let mut frame = hex(GOLDEN[chosen].0);
        for (index, byte) in changes {
            let at = index.index(frame.len());
            frame[at] = byte;
            if is_cut && at > 0 {
                frame.truncate(at);
            }
        }
        let _ = protobuf::parse(&frame);
    }

    #[test]
    fn any_data_means_the_same_in_json_and_protobuf(
        group in "\\PC{0,20}x",
        text in any::<String>(),
        data in any::<i64>(),
        ack_id in any::<Option<u64>>(),
        no_echo in any::<bool>(),
        ttl_seconds in 0..400_u16,
    ) {
        for (data_type, field, value, json_value) in [
            ("text", 1, text.clone(), serde_json::Value::from(text.clone())),
            ("json", 4, data.to_string(), data.into()),
        ] {
            let json_frame = serde_json::json!({
                "type": "sendToGroup", "group": group, "dataType": data_type, "data": json_value,
                "ackId": ack_id, "noEcho": no_echo, "ttlSeconds": ttl_seconds,
            });
            let frame = message(SEND, &[
                len(1, &group),
                ack_id.map(|ack_id| varint(2, ack_id)).unwrap_or_default(),
                len(3, len(field, value)),
                varint(4, u64::from(no_echo)),
                varint(5, u64::from(ttl_seconds)),
            ]);
            let expected = json::parse(json_frame.to_string().as_bytes());
            prop_assert_eq!(protobuf::parse(&frame).ok(), expected.ok());
        }
    }
}

fn parse(frame: &[u8]) -> ClientMessage {
    protobuf::parse(frame).unwrap_or_else(|error| panic!("{frame:02X?}: {error}"))
}

fn accepts(frame: &[u8], expected: ClientMessage) {
    assert_eq!(parse(frame), expected, "{frame:02X?}");
}

fn refuses(frame: &[u8]) {
    if let Ok(message) = protobuf::parse(frame) {
        panic!("{frame:02X?} became {message:?}");
    }
}

fn ack_id_of(frame: &[u8]) -> Option<u64> {
    match parse(frame) {
        ClientMessage::JoinGroup { ack_id, .. }
        | ClientMessage::LeaveGroup { ack_id, .. }
        | ClientMessage::SendToGroup { ack_id, .. }
        | ClientMessage::Event { ack_id, .. }
        | ClientMessage::SetGroupState { ack_id, .. }
        | ClientMessage::SubscribeGroupState { ack_id, .. }
        | ClientMessage::UnsubscribeGroupState { ack_id, .. } => ack_id,
        other => panic!("{other:?} has no ack id"),
    }
}

fn join_of(frame: &[u8]) -> (String, Option<u64>) {
    match parse(frame) {
        ClientMessage::JoinGroup { group, ack_id } => (group.to_string(), ack_id),
        other => panic!("{other:?} is no join"),
    }
}

fn group(name: &str) -> Vec<u8> {
    len(1, name)
}

/// The data of a send.
fn text(text: &str) -> Vec<u8> {
    len(3, len(1, text))
}

fn send(fields: &[Vec<u8>]) -> Vec<u8> {
    message(SEND, &[group("g"), fields.concat()])
}

fn event(fields: &[Vec<u8>]) -> Vec<u8> {
    message(EVENT, &[len(1, "e"), fields.concat()])
}

fn invoke(fields: &[Vec<u8>]) -> Vec<u8> {
    message(INVOKE, &[len(1, "e"), len(2, "1"), fields.concat()])
}

fn stream_data(fields: &[Vec<u8>]) -> Vec<u8> {
    message(STREAM_DATA, &[len(1, "s"), fields.concat()])
}

fn send_message(content: Content) -> ClientMessage {
    ClientMessage::SendToGroup {
        group: GroupName::new("g").unwrap(),
        content,
        no_echo: false,
        ttl_seconds: 0,
        ack_id: None,
    }
}

fn event_message(content: Content) -> ClientMessage {
    ClientMessage::Event {
        event: EventName::new("e").unwrap(),
        content,
        ack_id: None,
    }
}

fn invoke_message(content: Option<Content>) -> ClientMessage {
    ClientMessage::Invoke {
        invocation_id: "1".to_owned(),
        event: Some(EventName::new("e").unwrap()),
        content,
    }
}

fn start_message(idle_timeout_ms: u32, has_data: bool) -> ClientMessage {
    ClientMessage::StartStream {
        group: GroupName::new("g").unwrap(),
        stream: StreamId::new("s").unwrap(),
        no_echo: false,
        idle_timeout_ms,
        has_data,
    }
}

fn fragment_message(sequence_id: u64, payload: Payload) -> ClientMessage {
    ClientMessage::StreamData {
        stream: StreamId::new("s").unwrap(),
        fragment: Some((sequence_id, payload)),
    }
}

fn content(data_type: DataType, data: &[u8]) -> Content {
    metadata_content(data_type, data, &[])
}

fn metadata_content(data_type: DataType, data: &[u8], entries: &[(&str, &str)]) -> Content {
    let mut metadata = Metadata::default();
    for (key, value) in entries {
        metadata
            .insert((*key).to_owned(), (*value).to_owned())
            .unwrap();
    }
    Content {
        payload: Payload {
            data_type,
            data: Bytes::copy_from_slice(data),
        },
        metadata,
    }
}

fn group_state(entries: &[(&str, &str)]) -> GroupState {
    let mut state = GroupState::default();
    for (key, value) in entries {
        state
            .insert((*key).to_owned(), (*value).to_owned())
            .unwrap();
    }
    state
}

//! What clients of `protobuf.webpubsub.azure.v1` receive, byte for byte (client-protocols 3.5, 4.2).

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use bytes::Bytes;
use hubwire_protocol::close::app_server_closed_message;
use hubwire_protocol::message::{
    AckError, AckErrorName, ClientMessage, Content, ControlMessage, DataMessage, Fragment, From,
    GroupStateMessage, NamedError, StreamEnd, StreamError, StreamErrorName, UserStreamError,
};
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::names::{GroupName, StreamId, UserId};
use hubwire_protocol::payload::{DataType, Payload};
use hubwire_protocol::state::{GroupState, StateItem};
use hubwire_protocol::subprotocol::{Format, Unnumbered, protobuf};
use proptest::prelude::*;

use wire::{Value, fields, hex, len, message};

#[path = "support/wire.rs"]
mod wire;

const GROUP_TEXT: &str = "12 13 0A 05 'group' 12 04 'room' 1A 04 0A 02 'hi'";
const SERVER_JSON: &str = "12 11 0A 06 'server' 1A 07 22 05 '[1,2]'";
const FRAGMENT: &str = "12 1A 0A 05 'group' 12 04 'room' 1A 04 0A 02 'hi' 32 05 0A 01 's' 10 02";
const STATE_UPDATE: &str =
    "4A 1B 0A 01 'g' 12 16 0A 02 'c1' 12 03 'ann' 1A 08 0A 06 0A 01 'k' 12 01 'v' 20 D2 09";
const STATE_SNAPSHOT_EMPTY: &str = "52 03 0A 01 'g'";

#[test]
fn connected_names_the_connection_and_its_user() {
    let user = UserId::new("ann").unwrap();
    let connected = |user, reconnection_token| ControlMessage::Connected {
        connection_id: "c1",
        user,
        reconnection_token,
    };
    check_control(
        "1A 0B 0A 09 0A 02 'c1' 12 03 'ann'",
        &connected(Some(&user), None),
    );
    // A text that is not there is the empty one.
    check_control("1A 06 0A 04 0A 02 'c1'", &connected(None, None));
    check_control(
        "1A 0F 0A 0D 0A 02 'c1' 12 03 'ann' 1A 02 't1'",
        &connected(Some(&user), Some("t1")),
    );
}

/// Checklist 89.
#[test]
fn reason_of_disconnected_is_field_2() {
    check_control(
        "1A 07 12 05 12 03 'bye'",
        &ControlMessage::Disconnected { message: "bye" },
    );
    check_control("1A 02 12 00", &ControlMessage::Disconnected { message: "" });
    let reason = app_server_closed_message(Some("grün"));
    let frame = protobuf::encode_control(&ControlMessage::Disconnected { message: &reason });
    let expected = message(3, &[message(2, &[len(2, &*reason)])]);
    assert_eq!(frame, expected);
}

/// Checklist 80.
#[test]
fn ack_of_success_has_no_error() {
    let ack = |ack_id| ControlMessage::Ack {
        ack_id,
        outcome: Ok(()),
    };
    check_control("0A 04 08 01 10 01", &ack(1));
    // A number that is not there is 0.
    check_control("0A 02 10 01", &ack(0));
    check_control(
        "0A 0D 08 FF FF FF FF FF FF FF FF FF 01 10 01",
        &ack(u64::MAX),
    );
}

#[test]
fn ack_of_failure_names_the_error() {
    let error = AckError {
        name: AckErrorName::Forbidden,
        message: "no".to_owned(),
    };
    let ack = ControlMessage::Ack {
        ack_id: 2,
        outcome: Err(&error),
    };
    check_control("0A 13 08 02 1A 0F 0A 09 'Forbidden' 12 02 'no'", &ack);
}

#[test]
fn pong_is_empty() {
    check_control("22 00", &ControlMessage::Pong);
}

/// Checklist 87.
#[test]
fn group_message_carries_group_and_data_and_neither_user_nor_number() {
    check_data(
        GROUP_TEXT,
        &data_message(from_group(Some("ann")), DataType::Text, b"hi", &[]),
    );
    check_data(
        GROUP_TEXT,
        &data_message(from_group(None), DataType::Text, b"hi", &[]),
    );
}

/// Checklist 84, 86.
#[test]
fn data_is_in_the_field_of_its_type() {
    let check = |golden, data_type, data| {
        check_data(golden, &data_message(From::Server, data_type, data, &[]));
    };
    check(SERVER_JSON, DataType::Json, b"[1,2]");
    check(
        "12 0E 0A 06 'server' 1A 04 0A 02 'hi'",
        DataType::Text,
        b"hi",
    );
    check(
        "12 0F 0A 06 'server' 1A 05 12 03 00 01 FF",
        DataType::Binary,
        &[0, 1, 0xFF],
    );
    check(
        "12 12 0A 06 'server' 1A 08 1A 06 0A 01 'a' 12 01 'b'",
        DataType::Protobuf,
        b"\x0A\x01a\x12\x01b",
    );
    // Fields that an Any does not know stay in it.
    check(
        "12 13 0A 06 'server' 1A 09 1A 07 98 06 01 0A 02 'ab'",
        DataType::Protobuf,
        b"\x98\x06\x01\x0A\x02ab",
    );
    check(
        "12 10 0A 06 'server' 1A 06 22 04 'null'",
        DataType::Json,
        b"null",
    );
}

/// Checklist 83.
#[test]
fn empty_data_is_there_and_empty() {
    let check = |golden, data_type| {
        check_data(golden, &data_message(From::Server, data_type, b"", &[]));
    };
    check("12 0C 0A 06 'server' 1A 02 0A 00", DataType::Text);
    check("12 0C 0A 06 'server' 1A 02 12 00", DataType::Binary);
    check("12 0C 0A 06 'server' 1A 02 1A 00", DataType::Protobuf);
}

#[test]
fn metadata_follows_the_data() {
    check_data(
        "12 1B 0A 06 'server' 1A 04 0A 02 'hi' 2A 03 0A 01 'K' 2A 06 0A 01 'k' 12 01 'v'",
        &data_message(
            From::Server,
            DataType::Text,
            b"hi",
            &[("k", "v"), ("K", "")],
        ),
    );
}

#[test]
fn text_that_is_not_utf8_gets_replacement_characters() {
    let sent = data_message(From::Server, DataType::Text, b"a\xFFb\xF0\x9F", &[]);
    check_data(
        "12 14 0A 06 'server' 1A 0A 0A 08 'a' EF BF BD 'b' EF BF BD",
        &sent,
    );
}

/// Section 3.8; checklist 110.
#[test]
fn fragment_is_a_group_message_with_its_place_in_the_stream() {
    let fragment = stream_message(b"hi", 2, None);
    check_data(FRAGMENT, &fragment);
}

/// Section 3.8, rules 6 and 7; checklist 112, 113, 115.
#[test]
fn last_message_of_a_stream_says_how_it_ended() {
    let check = |golden, error| {
        let last = stream_message(b"", 3, Some(StreamEnd { error }));
        check_data(golden, &last);
    };
    check(
        "12 1A 0A 05 'group' 12 04 'room' 1A 02 0A 00 32 07 0A 01 's' 10 03 18 01",
        None,
    );
    check(
        "12 29 0A 05 'group' 12 04 'room' 1A 02 0A 00 32 16 0A 01 's' 10 03 18 01 22 0D 0A 0B 'IdleTimeout'",
        Some(StreamError {
            name: StreamErrorName::IdleTimeout,
            details: UserStreamError::default(),
        }),
    );
    check(
        "12 30 0A 05 'group' 12 04 'room' 1A 02 0A 00 32 1D 0A 01 's' 10 03 18 01 22 14 0A 09 'UserError' 12 03 'out' 1A 02 'T1'",
        Some(StreamError {
            name: StreamErrorName::UserError,
            details: UserStreamError {
                message: Some("out".to_owned()),
                user_error_code: Some("T1".to_owned()),
            },
        }),
    );
}

/// Section 3.9; checklist 117.
#[test]
fn invocation_is_answered_with_data() {
    let text = content(DataType::Text, b"hi", &[("k", "v")]);
    check_control(
        "2A 13 0A 01 '1' 10 01 1A 04 0A 02 'hi' 2A 06 0A 01 'k' 12 01 'v'",
        &answer(Ok(Some(&text))),
    );
    let json = content(DataType::Json, b"[1]", &[]);
    check_control(
        "2A 0C 0A 01 '1' 10 01 1A 05 22 03 '[1]'",
        &answer(Ok(Some(&json))),
    );
}

/// Section 3.9; checklist 117.
#[test]
fn empty_answer_and_null_have_no_data() {
    check_control("2A 05 0A 01 '1' 10 01", &answer(Ok(None)));
    let cases: [(DataType, &[u8]); 5] = [
        (DataType::Json, b"null"),
        (DataType::Json, b" null\n"),
        (DataType::Text, b""),
        (DataType::Binary, b""),
        (DataType::Protobuf, b""),
    ];
    for (data_type, data) in cases {
        let alone = content(data_type, data, &[]);
        check_control("2A 05 0A 01 '1' 10 01", &answer(Ok(Some(&alone))));
        let with_metadata = content(data_type, data, &[("k", "v")]);
        check_control(
            "2A 0D 0A 01 '1' 10 01 2A 06 0A 01 'k' 12 01 'v'",
            &answer(Ok(Some(&with_metadata))),
        );
    }
}

/// Section 3.9; checklist 117.
#[test]
fn failed_invocation_names_the_error() {
    let error = NamedError {
        name: "NotFound",
        message: "no",
    };
    check_control(
        "2A 13 0A 01 '1' 22 0E 0A 08 'NotFound' 12 02 'no'",
        &answer(Err(error)),
    );
}

/// Section 3.8; checklist 109, 110.
#[test]
fn stream_acks_and_nacks_say_what_is_expected() {
    let stream = StreamId::new("s").unwrap();
    check_control(
        "32 05 0A 01 's' 10 01",
        &ControlMessage::StreamAck {
            stream: &stream,
            expected_sequence_id: 1,
        },
    );
    check_control(
        "3A 1C 0A 01 's' 12 11 'InvalidSequenceId' 1A 02 'no' 20 03",
        &ControlMessage::StreamNack {
            stream: &stream,
            expected_sequence_id: 3,
            error: NamedError {
                name: StreamErrorName::InvalidSequenceId.as_str(),
                message: "no",
            },
        },
    );
}

/// Section 3.8; checklist 112, 114.
#[test]
fn closed_stream_has_an_error_unless_its_publisher_ended_it() {
    let stream = StreamId::new("s").unwrap();
    let closed = |error| ControlMessage::StreamClosed {
        stream: &stream,
        error,
    };
    check_control("42 03 0A 01 's'", &closed(None));
    let error = NamedError {
        name: StreamErrorName::StreamNotFound.as_str(),
        message: "no",
    };
    check_control(
        "42 19 0A 01 's' 12 14 0A 0E 'StreamNotFound' 12 02 'no'",
        &closed(Some(error)),
    );
}

/// Section 3.10; checklist 120.
#[test]
fn group_state_lists_connections_with_their_entries() {
    let full = state_item(Some("ann"), Some(&[("k", "v")]), 1234);
    check_state(STATE_UPDATE, false, vec![full]);
    let cleared = state_item(None, None, 1234);
    check_state(
        "4A 0C 0A 01 'g' 12 07 0A 02 'c1' 20 D2 09",
        false,
        vec![cleared.clone()],
    );
    check_state(STATE_SNAPSHOT_EMPTY, true, Vec::new());
    let empty = state_item(None, Some(&[]), 1);
    check_state(
        "52 16 0A 01 'g' 12 08 0A 02 'c1' 1A 00 20 01 12 07 0A 02 'c1' 20 D2 09",
        true,
        vec![empty, cleared],
    );
}

/// Section 5.1; checklist 91.
#[test]
fn numbered_frame_is_the_plain_one_with_a_sequence_id() {
    let long = data_message(From::Server, DataType::Binary, &[7; 100_000], &[]);
    let long = protobuf::encode_data(&long);
    for (frame, number) in [
        (hex(GROUP_TEXT), 4),
        (hex(SERVER_JSON), 4),
        (hex(FRAGMENT), 4),
        (hex(STATE_UPDATE), 3),
        (hex(STATE_SNAPSHOT_EMPTY), 3),
        (long.to_vec(), 4),
    ] {
        let plain = fields(&frame);
        for sequence_id in [1, 127, 128, 300, u64::MAX] {
            let [(case, Value::Len(body))] = &plain[..] else {
                panic!("{plain:?}");
            };
            let mut expected = vec![(number, Value::Varint(sequence_id))];
            expected.extend(fields(body));
            let numbered = fields(&numbered(&frame, sequence_id));
            let [(numbered_case, Value::Len(numbered_body))] = &numbered[..] else {
                panic!("{numbered:?}");
            };
            assert_eq!(numbered_case, case);
            assert_eq!(fields(numbered_body), expected);
        }
    }
}

/// Section 5.1; checklist 91.
#[test]
fn first_bytes_of_a_numbered_frame_are_its_number() {
    assert_eq!(
        numbered(&hex(GROUP_TEXT), 300),
        hex("12 16 20 AC 02 0A 05 'group' 12 04 'room' 1A 04 0A 02 'hi'")
    );
    assert_eq!(
        numbered(&hex(STATE_SNAPSHOT_EMPTY), 1),
        hex("52 05 18 01 0A 01 'g'")
    );
}

proptest! {
    #[test]
    fn any_message_arrives_as_it_was_sent(
        group in "\\PC{0,20}x",
        text in any::<String>(),
        data in proptest::collection::vec(any::<u8>(), 0..20_000),
    ) {
        let from = From::Group { group: GroupName::new(&group).unwrap(), user: None };
        let sent = data_message(from, DataType::Text, text.as_bytes(), &[]);
        let expected = message(2, &[len(1, "group"), len(2, &group), len(3, len(1, &text))]);
        prop_assert_eq!(protobuf::encode_data(&sent), expected);

        let sent = data_message(From::Server, DataType::Binary, &data, &[]);
        let expected = message(2, &[len(1, "server"), len(3, len(2, &data))]);
        prop_assert_eq!(protobuf::encode_data(&sent), expected);
    }

    #[test]
    fn payload_survives_the_way_from_a_receiver_back_to_the_service(
        data_type in prop_oneof![Just(DataType::Text), Just(DataType::Binary)],
        text in any::<String>(),
    ) {
        let sent = data_message(From::Server, data_type, text.as_bytes(), &[]);
        let received = fields(&protobuf::encode_data(&sent));
        let (_, Value::Len(received)) = &received[0] else { panic!("{received:?}") };
        let (3, Value::Len(data)) = &fields(received)[1] else { panic!("{received:?}") };
        let frame = message(1, &[len(1, "g"), len(3, data)]);
        let ClientMessage::SendToGroup { content, .. } = protobuf::parse(&frame).unwrap() else {
            panic!("{frame:?}");
        };
        prop_assert_eq!(content, sent.content);
    }
}

fn check_control(golden: &str, message: &ControlMessage<'_>) {
    check(golden, &protobuf::encode_control(message));
}

fn check_data(golden: &str, message: &DataMessage) {
    check(golden, &protobuf::encode_data(message));
}

fn check_state(golden: &str, is_snapshot: bool, items: Vec<StateItem>) {
    let message = GroupStateMessage {
        group: GroupName::new("g").unwrap(),
        is_snapshot,
        items,
    };
    check(golden, &protobuf::encode_group_state(&message));
}

fn check(golden: &str, frame: &[u8]) {
    assert_eq!(frame, hex(golden), "{frame:02X?} is not {golden}");
}

/// The frame as a reliable connection gets it.
fn numbered(frame: &[u8], sequence_id: u64) -> Vec<u8> {
    let frame = Bytes::copy_from_slice(frame);
    let Unnumbered { body, envelope } = Unnumbered::of(Format::Protobuf, &frame).unwrap();
    let head = envelope.head(body.len(), sequence_id);
    [head.as_bytes(), &body].concat()
}

fn answer<'a>(outcome: Result<Option<&'a Content>, NamedError<'a>>) -> ControlMessage<'a> {
    ControlMessage::InvokeResponse {
        invocation_id: "1",
        outcome,
    }
}

fn from_group(user: Option<&str>) -> From {
    From::Group {
        group: GroupName::new("room").unwrap(),
        user: user.map(|user| UserId::new(user).unwrap()),
    }
}

fn stream_message(text: &[u8], sequence_id: u64, end: Option<StreamEnd>) -> DataMessage {
    DataMessage {
        stream: Some(Fragment {
            stream: StreamId::new("s").unwrap(),
            sequence_id,
            end,
        }),
        ..data_message(from_group(None), DataType::Text, text, &[])
    }
}

fn state_item(user: Option<&str>, entries: Option<&[(&str, &str)]>, updated_at: u64) -> StateItem {
    let state = entries.map(|entries| {
        let mut state = GroupState::default();
        for (key, value) in entries {
            state
                .insert((*key).to_owned(), (*value).to_owned())
                .unwrap();
        }
        state
    });
    StateItem {
        connection_id: "c1".to_owned(),
        user: user.map(|user| UserId::new(user).unwrap()),
        state,
        updated_at,
    }
}

fn data_message(
    from: From,
    data_type: DataType,
    data: &[u8],
    entries: &[(&str, &str)],
) -> DataMessage {
    DataMessage {
        from,
        content: content(data_type, data, entries),
        stream: None,
    }
}

fn content(data_type: DataType, data: &[u8], entries: &[(&str, &str)]) -> Content {
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

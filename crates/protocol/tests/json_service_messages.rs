//! What clients of `json.webpubsub.azure.v1` receive, as golden frames (client-protocols 3.5). Each file under `golden/` is
//! one frame and a line feed.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
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
use hubwire_protocol::subprotocol::{Format, Unnumbered, json};
use proptest::prelude::*;
use serde_json::{Value, json};

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("golden/", $name, ".json"))
    };
}

/// Checklist 43.
#[test]
fn connected_names_the_connection_and_its_user() {
    let user = UserId::new("ann").unwrap();
    let connected = |user| ControlMessage::Connected {
        connection_id: "c0nnection-Id_1",
        user,
        reconnection_token: None,
    };
    check_control(golden!("connected"), &connected(Some(&user)));
    check_control(golden!("connected_without_user"), &connected(None));
}

/// Checklist 90.
#[test]
fn connected_of_a_reliable_connection_carries_a_token() {
    let user = UserId::new("ann").unwrap();
    let connected = ControlMessage::Connected {
        connection_id: "c0nnection-Id_1",
        user: Some(&user),
        reconnection_token: Some("a.b\"c"),
    };
    check_control(golden!("connected_reliable"), &connected);
}

/// Checklist 123, 124.
#[test]
fn disconnected_carries_the_whole_reason() {
    let check = |golden, reason| {
        let message = app_server_closed_message(reason);
        check_control(golden, &ControlMessage::Disconnected { message: &message });
    };
    check(golden!("disconnected"), None);
    check(golden!("disconnected"), Some(""));
    check(
        golden!("disconnected_with_reason"),
        Some("\"grün\" \\ \n\t\u{1} 😀"),
    );
}

/// Checklist 44, 49.
#[test]
fn ack_of_success_has_no_error() {
    let ack = |ack_id| ControlMessage::Ack {
        ack_id,
        outcome: Ok(()),
    };
    check_control(golden!("ack_success"), &ack(1));
    check_control(golden!("ack_success_smallest_id"), &ack(0));
    check_control(golden!("ack_success_largest_id"), &ack(u64::MAX));
}

/// Checklist 45, 47, 65.
#[test]
fn ack_of_failure_names_the_error() {
    let check = |golden, ack_id, name, message: &str| {
        let error = AckError {
            name,
            message: message.to_owned(),
        };
        let outcome = Err(&error);
        check_control(golden, &ControlMessage::Ack { ack_id, outcome });
    };
    let forbidden = "The client does not have permission to join group 'a\"b'.";
    check(
        golden!("ack_forbidden"),
        2,
        AckErrorName::Forbidden,
        forbidden,
    );
    let duplicate = "Message with ack-id: 3 has been processed";
    check(
        golden!("ack_duplicate"),
        3,
        AckErrorName::Duplicate,
        duplicate,
    );
    let failed = "Internal server error";
    check(
        golden!("ack_internal_server_error"),
        4,
        AckErrorName::InternalServerError,
        failed,
    );
}

/// Checklist 68.
#[test]
fn pong_has_nothing_but_its_type() {
    check_control(golden!("pong"), &ControlMessage::Pong);
}

/// Checklist 54, 55, 74, 75, 76.
#[test]
fn group_message_carries_group_user_and_data() {
    let from = || from_group("room", Some("ann"));
    let number_forms = br#"{ "n" : 12345678901234567890123, "e":1E+2,"b":1,"b":2 }"#;
    check_data(
        golden!("group_json"),
        from(),
        DataType::Json,
        number_forms,
        &[],
    );
    check_data(golden!("group_text"), from(), DataType::Text, b"hi", &[]);
    check_data(
        golden!("group_binary"),
        from(),
        DataType::Binary,
        &[0, 1, 0xFF],
        &[],
    );
    check_data(
        golden!("group_protobuf"),
        from(),
        DataType::Protobuf,
        b"\x0A\x01a\x12\x01b",
        &[],
    );
    let from = from_group("room", None);
    check_data(
        golden!("group_without_user"),
        from,
        DataType::Json,
        br#"{"v":1}"#,
        &[],
    );
}

#[test]
fn names_and_text_are_escaped() {
    let from = from_group("a\"b\\c", Some("\0ann😀"));
    let text = "\"\\/\u{8}\u{c}\n\r\t\u{1f} ü";
    check_data(
        golden!("group_text_escaped"),
        from,
        DataType::Text,
        text.as_bytes(),
        &[],
    );
}

/// Checklist 61.
#[test]
fn metadata_follows_the_data_in_the_order_of_the_sender() {
    let entries = [("Trace", "A"), ("trace", "\"b\\\t")];
    let from = from_group("room", None);
    check_data(
        golden!("group_metadata"),
        from,
        DataType::Text,
        b"",
        &entries,
    );
    check_data(
        golden!("server_metadata"),
        From::Server,
        DataType::Binary,
        &[1, 2],
        &[("k", "v")],
    );
}

/// Checklist 74, 76.
#[test]
fn server_message_carries_data_alone() {
    check_data(
        golden!("server_json"),
        From::Server,
        DataType::Json,
        b"[1,2]",
        &[],
    );
    check_data(
        golden!("server_json_null"),
        From::Server,
        DataType::Json,
        b"null",
        &[],
    );
    check_data(
        golden!("server_text"),
        From::Server,
        DataType::Text,
        b"hi",
        &[],
    );
    check_data(
        golden!("server_text_empty"),
        From::Server,
        DataType::Text,
        b"",
        &[],
    );
    check_data(
        golden!("server_binary"),
        From::Server,
        DataType::Binary,
        &[1],
        &[],
    );
    check_data(
        golden!("server_binary_empty"),
        From::Server,
        DataType::Binary,
        b"",
        &[],
    );
    check_data(
        golden!("server_protobuf"),
        From::Server,
        DataType::Protobuf,
        b"\x0A\x01a",
        &[],
    );
}

/// Section 3.9; checklist 117.
#[test]
fn invocation_is_answered_with_data() {
    let check = |golden, id, data_type, data, entries| {
        let content = content(data_type, data, entries);
        check_control(golden, &answer(id, Ok(Some(&content))));
    };
    check(
        golden!("invoke_response_json"),
        "1",
        DataType::Json,
        br#"{ "n" : 12345678901234567890123 }"#,
        &[],
    );
    check(
        golden!("invoke_response_text"),
        "a\"b",
        DataType::Text,
        b"hi",
        &[],
    );
    check(
        golden!("invoke_response_binary"),
        "1",
        DataType::Binary,
        &[0, 1, 0xFF],
        &[],
    );
    check(
        golden!("invoke_response_metadata"),
        "1",
        DataType::Text,
        b"hi",
        &[("trace", "A")],
    );
}

/// Section 3.9; checklist 117.
#[test]
fn empty_answer_and_null_have_no_data() {
    check_control(golden!("invoke_response_empty"), &answer("1", Ok(None)));
    let cases: [(DataType, &[u8]); 6] = [
        (DataType::Json, b"null"),
        (DataType::Json, b" \r\n\tnull "),
        (DataType::Json, b""),
        (DataType::Text, b""),
        (DataType::Binary, b""),
        (DataType::Protobuf, b""),
    ];
    for (data_type, data) in cases {
        let alone = content(data_type, data, &[]);
        check_control(
            golden!("invoke_response_empty"),
            &answer("1", Ok(Some(&alone))),
        );
        let with_metadata = content(data_type, data, &[("trace", "A")]);
        check_control(
            golden!("invoke_response_empty_metadata"),
            &answer("1", Ok(Some(&with_metadata))),
        );
    }
    let text = content(DataType::Text, b"null", &[]);
    let frame = json::encode_control(&answer("1", Ok(Some(&text))));
    let frame: Value = serde_json::from_slice(&frame).unwrap();
    assert_eq!(frame["data"], "null");
}

/// Section 3.9; checklist 117.
#[test]
fn failed_invocation_names_the_error() {
    let error = NamedError {
        name: "NotFound",
        message: "There is no \"e\".",
    };
    check_control(golden!("invoke_response_error"), &answer("1", Err(error)));
}

/// Section 3.8; checklist 109, 110.
#[test]
fn stream_acks_and_nacks_say_what_is_expected() {
    let (quoted, plain) = (stream_id("s\"1"), stream_id("s"));
    check_control(
        golden!("stream_ack"),
        &ControlMessage::StreamAck {
            stream: &quoted,
            expected_sequence_id: 1,
        },
    );
    check_control(
        golden!("stream_ack_largest_id"),
        &ControlMessage::StreamAck {
            stream: &plain,
            expected_sequence_id: u64::MAX,
        },
    );
    check_control(
        golden!("stream_nack"),
        &ControlMessage::StreamNack {
            stream: &plain,
            expected_sequence_id: 3,
            error: NamedError {
                name: StreamErrorName::InvalidSequenceId.as_str(),
                message: "Fragments are \"missing\".",
            },
        },
    );
}

/// Section 3.8; checklist 112, 114.
#[test]
fn closed_stream_has_an_error_unless_its_publisher_ended_it() {
    let stream = stream_id("s");
    let closed = |error| ControlMessage::StreamClosed {
        stream: &stream,
        error,
    };
    check_control(golden!("stream_closed"), &closed(None));
    let error = NamedError {
        name: StreamErrorName::StreamNotFound.as_str(),
        message: "There is no such stream.",
    };
    check_control(golden!("stream_closed_error"), &closed(Some(error)));
}

/// Section 3.8; checklist 110.
#[test]
fn fragment_is_a_group_message_with_its_place_in_the_stream() {
    let mut fragment = message(from_group("room", Some("ann")), DataType::Json, b"[1]", &[]);
    fragment.stream = Some(Fragment {
        stream: stream_id("s\"1"),
        sequence_id: 1,
        end: None,
    });
    check(golden!("group_stream"), &json::encode_data(&fragment));
    fragment.content = content(DataType::Text, b"hi", &[("trace", "A")]);
    fragment.stream = Some(Fragment {
        stream: stream_id("s"),
        sequence_id: u64::MAX,
        end: None,
    });
    check(
        golden!("group_stream_metadata"),
        &json::encode_data(&fragment),
    );
}

/// Section 3.8, rules 6 and 7; checklist 112, 113, 115.
#[test]
fn last_message_of_a_stream_says_how_it_ended() {
    let check_end = |golden, error| {
        let mut last = message(from_group("room", None), DataType::Text, b"", &[]);
        last.stream = Some(Fragment {
            stream: stream_id("s"),
            sequence_id: 3,
            end: Some(StreamEnd { error }),
        });
        check(golden, &json::encode_data(&last));
    };
    check_end(golden!("group_stream_end"), None);
    let idle = StreamError {
        name: StreamErrorName::IdleTimeout,
        details: UserStreamError::default(),
    };
    check_end(golden!("group_stream_end_error"), Some(idle));
    let own = StreamError {
        name: StreamErrorName::UserError,
        details: UserStreamError {
            message: Some("out of \"tea\"".to_owned()),
            user_error_code: Some("T1".to_owned()),
        },
    };
    check_end(golden!("group_stream_end_user_error"), Some(own));
}

/// Section 3.10; checklist 120.
#[test]
fn group_state_lists_connections_with_their_entries() {
    let ann = Some("ann");
    let full: &[(&str, &str)] = &[("status", "away"), ("Note", "\"grün\"\n")];
    let items = vec![
        state_item("c1", ann, Some(full), 1_700_000_000_001),
        state_item("c2", None, Some(&[]), 1_700_000_000_002),
    ];
    check_state(golden!("group_state_snapshot"), "room", true, items);
    check_state(
        golden!("group_state_snapshot_empty"),
        "a\"b",
        true,
        Vec::new(),
    );
    let set = state_item("c2", None, Some(&[("status", "here")]), 1_700_000_000_003);
    check_state(golden!("group_state_update"), "room", false, vec![set]);
    let cleared = state_item("c1", ann, None, 1_700_000_000_004);
    check_state(
        golden!("group_state_update_cleared"),
        "room",
        false,
        vec![cleared],
    );
}

/// Section 5.1; checklist 91.
#[test]
fn numbered_frame_is_the_plain_one_with_a_sequence_id() {
    for golden in [
        golden!("group_json"),
        golden!("group_stream"),
        golden!("server_text"),
        golden!("group_state_snapshot"),
        golden!("group_state_update"),
    ] {
        let plain = Bytes::from_static(golden.trim_end().as_bytes());
        let unnumbered = Unnumbered::of(Format::Json, &plain).unwrap();
        let head = unnumbered.envelope.head(unnumbered.body.len(), 7);
        let numbered = [head.as_bytes(), &unnumbered.body].concat();
        let mut expected: Value = serde_json::from_slice(&plain).unwrap();
        expected["sequenceId"] = 7.into();
        assert_eq!(
            serde_json::from_slice::<Value>(&numbered).unwrap(),
            expected
        );
    }
}

#[test]
fn text_that_is_not_utf8_gets_replacement_characters() {
    let text = b"a\xFFb\xF0\x9F";
    check_data(
        golden!("server_text_invalid_utf8"),
        From::Server,
        DataType::Text,
        text,
        &[],
    );
}

proptest! {
    #[test]
    fn any_text_and_bytes_arrive_as_they_were_sent(
        group in "\\PC{0,20}x",
        user in proptest::option::of("\\PC{0,20}x"),
        text in any::<String>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let text_frame = json::encode_data(&message(
            from_group(&group, user.as_deref()), DataType::Text, text.as_bytes(), &[],
        ));
        let expected = json!({
            "type": "message", "from": "group", "group": group, "fromUserId": user, "dataType": "text", "data": text,
        });
        prop_assert_eq!(serde_json::from_slice::<Value>(&text_frame).unwrap(), expected);

        let binary_frame = json::encode_data(&message(From::Server, DataType::Binary, &bytes, &[]));
        let expected = json!({
            "type": "message", "from": "server", "dataType": "binary", "data": STANDARD.encode(&bytes),
        });
        prop_assert_eq!(serde_json::from_slice::<Value>(&binary_frame).unwrap(), expected);
    }

    #[test]
    fn group_state_survives_the_way_from_a_subscriber_back_to_the_service(
        entries in proptest::collection::btree_map("\\PC{1,20}", any::<String>(), 0..5),
    ) {
        let entries: Vec<(&str, &str)> = entries.iter().map(|(key, value)| (&**key, &**value)).collect();
        let sent = state(&entries);
        let update = GroupStateMessage {
            group: GroupName::new("g").unwrap(),
            is_snapshot: false,
            items: vec![state_item("c", None, Some(&entries), 1)],
        };
        let frame: Value = serde_json::from_slice(&json::encode_group_state(&update)).unwrap();
        let state = &frame["items"][0]["state"];
        let again = format!(r#"{{"type":"setGroupState","group":"g","state":{state}}}"#);
        let ClientMessage::SetGroupState { state: Some(state), .. } = json::parse(again.as_bytes()).unwrap() else {
            panic!("{again}");
        };
        prop_assert!(sent.iter().all(|entry| state.iter().any(|other| other == entry)));
        prop_assert_eq!(state.iter().count(), sent.iter().count());
    }

    #[test]
    fn payload_survives_the_way_from_a_receiver_back_to_the_service(
        data_type in prop_oneof![Just(DataType::Text), Just(DataType::Binary)],
        text in any::<String>(),
    ) {
        let sent = message(From::Server, data_type, text.as_bytes(), &[("k", "v")]);
        let mut frame: Value = serde_json::from_slice(&json::encode_data(&sent)).unwrap();
        frame["type"] = "sendToGroup".into();
        frame["group"] = "g".into();
        let ClientMessage::SendToGroup { content, .. } = json::parse(frame.to_string().as_bytes()).unwrap() else {
            panic!("{frame}");
        };
        prop_assert_eq!(content, sent.content);
    }
}

fn check_control(golden: &str, message: &ControlMessage<'_>) {
    check(golden, &json::encode_control(message));
}

fn check_data(
    golden: &str,
    from: From,
    data_type: DataType,
    data: &[u8],
    entries: &[(&str, &str)],
) {
    check(
        golden,
        &json::encode_data(&message(from, data_type, data, entries)),
    );
}

fn check(golden: &str, encoded: &[u8]) {
    let frame = golden
        .strip_suffix('\n')
        .expect("a golden file ends with a line feed");
    assert_eq!(std::str::from_utf8(encoded).unwrap(), frame);
    assert!(
        frame.starts_with(r#"{"type":"#),
        "every frame begins with its type"
    );
    serde_json::from_str::<Value>(frame).expect("a golden frame is JSON");
}

fn from_group(group: &str, user: Option<&str>) -> From {
    From::Group {
        group: GroupName::new(group).unwrap(),
        user: user.map(|user| UserId::new(user).unwrap()),
    }
}

fn stream_id(id: &str) -> StreamId {
    StreamId::new(id).unwrap()
}

fn answer<'a>(
    invocation_id: &'a str,
    outcome: Result<Option<&'a Content>, NamedError<'a>>,
) -> ControlMessage<'a> {
    ControlMessage::InvokeResponse {
        invocation_id,
        outcome,
    }
}

fn check_state(golden: &str, group: &str, is_snapshot: bool, items: Vec<StateItem>) {
    let message = GroupStateMessage {
        group: GroupName::new(group).unwrap(),
        is_snapshot,
        items,
    };
    check(golden, &json::encode_group_state(&message));
}

fn state_item(
    connection_id: &str,
    user: Option<&str>,
    entries: Option<&[(&str, &str)]>,
    updated_at: u64,
) -> StateItem {
    StateItem {
        connection_id: connection_id.to_owned(),
        user: user.map(|user| UserId::new(user).unwrap()),
        state: entries.map(state),
        updated_at,
    }
}

fn state(entries: &[(&str, &str)]) -> GroupState {
    let mut state = GroupState::default();
    for (key, value) in entries {
        state
            .insert((*key).to_owned(), (*value).to_owned())
            .unwrap();
    }
    state
}

fn message(from: From, data_type: DataType, data: &[u8], entries: &[(&str, &str)]) -> DataMessage {
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

//! What clients of `json.webpubsub.azure.v1` receive, as golden frames (client-protocols 3.5). Each file under `golden/` is
//! one frame and a line feed.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hubwire_protocol::close::app_server_closed_message;
use hubwire_protocol::message::{
    AckError, AckErrorName, ClientMessage, Content, ControlMessage, DataMessage, From,
};
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::names::{GroupName, UserId};
use hubwire_protocol::payload::{DataType, Payload};
use hubwire_protocol::subprotocol::json;
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
    };
    check_control(golden!("connected"), &connected(Some(&user)));
    check_control(golden!("connected_without_user"), &connected(None));
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
    serde_json::from_str::<Value>(frame).expect("a golden frame is JSON");
}

fn from_group(group: &str, user: Option<&str>) -> From {
    From::Group {
        group: GroupName::new(group).unwrap(),
        user: user.map(|user| UserId::new(user).unwrap()),
    }
}

fn message(from: From, data_type: DataType, data: &[u8], entries: &[(&str, &str)]) -> DataMessage {
    let mut metadata = Metadata::default();
    for (key, value) in entries {
        metadata
            .insert((*key).to_owned(), (*value).to_owned())
            .unwrap();
    }
    DataMessage {
        from,
        content: Content {
            payload: Payload {
                data_type,
                data: Bytes::copy_from_slice(data),
            },
            metadata,
        },
    }
}

//! The frames of a client that speaks `json.webpubsub.azure.v1`.

use hubwire_protocol::message::{ClientMessage, Content, DataMessage, From, TTL_SECONDS_MAX};
use hubwire_protocol::names::GroupName;
use hubwire_protocol::payload::{DataType, is_any, is_json};
use hubwire_protocol::subprotocol::json;
use serde::de::IgnoredAny;

/// Parses a frame. What it publishes is encoded for a receiver and must come back unchanged if that one publishes it again.
///
/// # Panics
///
/// If parser and encoder do not agree.
pub fn run(data: &[u8]) {
    let is_value = serde_json::from_slice::<IgnoredAny>(data).is_ok();
    assert!(is_value || !is_json(data));
    is_any(data);
    let Ok(message) = json::parse(data) else {
        return;
    };
    assert!(is_value, "took what is not JSON");
    match message {
        ClientMessage::SendToGroup {
            group,
            content,
            ttl_seconds,
            ..
        } => {
            assert!(ttl_seconds <= TTL_SECONDS_MAX);
            round_trip(group, content);
        }
        ClientMessage::Event { content, .. } => {
            round_trip(GroupName::new("g").expect("a group name"), content);
        }
        ClientMessage::JoinGroup { .. }
        | ClientMessage::LeaveGroup { .. }
        | ClientMessage::Ping
        | ClientMessage::SequenceAck { .. } => {}
    }
}

fn round_trip(group: GroupName, content: Content) {
    let payload = &content.payload;
    match payload.data_type {
        DataType::Json => {
            assert!(std::str::from_utf8(&payload.data).is_ok());
            assert!(serde_json::from_slice::<IgnoredAny>(&payload.data).is_ok());
        }
        DataType::Text => assert!(std::str::from_utf8(&payload.data).is_ok()),
        DataType::Protobuf => assert!(is_any(&payload.data)),
        DataType::Binary => {}
    }
    let sent = DataMessage {
        from: From::Group {
            group: group.clone(),
            user: None,
        },
        content,
    };
    let frame = String::from_utf8(json::encode_data(&sent).to_vec()).expect("a frame is UTF-8");
    let again = frame.replacen(r#"{"type":"message""#, r#"{"type":"sendToGroup""#, 1);
    match json::parse(again.as_bytes()) {
        Ok(ClientMessage::SendToGroup {
            group: group_again,
            content,
            ..
        }) => {
            assert_eq!(group_again, group);
            assert_eq!(content, sent.content);
        }
        other => panic!("{frame} became {other:?}"),
    }
}

//! The frames of a client that speaks `json.webpubsub.azure.v1`.

use hubwire_protocol::message::{
    ClientMessage, Content, ControlMessage, DataMessage, Fragment, From, GroupStateMessage,
    STREAM_IDLE_TIMEOUT_MAX_MS, StreamEnd, StreamError, StreamErrorName, TTL_SECONDS_MAX,
    UserStreamError,
};
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::names::{GroupName, StreamId};
use hubwire_protocol::payload::{DataType, Payload, is_any, is_json};
use hubwire_protocol::state::{GroupState, StateItem};
use hubwire_protocol::subprotocol::json;
use serde::de::IgnoredAny;
use serde_json::Value;

/// Parses a frame. What it says is encoded for a receiver and must come back unchanged if that one says it again.
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
            send_again(group, content);
        }
        ClientMessage::Event { content, .. } => send_again(a_group(), content),
        ClientMessage::StartStream {
            group,
            stream,
            idle_timeout_ms,
            ..
        } => {
            assert!((1..=STREAM_IDLE_TIMEOUT_MAX_MS).contains(&idle_timeout_ms));
            let payload = empty_text();
            let fragment = Fragment {
                stream,
                sequence_id: 1,
                end: None,
            };
            start_again(group, payload, fragment);
        }
        ClientMessage::StreamData { stream, fragment } => {
            let Some((sequence_id, payload)) = fragment else {
                return;
            };
            assert!(sequence_id > 0);
            let fragment = Fragment {
                stream,
                sequence_id,
                end: None,
            };
            start_again(a_group(), payload, fragment);
        }
        ClientMessage::EndStream { stream, error } => end_again(stream, error),
        ClientMessage::Invoke {
            invocation_id,
            content,
            ..
        } => invoke_again(&invocation_id, content),
        ClientMessage::SetGroupState {
            group,
            state: Some(state),
            ..
        } => set_again(group, state),
        ClientMessage::CancelInvocation { invocation_id } => assert!(!invocation_id.is_empty()),
        ClientMessage::JoinGroup { .. }
        | ClientMessage::LeaveGroup { .. }
        | ClientMessage::Ping
        | ClientMessage::SequenceAck { .. }
        | ClientMessage::SetGroupState { state: None, .. }
        | ClientMessage::SubscribeGroupState { .. }
        | ClientMessage::UnsubscribeGroupState { .. } => {}
    }
}

/// Sends what a member of the group has received.
fn send_again(group: GroupName, content: Content) {
    check(&content.payload);
    let sent = DataMessage {
        from: From::Group {
            group: group.clone(),
            user: None,
        },
        content,
        stream: None,
    };
    match parse_as("message", "sendToGroup", &json::encode_data(&sent)) {
        ClientMessage::SendToGroup {
            group: group_again,
            content,
            ..
        } => {
            assert_eq!(group_again, group);
            assert_eq!(content, sent.content);
        }
        other => panic!("{sent:?} became {other:?}"),
    }
}

/// Sends a fragment as it was received: the start of a stream of that name, with data.
fn start_again(group: GroupName, payload: Payload, fragment: Fragment) {
    check(&payload);
    let sent = fragment_of(group.clone(), payload, fragment);
    match parse_as("message", "sendToGroup", &json::encode_data(&sent)) {
        ClientMessage::StartStream {
            group: group_again,
            stream,
            has_data: true,
            ..
        } => {
            assert_eq!(group_again, group);
            assert_eq!(Some(stream), sent.stream.map(|fragment| fragment.stream));
        }
        other => panic!("{sent:?} became {other:?}"),
    }
}

/// Ends a stream for the reason that its subscribers were given.
fn end_again(stream: StreamId, error: Option<UserStreamError>) {
    let fragment = Fragment {
        stream,
        sequence_id: 1,
        end: Some(StreamEnd {
            error: error.clone().map(|details| StreamError {
                name: StreamErrorName::UserError,
                details,
            }),
        }),
    };
    let frame = json::encode_data(&fragment_of(a_group(), empty_text(), fragment));
    let frame: Value = serde_json::from_slice(&frame).expect("a frame is JSON");
    assert_eq!(frame["stream"]["endOfStream"], true);
    let again = serde_json::json!({
        "type": "streamEnd",
        "streamId": frame["stream"]["streamId"],
        "error": frame["stream"]["error"],
    });
    match json::parse(again.to_string().as_bytes()) {
        Ok(ClientMessage::EndStream {
            error: error_again, ..
        }) => assert_eq!(error_again, error),
        other => panic!("{again} became {other:?}"),
    }
}

/// Invokes with an answer's id and data.
fn invoke_again(invocation_id: &str, content: Option<Content>) {
    if let Some(content) = &content {
        check(&content.payload);
    }
    let answer = ControlMessage::InvokeResponse {
        invocation_id,
        outcome: Ok(content.as_ref()),
    };
    let frame = json::encode_control(&answer);
    // An empty answer carries no data, and metadata alone comes with empty text.
    let expected = content.and_then(|content| match content.payload.data.is_empty() {
        false => Some(content),
        true if content.metadata.is_empty() => None,
        true => Some(Content {
            payload: empty_text(),
            metadata: content.metadata,
        }),
    });
    match parse_as("invokeResponse", r#"invoke","event":"e"#, &frame) {
        ClientMessage::Invoke {
            invocation_id: id_again,
            content,
            ..
        } => {
            assert_eq!(id_again, invocation_id);
            assert_eq!(content, expected);
        }
        other => panic!("{frame:?} became {other:?}"),
    }
}

/// Sets the state that a subscriber has received.
fn set_again(group: GroupName, state: GroupState) {
    let update = GroupStateMessage {
        group,
        is_snapshot: false,
        items: vec![StateItem {
            connection_id: "c".to_owned(),
            user: None,
            state: Some(state.clone()),
            updated_at: 1,
        }],
    };
    let frame = String::from_utf8(json::encode_group_state(&update).to_vec());
    let frame = frame.expect("a frame is UTF-8");
    let again = frame
        .replacen("groupStateUpdate", "setGroupState", 1)
        .replacen(r#""items":[{"connectionId":"c","#, "", 1);
    let again = again.strip_suffix("]}").expect("the list is the last");
    match json::parse(again.as_bytes()) {
        Ok(ClientMessage::SetGroupState {
            group,
            state: state_again,
            ..
        }) => {
            assert_eq!(group, update.group);
            assert_eq!(state_again, Some(state));
        }
        other => panic!("{again} became {other:?}"),
    }
}

/// Parses a frame after a change of its type.
fn parse_as(from: &str, to: &str, frame: &[u8]) -> ClientMessage {
    let frame = std::str::from_utf8(frame).expect("a frame is UTF-8");
    let rest = frame
        .strip_prefix(&format!(r#"{{"type":"{from}""#))
        .expect("a frame begins with its type");
    let again = format!(r#"{{"type":"{to}"{rest}"#);
    json::parse(again.as_bytes()).unwrap_or_else(|error| panic!("{again}: {error}"))
}

fn check(payload: &Payload) {
    match payload.data_type {
        DataType::Json => assert!(is_json(&payload.data)),
        DataType::Text => assert!(std::str::from_utf8(&payload.data).is_ok()),
        DataType::Protobuf => assert!(is_any(&payload.data)),
        DataType::Binary => {}
    }
}

fn fragment_of(group: GroupName, payload: Payload, fragment: Fragment) -> DataMessage {
    DataMessage {
        from: From::Group { group, user: None },
        content: Content {
            payload,
            metadata: Metadata::default(),
        },
        stream: Some(fragment),
    }
}

fn empty_text() -> Payload {
    Payload {
        data_type: DataType::Text,
        data: Default::default(),
    }
}

fn a_group() -> GroupName {
    GroupName::new("g").expect("a group name")
}

//! The frames of a client that speaks `protobuf.webpubsub.azure.v1`.

use bytes::Bytes;
use hubwire_protocol::message::{
    ClientMessage, Content, DataMessage, Fragment, From, GroupStateMessage,
    STREAM_IDLE_TIMEOUT_MAX_MS, TTL_SECONDS_MAX,
};
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::names::{GroupName, StreamId};
use hubwire_protocol::payload::{DataType, Payload, is_any, is_json};
use hubwire_protocol::state::{GroupState, StateItem};
use hubwire_protocol::subprotocol::{Format, Unnumbered, protobuf};

/// Parses a frame. What it says is encoded for a receiver and must come back unchanged if that one says it again.
///
/// # Panics
///
/// If parser and encoder do not agree.
pub fn run(data: &[u8]) {
    let Ok(message) = protobuf::parse(data) else {
        return;
    };
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
        ClientMessage::Event { content, .. }
        | ClientMessage::Invoke {
            content: Some(content),
            ..
        } => send_again(a_group(), content),
        ClientMessage::StartStream {
            idle_timeout_ms, ..
        } => assert!((1..=STREAM_IDLE_TIMEOUT_MAX_MS).contains(&idle_timeout_ms)),
        ClientMessage::StreamData {
            stream,
            fragment: Some((sequence_id, payload)),
        } => {
            assert!(sequence_id > 0);
            send_fragment_again(stream, sequence_id, payload);
        }
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
        | ClientMessage::StreamData { fragment: None, .. }
        | ClientMessage::EndStream { .. }
        | ClientMessage::Invoke { content: None, .. }
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
    let frame = protobuf::encode_data(&sent);
    check_number(&frame);
    let received = body(&frame);
    let again = retag(&received, &[(0x12, 0x0A), (0x1A, 0x1A), (0x2A, 0x32)]);
    match parse(0x0A, &again) {
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

/// Publishes a fragment that was received.
fn send_fragment_again(stream: StreamId, sequence_id: u64, payload: Payload) {
    check(&payload);
    let sent = DataMessage {
        from: From::Server,
        content: Content {
            payload,
            metadata: Metadata::default(),
        },
        stream: Some(Fragment {
            stream: stream.clone(),
            sequence_id,
            end: None,
        }),
    };
    let received = body(&protobuf::encode_data(&sent));
    let place = body(&retag(&received, &[(0x32, 0x32)]));
    let again = [place, retag(&received, &[(0x1A, 0x1A)])].concat();
    let fragment = Some((sequence_id, sent.content.payload));
    let expected = ClientMessage::StreamData { stream, fragment };
    assert_eq!(parse(0x6A, &again), expected);
}

/// Sets the state that a subscriber has received.
fn set_again(group: GroupName, state: GroupState) {
    let update = GroupStateMessage {
        group: group.clone(),
        is_snapshot: false,
        items: vec![StateItem {
            connection_id: "c".to_owned(),
            user: None,
            state: Some(state.clone()),
            updated_at: 1,
        }],
    };
    let frame = protobuf::encode_group_state(&update);
    check_number(&frame);
    let received = body(&frame);
    let item = body(&retag(&received, &[(0x12, 0x12)]));
    let again = [
        retag(&received, &[(0x0A, 0x0A)]),
        retag(&item, &[(0x1A, 0x1A)]),
    ];
    let expected = ClientMessage::SetGroupState {
        group,
        state: Some(state),
        ack_id: None,
    };
    assert_eq!(parse(0x7A, &again.concat()), expected);
}

fn check(payload: &Payload) {
    match payload.data_type {
        DataType::Json => assert!(is_json(&payload.data)),
        DataType::Text => assert!(std::str::from_utf8(&payload.data).is_ok()),
        DataType::Protobuf => assert!(is_any(&payload.data)),
        DataType::Binary => {}
    }
}

/// Numbers a frame, which must leave the rest of it as it is.
fn check_number(frame: &Bytes) {
    let Unnumbered {
        body: rest,
        envelope,
    } = Unnumbered::of(Format::Protobuf, frame).expect("data and states are numbered");
    let head = envelope.head(rest.len(), 1);
    let numbered = [head.as_bytes(), &rest].concat();
    assert_eq!(numbered[0], frame[0]);
    assert_eq!(body(&numbered)[2..], body(frame));
}

fn a_group() -> GroupName {
    GroupName::new("g").expect("a group name")
}

/// The frame of a message with this tag.
fn parse(tag: u8, message: &[u8]) -> ClientMessage {
    let mut frame = vec![tag];
    let mut len = message.len();
    while len >= 0x80 {
        frame.push(len as u8 | 0x80);
        len >>= 7;
    }
    frame.push(len as u8);
    frame.extend_from_slice(message);
    protobuf::parse(&frame).unwrap_or_else(|error| panic!("{frame:02X?}: {error}"))
}

/// What is in a field that is all that a message has.
fn body(message: &[u8]) -> Vec<u8> {
    let len_bytes = 1 + varint_len(&message[1..]);
    let whole = retag(message, &[(message[0], message[0])]);
    assert_eq!(whole, message);
    message[len_bytes..].to_vec()
}

/// The fields with the first tag of a pair, with the second one instead.
fn retag(mut message: &[u8], tags: &[(u8, u8)]) -> Vec<u8> {
    let mut retagged = Vec::new();
    while let Some((tag, rest)) = message.split_first() {
        let mut len = varint_len(rest);
        if tag & 7 == 2 {
            len += varint(&rest[..len]);
        }
        let (value, rest) = rest.split_at(len);
        if let Some((_, other)) = tags.iter().find(|(from, _)| from == tag) {
            retagged.push(*other);
            retagged.extend_from_slice(value);
        }
        message = rest;
    }
    retagged
}

fn varint_len(bytes: &[u8]) -> usize {
    let last = bytes.iter().position(|byte| byte & 0x80 == 0);
    1 + last.expect("a varint ends")
}

fn varint(bytes: &[u8]) -> usize {
    let bits = |number, byte: &u8| number << 7 | usize::from(byte & 0x7F);
    bytes.iter().rev().fold(0, bits)
}

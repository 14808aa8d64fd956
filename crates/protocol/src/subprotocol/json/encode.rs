//! What clients are told. Each frame begins with its `type`. Source: client-protocols 3.5.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;

use crate::message::{
    Content, ControlMessage, DataMessage, Fragment, From, GroupStateMessage, NamedError,
};
use crate::metadata::Metadata;
use crate::payload::{DataType, Payload};
use crate::state::StateItem;

/// Encodes a data message. `data` of type `json` is embedded as it is, so it must be one valid JSON value.
pub fn encode_data(message: &DataMessage) -> Bytes {
    let payload = &message.content.payload;
    let mut out = Vec::with_capacity(128 + payload.data.len() + payload.data.len() / 2);
    match &message.from {
        From::Server => out.extend_from_slice(br#"{"type":"message","from":"server""#),
        From::Group { group, user } => {
            out.extend_from_slice(br#"{"type":"message","from":"group","group":"#);
            write_json(&mut out, group.as_str());
            out.extend_from_slice(br#","fromUserId":"#);
            write_json(&mut out, &user.as_ref().map(|user| user.as_str()));
        }
    }
    write_data(&mut out, payload);
    write_metadata(&mut out, &message.content.metadata);
    if let Some(fragment) = &message.stream {
        write_stream(&mut out, fragment);
    }
    out.push(b'}');
    out.into()
}

/// Encodes states of a group, without sequence id.
pub fn encode_group_state(message: &GroupStateMessage) -> Bytes {
    let mut out = Vec::with_capacity(128 + 128 * message.items.len());
    match message.is_snapshot {
        true => out.extend_from_slice(br#"{"type":"groupStateSnapshot","group":"#),
        false => out.extend_from_slice(br#"{"type":"groupStateUpdate","group":"#),
    }
    write_json(&mut out, message.group.as_str());
    out.extend_from_slice(br#","items":["#);
    for (index, item) in message.items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_state_item(&mut out, item);
    }
    out.extend_from_slice(b"]}");
    out.into()
}

/// Encodes a control message.
pub fn encode_control(message: &ControlMessage<'_>) -> Bytes {
    let mut out = Vec::with_capacity(128);
    match message {
        ControlMessage::Connected {
            connection_id,
            user,
            reconnection_token,
        } => {
            out.extend_from_slice(br#"{"type":"system","event":"connected","userId":"#);
            write_json(&mut out, &user.map(|user| user.as_str()));
            out.extend_from_slice(br#","connectionId":"#);
            write_json(&mut out, connection_id);
            if let Some(token) = reconnection_token {
                out.extend_from_slice(br#","reconnectionToken":"#);
                write_json(&mut out, token);
            }
        }
        ControlMessage::Disconnected { message } => {
            out.extend_from_slice(br#"{"type":"system","event":"disconnected","message":"#);
            write_json(&mut out, message);
        }
        ControlMessage::Ack { ack_id, outcome } => {
            out.extend_from_slice(br#"{"type":"ack","ackId":"#);
            write_json(&mut out, ack_id);
            match outcome {
                Ok(()) => out.extend_from_slice(br#","success":true"#),
                Err(error) => {
                    out.extend_from_slice(br#","success":false"#);
                    write_error(&mut out, error.name.as_str(), &error.message);
                }
            }
        }
        ControlMessage::Pong => out.extend_from_slice(br#"{"type":"pong""#),
        ControlMessage::InvokeResponse {
            invocation_id,
            outcome,
        } => {
            out.extend_from_slice(br#"{"type":"invokeResponse","invocationId":"#);
            write_json(&mut out, invocation_id);
            write_answer(&mut out, *outcome);
        }
        ControlMessage::StreamAck {
            stream,
            expected_sequence_id,
        } => {
            out.extend_from_slice(br#"{"type":"streamAck","streamId":"#);
            write_json(&mut out, stream.as_str());
            out.extend_from_slice(br#","expectedSequenceId":"#);
            write_json(&mut out, expected_sequence_id);
        }
        ControlMessage::StreamNack {
            stream,
            expected_sequence_id,
            error,
        } => {
            out.extend_from_slice(br#"{"type":"streamNack","streamId":"#);
            write_json(&mut out, stream.as_str());
            out.extend_from_slice(br#","expectedSequenceId":"#);
            write_json(&mut out, expected_sequence_id);
            out.extend_from_slice(br#","name":"#);
            write_json(&mut out, error.name);
            out.extend_from_slice(br#","message":"#);
            write_json(&mut out, error.message);
        }
        ControlMessage::StreamClosed { stream, error } => {
            out.extend_from_slice(br#"{"type":"streamClosed","streamId":"#);
            write_json(&mut out, stream.as_str());
            if let Some(error) = error {
                write_error(&mut out, error.name, error.message);
            }
        }
    }
    out.push(b'}');
    out.into()
}

fn write_answer(out: &mut Vec<u8>, outcome: Result<Option<&Content>, NamedError<'_>>) {
    match outcome {
        Ok(content) => {
            out.extend_from_slice(br#","success":true"#);
            let Some(Content { payload, metadata }) = content else {
                return;
            };
            if !payload.is_nothing() {
                write_data(out, payload);
            }
            write_metadata(out, metadata);
        }
        Err(error) => {
            out.extend_from_slice(br#","success":false"#);
            write_error(out, error.name, error.message);
        }
    }
}

fn write_error(out: &mut Vec<u8>, name: &str, message: &str) {
    out.extend_from_slice(br#","error":{"name":"#);
    write_json(out, name);
    out.extend_from_slice(br#","message":"#);
    write_json(out, message);
    out.push(b'}');
}

pub(super) fn write_data(out: &mut Vec<u8>, payload: &Payload) {
    out.extend_from_slice(br#","dataType":""#);
    out.extend_from_slice(payload.data_type.name().as_bytes());
    out.extend_from_slice(br#"","data":"#);
    match payload.data_type {
        DataType::Json => out.extend_from_slice(&payload.data),
        DataType::Text => write_json(out, &*String::from_utf8_lossy(&payload.data)),
        DataType::Binary | DataType::Protobuf => write_base64(out, &payload.data),
    }
}

pub(super) fn write_metadata(out: &mut Vec<u8>, metadata: &Metadata) {
    if !metadata.is_empty() {
        out.extend_from_slice(br#","metadata":"#);
        write_entries(out, metadata.iter());
    }
}

fn write_stream(out: &mut Vec<u8>, fragment: &Fragment) {
    out.extend_from_slice(br#","stream":{"streamId":"#);
    write_json(out, fragment.stream.as_str());
    out.extend_from_slice(br#","streamSequenceId":"#);
    write_json(out, &fragment.sequence_id);
    if let Some(end) = &fragment.end {
        out.extend_from_slice(br#","endOfStream":true"#);
        if let Some(error) = &end.error {
            out.extend_from_slice(br#","error":{"name":"#);
            write_json(out, error.name.as_str());
            if let Some(message) = &error.details.message {
                out.extend_from_slice(br#","message":"#);
                write_json(out, message);
            }
            if let Some(code) = &error.details.user_error_code {
                out.extend_from_slice(br#","userErrorCode":"#);
                write_json(out, code);
            }
            out.push(b'}');
        }
    }
    out.push(b'}');
}

fn write_state_item(out: &mut Vec<u8>, item: &StateItem) {
    out.extend_from_slice(br#"{"connectionId":"#);
    write_json(out, &item.connection_id);
    if let Some(user) = &item.user {
        out.extend_from_slice(br#","userId":"#);
        write_json(out, user.as_str());
    }
    if let Some(state) = &item.state {
        out.extend_from_slice(br#","state":"#);
        write_entries(out, state.iter());
    }
    out.extend_from_slice(br#","updatedAt":"#);
    write_json(out, &item.updated_at);
    out.push(b'}');
}

pub(super) fn write_entries<'a>(
    out: &mut Vec<u8>,
    entries: impl Iterator<Item = (&'a str, &'a str)>,
) {
    out.push(b'{');
    for (index, (key, value)) in entries.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_json(out, key);
        out.push(b':');
        write_json(out, value);
    }
    out.push(b'}');
}

pub(super) fn write_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("strings and numbers always serialize into memory");
}

fn write_base64(out: &mut Vec<u8>, data: &[u8]) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + data.len().div_ceil(3) * 4, 0);
    let written = STANDARD
        .encode_slice(data, &mut out[start..])
        .expect("the space was just made");
    out.truncate(start + written);
    out.push(b'"');
}

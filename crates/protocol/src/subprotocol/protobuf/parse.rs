//! What clients say. Source: client-protocols 3.2, 4.2.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;

use super::generated::message_data::Data;
use super::generated::upstream_message::stream_end_message::StreamEndError;
use super::generated::upstream_message::{
    InvokeEventMessage, Message, SendToGroupMessage, StreamDataMessage, StreamStartInfo,
};
use super::generated::{MessageData, UpstreamMessage};
use crate::message::{
    ClientMessage, Content, STREAM_IDLE_TIMEOUT_DEFAULT_MS, STREAM_IDLE_TIMEOUT_MAX_MS,
    TTL_SECONDS_MAX, UserStreamError,
};
use crate::metadata::Metadata;
use crate::names::{EventName, GroupName, StreamId};
use crate::payload::{DataType, Payload, is_any, is_json};
use crate::state::GroupState;
use crate::subprotocol::InvalidMessage;

/// Parses a client's frame.
///
/// # Errors
///
/// [`InvalidMessage`] for anything that is not exactly one valid frame of section 3.2. Fields that a message does not know are
/// skipped, and repeated ones merged, as protocol buffers have it.
pub fn parse(frame: &[u8]) -> Result<ClientMessage, InvalidMessage> {
    let frame = UpstreamMessage::decode(frame)
        .map_err(|_| InvalidMessage("not a message of the schema"))?;
    match frame.message.ok_or(InvalidMessage("unknown message"))? {
        Message::SendToGroupMessage(message) => send_to_group(message),
        Message::EventMessage(message) => {
            no_stream(message.stream.as_ref())?;
            Ok(ClientMessage::Event {
                event: event_name(&message.event)?,
                content: required_content(message.data, message.metadata)?,
                ack_id: message.ack_id,
            })
        }
        Message::JoinGroupMessage(message) => Ok(ClientMessage::JoinGroup {
            group: group_name(&message.group)?,
            ack_id: message.ack_id,
        }),
        Message::LeaveGroupMessage(message) => Ok(ClientMessage::LeaveGroup {
            group: group_name(&message.group)?,
            ack_id: message.ack_id,
        }),
        Message::SequenceAckMessage(message) => Ok(ClientMessage::SequenceAck {
            sequence_id: message.sequence_id,
        }),
        Message::PingMessage(_) => Ok(ClientMessage::Ping),
        Message::InvokeEventMessage(message) => invoke(message),
        Message::CancelInvocationMessage(message) => Ok(ClientMessage::CancelInvocation {
            invocation_id: invocation_id(message.invocation_id)?,
        }),
        Message::StreamDataMessage(message) => stream_data(message),
        Message::StreamEndMessage(message) => Ok(ClientMessage::EndStream {
            stream: stream_id(&message.stream_id)?,
            error: message.error.map(user_stream_error),
        }),
        Message::SetGroupStateMessage(message) => Ok(ClientMessage::SetGroupState {
            group: group_name(&message.group)?,
            state: message
                .state
                .map(|state| group_state(state.entries))
                .transpose()?,
            ack_id: message.ack_id,
        }),
        Message::SubscribeGroupStateMessage(message) => Ok(ClientMessage::SubscribeGroupState {
            group: group_name(&message.group)?,
            ack_id: message.ack_id,
        }),
        Message::UnsubscribeGroupStateMessage(message) => {
            Ok(ClientMessage::UnsubscribeGroupState {
                group: group_name(&message.group)?,
                ack_id: message.ack_id,
            })
        }
    }
}

fn send_to_group(message: SendToGroupMessage) -> Result<ClientMessage, InvalidMessage> {
    let group = group_name(&message.group)?;
    let no_echo = message.no_echo.unwrap_or(false);
    let ttl_seconds = u16::try_from(message.ttl_seconds.unwrap_or(0))
        .ok()
        .filter(|seconds| *seconds <= TTL_SECONDS_MAX)
        .ok_or(InvalidMessage("ttl_seconds is not 0 to 300"))?;
    let Some(stream) = message.stream else {
        return Ok(ClientMessage::SendToGroup {
            group,
            content: required_content(message.data, message.metadata)?,
            no_echo,
            ttl_seconds,
            ack_id: message.ack_id,
        });
    };
    metadata(message.metadata)?;
    Ok(ClientMessage::StartStream {
        group,
        stream: stream_id(&stream.stream_id)?,
        no_echo,
        idle_timeout_ms: idle_timeout_ms(&stream)?,
        has_data: payload(message.data)?.is_some(),
    })
}

fn invoke(message: InvokeEventMessage) -> Result<ClientMessage, InvalidMessage> {
    no_stream(message.stream.as_ref())?;
    Ok(ClientMessage::Invoke {
        invocation_id: invocation_id(message.invocation_id)?,
        event: Some(event_name(&message.event)?),
        content: content(message.data, message.metadata)?,
    })
}

fn stream_data(message: StreamDataMessage) -> Result<ClientMessage, InvalidMessage> {
    let fragment = match (message.stream_sequence_id, message.data) {
        (None, None) => None,
        (Some(0), _) => return Err(InvalidMessage("stream_sequence_id is 0")),
        (Some(sequence_id), Some(data)) => {
            let payload = payload(Some(data))?.ok_or(InvalidMessage("data is empty"))?;
            Some((sequence_id, payload))
        }
        (Some(_), None) | (None, Some(_)) => {
            return Err(InvalidMessage("a part of the fragment is missing"));
        }
    };
    Ok(ClientMessage::StreamData {
        stream: stream_id(&message.stream_id)?,
        fragment,
    })
}

fn user_stream_error(error: StreamEndError) -> UserStreamError {
    UserStreamError {
        message: error.message,
        user_error_code: error.user_error_code,
    }
}

fn group_name(name: &str) -> Result<GroupName, InvalidMessage> {
    GroupName::new(name).map_err(|_| InvalidMessage("group is not a valid name"))
}

fn event_name(name: &str) -> Result<EventName, InvalidMessage> {
    EventName::new(name).map_err(|_| InvalidMessage("event is not a valid name"))
}

fn stream_id(id: &str) -> Result<StreamId, InvalidMessage> {
    StreamId::new(id).map_err(|_| InvalidMessage("stream_id is not valid"))
}

fn invocation_id(id: String) -> Result<String, InvalidMessage> {
    match id.is_empty() {
        true => Err(InvalidMessage("invocation_id is empty")),
        false => Ok(id),
    }
}

fn idle_timeout_ms(stream: &StreamStartInfo) -> Result<u32, InvalidMessage> {
    match stream.idle_timeout_ms {
        None => Ok(STREAM_IDLE_TIMEOUT_DEFAULT_MS),
        Some(timeout_ms @ 1..=STREAM_IDLE_TIMEOUT_MAX_MS) => Ok(timeout_ms),
        Some(_) => Err(InvalidMessage("idle_timeout_ms is not 1 to 3600000")),
    }
}

fn no_stream(stream: Option<&StreamStartInfo>) -> Result<(), InvalidMessage> {
    match stream {
        Some(_) => Err(InvalidMessage("stream is not for this message")),
        None => Ok(()),
    }
}

fn required_content(
    data: Option<MessageData>,
    entries: BTreeMap<String, String>,
) -> Result<Content, InvalidMessage> {
    content(data, entries)?.ok_or(InvalidMessage("data is missing"))
}

fn content(
    data: Option<MessageData>,
    entries: BTreeMap<String, String>,
) -> Result<Option<Content>, InvalidMessage> {
    let metadata = metadata(entries)?;
    let payload = match payload(data)? {
        Some(payload) => payload,
        None if metadata.is_empty() => return Ok(None),
        None => Payload {
            data_type: DataType::Text,
            data: Bytes::new(),
        },
    };
    Ok(Some(Content { payload, metadata }))
}

fn payload(data: Option<MessageData>) -> Result<Option<Payload>, InvalidMessage> {
    let Some(data) = data.and_then(|data| data.data) else {
        return Ok(None);
    };
    let (data_type, is_valid, data) = match data {
        Data::TextData(text) => (DataType::Text, std::str::from_utf8(&text).is_ok(), text),
        Data::BinaryData(bytes) => (DataType::Binary, true, bytes),
        Data::ProtobufData(any) => (DataType::Protobuf, is_any(&any), any),
        Data::JsonData(json) => {
            let is_valid = is_json(&json) && json.trim_ascii() != b"null";
            (DataType::Json, is_valid, json)
        }
    };
    match is_valid {
        true => Ok(Some(Payload { data_type, data })),
        false => Err(InvalidMessage("data is not what its field says")),
    }
}

fn metadata(entries: BTreeMap<String, String>) -> Result<Metadata, InvalidMessage> {
    let mut metadata = Metadata::default();
    for (key, value) in entries {
        metadata
            .insert(key, value)
            .map_err(|_| InvalidMessage("metadata is not valid"))?;
    }
    Ok(metadata)
}

fn group_state(entries: BTreeMap<String, String>) -> Result<GroupState, InvalidMessage> {
    let mut state = GroupState::default();
    for (key, value) in entries {
        state
            .insert(key, value)
            .map_err(|_| InvalidMessage("state is not valid"))?;
    }
    Ok(state)
}

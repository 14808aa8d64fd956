//! What clients are told. Source: client-protocols 3.5, 4.2.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;

use super::generated::downstream_message::system_message;
use super::generated::downstream_message::{
    self as downstream, AckMessage, GroupStateSnapshotMessage, GroupStateUpdateMessage,
    InvokeResponseMessage, Message, PongMessage, StreamAckMessage, StreamClosedMessage,
    StreamNackMessage, SystemMessage, ack_message, invoke_response_message, stream_closed_message,
};
use super::generated::group_state_item::GroupState;
use super::generated::message_data::Data;
use super::generated::{DownstreamMessage, GroupStateItem, MessageData, StreamInfo, stream_info};
use crate::message::{ControlMessage, DataMessage, Fragment, From, GroupStateMessage, StreamError};
use crate::metadata::Metadata;
use crate::payload::{DataType, Payload};
use crate::state::StateItem;
use crate::subprotocol::valid_text;

/// Encodes a data message, without sequence id. `data` of type `json` goes out as it is, so it must be one valid JSON value.
pub fn encode_data(message: &DataMessage) -> Bytes {
    let (from, group) = match &message.from {
        From::Server => ("server", None),
        From::Group { group, user: _ } => ("group", Some(group.as_str().to_owned())),
    };
    encode(Message::DataMessage(downstream::DataMessage {
        from: from.to_owned(),
        group,
        data: Some(message_data(&message.content.payload)),
        sequence_id: None,
        metadata: entries(&message.content.metadata),
        stream: message.stream.as_ref().map(stream_info),
    }))
}

/// Encodes states of a group, without sequence id.
pub fn encode_group_state(message: &GroupStateMessage) -> Bytes {
    let group = message.group.as_str().to_owned();
    let items = message.items.iter().map(group_state_item).collect();
    encode(match message.is_snapshot {
        true => Message::GroupStateSnapshotMessage(GroupStateSnapshotMessage {
            group,
            items,
            sequence_id: None,
        }),
        false => Message::GroupStateUpdateMessage(GroupStateUpdateMessage {
            group,
            items,
            sequence_id: None,
        }),
    })
}

/// Encodes a control message.
pub fn encode_control(message: &ControlMessage<'_>) -> Bytes {
    encode(match *message {
        ControlMessage::Connected {
            connection_id,
            user,
            reconnection_token,
        } => system(system_message::Message::ConnectedMessage(
            system_message::ConnectedMessage {
                connection_id: connection_id.to_owned(),
                user_id: user.map_or_else(String::new, |user| user.as_str().to_owned()),
                reconnection_token: reconnection_token.map(str::to_owned),
            },
        )),
        ControlMessage::Disconnected { message } => system(
            system_message::Message::DisconnectedMessage(system_message::DisconnectedMessage {
                reason: message.to_owned(),
            }),
        ),
        ControlMessage::Ack { ack_id, outcome } => Message::AckMessage(AckMessage {
            ack_id,
            success: outcome.is_ok(),
            error: outcome.err().map(|error| ack_message::ErrorMessage {
                name: error.name.as_str().to_owned(),
                message: error.message.clone(),
            }),
        }),
        ControlMessage::Pong => Message::PongMessage(PongMessage {}),
        ControlMessage::InvokeResponse {
            invocation_id,
            outcome,
        } => {
            let content = outcome.unwrap_or_default();
            Message::InvokeResponseMessage(InvokeResponseMessage {
                invocation_id: invocation_id.to_owned(),
                success: outcome.is_ok(),
                data: content
                    .filter(|content| !content.payload.is_nothing())
                    .map(|content| message_data(&content.payload)),
                error: outcome
                    .err()
                    .map(|error| invoke_response_message::ErrorMessage {
                        name: error.name.to_owned(),
                        message: error.message.to_owned(),
                    }),
                metadata: content.map_or_else(BTreeMap::new, |content| entries(&content.metadata)),
            })
        }
        ControlMessage::StreamAck {
            stream,
            expected_sequence_id,
        } => Message::StreamAckMessage(StreamAckMessage {
            stream_id: stream.as_str().to_owned(),
            expected_sequence_id,
        }),
        ControlMessage::StreamNack {
            stream,
            expected_sequence_id,
            error,
        } => Message::StreamNackMessage(StreamNackMessage {
            stream_id: stream.as_str().to_owned(),
            name: error.name.to_owned(),
            message: error.message.to_owned(),
            expected_sequence_id,
        }),
        ControlMessage::StreamClosed { stream, error } => {
            Message::StreamClosedMessage(StreamClosedMessage {
                stream_id: stream.as_str().to_owned(),
                error: error.map(|error| stream_closed_message::StreamClosedError {
                    name: error.name.to_owned(),
                    message: error.message.to_owned(),
                }),
            })
        }
    })
}

fn encode(message: Message) -> Bytes {
    let frame = DownstreamMessage {
        message: Some(message),
    };
    frame.encode_to_vec().into()
}

fn system(message: system_message::Message) -> Message {
    Message::SystemMessage(SystemMessage {
        message: Some(message),
    })
}

pub(super) fn message_data(payload: &Payload) -> MessageData {
    let data = payload.data.clone();
    MessageData {
        data: Some(match payload.data_type {
            DataType::Json => Data::JsonData(data),
            DataType::Text => Data::TextData(valid_text(&data)),
            DataType::Binary => Data::BinaryData(data),
            DataType::Protobuf => Data::ProtobufData(data),
        }),
    }
}

pub(super) fn entries(metadata: &Metadata) -> BTreeMap<String, String> {
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    metadata.iter().map(owned).collect()
}

fn stream_info(fragment: &Fragment) -> StreamInfo {
    let error = fragment.end.as_ref().and_then(|end| end.error.as_ref());
    StreamInfo {
        stream_id: fragment.stream.as_str().to_owned(),
        stream_sequence_id: fragment.sequence_id,
        end_of_stream: fragment.end.is_some().then_some(true),
        error: error.map(stream_error),
    }
}

fn stream_error(error: &StreamError) -> stream_info::StreamError {
    stream_info::StreamError {
        name: error.name.as_str().to_owned(),
        message: error.details.message.clone().unwrap_or_default(),
        user_error_code: error.details.user_error_code.clone().unwrap_or_default(),
    }
}

fn group_state_item(item: &StateItem) -> GroupStateItem {
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    GroupStateItem {
        connection_id: item.connection_id.clone(),
        user_id: item.user.as_ref().map(|user| user.as_str().to_owned()),
        state: item.state.as_ref().map(|state| GroupState {
            entries: state.iter().map(owned).collect(),
        }),
        updated_at: i64::try_from(item.updated_at).unwrap_or(i64::MAX),
    }
}

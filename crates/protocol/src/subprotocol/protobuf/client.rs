//! The client's side: what it says, encoded, and what it is told, parsed. Source: client-protocols 4.2.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;

use super::encode::{entries, message_data};
use super::generated::downstream_message::system_message::Message as SystemMessage;
use super::generated::downstream_message::{self as downstream, Message as Downstream};
use super::generated::group_state_item::GroupState;
use super::generated::message_data::Data;
use super::generated::upstream_message::stream_end_message::StreamEndError;
use super::generated::upstream_message::{
    CancelInvocationMessage, EventMessage, InvokeEventMessage, JoinGroupMessage, LeaveGroupMessage,
    Message as Upstream, PingMessage, SendToGroupMessage, SequenceAckMessage, SetGroupStateMessage,
    StreamDataMessage, StreamEndMessage, StreamStartInfo, SubscribeGroupStateMessage,
    UnsubscribeGroupStateMessage,
};
use super::generated::{
    DownstreamMessage, GroupStateItem, MessageData, StreamInfo, UpstreamMessage,
};
use crate::message::{
    ClientMessage, Content, ReceivedData, ReceivedError, ReceivedFragment, ReceivedFrom,
    ReceivedStateItem, ReceivedStreamEnd, ReconnectionToken, ServiceMessage,
};
use crate::metadata::Metadata;
use crate::names::GroupName;
use crate::payload::{DataType, Payload};
use crate::subprotocol::InvalidMessage;

/// Encodes a client's frame; `None` for what no client can say (see [`crate::subprotocol::Format::encode_client`]).
pub fn encode_client(message: &ClientMessage) -> Option<Bytes> {
    let message = match message {
        ClientMessage::JoinGroup { group, ack_id } => {
            Upstream::JoinGroupMessage(JoinGroupMessage {
                group: owned(group),
                ack_id: *ack_id,
            })
        }
        ClientMessage::LeaveGroup { group, ack_id } => {
            Upstream::LeaveGroupMessage(LeaveGroupMessage {
                group: owned(group),
                ack_id: *ack_id,
            })
        }
        ClientMessage::SendToGroup {
            group,
            content,
            no_echo,
            ttl_seconds,
            ack_id,
        } => Upstream::SendToGroupMessage(SendToGroupMessage {
            group: owned(group),
            ack_id: *ack_id,
            data: Some(message_data(&content.payload)),
            no_echo: Some(*no_echo),
            ttl_seconds: (*ttl_seconds > 0).then_some(u32::from(*ttl_seconds)),
            metadata: entries(&content.metadata),
            stream: None,
        }),
        ClientMessage::Event {
            event,
            content,
            ack_id,
        } => Upstream::EventMessage(EventMessage {
            event: event.as_str().to_owned(),
            data: Some(message_data(&content.payload)),
            ack_id: *ack_id,
            metadata: entries(&content.metadata),
            stream: None,
        }),
        ClientMessage::Ping => Upstream::PingMessage(PingMessage {}),
        ClientMessage::SequenceAck { sequence_id } => {
            Upstream::SequenceAckMessage(SequenceAckMessage {
                sequence_id: *sequence_id,
            })
        }
        ClientMessage::StartStream { has_data: true, .. } => return None,
        ClientMessage::StartStream {
            group,
            stream,
            no_echo,
            idle_timeout_ms,
            has_data: false,
        } => Upstream::SendToGroupMessage(SendToGroupMessage {
            group: owned(group),
            no_echo: Some(*no_echo),
            stream: Some(StreamStartInfo {
                stream_id: stream.as_str().to_owned(),
                idle_timeout_ms: Some(*idle_timeout_ms),
            }),
            ..SendToGroupMessage::default()
        }),
        ClientMessage::StreamData { stream, fragment } => {
            Upstream::StreamDataMessage(StreamDataMessage {
                stream_id: stream.as_str().to_owned(),
                stream_sequence_id: fragment.as_ref().map(|(sequence_id, _)| *sequence_id),
                data: fragment.as_ref().map(|(_, payload)| message_data(payload)),
            })
        }
        ClientMessage::EndStream { stream, error } => {
            Upstream::StreamEndMessage(StreamEndMessage {
                stream_id: stream.as_str().to_owned(),
                error: error.clone().map(|error| StreamEndError {
                    message: error.message,
                    user_error_code: error.user_error_code,
                }),
            })
        }
        ClientMessage::Invoke { event: None, .. } => return None,
        ClientMessage::Invoke {
            invocation_id,
            event: Some(event),
            content,
        } => Upstream::InvokeEventMessage(InvokeEventMessage {
            event: event.as_str().to_owned(),
            invocation_id: invocation_id.clone(),
            data: content
                .as_ref()
                .map(|content| message_data(&content.payload)),
            metadata: content
                .as_ref()
                .map_or_else(BTreeMap::new, |content| entries(&content.metadata)),
            stream: None,
        }),
        ClientMessage::CancelInvocation { invocation_id } => {
            Upstream::CancelInvocationMessage(CancelInvocationMessage {
                invocation_id: invocation_id.clone(),
            })
        }
        ClientMessage::SetGroupState {
            group,
            state,
            ack_id,
        } => Upstream::SetGroupStateMessage(SetGroupStateMessage {
            group: owned(group),
            ack_id: *ack_id,
            state: state.as_ref().map(|state| GroupState {
                entries: state
                    .iter()
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .collect(),
            }),
        }),
        ClientMessage::SubscribeGroupState { group, ack_id } => {
            Upstream::SubscribeGroupStateMessage(SubscribeGroupStateMessage {
                group: owned(group),
                ack_id: *ack_id,
            })
        }
        ClientMessage::UnsubscribeGroupState { group, ack_id } => {
            Upstream::UnsubscribeGroupStateMessage(UnsubscribeGroupStateMessage {
                group: owned(group),
                ack_id: *ack_id,
            })
        }
    };
    let frame = UpstreamMessage {
        message: Some(message),
    };
    Some(frame.encode_to_vec().into())
}

/// Parses a frame of the service.
///
/// # Errors
///
/// [`InvalidMessage`] for what is not a message of the schema. Unknown kinds are [`ServiceMessage::Unknown`] and unknown fields are
/// skipped, so that the service may grow.
pub fn parse_service(frame: Bytes) -> Result<ServiceMessage, InvalidMessage> {
    let frame = DownstreamMessage::decode(frame)
        .map_err(|_| InvalidMessage("not a message of the schema"))?;
    let Some(message) = frame.message else {
        return Ok(ServiceMessage::Unknown);
    };
    Ok(match message {
        Downstream::AckMessage(ack) => ServiceMessage::Ack {
            ack_id: ack.ack_id,
            outcome: match (ack.success, ack.error) {
                (true, _) => Ok(()),
                (false, error) => {
                    Err(
                        error.map_or_else(ReceivedError::default, |error| ReceivedError {
                            name: error.name,
                            message: error.message,
                        }),
                    )
                }
            },
        },
        Downstream::DataMessage(message) => ServiceMessage::Data(data(message)?),
        Downstream::SystemMessage(message) => match message.message {
            Some(SystemMessage::ConnectedMessage(connected)) => ServiceMessage::Connected {
                connection_id: connected.connection_id,
                user_id: Some(connected.user_id).filter(|user| !user.is_empty()),
                reconnection_token: connected.reconnection_token.map(ReconnectionToken::new),
            },
            Some(SystemMessage::DisconnectedMessage(disconnected)) => {
                ServiceMessage::Disconnected {
                    message: disconnected.reason,
                }
            }
            None => ServiceMessage::Unknown,
        },
        Downstream::PongMessage(_) => ServiceMessage::Pong,
        Downstream::InvokeResponseMessage(response) => invoke_response(response)?,
        Downstream::StreamAckMessage(ack) => ServiceMessage::StreamAck {
            stream: ack.stream_id,
            expected_sequence_id: ack.expected_sequence_id,
        },
        Downstream::StreamNackMessage(nack) => ServiceMessage::StreamNack {
            stream: nack.stream_id,
            expected_sequence_id: nack.expected_sequence_id,
            error: ReceivedError {
                name: nack.name,
                message: nack.message,
            },
        },
        Downstream::StreamClosedMessage(closed) => ServiceMessage::StreamClosed {
            stream: closed.stream_id,
            error: closed.error.map(|error| ReceivedError {
                name: error.name,
                message: error.message,
            }),
        },
        Downstream::GroupStateUpdateMessage(update) => ServiceMessage::GroupState {
            group: update.group,
            is_snapshot: false,
            items: update.items.into_iter().map(state_item).collect(),
            sequence_id: update.sequence_id,
        },
        Downstream::GroupStateSnapshotMessage(snapshot) => ServiceMessage::GroupState {
            group: snapshot.group,
            is_snapshot: true,
            items: snapshot.items.into_iter().map(state_item).collect(),
            sequence_id: snapshot.sequence_id,
        },
    })
}

fn data(message: downstream::DataMessage) -> Result<ReceivedData, InvalidMessage> {
    let from = match message.from.as_str() {
        "server" => ReceivedFrom::Server,
        "group" => ReceivedFrom::Group {
            group: message.group.ok_or(InvalidMessage("group is missing"))?,
            user_id: None,
        },
        _ => return Err(InvalidMessage("from is neither group nor server")),
    };
    Ok(ReceivedData {
        from,
        content: Content {
            payload: payload(message.data).unwrap_or_else(|| Content::empty().payload),
            metadata: metadata(message.metadata)?,
        },
        stream: message.stream.map(fragment),
        sequence_id: message.sequence_id,
    })
}

fn invoke_response(
    response: downstream::InvokeResponseMessage,
) -> Result<ServiceMessage, InvalidMessage> {
    let metadata = metadata(response.metadata)?;
    let content = match (payload(response.data), metadata.is_empty()) {
        (Some(payload), _) => Some(Content { payload, metadata }),
        (None, true) => None,
        (None, false) => Some(Content {
            metadata,
            ..Content::empty()
        }),
    };
    Ok(ServiceMessage::InvokeResponse {
        invocation_id: response.invocation_id,
        outcome: match (response.success, response.error) {
            (true, _) => Ok(content),
            (false, error) => {
                Err(
                    error.map_or_else(ReceivedError::default, |error| ReceivedError {
                        name: error.name,
                        message: error.message,
                    }),
                )
            }
        },
    })
}

fn payload(data: Option<MessageData>) -> Option<Payload> {
    let (data_type, data) = match data?.data? {
        Data::TextData(data) => (DataType::Text, data),
        Data::BinaryData(data) => (DataType::Binary, data),
        Data::ProtobufData(data) => (DataType::Protobuf, data),
        Data::JsonData(data) => (DataType::Json, data),
    };
    Some(Payload { data_type, data })
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

fn fragment(stream: StreamInfo) -> ReceivedFragment {
    ReceivedFragment {
        stream: stream.stream_id,
        sequence_id: stream.stream_sequence_id,
        end: stream
            .end_of_stream
            .unwrap_or(false)
            .then(|| ReceivedStreamEnd {
                user_error_code: stream
                    .error
                    .as_ref()
                    .map(|error| error.user_error_code.clone())
                    .filter(|code| !code.is_empty()),
                error: stream.error.map(|error| ReceivedError {
                    name: error.name,
                    message: error.message,
                }),
            }),
    }
}

fn state_item(item: GroupStateItem) -> ReceivedStateItem {
    ReceivedStateItem {
        connection_id: item.connection_id,
        user_id: item.user_id,
        state: item.state.map(|state| state.entries),
        updated_at: u64::try_from(item.updated_at).unwrap_or(0),
    }
}

fn owned(group: &GroupName) -> String {
    group.as_str().to_owned()
}

//! The client's side: what it says, encoded, and what it is told, parsed. Source: client-protocols 3.2, 3.5.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::encode::{write_data, write_entries, write_json, write_metadata};
use crate::message::{
    ClientMessage, Content, ReceivedData, ReceivedError, ReceivedFragment, ReceivedFrom,
    ReceivedStateItem, ReceivedStreamEnd, ReconnectionToken, ServiceMessage, UserStreamError,
};
use crate::metadata::Metadata;
use crate::payload::{DataType, Payload};
use crate::subprotocol::InvalidMessage;

/// Encodes a client's frame; `None` for what no client can say (see [`crate::subprotocol::Format::encode_client`]).
pub fn encode_client(message: &ClientMessage) -> Option<Bytes> {
    let mut out = Vec::with_capacity(128);
    match message {
        ClientMessage::JoinGroup { group, ack_id } => {
            start(&mut out, "joinGroup");
            group_and_ack(&mut out, group.as_str(), *ack_id);
        }
        ClientMessage::LeaveGroup { group, ack_id } => {
            start(&mut out, "leaveGroup");
            group_and_ack(&mut out, group.as_str(), *ack_id);
        }
        ClientMessage::SendToGroup {
            group,
            content,
            no_echo,
            ttl_seconds,
            ack_id,
        } => {
            start(&mut out, "sendToGroup");
            group_and_ack(&mut out, group.as_str(), *ack_id);
            property(&mut out, "noEcho", no_echo);
            if *ttl_seconds > 0 {
                property(&mut out, "ttlSeconds", ttl_seconds);
            }
            write_content(&mut out, content);
        }
        ClientMessage::Event {
            event,
            content,
            ack_id,
        } => {
            start(&mut out, "event");
            property(&mut out, "event", event.as_str());
            write_ack_id(&mut out, *ack_id);
            write_content(&mut out, content);
        }
        ClientMessage::Ping => start(&mut out, "ping"),
        ClientMessage::SequenceAck { sequence_id } => {
            start(&mut out, "sequenceAck");
            property(&mut out, "sequenceId", sequence_id);
        }
        ClientMessage::StartStream { has_data: true, .. } => return None,
        ClientMessage::StartStream {
            group,
            stream,
            no_echo,
            idle_timeout_ms,
            has_data: false,
        } => {
            start(&mut out, "sendToGroup");
            group_and_ack(&mut out, group.as_str(), None);
            property(&mut out, "noEcho", no_echo);
            out.extend_from_slice(br#","stream":{"streamId":"#);
            write_json(&mut out, stream.as_str());
            property(&mut out, "idleTimeoutMs", idle_timeout_ms);
            out.push(b'}');
        }
        ClientMessage::StreamData { stream, fragment } => {
            start(&mut out, "streamData");
            property(&mut out, "streamId", stream.as_str());
            if let Some((sequence_id, payload)) = fragment {
                property(&mut out, "streamSequenceId", sequence_id);
                write_data(&mut out, payload);
            }
        }
        ClientMessage::EndStream { stream, error } => {
            start(&mut out, "streamEnd");
            property(&mut out, "streamId", stream.as_str());
            if let Some(error) = error {
                write_end_error(&mut out, error);
            }
        }
        ClientMessage::Invoke { event: None, .. } => return None,
        ClientMessage::Invoke {
            invocation_id,
            event: Some(event),
            content,
        } => {
            start(&mut out, "invoke");
            property(&mut out, "invocationId", invocation_id);
            property(&mut out, "target", "event");
            property(&mut out, "event", event.as_str());
            if let Some(content) = content {
                write_content(&mut out, content);
            }
        }
        ClientMessage::CancelInvocation { invocation_id } => {
            start(&mut out, "cancelInvocation");
            property(&mut out, "invocationId", invocation_id);
        }
        ClientMessage::SetGroupState {
            group,
            state,
            ack_id,
        } => {
            start(&mut out, "setGroupState");
            group_and_ack(&mut out, group.as_str(), *ack_id);
            if let Some(state) = state {
                out.extend_from_slice(br#","state":"#);
                write_entries(&mut out, state.iter());
            }
        }
        ClientMessage::SubscribeGroupState { group, ack_id } => {
            start(&mut out, "subscribeGroupState");
            group_and_ack(&mut out, group.as_str(), *ack_id);
        }
        ClientMessage::UnsubscribeGroupState { group, ack_id } => {
            start(&mut out, "unsubscribeGroupState");
            group_and_ack(&mut out, group.as_str(), *ack_id);
        }
    }
    out.push(b'}');
    Some(out.into())
}

/// Parses a frame of the service.
///
/// # Errors
///
/// [`InvalidMessage`] for what is not a frame of section 3.5. Unknown types are [`ServiceMessage::Unknown`] and unknown properties
/// are skipped, so that the service may grow.
pub fn parse_service(frame: &[u8]) -> Result<ServiceMessage, InvalidMessage> {
    let frame: ServiceFrame<'_> = serde_json::from_slice(frame)
        .map_err(|_| InvalidMessage("not a JSON object of the service"))?;
    match &*frame.frame_type {
        "message" => frame.data(),
        "ack" => frame.ack(),
        "system" => frame.system(),
        "pong" => Ok(ServiceMessage::Pong),
        "invokeResponse" => frame.invoke_response(),
        "streamAck" => Ok(ServiceMessage::StreamAck {
            expected_sequence_id: frame.expected_sequence_id()?,
            stream: frame.stream_id()?,
        }),
        "streamNack" => Ok(ServiceMessage::StreamNack {
            expected_sequence_id: frame.expected_sequence_id()?,
            error: ReceivedError {
                name: frame.name.clone().unwrap_or_default(),
                message: frame.message.clone().unwrap_or_default(),
            },
            stream: frame.stream_id()?,
        }),
        "streamClosed" => Ok(ServiceMessage::StreamClosed {
            error: frame.error.clone().map(ErrorObject::into_error),
            stream: frame.stream_id()?,
        }),
        "groupStateSnapshot" => frame.group_state(true),
        "groupStateUpdate" => frame.group_state(false),
        _ => Ok(ServiceMessage::Unknown),
    }
}

/// All properties of the service's frames that a client knows.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceFrame<'a> {
    #[serde(rename = "type", borrow)]
    frame_type: Cow<'a, str>,
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow)]
    from: Option<Cow<'a, str>>,
    group: Option<String>,
    from_user_id: Option<String>,
    user_id: Option<String>,
    connection_id: Option<String>,
    reconnection_token: Option<String>,
    name: Option<String>,
    message: Option<String>,
    ack_id: Option<u64>,
    success: Option<bool>,
    error: Option<ErrorObject>,
    #[serde(borrow)]
    data_type: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "raw")]
    data: Option<&'a RawValue>,
    metadata: Option<BTreeMap<String, String>>,
    sequence_id: Option<u64>,
    invocation_id: Option<String>,
    stream_id: Option<String>,
    expected_sequence_id: Option<u64>,
    stream: Option<StreamObject>,
    items: Option<Vec<ItemObject>>,
}

/// Keeps `null` as a value, since a message may carry it.
fn raw<'de: 'a, 'a, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErrorObject {
    #[serde(default)]
    name: String,
    message: Option<String>,
    user_error_code: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamObject {
    stream_id: String,
    stream_sequence_id: u64,
    end_of_stream: Option<bool>,
    error: Option<ErrorObject>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ItemObject {
    connection_id: String,
    user_id: Option<String>,
    state: Option<BTreeMap<String, String>>,
    #[serde(default)]
    updated_at: u64,
}

impl ErrorObject {
    fn into_error(self) -> ReceivedError {
        ReceivedError {
            name: self.name,
            message: self.message.unwrap_or_default(),
        }
    }
}

impl ServiceFrame<'_> {
    fn data(self) -> Result<ServiceMessage, InvalidMessage> {
        let payload = self
            .payload()?
            .ok_or(InvalidMessage("a message without data"))?;
        let from = match self.from.as_deref() {
            Some("server") => ReceivedFrom::Server,
            Some("group") => ReceivedFrom::Group {
                group: self.group.ok_or(InvalidMessage("group is missing"))?,
                user_id: self.from_user_id,
            },
            _ => return Err(InvalidMessage("from is neither group nor server")),
        };
        Ok(ServiceMessage::Data(ReceivedData {
            from,
            content: Content {
                payload,
                metadata: metadata(self.metadata)?,
            },
            stream: self.stream.map(fragment),
            sequence_id: self.sequence_id,
        }))
    }

    fn ack(self) -> Result<ServiceMessage, InvalidMessage> {
        Ok(ServiceMessage::Ack {
            ack_id: self.ack_id.ok_or(InvalidMessage("ackId is missing"))?,
            outcome: outcome(self.success, self.error)?,
        })
    }

    fn system(self) -> Result<ServiceMessage, InvalidMessage> {
        match self.event.as_deref() {
            Some("connected") => Ok(ServiceMessage::Connected {
                connection_id: self
                    .connection_id
                    .ok_or(InvalidMessage("connectionId is missing"))?,
                user_id: self.user_id,
                reconnection_token: self.reconnection_token.map(ReconnectionToken::new),
            }),
            Some("disconnected") => Ok(ServiceMessage::Disconnected {
                message: self.message.unwrap_or_default(),
            }),
            _ => Ok(ServiceMessage::Unknown),
        }
    }

    fn invoke_response(self) -> Result<ServiceMessage, InvalidMessage> {
        let payload = match self.data_type {
            Some(_) => self.payload()?,
            None => None,
        };
        let metadata = metadata(self.metadata)?;
        let content = match (payload, metadata.is_empty()) {
            (Some(payload), _) => Some(Content { payload, metadata }),
            (None, true) => None,
            (None, false) => Some(Content {
                metadata,
                ..Content::empty()
            }),
        };
        Ok(ServiceMessage::InvokeResponse {
            invocation_id: self
                .invocation_id
                .ok_or(InvalidMessage("invocationId is missing"))?,
            outcome: outcome(self.success, self.error)?.map(|()| content),
        })
    }

    fn group_state(self, is_snapshot: bool) -> Result<ServiceMessage, InvalidMessage> {
        let items = self.items.ok_or(InvalidMessage("items is missing"))?;
        Ok(ServiceMessage::GroupState {
            group: self.group.ok_or(InvalidMessage("group is missing"))?,
            is_snapshot,
            items: items
                .into_iter()
                .map(|item| ReceivedStateItem {
                    connection_id: item.connection_id,
                    user_id: item.user_id,
                    state: item.state,
                    updated_at: item.updated_at,
                })
                .collect(),
            sequence_id: self.sequence_id,
        })
    }

    fn stream_id(self) -> Result<String, InvalidMessage> {
        self.stream_id.ok_or(InvalidMessage("streamId is missing"))
    }

    fn expected_sequence_id(&self) -> Result<u64, InvalidMessage> {
        self.expected_sequence_id
            .ok_or(InvalidMessage("expectedSequenceId is missing"))
    }

    fn payload(&self) -> Result<Option<Payload>, InvalidMessage> {
        let Some(data) = self.data else {
            return Ok(None);
        };
        let data_type = self
            .data_type
            .as_deref()
            .and_then(DataType::from_name)
            .ok_or(InvalidMessage("dataType is not known"))?;
        let text = || -> Result<String, InvalidMessage> {
            serde_json::from_str(data.get()).map_err(|_| InvalidMessage("data is not a string"))
        };
        let data = match data_type {
            DataType::Json => Bytes::copy_from_slice(data.get().as_bytes()),
            DataType::Text => text()?.into(),
            DataType::Binary | DataType::Protobuf => STANDARD
                .decode(text()?)
                .map_err(|_| InvalidMessage("data is not base64"))?
                .into(),
        };
        Ok(Some(Payload { data_type, data }))
    }
}

fn outcome(
    success: Option<bool>,
    error: Option<ErrorObject>,
) -> Result<Result<(), ReceivedError>, InvalidMessage> {
    match success.ok_or(InvalidMessage("success is missing"))? {
        true => Ok(Ok(())),
        false => Ok(Err(
            error.map_or_else(ReceivedError::default, ErrorObject::into_error)
        )),
    }
}

fn metadata(entries: Option<BTreeMap<String, String>>) -> Result<Metadata, InvalidMessage> {
    let mut metadata = Metadata::default();
    for (key, value) in entries.unwrap_or_default() {
        metadata
            .insert(key, value)
            .map_err(|_| InvalidMessage("metadata is not valid"))?;
    }
    Ok(metadata)
}

fn fragment(stream: StreamObject) -> ReceivedFragment {
    let error = stream.error;
    ReceivedFragment {
        stream: stream.stream_id,
        sequence_id: stream.stream_sequence_id,
        end: stream
            .end_of_stream
            .unwrap_or(false)
            .then(|| ReceivedStreamEnd {
                user_error_code: error
                    .as_ref()
                    .and_then(|error| error.user_error_code.clone()),
                error: error.map(ErrorObject::into_error),
            }),
    }
}

fn start(out: &mut Vec<u8>, frame_type: &str) {
    out.extend_from_slice(br#"{"type":"#);
    write_json(out, frame_type);
}

fn property<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, name: &str, value: &T) {
    out.push(b',');
    write_json(out, name);
    out.push(b':');
    write_json(out, value);
}

fn group_and_ack(out: &mut Vec<u8>, group: &str, ack_id: Option<u64>) {
    property(out, "group", group);
    write_ack_id(out, ack_id);
}

fn write_ack_id(out: &mut Vec<u8>, ack_id: Option<u64>) {
    if let Some(ack_id) = ack_id {
        property(out, "ackId", &ack_id);
    }
}

fn write_content(out: &mut Vec<u8>, content: &Content) {
    write_data(out, &content.payload);
    write_metadata(out, &content.metadata);
}

fn write_end_error(out: &mut Vec<u8>, error: &UserStreamError) {
    let mut entries: BTreeMap<&str, &str> = BTreeMap::new();
    if let Some(message) = &error.message {
        entries.insert("message", message);
    }
    if let Some(code) = &error.user_error_code {
        entries.insert("userErrorCode", code);
    }
    property(out, "error", &entries);
}

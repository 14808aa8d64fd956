//! What clients say. Source: client-protocols 3.2.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::message::{
    ClientMessage, Content, STREAM_IDLE_TIMEOUT_DEFAULT_MS, STREAM_IDLE_TIMEOUT_MAX_MS,
    TTL_SECONDS_MAX, UserStreamError,
};
use crate::metadata::Metadata;
use crate::names::{EventName, GroupName, StreamId};
use crate::payload::{DataType, Payload, is_any, is_too_deep};
use crate::state::GroupState;
use crate::subprotocol::InvalidMessage;

/// Parses a client's frame.
///
/// # Errors
///
/// [`InvalidMessage`] for anything that is not exactly one valid frame of section 3.2. Properties that a frame type does
/// not know are skipped, whatever they hold.
pub fn parse(frame: &[u8]) -> Result<ClientMessage, InvalidMessage> {
    let fields: Fields<'_> =
        serde_json::from_slice(frame).map_err(|_| InvalidMessage("not a JSON object"))?;
    let frame_type: Cow<'_, str> = fields.required(fields.frame_type, "type is not a string")?;
    let is = |name: &str| frame_type.eq_ignore_ascii_case(name);
    if is("sendToGroup") {
        fields.send_to_group()
    } else if is("event") {
        fields.event()
    } else if is("joinGroup") {
        Ok(ClientMessage::JoinGroup {
            group: fields.group()?,
            ack_id: fields.ack_id()?,
        })
    } else if is("leaveGroup") {
        Ok(ClientMessage::LeaveGroup {
            group: fields.group()?,
            ack_id: fields.ack_id()?,
        })
    } else if is("ping") {
        Ok(ClientMessage::Ping)
    } else if is("sequenceAck") {
        Ok(ClientMessage::SequenceAck {
            sequence_id: fields
                .required(fields.sequence_id, "sequenceId is not an unsigned integer")?,
        })
    } else if is("streamData") {
        fields.stream_data()
    } else if is("streamEnd") {
        fields.stream_end()
    } else if is("invoke") {
        fields.invoke()
    } else if is("cancelInvocation") {
        Ok(ClientMessage::CancelInvocation {
            invocation_id: fields.invocation_id()?,
        })
    } else if is("setGroupState") {
        let state: Option<GroupStateObject> =
            fields.optional(fields.state, "state is not valid")?;
        Ok(ClientMessage::SetGroupState {
            group: fields.group()?,
            state: state.map(|object| object.0),
            ack_id: fields.ack_id()?,
        })
    } else if is("subscribeGroupState") {
        Ok(ClientMessage::SubscribeGroupState {
            group: fields.group()?,
            ack_id: fields.ack_id()?,
        })
    } else if is("unsubscribeGroupState") {
        Ok(ClientMessage::UnsubscribeGroupState {
            group: fields.group()?,
            ack_id: fields.ack_id()?,
        })
    } else {
        Err(InvalidMessage("unknown type"))
    }
}

/// The known top-level properties as they stand in the frame; of a repeated one the last.
#[derive(Default)]
struct Fields<'a> {
    frame_type: Option<&'a RawValue>,
    group: Option<&'a RawValue>,
    event_name: Option<&'a RawValue>,
    data: Option<&'a RawValue>,
    data_type: Option<&'a RawValue>,
    ack_id: Option<&'a RawValue>,
    sequence_id: Option<&'a RawValue>,
    no_echo: Option<&'a RawValue>,
    ttl_seconds: Option<&'a RawValue>,
    metadata: Option<&'a RawValue>,
    stream: Option<&'a RawValue>,
    stream_id: Option<&'a RawValue>,
    stream_sequence_id: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    invocation_id: Option<&'a RawValue>,
    target: Option<&'a RawValue>,
    state: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    fn send_to_group(&self) -> Result<ClientMessage, InvalidMessage> {
        let group = self.group()?;
        let no_echo = self
            .optional(self.no_echo, "noEcho is not a boolean")?
            .unwrap_or(false);
        let ttl_seconds: Option<u16> =
            self.optional(self.ttl_seconds, "ttlSeconds is not 0 to 300")?;
        let ttl_seconds = ttl_seconds.unwrap_or(0);
        if ttl_seconds > TTL_SECONDS_MAX {
            return Err(InvalidMessage("ttlSeconds is not 0 to 300"));
        }
        let ack_id = self.ack_id()?;
        let Some(stream) = self.stream()? else {
            return Ok(ClientMessage::SendToGroup {
                group,
                content: self.content()?,
                no_echo,
                ttl_seconds,
                ack_id,
            });
        };
        self.metadata()?;
        let data_type = self.data_type()?;
        if let Some(data) = self.data {
            parse_data(data_type.unwrap_or(DataType::Json), data)?;
        }
        Ok(ClientMessage::StartStream {
            group,
            stream: stream_id(&stream.stream_id)?,
            no_echo,
            idle_timeout_ms: stream.idle_timeout_ms()?,
            has_data: self.data.is_some() || data_type.is_some(),
        })
    }

    fn event(&self) -> Result<ClientMessage, InvalidMessage> {
        self.no_stream()?;
        Ok(ClientMessage::Event {
            event: self.event_name()?,
            content: self.content()?,
            ack_id: self.ack_id()?,
        })
    }

    fn stream_data(&self) -> Result<ClientMessage, InvalidMessage> {
        let stream = self.stream_id()?;
        let fragment = match (self.stream_sequence_id, self.data_type, self.data) {
            (None, None, None) => None,
            (Some(_), Some(data_type), Some(data)) => {
                let sequence_id: u64 = self.required(
                    self.stream_sequence_id,
                    "streamSequenceId is not an unsigned integer",
                )?;
                if sequence_id == 0 {
                    return Err(InvalidMessage("streamSequenceId is 0"));
                }
                let data_type = self.required(Some(data_type), "dataType is not a string")?;
                Some((sequence_id, parse_data(known_type(data_type)?, data)?))
            }
            _ => return Err(InvalidMessage("a part of the fragment is missing")),
        };
        Ok(ClientMessage::StreamData { stream, fragment })
    }

    fn stream_end(&self) -> Result<ClientMessage, InvalidMessage> {
        let error: Option<StreamErrorObject> =
            self.optional_object(self.error, "error is not valid")?;
        Ok(ClientMessage::EndStream {
            stream: self.stream_id()?,
            error: error.map(|object| UserStreamError {
                message: object.message,
                user_error_code: object.user_error_code,
            }),
        })
    }

    fn invoke(&self) -> Result<ClientMessage, InvalidMessage> {
        self.no_stream()?;
        let target: Option<Cow<'_, str>> = self.optional(self.target, "target is not a string")?;
        let is_event = target.is_none_or(|target| target.eq_ignore_ascii_case("event"));
        let content = match (self.data, self.metadata()?) {
            (None, None) => {
                self.data_type()?;
                None
            }
            _ => Some(self.content()?),
        };
        Ok(ClientMessage::Invoke {
            invocation_id: self.invocation_id()?,
            event: match is_event {
                true => Some(self.event_name()?),
                false => None,
            },
            content,
        })
    }

    fn group(&self) -> Result<GroupName, InvalidMessage> {
        let name: Cow<'_, str> = self.required(self.group, "group is not a string")?;
        GroupName::new(&name).map_err(|_| InvalidMessage("group is not a valid name"))
    }

    fn event_name(&self) -> Result<EventName, InvalidMessage> {
        let name: Cow<'_, str> = self.required(self.event_name, "event is not a string")?;
        EventName::new(&name).map_err(|_| InvalidMessage("event is not a valid name"))
    }

    fn ack_id(&self) -> Result<Option<u64>, InvalidMessage> {
        self.optional(self.ack_id, "ackId is not an unsigned integer")
    }

    fn stream_id(&self) -> Result<StreamId, InvalidMessage> {
        let id: Cow<'_, str> = self.required(self.stream_id, "streamId is not a string")?;
        stream_id(&id)
    }

    fn invocation_id(&self) -> Result<String, InvalidMessage> {
        let id: String = self.required(self.invocation_id, "invocationId is not a string")?;
        match id.is_empty() {
            true => Err(InvalidMessage("invocationId is empty")),
            false => Ok(id),
        }
    }

    fn stream(&self) -> Result<Option<StreamObject>, InvalidMessage> {
        self.optional_object(self.stream, "stream is not valid")
    }

    fn no_stream(&self) -> Result<(), InvalidMessage> {
        match self.stream {
            Some(stream) if stream.get() != "null" => {
                Err(InvalidMessage("stream is not for this type"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn content(&self) -> Result<Content, InvalidMessage> {
        let metadata = self.metadata()?;
        let data_type = self.data_type()?.unwrap_or(DataType::Json);
        let payload = match (self.data, &metadata) {
            (Some(data), _) => parse_data(data_type, data)?,
            (None, Some(_)) => Payload {
                data_type: DataType::Text,
                data: Bytes::new(),
            },
            (None, None) => return Err(InvalidMessage("data is missing")),
        };
        Ok(Content {
            payload,
            metadata: metadata.unwrap_or_default(),
        })
    }

    fn metadata(&self) -> Result<Option<Metadata>, InvalidMessage> {
        let metadata: Option<MetadataObject> =
            self.optional(self.metadata, "metadata is not valid")?;
        Ok(metadata.map(|object| object.0))
    }

    fn data_type(&self) -> Result<Option<DataType>, InvalidMessage> {
        let name: Option<Cow<'_, str>> =
            self.optional(self.data_type, "dataType is not a string")?;
        name.map(known_type).transpose()
    }

    fn required<T: Deserialize<'a>>(
        &self,
        value: Option<&'a RawValue>,
        otherwise: &'static str,
    ) -> Result<T, InvalidMessage> {
        let value = value.ok_or(InvalidMessage(otherwise))?;
        serde_json::from_str(value.get()).map_err(|_| InvalidMessage(otherwise))
    }

    fn optional<T: Deserialize<'a>>(
        &self,
        value: Option<&'a RawValue>,
        otherwise: &'static str,
    ) -> Result<Option<T>, InvalidMessage> {
        match value {
            None => Ok(None),
            Some(value) => serde_json::from_str(value.get()).map_err(|_| InvalidMessage(otherwise)),
        }
    }

    /// As [`Fields::optional`], for types that could also be read from an array.
    fn optional_object<T: Deserialize<'a>>(
        &self,
        value: Option<&'a RawValue>,
        otherwise: &'static str,
    ) -> Result<Option<T>, InvalidMessage> {
        match value {
            Some(value) if value.get().starts_with('[') => Err(InvalidMessage(otherwise)),
            _ => self.optional(value, otherwise),
        }
    }
}

/// `stream` of `sendToGroup`; a repeated property is an error.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamObject {
    stream_id: String,
    idle_timeout_ms: Option<u32>,
}

impl StreamObject {
    fn idle_timeout_ms(&self) -> Result<u32, InvalidMessage> {
        match self.idle_timeout_ms {
            None => Ok(STREAM_IDLE_TIMEOUT_DEFAULT_MS),
            Some(timeout_ms @ 1..=STREAM_IDLE_TIMEOUT_MAX_MS) => Ok(timeout_ms),
            Some(_) => Err(InvalidMessage("idleTimeoutMs is not 1 to 3600000")),
        }
    }
}

/// `error` of `streamEnd`; a repeated property is an error.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamErrorObject {
    message: Option<String>,
    user_error_code: Option<String>,
}

fn stream_id(id: &str) -> Result<StreamId, InvalidMessage> {
    StreamId::new(id).map_err(|_| InvalidMessage("streamId is not 1 to 256 bytes"))
}

fn known_type(name: Cow<'_, str>) -> Result<DataType, InvalidMessage> {
    DataType::from_name(&name).ok_or(InvalidMessage("dataType is not known"))
}

fn parse_data(data_type: DataType, data: &RawValue) -> Result<Payload, InvalidMessage> {
    if data.get() == "null" {
        return Err(InvalidMessage("data is null"));
    }
    let text = || -> Result<Cow<'_, str>, InvalidMessage> {
        let text: BorrowedText<'_> =
            serde_json::from_str(data.get()).map_err(|_| InvalidMessage("data is not a string"))?;
        Ok(text.0)
    };
    let base64 = || -> Result<Bytes, InvalidMessage> {
        STANDARD
            .decode(text()?.as_bytes())
            .map(Bytes::from)
            .map_err(|_| InvalidMessage("data is not base64"))
    };
    let data = match data_type {
        DataType::Json => {
            let json = data.get().as_bytes();
            if is_too_deep(json) {
                return Err(InvalidMessage("data is nested too deep"));
            }
            Bytes::copy_from_slice(json)
        }
        DataType::Text => Bytes::copy_from_slice(text()?.as_bytes()),
        DataType::Binary => base64()?,
        DataType::Protobuf => {
            let any = base64()?;
            if !is_any(&any) {
                return Err(InvalidMessage("data is not a protobuf Any"));
            }
            any
        }
    };
    Ok(Payload { data_type, data })
}

#[derive(Deserialize)]
struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Fields::default();
                while let Some(BorrowedText(key)) = map.next_key()? {
                    let field = match &*key {
                        "type" => &mut fields.frame_type,
                        "group" => &mut fields.group,
                        "event" => &mut fields.event_name,
                        "data" => &mut fields.data,
                        "dataType" => &mut fields.data_type,
                        "ackId" => &mut fields.ack_id,
                        "sequenceId" => &mut fields.sequence_id,
                        "noEcho" => &mut fields.no_echo,
                        "ttlSeconds" => &mut fields.ttl_seconds,
                        "metadata" => &mut fields.metadata,
                        "stream" => &mut fields.stream,
                        "streamId" => &mut fields.stream_id,
                        "streamSequenceId" => &mut fields.stream_sequence_id,
                        "error" => &mut fields.error,
                        "invocationId" => &mut fields.invocation_id,
                        "target" => &mut fields.target,
                        "state" => &mut fields.state,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *field = Some(map.next_value()?);
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// Metadata as a JSON object of strings; a repeated key is an error.
struct MetadataObject(Metadata);

impl<'de> Deserialize<'de> for MetadataObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut metadata = Metadata::default();
        deserializer.deserialize_map(Entries(|key, value| metadata.insert(key, value)))?;
        Ok(Self(metadata))
    }
}

/// Group state as a JSON object of strings; a repeated key is an error.
struct GroupStateObject(GroupState);

impl<'de> Deserialize<'de> for GroupStateObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut state = GroupState::default();
        deserializer.deserialize_map(Entries(|key, value| state.insert(key, value)))?;
        Ok(Self(state))
    }
}

/// Gives the entries of an object of strings to a function until that refuses one.
struct Entries<F>(F);

impl<'de, E: fmt::Display, F: FnMut(String, String) -> Result<(), E>> Visitor<'de> for Entries<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry()? {
            (self.0)(key, value).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

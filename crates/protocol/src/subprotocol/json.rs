//! `json.webpubsub.azure.v1`. Source: client-protocols 3.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::message::{ClientMessage, Content, ControlMessage, DataMessage, From, TTL_SECONDS_MAX};
use crate::metadata::Metadata;
use crate::names::{EventName, GroupName};
use crate::payload::{DataType, Payload, is_any};

/// The registered name.
pub const NAME: &str = "json.webpubsub.azure.v1";

/// The frame is not one of this subprotocol; the connection is closed with 1007.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidMessage(&'static str);

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
}

impl<'a> Fields<'a> {
    fn send_to_group(&self) -> Result<ClientMessage, InvalidMessage> {
        self.no_stream()?;
        let ttl_seconds: Option<u16> =
            self.optional(self.ttl_seconds, "ttlSeconds is not 0 to 300")?;
        let ttl_seconds = ttl_seconds.unwrap_or(0);
        if ttl_seconds > TTL_SECONDS_MAX {
            return Err(InvalidMessage("ttlSeconds is not 0 to 300"));
        }
        Ok(ClientMessage::SendToGroup {
            group: self.group()?,
            content: self.content()?,
            no_echo: self
                .optional(self.no_echo, "noEcho is not a boolean")?
                .unwrap_or(false),
            ttl_seconds,
            ack_id: self.ack_id()?,
        })
    }

    fn event(&self) -> Result<ClientMessage, InvalidMessage> {
        self.no_stream()?;
        let name: Cow<'_, str> = self.required(self.event_name, "event is not a string")?;
        Ok(ClientMessage::Event {
            event: EventName::new(&name)
                .map_err(|_| InvalidMessage("event is not a valid name"))?,
            content: self.content()?,
            ack_id: self.ack_id()?,
        })
    }

    fn group(&self) -> Result<GroupName, InvalidMessage> {
        let name: Cow<'_, str> = self.required(self.group, "group is not a string")?;
        GroupName::new(&name).map_err(|_| InvalidMessage("group is not a valid name"))
    }

    fn ack_id(&self) -> Result<Option<u64>, InvalidMessage> {
        self.optional(self.ack_id, "ackId is not an unsigned integer")
    }

    fn no_stream(&self) -> Result<(), InvalidMessage> {
        match self.stream {
            Some(stream) if stream.get() != "null" => {
                Err(InvalidMessage("stream is not supported"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn content(&self) -> Result<Content, InvalidMessage> {
        let metadata: Option<MetadataObject> =
            self.optional(self.metadata, "metadata is not valid")?;
        let data_type: Option<Cow<'_, str>> =
            self.optional(self.data_type, "dataType is not a string")?;
        let data_type = match data_type {
            None => DataType::Json,
            Some(name) => {
                DataType::from_name(&name).ok_or(InvalidMessage("dataType is not known"))?
            }
        };
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
            metadata: metadata.map(|object| object.0).unwrap_or_default(),
        })
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
        DataType::Json => Bytes::copy_from_slice(data.get().as_bytes()),
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
        struct MetadataVisitor;

        impl<'de> Visitor<'de> for MetadataVisitor {
            type Value = MetadataObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut metadata = Metadata::default();
                while let Some((key, value)) = map.next_entry()? {
                    metadata.insert(key, value).map_err(A::Error::custom)?;
                }
                Ok(MetadataObject(metadata))
            }
        }

        deserializer.deserialize_map(MetadataVisitor)
    }
}

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
    out.extend_from_slice(br#","dataType":""#);
    out.extend_from_slice(payload.data_type.name().as_bytes());
    out.extend_from_slice(br#"","data":"#);
    match payload.data_type {
        DataType::Json => out.extend_from_slice(&payload.data),
        DataType::Text => write_json(&mut out, &*String::from_utf8_lossy(&payload.data)),
        DataType::Binary | DataType::Protobuf => write_base64(&mut out, &payload.data),
    }
    if !message.content.metadata.is_empty() {
        out.extend_from_slice(br#","metadata":{"#);
        for (index, (key, value)) in message.content.metadata.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_json(&mut out, key);
            out.push(b':');
            write_json(&mut out, value);
        }
        out.push(b'}');
    }
    out.push(b'}');
    out.into()
}

/// Encodes a control message.
pub fn encode_control(message: &ControlMessage<'_>) -> Bytes {
    let mut out = Vec::with_capacity(128);
    match message {
        ControlMessage::Connected {
            connection_id,
            user,
        } => {
            out.extend_from_slice(br#"{"type":"system","event":"connected","userId":"#);
            write_json(&mut out, &user.map(|user| user.as_str()));
            out.extend_from_slice(br#","connectionId":"#);
            write_json(&mut out, connection_id);
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
                    out.extend_from_slice(br#","success":false,"error":{"name":"#);
                    write_json(&mut out, error.name.as_str());
                    out.extend_from_slice(br#","message":"#);
                    write_json(&mut out, &error.message);
                    out.push(b'}');
                }
            }
        }
        ControlMessage::Pong => out.extend_from_slice(br#"{"type":"pong""#),
    }
    out.push(b'}');
    out.into()
}

fn write_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
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

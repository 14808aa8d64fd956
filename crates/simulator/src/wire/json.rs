use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hubwire_protocol::payload::DataType;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use serde_json::value::RawValue;

use super::{ClientFrame, Data, EVENT, Part, ServiceFrame, StateItem, States};

pub(super) fn encode(frame: &ClientFrame) -> String {
    let acked = |kind: &str, group: &str, ack_id: &Option<u64>| {
        json!({ "type": kind, "group": group, "ackId": ack_id }).to_string()
    };
    match frame {
        ClientFrame::Join { group, ack_id } => acked("joinGroup", group, ack_id),
        ClientFrame::Leave { group, ack_id } => acked("leaveGroup", group, ack_id),
        ClientFrame::Watch { group, ack_id } => acked("subscribeGroupState", group, ack_id),
        ClientFrame::Unwatch { group, ack_id } => acked("unsubscribeGroupState", group, ack_id),
        ClientFrame::Send {
            group,
            data_type,
            data,
            no_echo,
            ttl_seconds,
            ack_id,
        } => {
            let data = encode_data(*data_type, data);
            let rest = json!({ "dataType": data_type.name(), "noEcho": no_echo, "ttlSeconds": ttl_seconds, "ackId": ack_id });
            let rest = rest.to_string();
            format!(
                r#"{{"type":"sendToGroup","group":"{group}","data":{data},{}"#,
                &rest[1..]
            )
        }
        ClientFrame::StartStream {
            stream,
            group,
            no_echo,
            idle_timeout_ms,
        } => json!({
            "type": "sendToGroup",
            "group": group,
            "noEcho": no_echo,
            "stream": { "streamId": stream, "idleTimeoutMs": idle_timeout_ms },
        })
        .to_string(),
        ClientFrame::Fragment {
            stream,
            sequence_id,
            data,
        } => json!({
            "type": "streamData",
            "streamId": stream,
            "streamSequenceId": sequence_id,
            "dataType": "text",
            "data": String::from_utf8_lossy(data),
        })
        .to_string(),
        ClientFrame::KeepStream { stream } => {
            json!({ "type": "streamData", "streamId": stream }).to_string()
        }
        ClientFrame::EndStream {
            stream,
            is_failed: false,
        } => json!({ "type": "streamEnd", "streamId": stream }).to_string(),
        ClientFrame::EndStream {
            stream,
            is_failed: true,
        } => json!({
            "type": "streamEnd",
            "streamId": stream,
            "error": { "message": "given up", "userErrorCode": "7" },
        })
        .to_string(),
        ClientFrame::SetState {
            group,
            state,
            ack_id,
        } => {
            let state: Option<BTreeMap<_, _>> =
                state.as_ref().map(|state| state.iter().cloned().collect());
            json!({ "type": "setGroupState", "group": group, "state": state, "ackId": ack_id })
                .to_string()
        }
        ClientFrame::Event {
            data_type,
            data,
            ack_id,
        } => {
            let rest = json!({ "event": EVENT, "dataType": data_type.name(), "ackId": ack_id });
            with_data("event", *data_type, data, &rest.to_string())
        }
        ClientFrame::Invoke {
            id,
            data_type,
            data,
        } => {
            let rest = json!({ "event": EVENT, "invocationId": id, "dataType": data_type.name() });
            with_data("invoke", *data_type, data, &rest.to_string())
        }
        ClientFrame::Cancel { id } => {
            json!({ "type": "cancelInvocation", "invocationId": id }).to_string()
        }
        ClientFrame::SequenceAck(sequence_id) => {
            json!({ "type": "sequenceAck", "sequenceId": sequence_id }).to_string()
        }
        ClientFrame::Ping => r#"{"type":"ping"}"#.to_owned(),
        ClientFrame::Bare { .. } | ClientFrame::Nonsense => {
            r#"{"type":"joinGroup","group":7}"#.to_owned()
        }
    }
}

/// Writes a frame whose data is written by hand, beside the rest of it.
fn with_data(kind: &str, data_type: DataType, data: &[u8], rest: &str) -> String {
    let data = encode_data(data_type, data);
    format!(r#"{{"type":"{kind}","data":{data},{}"#, &rest[1..])
}

fn encode_data(data_type: DataType, data: &[u8]) -> String {
    match data_type {
        DataType::Json => String::from_utf8_lossy(data).into_owned(),
        DataType::Text => json!(String::from_utf8_lossy(data)).to_string(),
        DataType::Binary | DataType::Protobuf => json!(STANDARD.encode(data)).to_string(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    event: Option<&'a str>,
    connection_id: Option<String>,
    user_id: Option<String>,
    reconnection_token: Option<String>,
    ack_id: Option<u64>,
    success: Option<bool>,
    error: Option<RawError>,
    from: Option<&'a str>,
    group: Option<String>,
    from_user_id: Option<String>,
    data_type: Option<&'a str>,
    #[serde(borrow, default, deserialize_with = "with_null")]
    data: Option<&'a RawValue>,
    stream: Option<RawStream>,
    sequence_id: Option<u64>,
    stream_id: Option<String>,
    invocation_id: Option<String>,
    expected_sequence_id: Option<u64>,
    name: Option<String>,
    items: Option<Vec<RawItem>>,
}

/// Reads a value that may be `null` and is there all the same.
fn with_null<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}

#[derive(Deserialize)]
struct RawError {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawStream {
    stream_id: String,
    stream_sequence_id: u64,
    #[serde(default)]
    end_of_stream: bool,
    error: Option<RawError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawItem {
    connection_id: String,
    user_id: Option<String>,
    state: Option<BTreeMap<String, String>>,
    updated_at: u64,
}

pub(super) fn decode(payload: &[u8]) -> Result<ServiceFrame, String> {
    let raw: Raw<'_> = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
    let kind = raw.kind;
    frame_of(raw).ok_or_else(|| format!("something is missing in a frame of type {kind}"))
}

fn frame_of(raw: Raw<'_>) -> Option<ServiceFrame> {
    Some(match (raw.kind, raw.event) {
        ("system", Some("connected")) => ServiceFrame::Connected {
            id: raw.connection_id?,
            user: raw.user_id,
            token: raw.reconnection_token,
        },
        ("system", Some("disconnected")) => ServiceFrame::Disconnected,
        ("ack", None) => ServiceFrame::Ack {
            ack_id: raw.ack_id?,
            error: match raw.success? {
                true if raw.error.is_some() => return None,
                true => None,
                false => Some(raw.error?.name),
            },
        },
        ("pong", None) => ServiceFrame::Pong,
        ("streamAck", None) => ServiceFrame::StreamAck {
            stream: raw.stream_id?,
            expected: raw.expected_sequence_id?,
        },
        ("streamNack", None) => ServiceFrame::StreamNack {
            stream: raw.stream_id?,
            expected: raw.expected_sequence_id?,
            name: raw.name?,
        },
        ("streamClosed", None) => ServiceFrame::StreamClosed {
            stream: raw.stream_id?,
            error: raw.error.map(|error| error.name),
        },
        ("invokeResponse", None) => ServiceFrame::InvokeResponse {
            outcome: match raw.success? {
                true if raw.error.is_some() || raw.data.is_some() != raw.data_type.is_some() => {
                    return None;
                }
                true => Ok(match raw.data_type {
                    None => None,
                    Some(_) => Some(content_of(&raw)?),
                }),
                false => Err(raw.error?.name),
            },
            id: raw.invocation_id?,
        },
        ("message", None) => ServiceFrame::Data(data_of(raw)?),
        ("groupStateSnapshot" | "groupStateUpdate", None) => ServiceFrame::States(States {
            sequence_id: raw.sequence_id,
            group: raw.group?,
            is_snapshot: raw.kind == "groupStateSnapshot",
            items: raw.items?.into_iter().map(item_of).collect(),
        }),
        _ => return None,
    })
}

fn data_of(raw: Raw<'_>) -> Option<Data> {
    let is_of_group = match raw.from? {
        "group" => true,
        "server" => false,
        _ => return None,
    };
    let (data_type, data) = content_of(&raw)?;
    Some(Data {
        sequence_id: raw.sequence_id,
        group: match is_of_group {
            true => Some(raw.group?),
            false => None,
        },
        user: Some(raw.from_user_id),
        data_type,
        data,
        part: raw.stream.map(|stream| Part {
            stream: stream.stream_id,
            sequence_id: stream.stream_sequence_id,
            end: stream
                .end_of_stream
                .then(|| stream.error.map(|error| error.name)),
        }),
    })
}

fn content_of(raw: &Raw<'_>) -> Option<(DataType, Bytes)> {
    let data_type = DataType::from_name(raw.data_type?)?;
    let text = raw.data?.get();
    let data = match data_type {
        DataType::Json => text.as_bytes().to_vec(),
        DataType::Text => serde_json::from_str::<String>(text).ok()?.into_bytes(),
        DataType::Binary | DataType::Protobuf => STANDARD
            .decode(serde_json::from_str::<String>(text).ok()?)
            .ok()?,
    };
    Some((data_type, data.into()))
}

fn item_of(raw: RawItem) -> StateItem {
    StateItem {
        connection: raw.connection_id,
        user: raw.user_id,
        state: raw.state.map(|state| state.into_iter().collect()),
        updated_at: raw.updated_at,
    }
}

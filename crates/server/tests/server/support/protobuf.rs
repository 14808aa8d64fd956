//! Protobuf frames in the words of the JSON ones, written and read without the service's codec. Source: client-protocols 4.2.

#[path = "../../../../protocol/tests/support/wire.rs"]
pub(crate) mod wire;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use wire::{Value as Field, entry, fields, len, message, varint};

/// Returns the `UpstreamMessage` that means the same as a JSON frame.
pub(crate) fn upstream(frame: &Value) -> Vec<u8> {
    let text = |field: u32, name: &str| frame[name].as_str().map(|text| len(field, text));
    let number = |field: u32, name: &str| frame[name].as_u64().map(|number| varint(field, number));
    let flag = |field: u32, name: &str| frame[name].as_bool().map(|is| varint(field, is.into()));
    let data = |field: u32| frame.get("data").map(|_| message(field, &[data_of(frame)]));
    let metadata = |field: u32| Some(map_of(field, &frame["metadata"]));
    let (case, fields) = match frame["type"].as_str().unwrap() {
        "sendToGroup" => (
            1,
            vec![
                text(1, "group"),
                number(2, "ackId"),
                data(3),
                flag(4, "noEcho"),
                number(5, "ttlSeconds"),
                metadata(6),
                stream_start(&frame["stream"]),
            ],
        ),
        "event" => (
            5,
            vec![text(1, "event"), data(2), number(3, "ackId"), metadata(4)],
        ),
        "joinGroup" => (6, vec![text(1, "group"), number(2, "ackId")]),
        "leaveGroup" => (7, vec![text(1, "group"), number(2, "ackId")]),
        "sequenceAck" => (8, vec![number(1, "sequenceId")]),
        "ping" => (9, vec![]),
        "invoke" => (
            10,
            vec![
                text(1, "event"),
                text(2, "invocationId"),
                data(3),
                metadata(4),
            ],
        ),
        "cancelInvocation" => (11, vec![text(1, "invocationId")]),
        "streamData" => (
            13,
            vec![text(1, "streamId"), number(2, "streamSequenceId"), data(3)],
        ),
        "streamEnd" => (14, vec![text(1, "streamId"), stream_error(&frame["error"])]),
        "setGroupState" => {
            let state =
                (!frame["state"].is_null()).then(|| message(3, &[map_of(1, &frame["state"])]));
            (15, vec![text(1, "group"), number(2, "ackId"), state])
        }
        "subscribeGroupState" => (16, vec![text(1, "group"), number(2, "ackId")]),
        "unsubscribeGroupState" => (17, vec![text(1, "group"), number(2, "ackId")]),
        other => panic!("no frame of type {other}"),
    };
    let fields: Vec<Vec<u8>> = fields.into_iter().flatten().collect();
    message(case, &fields)
}

/// Returns the field of `MessageData` that `dataType` and `data` of a frame mean.
fn data_of(frame: &Value) -> Vec<u8> {
    let data = &frame["data"];
    let base64 = || BASE64_STANDARD.decode(data.as_str().unwrap()).unwrap();
    match frame["dataType"].as_str().unwrap_or("json") {
        "text" => len(1, data.as_str().unwrap()),
        "binary" => len(2, base64()),
        "protobuf" => len(3, base64()),
        "json" => len(4, data.to_string()),
        other => panic!("no data of type {other}"),
    }
}

fn map_of(field: u32, map: &Value) -> Vec<u8> {
    let entries = map.as_object().into_iter().flatten();
    entries
        .flat_map(|(key, value)| entry(field, key, value.as_str().unwrap()))
        .collect()
}

fn stream_start(stream: &Value) -> Option<Vec<u8>> {
    let id = len(1, stream["streamId"].as_str()?);
    let timeout = stream["idleTimeoutMs"].as_u64();
    let timeout = timeout.map_or_else(Vec::new, |timeout| varint(2, timeout));
    Some(message(7, &[id, timeout]))
}

fn stream_error(error: &Value) -> Option<Vec<u8>> {
    let error = error.as_object()?;
    let text = |field: u32, name: &str| {
        let text = error.get(name).and_then(Value::as_str);
        text.map_or_else(Vec::new, |text| len(field, text))
    };
    Some(message(2, &[text(1, "message"), text(2, "userErrorCode")]))
}

/// Returns the JSON frame that means the same as a `DownstreamMessage`. Fields that the schema does not have are a failure.
pub(crate) fn downstream(bytes: &[u8]) -> Value {
    let all = fields(bytes);
    let [(case, Field::Len(inner))] = all.as_slice() else {
        panic!("not one message: {all:?}");
    };
    let shape: &[Shape] = match case {
        1 => &[
            number(1, "ackId"),
            flag(2, "success"),
            nested(3, "error", ERROR),
        ],
        2 => &[
            text(1, "from"),
            text(2, "group"),
            (3, "data", Kind::Data),
            number(4, "sequenceId"),
            (5, "metadata", Kind::Map),
            nested(6, "stream", STREAM),
        ],
        3 => return system(inner),
        4 => &[],
        5 => &[
            text(1, "invocationId"),
            flag(2, "success"),
            (3, "data", Kind::Data),
            nested(4, "error", ERROR),
            (5, "metadata", Kind::Map),
        ],
        6 => &[text(1, "streamId"), number(2, "expectedSequenceId")],
        7 => &[
            text(1, "streamId"),
            text(2, "name"),
            text(3, "message"),
            number(4, "expectedSequenceId"),
        ],
        8 => &[text(1, "streamId"), nested(2, "error", ERROR)],
        9 | 10 => &[
            text(1, "group"),
            (2, "items", Kind::List(STATE_ITEM)),
            number(3, "sequenceId"),
        ],
        other => panic!("no message {other}"),
    };
    let mut frame = object(inner, shape);
    let name = match case {
        1 => "ack",
        2 => "message",
        4 => "pong",
        5 => "invokeResponse",
        6 => "streamAck",
        7 => "streamNack",
        8 => "streamClosed",
        9 => "groupStateUpdate",
        _ => "groupStateSnapshot",
    };
    frame.insert("type".to_owned(), json!(name));
    match case {
        // What is false or empty is not on the wire.
        1 | 5 => {
            frame.entry("success").or_insert(json!(false));
            if *case == 1 {
                frame.entry("ackId").or_insert(json!(0));
            }
        }
        9 | 10 => {
            frame.entry("items").or_insert(json!([]));
        }
        _ => {}
    }
    Value::Object(frame)
}

fn system(bytes: &[u8]) -> Value {
    let all = fields(bytes);
    let [(case, Field::Len(inner))] = all.as_slice() else {
        panic!("not one message: {all:?}");
    };
    let (event, shape): (_, &[Shape]) = match case {
        1 => (
            "connected",
            &[
                text(1, "connectionId"),
                text(2, "userId"),
                text(3, "reconnectionToken"),
            ],
        ),
        2 => ("disconnected", &[text(2, "message")]),
        other => panic!("no system message {other}"),
    };
    let mut frame = object(inner, shape);
    frame.insert("type".to_owned(), json!("system"));
    frame.insert("event".to_owned(), json!(event));
    Value::Object(frame)
}

/// Number and name of a field, and what is in it.
type Shape = (u32, &'static str, Kind);

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    Flag,
    /// `dataType` and `data` of the frame itself.
    Data,
    Map,
    Message(&'static [Shape]),
    List(&'static [Shape]),
}

const ERROR: &[Shape] = &[text(1, "name"), text(2, "message")];
const STREAM_ERROR: &[Shape] = &[
    text(1, "name"),
    text(2, "message"),
    text(3, "userErrorCode"),
];
const STREAM: &[Shape] = &[
    text(1, "streamId"),
    number(2, "streamSequenceId"),
    flag(3, "endOfStream"),
    nested(4, "error", STREAM_ERROR),
];
const STATE_ITEM: &[Shape] = &[
    text(1, "connectionId"),
    text(2, "userId"),
    nested(3, "state", &[(1, "entries", Kind::Map)]),
    number(4, "updatedAt"),
];

const fn text(field: u32, name: &'static str) -> Shape {
    (field, name, Kind::Text)
}

const fn number(field: u32, name: &'static str) -> Shape {
    (field, name, Kind::Number)
}

const fn flag(field: u32, name: &'static str) -> Shape {
    (field, name, Kind::Flag)
}

const fn nested(field: u32, name: &'static str, shape: &'static [Shape]) -> Shape {
    (field, name, Kind::Message(shape))
}

fn object(bytes: &[u8], shape: &[Shape]) -> Map<String, Value> {
    let mut object = Map::new();
    for (number, field) in fields(bytes) {
        let known = shape.iter().find(|(known, ..)| *known == number);
        let &(_, name, kind) = known.unwrap_or_else(|| panic!("no field {number}: {field:?}"));
        let value = match (kind, field) {
            (Kind::Text, Field::Len(text)) => json!(String::from_utf8(text).unwrap()),
            (Kind::Number, Field::Varint(number)) => json!(number),
            (Kind::Flag, Field::Varint(flag)) => json!(flag != 0),
            (Kind::Message(shape), Field::Len(inner)) => {
                let mut inner = self::object(&inner, shape);
                match inner.remove("entries") {
                    Some(entries) => entries,
                    None => Value::Object(inner),
                }
            }
            (Kind::List(shape), Field::Len(inner)) => {
                let item = Value::Object(self::object(&inner, shape));
                let list = object.entry(name).or_insert(json!([]));
                list.as_array_mut().unwrap().push(item);
                continue;
            }
            (Kind::Map, Field::Len(inner)) => {
                let entry = self::object(&inner, &[text(1, "key"), text(2, "value")]);
                let part = |name: &str| entry.get(name).cloned().unwrap_or(json!(""));
                let map = object.entry(name).or_insert(json!({}));
                map[part("key").as_str().unwrap()] = part("value");
                continue;
            }
            (Kind::Data, Field::Len(inner)) => {
                let (data_type, data) = data(&inner);
                object.insert("dataType".to_owned(), json!(data_type));
                data
            }
            (_, field) => panic!("{name} is {field:?}"),
        };
        object.insert(name.to_owned(), value);
    }
    object
}

fn data(bytes: &[u8]) -> (&'static str, Value) {
    let all = fields(bytes);
    let [(case, Field::Len(data))] = all.as_slice() else {
        panic!("not one kind of data: {all:?}");
    };
    let text = || str::from_utf8(data).unwrap();
    let base64 = || json!(BASE64_STANDARD.encode(data));
    match case {
        1 => ("text", json!(text())),
        2 => ("binary", base64()),
        3 => ("protobuf", base64()),
        4 => ("json", serde_json::from_str(text()).unwrap()),
        other => panic!("no data {other}"),
    }
}

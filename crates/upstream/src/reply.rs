//! What the response of a handler means. Source: events-and-operations 5.

use bytes::Bytes;
use hubwire_protocol::event::ConnectAnswer;
use hubwire_protocol::http::ContentType;
use hubwire_protocol::message::Content;
use hubwire_protocol::metadata::{Metadata, MetadataError};
use hubwire_protocol::names::{GroupName, NameError, UserId};
use hubwire_protocol::payload::{DataType, Payload, is_any, is_json};
use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use crate::request::METADATA_PREFIX;

/// A response makes no sense. The text holds nothing of the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReplyError {
    #[error("content type `{0}` is not supported")]
    ContentType(String),
    #[error("the body is not what its content type says")]
    Body,
    #[error("the body is not a JSON object")]
    NotAnObject,
    #[error("`{0}` of the body is not of its type")]
    Property(&'static str),
    #[error("`groups` of the body: {0}")]
    Group(NameError),
    #[error("metadata: {0}")]
    Metadata(MetadataError),
    #[error("the value of header `{0}` is not ASCII")]
    Header(String),
}

/// Reads the reply to a user event; `None` if nothing is said. Source: events-and-operations 5.4.
pub(crate) fn content(headers: &HeaderMap, body: Bytes) -> Result<Option<Content>, ReplyError> {
    let metadata = metadata(headers)?;
    let data_type = match body.is_empty() {
        true if metadata.is_empty() => return Ok(None),
        true => DataType::Text,
        false => data_type(headers)?,
    };
    let is_consistent = match data_type {
        DataType::Json => is_json(&body),
        DataType::Protobuf => is_any(&body),
        DataType::Text | DataType::Binary => true,
    };
    if !is_consistent {
        return Err(ReplyError::Body);
    }
    let payload = Payload {
        data_type,
        data: body,
    };
    Ok(Some(Content { payload, metadata }))
}

/// Reads the answer to an invocation, where nothing and a JSON `null` are the same. Source: events-and-operations 5.5.
pub(crate) fn invocation(headers: &HeaderMap, body: Bytes) -> Result<Option<Content>, ReplyError> {
    let content = content(headers, body)?;
    Ok(content.filter(|content| {
        let payload = &content.payload;
        let is_null = payload.data_type == DataType::Json && payload.data.trim_ascii() == b"null";
        !(is_null || payload.data.is_empty())
    }))
}

fn data_type(headers: &HeaderMap) -> Result<DataType, ReplyError> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(DataType::Binary);
    };
    let unsupported =
        || ReplyError::ContentType(String::from_utf8_lossy(value.as_bytes()).into_owned());
    let text = value.to_str().map_err(|_| unsupported())?;
    if text.is_empty() {
        return Ok(DataType::Binary);
    }
    // What parameters say has no effect, so a malformed one has none either.
    let media_type = ContentType::parse(text).map_or(
        text.split(';').next().unwrap_or_default().trim(),
        |parsed| parsed.media_type,
    );
    match media_type.to_ascii_lowercase().as_str() {
        "text/plain" => Ok(DataType::Text),
        "application/json" => Ok(DataType::Json),
        "application/octet-stream" => Ok(DataType::Binary),
        "application/x-protobuf" => Ok(DataType::Protobuf),
        _ => Err(unsupported()),
    }
}

/// Reads the metadata of a reply: of each name the last header, and in it what is behind the last comma.
fn metadata(headers: &HeaderMap) -> Result<Metadata, ReplyError> {
    let mut metadata = Metadata::default();
    for name in headers.keys() {
        let Some(key) = name.as_str().strip_prefix(METADATA_PREFIX) else {
            continue;
        };
        let Some(value) = headers.get_all(name).iter().next_back() else {
            continue;
        };
        let value = value
            .to_str()
            .map_err(|_| ReplyError::Header(name.to_string()))?;
        let value = value.rsplit(',').next().unwrap_or(value).trim();
        metadata
            .insert(key.to_owned(), value.to_owned())
            .map_err(ReplyError::Metadata)?;
    }
    Ok(metadata)
}

/// Reads the body of a 200 to `connect`, whatever its content type. Source: events-and-operations 5.1.
pub(crate) fn connect_answer(body: &[u8]) -> Result<ConnectAnswer, ReplyError> {
    if body.trim_ascii().is_empty() {
        return Ok(ConnectAnswer::default());
    }
    let object = match serde_json::from_slice(body) {
        Ok(Value::Null) => return Ok(ConnectAnswer::default()),
        Ok(Value::Object(object)) => object,
        _ => return Err(ReplyError::NotAnObject),
    };
    let user_id = string(&object, "userId")?;
    if user_id
        .as_ref()
        .is_some_and(|id| !id.is_empty() && UserId::new(id).is_err())
    {
        return Err(ReplyError::Property("userId"));
    }
    let groups = strings(&object, "groups")?.filter(|groups| !groups.is_empty());
    let groups: Option<Result<Vec<_>, _>> =
        groups.map(|groups| groups.iter().map(|group| GroupName::new(group)).collect());
    let subprotocol = string(&object, "subprotocol")?.filter(|subprotocol| !subprotocol.is_empty());
    if subprotocol
        .as_deref()
        .is_some_and(|subprotocol| !is_token(subprotocol))
    {
        return Err(ReplyError::Property("subprotocol"));
    }
    Ok(ConnectAnswer {
        user_id,
        roles: strings(&object, "roles")?,
        groups: groups.transpose().map_err(ReplyError::Group)?,
        subprotocol,
    })
}

/// Reads the handler's own error, for the client of an invocation. Source: events-and-operations 5.5.
pub(crate) fn error(body: &[u8]) -> Option<(String, String)> {
    let object = serde_json::from_slice(body).ok()?;
    let name = ["name", "code"]
        .into_iter()
        .find_map(|property| string(&object, property).ok().flatten())?;
    let message = string(&object, "message").ok()??;
    (!name.is_empty()).then_some((name, message))
}

/// Finds a property, whatever the case of its name. A null counts as absent.
fn property<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object
        .iter()
        .rfind(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .filter(|value| !value.is_null())
}

fn string(object: &Map<String, Value>, name: &'static str) -> Result<Option<String>, ReplyError> {
    match property(object, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(ReplyError::Property(name)),
    }
}

fn strings(
    object: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<Vec<String>>, ReplyError> {
    let wrong = ReplyError::Property(name);
    match property(object, name) {
        None => Ok(None),
        Some(Value::Array(values)) => {
            let texts = values.iter().map(|value| {
                let text = value.as_str()?;
                (!text.trim().is_empty()).then(|| text.to_owned())
            });
            texts.collect::<Option<_>>().map(Some).ok_or(wrong)
        }
        Some(_) => Err(wrong),
    }
}

/// Tells whether a subprotocol can be in a handshake (RFC 6455, 11.3.4).
fn is_token(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

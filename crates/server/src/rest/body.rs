//! The body of a send: length, content type, charset, metadata. Source: rest-api 2.

use std::borrow::Cow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use encoding_rs::{Encoding, UTF_8};
use http_body_util::BodyExt;
use hubwire_protocol::message::Content;
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::payload::{DataType, Payload, is_json};
use hubwire_protocol::rest::ErrorCode;
use hyper::HeaderMap;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};

use super::Call;
use super::error::RestError;

const METADATA_PREFIX: &str = "x-webpubsub-metadata-";
/// How long a caller may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// What is read of a body that is refused for its length, so that its sender can see the answer. Bytes.
const DISCARDED_MAX: usize = 16 * 1024 * 1024;

impl Call<'_> {
    /// Reads the message of a send.
    pub(super) async fn content(&mut self) -> Result<Content, RestError> {
        let limit = self.app.config.rest.body_max;
        let body = self.body.take().expect("the body is read once");
        let announced = self.parts.headers.get(CONTENT_LENGTH);
        let is_missing = announced.is_none() && self.app.config.rest.require_content_length;
        if is_missing || body.size_hint().lower() > limit as u64 {
            discard(body).await;
            return Err(RestError::bad_request("Invalid Content-Length header."));
        }
        let (data_type, encoding) = content_type(&self.parts.headers)?;
        let data = self.read(body, limit).await?;
        let data = transcode(data, encoding);
        if data_type == DataType::Json && !is_json(&data) {
            return Err(RestError::bad_request(
                "The request body is not a valid JSON.",
            ));
        }
        Ok(Content {
            payload: Payload { data_type, data },
            metadata: metadata(&self.parts.headers)?,
        })
    }

    async fn read(&self, mut body: Incoming, limit: usize) -> Result<Bytes, RestError> {
        let read = async {
            let mut chunks = Chunks::default();
            while let Some(frame) = body.frame().await {
                let frame =
                    frame.map_err(|_| RestError::bad_request("The request body is incomplete."))?;
                let Ok(chunk) = frame.into_data() else {
                    continue;
                };
                self.received.fetch_add(chunk.len(), Ordering::Relaxed);
                if chunks.len + chunk.len() > limit {
                    discard(body).await;
                    return Err(RestError::bad_request("Invalid Content-Length header."));
                }
                chunks.push(chunk);
            }
            Ok(chunks.into_bytes())
        };
        tokio::time::timeout(BODY_TIMEOUT, read)
            .await
            .map_err(|_| {
                let reason = "The request body did not come in time.";
                RestError::new(ErrorCode::RequestTimeout, reason)
            })?
    }
}

/// The chunks of a body. One chunk, the usual case, is not copied.
#[derive(Default)]
struct Chunks {
    first: Bytes,
    all: BytesMut,
    len: usize,
}

impl Chunks {
    fn push(&mut self, chunk: Bytes) {
        self.len += chunk.len();
        if self.first.is_empty() && self.all.is_empty() {
            self.first = chunk;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&chunk);
    }

    fn into_bytes(self) -> Bytes {
        match self.all.is_empty() {
            true => self.first,
            false => self.all.freeze(),
        }
    }
}

async fn discard(mut body: Incoming) {
    let read = async {
        let mut len = 0;
        while len < DISCARDED_MAX
            && let Some(Ok(frame)) = body.frame().await
        {
            len += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    tokio::time::timeout(BODY_TIMEOUT, read).await.ok();
}

/// Returns what the body is, and its charset where that matters.
fn content_type(headers: &HeaderMap) -> Result<(DataType, Option<&'static Encoding>), RestError> {
    let unsupported = |reason: String| RestError::new(ErrorCode::UnsupportedMediaType, reason);
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok((DataType::Binary, None));
    };
    let text = value
        .to_str()
        .map_err(|_| unsupported("The Content-Type header is not readable.".to_owned()))?
        .trim();
    if text.is_empty() {
        return Ok((DataType::Binary, None));
    }
    let (media_type, charset) = parse_content_type(text)
        .ok_or_else(|| unsupported(format!("The Content-Type '{text}' is not readable.")))?;
    let data_type = match media_type.to_ascii_lowercase().as_str() {
        "application/octet-stream" => return Ok((DataType::Binary, None)),
        "text/plain" => DataType::Text,
        "application/json" => DataType::Json,
        _ => {
            let reason = format!(
                "The Content-Type '{media_type}' is not supported; application/json, text/plain and \
                 application/octet-stream are."
            );
            return Err(unsupported(reason));
        }
    };
    let Some(charset) = charset else {
        return Ok((data_type, None));
    };
    match Encoding::for_label(charset.as_bytes()) {
        Some(encoding) if encoding == UTF_8 => Ok((data_type, None)),
        Some(encoding) => Ok((data_type, Some(encoding))),
        None => Err(unsupported(format!(
            "The charset '{charset}' is not supported."
        ))),
    }
}

/// Splits a Content-Type into media type and charset; `None` if it is malformed.
fn parse_content_type(text: &str) -> Option<(&str, Option<Cow<'_, str>>)> {
    let is_token = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let (media_type, mut rest) = match text.split_once(';') {
        Some((media_type, rest)) => (media_type.trim(), rest),
        None => (text, ""),
    };
    let (kind, subkind) = media_type.split_once('/')?;
    if !is_token(kind) || !is_token(subkind) {
        return None;
    }
    let mut charset = None;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        if rest.is_empty() {
            return Some((media_type, charset));
        }
        let (name, value) = rest.split_once('=')?;
        if !is_token(name) {
            return None;
        }
        let value = match value.strip_prefix('"') {
            Some(quoted) => {
                let (value, after) = take_quoted(quoted)?;
                rest = after;
                Cow::Owned(value)
            }
            None => {
                let end = value.find([';', ' ', '\t']).unwrap_or(value.len());
                rest = &value[end..];
                if !is_token(&value[..end]) {
                    return None;
                }
                Cow::Borrowed(&value[..end])
            }
        };
        let after = rest.trim_start_matches([' ', '\t']);
        if !after.is_empty() && !after.starts_with(';') {
            return None;
        }
        if name.eq_ignore_ascii_case("charset") && charset.is_none() {
            charset = Some(value);
        }
    }
}

fn take_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((index, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[index + 1..])),
            '\\' => value.push(chars.next()?.1),
            _ => value.push(char),
        }
    }
    None
}

fn transcode(data: Bytes, encoding: Option<&'static Encoding>) -> Bytes {
    match encoding {
        None => data,
        Some(encoding) => {
            let (text, _) = encoding.decode_without_bom_handling(&data);
            text.into_owned().into()
        }
    }
}

/// Reads metadata headers. Of a repeated header the last counts, and in it what stands behind the last comma.
fn metadata(headers: &HeaderMap) -> Result<Metadata, RestError> {
    let mut metadata = Metadata::default();
    for name in headers.keys() {
        let Some(key) = name.as_str().strip_prefix(METADATA_PREFIX) else {
            continue;
        };
        let Some(value) = headers.get_all(name).iter().next_back() else {
            continue;
        };
        let value = String::from_utf8_lossy(value.as_bytes());
        let value = value.rsplit(',').next().unwrap_or_default().trim();
        metadata
            .insert(key.to_owned(), value.to_owned())
            .map_err(|error| RestError::bad_request(error.to_string()))?;
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_are_split_into_media_type_and_charset() {
        let good = [
            ("text/plain", "text/plain", None),
            ("Text/Plain; charset=utf-8", "Text/Plain", Some("utf-8")),
            (
                "text/plain;charset=\"iso-8859-1\" ; x=y",
                "text/plain",
                Some("iso-8859-1"),
            ),
            (
                "application/json ; a=b;charset=utf-16",
                "application/json",
                Some("utf-16"),
            ),
            ("text/plain;", "text/plain", None),
        ];
        for (text, media_type, charset) in good {
            let (found, found_charset) = parse_content_type(text).unwrap();
            assert_eq!(
                (found, found_charset.as_deref()),
                (media_type, charset),
                "{text}"
            );
        }
        for text in [
            "text",
            "text/",
            "/plain",
            "text/plain; charset=\"",
            "text/plain; charset",
            "a b/c",
            "text/plain; charset=a b",
        ] {
            assert_eq!(parse_content_type(text), None, "{text}");
        }
    }
}

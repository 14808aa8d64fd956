//! The body of a send: length, content type, charset, metadata. Source: rest-api 2.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use encoding_rs::{Encoding, UTF_8};
use http_body_util::BodyExt;
use hubwire_protocol::http::ContentType;
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
/// Bodies up to this length are copied out of the connection's buffer. Bytes.
const COPIED_MAX: usize = 16 * 1024;
/// How long a caller may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// What is read of a body that is of no use, so that its sender can see the answer. Bytes.
const DISCARDED_MAX: usize = 16 * 1024 * 1024;

impl Call<'_> {
    /// Reads the message of a send.
    pub(super) async fn content(&mut self) -> Result<Content, RestError> {
        Ok(Content {
            payload: self.payload(|_| true).await?,
            metadata: metadata(&self.parts.headers)?,
        })
    }

    /// Reads the body of an operation that takes nothing but JSON.
    pub(super) async fn json(&mut self) -> Result<Bytes, RestError> {
        let payload = self
            .payload(|data_type| data_type == DataType::Json)
            .await?;
        Ok(payload.data)
    }

    async fn payload(&mut self, takes: fn(DataType) -> bool) -> Result<Payload, RestError> {
        let limit = self.app.config.rest.body_max;
        let size = self.body.as_ref().map(Body::size_hint).unwrap_or_default();
        let announced = self.parts.headers.get(CONTENT_LENGTH);
        let is_missing = announced.is_none() && self.app.config.rest.require_content_length;
        if is_missing || size.lower() > limit as u64 {
            return Err(RestError::bad_request("Invalid Content-Length header."));
        }
        let (data_type, encoding) = content_type(&self.parts.headers)?;
        if !takes(data_type) {
            let reason = "The Content-Type of this operation is application/json.";
            return Err(RestError::new(ErrorCode::UnsupportedMediaType, reason));
        }
        let body = self.body.take().expect("the body is read once");
        let data = self.read(body, limit).await?;
        let data = transcode(data, encoding);
        if data_type == DataType::Json && !is_json(&data) {
            return Err(RestError::bad_request(
                "The request body is not a valid JSON.",
            ));
        }
        Ok(Payload { data_type, data })
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
                    tokio::spawn(discard(body));
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

/// The chunks of a body. A single long chunk is not copied.
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
            // A slice of hyper's buffer would keep all of that for as long as the message waits.
            true if self.first.len() <= COPIED_MAX => Bytes::copy_from_slice(&self.first),
            true => self.first,
            false => self.all.freeze(),
        }
    }
}

pub(super) async fn discard(mut body: Incoming) {
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
    let ContentType {
        media_type,
        charset,
    } = ContentType::parse(text)
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

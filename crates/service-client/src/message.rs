//! What is sent to clients.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use azure_core::Bytes;
use azure_core::http::Body;
use azure_core::stream::SeekableStream;
use bytes::Buf;
use futures_util::io::AsyncRead;
use futures_util::{Stream, StreamExt};
use serde::Serialize;

use crate::error::invalid;

/// How a message is to be understood, and so what clients receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// `application/json`. Simple clients get it as text.
    Json,
    /// `text/plain; charset=utf-8`.
    Text,
    /// `application/octet-stream`.
    Binary,
}

impl ContentType {
    /// Returns the value of the `Content-Type` header.
    ///
    /// ```
    /// # use hubwire_service_client::ContentType;
    /// assert_eq!(ContentType::Json.as_str(), "application/json");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Text => "text/plain",
            Self::Binary => "application/octet-stream",
        }
    }
}

impl FromStr for ContentType {
    type Err = azure_core::Error;

    /// Reads the three content types that the service takes, without parameters and whatever the letter case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Json, Self::Text, Self::Binary]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(text.trim()))
            .ok_or_else(|| {
                invalid(format!(
                    "the service does not take messages of type {text:?}; use application/json, text/plain or application/octet-stream"
                ))
            })
    }
}

/// A message to clients. Cloning one shares its bytes.
///
/// ```
/// use hubwire_service_client::{ContentType, Message};
/// use serde_json::json;
/// # fn main() -> azure_core::Result<()> {
/// let json = Message::json(&json!({ "from": "user1", "data": "Hello world" }))?;
/// let text = Message::text("Hello world");
/// let binary = Message::bytes(vec![1, 2, 3]);
/// let text_as_binary = Message::text("Hello world").as_content_type(ContentType::Binary);
/// # let _ = (json, text, binary, text_as_binary);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Message {
    pub(crate) body: Body,
    pub(crate) content_type: ContentType,
}

impl Message {
    /// Makes a message of anything that can be JSON. A string is sent with its quotes.
    ///
    /// ```
    /// # use hubwire_service_client::Message;
    /// #[derive(serde::Serialize)]
    /// struct Chat { from: String, data: String }
    /// let chat = Chat { from: "user1".into(), data: "Hello world".into() };
    /// let message = Message::json(&chat)?;
    /// # let _ = message;
    /// # azure_core::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// The value cannot be JSON, such as a map whose keys are no strings.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> azure_core::Result<Self> {
        let body = serde_json::to_vec(value)?;
        Ok(Self::new(body.into(), ContentType::Json))
    }

    /// Makes a message of text.
    ///
    /// ```
    /// # use hubwire_service_client::Message;
    /// let message = Message::text("Hello world");
    /// # let _ = message;
    /// ```
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Bytes::from(text.into()).into(), ContentType::Text)
    }

    /// Makes a binary message.
    ///
    /// ```
    /// # use hubwire_service_client::Message;
    /// let message = Message::bytes(&b"\x00\x01"[..]);
    /// # let _ = message;
    /// ```
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::new(bytes.into().into(), ContentType::Binary)
    }

    /// Makes a binary message of a stream, which is read while it is sent. The service takes at most 1 MiB of it.
    ///
    /// It can be read once only: when it has been begun, the request is not sent again, and clones of the message share it.
    /// [`Message::seekable`] is for bodies that can be read again.
    ///
    /// ```
    /// # use hubwire_service_client::Message;
    /// let parts = futures_util::stream::iter(["Hello ", "world"].map(Ok::<_, std::io::Error>));
    /// let message = Message::stream(parts);
    /// # let _ = message;
    /// ```
    pub fn stream<S, B, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<B, E>> + Send + 'static,
        B: Into<Bytes>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let parts = stream.map(|part| part.map(Into::into).map_err(std::io::Error::other));
        let body = OnceStream {
            parts: Arc::new(Mutex::new(Box::pin(parts))),
            rest: Bytes::new(),
            is_begun: Arc::new(AtomicBool::new(false)),
        };
        Self::seekable(Box::new(body))
    }

    /// Makes a binary message of a stream that can be read again from its beginning.
    ///
    /// ```
    /// # use hubwire_service_client::Message;
    /// use azure_core::stream::BytesStream;
    /// let message = Message::seekable(Box::new(BytesStream::new("Hello world")));
    /// # let _ = message;
    /// ```
    pub fn seekable(stream: Box<dyn SeekableStream>) -> Self {
        Self::new(Body::SeekableStream(stream), ContentType::Binary)
    }

    /// Returns the message with the same bytes under another content type.
    ///
    /// ```
    /// # use hubwire_service_client::{ContentType, Message};
    /// let ready = Message::bytes(r#"{"a":1}"#).as_content_type(ContentType::Json);
    /// # let _ = ready;
    /// ```
    #[must_use]
    pub fn as_content_type(mut self, content_type: ContentType) -> Self {
        self.content_type = content_type;
        self
    }

    fn new(body: Body, content_type: ContentType) -> Self {
        Self { body, content_type }
    }
}

type Parts = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// A stream that can be read once. Requests clone their body for every try, so clones share what is left.
#[derive(Clone)]
struct OnceStream {
    parts: Arc<Mutex<Parts>>,
    rest: Bytes,
    is_begun: Arc<AtomicBool>,
}

impl fmt::Debug for OnceStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnceStream")
    }
}

impl AsyncRead for OnceStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        this.is_begun.store(true, Ordering::Relaxed);
        while this.rest.is_empty() {
            let mut parts = this.parts.lock().unwrap_or_else(PoisonError::into_inner);
            match parts.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(part))) => this.rest = part,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(0)),
                Poll::Pending => return Poll::Pending,
            }
        }
        let length = buffer.len().min(this.rest.len());
        this.rest.copy_to_slice(&mut buffer[..length]);
        Poll::Ready(Ok(length))
    }
}

#[async_trait::async_trait]
impl SeekableStream for OnceStream {
    async fn reset(&mut self) -> azure_core::Result<()> {
        match self.is_begun.load(Ordering::Relaxed) {
            true => Err(invalid(
                "the stream of the message has been read and cannot be read again".to_owned(),
            )),
            false => Ok(()),
        }
    }

    fn len(&self) -> Option<u64> {
        None
    }
}

//! Publishing a stream.

use std::fmt;
use std::time::Duration;

use hubwire_protocol::message::{
    STREAM_IDLE_TIMEOUT_DEFAULT_MS, STREAM_IDLE_TIMEOUT_MAX_MS, UserStreamError,
};
use hubwire_protocol::names::StreamId;
use hubwire_protocol::payload::Payload;
use tokio::sync::{mpsc, oneshot};

use crate::client::{Client, checked};
use crate::driver::Command;
use crate::state::Request;
use crate::{Error, ErrorKind};

/// How a stream is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamOptions {
    /// Leaves this client out of the receivers.
    pub no_echo: bool,
    /// Time without a fragment after which the service ends the stream, up to an hour; 5 minutes if not given.
    pub idle_timeout: Option<Duration>,
}

impl StreamOptions {
    /// Sets [`StreamOptions::no_echo`].
    #[must_use]
    pub fn no_echo(mut self, no_echo: bool) -> Self {
        self.no_echo = no_echo;
        self
    }

    /// Sets [`StreamOptions::idle_timeout`].
    #[must_use]
    pub fn idle_timeout(mut self, idle_timeout: Duration) -> Self {
        self.idle_timeout = Some(idle_timeout);
        self
    }

    pub(crate) fn idle_timeout_ms(&self) -> Result<u32, Error> {
        let Some(timeout) = self.idle_timeout else {
            return Ok(STREAM_IDLE_TIMEOUT_DEFAULT_MS);
        };
        u32::try_from(timeout.as_millis())
            .ok()
            .filter(|ms| (1..=STREAM_IDLE_TIMEOUT_MAX_MS).contains(ms))
            .ok_or_else(|| {
                let text = format!("idle_timeout is {timeout:?}, it can be 1 ms to 1 hour");
                Error::new(ErrorKind::Invalid, text)
            })
    }
}

/// Publishes a stream. Dropped without [`StreamWriter::close`] it ends with an error for its receivers.
///
/// On a reliable protocol a stream goes on after a recovery, and nothing of it is lost or doubled. It ends when the connection is lost
/// for good.
pub struct StreamWriter {
    client: Client,
    stream: StreamId,
    /// Room to say that the writer is gone; `None` once it is closed.
    permit: Option<mpsc::OwnedPermit<Command>>,
}

impl fmt::Debug for StreamWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StreamWriter").field(&self.stream).finish()
    }
}

impl StreamWriter {
    pub(crate) fn new(
        client: Client,
        stream: StreamId,
        permit: mpsc::OwnedPermit<Command>,
    ) -> Self {
        Self {
            client,
            stream,
            permit: Some(permit),
        }
    }

    /// Returns the id that receivers see.
    pub fn id(&self) -> &str {
        self.stream.as_str()
    }

    /// Sends a fragment. Waits while too much is without confirmation, 64 fragments or 4 MiB.
    ///
    /// # Errors
    ///
    /// That the stream has ended: [`ErrorKind::Service`] with the reason's name, [`ErrorKind::Disconnected`], [`ErrorKind::Stopped`].
    /// [`ErrorKind::Invalid`] for data that is not what its type says.
    pub async fn send(&mut self, payload: impl Into<crate::Content>) -> Result<(), Error> {
        let payload: Payload = checked(payload.into())?.payload;
        let stream = self.stream.clone();
        let request = Request::StreamSend { stream, payload };
        self.client.request(request).await.map(|_| ())
    }

    /// Keeps the stream open beyond its idle timeout without a fragment.
    ///
    /// # Errors
    ///
    /// Those of [`StreamWriter::send`].
    pub async fn keep_alive(&mut self) -> Result<(), Error> {
        let stream = self.stream.clone();
        let request = Request::StreamKeepAlive { stream };
        self.client.request(request).await.map(|_| ())
    }

    /// Ends the stream. Returns once the service has confirmed all fragments and the end.
    ///
    /// # Errors
    ///
    /// Those of [`StreamWriter::send`]; then it is not known how much arrived.
    pub async fn close(mut self) -> Result<(), Error> {
        let stream = self.stream.clone();
        let outcome = self.client.request(Request::StreamEnd { stream }).await;
        self.permit = None;
        outcome.map(|_| ())
    }

    /// Ends the stream at once with an error for its receivers.
    ///
    /// # Errors
    ///
    /// That the client is stopped.
    pub async fn abort(mut self, error: UserStreamError) -> Result<(), Error> {
        let stream = self.stream.clone();
        let request = Request::StreamAbort { stream, error };
        let outcome = self.client.request(request).await;
        self.permit = None;
        outcome.map(|_| ())
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            let error = UserStreamError {
                message: Some("the publisher gave the stream up".to_owned()),
                user_error_code: None,
            };
            let (reply, _) = oneshot::channel();
            permit.send(Command::Request {
                id: self.client.next_id(),
                request: Request::StreamAbort {
                    stream: self.stream.clone(),
                    error,
                },
                reply,
            });
        }
    }
}

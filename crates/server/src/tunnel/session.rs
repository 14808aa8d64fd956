//! The socket of one tunnel. Source: events-and-operations 7.2 and 7.3.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hubwire_protocol::names::Hub;
use hyper::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_websockets::{
    CloseCode, Error, Limits, Message, Payload, ServerBuilder, WebSocketStream,
};

use super::frame::{self, Incoming, Malformed, TooLong};
use super::link::{Failure, Link, Queued, RESPONSE_MAX};
use super::registry::Tunnels;

/// Time between pings. The official client also wants a message every two minutes, or it connects anew. Source: its code.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Time after which a tunnel that nothing comes from counts as lost. Source: as for clients, two intervals and 5 s.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// How long the peer may take to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest message that is read. Bytes. More than a response may have, since the official client sends one in one part whatever
/// its length, and after a connection that ended for it sends it again in the next.
const RECEIVED_MAX: usize = 4 * RESPONSE_MAX;
/// Answers to the tunnel's own requests that wait for the socket; beyond that it is not read.
const ANSWERS_MAX: usize = 16;

type Socket<S> = WebSocketStream<S>;

/// A tunnel of a hub; dropped, it is one no more.
pub(super) struct Session {
    tunnels: Arc<Tunnels>,
    hub: Hub,
    user: Option<String>,
    link: Arc<Link>,
    queued: mpsc::Receiver<Queued>,
    shutdown: watch::Receiver<bool>,
}

/// Why a tunnel ends.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the peer closed it")]
    Closed,
    #[error("the socket failed: {0}")]
    Socket(#[from] Error),
    #[error("nothing came from the peer for {} s", SILENCE_MAX.as_secs())]
    Silent,
    #[error("the peer sent a message that is not binary")]
    NotBinary,
    #[error("the peer sent a malformed message: {0}")]
    Malformed(#[from] Malformed),
    #[error("a message of the service would be too long: {0}")]
    TooLong(#[from] TooLong),
    #[error("the service is shutting down")]
    ShuttingDown,
}

impl End {
    /// The code of the close frame; `None` if one is under way already or cannot be.
    fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Closed | Self::Socket(_) => None,
            Self::Silent | Self::ShuttingDown => Some(CloseCode::GOING_AWAY),
            Self::NotBinary => Some(CloseCode::UNSUPPORTED_DATA),
            Self::Malformed(_) => Some(CloseCode::PROTOCOL_ERROR),
            Self::TooLong(_) => Some(CloseCode::INTERNAL_SERVER_ERROR),
        }
    }
}

impl Session {
    pub(super) fn new(
        tunnels: Arc<Tunnels>,
        hub: Hub,
        user: Option<String>,
        link: Arc<Link>,
        queued: mpsc::Receiver<Queued>,
        shutdown: watch::Receiver<bool>,
    ) -> Self {
        Self {
            tunnels,
            hub,
            user,
            link,
            queued,
            shutdown,
        }
    }

    /// Returns the id of the tunnel's connection.
    pub(super) fn id(&self) -> &str {
        &self.link.id
    }

    /// Carries requests and responses until the tunnel ends.
    pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(mut self, stream: S) {
        let limits = Limits::default().max_payload_len(Some(RECEIVED_MAX));
        let socket = ServerBuilder::new().limits(limits).serve(stream);
        let (mut sink, mut stream) = socket.split();
        let (answers, answered) = mpsc::channel(ANSWERS_MAX);
        let first = frame::connected(&self.link.id, self.user.as_deref());
        let Err(end) = tokio::select! {
            ended = read(&mut stream, &self.link, answers) => ended,
            ended = write(&mut sink, first, &self.link, &mut self.queued, answered) => ended,
            _ = self.shutdown.wait_for(|is_begun| *is_begun) => Err(End::ShuttingDown),
        };
        tracing::info!(hub = %self.hub, tunnel = self.link.id, reason = %end, "tunnel ended");
        // Who waits for it should not wait for its close frame too.
        self.link.close();
        let closing = close(sink, stream, end.close_code(), end.to_string());
        timeout(CLOSE_TIMEOUT, closing).await.ok();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.tunnels.disconnect(&self.hub, &self.link);
    }
}

/// Never ends well, so that its result is the reason.
enum Never {}

async fn read<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut SplitStream<Socket<S>>,
    link: &Link,
    answers: mpsc::Sender<Bytes>,
) -> Result<Never, End> {
    loop {
        let message = timeout(SILENCE_MAX, stream.next()).await;
        let message = message.map_err(|_| End::Silent)?.ok_or(End::Closed)??;
        // A close frame is answered by what follows it: the end.
        if message.is_ping() || message.is_pong() || message.is_close() {
            continue;
        }
        if !message.is_binary() {
            return Err(End::NotBinary);
        }
        match frame::decode(message.into_payload().into())? {
            Incoming::Response(part) => link.take(part),
            Incoming::Request(request) => {
                let text = "REST requests through a tunnel are not served, send them over HTTP.";
                let answer = frame::answer(&request, StatusCode::NOT_IMPLEMENTED, text)?;
                // There is no room while the peer does not read.
                let sent = timeout(SILENCE_MAX, answers.send(answer)).await;
                sent.map_err(|_| End::Silent)?.ok();
            }
            Incoming::Other => {}
        }
    }
}

async fn write<S: AsyncRead + AsyncWrite + Unpin>(
    sink: &mut SplitSink<Socket<S>, Message>,
    first: Result<Bytes, TooLong>,
    link: &Link,
    queued: &mut mpsc::Receiver<Queued>,
    mut answered: mpsc::Receiver<Bytes>,
) -> Result<Never, End> {
    sink.send(Message::binary(first?)).await?;
    let status = frame::status("alive")?;
    let mut keep_alive = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(Queued { ack_id, request }) = queued.recv() => {
                if !link.is_waiting(ack_id) {
                    continue;
                }
                match frame::request(ack_id, &request) {
                    Ok(message) => sink.send(Message::binary(message)).await?,
                    Err(TooLong(_)) => link.fail(ack_id, Failure::RequestTooLong),
                }
            }
            Some(answer) = answered.recv() => sink.send(Message::binary(answer)).await?,
            _ = keep_alive.tick() => {
                sink.feed(Message::ping(Payload::from(""))).await?;
                sink.send(Message::binary(status.clone())).await?;
            }
        }
    }
}

/// Says why if there is a code, and reads until the peer has closed too, which sends what waits.
async fn close<S: AsyncRead + AsyncWrite + Unpin>(
    mut sink: SplitSink<Socket<S>, Message>,
    mut stream: SplitStream<Socket<S>>,
    code: Option<CloseCode>,
    reason: String,
) {
    if let Some(code) = code {
        let reason = &reason[..reason.floor_char_boundary(hubwire_ws::CLOSE_REASON_MAX)];
        sink.send(Message::close(Some(code), reason)).await.ok();
    }
    while let Some(Ok(_)) = stream.next().await {}
}

//! A socket: opened, read and written without ever waiting for one of the two alone.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::{Sink, Stream};
use hubwire_protocol::message::{ClientMessage, ServiceMessage};
use hubwire_protocol::subprotocol::{Format, WireKind};
use tokio::net::TcpStream;
use tokio_websockets::{
    ClientBuilder, CloseCode, Connector, Limits, MaybeTlsStream, Message, WebSocketStream, upgrade,
};

use crate::options::Protocol;
use crate::state::AccessUrl;
use crate::{Error, ErrorKind};

/// Largest message that is received.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How TLS is spoken: with a configuration of the program's, or with the roots of the system.
#[derive(Clone, Default)]
pub(crate) struct Tls(pub(crate) Option<Arc<rustls::ClientConfig>>);

/// An open socket with what waits to be written to it.
pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    format: Format,
    outgoing: VecDeque<Message>,
    needs_flush: bool,
}

/// What a socket had to say.
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart as soon as it is there, one a message"
)]
pub(crate) enum Read {
    Frame(ServiceMessage),
    Other,
    Closed { code: Option<u16>, reason: String },
}

impl Socket {
    pub(crate) async fn open(
        url: AccessUrl,
        protocol: Protocol,
        tls: Tls,
    ) -> Result<Box<Self>, Error> {
        let invalid = || {
            Error::new(
                ErrorKind::Credential,
                "the URL of the connection is not valid; it looks like wss://host/client/hubs/NAME?access_token=TOKEN",
            )
        };
        let connector = match url.as_str().starts_with("wss:") {
            true => tls.connector()?,
            false => Connector::Plain,
        };
        let name = protocol.name().parse().map_err(|_| invalid())?;
        let header = "sec-websocket-protocol".parse().map_err(|_| invalid())?;
        let builder = ClientBuilder::new()
            .uri(url.as_str())
            .map_err(|_| invalid())?
            .connector(&connector)
            .limits(Limits::default().max_payload_len(Some(MESSAGE_BYTES_MAX)))
            .add_header(header, name)
            .map_err(|_| invalid())?;
        let (stream, response) = builder.connect().await.map_err(open_error)?;
        let chosen = response.headers().get("sec-websocket-protocol");
        let chosen = chosen.and_then(|name| name.to_str().ok());
        if !chosen.is_some_and(|chosen| chosen.eq_ignore_ascii_case(protocol.name())) {
            let text = format!("the service does not speak {}", protocol.name());
            return Err(Error::new(ErrorKind::Connect, text));
        }
        Ok(Box::new(Self {
            stream,
            format: protocol.subprotocol().format(),
            outgoing: VecDeque::new(),
            needs_flush: false,
        }))
    }

    pub(crate) fn push(&mut self, message: &ClientMessage) {
        let message = match self.format.encode_client(message) {
            Some((WireKind::Text, bytes)) => {
                String::from_utf8(bytes.into()).ok().map(Message::text)
            }
            Some((WireKind::Binary, bytes)) => Some(Message::binary(bytes)),
            None => None,
        };
        self.outgoing.extend(message);
    }

    pub(crate) fn push_close(&mut self) {
        let close = Message::close(Some(CloseCode::NORMAL_CLOSURE), "");
        self.outgoing.push_back(close);
    }

    /// Frames that wait to be written.
    pub(crate) fn backlog(&self) -> usize {
        self.outgoing.len()
    }

    /// Writes what waits, and reads one message if wanted. Nothing is lost when it is cancelled.
    pub(crate) async fn turn(&mut self, reads: bool) -> Read {
        poll_fn(|cx| {
            if let Poll::Ready(closed) = self.poll_write(cx) {
                return Poll::Ready(closed);
            }
            if !reads {
                return Poll::Pending;
            }
            Pin::new(&mut self.stream)
                .poll_next(cx)
                .map(|read| match read {
                    Some(Ok(message)) => {
                        if message.is_close() {
                            // The answer is in the codec by now; the service may be gone already.
                            let _ = Pin::new(&mut self.stream).poll_flush(cx);
                        }
                        self.read(message)
                    }
                    Some(Err(error)) => broken(&error),
                    None => Read::Closed {
                        code: None,
                        reason: "the connection ended".to_owned(),
                    },
                })
        })
        .await
    }

    fn poll_write(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Read> {
        while !self.outgoing.is_empty() {
            match Pin::new(&mut self.stream).poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(broken(&error)),
                Poll::Pending => break,
            }
            if let Some(message) = self.outgoing.pop_front() {
                self.needs_flush = true;
                if let Err(error) = Pin::new(&mut self.stream).start_send(message) {
                    return Poll::Ready(broken(&error));
                }
            }
        }
        if self.needs_flush {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.needs_flush = false,
                Poll::Ready(Err(error)) => return Poll::Ready(broken(&error)),
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }

    fn read(&self, message: Message) -> Read {
        if let Some((code, reason)) = message.as_close() {
            return Read::Closed {
                code: Some(code.into()),
                reason: reason.to_owned(),
            };
        }
        let kind = match (message.is_text(), message.is_binary()) {
            (true, _) => WireKind::Text,
            (_, true) => WireKind::Binary,
            _ => return Read::Other,
        };
        match self
            .format
            .parse_service(kind, Bytes::from(message.into_payload()))
        {
            Ok(message) => Read::Frame(message),
            Err(error) => {
                tracing::warn!(%error, "a frame of the service is skipped");
                Read::Other
            }
        }
    }
}

impl Tls {
    fn connector(&self) -> Result<Connector, Error> {
        let config = match &self.0 {
            Some(config) => config.clone(),
            None => native_config()?,
        };
        Ok(Connector::Rustls(config.into()))
    }
}

#[cfg(feature = "native-roots")]
fn native_config() -> Result<Arc<rustls::ClientConfig>, Error> {
    use rustls::crypto::aws_lc_rs;

    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(Error::new(
            ErrorKind::Connect,
            "the system has no root certificates; install them or give the client a TLS configuration",
        ));
    }
    let config = rustls::ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::caused(ErrorKind::Connect, "TLS cannot be set up", error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(not(feature = "native-roots"))]
fn native_config() -> Result<Arc<rustls::ClientConfig>, Error> {
    Err(Error::new(
        ErrorKind::Connect,
        "wss needs a TLS configuration, or the feature native-roots",
    ))
}

fn open_error(error: tokio_websockets::Error) -> Error {
    match error {
        tokio_websockets::Error::Upgrade(upgrade::Error::DidNotSwitchProtocols(status)) => {
            Error::rejected(status)
        }
        error => {
            let text = format!("the service cannot be reached: {error}");
            Error::caused(ErrorKind::Connect, text, error)
        }
    }
}

fn broken(error: &tokio_websockets::Error) -> Read {
    Read::Closed {
        code: None,
        reason: error.to_string(),
    }
}

//! From a bound address to HTTP requests: TLS, HTTP/1.1 and HTTP/2, and the limits of a handshake.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;

use crate::config::Roles;
use crate::http::{CurrentApp, Peer};
use crate::tls::ClientCertificates;

/// How long a connection that has made a request may wait with the next one, or take to send its head.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// What of a request's head is kept at most: 64 KiB of request line and 32 KiB of headers. Bytes.
const HEAD_MAX: usize = 96 * 1024;
/// Requests that run at once on an HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
/// How long to wait when the process has no descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// One bound address and all that its connections need.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) roles: Roles,
    pub(crate) app: CurrentApp,
    /// Connections that may be in their handshake; shared by all listeners.
    pub(crate) handshakes: Arc<Semaphore>,
    pub(crate) handshake_timeout: Duration,
    /// Each connection subscribes to it.
    pub(crate) shutdown: watch::Sender<bool>,
}

impl Listener {
    /// Accepts for as long as it is polled: during a shutdown too, since health and refused requests are answered then.
    pub(crate) async fn run(self) {
        loop {
            match self.socket.accept().await {
                Ok((tcp, addr)) => {
                    // Beyond the limit one waits here and the others in the kernel; whoever is in its handshake is through or
                    // dropped in time.
                    let permit = self.handshakes.clone().acquire_owned().await.ok();
                    self.serve(tcp, addr, permit);
                }
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn serve(&self, tcp: TcpStream, addr: SocketAddr, permit: Option<OwnedSemaphorePermit>) {
        // Without it small frames would wait for the client's acknowledgements.
        tcp.set_nodelay(true).ok();
        let handshake = Arc::new(Handshake {
            is_done: AtomicBool::new(false),
            permit: permit.into(),
        });
        let peer = Peer {
            addr,
            is_tls: self.tls.is_some(),
            roles: self.roles,
            certificates: ClientCertificates::default(),
        };
        let app = self.app.clone();
        // TLS and the first request share it.
        let deadline = Instant::now() + self.handshake_timeout;
        let shutdown = self.shutdown.subscribe();
        match &self.tls {
            None => {
                tokio::spawn(serve_http(
                    TokioIo::new(tcp),
                    peer,
                    app,
                    handshake,
                    deadline,
                    shutdown,
                ));
            }
            Some(config) => {
                let acceptor = TlsAcceptor::from(config.clone());
                tokio::spawn(async move {
                    match timeout_at(deadline, acceptor.accept(tcp)).await {
                        Ok(Ok(stream)) => {
                            let (_, session) = stream.get_ref();
                            let certificates = ClientCertificates::of(session);
                            let peer = Peer {
                                certificates,
                                ..peer
                            };
                            let io = TokioIo::new(stream);
                            serve_http(io, peer, app, handshake, deadline, shutdown).await;
                        }
                        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                        Err(_) => tracing::debug!("TLS handshake timed out"),
                    }
                });
            }
        }
    }
}

/// A connection counts as in its handshake until its first request is there.
struct Handshake {
    is_done: AtomicBool,
    permit: std::sync::Mutex<Option<OwnedSemaphorePermit>>,
}

impl Handshake {
    fn finish(&self) {
        if !self.is_done.swap(true, Ordering::Relaxed) {
            let permit = self.permit.lock().map(|mut permit| permit.take());
            drop(permit);
        }
    }
}

async fn serve_http<I>(
    io: TokioIo<I>,
    peer: Peer,
    app: CurrentApp,
    handshake: Arc<Handshake>,
    deadline: Instant,
    mut shutdown: watch::Receiver<bool>,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = {
        let handshake = handshake.clone();
        service_fn(move |request: hyper::Request<Incoming>| {
            handshake.finish();
            let app = app.load_full();
            let peer = peer.clone();
            async move { Ok::<_, Infallible>(app.handle(request, &peer).await) }
        })
    };
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_buf_size(HEAD_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_MAX as u32)
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(IDLE_TIMEOUT)
        .keep_alive_timeout(IDLE_TIMEOUT);
    let connection = builder.serve_connection_with_upgrades(io, service);
    tokio::pin!(connection);
    let deadline = tokio::time::sleep_until(deadline);
    tokio::pin!(deadline);
    let mut is_waiting = true;
    // One that comes during a shutdown is answered once, by a refusal.
    let mut is_shutting_down = *shutdown.borrow();
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(error, "HTTP connection ended");
                }
                return;
            }
            () = &mut deadline, if is_waiting => {
                if !handshake.is_done.load(Ordering::Relaxed) {
                    tracing::debug!("no request within the handshake time");
                    return;
                }
                is_waiting = false;
            }
            _ = shutdown.wait_for(|is_begun| *is_begun), if !is_shutting_down => {
                is_shutting_down = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Errors of a connection that ended before it was accepted say nothing about the listener.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use hubwire_backplane::{Backplane, Local};
use hubwire_engine::{Limits, Shard, ShardSettings};
use hubwire_protocol::token::ClientTokenClaims;
use hubwire_upstream::Upstream;
use mio::Poll;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::accept::Listener;
use crate::auth::Auth;
use crate::clock::{Clock, unix_seconds};
use crate::config::{Config, ListenerConfig, Roles};
use crate::events::Events;
use crate::firewall::Firewall;
use crate::http::{App, CurrentApp};
use crate::identity::Identities;
use crate::inbox::Inbox;
use crate::metrics::{Metrics, ShardMetrics};
use crate::node::{INBOX_CAPACITY, Node};
use crate::quota::Quotas;
use crate::reload::ReloadError;
use crate::shard_loop::{BELL, LoopLimits, ShardLoop, ShardMessage};
use crate::socket::QueueLimits;
use crate::tls::{Certificate, CertificateError};
use crate::tunnel::Tunnels;

/// How often certificate files are looked at.
const CERTIFICATE_CHECK: Duration = Duration::from_secs(5);
/// Lifetime of the token in the sample URL. Seconds.
const SAMPLE_TOKEN_LIFETIME: u64 = 24 * 3600;
const SAMPLE_HUB: &str = "sample";

/// The service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A shard cannot be made.
    #[error("cannot start shard {number}: {source}")]
    Shard {
        /// Its number.
        number: u16,
        /// Why.
        source: io::Error,
    },
}

/// An address that is listened on.
#[derive(Clone, Copy, Debug)]
pub struct BoundListener {
    /// The address, with the port that the system chose if none was asked for.
    pub addr: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// What is answered on it.
    pub roles: Roles,
}

/// A running service. Dropping it stops it without any grace; see [`Server::shutdown`].
#[derive(Debug)]
pub struct Server {
    app: CurrentApp,
    listeners: Vec<BoundListener>,
    certificates: Vec<Arc<Certificate>>,
    shards: Vec<JoinHandle<()>>,
    tasks: JoinSet<()>,
    shutdown: watch::Sender<bool>,
}

impl Server {
    /// Starts the service; when it returns, every listener is bound and answered.
    ///
    /// # Errors
    ///
    /// [`StartError`] for an address, a certificate or a shard that cannot be had. Nothing is left running then.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let bound = bind(&config.listeners).await?;
        let metrics = Arc::new(Metrics::new(config.limits.connections_max > 0));
        let auth = Auth::new(&config);
        let config = Arc::new(config);
        let addresses = bound.iter().map(|bound| bound.listener.addr).collect();
        let tunnels = Arc::new(Tunnels::new(metrics.clone()));
        let events = Events::start(&config, addresses, metrics.clone(), tunnels.clone());
        let (node, shards) = start_shards(&config, &auth, &metrics, events.upstream())?;
        let handshakes_max = config.limits.handshakes_max;
        let handshakes = Arc::new(Semaphore::new(handshakes_max));
        let handshake_timeout = config.limits.handshake_timeout;
        let app = App {
            auth: Arc::new(auth),
            identities: Arc::new(Identities::start(&config.auth, metrics.clone())),
            firewall: Arc::new(Firewall::new(&config.firewall)),
            config,
            node,
            events: Arc::new(events),
            tunnels,
            metrics,
            filters: Arc::default(),
            refusals: Arc::new(Semaphore::new(handshakes_max)),
            is_shutting_down: Arc::default(),
        };
        let (shutdown, _) = watch::channel(false);
        let mut server = Self {
            app: Arc::new(ArcSwap::from_pointee(app)),
            listeners: Vec::new(),
            certificates: Vec::new(),
            shards,
            tasks: JoinSet::new(),
            shutdown,
        };
        for Bound {
            socket,
            listener,
            certificate,
        } in bound
        {
            let tls = certificate.as_ref().map(Certificate::server_config);
            server.certificates.extend(certificate);
            server.listeners.push(listener);
            let listener = Listener {
                socket,
                tls,
                roles: listener.roles,
                app: server.app.clone(),
                // Health and metrics on a listener of their own stay reachable whatever happens on the others.
                handshakes: match listener.roles.client
                    || listener.roles.rest
                    || listener.roles.tunnel
                {
                    true => handshakes.clone(),
                    false => Arc::new(Semaphore::new(handshakes_max)),
                },
                handshake_timeout,
                shutdown: server.shutdown.clone(),
            };
            server.tasks.spawn(listener.run());
        }
        if !server.certificates.is_empty() {
            server.tasks.spawn(watch_certificates(
                server.certificates.clone(),
                server.shutdown.subscribe(),
            ));
        }
        Ok(server)
    }

    /// Returns the addresses that are listened on.
    pub fn listeners(&self) -> Vec<BoundListener> {
        self.listeners.clone()
    }

    /// Returns the URL under which clients and app servers reach the service: the first public endpoint, or the first
    /// listener for clients or REST.
    pub fn endpoint(&self) -> String {
        if let Some(endpoint) = self.app.load().config.public_endpoints.first() {
            return endpoint.to_string();
        }
        let serving: Vec<_> = self
            .listeners
            .iter()
            .filter(|listener| listener.roles.client || listener.roles.rest)
            .collect();
        let Some(first) = serving.first() else {
            return String::new();
        };
        let scheme = if first.tls { "https" } else { "http" };
        let is_on_both_loopbacks = ["127.0.0.1", "::1"].iter().all(|ip| {
            serving.iter().any(|listener| {
                listener.addr.ip().to_string() == *ip && listener.addr.port() == first.addr.port()
            })
        });
        match first.addr.ip() {
            _ if is_on_both_loopbacks => format!("{scheme}://localhost:{}", first.addr.port()),
            ip if ip.is_unspecified() => format!("{scheme}://localhost:{}", first.addr.port()),
            _ => format!("{scheme}://{}", first.addr),
        }
    }

    /// Returns a URL that a WebSocket client can open at once: hub `sample`, all roles, valid for a day.
    pub fn sample_client_url(&self) -> String {
        let endpoint = self.endpoint();
        let path = format!("/client/hubs/{SAMPLE_HUB}");
        let token = self.app.load().auth.sign(&ClientTokenClaims {
            audience: format!("{endpoint}{path}"),
            issued_at: unix_seconds(),
            lifetime: SAMPLE_TOKEN_LIFETIME,
            user_id: None,
            roles: ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"]
                .map(str::to_owned)
                .to_vec(),
            groups: Vec::new(),
        });
        let endpoint = endpoint.replacen("http", "ws", 1);
        format!("{endpoint}{path}?access_token={token}")
    }

    /// Puts a configuration into force while clients stay connected. What takes effect only after a restart is named in a warning.
    ///
    /// Source: events-and-operations 9.2.
    ///
    /// # Errors
    ///
    /// The configuration in force stays then.
    pub fn reload(&self, config: Config) -> Result<(), ReloadError> {
        let kept = crate::reload::reload(&self.app, config)?;
        if !kept.is_empty() {
            let keys = kept.join(", ");
            tracing::warn!(%keys, "changed settings take effect after a restart");
        }
        tracing::info!("configuration reloaded");
        Ok(())
    }

    /// Reads certificate files again, as happens every few seconds anyway.
    pub fn reload_certificates(&self) {
        reload(&self.certificates);
    }

    /// Stops: health answers 503, new connections and requests are refused, requests in flight finish, clients are sent
    /// away with 1001, and what is left after `shutdown_timeout` is dropped.
    pub async fn shutdown(mut self) {
        let app = self.app.load_full();
        let timeout = app.config.shutdown_timeout;
        app.is_shutting_down.store(true, Ordering::SeqCst);
        self.shutdown.send_replace(true);
        app.node.shut_down();
        let deadline = tokio::time::Instant::now() + timeout;
        let node = app.node.clone();
        let shards = std::mem::take(&mut self.shards);
        let mut shards = tokio::task::spawn_blocking(move || {
            for shard in shards {
                if shard.join().is_err() {
                    tracing::error!("a shard ended by a panic");
                }
            }
        });
        if tokio::time::timeout_at(deadline, &mut shards)
            .await
            .is_err()
        {
            tracing::warn!("clients were still connected when the shutdown time was over");
            node.stop();
            shards.await.ok();
        }
        app.node.upstream.drain(deadline).await;
        // No event comes any more that would go through one.
        let tunnels = tokio::time::timeout_at(deadline, app.tunnels.shut_down());
        if tunnels.await.is_err() {
            tracing::warn!("tunnels were still open when the shutdown time was over");
        }
        // Every HTTP connection holds a receiver.
        let requests = tokio::time::timeout_at(deadline, self.shutdown.closed());
        if requests.await.is_err() {
            tracing::warn!("requests were still in flight when the shutdown time was over");
        }
        self.tasks.shutdown().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.send_replace(true);
        self.app.load().node.stop();
    }
}

struct Bound {
    socket: TcpListener,
    listener: BoundListener,
    certificate: Option<Arc<Certificate>>,
}

async fn bind(listeners: &[ListenerConfig]) -> Result<Vec<Bound>, StartError> {
    let mut bound = Vec::new();
    for listener in listeners {
        let certificate = listener.tls.as_ref().map(Certificate::load).transpose()?;
        let before = bound.len();
        for &addr in &listener.bind {
            let socket = match TcpListener::bind(addr).await {
                Ok(socket) => socket,
                Err(error) if is_missing_loopback(addr, &error) && bound.len() > before => {
                    tracing::warn!(%addr, %error, "this machine has no such loopback address");
                    continue;
                }
                Err(source) => return Err(StartError::Bind { addr, source }),
            };
            let addr = socket
                .local_addr()
                .map_err(|source| StartError::Bind { addr, source })?;
            bound.push(Bound {
                socket,
                listener: BoundListener {
                    addr,
                    tls: certificate.is_some(),
                    roles: listener.roles,
                },
                certificate: certificate.clone(),
            });
        }
    }
    Ok(bound)
}

/// Containers often have no IPv6; the other loopback address is enough then.
fn is_missing_loopback(addr: SocketAddr, error: &io::Error) -> bool {
    addr.is_ipv6()
        && addr.ip().is_loopback()
        && matches!(
            error.kind(),
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
        )
}

type Shards = (Arc<Node>, Vec<JoinHandle<()>>);

fn start_shards(
    config: &Arc<Config>,
    auth: &Auth,
    metrics: &Arc<Metrics>,
    upstream: Upstream,
) -> Result<Shards, StartError> {
    let failed = |number| move |source| StartError::Shard { number, source };
    let mut polls = Vec::new();
    let mut inboxes = Vec::new();
    for number in 0..config.shards as u16 {
        let poll = Poll::new().map_err(failed(number))?;
        let inbox: Inbox<ShardMessage> =
            Inbox::new(poll.registry(), BELL, INBOX_CAPACITY).map_err(failed(number))?;
        polls.push(poll);
        inboxes.push(Arc::new(inbox));
    }
    let backplane = Box::new(Local);
    let node_number = backplane.node();
    let node = Arc::new(Node::new(
        Clock::start(),
        inboxes.clone(),
        backplane,
        Quotas::new(config.clone()),
        upstream,
    ));
    let limits = &config.limits;
    let loop_limits = LoopLimits {
        message_max: limits.message_max,
        queue: QueueLimits {
            messages: limits.outbound_queue_messages,
            bytes: limits.outbound_queue_bytes,
        },
        memory: limits.memory,
        shards: config.shards,
    };
    let engine_limits = Limits {
        remembered_ack_ids: limits.remembered_ack_ids,
        close_timeout_ms: limits.close_timeout.as_millis() as u64,
        recovery_window_ms: limits.recovery_window.as_millis() as u64,
        reconnection_token_lifetime_s: limits.reconnection_token_lifetime.as_secs(),
    };
    let mut threads = Vec::new();
    for (number, (poll, inbox)) in (0..).zip(polls.into_iter().zip(inboxes)) {
        let shard = ShardLoop::new(
            number,
            poll,
            inbox,
            node.clone(),
            ShardMetrics::new(metrics.clone()),
            loop_limits,
            Shard::new(ShardSettings {
                node: node_number,
                number,
                shards: config.shards as u16,
                unix_origin_ms: node.clock.unix_origin_ms(),
                reconnection_key: auth.reconnection_key.clone(),
                limits: engine_limits.clone(),
            }),
        );
        let thread = thread::Builder::new()
            .name(format!("shard-{number}"))
            .spawn(move || shard.run());
        match thread {
            Ok(thread) => threads.push(thread),
            Err(source) => {
                node.stop();
                return Err(StartError::Shard { number, source });
            }
        }
    }
    Ok((node, threads))
}

async fn watch_certificates(
    certificates: Vec<Arc<Certificate>>,
    mut shutdown: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(CERTIFICATE_CHECK) => reload(&certificates),
            _ = shutdown.wait_for(|is_begun| *is_begun) => return,
        }
    }
}

fn reload(certificates: &[Arc<Certificate>]) {
    for certificate in certificates {
        let path = certificate.path().display();
        match certificate.reload() {
            Ok(true) => tracing::info!(%path, "certificate reloaded"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "certificate not reloaded, the old one stays"),
        }
    }
}

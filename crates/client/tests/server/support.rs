//! A service, a proxy in front of it, and events that are waited for within a bound.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hubwire_client::{Backoff, Builder, Client, Content, Event, Events, GroupMessage, Protocol};
use hubwire_protocol::token::{ClientTokenClaims, sign_client_token};
use hubwire_server::Server;
use hubwire_server::config::{Config, DEVELOPMENT_KEY, ListenerConfig, TlsConfig, TlsVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// Bound of every wait. A test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const ROLES: [&str; 2] = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"];

/// A running service on a port of its own, with a proxy in front of it.
pub(crate) struct Service {
    server: Server,
    addr: SocketAddr,
    pub(crate) proxy: Arc<Proxy>,
}

impl Service {
    pub(crate) async fn start() -> Self {
        let (server, addr) = start_server().await;
        let proxy = Proxy::start(addr).await;
        Self {
            server,
            addr,
            proxy,
        }
    }

    /// Ends the server in good order and puts another one behind the proxy.
    pub(crate) async fn restart(self) -> Self {
        let (server, addr) = start_server().await;
        *self.proxy.target.lock().unwrap() = addr;
        self.server.shutdown().await;
        Self {
            server,
            addr,
            proxy: self.proxy,
        }
    }

    pub(crate) fn url(&self, user: &str) -> String {
        self.url_with(user, &ROLES)
    }

    pub(crate) fn url_with(&self, user: &str, roles: &[&str]) -> String {
        url(self.addr, user, roles)
    }

    pub(crate) async fn connect(&self, user: &str, protocol: Protocol) -> (Client, Events) {
        let builder = Client::builder(self.url(user)).protocol(protocol);
        let (client, mut events) = builder.connect().await.unwrap();
        events.connected().await;
        (client, events)
    }

    /// Counts how often the credential is asked.
    pub(crate) fn builder_through_proxy(&self, user: &'static str, protocol: Protocol) -> Builder {
        let proxy = self.proxy.clone();
        let credential = move || {
            proxy.asked.fetch_add(1, Ordering::SeqCst);
            let url = url(proxy.addr, user, &ROLES);
            async move { Ok::<_, std::convert::Infallible>(url) }
        };
        Client::with_credential(credential)
            .protocol(protocol)
            .message_retries(100)
            .reconnect(Backoff {
                first: Duration::from_millis(1),
                max: Duration::from_millis(50),
                attempts_max: None,
            })
    }

    pub(crate) async fn connect_through_proxy(
        &self,
        user: &'static str,
        protocol: Protocol,
    ) -> (Client, Events) {
        let builder = self.builder_through_proxy(user, protocol);
        let (client, mut events) = builder.connect().await.unwrap();
        events.connected().await;
        (client, events)
    }

    /// Closes a connection as an app server does.
    pub(crate) async fn close(&self, connection_id: &str, reason: &str) {
        let addr = self.addr;
        let path = format!("/api/hubs/chat/connections/{connection_id}");
        let token = token(&format!("http://{addr}{path}"), "", &[]);
        let request = format!(
            "DELETE {path}?reason={reason}&api-version=2024-01-01 HTTP/1.1\r\nHost: {addr}\r\n\
             Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        let mut tcp = TcpStream::connect(addr).await.unwrap();
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    }
}

async fn start_server() -> (Server, SocketAddr) {
    start_server_with(None).await
}

/// A server that speaks TLS, the URL of a client of it, and the configuration that trusts it.
pub(crate) async fn start_tls_server() -> (Server, String, Arc<rustls::ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let directory =
        std::env::temp_dir().join(format!("hubwire-client-test-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (cert, key) = (directory.join("cert.pem"), directory.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (server, addr) = start_server_with(Some(TlsConfig {
        cert,
        key,
        min_version: TlsVersion::V1_2,
        request_client_certificate: false,
        client_ca: None,
    }))
    .await;
    std::fs::remove_dir_all(&directory).unwrap();

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let path = format!("{addr}/client/hubs/chat");
    let token = token(&format!("https://{path}"), "alice", &ROLES);
    let url = format!("wss://{path}?access_token={token}");
    (server, url, Arc::new(config))
}

async fn start_server_with(tls: Option<TlsConfig>) -> (Server, SocketAddr) {
    let config = Config {
        listeners: vec![ListenerConfig {
            bind: vec!["127.0.0.1:0".parse().unwrap()],
            tls,
            ..ListenerConfig::default()
        }],
        shards: 1,
        ..Config::default()
    };
    let server = Server::start(config).await.unwrap();
    let addr = server.listeners()[0].addr;
    (server, addr)
}

fn url(addr: SocketAddr, user: &str, roles: &[&str]) -> String {
    let path = format!("{addr}/client/hubs/chat");
    let token = token(&format!("http://{path}"), user, roles);
    format!("ws://{path}?access_token={token}")
}

fn token(audience: &str, user: &str, roles: &[&str]) -> String {
    let claims = ClientTokenClaims {
        audience: audience.to_owned(),
        issued_at: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs(),
        lifetime: 3600,
        user_id: Some(user.to_owned()).filter(|user| !user.is_empty()),
        roles: roles.iter().map(|&role| role.to_owned()).collect(),
        groups: Vec::new(),
    };
    sign_client_token(&claims, DEVELOPMENT_KEY, None)
}

/// Forwards connections until it is told to cut or refuse them.
pub(crate) struct Proxy {
    addr: SocketAddr,
    target: Mutex<SocketAddr>,
    links: Mutex<Vec<AbortHandle>>,
    refuses: AtomicBool,
    asked: AtomicUsize,
}

impl Proxy {
    async fn start(target: SocketAddr) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Arc::new(Self {
            addr: listener.local_addr().unwrap(),
            target: Mutex::new(target),
            links: Mutex::default(),
            refuses: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
        });
        let running = proxy.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                if running.refuses.load(Ordering::SeqCst) {
                    continue;
                }
                let target = *running.target.lock().unwrap();
                let link = tokio::spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(target).await {
                        copy_bidirectional(&mut client, &mut server).await.ok();
                    }
                });
                running.links.lock().unwrap().push(link.abort_handle());
            }
        });
        proxy
    }

    /// Ends every connection on both sides.
    pub(crate) fn cut(&self) {
        for link in self.links.lock().unwrap().drain(..) {
            link.abort();
        }
    }

    /// Ends new connections at once from now on.
    pub(crate) fn refuse(&self) {
        self.refuses.store(true, Ordering::SeqCst);
    }

    /// How often a credential was asked for a URL through here.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Waits for events within a bound.
pub(crate) trait Receiving {
    async fn event(&mut self) -> Event;
    async fn connected(&mut self);
    /// The next group message; recoveries are skipped.
    async fn group_message(&mut self) -> GroupMessage;
    /// All events up to the end.
    async fn rest(&mut self) -> Vec<Event>;
}

impl Receiving for Events {
    async fn event(&mut self) -> Event {
        let event = timeout(PATIENCE, self.next()).await;
        event.expect("an event in time").expect("an event")
    }

    async fn connected(&mut self) {
        let event = self.event().await;
        assert!(matches!(event, Event::Connected { .. }), "{event:?}");
    }

    async fn group_message(&mut self) -> GroupMessage {
        loop {
            match self.event().await {
                Event::GroupMessage(message) => return message,
                Event::Recovered { .. } => {}
                other => panic!("{other:?} instead of a group message"),
            }
        }
    }

    async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = timeout(PATIENCE, self.next())
            .await
            .expect("an end in time")
        {
            events.push(event);
        }
        events
    }
}

pub(crate) fn text(content: &Content) -> &str {
    content.payload.as_text().expect("text")
}

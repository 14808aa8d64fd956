//! A running service with clients, and a server of the test with answers in a row.

use std::collections::VecDeque;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hubwire_server::Server;
use hubwire_server::config::{Config, DEVELOPMENT_KEY, ListenerConfig};
use hubwire_service_client::models::ClientAccessTokenOptions;
use hubwire_service_client::{
    AccessKeyCredential, WebPubSubServiceClient, WebPubSubServiceClientOptions,
};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_websockets::{ClientBuilder, MaybeTlsStream, Message as Frame, WebSocketStream};

/// Bound of every wait. A test that reaches it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const JSON: &str = "json.webpubsub.azure.v1";

/// A running service with one shard on a port of its own.
pub(crate) struct Service {
    pub(crate) addr: SocketAddr,
    _server: Server,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let listener = ListenerConfig {
            bind: vec!["127.0.0.1:0".parse().unwrap()],
            ..ListenerConfig::default()
        };
        let mut config = Config {
            listeners: vec![listener],
            shards: 1,
            ..Config::default()
        };
        change(&mut config);
        let server = Server::start(config).await.unwrap();
        Self {
            addr: server.listeners()[0].addr,
            _server: server,
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub(crate) fn client(&self) -> WebPubSubServiceClient {
        self.client_with(WebPubSubServiceClientOptions::default())
    }

    pub(crate) fn client_with(
        &self,
        options: WebPubSubServiceClientOptions,
    ) -> WebPubSubServiceClient {
        key_client(&self.endpoint(), DEVELOPMENT_KEY, options)
    }
}

pub(crate) fn key_client(
    endpoint: &str,
    key: &str,
    options: WebPubSubServiceClientOptions,
) -> WebPubSubServiceClient {
    let credential = AccessKeyCredential::new(key).unwrap();
    WebPubSubServiceClient::with_key_credential(endpoint, "chat", credential, Some(options))
        .unwrap()
}

/// A WebSocket client of the hub.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) id: String,
}

/// What a client received.
#[derive(Debug, PartialEq)]
pub(crate) enum Received {
    Text(String),
    Binary(Vec<u8>),
    Closed,
}

impl Client {
    /// Connects a simple client.
    pub(crate) async fn simple(service: &WebPubSubServiceClient) -> Self {
        Self::connect(service, ClientAccessTokenOptions::default(), None).await
    }

    /// Connects a client of the JSON subprotocol and takes its first frame, which tells its id.
    pub(crate) async fn json(service: &WebPubSubServiceClient, user: &str) -> Self {
        let options = ClientAccessTokenOptions {
            user_id: Some(user.to_owned()),
            ..ClientAccessTokenOptions::default()
        };
        Self::json_with(service, options).await
    }

    pub(crate) async fn json_with(
        service: &WebPubSubServiceClient,
        options: ClientAccessTokenOptions,
    ) -> Self {
        let mut client = Self::connect(service, options, Some(JSON)).await;
        let connected = client.frame().await;
        client.id = connected["connectionId"].as_str().unwrap().to_owned();
        client
    }

    async fn connect(
        service: &WebPubSubServiceClient,
        options: ClientAccessTokenOptions,
        subprotocol: Option<&str>,
    ) -> Self {
        let access = service.get_client_access_token(Some(options)).await;
        let mut builder = ClientBuilder::from_uri(access.unwrap().url.parse().unwrap());
        if let Some(name) = subprotocol {
            let header = "sec-websocket-protocol".parse().unwrap();
            builder = builder.add_header(header, name.parse().unwrap()).unwrap();
        }
        let (socket, _) = timeout(PATIENCE, builder.connect()).await.unwrap().unwrap();
        Self {
            socket,
            id: String::new(),
        }
    }

    pub(crate) async fn receive(&mut self) -> Received {
        match timeout(PATIENCE, self.socket.next()).await.unwrap() {
            Some(Ok(frame)) if frame.is_text() => {
                Received::Text(frame.as_text().unwrap().to_owned())
            }
            Some(Ok(frame)) if frame.is_binary() => Received::Binary(frame.into_payload().to_vec()),
            Some(Ok(_)) | Some(Err(_)) | None => Received::Closed,
        }
    }

    /// Returns the next frame of a client of the JSON subprotocol.
    pub(crate) async fn frame(&mut self) -> Value {
        match self.receive().await {
            Received::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("no text: {other:?}"),
        }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.socket
            .send(Frame::text(text.to_owned()))
            .await
            .unwrap();
    }
}

/// A request that the server of a test got.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        Some(self.headers.get(name)?.to_str().unwrap())
    }

    /// Returns the claims of the token with which the request came.
    pub(crate) fn claims(&self) -> Value {
        let token = self.header("authorization").unwrap();
        claims(token.strip_prefix("Bearer ").unwrap())
    }
}

/// Returns what a token says, unverified.
pub(crate) fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// An answer of the server of a test.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }
}

/// A server that gives answers in a row, the last one for ever, and remembers what it got.
pub(crate) struct Fake {
    pub(crate) addr: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Fake {
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            addr: listener.local_addr().unwrap(),
            got: Arc::default(),
        };
        let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let got = Arc::clone(&fake.got);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (answers, got) = (Arc::clone(&answers), Arc::clone(&got));
                tokio::spawn(serve(tcp, answers, got));
            }
        });
        fake
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub(crate) fn client(&self) -> WebPubSubServiceClient {
        self.client_with(WebPubSubServiceClientOptions::default())
    }

    pub(crate) fn client_with(
        &self,
        options: WebPubSubServiceClientOptions,
    ) -> WebPubSubServiceClient {
        key_client(&self.endpoint(), "a key of the test", options)
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// Returns the one request that came.
    pub(crate) fn only(&self) -> Got {
        let got = self.got();
        assert_eq!(got.len(), 1, "{got:?}");
        got.into_iter().next().unwrap()
    }
}

pub(crate) async fn serve<S>(
    stream: S,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    got: Arc<Mutex<Vec<Got>>>,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (answers, got) = (Arc::clone(&answers), Arc::clone(&got));
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            got.lock().unwrap().push(Got {
                method: head.method.to_string(),
                target: head.uri.to_string(),
                headers: head.headers,
                body,
            });
            let answer = {
                let mut answers = answers.lock().unwrap();
                match answers.len() {
                    1 => answers[0].clone(),
                    _ => answers.pop_front().unwrap(),
                }
            };
            let mut response = hyper::Response::builder().status(answer.status);
            for (name, value) in answer.headers {
                response = response.header(name, value);
            }
            let body = Full::new(Bytes::from(answer.body));
            Ok::<_, hyper::Error>(response.body(body).unwrap())
        }
    });
    let builder = Builder::new(TokioExecutor::new());
    // A client that goes away is no failure of the test.
    builder
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

/// What is logged while it lives, on this thread.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Logs everything up to `level` here.
    pub(crate) fn begin(level: tracing::Level) -> (Self, tracing::subscriber::DefaultGuard) {
        // With a single subscriber in the process, `tracing` may note on another thread that nobody listens at all.
        static LISTENER: Once = Once::new();
        LISTENER.call_once(|| {
            let everything = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
            tracing::subscriber::set_global_default(everything.with_writer(std::io::sink).finish())
                .unwrap();
        });
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Returns the lines of one target of this crate.
    pub(crate) fn of(&self, target: &str) -> Vec<String> {
        let mark = format!(" {target}: ");
        self.text()
            .lines()
            .filter(|line| line.contains(&mark))
            .map(str::to_owned)
            .collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

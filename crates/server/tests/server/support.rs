//! A service of the test's own, clients that check every frame, and REST calls.

pub(crate) mod events;
#[path = "../../../upstream/tests/upstream/support/handler.rs"]
#[expect(dead_code, reason = "some of it is for the tests of the other crate")]
pub(crate) mod handler;
pub(crate) mod issuer;
pub(crate) mod metrics;
pub(crate) mod outcomes;
pub(crate) mod protobuf;
pub(crate) mod pubsub;
pub(crate) mod rest;
pub(crate) mod wire;

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt, StreamExt};
use hubwire_server::Server;
use hubwire_server::config::{Config, DEVELOPMENT_KEY, HubConfig, ListenerConfig};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_websockets::{ClientBuilder, MaybeTlsStream, Message, WebSocketStream};

/// Bound of every wait. A test that reaches it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// What the shared test handler calls it.
pub(crate) const LONG: Duration = PATIENCE;
pub(crate) const JSON: &str = "json.webpubsub.azure.v1";
pub(crate) const ALL_ROLES: [&str; 2] = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"];

/// A running service on a port of its own.
pub(crate) struct Service {
    pub(crate) server: Server,
    pub(crate) addr: SocketAddr,
}

impl Service {
    /// Starts a service with the default configuration and one shard.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts a service whose configuration differs from the default one.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            listeners: vec![ListenerConfig {
                bind: vec!["127.0.0.1:0".parse().unwrap()],
                ..ListenerConfig::default()
            }],
            shards: 1,
            ..Config::default()
        };
        change(&mut config);
        let server = Server::start(config).await.unwrap();
        let addr = server.listeners()[0].addr;
        Self { server, addr }
    }

    /// Starts a service whose hubs are all configured like this.
    pub(crate) async fn start_with_hub(change: impl FnOnce(&mut HubConfig)) -> Self {
        Self::start_with(|config| {
            let mut hub = HubConfig::default();
            change(&mut hub);
            config.hubs.set("_default", hub);
        })
        .await
    }

    /// Returns a client token of a hub as the official packages make them.
    pub(crate) fn token(&self, hub: &str, claims: Value) -> String {
        let mut all = json!({
            "aud": format!("http://{}/client/hubs/{hub}", self.addr),
            "iat": unix_seconds(),
            "exp": unix_seconds() + 3600,
        });
        merge(&mut all, claims);
        sign(&all, DEVELOPMENT_KEY)
    }

    /// Returns the path and query of a client URL with a token.
    pub(crate) fn client_path(&self, hub: &str, claims: Value) -> String {
        let token = self.token(hub, claims);
        format!("/client/hubs/{hub}?access_token={token}")
    }

    /// Connects with these subprotocols offered; the handshake must succeed.
    pub(crate) async fn connect_path(&self, path: &str, offered: &[&str]) -> Client {
        let url = format!("ws://{}{path}", self.addr);
        let mut builder = ClientBuilder::new().uri(&url).unwrap();
        if !offered.is_empty() {
            let offered = offered.join(", ").parse().unwrap();
            let name = "sec-websocket-protocol".parse().unwrap();
            builder = builder.add_header(name, offered).unwrap();
        }
        let (socket, response) = timeout(PATIENCE, builder.connect()).await.unwrap().unwrap();
        let subprotocol = response
            .headers()
            .get("sec-websocket-protocol")
            .map(|name| name.to_str().unwrap().to_owned());
        Client {
            socket,
            subprotocol,
            connection_id: String::new(),
        }
    }

    /// Connects a simple client.
    pub(crate) async fn simple(&self, hub: &str, claims: Value) -> Client {
        self.connect_path(&self.client_path(hub, claims), &[]).await
    }

    /// Connects a JSON client and takes its `connected` frame.
    pub(crate) async fn json(&self, hub: &str, claims: Value) -> Client {
        let path = self.client_path(hub, claims);
        let mut client = self.connect_path(&path, &[JSON]).await;
        let connected = client.json().await;
        assert_eq!(connected["event"], "connected");
        client.connection_id = connected["connectionId"].as_str().unwrap().to_owned();
        client
    }

    /// Connects a JSON client that may join and send anywhere.
    pub(crate) async fn json_with_roles(&self, hub: &str, user: &str) -> Client {
        self.json(hub, json!({ "sub": user, "role": ALL_ROLES }))
            .await
    }

    /// Makes a REST call as the official packages do, and returns its answer.
    pub(crate) async fn rest(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Answer {
        self.raw(&self.rest_request(method, path, content_type, body))
            .await
    }

    /// Returns the bytes of a REST call as the official packages make it.
    pub(crate) fn rest_request(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Vec<u8> {
        let audience = format!("http://{}{path}", self.addr);
        let token = sign(
            &json!({ "aud": audience, "exp": unix_seconds() + 60 }),
            DEVELOPMENT_KEY,
        );
        let content_type = match content_type {
            "" => String::new(),
            name => format!("Content-Type: {name}\r\n"),
        };
        let head = format!("Authorization: Bearer {token}\r\n{content_type}");
        self.request_bytes(method, path, &head, body)
    }

    /// Sends by REST; the service must accept.
    pub(crate) async fn send(&self, path: &str, content_type: &str, body: &[u8]) {
        let answer = self.rest("POST", path, content_type, body).await;
        assert_eq!(answer.status, 202, "{path}: {}", answer.body);
    }

    /// Makes a plain HTTP request with these further header lines.
    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        head: &str,
        body: &[u8],
    ) -> Answer {
        self.raw(&self.request_bytes(method, path, head, body))
            .await
    }

    /// Returns the bytes of a plain HTTP request with these further header lines.
    pub(crate) fn request_bytes(
        &self,
        method: &str,
        path: &str,
        head: &str,
        body: &[u8],
    ) -> Vec<u8> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{head}\r\n",
            self.addr,
            body.len()
        );
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }

    /// Sends a handshake with these header lines instead of the usual ones, and returns the answer without upgrading.
    pub(crate) async fn handshake(&self, path: &str, head: &str) -> Answer {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{head}\r\n",
            self.addr
        );
        self.raw(request.as_bytes()).await
    }

    /// Writes bytes to a new connection and returns the answer, up to its end or to the end of the head of a 101.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Answer {
        exchange(self.addr, bytes).await
    }
}

/// Like [`Service::raw`], for a service that is being shut down.
pub(crate) async fn exchange(addr: SocketAddr, bytes: &[u8]) -> Answer {
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    tcp.write_all(bytes).await.unwrap();
    answer(&mut tcp).await
}

/// Reads an answer, up to its end or to the end of the head of a 101.
pub(crate) async fn answer(tcp: &mut TcpStream) -> Answer {
    let mut answer = Vec::new();
    let read = async {
        let mut buffer = [0; 4096];
        loop {
            let len = tcp.read(&mut buffer).await.unwrap_or(0);
            answer.extend_from_slice(&buffer[..len]);
            let is_upgrade =
                answer.starts_with(b"HTTP/1.1 101") && answer.windows(4).any(|w| w == b"\r\n\r\n");
            if len == 0 || is_upgrade || is_complete(&answer) {
                return;
            }
        }
    };
    timeout(PATIENCE, read)
        .await
        .expect("the answer came in time");
    Answer::parse(&answer)
}

/// Tells whether an answer with a `Content-Length` is all there.
fn is_complete(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    length.is_some_and(|length| body.len() >= length)
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
        let mut lines = head.lines();
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Self {
            status,
            headers,
            body: body.to_owned(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// What a client receives.
#[derive(Debug, PartialEq)]
pub(crate) enum Received {
    Text(String),
    Binary(Vec<u8>),
    Ping,
    Pong(Vec<u8>),
    Close(u16, String),
    /// The connection ended without a close frame.
    End,
}

/// A WebSocket client.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) subprotocol: Option<String>,
    pub(crate) connection_id: String,
}

impl Client {
    pub(crate) async fn send_text(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    /// Sends a text unless the socket is gone.
    pub(crate) async fn try_send_text(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.ok();
    }

    pub(crate) async fn send_binary(&mut self, bytes: &[u8]) {
        self.socket
            .send(Message::binary(bytes.to_vec()))
            .await
            .unwrap();
    }

    pub(crate) async fn send_json(&mut self, value: Value) {
        self.send_text(value.to_string()).await;
    }

    /// Returns what comes next; pings are left out.
    pub(crate) async fn next(&mut self) -> Received {
        loop {
            match self.next_with_pings().await {
                Received::Ping => {}
                received => return received,
            }
        }
    }

    pub(crate) async fn next_with_pings(&mut self) -> Received {
        let message = timeout(PATIENCE, self.socket.next())
            .await
            .expect("something came in time");
        let Some(Ok(message)) = message else {
            return Received::End;
        };
        if let Some((code, reason)) = message.as_close() {
            return Received::Close(code.into(), reason.to_owned());
        }
        if message.is_ping() {
            return Received::Ping;
        }
        if message.is_pong() {
            return Received::Pong(message.into_payload().to_vec());
        }
        match message.as_text() {
            Some(text) => Received::Text(text.to_owned()),
            None => Received::Binary(message.into_payload().to_vec()),
        }
    }

    /// Returns the next frame, which must be a text message.
    pub(crate) async fn text(&mut self) -> String {
        match self.next().await {
            Received::Text(text) => text,
            other => panic!("expected a text message, got {other:?}"),
        }
    }

    /// Returns the next frame, which must be a JSON object.
    pub(crate) async fn json(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// Makes a request with an ack id and returns the next frame, which must be its ack.
    pub(crate) async fn request(&mut self, frame: Value) -> Value {
        let ack_id = frame["ackId"].clone();
        self.send_json(frame).await;
        let ack = self.json().await;
        assert_eq!(
            (&ack["type"], &ack["ackId"]),
            (&json!("ack"), &ack_id),
            "{ack}"
        );
        ack
    }

    /// Joins a group; the ack must be a success.
    pub(crate) async fn join(&mut self, group: &str) {
        let ack = self
            .request(json!({ "type": "joinGroup", "group": group, "ackId": 4_000_000_000_u64 }))
            .await;
        let is_known = ack["error"]["name"] == "Duplicate";
        assert!(ack["success"] == true || is_known, "{ack}");
        if is_known {
            panic!("join() is good for one group a client; use request()");
        }
    }

    /// Asserts that nothing else has come: a pong is the next frame.
    pub(crate) async fn expect_nothing(&mut self) {
        self.send_json(json!({ "type": "ping" })).await;
        assert_eq!(self.json().await, json!({ "type": "pong" }));
    }

    /// Asserts that the service closes with this code and reason now.
    pub(crate) async fn expect_close(&mut self, code: u16, reason: &str) {
        assert_eq!(self.next().await, Received::Close(code, reason.to_owned()));
    }
}

/// Raises the limit of open descriptors as far as the system lets it, for tests with a thousand clients and more.
pub(crate) fn allow_many_sockets() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

pub(crate) fn sign(claims: &Value, key: &str) -> String {
    let key = EncodingKey::from_secret(key.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

fn merge(into: &mut Value, more: Value) {
    let (Value::Object(into), Value::Object(more)) = (into, more) else {
        panic!("claims are an object");
    };
    into.extend(more);
}

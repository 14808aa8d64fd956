//! Clients of all PubSub subprotocols, in the words of the JSON frames, and their way back to a connection.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hubwire_server::config::Config;
use serde_json::{Value, json};

use super::metrics::with_metrics;
use super::protobuf;
use super::wire::{BINARY, CLOSE, PING, TEXT, Wire, close_payload};
use super::{ALL_ROLES, Answer, JSON, Service};

pub(crate) const RELIABLE_JSON: &str = "json.reliable.webpubsub.azure.v1";
pub(crate) const PROTOBUF: &str = "protobuf.webpubsub.azure.v1";
pub(crate) const RELIABLE_PROTOBUF: &str = "protobuf.reliable.webpubsub.azure.v1";
/// The subprotocols whose connections outlive their sockets.
pub(crate) const RELIABLE: [&str; 2] = [RELIABLE_JSON, RELIABLE_PROTOBUF];
pub(crate) const ALL: [&str; 4] = [JSON, RELIABLE_JSON, PROTOBUF, RELIABLE_PROTOBUF];
pub(crate) const JSON_CLIENTS: [&str; 2] = [JSON, RELIABLE_JSON];

pub(crate) const NOT_RECOVERED: &str = "The connection could not be recovered.";
pub(crate) const DETACHED: &str = "hubwire_detached_connections";
pub(crate) const BUFFERED: &str = "hubwire_reliable_buffer_messages";

/// What a client keeps to come back to its connection.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) hub: String,
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) user: Value,
    pub(crate) subprotocol: &'static str,
}

impl Ticket {
    /// Returns the path and query that ask for the connection.
    pub(crate) fn path(&self) -> String {
        format!(
            "/client/hubs/{}?awps_connection_id={}&awps_reconnection_token={}",
            self.hub, self.id, self.token
        )
    }

    /// Returns the shard that has the connection.
    pub(crate) fn shard(&self) -> u16 {
        shard_of(&self.id)
    }
}

/// Returns the shard that has a connection.
pub(crate) fn shard_of(id: &str) -> u16 {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(id).unwrap();
    u16::from_be_bytes([bytes[2], bytes[3]])
}

/// A client of a PubSub subprotocol.
pub(crate) struct PubSub {
    pub(crate) wire: Wire,
    /// What it could come back with; the token is empty if it cannot.
    pub(crate) ticket: Ticket,
}

/// Configures shards, and the metrics by which a test learns that the service has noticed something.
pub(crate) fn watched(shards: usize) -> impl Fn(&mut Config) {
    move |config| {
        config.shards = shards;
        with_metrics(config);
    }
}

impl Service {
    /// Starts a service with these shards that answers `/metrics`.
    pub(crate) async fn watched(shards: usize) -> Self {
        Self::start_with(watched(shards)).await
    }

    /// Connects a client of a subprotocol and takes its `connected` frame.
    pub(crate) async fn pubsub(
        &self,
        subprotocol: &'static str,
        hub: &str,
        claims: Value,
    ) -> PubSub {
        let wire = self
            .wire(&self.client_path(hub, claims), &offer(subprotocol))
            .await;
        PubSub::start(wire, subprotocol, hub).await
    }

    /// Connects a client that may join and send anywhere.
    pub(crate) async fn pubsub_with_roles(&self, subprotocol: &'static str, user: &str) -> PubSub {
        let claims = json!({ "sub": user, "role": ALL_ROLES });
        self.pubsub(subprotocol, "chat", claims).await
    }

    /// Connects a member of the group `room`.
    pub(crate) async fn member(&self, subprotocol: &'static str, user: &str) -> PubSub {
        let claims = json!({ "sub": user, "role": ALL_ROLES, "webpubsub.group": ["room"] });
        self.pubsub(subprotocol, "chat", claims).await
    }

    /// Comes back to a connection, which must work. The first frame says so; what else comes is left to the test.
    pub(crate) async fn recover(&self, ticket: &Ticket) -> PubSub {
        let wire = self.wire(&ticket.path(), &offer(ticket.subprotocol)).await;
        PubSub::resume(wire, ticket).await
    }

    /// Asserts that a request for a connection gets the 101, with the subprotocol that is offered, and then the close.
    pub(crate) async fn expect_refused(&self, path: &str, subprotocol: &str) {
        let mut wire = self.wire(path, &offer(subprotocol)).await;
        assert_eq!(subprotocol_of(&wire), Some(subprotocol), "{path}");
        wire.expect_close(1008, NOT_RECOVERED).await;
        wire.send(CLOSE, &close_payload(1008, "")).await;
        wire.expect_end().await;
    }

    /// Waits until this many connections have lost their sockets.
    pub(crate) async fn until_detached(&self, count: usize) {
        self.until_metric(DETACHED, "", |detached| detached == count as f64)
            .await;
    }

    /// Sends a text to the group `room` by REST.
    pub(crate) async fn send_to_room(&self, text: &str) {
        let path = "/api/hubs/chat/groups/room/:send";
        self.send(path, "text/plain", text.as_bytes()).await;
    }

    /// Tells whether a connection exists, by REST.
    pub(crate) async fn exists(&self, id: &str) -> Answer {
        self.call("HEAD", &format!("/api/hubs/chat/connections/{id}"))
            .await
    }
}

/// Returns the header line that offers a subprotocol.
pub(crate) fn offer(subprotocol: &str) -> String {
    format!("Sec-WebSocket-Protocol: {subprotocol}\r\n")
}

/// Returns the subprotocol of the 101.
pub(crate) fn subprotocol_of(wire: &Wire) -> Option<&str> {
    wire.head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-protocol")
            .then(|| value.trim())
    })
}

impl PubSub {
    pub(crate) async fn start(wire: Wire, subprotocol: &'static str, hub: &str) -> Self {
        let mut client = Self {
            wire,
            ticket: Ticket {
                hub: hub.to_owned(),
                id: String::new(),
                token: String::new(),
                user: Value::Null,
                subprotocol,
            },
        };
        client.take_connected().await;
        client
    }

    /// Takes the `connected` frame of a connection that goes on: the same id and user, and a new token.
    pub(crate) async fn resume(wire: Wire, ticket: &Ticket) -> Self {
        let mut client = Self {
            wire,
            ticket: ticket.clone(),
        };
        client.take_connected().await;
        assert_eq!(client.ticket.id, ticket.id);
        assert_eq!(client.ticket.user, ticket.user);
        assert_ne!(client.ticket.token, ticket.token, "the token is fresh");
        client
    }

    async fn take_connected(&mut self) {
        let connected = self.next().await;
        assert_eq!(connected["event"], "connected", "{connected}");
        assert_eq!(connected.get("sequenceId"), None, "{connected}");
        let text = |name: &str| connected[name].as_str().unwrap_or_default().to_owned();
        self.ticket.id = text("connectionId");
        self.ticket.token = text("reconnectionToken");
        self.ticket.user = connected["userId"].clone();
        let is_reliable = RELIABLE.contains(&self.ticket.subprotocol);
        assert_eq!(!self.ticket.token.is_empty(), is_reliable, "{connected}");
    }

    fn is_json(&self) -> bool {
        self.ticket.subprotocol.starts_with("json")
    }

    /// Sends a frame.
    pub(crate) async fn send(&mut self, frame: Value) {
        match self.is_json() {
            true => self.wire.send(TEXT, frame.to_string().as_bytes()).await,
            false => self.wire.send(BINARY, &protobuf::upstream(&frame)).await,
        }
    }

    /// Returns the first byte and the payload of the next frame; pings are left out.
    pub(crate) async fn next_raw(&mut self) -> (u8, Vec<u8>) {
        loop {
            let frame = self.wire.next().await.expect("a frame");
            if frame.0 != PING {
                return frame;
            }
        }
    }

    /// Returns the next frame.
    pub(crate) async fn next(&mut self) -> Value {
        let (first, payload) = self.next_raw().await;
        self.decode(first, &payload)
    }

    /// Returns what a frame says.
    pub(crate) fn decode(&self, first: u8, payload: &[u8]) -> Value {
        match self.is_json() {
            true => {
                assert_eq!(first, TEXT, "{payload:?}");
                serde_json::from_slice(payload).unwrap()
            }
            false => {
                assert_eq!(first, BINARY, "{payload:?}");
                protobuf::downstream(payload)
            }
        }
    }

    /// Returns the next frame, which must be a message, as its number and what it carries.
    pub(crate) async fn numbered(&mut self) -> (u64, Value) {
        let message = self.next().await;
        assert_eq!(message["type"], "message", "{message}");
        (
            message["sequenceId"].as_u64().unwrap(),
            message["data"].clone(),
        )
    }

    /// Asserts that the next message has this number and carries this text.
    pub(crate) async fn expect_numbered(&mut self, sequence_id: u64, text: &str) {
        assert_eq!(self.numbered().await, (sequence_id, json!(text)));
    }

    /// Makes a request with an ack id and returns the next frame, which must be its ack.
    pub(crate) async fn request(&mut self, frame: Value) -> Value {
        let ack_id = frame["ackId"].clone();
        self.send(frame).await;
        let ack = self.next().await;
        assert_eq!(
            (&ack["type"], &ack["ackId"]),
            (&json!("ack"), &ack_id),
            "{ack}"
        );
        ack
    }

    /// Makes a request with an ack id, which must succeed.
    pub(crate) async fn succeed(&mut self, frame: Value) {
        let ack = self.request(frame).await;
        assert_eq!(ack["success"], true, "{ack}");
    }

    /// Publishes a text to the group `room`, without an ack.
    pub(crate) async fn publish(&mut self, text: &str) {
        self.send(json!({ "type": "sendToGroup", "group": "room", "dataType": "text", "data": text, "noEcho": true }))
            .await;
    }

    /// Acknowledges messages; what follows is answered after that.
    pub(crate) async fn acknowledge(&mut self, sequence_id: u64) {
        self.send(json!({ "type": "sequenceAck", "sequenceId": sequence_id }))
            .await;
    }

    /// Asserts that nothing else has come: a pong is the next frame.
    pub(crate) async fn expect_nothing(&mut self) {
        self.send(json!({ "type": "ping" })).await;
        assert_eq!(self.next().await, json!({ "type": "pong" }));
    }

    /// Asserts that the service closes now, after pings at most.
    pub(crate) async fn expect_close(&mut self, code: u16, reason: &str) {
        let (first, payload) = self.next_raw().await;
        assert_eq!(first, CLOSE, "{}", String::from_utf8_lossy(&payload));
        assert_eq!(payload, close_payload(code, reason));
    }

    /// Closes with this payload of a close frame and awaits the end.
    pub(crate) async fn close(mut self, payload: &[u8]) -> Ticket {
        self.wire.send(CLOSE, payload).await;
        while self.wire.next().await.is_some() {}
        self.ticket
    }

    /// Loses the connection by a TCP reset.
    pub(crate) fn cut(self) -> Ticket {
        self.wire.abort();
        self.ticket
    }
}

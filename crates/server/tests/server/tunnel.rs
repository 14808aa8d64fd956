//! The endpoint of tunnels: events-and-operations 7.1. What goes through a tunnel is tested beside its code.

use hubwire_server::config::{Config, DEVELOPMENT_KEY, Roles, Secret};
use serde_json::{Value, json};

use crate::support::metrics::with_metrics;
use crate::support::{Client, Received, Service, sign, unix_seconds};

const PATH: &str = "/server/tunnel?hub=chat";
const CONNECTION_CONNECTED: u8 = 10;

impl Service {
    /// A token as the official tool makes it, with these claims changed.
    fn tunnel_token(&self, claims: &Value, key: &str) -> String {
        let mut all = json!({
            "aud": format!("ws://{}{PATH}", self.addr),
            "sub": "5a0e7b53-5b5b-4f9e-a3c1-1f4d4d1f5f0e",
            "iat": unix_seconds(),
            "exp": unix_seconds() + 3600,
        });
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        sign(&all, key)
    }

    fn tunnel_path(&self, claims: &Value) -> String {
        let token = self.tunnel_token(claims, DEVELOPMENT_KEY);
        format!("{PATH}&access_token={token}")
    }

    /// The status of a handshake with a token with these claims.
    async fn tunnel_status(&self, claims: Value) -> u16 {
        self.handshake(&self.tunnel_path(&claims), "").await.status
    }

    /// Connects a tunnel as the official tool does, and returns it with the JSON of its first message.
    async fn tunnel(&self) -> (Client, Value) {
        let path = self.tunnel_path(&json!({}));
        let mut client = self.connect_path(&path, &[]).await;
        let Received::Binary(message) = client.next().await else {
            panic!("the first message is binary");
        };
        assert_eq!(message[4..6], [0x93, CONNECTION_CONNECTED]);
        let start = message.iter().position(|byte| *byte == b'{').unwrap();
        let end = message.iter().rposition(|byte| *byte == b'}').unwrap();
        let head = serde_json::from_slice(&message[start..=end]).unwrap();
        (client, head)
    }
}

/// Section 7.3: `ConnectionConnected` comes first; without a subprotocol asked for, there is none.
#[tokio::test]
async fn a_tunnel_is_told_its_connection_id_and_who_it_is() {
    let service = Service::start_with(with_metrics).await;
    let (first, head) = service.tunnel().await;
    assert_eq!(first.subprotocol, None);
    assert_eq!(head["UserId"], "5a0e7b53-5b5b-4f9e-a3c1-1f4d4d1f5f0e");
    assert_eq!(head["Type"], 10);
    let (_second, other) = service.tunnel().await;
    assert_ne!(head["ConnectionId"], other["ConnectionId"]);
    let labels = "hub=\"chat\"";
    service
        .until_metric("hubwire_tunnels", labels, |count| count == 2.0)
        .await;
    drop(first);
    service
        .until_metric("hubwire_tunnels", labels, |count| count == 1.0)
        .await;
}

/// Section 7.1: the audience is the URL, as WebSocket or HTTP, whatever of the query it keeps beside the hub.
#[tokio::test]
async fn a_token_for_the_tunnels_of_the_hub_is_good() {
    let service = Service::start().await;
    let addr = service.addr;
    for audience in [
        format!("ws://{addr}{PATH}"),
        format!("wss://{addr}{PATH}"),
        format!("http://{addr}{PATH}"),
        format!("https://{addr}/server/tunnel?x=1&hub=CHAT&target=node"),
    ] {
        let status = service.tunnel_status(json!({ "aud": audience })).await;
        assert_eq!(status, 101, "{audience}");
    }
    let token = service.tunnel_token(&json!({}), DEVELOPMENT_KEY);
    let head = format!("Authorization: Bearer {token}\r\n");
    assert_eq!(service.handshake(PATH, &head).await.status, 101);
    let path = format!("{}&target=node", service.tunnel_path(&json!({})));
    assert_eq!(service.handshake(&path, "").await.status, 101);
}

/// Section 7.1.
#[tokio::test]
async fn any_other_token_is_refused_with_401() {
    let service = Service::start().await;
    let addr = service.addr;
    for claims in [
        json!({ "aud": format!("ws://{addr}/server/tunnel?hub=other") }),
        json!({ "aud": format!("ws://{addr}/server/tunnel") }),
        json!({ "aud": format!("ws://{addr}/client/hubs/chat?hub=chat") }),
        json!({ "aud": format!("ws://{addr}/?hub=chat") }),
        json!({ "aud": format!("ws://other.example{PATH}") }),
        json!({ "exp": unix_seconds() - 3600 }),
        json!({ "exp": null }),
    ] {
        let status = service.tunnel_status(claims.clone()).await;
        assert_eq!(status, 401, "{claims}");
    }
    let foreign = service.tunnel_token(&json!({}), &"x".repeat(44));
    for token in ["", "x", &foreign] {
        let path = format!("{PATH}&access_token={token}");
        let answer = service.handshake(&path, "").await;
        assert_eq!(answer.status, 401, "{token}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    assert_eq!(service.handshake(PATH, "").await.status, 401);
}

/// Both keys sign, and the tokens that the service makes for clients open no tunnel.
#[tokio::test]
async fn both_access_keys_open_a_tunnel() {
    let second = "second".repeat(8);
    let service = Service::start_with(|config: &mut Config| {
        config.keys.secondary = Some(Secret::new("second".repeat(8)));
    })
    .await;
    for key in [DEVELOPMENT_KEY, &second] {
        let token = service.tunnel_token(&json!({}), key);
        let path = format!("{PATH}&access_token={token}");
        assert_eq!(service.handshake(&path, "").await.status, 101);
    }
}

/// As the handshake of clients: the path, then the upgrade, the hub, the token.
#[tokio::test]
async fn other_requests_are_refused_as_those_of_clients_are() {
    let service = Service::start().await;
    let token = service.tunnel_token(&json!({}), DEVELOPMENT_KEY);
    for (path, status) in [
        (format!("/server?hub=chat&access_token={token}"), 404),
        (
            format!("/server/tunnel/x?hub=chat&access_token={token}"),
            404,
        ),
        (format!("/server/tunnel?access_token={token}"), 400),
        (format!("/server/tunnel?hub=&access_token={token}"), 400),
        (
            format!("/server/tunnel?hub=1chat&access_token={token}"),
            400,
        ),
        (
            format!("/server/tunnel/?hub=CHAT&access_token={token}"),
            101,
        ),
    ] {
        let answer = service.handshake(&path, "").await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
    }
    let path = service.tunnel_path(&json!({}));
    assert_eq!(service.request("GET", &path, "", b"").await.status, 400);
    assert_eq!(service.request("POST", &path, "", b"").await.status, 400);
}

/// Section 9.1: a listener without the role knows no tunnels.
#[tokio::test]
async fn a_listener_may_leave_tunnels_out() {
    let service = Service::start_with(|config| {
        config.listeners[0].roles = Roles {
            tunnel: false,
            ..Roles::default()
        };
    })
    .await;
    assert_eq!(service.tunnel_status(json!({})).await, 404);
}

/// Section 7.3: the tool comes back by itself after a close frame, as it does for clients.
#[tokio::test]
async fn a_shutdown_closes_tunnels_with_1001() {
    let service = Service::start().await;
    let (mut client, _) = service.tunnel().await;
    let stopping = tokio::spawn(service.server.shutdown());
    client
        .expect_close(1001, "the service is shutting down")
        .await;
    assert_eq!(client.next().await, Received::End);
    stopping.await.unwrap();
}

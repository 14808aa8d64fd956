//! Health, metrics, the common part of every REST answer, and shutdown: events-and-operations 10.1 and 10.2, rest-api 1.5, 1.6
//! and 7, client-protocols 7.2.

use std::collections::HashSet;
use std::time::Duration;

use hubwire_server::config::{Config, DEVELOPMENT_KEY, ListenerConfig, Roles};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::metrics::{sample, with_metrics};
use crate::support::wire::{CLOSE, JSON_HEAD, TEXT, Wire, close_payload, upgrade_request};
use crate::support::{Answer, PATIENCE, Received, Service, answer, exchange, sign, unix_seconds};

const SEND: &str = "/api/hubs/chat/:send";
const VERSIONS: &str = "2021-10-01, 2022-11-01, 2023-07-01, 2024-01-01, 2024-12-01";

#[tokio::test]
async fn a_running_service_is_healthy() {
    let service = Service::start().await;
    for (path, body) in [("/api/health", ""), ("/healthz", "ok"), ("/readyz", "ok")] {
        let answer = service.request("GET", path, "", b"").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{path}");
        let answer = service.request("HEAD", path, "", b"").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{path}");
        let answer = service.request("POST", path, "", b"").await;
        assert_eq!(answer.status, 405, "{path}");
        let allowed = answer.header("allow").unwrap();
        let allowed: HashSet<&str> = allowed.split(", ").collect();
        assert_eq!(allowed, HashSet::from(["GET", "HEAD"]), "{path}");
    }
    let answer = service
        .request("GET", "/api/health?api-version=1", "", b"")
        .await;
    assert_eq!(answer.status, 400);
    for path in ["/healthz/more", "/readyz/more", "/metrics/more", "/", "/x"] {
        let answer = service.request("GET", path, "", b"").await;
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[tokio::test]
async fn each_listener_answers_for_its_roles_only() {
    let none = Roles::NONE;
    let roles = [
        Roles {
            client: true,
            ..none
        },
        Roles { rest: true, ..none },
        Roles {
            tunnel: true,
            ..none
        },
        Roles {
            health: true,
            ..none
        },
        Roles {
            metrics: true,
            ..none
        },
    ];
    let service = Service::start_with(|config| {
        config.listeners = roles
            .map(|roles| ListenerConfig {
                bind: vec!["127.0.0.1:0".parse().unwrap()],
                roles,
                tls: None,
            })
            .to_vec();
    })
    .await;
    let requests = [
        "/client/hubs/chat",
        "/api/hubs/chat/:send",
        "/server/tunnel",
        "/api/health",
        "/healthz",
        "/readyz",
        "/metrics",
    ];
    let table = [
        [400, 404, 404, 404, 404, 404, 404],
        [404, 405, 404, 404, 404, 404, 404],
        [404, 404, 400, 404, 404, 404, 404],
        [404, 404, 404, 200, 200, 200, 404],
        [404, 404, 404, 404, 404, 404, 200],
    ];
    for (listener, statuses) in service.server.listeners().iter().zip(table) {
        for (path, status) in requests.iter().zip(statuses) {
            let request = service.request_bytes("GET", path, "", b"");
            let answer = exchange(listener.addr, &request).await;
            assert_eq!(answer.status, status, "{path}: {:?}", listener.roles);
        }
    }
}

#[tokio::test]
async fn metrics_are_not_answered_unless_a_listener_says_so() {
    let service = Service::start().await;
    let answer = service.request("GET", "/metrics", "", b"").await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn metrics_count_what_has_happened() {
    let service = Service::start_with(|config| {
        with_metrics(config);
        config.shards = 2;
    })
    .await;
    let mut alice = service.json_with_roles("chat", "alice").await;
    alice.join("room").await;
    let mut simple = service.simple("Chat", json!({})).await;
    let mut left = service.json("other", json!({})).await;
    left.send_text("not json").await;
    assert!(matches!(left.next().await, Received::Close(1007, _)));
    let answer = service.handshake("/client/hubs/chat", "").await;
    assert_eq!(answer.status, 401);
    service.send(SEND, "text/plain", &[b'x'; 1000]).await;
    alice.json().await;
    simple.text().await;
    let closed = r#"hub="other",category="BadRequest""#;
    service
        .until_metric("hubwire_connections_closed_total", closed, |n| n == 1.0)
        .await;
    let sent = r#"direction="outbound",kind="client""#;
    service
        .until_metric("hubwire_traffic_bytes_total", sent, |n| n > 2000.0)
        .await;

    let answer = service.request("GET", "/metrics", "", b"").await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(answer.body.ends_with("# EOF\n"));
    let value = |name: &str, labels: &str| sample(&answer.body, name, labels);
    let json = r#"hub="chat",protocol="json.webpubsub.azure.v1""#;
    let none = r#"hub="chat",protocol="none""#;
    let other = r#"hub="other",protocol="json.webpubsub.azure.v1""#;
    assert_eq!(value("hubwire_connections", json), 1.0);
    assert_eq!(value("hubwire_connections", none), 1.0);
    assert_eq!(value("hubwire_connections", other), 0.0);
    assert_eq!(value("hubwire_connections_opened_total", json), 1.0);
    assert_eq!(value("hubwire_connections_opened_total", none), 1.0);
    assert_eq!(value("hubwire_connections_opened_total", other), 1.0);
    let requests = |status| {
        let labels = format!(r#"client_type="WebPubSub",status="{status}""#);
        value("hubwire_client_requests_total", &labels)
    };
    assert_eq!((requests(101), requests(401)), (3.0, 1.0));
    let sends = r#"category="SendToAll""#;
    assert_eq!(value("hubwire_rest_request_seconds_count", sends), 1.0);
    let traffic = |labels| value("hubwire_traffic_bytes_total", labels);
    assert_eq!(traffic(r#"direction="inbound",kind="rest""#), 1000.0);
    assert!(traffic(r#"direction="inbound",kind="client""#) > 50.0);
    assert_eq!(value("hubwire_groups", ""), 1.0);
    assert_eq!(value("hubwire_send_queue_bytes", ""), 0.0);
    assert_eq!(value("hubwire_shard_panics_total", ""), 0.0);

    drop((alice, simple, left));
    service
        .until_metric("hubwire_connections", "", |n| n == 0.0)
        .await;
    service
        .until_metric("hubwire_groups", "", |n| n == 0.0)
        .await;
    let all = service.metric("hubwire_connections_closed_total", "").await;
    assert_eq!(all, 3.0);
}

#[tokio::test]
async fn every_known_api_version_and_none_is_accepted_and_no_other() {
    let service = Service::start().await;
    let mut client = service.simple("chat", json!({})).await;
    let send = async |query: &str| {
        let path = format!("{SEND}{query}");
        service.rest("POST", &path, "text/plain", b"hi").await
    };
    let mut good: Vec<String> = VERSIONS
        .split(", ")
        .map(|version| format!("?api-version={version}"))
        .collect();
    good.push(String::new());
    for query in good {
        let answer = send(&query).await;
        assert_eq!(answer.status, 202, "{query}");
        assert_eq!(answer.header("api-supported-versions"), Some(VERSIONS));
        assert_eq!(client.text().await, "hi");
    }
    for query in [
        "?api-version=",
        "?api-version=2025-01-01",
        "?api-version=2021-05-01-preview",
        "?api-version=2024-12-01,2024-01-01",
        "?api-version=%202024-12-01",
        "?api-version=2024-12-01&api-version=2024-12-01",
    ] {
        let answer = send(query).await;
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.header("api-supported-versions"), Some(VERSIONS));
        assert_error(&answer, "Error.BadRequest", "api-version");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        let message = "The specified API version is not supported.";
        assert_eq!(body["message"], message, "{query}");
    }
    send("").await;
    assert_eq!(client.text().await, "hi", "a refused send has no effect");
}

#[tokio::test]
async fn answers_carry_a_request_id_and_echo_the_callers() {
    let service = Service::start().await;
    let mut seen = HashSet::new();
    for (method, path) in [
        ("GET", "/api/health"),
        ("POST", SEND),
        ("GET", SEND),
        ("GET", "/api/nothing"),
    ] {
        let head = "x-ms-client-request-id: 9C4D02DC-41b8\r\n";
        let answer = service.request(method, path, head, b"").await;
        let echoed = answer.header("x-ms-client-request-id");
        assert_eq!(echoed, Some("9C4D02DC-41b8"), "{path}");
        let id = answer.header("x-ms-request-id").unwrap();
        assert_eq!(id.len(), 36, "{path}: {id}");
        assert!(seen.insert(id.to_owned()), "{path}: {id}");
        let answer = service.request(method, path, "", b"").await;
        assert_eq!(answer.header("x-ms-client-request-id"), None, "{path}");
    }
}

#[tokio::test]
async fn a_call_without_a_good_token_is_answered_with_401() {
    let service = Service::start().await;
    let mut client = service.simple("chat", json!({})).await;
    let url = format!("http://{}{SEND}", service.addr);
    let later = unix_seconds() + 60;
    let token = |claims: Value, key: &str| format!("Bearer {}", sign(&claims, key));
    let elsewhere = format!("http://{}/api/hubs/other/:send", service.addr);
    let cases = [
        String::new(),
        "Bearer".to_owned(),
        "Bearer x.y.z".to_owned(),
        "Basic dXNlcjpwYXNz".to_owned(),
        token(json!({ "aud": url, "exp": later }), &"x".repeat(44)),
        token(json!({ "aud": url, "exp": later - 3600 }), DEVELOPMENT_KEY),
        token(json!({ "aud": elsewhere, "exp": later }), DEVELOPMENT_KEY),
        token(json!({ "exp": later }), DEVELOPMENT_KEY),
    ];
    for authorization in cases {
        let head = match authorization.as_str() {
            "" => String::new(),
            value => format!("Authorization: {value}\r\n"),
        };
        let answer = service.request("POST", SEND, &head, b"no").await;
        assert_eq!(answer.status, 401, "{head}");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer"), "{challenge}");
        assert_error(&answer, "Error.Unauthorized", "Request");
        let answer = service
            .request("HEAD", "/api/hubs/chat/users/alice", &head, b"")
            .await;
        assert_eq!((answer.status, answer.body.as_str()), (401, ""), "{head}");
    }
    let good = token(json!({ "aud": url, "exp": later }), DEVELOPMENT_KEY);
    let head = format!("Authorization: {good}\r\n");
    let answer = service.request("POST", SEND, &head, b"yes").await;
    assert_eq!(answer.status, 202);
    assert_eq!(client.next().await, Received::Binary(b"yes".to_vec()));
}

#[tokio::test]
async fn unknown_paths_are_answered_with_404() {
    let service = Service::start().await;
    for path in [
        "/api",
        "/api/hubs",
        "/api/hubs/chat",
        "/api/hubs/chat/:nothing",
        "/api/hubs/chat/groups/a/b/:send",
        "/api/v1/hubs/chat",
    ] {
        let answer = service.rest("POST", path, "text/plain", b"hi").await;
        assert_eq!(answer.status, 404, "{path}");
        assert_error(&answer, "Error.NotFound", "Request");
    }
}

#[tokio::test]
async fn other_methods_of_a_known_path_are_answered_with_405() {
    let service = Service::start().await;
    let table = [
        ("GET", SEND, "POST"),
        ("OPTIONS", SEND, "POST"),
        ("PUT", "/api/hubs/chat/groups/room/:send", "POST"),
        ("GET", "/api/hubs/chat/users/alice", "HEAD"),
        ("GET", "/api/hubs/chat/groups/room", "HEAD"),
        ("GET", "/api/hubs/chat/connections/x", "HEAD, DELETE"),
        (
            "POST",
            "/api/hubs/chat/users/alice/groups/room",
            "PUT, DELETE",
        ),
        (
            "POST",
            "/api/hubs/chat/permissions/sendToGroup/connections/x",
            "PUT, HEAD, DELETE",
        ),
    ];
    for (method, path, allowed) in table {
        let answer = service.rest(method, path, "", b"").await;
        assert_eq!(answer.status, 405, "{method} {path}");
        let set = |text: &str| -> HashSet<String> {
            text.split(',').map(|name| name.trim().to_owned()).collect()
        };
        assert_eq!(set(answer.header("allow").unwrap()), set(allowed), "{path}");
        assert_error(&answer, "Error.MethodNotAllowed", "Request");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let answer = service.rest("HEAD", SEND, "", b"").await;
    assert_eq!((answer.status, answer.body.as_str()), (405, ""));
}

/// rest-api 7.2.
#[tokio::test]
async fn answers_without_content_have_no_body() {
    let service = Service::start().await;
    let client = service.json("chat", json!({ "sub": "alice" })).await;
    let id = &client.connection_id;
    let table = [
        ("HEAD", "users/alice".to_owned(), 200, None),
        ("HEAD", format!("connections/{id}"), 200, None),
        (
            "HEAD",
            "users/nobody".to_owned(),
            404,
            Some("Warning.User.NotExisted"),
        ),
        (
            "HEAD",
            "groups/nobody".to_owned(),
            404,
            Some("Warning.Group.NotExisted"),
        ),
        (
            "HEAD",
            "connections/nobody".to_owned(),
            404,
            Some("Warning.Connection.NotExisted"),
        ),
        ("PUT", format!("groups/room/connections/{id}"), 200, None),
        ("DELETE", format!("groups/room/connections/{id}"), 204, None),
        ("POST", ":send".to_owned(), 202, None),
    ];
    for (method, rest, status, code) in table {
        for slash in ["", "/"] {
            let path = format!("/api/hubs/chat/{rest}{slash}");
            let answer = service.rest(method, &path, "text/plain", b"").await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (status, ""),
                "{path}"
            );
            assert_eq!(answer.header("x-ms-error-code"), code, "{path}");
            let length = answer.header("content-length");
            match (method, status) {
                (_, 204) => assert_eq!(length, None, "{path}"),
                ("HEAD", _) => assert!(matches!(length, None | Some("0")), "{path}"),
                _ => assert_eq!(length, Some("0"), "{path}"),
            }
        }
    }
}

/// rest-api 1.5: where nothing can be sent the code in the header is all there is.
#[tokio::test]
async fn an_error_is_named_in_the_body_and_in_the_header() {
    let service = Service::start().await;
    let put = async |path: &str| service.rest("PUT", path, "", b"").await;
    let answer = put("/api/hubs/chat/groups/room/connections/nobody").await;
    assert_eq!(answer.status, 404);
    assert_error(&answer, "Error.Connection.NotExisted", "Connection");
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["message"], "Connection `nobody` is not found.");
    let answer = put("/api/hubs/chat/users/nobody/groups/room").await;
    assert_eq!(answer.status, 404);
    assert_error(&answer, "Error.User.NotExisted", "User");
    let answer = service.rest("POST", SEND, "text/html", b"hi").await;
    assert_eq!(answer.status, 415);
    assert_error(&answer, "Error.UnsupportedMediaType", "Request");
    let answer = service
        .rest("POST", SEND, "text/plain", &vec![b'x'; (1 << 20) + 1])
        .await;
    assert_eq!(answer.status, 400);
    assert_error(&answer, "Error.BadRequest", "Request");
}

/// 7.2: health answers 503, new requests and clients are refused, and the process is alive.
#[tokio::test]
async fn a_service_that_shuts_down_refuses_what_is_new() {
    let service = Service::start_with(with_metrics).await;
    let addr = service.addr;
    let mut client = shutdown_witness(&service).await;
    let send = service.rest_request("POST", SEND, "text/plain", b"hi");
    let path = service.client_path("chat", json!({}));
    let upgrade = upgrade_request(addr, &path, "");
    let get = |path| service.request_bytes("GET", path, "", b"");
    let (health, ready) = (get("/api/health"), get("/readyz"));
    let (alive, metrics) = (get("/healthz"), get("/metrics"));
    let shutdown = tokio::spawn(service.server.shutdown());
    expect_shutdown_frames(&mut client).await;

    for request in [&health, &send] {
        let answer = exchange(addr, request).await;
        assert_eq!(answer.status, 503);
        assert_error(&answer, "Error.ServiceUnavailable", "Request");
        assert!(answer.header("retry-after").is_some());
        assert!(answer.header("x-ms-request-id").is_some());
    }
    let answer = exchange(addr, upgrade.as_bytes()).await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(exchange(addr, &ready).await.status, 503);
    assert_eq!(exchange(addr, &alive).await.status, 200);
    assert_eq!(exchange(addr, &metrics).await.status, 200);

    client.send(CLOSE, &close_payload(1001, "")).await;
    client.expect_end().await;
    timeout(PATIENCE, shutdown).await.unwrap().unwrap();
    let refused = TcpStream::connect(addr).await;
    assert!(refused.is_err(), "nobody listens any more");
}

/// 7.2.
#[tokio::test]
async fn a_request_in_flight_is_finished_during_a_shutdown() {
    let service = Service::start().await;
    let addr = service.addr;
    let mut client = shutdown_witness(&service).await;
    let mut request = RequestInFlight::begin(&service).await;
    let shutdown = tokio::spawn(service.server.shutdown());
    expect_shutdown_frames(&mut client).await;
    client.send(CLOSE, &close_payload(1001, "")).await;
    client.expect_end().await;
    // The shutdown waits for it.
    let health = exchange(addr, b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(health.status, 503);
    let answer = request.finish().await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("connection"), Some("close"));
    timeout(PATIENCE, shutdown).await.unwrap().unwrap();
}

/// 7.2: connections that only wait for a next request are no reason to wait.
#[tokio::test]
async fn idle_connections_do_not_hold_up_a_shutdown() {
    let service = Service::start_with(|config| config.shutdown_timeout = 100 * PATIENCE).await;
    let mut fresh = TcpStream::connect(service.addr).await.unwrap();
    // Connections are accepted in order, so the first one is when the second one is answered.
    let mut kept_alive = TcpStream::connect(service.addr).await.unwrap();
    kept_alive
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(answer(&mut kept_alive).await.status, 200);
    let shutdown = service.server.shutdown();
    timeout(PATIENCE, shutdown).await.unwrap();
    for tcp in [&mut kept_alive, &mut fresh] {
        let end = timeout(PATIENCE, tcp.read(&mut [0; 1])).await.unwrap();
        assert!(matches!(end, Ok(0) | Err(_)));
    }
}

/// 7.2.
#[tokio::test]
async fn a_shutdown_ends_in_time_whoever_does_not_cooperate() {
    let service = Service::start_with(|config: &mut Config| {
        config.shutdown_timeout = Duration::from_millis(200);
        config.limits.close_timeout = 100 * PATIENCE;
        config.shards = 2;
    })
    .await;
    let mut clients = [
        shutdown_witness(&service).await,
        shutdown_witness(&service).await,
    ];
    let _request = RequestInFlight::begin(&service).await;
    let mut half_head = TcpStream::connect(service.addr).await.unwrap();
    half_head.write_all(b"GET / HTTP").await.unwrap();
    timeout(PATIENCE, service.server.shutdown()).await.unwrap();
    for client in &mut clients {
        expect_shutdown_frames(client).await;
        client.expect_end().await;
    }
}

#[tokio::test]
async fn a_shutdown_without_clients_ends_at_once() {
    let service = Service::start_with(|config| {
        config.shards = 2;
        config.shutdown_timeout = 100 * PATIENCE;
    })
    .await;
    timeout(PATIENCE, service.server.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_dropped_lets_go_of_its_clients_and_its_port() {
    let service = Service::start().await;
    let addr = service.addr;
    let path = service.client_path("chat", json!({}));
    let mut client = service.wire(&path, "").await;
    drop(service);
    client.expect_end().await;
    let until_refused = async { while TcpStream::connect(addr).await.is_ok() {} };
    timeout(PATIENCE, until_refused).await.unwrap();
}

/// A client that tells when a shutdown has begun, and holds it up by not answering the close.
async fn shutdown_witness(service: &Service) -> Wire {
    let path = service.client_path("chat", json!({}));
    let mut wire = service.wire(&path, JSON_HEAD).await;
    assert_eq!(wire.next().await.unwrap().0, TEXT);
    wire
}

async fn expect_shutdown_frames(wire: &mut Wire) {
    let (_, disconnected) = wire.next().await.unwrap();
    let disconnected: Value = serde_json::from_slice(&disconnected).unwrap();
    assert_eq!(disconnected["event"], "disconnected");
    wire.expect_close(1001, "Service is restarting.").await;
}

/// A REST send whose body the service is waiting for.
struct RequestInFlight(TcpStream);

impl RequestInFlight {
    async fn begin(service: &Service) -> Self {
        let request = service.rest_request("POST", SEND, "text/plain", b"x");
        let head = String::from_utf8(request).unwrap();
        let head = head.strip_suffix("\r\nx").unwrap();
        let head = head.replace("Connection: close\r\n", "");
        let mut tcp = TcpStream::connect(service.addr).await.unwrap();
        tcp.write_all(format!("{head}Expect: 100-continue\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
        let mut got = vec![0; go_on.len()];
        timeout(PATIENCE, tcp.read_exact(&mut got))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(got, go_on);
        Self(tcp)
    }

    async fn finish(&mut self) -> Answer {
        self.0.write_all(b"x").await.unwrap();
        answer(&mut self.0).await
    }
}

fn assert_error(answer: &Answer, code: &str, target: &str) {
    assert_eq!(answer.header("x-ms-error-code"), Some(code));
    let content_type = answer.header("content-type");
    assert_eq!(content_type, Some("application/json; charset=utf-8"));
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        (&body["code"], &body["target"]),
        (&json!(code), &json!(target))
    );
    assert!(body["message"].is_string(), "{body}");
}

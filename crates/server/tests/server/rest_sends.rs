//! Who receives what is sent: rest-api 1.6 and 2.2 to 2.5, items 4 and 6 of its acceptance checklist.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::rest::{assert_bad_request, encode};
use crate::support::{Client, Received, Service, answer};

const ALL: &str = "/api/hubs/chat/:send";
const NOT_JSON: &str = "The request body is not a valid JSON.";
const TOO_LARGE: &str = "Invalid Content-Length header.";
const MEBIBYTE: usize = 1 << 20;

/// Acceptance 4.
#[tokio::test]
async fn a_send_to_nobody_is_accepted() {
    let service = Service::start().await;
    let client = service.json("chat", json!({ "sub": "alice" })).await;
    let id = &client.connection_id;
    for path in [
        "/api/hubs/nowhere/:send".to_owned(),
        "/api/hubs/nowhere/groups/room/:send".to_owned(),
        "/api/hubs/nowhere/users/alice/:send".to_owned(),
        format!("/api/hubs/nowhere/connections/{id}/:send"),
        "/api/hubs/chat/groups/nobody/:send".to_owned(),
        "/api/hubs/chat/users/Alice/:send".to_owned(),
        "/api/hubs/chat/connections/nobody/:send".to_owned(),
        format!("/api/hubs/chat/connections/{}/:send", "A".repeat(32)),
        format!("/api/hubs/chat/connections/{id}x/:send"),
        format!("/api/hubs/chat/connections/{}/:send", &id[..31]),
    ] {
        service.send(&path, "text/plain", b"no").await;
    }
    let mut client = client;
    service.mark("chat", "only this").await;
    client.expect_mark("only this").await;
}

/// Acceptance 4.
#[tokio::test]
async fn a_time_to_live_is_0_to_300_seconds() {
    let service = Service::start().await;
    let mut alice = member(&service).await;
    for path in targets(&alice) {
        for seconds in ["0", "1", "300"] {
            let path = format!("{path}?messageTtlSeconds={seconds}");
            service.send(&path, "text/plain", seconds.as_bytes()).await;
            assert_eq!(alice.json().await["data"], seconds, "{path}");
        }
        for seconds in [
            "-1",
            "301",
            "x",
            "1.5",
            "65536",
            "99999999999",
            "0x1",
            "1%2C2",
        ] {
            let path = format!("{path}?messageTtlSeconds={seconds}");
            let answer = service.rest("POST", &path, "text/plain", b"no").await;
            assert_bad_request(&answer, "Invalid messageTtlSeconds.");
        }
        let path = format!("{path}?messageTtlSeconds=7&messageTtlSeconds=x");
        service.send(&path, "text/plain", b"the first counts").await;
        assert_eq!(alice.json().await["data"], "the first counts");
    }
}

/// Acceptance 6: every target and data type, for simple and JSON clients.
#[tokio::test]
async fn each_kind_of_client_receives_each_kind_of_message_in_its_own_form() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let mut client = member(&service).await;
    let claims = json!({ "sub": "alice", "webpubsub.group": "room" });
    let mut simple = service.simple("chat", claims).await;
    let json_body = r#"{"b" : 1.0, "a":[1e2,"ü"]}"#;
    for path in targets(&client) {
        let is_for_one = path.contains("/connections/");
        let mut envelope = json!({ "type": "message", "from": "server" });
        if path.contains("/groups/") {
            envelope = json!({
                "type": "message", "from": "group", "group": "room", "fromUserId": null,
            });
        }
        for (content_type, body, data_type) in [
            ("text/plain", "hi ü", "text"),
            ("application/json", json_body, "json"),
            ("application/json", "null", "json"),
            ("application/octet-stream", "hi ü", "binary"),
        ] {
            service.send(&path, content_type, body.as_bytes()).await;
            let text = client.text().await;
            let received: Value = serde_json::from_str(&text).unwrap();
            envelope["dataType"] = json!(data_type);
            envelope["data"] = match data_type {
                "text" => json!(body),
                "json" => serde_json::from_str(body).unwrap(),
                _ => json!("aGkgw7w="),
            };
            assert_eq!(received, envelope, "{path}");
            if data_type == "json" {
                assert!(text.contains(body), "as it was sent: {text}");
            }
            if !is_for_one {
                let expected = match data_type {
                    "binary" => Received::Binary(body.as_bytes().to_vec()),
                    _ => Received::Text(body.to_owned()),
                };
                assert_eq!(simple.next().await, expected, "{path}");
            }
        }
    }
}

/// Acceptance 6: charsets are gone when a message arrives, at simple clients too.
#[tokio::test]
async fn a_simple_client_receives_text_in_utf8() {
    let service = Service::start().await;
    let mut client = service.simple("chat", json!({})).await;
    let utf16: Vec<u8> = "ü🦀".encode_utf16().flat_map(u16::to_le_bytes).collect();
    service
        .send(ALL, "text/plain; charset=utf-16le", &utf16)
        .await;
    assert_eq!(client.text().await, "ü🦀");
    service.send(ALL, "text/plain", b"a\xFFb").await;
    assert_eq!(client.text().await, "a\u{FFFD}b");
}

/// Acceptance 6.
#[tokio::test]
async fn metadata_headers_arrive_as_metadata() {
    let service = Service::start().await;
    let mut client = member(&service).await;
    let key_max = "k".repeat(256);
    let value_max = "v".repeat(1024);
    let largest: String = (0..8)
        .map(|index| format!("X-WebPubSub-Metadata-{index}: {}\r\n", "v".repeat(1023)))
        .collect();
    let all_largest: Value = (0..8)
        .map(|index| (index.to_string(), "v".repeat(1023)))
        .collect();
    let table = [
        (
            "X-WebPubSub-Metadata-Trace: first, final\r\n".to_owned(),
            json!({ "trace": "final" }),
        ),
        (
            "x-webpubsub-metadata-A.b_C: 1\r\nX-WEBPUBSUB-METADATA-D:  two words \r\n".to_owned(),
            json!({ "a.b_c": "1", "d": "two words" }),
        ),
        (
            "X-WebPubSub-Metadata-K: one\r\nX-WebPubSub-Metadata-k: two, three\r\n".to_owned(),
            json!({ "k": "three" }),
        ),
        (
            "X-WebPubSub-Metadata-Empty:\r\n".to_owned(),
            json!({ "empty": "" }),
        ),
        (
            "X-WebPubSub-Metadata-Empty: a,\r\n".to_owned(),
            json!({ "empty": "" }),
        ),
        (
            "X-WebPubSub-Metadata-!#$%&'*+-.^_`|~: 1\r\n".to_owned(),
            json!({ "!#$%&'*+-.^_`|~": "1" }),
        ),
        (
            format!("X-WebPubSub-Metadata-{key_max}: 1\r\n"),
            json!({ key_max.as_str(): "1" }),
        ),
        (
            format!("X-WebPubSub-Metadata-v: {value_max}\r\n"),
            json!({ "v": value_max }),
        ),
        (largest, all_largest),
    ];
    for path in targets(&client) {
        for (head, metadata) in &table {
            let answer = service
                .rest_with_head(&path, head, "text/plain", b"hi")
                .await;
            assert_eq!(answer.status, 202, "{path}: {head}: {}", answer.body);
            let message = client.json().await;
            assert_eq!(message["metadata"], *metadata, "{path}");
            assert_eq!(message["data"], "hi");
        }
    }
    service.send(ALL, "text/plain", b"hi").await;
    assert_eq!(client.json().await.get("metadata"), None);
    let mut simple = service.simple("chat", json!({})).await;
    service
        .rest_with_head(ALL, &table[0].0, "text/plain", b"bare")
        .await;
    assert_eq!(simple.text().await, "bare");
}

/// Acceptance 6: rest-api 2.4.
#[tokio::test]
async fn metadata_that_breaks_a_rule_is_refused() {
    let service = Service::start().await;
    let mut client = member(&service).await;
    let key = "k".repeat(257);
    let value = "v".repeat(1025);
    let too_much: String = (0..8)
        .map(|index| format!("X-WebPubSub-Metadata-{index}: {}\r\n", "v".repeat(1023)))
        .chain(["X-WebPubSub-Metadata-x:\r\n".to_owned()])
        .collect();
    let table = [
        (
            format!("X-WebPubSub-Metadata-{key}: 1\r\n"),
            format!("Metadata key '{key}' exceeds 256 bytes."),
        ),
        (
            format!("X-WebPubSub-Metadata-V: {value}\r\n"),
            "Metadata value for key 'v' exceeds 1024 bytes.".to_owned(),
        ),
        (
            "X-WebPubSub-Metadata-U: ü\r\n".to_owned(),
            "Metadata value for key 'u' must be ASCII.".to_owned(),
        ),
        (too_much, "Metadata exceeds 8192 bytes.".to_owned()),
        (
            "X-WebPubSub-Metadata-: 1\r\n".to_owned(),
            "Metadata key '' contains invalid characters.".to_owned(),
        ),
    ];
    for path in targets(&client) {
        for (head, message) in &table {
            let answer = service
                .rest_with_head(&path, head, "text/plain", b"no")
                .await;
            assert_bad_request(&answer, message);
        }
    }
    service.mark("chat", "only this").await;
    client.expect_mark("only this").await;
}

/// Acceptance 6, 7: an id is excluded as it is, by itself.
#[tokio::test]
async fn excluded_connections_are_matched_exactly() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let mut clients = [
        member(&service).await,
        member(&service).await,
        member(&service).await,
    ];
    let [a, b, c] = clients
        .each_ref()
        .map(|client| client.connection_id.clone());
    let table = [
        (format!("excluded={a}"), vec![1, 2]),
        (format!("excluded={a}&excluded={c}"), vec![1]),
        (format!("excluded={a}&excluded={b}&excluded={c}"), vec![]),
        (format!("excluded={a},{b}"), vec![0, 1, 2]),
        (format!("excluded={a}%2C{b}"), vec![0, 1, 2]),
        (
            format!("excluded=%20{a}&excluded={b}%20&excluded={c}+"),
            vec![0, 1, 2],
        ),
        (format!("Excluded={a}&EXCLUDED={b}"), vec![0, 1, 2]),
        ("excluded=&excluded=nobody".to_owned(), vec![0, 1, 2]),
        (format!("excluded={}", a.to_lowercase()), vec![0, 1, 2]),
    ];
    for path in ["/api/hubs/chat/:send", "/api/hubs/chat/groups/room/:send"] {
        for (query, receivers) in &table {
            if *query == format!("excluded={}", a.to_lowercase()) && a == a.to_lowercase() {
                continue;
            }
            service
                .send(&format!("{path}?{query}"), "text/plain", query.as_bytes())
                .await;
            service.mark("chat", "mark").await;
            for (index, client) in clients.iter_mut().enumerate() {
                if receivers.contains(&index) {
                    assert_eq!(client.json().await["data"], *query, "{path}");
                }
                client.expect_mark("mark").await;
            }
        }
    }
    // Sends to a user and to a connection know no such parameter.
    for path in [
        format!("/api/hubs/chat/users/alice/:send?excluded={a}"),
        format!("/api/hubs/chat/connections/{a}/:send?excluded={a}&filter=false"),
    ] {
        service.send(&path, "text/plain", b"all the same").await;
        assert_eq!(clients[0].json().await["data"], "all the same", "{path}");
    }
}

/// Acceptance 6: letter case matters in users and groups, and not in hubs.
#[tokio::test]
async fn names_are_compared_as_the_specification_says() {
    let service = Service::start().await;
    let mut client = member(&service).await;
    for path in ["/api/hubs/CHAT/:send", "/api/hubs/Chat/groups/room/:send"] {
        service.send(path, "text/plain", b"yes").await;
        assert_eq!(client.json().await["data"], "yes", "{path}");
    }
    for path in [
        "/api/hubs/chat/groups/ROOM/:send",
        "/api/hubs/chat/users/Alice/:send",
        "/api/hubs/chat/groups/room%20/:send",
        "/api/hubs/chat2/:send",
    ] {
        service.send(path, "text/plain", b"no").await;
    }
    service.mark("chat", "only this").await;
    client.expect_mark("only this").await;
    for (hub, status) in [
        ("a", 202),
        ("a_`,.[]9", 202),
        (&"h".repeat(128), 202),
        (&"h".repeat(129), 400),
        ("1a", 400),
        ("_a", 400),
        ("a-b", 400),
        ("a b", 400),
        ("ä", 400),
        ("a/b", 400),
        ("a\n", 400),
    ] {
        let path = format!("/api/hubs/{}/:send", encode(hub));
        let answer = service.rest("POST", &path, "text/plain", b"x").await;
        assert_eq!(answer.status, status, "{hub:?}");
        if status == 400 {
            assert_bad_request(&answer, "Invalid hub name.");
        }
    }
}

/// rest-api 1.5: each fault is reported before those that are looked for later.
#[tokio::test]
async fn checks_come_in_the_order_of_the_specification() {
    let service = Service::start().await;
    let mut client = service.simple("chat", json!({})).await;
    let too_large = vec![b'x'; MEBIBYTE + 1];
    let bad_metadata = "X-WebPubSub-Metadata-K: ü\r\n";
    let version = "api-version=1";
    let ttl = "messageTtlSeconds=x";
    let filter = "filter=ab";
    let syntax = "Invalid syntax for 'ab': Token 'ab' is not supported. (Parameter 'filter')";
    let table = [
        (
            format!("/api/hubs/chat/:sand?{version}"),
            "There is nothing at this path.",
        ),
        (
            format!("{ALL}?{version}&{ttl}&{filter}"),
            "The specified API version is not supported.",
        ),
        (
            format!("/api/hubs/1/:send?{ttl}&{filter}"),
            "Invalid hub name.",
        ),
        (
            format!("{ALL}?{ttl}&{filter}"),
            "Invalid messageTtlSeconds.",
        ),
        (format!("{ALL}?{filter}"), syntax),
        (ALL.to_owned(), TOO_LARGE),
    ];
    for (path, message) in table {
        let answer = service
            .rest_with_head(&path, bad_metadata, "x/y", &too_large)
            .await;
        let found: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(found["message"], message, "{path}");
    }
    for (body, message) in [
        ("{", NOT_JSON),
        ("1", "Metadata value for key 'k' must be ASCII."),
    ] {
        let answer = service
            .rest_with_head(ALL, bad_metadata, "application/json", body.as_bytes())
            .await;
        assert_bad_request(&answer, message);
    }
    let answer = service.rest_with_head(ALL, bad_metadata, "x/y", b"{").await;
    assert_eq!(answer.status, 415);
    let answer = service
        .request("POST", &format!("{ALL}?{version}"), "", b"")
        .await;
    assert_eq!(answer.status, 401);
    let path = format!("/api/hubs/chat/users/%20/:send?{filter}");
    let answer = service.rest("POST", &path, "x/y", b"").await;
    assert_bad_request(&answer, "Invalid user ID.");
    let path = format!("/api/hubs/chat/users/alice/:send?{filter}&{ttl}");
    let answer = service.rest("POST", &path, "x/y", b"").await;
    assert_bad_request(&answer, "Invalid messageTtlSeconds.");
    service.mark("chat", "only this").await;
    client.expect_mark("only this").await;
}

/// rest-api 1.5: nobody has to send a body to learn that it was in vain.
#[tokio::test]
async fn what_is_wrong_before_the_body_is_answered_without_it() {
    let service = Service::start().await;
    for (query, content_type, status) in [
        ("?filter=ab", "text/plain", 400),
        ("?api-version=1", "text/plain", 400),
        ("?messageTtlSeconds=x", "text/plain", 400),
        ("", "text/html", 415),
    ] {
        let path = format!("{ALL}{query}");
        let request = service.rest_request("POST", &path, content_type, b"");
        let head = String::from_utf8(request).unwrap();
        let head = head.replace("Content-Length: 0", "Content-Length: 100");
        let mut tcp = TcpStream::connect(service.addr).await.unwrap();
        tcp.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(answer(&mut tcp).await.status, status, "{path}");
    }
}

/// Acceptance 6.
#[tokio::test]
async fn a_user_receives_once_for_each_connection() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let mut clients = [
        member(&service).await,
        member(&service).await,
        member(&service).await,
    ];
    for path in [
        "/api/hubs/chat/users/alice/:send",
        "/api/hubs/chat/groups/room/:send",
    ] {
        service.send(path, "text/plain", b"once").await;
        service.mark("chat", "mark").await;
        for client in &mut clients {
            assert_eq!(client.json().await["data"], "once", "{path}");
            client.expect_mark("mark").await;
        }
    }
}

/// Connects a JSON client of alice's that is in the group `room`.
async fn member(service: &Service) -> Client {
    let claims = json!({ "sub": "alice", "webpubsub.group": "room" });
    service.json("chat", claims).await
}

/// Returns the paths of the four sends that reach such a client.
fn targets(client: &Client) -> [String; 4] {
    [
        ALL.to_owned(),
        "/api/hubs/chat/groups/room/:send".to_owned(),
        "/api/hubs/chat/users/alice/:send".to_owned(),
        format!("/api/hubs/chat/connections/{}/:send", client.connection_id),
    ]
}

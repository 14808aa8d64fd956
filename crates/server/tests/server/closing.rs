//! Closing and sizes: client-protocols 7.2 and 7.3, items 121 to 124, 127 and 128.

use std::time::Duration;

use serde_json::json;

use crate::support::wire::{
    BINARY, CLOSE, FIRST_BINARY, FIRST_TEXT, JSON_HEAD, LAST, MIDDLE, PING, PONG, TEXT, Wire,
    close_payload, frame,
};
use crate::support::{ALL_ROLES, Client, JSON, Received, Service};

const MIB: usize = 1 << 20;
const INVALID_FRAME: &str = "The client frame is invalid.";
const INVALID_JSON: &str = "The client message is not a valid JSON protocol message.";
const TOO_LARGE: &str = "The client message is too large.";

/// Item 121.
#[tokio::test]
async fn a_message_of_one_mebibyte_is_accepted() {
    let service = Service::start().await;
    let mut alice = service.json_with_roles("chat", "alice").await;
    alice.send_text(publish_of(MIB)).await;
    assert_eq!(
        alice.json().await,
        json!({ "type": "ack", "ackId": 1, "success": true })
    );
}

/// Item 121.
#[tokio::test]
async fn a_message_of_one_byte_more_is_closed_with_1009() {
    let service = Service::start().await;
    let mut alice = service.json_with_roles("chat", "alice").await;
    alice.send_text(publish_of(MIB + 1)).await;
    alice.expect_close(1009, TOO_LARGE).await;
}

/// Item 121.
#[tokio::test]
async fn the_limit_holds_for_all_fragments_together() {
    let service = Service::start().await;
    for (len, is_accepted) in [(MIB, true), (MIB + 1, false)] {
        let mut alice = json_wire(&service, "alice").await;
        let message = publish_of(len).into_bytes();
        let (first, rest) = message.split_at(len / 3);
        let (middle, last) = rest.split_at(len / 3);
        alice.send(FIRST_TEXT, first).await;
        alice.send(MIDDLE, middle).await;
        alice.send(LAST, last).await;
        match is_accepted {
            true => assert_eq!(
                alice.next().await,
                Some((TEXT, br#"{"type":"ack","ackId":1,"success":true}"#.to_vec()))
            ),
            false => alice.expect_close(1009, TOO_LARGE).await,
        }
    }
}

/// Item 121: nothing of a message that is too large needs to arrive.
#[tokio::test]
async fn a_frame_that_announces_too_much_is_refused_by_its_head() {
    let service = Service::start().await;
    let mut alice = json_wire(&service, "alice").await;
    let mut head = frame(BINARY, &vec![0; MIB]);
    head.truncate(14);
    head[2..10].copy_from_slice(&(1_u64 << 62).to_be_bytes());
    alice.send_bytes(&head).await;
    alice.expect_close(1009, TOO_LARGE).await;
}

/// Item 122.
#[tokio::test]
async fn fragments_are_joined_and_a_ping_between_them_is_answered() {
    let service = Service::start().await;
    let mut publisher = echoing_wire(&service).await;
    for (first, whole) in [(FIRST_TEXT, TEXT), (FIRST_BINARY, BINARY)] {
        publisher.send(first, "grü".as_bytes()).await;
        publisher.send(PING, b"are you there?").await;
        publisher.send(MIDDLE, b"").await;
        publisher.send(LAST, "ße".as_bytes()).await;
        assert_eq!(
            publisher.next().await,
            Some((PONG, b"are you there?".to_vec()))
        );
        assert_eq!(
            publisher.next().await,
            Some((whole, "grüße".as_bytes().to_vec()))
        );
    }
}

/// Item 122: a character may be cut by a fragment's end.
#[tokio::test]
async fn text_is_checked_after_its_fragments_are_joined() {
    let service = Service::start().await;
    let mut publisher = echoing_wire(&service).await;
    let (first, last) = "ü".as_bytes().split_at(1);
    publisher.send(FIRST_TEXT, first).await;
    publisher.send(LAST, last).await;
    assert_eq!(
        publisher.next().await,
        Some((TEXT, "ü".as_bytes().to_vec()))
    );
}

/// Item 122: a message may come byte by byte.
#[tokio::test]
async fn a_frame_that_comes_in_single_bytes_is_understood() {
    let service = Service::start().await;
    let mut publisher = echoing_wire(&service).await;
    publisher.tcp.set_nodelay(true).unwrap();
    for byte in frame(TEXT, &[b'x'; 200]) {
        publisher.send_bytes(&[byte]).await;
    }
    assert_eq!(publisher.next().await, Some((TEXT, vec![b'x'; 200])));
}

/// Items 123, 124: every way to close by REST, for each kind of client.
#[tokio::test]
async fn a_rest_close_tells_subprotocol_clients_the_reason_and_closes_with_1000() {
    let service = Service::start().await;
    let long_reason = "ü".repeat(300);
    let encoded_long_reason = "%C3%BC".repeat(300);
    let reasons = [
        ("", String::new()),
        ("&reason=", String::new()),
        ("&reason=bye%20now", " Reason: bye now".to_owned()),
        (
            &format!("&reason={encoded_long_reason}"),
            format!(" Reason: {long_reason}"),
        ),
    ];
    for (query, suffix) in reasons {
        for target in ["connection", "user", "group", "all"] {
            let claims = json!({ "sub": "alice", "webpubsub.group": ["room"] });
            let mut alice = service.json("chat", claims.clone()).await;
            let (method, path) = match target {
                "connection" => ("DELETE", format!("connections/{}", alice.connection_id)),
                "user" => ("POST", "users/alice/:closeConnections".to_owned()),
                "group" => ("POST", "groups/room/:closeConnections".to_owned()),
                _ => ("POST", ":closeConnections".to_owned()),
            };
            let mut simple = service.simple("chat", claims).await;
            close_by_rest(&service, method, &format!("{path}?{query}")).await;
            let message = format!("Application server closed the connection.{suffix}");
            assert_eq!(
                alice.json().await,
                json!({ "type": "system", "event": "disconnected", "message": message }),
                "{target}"
            );
            alice.expect_close(1000, "").await;
            if target == "connection" {
                close_by_rest(&service, "POST", ":closeConnections?").await;
            }
            simple.expect_close(1000, "").await;
        }
    }
}

/// Item 123.
#[tokio::test]
async fn a_rest_close_spares_the_excluded_and_everybody_it_is_not_about() {
    let service = Service::start().await;
    let claims = json!({ "sub": "alice", "webpubsub.group": ["room"] });
    for path in [
        ":closeConnections",
        "users/alice/:closeConnections",
        "groups/room/:closeConnections",
    ] {
        let mut closed = service.json("chat", claims.clone()).await;
        let mut excluded = service.json("chat", claims.clone()).await;
        let mut excluded_too = service.json("chat", claims.clone()).await;
        let mut elsewhere = service.json("other", claims.clone()).await;
        let query = format!(
            "excluded={}&excluded={}&excluded=nobody",
            excluded.connection_id, excluded_too.connection_id
        );
        close_by_rest(&service, "POST", &format!("{path}?{query}")).await;
        assert_eq!(closed.json().await["event"], "disconnected");
        closed.expect_close(1000, "").await;
        excluded.expect_nothing().await;
        excluded_too.expect_nothing().await;
        elsewhere.expect_nothing().await;
    }
}

/// Item 123: the answer comes when the connections are gone, whether their clients have closed or not.
#[tokio::test]
async fn a_connection_closed_by_rest_is_gone_when_the_answer_comes() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let claims = json!({ "sub": "alice", "webpubsub.group": ["room"] });
    let clients = [
        service.json("chat", claims.clone()).await,
        service.json("chat", claims).await,
    ];
    close_by_rest(&service, "POST", "users/alice/:closeConnections?").await;
    let mut paths = vec!["users/alice".to_owned(), "groups/room".to_owned()];
    paths.extend(
        clients
            .iter()
            .map(|client| format!("connections/{}", client.connection_id)),
    );
    for path in paths {
        let path = format!("/api/hubs/chat/{path}?api-version=2024-12-01");
        let answer = service.rest("HEAD", &path, "", b"").await;
        assert_eq!(answer.status, 404, "{path}");
    }
}

/// Item 123.
#[tokio::test]
async fn closing_nobody_is_a_success() {
    let service = Service::start().await;
    close_by_rest(&service, "DELETE", "connections/nobody?").await;
    close_by_rest(&service, "POST", "users/nobody/:closeConnections?").await;
    close_by_rest(&service, "POST", "groups/nobody/:closeConnections?").await;
    close_by_rest(&service, "POST", ":closeConnections?").await;
}

/// 7.2: what comes after the service has begun to close means nothing.
#[tokio::test]
async fn messages_of_a_client_that_is_being_closed_are_ignored() {
    let service = Service::start().await;
    let mut bob = service.json("chat", json!({})).await;
    bob_joins(&service, &bob).await;
    let mut alice = json_wire(&service, "alice").await;
    close_by_rest(&service, "POST", "users/alice/:closeConnections?").await;
    let publish = json!({ "type": "sendToGroup", "group": "room", "data": 1 });
    alice.send(TEXT, publish.to_string().as_bytes()).await;
    alice.send(CLOSE, &close_payload(1000, "")).await;
    assert_eq!(alice.next().await.unwrap().0, TEXT);
    alice.expect_close(1000, "").await;
    alice.expect_end().await;
    bob.expect_nothing().await;
}

/// 7.2.
#[tokio::test]
async fn a_client_that_does_not_answer_a_close_is_dropped_after_the_close_timeout() {
    let service = Service::start_with(|config| {
        config.limits.close_timeout = Duration::from_millis(50);
    })
    .await;
    let mut alice = json_wire(&service, "alice").await;
    close_by_rest(&service, "POST", "users/alice/:closeConnections?").await;
    assert_eq!(alice.next().await.unwrap().0, TEXT);
    alice.expect_close(1000, "").await;
    alice.expect_end().await;
}

/// Item 127, and 7.2: the client's own code and reason come back.
#[tokio::test]
async fn a_close_of_the_client_is_echoed() {
    let service = Service::start().await;
    let longest = format!("{}x", "ü".repeat(61));
    let mut cases = vec![
        (1000, "bye"),
        (1000, ""),
        (1000, "grüße"),
        (1000, longest.as_str()),
    ];
    let codes = (1001..=1003)
        .chain(1007..=1014)
        .chain([3000, 3999, 4000, 4999]);
    cases.extend(codes.map(|code| (code, "because")));
    for (code, reason) in cases {
        let mut client = json_wire(&service, "alice").await;
        client.send(CLOSE, &close_payload(code, reason)).await;
        client.expect_close(code, reason).await;
        client.expect_end().await;
    }
}

/// 7.2.
#[tokio::test]
async fn a_close_without_a_code_is_answered_by_one_without_a_code() {
    let service = Service::start().await;
    let mut client = json_wire(&service, "alice").await;
    client.send(CLOSE, b"").await;
    assert_eq!(client.next().await, Some((CLOSE, Vec::new())));
    client.expect_end().await;
}

/// 7.2: what waits is sent before the close.
#[tokio::test]
async fn messages_before_a_close_are_delivered() {
    let service = Service::start().await;
    let mut alice = service.json("chat", json!({ "sub": "alice" })).await;
    for _ in 0..20 {
        let path = "/api/hubs/chat/users/alice/:send?api-version=2024-12-01";
        service.send(path, "text/plain", &[b'x'; 100_000]).await;
    }
    close_by_rest(&service, "POST", "users/alice/:closeConnections?").await;
    for _ in 0..20 {
        assert_eq!(alice.json().await["data"].as_str().unwrap().len(), 100_000);
    }
    assert_eq!(alice.json().await["event"], "disconnected");
    alice.expect_close(1000, "").await;
}

/// 7.2.
#[tokio::test]
async fn broken_framing_is_closed_with_1002() {
    let service = Service::start().await;
    let mut unmasked = frame(TEXT, b"hi");
    unmasked[1] &= 0x7F;
    let cases = [
        ("a reserved bit", frame(TEXT | 0x40, b"hi")),
        ("an unknown frame type", frame(0x83, b"hi")),
        ("an unknown control frame type", frame(0x8B, b"hi")),
        ("an unmasked frame", unmasked),
        ("a fragmented ping", frame(0x09, b"hi")),
        ("a ping of 126 bytes", frame(PING, &[b'x'; 126])),
        ("a close of 126 bytes", frame(CLOSE, &[b'x'; 126])),
        ("a continuation of nothing", frame(LAST, b"hi")),
        (
            "a message inside a message",
            [frame(FIRST_TEXT, b"a"), frame(TEXT, b"b")].concat(),
        ),
        ("a close of one byte", frame(CLOSE, b"x")),
        ("close code 999", frame(CLOSE, &close_payload(999, ""))),
        ("close code 1004", frame(CLOSE, &close_payload(1004, ""))),
        ("close code 1005", frame(CLOSE, &close_payload(1005, ""))),
        ("close code 1006", frame(CLOSE, &close_payload(1006, ""))),
        ("close code 1015", frame(CLOSE, &close_payload(1015, ""))),
        ("close code 2999", frame(CLOSE, &close_payload(2999, ""))),
        ("close code 5000", frame(CLOSE, &close_payload(5000, ""))),
    ];
    for (name, bytes) in cases {
        let mut client = json_wire(&service, "alice").await;
        client.send_bytes(&bytes).await;
        println!("{name}");
        client.expect_close(1002, INVALID_FRAME).await;
    }
}

/// 7.2.
#[tokio::test]
async fn text_that_is_not_utf8_is_closed_with_1007() {
    let service = Service::start().await;
    let cases = [
        frame(TEXT, b"\xFF"),
        frame(TEXT, b"\"\xED\xA0\x80\""),
        [frame(FIRST_TEXT, b"\xC3"), frame(LAST, b"x")].concat(),
        frame(CLOSE, b"\x03\xE8\xFF"),
    ];
    for bytes in cases {
        let mut client = json_wire(&service, "alice").await;
        client.send_bytes(&bytes).await;
        println!("{bytes:?}");
        client.expect_close(1007, INVALID_FRAME).await;
    }
}

/// 7.2: no `disconnected` frame comes first.
#[tokio::test]
async fn a_message_that_breaks_the_json_protocol_is_closed_with_1007() {
    let service = Service::start().await;
    for kind in [TEXT, BINARY] {
        for message in ["", "{", "[]", r#"{"type":"unheardOf"}"#] {
            let mut client = json_wire(&service, "alice").await;
            client.send(kind, message.as_bytes()).await;
            println!("{kind} {message}");
            client.expect_close(1007, INVALID_JSON).await;
        }
    }
}

/// 7.2: the row for 1003 does not apply, since the JSON protocol takes both kinds of messages (11.4).
#[tokio::test]
async fn a_binary_message_of_json_is_understood() {
    let service = Service::start().await;
    let mut client = json_wire(&service, "alice").await;
    client.send(BINARY, br#"{"type":"ping"}"#).await;
    assert_eq!(
        client.next().await,
        Some((TEXT, br#"{"type":"pong"}"#.to_vec()))
    );
}

/// 7.2.
#[tokio::test]
async fn a_simple_client_that_may_not_publish_is_closed_with_1008() {
    let service = Service::start().await;
    let path = service.client_path("chat", json!({}));
    let path = format!("{path}&webpubsub_mode=sendToGroup&group=room");
    let mut client = service.connect_path(&path, &[]).await;
    client.send_text("hi").await;
    client
        .expect_close(
            1008,
            "The client does not have permission to send to the group.",
        )
        .await;
}

/// 7.2.
#[tokio::test]
async fn a_simple_client_whose_event_nobody_handles_is_closed_with_1011() {
    let service = Service::start().await;
    let mut client = service.simple("chat", json!({})).await;
    client.send_text("hi").await;
    client.expect_close(1011, "Internal server error").await;
}

/// 7.2.
#[tokio::test]
async fn a_shutdown_tells_subprotocol_clients_and_closes_with_1001() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(service.json("chat", json!({})).await);
        clients.push(service.simple("chat", json!({})).await);
    }
    let shutdown = tokio::spawn(service.server.shutdown());
    for mut client in clients {
        if client.subprotocol.as_deref() == Some(JSON) {
            assert_eq!(
                client.json().await,
                json!({ "type": "system", "event": "disconnected", "message": "Service is restarting." })
            );
        }
        client.expect_close(1001, "Service is restarting.").await;
        assert_eq!(client.next().await, Received::End);
    }
    shutdown.await.unwrap();
}

/// Item 128.
#[tokio::test]
async fn no_extension_is_agreed_to() {
    let service = Service::start().await;
    let path = service.client_path("chat", json!({}));
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let answer = service.handshake(&path, offer).await;
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("sec-websocket-extensions"), None);
}

async fn json_wire(service: &Service, user: &str) -> Wire {
    let path = service.client_path("chat", json!({ "sub": user, "role": ALL_ROLES }));
    let mut wire = service.wire(&path, JSON_HEAD).await;
    let (first, connected) = wire.next().await.unwrap();
    assert_eq!(first, TEXT);
    assert!(String::from_utf8(connected).unwrap().contains("connected"));
    wire
}

/// Connects a simple client whose messages come back to it.
async fn echoing_wire(service: &Service) -> Wire {
    let claims = json!({ "role": ALL_ROLES, "webpubsub.group": ["room"] });
    let path = service.client_path("chat", claims);
    let path = format!("{path}&webpubsub_mode=sendToGroup&group=room");
    service.wire(&path, "").await
}

async fn bob_joins(service: &Service, bob: &Client) {
    let path = format!(
        "/api/hubs/chat/groups/room/connections/{}",
        bob.connection_id
    );
    assert_eq!(service.rest("PUT", &path, "", b"").await.status, 200);
}

async fn close_by_rest(service: &Service, method: &str, rest: &str) {
    let path = format!("/api/hubs/chat/{rest}&api-version=2024-12-01");
    let answer = service.rest(method, &path, "", b"").await;
    assert_eq!(answer.status, 204, "{path}: {}", answer.body);
    assert_eq!(answer.body, "");
}

/// Returns a frame of exactly this length that publishes and asks for an ack.
fn publish_of(len: usize) -> String {
    let (before, after) = (
        r#"{"type":"sendToGroup","group":"room","ackId":1,"data":""#,
        r#""}"#,
    );
    let padding = "x".repeat(len - before.len() - after.len());
    format!("{before}{padding}{after}")
}

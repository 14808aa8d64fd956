//! Simple WebSocket clients: client-protocols 12, items 35 and 37 to 42, and what else section 2 says about them.

use serde_json::{Value, json};

use crate::support::{Client, JSON, Received, Service};

/// A role that lets a client publish, and nothing more.
const SENDER: &str = "webpubsub.sendToGroup";

/// Item 35.
#[tokio::test]
async fn an_event_that_nothing_handles_closes_the_connection() {
    let service = Service::start().await;
    for payload in ["hi", ""] {
        let mut client = service.simple("chat", json!({})).await;
        client.send_text(payload).await;
        client.expect_close(1011, "Internal server error").await;
        let mut client = service.simple("chat", json!({})).await;
        client.send_binary(payload.as_bytes()).await;
        client.expect_close(1011, "Internal server error").await;
    }
}

/// Item 37.
#[tokio::test]
async fn publish_mode_sends_text_and_binary_to_the_group() {
    let service = Service::start().await;
    let mut member = member(&service).await;
    let mut simple_member = simple_member(&service).await;
    let claims = json!({ "sub": "bob", "role": SENDER });
    let mut sender = publisher(&service, claims, "").await;

    sender.send_text("hi").await;
    sender.send_binary(&[0, 159, 255]).await;

    assert_eq!(
        member.json().await,
        json!({ "type": "message", "from": "group", "group": "room", "fromUserId": "bob", "dataType": "text", "data": "hi" })
    );
    assert_eq!(
        member.json().await,
        json!({ "type": "message", "from": "group", "group": "room", "fromUserId": "bob", "dataType": "binary", "data": "AJ//" })
    );
    assert_eq!(simple_member.text().await, "hi");
    let received = simple_member.next().await;
    assert_eq!(received, Received::Binary(vec![0, 159, 255]));
}

/// Item 37, section 7.3: empty messages are delivered.
#[tokio::test]
async fn publish_mode_sends_empty_messages_too() {
    let service = Service::start().await;
    let mut member = simple_member(&service).await;
    let mut sender = publisher(&service, json!({ "role": SENDER }), "").await;
    sender.send_text("").await;
    sender.send_binary(b"").await;
    assert_eq!(member.text().await, "");
    assert_eq!(member.next().await, Received::Binary(Vec::new()));
}

/// Item 37: text is text, whatever it looks like.
#[tokio::test]
async fn publish_mode_does_not_read_what_it_sends() {
    let service = Service::start().await;
    let mut member = member(&service).await;
    let mut sender = publisher(&service, json!({ "role": SENDER }), "").await;
    let frame = json!({ "type": "ping" }).to_string();
    sender.send_text(frame.as_str()).await;
    let message = member.json().await;
    assert_eq!(message["dataType"], "text");
    assert_eq!(message["data"], frame);
    assert_eq!(message["fromUserId"], Value::Null);
}

/// Item 37: publishing does not join.
#[tokio::test]
async fn a_publisher_is_no_member() {
    let service = Service::start().await;
    let mut member = member(&service).await;
    let mut sender = publisher(&service, json!({ "role": SENDER }), "").await;
    sender.send_text("hi").await;
    assert_eq!(member.json().await["data"], "hi");
    fence(&service, &mut sender).await;
}

/// Item 38: the handshake is good, the message is not.
#[tokio::test]
async fn publish_mode_without_a_role_closes_at_the_first_message() {
    let service = Service::start().await;
    let roles = [
        json!({}),
        json!({ "role": "webpubsub.joinLeaveGroup" }),
        json!({ "role": "webpubsub.sendToGroup.other" }),
    ];
    let mut member = member(&service).await;
    for claims in roles {
        let mut sender = publisher(&service, claims.clone(), "").await;
        fence(&service, &mut sender).await;
        assert_eq!(member.json().await["from"], "server");
        sender.send_text("hi").await;
        sender
            .expect_close(
                1008,
                "The client does not have permission to send to the group.",
            )
            .await;
    }
    member.expect_nothing().await;
}

/// Item 38: every form of the role counts.
#[tokio::test]
async fn publish_mode_works_with_a_role_for_its_group() {
    let service = Service::start().await;
    let mut member = member(&service).await;
    for role in [
        SENDER,
        "webpubsub.sendToGroup.room",
        "webpubsub.sendToGroups.r*",
    ] {
        let mut sender = publisher(&service, json!({ "role": role }), "").await;
        sender.send_text(role).await;
        assert_eq!(member.json().await["data"], role);
    }
}

/// Item 39.
#[tokio::test]
async fn no_echo_leaves_the_sender_out() {
    let service = Service::start().await;
    let mut member = member(&service).await;
    let claims = json!({ "role": SENDER, "webpubsub.group": "room" });
    for no_echo in ["true", "TRUE"] {
        let query = format!("&noEcho={no_echo}");
        let mut sender = publisher(&service, claims.clone(), &query).await;
        sender.send_text("hi").await;
        assert_eq!(member.json().await["data"], "hi");
        fence(&service, &mut sender).await;
        assert_eq!(member.json().await["from"], "server");
    }
}

/// Item 39: otherwise a sender that is a member hears itself.
#[tokio::test]
async fn a_publisher_that_is_a_member_receives_its_own_messages() {
    let service = Service::start().await;
    let claims = json!({ "role": SENDER, "webpubsub.group": "room" });
    for query in ["", "&noEcho=", "&noEcho=false", "&noEcho=False"] {
        let mut sender = publisher(&service, claims.clone(), query).await;
        sender.send_text("hi").await;
        assert_eq!(sender.text().await, "hi", "{query}");
    }
}

/// Item 40: the answer names the parameter.
#[tokio::test]
async fn a_bad_mode_is_refused_whatever_the_subprotocol() {
    let service = Service::start().await;
    let path = service.client_path("chat", json!({}));
    let too_long = format!("webpubsub_mode=sendToGroup&group={}", "g".repeat(1025));
    let table = [
        ("webpubsub_mode=sendToGroup", "group"),
        ("webpubsub_mode=sendToGroup&group=", "group"),
        ("webpubsub_mode=sendToGroup&group=%20%09", "group"),
        (&too_long, "group"),
        ("webpubsub_mode=publish", "webpubsub_mode"),
        ("webpubsub_mode=%20", "webpubsub_mode"),
        ("webpubsub_mode=sendToGroup&group=room&noEcho=yes", "noEcho"),
        ("webpubsub_mode=sendToGroup&group=room&noEcho=1", "noEcho"),
    ];
    for (query, parameter) in table {
        for head in ["", &format!("Sec-WebSocket-Protocol: {JSON}\r\n")] {
            let answer = service.handshake(&format!("{path}&{query}"), head).await;
            assert_eq!(answer.status, 400, "{query}");
            assert!(answer.body.contains(parameter), "{query}: {}", answer.body);
            assert_eq!(answer.body.lines().count(), 1, "{query}");
        }
    }
}

/// Item 40.
#[tokio::test]
async fn an_empty_mode_is_event_mode() {
    let service = Service::start().await;
    let path = service.client_path("chat", json!({ "role": SENDER }));
    for query in [
        "webpubsub_mode=&group=room",
        "webpubsub_mode=sendEvent&group=room",
        "webpubsub_mode=SENDEVENT",
        "group=room",
    ] {
        let mut client = service.connect_path(&format!("{path}&{query}"), &[]).await;
        client.send_text("hi").await;
        client.expect_close(1011, "Internal server error").await;
    }
}

/// Section 1.2: only values of `webpubsub_mode` and `noEcho`, and all names, are read without letter case.
#[tokio::test]
async fn the_mode_has_no_letter_case_and_its_group_has() {
    let service = Service::start().await;
    let mut upper = service
        .simple("chat", json!({ "webpubsub.group": "ROOM" }))
        .await;
    let mut member = member(&service).await;
    let path = service.client_path("chat", json!({ "role": SENDER }));
    let path = format!("{path}&WEBPUBSUB_MODE=SENDTOGROUP&GROUP=room");
    let mut sender = service.connect_path(&path, &[]).await;
    sender.send_text("hi").await;
    assert_eq!(member.json().await["data"], "hi");
    fence(&service, &mut upper).await;
}

/// Item 41, and the same for the parameters beside it.
#[tokio::test]
async fn the_last_of_a_repeated_parameter_counts() {
    let service = Service::start().await;
    let claims = json!({ "role": SENDER, "webpubsub.group": "room" });
    let path = service.client_path("chat", claims);
    let publishes = [
        "webpubsub_mode=none&webpubsub_mode=sendToGroup&group=room",
        "webpubsub_mode=sendToGroup&group=%20&group=other&Group=room",
        "webpubsub_mode=sendToGroup&group=room&noEcho=true&NOECHO=false",
    ];
    for query in publishes {
        let mut client = service.connect_path(&format!("{path}&{query}"), &[]).await;
        client.send_text("hi").await;
        assert_eq!(client.text().await, "hi", "{query}");
    }
    let query = "webpubsub_mode=sendToGroup&group=room&webpubsub_mode=sendEvent";
    let mut client = service.connect_path(&format!("{path}&{query}"), &[]).await;
    client.send_text("hi").await;
    client.expect_close(1011, "Internal server error").await;
    let query = format!("{path}&webpubsub_mode=&webpubsub_mode=none");
    assert_eq!(service.handshake(&query, "").await.status, 400);
}

/// Item 42, and section 2 for the other types: the frame's kind is all that is left of them.
#[tokio::test]
async fn rest_payloads_arrive_as_they_are() {
    let service = Service::start().await;
    let mut client = service.simple("chat", json!({})).await;
    let path = "/api/hubs/chat/:send";
    let text = |text: &str| Received::Text(text.to_owned());
    let table = [
        (
            "application/json",
            r#""Hello World""#,
            text(r#""Hello World""#),
        ),
        ("application/json", r#"{"n": 1.0 }"#, text(r#"{"n": 1.0 }"#)),
        ("text/plain", "Hello World", text("Hello World")),
        ("text/plain", "", text("")),
        (
            "application/octet-stream",
            "Hello World",
            Received::Binary(b"Hello World".to_vec()),
        ),
    ];
    for (content_type, body, received) in table {
        service.send(path, content_type, body.as_bytes()).await;
        assert_eq!(client.next().await, received, "{content_type}: {body}");
    }
}

/// Section 2: what a JSON client publishes loses its envelope, metadata and all.
#[tokio::test]
async fn payloads_of_json_clients_arrive_without_envelope() {
    let service = Service::start().await;
    let mut simple = simple_member(&service).await;
    let mut sender = service.json_with_roles("chat", "alice").await;
    let text = |text: &str| Received::Text(text.to_owned());
    // The protobuf one is an `Any` with type URL `t` and value 1, 2.
    let any = [10, 1, 116, 18, 2, 1, 2];
    let table = [
        (json!({ "dataType": "text", "data": "hi" }), text("hi")),
        (json!({ "data": "hi" }), text(r#""hi""#)),
        (json!({ "data": { "n": 1 } }), text(r#"{"n":1}"#)),
        (
            json!({ "dataType": "binary", "data": "AQI=" }),
            Received::Binary(vec![1, 2]),
        ),
        (
            json!({ "dataType": "protobuf", "data": "CgF0EgIBAg==" }),
            Received::Binary(any.to_vec()),
        ),
        (
            json!({ "dataType": "text", "data": "hi", "metadata": { "k": "v" } }),
            text("hi"),
        ),
        (json!({ "metadata": { "k": "v" } }), text("")),
    ];
    for (frame, received) in table {
        let mut frame = frame;
        frame["type"] = "sendToGroup".into();
        frame["group"] = "room".into();
        sender.send_json(frame.clone()).await;
        assert_eq!(simple.next().await, received, "{frame}");
    }
}

/// Section 2: no system frame goes to a simple client, at a close neither.
#[tokio::test]
async fn a_close_by_rest_comes_without_a_frame() {
    let service = Service::start().await;
    let mut client = service.simple("chat", json!({ "sub": "alice" })).await;
    let path = "/api/hubs/chat/users/alice/:closeConnections?reason=because";
    let answer = service.rest("POST", path, "", b"").await;
    assert_eq!(answer.status, 204);
    client.expect_close(1000, "").await;
}

/// A JSON client in the group `room`.
async fn member(service: &Service) -> Client {
    let claims = json!({ "webpubsub.group": "room" });
    service.json("chat", claims).await
}

/// A simple client in the group `room`.
async fn simple_member(service: &Service) -> Client {
    let claims = json!({ "webpubsub.group": "room" });
    service.simple("chat", claims).await
}

/// A simple client that publishes to the group `room`.
async fn publisher(service: &Service, claims: Value, query: &str) -> Client {
    let path = service.client_path("chat", claims);
    let path = format!("{path}&webpubsub_mode=sendToGroup&group=room{query}");
    service.connect_path(&path, &[]).await
}

/// Asserts that nothing else has come: what is now sent to all is the next message.
async fn fence(service: &Service, client: &mut Client) {
    let path = "/api/hubs/chat/:send";
    service.send(path, "text/plain", b"fence").await;
    assert_eq!(client.text().await, "fence");
}

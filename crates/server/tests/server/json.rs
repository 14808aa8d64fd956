//! `json.webpubsub.azure.v1`: client-protocols 12, items 43 to 79.

mod acks;
mod data;

use serde_json::{Value, json};

use crate::support::{Client, JSON, Received, Service};

const INVALID: &str = "The client message is not a valid JSON protocol message.";

/// Item 43.
#[tokio::test]
async fn connected_has_the_connection_id_and_the_user_and_no_reconnection_token() {
    let service = Service::start().await;
    let path = service.client_path("chat", json!({ "sub": "alice" }));
    let mut client = service.connect_path(&path, &[JSON]).await;
    let connected = client.json().await;
    let id = connected["connectionId"].as_str().unwrap();
    assert_eq!(
        connected,
        json!({ "type": "system", "event": "connected", "userId": "alice", "connectionId": id })
    );
}

/// Items 44, 58, 59, 75, 76: join, publish and REST in one go.
#[tokio::test]
async fn members_receive_what_clients_and_rest_callers_send_to_their_group() {
    let service = Service::start().await;
    let mut alice = service.json_with_roles("chat", "alice").await;
    let mut bob = service.json_with_roles("chat", "bob").await;
    alice.join("room").await;
    let ack = bob
        .request(json!({ "type": "sendToGroup", "group": "room", "data": { "n": 1 }, "ackId": 1 }))
        .await;
    assert_eq!(ack, json!({ "type": "ack", "ackId": 1, "success": true }));
    assert_eq!(
        alice.json().await,
        json!({ "type": "message", "from": "group", "group": "room", "fromUserId": "bob", "dataType": "json", "data": { "n": 1 } })
    );
    service
        .send(
            "/api/hubs/chat/groups/room/:send?api-version=2024-12-01",
            "text/plain",
            b"hi",
        )
        .await;
    assert_eq!(
        alice.json().await,
        json!({ "type": "message", "from": "group", "group": "room", "fromUserId": null, "dataType": "text", "data": "hi" })
    );
    bob.expect_nothing().await;
}

/// Item 43, section 1.7: ids stand unescaped in URLs and are never the same.
#[tokio::test]
async fn connection_ids_are_plain_and_unique() {
    let service = Service::start().await;
    let first = service.json("chat", json!({})).await.connection_id;
    let second = service.json("chat", json!({})).await.connection_id;
    assert_ne!(first, second);
    for id in [first, second] {
        assert!((22..=64).contains(&id.len()), "{id}");
        let is_plain = |char: char| char.is_ascii_alphanumeric() || "_-".contains(char);
        assert!(id.chars().all(is_plain), "{id}");
    }
}

/// Item 58.
#[tokio::test]
async fn no_echo_leaves_out_the_sender_only() {
    let service = Service::start().await;
    let (mut sender, mut member) = sender_and_member(&service).await;
    sender.join("room").await;
    let table = [
        (json!(true), false),
        (json!(false), true),
        (json!(null), true),
    ];
    for (no_echo, is_echoed) in table {
        sender
            .send_json(
                json!({ "type": "sendToGroup", "group": "room", "data": 1, "noEcho": no_echo }),
            )
            .await;
        assert_eq!(member.json().await["data"], 1, "{no_echo}");
        if is_echoed {
            assert_eq!(sender.json().await["data"], 1, "{no_echo}");
        }
        sender.expect_nothing().await;
    }
    for no_echo in [r#""true""#, "1"] {
        let frame =
            format!(r#"{{"type":"sendToGroup","group":"room","data":1,"noEcho":{no_echo}}}"#);
        expect_invalid(&service, &frame).await;
    }
}

/// Item 60.
#[tokio::test]
async fn a_time_to_live_is_at_most_300_seconds() {
    let service = Service::start().await;
    let (mut sender, mut member) = sender_and_member(&service).await;
    for ttl in ["0", "1", "300", "null"] {
        sender
            .send_text(format!(
                r#"{{"type":"sendToGroup","group":"room","data":1,"ttlSeconds":{ttl}}}"#
            ))
            .await;
        assert_eq!(member.json().await["data"], 1, "{ttl}");
    }
    for ttl in ["301", "-1", "1.5", r#""1""#, "4294967597"] {
        let frame =
            format!(r#"{{"type":"sendToGroup","group":"room","data":1,"ttlSeconds":{ttl}}}"#);
        expect_invalid(&service, &frame).await;
    }
}

/// Item 67.
#[tokio::test]
async fn event_names_are_a_letter_and_up_to_127_more_characters() {
    let service = Service::start().await;
    let mut client = service.json("chat", json!({})).await;
    let longest = "e".repeat(128);
    for name in ["e", "A9_.-", &longest] {
        let ack = client
            .request(json!({ "type": "event", "event": name, "data": 1, "ackId": 1 }))
            .await;
        assert_eq!(ack["error"]["name"], "InternalServerError", "{name}");
    }
    let too_long = "e".repeat(129);
    for name in ["", "9e", "_e", "a/b", "a b", "é", &too_long] {
        let frame = json!({ "type": "event", "event": name, "data": 1, "ackId": 1 });
        expect_invalid(&service, &frame.to_string()).await;
    }
    expect_invalid(&service, r#"{"type":"event","data":1}"#).await;
    expect_invalid(&service, r#"{"type":"event","event":1,"data":1}"#).await;
}

/// Section 3.2: an event cannot start a stream.
#[tokio::test]
async fn a_stream_in_an_event_is_invalid() {
    let service = Service::start().await;
    let frame = json!({ "type": "event", "event": "e", "stream": { "streamId": "s" } });
    expect_invalid(&service, &frame.to_string()).await;
}

/// Item 68, as far as it needs no handler.
#[tokio::test]
async fn a_ping_is_answered_with_a_pong() {
    let service = Service::start().await;
    let mut client = service.json("chat", json!({})).await;
    for frame in [r#"{"type":"ping"}"#, r#"{"type":"ping","ackId":1}"#] {
        client.send_text(frame).await;
        assert_eq!(client.text().await, r#"{"type":"pong"}"#);
    }
    client.expect_nothing().await;
}

/// Item 69.
#[tokio::test]
async fn a_sequence_ack_has_no_effect_without_reliability() {
    let service = Service::start().await;
    let mut client = service.json("chat", json!({})).await;
    for sequence_id in [0, 1, u64::MAX] {
        client
            .send_json(json!({ "type": "sequenceAck", "sequenceId": sequence_id }))
            .await;
    }
    client.expect_nothing().await;
}

/// Item 69: it must still be a valid frame.
#[tokio::test]
async fn a_sequence_ack_without_a_sequence_id_is_invalid() {
    let service = Service::start().await;
    for frame in [
        r#"{"type":"sequenceAck"}"#,
        r#"{"type":"sequenceAck","sequenceId":null}"#,
        r#"{"type":"sequenceAck","sequenceId":"1"}"#,
        r#"{"type":"sequenceAck","sequenceId":-1}"#,
    ] {
        expect_invalid(&service, frame).await;
    }
}

/// Item 70.
#[tokio::test]
async fn an_unknown_type_is_invalid() {
    let service = Service::start().await;
    for frame in [
        r#"{"type":"shout"}"#,
        r#"{"type":"message"}"#,
        r#"{"type":""}"#,
        r#"{"type":null}"#,
        r#"{"type":1}"#,
        r#"{"Type":"ping"}"#,
        "{}",
    ] {
        expect_invalid(&service, frame).await;
    }
}

/// Item 71.
#[tokio::test]
async fn what_is_not_one_json_object_is_invalid() {
    let service = Service::start().await;
    for frame in [
        "",
        " ",
        "hi",
        "null",
        "1",
        r#""ping""#,
        r#"[{"type":"ping"}]"#,
        r#"{"type":"ping""#,
        r#"{"type":"ping"}}"#,
        r#"{"type":"ping"}{"type":"ping"}"#,
        r#"{"type":"ping",}"#,
        r#"{type:"ping"}"#,
    ] {
        expect_invalid(&service, frame).await;
    }
}

/// Section 3.1, ours: a binary message may hold a frame too.
#[tokio::test]
async fn frames_come_in_binary_messages_too() {
    let service = Service::start().await;
    let mut client = service.json("chat", json!({})).await;
    client.send_binary(br#"{"type":"ping"}"#).await;
    assert_eq!(client.text().await, r#"{"type":"pong"}"#);
    client.send_binary(b"{\"type\":\"ping\xFF\"}").await;
    client.expect_close(1007, INVALID).await;
}

/// Item 72.
#[tokio::test]
async fn types_have_no_letter_case() {
    let service = Service::start().await;
    let (mut sender, mut member) = sender_and_member(&service).await;
    for (frame_type, data_type) in [("SENDTOGROUP", "Text"), ("sendtogroup", "TEXT")] {
        sender
            .send_json(
                json!({ "type": frame_type, "group": "room", "dataType": data_type, "data": "1" }),
            )
            .await;
        let message = member.json().await;
        assert_eq!(message["dataType"], "text", "{frame_type}");
    }
    sender.send_json(json!({ "type": "PING" })).await;
    assert_eq!(sender.json().await, json!({ "type": "pong" }));
}

/// Item 73.
#[tokio::test]
async fn unknown_properties_are_passed_over() {
    let service = Service::start().await;
    let (mut sender, mut member) = sender_and_member(&service).await;
    sender
        .send_json(
            json!({ "type": "sendToGroup", "extra": { "type": 1 }, "group": "room", "data": 1, "Data": 2, "ackID": "x" }),
        )
        .await;
    assert_eq!(
        member.json().await,
        json!({ "type": "message", "from": "group", "group": "room", "fromUserId": "alice", "dataType": "json", "data": 1 })
    );
    sender.expect_nothing().await;
}

/// Section 3.1, ours: of a repeated property the last counts.
#[tokio::test]
async fn the_last_of_a_repeated_property_counts() {
    let service = Service::start().await;
    let (mut sender, mut member) = sender_and_member(&service).await;
    sender
        .send_text(
            r#"{"type":"ping","group":"other","data":1,"type":"sendToGroup","group":"room","data":2}"#,
        )
        .await;
    assert_eq!(member.json().await["data"], 2);
}

/// Item 75.
#[tokio::test]
async fn a_sender_without_a_user_is_null() {
    let service = Service::start().await;
    let (_, mut member) = sender_and_member(&service).await;
    let mut sender = service
        .json("chat", json!({ "role": "webpubsub.sendToGroup" }))
        .await;
    sender
        .send_json(json!({ "type": "sendToGroup", "group": "room", "data": 1 }))
        .await;
    assert_eq!(
        member.json().await,
        json!({ "type": "message", "from": "group", "group": "room", "fromUserId": null, "dataType": "json", "data": 1 })
    );
}

/// Item 76.
#[tokio::test]
async fn rest_sends_are_from_the_server_except_to_a_group() {
    let service = Service::start().await;
    let claims = json!({ "sub": "alice", "webpubsub.group": "room" });
    let mut client = service.json("chat", claims).await;
    let id = client.connection_id.clone();
    for target in [
        String::new(),
        "users/alice/".to_owned(),
        format!("connections/{id}/"),
    ] {
        let path = format!("/api/hubs/chat/{target}:send");
        service.send(&path, "text/plain", b"hi").await;
        assert_eq!(
            client.json().await,
            json!({ "type": "message", "from": "server", "dataType": "text", "data": "hi" }),
            "{path}"
        );
    }
    send_by_rest(&service, "room", "hi").await;
    assert_eq!(
        client.json().await,
        json!({ "type": "message", "from": "group", "group": "room", "fromUserId": null, "dataType": "text", "data": "hi" })
    );
}

/// Item 77.
#[tokio::test]
async fn group_names_have_letter_case() {
    let service = Service::start().await;
    let mut client = service.json_with_roles("chat", "alice").await;
    client.join("room").await;
    send_by_rest(&service, "Room", "other").await;
    client
        .send_json(json!({ "type": "sendToGroup", "group": "ROOM", "data": "other" }))
        .await;
    client.expect_nothing().await;
    send_by_rest(&service, "room", "hi").await;
    assert_eq!(client.json().await["data"], "hi");
}

/// Item 78: the length is in UTF-16 code units, of which an emoji has two.
#[tokio::test]
async fn group_names_have_1_to_1024_units() {
    let service = Service::start().await;
    let mut client = service.json_with_roles("chat", "alice").await;
    let good = ["g".to_owned(), "g".repeat(1024), "\u{1F600}".repeat(512)];
    for (group, ack_id) in good.iter().zip(1..) {
        let ack = client
            .request(json!({ "type": "joinGroup", "group": group, "ackId": ack_id }))
            .await;
        assert_eq!(ack, success(ack_id));
    }
    let too_long = ["g".repeat(1025), "\u{1F600}".repeat(513)];
    for group in ["", " ", "\t\n", &too_long[0], &too_long[1]] {
        for request in ["joinGroup", "leaveGroup", "sendToGroup"] {
            let frame = json!({ "type": request, "group": group, "data": 1 });
            expect_invalid(&service, &frame.to_string()).await;
        }
    }
    expect_invalid(&service, r#"{"type":"joinGroup"}"#).await;
    expect_invalid(&service, r#"{"type":"joinGroup","group":1}"#).await;
}

/// Item 79, as far as it needs no handler.
#[tokio::test]
async fn frames_of_a_connection_are_handled_in_order() {
    let service = Service::start().await;
    let mut client = service.json_with_roles("chat", "alice").await;
    for frame in [
        json!({ "type": "sendToGroup", "group": "room", "data": "before", "ackId": 1 }),
        json!({ "type": "joinGroup", "group": "room", "ackId": 2 }),
        json!({ "type": "sendToGroup", "group": "room", "data": "between", "ackId": 3 }),
        json!({ "type": "event", "event": "e", "data": 1, "ackId": 4 }),
        json!({ "type": "leaveGroup", "group": "room", "ackId": 5 }),
        json!({ "type": "sendToGroup", "group": "room", "data": "after", "ackId": 6 }),
    ] {
        client.send_json(frame).await;
    }
    assert_eq!(client.json().await, success(1));
    assert_eq!(client.json().await, success(2));
    assert_eq!(client.json().await["data"], "between");
    assert_eq!(client.json().await, success(3));
    assert_eq!(client.json().await["ackId"], 4);
    assert_eq!(client.json().await, success(5));
    assert_eq!(client.json().await, success(6));
    client.expect_nothing().await;
}

fn success(ack_id: u64) -> Value {
    json!({ "type": "ack", "ackId": ack_id, "success": true })
}

/// Asserts that a frame closes the connection of a client that may do everything, and that nothing comes before the close.
async fn expect_invalid(service: &Service, frame: &str) {
    let mut client = service.json_with_roles("chat", "alice").await;
    client.send_text(frame).await;
    let close = Received::Close(1007, INVALID.to_owned());
    assert_eq!(client.next().await, close, "{frame}");
}

/// A client that may do everything, and one in the group `room`.
async fn sender_and_member(service: &Service) -> (Client, Client) {
    let sender = service.json_with_roles("chat", "alice").await;
    let claims = json!({ "webpubsub.group": "room" });
    let member = service.json("chat", claims).await;
    (sender, member)
}

async fn send_by_rest(service: &Service, group: &str, text: &str) {
    let path = format!("/api/hubs/chat/groups/{group}/:send");
    service.send(&path, "text/plain", text.as_bytes()).await;
}

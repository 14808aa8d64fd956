//! `protobuf.webpubsub.azure.v1` and its reliable variant: client-protocols 4, items 80 to 84 and 86 to 89.

use serde_json::{Value, json};

use crate::support::protobuf::wire::{hex, len, message, varint};
use crate::support::pubsub::{ALL, PROTOBUF, PubSub, RELIABLE_JSON, RELIABLE_PROTOBUF};
use crate::support::wire::{BINARY, CLOSE, FIRST_BINARY, LAST, MIDDLE, TEXT, close_payload};
use crate::support::{ALL_ROLES, JSON, Received, Service};

const BOTH: [&str; 2] = [PROTOBUF, RELIABLE_PROTOBUF];
const INVALID: &str =
    "The client message is not a valid protobuf.webpubsub.azure.v1 protocol message.";
/// `google.protobuf.Any` with the type URL `x` and the value `y`, and the same as base64.
const ANY: &[u8] = b"\x0A\x01x\x12\x01y";
const ANY_BASE64: &str = "CgF4EgF5";

/// Item 80: the published bytes, and those of the ack.
#[tokio::test]
async fn the_known_join_is_acked_with_id_0() {
    let service = Service::start().await;
    for subprotocol in BOTH {
        let mut client = service.pubsub_with_roles(subprotocol, "alice").await;
        let join = hex("32 08 0A 04 72 6F 6F 6D 10 00");
        client.wire.send(BINARY, &join).await;
        let (first, ack) = client.next_raw().await;
        assert_eq!(
            (first, ack.as_slice()),
            (BINARY, hex("0A 02 10 01").as_slice())
        );
        service.send_to_room("hi").await;
        assert_eq!(client.next().await["data"], "hi");
        client.wire.send(BINARY, &join).await;
        let again = client.next().await;
        assert_eq!(again["error"]["name"], "Duplicate", "{again}");
    }
}

/// The published bytes of ping and pong.
#[tokio::test]
async fn a_ping_is_answered_with_a_pong() {
    let service = Service::start().await;
    for subprotocol in BOTH {
        let mut client = service.pubsub(subprotocol, "chat", json!({})).await;
        client.wire.send(BINARY, &hex("4A 00")).await;
        assert_eq!(client.next_raw().await, (BINARY, hex("22 00")));
    }
}

/// Item 81.
#[tokio::test]
async fn a_text_message_is_closed_with_1003() {
    let service = Service::start().await;
    for subprotocol in BOTH {
        for text in ["", r#"{"type":"ping"}"#, "J\0"] {
            let mut client = service.pubsub(subprotocol, "chat", json!({})).await;
            client.wire.send(TEXT, text.as_bytes()).await;
            let reason = "The protobuf.webpubsub.azure.v1 subprotocol requires binary messages.";
            client.expect_close(1003, reason).await;
        }
    }
}

/// Items 82 and 88.
#[tokio::test]
async fn what_is_no_message_of_the_schema_is_closed_with_1007() {
    let service = Service::start().await;
    let room = || len(1, "room");
    let table = [
        ("nothing", vec![]),
        ("garbage", b"garbage".to_vec()),
        ("JSON", br#"{"type":"ping"}"#.to_vec()),
        ("a length beyond the end", hex("32 08 0A 04")),
        ("an endless number", [0xFF; 11].to_vec()),
        ("a message without a group", message(6, &[])),
        ("a blank group", message(6, &[len(1, " ")])),
        ("a group that is not UTF-8", message(6, &[len(1, b"\xFF")])),
        ("an unused case", message(2, &[room()])),
        ("a reserved case", message(12, &[room()])),
        ("an unknown case", message(18, &[room()])),
        ("only unknown fields", varint(1000, 1)),
        ("a send without data", message(1, &[room()])),
        (
            "data without a case",
            message(1, &[room(), message(3, &[])]),
        ),
        (
            "data of an unknown case",
            message(1, &[room(), message(3, &[len(5, "x")])]),
        ),
        (
            "JSON that is none",
            message(1, &[room(), message(3, &[len(4, "{")])]),
        ),
        (
            "a time to live of 301 s",
            message(1, &[room(), message(3, &[len(1, "x")]), varint(5, 301)]),
        ),
        (
            "an event with a bad name",
            message(5, &[len(1, "9"), message(2, &[len(1, "x")])]),
        ),
        ("an event without data", message(5, &[len(1, "e")])),
        ("a stream without an id", message(13, &[])),
    ];
    for subprotocol in BOTH {
        for (name, bytes) in &table {
            println!("{name}");
            let mut client = service.pubsub_with_roles(subprotocol, "alice").await;
            client.wire.send(BINARY, bytes).await;
            client.expect_close(1007, INVALID).await;
        }
    }
}

/// Item 88.
#[tokio::test]
async fn unknown_fields_are_passed_over() {
    let service = Service::start().await;
    for subprotocol in BOTH {
        let mut client = service.member(subprotocol, "alice").await;
        let unknown = [varint(900, 7), len(901, "later")].concat();
        let data = message(3, &[unknown.clone(), len(1, "hi")]);
        let send = message(1, &[unknown.clone(), len(1, "room"), data]);
        client
            .wire
            .send(BINARY, &[unknown.clone(), send, unknown].concat())
            .await;
        assert_eq!(client.next().await["data"], "hi");
        client.expect_nothing().await;
    }
}

/// Item 83, and metadata instead of data.
#[tokio::test]
async fn data_that_is_empty_is_valid() {
    let service = Service::start().await;
    for subprotocol in BOTH {
        let mut alice = service.member(subprotocol, "alice").await;
        let mut bob = service.member(JSON, "bob").await;
        let room = || len(1, "room");
        let metadata = || message(6, &[len(1, "Key"), len(2, "v")]);
        let table = [
            (message(1, &[room(), message(3, &[len(1, "")])]), "text"),
            (message(1, &[room(), message(3, &[len(2, "")])]), "binary"),
            (message(1, &[room(), metadata()]), "text"),
            (message(1, &[room(), message(3, &[]), metadata()]), "text"),
        ];
        for (frame, data_type) in table {
            alice.wire.send(BINARY, &frame).await;
            for client in [&mut alice, &mut bob] {
                let received = client.next().await;
                assert_eq!(received["dataType"], data_type, "{received}");
                assert_eq!(received["data"], "", "{received}");
            }
        }
        bob.close(&close_payload(1000, "")).await;
    }
}

/// Items 54, 84, 86 and 87: every kind of data from every kind of client to every kind of client, on the same shard and on another.
#[tokio::test]
async fn all_kinds_of_data_pass_between_clients_of_all_kinds() {
    let service = Service::watched(2).await;
    let mut receivers = Receivers::connect(&service).await;
    let kinds = [
        ("text", json!("grüße"), Received::Text("grüße".to_owned())),
        (
            "json",
            json!({ "n": [1, null], "t": "ü" }),
            Received::Text(r#"{"n":[1,null],"t":"ü"}"#.to_owned()),
        ),
        (
            "binary",
            json!("AP+A"),
            Received::Binary(vec![0, 0xFF, 0x80]),
        ),
        (
            "protobuf",
            json!(ANY_BASE64),
            Received::Binary(ANY.to_vec()),
        ),
    ];
    for subprotocol in ALL {
        for user in ["one", "two"] {
            let mut publisher = service.pubsub_with_roles(subprotocol, user).await;
            for (data_type, data, payload) in &kinds {
                publisher
                    .succeed(json!({ "type": "sendToGroup", "group": "room", "dataType": data_type, "data": data, "metadata": { "Key": "value" }, "ackId": data_type.len() as u64 + u64::from(data_type.as_bytes()[0]) * 100 }))
                    .await;
                let expected = json!({ "type": "message", "from": "group", "group": "room", "fromUserId": user, "dataType": data_type, "data": data, "metadata": { "Key": "value" } });
                receivers.expect(expected, payload).await;
            }
            publisher.close(&close_payload(1000, "")).await;
        }
    }
}

/// Items 84, 86: the content types of REST.
#[tokio::test]
async fn what_rest_callers_send_reaches_clients_of_all_kinds() {
    let service = Service::watched(2).await;
    let mut receivers = Receivers::connect(&service).await;
    let kinds = [
        (
            "text/plain",
            b"gr\xC3\xBC\xC3\x9Fe".as_slice(),
            ("text", json!("grüße")),
            Received::Text("grüße".to_owned()),
        ),
        (
            "application/json",
            br#"{"n":1}"#,
            ("json", json!({ "n": 1 })),
            Received::Text(r#"{"n":1}"#.to_owned()),
        ),
        (
            "application/octet-stream",
            b"\x00\xFF\x80",
            ("binary", json!("AP+A")),
            Received::Binary(vec![0, 0xFF, 0x80]),
        ),
    ];
    for (content_type, body, (data_type, data), payload) in kinds {
        let path = "/api/hubs/chat/groups/room/:send";
        service.send(path, content_type, body).await;
        receivers
            .expect(
                json!({ "type": "message", "from": "group", "group": "room", "fromUserId": null, "dataType": data_type, "data": data }),
                &payload,
            )
            .await;
        service
            .send("/api/hubs/chat/:send", content_type, body)
            .await;
        receivers
            .expect(
                json!({ "type": "message", "from": "server", "dataType": data_type, "data": data }),
                &payload,
            )
            .await;
    }
    let answer = service
        .rest(
            "POST",
            "/api/hubs/chat/:send",
            "application/x-protobuf",
            ANY,
        )
        .await;
    assert_eq!(answer.status, 415);
}

/// A member of each kind on each of two shards.
struct Receivers {
    simple: Vec<crate::support::Client>,
    pubsub: Vec<PubSub>,
    received: u64,
}

impl Receivers {
    async fn connect(service: &Service) -> Self {
        let mut simple = Vec::new();
        let claims = json!({ "webpubsub.group": ["room"] });
        for _ in 0..2 {
            simple.push(service.simple("chat", claims.clone()).await);
        }
        let mut pubsub = Vec::new();
        for subprotocol in ALL {
            let shards: Vec<u16> = [
                service.pubsub(subprotocol, "chat", claims.clone()).await,
                service.pubsub(subprotocol, "chat", claims.clone()).await,
            ]
            .into_iter()
            .map(|client| {
                let shard = client.ticket.shard();
                pubsub.push(client);
                shard
            })
            .collect();
            assert_ne!(shards[0], shards[1]);
        }
        Self {
            simple,
            pubsub,
            received: 0,
        }
    }

    /// Asserts that everybody receives this JSON message next, in the form of each.
    async fn expect(&mut self, message: Value, payload: &Received) {
        self.received += 1;
        for client in &mut self.simple {
            assert_eq!(&client.next().await, payload, "{message}");
        }
        for client in &mut self.pubsub {
            let mut expected = message.clone();
            let fields = expected.as_object_mut().unwrap();
            if BOTH.contains(&client.ticket.subprotocol) {
                fields.remove("fromUserId");
            }
            if !client.ticket.token.is_empty() {
                fields.insert("sequenceId".to_owned(), json!(self.received));
            }
            assert_eq!(
                client.next().await,
                expected,
                "{}",
                client.ticket.subprotocol
            );
        }
    }
}

/// Item 89: the decoder of the test knows field 2 only.
#[tokio::test]
async fn a_rest_close_tells_the_reason_in_the_disconnected_message() {
    let service = Service::start().await;
    for subprotocol in BOTH {
        let mut client = service
            .pubsub(subprotocol, "chat", json!({ "sub": "alice" }))
            .await;
        let path = "/api/hubs/chat/users/alice/:closeConnections?reason=bye";
        assert_eq!(service.status("POST", path).await, 204);
        let reason = "Application server closed the connection. Reason: bye";
        let expected = message(3, &[message(2, &[len(2, reason)])]);
        assert_eq!(client.next_raw().await, (BINARY, expected));
        client.expect_close(1000, "").await;
    }
}

/// Item 4.3: nobody is the empty user.
#[tokio::test]
async fn a_client_without_a_user_is_told_an_empty_one() {
    let service = Service::start().await;
    for subprotocol in BOTH {
        let client = service.pubsub(subprotocol, "chat", json!({})).await;
        // proto3 leaves out a field that is empty.
        assert!(client.ticket.user.is_null());
    }
}

/// Items 44 to 48: acks and their errors are the same as those of JSON.
#[tokio::test]
async fn requests_are_acked_as_those_of_json_are() {
    let service = Service::start().await;
    for subprotocol in BOTH {
        let mut client = service
            .pubsub(
                subprotocol,
                "chat",
                json!({ "role": ["webpubsub.joinLeaveGroup.room"] }),
            )
            .await;
        let mut json = service
            .pubsub(
                JSON,
                "chat",
                json!({ "role": ["webpubsub.joinLeaveGroup.room"] }),
            )
            .await;
        let requests = [
            json!({ "type": "joinGroup", "group": "room", "ackId": 1 }),
            json!({ "type": "joinGroup", "group": "room", "ackId": 1 }),
            json!({ "type": "joinGroup", "group": "other", "ackId": 2 }),
            json!({ "type": "sendToGroup", "group": "room", "dataType": "text", "data": "x", "ackId": 3 }),
            json!({ "type": "event", "event": "e", "dataType": "text", "data": "x", "ackId": 4 }),
            json!({ "type": "leaveGroup", "group": "room", "ackId": u64::MAX }),
            json!({ "type": "leaveGroup", "group": "room", "ackId": 0 }),
        ];
        for request in requests {
            let ack = client.request(request.clone()).await;
            assert_eq!(ack, json.request(request).await);
        }
        // Without an ack id there is no answer, and a number of a reliable client is none of a plain one's business.
        client
            .send(json!({ "type": "joinGroup", "group": "other" }))
            .await;
        client.acknowledge(u64::MAX).await;
        client.expect_nothing().await;
    }
}

/// Item 122.
#[tokio::test]
async fn a_message_in_fragments_is_put_together() {
    let service = Service::start().await;
    for subprotocol in BOTH {
        let mut client = service.member(subprotocol, "alice").await;
        let text = "x".repeat(70_000);
        let data = message(3, &[len(1, &text)]);
        let frame = message(1, &[len(1, "room"), data]);
        let (first, rest) = frame.split_at(3);
        let (middle, last) = rest.split_at(40_000);
        client.wire.send(FIRST_BINARY, first).await;
        client.wire.send(MIDDLE, middle).await;
        client.wire.send(LAST, last).await;
        assert_eq!(client.next().await["data"], text);
    }
}

/// Item 121.
#[tokio::test]
async fn a_message_of_a_mebibyte_passes_and_a_longer_one_is_closed_with_1009() {
    let service = Service::start().await;
    for subprotocol in BOTH {
        let mut alice = service.member(subprotocol, "alice").await;
        let mut bob = service.member(RELIABLE_JSON, "bob").await;
        let frame_of = |len_of_text: usize| {
            let data = message(3, &[len(1, "x".repeat(len_of_text))]);
            message(1, &[len(1, "room"), data])
        };
        let overhead = frame_of(1 << 19).len() - (1 << 19);
        let longest = frame_of((1 << 20) - overhead);
        assert_eq!(longest.len(), 1 << 20);
        alice.wire.send(BINARY, &longest).await;
        for client in [&mut alice, &mut bob] {
            let data = client.next().await["data"].as_str().unwrap().len();
            assert_eq!(data, (1 << 20) - overhead);
        }
        let too_long = frame_of((1 << 20) - overhead + 1);
        alice.wire.send(BINARY, &too_long).await;
        let (first, close) = alice.next_raw().await;
        assert_eq!(first, CLOSE);
        assert_eq!(
            close,
            close_payload(1009, "The client message is too large.")
        );
        bob.expect_nothing().await;
        bob.close(&close_payload(1000, "")).await;
    }
}

/// Item 9, in short: a client of this subprotocol is refused like any other.
#[tokio::test]
async fn a_bad_token_is_refused_before_the_upgrade() {
    let service = Service::start().await;
    let token = service.token("other", json!({ "role": ALL_ROLES }));
    for subprotocol in BOTH {
        let answer = service
            .handshake(
                &format!("/client/hubs/chat?access_token={token}"),
                &crate::support::pubsub::offer(subprotocol),
            )
            .await;
        assert_eq!(answer.status, 401);
    }
}

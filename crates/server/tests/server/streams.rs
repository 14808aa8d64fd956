//! Streams between clients of all kinds on several shards: client-protocols 3.8, items 109 to 116.

mod cuts;
mod ends;

use hubwire_server::config::HubConfig;
use serde_json::{Value, json};

use crate::support::pubsub::{ALL, PROTOBUF, PubSub, RELIABLE_JSON};
use crate::support::wire::{CLOSE, close_payload};
use crate::support::{Client, JSON, Service};

/// Items 109, 110 and 112: every kind of publisher, on every shard.
#[tokio::test]
async fn a_stream_reaches_subscribers_of_every_kind_on_every_shard() {
    let service = Service::watched(3).await;
    let mut subscribers = Subscribers::connect(&service).await;
    let mut shards = Vec::new();
    for subprotocol in ALL.into_iter().cycle().take(9) {
        let mut publisher = service.pubsub_with_roles(subprotocol, "publisher").await;
        shards.push(publisher.ticket.shard());
        start(&mut publisher, "s").await;
        let fragments = [
            ("text", json!("hi ü"), "hi ü"),
            ("json", json!({ "n": 1 }), r#"{"n":1}"#),
            ("binary", json!("aGk="), "hi"),
        ];
        for (number, (data_type, data, payload)) in (1..).zip(&fragments) {
            publisher
                .send(json!({ "type": "streamData", "streamId": "s", "streamSequenceId": number, "dataType": data_type, "data": data }))
                .await;
            let stream = json!({ "streamId": "s", "streamSequenceId": number });
            subscribers
                .expect(data_type, data, &stream, Some(payload))
                .await;
        }
        publisher
            .send(json!({ "type": "streamEnd", "streamId": "s" }))
            .await;
        expect_acks_up_to(&mut publisher, 4).await;
        assert_eq!(
            publisher.next().await,
            json!({ "type": "streamClosed", "streamId": "s" })
        );
        let end = json!({ "streamId": "s", "streamSequenceId": 4, "endOfStream": true });
        subscribers.expect("text", &json!(""), &end, None).await;
        // Who sees only payloads has seen nothing of the end.
        service.send_to_room("next").await;
        subscribers.expect_mark("next").await;
        publisher.close(&close_payload(1000, "")).await;
    }
    shards.sort_unstable();
    shards.dedup();
    assert_eq!(shards, [0, 1, 2]);
}

/// Rule 4: acks may be batched, and the last one tells of everything.
#[tokio::test]
async fn long_streams_are_acked_and_arrive_in_order() {
    let service = Service::watched(2).await;
    for subprotocol in ALL {
        let mut readers = [
            service.member(RELIABLE_JSON, "a").await,
            service.member(PROTOBUF, "b").await,
        ];
        let mut publisher = service.pubsub_with_roles(subprotocol, "publisher").await;
        start(&mut publisher, "s").await;
        for number in 1..=300 {
            fragment(&mut publisher, "s", number).await;
        }
        expect_acks_up_to(&mut publisher, 301).await;
        for reader in &mut readers {
            for number in 1..=300 {
                expect_fragment(reader, "s", number).await;
            }
        }
        for client in readers.into_iter().chain([publisher]) {
            client.close(&close_payload(1000, "")).await;
        }
    }
}

/// Item 110: what is there already and what leaves a gap does not reach anybody.
#[tokio::test]
async fn duplicates_are_acked_again_and_gaps_are_not_accepted() {
    let service = Service::watched(2).await;
    for subprotocol in ALL {
        let mut reader = service.member(JSON, "reader").await;
        let mut publisher = service.pubsub_with_roles(subprotocol, "publisher").await;
        start(&mut publisher, "s").await;
        fragment(&mut publisher, "s", 1).await;
        expect_acks_up_to(&mut publisher, 2).await;
        for _ in 0..2 {
            fragment(&mut publisher, "s", 1).await;
            expect_acks_up_to(&mut publisher, 2).await;
        }
        for number in [3, 1000] {
            fragment(&mut publisher, "s", number).await;
            let nack = publisher.next().await;
            assert_eq!(nack["type"], "streamNack", "{nack}");
            assert_eq!(nack["name"], "InvalidSequenceId");
            assert_eq!(nack["expectedSequenceId"], 2);
        }
        fragment(&mut publisher, "s", 2).await;
        expect_fragment(&mut reader, "s", 1).await;
        expect_fragment(&mut reader, "s", 2).await;
        reader.expect_nothing().await;
        for client in [reader, publisher] {
            client.close(&close_payload(1000, "")).await;
        }
    }
}

/// Items 109 and 114.
#[tokio::test]
async fn what_cannot_be_a_stream_is_closed_with_a_name() {
    let service = Service::watched(2).await;
    for subprotocol in ALL {
        let mut publisher = service.pubsub_with_roles(subprotocol, "publisher").await;
        start(&mut publisher, "s").await;
        let begin =
            json!({ "type": "sendToGroup", "group": "room", "stream": { "streamId": "s" } });
        publisher.send(begin.clone()).await;
        expect_closed(&mut publisher, "s", "BadRequest").await;
        for frame in [
            json!({ "type": "streamData", "streamId": "x" }),
            json!({ "type": "streamData", "streamId": "x", "streamSequenceId": 1, "dataType": "text", "data": "1" }),
            json!({ "type": "streamEnd", "streamId": "x" }),
        ] {
            publisher.send(frame).await;
            expect_closed(&mut publisher, "x", "StreamNotFound").await;
        }
        // The first stream has not noticed.
        fragment(&mut publisher, "s", 1).await;
        expect_acks_up_to(&mut publisher, 2).await;
        let mut stranger = service.pubsub(subprotocol, "chat", json!({})).await;
        stranger.send(begin).await;
        expect_closed(&mut stranger, "s", "Forbidden").await;
    }
}

/// Rule 10.
#[tokio::test]
async fn no_echo_spares_the_publisher_the_fragments_and_the_end() {
    let service = Service::watched(2).await;
    for subprotocol in ALL {
        let mut publisher = service.member(subprotocol, "publisher").await;
        let mut reader = service.member(JSON, "reader").await;
        let begin = json!({ "type": "sendToGroup", "group": "room", "noEcho": true, "stream": { "streamId": "s" } });
        publisher.send(begin).await;
        expect_ack(&mut publisher, "s", 1).await;
        fragment(&mut publisher, "s", 1).await;
        expect_acks_up_to(&mut publisher, 2).await;
        publisher
            .send(json!({ "type": "streamEnd", "streamId": "s" }))
            .await;
        let closed = publisher.next().await;
        assert_eq!(closed["type"], "streamClosed", "{closed}");
        publisher.expect_nothing().await;
        expect_fragment(&mut reader, "s", 1).await;
        assert_eq!(reader.next().await["stream"]["endOfStream"], true);
        for client in [publisher, reader] {
            client.close(&close_payload(1000, "")).await;
        }
    }
}

/// The hub's switch.
#[tokio::test]
async fn without_the_switch_a_stream_is_closed_with_1007() {
    let service = Service::start_with_hub(|hub: &mut HubConfig| hub.streaming = false).await;
    for subprotocol in ALL {
        for frame in [
            json!({ "type": "sendToGroup", "group": "room", "stream": { "streamId": "s" } }),
            json!({ "type": "streamData", "streamId": "s" }),
            json!({ "type": "streamEnd", "streamId": "s" }),
        ] {
            let mut client = service.pubsub_with_roles(subprotocol, "alice").await;
            client.send(frame).await;
            let (first, close) = client.next_raw().await;
            assert_eq!(
                (first, &close[..2]),
                (CLOSE, 1007_u16.to_be_bytes().as_slice())
            );
        }
    }
}

/// Members of every kind, on every shard.
struct Subscribers {
    simple: Vec<Client>,
    pubsub: Vec<PubSub>,
}

impl Subscribers {
    async fn connect(service: &Service) -> Self {
        let claims = json!({ "webpubsub.group": ["room"] });
        let mut subscribers = Self {
            simple: Vec::new(),
            pubsub: Vec::new(),
        };
        for _ in 0..3 {
            for subprotocol in ALL {
                let client = service.pubsub(subprotocol, "chat", claims.clone()).await;
                subscribers.pubsub.push(client);
            }
            let simple = service.simple("chat", claims.clone()).await;
            subscribers.simple.push(simple);
        }
        subscribers
    }

    async fn expect(
        &mut self,
        data_type: &str,
        data: &Value,
        stream: &Value,
        payload: Option<&str>,
    ) {
        for client in &mut self.pubsub {
            let message = client.next().await;
            assert_eq!(message["type"], "message", "{message}");
            assert_eq!(message["group"], "room", "{message}");
            let got = (&message["dataType"], &message["data"], &message["stream"]);
            assert_eq!(got, (&json!(data_type), data, stream), "{message}");
        }
        let Some(payload) = payload else {
            return;
        };
        for client in &mut self.simple {
            match client.next().await {
                crate::support::Received::Text(text) => assert_eq!(text, payload),
                crate::support::Received::Binary(bytes) => assert_eq!(bytes, payload.as_bytes()),
                other => panic!("{other:?}"),
            }
        }
    }

    async fn expect_broken(&mut self, stream: &str, sequence_id: u64, error: Value) {
        for client in &mut self.pubsub {
            let message = client.next().await;
            let expected = json!({ "streamId": stream, "streamSequenceId": sequence_id, "endOfStream": true, "error": error });
            assert_eq!(message["stream"], expected, "{message}");
            assert_eq!(
                (&message["dataType"], &message["data"]),
                (&json!("text"), &json!(""))
            );
        }
    }

    async fn expect_mark(&mut self, text: &str) {
        for client in &mut self.pubsub {
            assert_eq!(client.next().await["data"], text);
        }
        for client in &mut self.simple {
            assert_eq!(client.text().await, text);
        }
    }
}

/// Starts a stream to the group `room`.
async fn start(publisher: &mut PubSub, stream: &str) {
    publisher
        .send(json!({ "type": "sendToGroup", "group": "room", "stream": { "streamId": stream } }))
        .await;
    expect_ack(publisher, stream, 1).await;
}

/// Sends a fragment that says its stream and number.
async fn fragment(publisher: &mut PubSub, stream: &str, number: u64) {
    publisher
        .send(json!({ "type": "streamData", "streamId": stream, "streamSequenceId": number, "dataType": "text", "data": format!("{stream} {number}") }))
        .await;
}

async fn expect_fragment(reader: &mut PubSub, stream: &str, number: u64) {
    let message = reader.next().await;
    assert_eq!(
        message["stream"],
        json!({ "streamId": stream, "streamSequenceId": number }),
        "{message}"
    );
    assert_eq!(message["data"], format!("{stream} {number}"));
}

async fn expect_ack(publisher: &mut PubSub, stream: &str, expected: u64) {
    assert_eq!(
        publisher.next().await,
        json!({ "type": "streamAck", "streamId": stream, "expectedSequenceId": expected })
    );
}

/// Reads acks, which only grow, up to this one.
async fn expect_acks_up_to(publisher: &mut PubSub, expected: u64) {
    let mut last = 0;
    while last < expected {
        let next = first_ack(publisher).await;
        assert!((last..=expected).contains(&next), "{next} after {last}");
        last = next;
    }
}

async fn first_ack(publisher: &mut PubSub) -> u64 {
    let ack = publisher.next().await;
    assert_eq!(ack["type"], "streamAck", "{ack}");
    ack["expectedSequenceId"].as_u64().unwrap()
}

async fn expect_closed(publisher: &mut PubSub, stream: &str, name: &str) {
    let closed = publisher.next().await;
    assert_eq!(closed["type"], "streamClosed", "{closed}");
    assert_eq!(closed["streamId"], stream, "{closed}");
    assert_eq!(closed["error"]["name"], name, "{closed}");
}

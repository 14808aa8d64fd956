//! Streams across the loss of a socket: item 116, rules 11 and 12.

use serde_json::json;

use super::{expect_acks_up_to, expect_fragment, first_ack, fragment, start};
use crate::support::pubsub::{PubSub, RELIABLE, RELIABLE_PROTOBUF, Ticket};
use crate::support::wire::close_payload;
use crate::support::{JSON, Service};

/// Item 116, rule 11: the publisher sends again what it does not know to have arrived.
#[tokio::test]
async fn a_stream_goes_on_after_its_publisher_has_lost_its_socket() {
    let service = Service::watched(2).await;
    for subprotocol in RELIABLE {
        let mut readers = [
            service.member(JSON, "a").await,
            service.member(RELIABLE_PROTOBUF, "b").await,
        ];
        let mut publisher = service.pubsub_with_roles(subprotocol, "publisher").await;
        start(&mut publisher, "s").await;
        let mut acked = 1;
        for round in 1..=5 {
            let last = round * 20;
            for number in acked..=last {
                fragment(&mut publisher, "s", number).await;
            }
            let ticket = publisher.cut();
            publisher = service.recover(&ticket).await;
            // The answer to what is sent again tells how far the service is.
            fragment(&mut publisher, "s", acked).await;
            acked = first_ack(&mut publisher).await;
        }
        for number in acked..=100 {
            fragment(&mut publisher, "s", number).await;
        }
        expect_acks_up_to(&mut publisher, 101).await;
        publisher
            .send(json!({ "type": "streamEnd", "streamId": "s" }))
            .await;
        for reader in &mut readers {
            for number in 1..=100 {
                expect_fragment(reader, "s", number).await;
            }
            let end = reader.next().await;
            assert_eq!(end["stream"]["endOfStream"], true, "{end}");
        }
        for reader in readers {
            reader.close(&close_payload(1000, "")).await;
        }
    }
}

/// Rule 12: fragments are numbered and replayed like any message.
#[tokio::test]
async fn a_reliable_subscriber_misses_no_fragment_of_a_stream() {
    let service = Service::watched(2).await;
    for subprotocol in RELIABLE {
        let mut reader = service.member(subprotocol, "reader").await;
        let mut publisher = service.pubsub_with_roles(JSON, "publisher").await;
        assert_ne!(reader.ticket.shard(), publisher.ticket.shard());
        start(&mut publisher, "s").await;
        let mut highest = 0;
        for round in 0..5_u64 {
            for number in 1..=20 {
                fragment(&mut publisher, "s", round * 20 + number).await;
            }
            // Some are read, fewer acknowledged, and the client drops what it has seen.
            for _ in 0..10 {
                expect_fragment_above(&mut reader, &mut highest).await;
            }
            reader.acknowledge(highest - 3).await;
            let ticket: Ticket = reader.cut();
            reader = service.recover(&ticket).await;
        }
        while highest < 100 {
            expect_fragment_above(&mut reader, &mut highest).await;
        }
        reader.close(&close_payload(1000, "")).await;
        publisher.close(&close_payload(1000, "")).await;
    }
}

/// Reads a message of a stream whose fragments have the numbers of the messages, and passes over one that was there before.
async fn expect_fragment_above(reader: &mut PubSub, highest: &mut u64) {
    let message = reader.next().await;
    let sequence_id = message["sequenceId"].as_u64().unwrap();
    assert_eq!(
        message["stream"]["streamSequenceId"], sequence_id,
        "{message}"
    );
    if sequence_id > *highest {
        *highest += 1;
        assert_eq!(sequence_id, *highest);
    }
}

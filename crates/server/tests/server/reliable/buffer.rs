//! The buffer of unacknowledged messages: items 103 and 104, sections 0 and 5.2; and replays of any size.

use hubwire_server::config::{Config, HubConfig};

use crate::support::Service;
use crate::support::pubsub::{
    BUFFERED, DETACHED, PubSub, RELIABLE, RELIABLE_JSON, Ticket, offer, watched,
};
use crate::support::wire::close_payload;

const FULL: &str = "The reliable message buffer is full.";
const CLOSED: &str = "hubwire_connections_closed_total";
const SLOW: &str = r#"category="SlowClient""#;

/// Item 103.
#[tokio::test]
async fn one_unacknowledged_message_too_many_ends_an_attached_connection() {
    let service = with_buffer(|hub| hub.reliable_buffer_messages = 5).await;
    for subprotocol in RELIABLE {
        let mut alice = service.member(subprotocol, "alice").await;
        let mut bob = service.member(subprotocol, "bob").await;
        for number in 1..=20 {
            service.send_to_room(&number.to_string()).await;
            for client in [&mut alice, &mut bob] {
                if number <= 5 || client.ticket.user != "alice" {
                    client.expect_numbered(number, &number.to_string()).await;
                }
            }
            if number == 6 {
                alice.expect_close(1008, FULL).await;
            }
            // Who acknowledges stays.
            if number % 5 == 0 {
                bob.acknowledge(number).await;
            }
            bob.expect_nothing().await;
        }
        expect_gone(&service, &alice.ticket).await;
        alice.close(&close_payload(1008, "")).await;
        bob.close(&close_payload(1000, "")).await;
    }
    service
        .until_metric(CLOSED, SLOW, |count| count == 2.0)
        .await;
}

/// Item 103, section 5.2: the same without a socket.
#[tokio::test]
async fn one_unacknowledged_message_too_many_ends_a_detached_connection() {
    let service = with_buffer(|hub| hub.reliable_buffer_messages = 5).await;
    for subprotocol in RELIABLE {
        let mut ticket = service.member(subprotocol, "alice").await.cut();
        service.until_detached(1).await;
        for number in 1..=5 {
            service.send_to_room(&number.to_string()).await;
        }
        let mut alice = service.recover(&ticket).await;
        for number in 1..=5 {
            alice.expect_numbered(number, &number.to_string()).await;
        }
        ticket = alice.cut();
        service.until_detached(1).await;
        service.send_to_room("6").await;
        expect_gone(&service, &ticket).await;
    }
    service
        .until_metric(CLOSED, SLOW, |count| count == 2.0)
        .await;
}

/// Item 103, at the documented default.
#[tokio::test]
async fn a_thousand_messages_may_be_unacknowledged() {
    let service = Service::watched(2).await;
    for subprotocol in RELIABLE {
        let mut alice = service.member(subprotocol, "alice").await;
        let mut bob = service.member(RELIABLE_JSON, "bob").await;
        for number in 1..=1000 {
            bob.publish(&number.to_string()).await;
        }
        for number in 1..=1000 {
            alice.expect_numbered(number, &number.to_string()).await;
        }
        alice.expect_nothing().await;
        bob.publish("one more").await;
        alice.expect_close(1008, FULL).await;
        expect_gone(&service, &alice.ticket).await;
        bob.close(&close_payload(1000, "")).await;
    }
}

/// Item 104, of a client that is there and of one that is not.
#[tokio::test]
async fn one_unacknowledged_byte_too_many_ends_the_connection() {
    let service = with_buffer(|hub| hub.reliable_buffer_bytes = 10_000).await;
    let text = "x".repeat(4000);
    for subprotocol in RELIABLE {
        let mut alice = service.member(subprotocol, "alice").await;
        for number in 1..=2 {
            service.send_to_room(&text).await;
            alice.expect_numbered(number, &text).await;
        }
        alice.acknowledge(1).await;
        alice.expect_nothing().await;
        service.send_to_room(&text).await;
        alice.expect_numbered(3, &text).await;
        service.send_to_room(&text).await;
        alice.expect_close(1008, FULL).await;
        expect_gone(&service, &alice.ticket).await;
        drop(alice);

        let ticket = service.member(subprotocol, "alice").await.cut();
        service.until_detached(1).await;
        for _ in 1..=2 {
            service.send_to_room(&text).await;
        }
        assert_eq!(service.exists(&ticket.id).await.status, 200);
        service.send_to_room(&text).await;
        expect_gone(&service, &ticket).await;
    }
}

/// Item 104, at the documented default: 16 MiB, to a client that is away and one that reads.
#[tokio::test]
async fn sixteen_mebibytes_may_be_unacknowledged() {
    let service = Service::watched(2).await;
    for subprotocol in RELIABLE {
        let ticket = service.member(subprotocol, "alice").await.cut();
        service.until_detached(1).await;
        let body = vec![b'x'; (1 << 20) - 200];
        let path = "/api/hubs/chat/groups/room/:send";
        for _ in 0..16 {
            service.send(path, "text/plain", &body).await;
        }
        let mut alice = service.recover(&ticket).await;
        for number in 1..=16 {
            let (sequence_id, data) = alice.numbered().await;
            assert_eq!(
                (sequence_id, data.as_str().unwrap().len()),
                (number, body.len())
            );
        }
        service.send_to_room("little").await;
        alice.expect_numbered(17, "little").await;
        service.send(path, "text/plain", &body).await;
        alice.expect_close(1008, FULL).await;
        expect_gone(&service, &alice.ticket).await;
    }
}

/// Section 0: a replay is not held against the client, however much may wait for others.
#[tokio::test]
async fn a_replay_longer_than_the_outbound_queue_arrives_whole() {
    let service = Service::start_with(|config| {
        watched(2)(config);
        config.limits.outbound_queue_messages = 100;
        set_buffer(config, |hub| hub.reliable_buffer_messages = 5000);
    })
    .await;
    for subprotocol in RELIABLE {
        let ticket = service.member(subprotocol, "alice").await.cut();
        service.until_detached(1).await;
        let mut bob = service.member(RELIABLE_JSON, "bob").await;
        for number in 1..=5000 {
            bob.publish(&number.to_string()).await;
        }
        bob.expect_nothing().await;
        service
            .until_metric(BUFFERED, "", |kept| kept == 5000.0)
            .await;
        // To one that reads as it comes, and to one that begins late and has little room.
        let mut alice = service.recover(&ticket).await;
        for number in 1..=5000 {
            alice.expect_numbered(number, &number.to_string()).await;
        }
        let ticket = alice.cut();
        let wire = service
            .narrow_wire(&ticket.path(), &offer(subprotocol))
            .await;
        let mut alice = PubSub::resume(wire, &ticket).await;
        assert_eq!(service.exists(&ticket.id).await.status, 200);
        for number in 1..=5000 {
            alice.expect_numbered(number, &number.to_string()).await;
        }
        alice.acknowledge(5000).await;
        alice.expect_nothing().await;
        bob.publish("next").await;
        alice.expect_numbered(5001, "next").await;
        service.until_metric(BUFFERED, "", |kept| kept == 1.0).await;
        alice.close(&close_payload(1000, "")).await;
        bob.close(&close_payload(1000, "")).await;
    }
}

/// Frames that are copied and frames that are not, many in one turn, to a client with little room that loses its socket half-way.
#[tokio::test]
async fn a_replay_of_short_and_long_frames_survives_a_cut_in_the_middle_of_a_frame() {
    let service = Service::watched(2).await;
    for subprotocol in RELIABLE {
        let ticket = service.member(subprotocol, "alice").await.cut();
        service.until_detached(1).await;
        let mut bob = service.member(RELIABLE_JSON, "bob").await;
        let texts: Vec<String> = (0..60)
            .map(|number| {
                let len = [5, 200, 16_300, 17_000, 70_000, 125, 66_000][number % 7];
                format!("{number:03}{}", "x".repeat(len - 3))
            })
            .collect();
        for text in &texts {
            bob.publish(text).await;
        }
        bob.expect_nothing().await;
        service
            .until_metric(BUFFERED, "", |kept| kept == 60.0)
            .await;
        let mut ticket = ticket;
        for read in [0, 1, 3, 4, 17, 35] {
            let wire = service
                .narrow_wire(&ticket.path(), &offer(subprotocol))
                .await;
            let mut alice = PubSub::resume(wire, &ticket).await;
            for (sequence_id, text) in (1..).zip(&texts[..read]) {
                alice.expect_numbered(sequence_id, text).await;
            }
            ticket = alice.cut();
        }
        let mut alice = service.recover(&ticket).await;
        for (sequence_id, text) in (1..).zip(&texts) {
            alice.expect_numbered(sequence_id, text).await;
        }
        alice.acknowledge(60).await;
        alice.expect_nothing().await;
        bob.publish("next").await;
        alice.expect_numbered(61, "next").await;
        alice.close(&close_payload(1000, "")).await;
        bob.close(&close_payload(1000, "")).await;
    }
}

/// What comes while a replay still waits for a slow reader stands behind it.
#[tokio::test]
async fn live_messages_stand_behind_a_replay_that_is_not_read_yet() {
    let service = Service::watched(2).await;
    for subprotocol in RELIABLE {
        let ticket = service.member(subprotocol, "alice").await.cut();
        service.until_detached(1).await;
        let mut bob = service.member(RELIABLE_JSON, "bob").await;
        let text = "x".repeat(60_000);
        for _ in 0..100 {
            bob.publish(&text).await;
        }
        bob.expect_nothing().await;
        let wire = service
            .narrow_wire(&ticket.path(), &offer(subprotocol))
            .await;
        let mut alice = PubSub::resume(wire, &ticket).await;
        for number in 0..20 {
            bob.publish(&number.to_string()).await;
        }
        bob.expect_nothing().await;
        service
            .until_metric(BUFFERED, "", |kept| kept == 120.0)
            .await;
        for number in 1..=100 {
            alice.expect_numbered(number, &text).await;
        }
        for number in 0..20 {
            alice
                .expect_numbered(101 + number, &number.to_string())
                .await;
        }
        alice.close(&close_payload(1000, "")).await;
        bob.close(&close_payload(1000, "")).await;
    }
}

async fn expect_gone(service: &Service, ticket: &Ticket) {
    assert_eq!(service.exists(&ticket.id).await.status, 404);
    service
        .expect_refused(&ticket.path(), ticket.subprotocol)
        .await;
    assert_eq!(service.metric(DETACHED, "").await, 0.0);
}

fn set_buffer(config: &mut Config, change: impl FnOnce(&mut HubConfig)) {
    let mut hub = HubConfig::default();
    change(&mut hub);
    config.hubs.set("_default", hub);
}

async fn with_buffer(change: impl FnOnce(&mut HubConfig)) -> Service {
    Service::start_with(|config| {
        watched(2)(config);
        set_buffer(config, change);
    })
    .await
}

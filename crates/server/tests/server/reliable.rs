//! Reliable connections over sockets: client-protocols 5, items 90 to 107 and 151.

mod buffer;
mod detaching;
mod recovery;
mod refused;
mod takeover;

use serde_json::json;

use crate::support::Service;
use crate::support::pubsub::{ALL, BUFFERED, RELIABLE, shard_of};

/// Item 90.
#[tokio::test]
async fn connected_carries_a_reconnection_token_on_reliable_connections_only() {
    let service = Service::start().await;
    for subprotocol in ALL {
        let client = service
            .pubsub(subprotocol, "chat", json!({ "sub": "alice" }))
            .await;
        assert_eq!(client.ticket.user, "alice", "{subprotocol}");
        let is_reliable = RELIABLE.contains(&subprotocol);
        assert_eq!(!client.ticket.token.is_empty(), is_reliable);
    }
}

/// Item 91: whoever the sender is, and whichever shard it comes from.
#[tokio::test]
async fn messages_are_numbered_from_1_on_without_gaps_and_other_frames_are_not() {
    let service = Service::watched(2).await;
    for subprotocol in RELIABLE {
        let mut alice = service.member(subprotocol, "alice").await;
        let mut bob = service.json_with_roles("chat", "bob").await;
        assert_ne!(alice.ticket.shard(), shard_of(&bob.connection_id));
        let targets = [
            "groups/room".to_owned(),
            "users/alice".to_owned(),
            format!("connections/{}", alice.ticket.id),
        ];
        let mut next = 1;
        for round in 0..5 {
            for target in &targets {
                let path = format!("/api/hubs/chat/{target}/:send");
                service.send(&path, "text/plain", target.as_bytes()).await;
                alice.expect_numbered(next, target).await;
                next += 1;
            }
            bob.send_json(json!({ "type": "sendToGroup", "group": "room", "dataType": "text", "data": "bob" }))
                .await;
            alice.expect_numbered(next, "bob").await;
            let publish = json!({ "type": "sendToGroup", "group": "room", "dataType": "text", "data": "own", "ackId": round });
            alice.send(publish).await;
            alice.expect_numbered(next + 1, "own").await;
            let ack = alice.next().await;
            assert_eq!(
                ack,
                json!({ "type": "ack", "ackId": round, "success": true })
            );
            next += 2;
            alice.expect_nothing().await;
        }
    }
}

/// Item 93.
#[tokio::test]
async fn an_acknowledgement_covers_all_before_it_an_old_one_nothing_and_one_from_the_future_all() {
    let service = Service::watched(1).await;
    for subprotocol in RELIABLE {
        let mut alice = service.member(subprotocol, "alice").await;
        for number in 1..=5 {
            service.send_to_room(&number.to_string()).await;
            alice.expect_numbered(number, &number.to_string()).await;
        }
        for acknowledged in [3, 1, 0] {
            alice.acknowledge(acknowledged).await;
        }
        alice.expect_nothing().await;
        let ticket = alice.cut();
        let mut alice = service.recover(&ticket).await;
        alice.expect_numbered(4, "4").await;
        alice.expect_numbered(5, "5").await;
        alice.expect_nothing().await;

        alice.acknowledge(u64::MAX).await;
        alice.expect_nothing().await;
        service.until_metric(BUFFERED, "", |kept| kept == 0.0).await;
        let ticket = alice.cut();
        let mut alice = service.recover(&ticket).await;
        service.send_to_room("6").await;
        alice.expect_numbered(6, "6").await;
        alice.acknowledge(6).await;
        alice.expect_nothing().await;
        alice.close(&1000_u16.to_be_bytes()).await;
    }
}

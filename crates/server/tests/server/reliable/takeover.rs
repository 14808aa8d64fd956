//! Coming back while a socket is there, or twice at once: item 100.

use futures_util::future::join_all;
use hubwire_server::config::HubConfig;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::protobuf::upstream;
use crate::support::pubsub::{DETACHED, PubSub, RELIABLE, Ticket, offer, watched};
use crate::support::wire::{BINARY, CLOSE, TEXT, Wire, frame, upgrade_request};
use crate::support::{PATIENCE, Service};

const WAITING: &str = "hubwire_send_queue_bytes";

/// Item 100.
#[tokio::test]
async fn a_recovery_takes_over_from_the_old_socket() {
    let service = Service::watched(2).await;
    for subprotocol in RELIABLE {
        let mut old = service.member(subprotocol, "alice").await;
        service.send_to_room("one").await;
        old.expect_numbered(1, "one").await;
        let mut new = service.recover(&old.ticket).await;
        new.expect_numbered(1, "one").await;
        old.wire.expect_end().await;
        service.send_to_room("two").await;
        new.expect_numbered(2, "two").await;
        new.acknowledge(2).await;
        new.expect_nothing().await;
        assert_eq!(service.metric(DETACHED, "").await, 0.0);
        new.close(&1000_u16.to_be_bytes()).await;
    }
}

/// Item 100: nothing that the old socket still brings counts.
#[tokio::test]
async fn a_client_that_is_taken_over_in_the_middle_of_a_frame_is_heard_no_more() {
    let service = Service::watched(1).await;
    let subprotocol = RELIABLE[0];
    let mut bob = service.member(subprotocol, "bob").await;
    let mut old = service.member(subprotocol, "alice").await;
    old.publish("whole").await;
    bob.expect_numbered(1, "whole").await;
    let half = json!({ "type": "sendToGroup", "group": "room", "dataType": "text", "data": "half", "noEcho": true });
    let half = frame(TEXT, half.to_string().as_bytes());
    let (first, rest) = half.split_at(20);
    old.wire.send_bytes(first).await;
    let mut new = service.recover(&old.ticket).await;
    old.wire.expect_end().await;
    // The other half, on the new socket, is no frame of a client that starts anew.
    new.publish("new").await;
    bob.expect_numbered(2, "new").await;
    new.wire.send_bytes(rest).await;
    let (first, _) = new.next_raw().await;
    assert_eq!(first, CLOSE);
}

/// Section 5.4: however many clients come back at once, one has the connection in the end, and nothing is lost or there twice.
#[tokio::test]
async fn of_several_recoveries_at_once_exactly_one_has_the_connection() {
    let service = Service::watched(2).await;
    for subprotocol in RELIABLE {
        let mut client = service.member(subprotocol, "alice").await;
        for round in 1..=30 {
            let text = round.to_string();
            let ticket = client.ticket.clone();
            if round % 3 == 0 {
                drop(client);
            }
            service.send_to_room(&text).await;
            let attempts = (0..2 + round % 3).map(|_| attempt(&service, &ticket));
            let mut alive = Vec::new();
            for mut wire in join_all(attempts).await {
                if is_alive(&mut wire, &ticket).await {
                    alive.push(wire);
                }
            }
            assert_eq!(alive.len(), 1, "round {round}");
            drop(alive);
            client = service.recover(&ticket).await;
            client.expect_numbered(round, &text).await;
            client.acknowledge(round).await;
            client.expect_nothing().await;
        }
        client.close(&1000_u16.to_be_bytes()).await;
    }
}

/// What waited for a reader that has stopped reading is not counted any more when it is taken over.
#[tokio::test]
async fn a_takeover_forgets_what_waited_for_the_old_socket() {
    let service = Service::start_with(|config| {
        watched(2)(config);
        let hub = HubConfig {
            reliable_buffer_bytes: 1 << 30,
            ..HubConfig::default()
        };
        config.hubs.set("_default", hub);
    })
    .await;
    for subprotocol in RELIABLE {
        let claims = json!({ "sub": "alice", "webpubsub.group": ["room"] });
        let path = service.client_path("chat", claims);
        let wire = service.narrow_wire(&path, &offer(subprotocol)).await;
        let mut old = PubSub::start(wire, subprotocol, "chat").await;
        let text = "x".repeat(200_000);
        let mut sent = 0;
        while service.metric(WAITING, "").await < 1_000_000.0 {
            service.send_to_room(&text).await;
            // When the second answer comes, the shard is through with the turn of the first, its metrics included.
            for _ in 0..2 {
                let exists = service.exists(&old.ticket.id).await;
                assert_eq!(exists.status, 200, "after {sent}");
            }
            sent += 1;
            assert!(sent < 500, "the kernel's buffers never filled");
        }
        let mut new = service.recover(&old.ticket).await;
        for number in 1..=sent {
            new.expect_numbered(number, &text).await;
        }
        service
            .until_metric(WAITING, "", |waiting| waiting == 0.0)
            .await;
        new.expect_nothing().await;
        while old.wire.next().await.is_some() {}
        new.close(&1000_u16.to_be_bytes()).await;
    }
}

/// Section 5.4: a client that asks for its connection and is gone before it gets it may ask again.
#[tokio::test]
async fn a_request_that_is_given_up_does_not_cost_the_connection() {
    let service = Service::watched(2).await;
    for subprotocol in RELIABLE {
        let mut client = service.member(subprotocol, "alice").await;
        for round in 1..=30 {
            let text = round.to_string();
            service.send_to_room(&text).await;
            let ticket = match round % 2 {
                0 => client.cut(),
                _ => client.ticket.clone(),
            };
            let request = upgrade_request(service.addr, &ticket.path(), &offer(subprotocol));
            for _ in 0..3 {
                let mut tcp = TcpStream::connect(service.addr).await.unwrap();
                tcp.write_all(request.as_bytes()).await.unwrap();
                if round % 3 == 0 {
                    tcp.set_zero_linger().unwrap();
                }
            }
            client = service.recover_in_the_end(&ticket).await;
            client.expect_numbered(round, &text).await;
            client.acknowledge(round).await;
            client.expect_nothing().await;
        }
        client.close(&1000_u16.to_be_bytes()).await;
    }
}

impl Service {
    /// Asks for a connection until no earlier request for it is under way.
    async fn recover_in_the_end(&self, ticket: &Ticket) -> PubSub {
        let ask = async {
            loop {
                let mut wire = attempt(self, ticket).await;
                if is_alive(&mut wire, ticket).await {
                    return;
                }
            }
        };
        timeout(PATIENCE, ask).await.unwrap();
        self.recover(ticket).await
    }
}

async fn attempt(service: &Service, ticket: &Ticket) -> Wire {
    service
        .wire(&ticket.path(), &offer(ticket.subprotocol))
        .await
}

/// Tells whether a client is neither refused nor taken over.
async fn is_alive(wire: &mut Wire, ticket: &Ticket) -> bool {
    let ping = json!({ "type": "ping" });
    let (first, ping) = match ticket.subprotocol.starts_with("json") {
        true => (TEXT, ping.to_string().into_bytes()),
        false => (BINARY, upstream(&ping)),
    };
    let ping = frame(first, &ping);
    // One that is taken over may be reset already.
    wire.tcp.write_all(&ping).await.ok();
    while let Some((first, payload)) = wire.next().await {
        let is_pong = payload == br#"{"type":"pong"}"# || payload == [0x22, 0];
        if first == CLOSE || is_pong {
            return is_pong;
        }
    }
    false
}

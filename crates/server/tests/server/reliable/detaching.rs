//! What only detaches a connection and what ends it: items 101, 102 and 106, sections 5.3 and 7.2.

use std::time::Duration;

use hubwire_server::config::HubConfig;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::pubsub::{
    BUFFERED, DETACHED, PubSub, RELIABLE, RELIABLE_JSON, Ticket, offer, watched,
};
use crate::support::wire::{CLOSE, PING, TEXT, close_payload, upgrade_request};
use crate::support::{JSON, PATIENCE, Service, exchange};

const CONNECTIONS: &str = "hubwire_connections";
const CLOSED: &str = "hubwire_connections_closed_total";
const GROUPS: &str = "hubwire_groups";

/// Item 102.
#[tokio::test]
async fn a_client_that_closes_with_1000_is_gone_at_once() {
    let service = Service::watched(2).await;
    for subprotocol in RELIABLE {
        for reason in ["", "bye"] {
            let alice = service.member(subprotocol, "alice").await;
            let ticket = alice.close(&close_payload(1000, reason)).await;
            assert_eq!(service.exists(&ticket.id).await.status, 404);
            assert_eq!(service.metric(DETACHED, "").await, 0.0);
            service.expect_refused(&ticket.path(), subprotocol).await;
        }
    }
    let normal = r#"category="Normal""#;
    service
        .until_metric(CLOSED, normal, |count| count == 4.0)
        .await;
}

/// Item 102.
#[tokio::test]
async fn a_client_that_leaves_in_any_other_way_may_come_back() {
    let service = Service::watched(2).await;
    for subprotocol in RELIABLE {
        let mut closes: Vec<Vec<u8>> = vec![Vec::new()];
        closes.extend([1001, 1002, 1008, 1011, 3000, 4999].map(|code| close_payload(code, "bye")));
        for payload in closes {
            let mut alice = service.member(subprotocol, "alice").await;
            alice.wire.send(CLOSE, &payload).await;
            assert_eq!(alice.next_raw().await, (CLOSE, payload.clone()));
            alice.wire.expect_end().await;
            let ticket = alice.ticket;
            service.until_detached(1).await;
            come_back(&service, ticket).await;
        }
        let alice = service.member(subprotocol, "alice").await;
        let ticket = alice.cut();
        service.until_detached(1).await;
        come_back(&service, ticket).await;

        // The end of the stream, without a close frame.
        let alice = service.member(subprotocol, "alice").await;
        let ticket = alice.ticket.clone();
        drop(alice);
        service.until_detached(1).await;
        come_back(&service, ticket).await;

        let mut half = service.member(subprotocol, "alice").await;
        half.wire.send_bytes(&[TEXT, 0xFE, 0x10]).await;
        let ticket = half.cut();
        service.until_detached(1).await;
        come_back(&service, ticket).await;
    }
}

/// Comes back, with a message that was sent meanwhile, and leaves for good.
async fn come_back(service: &Service, ticket: Ticket) {
    service.send_to_room("meanwhile").await;
    let mut alice = service.recover(&ticket).await;
    alice.expect_numbered(1, "meanwhile").await;
    alice.close(&close_payload(1000, "")).await;
    assert_eq!(service.metric(DETACHED, "").await, 0.0);
}

/// Sections 5.3 and 9: who has no socket is there all the same.
#[tokio::test]
async fn a_detached_connection_exists_and_is_counted_and_listed() {
    let service = Service::watched(2).await;
    let mut tickets = Vec::new();
    for subprotocol in RELIABLE {
        tickets.push(service.member(subprotocol, "alice").await.cut());
    }
    service.until_detached(2).await;
    for ticket in &tickets {
        assert_eq!(service.exists(&ticket.id).await.status, 200);
    }
    for path in ["users/alice", "groups/room"] {
        let path = format!("/api/hubs/chat/{path}");
        assert_eq!(service.status("HEAD", &path).await, 200, "{path}");
    }
    let listed = service.get("/api/hubs/chat/groups/room/connections").await;
    let mut ids: Vec<&str> = listed["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["connectionId"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    let mut expected: Vec<&str> = tickets.iter().map(|ticket| ticket.id.as_str()).collect();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert_eq!(service.metric(CONNECTIONS, "").await, 2.0);
    for ticket in tickets {
        service.recover(&ticket).await.cut();
    }
}

/// What a caller does to a detached connection holds when it comes back.
#[tokio::test]
async fn memberships_changed_by_rest_while_detached_hold_afterwards() {
    let service = Service::watched(2).await;
    for subprotocol in RELIABLE {
        let ticket = service.member(subprotocol, "alice").await.cut();
        service.until_detached(1).await;
        let id = &ticket.id;
        let group = |group: &str| format!("/api/hubs/chat/groups/{group}/connections/{id}");
        assert_eq!(service.status("PUT", &group("new")).await, 200);
        assert_eq!(service.status("DELETE", &group("room")).await, 204);
        service.send_to_room("nobody").await;
        service
            .send("/api/hubs/chat/groups/new/:send", "text/plain", b"new")
            .await;
        let mut alice = service.recover(&ticket).await;
        alice.expect_numbered(1, "new").await;
        alice.expect_nothing().await;
        alice.close(&close_payload(1000, "")).await;
    }
}

/// Item 101.
#[tokio::test]
async fn a_connection_that_is_not_recovered_in_time_is_gone() {
    let service = Service::start_with(|config| {
        watched(2)(config);
        config.limits.recovery_window = Duration::from_millis(50);
    })
    .await;
    for (round, subprotocol) in RELIABLE.into_iter().enumerate() {
        let mut alice = service.member(subprotocol, "alice").await;
        service.send_to_room("kept").await;
        alice.expect_numbered(1, "kept").await;
        service.until_metric(BUFFERED, "", |kept| kept == 1.0).await;
        let ticket = alice.cut();
        service
            .until_metric(CONNECTIONS, "", |count| count == 0.0)
            .await;
        assert_eq!(service.exists(&ticket.id).await.status, 404);
        service.expect_refused(&ticket.path(), subprotocol).await;
        for metric in [DETACHED, BUFFERED, GROUPS] {
            service.until_metric(metric, "", |count| count == 0.0).await;
        }
        let lost = r#"category="ConnectionLost""#;
        let ended = service.metric(CLOSED, lost).await;
        assert_eq!(ended, (round + 1) as f64);
    }
}

/// Item 106: all four ways to close by REST, of a client that is there and of one that is not.
#[tokio::test]
async fn a_connection_closed_by_rest_cannot_be_recovered() {
    let service = Service::watched(2).await;
    for subprotocol in RELIABLE {
        for target in ["connection", "user", "group", "all"] {
            for is_detached in [false, true] {
                let mut alice = service.member(subprotocol, "alice").await;
                let ticket = alice.ticket.clone();
                if is_detached {
                    alice.cut();
                    service.until_detached(1).await;
                    close_by_rest(&service, target, &ticket.id).await;
                } else {
                    close_by_rest(&service, target, &ticket.id).await;
                    let message = "Application server closed the connection. Reason: bye";
                    assert_eq!(
                        alice.next().await,
                        json!({ "type": "system", "event": "disconnected", "message": message })
                    );
                    alice.expect_close(1000, "").await;
                    alice.cut();
                }
                assert_eq!(service.exists(&ticket.id).await.status, 404, "{target}");
                service.expect_refused(&ticket.path(), subprotocol).await;
                assert_eq!(service.metric(DETACHED, "").await, 0.0);
            }
        }
    }
    let by_app_server = r#"category="ClosedByAppServer""#;
    service
        .until_metric(CLOSED, by_app_server, |count| count == 16.0)
        .await;
}

async fn close_by_rest(service: &Service, target: &str, id: &str) {
    let (method, path) = match target {
        "connection" => ("DELETE", format!("connections/{id}")),
        "user" => ("POST", "users/alice/:closeConnections".to_owned()),
        "group" => ("POST", "groups/room/:closeConnections".to_owned()),
        _ => ("POST", ":closeConnections".to_owned()),
    };
    let path = format!("/api/hubs/chat/{path}?reason=bye");
    assert_eq!(service.status(method, &path).await, 204, "{path}");
}

/// Section 5.3: a client that answers no ping loses its socket only. That takes a little more than five seconds.
#[tokio::test]
async fn a_silent_client_may_come_back() {
    let service = Service::start_with(|config| {
        watched(2)(config);
        let hub = HubConfig {
            web_socket_keep_alive_interval: Duration::from_millis(50),
            ..HubConfig::default()
        };
        config.hubs.set("_default", hub);
    })
    .await;
    let mut silent = Vec::new();
    for subprotocol in RELIABLE {
        silent.push(service.member(subprotocol, "alice").await);
    }
    for client in &mut silent {
        while let Some((first, _)) = client.wire.next().await {
            assert_eq!(first, PING, "nothing but pings comes before the end");
        }
    }
    service.until_detached(2).await;
    service.send_to_room("meanwhile").await;
    for client in silent {
        let mut client = service.recover(&client.ticket).await;
        client.expect_numbered(1, "meanwhile").await;
    }
}

/// Section 5.3: a client that breaks the protocol is not one to come back.
#[tokio::test]
async fn a_connection_that_the_service_has_closed_cannot_be_recovered() {
    let service = Service::watched(1).await;
    let broken: [(u8, Vec<u8>, u16); 4] = [
        (TEXT, b"{}".to_vec(), 1007),
        (TEXT, b"\xFF".to_vec(), 1007),
        (TEXT, vec![b'x'; (1 << 20) + 1], 1009),
        (0x83, b"hi".to_vec(), 1002),
    ];
    for (first, payload, code) in broken {
        let mut alice = service.member(RELIABLE_JSON, "alice").await;
        alice.wire.send(first, &payload).await;
        let (first, close) = alice.next_raw().await;
        assert_eq!((first, &close[..2]), (CLOSE, code.to_be_bytes().as_slice()));
        let ticket = alice.cut();
        service.expect_refused(&ticket.path(), RELIABLE_JSON).await;
    }
}

/// Section 5.3: a connection whose old socket has not finished its closing handshake is taken over all the same.
#[tokio::test]
async fn a_client_may_come_back_while_its_goodbye_is_under_way() {
    let service = Service::watched(1).await;
    for subprotocol in RELIABLE {
        let mut old = service.member(subprotocol, "alice").await;
        old.wire.send(CLOSE, &close_payload(1001, "")).await;
        service.send_to_room("meanwhile").await;
        let mut new = service.recover(&old.ticket).await;
        new.expect_numbered(1, "meanwhile").await;
        while old.wire.next().await.is_some() {}
        new.expect_nothing().await;
        new.close(&close_payload(1000, "")).await;
    }
}

/// Section 7.2.
#[tokio::test]
async fn a_shutdown_does_not_wait_for_detached_connections() {
    let service = Service::start_with(|config| {
        watched(2)(config);
        config.shutdown_timeout = 100 * PATIENCE;
        config.limits.recovery_window = 100 * PATIENCE;
    })
    .await;
    for number in 0..4 {
        service.member(RELIABLE[number % 2], "alice").await.cut();
    }
    service.until_detached(4).await;
    timeout(PATIENCE, service.server.shutdown()).await.unwrap();
}

/// Sections 1.4, 7.2: there is nobody left to recover with, and the client may ask again elsewhere.
#[tokio::test]
async fn a_recovery_during_a_shutdown_is_answered_with_503() {
    let service = Service::watched(1).await;
    let addr = service.addr;
    let ticket = service.member(RELIABLE_JSON, "alice").await.cut();
    service.until_detached(1).await;
    let mut witness = service.member(JSON, "witness").await;
    let path = service.client_path("chat", json!({}));
    let shutdown = tokio::spawn(service.server.shutdown());
    let disconnected: Value = witness.next().await;
    assert_eq!(disconnected["event"], "disconnected");
    witness.expect_close(1001, "Service is restarting.").await;
    for path in [&ticket.path(), &path] {
        let request = upgrade_request(addr, path, &offer(RELIABLE_JSON));
        let answer = exchange(addr, request.as_bytes()).await;
        assert_eq!(answer.status, 503);
        assert!(answer.header("retry-after").is_some());
    }
    witness.close(&close_payload(1001, "")).await;
    timeout(PATIENCE, shutdown).await.unwrap().unwrap();
}

/// Section 7.2: a reliable client is told like any other.
#[tokio::test]
async fn a_shutdown_tells_reliable_clients_and_closes_with_1001() {
    let service = Service::watched(2).await;
    let mut clients: Vec<PubSub> = Vec::new();
    for number in 0..4 {
        clients.push(service.member(RELIABLE[number % 2], "alice").await);
    }
    service.send_to_room("before").await;
    let shutdown = tokio::spawn(service.server.shutdown());
    for mut client in clients {
        client.expect_numbered(1, "before").await;
        let message = "Service is restarting.";
        assert_eq!(
            client.next().await,
            json!({ "type": "system", "event": "disconnected", "message": message })
        );
        client.expect_close(1001, message).await;
        client.close(&close_payload(1001, "")).await;
    }
    timeout(PATIENCE, shutdown).await.unwrap().unwrap();
}

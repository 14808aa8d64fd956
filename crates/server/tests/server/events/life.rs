//! `connected` and `disconnected`: events-and-operations 1 and 5.2, client-protocols 1.4 and 7.2.

use serde_json::json;

use crate::support::events::{EVERYTHING, WithHandler, event};
use crate::support::handler::{Recorded, Reply, reply};
use crate::support::pubsub::{ALL, JSON_CLIENTS, RELIABLE, watched};
use crate::support::wire::close_payload;
use crate::support::{ALL_ROLES, JSON};

fn ids(events: &[Recorded]) -> Vec<&str> {
    events.iter().map(|event| event.header("ce-id")).collect()
}

/// Section 1, number 1: one counter for all events of a connection.
#[tokio::test]
async fn events_of_a_connection_are_counted() {
    let with = WithHandler::start(EVERYTHING, |_| reply(200, &[], "")).await;
    for (index, subprotocol) in ALL.into_iter().enumerate() {
        let mut client = with
            .service
            .pubsub(subprotocol, "chat", json!({ "sub": "Ünï" }))
            .await;
        client.send(event("do", "text", json!("x"))).await;
        with.until("do", index + 1).await;
        let id = client.close(&close_payload(1000, "")).await.id;
        with.until("disconnected", index + 1).await;
        let mut all = with.events("");
        all.retain(|event| event.header("ce-connectionid") == id);
        all.sort_by_key(|event| event.header("ce-id").parse::<u64>().unwrap());
        assert_eq!(ids(&all), ["0", "1", "2", "3"]);
        let names: Vec<&str> = all
            .iter()
            .map(|event| event.header("ce-eventname"))
            .collect();
        assert_eq!(names, ["connect", "connected", "do", "disconnected"]);
        for event in &all {
            assert_eq!(event.header("ce-source"), format!("/hubs/chat/client/{id}"));
            assert_eq!(
                event.headers.get("ce-userid").unwrap().as_bytes(),
                "Ünï".as_bytes()
            );
        }
        assert_eq!(all[1].header("ce-type"), "azure.webpubsub.sys.connected");
        assert_eq!(all[1].body, "{}");
        assert_eq!(all[3].body, r#"{"reason":null}"#);
        assert_eq!(all[3].header("content-type"), "application/json");
    }
}

/// Section 5.2, client-protocols 7.2: why a connection ended.
#[tokio::test]
async fn the_reason_of_an_end_is_told() {
    let with = WithHandler::start(EVERYTHING, |_| reply(200, &[], "")).await;
    let mut count = 0;
    let mut reason = async || {
        count += 1;
        let event = with.until("disconnected", count).await.pop().unwrap();
        let body: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
        body["reason"].as_str().unwrap().to_owned()
    };
    for subprotocol in JSON_CLIENTS {
        let client = with.service.pubsub(subprotocol, "chat", json!({})).await;
        let path = format!(
            "/api/hubs/chat/connections/{}?reason=maintenance",
            client.ticket.id
        );
        assert_eq!(with.service.status("DELETE", &path).await, 204);
        assert_eq!(
            reason().await,
            "Application server closed the connection. Reason: maintenance"
        );
        drop(client);
    }
    let mut client = with.service.pubsub(JSON, "chat", json!({})).await;
    client.send(json!({ "type": "nonsense" })).await;
    assert_eq!(
        reason().await,
        "The client message is not a valid JSON protocol message."
    );
    let client = with.service.pubsub(JSON, "chat", json!({})).await;
    client.cut();
    assert!(!reason().await.is_empty());
}

/// Section 1, number 3: a reliable connection ends when its window is over.
#[tokio::test]
async fn a_reliable_connection_is_disconnected_once_when_nobody_comes_back() {
    let with = WithHandler::start_with(
        EVERYTHING,
        "",
        |_| reply(200, &[], ""),
        |config| {
            watched(1)(config);
            config.limits.recovery_window = std::time::Duration::from_millis(50);
        },
    )
    .await;
    for (index, subprotocol) in RELIABLE.into_iter().enumerate() {
        let client = with.service.pubsub(subprotocol, "chat", json!({})).await;
        client.cut();
        with.until("disconnected", index + 1).await;
    }
    assert_eq!(with.events("connected").len(), 2);
    assert_eq!(with.events("disconnected").len(), 2);
}

/// Section 4.4: a notification that fails is repeated, and means nothing to its client.
#[tokio::test]
async fn a_failing_notification_is_nothing_to_the_client() {
    let with = WithHandler::start(EVERYTHING, |request: &Recorded| {
        match request.header("ce-eventname") {
            "connected" => reply(500, &[], ""),
            _ => reply(200, &[], ""),
        }
    })
    .await;
    let mut client = with
        .service
        .json("chat", json!({ "role": ALL_ROLES }))
        .await;
    let attempts = with.until("connected", 2).await;
    assert_eq!(attempts[0].header("ce-id"), attempts[1].header("ce-id"));
    assert_eq!(attempts[0].header("ce-time"), attempts[1].header("ce-time"));
    client.join("room").await;
}

/// Section 1, number 7: a shutdown tells the handler of every end before the process goes.
#[tokio::test]
async fn a_shutdown_delivers_the_ends_of_all_connections() {
    let with = WithHandler::start_with(
        EVERYTHING,
        "",
        |_| reply(200, &[], ""),
        |config| config.shards = 2,
    )
    .await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(with.service.pubsub(JSON, "chat", json!({})).await);
    }
    with.until("connected", 50).await;
    let WithHandler { service, handler } = with;
    let closing = clients.into_iter().map(|mut client| async move {
        assert_eq!(client.next().await["event"], "disconnected");
        client.close(&close_payload(1001, "")).await;
    });
    tokio::join!(
        service.server.shutdown(),
        futures_util::future::join_all(closing)
    );
    let ends = handler.requests();
    let ends = ends
        .iter()
        .filter(|event| event.header("ce-eventname") == "disconnected");
    let reasons: Vec<_> = ends.map(|event| event.body.clone()).collect();
    assert_eq!(reasons.len(), 50);
    assert!(
        reasons
            .iter()
            .all(|reason| reason == r#"{"reason":"Service is restarting."}"#)
    );
}

/// Section 9.1: what a client has sent before a shutdown is delivered.
#[tokio::test]
async fn an_event_under_way_when_a_shutdown_begins_is_delivered() {
    let (tell, told) = tokio::sync::watch::channel(false);
    let with = WithHandler::start(EVERYTHING, move |request: &Recorded| {
        let Reply::Now(response) = reply(200, &[], "") else {
            unreachable!("a reply of now");
        };
        match request.header("ce-eventname") {
            "slow" => Reply::Later(told.clone(), response),
            _ => Reply::Now(response),
        }
    })
    .await;
    let mut client = with.service.pubsub(JSON, "chat", json!({})).await;
    client.send(event("slow", "text", json!("x"))).await;
    with.until("slow", 1).await;
    let WithHandler { service, handler } = with;
    let shutdown = tokio::spawn(service.server.shutdown());
    assert_eq!(client.next().await["event"], "disconnected");
    client.close(&close_payload(1001, "")).await;
    assert!(!shutdown.is_finished(), "it waits for the answer");
    tell.send(true).unwrap();
    shutdown.await.unwrap();
    handler.lost(1).await;
}

/// Section 9.1: a shutdown takes no longer than it may for a handler that does not answer.
#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever_for_a_handler() {
    let with = WithHandler::start_with(
        EVERYTHING,
        "",
        |request: &Recorded| match request.header("ce-eventname") {
            "disconnected" => Reply::Never,
            _ => reply(200, &[], ""),
        },
        |config| config.shutdown_timeout = std::time::Duration::from_millis(300),
    )
    .await;
    let client = with.service.pubsub(JSON, "chat", json!({})).await;
    client.cut();
    with.until("disconnected", 1).await;
    tokio::time::timeout(crate::support::PATIENCE, with.service.server.shutdown())
        .await
        .unwrap();
}

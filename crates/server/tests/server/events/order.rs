//! What waits for a handler and what does not: item 68, client-protocols 3.7 and events-and-operations 1.

use serde_json::json;
use tokio::sync::watch;

use crate::support::events::{EVERYTHING, WithHandler, event, on_user_event, typed, with_ack};
use crate::support::handler::{Reply, reply};
use crate::support::pubsub::{ALL, RELIABLE_JSON};
use crate::support::wire::{CLOSE, TEXT, close_payload};
use crate::support::{ALL_ROLES, JSON};

/// A handler that answers events named `slow` only when it is told to, and others at once with their data.
async fn slow(settings: &str) -> (WithHandler, watch::Sender<bool>) {
    let (tell, told) = watch::channel(false);
    let answer = on_user_event(move |request| match request.header("ce-eventname") {
        "slow" => {
            let Reply::Now(response) = typed("text/plain", "slow") else {
                unreachable!("a reply of now");
            };
            Reply::Later(told.clone(), response)
        }
        _ => typed("text/plain", request.body.clone()),
    });
    (WithHandler::start(settings, answer).await, tell)
}

/// Item 68.
#[tokio::test]
async fn pings_and_invocations_pass_while_an_event_waits_and_nothing_else_does() {
    let (with, tell) = slow(EVERYTHING).await;
    for (index, subprotocol) in ALL.into_iter().enumerate() {
        tell.send(false).unwrap();
        let mut client = with.service.member(subprotocol, "alice").await;
        client.send(event("slow", "text", json!("x"))).await;
        with.until("slow", index + 1).await;
        client.send(json!({ "type": "sendToGroup", "group": "room", "dataType": "text", "data": "held" })).await;
        client.acknowledge(1).await;
        client.send(json!({ "type": "ping" })).await;
        assert_eq!(client.next().await, json!({ "type": "pong" }));
        client
            .send(json!({ "type": "invoke", "invocationId": "1", "event": "quick", "dataType": "text", "data": "now" }))
            .await;
        let response = client.next().await;
        assert_eq!(
            (&response["type"], &response["data"]),
            (&json!("invokeResponse"), &json!("now"))
        );
        tell.send(true).unwrap();
        assert_eq!(client.next().await["data"], "slow");
        assert_eq!(client.next().await["data"], "held");
        client.close(&close_payload(1000, "")).await;
    }
}

/// Client-protocols 3.7: what is held back is bounded, and all of it is handled in the end.
#[tokio::test]
async fn a_client_that_sends_on_while_its_event_waits_loses_nothing() {
    let (with, tell) = slow(EVERYTHING).await;
    let claims = json!({ "role": ALL_ROLES, "webpubsub.group": ["room"] });
    let path = with.service.client_path("chat", claims);
    let mut wire = with
        .service
        .wire(&path, &format!("Sec-WebSocket-Protocol: {JSON}\r\n"))
        .await;
    wire.next().await.expect("connected");
    wire.send(
        TEXT,
        event("slow", "text", json!("x")).to_string().as_bytes(),
    )
    .await;
    with.until("slow", 1).await;
    for number in 0..300 {
        let frame = json!({ "type": "sendToGroup", "group": "room", "data": { "n": number, "pad": "x".repeat(1000) } });
        wire.send(TEXT, frame.to_string().as_bytes()).await;
    }
    wire.send(
        TEXT,
        br#"{"type":"event","event":"last","dataType":"text","data":"last"}"#,
    )
    .await;
    tell.send(true).unwrap();
    let mut next = async || {
        loop {
            let (first, payload) = wire.next().await.expect("a frame");
            if first == TEXT {
                return serde_json::from_slice::<serde_json::Value>(&payload).unwrap();
            }
        }
    };
    assert_eq!(next().await["data"], "slow");
    for number in 0..300 {
        assert_eq!(next().await["data"]["n"], number);
    }
    assert_eq!(next().await["data"], "last");
}

/// Section 1: a client's close comes behind what it has sent before.
#[tokio::test]
async fn events_before_a_close_are_handled_before_the_connection_ends() {
    let (with, tell) = slow(EVERYTHING).await;
    let mut client = with.service.pubsub(JSON, "chat", json!({})).await;
    client.send(event("slow", "text", json!("x"))).await;
    client.send(event("second", "text", json!("y"))).await;
    with.until("slow", 1).await;
    client.wire.send(CLOSE, &close_payload(1000, "")).await;
    tell.send(true).unwrap();
    with.until("second", 1).await;
    let disconnected = with.until("disconnected", 1).await;
    assert_eq!(disconnected[0].body, r#"{"reason":null}"#);
    assert_eq!(client.next().await["data"], "slow");
}

/// Client-protocols 2: the request for a client that is gone is taken back.
#[tokio::test]
async fn the_request_of_a_client_that_drops_is_taken_back() {
    let with = WithHandler::start(EVERYTHING, on_user_event(|_| Reply::Never)).await;
    let mut client = with.service.pubsub(JSON, "chat", json!({})).await;
    client.send(event("slow", "text", json!("x"))).await;
    with.until("slow", 1).await;
    client.cut();
    with.until("disconnected", 1).await;
    with.handler.lost(1).await;
}

/// Section 1: where nobody waits for an answer, nothing is held back.
#[tokio::test]
async fn clients_without_events_are_not_delayed_by_those_of_others() {
    let (with, tell) = slow(EVERYTHING).await;
    let mut slow = with.service.json("chat", json!({})).await;
    slow.send_json(event("slow", "text", json!("x"))).await;
    with.until("slow", 1).await;
    let mut other = with.service.json("chat", json!({})).await;
    let ack = other
        .request(with_ack(event("quick", "text", json!("")), 1))
        .await;
    assert_eq!(ack["success"], true);
    tell.send(true).unwrap();
    assert_eq!(slow.json().await["data"], "slow");
}

/// Section 1: the events of a reliable connection that has lost its socket go on.
#[tokio::test]
async fn held_messages_are_handled_while_the_socket_is_lost() {
    let (with, tell) = slow(EVERYTHING).await;
    let mut client = with.service.pubsub(RELIABLE_JSON, "chat", json!({})).await;
    client.send(event("slow", "text", json!("x"))).await;
    client.send(event("second", "text", json!("y"))).await;
    with.until("slow", 1).await;
    // What the service has read before the loss is what it has got.
    client.expect_nothing().await;
    let ticket = client.cut();
    tell.send(true).unwrap();
    with.until("second", 1).await;
    let mut client = with.service.recover(&ticket).await;
    client.expect_numbered(1, "slow").await;
    client.expect_numbered(2, "y").await;
}

/// Section 5.4.
#[tokio::test]
async fn an_event_without_ack_and_without_reply_says_nothing() {
    let with = WithHandler::start(EVERYTHING, |_| reply(200, &[], "")).await;
    let mut client = with.service.json("chat", json!({})).await;
    client.send_json(event("do", "text", json!("x"))).await;
    with.until("do", 1).await;
    client.expect_nothing().await;
}

//! Invocations where nothing handles events: client-protocols 3.9, items 117 and 118 as far as they go without a handler.

use hubwire_server::config::HubConfig;
use serde_json::json;

use crate::support::Service;
use crate::support::pubsub::{ALL, RELIABLE, watched};
use crate::support::wire::{CLOSE, close_payload};

/// Item 117, and no ack or number comes with the answer.
#[tokio::test]
async fn an_invocation_that_nothing_handles_fails_with_not_found() {
    let service = Service::watched(2).await;
    for subprotocol in ALL {
        let mut client = service.member(subprotocol, "alice").await;
        for (id, data) in [
            ("1", json!({ "dataType": "text", "data": "hi" })),
            ("ü", json!({ "data": { "n": 1 } })),
            ("3", json!({})),
            ("1", json!({ "metadata": { "Key": "value" } })),
        ] {
            let mut invoke = data;
            invoke["type"] = json!("invoke");
            invoke["invocationId"] = json!(id);
            invoke["event"] = json!("add");
            client.send(invoke).await;
            let response = client.next().await;
            let message = "Nothing handles the event.";
            assert_eq!(
                response,
                json!({ "type": "invokeResponse", "invocationId": id, "success": false, "error": { "name": "NotFound", "message": message } })
            );
        }
        service.send_to_room("next").await;
        let next = client.next().await;
        assert_eq!(next["data"], "next");
        if RELIABLE.contains(&subprotocol) {
            assert_eq!(next["sequenceId"], 1);
        }
        client.close(&close_payload(1000, "")).await;
    }
}

/// Item 118.
#[tokio::test]
async fn cancelling_what_is_not_there_says_nothing() {
    let service = Service::start().await;
    for subprotocol in ALL {
        let mut client = service.pubsub(subprotocol, "chat", json!({})).await;
        client
            .send(json!({ "type": "cancelInvocation", "invocationId": "1" }))
            .await;
        client.expect_nothing().await;
    }
}

/// Section 3.9: an answer that is lost with the socket is not sent again.
#[tokio::test]
async fn the_answer_to_an_invocation_is_not_replayed() {
    let service = Service::watched(1).await;
    for subprotocol in RELIABLE {
        let mut client = service.member(subprotocol, "alice").await;
        client
            .send(json!({ "type": "invoke", "invocationId": "1", "event": "add" }))
            .await;
        assert_eq!(client.next().await["type"], "invokeResponse");
        service.send_to_room("kept").await;
        client.expect_numbered(1, "kept").await;
        let ticket = client.cut();
        let mut client = service.recover(&ticket).await;
        client.expect_numbered(1, "kept").await;
        client.expect_nothing().await;
        client.close(&close_payload(1000, "")).await;
    }
}

/// The hub's switch.
#[tokio::test]
async fn without_the_switch_an_invocation_is_closed_with_1007() {
    let service = Service::start_with(|config| {
        watched(1)(config);
        let hub = HubConfig {
            invocation: false,
            ..HubConfig::default()
        };
        config.hubs.set("_default", hub);
    })
    .await;
    for subprotocol in ALL {
        for frame in [
            json!({ "type": "invoke", "invocationId": "1", "event": "add" }),
            json!({ "type": "cancelInvocation", "invocationId": "1" }),
        ] {
            let mut client = service.pubsub(subprotocol, "chat", json!({})).await;
            client.send(frame).await;
            let (first, close) = client.next_raw().await;
            assert_eq!(
                (first, &close[..2]),
                (CLOSE, 1007_u16.to_be_bytes().as_slice())
            );
        }
    }
}

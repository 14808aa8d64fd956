//! Every end of a stream, on both sides: items 111, 113, 115 and 116.

use std::time::Duration;

use serde_json::json;

use super::{Subscribers, expect_ack, expect_acks_up_to, expect_closed, fragment, start};
use crate::support::Service;
use crate::support::pubsub::{ALL, RELIABLE, watched};
use crate::support::wire::close_payload;

/// Item 113, with everything that an error may say.
#[tokio::test]
async fn subscribers_are_told_the_publishers_error() {
    let service = Service::watched(3).await;
    let mut subscribers = Subscribers::connect(&service).await;
    for subprotocol in ALL {
        let mut publisher = service.pubsub_with_roles(subprotocol, "publisher").await;
        start(&mut publisher, "s").await;
        publisher
            .send(json!({ "type": "streamEnd", "streamId": "s", "error": { "message": "no more", "userErrorCode": "E1" } }))
            .await;
        assert_eq!(
            publisher.next().await,
            json!({ "type": "streamClosed", "streamId": "s" })
        );
        let error = json!({ "name": "UserError", "message": "no more", "userErrorCode": "E1" });
        subscribers.expect_broken("s", 1, error).await;
        publisher.close(&close_payload(1000, "")).await;
    }
}

/// Items 111 and 115: a keep-alive reaches nobody; the end by idleness reaches both sides, wherever they are.
#[tokio::test]
async fn an_idle_stream_ends_on_both_sides() {
    let service = Service::watched(3).await;
    let mut subscribers = Subscribers::connect(&service).await;
    for subprotocol in ALL {
        let mut publisher = service.pubsub_with_roles(subprotocol, "publisher").await;
        publisher
            .send(json!({ "type": "sendToGroup", "group": "room", "stream": { "streamId": "s", "idleTimeoutMs": 50 } }))
            .await;
        expect_ack(&mut publisher, "s", 1).await;
        publisher
            .send(json!({ "type": "streamData", "streamId": "s" }))
            .await;
        expect_closed(&mut publisher, "s", "IdleTimeout").await;
        let error = json!({ "name": "IdleTimeout", "message": "Nothing came for the idle timeout of the stream." });
        subscribers.expect_broken("s", 1, error).await;
        publisher.close(&close_payload(1000, "")).await;
    }
}

/// Rule 9.
#[tokio::test]
async fn a_permission_revoked_by_rest_ends_the_stream_on_both_sides() {
    let service = Service::watched(3).await;
    let mut subscribers = Subscribers::connect(&service).await;
    for subprotocol in ALL {
        let mut publisher = service.pubsub_with_roles(subprotocol, "publisher").await;
        start(&mut publisher, "s").await;
        let path = format!(
            "/api/hubs/chat/permissions/sendToGroup/connections/{}?targetName=room",
            publisher.ticket.id
        );
        assert_eq!(service.status("DELETE", &path).await, 204);
        fragment(&mut publisher, "s", 1).await;
        expect_closed(&mut publisher, "s", "Forbidden").await;
        let message = "The client does not have permission to send to group 'room'.";
        let error = json!({ "name": "Forbidden", "message": message });
        subscribers.expect_broken("s", 1, error).await;
        publisher.close(&close_payload(1000, "")).await;
    }
}

/// Item 116: a plain publisher's streams end with its socket, a reliable one's when it is gone for good.
#[tokio::test]
async fn subscribers_are_told_when_the_publisher_is_gone() {
    let service = Service::start_with(|config| {
        watched(3)(config);
        config.limits.recovery_window = Duration::from_millis(50);
    })
    .await;
    let mut subscribers = Subscribers::connect(&service).await;
    for subprotocol in ALL {
        for way in ["cut", "close", "REST"] {
            let mut publisher = service.pubsub_with_roles(subprotocol, "publisher").await;
            for stream in ["s", "t"] {
                start(&mut publisher, stream).await;
            }
            fragment(&mut publisher, "s", 1).await;
            expect_acks_up_to(&mut publisher, 2).await;
            let stream = json!({ "streamId": "s", "streamSequenceId": 1 });
            subscribers
                .expect("text", &json!("s 1"), &stream, Some("s 1"))
                .await;
            match way {
                "cut" => drop(publisher.cut()),
                "close" => drop(publisher.close(&close_payload(1000, "")).await),
                _ => {
                    let path = "/api/hubs/chat/users/publisher/:closeConnections";
                    assert_eq!(service.status("POST", path).await, 204);
                }
            }
            let error = json!({ "name": "Cancelled", "message": "The publisher is gone." });
            subscribers.expect_broken("s", 2, error.clone()).await;
            subscribers.expect_broken("t", 1, error).await;
        }
    }
}

/// Item 116: a stream that ends by idleness while its publisher is away.
#[tokio::test]
async fn an_idle_stream_of_a_detached_publisher_ends() {
    let service = Service::watched(3).await;
    let mut subscribers = Subscribers::connect(&service).await;
    for subprotocol in RELIABLE {
        let mut publisher = service.pubsub_with_roles(subprotocol, "publisher").await;
        publisher
            .send(json!({ "type": "sendToGroup", "group": "room", "stream": { "streamId": "s", "idleTimeoutMs": 300 } }))
            .await;
        expect_ack(&mut publisher, "s", 1).await;
        let ticket = publisher.cut();
        let error = json!({ "name": "IdleTimeout", "message": "Nothing came for the idle timeout of the stream." });
        subscribers.expect_broken("s", 1, error).await;
        let mut publisher = service.recover(&ticket).await;
        fragment(&mut publisher, "s", 1).await;
        expect_closed(&mut publisher, "s", "StreamNotFound").await;
        publisher.close(&close_payload(1000, "")).await;
    }
}

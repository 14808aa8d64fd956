//! Quotas that an operator may set, for a hub and in total.

use hubwire_server::config::HubConfig;
use serde_json::json;

use crate::support::metrics::with_metrics;
use crate::support::wire::{CLOSE, Wire};
use crate::support::{Answer, Received, Service};

const CLOSED: &str = "hubwire_connections_closed_total";
const QUEUED: &str = "hubwire_send_queue_bytes";
const UNACKED: &str = "hubwire_reliable_buffer_messages";
/// Sends of 60,000 bytes that the kernel's buffers cannot hold.
const FILLERS_MAX: usize = 1000;

#[tokio::test]
async fn a_hub_has_no_more_connections_than_it_may_and_the_others_have_theirs() {
    let service = Service::start_with(|config| {
        config.limits.connections_max = 3;
        config.hubs.set(
            "small",
            HubConfig {
                connections_max: 1,
                ..HubConfig::default()
            },
        );
    })
    .await;
    let first = service.json("small", json!({})).await;
    let refused = service
        .handshake(&service.client_path("small", json!({})), "")
        .await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), Some("1"));
    let _others = [
        service.json("large", json!({})).await,
        service.json("large", json!({})).await,
    ];
    let refused = service
        .handshake(&service.client_path("large", json!({})), "")
        .await;
    assert_eq!(refused.status, 429, "the total counts all hubs");
    let path = format!("/api/hubs/small/connections/{}", first.connection_id);
    assert_eq!(service.rest("DELETE", &path, "", b"").await.status, 204);
    service.json("small", json!({})).await;
}

#[tokio::test]
async fn the_share_of_connections_in_use_is_a_metric_if_there_is_a_limit() {
    let service = Service::start_with(|config| {
        with_metrics(config);
        config.limits.connections_max = 4;
    })
    .await;
    let _client = service.simple("chat", json!({})).await;
    assert_eq!(
        service.metric("hubwire_connection_limit_ratio", "").await,
        0.25
    );
    let unlimited = Service::start_with(with_metrics).await;
    let text = unlimited.request("GET", "/metrics", "", b"").await.body;
    assert!(!text.contains("connection_limit_ratio"), "{text}");
}

#[tokio::test]
async fn rest_requests_beyond_a_hub_s_rate_are_refused_and_those_of_others_are_not() {
    let service = Service::start_with(|config| {
        config.hubs.set(
            "busy",
            HubConfig {
                rest_requests_per_second: 1,
                ..HubConfig::default()
            },
        );
    })
    .await;
    let refused = refused_of(&service, "/api/hubs/busy/:send", 20).await;
    assert_error(&refused);
    assert!(
        first_refused(&service, "/api/hubs/idle/:send", 20)
            .await
            .is_none()
    );
}

#[tokio::test]
async fn rest_requests_beyond_the_total_rate_are_refused_but_health_is_not() {
    let service = Service::start_with(|config| config.limits.rest_requests_per_second = 1).await;
    let refused = refused_of(&service, "/api/hubs/chat/:send", 20).await;
    assert_error(&refused);
    for _ in 0..20 {
        assert_eq!(
            service.request("GET", "/api/health", "", b"").await.status,
            200
        );
    }
}

#[tokio::test]
async fn rest_messages_beyond_the_rate_are_refused_and_not_delivered() {
    let service = Service::start_with(|config| config.limits.messages_per_second = 1).await;
    let mut client = service.simple("chat", json!({})).await;
    let mut accepted = Vec::new();
    let mut refused = 0;
    for number in 0..20 {
        let text = number.to_string();
        let answer = service
            .rest(
                "POST",
                "/api/hubs/chat/:send",
                "text/plain",
                text.as_bytes(),
            )
            .await;
        match answer.status {
            202 => accepted.push(text),
            429 => refused += 1,
            status => panic!("unexpected {status}"),
        }
    }
    assert!(refused > 0, "20 sends took 20 seconds");
    for text in accepted {
        assert_eq!(client.text().await, text);
    }
}

#[tokio::test]
async fn a_client_that_publishes_faster_than_it_may_is_slowed_down_and_nothing_is_lost() {
    let service = Service::start_with(|config| config.limits.messages_per_second = 40).await;
    let mut sender = service.json_with_roles("chat", "sender").await;
    let mut receiver = service
        .simple("chat", json!({ "webpubsub.group": "room" }))
        .await;
    for number in 0..100 {
        sender
            .send_json(
                json!({ "type": "sendToGroup", "group": "room", "data": number, "ackId": number }),
            )
            .await;
    }
    for number in 0..100 {
        assert_eq!(receiver.text().await, number.to_string());
        let ack = sender.json().await;
        assert_eq!(
            ack,
            json!({ "type": "ack", "ackId": number, "success": true })
        );
    }
    sender.expect_nothing().await;
}

#[tokio::test]
async fn above_the_memory_limit_the_slowest_client_goes_and_the_others_stay() {
    let service = Service::start_with(|config| {
        with_metrics(config);
        config.limits.memory = 2_000_000;
    })
    .await;
    let mut good = service.simple("chat", json!({ "sub": "good" })).await;
    let mut slower = stalled(&service, "slower").await;
    let mut sent = 0;
    while service.metric(CLOSED, r#"category="SlowClient""#).await == 0.0 {
        assert!(sent < FILLERS_MAX, "the limit was never reached");
        send_to(&service, "slower").await;
        sent += 1;
    }
    loop {
        let (first, payload) = slower.next().await.unwrap();
        if first == CLOSE {
            assert_eq!(payload, b"\x03\xF0The outbound message queue is full.");
            break;
        }
    }
    service.until_metric(QUEUED, "", |bytes| bytes == 0.0).await;
    service
        .send("/api/hubs/chat/users/good/:send", "text/plain", b"hi")
        .await;
    assert_eq!(good.text().await, "hi");
    service.simple("chat", json!({})).await;
}

#[tokio::test]
async fn above_the_memory_limit_the_client_with_most_unacknowledged_goes() {
    let service = Service::start_with(|config| {
        with_metrics(config);
        config.limits.memory = 2_000_000;
    })
    .await;
    let connect = async |user: &str| {
        let path = service.client_path("chat", json!({ "sub": user }));
        let mut client = service
            .connect_path(&path, &["json.reliable.webpubsub.azure.v1"])
            .await;
        assert_eq!(client.json().await["event"], "connected");
        client
    };
    let mut modest = connect("modest").await;
    let mut greedy = connect("greedy").await;
    send_to(&service, "modest").await;
    assert_eq!(modest.json().await["sequenceId"], 1);
    let mut sent = 0;
    while service.metric(CLOSED, r#"category="SlowClient""#).await == 0.0 {
        assert!(sent < FILLERS_MAX, "the limit was never reached");
        send_to(&service, "greedy").await;
        sent += 1;
        // It reads everything, and acknowledges nothing.
        match greedy.next().await {
            Received::Text(_) => {}
            last => {
                let reason = "The outbound message queue is full.".to_owned();
                assert_eq!(last, Received::Close(1008, reason));
                break;
            }
        }
    }
    assert!(sent > 30, "{sent} messages were too many");
    service
        .until_metric(UNACKED, "", |messages| messages == 1.0)
        .await;
    send_to(&service, "modest").await;
    assert_eq!(modest.json().await["sequenceId"], 2);
}

/// Connects a client that does not read, and sends to it until something waits in the service.
async fn stalled(service: &Service, user: &str) -> Wire {
    let path = service.client_path("chat", json!({ "sub": user }));
    let wire = service.narrow_wire(&path, "").await;
    for _ in 0..FILLERS_MAX {
        if service.metric(QUEUED, "").await > 0.0 {
            return wire;
        }
        send_to(service, user).await;
    }
    panic!("the kernel's buffers never filled");
}

async fn send_to(service: &Service, user: &str) {
    let path = format!("/api/hubs/chat/users/{user}/:send");
    service.send(&path, "text/plain", &[b'x'; 60_000]).await;
}

async fn first_refused(service: &Service, path: &str, requests: usize) -> Option<Answer> {
    for _ in 0..requests {
        let answer = service.rest("POST", path, "text/plain", b"hi").await;
        match answer.status {
            202 => {}
            429 => return Some(answer),
            status => panic!("unexpected {status}"),
        }
    }
    None
}

async fn refused_of(service: &Service, path: &str, requests: usize) -> Answer {
    let refused = first_refused(service, path, requests).await;
    refused.expect("so many requests take less than so many seconds")
}

fn assert_error(answer: &Answer) {
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(
        answer.header("x-ms-error-code"),
        Some("Error.TooManyRequests")
    );
    assert!(
        answer.body.contains("\"target\":\"Request\""),
        "{}",
        answer.body
    );
}

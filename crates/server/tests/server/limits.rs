//! Liveness, slow consumers and expiry: client-protocols 7.1, 7.2 and 9, items 125 and 126; rest-api 2.5.

use std::time::Duration;

use hubwire_server::config::{Config, HubConfig};
use serde_json::json;
use tokio::time::timeout;

use crate::support::metrics::with_metrics;
use crate::support::wire::{JSON_HEAD, PING, PONG, TEXT, Wire};
use crate::support::{Client, PATIENCE, Received, Service};

/// Bound of a wait for a silent client's end, which comes 7 s after its last sign of life at the shortest interval.
const SILENCE_PATIENCE: Duration = Duration::from_secs(30);
const QUEUED: &str = "hubwire_send_queue_bytes";
const CLOSED: &str = "hubwire_connections_closed_total";
/// Sends of 60,000 bytes that the kernel's buffers cannot hold.
const FILLERS_MAX: usize = 1000;

/// Item 125.
#[tokio::test]
async fn an_idle_client_is_pinged_at_the_interval_of_its_hub() {
    let service = Service::start_with(|config| {
        config.hubs.set("often", keep_alive(1));
        config.hubs.set("seldom", keep_alive(120));
    })
    .await;
    let mut often = service.simple("often", json!({})).await;
    let mut seldom = service.simple("seldom", json!({})).await;
    for _ in 0..2 {
        assert_eq!(often.next_with_pings().await, Received::Ping);
    }
    service
        .send("/api/hubs/seldom/:send", "text/plain", b"first")
        .await;
    assert_eq!(
        seldom.next_with_pings().await,
        Received::Text("first".to_owned())
    );
}

/// Item 125: any frame is a sign of life, not only a pong.
#[tokio::test]
async fn a_silent_client_is_dropped_without_a_close_frame_and_the_others_stay() {
    let service = Service::start_with(|config| {
        with_metrics(config);
        config.hubs.set("_default", keep_alive(1));
    })
    .await;
    let mut silent = service.wire(&user_path(&service, "silent"), "").await;
    let mut talking = service
        .wire(&user_path(&service, "talking"), JSON_HEAD)
        .await;
    let mut polite = service.json("chat", json!({ "sub": "polite" })).await;
    let dropped = async {
        let mut pings = 0;
        while let Some((first, _)) = silent.next().await {
            assert_eq!(first, PING, "nothing but pings comes before the end");
            pings += 1;
        }
        assert!(pings >= 2, "{pings} pings came");
    };
    let live = async {
        tokio::join!(
            async {
                loop {
                    if talking.next().await.unwrap().0 == PING {
                        talking.send(TEXT, br#"{"type":"ping"}"#).await;
                    }
                }
            },
            async {
                loop {
                    assert_eq!(polite.next_with_pings().await, Received::Ping);
                }
            }
        )
    };
    let race = async {
        tokio::select! {
            () = dropped => {}
            _ = live => unreachable!("they go on for ever"),
        }
    };
    timeout(SILENCE_PATIENCE, race).await.unwrap();
    service
        .until_metric(CLOSED, r#"category="PingTimeout""#, |count| count == 1.0)
        .await;
    talking.send(PING, b"still here").await;
    loop {
        let (first, payload) = talking.next().await.unwrap();
        if first == PONG {
            assert_eq!(payload, b"still here");
            break;
        }
    }
    polite.expect_nothing().await;
}

/// Item 126.
#[tokio::test]
async fn a_client_with_too_many_messages_waiting_is_closed_with_1008() {
    slow_consumer(|config| config.limits.outbound_queue_messages = 3).await;
}

/// Item 126.
#[tokio::test]
async fn a_client_with_too_many_bytes_waiting_is_closed_with_1008() {
    slow_consumer(|config| config.limits.outbound_queue_bytes = 200_000).await;
}

async fn slow_consumer(limit: impl FnOnce(&mut Config)) {
    let service = Service::start_with(|config| {
        with_metrics(config);
        config.limits.close_timeout = 10 * PATIENCE;
        limit(config);
    })
    .await;
    let claims = json!({ "sub": "good", "webpubsub.group": ["room"] });
    let mut good = service.simple("chat", claims).await;
    let claims = json!({ "sub": "slow", "webpubsub.group": ["room"] });
    let path = service.client_path("chat", claims);
    let mut slow = service.narrow_wire(&path, "").await;
    let mut sent = 0;
    while service.metric(CLOSED, r#"category="SlowClient""#).await == 0.0 {
        assert!(sent < FILLERS_MAX, "the queue never filled");
        send_numbered(&service, "groups/room", sent, "").await;
        expect_numbered(&mut good, sent).await;
        sent += 1;
    }
    let exists = service
        .rest("HEAD", "/api/hubs/chat/users/slow", "", b"")
        .await;
    assert_eq!(exists.status, 404);
    for number in 0.. {
        let (first, payload) = slow.next().await.unwrap();
        if first != TEXT {
            assert_eq!(payload, b"\x03\xF0The outbound message queue is full.");
            assert!(number < sent);
            break;
        }
        assert_eq!(number_of(&payload), number, "what was queued is in order");
    }
    send_numbered(&service, "groups/room", sent, "").await;
    expect_numbered(&mut good, sent).await;
    service.until_metric(QUEUED, "", |bytes| bytes == 0.0).await;
}

/// Item 126: pongs wait in the same queue.
#[tokio::test]
async fn a_client_that_pings_without_reading_is_closed_with_1008() {
    let service = Service::start_with(|config| {
        with_metrics(config);
        config.limits.outbound_queue_messages = 10;
    })
    .await;
    let mut slow = stalled(&service, "slow").await;
    for _ in 0..20 {
        slow.send(PING, b"").await;
    }
    service
        .until_metric(CLOSED, r#"category="SlowClient""#, |count| count == 1.0)
        .await;
}

/// rest-api 2.5.
#[tokio::test]
async fn a_message_that_waited_longer_than_its_time_to_live_is_not_delivered() {
    let service = Service::start_with(|config| {
        with_metrics(config);
        config.hubs.set("clock", keep_alive(1));
    })
    .await;
    let mut slow = stalled(&service, "slow").await;
    send_numbered(&service, "users/slow", 1, "&messageTtlSeconds=1").await;
    send_numbered(&service, "users/slow", 2, "&messageTtlSeconds=300").await;
    send_numbered(&service, "users/slow", 3, "&messageTtlSeconds=1").await;
    send_numbered(&service, "users/slow", 4, "&messageTtlSeconds=0").await;
    a_second_passes(&service).await;
    send_numbered(&service, "users/slow", 5, "&messageTtlSeconds=300").await;
    let mut numbers = Vec::new();
    while numbers.last() != Some(&5) {
        let (first, payload) = slow.next().await.unwrap();
        assert_eq!(first, TEXT);
        numbers.push(number_of(&payload));
    }
    numbers.retain(|number| *number != 0);
    assert_eq!(numbers, [2, 4, 5]);
    service.until_metric(QUEUED, "", |bytes| bytes == 0.0).await;
}

/// rest-api 2.5: a full queue is cleared of what has expired before its client is called slow.
#[tokio::test]
async fn expired_messages_make_room_for_later_ones() {
    let service = Service::start_with(|config| {
        with_metrics(config);
        config.hubs.set("clock", keep_alive(1));
        config.limits.outbound_queue_messages = 20;
    })
    .await;
    let mut slow = stalled(&service, "slow").await;
    for _ in 0..10 {
        send_numbered(&service, "users/slow", 1, "&messageTtlSeconds=1").await;
    }
    a_second_passes(&service).await;
    for number in 10..24 {
        send_numbered(&service, "users/slow", number, "").await;
    }
    let mut numbers = Vec::new();
    while numbers.last() != Some(&23) {
        let (first, payload) = slow.next().await.unwrap();
        assert_eq!(first, TEXT, "{payload:?}");
        numbers.push(number_of(&payload));
    }
    numbers.retain(|number| *number != 0);
    assert_eq!(numbers, (10..24).collect::<Vec<_>>());
    service.until_metric(QUEUED, "", |bytes| bytes == 0.0).await;
}

pub(crate) fn keep_alive(seconds: u64) -> HubConfig {
    HubConfig {
        web_socket_keep_alive_interval: Duration::from_secs(seconds),
        ..HubConfig::default()
    }
}

fn user_path(service: &Service, user: &str) -> String {
    service.client_path("chat", json!({ "sub": user }))
}

/// Connects a client that does not read, and sends to it until something waits in the service: more than what the kernel may still
/// move from one of its buffers to the other.
async fn stalled(service: &Service, user: &str) -> Wire {
    let wire = service.narrow_wire(&user_path(service, user), "").await;
    for _ in 0..FILLERS_MAX {
        if service.metric(QUEUED, "").await > 60_000.0 {
            return wire;
        }
        send_numbered(service, &format!("users/{user}"), 0, "").await;
        // When the second answer comes, the shard is through with the turn of the first, its metrics included.
        for _ in 0..2 {
            let path = format!("/api/hubs/chat/users/{user}");
            let exists = service.rest("HEAD", &path, "", b"").await;
            assert_eq!(exists.status, 200);
        }
    }
    panic!("the kernel's buffers never filled");
}

/// Waits for a second of the service's clock: the first ping of a new client comes an interval after its arrival.
pub(crate) async fn a_second_passes(service: &Service) {
    let mut clock = service.simple("clock", json!({})).await;
    assert_eq!(clock.next_with_pings().await, Received::Ping);
}

/// Sends 60,000 bytes that begin with a number.
async fn send_numbered(service: &Service, target: &str, number: usize, query: &str) {
    let path = format!("/api/hubs/chat/{target}/:send?api-version=2024-12-01{query}");
    let body = format!("{number:<60000}");
    service.send(&path, "text/plain", body.as_bytes()).await;
}

async fn expect_numbered(client: &mut Client, number: usize) {
    let text = client.text().await;
    assert_eq!(number_of(text.as_bytes()), number);
}

fn number_of(payload: &[u8]) -> usize {
    let text = std::str::from_utf8(payload).unwrap();
    text.trim_end().parse().unwrap()
}

//! What clients with the same user, token or claim may use together. Source: events-and-operations 9.4.

use std::time::Duration;

use hubwire_server::config::{
    AnonymousConnectPolicy, Config, ConnectionCountRule, HubConfig, ThrottleKey, TrafficControlRule,
};
use serde_json::{Value, json};

use crate::support::metrics::with_metrics;
use crate::support::pubsub::{DETACHED, RELIABLE_JSON, watched};
use crate::support::{Answer, JSON, Received, Service};

const CONNECTIONS: &str = "hubwire_connections";
const CLOSED: &str = "hubwire_connections_closed_total";
const TOO_MANY: &str =
    "There are as many connections of this user, token or claim as there may be.";
const THROTTLED: &str = "The client has sent more than it may.";
const LIFETIME_OVER: &str = "The connection has reached its maximum lifetime.";

fn count(config: &mut Config, key: ThrottleKey, max_count: usize) {
    let rules = &mut config.firewall.client_connection_count_rules;
    rules.push(ConnectionCountRule { key, max_count });
}

fn limit_traffic(config: &mut Config, key: ThrottleKey, bytes: usize) {
    let rules = &mut config.firewall.client_traffic_control_rules;
    rules.push(TrafficControlRule {
        max_inbound_message_bytes: bytes,
        // So long that no test sees its end.
        aggregation_window: Duration::from_secs(3600),
        ..TrafficControlRule::new(key)
    });
}

fn claim(name: &str) -> ThrottleKey {
    ThrottleKey::JwtCustomClaim(name.to_owned())
}

async fn try_to_connect(service: &Service, hub: &str, claims: Value) -> Answer {
    service
        .handshake(&service.client_path(hub, claims), "")
        .await
}

fn assert_too_many(answer: &Answer) {
    assert_eq!((answer.status, answer.body.as_str()), (429, TOO_MANY));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn the_21st_connection_of_a_user_is_refused_until_one_has_ended() {
    let service = Service::start_with(|config| {
        config.shards = 2;
        with_metrics(config);
        let rule = ConnectionCountRule::new(ThrottleKey::UserId);
        config.firewall.client_connection_count_rules = vec![rule];
    })
    .await;
    let mut clients = Vec::new();
    for number in 0..20 {
        // Of all hubs together.
        let hub = format!("hub{}", number % 3);
        clients.push(service.json(&hub, json!({ "sub": "ann" })).await);
    }
    assert_too_many(&try_to_connect(&service, "hub1", json!({ "sub": "ann" })).await);
    service.json("hub1", json!({ "sub": "bob" })).await;
    drop(clients.pop());
    service
        .until_metric(CONNECTIONS, "", |count| count == 19.0)
        .await;
    let _again = service.json("hub1", json!({ "sub": "ann" })).await;
    assert_too_many(&try_to_connect(&service, "hub1", json!({ "sub": "ann" })).await);
    let id = clients[0].connection_id.clone();
    let path = format!("/api/hubs/hub0/connections/{id}");
    assert_eq!(service.rest("DELETE", &path, "", b"").await.status, 204);
    service.json("hub1", json!({ "sub": "ann" })).await;
}

#[tokio::test]
async fn connections_with_the_same_token_are_counted_by_its_signature() {
    let service = Service::start_with(|config| count(config, ThrottleKey::JwtSignature, 1)).await;
    let path = service.client_path("chat", json!({ "sub": "ann" }));
    let _client = service.connect_path(&path, &[JSON]).await;
    assert_too_many(&service.handshake(&path, "").await);
    let other = json!({ "sub": "ann", "jti": "another token" });
    service.json("chat", other).await;
}

#[tokio::test]
async fn connections_with_the_same_claim_are_counted_together() {
    let service = Service::start_with(|config| count(config, claim("tenant"), 1)).await;
    let _client = service
        .json("chat", json!({ "sub": "ann", "tenant": "a" }))
        .await;
    let same = json!({ "sub": "bob", "tenant": "a" });
    assert_too_many(&try_to_connect(&service, "chat", same).await);
    service
        .json("chat", json!({ "sub": "ann", "tenant": "b" }))
        .await;
}

#[tokio::test]
async fn client_without_the_claim_of_a_rule_is_not_counted() {
    let service = Service::start_with(|config| {
        let hub = HubConfig {
            anonymous_connect_policy: AnonymousConnectPolicy::Allow,
            ..HubConfig::default()
        };
        config.hubs.set("_default", hub);
        count(config, ThrottleKey::UserId, 1);
        count(config, claim("tenant"), 1);
    })
    .await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(service.json("chat", json!({})).await);
        clients.push(service.connect_path("/client/hubs/chat", &[]).await);
    }
}

/// A client that was refused for another reason, or never took its connection, leaves no place behind.
#[tokio::test]
async fn handshake_that_comes_to_nothing_gives_its_place_back() {
    let service = Service::start_with(|config| {
        with_metrics(config);
        count(config, ThrottleKey::UserId, 1);
        config.limits.connections_max = 1;
    })
    .await;
    let claims = json!({ "sub": "ann" });
    let other = service.json("chat", json!({ "sub": "bob" })).await;
    for _ in 0..3 {
        let refused = try_to_connect(&service, "chat", claims.clone()).await;
        assert_ne!(refused.body, TOO_MANY);
        assert_eq!(refused.status, 429);
    }
    drop(other);
    service
        .until_metric(CONNECTIONS, "", |count| count == 0.0)
        .await;
    for _ in 0..3 {
        let accepted = try_to_connect(&service, "chat", claims.clone()).await;
        assert_eq!(accepted.status, 101);
        service
            .until_metric(CONNECTIONS, "", |count| count == 0.0)
            .await;
    }
}

#[tokio::test]
async fn reliable_connection_counts_while_it_is_detached_and_once_after_recovery() {
    let service = Service::start_with(|config| {
        watched(2)(config);
        config.limits.recovery_window = Duration::from_secs(3600);
        count(config, ThrottleKey::UserId, 1);
    })
    .await;
    let claims = json!({ "sub": "ann" });
    let client = service.pubsub(RELIABLE_JSON, "chat", claims.clone()).await;
    let ticket = client.cut();
    service
        .until_metric(DETACHED, "", |count| count == 1.0)
        .await;
    assert_too_many(&try_to_connect(&service, "chat", claims.clone()).await);
    let recovered = service.recover(&ticket).await;
    assert_too_many(&try_to_connect(&service, "chat", claims.clone()).await);
    let mut payload = 1000_u16.to_be_bytes().to_vec();
    payload.extend_from_slice(b"bye");
    recovered.close(&payload).await;
    service.pubsub(RELIABLE_JSON, "chat", claims).await;
}

#[tokio::test]
async fn client_that_sends_too_much_is_closed_and_what_was_too_much_is_not_delivered() {
    let service = Service::start_with(|config| {
        with_metrics(config);
        limit_traffic(config, ThrottleKey::UserId, 1000);
    })
    .await;
    let publish = "/client/hubs/chat?webpubsub_mode=sendToGroup&group=room&access_token=";
    let claims =
        |user: &str| json!({ "sub": user, "role": "webpubsub.sendToGroup", "webpubsub.group": [] });
    let sender = |user: &str| format!("{publish}{}", service.token("chat", claims(user)));
    let mut receiver = service
        .simple("chat", json!({ "webpubsub.group": "room" }))
        .await;
    let mut first = service.connect_path(&sender("ann"), &[]).await;
    let mut second = service.connect_path(&sender("ann"), &[]).await;
    let mut other = service.connect_path(&sender("bob"), &[]).await;
    first.send_text("a".repeat(600)).await;
    assert_eq!(receiver.text().await.len(), 600);
    second.send_text("b".repeat(400)).await;
    assert_eq!(receiver.text().await.len(), 400);
    first.send_text("c").await;
    first.expect_close(1008, THROTTLED).await;
    // Coming back does not help within the window.
    let mut again = service.connect_path(&sender("ann"), &[]).await;
    again.send_text("d").await;
    again.expect_close(1008, THROTTLED).await;
    other.send_text("e".repeat(1000)).await;
    assert_eq!(receiver.text().await, "e".repeat(1000));
    second.send_text("f").await;
    second.expect_close(1008, THROTTLED).await;
    service
        .until_metric(CLOSED, r#"category="Throttled""#, |count| count == 3.0)
        .await;
}

#[tokio::test]
async fn traffic_is_counted_by_signature_or_claim_and_not_without_it() {
    let service = Service::start_with(|config| {
        limit_traffic(config, claim("tenant"), 100);
        limit_traffic(config, ThrottleKey::JwtSignature, 200);
    })
    .await;
    let ping = json!({ "type": "ping", "filler": "x".repeat(90) });
    let mut tenant = service.json("chat", json!({ "tenant": 7 })).await;
    tenant.send_json(ping.clone()).await;
    tenant.expect_close(1008, THROTTLED).await;
    let mut nobody = service.json("chat", json!({})).await;
    nobody.send_json(ping.clone()).await;
    assert_eq!(nobody.json().await["type"], "pong");
    nobody.send_json(ping).await;
    nobody.expect_close(1008, THROTTLED).await;
}

#[tokio::test]
async fn connection_is_closed_at_its_maximum_lifetime_and_another_may_be_opened() {
    let service = Service::start_with(|config| {
        with_metrics(config);
        config.firewall.max_client_connection_lifetime = Duration::from_millis(200);
    })
    .await;
    for _ in 0..2 {
        let mut client = service.json("chat", json!({ "sub": "ann" })).await;
        let frame = json!({ "type": "system", "event": "disconnected", "message": LIFETIME_OVER });
        assert_eq!(client.json().await, frame);
        client.expect_close(1001, LIFETIME_OVER).await;
        assert_eq!(client.next().await, Received::End);
    }
    service
        .until_metric(CLOSED, r#"category="LifetimeOver""#, |count| count == 2.0)
        .await;
}

#[tokio::test]
async fn detached_connection_ends_at_its_maximum_lifetime() {
    let service = Service::start_with(|config| {
        watched(1)(config);
        config.limits.recovery_window = Duration::from_secs(3600);
        config.firewall.max_client_connection_lifetime = Duration::from_secs(1);
    })
    .await;
    let client = service.pubsub(RELIABLE_JSON, "chat", json!({})).await;
    let ticket = client.cut();
    service
        .until_metric(CLOSED, r#"category="LifetimeOver""#, |count| count == 1.0)
        .await;
    service.expect_refused(&ticket.path(), RELIABLE_JSON).await;
}

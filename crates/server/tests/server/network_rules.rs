//! Requests that are answered or not by what they ask for and where they come from. Source: events-and-operations 9.3.

use hubwire_server::config::{
    AclAction, Config, IpRule, NetworkRules, PublicNetworkAccess, RequestRules, RequestType,
};
use serde_json::json;

use crate::support::metrics::with_metrics;
use crate::support::pubsub::RELIABLE_JSON;
use crate::support::{Answer, Service};

const MESSAGE: &str =
    "The network rules of the service do not allow this request from this address.";
const SEND: &str = "/api/hubs/chat/:send";

/// Lets the test's own address be a proxy, so that requests come from wherever they say.
fn behind_a_proxy(config: &mut Config) {
    config.network.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
}

fn from(addr: &str) -> String {
    format!("X-Forwarded-For: {addr}\r\n")
}

fn deny(types: &[RequestType]) -> RequestRules {
    RequestRules {
        allow: Vec::new(),
        deny: types.to_vec(),
    }
}

async fn connect_from(service: &Service, head: &str) -> Answer {
    let path = service.client_path("chat", json!({}));
    service.handshake(&path, head).await
}

async fn send_from(service: &Service, head: &str) -> Answer {
    service
        .rest_with_head(SEND, head, "text/plain", b"hi")
        .await
}

fn assert_rest_denied(answer: &Answer) {
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("x-ms-error-code"), Some("Error.Forbidden"));
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        body,
        json!({ "code": "Error.Forbidden", "message": MESSAGE, "target": "Request" })
    );
    assert!(answer.header("x-ms-request-id").is_some());
}

#[tokio::test]
async fn denied_client_gets_403_and_rest_goes_on() {
    let service = Service::start_with(|config| {
        with_metrics(config);
        config.network.acl.networks = vec![NetworkRules {
            name: "here".to_owned(),
            cidr: vec!["127.0.0.0/8".parse().unwrap()],
            rules: deny(&[RequestType::ClientConnection]),
        }];
    })
    .await;
    let refused = connect_from(&service, "").await;
    assert_eq!((refused.status, refused.body.as_str()), (403, MESSAGE));
    assert_eq!(send_from(&service, "").await.status, 202);
    let counted = service.metric("hubwire_client_requests_total", r#"status="403""#);
    assert_eq!(counted.await, 1.0);
}

#[tokio::test]
async fn denied_caller_gets_403_in_the_form_of_rest_and_clients_go_on() {
    let service = Service::start_with(|config| {
        behind_a_proxy(config);
        config.network.acl.public_network = deny(&[RequestType::RestApi]);
    })
    .await;
    assert_rest_denied(&send_from(&service, &from("203.0.113.9")).await);
    assert_eq!(
        connect_from(&service, &from("203.0.113.9")).await.status,
        101
    );
    assert_eq!(send_from(&service, &from("10.0.0.9")).await.status, 202);
    assert_eq!(send_from(&service, "").await.status, 202);
}

/// Health says nothing and changes nothing, and a probe comes from anywhere.
#[tokio::test]
async fn health_and_metrics_are_answered_whatever_the_rules_are() {
    let service = Service::start_with(|config| {
        with_metrics(config);
        behind_a_proxy(config);
        config.network.public_network_access = PublicNetworkAccess::Disabled;
        config.network.acl.default_action = AclAction::Deny;
    })
    .await;
    for head in ["", &from("203.0.113.9")] {
        for path in ["/healthz", "/readyz", "/api/health", "/metrics"] {
            let answer = service.request("GET", path, head, b"").await;
            assert_eq!(answer.status, 200, "{path}");
        }
        assert_rest_denied(&send_from(&service, head).await);
        assert_eq!(connect_from(&service, head).await.status, 403);
    }
}

/// Neither a token nor its absence is looked at.
#[tokio::test]
async fn rules_come_before_the_token() {
    let service =
        Service::start_with(|config| config.network.acl.default_action = AclAction::Deny).await;
    assert_rest_denied(&service.request("POST", SEND, "", b"").await);
    let refused = service.handshake("/client/hubs/chat", "").await;
    assert_eq!(refused.status, 403);
}

#[tokio::test]
async fn ip_rule_allows_what_the_default_denies() {
    let service = Service::start_with(|config| {
        behind_a_proxy(config);
        config.network.acl.default_action = AclAction::Deny;
        let rule = |value: &str, action| IpRule {
            value: value.parse().unwrap(),
            action,
        };
        config.network.acl.ip_rules = vec![
            rule("203.0.113.66/32", AclAction::Deny),
            rule("203.0.113.0/24", AclAction::Allow),
            rule("2001:db8::/32", AclAction::Allow),
        ];
    })
    .await;
    for (addr, is_allowed) in [
        ("203.0.113.9", true),
        ("2001:db8::9", true),
        ("203.0.113.66", false),
        ("198.51.100.1", false),
    ] {
        let (client, rest) = match is_allowed {
            true => (101, 202),
            false => (403, 403),
        };
        let head = from(addr);
        assert_eq!(connect_from(&service, &head).await.status, client, "{addr}");
        assert_eq!(send_from(&service, &head).await.status, rest, "{addr}");
    }
}

#[tokio::test]
async fn address_of_a_trusted_proxy_counts_and_that_of_anybody_else_does_not() {
    let rules = |config: &mut Config| {
        config.network.acl.ip_rules = vec![IpRule {
            value: "203.0.113.0/24".parse().unwrap(),
            action: AclAction::Deny,
        }];
    };
    let behind = Service::start_with(|config| {
        rules(config);
        behind_a_proxy(config);
    })
    .await;
    let head = from("198.51.100.1, 203.0.113.9");
    assert_eq!(connect_from(&behind, &head).await.status, 403);
    let claimed = from("203.0.113.9, 198.51.100.1");
    assert_eq!(connect_from(&behind, &claimed).await.status, 101);
    let open = Service::start_with(rules).await;
    assert_eq!(connect_from(&open, &head).await.status, 101);
}

/// A client that comes back gets 403 too, as its way back is a handshake.
#[tokio::test]
async fn recovery_is_denied_like_a_new_connection() {
    let service = Service::start_with(|config| {
        behind_a_proxy(config);
        config.network.public_network_access = PublicNetworkAccess::Disabled;
    })
    .await;
    let client = service.pubsub(RELIABLE_JSON, "chat", json!({})).await;
    let ticket = client.cut();
    let refused = service
        .handshake(&ticket.path(), &from("203.0.113.9"))
        .await;
    assert_eq!(refused.status, 403);
    service.recover(&ticket).await;
}

//! Closing by REST: rest-api 1.6, item 7 of its acceptance checklist.

use serde_json::{Value, json};

use crate::support::rest::encode;
use crate::support::{Client, Service};

/// Acceptance 7: a close frame has no room for it, the message before it has.
#[tokio::test]
async fn a_reason_of_any_length_and_characters_comes_in_the_message_alone() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let reasons = [
        "r".repeat(200),
        "päivää 你好 🦀 \"'\\\n\u{2028}<>&+%".to_owned(),
        " ".to_owned(),
        "x".repeat(20_000),
    ];
    for reason in &reasons {
        for path in [
            ":closeConnections",
            "groups/room/:closeConnections",
            "users/alice/:closeConnections",
            "connections/",
        ] {
            let mut client = member(&service).await;
            let mut simple = service.simple("chat", member_claims()).await;
            let query = format!("reason={}&reason=second", encode(reason));
            let (method, path) = match path {
                "connections/" => ("DELETE", format!("{path}{}", client.connection_id)),
                path => ("POST", path.to_owned()),
            };
            let path = format!("/api/hubs/chat/{path}?{query}");
            let answer = service.call(method, &path).await;
            assert_eq!((answer.status, answer.body.as_str()), (204, ""));
            let message = format!("Application server closed the connection. Reason: {reason}");
            let expected = json!({ "type": "system", "event": "disconnected", "message": message });
            assert_eq!(client.json().await, expected);
            client.expect_close(1000, "").await;
            if method == "DELETE" {
                service.mark("chat", "not concerned").await;
                simple.expect_mark("not concerned").await;
                let all = "/api/hubs/chat/:closeConnections";
                assert_eq!(service.status("POST", all).await, 204);
            }
            simple.expect_close(1000, "").await;
            assert_eq!(service.count("/api/hubs/chat/:count").await, 0);
        }
    }
}

/// Acceptance 7: an id is excluded as it is, by itself.
#[tokio::test]
async fn excluded_connections_are_matched_exactly_by_a_close() {
    let service = Service::start_with(|config| config.shards = 2).await;
    for path in [
        ":closeConnections",
        "groups/room/:closeConnections",
        "users/alice/:closeConnections",
    ] {
        for form in [
            "ID",
            "ID,ID",
            "%20ID",
            "ID%20",
            "ID+",
            "ID%2C",
            "\"ID\"",
            "ID&Excluded=ID",
        ] {
            let mut client = member(&service).await;
            let id = client.connection_id.clone();
            let query = format!("excluded={}", form.replace("ID", &id).replace('"', "%22"));
            let path = format!("/api/hubs/chat/{path}?{query}");
            assert_eq!(service.status("POST", &path).await, 204);
            match form {
                "ID" | "ID&Excluded=ID" => {
                    client.expect_nothing().await;
                    let path = format!("/api/hubs/chat/connections/{id}");
                    assert_eq!(service.status("DELETE", &path).await, 204);
                }
                _ => {
                    let path = format!("/api/hubs/chat/connections/{id}");
                    assert_eq!(service.status("HEAD", &path).await, 404, "{query}");
                }
            }
            client.expect_end().await;
        }
    }
}

/// Acceptance 7: a close is for those of its own hub, and a second one finds nobody.
#[tokio::test]
async fn a_close_may_be_repeated_and_concerns_one_hub() {
    let service = Service::start().await;
    let mut elsewhere = service.json("other", member_claims()).await;
    let mut client = member(&service).await;
    let id = client.connection_id.clone();
    let own = elsewhere.connection_id.clone();
    for (method, path) in [
        ("DELETE", format!("connections/{own}")),
        ("DELETE", format!("connections/{id}")),
        ("DELETE", format!("connections/{id}")),
        ("POST", ":closeConnections".to_owned()),
        ("POST", "groups/room/:closeConnections".to_owned()),
        ("POST", "users/alice/:closeConnections".to_owned()),
    ] {
        let answer = service
            .call(method, &format!("/api/hubs/CHAT/{path}"))
            .await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{path}");
    }
    client.expect_end().await;
    elsewhere.expect_nothing().await;
}

fn member_claims() -> Value {
    json!({ "sub": "alice", "webpubsub.group": "room" })
}

async fn member(service: &Service) -> Client {
    service.json("chat", member_claims()).await
}

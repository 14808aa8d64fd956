//! `joined` and `left`: events-and-operations 5.3.

use serde_json::json;

use crate::support::ALL_ROLES;
use crate::support::events::{PRESENCE, WithHandler};
use crate::support::handler::{Recorded, reply};
use crate::support::pubsub::{ALL, JSON_CLIENTS};
use crate::support::wire::close_payload;

fn groups(events: &[Recorded]) -> Vec<String> {
    let mut groups: Vec<String> = events
        .iter()
        .map(|event| {
            let body: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
            body["group"].as_str().unwrap().to_owned()
        })
        .collect();
    groups.sort();
    groups
}

#[tokio::test]
async fn what_a_client_joins_and_leaves_is_told_once() {
    let with = WithHandler::start(PRESENCE, |_| reply(200, &[], "")).await;
    for (index, subprotocol) in ALL.into_iter().enumerate() {
        let mut client = with
            .service
            .pubsub(subprotocol, "chat", json!({ "role": ALL_ROLES }))
            .await;
        for (ack_id, frame) in ["joinGroup", "joinGroup", "leaveGroup", "leaveGroup"]
            .into_iter()
            .enumerate()
        {
            client
                .succeed(json!({ "type": frame, "group": "Ünï", "ackId": ack_id }))
                .await;
        }
        let left = with.until("left", index + 1).await;
        assert_eq!(left[index].header("ce-type"), "azure.webpubsub.gp.left");
        assert_eq!(left[index].body, r#"{"group":"Ünï"}"#);
        let joined = with.events("joined");
        assert_eq!(joined[index].header("ce-type"), "azure.webpubsub.gp.joined");
        assert_eq!(joined[index].header("ce-connectionid"), client.ticket.id);
        client.close(&close_payload(1000, "")).await;
    }
    assert_eq!(
        (with.events("joined").len(), with.events("left").len()),
        (ALL.len(), ALL.len())
    );
}

#[tokio::test]
async fn groups_of_the_token_are_joined_and_those_at_the_end_left() {
    let with = WithHandler::start(PRESENCE, |_| reply(200, &[], "")).await;
    let claims = json!({ "role": ALL_ROLES, "webpubsub.group": ["a", "b", "a"] });
    let client = with.service.pubsub(ALL[0], "chat", claims).await;
    assert_eq!(groups(&with.until("joined", 2).await), ["a", "b"]);
    client.cut();
    assert_eq!(groups(&with.until("left", 2).await), ["a", "b"]);
}

#[tokio::test]
async fn what_rest_changes_is_told() {
    let with = WithHandler::start(PRESENCE, |_| reply(200, &[], "")).await;
    let mut clients = Vec::new();
    for _ in JSON_CLIENTS {
        clients.push(
            with.service
                .pubsub(ALL[0], "chat", json!({ "sub": "alice" }))
                .await,
        );
    }
    let id = &clients[0].ticket.id;
    let add_one = format!("/api/hubs/chat/groups/one/connections/{id}");
    for _ in 0..2 {
        assert_eq!(with.service.status("PUT", &add_one).await, 200);
    }
    assert_eq!(
        with.service
            .status("PUT", "/api/hubs/chat/users/alice/groups/all")
            .await,
        200
    );
    assert_eq!(
        groups(&with.until("joined", 3).await),
        ["all", "all", "one"]
    );
    assert_eq!(
        with.service
            .status("DELETE", "/api/hubs/chat/users/alice/groups")
            .await,
        204
    );
    assert_eq!(groups(&with.until("left", 3).await), ["all", "all", "one"]);
}

/// Section 2.3.
#[tokio::test]
async fn only_groups_that_the_filters_match_are_told() {
    let settings = r#"group_presence_events = { event_names = ["joined"], group_filters = ["room.*", "all"] }"#;
    let with = WithHandler::start(settings, |_| reply(200, &[], "")).await;
    let claims = json!({ "webpubsub.group": ["room.1", "room.1.2", "Room.1", "all", "other"] });
    let client = with.service.pubsub(ALL[0], "chat", claims).await;
    client.close(&close_payload(1000, "")).await;
    let fence = with
        .service
        .pubsub(ALL[0], "chat", json!({ "webpubsub.group": ["all"] }))
        .await;
    assert_eq!(
        groups(&with.until("joined", 3).await),
        ["all", "all", "room.1"]
    );
    assert!(with.events("left").is_empty());
    drop(fence);
}

/// Ours: `joined` is delivered before the `left` of the same connection and group, however fast one follows the other.
#[tokio::test]
async fn joined_comes_before_left() {
    let with = WithHandler::start(PRESENCE, |_| reply(200, &[], "")).await;
    let mut client = with
        .service
        .pubsub(ALL[0], "chat", json!({ "role": ALL_ROLES }))
        .await;
    for _ in 0..50 {
        client
            .send(json!({ "type": "joinGroup", "group": "room" }))
            .await;
        client
            .send(json!({ "type": "leaveGroup", "group": "room" }))
            .await;
    }
    with.until("left", 50).await;
    let names: Vec<String> = with
        .events("")
        .iter()
        .map(|event| event.header("ce-eventname").to_owned())
        .collect();
    assert!(
        names.chunks(2).all(|pair| pair == ["joined", "left"]),
        "{names:?}"
    );
}

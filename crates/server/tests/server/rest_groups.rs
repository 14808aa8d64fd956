//! Single changes of membership: rest-api 1.2, 1.6 and 1.7, operations 10, 15, 16 and 20 to 22.

use serde_json::{Value, json};

use crate::support::rest::assert_refused;
use crate::support::{Client, Service};

/// rest-api 1.7: a change that is made again changes nothing.
#[tokio::test]
async fn a_membership_may_be_added_and_removed_again_and_again() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let clients = connect(&service).await;
    let id = &clients[0].connection_id;
    let steps = [
        ("PUT", format!("groups/room/connections/{id}"), 200, 1),
        ("DELETE", format!("groups/room/connections/{id}"), 204, 0),
        ("PUT", "users/alice/groups/room".to_owned(), 200, 2),
        ("DELETE", "users/alice/groups/room".to_owned(), 204, 0),
        ("PUT", "users/alice/groups/room".to_owned(), 200, 2),
        ("DELETE", format!("connections/{id}/groups"), 204, 1),
        ("DELETE", "users/alice/groups".to_owned(), 204, 0),
    ];
    for (method, path, status, members) in steps {
        let path = format!("/api/hubs/chat/{path}");
        for _ in 0..2 {
            let answer = service.call(method, &path).await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (status, ""),
                "{method} {path}"
            );
            let count = service.count("/api/hubs/chat/groups/room/:count").await;
            assert_eq!(count, members, "{method} {path}");
        }
    }
}

/// rest-api 1.6: removing from all groups leaves the connections of others where they are.
#[tokio::test]
async fn leaving_all_groups_is_for_one_connection_or_one_user() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let clients = connect(&service).await;
    let body = json!({ "groups": ["one", "two"] });
    let add = "/api/hubs/chat/:addToGroups";
    assert_eq!(service.post(add, &body).await.status, 200);
    let id = &clients[1].connection_id;
    for (path, members) in [
        (format!("connections/{id}/groups"), 2),
        ("users/alice/groups".to_owned(), 1),
        ("users/bob/groups".to_owned(), 0),
    ] {
        let path = format!("/api/hubs/chat/{path}");
        assert_eq!(service.status("DELETE", &path).await, 204);
        for group in ["one", "two"] {
            let path = format!("/api/hubs/chat/groups/{group}/:count");
            assert_eq!(service.count(&path).await, members, "{path}");
        }
    }
    assert_eq!(service.count("/api/hubs/chat/:count").await, 3);
}

/// rest-api 1.6: who is not there cannot be added, and is removed already.
#[tokio::test]
async fn nobody_can_be_removed_but_not_added() {
    let service = Service::start().await;
    let clients = connect(&service).await;
    let own = &clients[0].connection_id;
    let elsewhere = service.json("other", json!({ "sub": "carol" })).await;
    let unknown = "A".repeat(32);
    for id in ["nobody", &unknown, &elsewhere.connection_id, &own[1..]] {
        let membership = format!("/api/hubs/chat/groups/room/connections/{id}");
        assert_refused(
            &service.call("PUT", &membership).await,
            404,
            "Error.Connection.NotExisted",
            "Connection",
            &format!("Connection `{id}` is not found."),
        );
        assert_eq!(service.status("DELETE", &membership).await, 204);
        let path = format!("/api/hubs/chat/connections/{id}/groups");
        assert_eq!(service.status("DELETE", &path).await, 204);
    }
    for user in ["nobody", "Alice", "carol"] {
        let membership = format!("/api/hubs/chat/users/{user}/groups/room");
        assert_eq!(service.status("PUT", &membership).await, 404, "{user}");
        assert_eq!(service.status("DELETE", &membership).await, 204, "{user}");
        let path = format!("/api/hubs/chat/users/{user}/groups");
        assert_eq!(service.status("DELETE", &path).await, 204, "{user}");
    }
    let listed = service.get("/api/hubs/chat/groups").await;
    assert_eq!(listed, json!({ "value": [], "nextLink": null }));
}

/// rest-api 1.6: a connection that is being closed is in no group any more, whether its client has noticed or not.
#[tokio::test]
async fn a_connection_that_is_closing_cannot_be_added() {
    let service = Service::start().await;
    let clients = connect(&service).await;
    let id = &clients[0].connection_id;
    let path = format!("/api/hubs/chat/connections/{id}");
    assert_eq!(service.status("DELETE", &path).await, 204);
    let membership = format!("/api/hubs/chat/groups/room/connections/{id}");
    let answer = service.call("PUT", &membership).await;
    assert_eq!(answer.status, 404);
    assert_eq!(
        service.status("HEAD", "/api/hubs/chat/groups/room").await,
        404
    );
}

/// rest-api 1.6: a user's groups are those of the connections it has now.
#[tokio::test]
async fn a_user_in_a_group_is_its_connections_of_the_moment() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let mut clients = connect(&service).await;
    let path = "/api/hubs/chat/users/alice/groups/room";
    assert_eq!(service.status("PUT", path).await, 200);
    let mut later = service.json("chat", json!({ "sub": "alice" })).await;
    service
        .send("/api/hubs/chat/groups/room/:send", "text/plain", b"hi")
        .await;
    service.mark("chat", "mark").await;
    for client in &mut clients[..2] {
        let message = client.json().await;
        assert_eq!(
            (&message["group"], &message["fromUserId"]),
            (&json!("room"), &Value::Null)
        );
        client.expect_mark("mark").await;
    }
    clients[2].expect_mark("mark").await;
    later.expect_mark("mark").await;
}

/// Connects two clients of alice's and one of bob's.
async fn connect(service: &Service) -> [Client; 3] {
    [
        service.json("chat", json!({ "sub": "alice" })).await,
        service.json("chat", json!({ "sub": "alice" })).await,
        service.json("chat", json!({ "sub": "bob" })).await,
    ]
}

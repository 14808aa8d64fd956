//! How names are read from paths: rest-api 1.4, item 12 of its acceptance checklist.

use serde_json::json;

use crate::support::rest::{assert_bad_request, assert_refused};
use crate::support::{Client, Service};

/// Each spelling of a segment with what it names, and what it names while encoded slashes are kept.
const TABLE: [(&str, &str, &str); 9] = [
    ("tenant%2Falice", "tenant/alice", "tenant%2Falice"),
    ("tenant%2falice", "tenant/alice", "tenant%2falice"),
    ("tenant%252Falice", "tenant%2Falice", "tenant%2Falice"),
    ("alice%20smith", "alice smith", "alice smith"),
    ("alice+bob", "alice+bob", "alice+bob"),
    ("alice%2Bbob", "alice+bob", "alice+bob"),
    ("chat%5B1%5D", "chat[1]", "chat[1]"),
    ("%61%C3%BC%F0%9F%A6%80", "aü🦀", "aü🦀"),
    ("a%2Fb%20c%252F", "a/b c%2F", "a%2Fb c%2F"),
];

/// Acceptance 12.
#[tokio::test]
async fn users_and_groups_in_paths_are_decoded_once() {
    names_in_paths(false).await;
}

/// Acceptance 12: the switch for the official behaviour.
#[tokio::test]
async fn encoded_slashes_in_paths_can_be_kept() {
    names_in_paths(true).await;
}

async fn names_in_paths(keep_encoded_slash: bool) {
    let service =
        Service::start_with(|config| config.rest.keep_encoded_slash = keep_encoded_slash).await;
    for (segment, decoded, kept) in TABLE {
        let (name, other) = match keep_encoded_slash {
            false => (decoded, kept),
            true => (kept, decoded),
        };
        let mut named = named(&service, name).await;
        let mut others = Vec::new();
        if other != name {
            others.push(self::named(&service, other).await);
        }
        for path in [
            format!("/api/hubs/chat/users/{segment}"),
            format!("/api/hubs/chat/groups/{segment}"),
        ] {
            assert_eq!(service.status("HEAD", &path).await, 200, "{path}");
            service
                .send(&format!("{path}/:send"), "text/plain", b"hi")
                .await;
            named.expect_mark("hi").await;
            assert_eq!(service.count(&format!("{path}/:count")).await, 1, "{path}");
        }
        let user_in_group = format!("/api/hubs/chat/users/{segment}/groups/{segment}");
        assert_eq!(service.status("DELETE", &user_in_group).await, 204);
        let group = format!("/api/hubs/chat/groups/{segment}");
        assert_eq!(service.status("HEAD", &group).await, 404, "{group}");
        assert_eq!(service.status("PUT", &user_in_group).await, 200);
        assert_eq!(service.status("HEAD", &group).await, 200, "{group}");
        service.mark("chat", "mark").await;
        named.expect_mark("mark").await;
        for other in &mut others {
            other.expect_mark("mark").await;
        }
        let path = "/api/hubs/chat/:closeConnections";
        assert_eq!(service.status("POST", path).await, 204);
        named.expect_end().await;
    }
}

/// Acceptance 12: a name with a slash that a client has joined can be sent to.
#[tokio::test]
async fn a_group_with_a_slash_is_reached_by_a_path() {
    let service = Service::start().await;
    let mut client = service.json_with_roles("chat", "alice").await;
    client.join("a/b").await;
    let path = "/api/hubs/chat/groups/a%2Fb/:send";
    service.send(path, "text/plain", b"hi").await;
    let message = client.json().await;
    assert_eq!(
        (&message["group"], &message["data"]),
        (&json!("a/b"), &json!("hi"))
    );

    let raw = "/api/hubs/chat/groups/a/b/:send";
    let answer = service.rest("POST", raw, "text/plain", b"no").await;
    assert_refused(
        &answer,
        404,
        "Error.NotFound",
        "Request",
        "There is nothing at this path.",
    );
    client.expect_nothing().await;
}

/// Acceptance 12: nothing but the path is concerned by the switch.
#[tokio::test]
async fn queries_and_bodies_are_decoded_in_both_positions_of_the_switch() {
    for keep_encoded_slash in [false, true] {
        let service =
            Service::start_with(|config| config.rest.keep_encoded_slash = keep_encoded_slash).await;
        let client = service.json("chat", json!({})).await;
        let base = format!(
            "/api/hubs/chat/permissions/sendToGroup/connections/{}?targetName=",
            client.connection_id
        );
        let status =
            async |method: &str, name: &str| service.status(method, &format!("{base}{name}")).await;
        assert_eq!(status("PUT", "a%2Fb").await, 200);
        for (name, expected) in [("a/b", 200), ("a%2fb", 200), ("a%252Fb", 404), ("a+b", 404)] {
            assert_eq!(status("HEAD", name).await, expected, "{name}");
        }
        assert_eq!(status("PUT", "c+d").await, 200);
        for (name, expected) in [("c%20d", 200), ("c+d", 200), ("c%2Bd", 404)] {
            assert_eq!(status("HEAD", name).await, expected, "{name}");
        }
        let body = json!({ "groups": ["a/b"], "filter": "not ('a%2Fb' in groups)" });
        assert_eq!(
            service
                .post("/api/hubs/chat/:addToGroups", &body)
                .await
                .status,
            200
        );
        let listed = service.get("/api/hubs/chat/groups").await;
        assert_eq!(
            listed["value"],
            json!([{ "group": "a/b", "connectionCount": 1 }])
        );
    }
}

/// rest-api 1.2: an action is an action however its colon is written, and a name may look like one.
#[tokio::test]
async fn an_encoded_colon_makes_an_action() {
    let service = Service::start().await;
    let mut client = named(&service, ":send").await;
    for path in [
        "/api/hubs/chat/%3Asend",
        "/api/hubs/chat/%3asend/",
        "/api/hubs/chat/groups/:send/%3Asend",
        "/api/hubs/chat/users/%3Asend/:send",
    ] {
        service.send(path, "text/plain", b"hi").await;
        client.expect_mark("hi").await;
    }
    assert_eq!(
        service.status("HEAD", "/api/hubs/chat/groups/:send").await,
        200
    );
    assert_eq!(
        service.status("HEAD", "/api/hubs/chat/users/%3Asend").await,
        200
    );
    for path in [
        "/api/hubs/chat/:Send",
        "/api/hubs/chat/send",
        "/api/hubs/chat/%253Asend",
    ] {
        assert_eq!(service.status("POST", path).await, 404, "{path}");
    }
}

/// rest-api 6: the longest name in a path, which is 9 KiB there.
#[tokio::test]
async fn the_longest_names_fit_into_a_path() {
    let service = Service::start().await;
    let name = "你".repeat(1024);
    let segment = "%E4%BD%A0".repeat(1024);
    let client = service.json("chat", json!({ "sub": "alice" })).await;
    let id = &client.connection_id;
    let membership = format!("/api/hubs/chat/groups/{segment}/connections/{id}");
    assert_eq!(service.status("PUT", &membership).await, 200);
    let listed = service.get("/api/hubs/chat/groups").await;
    assert_eq!(listed["value"][0]["group"], name);
    let too_long = format!("/api/hubs/chat/groups/{segment}%E4%BD%A0/connections/{id}");
    assert_bad_request(&service.call("PUT", &too_long).await, "Invalid group name.");
    // In UTF-16 this one is as long, in characters it is half.
    let crabs = "%F0%9F%A6%80".repeat(512);
    let path = format!("/api/hubs/chat/groups/{crabs}/connections/{id}");
    assert_eq!(service.status("PUT", &path).await, 200);
    let path = format!("/api/hubs/chat/groups/{crabs}x/connections/{id}");
    assert_bad_request(&service.call("PUT", &path).await, "Invalid group name.");
}

/// Connects a JSON client whose user and group have this name.
async fn named(service: &Service, name: &str) -> Client {
    let claims = json!({ "sub": name, "webpubsub.group": name });
    service.json("chat", claims).await
}

//! Permissions by REST: rest-api 1.6 and 4.4, item 10 of its acceptance checklist.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::support::rest::{assert_bad_request, assert_refused, encode};
use crate::support::{Answer, Client, Service};

/// Acceptance 10.
#[tokio::test]
async fn a_permission_is_granted_checked_and_revoked_for_names_of_any_kind() {
    let service = Service::start().await;
    let longest = "x".repeat(1024);
    let longest_encoded = "你".repeat(1024);
    for permission in ["sendToGroup", "joinLeaveGroup"] {
        let mut client = service.json("chat", json!({})).await;
        let names = [
            "room",
            "*",
            "room.*",
            " room ",
            "a/b+你好",
            &longest,
            &longest_encoded,
        ];
        for name in names {
            let path = path_of(permission, &client.connection_id, name);
            let error = expect(&service, "HEAD", &path, 404).await;
            assert_eq!(error.as_deref(), Some("Info.Connection.NotExisted"));
            assert!(!is_allowed(&mut client, permission, name).await);
            for _ in 0..2 {
                expect(&service, "PUT", &path, 200).await;
                expect(&service, "HEAD", &path, 200).await;
            }
            assert!(is_allowed(&mut client, permission, name).await);
        }
        for other in [
            "Room",
            "ROOM",
            "room1",
            "room.a",
            " room",
            "a/b 你好",
            "a%2Fb+你好",
            "**",
        ] {
            let path = path_of(permission, &client.connection_id, other);
            expect(&service, "HEAD", &path, 404).await;
            assert!(!is_allowed(&mut client, permission, other).await);
        }
        for name in names {
            let path = path_of(permission, &client.connection_id, name);
            expect(&service, "HEAD", &path, 200).await;
            for _ in 0..2 {
                expect(&service, "DELETE", &path, 204).await;
                expect(&service, "HEAD", &path, 404).await;
            }
            assert!(!is_allowed(&mut client, permission, name).await);
        }
    }
}

/// Acceptance 10: a permission says nothing about the other one, and its name has no letter case.
#[tokio::test]
async fn a_permission_has_a_name_or_a_number() {
    let service = Service::start().await;
    let client = service.json("chat", json!({})).await;
    let id = &client.connection_id;
    for (spellings, other) in [
        (
            ["sendToGroup", "SENDTOGROUP", "sendtogroup", "1"],
            "joinLeaveGroup",
        ),
        (
            ["joinLeaveGroup", "JOINLEAVEGROUP", "joinleavegroup", "2"],
            "sendToGroup",
        ),
    ] {
        for spelling in spellings {
            let path = path_of(spelling, id, "room");
            expect(&service, "PUT", &path, 200).await;
            for spelling in spellings {
                expect(&service, "HEAD", &path_of(spelling, id, "room"), 200).await;
            }
            expect(&service, "HEAD", &path_of(other, id, "room"), 404).await;
            expect(&service, "DELETE", &path, 204).await;
        }
    }
    for bad in [
        "0",
        "3",
        "-1",
        "12",
        "send",
        "sendToGroups",
        "sendToGroup,joinLeaveGroup",
        "1,2",
        "%20",
    ] {
        for method in ["PUT", "HEAD", "DELETE"] {
            expect(&service, method, &path_of(bad, id, "room"), 400).await;
        }
    }
}

/// Acceptance 10.
#[tokio::test]
async fn a_connection_that_is_not_there_has_no_permissions() {
    let service = Service::start().await;
    let elsewhere = service.json("other", json!({})).await;
    let gone = service.json("chat", json!({})).await;
    let path = format!("/api/hubs/chat/connections/{}", gone.connection_id);
    expect(&service, "DELETE", &path, 204).await;
    let unknown = "A".repeat(32);
    for id in [
        "nobody",
        &unknown,
        &elsewhere.connection_id,
        &gone.connection_id,
    ] {
        let path = path_of("sendToGroup", id, "room");
        assert_refused(
            &service.call("PUT", &path).await,
            404,
            "Info.Connection.NotExisted",
            "Connection",
            &format!("Connection `{id}` is not found."),
        );
        let error = expect(&service, "HEAD", &path, 404).await;
        assert_eq!(error.as_deref(), Some("Info.Connection.NotExisted"));
        expect(&service, "DELETE", &path, 204).await;
    }
    let path = path_of("sendToGroup", &elsewhere.connection_id, "room");
    let path = path.replace("/chat/", "/OTHER/");
    expect(&service, "PUT", &path, 200).await;
}

/// Acceptance 10: what is asked is checked before whom it is asked of.
#[tokio::test]
async fn a_permission_needs_the_name_of_a_group() {
    let service = Service::start().await;
    let client = service.json("chat", json!({})).await;
    let too_long = format!("targetName={}", "x".repeat(1025));
    for id in [client.connection_id.as_str(), "nobody"] {
        let base = format!("/api/hubs/chat/permissions/sendToGroup/connections/{id}");
        for query in [
            "",
            "targetName=",
            "targetName=%20",
            "targetName=+%09",
            "targetname=room",
            "targetName=&targetName=room",
            &too_long,
        ] {
            let path = format!("{base}?{query}");
            for method in ["PUT", "DELETE"] {
                assert_bad_request(&service.call(method, &path).await, "Invalid group name.");
            }
            expect(&service, "HEAD", &path, 400).await;
        }
    }
}

/// Acceptance 10.
#[tokio::test]
async fn the_1001st_grant_is_a_conflict_and_changes_nothing() {
    let service = Service::start().await;
    let client = service.json("chat", json!({})).await;
    let id = &client.connection_id;
    let path = |index: usize| path_of("sendToGroup", id, &format!("g{index}"));
    for index in 0..1000 {
        expect(&service, "PUT", &path(index), 200).await;
    }
    assert_conflict(&service.call("PUT", &path(1000)).await);
    expect(&service, "HEAD", &path(1000), 404).await;
    for index in [0, 1, 500, 999] {
        expect(&service, "HEAD", &path(index), 200).await;
        expect(&service, "PUT", &path(index), 200).await;
    }
    // What is forbidden already needs no rule, and the other permission has rules of its own.
    expect(&service, "DELETE", &path(1000), 204).await;
    let other = path_of("joinLeaveGroup", id, "g1000");
    expect(&service, "PUT", &other, 200).await;
    // A grant that is taken back makes room.
    expect(&service, "DELETE", &path(500), 204).await;
    expect(&service, "PUT", &path(1000), 200).await;
    assert_conflict(&service.call("PUT", &path(500)).await);
    expect(&service, "HEAD", &path(1000), 200).await;
}

/// Acceptance 10: revoking what a role allows makes rules too.
#[tokio::test]
async fn the_1001st_revoke_is_a_conflict_and_changes_nothing() {
    let service = Service::start().await;
    let client = service.json_with_roles("chat", "alice").await;
    let id = &client.connection_id;
    let path = |index: usize| path_of("joinLeaveGroup", id, &format!("g{index}"));
    for index in 0..1000 {
        expect(&service, "DELETE", &path(index), 204).await;
    }
    assert_conflict(&service.call("DELETE", &path(1000)).await);
    expect(&service, "HEAD", &path(1000), 200).await;
    expect(&service, "HEAD", &path(999), 404).await;
    expect(&service, "DELETE", &path(999), 204).await;
    expect(&service, "PUT", &path(1000), 200).await;
    expect(&service, "PUT", &path(0), 200).await;
    expect(&service, "DELETE", &path(1000), 204).await;
    expect(&service, "HEAD", &path(1000), 404).await;
}

fn assert_conflict(answer: &Answer) {
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let message = body["message"].as_str().unwrap();
    assert_refused(
        answer,
        409,
        "Error.Connection.Conflict",
        "Connection",
        message,
    );
}

fn path_of(permission: &str, id: &str, group: &str) -> String {
    let group = encode(group);
    format!("/api/hubs/chat/permissions/{permission}/connections/{id}?targetName={group}")
}

/// Makes a call that must have this status, and returns the code in the header.
async fn expect(service: &Service, method: &str, path: &str, status: u16) -> Option<String> {
    let answer = service.call(method, path).await;
    assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
    if method == "HEAD" || status < 400 {
        assert_eq!(answer.body, "");
    }
    answer.header("x-ms-error-code").map(str::to_owned)
}

/// Tells whether a client may do what the permission says.
async fn is_allowed(client: &mut Client, permission: &str, group: &str) -> bool {
    static ACK_ID: AtomicU64 = AtomicU64::new(1);
    let kind = match permission {
        "sendToGroup" => "sendToGroup",
        _ => "leaveGroup",
    };
    let ack_id = ACK_ID.fetch_add(1, Ordering::Relaxed);
    let ack = client
        .request(json!({ "type": kind, "group": group, "data": 1, "ackId": ack_id }))
        .await;
    if ack["success"] == true {
        return true;
    }
    assert_eq!(ack["error"]["name"], "Forbidden", "{ack}");
    false
}

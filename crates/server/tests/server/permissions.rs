//! Permissions: client-protocols 12, items 129 to 134.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::support::{ALL_ROLES, Client, Service};

/// Each permission with the requests that need it.
const PERMISSIONS: [(&str, &[&str]); 2] = [
    ("joinLeaveGroup", &["joinGroup", "leaveGroup"]),
    ("sendToGroup", &["sendToGroup"]),
];

/// Item 129.
#[tokio::test]
async fn each_form_of_a_role_allows_what_it_says() {
    let service = Service::start().await;
    // What follows the permission's name, then groups that it covers, then groups that it does not.
    let table: [(&str, &[&str], &[&str]); 6] = [
        ("", &["room", "a.b", "*"], &[]),
        (".room", &["room"], &["room1", "Room", "room.a", "roo"]),
        (".a.b", &["a.b"], &["a", "b", "a.c"]),
        (".a*", &["a*"], &["a", "ab"]),
        ("s.room*", &["room", "room1"], &["room.a", "Room1", "aroom"]),
        ("s.a.b", &["a.b"], &["a", "axb"]),
    ];
    for (permission, requests) in PERMISSIONS {
        for (form, covered, others) in table {
            let role = format!("webpubsub.{permission}{form}");
            let mut client = service.json("chat", json!({ "role": role })).await;
            for request in requests {
                for group in covered {
                    assert!(
                        is_allowed(&mut client, request, group).await,
                        "{role}: {request} {group}"
                    );
                }
                for group in others {
                    assert!(
                        !is_allowed(&mut client, request, group).await,
                        "{role}: {request} {group}"
                    );
                }
            }
        }
    }
}

/// Item 129: a permission says nothing about the other one.
#[tokio::test]
async fn joining_and_sending_are_allowed_apart() {
    let service = Service::start().await;
    for form in ["", ".room", "s.room"] {
        let role = format!("webpubsub.joinLeaveGroup{form}");
        let mut client = service.json("chat", json!({ "role": role })).await;
        assert!(
            !is_allowed(&mut client, "sendToGroup", "room").await,
            "{role}"
        );
        let role = format!("webpubsub.sendToGroup{form}");
        let mut client = service.json("chat", json!({ "role": role })).await;
        assert!(
            !is_allowed(&mut client, "joinGroup", "room").await,
            "{role}"
        );
        assert!(
            !is_allowed(&mut client, "leaveGroup", "room").await,
            "{role}"
        );
    }
}

/// Item 129: roles add up, and repeated ones do no harm.
#[tokio::test]
async fn roles_add_up() {
    let service = Service::start().await;
    let roles = [
        "webpubsub.sendToGroup.one",
        "webpubsub.sendToGroup.one",
        "webpubsub.sendToGroups.tw*",
        "webpubsub.sendToGroups.tw*",
        "webpubsub.joinLeaveGroup.three",
    ];
    let mut client = service.json("chat", json!({ "role": roles })).await;
    for (request, group) in [
        ("sendToGroup", "one"),
        ("sendToGroup", "two"),
        ("joinGroup", "three"),
    ] {
        assert!(is_allowed(&mut client, request, group).await, "{group}");
    }
    assert!(!is_allowed(&mut client, "sendToGroup", "three").await);
}

/// Item 129: roles that are unknown or name no group are passed over.
#[tokio::test]
async fn unknown_roles_allow_nothing() {
    let service = Service::start().await;
    let roles = [
        "",
        "owner",
        "webpubsub.",
        "webpubsub.sendToGroup.",
        "webpubsub.sendToGroup. ",
        "webpubsub.sendToGroups",
        "webpubsub.sendToGroups.",
        "webpubsub.sendToGroupx",
        "webpubsub.sendtogroup",
        "Webpubsub.sendToGroup",
        "sendToGroup",
    ];
    let mut client = service.json("chat", json!({ "role": roles })).await;
    for group in ["room", "x", "s", "s."] {
        assert!(
            !is_allowed(&mut client, "sendToGroup", group).await,
            "{group}"
        );
    }
}

/// Item 130.
#[tokio::test]
async fn patterns_match_whole_names() {
    let service = Service::start().await;
    let table = [
        ("ab*", "ab", true),
        ("ab*", "abc", true),
        ("ab*", "ab.cd", false),
        ("a?c", "abc", true),
        ("a?c", "a.c", false),
        ("a.**.b", "a..b", true),
        ("a.**.b", "a.x.y.b", true),
        ("a***b", "a.b", true),
        (r"a\?*", "a?bc", true),
        (r"a\?*", "abc", false),
        ("?", "a", true),
        ("?", "ab", false),
        ("Room*", "room1", false),
        (r"a\\b", r"a\b", true),
        (r"\*", "*", true),
        (r"\*", "a", false),
        ("**", "any.thing", true),
        ("*", "any.thing", false),
    ];
    for (permission, requests) in PERMISSIONS {
        for (pattern, group, matches) in table {
            let role = format!("webpubsub.{permission}s.{pattern}");
            let mut client = service.json("chat", json!({ "role": role })).await;
            let is_allowed = is_allowed(&mut client, requests[0], group).await;
            assert_eq!(is_allowed, matches, "{role}: {group}");
        }
    }
}

/// Item 131.
#[tokio::test]
async fn an_invalid_pattern_allows_nothing_and_the_connection_opens() {
    let service = Service::start().await;
    let too_long = "a".repeat(1025);
    let table = [
        (r"a\b", r"a\b"),
        (r"a\b", "ab"),
        (r"a\", "a"),
        ("******", "abcdef"),
        ("??????", "abcdef"),
        ("?????*", "abcdef"),
        ("*a*a*a*a*a*", "aaaaa"),
        (&too_long, "a"),
    ];
    for (permission, requests) in PERMISSIONS {
        for (pattern, group) in table {
            let role = format!("webpubsub.{permission}s.{pattern}");
            let mut client = service.json("chat", json!({ "role": role })).await;
            assert!(
                !is_allowed(&mut client, requests[0], group).await,
                "{role}: {group}"
            );
        }
    }
}

/// Item 131: five wildcards, and the longest pattern, are still good.
#[tokio::test]
async fn the_largest_patterns_are_valid() {
    let service = Service::start().await;
    let longest = format!("{}*", "a".repeat(1023));
    let table = [
        ("?????", "abcde".to_owned()),
        ("*****", "a.b".to_owned()),
        ("*b*d*f*h*", "abcdefghi".to_owned()),
        (&longest, "a".repeat(1023)),
    ];
    for (pattern, group) in table {
        let role = format!("webpubsub.sendToGroups.{pattern}");
        let mut client = service.json("chat", json!({ "role": role })).await;
        assert!(
            is_allowed(&mut client, "sendToGroup", &group).await,
            "{role}"
        );
    }
}

/// Item 131.
#[tokio::test]
async fn the_tenth_pattern_of_a_permission_is_passed_over() {
    let service = Service::start().await;
    let letters = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let roles: Vec<String> = letters
        .iter()
        .flat_map(|letter| {
            PERMISSIONS.map(|(permission, _)| format!("webpubsub.{permission}s.{letter}?"))
        })
        .chain(["webpubsub.sendToGroup.literal".to_owned()])
        .collect();
    let mut client = service.json("chat", json!({ "role": roles })).await;
    for (_, requests) in PERMISSIONS {
        for letter in letters {
            let group = format!("{letter}1");
            let is_allowed = is_allowed(&mut client, requests[0], &group).await;
            assert_eq!(is_allowed, letter != "j", "{} {group}", requests[0]);
        }
    }
    assert!(is_allowed(&mut client, "sendToGroup", "literal").await);
}

/// Item 132.
#[tokio::test]
async fn a_revoke_overrides_a_role_until_the_next_grant() {
    let service = Service::start().await;
    for form in ["", "s.room*", ".room1"] {
        for (permission, requests) in PERMISSIONS {
            let role = format!("webpubsub.{permission}{form}");
            let mut client = service.json("chat", json!({ "role": role })).await;
            for group in ["room1", "room2"] {
                let covers = form != ".room1" || group == "room1";
                assert_eq!(is_allowed(&mut client, requests[0], group).await, covers);
            }

            let status = change(&service, "DELETE", permission, &client, "room1").await;
            assert_eq!(status, 204);
            for request in requests {
                assert!(
                    !is_allowed(&mut client, request, "room1").await,
                    "{role}: {request}"
                );
            }
            let others = is_allowed(&mut client, requests[0], "room2").await;
            assert_eq!(others, form != ".room1", "{role}");
            let status = change(&service, "HEAD", permission, &client, "room1").await;
            assert_eq!(status, 404);

            let status = change(&service, "PUT", permission, &client, "room1").await;
            assert_eq!(status, 200);
            for request in requests {
                assert!(
                    is_allowed(&mut client, request, "room1").await,
                    "{role}: {request}"
                );
            }
            let status = change(&service, "HEAD", permission, &client, "room1").await;
            assert_eq!(status, 200);
        }
    }
}

/// Item 132.
#[tokio::test]
async fn a_revoke_leaves_memberships_alone() {
    let service = Service::start().await;
    let mut client = service.json_with_roles("chat", "alice").await;
    client.join("room").await;
    for (permission, _) in PERMISSIONS {
        change(&service, "DELETE", permission, &client, "room").await;
    }
    service
        .send("/api/hubs/chat/groups/room/:send", "text/plain", b"hi")
        .await;
    assert_eq!(client.json().await["data"], "hi");
    assert!(!is_allowed(&mut client, "leaveGroup", "room").await);
}

/// Item 133, as far as it needs no recovery.
#[tokio::test]
async fn a_grant_counts_from_the_next_frame_on() {
    let service = Service::start().await;
    let mut client = service.json("chat", json!({})).await;
    for (permission, requests) in PERMISSIONS {
        for request in requests {
            assert!(!is_allowed(&mut client, request, "room").await, "{request}");
        }
        let status = change(&service, "PUT", permission, &client, "room").await;
        assert_eq!(status, 200);
        for request in requests {
            assert!(is_allowed(&mut client, request, "room").await, "{request}");
            assert!(
                !is_allowed(&mut client, request, "other").await,
                "{request}"
            );
        }
        let status = change(&service, "DELETE", permission, &client, "room").await;
        assert_eq!(status, 204);
        for request in requests {
            assert!(!is_allowed(&mut client, request, "room").await, "{request}");
        }
    }
}

/// Item 133: the target of a grant is a group's name, never a pattern.
#[tokio::test]
async fn a_grant_is_for_one_group_by_name() {
    let service = Service::start().await;
    let mut client = service.json("chat", json!({})).await;
    change(&service, "PUT", "sendToGroup", &client, "room*").await;
    assert!(is_allowed(&mut client, "sendToGroup", "room*").await);
    assert!(!is_allowed(&mut client, "sendToGroup", "room1").await);
}

/// Item 133: a grant is the connection's, not the user's.
#[tokio::test]
async fn a_grant_is_for_one_connection() {
    let service = Service::start().await;
    let granted = service.json("chat", json!({ "sub": "alice" })).await;
    let mut other = service.json("chat", json!({ "sub": "alice" })).await;
    change(&service, "PUT", "sendToGroup", &granted, "room").await;
    assert!(!is_allowed(&mut other, "sendToGroup", "room").await);
}

/// Item 132: one revoke is enough, however many roles allow the group.
#[tokio::test]
async fn a_revoke_overrides_a_literal_role_and_the_pattern_behind_it() {
    let service = Service::start().await;
    let roles = ["webpubsub.sendToGroup.room", "webpubsub.sendToGroups.r*"];
    let mut client = service.json("chat", json!({ "role": roles })).await;
    assert_eq!(
        change(&service, "DELETE", "sendToGroup", &client, "room").await,
        204
    );
    assert!(!is_allowed(&mut client, "sendToGroup", "room").await);
    assert!(is_allowed(&mut client, "sendToGroup", "rooms").await);
    assert_eq!(
        change(&service, "PUT", "sendToGroup", &client, "room").await,
        200
    );
    assert!(is_allowed(&mut client, "sendToGroup", "room").await);
}

/// Item 134.
#[tokio::test]
async fn token_groups_need_no_role() {
    let service = Service::start().await;
    let mut client = service
        .json("chat", json!({ "webpubsub.group": "room" }))
        .await;
    let mut sender = service.json("chat", json!({ "role": ALL_ROLES })).await;
    assert!(is_allowed(&mut sender, "sendToGroup", "room").await);
    assert_eq!(client.json().await["group"], "room");
    for request in ["joinGroup", "leaveGroup", "sendToGroup"] {
        assert!(!is_allowed(&mut client, request, "room").await, "{request}");
    }
}

/// Makes a request and tells whether it was allowed.
async fn is_allowed(client: &mut Client, request: &str, group: &str) -> bool {
    static ACK_ID: AtomicU64 = AtomicU64::new(1);
    let ack_id = ACK_ID.fetch_add(1, Ordering::Relaxed);
    let ack = client
        .request(
            json!({ "type": request, "group": group, "data": 1, "noEcho": true, "ackId": ack_id }),
        )
        .await;
    if ack["success"] == true {
        assert_eq!(ack["error"], Value::Null);
        return true;
    }
    assert_eq!(ack["error"]["name"], "Forbidden", "{ack}");
    let message = ack["error"]["message"].as_str().unwrap();
    assert!(message.contains("permission"), "{message}");
    false
}

/// Grants (`PUT`), revokes (`DELETE`) or checks (`HEAD`) a permission, and returns the status.
async fn change(
    service: &Service,
    method: &str,
    permission: &str,
    client: &Client,
    group: &str,
) -> u16 {
    let id = &client.connection_id;
    let path =
        format!("/api/hubs/chat/permissions/{permission}/connections/{id}?targetName={group}");
    service.rest(method, &path, "", b"").await.status
}

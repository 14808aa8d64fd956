//! Changing groups of many connections at once: rest-api 1.6, item 8 of its acceptance checklist.

use serde_json::{Value, json};

use crate::support::rest::{assert_bad_request, encode};
use crate::support::{Client, Service};

const ADD: &str = "/api/hubs/chat/:addToGroups";
const REMOVE: &str = "/api/hubs/chat/:removeFromGroups";
const NO_GROUPS: &str = "A nonempty list of valid group names is required.";
const NOT_A_REQUEST: &str = "The request body is not a valid groups request.";

/// Acceptance 8.
#[tokio::test]
async fn no_filter_selects_every_connection_of_the_hub() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let _clients = connect(&service).await;
    for body in [
        json!({ "groups": ["room"] }),
        json!({ "groups": ["room"], "filter": null }),
        json!({ "groups": ["room"], "filter": "" }),
        json!({ "groups": ["room", "room"], "filter": "true" }),
    ] {
        change(&service, ADD, &body, 3).await;
        change(&service, ADD, &body, 3).await;
        change(&service, REMOVE, &body, 0).await;
        change(&service, REMOVE, &body, 0).await;
    }
    assert_eq!(service.count("/api/hubs/other/groups/room/:count").await, 0);
}

/// Acceptance 8.
#[tokio::test]
async fn a_filter_selects_who_is_changed() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let clients = connect(&service).await;
    let id = &clients[0].connection_id;
    for (filter, count) in [
        ("userId eq 'alice'", 1),
        ("userId eq 'nobody'", 0),
        ("userId eq null", 1),
        ("protocol eq null", 1),
        ("length(groups) eq 0", 3),
        ("false", 0),
        (&format!("not (connectionId eq '{id}')"), 2),
    ] {
        let body = json!({ "groups": ["room"], "filter": filter });
        change(&service, ADD, &body, count).await;
        change(
            &service,
            REMOVE,
            &body,
            if filter.contains("length") { count } else { 0 },
        )
        .await;
        let all = json!({ "groups": ["room"] });
        change(&service, REMOVE, &all, 0).await;
    }
}

/// Acceptance 8: who is changed is settled before the first change.
#[tokio::test]
async fn a_filter_sees_the_groups_of_before_the_change() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let _clients = connect(&service).await;
    let groups: Vec<String> = (0..10).map(|index| format!("g{index}")).collect();
    let body = json!({ "groups": groups, "filter": "length(groups) eq 0" });
    assert_eq!(service.post(ADD, &body).await.status, 200);
    let body = json!({ "groups": groups, "filter": "'g0' in groups" });
    assert_eq!(counts(&service, &groups).await, [3; 10]);
    assert_eq!(service.post(REMOVE, &body).await.status, 200);
    assert_eq!(counts(&service, &groups).await, [0; 10]);
}

/// Acceptance 8: there is no cap on the count.
#[tokio::test]
async fn a_change_may_name_1025_groups() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let _clients = connect(&service).await;
    let groups: Vec<String> = (0..1025).map(|index| format!("group{index}")).collect();
    let body = json!({ "groups": groups });
    assert_eq!(service.post(ADD, &body).await.status, 200);
    let last = [groups[0].clone(), groups[1024].clone()];
    assert_eq!(counts(&service, &last).await, [3, 3]);
    let listed = service.get("/api/hubs/chat/groups?maxpagesize=200").await;
    assert_eq!(listed["value"].as_array().unwrap().len(), 200);
    assert_eq!(service.post(REMOVE, &body).await.status, 200);
    assert_eq!(counts(&service, &last).await, [0, 0]);
    let listed = service.get("/api/hubs/chat/groups").await;
    assert_eq!(listed, json!({ "value": [], "nextLink": null }));
}

/// Acceptance 8: names of properties have no letter case, and unknown ones do not matter.
#[tokio::test]
async fn properties_are_found_whatever_their_letter_case() {
    let service = Service::start().await;
    let _clients = connect(&service).await;
    for body in [
        json!({ "Groups": ["room"], "FILTER": "userId eq 'alice'" }),
        json!({ "gROUPS": ["room"], "filteR": "userId eq 'alice'", "x": { "groups": [1] } }),
        json!({ "groups": ["room"], "filter": "userId eq 'alice'", "excluded": 1, "": null }),
    ] {
        change(&service, ADD, &body, 1).await;
        change(&service, REMOVE, &body, 0).await;
    }
}

/// Acceptance 8: names are taken from JSON as they are.
#[tokio::test]
async fn a_change_may_name_any_valid_group() {
    let service = Service::start().await;
    let _clients = connect(&service).await;
    let names = [
        "a/b".to_owned(),
        "a%2Fb".to_owned(),
        " room ".to_owned(),
        "*".to_owned(),
        "你好🦀".to_owned(),
        "x".repeat(1024),
        "🦀".repeat(512),
        ":send".to_owned(),
    ];
    let body = json!({ "groups": names });
    assert_eq!(service.post(ADD, &body).await.status, 200);
    assert_eq!(counts(&service, &names).await, [3; 8]);
    let others = ["a".to_owned(), "room".to_owned(), "X".repeat(1024)];
    assert_eq!(counts(&service, &others).await, [0; 3]);
}

/// Acceptance 8.
#[tokio::test]
async fn an_invalid_body_is_refused_and_changes_nothing() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let _clients = connect(&service).await;
    let kept = json!({ "groups": ["kept"] });
    assert_eq!(service.post(ADD, &kept).await.status, 200);
    let before = service.get("/api/hubs/chat/groups").await;
    let too_long = "x".repeat(1025);
    let bodies = [
        json!(null),
        json!(1),
        json!("groups"),
        json!(["kept", "new"]),
        json!([]),
        json!({}),
        json!({ "filter": "true" }),
        json!({ "groups": null }),
        json!({ "groups": [] }),
        json!({ "groups": "new" }),
        json!({ "groups": 1 }),
        json!({ "groups": true }),
        json!({ "groups": { "0": "new" } }),
        json!({ "groups": ["kept", "new", null] }),
        json!({ "groups": ["kept", 1] }),
        json!({ "groups": ["kept", true] }),
        json!({ "groups": ["kept", ["new"]] }),
        json!({ "groups": ["kept", { "name": "new" }] }),
        json!({ "groups": ["kept", ""] }),
        json!({ "groups": ["", "kept"] }),
        json!({ "groups": ["kept", " "] }),
        json!({ "groups": ["kept", "\t\u{3000}"] }),
        json!({ "groups": ["kept", too_long] }),
        json!({ "groups": ["kept", format!("{}x", "🦀".repeat(512))] }),
        json!({ "groups": ["kept", "new"], "filter": 1 }),
        json!({ "groups": ["kept", "new"], "filter": true }),
        json!({ "groups": ["kept", "new"], "filter": [] }),
        json!({ "groups": ["kept", "new"], "filter": {} }),
        json!({ "groups": ["kept", "new"], "filter": " " }),
        json!({ "groups": ["kept", "new"], "filter": "\n" }),
        json!({ "groups": ["kept", "new"], "filter": "userId" }),
        json!({ "groups": ["kept", "new"], "filter": "userId eq" }),
        json!({ "groups": ["kept", "new"], "Filter": "true or userId" }),
    ];
    for path in [ADD, REMOVE] {
        for body in &bodies {
            let answer = service.post(path, body).await;
            assert_eq!(answer.status, 400, "{path} {body}");
            assert_eq!(answer.header("x-ms-error-code"), Some("Error.BadRequest"));
            let error: Value = serde_json::from_str(&answer.body).unwrap();
            assert_eq!(error["target"], "Request", "{body}");
            let message = error["message"].as_str().unwrap();
            let is_filter = message.starts_with("Invalid syntax for '");
            assert!(
                is_filter || message == NO_GROUPS || message == NOT_A_REQUEST,
                "{body}: {message}"
            );
        }
        for body in [
            "",
            " ",
            "{",
            "{\"groups\":[\"kept\",\"new\"]",
            "{\"groups\":[\"new\"],}",
            "groups",
        ] {
            let answer = service
                .rest("POST", path, "application/json", body.as_bytes())
                .await;
            assert_bad_request(&answer, "The request body is not a valid JSON.");
        }
    }
    assert_eq!(service.get("/api/hubs/chat/groups").await, before);
}

/// Acceptance 8: the known messages.
#[tokio::test]
async fn an_invalid_body_is_refused_with_the_official_message() {
    let service = Service::start().await;
    for body in [
        json!({}),
        json!({ "groups": null }),
        json!({ "groups": [] }),
        json!({ "groups": [""] }),
        json!({ "groups": ["x".repeat(1025)] }),
    ] {
        assert_bad_request(&service.post(ADD, &body).await, NO_GROUPS);
    }
    for body in [json!([]), json!(1), json!({ "groups": ["a"], "filter": 1 })] {
        assert_bad_request(&service.post(ADD, &body).await, NOT_A_REQUEST);
    }
    let body = json!({ "groups": ["a"], "filter": " " });
    let message = "Invalid syntax for ' ': Unexpected end. (Parameter 'filter')";
    assert_bad_request(&service.post(ADD, &body).await, message);
    let filter = format!("'{}' eq ''", "x".repeat(64 * 1024));
    let body = json!({ "groups": ["a"], "filter": filter });
    assert_eq!(service.post(ADD, &body).await.status, 400, "beyond 64 KiB");
    let filter = format!("'{}' ne ''", "x".repeat(64 * 1024 - 8));
    assert_eq!(filter.len(), 64 * 1024);
    let body = json!({ "groups": ["a"], "filter": filter });
    assert_eq!(service.post(ADD, &body).await.status, 200, "64 KiB");
}

/// Acceptance 8.
#[tokio::test]
async fn a_change_must_say_that_it_is_json() {
    let service = Service::start().await;
    let _clients = connect(&service).await;
    let body = json!({ "groups": ["room"] }).to_string();
    for content_type in [
        "",
        "text/plain",
        "application/octet-stream",
        "application/xml",
        "application/json; charset=klingon",
        "text/json",
    ] {
        let answer = service
            .rest("POST", ADD, content_type, body.as_bytes())
            .await;
        assert_eq!(answer.status, 415, "{content_type}");
        let code = answer.header("x-ms-error-code");
        assert_eq!(code, Some("Error.UnsupportedMediaType"), "{content_type}");
    }
    assert_eq!(counts(&service, &["room".to_owned()]).await, [0]);
    for content_type in ["Application/JSON; charset=\"UTF-8\"", "application/json"] {
        let answer = service
            .rest("POST", ADD, content_type, body.as_bytes())
            .await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
        assert_eq!(answer.header("content-length"), Some("0"));
    }
    assert_eq!(counts(&service, &["room".to_owned()]).await, [3]);
    let utf16: Vec<u8> = body.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let content_type = "application/json; charset=utf-16";
    let answer = service.rest("POST", REMOVE, content_type, &utf16).await;
    assert_eq!(answer.status, 200);
    assert_eq!(counts(&service, &["room".to_owned()]).await, [0]);
}

/// Acceptance 8: the content type is judged before the body is, and metadata is for messages.
#[tokio::test]
async fn a_change_of_another_type_is_refused_for_that() {
    let service = Service::start().await;
    for (content_type, body) in [("text/plain", "{"), ("", ""), ("text/plain", "1")] {
        let head = "X-WebPubSub-Metadata-K: ü\r\n";
        let answer = service
            .rest_with_head(ADD, head, content_type, body.as_bytes())
            .await;
        assert_eq!(answer.status, 415, "{content_type} {body}");
    }
    let head = "X-WebPubSub-Metadata-K: ü\r\n";
    let body = json!({ "groups": ["room"] }).to_string();
    let answer = service
        .rest_with_head(ADD, head, "application/json", body.as_bytes())
        .await;
    assert_eq!(answer.status, 200);
}

/// Acceptance 8: only who is there is changed, and only in groups.
#[tokio::test]
async fn a_change_touches_neither_permissions_nor_later_connections() {
    let service = Service::start().await;
    let mut clients = connect(&service).await;
    let body = json!({ "groups": ["room"] });
    change(&service, ADD, &body, 3).await;
    let _later = service.json("chat", json!({})).await;
    assert_eq!(service.count("/api/hubs/chat/groups/room/:count").await, 3);
    let join = json!({ "type": "joinGroup", "group": "room", "ackId": 1 });
    let ack = clients[0].request(join).await;
    assert_eq!(ack["error"]["name"], "Forbidden");
    change(&service, REMOVE, &body, 0).await;
    assert_eq!(service.count("/api/hubs/chat/:count").await, 4);
    service.mark("chat", "still there").await;
    for client in &mut clients {
        client.expect_mark("still there").await;
    }
}

/// Connects alice and somebody without a user as JSON clients, and bob as a simple one.
async fn connect(service: &Service) -> [Client; 3] {
    [
        service.json("chat", json!({ "sub": "alice" })).await,
        service.json("chat", json!({})).await,
        service.simple("chat", json!({ "sub": "bob" })).await,
    ]
}

/// Changes the group `room`, which then has so many members.
async fn change(service: &Service, path: &str, body: &Value, members: u64) {
    let answer = service.post(path, body).await;
    assert_eq!(answer.status, 200, "{path} {body}: {}", answer.body);
    assert_eq!(answer.body, "");
    let count = service.count("/api/hubs/chat/groups/room/:count").await;
    assert_eq!(count, members, "{path} {body}");
}

async fn counts(service: &Service, groups: &[String]) -> Vec<u64> {
    let mut counts = Vec::new();
    for group in groups {
        let path = format!("/api/hubs/chat/groups/{}/:count", encode(group));
        counts.push(service.count(&path).await);
    }
    counts
}

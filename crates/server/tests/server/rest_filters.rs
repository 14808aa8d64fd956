//! Filters by REST: rest-api 5, item 11 of its acceptance checklist. The language itself is tested in `crates/protocol`.

use serde_json::json;

use crate::support::rest::{assert_bad_request, encode};
use crate::support::{Client, Service};

/// Acceptance 11: the messages of 5.7, word for word, from each operation that takes a filter.
#[tokio::test]
async fn an_invalid_filter_is_refused_with_the_official_message() {
    let service = Service::start().await;
    let mut clients = connect(&service).await;
    for (filter, message) in [
        (
            "userId lt 1",
            "Invalid syntax for 'userId lt 1': Type 'string', expect 'int'.",
        ),
        (
            "ab eq 1",
            "Invalid syntax for 'ab eq 1': Token 'ab' is not supported.",
        ),
        (
            "( not 'a' )",
            "Invalid syntax for 'not 'a'': Type 'string', expect 'bool'.",
        ),
        (
            "not length(userId) gt 5",
            "Invalid syntax for 'not length(userId)': Type 'null', expect 'bool'.",
        ),
        (
            "true or userId",
            "Invalid syntax for 'true or userId': Type 'string', expect 'bool'.",
        ),
        (" ", "Invalid syntax for ' ': Unexpected end."),
        (
            "userId",
            "Invalid syntax for 'userId': Type 'string', expect 'bool'.",
        ),
        (
            "contains('ü🦀')",
            "Invalid syntax for 'contains('ü🦀')': Invalid token 'contains('ü🦀')'.",
        ),
        (
            "userId eq 'a\"b",
            "Invalid syntax for 'userId eq 'a\"b': A string is not closed.",
        ),
    ] {
        let message = format!("{message} (Parameter 'filter')");
        for target in [":send", "groups/room/:send", "users/alice/:send"] {
            let path = format!("/api/hubs/chat/{target}?filter={}", encode(filter));
            let answer = service.rest("POST", &path, "text/plain", b"no").await;
            assert_bad_request(&answer, &message);
        }
        for action in [":addToGroups", ":removeFromGroups"] {
            let body = json!({ "groups": ["room"], "filter": filter });
            let answer = service
                .post(&format!("/api/hubs/chat/{action}"), &body)
                .await;
            assert_bad_request(&answer, &message);
        }
    }
    service.mark("chat", "nothing else").await;
    for client in &mut clients {
        client.expect_mark("nothing else").await;
    }
}

/// Acceptance 11.
#[tokio::test]
async fn a_filter_selects_the_receivers_of_a_send() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let mut clients = connect(&service).await;
    let [alice, jane, nobody, simple] = clients
        .each_ref()
        .map(|client| client.connection_id.clone());
    assert_eq!(simple, "", "a simple client does not know its id");
    let table: [(&str, &[usize]); 22] = [
        ("true", &[0, 1, 2, 3]),
        ("false", &[]),
        ("userId in ('Doe, John','x')", &[]),
        ("userId in ('O''Brien, Jane','x')", &[1]),
        ("userId eq 'O''Brien, Jane'", &[1]),
        ("substring(userId,99) eq 'x'", &[]),
        ("substring(userId,1) eq 'lice'", &[0]),
        ("'room' in groups", &[0, 1, 2, 3]),
        ("'a' in (groups)", &[0]),
        ("not('a' in groups)", &[1, 2, 3]),
        ("length(userId) gt +5", &[1, 3]),
        ("indexof(userId,'a') gt -1", &[0, 1, 3]),
        ("userId eq null", &[2]),
        ("protocol eq null", &[3]),
        ("protocol eq 'json.webpubsub.azure.v1'", &[0, 1, 2]),
        ("tolower(userId) gt 5", &[]),
        ("not (tolower(userId) gt 5)", &[2]),
        ("length(groups) eq 2", &[0]),
        ("USERID eq 'alice'", &[0]),
        (&format!("connectionId eq '{alice}'"), &[0]),
        (&format!("connectionId in ('{jane}','{nobody}')"), &[1, 2]),
        ("userId eq 'a+b%2F'", &[3]),
    ];
    for (filter, receivers) in table {
        for target in [":send", "groups/room/:send"] {
            let path = format!("/api/hubs/chat/{target}?filter={}", encode(filter));
            service.send(&path, "text/plain", filter.as_bytes()).await;
            service.mark("chat", "mark").await;
            for (index, client) in clients.iter_mut().enumerate() {
                if receivers.contains(&index) {
                    client.expect_mark(filter).await;
                }
                client.expect_mark("mark").await;
            }
        }
    }
}

/// Acceptance 11: an empty filter is none, and the first of several counts.
#[tokio::test]
async fn an_empty_filter_is_no_filter() {
    let service = Service::start().await;
    let mut clients = connect(&service).await;
    for query in ["filter=", "", "filter=true&filter=ab", "Filter=false"] {
        let path = format!("/api/hubs/chat/:send?{query}");
        service.send(&path, "text/plain", b"all").await;
        for client in &mut clients {
            client.expect_mark("all").await;
        }
    }
}

/// Acceptance 11: target, exclusion and filter all have to let a connection through.
#[tokio::test]
async fn a_filter_comes_on_top_of_target_and_exclusion() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let mut clients = connect(&service).await;
    let alice = clients[0].connection_id.clone();
    for (path, receivers) in [
        (
            format!(":send?filter=userId%20ne%20null&excluded={alice}"),
            &[1, 3][..],
        ),
        (
            format!("groups/room/:send?excluded={alice}&filter=protocol%20ne%20null"),
            &[1, 2],
        ),
        (
            "groups/a/:send?filter=userId%20ne%20'alice'".to_owned(),
            &[],
        ),
        (
            "groups/a/:send?filter=userId%20eq%20'alice'".to_owned(),
            &[0],
        ),
        (
            "users/alice/:send?filter='room'%20in%20groups".to_owned(),
            &[0],
        ),
        (
            "users/alice/:send?filter=userId%20eq%20null".to_owned(),
            &[],
        ),
    ] {
        let path = format!("/api/hubs/chat/{path}");
        service.send(&path, "text/plain", b"some").await;
        service.mark("chat", "mark").await;
        for (index, client) in clients.iter_mut().enumerate() {
            if receivers.contains(&index) {
                client.expect_mark("some").await;
            }
            client.expect_mark("mark").await;
        }
    }
}

/// Acceptance 11: a filter sees the groups of the moment.
#[tokio::test]
async fn a_filter_used_again_looks_again() {
    let service = Service::start().await;
    let mut clients = connect(&service).await;
    let client = &mut clients[2];
    let path = "/api/hubs/chat/:send?filter='new'%20in%20groups";
    let membership = format!(
        "/api/hubs/chat/groups/new/connections/{}",
        client.connection_id
    );
    for _ in 0..3 {
        service.send(path, "text/plain", b"no").await;
        assert_eq!(service.status("PUT", &membership).await, 200);
        service.send(path, "text/plain", b"yes").await;
        client.expect_mark("yes").await;
        assert_eq!(service.status("DELETE", &membership).await, 204);
    }
    service.mark("chat", "mark").await;
    client.expect_mark("mark").await;
}

/// Connects alice, who is in the group `a` too, Jane O'Brien, somebody without a user, and a simple client; all are in `room`.
async fn connect(service: &Service) -> [Client; 4] {
    let claims = |user: &str| json!({ "sub": user, "webpubsub.group": "room" });
    let alice = json!({ "sub": "alice", "webpubsub.group": ["room", "a"] });
    [
        service.json("chat", alice).await,
        service.json("chat", claims("O'Brien, Jane")).await,
        service.json("chat", claims("")).await,
        service.simple("chat", claims("a+b%2F")).await,
    ]
}

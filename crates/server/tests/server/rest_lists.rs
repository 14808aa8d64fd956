//! Lists and their pages: rest-api 1.6, item 9 of its acceptance checklist, and the lists that are our own.

use std::collections::{BTreeMap, BTreeSet};

use hubwire_server::config::{DEVELOPMENT_KEY, Secret};
use serde_json::{Value, json};

use crate::support::rest::{assert_bad_parameter, assert_refused, encode};
use crate::support::{Client, JSON, Service, unix_seconds};

const MEMBERS: &str = "/api/hubs/chat/groups/room/connections";

/// Acceptance 9.
#[tokio::test]
async fn two_hundred_and_one_members_are_listed_in_pages() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let _members = connect(&service, 201).await;
    let table: [(&str, Vec<usize>); 8] = [
        ("", vec![200, 1]),
        ("maxpagesize=1", vec![1; 201]),
        ("top=1", vec![1]),
        ("maxpagesize=2&top=3", vec![2, 1]),
        ("maxpagesize=200&top=200", vec![200]),
        ("maxpagesize=200&top=201", vec![200, 1]),
        ("top=2147483647&maxpagesize=200", vec![200, 1]),
        ("maxpagesize=67", vec![67, 67, 67]),
    ];
    let mut all = Vec::new();
    for (query, sizes) in table {
        let pages = walk(&service, MEMBERS, query).await;
        let found: Vec<usize> = pages.iter().map(Vec::len).collect();
        assert_eq!(found, sizes, "{query}");
        let members: Vec<Value> = pages.into_iter().flatten().collect();
        if query.is_empty() {
            all = members;
            let ids: Vec<&str> = all.iter().map(id_of).collect();
            assert!(ids.is_sorted(), "ordinal order");
            assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 201);
            let users = all.iter().filter(|member| member["userId"] == "alice");
            assert_eq!(users.count(), 101);
            let nobody = json!({ "connectionId": id_of(&all[0]), "userId": null });
            let alice = json!({ "connectionId": id_of(&all[0]), "userId": "alice" });
            assert!(all[0] == nobody || all[0] == alice, "{}", all[0]);
        } else {
            assert_eq!(members, all[..members.len()], "{query}");
        }
    }
}

/// Acceptance 9.
#[tokio::test]
async fn a_list_of_nobody_is_empty() {
    let service = Service::start().await;
    let _member = connect(&service, 1).await;
    let empty = json!({ "value": [], "nextLink": null });
    for path in [
        "/api/hubs/nowhere/groups/room/connections",
        "/api/hubs/chat/groups/nobody/connections",
        "/api/hubs/chat/groups/ROOM/connections/",
    ] {
        assert_eq!(service.get(path).await, empty, "{path}");
        let answer = service.call("GET", path).await;
        assert_eq!(answer.body, r#"{"value":[],"nextLink":null}"#);
    }
}

/// Acceptance 9.
#[tokio::test]
async fn page_sizes_out_of_range_are_refused() {
    let service = Service::start().await;
    let _members = connect(&service, 2).await;
    let lists = [
        MEMBERS,
        "/api/hubs/chat/connections",
        "/api/hubs/chat/groups",
        "/api/hubs/chat/users/alice/groups",
    ];
    for path in lists {
        for (name, bad) in [
            (
                "maxpagesize",
                [
                    "0",
                    "-1",
                    "201",
                    "x",
                    "",
                    "1.5",
                    "2147483648",
                    "1&maxpagesize=1",
                ],
            ),
            (
                "top",
                ["0", "-1", "2147483648", "x", "", "1.5", "0x1", "1&top=1"],
            ),
        ] {
            for value in bad {
                let answer = service.call("GET", &format!("{path}?{name}={value}")).await;
                assert_bad_parameter(&answer, name);
            }
        }
        for good in [
            "maxpagesize=1&top=1",
            "maxpagesize=200",
            "top=2147483647",
            "filter=x",
        ] {
            let answer = service.call("GET", &format!("{path}?{good}")).await;
            assert_eq!(answer.status, 200, "{good}");
        }
    }
}

/// Acceptance 9.
#[tokio::test]
async fn a_page_goes_on_behind_a_cursor_that_is_gone() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let members = connect(&service, 9).await;
    let all = walk(&service, MEMBERS, "").await.remove(0);
    let ids: Vec<&str> = all.iter().map(id_of).collect();
    let first = service.get(&format!("{MEMBERS}?maxpagesize=3")).await;
    let link = first["nextLink"].as_str().unwrap();

    // The cursor is closed, the one behind it leaves, and one before it leaves and comes back.
    let path = format!("/api/hubs/chat/connections/{}", ids[2]);
    assert_eq!(service.status("DELETE", &path).await, 204);
    for (method, index) in [("DELETE", 3), ("DELETE", 0), ("PUT", 0)] {
        let path = format!("{MEMBERS}/{}", ids[index]);
        service.call(method, &path).await;
    }
    let rest = follow(&service, link).await;
    let rest: Vec<&str> = rest.iter().flatten().map(id_of).collect();
    assert_eq!(rest, ids[4..]);

    // Everybody behind the cursor leaves.
    for id in &ids[4..] {
        service.call("DELETE", &format!("{MEMBERS}/{id}")).await;
    }
    assert_eq!(follow(&service, link).await, [Vec::<Value>::new()]);
    drop(members);
}

/// Acceptance 9.
#[tokio::test]
async fn the_link_to_the_next_page_says_what_is_left_to_do() {
    let service = Service::start().await;
    let _members = connect(&service, 4).await;
    let path = format!("{MEMBERS}?top=3&api-version=2021-10-01&other=x");
    let page = service.get(&path).await;
    assert_eq!(page["nextLink"], Value::Null, "the default page is 200");
    for (query, expected) in [
        (
            "maxpagesize=1&top=3",
            [("maxpagesize", Some("1")), ("top", Some("2"))],
        ),
        ("maxpagesize=3", [("maxpagesize", Some("3")), ("top", None)]),
        (
            "api-version=2021-10-01&maxpagesize=1&top=2147483647&filter=x",
            [("maxpagesize", Some("1")), ("top", Some("2147483646"))],
        ),
    ] {
        let page = service.get(&format!("{MEMBERS}?{query}")).await;
        let fields = fields_of(&service, MEMBERS, page["nextLink"].as_str().unwrap());
        for (name, value) in expected {
            assert_eq!(fields.get(name).map(String::as_str), value, "{query}");
        }
    }
}

/// Acceptance 9.
#[tokio::test]
async fn a_token_is_good_for_its_own_list_only() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let claims = json!({ "sub": "alice", "webpubsub.group": ["room", "other"] });
    let mut clients = Vec::new();
    for hub in ["chat", "chat", "chat", "elsewhere", "elsewhere"] {
        clients.push(service.simple(hub, claims.clone()).await);
    }
    let token = token_of(&service, MEMBERS).await;
    for path in [
        MEMBERS,
        "/api/hubs/CHAT/groups/room/connections",
        "/api/hubs/chat/groups/r%6Fom/connections/",
    ] {
        let answer = service
            .call("GET", &format!("{path}?continuationToken={token}"))
            .await;
        assert_eq!(answer.status, 200, "{path}");
    }
    for path in [
        "/api/hubs/chat/groups/other/connections",
        "/api/hubs/chat/groups/Room/connections",
        "/api/hubs/elsewhere/groups/room/connections",
        "/api/hubs/chat/connections",
        "/api/hubs/chat/users/alice/connections",
        "/api/hubs/chat/users/room/connections",
        "/api/hubs/chat/groups",
    ] {
        refused(&service, path, &token).await;
        let other =
            match path.ends_with("/groups") || path.contains("Room") || path.contains("users/room")
            {
                true => continue,
                false => token_of(&service, path).await,
            };
        refused(&service, MEMBERS, &other).await;
    }
}

/// Acceptance 9.
#[tokio::test]
async fn a_token_that_was_changed_is_refused() {
    let service = Service::start().await;
    let _members = connect(&service, 3).await;
    let token = token_of(&service, MEMBERS).await;
    assert!(
        token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
        "base64url without padding: {token}"
    );
    let mut changed: Vec<String> = (0..token.len())
        .map(|index| {
            let mut bytes = token.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'Q' } else { b'A' };
            String::from_utf8(bytes).unwrap()
        })
        .filter(|changed| *changed != token)
        .collect();
    changed.extend([
        String::new(),
        "%20".to_owned(),
        "x".to_owned(),
        "null".to_owned(),
        token[1..].to_owned(),
        token[..token.len() - 1].to_owned(),
        format!("{token}A"),
        format!("{token}%3D"),
        format!("%20{token}"),
        format!("{token}{token}"),
        format!("{token}&continuationToken={token}"),
        format!("{token}&continuationToken="),
        "A".repeat(2048),
        "A".repeat(2049),
        "A".repeat(20_000),
    ]);
    for changed in changed {
        refused(&service, MEMBERS, &changed).await;
    }
    let path = format!("{MEMBERS}?continuationToken={token}");
    assert_eq!(service.status("GET", &path).await, 200);
}

/// Acceptance 9: the key is what makes a token, so it outlives the process.
#[tokio::test]
async fn a_token_is_good_wherever_the_key_is_known() {
    let one = Service::start().await;
    let _members = connect(&one, 2).await;
    let token = token_of(&one, MEMBERS).await;
    let restarted = Service::start().await;
    let path = format!("{MEMBERS}?continuationToken={token}");
    let page = restarted.get(&path).await;
    assert_eq!(page, json!({ "value": [], "nextLink": null }));
    let other_key = Service::start_with(|config| {
        config.keys.internal = Some(Secret::new(
            "a key of the service's own, thirty-two bytes and more",
        ));
    })
    .await;
    refused(&other_key, MEMBERS, &token).await;
}

/// Acceptance 9: a name that looks like an escape stays what it is.
#[tokio::test]
async fn the_pages_of_an_odd_group_are_its_own() {
    let service = Service::start_with(|config| config.shards = 2).await;
    for name in ["50%25 off", "a/b+c", "?x=1&top=1#y", "你好🦀", "."] {
        let claims = json!({ "webpubsub.group": name });
        let _members = [
            service.simple("chat", claims.clone()).await,
            service.simple("chat", claims.clone()).await,
            service.simple("chat", claims).await,
        ];
        let path = format!("/api/hubs/chat/groups/{}/connections", encode(name));
        let pages = walk(&service, &path, "maxpagesize=1").await;
        assert_eq!(pages.len(), 3, "{name}");
        let ids: BTreeSet<&str> = pages.iter().flatten().map(id_of).collect();
        assert_eq!(ids.len(), 3, "{name}");
    }
}

/// Acceptance 9: each page has an authorisation of its own.
#[tokio::test]
async fn a_page_needs_a_token_of_the_caller_too() {
    let service = Service::start().await;
    let _members = connect(&service, 2).await;
    let page = service.get(&format!("{MEMBERS}?maxpagesize=1")).await;
    let link = page["nextLink"].as_str().unwrap();
    let path = link
        .strip_prefix(&format!("http://{}", service.addr))
        .unwrap();
    let answer = service.request("GET", path, "", b"").await;
    assert_eq!(answer.status, 401);
    let claims = json!({
        "aud": format!("http://{}{MEMBERS}", service.addr),
        "exp": unix_seconds() + 60,
    });
    for path in [path, MEMBERS] {
        let answer = service
            .call_with("GET", path, &claims, DEVELOPMENT_KEY, "")
            .await;
        assert_eq!(answer.status, 200, "one audience is good for all pages");
    }
}

/// Ours: connections of a hub and of a user, with what is known of them.
#[tokio::test]
async fn connections_are_listed_with_what_is_known_of_them() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let claims = json!({ "sub": "alice", "webpubsub.group": ["one", "two"] });
    let alice = service.json("chat", claims).await;
    let path = service.client_path("chat", json!({ "sub": "alice" }));
    let _simple = service.connect_path(&path, &[]).await;
    let path = service.client_path("chat", json!({}));
    let mut spelled = service
        .connect_path(&path, &["JSON.webpubsub.azure.v1"])
        .await;
    assert_eq!(spelled.json().await["event"], "connected");
    let _elsewhere = service.simple("other", json!({ "sub": "alice" })).await;

    let listed = service.get("/api/hubs/chat/connections").await;
    assert_eq!(listed["nextLink"], Value::Null);
    let listed = listed["value"].as_array().unwrap();
    assert_eq!(listed.len(), 3);
    for connection in listed {
        let names: BTreeSet<&String> = connection.as_object().unwrap().keys().collect();
        let expected = [
            "ageSeconds",
            "connectionId",
            "groupCount",
            "protocol",
            "userId",
        ];
        assert!(names.into_iter().eq(expected), "{connection}");
        assert!(connection["ageSeconds"].is_u64());
    }
    let of = |id: &str| {
        listed
            .iter()
            .find(|connection| id_of(connection) == id)
            .unwrap()
    };
    let found = of(&alice.connection_id);
    assert_eq!(
        (&found["userId"], &found["protocol"], &found["groupCount"]),
        (&json!("alice"), &json!(JSON), &json!(2))
    );
    let simple = listed
        .iter()
        .find(|connection| connection["protocol"].is_null())
        .unwrap();
    assert_eq!(
        (&simple["userId"], &simple["groupCount"]),
        (&json!("alice"), &json!(0))
    );
    let without_user = listed
        .iter()
        .find(|connection| connection["userId"].is_null())
        .unwrap();
    assert_eq!(without_user["protocol"], "JSON.webpubsub.azure.v1");

    let of_alice = service.get("/api/hubs/chat/users/alice/connections").await;
    let of_alice: Vec<&str> = of_alice["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(id_of)
        .collect();
    assert_eq!(of_alice.len(), 2);
    assert!(of_alice.contains(&alice.connection_id.as_str()));
    for nobody in ["nobody", "Alice"] {
        let path = format!("/api/hubs/chat/users/{nobody}/connections");
        assert_eq!(
            service.get(&path).await,
            json!({ "value": [], "nextLink": null })
        );
    }
}

/// Ours: groups with how many of the connections in question are in them, over all shards.
#[tokio::test]
async fn groups_are_listed_with_the_number_of_their_members() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let mut clients = Vec::new();
    for index in 0..6 {
        let groups = match index % 2 {
            0 => json!(["all", "even", "a/b"]),
            _ => json!(["all", "odd"]),
        };
        let user = if index < 4 { "alice" } else { "bob" };
        let claims = json!({ "sub": user, "webpubsub.group": groups });
        clients.push(service.json("chat", claims).await);
    }
    let group = |name: &str, count: u64| json!({ "group": name, "connectionCount": count });
    let of_hub = [
        group("a/b", 3),
        group("all", 6),
        group("even", 3),
        group("odd", 3),
    ];
    let of_alice = [
        group("a/b", 2),
        group("all", 4),
        group("even", 2),
        group("odd", 2),
    ];
    let of_one = [group("a/b", 1), group("all", 1), group("even", 1)];
    let id = &clients[0].connection_id;
    for (path, expected) in [
        ("/api/hubs/chat/groups".to_owned(), &of_hub[..]),
        ("/api/hubs/chat/users/alice/groups".to_owned(), &of_alice),
        (format!("/api/hubs/chat/connections/{id}/groups"), &of_one),
        ("/api/hubs/nowhere/groups".to_owned(), &[]),
        ("/api/hubs/chat/users/nobody/groups".to_owned(), &[]),
    ] {
        for query in [
            "",
            "maxpagesize=1",
            "maxpagesize=2",
            "maxpagesize=3&top=200",
        ] {
            let pages = walk(&service, &path, query).await;
            assert_eq!(
                pages.into_iter().flatten().collect::<Vec<_>>(),
                expected,
                "{path} {query}"
            );
        }
    }
    for id in ["nobody", &"A".repeat(32)] {
        let path = format!("/api/hubs/chat/connections/{id}/groups");
        assert_refused(
            &service.call("GET", &path).await,
            404,
            "Error.Connection.NotExisted",
            "Connection",
            &format!("Connection `{id}` is not found."),
        );
    }
}

/// Ours: many groups, spread unevenly over the shards, come once each and in order.
#[tokio::test]
async fn every_group_is_on_exactly_one_page() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let mut clients = Vec::new();
    let mut expected = BTreeMap::new();
    for index in 0..5 {
        let groups: Vec<String> = (0..40)
            .map(|group| format!("g{:03}", group * (index + 1)))
            .collect();
        for group in &groups {
            *expected.entry(group.clone()).or_insert(0) += 1;
        }
        let claims = json!({ "webpubsub.group": groups });
        clients.push(service.simple("chat", claims).await);
    }
    let pages = walk(&service, "/api/hubs/chat/groups", "maxpagesize=7").await;
    let found: Vec<(String, u64)> = pages
        .iter()
        .flatten()
        .map(|group| {
            let name = group["group"].as_str().unwrap().to_owned();
            (name, group["connectionCount"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
}

/// Ours: the longest names make the longest tokens.
#[tokio::test]
async fn groups_with_the_longest_names_are_listed_in_pages() {
    let service = Service::start().await;
    let names: Vec<String> = ["丁", "七", "万"].map(|char| char.repeat(1024)).to_vec();
    let client = service.json("chat", json!({})).await;
    let body = json!({ "groups": names });
    assert_eq!(
        service
            .post("/api/hubs/chat/:addToGroups", &body)
            .await
            .status,
        200
    );
    for path in [
        "/api/hubs/chat/groups".to_owned(),
        format!("/api/hubs/chat/connections/{}/groups", client.connection_id),
    ] {
        let pages = walk(&service, &path, "maxpagesize=1").await;
        let found: BTreeSet<&str> = pages
            .iter()
            .flatten()
            .map(|group| group["group"].as_str().unwrap())
            .collect();
        assert_eq!(found, names.iter().map(String::as_str).collect());
    }
}

/// Ours: counts, over all shards.
#[tokio::test]
async fn connections_are_counted() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let members = connect(&service, 5).await;
    let _other = service.simple("chat", json!({ "sub": "bob" })).await;
    for (path, count) in [
        ("/api/hubs/chat/:count", 6),
        ("/api/hubs/CHAT/%3Acount", 6),
        ("/api/hubs/chat/groups/room/:count", 5),
        ("/api/hubs/chat/groups/nobody/:count", 0),
        ("/api/hubs/chat/users/alice/:count", 3),
        ("/api/hubs/chat/users/bob/:count", 1),
        ("/api/hubs/chat/users/nobody/:count", 0),
        ("/api/hubs/nowhere/:count", 0),
    ] {
        assert_eq!(service.count(path).await, count, "{path}");
    }
    let answer = service
        .call("POST", "/api/hubs/chat/users/alice/:closeConnections")
        .await;
    assert_eq!(answer.status, 204);
    assert_eq!(service.count("/api/hubs/chat/:count").await, 3);
    assert_eq!(service.count("/api/hubs/chat/groups/room/:count").await, 2);
    assert_eq!(service.count("/api/hubs/chat/users/alice/:count").await, 0);
    drop(members);
}

/// Ours: the lists are read only.
#[tokio::test]
async fn lists_and_counts_are_for_get_only() {
    let service = Service::start().await;
    for path in [
        "/api/hubs/chat/:count",
        "/api/hubs/chat/connections",
        "/api/hubs/chat/groups",
        "/api/hubs/chat/groups/room/:count",
        "/api/hubs/chat/groups/room/connections",
        "/api/hubs/chat/users/alice/:count",
        "/api/hubs/chat/users/alice/connections",
    ] {
        for method in ["POST", "PUT", "DELETE", "HEAD", "PATCH"] {
            let answer = service.call(method, path).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET"), "{path}");
        }
    }
}

/// Connects members of the group `room`, every second of them alice's.
async fn connect(service: &Service, count: usize) -> Vec<Client> {
    let mut members = Vec::new();
    for index in 0..count {
        let mut claims = json!({ "webpubsub.group": "room" });
        if index % 2 == 0 {
            claims["sub"] = json!("alice");
        }
        members.push(service.simple("chat", claims).await);
    }
    members
}

fn id_of(member: &Value) -> &str {
    member["connectionId"].as_str().unwrap()
}

/// Returns the pages of a list.
async fn walk(service: &Service, path: &str, query: &str) -> Vec<Vec<Value>> {
    follow(service, &format!("http://{}{path}?{query}", service.addr)).await
}

/// Returns the pages from a link on.
async fn follow(service: &Service, link: &str) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut link = link.to_owned();
    let (url, _) = link.split_once('?').unwrap();
    let path = url
        .strip_prefix(&format!("http://{}", service.addr))
        .unwrap()
        .to_owned();
    loop {
        let rest = link
            .strip_prefix(&format!("http://{}", service.addr))
            .unwrap();
        let page = service.get(rest).await;
        assert_eq!(page.as_object().unwrap().len(), 2, "{page}");
        pages.push(page["value"].as_array().unwrap().clone());
        match &page["nextLink"] {
            Value::Null => return pages,
            next => link = next.as_str().unwrap().to_owned(),
        }
        fields_of(service, &path, &link);
        assert!(pages.len() < 1000, "{link}");
    }
}

/// Returns the query of a link to the next page of a list, and checks what is the same in each.
fn fields_of(service: &Service, path: &str, link: &str) -> BTreeMap<String, String> {
    let query = link
        .strip_prefix(&format!("http://{}{path}?", service.addr))
        .unwrap_or_else(|| panic!("{link} is a link to {path}"));
    let pairs: Vec<(&str, &str)> = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .collect();
    let fields: BTreeMap<String, String> = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(fields.len(), pairs.len(), "{link}");
    let known = ["api-version", "continuationToken", "maxpagesize", "top"];
    assert!(
        fields.keys().all(|name| known.contains(&name.as_str())),
        "{link}"
    );
    assert_eq!(fields["api-version"], "2024-12-01");
    assert!(fields.contains_key("maxpagesize"), "{link}");
    assert!(
        !fields["continuationToken"].contains(['=', '%', '+', '/']),
        "{link}"
    );
    fields
}

async fn token_of(service: &Service, path: &str) -> String {
    let page = service.get(&format!("{path}?maxpagesize=1")).await;
    let link = page["nextLink"]
        .as_str()
        .unwrap_or_else(|| panic!("{path}: {page}"));
    fields_of(service, path, link)["continuationToken"].clone()
}

async fn refused(service: &Service, path: &str, token: &str) {
    let answer = service
        .call("GET", &format!("{path}?continuationToken={token}"))
        .await;
    assert_refused(
        &answer,
        400,
        "Error.BadRequest",
        "continuationToken",
        "Invalid continuationToken.",
    );
}

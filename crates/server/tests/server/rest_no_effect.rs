//! No request that is refused has any effect: rest-api 1.5. One table of requests, each fired at a hub that is watched from all
//! sides.

use hubwire_server::config::DEVELOPMENT_KEY;
use serde_json::{Value, json};

use crate::support::rest::encode;
use crate::support::{Answer, Client, Service, sign, unix_seconds};

/// What a request is refused with.
struct Case {
    method: &'static str,
    path: String,
    content_type: &'static str,
    body: Vec<u8>,
    /// Further header lines.
    head: &'static str,
    status: u16,
}

#[tokio::test]
async fn no_refused_request_has_any_effect() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let mut hub = Watched::populate(&service).await;
    let cases = cases(&hub.clients[0].connection_id);
    assert!(cases.len() >= 80, "{}", cases.len());
    for case in &cases {
        let answer = fire(&service, case).await;
        let what = format!("{} {} {:?}", case.method, case.path, case.head);
        assert_eq!(answer.status, case.status, "{what}: {}", answer.body);
        assert!(answer.header("x-ms-error-code").is_some(), "{what}");
        hub.expect_no_effect(&service, &what).await;
    }
}

#[tokio::test]
async fn no_request_without_a_good_token_has_any_effect() {
    let service = Service::start_with(|config| config.shards = 2).await;
    let mut hub = Watched::populate(&service).await;
    let id = hub.clients[0].connection_id.clone();
    let elsewhere = format!("http://{}/api/hubs/other", service.addr);
    let elsewhere = json!({ "aud": elsewhere, "exp": unix_seconds() + 60 });
    let elsewhere = sign(&elsewhere, DEVELOPMENT_KEY);
    for (method, path) in effective_requests(&id) {
        for head in [
            String::new(),
            "Authorization: Bearer x\r\n".to_owned(),
            format!("Authorization: Bearer {elsewhere}\r\n"),
            format!(
                "Authorization: Bearer {}\r\n",
                service.token("chat", json!({}))
            ),
        ] {
            let head = format!("{head}Content-Type: application/json\r\n");
            let answer = service
                .request(method, &path, &head, br#"{"groups":["new"]}"#)
                .await;
            assert_eq!(answer.status, 401, "{method} {path}");
        }
        hub.expect_no_effect(&service, &format!("{method} {path} without a token"))
            .await;
    }
    // With a token each of them is carried out.
    for (method, path) in effective_requests(&id).into_iter().rev() {
        let body = br#"{"groups":["new"]}"#;
        let answer = service.rest(method, &path, "application/json", body).await;
        assert!(
            (200..300).contains(&answer.status),
            "{method} {path}: {}",
            answer.body
        );
    }
}

/// Requests that change something, the closes first.
fn effective_requests(id: &str) -> Vec<(&'static str, String)> {
    [
        ("POST", ":closeConnections".to_owned()),
        ("DELETE", format!("connections/{id}")),
        ("POST", "groups/room/:closeConnections".to_owned()),
        ("POST", "users/alice/:closeConnections".to_owned()),
        ("DELETE", "users/alice/groups".to_owned()),
        ("DELETE", "users/alice/groups/room".to_owned()),
        ("DELETE", format!("connections/{id}/groups")),
        ("DELETE", format!("groups/room/connections/{id}")),
        ("PUT", format!("groups/new/connections/{id}")),
        ("PUT", "users/alice/groups/new".to_owned()),
        ("POST", ":addToGroups".to_owned()),
        ("POST", ":removeFromGroups".to_owned()),
        ("POST", ":send".to_owned()),
        ("POST", "groups/room/:send".to_owned()),
        ("POST", "users/alice/:send".to_owned()),
        ("POST", format!("connections/{id}/:send")),
        (
            "PUT",
            format!("permissions/sendToGroup/connections/{id}?targetName=new"),
        ),
        (
            "DELETE",
            format!("permissions/joinLeaveGroup/connections/{id}?targetName=granted"),
        ),
    ]
    .map(|(method, rest)| (method, format!("/api/hubs/chat/{rest}")))
    .to_vec()
}

/// A hub with clients of all kinds, and all that can be seen of it before anything happens.
struct Watched {
    clients: Vec<Client>,
    before: Vec<Value>,
    marks: usize,
}

impl Watched {
    async fn populate(service: &Service) -> Self {
        let claims = json!({ "sub": "alice", "webpubsub.group": ["room", "other"] });
        let clients = vec![
            service.json("chat", claims.clone()).await,
            service
                .json("chat", json!({ "webpubsub.group": "room" }))
                .await,
            service.simple("chat", claims).await,
            service.simple("chat", json!({})).await,
        ];
        let id = &clients[0].connection_id;
        for permission in ["sendToGroup", "joinLeaveGroup"] {
            let path = format!(
                "/api/hubs/chat/permissions/{permission}/connections/{id}?targetName=granted"
            );
            assert_eq!(service.status("PUT", &path).await, 200);
        }
        let before = observe(service, id).await;
        Self {
            clients,
            before,
            marks: 0,
        }
    }

    /// Asserts that nothing has changed and that nobody has received anything.
    async fn expect_no_effect(&mut self, service: &Service, what: &str) {
        let id = self.clients[0].connection_id.clone();
        assert_eq!(observe(service, &id).await, self.before, "{what}");
        self.marks += 1;
        let mark = format!("mark {} after {what}", self.marks);
        service.mark("chat", &mark).await;
        for client in &mut self.clients {
            client.expect_mark(&mark).await;
        }
    }
}

/// Returns what can be seen of the hub.
async fn observe(service: &Service, id: &str) -> Vec<Value> {
    let mut seen = Vec::new();
    let mut connections = service.get("/api/hubs/chat/connections").await;
    for connection in connections["value"].as_array_mut().unwrap() {
        connection.as_object_mut().unwrap().remove("ageSeconds");
    }
    seen.push(connections);
    for path in ["groups", "groups/room/connections", "users/alice/groups"] {
        seen.push(service.get(&format!("/api/hubs/chat/{path}")).await);
    }
    for permission in ["sendToGroup", "joinLeaveGroup"] {
        for group in ["granted", "room", "new"] {
            let path = format!(
                "/api/hubs/chat/permissions/{permission}/connections/{id}?targetName={group}"
            );
            seen.push(json!(service.status("HEAD", &path).await));
        }
    }
    seen
}

async fn fire(service: &Service, case: &Case) -> Answer {
    let request = service.rest_request(case.method, &case.path, case.content_type, &case.body);
    let at = request
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 2;
    let (start, end) = request.split_at(at);
    service
        .raw(&[start, case.head.as_bytes(), end].concat())
        .await
}

fn cases(id: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    bad_sends(id, &mut cases);
    bad_bulk_changes(&mut cases);
    bad_changes(id, &mut cases);
    bad_reads(&mut cases);
    cases
}

fn bad_sends(id: &str, cases: &mut Vec<Case>) {
    let mut send = |rest: &str, content_type, body: &[u8], head, status| {
        cases.push(Case {
            method: "POST",
            path: format!("/api/hubs/{rest}"),
            content_type,
            body: body.to_vec(),
            head,
            status,
        });
    };
    let connection = format!("chat/connections/{id}/:send");
    let targets = [
        "chat/:send",
        "chat/groups/room/:send",
        "chat/users/alice/:send",
        &connection,
    ];
    for target in targets {
        for query in [
            "api-version=1",
            "api-version=2024-12-01,2024-01-01",
            "messageTtlSeconds=301",
        ] {
            send(&format!("{target}?{query}"), "text/plain", b"no", "", 400);
        }
        if target != connection {
            for filter in [
                "ab",
                " ",
                "userId",
                "true or userId",
                "'a",
                "1 add 2 eq 3",
                "length()",
            ] {
                let path = format!("{target}?filter={}", encode(filter));
                send(&path, "text/plain", b"no", "", 400);
            }
        }
        for content_type in [
            "application/xml",
            "application/x-protobuf",
            "text/plain; charset=klingon",
        ] {
            send(target, content_type, b"1", "", 415);
        }
        for body in ["{", "", "1 2", "[1,]"] {
            send(target, "application/json", body.as_bytes(), "", 400);
        }
        send(
            target,
            "application/json",
            "[".repeat(65).as_bytes(),
            "",
            400,
        );
        send(target, "text/plain", &vec![b'x'; (1 << 20) + 1], "", 400);
        for head in [
            "X-WebPubSub-Metadata-K: ü\r\n",
            "X-WebPubSub-Metadata-: x\r\n",
        ] {
            send(target, "text/plain", b"no", head, 400);
        }
    }
    let too_long = "x".repeat(1025);
    for (rest, status) in [
        ("1chat/:send".to_owned(), 400),
        ("chat%20/:send".to_owned(), 400),
        ("/:send".to_owned(), 400),
        ("chat/groups/%20/:send".to_owned(), 400),
        (format!("chat/groups/{too_long}/:send"), 400),
        ("chat/users/%09/:send".to_owned(), 400),
        ("chat/connections/%20/:send".to_owned(), 400),
        ("chat/groups//:send".to_owned(), 400),
        ("chat/groups/room/room/:send".to_owned(), 404),
        ("chat/groups/room/send".to_owned(), 404),
        ("chat/:sendToAll".to_owned(), 404),
        ("chat/:SEND".to_owned(), 404),
        ("chat//:send".to_owned(), 404),
        ("chat/groups/room".to_owned(), 405),
        ("chat/connections".to_owned(), 405),
    ] {
        send(&rest, "text/plain", b"no", "", status);
    }
}

fn bad_bulk_changes(cases: &mut Vec<Case>) {
    let long = format!(r#"{{"groups":["{}"]}}"#, "x".repeat(1025));
    for action in [":addToGroups", ":removeFromGroups"] {
        let mut change = |query: &str, content_type, body: &[u8], status| {
            cases.push(Case {
                method: "POST",
                path: format!("/api/hubs/chat/{action}{query}"),
                content_type,
                body: body.to_vec(),
                head: "",
                status,
            });
        };
        for body in [
            "null",
            "[]",
            "{}",
            r#"{"groups":null}"#,
            r#"{"groups":[]}"#,
            r#"{"groups":"room"}"#,
            r#"{"groups":["room","new",null]}"#,
            r#"{"groups":["room","new",1]}"#,
            r#"{"groups":["room","new",""]}"#,
            r#"{"groups":["room","new"," "]}"#,
            r#"{"groups":["room","new"],"filter":1}"#,
            r#"{"groups":["room","new"],"filter":" "}"#,
            r#"{"groups":["room","new"],"filter":"userId"}"#,
            r#"{"groups":["room","new"],"#,
            r#"{"groups":["room","new"]} {}"#,
            &long,
        ] {
            change("", "application/json", body.as_bytes(), 400);
        }
        let good = br#"{"groups":["room","new"]}"#;
        for content_type in ["", "text/plain", "application/octet-stream"] {
            change("", content_type, good, 415);
        }
        change("?api-version=", "application/json", good, 400);
        change("", "application/json", &[b' '; (1 << 20) + 1], 400);
        change("/room", "application/json", good, 404);
    }
}

fn bad_changes(id: &str, cases: &mut Vec<Case>) {
    let too_long = "x".repeat(1025);
    let unknown = "A".repeat(32);
    for (method, rest, status) in [
        (
            "POST",
            ":closeConnections?api-version=2020-10-01".to_owned(),
            400,
        ),
        ("POST", "groups/%20/:closeConnections".to_owned(), 400),
        ("POST", "users/%20/:closeConnections".to_owned(), 400),
        ("POST", ":closeconnections".to_owned(), 404),
        ("PUT", ":closeConnections".to_owned(), 405),
        ("DELETE", format!("connections/{id}?api-version=x"), 400),
        (
            "DELETE",
            format!("connections/{id}?api-version=2024-12-01&api-version=2024-12-01"),
            400,
        ),
        ("DELETE", "connections/%20".to_owned(), 400),
        ("DELETE", "connections".to_owned(), 405),
        ("POST", format!("connections/{id}"), 405),
        ("DELETE", format!("connections/{id}/groups/room"), 404),
        ("PUT", format!("connections/{id}/groups"), 405),
        ("PUT", format!("groups/%20/connections/{id}"), 400),
        ("PUT", format!("groups/{too_long}/connections/{id}"), 400),
        ("DELETE", format!("groups/%20/connections/{id}"), 400),
        ("PUT", "groups/new/connections/%20".to_owned(), 400),
        ("PUT", "groups/new/connections/nobody".to_owned(), 404),
        ("PUT", format!("groups/new/connections/{unknown}"), 404),
        (
            "PUT",
            format!("groups/new/connections/{id}?api-version="),
            400,
        ),
        ("POST", format!("groups/new/connections/{id}"), 405),
        ("PUT", format!("groups/n/ew/connections/{id}"), 404),
        ("DELETE", "groups/room".to_owned(), 405),
        ("DELETE", "groups".to_owned(), 405),
        ("PUT", "users/alice/groups/%20".to_owned(), 400),
        ("PUT", format!("users/alice/groups/{too_long}"), 400),
        ("PUT", "users/%20/groups/new".to_owned(), 400),
        ("PUT", "users/nobody/groups/new".to_owned(), 404),
        ("PUT", "users/ALICE/groups/new".to_owned(), 404),
        ("DELETE", "users/alice/groups/%20".to_owned(), 400),
        ("DELETE", "users/alice/groups?api-version=1".to_owned(), 400),
        ("DELETE", "users/%20/groups".to_owned(), 400),
        ("POST", "users/alice/groups/new".to_owned(), 405),
        ("DELETE", "users/alice".to_owned(), 405),
        (
            "PUT",
            format!("permissions/sendToGroup/connections/{id}"),
            400,
        ),
        (
            "PUT",
            format!("permissions/sendToGroup/connections/{id}?targetName="),
            400,
        ),
        (
            "PUT",
            format!("permissions/sendToGroup/connections/{id}?targetName=%20"),
            400,
        ),
        (
            "PUT",
            format!("permissions/sendToGroup/connections/{id}?targetName={too_long}"),
            400,
        ),
        (
            "PUT",
            format!("permissions/3/connections/{id}?targetName=new"),
            400,
        ),
        (
            "PUT",
            format!("permissions/1,2/connections/{id}?targetName=new"),
            400,
        ),
        (
            "PUT",
            format!("permissions/send/connections/{id}?targetName=new"),
            400,
        ),
        (
            "PUT",
            format!("permissions/sendToGroup/connections/{unknown}?targetName=new"),
            404,
        ),
        (
            "PUT",
            "permissions/sendToGroup/connections/%20?targetName=new".to_owned(),
            400,
        ),
        (
            "PUT",
            format!("permissions/sendToGroup/connections/{id}?targetName=new&api-version=1"),
            400,
        ),
        (
            "DELETE",
            format!("permissions/sendToGroup/connections/{id}"),
            400,
        ),
        (
            "DELETE",
            format!("permissions/0/connections/{id}?targetName=granted"),
            400,
        ),
        (
            "DELETE",
            format!("permissions/sendToGroup/connections/{id}?targetName=granted&api-version="),
            400,
        ),
        (
            "POST",
            format!("permissions/sendToGroup/connections/{id}?targetName=granted"),
            405,
        ),
        (
            "DELETE",
            format!("permissions/sendToGroup/{id}?targetName=granted"),
            404,
        ),
        ("DELETE", String::new(), 404),
    ] {
        cases.push(Case {
            method,
            path: format!("/api/hubs/chat/{rest}"),
            content_type: "",
            body: Vec::new(),
            head: "",
            status,
        });
    }
}

fn bad_reads(cases: &mut Vec<Case>) {
    for (method, rest, status) in [
        ("GET", "groups/room/connections?maxpagesize=0", 400),
        ("GET", "groups/room/connections?top=-1", 400),
        ("GET", "groups/room/connections?continuationToken=x", 400),
        ("GET", "groups/%20/connections", 400),
        ("GET", ":send", 405),
        ("GET", "users/alice", 405),
        ("GET", "connections/nobody/groups", 404),
        ("HEAD", "users/nobody", 404),
        ("HEAD", "groups/nobody", 404),
        ("HEAD", "connections/nobody", 404),
        ("POST", ":generateToken?minutesToExpire=0", 400),
        ("POST", ":generateToken?group=%20", 400),
        ("POST", ":generateToken?clientType=x", 400),
        ("OPTIONS", ":send", 405),
        ("PATCH", "groups/room/connections", 405),
    ] {
        cases.push(Case {
            method,
            path: format!("/api/hubs/chat/{rest}"),
            content_type: "",
            body: Vec::new(),
            head: "",
            status,
        });
    }
}

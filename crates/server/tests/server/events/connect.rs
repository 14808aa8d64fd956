//! `connect`: items 18 to 26, and the matrix of events-and-operations 15, number 4.

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::events::{EVERYTHING, WithHandler, json_reply, on_connect, typed};
use crate::support::handler::{Reply, reply};
use crate::support::pubsub::{RELIABLE_JSON, subprotocol_of};
use crate::support::{JSON, Received, answer};

/// Item 18: nobody sees the connection while its handler is asked, and whoever has seen the 101 is a receiver.
#[tokio::test]
async fn a_connection_is_invisible_until_its_handler_has_answered() {
    let (tell, told) = watch::channel(false);
    let with = WithHandler::start(
        EVERYTHING,
        on_connect(move |_| {
            let Reply::Now(response) = json_reply(&json!({ "groups": ["room"] })) else {
                unreachable!("a reply of now");
            };
            Reply::Later(told.clone(), response)
        }),
    )
    .await;
    let path = with.service.client_path("chat", json!({ "sub": "alice" }));
    let client = async { with.service.connect_path(&path, &[]).await };
    let meanwhile = async {
        with.until("connect", 1).await;
        let exists = with
            .service
            .call("HEAD", "/api/hubs/chat/users/alice")
            .await;
        assert_eq!(exists.status, 404);
        let room = with
            .service
            .call("HEAD", "/api/hubs/chat/groups/room")
            .await;
        assert_eq!(room.status, 404);
        tell.send(true).unwrap();
    };
    let (mut client, ()) = tokio::join!(client, meanwhile);
    with.service
        .send("/api/hubs/chat/:send", "text/plain", b"to all")
        .await;
    with.service
        .send("/api/hubs/chat/groups/room/:send", "text/plain", b"to room")
        .await;
    assert_eq!(client.text().await, "to all");
    assert_eq!(client.text().await, "to room");
}

/// Item 19.
#[tokio::test]
async fn a_refusal_of_the_handler_reaches_the_client_as_its_status_without_body() {
    for status in [400, 401, 403, 404, 429] {
        let with = WithHandler::start(
            EVERYTHING,
            on_connect(move |_| reply(status, &[], "not for clients")),
        )
        .await;
        let answer = with.knock(json!({}), JSON).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, ""));
        assert_eq!(with.events("connect").len(), 1, "{status} is not repeated");
        assert_eq!(with.events("").len(), 1, "no other event is raised");
    }
}

/// Section 5.1: the handler's own words are forwarded only where its settings say so.
#[tokio::test]
async fn a_refusal_may_be_told_in_the_handlers_words() {
    let settings = format!("{EVERYTHING}\nforward_reject_body = true");
    let refuse = on_connect(|_| reply(403, &[], "members only"));
    let with = WithHandler::start(&settings, refuse).await;
    let answer = with.knock(json!({}), JSON).await;
    assert_eq!((answer.status, answer.body.as_str()), (403, "members only"));
}

/// Item 19: what the handler cannot help reaches the client with its status too, after the repetitions.
#[tokio::test]
async fn a_failing_handler_is_asked_again_and_then_its_status_is_the_clients() {
    let with = WithHandler::start(EVERYTHING, on_connect(|_| reply(503, &[], ""))).await;
    let answer = with.knock(json!({}), JSON).await;
    assert_eq!(answer.status, 503);
    assert_eq!(with.events("connect").len(), 2);
}

/// Item 20.
#[tokio::test]
async fn an_answer_that_makes_no_sense_is_500() {
    for body in [
        "{",
        "[]",
        r#""text""#,
        r#"{"groups":[null]}"#,
        r#"{"groups":[""]}"#,
        r#"{"roles":[null]}"#,
        r#"{"roles":[" "]}"#,
    ] {
        let with = WithHandler::start(
            EVERYTHING,
            on_connect(move |_| typed("application/json", body)),
        )
        .await;
        let answer = with.knock(json!({}), JSON).await;
        assert_eq!((answer.status, answer.body.as_str()), (500, ""), "{body}");
    }
}

/// Items 20 and 23: a user id that no user can have.
#[tokio::test]
async fn a_user_id_beyond_the_limits_is_500() {
    let too_long = json!({ "userId": "x".repeat(2000) });
    let with = WithHandler::start(EVERYTHING, on_connect(move |_| json_reply(&too_long))).await;
    assert_eq!(with.knock(json!({}), JSON).await.status, 500);
}

/// Section 5.1, and number 4 of 15: what accepts as the token has it.
#[tokio::test]
async fn an_empty_answer_leaves_everything_to_the_token() {
    for (status, body) in [
        (200, ""),
        (204, ""),
        (200, "null"),
        (202, "ignored"),
        (200, "{}"),
    ] {
        let with =
            WithHandler::start(EVERYTHING, on_connect(move |_| reply(status, &[], body))).await;
        let claims = json!({ "sub": "alice", "webpubsub.group": ["room"], "role": ["webpubsub.sendToGroup"] });
        let mut client = with.service.json("chat", claims).await;
        client
            .send_json(json!({ "type": "sendToGroup", "group": "room", "data": 1, "ackId": 1 }))
            .await;
        let message = client.json().await;
        assert_eq!(message["fromUserId"], "alice", "{status} {body}");
        assert_eq!(client.json().await["success"], true);
    }
}

/// Items 21 and 22: absent and `null` keep, an empty list of roles removes, an empty list of groups keeps.
#[tokio::test]
async fn roles_and_groups_of_the_answer_replace_those_of_the_token() {
    for (answer, may_send, groups) in [
        (
            json!({ "roles": null, "groups": null }),
            true,
            ["token"].as_slice(),
        ),
        (json!({ "roles": [] }), false, &["token"]),
        (
            json!({ "roles": ["webpubsub.joinLeaveGroup"] }),
            false,
            &["token"],
        ),
        (
            json!({ "roles": ["webpubsub.sendToGroup"], "groups": ["a", "b"] }),
            true,
            &["a", "b"],
        ),
        (json!({ "groups": [] }), true, &["token"]),
        (json!({ "Roles": [], "GROUPS": ["a"] }), false, &["a"]),
    ] {
        let decision = answer.clone();
        let with = WithHandler::start(EVERYTHING, on_connect(move |_| json_reply(&decision))).await;
        let claims = json!({ "webpubsub.group": ["token"], "role": ["webpubsub.sendToGroup"] });
        let mut client = with.service.json("chat", claims).await;
        let ack = client
            .request(json!({ "type": "sendToGroup", "group": "elsewhere", "data": 1, "ackId": 1 }))
            .await;
        assert_eq!(ack["success"], may_send, "{answer}");
        for group in ["token", "a", "b"] {
            let path = format!("/api/hubs/chat/groups/{group}");
            let status = with.service.call("HEAD", &path).await.status;
            assert_eq!(status == 200, groups.contains(&group), "{answer} {group}");
        }
    }
}

/// Item 23.
#[tokio::test]
async fn the_user_of_the_answer_replaces_that_of_the_token_and_an_empty_one_is_none() {
    for (answer, user) in [
        (json!({}), json!("alice")),
        (json!({ "userId": null }), json!("alice")),
        (json!({ "userId": "bob" }), json!("bob")),
        (json!({ "userId": "Ünï😀" }), json!("Ünï😀")),
        (json!({ "userId": "" }), Value::Null),
    ] {
        let decision = answer.clone();
        let with = WithHandler::start(EVERYTHING, on_connect(move |_| json_reply(&decision))).await;
        let path = with.service.client_path("chat", json!({ "sub": "alice" }));
        let mut client = with.service.connect_path(&path, &[JSON]).await;
        assert_eq!(client.json().await["userId"], user, "{answer}");
        let connected = with.until("connected", 1).await;
        let told = connected[0].headers.get("ce-userid");
        let told = told.map_or(Value::Null, |id| {
            json!(String::from_utf8_lossy(id.as_bytes()))
        });
        assert_eq!(told, user, "{answer}");
    }
}

/// Item 24.
#[tokio::test]
async fn a_custom_subprotocol_of_the_handler_makes_a_raw_connection() {
    let choose = on_connect(|_| json_reply(&json!({ "subprotocol": "my.v2" })));
    let with = WithHandler::start(EVERYTHING, choose).await;
    let path = with.service.client_path("chat", json!({}));
    let mut client = with
        .service
        .connect_path(&path, &["my.v1", "My.V2", JSON])
        .await;
    assert_eq!(client.subprotocol.as_deref(), Some("My.V2"));
    with.service
        .send("/api/hubs/chat/:send", "application/json", b"{\"a\":1}")
        .await;
    assert_eq!(client.text().await, "{\"a\":1}");
    let connected = with.until("connected", 1).await;
    assert_eq!(connected[0].header("ce-subprotocol"), "My.V2");
}

/// Section 5.1: one of the service's own need not be the first that is offered.
#[tokio::test]
async fn the_handler_chooses_among_the_services_subprotocols() {
    let choose = on_connect(|_| json_reply(&json!({ "subprotocol": RELIABLE_JSON })));
    let with = WithHandler::start(EVERYTHING, choose).await;
    let path = with.service.client_path("chat", json!({}));
    let mut client = with
        .service
        .connect_path(&path, &[JSON, RELIABLE_JSON])
        .await;
    assert_eq!(client.subprotocol.as_deref(), Some(RELIABLE_JSON));
    assert!(client.json().await["reconnectionToken"].is_string());
}

/// Item 25.
#[tokio::test]
async fn a_subprotocol_that_was_not_offered_is_500() {
    let choose = on_connect(|_| json_reply(&json!({ "subprotocol": "my.v2" })));
    let with = WithHandler::start(EVERYTHING, choose).await;
    assert_eq!(with.knock(json!({}), JSON).await.status, 500);
    assert_eq!(with.knock(json!({}), "").await.status, 500);
}

/// Item 26, also where a handler is asked.
#[tokio::test]
async fn unknown_subprotocols_alone_are_not_answered() {
    let with = WithHandler::start(EVERYTHING, on_connect(|_| reply(200, &[], ""))).await;
    let path = with.service.client_path("chat", json!({}));
    let wire = with
        .service
        .wire(&path, "Sec-WebSocket-Protocol: my.v1, my.v2\r\n")
        .await;
    assert_eq!(subprotocol_of(&wire), None);
}

/// Section 5.1: what the handler learns, and that it does not learn what proves who the client is.
#[tokio::test]
async fn the_handler_learns_claims_query_headers_and_subprotocols() {
    let with = WithHandler::start(EVERYTHING, on_connect(|_| reply(200, &[], ""))).await;
    let claims =
        json!({ "sub": "Ünï", "role": ["a", "b"], "level": 3, "vip": true, "custom": ["v1", 2] });
    let path = with.service.client_path("chat", claims) + "&k=v&k=w&Mode=x";
    let head = "Cookie: a=b\r\nUser-Agent: test\r\nAuthorization: Bearer secret\r\nce-userId: eve\r\nX-Twice: 1\r\n\
                X-Twice: 2\r\nSec-WebSocket-Protocol: my.v1, json.webpubsub.azure.v1\r\n";
    let answer = with.service.handshake(&path, head).await;
    assert_eq!(answer.status, 101);
    let connect = &with.until("connect", 1).await[0];
    assert_eq!(connect.header("ce-type"), "azure.webpubsub.sys.connect");
    assert_eq!(connect.header("ce-id"), "0");
    assert_eq!(
        connect.headers.get("ce-userid").unwrap().as_bytes(),
        "Ünï".as_bytes()
    );
    assert!(connect.headers.get("ce-subprotocol").is_none());
    assert!(connect.headers.get("authorization").is_none());
    let body: Value = serde_json::from_slice(&connect.body).unwrap();
    assert_eq!(body["claims"]["sub"], json!(["Ünï"]));
    assert_eq!(body["claims"]["role"], json!(["a", "b"]));
    assert_eq!(body["claims"]["level"], json!(["3"]));
    assert_eq!(body["claims"]["vip"], json!(["true"]));
    assert_eq!(body["claims"]["custom"], json!(["v1", "2"]));
    assert_eq!(body["query"], json!({ "k": ["v", "w"], "Mode": ["x"] }));
    assert_eq!(body["headers"]["Cookie"], json!(["a=b"]));
    assert_eq!(body["headers"]["User-Agent"], json!(["test"]));
    assert_eq!(body["headers"]["X-Twice"], json!(["1", "2"]));
    let names: Vec<&String> = body["headers"].as_object().unwrap().keys().collect();
    assert!(
        !names
            .iter()
            .any(|name| ["authorization", "ce-userid"].contains(&name.to_lowercase().as_str())),
        "{names:?}"
    );
    assert!(!String::from_utf8_lossy(&connect.body).contains("secret"));
    assert_eq!(body["subprotocols"], json!(["my.v1", JSON]));
    assert_eq!(body["clientCertificates"], json!([]));
}

/// Section 9.5: an anonymous client is the handler's to judge, a bad token is not.
#[tokio::test]
async fn a_handler_decides_about_clients_without_a_token_where_the_hub_lets_it() {
    let with = WithHandler::start_with(
        EVERYTHING,
        "[hubs.chat]\nanonymous_connect_policy = \"allow\"",
        on_connect(
            |request| match request.body.windows(4).any(|part| part == b"good") {
                true => json_reply(&json!({ "userId": "guest" })),
                false => reply(401, &[], ""),
            },
        ),
        |_| {},
    )
    .await;
    let good = "/client/hubs/chat?name=good";
    let mut client = with.service.connect_path(good, &[JSON]).await;
    assert_eq!(client.json().await["userId"], "guest");
    let refused = with
        .service
        .handshake("/client/hubs/chat?name=bad", "")
        .await;
    assert_eq!(refused.status, 401);
    let before = with.events("connect").len();
    let forged = with
        .service
        .handshake("/client/hubs/chat?name=good&access_token=forged", "")
        .await;
    assert_eq!((forged.status, with.events("connect").len()), (401, before));
}

/// Client-protocols 1.4: a client that gives up takes the request back, and nothing is left of it.
#[tokio::test]
async fn a_client_that_gives_up_while_its_handler_is_asked_leaves_nothing() {
    let with = WithHandler::start_with(EVERYTHING, "", on_connect(|_| Reply::Never), |config| {
        config.limits.connections_max = 1;
    })
    .await;
    let path = with.service.client_path("chat", json!({}));
    let tcp = with.service.half_open(&path, "").await;
    with.until("connect", 1).await;
    drop(tcp);
    // Its part of the quota is free again once the next one gets as far as the handler.
    loop {
        let mut tcp = with.service.half_open(&path, "").await;
        let is_asked = tokio::select! {
            _ = with.until("connect", 2) => true,
            answer = answer(&mut tcp) => {
                assert_eq!(answer.status, 429);
                false
            }
        };
        if is_asked {
            break;
        }
    }
    assert_eq!(with.events("").len(), with.events("connect").len());
}

/// Client-protocols 1.4: each client waits for its own handler alone.
#[tokio::test]
async fn a_slow_handler_delays_only_its_client() {
    let with = WithHandler::start(
        EVERYTHING,
        on_connect(|request| match request.headers.get("ce-userid") {
            Some(_) => reply(200, &[], ""),
            None => Reply::Never,
        }),
    )
    .await;
    let path = with.service.client_path("chat", json!({}));
    let slow: Vec<_> =
        futures_util::future::join_all((0..20).map(|_| with.service.half_open(&path, ""))).await;
    with.until("connect", 20).await;
    let mut client = with.service.json("chat", json!({ "sub": "quick" })).await;
    client.expect_nothing().await;
    drop(slow);
}

/// Section 5.1: the state that `connect` sets is sent with later events.
#[tokio::test]
async fn the_state_of_connect_comes_with_later_events() {
    let with = WithHandler::start(
        EVERYTHING,
        on_connect(|_| reply(200, &[("ce-connectionState", "eyJhIjoxfQ==")], "")),
    )
    .await;
    let client = with.service.json("chat", json!({})).await;
    let connected = with.until("connected", 1).await;
    assert_eq!(connected[0].header("ce-connectionstate"), "eyJhIjoxfQ==");
    drop(client);
    let disconnected = with.until("disconnected", 1).await;
    assert_eq!(disconnected[0].header("ce-connectionstate"), "eyJhIjoxfQ==");
    let id = |event: &crate::support::handler::Recorded| event.header("ce-connectionid").to_owned();
    assert_eq!(id(&connected[0]), id(&disconnected[0]));
}

/// A raw client whose handler chooses nothing gets its messages without envelope.
#[tokio::test]
async fn a_raw_client_that_was_let_in_gets_what_is_sent_to_its_groups() {
    let with = WithHandler::start(
        EVERYTHING,
        on_connect(|_| json_reply(&json!({ "groups": ["room"] }))),
    )
    .await;
    let mut client = with.service.simple("chat", json!({})).await;
    with.service
        .send(
            "/api/hubs/chat/groups/room/:send",
            "application/octet-stream",
            &[1, 2],
        )
        .await;
    assert_eq!(client.next().await, Received::Binary(vec![1, 2]));
}

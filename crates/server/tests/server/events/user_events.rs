//! User events over real HTTP: items 31 to 36, 63 to 68, 85, 105 and 107.

use serde_json::json;

use crate::support::events::{
    EVERYTHING, WithHandler, event, json_reply, on_user_event, start, typed, with_ack,
};
use crate::support::handler::{Recorded, reply};
use crate::support::pubsub::{ALL, PROTOBUF, RELIABLE, watched};
use crate::support::wire::close_payload;
use crate::support::{Received, Service};

/// A handler of user events alone.
const USER_EVENTS: &str = r#"user_event_pattern = "*""#;

/// Text as well as a `google.protobuf.Any` with a type URL of one letter.
const ANY_OR_TEXT: &str = "\n\u{1}x";

/// A configuration with a listener that writes to a file, and no handler.
fn listener_only() -> String {
    let path = std::env::temp_dir().join(format!("hubwire-listener-{}.jsonl", std::process::id()));
    format!(
        "[[hubs.chat.event_listeners]]\nfilter = {{ type = \"event_name\", user_event_pattern = \"*\" }}\n\
         endpoint = {{ type = \"file\", path = {path:?} }}\n"
    )
}

/// Items 31 and 32.
#[tokio::test]
async fn messages_of_a_raw_client_reach_the_handler_as_they_are() {
    let with = WithHandler::start(USER_EVENTS, |_| reply(200, &[], "")).await;
    let mut client = with.service.simple("chat", json!({ "sub": "alice" })).await;
    client.send_text("hé").await;
    client.send_binary(&[0, 159, 255]).await;
    let events = with.until("message", 2).await;
    assert_eq!(
        events[0].header("content-type"),
        "text/plain; charset=utf-8"
    );
    assert_eq!(events[0].body, "hé");
    assert_eq!(events[1].header("content-type"), "application/octet-stream");
    assert_eq!(events[1].body, [0, 159, 255].as_slice());
    for event in &events {
        assert_eq!(event.header("ce-type"), "azure.webpubsub.user.message");
        assert_eq!(event.header("ce-hub"), "chat");
        assert_eq!(event.header("ce-userid"), "alice");
        assert_eq!(event.header("ce-specversion"), "1.0");
        assert!(event.headers.get("ce-subprotocol").is_none());
        assert!(event.header("ce-signature").starts_with("sha256="));
    }
    let ids: Vec<&str> = events.iter().map(|event| event.header("ce-id")).collect();
    assert_eq!(
        ids,
        ["2", "3"],
        "`connected` is counted whether it is asked for or not"
    );
}

/// Item 33.
#[tokio::test]
async fn replies_to_a_raw_client_are_frames_of_their_kind() {
    let with = WithHandler::start(USER_EVENTS, |request: &Recorded| {
        typed(std::str::from_utf8(&request.body).unwrap(), ANY_OR_TEXT)
    })
    .await;
    let mut client = with.service.simple("chat", json!({})).await;
    for (content_type, is_text) in [
        ("text/plain", true),
        ("text/plain; charset=utf-8", true),
        ("application/octet-stream", false),
        ("", false),
        ("application/x-protobuf", false),
    ] {
        client.send_text(content_type).await;
        let expected = match is_text {
            true => Received::Text(ANY_OR_TEXT.to_owned()),
            false => Received::Binary(ANY_OR_TEXT.into()),
        };
        assert_eq!(client.next().await, expected, "{content_type}");
    }
}

/// Item 34.
#[tokio::test]
async fn an_empty_reply_is_no_frame_and_with_metadata_an_empty_one() {
    let with = WithHandler::start(USER_EVENTS, |request: &Recorded| {
        match request.body.as_ref() {
            b"metadata" => reply(200, &[("x-webpubsub-metadata-k", "v")], ""),
            b"fence" => typed("text/plain", "fence"),
            _ => reply(204, &[], ""),
        }
    })
    .await;
    let mut client = with.service.simple("chat", json!({})).await;
    for text in ["nothing", "metadata", "nothing", "fence"] {
        client.send_text(text).await;
    }
    assert_eq!(client.text().await, "");
    assert_eq!(client.text().await, "fence");
}

/// Item 36.
#[tokio::test]
async fn a_raw_client_stays_where_something_listens() {
    let service = start(&listener_only(), |_| {}).await;
    let mut client = service.simple("chat", json!({})).await;
    client.send_text("hi").await;
    client.send_text("hi").await;
    service
        .send("/api/hubs/chat/:send", "text/plain", b"still there")
        .await;
    assert_eq!(client.text().await, "still there");
}

/// Item 63.
#[tokio::test]
async fn an_event_reaches_the_handler_with_type_name_and_metadata() {
    let with = WithHandler::start(USER_EVENTS, |_| reply(200, &[], "")).await;
    for (index, subprotocol) in ALL.into_iter().enumerate() {
        let mut client = with.service.pubsub_with_roles(subprotocol, "alice").await;
        let cases = [
            (
                "text",
                json!("hé"),
                "text/plain; charset=utf-8",
                "hé".as_bytes(),
            ),
            ("json", json!({ "a": 1 }), "application/json", br#"{"a":1}"#),
            (
                "binary",
                json!("AJ//"),
                "application/octet-stream",
                &[0, 159, 255],
            ),
        ];
        for (data_type, data, ..) in &cases {
            let mut frame = event("say.it", data_type, data.clone());
            frame["metadata"] = json!({ "Trace": "t1" });
            client.send(frame).await;
        }
        let events = with.until("say.it", 3 * (index + 1)).await;
        for (got, (_, _, content_type, body)) in events[3 * index..].iter().zip(cases) {
            assert_eq!(got.header("content-type"), content_type, "{subprotocol}");
            assert_eq!(got.body, body, "{subprotocol}");
            assert_eq!(got.header("ce-type"), "azure.webpubsub.user.say.it");
            assert_eq!(got.header("x-webpubsub-metadata-trace"), "t1");
            assert_eq!(got.header("ce-subprotocol"), subprotocol);
            assert_eq!(got.header("ce-connectionid"), client.ticket.id);
        }
        client.close(&close_payload(1000, "")).await;
    }
}

/// Items 63 and 64, for every kind of reply.
#[tokio::test]
async fn the_reply_comes_before_the_ack() {
    let with = WithHandler::start(USER_EVENTS, |request: &Recorded| {
        let name = request.header("x-webpubsub-metadata-type");
        let body = match name {
            "application/json" => r#"{"b":2}"#,
            _ => "hi",
        };
        reply(
            200,
            &[
                ("Content-Type", name),
                ("X-WebPubSub-Metadata-Mood", "good"),
            ],
            body,
        )
    })
    .await;
    for subprotocol in ALL {
        let mut client = with.service.pubsub_with_roles(subprotocol, "alice").await;
        for (ack_id, content_type, data_type, data) in [
            (1, "text/plain", "text", json!("hi")),
            (2, "application/octet-stream", "binary", json!("aGk=")),
            (3, "application/json", "json", json!({ "b": 2 })),
        ] {
            let mut frame = with_ack(event("do", "text", json!("x")), ack_id);
            frame["metadata"] = json!({ "type": content_type });
            client.send(frame).await;
            let message = client.next().await;
            assert_eq!(message["type"], "message", "{message}");
            assert_eq!(message["from"], "server");
            assert_eq!(message["dataType"], data_type);
            assert_eq!(message["data"], data);
            assert_eq!(message["metadata"], json!({ "mood": "good" }));
            let is_numbered = message.get("sequenceId").is_some();
            assert_eq!(is_numbered, RELIABLE.contains(&subprotocol));
            let ack = client.next().await;
            assert_eq!(
                (&ack["type"], &ack["ackId"], &ack["success"]),
                (&json!("ack"), &json!(ack_id), &json!(true))
            );
        }
        client.close(&close_payload(1000, "")).await;
    }
}

/// Items 65 and 66.
#[tokio::test]
async fn a_failed_event_is_answered_if_it_asked_for_it_and_may_be_tried_again() {
    let with = WithHandler::start(
        USER_EVENTS,
        on_user_event(|request| match request.body.as_ref() {
            b"fail" => reply(400, &[], "no"),
            _ => reply(200, &[], ""),
        }),
    )
    .await;
    for subprotocol in ALL {
        let mut client = with.service.pubsub_with_roles(subprotocol, "alice").await;
        let mut frame = event("do", "text", json!("fail"));
        client.send(frame.clone()).await;
        frame["ackId"] = json!(1);
        let ack = client.request(frame).await;
        assert_eq!(ack["success"], false);
        assert_eq!(ack["error"]["name"], "InternalServerError");
        let mut again = event("do", "text", json!("work"));
        again["ackId"] = json!(1);
        client.succeed(again.clone()).await;
        let before = with.events("do").len();
        let ack = client.request(again).await;
        assert_eq!(ack["error"]["name"], "Duplicate");
        client.expect_nothing().await;
        assert_eq!(
            with.events("do").len(),
            before,
            "the handler is not asked again"
        );
        client.close(&close_payload(1000, "")).await;
    }
}

/// Item 85.
#[tokio::test]
async fn a_protobuf_any_reaches_the_handler_as_it_is_and_comes_back() {
    let with = WithHandler::start(USER_EVENTS, |request: &Recorded| {
        typed("application/x-protobuf", request.body.clone())
    })
    .await;
    // A `google.protobuf.Any` with a type URL and a value.
    let any = [&[0x0a, 3][..], b"t/x", &[0x12, 2, 8, 1]].concat();
    let encoded = {
        use base64::Engine;
        base64::prelude::BASE64_STANDARD.encode(&any)
    };
    let mut client = with.service.pubsub_with_roles(PROTOBUF, "alice").await;
    client.send(event("any", "protobuf", json!(encoded))).await;
    let message = client.next().await;
    let got = &with.events("any")[0];
    assert_eq!(got.header("content-type"), "application/x-protobuf");
    assert_eq!(got.body, any);
    assert_eq!(
        (&message["dataType"], &message["data"]),
        (&json!("protobuf"), &json!(encoded))
    );
}

/// Item 105.
#[tokio::test]
async fn a_recovery_raises_no_event() {
    let with = WithHandler::start_with(EVERYTHING, "", |_| reply(200, &[], ""), watched(1)).await;
    for (index, subprotocol) in RELIABLE.into_iter().enumerate() {
        let client = with.service.pubsub_with_roles(subprotocol, "alice").await;
        with.until("connected", index + 1).await;
        let ticket = client.cut();
        let mut client = with.service.recover(&ticket).await;
        client
            .succeed(with_ack(event("fence", "text", json!("x")), 1))
            .await;
        let count = |name: &str| with.events(name).len();
        assert_eq!(
            (count("connect"), count("connected")),
            (index + 1, index + 1)
        );
        assert_eq!(count("disconnected"), index);
        client.close(&close_payload(1000, "")).await;
        with.until("disconnected", index + 1).await;
    }
}

/// Item 107.
#[tokio::test]
async fn the_reply_to_an_event_that_outlived_its_socket_is_replayed_and_the_event_a_duplicate() {
    let (tell, told) = tokio::sync::watch::channel(false);
    let with = WithHandler::start_with(
        USER_EVENTS,
        "",
        move |_| {
            let crate::support::handler::Reply::Now(response) = json_reply(&json!({ "n": 1 }))
            else {
                unreachable!("a reply of now");
            };
            crate::support::handler::Reply::Later(told.clone(), response)
        },
        watched(1),
    )
    .await;
    let mut client = with.service.pubsub_with_roles(RELIABLE[0], "alice").await;
    client
        .send(with_ack(event("do", "text", json!("x")), 7))
        .await;
    with.until("do", 1).await;
    let ticket = client.cut();
    with.service.until_detached(1).await;
    tell.send(true).unwrap();
    with.service
        .until_metric("hubwire_reliable_buffer_messages", "", |kept| kept == 1.0)
        .await;
    let mut client = with.service.recover(&ticket).await;
    assert_eq!(client.numbered().await, (1, json!({ "n": 1 })));
    let ack = client
        .request(with_ack(event("do", "text", json!("x")), 7))
        .await;
    assert_eq!(ack["error"]["name"], "Duplicate");
    assert_eq!(with.events("do").len(), 1);
}

/// Section 2.2 and 2: the first handler that matches is asked, and no other.
#[tokio::test]
async fn handlers_are_chosen_by_the_name_of_the_event() {
    let with = WithHandler::start_with(
        "user_event_pattern = \"join, Leave\"",
        "",
        |_| typed("text/plain", "handled"),
        |_| {},
    )
    .await;
    let mut client = with.service.json("chat", json!({})).await;
    for (ack_id, name, is_handled) in [(1, "join", true), (2, "leave", true), (3, "other", false)] {
        client
            .send_json(with_ack(event(name, "text", json!("x")), ack_id))
            .await;
        let answer = client.json().await;
        assert_eq!(answer["type"] == "message", is_handled, "{name}: {answer}");
        if is_handled {
            let ack = client.json().await;
            assert_eq!(ack["type"], "ack");
        }
    }
}

/// Section 2: a hub without an entry of its own uses `_default`, and a hub called `default` is one like any other.
#[tokio::test]
async fn hubs_without_an_entry_have_the_handlers_of_the_default_one() {
    let with = WithHandler::start(USER_EVENTS, |_| typed("text/plain", "chat's")).await;
    let more = format!(
        "[[hubs._default.event_handlers]]\nurl_template = \"{}\"\nuser_event_pattern = \"*\"\n[hubs.default]\n",
        with.handler.url("/{hub}/{event}")
    );
    let service = start(
        &crate::support::events::toml(&with.handler.url("/chat"), USER_EVENTS, &more),
        |_| {},
    )
    .await;
    for (hub, path) in [
        ("chat", Some("/chat")),
        ("Other", Some("/Other/message")),
        ("default", None),
    ] {
        let mut client = service.simple(hub, json!({})).await;
        client.send_text("hi").await;
        match path {
            Some(path) => {
                assert_eq!(client.text().await, "chat's");
                let last = with.events("message").pop().unwrap();
                assert!(last.uri.path().eq_ignore_ascii_case(path), "{}", last.uri);
            }
            None => client.expect_close(1011, "Internal server error").await,
        }
    }
}

/// Section 5.4: the switch of a hub that has all its clients dropped whose events fail.
#[tokio::test]
async fn a_hub_may_drop_connections_whose_events_fail() {
    let with = WithHandler::start_with(
        USER_EVENTS,
        "[hubs.chat]\ndrop_connection_on_event_failure = true",
        |_| reply(400, &[], ""),
        |_| {},
    )
    .await;
    for subprotocol in ALL {
        let mut client = with.service.pubsub_with_roles(subprotocol, "alice").await;
        client.send(event("do", "text", json!("x"))).await;
        client.expect_close(1011, "Internal server error").await;
    }
}

/// Section 4.2: the state of a connection is what the last good answer said.
#[tokio::test]
async fn the_state_of_a_connection_follows_the_answers() {
    let with = WithHandler::start(EVERYTHING, |request: &Recorded| {
        match (request.header("ce-eventname"), request.body.as_ref()) {
            ("connect", _) => reply(200, &[("ce-connectionState", "one")], ""),
            ("do", b"change") => reply(200, &[("ce-connectionState", "two")], ""),
            ("do", b"fail") => reply(400, &[("ce-connectionState", "three")], ""),
            ("do", b"clear") => reply(200, &[("ce-connectionState", "")], ""),
            _ => reply(200, &[], ""),
        }
    })
    .await;
    let mut client = with.service.json("chat", json!({})).await;
    for (ack_id, step) in ["keep", "change", "fail", "keep", "clear", "keep"]
        .into_iter()
        .enumerate()
    {
        client
            .request(with_ack(event("do", "text", json!(step)), ack_id as u64))
            .await;
    }
    let states: Vec<Option<String>> = with
        .events("do")
        .iter()
        .map(|event| {
            let state = event.headers.get("ce-connectionstate")?;
            Some(state.to_str().unwrap().to_owned())
        })
        .collect();
    let expected = ["one", "one", "two", "two", "two", ""].map(|state| Some(state.to_owned()));
    assert_eq!(states, expected);
}

/// Section 4.3.
#[tokio::test]
async fn cookies_of_a_handler_come_back_from_their_connection_alone() {
    let with = WithHandler::start(EVERYTHING, |request: &Recorded| {
        match request.headers.get("ce-userid") {
            Some(user) if request.header("ce-eventname") == "connect" => {
                let cookie = format!("node={}", user.to_str().unwrap());
                reply(200, &[("Set-Cookie", &cookie)], "")
            }
            _ => reply(200, &[], ""),
        }
    })
    .await;
    for user in ["a", "b"] {
        let mut client = with.service.json("chat", json!({ "sub": user })).await;
        client
            .request(with_ack(event("do", "text", json!(user)), 1))
            .await;
    }
    let mut client = with.service.json("chat", json!({})).await;
    client
        .request(with_ack(event("do", "text", json!("")), 1))
        .await;
    for event in with.events("do") {
        let expected = match event.body.as_ref() {
            b"" => String::new(),
            user => format!("node={}", std::str::from_utf8(user).unwrap()),
        };
        assert_eq!(event.header("cookie"), expected);
    }
}

/// Client-protocols 9: events are answered in the order in which they were sent.
#[tokio::test]
async fn a_thousand_events_of_many_clients_are_answered_in_their_order() {
    let with = WithHandler::start_with(
        USER_EVENTS,
        "",
        |request: &Recorded| typed("text/plain", request.body.clone()),
        |config| config.shards = 2,
    )
    .await;
    let clients = (0..20).map(|number| {
        let service: &Service = &with.service;
        async move {
            let mut client = service
                .simple("chat", json!({ "sub": number.to_string() }))
                .await;
            for index in 0..50 {
                client.send_text(index.to_string()).await;
            }
            for index in 0..50 {
                assert_eq!(client.text().await, index.to_string());
            }
        }
    });
    futures_util::future::join_all(clients).await;
}

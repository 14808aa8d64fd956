//! Invocations that reach a handler: items 117 to 119, events-and-operations 5.5.

use serde_json::{Value, json};

use crate::support::events::{
    EVERYTHING, WithHandler, event, on_user_event, start, toml, typed, with_ack,
};
use crate::support::handler::{Recorded, Reply, TestHandler, reply};
use crate::support::pubsub::{ALL, JSON_CLIENTS, PubSub};
use crate::support::wire::close_payload;

/// A `google.protobuf.Any` with a type URL of one letter.
const ANY: &str = "\n\u{1}x";

fn invoke(id: &str, name: &str, data: &str) -> Value {
    json!({ "type": "invoke", "invocationId": id, "target": "event", "event": name, "dataType": "text", "data": data })
}

async fn answer(client: &mut PubSub, id: &str, name: &str, data: &str) -> Value {
    client.send(invoke(id, name, data)).await;
    let response = client.next().await;
    assert_eq!(
        (&response["type"], &response["invocationId"]),
        (&json!("invokeResponse"), &json!(id)),
        "{response}"
    );
    response
}

/// Item 117: what the handler answers is the result, and its request is that of an event.
#[tokio::test]
async fn an_invocation_is_answered_with_what_the_handler_says() {
    let with = WithHandler::start(
        EVERYTHING,
        on_user_event(|request| {
            let content_type = std::str::from_utf8(&request.body).unwrap();
            match content_type {
                "application/x-protobuf" => typed(content_type, ANY),
                _ => typed(content_type, "[1]"),
            }
        }),
    )
    .await;
    for (index, subprotocol) in ALL.into_iter().enumerate() {
        let mut client = with.service.pubsub(subprotocol, "chat", json!({})).await;
        for (content_type, data_type, data) in [
            ("text/plain", "text", json!("[1]")),
            ("application/json", "json", json!([1])),
            ("application/octet-stream", "binary", json!("WzFd")),
            ("application/x-protobuf", "protobuf", json!("CgF4")),
        ] {
            let response = answer(&mut client, "1", "add", content_type).await;
            assert_eq!(
                response,
                json!({ "type": "invokeResponse", "invocationId": "1", "success": true, "dataType": data_type, "data": data })
            );
        }
        let event = &with.events("add")[4 * index];
        assert_eq!(event.header("ce-type"), "azure.webpubsub.user.add");
        assert_eq!(event.header("content-type"), "text/plain; charset=utf-8");
        client.close(&close_payload(1000, "")).await;
    }
}

/// Item 117.
#[tokio::test]
async fn an_empty_answer_and_null_are_a_success_without_data() {
    let with = WithHandler::start(
        EVERYTHING,
        on_user_event(|request| match request.body.as_ref() {
            b"null" => typed("application/json", "null"),
            b"204" => reply(204, &[], ""),
            _ => reply(200, &[], ""),
        }),
    )
    .await;
    for subprotocol in ALL {
        let mut client = with.service.pubsub(subprotocol, "chat", json!({})).await;
        for data in ["null", "204", "200"] {
            assert_eq!(
                answer(&mut client, "1", "add", data).await,
                json!({ "type": "invokeResponse", "invocationId": "1", "success": true })
            );
        }
        client.close(&close_payload(1000, "")).await;
    }
}

/// Item 117: each row of the table of errors.
#[tokio::test]
async fn a_failure_is_told_by_its_name() {
    let settings = format!("{EVERYTHING}\ntimeout = \"300ms\"");
    let with = WithHandler::start(
        &settings,
        on_user_event(|request| match request.body.as_ref() {
            b"named" => reply(
                409,
                &[("Content-Type", "application/json")],
                r#"{"name":"Taken","message":"It is."}"#,
            ),
            b"coded" => reply(
                500,
                &[("Content-Type", "application/json")],
                r#"{"code":"E7","message":"It broke."}"#,
            ),
            b"never" => Reply::Never,
            b"type" => typed("image/png", "x"),
            status => reply(
                std::str::from_utf8(status).unwrap().parse().unwrap(),
                &[],
                "no",
            ),
        }),
    )
    .await;
    for subprotocol in JSON_CLIENTS {
        let mut client = with.service.pubsub(subprotocol, "chat", json!({})).await;
        for (data, name) in [
            ("named", "Taken"),
            ("coded", "E7"),
            ("401", "Unauthorized"),
            ("403", "Forbidden"),
            ("408", "Timeout"),
            ("400", "BadRequest"),
            ("404", "BadRequest"),
            ("429", "BadRequest"),
            ("500", "InternalServerError"),
            ("302", "InternalServerError"),
            ("type", "InternalServerError"),
            ("never", "Timeout"),
        ] {
            let response = answer(&mut client, "1", "add", data).await;
            assert_eq!(response["success"], false, "{data}");
            assert_eq!(response["error"]["name"], name, "{data}");
            assert!(
                response["error"]["message"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty())
            );
            assert!(response.get("data").is_none());
        }
        let response = answer(&mut client, "1", "add", "named").await;
        assert_eq!(response["error"]["message"], "It is.");
        client.close(&close_payload(1000, "")).await;
    }
}

/// Item 117: what the service itself refuses.
#[tokio::test]
async fn ids_are_unique_among_those_open_of_which_there_are_64_at_most() {
    let with = WithHandler::start(EVERYTHING, on_user_event(|_| Reply::Never)).await;
    let mut client = with.service.pubsub(ALL[0], "chat", json!({})).await;
    for id in 0..64 {
        client.send(invoke(&id.to_string(), "add", "x")).await;
    }
    with.until("add", 64).await;
    let bad = answer(&mut client, "0", "add", "x").await;
    assert_eq!(bad["error"]["name"], "BadRequest");
    let bad = answer(&mut client, "64", "add", "x").await;
    assert_eq!(bad["error"]["name"], "BadRequest");
    client
        .send(json!({ "type": "cancelInvocation", "invocationId": "3" }))
        .await;
    client.send(invoke("64", "add", "x")).await;
    with.until("add", 65).await;
    client.expect_nothing().await;
}

/// Item 118.
#[tokio::test]
async fn a_cancelled_invocation_takes_its_request_back_and_says_nothing() {
    let with = WithHandler::start(EVERYTHING, on_user_event(|_| Reply::Never)).await;
    for (index, subprotocol) in ALL.into_iter().enumerate() {
        let mut client = with.service.pubsub(subprotocol, "chat", json!({})).await;
        client.send(invoke("1", "add", "x")).await;
        with.until("add", index + 1).await;
        client
            .send(json!({ "type": "cancelInvocation", "invocationId": "1" }))
            .await;
        with.handler.lost(index + 1).await;
        client.expect_nothing().await;
        client.close(&close_payload(1000, "")).await;
    }
}

/// Item 119, and invocations overtake each other.
#[tokio::test]
async fn invocations_wait_for_nothing() {
    let (tell, told) = tokio::sync::watch::channel(false);
    let with = WithHandler::start(
        EVERYTHING,
        on_user_event(move |request| match request.body.as_ref() {
            b"slow" => {
                let Reply::Now(response) = typed("text/plain", "slow") else {
                    unreachable!("a reply of now");
                };
                Reply::Later(told.clone(), response)
            }
            _ => typed("text/plain", request.body.clone()),
        }),
    )
    .await;
    let mut client = with.service.pubsub(ALL[0], "chat", json!({})).await;
    client
        .send(with_ack(event("do", "text", json!("slow")), 1))
        .await;
    client.send(invoke("a", "add", "slow")).await;
    assert_eq!(
        answer(&mut client, "b", "add", "quick").await["data"],
        "quick"
    );
    tell.send(true).unwrap();
    let mut rest = Vec::new();
    for _ in 0..3 {
        rest.push(client.next().await["type"].as_str().unwrap().to_owned());
    }
    rest.sort();
    assert_eq!(rest, ["ack", "invokeResponse", "message"]);
}

/// Item 117: a listener gets the event, and does not make an invocation succeed.
#[tokio::test]
async fn an_invocation_that_is_only_listened_to_is_not_found() {
    let sink = TestHandler::start(|request: &Recorded| match request.method.as_str() {
        "OPTIONS" => reply(200, &[("WebHook-Allowed-Origin", "*")], ""),
        _ => reply(200, &[], ""),
    })
    .await;
    let listener = format!(
        "[[hubs.chat.event_listeners]]\nfilter = {{ type = \"event_name\", user_event_pattern = \"*\" }}\n\
         endpoint = {{ type = \"http\", url = \"{}\" }}\n",
        sink.url("/sink")
    );
    let config = toml(
        &sink.url("/handler"),
        "user_event_pattern = \"handled\"",
        &listener,
    );
    let service = start(&config, |_| {}).await;
    let mut client = service.pubsub(ALL[0], "chat", json!({})).await;
    let response = answer(&mut client, "1", "add", "x").await;
    assert_eq!(response["error"]["name"], "NotFound");
    sink.got(1).await;
    assert_eq!(sink.request().uri.path(), "/sink");
    assert_eq!(sink.request().header("ce-type"), "azure.webpubsub.user.add");
    let ack = client
        .request(with_ack(event("add", "text", json!("x")), 1))
        .await;
    assert_eq!(
        ack["success"], true,
        "an event is one that somebody listens to"
    );
}

//! The tables of docs/event-outcomes.md, row by row: event × client kind × handler outcome → what the client sees.

use serde_json::{Value, json};

use super::user_events::with_ack;
use crate::support::events::{event, start, typed};
use crate::support::handler::{Recorded, Reply, TestHandler, reply};
use crate::support::pubsub::{ALL, PubSub, offer};
use crate::support::{Received, Service};

const PAGE: &str = include_str!("../../../../../docs/event-outcomes.md");
/// What is sent behind an event to see that nothing else comes.
const FENCE: &str = "fence";
const BODY_MAX: usize = 4096;

/// Returns the rows of the table under a heading, without its head.
fn table(heading: &str) -> Vec<Vec<String>> {
    let section = PAGE
        .split("\n## ")
        .find(|section| section.lines().next() == Some(heading))
        .unwrap();
    let rows: Vec<Vec<String>> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .skip(2)
        .map(|row| row.split(" | ").map(str::to_owned).collect())
        .collect();
    assert!(rows.len() > 10, "the table is there");
    rows
}

/// Does as a row says; what it needs beyond an answer is in [`service`].
fn outcome(row: &str, request: &Recorded) -> Reply {
    let status = row.get(..3).and_then(|status| status.parse::<u16>().ok());
    match row {
        "200, text" => typed("text/plain", "hi"),
        "200, JSON" => typed("application/json", "[1]"),
        "200, JSON object" => typed("application/json", r#"{"userId":"bob"}"#),
        "200, binary" => typed("application/octet-stream", "hi"),
        "200, body without a type" => typed("", "hi"),
        "200, protobuf" => typed("application/x-protobuf", [0x0a, 1, b'x'].to_vec()),
        "200, empty with metadata" => reply(200, &[("x-webpubsub-metadata-k", "v")], ""),
        "200, JSON `null`" => typed("application/json", "null"),
        "200, malformed JSON" => typed("application/json", "{"),
        "200, a subprotocol that was not offered" => {
            typed("application/json", r#"{"subprotocol":"my.own"}"#)
        }
        "200, another type" => typed("image/png", "hi"),
        "200, body over the limit" => typed("text/plain", "x".repeat(BODY_MAX + 1)),
        "202, any body" => reply(202, &[], "{"),
        "302" => reply(
            302,
            &[(
                "Location",
                &format!("http://{}/elsewhere", request.header("host")),
            )],
            "",
        ),
        "500, named error" => reply(
            500,
            &[],
            r#"{"name":"Named","message":"The handler says why."}"#,
        ),
        "no answer in time" => Reply::Never,
        _ => reply(status.unwrap_or_else(|| panic!("no row `{row}`")), &[], ""),
    }
}

/// Starts a service whose handler of user events does as a row says. The handler is returned to be kept.
async fn service(row: &str) -> (Service, Option<TestHandler>) {
    service_with(row, "").await
}

/// Likewise for a handler of `connect`.
async fn connect_service(row: &str) -> (Service, Option<TestHandler>) {
    service_with(row, "system_events = [\"connect\"]").await
}

async fn service_with(row: &str, events: &str) -> (Service, Option<TestHandler>) {
    let settings = |more: &str| format!("{events}\n{more}");
    match row {
        "no handler, no listener" | "no handler of `connect`" => (Service::start().await, None),
        "no handler, a listener" => {
            let sink = TestHandler::answering(200, &[], "").await;
            let listener = format!(
                "[upstream]\nprivate_addresses = \"allow\"\n[[hubs.chat.event_listeners]]\nfilter = {{ type = \"event_name\", \
                 user_event_pattern = \"*\" }}\nendpoint = {{ type = \"http\", url = \"{}\" }}\n",
                sink.url("/sink")
            );
            (start(&listener, |_| {}).await, Some(sink))
        }
        "connection lost" => {
            let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/", unused.local_addr().unwrap());
            drop(unused);
            (
                start(
                    &handler_of(&url, &settings("abuse_protection = false")),
                    |_| {},
                )
                .await,
                None,
            )
        }
        "handler does not agree to get events" => {
            let handler = TestHandler::answering(200, &[], "").await;
            let service = start(&handler_of(&handler.url("/"), &settings("")), |_| {}).await;
            (service, Some(handler))
        }
        row => {
            // Only where it must pass, since a busy machine may be slow.
            let timeout = match row {
                "no answer in time" => "timeout = \"200ms\"",
                _ => "",
            };
            let row = row.to_owned();
            let handler = TestHandler::start(move |request| match request.method.as_str() {
                "OPTIONS" => reply(200, &[("WebHook-Allowed-Origin", "*")], ""),
                _ if request.body == FENCE => typed("text/plain", FENCE),
                _ => outcome(&row, request),
            })
            .await;
            let patience = settings(timeout);
            let service = start(&handler_of(&handler.url("/"), &patience), |_| {}).await;
            (service, Some(handler))
        }
    }
}

fn handler_of(url: &str, settings: &str) -> String {
    format!(
        "[upstream]\nretry_delays = [\"1ms\"]\nprivate_addresses = \"allow\"\nresponse_body_max = \"{BODY_MAX}B\"\n\
         [[hubs.chat.event_handlers]]\nurl_template = \"{url}\"\nuser_event_pattern = \"*\"\n{settings}\n"
    )
}

fn user_event(data: &str) -> Value {
    event("do", "text", json!(data))
}

/// Says what a raw client sees of an event.
async fn seen_by_raw(service: &Service, row: &str) -> String {
    let mut client = service.simple("chat", json!({})).await;
    client.send_text("x").await;
    match row {
        // Nobody is there to answer.
        "no handler, a listener" => {
            service
                .send("/api/hubs/chat/:send", "text/plain", FENCE.as_bytes())
                .await;
        }
        // A socket that is being closed may be gone already.
        _ => client.try_send_text(FENCE).await,
    }
    let mut seen = "nothing".to_owned();
    loop {
        let frame = match client.next().await {
            Received::Text(text) if text == FENCE => return seen,
            Received::Text(text) if text.is_empty() => "empty text frame",
            Received::Text(_) => "text frame",
            Received::Binary(_) => "binary frame",
            Received::Close(code, reason) => {
                assert_eq!(reason, "Internal server error");
                return format!("closed {code}");
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(seen, "nothing", "one frame is all");
        seen = frame.to_owned();
    }
}

/// Says what a client of a subprotocol sees of an event.
async fn seen_by_pubsub(client: &mut PubSub, event: Value) -> String {
    client.send(event).await;
    client.send(with_ack(user_event(FENCE), 99)).await;
    let mut seen = Vec::new();
    loop {
        let frame = client.next().await;
        let is_ack = frame["type"] == "ack";
        match frame["ackId"].as_u64() {
            Some(99) => break,
            _ if frame["data"] == FENCE => {}
            _ if is_ack && frame["success"] == true => seen.push("ack".to_owned()),
            _ if is_ack => {
                let name = frame["error"]["name"].as_str().unwrap();
                seen.push(format!("ack with {name}"));
            }
            _ => {
                assert_eq!(
                    (&frame["type"], &frame["from"]),
                    (&json!("message"), &json!("server"))
                );
                let data_type = frame["dataType"].as_str().unwrap();
                seen.push(format!("message ({data_type})"));
            }
        }
    }
    match seen.is_empty() {
        true => "nothing".to_owned(),
        false => seen.join(", then "),
    }
}

/// Says what a client sees of an invocation.
async fn seen_of_invocation(client: &mut PubSub) -> String {
    client
        .send(json!({ "type": "invoke", "invocationId": "1", "event": "do", "dataType": "text", "data": "x" }))
        .await;
    let response = client.next().await;
    assert_eq!(response["type"], "invokeResponse", "{response}");
    match (response["success"] == true, response["dataType"].as_str()) {
        (true, Some(data_type)) => format!("success ({data_type})"),
        (true, None) => "success without data".to_owned(),
        (false, _) => response["error"]["name"].as_str().unwrap().to_owned(),
    }
}

#[tokio::test]
async fn user_events_and_invocations_do_as_the_table_says() {
    let rows = table("User events and invocations");
    let checks = rows.iter().map(|row| async move {
        let [outcome, raw, with_ack_id, without_ack_id, invocation] = row.as_slice() else {
            panic!("five columns: {row:?}");
        };
        let (service, _handler) = service(outcome).await;
        assert_eq!(&seen_by_raw(&service, outcome).await, raw, "{outcome}, raw");
        for subprotocol in ALL {
            let mut client = service.pubsub(subprotocol, "chat", json!({})).await;
            let seen = seen_by_pubsub(&mut client, with_ack(user_event("x"), 1)).await;
            assert_eq!(&seen, with_ack_id, "{outcome}, {subprotocol} with ackId");
            let mut client = service.pubsub(subprotocol, "chat", json!({})).await;
            let seen = seen_by_pubsub(&mut client, user_event("x")).await;
            assert_eq!(
                &seen, without_ack_id,
                "{outcome}, {subprotocol} without ackId"
            );
            let seen = seen_of_invocation(&mut client).await;
            assert_eq!(&seen, invocation, "{outcome}, {subprotocol}, invocation");
        }
    });
    futures_util::future::join_all(checks).await;
}

#[tokio::test]
async fn connect_does_as_the_table_says() {
    let rows = table("Connect");
    let checks = rows.iter().map(|row| async move {
        let [outcome, client] = row.as_slice() else {
            panic!("two columns: {row:?}");
        };
        let (service, _handler) = connect_service(outcome).await;
        let path = service.client_path("chat", json!({}));
        for offered in [""].into_iter().chain(ALL) {
            let head = match offered {
                "" => String::new(),
                offered => offer(offered),
            };
            let answer = service.handshake(&path, &head).await;
            let seen = match answer.status {
                101 => "connected".to_owned(),
                status => format!("HTTP {status}"),
            };
            assert_eq!(&seen, client, "{outcome}, {offered}");
        }
    });
    futures_util::future::join_all(checks).await;
}

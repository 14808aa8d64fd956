//! What clients see of events, in the words of docs/event-outcomes.md.

use serde_json::{Value, json};

use super::events::{event, with_ack};
use super::pubsub::{ALL, PubSub, offer};
use super::{Received, Service};

const PAGE: &str = include_str!("../../../../../docs/event-outcomes.md");
/// What is sent behind an event to see that nothing else comes.
pub(crate) const FENCE: &str = "fence";

/// Returns the rows of the table under a heading, without its head.
pub(crate) fn table(heading: &str) -> Vec<Vec<String>> {
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

/// Asserts that clients of every kind see of a user event and of an invocation what a row says.
pub(crate) async fn expect_of_events(service: &Service, row: &[String]) {
    let [outcome, raw, with_ack_id, without_ack_id, invocation] = row else {
        panic!("five columns: {row:?}");
    };
    assert_eq!(&seen_by_raw(service, outcome).await, raw, "{outcome}, raw");
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
}

/// Asserts that clients of every kind see of `connect` what a row says.
pub(crate) async fn expect_of_connect(service: &Service, row: &[String]) {
    let [outcome, client] = row else {
        panic!("two columns: {row:?}");
    };
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

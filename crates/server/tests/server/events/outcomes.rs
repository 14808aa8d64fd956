//! The tables of docs/event-outcomes.md, row by row: event × client kind × handler outcome → what the client sees.

use crate::support::Service;
use crate::support::events::{start, typed};
use crate::support::handler::{Recorded, Reply, TestHandler, reply};
use crate::support::outcomes::{FENCE, expect_of_connect, expect_of_events, table};

const BODY_MAX: usize = 4096;

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

#[tokio::test]
async fn user_events_and_invocations_do_as_the_table_says() {
    let rows = table("User events and invocations");
    let checks = rows.iter().map(|row| async move {
        let (service, _handler) = service(&row[0]).await;
        expect_of_events(&service, row).await;
    });
    futures_util::future::join_all(checks).await;
}

#[tokio::test]
async fn connect_does_as_the_table_says() {
    let rows = table("Connect");
    let checks = rows.iter().map(|row| async move {
        let (service, _handler) = connect_service(&row[0]).await;
        expect_of_connect(&service, row).await;
    });
    futures_util::future::join_all(checks).await;
}

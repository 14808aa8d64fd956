//! The rows of docs/event-outcomes.md that a handler can cause, from the types of this crate to what clients see.

use std::future::pending;

use http::StatusCode;
use hubwire_event_handler::{
    ConnectEvent, ConnectResponse, EventHandler, EventHandlerService, Rejection, UserEvent,
    UserEventResponse,
};

use crate::application::Application;
use crate::support::Service;
use crate::support::events::start;
use crate::support::outcomes::{FENCE, expect_of_connect, expect_of_events, table};

const BODY_MAX: usize = 4096;

/// Rows of user events that are not for a handler of this crate: it gives each body its type and answers with 200, and there is one.
const NOT_OF_EVENTS: [&str; 5] = [
    "200, body without a type",
    "200, another type",
    "204",
    "no handler, a listener",
    "no handler, no listener",
];
/// Rows of `connect` that are not: it answers with 200, and with JSON objects only.
const NOT_OF_CONNECT: [&str; 5] = [
    "200, malformed JSON",
    "200, JSON `null`",
    "202, any body",
    "204",
    "no handler of `connect`",
];

/// Does as a row says.
struct Row(String);

impl EventHandler for Row {
    async fn on_connect(&self, _: ConnectEvent) -> Result<ConnectResponse, Rejection> {
        let answer = ConnectResponse::new();
        match self.0.as_str() {
            "200, empty" => Ok(answer),
            "200, JSON object" => Ok(answer.user_id("bob")),
            "200, a subprotocol that was not offered" => Ok(answer.subprotocol("my.own")),
            "200, body over the limit" => Ok(answer.roles(["x".repeat(BODY_MAX)])),
            other => fail(other).await,
        }
    }

    async fn on_user_event(&self, event: UserEvent) -> Result<UserEventResponse, Rejection> {
        if event.text()? == FENCE {
            return Ok(UserEventResponse::text(FENCE));
        }
        match self.0.as_str() {
            "200, text" => Ok(UserEventResponse::text("hi")),
            "200, JSON" => Ok(UserEventResponse::json(&[1])?),
            "200, JSON `null`" => Ok(UserEventResponse::json(&())?),
            "200, binary" => Ok(UserEventResponse::binary("hi")),
            "200, protobuf" => Ok(UserEventResponse::protobuf(vec![0x0a, 1, b'x'])),
            "200, empty" => Ok(UserEventResponse::empty()),
            "200, empty with metadata" => Ok(UserEventResponse::empty().metadata("k", "v")),
            "200, body over the limit" => Ok(UserEventResponse::text("x".repeat(BODY_MAX + 1))),
            "500, named error" => Err(Rejection::new(StatusCode::INTERNAL_SERVER_ERROR)
                .with_error("Named", "The handler says why.")),
            other => fail(other).await,
        }
    }
}

async fn fail<T>(row: &str) -> Result<T, Rejection> {
    match row {
        "no answer in time" => pending().await,
        "connection lost" => panic!("this loses the connection"),
        status => Err(Rejection::new(status.parse::<StatusCode>().unwrap())),
    }
}

/// Starts a service and a handler that does as a row says.
async fn service(row: &str, events: &str) -> (Service, Application<Row>) {
    let builder = EventHandlerService::builder(Row(row.to_owned()));
    let application = Application::of(match row {
        "handler does not agree to get events" => builder
            .allowed_endpoint("https://another.example.com")
            .access_key("key"),
        _ => builder.connection_string(&crate::application::connection_string()),
    })
    .await;
    // Only where it must pass, since a busy machine may be slow.
    let timeout = match row {
        "no answer in time" => "timeout = \"200ms\"",
        _ => "",
    };
    let toml = application.toml(&format!("{events}\n{timeout}")).replace(
        "[upstream]",
        &format!("[upstream]\nresponse_body_max = \"{BODY_MAX}B\""),
    );
    (start(&toml, |_| {}).await, application)
}

/// Returns the rows of a table that a handler of this crate can cause.
fn rows(heading: &str, not_here: &[&str]) -> Vec<Vec<String>> {
    let mut rows = table(heading);
    let all = rows.len();
    rows.retain(|row| !not_here.contains(&&*row[0]));
    assert_eq!(all - rows.len(), not_here.len(), "every exception is a row");
    rows
}

#[tokio::test]
async fn user_events_and_invocations_do_as_the_table_says() {
    let rows = rows("User events and invocations", &NOT_OF_EVENTS);
    let checks = rows.iter().map(|row| async move {
        let (service, _application) = service(&row[0], "user_event_pattern = \"*\"").await;
        expect_of_events(&service, row).await;
    });
    futures_util::future::join_all(checks).await;
}

#[tokio::test]
async fn connect_does_as_the_table_says() {
    let rows = rows("Connect", &NOT_OF_CONNECT);
    let checks = rows.iter().map(|row| async move {
        let (service, _application) = service(&row[0], "system_events = [\"connect\"]").await;
        expect_of_connect(&service, row).await;
    });
    futures_util::future::join_all(checks).await;
}

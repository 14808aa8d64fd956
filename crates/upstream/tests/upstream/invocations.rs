//! Events whose clients await the answer. Source: events-and-operations 5.5; test list 7.

use std::time::Duration;

use bytes::Bytes;
use hubwire_protocol::event::EventFailure;
use hubwire_protocol::message::Content;
use hubwire_protocol::payload::DataType;
use hubwire_upstream::{Ask, Settings, Upstream};

use crate::support::{
    Reply, TestHandler, content, handles_all, hello, raw_handler, raw_url, upstream, upstream_to,
};

async fn answer_of(
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: impl Into<Bytes>,
) -> Result<Option<Content>, EventFailure> {
    let handler = TestHandler::answering(status, headers, body).await;
    upstream_to(&handler).ask(hello(), Ask::Invocation).await
}

fn rejected(status: u16, error: Option<(&str, &str)>) -> Result<Option<Content>, EventFailure> {
    let error = error.map(|(name, message)| (name.to_owned(), message.to_owned()));
    Err(EventFailure::Rejected { status, error })
}

#[tokio::test]
async fn an_answer_has_the_type_of_its_body() {
    let answer = answer_of(200, &[("content-type", "application/json")], "[1]").await;
    assert_eq!(answer, Ok(Some(content(DataType::Json, "[1]"))));
}

#[tokio::test]
async fn an_empty_body_and_null_are_no_data() {
    assert_eq!(answer_of(200, &[], "").await, Ok(None));
    assert_eq!(
        answer_of(200, &[("content-type", "application/json")], " null\n").await,
        Ok(None)
    );
    assert_eq!(
        answer_of(200, &[("x-webpubsub-metadata-a", "b")], "").await,
        Ok(None)
    );
}

#[tokio::test]
async fn the_handler_s_own_error_is_copied() {
    for (body, error) in [
        (
            r#"{"name":"Full","message":"no room"}"#,
            Some(("Full", "no room")),
        ),
        (
            r#"{"code":"Full","message":"no room"}"#,
            Some(("Full", "no room")),
        ),
        (r#"{"name":"","message":"no room"}"#, None),
        (r#"{"name":"Full"}"#, None),
        (r#"{"code":7,"message":"no room"}"#, None),
        ("<html>", None),
        ("", None),
    ] {
        assert_eq!(
            answer_of(409, &[], body).await,
            rejected(409, error),
            "{body}"
        );
    }
}

#[tokio::test]
async fn other_statuses_are_told_as_they_are_and_408_is_a_timeout() {
    for status in [302, 400, 401, 403, 404, 500, 503] {
        assert_eq!(answer_of(status, &[], "").await, rejected(status, None));
    }
    assert_eq!(answer_of(408, &[], "").await, Err(EventFailure::Timeout));
    let named = r#"{"name":"Slow","message":"try later"}"#;
    assert_eq!(
        answer_of(408, &[], named).await,
        rejected(408, Some(("Slow", "try later")))
    );
}

#[tokio::test]
async fn an_event_that_is_not_an_invocation_has_no_error_of_the_handler() {
    let body = r#"{"name":"Full","message":"no room"}"#;
    let handler = TestHandler::answering(409, &[], body).await;
    let outcome = upstream_to(&handler).ask(hello(), Ask::Event).await;
    assert_eq!(outcome, rejected(409, None));
}

#[tokio::test]
async fn no_answer_in_time_is_a_timeout() {
    let test = TestHandler::start(|_| Reply::Never).await;
    let mut handler = handles_all(&test.url("/"));
    handler.timeout = Duration::from_millis(200);
    let outcome = upstream(handler).ask(hello(), Ask::Invocation).await;
    assert_eq!(outcome, Err(EventFailure::Timeout));
    assert_eq!(test.requests().len(), 1);
}

#[tokio::test]
async fn a_handler_that_is_down_or_answers_nonsense_is_a_failure() {
    let failed = Err(EventFailure::Failed);
    assert_eq!(
        answer_of(200, &[("content-type", "text/html")], "x").await,
        failed
    );
    let address = raw_handler(Vec::new()).await;
    let down = upstream(handles_all(&raw_url(address)));
    assert_eq!(down.ask(hello(), Ask::Invocation).await, failed);
}

#[tokio::test]
async fn without_a_handler_it_is_not_found() {
    let outcome = Upstream::new(Settings::default())
        .ask(hello(), Ask::Invocation)
        .await;
    assert_eq!(outcome, Err(EventFailure::NotFound));
}

#[tokio::test]
async fn cancelling_takes_the_request_back() {
    let handler = TestHandler::start(|_| Reply::Never).await;
    let upstream = upstream_to(&handler);
    let asking = tokio::spawn({
        let upstream = upstream.clone();
        async move { upstream.ask(hello(), Ask::Invocation).await }
    });
    handler.got(1).await;
    asking.abort();
    handler.lost(1).await;
    assert_eq!(upstream.connections(), 0);
}

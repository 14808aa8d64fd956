//! The answers to `connect`. Source: events-and-operations 5.1; test list 4.

use std::sync::Arc;

use bytes::Bytes;
use hubwire_protocol::event::{ConnectAnswer, ConnectRefusal};
use hubwire_protocol::names::GroupName;
use hubwire_upstream::{Settings, Upstream};

use crate::support::{
    Observed, Reply, TestHandler, connect, handles_all, hub, raw_handler, raw_url, reply, settings,
    settings_of, upstream, upstream_to,
};

async fn answer_to(status: u16, body: impl Into<Bytes>) -> Result<ConnectAnswer, ConnectRefusal> {
    // The content type says nothing.
    let handler = TestHandler::answering(status, &[("content-type", "text/html")], body).await;
    upstream_to(&handler).connect(connect()).await
}

fn rejected(status: u16) -> Result<ConnectAnswer, ConnectRefusal> {
    Err(ConnectRefusal::Rejected { status, body: None })
}

#[tokio::test]
async fn nothing_to_say_keeps_the_defaults_of_the_token() {
    let answers = [
        (200, ""),
        (200, " \n"),
        (200, "null"),
        (200, "{}"),
        (204, ""),
        (201, r#"{"userId":"ignored"}"#),
        (
            200,
            r#"{"userId":null,"roles":null,"groups":null,"subprotocol":null}"#,
        ),
        (200, r#"{"groups":[],"subprotocol":"","unknown":1}"#),
    ];
    for (status, body) in answers {
        let answer = answer_to(status, body).await;
        assert_eq!(answer, Ok(ConnectAnswer::default()), "{status} {body}");
    }
}

#[tokio::test]
async fn what_is_set_is_applied_whatever_the_case_of_its_name() {
    let body = r#"{"USERID":"bob","Roles":["r1","r2"],"groups":["g1"],"subProtocol":"custom"}"#;
    let expected = ConnectAnswer {
        user_id: Some("bob".to_owned()),
        roles: Some(vec!["r1".to_owned(), "r2".to_owned()]),
        groups: Some(vec![GroupName::new("g1").unwrap()]),
        subprotocol: Some("custom".to_owned()),
    };
    assert_eq!(answer_to(200, body).await, Ok(expected));
}

#[tokio::test]
async fn an_empty_user_id_and_empty_roles_are_applied() {
    let expected = ConnectAnswer {
        user_id: Some(String::new()),
        roles: Some(Vec::new()),
        ..ConnectAnswer::default()
    };
    assert_eq!(
        answer_to(200, r#"{"userId":"","roles":[]}"#).await,
        Ok(expected)
    );
}

#[tokio::test]
async fn answers_that_make_no_sense_are_a_failure() {
    let long_group = format!(r#"{{"groups":["{}"]}}"#, "x".repeat(1025));
    for body in [
        "{",
        "[]",
        "7",
        r#""text""#,
        "{} {}",
        r#"{"groups":[" "]}"#,
        r#"{"groups":[null]}"#,
        r#"{"groups":"g"}"#,
        r#"{"roles":[null]}"#,
        r#"{"roles":[1]}"#,
        r#"{"userId":1}"#,
        r#"{"userId":" "}"#,
        r#"{"subprotocol":"a b"}"#,
        &long_group,
    ] {
        let answer = answer_to(200, body.to_owned()).await;
        assert_eq!(answer, Err(ConnectRefusal::Failed), "{body}");
    }
}

#[tokio::test]
async fn a_status_that_is_not_2xx_is_the_client_s_too() {
    for status in [302, 400, 401, 403, 404, 429, 500, 503] {
        assert_eq!(answer_to(status, "why").await, rejected(status));
    }
}

#[tokio::test]
async fn a_refusal_is_forwarded_if_the_handler_s_settings_say_so() {
    let test = TestHandler::answering(403, &[], "go away").await;
    let mut handler = handles_all(&test.url("/"));
    handler.forward_reject_body = true;
    let body = Some("go away".to_owned());
    let refusal = ConnectRefusal::Rejected { status: 403, body };
    assert_eq!(upstream(handler).connect(connect()).await, Err(refusal));
}

#[tokio::test]
async fn a_body_over_the_limit_is_a_failure() {
    // 17 MiB, first announced, then not.
    let body = vec![b' '; 17 * 1024 * 1024];
    assert_eq!(
        answer_to(200, body.clone()).await,
        Err(ConnectRefusal::Failed)
    );
    let mut raw = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    raw.extend(body);
    let address = raw_handler(vec![raw]).await;
    let answer = upstream(handles_all(&raw_url(address)))
        .connect(connect())
        .await;
    assert_eq!(answer, Err(ConnectRefusal::Failed));
}

#[tokio::test]
async fn a_body_up_to_the_limit_is_read() {
    let body = vec![b' '; 16 * 1024 * 1024];
    assert_eq!(answer_to(200, body).await, Ok(ConnectAnswer::default()));
}

#[tokio::test]
async fn a_handler_that_closes_in_the_middle_of_a_body_has_failed_at_once() {
    let broken = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec();
    let address = raw_handler(vec![
        broken,
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec(),
    ])
    .await;
    let answer = upstream(handles_all(&raw_url(address)))
        .connect(connect())
        .await;
    assert_eq!(answer, Err(ConnectRefusal::Failed));
}

#[tokio::test]
async fn a_handler_that_is_down_is_a_failure() {
    let address = raw_handler(Vec::new()).await;
    let answer = upstream(handles_all(&raw_url(address)))
        .connect(connect())
        .await;
    assert_eq!(answer, Err(ConnectRefusal::Failed));
}

#[tokio::test]
async fn without_a_handler_everybody_may_connect() {
    let upstream = Upstream::new(Settings::default());
    assert!(!upstream.wants_connect(&hub()));
    assert!(!upstream.has_targets(&hub()));
    assert_eq!(
        upstream.connect(connect()).await,
        Ok(ConnectAnswer::default())
    );
}

#[tokio::test]
async fn the_first_handler_that_matches_is_asked_and_no_other() {
    let [wrong, first, second] = [
        TestHandler::answering(403, &[], "").await,
        TestHandler::answering(200, &[], r#"{"userId":"first"}"#).await,
        TestHandler::answering(200, &[], r#"{"userId":"second"}"#).await,
    ];
    let mut handlers = [&wrong, &first, &second].map(|test| handles_all(&test.url("/")));
    handlers[0].system_events.clear();
    let upstream = Upstream::new(settings_of(handlers.to_vec()));
    assert!(upstream.wants_connect(&hub()));
    let answer = upstream.connect(connect()).await.unwrap();
    assert_eq!(answer.user_id.as_deref(), Some("first"));
    assert!(second.requests().is_empty() && wrong.requests().is_empty());
}

#[tokio::test]
async fn outcomes_are_counted() {
    let observed = Arc::new(Observed::default());
    let test = TestHandler::start(|request| match &request.body {
        body if body.windows(3).any(|window| window == b"401") => reply(401, &[], ""),
        body if body.windows(3).any(|window| window == b"bad") => reply(200, &[], "{"),
        _ => Reply::Now(Default::default()),
    })
    .await;
    let upstream = Upstream::new(Settings {
        observer: observed.clone(),
        ..settings(handles_all(&test.url("/")))
    });
    for offer in ["fine", "401", "bad"] {
        let _ = upstream
            .connect(crate::support::connect_with(
                hubwire_protocol::event::ConnectRequest {
                    subprotocols: vec![offer.to_owned()],
                    ..Default::default()
                },
            ))
            .await;
    }
    let expected = [
        "chat connect success",
        "chat connect rejected",
        "chat connect failed",
    ];
    assert_eq!(observed.lines(), expected);
}

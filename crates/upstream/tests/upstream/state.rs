//! What is kept for a connection. Source: events-and-operations 4.2, 4.3; test list 5 and 6.

use hubwire_protocol::event::{ConnectRefusal, Event, EventFailure, EventKind};
use hubwire_protocol::payload::DataType;
use hubwire_upstream::{Ask, Upstream};

use crate::support::{
    LONG, Reply, TestHandler, connect, disconnected, drain, event, handles_all, hello, left,
    of_connection, reply, settings, upstream_to, user_event,
};

const STATE: &str = "ce-connectionstate";

/// Starts a handler that sets the state that an event's body names, after a status if it does so.
async fn stateful() -> TestHandler {
    TestHandler::start(|request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        match body.split_once(' ') {
            Some((status, state)) => reply(status.parse().unwrap(), &[(STATE, state)], ""),
            None if request.header("ce-eventname") == "connect" => {
                reply(200, &[(STATE, "first")], "")
            }
            None => reply(200, &[], ""),
        }
    })
    .await
}

fn setting(status: u16, state: &str) -> Event {
    user_event("set", DataType::Text, &format!("{status} {state}"))
}

/// Returns the state that each request had.
fn states(test: &TestHandler) -> Vec<Option<String>> {
    let requests = test.requests();
    let state = requests
        .iter()
        .map(|request| request.headers.get(STATE).cloned());
    state
        .map(|state| state.map(|state| state.to_str().unwrap().to_owned()))
        .collect()
}

#[tokio::test]
async fn state_is_set_changed_cleared_and_sent_with_every_later_event() {
    let test = stateful().await;
    let upstream = upstream_to(&test);
    upstream.connect(connect()).await.unwrap();
    upstream.notify(event(EventKind::Connected));
    drain(&upstream).await;
    upstream
        .ask(setting(200, "second"), Ask::Event)
        .await
        .unwrap();
    upstream
        .ask(setting(204, "third"), Ask::Invocation)
        .await
        .unwrap();
    upstream.ask(hello(), Ask::Event).await.unwrap();
    upstream.ask(setting(200, ""), Ask::Event).await.unwrap();
    upstream.notify(disconnected(""));
    drain(&upstream).await;
    let expected = [
        None,
        Some("first"),
        Some("first"),
        Some("second"),
        Some("third"),
        Some("third"),
        Some(""),
    ];
    assert_eq!(
        states(&test),
        expected.map(|state| state.map(str::to_owned))
    );
}

#[tokio::test]
async fn state_is_kept_when_a_response_is_a_failure_or_to_a_notification() {
    let test = stateful().await;
    let upstream = upstream_to(&test);
    upstream.connect(connect()).await.unwrap();
    upstream
        .ask(setting(400, "other"), Ask::Event)
        .await
        .unwrap_err();
    upstream.ask(hello(), Ask::Event).await.unwrap();
    assert_eq!(states(&test)[2].as_deref(), Some("first"));

    let test = TestHandler::answering(200, &[(STATE, "from a notification")], "").await;
    let upstream = upstream_to(&test);
    upstream.notify(event(EventKind::Connected));
    drain(&upstream).await;
    upstream.ask(hello(), Ask::Event).await.unwrap();
    assert_eq!(states(&test), [None, None]);
}

#[tokio::test]
async fn state_belongs_to_its_connection_and_goes_with_it() {
    let test = stateful().await;
    let upstream = upstream_to(&test);
    upstream.connect(connect()).await.unwrap();
    upstream
        .ask(of_connection("other", hello()), Ask::Event)
        .await
        .unwrap();
    assert_eq!(states(&test)[1], None);
    assert_eq!(upstream.connections(), 1);
    upstream.notify(disconnected(""));
    upstream.notify(left("g"));
    drain(&upstream).await;
    assert_eq!(states(&test)[2].as_deref(), Some("first"));
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn state_goes_with_disconnected_even_if_no_handler_wants_that() {
    let test = stateful().await;
    let mut handler = handles_all(&test.url("/"));
    handler.system_events.truncate(1);
    let upstream = Upstream::new(settings(handler));
    upstream.connect(connect()).await.unwrap();
    assert_eq!(upstream.connections(), 1);
    upstream.notify(disconnected(""));
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_leaves_nothing_behind() {
    let test = stateful().await;
    let upstream = upstream_to(&test);
    upstream.connect(connect()).await.unwrap();
    upstream.forget(&crate::support::hub(), "connection-1");
    assert_eq!(upstream.connections(), 0);

    let headers = &[(STATE, "s"), ("set-cookie", "a=1")];
    for (status, body) in [(403, ""), (200, "{")] {
        let test = TestHandler::answering(status, headers, body).await;
        let upstream = upstream_to(&test);
        upstream.connect(connect()).await.unwrap_err();
        assert_eq!(upstream.connections(), 0);
    }
}

#[tokio::test]
async fn a_state_over_8_kib_is_a_failure_and_the_old_one_stays() {
    let test = stateful().await;
    let upstream = upstream_to(&test);
    upstream.connect(connect()).await.unwrap();
    let fits = "x".repeat(8 * 1024);
    upstream.ask(setting(200, &fits), Ask::Event).await.unwrap();
    let outcome = upstream
        .ask(setting(200, &format!("{fits}x")), Ask::Event)
        .await;
    assert_eq!(outcome, Err(EventFailure::Failed));
    upstream.ask(hello(), Ask::Event).await.unwrap();
    assert_eq!(states(&test)[3].as_deref(), Some(&*fits));

    let too_long = "y".repeat(8 * 1024 + 1);
    let test = TestHandler::start(move |_| reply(200, &[(STATE, &too_long)], "")).await;
    let outcome = upstream_to(&test).connect(connect()).await;
    assert_eq!(outcome, Err(ConnectRefusal::Failed));
}

#[tokio::test]
async fn cookies_come_back_on_their_connection_only() {
    let test = TestHandler::start(|request| match request.header("ce-connectionid") {
        "other" => reply(200, &[], ""),
        id if request.header("cookie").is_empty() => reply(
            200,
            &[
                ("set-cookie", &format!("affinity={id}; Path=/; HttpOnly")),
                ("set-cookie", "bad"),
            ],
            "",
        ),
        _ => reply(200, &[], ""),
    })
    .await;
    let upstream = upstream_to(&test);
    let cookie = || test.requests().pop().unwrap().header("cookie").to_owned();
    upstream.connect(connect()).await.unwrap();
    upstream
        .ask(of_connection("other", hello()), Ask::Event)
        .await
        .unwrap();
    assert_eq!(cookie(), "");
    upstream.ask(hello(), Ask::Event).await.unwrap();
    assert_eq!(cookie(), "affinity=connection-1");
    upstream.notify(disconnected(""));
    drain(&upstream).await;
    assert_eq!(cookie(), "affinity=connection-1");
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn cookies_of_notifications_are_kept_and_those_of_failures_are_not() {
    let test = TestHandler::start(|request| match request.header("ce-eventname") {
        "connected" => reply(200, &[("set-cookie", "a=1")], ""),
        _ => reply(400, &[("set-cookie", "b=2")], ""),
    })
    .await;
    let upstream = upstream_to(&test);
    upstream.notify(event(EventKind::Connected));
    drain(&upstream).await;
    for _ in 0..2 {
        upstream.ask(hello(), Ask::Event).await.unwrap_err();
    }
    assert_eq!(test.requests()[2].header("cookie"), "a=1");
}

#[tokio::test]
async fn an_answer_that_comes_after_the_end_keeps_nothing() {
    let (tell, told) = tokio::sync::watch::channel(false);
    let test = TestHandler::start(move |request| match request.header("ce-eventname") {
        "hello" => {
            let Reply::Now(response) = reply(200, &[(STATE, "late"), ("set-cookie", "a=1")], "")
            else {
                unreachable!();
            };
            Reply::Later(told.clone(), response)
        }
        _ => reply(200, &[], ""),
    })
    .await;
    let upstream = upstream_to(&test);
    let asking = tokio::spawn({
        let upstream = upstream.clone();
        async move { upstream.ask(hello(), Ask::Event).await }
    });
    test.got(1).await;
    upstream.notify(disconnected(""));
    test.got(2).await;
    let is_gone = async {
        while upstream.connections() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, is_gone).await.unwrap();
    tell.send_replace(true);
    assert_eq!(asking.await.unwrap(), Ok(None));
    assert_eq!(upstream.connections(), 0);
}

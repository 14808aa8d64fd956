//! New settings while events are under way. Source: events-and-operations 9.2.

use hubwire_protocol::event::EventFailure;
use hubwire_upstream::{Ask, Handler, Settings, Upstream};
use hyper::Method;

use crate::support::{Reply, TestHandler, connect, handles_all, hello, reply, settings};

#[tokio::test]
async fn events_under_way_end_under_the_old_settings() {
    let slow = TestHandler::start(|_| Reply::Never).await;
    let fast = TestHandler::answering(200, &[], "").await;
    let mut old = handles_all(&slow.url("/"));
    old.timeout = std::time::Duration::from_millis(300);
    let upstream = Upstream::new(settings(old));
    let asking = tokio::spawn({
        let upstream = upstream.clone();
        async move { upstream.ask(hello(), Ask::Event).await }
    });
    slow.got(1).await;
    upstream.replace(settings(handles_all(&fast.url("/"))));
    upstream.ask(hello(), Ask::Event).await.unwrap();
    assert_eq!(fast.requests().len(), 1);
    assert_eq!(asking.await.unwrap(), Err(EventFailure::Timeout));
}

#[tokio::test]
async fn verdicts_are_kept_for_urls_that_stay_and_new_urls_are_validated_first() {
    let test = TestHandler::start(|request| match (&request.method, request.uri.path()) {
        (&Method::POST, _) | (_, "/other") => reply(200, &[], ""),
        _ => reply(200, &[("webhook-allowed-origin", "*")], ""),
    })
    .await;
    let protected = |path: &str| {
        settings(Handler {
            abuse_protection: true,
            ..handles_all(&test.url(path))
        })
    };
    let upstream = Upstream::new(protected("/"));
    upstream.ask(hello(), Ask::Event).await.unwrap();
    upstream.replace(protected("/"));
    upstream.ask(hello(), Ask::Event).await.unwrap();
    assert_eq!(test.requests().len(), 3);
    upstream.replace(protected("/other"));
    assert_eq!(
        upstream.ask(hello(), Ask::Event).await,
        Err(EventFailure::Failed)
    );

    // Another origin is another question.
    upstream.replace(Settings {
        request_origins: vec!["new.example.com".to_owned()],
        ..protected("/")
    });
    upstream.ask(hello(), Ask::Event).await.unwrap();
    let requests = test.requests();
    assert_eq!(
        requests[requests.len() - 2].header("webhook-request-origin"),
        "new.example.com"
    );
}

#[tokio::test]
async fn what_is_kept_for_connections_outlives_a_reload_unless_the_hub_has_no_handlers_any_more() {
    let test = TestHandler::answering(200, &[("ce-connectionstate", "s")], "").await;
    let upstream = Upstream::new(settings(handles_all(&test.url("/"))));
    upstream.connect(connect()).await.unwrap();
    upstream.replace(settings(handles_all(&test.url("/new"))));
    upstream.ask(hello(), Ask::Event).await.unwrap();
    assert_eq!(test.requests()[1].header("ce-connectionstate"), "s");
    upstream.replace(Settings::default());
    assert_eq!(upstream.connections(), 0);
}

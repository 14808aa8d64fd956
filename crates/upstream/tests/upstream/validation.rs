//! Abuse protection. Source: events-and-operations 3; test list 2. Its times: `validation.rs` of the crate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hubwire_protocol::event::{ConnectRefusal, EventFailure, EventKind};
use hubwire_upstream::{Ask, Handler, Settings, Upstream};
use hyper::Method;

use crate::support::{
    Observed, Recorded, Reply, TestHandler, connect, drain, event, handles_all, hello, reply,
    settings,
};

/// An upstream whose handler has to agree.
fn protected(test: &TestHandler, path: &str) -> Settings {
    settings(Handler {
        abuse_protection: true,
        ..handles_all(&test.url(path))
    })
}

/// Starts a handler that says this when it is validated, and agrees to every event.
async fn validated(answer: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> TestHandler {
    TestHandler::start(move |request| match request.method {
        Method::POST => reply(200, &[], ""),
        _ => answer(request),
    })
    .await
}

fn methods(test: &TestHandler) -> Vec<String> {
    let requests = test.requests();
    requests
        .iter()
        .map(|request| request.method.to_string())
        .collect()
}

#[tokio::test]
async fn a_handler_is_asked_before_its_first_event_and_not_again() {
    let test = validated(|_| reply(200, &[("webhook-allowed-origin", "*")], "")).await;
    let upstream = Upstream::new(protected(&test, "/{hub}/{event}?code=1"));
    for _ in 0..2 {
        upstream.ask(hello(), Ask::Event).await.unwrap();
    }
    assert_eq!(methods(&test), ["OPTIONS", "POST", "POST"]);
    let validation = &test.requests()[0];
    assert_eq!(validation.uri, "/chat/validate?code=1");
    assert_eq!(
        validation.header("webhook-request-origin"),
        "pubsub.example.com"
    );
    assert_eq!(validation.header("ce-awpsversion"), "1.0");
    assert!(validation.body.is_empty());
    for absent in [
        "ce-type",
        "ce-signature",
        "cookie",
        "authorization",
        "webhook-request-rate",
    ] {
        assert!(!validation.headers.contains_key(absent), "{absent}");
    }
}

#[tokio::test]
async fn concurrent_events_share_one_validation() {
    let test = validated(|_| reply(200, &[("webhook-allowed-origin", "*")], "")).await;
    let upstream = Upstream::new(protected(&test, "/"));
    let events = (0..8).map(|_| upstream.ask(hello(), Ask::Event));
    for outcome in futures_util::future::join_all(events).await {
        outcome.unwrap();
    }
    let validations = methods(&test)
        .iter()
        .filter(|method| *method == "OPTIONS")
        .count();
    assert_eq!(validations, 1);
}

#[tokio::test]
async fn a_404_to_options_is_repeated_with_get() {
    let test = validated(|request| match request.method {
        Method::GET => reply(
            200,
            &[("webhook-allowed-origin", "pubsub.example.com")],
            "x",
        ),
        _ => reply(404, &[], ""),
    })
    .await;
    Upstream::new(protected(&test, "/"))
        .ask(hello(), Ask::Event)
        .await
        .unwrap();
    assert_eq!(methods(&test), ["OPTIONS", "GET", "POST"]);
}

#[tokio::test]
async fn another_status_is_not_repeated_with_get() {
    let test = validated(|_| reply(405, &[("webhook-allowed-origin", "*")], "")).await;
    Upstream::new(protected(&test, "/"))
        .ask(hello(), Ask::Event)
        .await
        .unwrap_err();
    assert_eq!(methods(&test), ["OPTIONS"]);
}

#[tokio::test]
async fn the_origin_must_be_among_the_allowed_ones() {
    let accepted: [&[(&str, &str)]; 6] = [
        &[("webhook-allowed-origin", "*")],
        &[("webhook-allowed-origin", "PubSub.Example.com")],
        &[
            ("webhook-allowed-origin", "other.example.com"),
            ("webhook-allowed-origin", "pubsub.example.com"),
        ],
        &[(
            "webhook-allowed-origin",
            "other.example.com, pubsub.example.com",
        )],
        &[("webhook-allowed-origin", "pubsub.example.com:8443")],
        &[("webhook-allowed-origin", " * ")],
    ];
    let refused: [&[(&str, &str)]; 4] = [
        &[],
        &[("webhook-allowed-origin", "other.example.com")],
        &[("webhook-allowed-origin", "pubsub.example.com.evil.com")],
        &[("webhook-allowed-origin", "")],
    ];
    let cases = accepted.map(|headers| (headers, true)).into_iter();
    for (headers, is_accepted) in cases.chain(refused.map(|headers| (headers, false))) {
        let headers: Vec<(String, String)> = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        let sent = headers.clone();
        let test = validated(move |_| {
            let headers: Vec<_> = sent
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect();
            reply(200, &headers, "")
        })
        .await;
        let mut settings = protected(&test, "/");
        settings.accepted_origins = vec!["pubsub.example.com:8443".to_owned()];
        let outcome = Upstream::new(settings).ask(hello(), Ask::Event).await;
        assert_eq!(outcome.is_ok(), is_accepted, "{headers:?}");
    }
}

#[tokio::test]
async fn any_of_several_origins_will_do_and_all_of_them_as_they_were_sent() {
    for allowed in ["b.example.com", "a.example.com, b.example.com"] {
        let test = validated(move |_| reply(200, &[("webhook-allowed-origin", allowed)], "")).await;
        let mut settings = protected(&test, "/");
        settings.request_origins = vec!["a.example.com".to_owned(), "b.example.com".to_owned()];
        Upstream::new(settings)
            .ask(hello(), Ask::Event)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_handler_that_does_not_agree_gets_nothing() {
    let observed = Arc::new(Observed::default());
    let test = validated(|_| reply(200, &[], "")).await;
    let upstream = Upstream::new(Settings {
        observer: observed.clone(),
        ..protected(&test, "/")
    });
    assert_eq!(
        upstream.connect(connect()).await,
        Err(ConnectRefusal::Failed)
    );
    assert_eq!(
        upstream.ask(hello(), Ask::Event).await,
        Err(EventFailure::Failed)
    );
    upstream.notify(event(EventKind::Connected));
    drain(&upstream).await;
    assert!(!methods(&test).contains(&"POST".to_owned()));
    assert!(observed.count("abuse protection failed") >= 1);
    for kind in ["connect", "user", "connected"] {
        assert_eq!(observed.count(&format!("chat {kind} invalid")), 1);
    }
}

#[tokio::test]
async fn a_validation_is_repeated_like_an_event() {
    let was_down = AtomicBool::new(false);
    let test = validated(move |_| match was_down.swap(true, Ordering::Relaxed) {
        false => reply(503, &[], ""),
        true => reply(200, &[("webhook-allowed-origin", "*")], ""),
    })
    .await;
    Upstream::new(protected(&test, "/"))
        .ask(hello(), Ask::Event)
        .await
        .unwrap();
    assert_eq!(methods(&test), ["OPTIONS", "OPTIONS", "POST"]);
}

#[tokio::test]
async fn hubs_are_validated_apart_if_their_urls_differ() {
    let test = validated(|request| match request.uri.path() {
        "/chat" => reply(200, &[("webhook-allowed-origin", "*")], ""),
        _ => reply(200, &[], ""),
    })
    .await;
    let mut settings = protected(&test, "/{hub}");
    settings.default_hub = settings.hubs.drain().next().unwrap().1;
    let upstream = Upstream::new(settings);
    upstream.ask(hello(), Ask::Event).await.unwrap();
    let mut other = hello();
    other.hub = hubwire_protocol::names::Hub::new("other").unwrap();
    upstream.ask(other, Ask::Event).await.unwrap_err();
}

#[tokio::test]
async fn without_abuse_protection_nobody_is_asked() {
    let test = validated(|_| reply(403, &[], "")).await;
    Upstream::new(settings(handles_all(&test.url("/"))))
        .ask(hello(), Ask::Event)
        .await
        .unwrap();
    assert_eq!(methods(&test), ["POST"]);
}

#[tokio::test]
async fn all_handlers_are_validated_on_demand() {
    let good = validated(|_| reply(200, &[("webhook-allowed-origin", "*")], "")).await;
    let bad = validated(|_| reply(200, &[], "")).await;
    let mut settings = protected(&good, "/{event}?code=secret");
    let handlers = &mut settings.hubs.values_mut().next().unwrap().handlers;
    handlers.push(Handler {
        abuse_protection: true,
        ..handles_all(&bad.url("/{event}?code=secret"))
    });
    assert_eq!(
        Upstream::new(settings).validate().await,
        [bad.url("/{event}")]
    );
}

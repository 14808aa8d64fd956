//! The answers to user events. Source: events-and-operations 5.4; test list 7 and 8.

use bytes::Bytes;
use hubwire_protocol::event::{Event, EventFailure};
use hubwire_protocol::message::Content;
use hubwire_protocol::names::Hub;
use hubwire_protocol::payload::DataType;
use hubwire_upstream::{Ask, HubSettings, Settings, Upstream, UserEventPattern};

use crate::support::{
    TestHandler, content, handles_all, hello, hub, raw_handler, raw_url, reply, settings,
    settings_of, upstream, upstream_to, user_event,
};

async fn reply_of(
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: impl Into<Bytes>,
) -> Result<Option<Content>, EventFailure> {
    let handler = TestHandler::answering(status, headers, body).await;
    upstream_to(&handler).ask(hello(), Ask::Event).await
}

#[tokio::test]
async fn an_empty_reply_is_none() {
    assert_eq!(reply_of(200, &[], "").await, Ok(None));
    assert_eq!(
        reply_of(204, &[("content-type", "what/ever")], "").await,
        Ok(None)
    );
}

#[tokio::test]
async fn the_content_type_says_what_a_reply_is() {
    let text = reply_of(200, &[("content-type", "text/plain; charset=latin1")], "hi").await;
    assert_eq!(text, Ok(Some(content(DataType::Text, "hi"))));
    let json = reply_of(200, &[("content-type", "Application/JSON")], r#" {"a": 1}"#).await;
    assert_eq!(json, Ok(Some(content(DataType::Json, r#" {"a": 1}"#))));
    let null = reply_of(202, &[("content-type", "application/json")], "null").await;
    assert_eq!(null, Ok(Some(content(DataType::Json, "null"))));
    let binary = reply_of(200, &[("content-type", "application/octet-stream")], "\x01").await;
    assert_eq!(binary, Ok(Some(content(DataType::Binary, "\x01"))));
    let absent = reply_of(200, &[], "\x01").await;
    assert_eq!(absent, Ok(Some(content(DataType::Binary, "\x01"))));
    let protobuf = reply_of(
        200,
        &[("content-type", "application/x-protobuf")],
        "\n\x01a",
    )
    .await;
    assert_eq!(protobuf, Ok(Some(content(DataType::Protobuf, "\n\x01a"))));
}

#[tokio::test]
async fn another_content_type_is_a_failure() {
    for headers in [
        &[("content-type", "text/html")],
        &[("content-type", "application/problem+json")],
        &[("content-type", "nonsense")],
    ] {
        assert_eq!(reply_of(200, headers, "x").await, Err(EventFailure::Failed));
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_its_content_type_says_is_a_failure() {
    for (headers, body) in [
        (&[("content-type", "application/json")], "{"),
        (&[("content-type", "application/json")], "1 2"),
        (&[("content-type", "application/x-protobuf")], "not an Any"),
    ] {
        assert_eq!(
            reply_of(200, headers, body).await,
            Err(EventFailure::Failed)
        );
    }
}

#[tokio::test]
async fn metadata_alone_is_an_empty_text() {
    let headers = &[
        ("x-webpubsub-metadata-Room", "a"),
        ("content-type", "what/ever"),
    ];
    let content = reply_of(200, headers, "").await.unwrap().unwrap();
    assert_eq!(
        content.payload,
        crate::support::content(DataType::Text, "").payload
    );
    assert_eq!(content.metadata.iter().collect::<Vec<_>>(), [("room", "a")]);
}

#[tokio::test]
async fn of_metadata_the_last_line_and_the_last_element_counts() {
    let headers = &[
        ("x-webpubsub-metadata-room", "first"),
        ("x-webpubsub-metadata-room", "second, third "),
        ("content-type", "text/plain"),
    ];
    let content = reply_of(200, headers, "x").await.unwrap().unwrap();
    assert_eq!(
        content.metadata.iter().collect::<Vec<_>>(),
        [("room", "third")]
    );
}

#[tokio::test]
async fn metadata_that_clients_could_not_send_is_a_failure() {
    let handler = TestHandler::start(|_| {
        let value = "x".repeat(1025);
        reply(200, &[("x-webpubsub-metadata-room", &value)], "")
    })
    .await;
    let outcome = upstream_to(&handler).ask(hello(), Ask::Event).await;
    assert_eq!(outcome, Err(EventFailure::Failed));
}

#[tokio::test]
async fn a_status_that_is_not_2xx_is_a_failure() {
    for status in [302, 400, 401, 404, 429, 500] {
        let failure = EventFailure::Rejected {
            status,
            error: None,
        };
        assert_eq!(reply_of(status, &[], "{}").await, Err(failure));
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_a_failure() {
    let body = vec![b'x'; 17 * 1024 * 1024];
    let outcome = reply_of(200, &[("content-type", "text/plain")], body).await;
    assert_eq!(outcome, Err(EventFailure::Failed));
}

#[tokio::test]
async fn a_handler_that_does_not_end_its_body_is_a_timeout() {
    let address = hanging_body().await;
    let mut handler = handles_all(&raw_url(address));
    handler.timeout = std::time::Duration::from_millis(200);
    let outcome = upstream(handler).ask(hello(), Ask::Event).await;
    assert_eq!(outcome, Err(EventFailure::Timeout));
}

/// Starts a handler that sends half a body and nothing more.
async fn hanging_body() -> std::net::SocketAddr {
    use tokio::io::AsyncWriteExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx";
        socket.write_all(half).await.unwrap();
        std::future::pending::<()>().await;
    });
    address
}

#[tokio::test]
async fn a_handler_that_closes_in_the_middle_of_a_body_has_failed() {
    let broken = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx".to_vec();
    let address = raw_handler(vec![broken]).await;
    let outcome = upstream(handles_all(&raw_url(address)))
        .ask(hello(), Ask::Event)
        .await;
    assert_eq!(outcome, Err(EventFailure::Failed));
}

#[tokio::test]
async fn an_event_that_nobody_wants_is_not_found() {
    let upstream = Upstream::new(Settings::default());
    assert_eq!(
        upstream.ask(hello(), Ask::Event).await,
        Err(EventFailure::NotFound)
    );
}

#[tokio::test]
async fn a_pattern_is_everything_a_name_or_a_list_without_case() {
    let handler = TestHandler::answering(200, &[], "").await;
    let cases = [
        ("*", vec!["a", "b.c"], vec![]),
        (" * ", vec!["a"], vec![]),
        ("Hello", vec!["hello", "HELLO"], vec!["hello2", "hell"]),
        (" a , B,", vec!["A", "b"], vec!["c", "a.b"]),
        ("a*", vec![], vec!["a", "ab"]),
        ("a,*", vec!["a"], vec!["b"]),
        ("", vec![], vec!["a"]),
    ];
    for (pattern, matching, others) in cases {
        let mut settings = handles_all(&handler.url("/"));
        settings.user_event_pattern = UserEventPattern::parse(pattern);
        let upstream = upstream(settings);
        for (names, expected) in [(matching, Ok(None)), (others, Err(EventFailure::NotFound))] {
            for name in names {
                let event = user_event(name, DataType::Text, "");
                let outcome = upstream.ask(event, Ask::Event).await;
                assert_eq!(outcome, expected, "{pattern} {name}");
            }
        }
    }
}

/// Test list 9.
#[tokio::test]
async fn the_default_settings_are_for_hubs_without_their_own_and_default_is_an_ordinary_hub() {
    let [own, other] = [
        TestHandler::answering(200, &[], "own").await,
        TestHandler::answering(200, &[], "other").await,
    ];
    let mut settings = settings(handles_all(&own.url("/{hub}")));
    settings.default_hub = HubSettings {
        handlers: vec![handles_all(&other.url("/{hub}"))],
        ..HubSettings::default()
    };
    let upstream = Upstream::new(settings);
    for name in ["Chat", "unlisted", "default"] {
        let event = Event {
            hub: Hub::new(name).unwrap(),
            ..hello()
        };
        upstream.ask(event, Ask::Event).await.unwrap();
    }
    assert_eq!(own.request().uri, "/chat");
    let others: Vec<String> = other
        .requests()
        .iter()
        .map(|request| request.uri.to_string())
        .collect();
    assert_eq!(others, ["/unlisted", "/default"]);
}

#[tokio::test]
async fn the_url_is_that_of_the_template_with_hub_event_and_query() {
    let test = TestHandler::answering(200, &[], "").await;
    let url = test.url("/{HUB}/{Event}/x?code=a%2Bb&e={event}");
    let mut settings = settings_of(Vec::new());
    settings.default_hub.handlers = vec![handles_all(&url)];
    settings.hubs.clear();
    let event = Event {
        hub: Hub::new("a[b]`,.c").unwrap(),
        ..user_event("my.event", DataType::Text, "")
    };
    Upstream::new(settings)
        .ask(event, Ask::Event)
        .await
        .unwrap();
    let expected = "/a%5Bb%5D%60%2C.c/my.event/x?code=a%2Bb&e=my.event";
    assert_eq!(test.request().uri, expected);
    assert_eq!(test.request().header("ce-hub"), "a[b]`,.c");
}

#[tokio::test]
async fn a_hub_with_an_entry_has_targets() {
    let handler = TestHandler::answering(200, &[], "").await;
    let upstream = upstream_to(&handler);
    assert!(upstream.has_targets(&hub()));
    assert!(!upstream.has_targets(&Hub::new("other").unwrap()));
}

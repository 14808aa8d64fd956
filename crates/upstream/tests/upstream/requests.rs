//! The request of an event. Source: events-and-operations 4 and 5.

use hubwire_protocol::event::{ClientCertificate, ConnectRequest, Event, EventKind};
use hubwire_protocol::message::Content;
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::names::{EventName, UserId};
use hubwire_protocol::payload::DataType;
use hubwire_upstream::{Ask, Secret, Upstream};

use crate::support::{
    TestHandler, connect, connect_with, content, disconnected, drain, event, handles_all, hello,
    joined, settings, upstream_to, user_event,
};

/// Headers that HTTP itself asks for.
const OF_HTTP: [&str; 1] = ["host"];

async fn handler() -> TestHandler {
    TestHandler::answering(200, &[], "").await
}

#[tokio::test]
async fn a_user_event_has_the_headers_of_the_specification_and_no_others() {
    let handler = handler().await;
    let mut settings = settings(handles_all(&handler.url("/events")));
    settings.access_keys = vec![Secret::new("k".repeat(40))];
    let upstream = Upstream::new(settings);
    upstream.ask(hello(), Ask::Event).await.unwrap();

    let request = handler.request();
    assert_eq!(request.method, "POST");
    assert_eq!(request.uri, "/events");
    assert_eq!(request.body, "hi");
    let mut headers: Vec<String> = request
        .headers
        .iter()
        .filter(|(name, _)| !OF_HTTP.contains(&name.as_str()))
        .filter(|(name, _)| !["ce-signature", "x-ms-client-request-id"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    headers.sort();
    assert_eq!(
        headers,
        [
            "ce-awpsversion: 1.0",
            "ce-connectionid: connection-1",
            "ce-eventname: hello",
            "ce-hub: chat",
            "ce-id: 7",
            "ce-source: /hubs/chat/client/connection-1",
            "ce-specversion: 1.0",
            "ce-subprotocol: json.webpubsub.azure.v1",
            "ce-time: 2024-02-29T12:34:56Z",
            "ce-type: azure.webpubsub.user.hello",
            "ce-userid: alice",
            "content-length: 2",
            "content-type: text/plain; charset=utf-8",
            "webhook-request-origin: pubsub.example.com",
        ]
    );
}

#[tokio::test]
async fn every_request_has_an_id_of_its_own() {
    let handler = handler().await;
    let upstream = upstream_to(&handler);
    for _ in 0..2 {
        upstream.ask(hello(), Ask::Event).await.unwrap();
    }
    let ids: Vec<String> = handler
        .requests()
        .iter()
        .map(|request| request.header("x-ms-client-request-id").to_owned())
        .collect();
    assert_ne!(ids[0], ids[1]);
    assert!(ids.iter().all(|id| id.len() == 36), "{ids:?}");
}

/// Test list 9.
#[tokio::test]
async fn events_are_signed_with_the_primary_and_then_the_secondary_key() {
    let handler = handler().await;
    let mut settings = settings(handles_all(&handler.url("/events")));
    let upstream = Upstream::new(settings.clone());
    upstream.ask(hello(), Ask::Event).await.unwrap();
    for keys in [vec!["first"], vec!["second"], vec!["first", "second"]] {
        settings.access_keys = keys.into_iter().map(Secret::new).collect();
        upstream.replace(settings.clone());
        upstream.ask(hello(), Ask::Event).await.unwrap();
    }
    let requests = handler.requests();
    let signatures: Vec<&str> = requests
        .iter()
        .map(|request| request.header("ce-signature"))
        .collect();
    let [none, first, second, both] = signatures.try_into().unwrap();
    assert_eq!(none, "");
    assert!(first.starts_with("sha256="), "{first}");
    assert_eq!(both, format!("{first},{second}"));
}

/// Test list 10.
#[tokio::test]
async fn a_user_id_is_raw_utf_8() {
    let handler = handler().await;
    let event = Event {
        user: Some(UserId::new("jürgen-ユーザー").unwrap()),
        ..hello()
    };
    upstream_to(&handler).ask(event, Ask::Event).await.unwrap();
    let header = handler.request().headers["ce-userid"].clone();
    assert_eq!(header.as_bytes(), "jürgen-ユーザー".as_bytes());
}

#[tokio::test]
async fn other_headers_with_non_ascii_fail_the_request_before_it_is_sent() {
    let handler = handler().await;
    let event = Event {
        subprotocol: Some("prötocol".into()),
        ..hello()
    };
    upstream_to(&handler)
        .ask(event, Ask::Event)
        .await
        .unwrap_err();
    assert!(handler.requests().is_empty());
}

#[tokio::test]
async fn an_anonymous_connection_without_subprotocol_has_neither_header() {
    let handler = handler().await;
    let event = Event {
        user: None,
        subprotocol: Some("".into()),
        ..hello()
    };
    upstream_to(&handler).ask(event, Ask::Event).await.unwrap();
    let request = handler.request();
    assert!(!request.headers.contains_key("ce-userid"));
    assert!(!request.headers.contains_key("ce-subprotocol"));
}

#[tokio::test]
async fn content_types_follow_the_data() {
    let handler = handler().await;
    let upstream = upstream_to(&handler);
    let types = [
        (DataType::Text, "text/plain; charset=utf-8"),
        (DataType::Json, "application/json"),
        (DataType::Binary, "application/octet-stream"),
        (DataType::Protobuf, "application/x-protobuf"),
    ];
    for (data_type, expected) in types {
        upstream
            .ask(user_event("e", data_type, "1"), Ask::Event)
            .await
            .unwrap();
        let request = handler.requests().pop().unwrap();
        assert_eq!(request.header("content-type"), expected);
        assert_eq!(request.body, "1");
    }
}

#[tokio::test]
async fn metadata_becomes_headers_of_which_the_last_of_a_name_counts() {
    let handler = handler().await;
    let mut metadata = Metadata::default();
    for (key, value) in [("Room", "a"), ("room", "b"), ("Other", "c")] {
        metadata.insert(key.to_owned(), value.to_owned()).unwrap();
    }
    let event = event(EventKind::User {
        name: EventName::new("e").unwrap(),
        content: Content {
            metadata,
            ..content(DataType::Text, "")
        },
    });
    upstream_to(&handler).ask(event, Ask::Event).await.unwrap();
    let request = handler.request();
    assert_eq!(request.header("x-webpubsub-metadata-room"), "b");
    assert_eq!(request.header("x-webpubsub-metadata-other"), "c");
    assert_eq!(request.header("content-length"), "0");
}

#[tokio::test]
async fn connect_has_its_body_and_no_subprotocol() {
    let handler = handler().await;
    let lists = |name: &str, values: &[&str]| {
        (
            name.to_owned(),
            values.iter().map(|&value| value.to_owned()).collect(),
        )
    };
    let request = ConnectRequest {
        claims: vec![lists("sub", &["alice"]), lists("custom", &["v1", "v2"])],
        query: vec![lists("k", &["v"])],
        headers: vec![lists("User-Agent", &["test"])],
        subprotocols: vec!["json.webpubsub.azure.v1".to_owned()],
        client_certificates: vec![ClientCertificate {
            thumbprint: "AB".to_owned(),
            content: "PEM".to_owned(),
        }],
    };
    let event = Event {
        subprotocol: Some("json.webpubsub.azure.v1".into()),
        ..connect_with(request)
    };
    upstream_to(&handler).connect(event).await.unwrap();
    let request = handler.request();
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("ce-type"), "azure.webpubsub.sys.connect");
    assert_eq!(request.header("ce-eventname"), "connect");
    assert_eq!(request.header("ce-id"), "0");
    assert!(!request.headers.contains_key("ce-subprotocol"));
    let expected = concat!(
        r#"{"claims":{"sub":["alice"],"custom":["v1","v2"]},"query":{"k":["v"]},"#,
        r#""headers":{"User-Agent":["test"]},"subprotocols":["json.webpubsub.azure.v1"],"#,
        r#""clientCertificates":[{"thumbprint":"AB","content":"PEM"}]}"#
    );
    assert_eq!(request.body, expected);
}

#[tokio::test]
async fn a_client_s_token_is_never_forwarded() {
    let handler = handler().await;
    let secret = |name: &str| (name.to_owned(), vec!["client-token".to_owned()]);
    let request = ConnectRequest {
        query: vec![secret("access_token"), secret("Access_Token")],
        headers: vec![secret("Authorization"), secret("authorization")],
        ..ConnectRequest::default()
    };
    upstream_to(&handler)
        .connect(connect_with(request))
        .await
        .unwrap();
    let request = handler.request();
    assert!(!String::from_utf8_lossy(&request.body).contains("client-token"));
    assert!(!request.headers.contains_key("authorization"));
}

#[tokio::test]
async fn notifications_have_their_bodies() {
    let handler = handler().await;
    let upstream = crate::notifications::with_presence(&handler);
    let expected = [
        (event(EventKind::Connected), "sys.connected", "{}"),
        (
            disconnected("gone"),
            "sys.disconnected",
            r#"{"reason":"gone"}"#,
        ),
        (disconnected(""), "sys.disconnected", r#"{"reason":null}"#),
        (joined("room1"), "gp.joined", r#"{"group":"room1"}"#),
        (
            crate::support::left("room1"),
            "gp.left",
            r#"{"group":"room1"}"#,
        ),
    ];
    for (event, kind, body) in expected {
        upstream.notify(event);
        drain(&upstream).await;
        let request = handler.requests().pop().unwrap();
        assert_eq!(request.header("ce-type"), format!("azure.webpubsub.{kind}"));
        assert_eq!(request.header("content-type"), "application/json");
        assert_eq!(request.body, body);
    }
}

#[tokio::test]
async fn several_origins_are_sent_in_one_header() {
    let handler = handler().await;
    let mut settings = settings(handles_all(&handler.url("/events")));
    settings.request_origins = vec!["a.example.com".to_owned(), "b.example.com".to_owned()];
    Upstream::new(settings).connect(connect()).await.unwrap();
    let request = handler.request();
    assert_eq!(
        request.header("webhook-request-origin"),
        "a.example.com, b.example.com"
    );
}

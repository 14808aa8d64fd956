use super::*;

/// The headers of an event, in the shape that the specification gives them.
fn headers(kind: &str, name: &str, more: &[(&str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let source = "/hubs/chat/client/connection-1";
    let common: [(&str, &[u8]); 11] = [
        ("Content-Type", b"application/json; charset=utf-8"),
        ("WebHook-Request-Origin", b"pubsub.example.com"),
        ("ce-specversion", b"1.0"),
        ("ce-awpsversion", b"1.0"),
        ("ce-type", kind.as_bytes()),
        ("ce-source", source.as_bytes()),
        ("ce-id", b"7"),
        ("ce-time", b"2026-01-31T12:00:00Z"),
        ("ce-connectionId", b"connection-1"),
        ("ce-hub", b"chat"),
        ("ce-eventName", name.as_bytes()),
    ];
    for (name, value) in common.iter().chain(more) {
        let name: http::HeaderName = name.parse().expect("a header name");
        let value = HeaderValue::from_bytes(value).expect("a header value");
        headers.insert(name, value);
    }
    headers
}

fn read(headers: &HeaderMap, body: &'static str) -> Event {
    Event::read(headers, Bytes::from_static(body.as_bytes()))
        .expect("the request is an event")
        .expect("the kind of the event is known")
}

const CONNECT: &str = "azure.webpubsub.sys.connect";
const HELLO: &str = "azure.webpubsub.user.hello";

#[test]
fn connect_has_what_the_clients_handshake_says_in_its_order() {
    let headers = headers(CONNECT, "connect", &[("ce-userId", "Zoë 🦀".as_bytes())]);
    let Event::Connect(event) = read(
        &headers,
        r#"{
          "claims": { "sub": ["alice"], "role": ["webpubsub.sendToGroup"], "custom": ["v1", "v2"] },
          "query": { "z": ["1"], "a": [] },
          "headers": { "User-Agent": ["teapot"], "Cookie": ["a=b", "c=d"] },
          "subprotocols": ["json.webpubsub.azure.v1", "my.own"],
          "clientCertificates": [{ "thumbprint": "ABCD", "content": "-----BEGIN CERTIFICATE-----\r\n" }],
          "another": { "of": "a newer service" }
        }"#,
    ) else {
        panic!("the event is `connect`");
    };
    assert_eq!(event.claim("sub"), Some("alice"));
    assert_eq!(event.claim("Sub"), None);
    assert_eq!(event.query("z"), Some("1"));
    assert_eq!(event.query("a"), None);
    assert_eq!(event.header("cookie"), Some("a=b"));
    let names: Vec<&str> = event
        .request
        .claims
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["sub", "role", "custom"]);
    assert_eq!(event.request.claims[2].1, ["v1", "v2"]);
    assert_eq!(
        event.request.subprotocols,
        ["json.webpubsub.azure.v1", "my.own"]
    );
    let certificate = ClientCertificate {
        thumbprint: "ABCD".to_owned(),
        content: "-----BEGIN CERTIFICATE-----\r\n".to_owned(),
    };
    assert_eq!(event.request.client_certificates, [certificate]);
    assert_eq!(event.mqtt, None);
    let context = event.context;
    assert_eq!(context.hub, "chat");
    assert_eq!(context.connection_id, "connection-1");
    assert_eq!(context.user_id.as_deref(), Some("Zoë 🦀"));
    assert_eq!(context.subprotocol, None);
    assert_eq!(context.event_name, "connect");
    assert_eq!(
        (&*context.id, &*context.time),
        ("7", "2026-01-31T12:00:00Z")
    );
    assert!(context.state.is_empty());
}

#[test]
fn connect_may_leave_out_whatever_it_has_nothing_of() {
    let headers = headers(CONNECT, "connect", &[]);
    for body in [
        "",
        "{}",
        r#"{"claims":null,"query":{"k":null},"headers":null,"subprotocols":null,"clientCertificates":null,"mqtt":null}"#,
    ] {
        let Event::Connect(event) = read(&headers, body) else {
            panic!("the event is `connect`");
        };
        assert_eq!(event.query("k"), None);
        assert!(event.request.claims.is_empty() && event.request.client_certificates.is_empty());
    }
}

#[test]
fn connect_of_an_mqtt_client_has_the_fields_of_its_packet() {
    let headers = headers(
        CONNECT,
        "connect",
        &[
            ("ce-subprotocol", b"mqtt"),
            ("ce-physicalConnectionId", b"p"),
        ],
    );
    let Event::Connect(event) = read(
        &headers,
        r#"{"claims":{},"query":{},"headers":{},"subprotocols":["mqtt"],"clientCertificates":[],"mqtt":{"protocolVersion":5,
           "username":"alice","password":"c2VjcmV0","userProperties":[{"name":"a","value":"1"},{"name":"a","value":"2"}]}}"#,
    ) else {
        panic!("the event is `connect`");
    };
    let mqtt = event.mqtt.expect("the client speaks MQTT");
    assert_eq!(mqtt.protocol_version, 5);
    assert_eq!(mqtt.username.as_deref(), Some("alice"));
    assert_eq!(mqtt.password.as_deref(), Some(&b"secret"[..]));
    let properties =
        [("a", "1"), ("a", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(mqtt.user_properties, properties);
    assert_eq!(event.context.subprotocol.as_deref(), Some("mqtt"));
    assert!(!format!("{mqtt:?}").contains("secret"));
}

#[test]
fn a_user_event_has_its_data_with_the_type_of_the_content_type() {
    for (content_type, data_type) in [
        ("text/plain; charset=utf-8", DataType::Text),
        ("Application/JSON", DataType::Json),
        ("application/octet-stream", DataType::Binary),
        ("application/x-protobuf", DataType::Protobuf),
        ("image/png", DataType::Binary),
        ("nonsense", DataType::Binary),
    ] {
        let headers = headers(HELLO, "hello", &[("Content-Type", content_type.as_bytes())]);
        let Event::User(event) = read(&headers, "[1]") else {
            panic!("the event is a user event");
        };
        assert_eq!(event.payload.data_type, data_type, "{content_type}");
        assert_eq!(event.payload.data, "[1]");
        assert_eq!(event.context.event_name, "hello");
    }
}

#[test]
fn a_user_event_has_metadata_and_state() {
    let headers = headers(
        HELLO,
        "hello",
        &[
            ("ce-subprotocol", b"json.webpubsub.azure.v1"),
            ("X-WebPubSub-Metadata-Mood", b"good, very"),
            ("ce-connectionState", b"eyJuIjoxfQ=="),
        ],
    );
    let Event::User(event) = read(&headers, "") else {
        panic!("the event is a user event");
    };
    assert_eq!(event.payload.data, "");
    let metadata: Vec<_> = event.metadata.iter().collect();
    assert_eq!(metadata, [("mood", "good, very")]);
    let state: Option<serde_json::Value> = event.context.state.value().expect("a state");
    assert_eq!(state, Some(serde_json::json!({ "n": 1 })));
    assert_eq!(
        event.context.subprotocol.as_deref(),
        Some("json.webpubsub.azure.v1")
    );
}

#[test]
fn a_state_that_is_none_of_ours_is_an_error_where_it_is_read_only() {
    for (state, is_an_error) in [
        (&b""[..], false),
        (b"%%", true),
        (b"e30", true),
        (b"eA==", true),
    ] {
        let headers = headers(HELLO, "hello", &[("ce-connectionState", state)]);
        let Event::User(event) = read(&headers, "x") else {
            panic!("the event is a user event");
        };
        let value = event.context.state.value::<serde_json::Value>();
        assert_eq!(value.is_err(), is_an_error, "{value:?}");
    }
}

#[test]
fn told_events_have_their_reason_and_group() {
    let read = |kind: &str, body| {
        let name = kind.rsplit('.').next().expect("a name");
        read(
            &headers(&format!("azure.webpubsub.{kind}"), name, &[]),
            body,
        )
    };
    assert!(matches!(read("sys.connected", "{}"), Event::Connected(_)));
    for (body, expected) in [
        (r#"{"reason":"Idle"}"#, Some("Idle")),
        (r#"{"reason":null}"#, None),
        (r#"{"reason":""}"#, None),
        ("{}", None),
        ("", None),
    ] {
        let Event::Disconnected(event) = read("sys.disconnected", body) else {
            panic!("the event is `disconnected`");
        };
        assert_eq!(event.reason.as_deref(), expected);
    }
    let Event::Joined(event) = read("gp.joined", r#"{"group":"a/b"}"#) else {
        panic!("the event is `joined`");
    };
    assert_eq!(event.group, "a/b");
    assert!(matches!(
        read("gp.left", r#"{"group":"g"}"#),
        Event::Left(_)
    ));
}

#[test]
fn an_event_of_an_unknown_kind_is_none() {
    for kind in ["azure.webpubsub.sys.new", "azure.webpubsub.user", "other"] {
        let event = Event::read(&headers(kind, "new", &[]), Bytes::new());
        assert!(matches!(event, Ok(None)), "{kind}");
    }
}

#[test]
fn the_letter_case_of_a_kind_does_not_matter() {
    let headers = headers("Azure.WebPubSub.Sys.Connected", "connected", &[]);
    assert!(matches!(read(&headers, "{}"), Event::Connected(_)));
}

#[test]
fn a_request_that_is_no_event_says_what_is_wrong_with_it() {
    let error = |headers: &HeaderMap, body: &'static str| {
        Event::read(headers, Bytes::from_static(body.as_bytes())).expect_err("no event")
    };
    for name in ["ce-type", "ce-hub", "ce-connectionid", "ce-eventname"] {
        let mut headers = headers(HELLO, "hello", &[]);
        headers.remove(name);
        assert_eq!(error(&headers, ""), RequestError::Missing(name));
    }
    let not_utf8 = headers(HELLO, "hello", &[("ce-userId", &[0xFF])]);
    assert_eq!(error(&not_utf8, ""), RequestError::NotUtf8("ce-userid"));
    let metadata = headers(HELLO, "hello", &[("x-webpubsub-metadata-a", &[0xFF])]);
    assert_eq!(error(&metadata, ""), RequestError::Metadata);
    let connect = headers(CONNECT, "connect", &[]);
    for body in [
        "{",
        "[]",
        "1",
        r#"{"claims":{"sub":"alice"}}"#,
        r#"{"mqtt":{"protocolVersion":5,"password":"%"}}"#,
    ] {
        assert_eq!(
            error(&connect, body),
            RequestError::Body("ce-type"),
            "{body}"
        );
    }
    let joined = headers("azure.webpubsub.gp.joined", "joined", &[]);
    assert_eq!(error(&joined, "{}"), RequestError::Body("ce-type"));
}

use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;

use super::*;

/// Returns the headers and the body of an answer, which is in memory.
fn parts(response: Response<Full<Bytes>>) -> (HeaderMap, Bytes) {
    assert_eq!(response.status(), StatusCode::OK);
    let (head, body) = response.into_parts();
    let mut body = std::pin::pin!(body.collect());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match body.as_mut().poll(&mut context) {
        std::task::Poll::Ready(Ok(body)) => (head.headers, body.to_bytes()),
        other => panic!("a body in memory is there at once: {other:?}"),
    }
}

fn connect(response: ConnectResponse) -> (HeaderMap, String) {
    let (headers, body) = parts(response.into_response().expect("it can be sent"));
    (headers, String::from_utf8(body.to_vec()).expect("text"))
}

fn user(response: UserEventResponse) -> (HeaderMap, Bytes) {
    parts(response.into_response().expect("it can be sent"))
}

#[test]
fn a_connect_response_holds_what_was_given_and_no_more() {
    let (headers, body) = connect(ConnectResponse::new());
    assert!(headers.is_empty() && body.is_empty());
    let (headers, body) = connect(ConnectResponse::new().user_id(""));
    assert_eq!(headers[CONTENT_TYPE], "application/json");
    assert_eq!(body, r#"{"userId":""}"#);
    let response = ConnectResponse::new()
        .user_id("alice")
        .groups(["a", "b"])
        .roles([""; 0])
        .subprotocol("my.own");
    let (_, body) = connect(response);
    assert_eq!(
        body,
        r#"{"userId":"alice","groups":["a","b"],"roles":[],"subprotocol":"my.own"}"#
    );
}

#[test]
fn a_state_is_a_header_and_an_empty_one_clears() {
    let state = ConnectionState::new(&serde_json::json!({ "n": 1 })).expect("a state");
    let (headers, body) = connect(ConnectResponse::new().state(state.clone()));
    assert_eq!(headers[STATE], "eyJuIjoxfQ==");
    assert!(body.is_empty());
    let (headers, _) = user(UserEventResponse::empty().state(state));
    assert_eq!(headers[STATE], "eyJuIjoxfQ==");
    let (headers, _) = user(UserEventResponse::empty().state(ConnectionState::empty()));
    assert_eq!(headers[STATE], "");
    assert!(!user(UserEventResponse::empty()).0.contains_key(STATE));
}

#[test]
fn a_state_has_a_longest_length() {
    use crate::state::{STATE_MAX, StateError};
    // 6142 characters and two quotes are 6144 bytes, which are 8192 in base64.
    let longest = "x".repeat(6142);
    assert!(ConnectionState::new(&longest).is_ok());
    let error = ConnectionState::new(&format!("{longest}x")).expect_err("too long");
    assert!(matches!(error, StateError::TooLong(len) if len > STATE_MAX));
}

#[test]
fn a_user_event_is_answered_with_the_content_type_of_the_data() {
    let any = [0x0a, 1, b'x'].to_vec();
    let json = UserEventResponse::json(&[1, 2]).expect("JSON");
    for (response, content_type, body) in [
        (
            UserEventResponse::text("é"),
            "text/plain; charset=utf-8",
            "é".into(),
        ),
        (json, "application/json", "[1,2]".into()),
        (
            UserEventResponse::binary(vec![0, 255]),
            "application/octet-stream",
            vec![0, 255],
        ),
        (
            UserEventResponse::protobuf(any.clone()),
            "application/x-protobuf",
            any,
        ),
    ] {
        let (headers, sent) = user(response);
        assert_eq!(headers[CONTENT_TYPE], content_type);
        assert_eq!(sent, body);
    }
    let (headers, body) = user(UserEventResponse::empty());
    assert!(headers.is_empty() && body.is_empty());
}

#[test]
fn metadata_becomes_headers_in_lower_case() {
    let response = UserEventResponse::text("x")
        .metadata("Mood", "good")
        .metadata("a", "");
    let (headers, _) = user(response);
    assert_eq!(headers["x-webpubsub-metadata-mood"], "good");
    assert_eq!(headers["x-webpubsub-metadata-a"], "");
}

#[test]
fn what_the_service_would_not_take_is_not_sent() {
    let new = ConnectResponse::new;
    let long = "x".repeat(1025);
    for (response, error) in [
        (new().user_id(" "), ResponseError::UserId),
        (new().user_id(&*long), ResponseError::UserId),
        (
            new().groups([&*long]),
            ResponseError::Group(NameError::Group),
        ),
        (new().groups([" "]), ResponseError::Group(NameError::Group)),
        (new().roles(["ok", ""]), ResponseError::Role),
        (new().subprotocol(""), ResponseError::Subprotocol),
        (new().subprotocol("a b"), ResponseError::Subprotocol),
    ] {
        assert_eq!(response.into_response().expect_err("wrong"), error);
    }
    let text = || UserEventResponse::text("x");
    let deep = (0..65).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
    for (response, error) in [
        (UserEventResponse::protobuf("no"), ResponseError::Protobuf),
        (
            UserEventResponse::json(&deep).expect("JSON"),
            ResponseError::Json,
        ),
        (text().metadata("k", "a, b"), ResponseError::MetadataValue),
        (text().metadata("k", "a "), ResponseError::MetadataValue),
    ] {
        assert_eq!(response.into_response().expect_err("wrong"), error);
    }
    for response in [
        text().metadata("", "v"),
        text().metadata("k k", "v"),
        text().metadata("k", "é"),
        text().metadata("k", "v").metadata("K", "w"),
        text().metadata("k".repeat(257), "v"),
        text().metadata("k", "v".repeat(1025)),
    ] {
        let error = response.into_response().expect_err("wrong");
        assert!(matches!(error, ResponseError::Metadata(_)), "{error}");
    }
}

//! Requests as services send them, given to the tower service without a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hubwire_event_handler::{
    BODY_MAX_DEFAULT, BuildError, Builder, EventHandler, EventHandlerService, Rejection, UserEvent,
    UserEventResponse,
};
use tower_service::Service;

// RFC 4231, 4.3.
const KEY: &str = "Jefe";
const ID: &str = "what do ya want for nothing?";
const SIGNATURE: &str = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

/// Counts what it gets.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicUsize>);

impl EventHandler for Counter {
    async fn on_user_event(&self, event: UserEvent) -> Result<UserEventResponse, Rejection> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(UserEventResponse::text(event.text()?))
    }
}

fn builder() -> Builder<Counter> {
    EventHandlerService::builder(Counter::default())
        .allowed_endpoint("https://pubsub.example.com")
        .access_key(KEY)
}

fn service() -> EventHandlerService<Counter> {
    builder().build().unwrap()
}

/// A user event that is right in every way.
fn event(body: &'static str) -> Request<Full<Bytes>> {
    Request::post("/eventhandler")
        .header("Content-Type", "text/plain; charset=utf-8")
        .header("WebHook-Request-Origin", "pubsub.example.com")
        .header("ce-specversion", "1.0")
        .header("ce-awpsversion", "1.0")
        .header("ce-type", "azure.webpubsub.user.message")
        .header("ce-source", "/hubs/chat/client/x")
        .header("ce-id", "1")
        .header("ce-time", "2026-01-31T12:00:00Z")
        .header("ce-signature", SIGNATURE)
        .header("ce-connectionId", ID)
        .header("ce-hub", "chat")
        .header("ce-eventName", "message")
        .body(Full::from(body))
        .unwrap()
}

fn handshake(method: Method, origin: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri("/eventhandler")
        .header("WebHook-Request-Origin", origin)
        .header("ce-awpsversion", "1.0")
        .body(Full::default())
        .unwrap()
}

async fn ask(
    service: &EventHandlerService<Counter>,
    request: Request<Full<Bytes>>,
) -> (http::response::Parts, String) {
    text(service.clone().call(request).await.unwrap()).await
}

async fn text(response: Response<Full<Bytes>>) -> (http::response::Parts, String) {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head, String::from_utf8(body.to_vec()).unwrap())
}

fn count(service: &EventHandlerService<Counter>) -> usize {
    service.handler().0.load(Ordering::SeqCst)
}

#[tokio::test]
async fn an_event_that_is_right_is_answered_by_the_handler() {
    let service = service();
    let (head, body) = ask(&service, event("hello")).await;
    assert_eq!((head.status, &*body), (StatusCode::OK, "hello"));
    assert_eq!(head.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(count(&service), 1);
}

#[tokio::test]
async fn the_handshake_agrees_with_allowed_services_only() {
    let service = builder()
        .allowed_endpoint("http://localhost:8080")
        .build()
        .unwrap();
    for method in [Method::OPTIONS, Method::GET] {
        for origin in ["pubsub.example.com", "LOCALHOST", "localhost:8080"] {
            let (head, _) = ask(&service, handshake(method.clone(), origin)).await;
            assert_eq!(head.status, StatusCode::OK);
            assert_eq!(head.headers["WebHook-Allowed-Origin"], origin);
        }
        for origin in ["evil.example.com", "*", ""] {
            let (head, _) = ask(&service, handshake(method.clone(), origin)).await;
            assert_eq!(head.status, StatusCode::FORBIDDEN);
            assert!(!head.headers.contains_key("WebHook-Allowed-Origin"));
        }
        let mut request = handshake(method, "pubsub.example.com");
        request.headers_mut().clear();
        let (head, _) = ask(&service, request).await;
        assert_eq!(head.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn the_handshake_names_each_of_several_origins_that_is_allowed() {
    let service = builder()
        .allowed_endpoint("https://b.example.com")
        .build()
        .unwrap();
    let origins = "a.example.com, b.example.com, pubsub.example.com";
    let (head, _) = ask(&service, handshake(Method::OPTIONS, origins)).await;
    let allowed: Vec<_> = head
        .headers
        .get_all("WebHook-Allowed-Origin")
        .iter()
        .collect();
    assert_eq!(allowed, ["b.example.com", "pubsub.example.com"]);
    let any = builder().allowed_endpoint("*").build().unwrap();
    let (head, _) = ask(&any, handshake(Method::OPTIONS, "a.example.com")).await;
    assert_eq!(head.headers["WebHook-Allowed-Origin"], "*");
}

#[tokio::test]
async fn an_event_of_another_service_or_signature_does_not_reach_the_handler() {
    let service = service();
    let other = SIGNATURE.replace("5bdc", "5bdd");
    for (name, value, status) in [
        ("webhook-request-origin", None, StatusCode::BAD_REQUEST),
        (
            "webhook-request-origin",
            Some("evil.example.com"),
            StatusCode::FORBIDDEN,
        ),
        ("ce-signature", None, StatusCode::UNAUTHORIZED),
        ("ce-signature", Some(""), StatusCode::UNAUTHORIZED),
        ("ce-signature", Some(&*other), StatusCode::UNAUTHORIZED),
        ("ce-connectionid", Some("another"), StatusCode::UNAUTHORIZED),
        ("ce-connectionid", None, StatusCode::UNAUTHORIZED),
        ("ce-type", None, StatusCode::BAD_REQUEST),
        ("ce-hub", None, StatusCode::BAD_REQUEST),
        ("ce-eventname", None, StatusCode::BAD_REQUEST),
    ] {
        let mut request = event("hello");
        match value {
            Some(value) => {
                let value = value.parse().unwrap();
                request.headers_mut().insert(name, value);
            }
            None => {
                request.headers_mut().remove(name);
            }
        }
        let (head, body) = ask(&service, request).await;
        assert_eq!(head.status, status, "{name}: {value:?}");
        assert!(!body.is_empty() && !body.contains(KEY) && !body.contains(SIGNATURE));
    }
    assert_eq!(count(&service), 0);
}

#[tokio::test]
async fn an_event_of_an_unknown_kind_is_accepted_and_ignored() {
    let service = service();
    let mut request = event("hello");
    let kind = "azure.webpubsub.sys.new".parse().unwrap();
    request.headers_mut().insert("ce-type", kind);
    let (head, body) = ask(&service, request).await;
    assert_eq!((head.status, &*body), (StatusCode::OK, ""));
    assert_eq!(count(&service), 0);
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    for method in [Method::PUT, Method::DELETE, Method::HEAD] {
        let mut request = event("hello");
        *request.method_mut() = method;
        let (head, _) = ask(&service(), request).await;
        assert_eq!(head.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(head.headers["allow"], "GET, OPTIONS, POST");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_it_says_its_length_or_not() {
    let service = builder().body_max(5).build().unwrap();
    assert_eq!(ask(&service, event("12345")).await.0.status, StatusCode::OK);
    let (head, _) = ask(&service, event("123456")).await;
    assert_eq!(head.status, StatusCode::PAYLOAD_TOO_LARGE);

    let chunk =
        |text: &'static str| Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from(text)));
    let (head, _) = event("").into_parts();
    let chunks = futures_util::stream::iter([chunk("123"), chunk("456")]);
    let request = Request::from_parts(head.clone(), StreamBody::new(chunks));
    let response = service.clone().call(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(count(&service), 1);

    let broken = futures_util::stream::iter([chunk("1"), Err(std::io::Error::other("cut"))]);
    let request = Request::from_parts(head, StreamBody::new(broken));
    let response = service.clone().call(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(BODY_MAX_DEFAULT, 1024 * 1024);
}

#[tokio::test]
async fn data_that_is_no_text_is_the_clients_fault() {
    let mut request = event("");
    *request.body_mut() = Full::from(&[0xFF][..]);
    let (head, _) = ask(&service(), request).await;
    assert_eq!(head.status, StatusCode::BAD_REQUEST);
}

#[test]
fn settings_that_make_no_handler_say_what_is_missing() {
    let new = || EventHandlerService::builder(Counter::default());
    for (builder, text) in [
        (new().access_key(KEY), "no endpoint is allowed"),
        (new().allowed_endpoint("*"), "no access key"),
        (new().allowed_endpoint("*").access_key(""), "is empty"),
        (
            builder().allowed_endpoint("pubsub.example.com"),
            "`pubsub.example.com`",
        ),
        (builder().connection_string("nonsense"), "part 1"),
        (
            new().connection_string("Endpoint=https://a;AuthType=azure;Version=1.0;"),
            "no access key",
        ),
    ] {
        let error: BuildError = builder.build().unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn no_key_is_shown() {
    let service = service();
    let shown = format!("{:?} {service:?}", builder());
    assert!(
        !shown.contains(KEY) && !shown.contains("[74, 101"),
        "{shown}"
    );
}

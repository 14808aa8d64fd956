//! Pages that call REST: rest-api 7.2.

use crate::support::Service;

const SEND: &str = "/api/hubs/chat/:send";
const PREFLIGHT: &str = "Origin: https://app.example.com\r\nAccess-Control-Request-Method: POST\r\n\
                         Access-Control-Request-Headers: authorization, content-type\r\n";

#[tokio::test]
async fn without_allowed_origins_a_preflight_is_refused_and_no_answer_has_cors_headers() {
    let service = Service::start().await;
    let answer = service.request("OPTIONS", SEND, PREFLIGHT, b"").await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn a_preflight_of_an_allowed_origin_is_answered_without_a_token() {
    let service = with_origin().await;
    let answer = service.request("OPTIONS", SEND, PREFLIGHT, b"").await;
    assert_eq!(answer.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example.com"),
        (
            "access-control-allow-methods",
            "GET, HEAD, POST, PUT, DELETE",
        ),
        (
            "access-control-allow-headers",
            "authorization, content-type",
        ),
        ("access-control-max-age", "600"),
        ("vary", "Origin"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_sees_answers_errors_included() {
    let service = with_origin().await;
    let head = "Origin: https://app.example.com\r\n";
    let answer = service.request("POST", SEND, head, b"").await;
    assert_eq!(answer.status, 401);
    let origin = answer.header("access-control-allow-origin");
    assert_eq!(origin, Some("https://app.example.com"));
    let exposed = answer.header("access-control-expose-headers").unwrap();
    assert!(exposed.contains("x-ms-error-code"), "{exposed}");
}

#[tokio::test]
async fn other_origins_get_no_cors_headers() {
    let service = with_origin().await;
    let preflight = PREFLIGHT.replace("app.", "evil.");
    let answer = service.request("OPTIONS", SEND, &preflight, b"").await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

async fn with_origin() -> Service {
    Service::start_with(|config| {
        config.rest.cors_allowed_origins = vec!["https://app.example.com".to_owned()];
    })
    .await
}

//! What is logged, when, and what never is.

use azure_core::http::headers::Headers;
use hubwire_service_client::models::*;
use hubwire_service_client::{
    LoggingOptions, Message, RetryOptions, WebPubSubServiceClientOptions,
};
use tracing::Level;

use crate::support::{Answer, Fake, Log, key_client};

const SUMMARY: &str = "hubwire_service_client::http";
const TRACE: &str = "hubwire_service_client::http::trace";

fn enabled() -> WebPubSubServiceClientOptions {
    WebPubSubServiceClientOptions {
        logging: LoggingOptions {
            enabled: true,
            ..LoggingOptions::default()
        },
        ..WebPubSubServiceClientOptions::default()
    }
}

fn logged(logging: bool) -> Option<SendToAllOptions> {
    let mut headers = Headers::new();
    headers.insert("x-own", "my own value");
    headers.insert("api-key", "very secret");
    Some(SendToAllOptions {
        filter: Some("userId eq 'alice'".to_owned()),
        request: RequestOptions {
            logging: Some(logging),
            headers,
            ..RequestOptions::default()
        },
        ..SendToAllOptions::default()
    })
}

fn answer() -> Answer {
    Answer::status(202)
        .header("x-ms-request-id", "r1")
        .header("x-other", "an answer")
        .body("the body of the answer")
}

#[tokio::test]
async fn the_summary_shows_harmless_values_only() {
    let fake = Fake::start([answer()]).await;
    let (log, _guard) = Log::begin(Level::INFO);
    let service = fake.client();
    let sent = service.send_to_all(Message::text("hi"), logged(true));
    sent.await.unwrap();
    let lines = log.of(SUMMARY);
    assert_eq!(lines.len(), 2, "{}", log.text());
    for part in [
        "POST",
        "/api/hubs/chat/:send?api-version=2024-12-01&filter=REDACTED",
        "text/plain",
    ] {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }
    for part in ["status=202", "elapsed_ms=", "r1"] {
        assert!(lines[1].contains(part), "{part}: {}", lines[1]);
    }
    for hidden in [
        "alice",
        "my own value",
        "very secret",
        "an answer",
        "Bearer",
        "eyJ",
    ] {
        assert!(!log.text().contains(hidden), "{hidden}: {}", log.text());
    }
    assert!(log.of(TRACE).is_empty());
}

#[tokio::test]
async fn further_values_can_be_shown_but_no_secrets() {
    let fake = Fake::start([answer()]).await;
    let service = fake.client_with(WebPubSubServiceClientOptions {
        logging: LoggingOptions {
            enabled: false,
            allowed_headers: ["X-Own", "authorization", "api-key"]
                .map(str::to_owned)
                .into(),
            allowed_query: vec!["filter".to_owned()],
        },
        ..WebPubSubServiceClientOptions::default()
    });
    let (log, _guard) = Log::begin(Level::INFO);
    let sent = service.send_to_all(Message::text("hi"), logged(false));
    sent.await.unwrap();
    assert!(log.text().contains("my own value") && log.text().contains("alice"));
    assert!(!log.text().contains("eyJ") && !log.text().contains("very secret"));
}

#[tokio::test]
async fn the_trace_is_a_matter_of_client_and_call() {
    let fake = Fake::start([answer()]).await;
    let quiet = fake.client();
    let loud = fake.client_with(enabled());
    let (log, _guard) = Log::begin(Level::DEBUG);
    let text = || Message::text("the message");
    quiet.send_to_all(text(), None).await.unwrap();
    loud.send_to_all(text(), logged(false)).await.unwrap();
    assert!(log.of(TRACE).is_empty(), "{}", log.text());
    assert_eq!(log.of(SUMMARY).len(), 4);
    quiet.send_to_all(text(), logged(true)).await.unwrap();
    assert_eq!(log.of(TRACE).len(), 2);
    loud.send_to_all(text(), None).await.unwrap();
    assert_eq!(log.of(TRACE).len(), 4);
}

#[tokio::test]
async fn the_trace_shows_everything_but_secrets() {
    let fake = Fake::start([answer()]).await;
    let (log, _guard) = Log::begin(Level::DEBUG);
    let service = fake.client();
    let sent = service.send_to_all(Message::text("the message"), logged(true));
    let response = sent.await.unwrap();
    assert_eq!(
        response.body().as_ref(),
        b"the body of the answer",
        "still there"
    );
    let lines = log.of(TRACE);
    for part in [
        "filter=userId%20eq",
        "my own value",
        "the message",
        "authorization\\\":\\\"***",
    ] {
        let plain = part.replace('\\', "");
        assert!(
            lines[0].contains(part) || lines[0].contains(&plain),
            "{part}: {}",
            lines[0]
        );
    }
    for part in [
        "status=202",
        "an answer",
        "the body of the answer",
        "elapsed_ms=",
    ] {
        assert!(lines[1].contains(part), "{part}: {}", lines[1]);
    }
    assert!(!log.text().contains("eyJ") && !log.text().contains("very secret"));
}

#[tokio::test]
async fn tokens_of_clients_are_not_logged() {
    let made = Answer::status(200).body(r#"{"token":"a-made-token"}"#);
    let fake = Fake::start([made]).await;
    let service = fake.client_with(enabled());
    let (log, _guard) = Log::begin(Level::TRACE);
    let path = "/api/hubs/chat/:generateToken?access_token=in-the-query&x=1";
    let request = service
        .request(azure_core::http::Method::Post, path)
        .unwrap();
    service.send_request(request, None).await.unwrap();
    let ours = log.of(SUMMARY).join("\n") + &log.of(TRACE).join("\n");
    assert!(ours.contains("access_token=***"), "{ours}");
    for hidden in ["a-made-token", "in-the-query", "eyJ"] {
        assert!(!log.text().contains(hidden), "{hidden}: {}", log.text());
    }
}

#[tokio::test]
async fn bodies_that_are_no_text_are_described() {
    let image = Answer::status(202)
        .header("content-type", "image/png")
        .body("png");
    let fake = Fake::start([image]).await;
    let service = fake.client_with(enabled());
    let (log, _guard) = Log::begin(Level::DEBUG);
    service
        .send_to_all(Message::bytes(vec![255, 254]), None)
        .await
        .unwrap();
    let parts = futures_util::stream::iter([Ok::<_, std::io::Error>("a secret part")]);
    service
        .send_to_all(Message::stream(parts), None)
        .await
        .unwrap();
    let lines = log.of(TRACE);
    assert!(
        lines[0].contains("(2 bytes that are no text)"),
        "{}",
        lines[0]
    );
    assert!(lines[1].contains("(3 bytes of image/png)"), "{}", lines[1]);
    assert!(lines[2].contains("(stream)"), "{}", lines[2]);
    service.user_exists("alice", None).await.unwrap_err();
    assert!(log.of(TRACE)[4].contains("(no body)"));
}

#[tokio::test]
async fn a_failure_is_logged_with_its_cause() {
    let options = WebPubSubServiceClientOptions {
        retry: RetryOptions::none(),
        ..enabled()
    };
    // Bound, so that nobody else gets the port, but not listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoint = format!("http://{}", socket.local_addr().unwrap());
    let service = key_client(&endpoint, "key", options);
    let (log, _guard) = Log::begin(Level::DEBUG);
    service.health(None).await.unwrap_err();
    assert!(log.of(SUMMARY)[1].contains("no response"));
    assert!(log.of(TRACE)[1].contains("no response"));
}

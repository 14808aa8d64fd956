//! What is sent again, when, and with what.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::error::ErrorKind;
use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, HttpClient, Request, StatusCode, Transport};
use hubwire_service_client::models::{RequestOptions, SendToAllOptions};
use hubwire_service_client::{
    Message, RetryOptions, WebPubSubServiceClient, WebPubSubServiceClientOptions,
};
use tokio::time::Instant;

use crate::support::{Answer, Fake, key_client};

/// A transport without a network, so that time can be given.
#[derive(Debug)]
struct Script {
    results: Mutex<VecDeque<Result<Answer, ErrorKind>>>,
    tries: Mutex<Vec<Instant>>,
}

#[async_trait]
impl HttpClient for Script {
    async fn execute_request(&self, _: &Request) -> azure_core::Result<AsyncRawResponse> {
        self.tries.lock().unwrap().push(Instant::now());
        let result = self.results.lock().unwrap().pop_front().unwrap();
        let answer = result.map_err(|kind| azure_core::Error::with_message(kind, "scripted"))?;
        let mut headers = Headers::new();
        for (name, value) in answer.headers {
            headers.insert(name, value);
        }
        let status = StatusCode::from(answer.status);
        Ok(AsyncRawResponse::from_bytes(status, headers, answer.body))
    }
}

fn scripted(
    results: impl IntoIterator<Item = Result<Answer, ErrorKind>>,
    retry: RetryOptions,
) -> (Arc<Script>, WebPubSubServiceClient) {
    let script = Arc::new(Script {
        results: Mutex::new(results.into_iter().collect()),
        tries: Mutex::default(),
    });
    let mut options = WebPubSubServiceClientOptions {
        retry,
        ..WebPubSubServiceClientOptions::default()
    };
    options.client_options.transport = Some(Transport::new(script.clone()));
    let service = key_client("http://service.example.com", "key", options);
    (script, service)
}

impl Script {
    /// Returns the waits between tries. Milliseconds.
    fn waits(&self) -> Vec<u128> {
        let tries = self.tries.lock().unwrap();
        tries
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).as_millis())
            .collect()
    }
}

fn status(status: u16) -> Result<Answer, ErrorKind> {
    Ok(Answer::status(status))
}

#[tokio::test(start_paused = true)]
async fn waits_grow_and_end_after_three_answers() {
    let refusals = [status(503), status(503), status(503), status(503)];
    let (script, service) = scripted(refusals, RetryOptions::default());
    assert!(service.user_exists("alice", None).await.is_err());
    assert_eq!(script.waits(), [0, 1600, 3200]);
}

#[tokio::test(start_paused = true)]
async fn the_wait_that_the_service_asks_for_is_kept() {
    let wait = |status, seconds: &str| Ok(Answer::status(status).header("retry-after", seconds));
    let results = [wait(429, "7"), wait(503, "11"), status(202)];
    let (script, service) = scripted(results, RetryOptions::default());
    service.send_to_all(Message::text("x"), None).await.unwrap();
    assert_eq!(script.waits(), [7_000, 11_000]);
}

#[tokio::test(start_paused = true)]
async fn failures_to_connect_and_to_read_have_their_own_counts() {
    let connection = || Err(ErrorKind::Connection);
    let results = [connection(), connection(), connection(), status(202)];
    let (script, service) = scripted(results, RetryOptions::default());
    service.send_to_all(Message::text("x"), None).await.unwrap();
    assert_eq!(script.waits(), [0, 1600, 3200]);
    let read = || Err(ErrorKind::Io);
    let (script, service) = scripted([read(), status(404)], RetryOptions::default());
    assert!(!service.user_exists("alice", None).await.unwrap());
    assert_eq!(script.waits(), [0]);
    let (script, service) = scripted([read()], RetryOptions::default());
    let error = service.send_to_all(Message::text("x"), None).await;
    assert!(matches!(error.unwrap_err().kind(), ErrorKind::Io));
    assert!(script.waits().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_timeout_of_a_call_bounds_its_waits_too() {
    let wait = Ok(Answer::status(503).header("retry-after", "60"));
    let (script, service) = scripted([wait], RetryOptions::default());
    let request = RequestOptions {
        timeout: Some(Duration::from_secs(30)),
        ..RequestOptions::default()
    };
    let begun = Instant::now();
    let error = service.user_exists("alice", Some(request)).await;
    assert!(matches!(error.unwrap_err().kind(), ErrorKind::Io));
    assert_eq!(begun.elapsed(), Duration::from_secs(30));
    assert_eq!(script.tries.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_can_retry_in_its_own_way() {
    let (script, service) = scripted([status(503)], RetryOptions::default());
    let options = SendToAllOptions {
        request: RequestOptions {
            retry: Some(RetryOptions::none()),
            ..RequestOptions::default()
        },
        ..SendToAllOptions::default()
    };
    let sent = service.send_to_all(Message::text("x"), Some(options)).await;
    assert!(sent.is_err());
    assert!(script.waits().is_empty());
    let once = RetryOptions {
        sends: false,
        ..RetryOptions::default()
    };
    let (script, service) = scripted([status(503), status(503), status(204)], once);
    assert!(service.send_to_all(Message::text("x"), None).await.is_err());
    service.close_all_connections(None).await.unwrap();
    assert_eq!(script.tries.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn throttled_and_unavailable_services_are_asked_again_with_the_same_id() {
    for refusal in [429, 503] {
        let fake = Fake::start([
            Answer::status(refusal).header("retry-after", "0"),
            Answer::status(refusal).header("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"),
            Answer::status(202),
        ])
        .await;
        let service = fake.client();
        service
            .send_to_all(Message::text("once"), None)
            .await
            .unwrap();
        let got = fake.got();
        assert_eq!(got.len(), 3, "{refusal}");
        let id = |index: usize| got[index].header("x-ms-client-request-id").unwrap();
        assert_eq!((id(0), id(1)), (id(1), id(2)));
        assert!(got.iter().all(|got| got.body == "once"));
        service
            .send_to_all(Message::text("next"), None)
            .await
            .unwrap();
        let next = fake.got()[3]
            .header("x-ms-client-request-id")
            .unwrap()
            .to_owned();
        assert_ne!(next, id(0), "a new call has a new id");
    }
}

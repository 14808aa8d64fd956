//! Bodies that are read while they are sent.

use azure_core::stream::BytesStream;
use futures_util::stream;
use hubwire_service_client::Message;

use crate::support::{Answer, Fake};

fn parts() -> Message {
    Message::stream(stream::iter(["a", "", "b"].map(Ok::<_, std::io::Error>)))
}

fn unavailable() -> Answer {
    Answer::status(503).header("retry-after", "0")
}

#[tokio::test]
async fn a_stream_is_sent_in_chunks_as_binary() {
    let fake = Fake::start([Answer::status(202)]).await;
    fake.client().send_to_all(parts(), None).await.unwrap();
    let got = fake.only();
    assert_eq!(got.body, "ab");
    assert_eq!(got.header("content-type"), Some("application/octet-stream"));
    assert_eq!(got.header("transfer-encoding"), Some("chunked"));
}

#[tokio::test]
async fn a_large_stream_arrives_whole() {
    let fake = Fake::start([Answer::status(202)]).await;
    let chunk = vec![7_u8; 100_000];
    let chunks = stream::iter(vec![chunk; 10].into_iter().map(Ok::<_, std::io::Error>));
    let sent = fake
        .client()
        .send_to_all(Message::stream(chunks), None)
        .await;
    sent.unwrap();
    let body = fake.only().body;
    assert_eq!(body.len(), 1_000_000);
    assert!(body.iter().all(|byte| *byte == 7));
}

#[tokio::test]
async fn a_stream_that_can_be_read_again_is_sent_again() {
    let fake = Fake::start([unavailable(), unavailable(), Answer::status(202)]).await;
    let message = Message::seekable(Box::new(BytesStream::new("again")));
    fake.client().send_to_all(message, None).await.unwrap();
    let bodies: Vec<_> = fake.got().iter().map(|got| got.body.clone()).collect();
    assert_eq!(bodies, ["again", "again", "again"]);
}

#[tokio::test]
async fn a_stream_that_can_be_read_once_is_sent_once() {
    let fake = Fake::start([unavailable(), Answer::status(202)]).await;
    let service = fake.client();
    let message = parts();
    let error = service
        .send_to_all(message.clone(), None)
        .await
        .unwrap_err();
    assert_eq!(error.http_status().map(|status| *status), Some(503));
    assert_eq!(fake.only().body, "ab");
    // Nor is an empty message sent in its place.
    let error = service.send_to_all(message, None).await.unwrap_err();
    assert!(error.to_string().contains("has been read"), "{error}");
    assert_eq!(fake.got().len(), 1);
}

#[tokio::test]
async fn a_stream_that_fails_fails_the_call() {
    let fake = Fake::start([Answer::status(202)]).await;
    let broken = stream::iter([Ok("a"), Err(std::io::Error::other("broken"))]);
    let sent = fake
        .client()
        .send_to_all(Message::stream(broken), None)
        .await;
    assert!(sent.is_err());
    assert!(fake.got().is_empty(), "never whole");
}

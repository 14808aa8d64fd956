//! Redirects, and what does not follow them.

use hubwire_service_client::models::RequestOptions;
use hubwire_service_client::{Message, RetryOptions};

use crate::support::{Answer, Fake};

fn to(status: u16, target: &str) -> Answer {
    Answer::status(status).header("location", target)
}

#[tokio::test]
async fn a_redirect_on_the_same_host_is_signed_for_its_new_address() {
    let fake = Fake::start([to(307, "/moved?x=1"), Answer::status(202)]).await;
    fake.client()
        .send_to_all(Message::text("hi"), None)
        .await
        .unwrap();
    let got = fake.got();
    assert_eq!(
        (got[1].method.as_str(), got[1].target.as_str()),
        ("POST", "/moved?x=1")
    );
    assert_eq!(got[1].body, "hi");
    assert_eq!(
        got[1].claims()["aud"],
        format!("{}/moved?x=1", fake.endpoint())
    );
    let id = |index: usize| got[index].header("x-ms-client-request-id").unwrap();
    assert_eq!(id(0), id(1));
}

#[tokio::test]
async fn another_host_gets_no_credentials_even_for_a_way_back() {
    let home = Fake::start([Answer::status(202)]).await;
    let back = format!("{}/back", home.endpoint());
    let foreign = Fake::start([to(308, &back)]).await;
    let away = format!("{}/away", foreign.endpoint());
    let begin = Fake::start([to(302, &away)]).await;
    let mut headers = azure_core::http::headers::Headers::new();
    headers.insert("api-key", "secret");
    headers.insert("x-plain", "1");
    let options = hubwire_service_client::models::SendToAllOptions {
        request: RequestOptions {
            headers,
            ..RequestOptions::default()
        },
        ..Default::default()
    };
    let service = begin.client();
    let sent = service.send_to_all(Message::text("hi"), Some(options));
    sent.await.unwrap();
    assert!(begin.only().header("authorization").is_some());
    assert_eq!(begin.only().header("api-key"), Some("secret"));
    for other in [foreign.only(), home.only()] {
        assert_eq!(other.header("authorization"), None);
        assert_eq!(other.header("api-key"), None);
        assert_eq!(other.header("x-plain"), Some("1"));
    }
}

#[tokio::test]
async fn redirects_end_after_a_few() {
    let fake = Fake::start([to(307, "/again")]).await;
    let error = fake.client().send_to_all(Message::text("hi"), None).await;
    let error = error.unwrap_err();
    assert_eq!(error.http_status().map(|status| *status), Some(307));
    assert_eq!(fake.got().len(), 6);
}

#[tokio::test]
async fn a_retry_begins_with_the_first_address() {
    let fake = Fake::start([to(307, "/moved"), Answer::status(503), Answer::status(404)]).await;
    let options = RequestOptions {
        retry: Some(RetryOptions::default()),
        ..RequestOptions::default()
    };
    let service = fake.client();
    assert!(!service.user_exists("alice", Some(options)).await.unwrap());
    let got = fake.got();
    assert_eq!(got[1].target, "/moved");
    assert_eq!(got[2].target, got[0].target);
}

#[tokio::test]
async fn see_other_is_asked_for_without_the_message() {
    let fake = Fake::start([to(303, "/answer"), Answer::status(202)]).await;
    fake.client()
        .send_to_all(Message::text("hi"), None)
        .await
        .unwrap();
    let got = &fake.got()[1];
    assert_eq!((got.method.as_str(), got.body.len()), ("GET", 0));
    assert_eq!(got.header("content-type"), None);
}

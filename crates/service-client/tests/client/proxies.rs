//! Proxies: those in front of the service, and those in front of the caller.

use hubwire_server::config::DEVELOPMENT_KEY;
use hubwire_service_client::{Message, WebPubSubServiceClientOptions};

use crate::support::{Answer, Fake, Service, key_client};

#[tokio::test]
async fn a_reverse_proxy_gets_requests_that_are_signed_for_the_service() {
    let proxy = Fake::start([Answer::status(202)]).await;
    let options = WebPubSubServiceClientOptions {
        reverse_proxy_endpoint: Some(format!("{}/gateway/", proxy.endpoint())),
        ..WebPubSubServiceClientOptions::default()
    };
    let service = key_client("https://service.example.com", "key", options);
    service.send_to_all(Message::text("x"), None).await.unwrap();
    let got = proxy.only();
    let path = "/api/hubs/chat/:send?api-version=2024-12-01";
    assert_eq!(got.target, format!("/gateway{path}"));
    assert_eq!(got.header("host"), Some(proxy.addr.to_string().as_str()));
    assert_eq!(
        got.claims()["aud"],
        format!("https://service.example.com{path}")
    );
    let original = key_client("https://service.example.com", "key", Default::default());
    let request = original
        .request(azure_core::http::Method::Post, "/api/new?x=1")
        .unwrap();
    service.send_request(request, None).await.unwrap();
    assert_eq!(proxy.got()[1].target, "/gateway/api/new?x=1");
}

#[tokio::test]
async fn a_service_behind_a_reverse_proxy_accepts_what_was_signed_for_its_public_name() {
    let running = Service::start_with(|config| {
        config.public_endpoints = vec!["https://service.example.com".parse().unwrap()];
    })
    .await;
    let options = WebPubSubServiceClientOptions {
        reverse_proxy_endpoint: Some(running.endpoint()),
        ..WebPubSubServiceClientOptions::default()
    };
    let service = key_client("https://service.example.com", DEVELOPMENT_KEY, options);
    service.send_to_all(Message::text("x"), None).await.unwrap();
}

#[tokio::test]
async fn an_http_proxy_is_asked_for_the_whole_address() {
    let proxy = Fake::start([Answer::status(202)]).await;
    let mut options = WebPubSubServiceClientOptions::default();
    options.transport.proxy = Some(proxy.endpoint());
    let service = key_client("http://service.example.com", "key", options);
    service.send_to_all(Message::text("x"), None).await.unwrap();
    let target = "http://service.example.com/api/hubs/chat/:send?api-version=2024-12-01";
    assert_eq!(proxy.only().target, target);
    assert_eq!(proxy.only().claims()["aud"], target);
}

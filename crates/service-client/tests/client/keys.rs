//! Access keys: rotation, and clocks that differ.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hubwire_server::config::{DEVELOPMENT_KEY, Secret};
use hubwire_service_client::{
    AccessKeyCredential, Clock, Message, WebPubSubServiceClient, WebPubSubServiceClientOptions,
};

use crate::support::{Answer, Client, Fake, Service};

const SECONDARY: &str = "a secondary key that is long enough for the service";

#[tokio::test]
async fn a_key_can_be_replaced_while_the_client_is_in_use() {
    let running = Service::start_with(|config| {
        config.keys.secondary = Some(Secret::new(SECONDARY));
    })
    .await;
    let credential = AccessKeyCredential::new(DEVELOPMENT_KEY).unwrap();
    let endpoint = running.endpoint();
    let key = credential.clone();
    let service = WebPubSubServiceClient::with_key_credential(&endpoint, "chat", key, None);
    let service = service.unwrap();
    let send = async || service.send_to_all(Message::text("x"), None).await;
    send().await.unwrap();
    credential.update("no key of the service").unwrap();
    let refused = send().await.unwrap_err();
    assert_eq!(refused.http_status().map(|status| *status), Some(401));
    credential.update(SECONDARY).unwrap();
    send().await.unwrap();
    Client::simple(&service).await;
}

#[tokio::test]
async fn a_connection_string_is_as_good_as_its_parts() {
    let running = Service::start().await;
    let text = format!(
        " endpoint = http://127.0.0.1:1/ ; PORT={}; accesskey={DEVELOPMENT_KEY}; Version=1.0; Other=x;",
        running.addr.port()
    );
    let service = WebPubSubServiceClient::with_connection_string(&text, "chat", None).unwrap();
    assert!(!service.user_exists("alice", None).await.unwrap());
}

#[tokio::test]
async fn a_clock_that_is_minutes_wrong_is_tolerated_and_more_is_not() {
    let running = Service::start().await;
    let works = async |ahead: i64| {
        let clock = Clock::new(move || match u64::try_from(ahead) {
            Ok(ahead) => SystemTime::now() + Duration::from_secs(ahead),
            Err(_) => SystemTime::now() - Duration::from_secs(ahead.unsigned_abs()),
        });
        let service = running.client_with(WebPubSubServiceClientOptions {
            clock,
            ..WebPubSubServiceClientOptions::default()
        });
        service.user_exists("alice", None).await.is_ok()
    };
    assert!(works(240).await);
    assert!(works(-240).await);
    assert!(!works(400).await, "not valid yet");
    assert!(!works(-700).await, "expired");
}

#[tokio::test]
async fn every_try_is_signed_anew() {
    let fake = Fake::start([Answer::status(503), Answer::status(404)]).await;
    let seconds = Arc::new(AtomicU64::new(1_000));
    let service = fake.client_with(WebPubSubServiceClientOptions {
        // Each look at the clock finds it ten seconds later.
        clock: Clock::new(move || {
            UNIX_EPOCH + Duration::from_secs(seconds.fetch_add(10, Ordering::Relaxed))
        }),
        ..WebPubSubServiceClientOptions::default()
    });
    assert!(!service.user_exists("alice", None).await.unwrap());
    let got = fake.got();
    let issued = |index: usize| got[index].claims()["iat"].as_u64().unwrap();
    assert!(issued(1) > issued(0));
    for got in &got {
        let claims = got.claims();
        assert_eq!(claims["nbf"], claims["iat"]);
        assert_eq!(
            claims["exp"].as_u64(),
            Some(claims["iat"].as_u64().unwrap() + 300)
        );
    }
}

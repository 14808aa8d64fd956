//! Tokens with which clients connect.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hubwire_protocol::token::Claims;
use hubwire_server::config::DEVELOPMENT_KEY;
use hubwire_service_client::models::*;
use hubwire_service_client::{Clock, WebPubSubServiceClientOptions};
use serde_json::json;

use crate::support::{Client, Service, claims, key_client};

const ENDPOINT: &str = "https://Service.Example.com/base/";
const KEY: &str = "key";

fn at_1000() -> WebPubSubServiceClientOptions {
    WebPubSubServiceClientOptions {
        clock: Clock::new(|| UNIX_EPOCH + Duration::from_secs(1_000)),
        reverse_proxy_endpoint: Some("http://proxy".to_owned()),
        ..WebPubSubServiceClientOptions::default()
    }
}

#[tokio::test]
async fn a_local_token_holds_what_was_asked_for() {
    let service = key_client(ENDPOINT, KEY, at_1000());
    let plain = service.get_client_access_token(None).await.unwrap();
    let aud = "https://service.example.com/base/client/hubs/chat";
    let expected = json!({ "aud": aud, "iat": 1000, "nbf": 1000, "exp": 4600 });
    assert_eq!(claims(&plain.token), expected);
    assert_eq!(plain.base_url, aud.replacen("https", "wss", 1));
    assert_eq!(
        plain.url,
        format!("{}?access_token={}", plain.base_url, plain.token)
    );
    assert!(Claims::verify(&plain.token, [KEY], 1_000, 0).is_ok());
    assert!(!format!("{plain:?}").contains(&plain.token));
    let full = ClientAccessTokenOptions {
        user_id: Some("alice".to_owned()),
        roles: vec!["r1".to_owned(), "r2".to_owned()],
        groups: vec!["g1".to_owned()],
        minutes_to_expire: Some(2),
        jwt_headers: BTreeMap::from([("kid".to_owned(), "k1".into())]),
        ..ClientAccessTokenOptions::default()
    };
    let full = service.get_client_access_token(Some(full)).await.unwrap();
    let expected = json!({
        "aud": aud, "iat": 1000, "nbf": 1000, "exp": 1120,
        "sub": "alice", "role": ["r1", "r2"], "webpubsub.group": ["g1"],
    });
    assert_eq!(claims(&full.token), expected);
    assert!(Claims::verify(&full.token, [KEY], 1_000, 0).is_ok());
    let until = ClientAccessTokenOptions {
        expires_at: Some(UNIX_EPOCH + Duration::from_secs(1_010)),
        user_id: Some(String::new()),
        ..ClientAccessTokenOptions::default()
    };
    let until = service.get_client_access_token(Some(until)).await.unwrap();
    let expected = json!({ "aud": aud, "iat": 1000, "nbf": 1000, "exp": 1010 });
    assert_eq!(claims(&until.token), expected);
}

#[tokio::test]
async fn each_kind_of_client_has_its_own_path() {
    let service = key_client("http://host:8080", KEY, Default::default());
    for (client_protocol, path) in [
        (ClientProtocol::Default, "/client/hubs/chat"),
        (ClientProtocol::Mqtt, "/clients/mqtt/hubs/chat"),
        (ClientProtocol::SocketIo, "/clients/socketio/hubs/chat"),
    ] {
        let options = ClientAccessTokenOptions {
            client_protocol,
            ..ClientAccessTokenOptions::default()
        };
        let access = service
            .get_client_access_token(Some(options))
            .await
            .unwrap();
        assert_eq!(access.base_url, format!("ws://host:8080{path}"));
        assert_eq!(
            claims(&access.token)["aud"],
            format!("http://host:8080{path}")
        );
    }
}

#[tokio::test]
async fn lifetimes_that_make_no_sense_are_refused() {
    let service = key_client(ENDPOINT, KEY, at_1000());
    let refused = async |minutes, expires_at: Option<u64>| {
        let options = ClientAccessTokenOptions {
            minutes_to_expire: minutes,
            expires_at: expires_at.map(|at| UNIX_EPOCH + Duration::from_secs(at)),
            ..ClientAccessTokenOptions::default()
        };
        service
            .get_client_access_token(Some(options))
            .await
            .is_err()
    };
    assert!(refused(Some(0), None).await);
    assert!(refused(None, Some(1_000)).await);
    assert!(refused(Some(1), Some(2_000)).await);
    assert!(!refused(Some(u32::MAX), None).await);
}

#[tokio::test]
async fn a_local_token_opens_a_connection_with_user_groups_and_roles() {
    let running = Service::start().await;
    let service = running.client();
    let options = ClientAccessTokenOptions {
        user_id: Some("alice".to_owned()),
        roles: vec!["webpubsub.sendToGroup.room".to_owned()],
        groups: vec!["room".to_owned()],
        expires_at: Some(SystemTime::now() + Duration::from_secs(60)),
        ..ClientAccessTokenOptions::default()
    };
    let mut client = Client::json_with(&service, options).await;
    assert!(service.group_exists("room", None).await.unwrap());
    assert!(service.user_exists("alice", None).await.unwrap());
    let frame =
        json!({ "type": "sendToGroup", "group": "room", "data": 1, "ackId": 1, "noEcho": true });
    client.send(&frame.to_string()).await;
    assert_eq!(client.frame().await["success"], true);
    assert_ne!(DEVELOPMENT_KEY, KEY);
}

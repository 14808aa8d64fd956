//! A configuration that changes while clients are connected: events-and-operations 9.2.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use hubwire_server::config::{AnonymousConnectPolicy, Config, DEVELOPMENT_KEY, HubConfig, Secret};
use hubwire_server::{FileWatch, ReloadError};
use serde_json::json;
use tokio::time::timeout;

use crate::support::pubsub::RELIABLE;
use crate::support::{PATIENCE, Received, Service, sign, unix_seconds};

const KEY: &str = "a-key-of-our-own-that-nobody-knows-1234";

/// Returns what the services here run with, changed.
fn changed(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config {
        shards: 1,
        ..Config::default()
    };
    config.listeners[0].bind = vec!["127.0.0.1:0".parse().unwrap()];
    change(&mut config);
    config
}

#[tokio::test]
async fn policies_and_keys_change_and_connected_clients_stay() {
    let service = Service::start().await;
    let mut client = service.json_with_roles("chat", "alice").await;
    client.join("room").await;

    let config = changed(|config| {
        config.keys.primary = Secret::new(KEY);
        let anonymous = HubConfig {
            anonymous_connect_policy: AnonymousConnectPolicy::Allow,
            ..HubConfig::default()
        };
        config.hubs.set("public", anonymous);
    });
    service.server.reload(config).unwrap();

    let old_token = service.client_path("chat", json!({}));
    assert_eq!(service.handshake(&old_token, "").await.status, 401);
    let token = sign(
        &json!({
            "aud": format!("http://{}/client/hubs/chat", service.addr),
            "exp": unix_seconds() + 60,
        }),
        KEY,
    );
    let new_token = format!("/client/hubs/chat?access_token={token}");
    service.connect_path(&new_token, &[]).await;
    service.connect_path("/client/hubs/public", &[]).await;
    let publish = json!({ "type": "sendToGroup", "group": "room", "dataType": "text", "data": "hi", "ackId": 9 });
    client.send_json(publish).await;
    assert_eq!(client.json().await["data"], "hi");
    assert_eq!(client.json().await["success"], true);
}

#[tokio::test]
async fn the_settings_of_a_hub_change_for_its_connected_clients_and_for_those_to_come() {
    let service = Service::start().await;
    let mut before = service.json("chat", json!({})).await;
    let invoke = json!({ "type": "invoke", "invocationId": "1", "event": "add" });
    before.send_json(invoke.clone()).await;
    assert_eq!(before.json().await["type"], "invokeResponse");

    let config = changed(|config| {
        let hub = HubConfig {
            invocation: false,
            ..HubConfig::default()
        };
        config.hubs.set("_default", hub);
    });
    service.server.reload(config).unwrap();

    let mut after = service.json("chat", json!({})).await;
    for client in [&mut before, &mut after] {
        client.send_json(invoke.clone()).await;
        assert!(matches!(client.next().await, Received::Close(1007, _)));
    }
}

#[tokio::test]
async fn quotas_change_and_count_the_connections_that_are_there() {
    let service = Service::start().await;
    let _first = service.json("chat", json!({})).await;

    let config = changed(|config| {
        let hub = HubConfig {
            connections_max: 1,
            ..HubConfig::default()
        };
        config.hubs.set("chat", hub);
    });
    service.server.reload(config).unwrap();

    let path = service.client_path("chat", json!({}));
    assert_eq!(service.handshake(&path, "").await.status, 429);
    service.json("other", json!({})).await;
}

#[tokio::test]
async fn tokens_for_recovery_are_of_the_new_key() {
    let service = Service::start().await;
    let config = changed(|config| {
        config.keys.primary = Secret::new(KEY);
        config.keys.secondary = Some(Secret::new(DEVELOPMENT_KEY));
    });
    service.server.reload(config).unwrap();

    for subprotocol in RELIABLE {
        let client = service.member(subprotocol, "alice").await;
        let mut client = service.recover(&client.cut()).await;
        client.expect_nothing().await;
    }
}

/// The listeners stay until a restart, so what may only be used on loopback is refused beyond it.
#[tokio::test]
async fn the_development_key_does_not_come_back_beyond_loopback() {
    let service = Service::start_with(|config| {
        config.listeners[0].bind = vec!["0.0.0.0:0".parse().unwrap()];
        config.keys.primary = Secret::new(KEY);
    })
    .await;

    let refused = service.server.reload(changed(|_| {}));

    assert_eq!(refused, Err(ReloadError::DevelopmentKey("keys.primary")));
}

/// As a platform changes the secrets that it mounts: the file is a link into a directory that is a link, which is replaced.
#[tokio::test]
async fn a_link_that_is_replaced_is_a_change_of_what_is_behind_it() {
    let directory = TempDir::new();
    for (version, key) in [("v1", "one"), ("v2", "two")] {
        fs::create_dir(directory.0.join(version)).unwrap();
        fs::write(directory.0.join(version).join("key"), key).unwrap();
    }
    symlink("v1", directory.0.join("data")).unwrap();
    symlink("data/key", directory.0.join("key")).unwrap();
    let mut watch = FileWatch::start(vec![directory.0.join("key")]);

    symlink("v2", directory.0.join("next")).unwrap();
    fs::rename(directory.0.join("next"), directory.0.join("data")).unwrap();

    timeout(PATIENCE, watch.changed()).await.unwrap();
    // The directory that it leads to now is watched too.
    fs::write(directory.0.join("v2").join("key"), "three").unwrap();
    timeout(PATIENCE, watch.changed()).await.unwrap();
}

#[tokio::test]
async fn a_file_that_appears_or_is_replaced_or_goes_is_a_change() {
    let directory = TempDir::new();
    let file = directory.0.join("hubwire.toml");
    let mut watch = FileWatch::start(vec![file.clone()]);

    fs::write(&file, "one").unwrap();
    timeout(PATIENCE, watch.changed()).await.unwrap();
    fs::write(directory.0.join("next"), "two").unwrap();
    fs::rename(directory.0.join("next"), &file).unwrap();
    timeout(PATIENCE, watch.changed()).await.unwrap();
    fs::remove_file(&file).unwrap();
    timeout(PATIENCE, watch.changed()).await.unwrap();
}

struct TempDir(PathBuf);

impl TempDir {
    fn new() -> Self {
        static COUNTER: AtomicUsize = AtomicUsize::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("hubwire-reload-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

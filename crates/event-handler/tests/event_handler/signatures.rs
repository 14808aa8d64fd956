//! Keys: of the service, of the handler, and both while they are rotated.

use hubwire_event_handler::{
    EventHandler, EventHandlerService, Rejection, UserEvent, UserEventResponse,
};
use hubwire_server::config::{Config, DEVELOPMENT_KEY, Secret};
use serde_json::json;

use crate::application::{Application, EVERYTHING};
use crate::support::events::{event, load, start, with_ack};
use crate::support::pubsub::{ALL, PubSub};
use crate::support::{Received, Service};

const OLD: &str = "the-old-key-that-nobody-knows-1234567890";
const NEW: &str = "the-new-key-that-nobody-knows-1234567890";

struct Echo;

impl EventHandler for Echo {
    async fn on_user_event(&self, event: UserEvent) -> Result<UserEventResponse, Rejection> {
        Ok(UserEventResponse::text(event.text()?))
    }
}

async fn echo(keys: &[&str]) -> Application<Echo> {
    let builder = EventHandlerService::builder(Echo).allowed_endpoint("http://localhost");
    let with_key =
        |builder: hubwire_event_handler::Builder<Echo>, key: &&str| builder.access_key(*key);
    Application::of(keys.iter().fold(builder, with_key)).await
}

/// Sends an event and tells whether it succeeded.
async fn succeeds(client: &mut PubSub, ack_id: u64) -> bool {
    client
        .send(with_ack(event("echo", "text", json!("x")), ack_id))
        .await;
    loop {
        let frame = client.next().await;
        if frame["type"] == "ack" {
            assert_eq!(frame["ackId"], ack_id, "{frame}");
            return frame["success"] == true;
        }
    }
}

#[tokio::test]
async fn an_event_that_is_signed_with_another_key_is_refused() {
    let application = echo(&[OLD]).await;
    let service = application.asked_by(EVERYTHING).await;
    let path = service.client_path("chat", json!({}));
    assert_eq!(service.handshake(&path, "").await.status, 401);

    let service = application.asked_by("user_event_pattern = \"*\"").await;
    let mut client = service.simple("chat", json!({})).await;
    client.send_text("x").await;
    assert!(matches!(client.next().await, Received::Close(1011, _)));
}

#[tokio::test]
async fn an_event_that_is_not_signed_is_taken_only_if_the_handler_says_so() {
    let unsigned = EventHandlerService::builder(Echo)
        .allowed_endpoint("http://localhost")
        .without_signatures();
    for (application, status) in [
        (echo(&[DEVELOPMENT_KEY]).await, 401),
        (Application::of(unsigned).await, 101),
    ] {
        let toml = format!(
            "[auth]\ndisable_local_auth = true\n[keys]\ninternal = \"{NEW}\"\n\
             [hubs.chat]\nanonymous_connect_policy = \"allow\"\n{}",
            application.toml(EVERYTHING)
        );
        let service = start(&toml, |_| {}).await;
        let answer = service.handshake("/client/hubs/chat", "").await;
        assert_eq!(answer.status, status);
    }
}

#[tokio::test]
async fn the_key_of_a_handler_may_be_the_secondary_one() {
    let application = echo(&[NEW]).await;
    let toml = application.toml(EVERYTHING);
    let service = start(&toml, |config| {
        config.keys.secondary = Some(Secret::new(NEW));
    })
    .await;
    let mut client = service.pubsub(ALL[0], "chat", json!({})).await;
    assert!(succeeds(&mut client, 1).await);
}

/// Gives a running service other keys.
fn change_keys(service: &Service, toml: &str, primary: &str, secondary: Option<&str>) {
    let mut config: Config = load(toml);
    config.shards = 1;
    config.listeners[0].bind = vec!["127.0.0.1:0".parse().unwrap()];
    config.keys.primary = Secret::new(primary);
    config.keys.secondary = secondary.map(Secret::new);
    service.server.reload(config).unwrap();
}

#[tokio::test]
async fn keys_are_rotated_while_clients_are_connected() {
    let application = echo(&[DEVELOPMENT_KEY]).await;
    let toml = application.toml(EVERYTHING);
    let service = start(&toml, |_| {}).await;
    let mut client = service.pubsub(ALL[0], "chat", json!({})).await;
    assert!(succeeds(&mut client, 1).await);

    // Both know both, then both know the new one alone.
    let handler = &application.service;
    handler.replace_access_keys([NEW, DEVELOPMENT_KEY]).unwrap();
    assert!(succeeds(&mut client, 2).await);
    change_keys(&service, &toml, NEW, Some(DEVELOPMENT_KEY));
    assert!(succeeds(&mut client, 3).await);
    handler.replace_access_keys([NEW]).unwrap();
    assert!(succeeds(&mut client, 4).await);
    change_keys(&service, &toml, NEW, None);
    assert!(succeeds(&mut client, 5).await);

    // The old one is worth nothing now, and an empty list is none.
    handler.replace_access_keys([DEVELOPMENT_KEY]).unwrap();
    assert!(!succeeds(&mut client, 6).await);
    assert!(handler.replace_access_keys([""; 0]).is_err());
    assert!(handler.replace_access_keys([NEW, ""]).is_err());
    assert!(!succeeds(&mut client, 7).await);
    handler.replace_access_keys([NEW]).unwrap();
    assert!(succeeds(&mut client, 8).await);
}

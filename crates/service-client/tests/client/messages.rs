//! What clients of the running service receive.

use std::collections::BTreeMap;

use azure_core::stream::BytesStream;
use futures_util::stream;
use hubwire_service_client::models::*;
use hubwire_service_client::{ContentType, Message, odata};
use serde_json::json;

use crate::support::{Client, Received, Service};

#[tokio::test]
async fn every_kind_of_message_arrives_as_what_it_is() {
    let running = Service::start().await;
    let service = running.client();
    let mut client = Client::simple(&service).await;
    let parts = || stream::iter(["Hello ", "World"].map(Ok::<_, std::io::Error>));
    let text = |text: &str| Received::Text(text.to_owned());
    let binary = |bytes: &[u8]| Received::Binary(bytes.to_vec());
    let table = [
        (
            Message::json(&json!({"a": [1, null]})).unwrap(),
            text(r#"{"a":[1,null]}"#),
        ),
        (Message::json("quoted").unwrap(), text(r#""quoted""#)),
        (Message::text("Hello ü"), text("Hello ü")),
        (Message::bytes(vec![0, 255]), binary(&[0, 255])),
        (Message::stream(parts()), binary(b"Hello World")),
        (
            Message::stream(parts()).as_content_type(ContentType::Text),
            text("Hello World"),
        ),
        (
            Message::text("Hello World").as_content_type(ContentType::Binary),
            binary(b"Hello World"),
        ),
        (
            Message::seekable(Box::new(BytesStream::new("again"))),
            binary(b"again"),
        ),
        (
            Message::bytes("[1]").as_content_type(ContentType::Json),
            text("[1]"),
        ),
    ];
    for (message, expected) in table {
        service.send_to_all(message.clone(), None).await.unwrap();
        assert_eq!(client.receive().await, expected, "{message:?}");
    }
}

#[tokio::test]
async fn a_message_reaches_who_it_is_for() {
    let running = Service::start().await;
    let service = running.client();
    let mut alice = Client::json(&service, "alice").await;
    let mut bob = Client::json(&service, "bob").await;
    service
        .add_connection_to_group("room", &bob.id, None)
        .await
        .unwrap();
    let text = |text: &str| Message::text(text);
    service
        .send_to_user("alice", text("user"), None)
        .await
        .unwrap();
    service
        .send_to_group("room", text("group"), None)
        .await
        .unwrap();
    let to_bob = service.send_to_connection(&bob.id, text("connection"), None);
    to_bob.await.unwrap();
    let excluding = SendToAllOptions {
        excluded: vec![alice.id.clone()],
        ..SendToAllOptions::default()
    };
    service
        .send_to_all(text("excluding"), Some(excluding))
        .await
        .unwrap();
    let filtered = SendToAllOptions {
        filter: Some(odata!("userId eq {}", "alice")),
        metadata: BTreeMap::from([("trace".to_owned(), "7".to_owned())]),
        message_ttl_seconds: Some(60),
        ..SendToAllOptions::default()
    };
    service
        .send_to_all(text("filtered"), Some(filtered))
        .await
        .unwrap();
    for expected in ["user", "filtered"] {
        assert_eq!(alice.frame().await["data"], expected);
    }
    for expected in ["group", "connection", "excluding"] {
        assert_eq!(bob.frame().await["data"], expected);
    }
}

#[tokio::test]
async fn metadata_arrives_with_the_message() {
    let running = Service::start().await;
    let service = running.client();
    let mut client = Client::json(&service, "alice").await;
    let options = SendToUserOptions {
        metadata: BTreeMap::from([("trace".to_owned(), "7".to_owned())]),
        ..SendToUserOptions::default()
    };
    let sent = service.send_to_user("alice", Message::text("x"), Some(options));
    sent.await.unwrap();
    assert_eq!(client.frame().await["metadata"]["trace"], "7");
}

#[tokio::test]
async fn a_closed_client_is_told_the_reason() {
    let running = Service::start().await;
    let service = running.client();
    let mut one = Client::json(&service, "alice").await;
    let options = CloseConnectionOptions {
        reason: Some("Good night.".to_owned()),
        ..CloseConnectionOptions::default()
    };
    service
        .close_connection(&one.id, Some(options))
        .await
        .unwrap();
    let told = one.frame().await["message"].to_string();
    assert!(told.contains("Good night."), "{told}");
    assert!(!service.connection_exists(&one.id, None).await.unwrap());
    let kept = Client::json(&service, "bob").await;
    let mut user = Client::json(&service, "bob").await;
    let but = |id: &str| {
        Some(CloseConnectionsOptions {
            excluded: vec![id.to_owned()],
            reason: Some("Too many.".to_owned()),
            ..CloseConnectionsOptions::default()
        })
    };
    service
        .close_user_connections("bob", but(&kept.id))
        .await
        .unwrap();
    assert!(
        user.frame().await["message"]
            .to_string()
            .contains("Too many.")
    );
    assert!(service.user_exists("bob", None).await.unwrap());
    service
        .add_user_to_group("room", "bob", None)
        .await
        .unwrap();
    service.close_group_connections("room", None).await.unwrap();
    assert!(!service.user_exists("bob", None).await.unwrap());
    let last = Client::json(&service, "carol").await;
    service.close_all_connections(None).await.unwrap();
    assert!(!service.connection_exists(&last.id, None).await.unwrap());
}

//! Refusals of the service, and arguments that never reach it.

use std::collections::BTreeMap;
use std::time::Duration;

use azure_core::error::ErrorKind;
use hubwire_service_client::models::*;
use hubwire_service_client::{
    AccessKeyCredential, ContentType, Message, Permission, RetryOptions, ServiceError,
    WebPubSubServiceClient, WebPubSubServiceClientOptions,
};
use tokio::net::TcpListener;

use crate::support::{Answer, Client, Fake, Service, key_client};

fn refusal(error: &azure_core::Error) -> ServiceError {
    ServiceError::try_from(error).unwrap()
}

#[tokio::test]
async fn refusals_of_the_service_tell_status_code_message_and_target() {
    let running = Service::start().await;
    let service = running.client();
    let error = service.add_connection_to_group("room", "gone", None).await;
    let missing = refusal(&error.unwrap_err());
    assert_eq!(*missing.status, 404);
    assert_eq!(missing.code.as_deref(), Some("Error.Connection.NotExisted"));
    assert_eq!(missing.target.as_deref(), Some("Connection"));
    let message = missing.message.unwrap();
    assert!(message.contains("gone"), "{message}");
    assert!(missing.request_id.is_some());
    let error = service.add_user_to_group("room", "nobody", None).await;
    let nobody = refusal(&error.unwrap_err());
    assert_eq!(nobody.code.as_deref(), Some("Error.User.NotExisted"));
    let send = Permission::SendToGroup;
    let error = service.grant_permission(send, "gone", "room", None).await;
    assert_eq!(*refusal(&error.unwrap_err()).status, 404);
    let options = SendToAllOptions {
        filter: Some("nonsense".to_owned()),
        ..SendToAllOptions::default()
    };
    let error = service.send_to_all(Message::text("x"), Some(options)).await;
    let invalid = refusal(&error.unwrap_err());
    assert_eq!(*invalid.status, 400);
    assert_eq!(invalid.code.as_deref(), Some("Error.BadRequest"));
    let request = RequestOptions {
        api_version: Some("1999-01-01".to_owned()),
        ..RequestOptions::default()
    };
    let error = service.user_exists("alice", Some(request)).await;
    assert_eq!(*refusal(&error.unwrap_err()).status, 400);
    let error = service.send_to_group("   ", Message::text("x"), None).await;
    let blank = refusal(&error.unwrap_err());
    assert_eq!(blank.message.as_deref(), Some("Invalid group name."));
}

#[tokio::test]
async fn a_wrong_key_is_401_and_too_many_permissions_are_409() {
    let running = Service::start().await;
    let wrong = key_client(&running.endpoint(), "wrong", Default::default());
    let error = wrong
        .send_to_all(Message::text("x"), None)
        .await
        .unwrap_err();
    let unauthorized = refusal(&error);
    assert_eq!(*unauthorized.status, 401);
    assert_eq!(unauthorized.code.as_deref(), Some("Error.Unauthorized"));
    let error = wrong.user_exists("alice", None).await.unwrap_err();
    assert_eq!(*refusal(&error).status, 401);
    let service = running.client();
    let client = Client::json(&service, "alice").await;
    let send = Permission::SendToGroup;
    for index in 0..1_000 {
        let group = format!("g{index}");
        let granted = service.grant_permission(send, &client.id, &group, None);
        granted.await.unwrap();
    }
    let one_more = service.grant_permission(send, &client.id, "more", None);
    assert_eq!(*refusal(&one_more.await.unwrap_err()).status, 409);
}

#[tokio::test]
async fn a_success_other_than_the_expected_one_is_an_error() {
    let fake = Fake::start([Answer::status(200)]).await;
    let error = fake.client().send_to_all(Message::text("x"), None).await;
    let error = error.unwrap_err();
    assert_eq!(*refusal(&error).status, 200);
    let fake = Fake::start([Answer::status(204)]).await;
    let error = fake.client().group_exists("room", None).await.unwrap_err();
    assert_eq!(*refusal(&error).status, 204);
    let fake = Fake::start([Answer::status(403)]).await;
    let error = fake.client().close_all_connections(None).await.unwrap_err();
    assert_eq!(*refusal(&error).status, 403);
}

#[tokio::test]
async fn an_answer_that_is_no_page_or_token_is_an_error() {
    let fake = Fake::start([Answer::status(200).body("<html>")]).await;
    let mut pages = fake
        .client()
        .list_connections("room", None)
        .unwrap()
        .into_pages();
    let error = futures_util::TryStreamExt::try_next(&mut pages).await;
    assert!(matches!(
        error.unwrap_err().kind(),
        ErrorKind::DataConversion
    ));
}

#[tokio::test]
async fn a_service_that_is_not_there_is_a_failed_connection() {
    // Bound, so that nobody else gets the port, but not listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoint = format!("http://{}", socket.local_addr().unwrap());
    let options = WebPubSubServiceClientOptions {
        retry: RetryOptions::none(),
        ..WebPubSubServiceClientOptions::default()
    };
    let error = key_client(&endpoint, "x", options).health(None).await;
    assert!(matches!(error.unwrap_err().kind(), ErrorKind::Connection));
}

#[tokio::test]
async fn a_silent_service_meets_the_timeout_of_the_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let request = RequestOptions {
        timeout: Some(Duration::from_millis(50)),
        ..RequestOptions::default()
    };
    let service = key_client(&endpoint, "x", Default::default());
    let error = service.health(Some(request)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Io));
    assert!(error.to_string().contains("50ms"), "{error}");
}

#[tokio::test]
async fn a_silent_service_meets_the_read_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut options = WebPubSubServiceClientOptions {
        retry: RetryOptions::none(),
        ..WebPubSubServiceClientOptions::default()
    };
    options.transport.read_timeout = Duration::from_millis(50);
    let error = key_client(&endpoint, "x", options).health(None).await;
    assert!(matches!(error.unwrap_err().kind(), ErrorKind::Io));
}

#[tokio::test]
async fn arguments_that_cannot_be_right_are_not_sent() {
    let fake = Fake::start([Answer::status(202)]).await;
    let service = fake.client();
    let text = || Message::text("x");
    let ttl = SendToAllOptions {
        message_ttl_seconds: Some(301),
        ..SendToAllOptions::default()
    };
    let metadata = |name: &str, value: &str| {
        Some(SendToAllOptions {
            metadata: BTreeMap::from([(name.to_owned(), value.to_owned())]),
            ..SendToAllOptions::default()
        })
    };
    let page = |size| {
        Some(ListConnectionsOptions {
            max_page_size: Some(size),
            ..ListConnectionsOptions::default()
        })
    };
    let no_groups: [&str; 0] = [];
    let errors = [
        service.send_to_all(text(), Some(ttl)).await.err(),
        service.send_to_group("", text(), None).await.err(),
        service.send_to_group("..", text(), None).await.err(),
        service.send_to_user("", text(), None).await.err(),
        service.send_to_connection(".", text(), None).await.err(),
        service
            .send_to_all(text(), metadata("a b", "1"))
            .await
            .err(),
        service.send_to_all(text(), metadata("a", "ü")).await.err(),
        service
            .send_to_all(text(), metadata("a", "1,2"))
            .await
            .err(),
        service.list_connections("room", page(0)).err(),
        service.list_connections("room", page(201)).err(),
        service
            .add_connections_to_groups(&no_groups, None)
            .await
            .err(),
        service
            .grant_permission(Permission::SendToGroup, "c1", "", None)
            .await
            .err(),
    ];
    for (index, error) in errors.into_iter().enumerate() {
        let error = error.unwrap_or_else(|| panic!("number {index} is taken"));
        assert!(matches!(error.kind(), ErrorKind::Other), "{index}: {error}");
    }
    assert!(fake.got().is_empty());
}

#[test]
fn clients_that_could_not_work_are_not_made() {
    let make = |endpoint: &str, hub: &str, proxy: Option<&str>| {
        let options = WebPubSubServiceClientOptions {
            reverse_proxy_endpoint: proxy.map(str::to_owned),
            ..WebPubSubServiceClientOptions::default()
        };
        let key = AccessKeyCredential::new("secret").unwrap();
        WebPubSubServiceClient::with_key_credential(endpoint, hub, key, Some(options))
    };
    assert!(make("https://host", "hub", None).is_ok());
    for (endpoint, hub, proxy) in [
        ("host", "hub", None),
        ("https://host", "", None),
        ("https://host", "1hub", None),
        ("https://host", "a b", None),
        ("https://host", "hub", Some("proxy")),
    ] {
        assert!(make(endpoint, hub, proxy).is_err(), "{endpoint} {hub}");
    }
    assert!(AccessKeyCredential::new("").is_err());
    for text in [
        "",
        "Endpoint=https://host;",
        "Endpoint=https://host;AuthType=aad;",
        "AccessKey=secret;",
        "Endpoint=host;AccessKey=secret;",
    ] {
        let error = WebPubSubServiceClient::with_connection_string(text, "hub", None);
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("connection string") && !error.contains("secret"),
            "{error}"
        );
    }
}

#[test]
fn names_of_kinds_are_read_and_others_refused() {
    assert_eq!(
        "Application/JSON".parse::<ContentType>().unwrap(),
        ContentType::Json
    );
    assert_eq!(
        "text/plain".parse::<ContentType>().unwrap(),
        ContentType::Text
    );
    assert!("application/xml".parse::<ContentType>().is_err());
    let permission: Permission = "SENDTOGROUP".parse().unwrap();
    assert_eq!(permission, Permission::SendToGroup);
    assert!("fly".parse::<Permission>().is_err());
    assert_eq!(
        "mqtt".parse::<ClientProtocol>().unwrap(),
        ClientProtocol::Mqtt
    );
    assert!("smtp".parse::<ClientProtocol>().is_err());
}

#[test]
fn secrets_are_not_shown() {
    let key = AccessKeyCredential::new("very-secret").unwrap();
    let service =
        WebPubSubServiceClient::with_key_credential("https://host", "hub", key.clone(), None);
    let mut options = WebPubSubServiceClientOptions::default();
    options.transport.proxy = Some("http://user:very-secret@proxy".to_owned());
    let shown = format!(
        "{key:?} {:?} {options:?} {:?}",
        service.unwrap(),
        options.transport
    );
    assert!(!shown.contains("very-secret"), "{shown}");
}

//! How the service proves who it is. Source: events-and-operations 2.4.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hubwire_protocol::event::EventFailure;
use hubwire_upstream::{
    Ask, Auth, ClientCredentials, Handler, IdentitySource, ManagedIdentity, PrivateAddresses,
    Secret, StaticHeader, Upstream, Url,
};

use crate::support::{Recorded, TestHandler, handles_all, hello, reply, settings};

fn url(text: &str) -> Url {
    Url::parse(text, PrivateAddresses::Allow).unwrap()
}

fn client_credentials(issuer: &TestHandler) -> Auth {
    Auth::ClientCredentials(ClientCredentials {
        token_url: url(&issuer.url("/token")),
        client_id: "me".to_owned(),
        client_secret: Secret::new("s&cret"),
        scope: "api/.default".to_owned(),
    })
}

fn upstream(test: &TestHandler, auth: Auth) -> Upstream {
    let handler = handles_all(&test.url("/"));
    Upstream::new(settings(Handler { auth, ..handler }))
}

/// Starts an issuer of tokens `t1`, `t2` and so on, each for so many seconds.
async fn issuer(seconds: u64) -> TestHandler {
    let issued = AtomicUsize::new(0);
    TestHandler::start(move |_| {
        let number = issued.fetch_add(1, Ordering::Relaxed) + 1;
        let body = format!(
            r#"{{"access_token":"t{number}","expires_in":{seconds},"token_type":"Bearer"}}"#
        );
        reply(200, &[("content-type", "application/json")], body)
    })
    .await
}

fn authorizations(test: &TestHandler) -> Vec<String> {
    let header = |request: &Recorded| request.header("authorization").to_owned();
    test.requests().iter().map(header).collect()
}

#[tokio::test]
async fn a_static_header_is_sent_with_every_event() {
    let test = TestHandler::answering(200, &[], "").await;
    let header = StaticHeader::new("X-Api-Key", &Secret::new("key")).unwrap();
    upstream(&test, Auth::StaticHeader(header))
        .ask(hello(), Ask::Event)
        .await
        .unwrap();
    assert_eq!(test.request().header("x-api-key"), "key");
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_used_until_it_expires() {
    let [test, issuer] = [
        TestHandler::answering(200, &[], "").await,
        issuer(3600).await,
    ];
    let upstream = upstream(&test, client_credentials(&issuer));
    let events = (0..4).map(|_| upstream.ask(hello(), Ask::Event));
    for outcome in futures_util::future::join_all(events).await {
        outcome.unwrap();
    }
    assert_eq!(authorizations(&test), ["Bearer t1"; 4]);
    let request = issuer.request();
    assert_eq!(
        (request.method.as_str(), request.uri.path()),
        ("POST", "/token")
    );
    assert_eq!(
        request.header("content-type"),
        "application/x-www-form-urlencoded"
    );
    let form =
        "grant_type=client_credentials&client_id=me&client_secret=s%26cret&scope=api%2F.default";
    assert_eq!(request.body, form);
}

#[tokio::test]
async fn a_token_that_has_expired_is_replaced() {
    let [test, issuer] = [TestHandler::answering(200, &[], "").await, issuer(0).await];
    let upstream = upstream(&test, client_credentials(&issuer));
    for _ in 0..2 {
        upstream.ask(hello(), Ask::Event).await.unwrap();
    }
    assert_eq!(authorizations(&test), ["Bearer t1", "Bearer t2"]);
}

#[tokio::test]
async fn a_token_that_the_handler_refuses_is_replaced_for_the_next_event() {
    let issuer = issuer(3600).await;
    let test = TestHandler::start(|request| match request.header("authorization") {
        "Bearer t1" => reply(401, &[], ""),
        _ => reply(200, &[], ""),
    })
    .await;
    let upstream = upstream(&test, client_credentials(&issuer));
    let rejected = EventFailure::Rejected {
        status: 401,
        error: None,
    };
    assert_eq!(upstream.ask(hello(), Ask::Event).await, Err(rejected));
    upstream.ask(hello(), Ask::Event).await.unwrap();
    assert_eq!(authorizations(&test), ["Bearer t1", "Bearer t2"]);
}

#[tokio::test]
async fn tokens_outlive_a_reload() {
    let [test, issuer] = [
        TestHandler::answering(200, &[], "").await,
        issuer(3600).await,
    ];
    let auth = client_credentials(&issuer);
    let upstream = upstream(&test, auth.clone());
    upstream.ask(hello(), Ask::Event).await.unwrap();
    let handler = handles_all(&test.url("/new"));
    upstream.replace(settings(Handler { auth, ..handler }));
    upstream.ask(hello(), Ask::Event).await.unwrap();
    assert_eq!(issuer.requests().len(), 1);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let test = TestHandler::answering(200, &[], "").await;
    for (status, attempts) in [(401, 1), (503, 4)] {
        let issuer = TestHandler::answering(status, &[], "").await;
        let upstream = upstream(&test, client_credentials(&issuer));
        assert_eq!(
            upstream.ask(hello(), Ask::Event).await,
            Err(EventFailure::Failed)
        );
        assert_eq!(issuer.requests().len(), attempts, "{status}");
    }
    for body in ["", "{}", r#"{"access_token":"a\nb"}"#] {
        let issuer = TestHandler::answering(200, &[], body).await;
        upstream(&test, client_credentials(&issuer))
            .ask(hello(), Ask::Event)
            .await
            .unwrap_err();
    }
    assert!(test.requests().is_empty());
}

#[tokio::test]
async fn the_identity_of_the_machine_comes_from_its_metadata_service() {
    let test = TestHandler::answering(200, &[], "").await;
    let body = r#"{"access_token":"mi","expires_in":"86399"}"#;
    let metadata = TestHandler::answering(200, &[], body).await;
    let auth = Auth::ManagedIdentity(ManagedIdentity {
        resource: "api://app".to_owned(),
        source: IdentitySource::InstanceMetadata {
            endpoint: Url::of_metadata_service(&metadata.url("")).unwrap(),
            client_id: Some("id".to_owned()),
        },
    });
    upstream(&test, auth)
        .ask(hello(), Ask::Event)
        .await
        .unwrap();
    assert_eq!(authorizations(&test), ["Bearer mi"]);
    let request = metadata.request();
    assert_eq!(request.header("metadata"), "true");
    let expected = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=api%3A%2F%2Fapp&client_id=id";
    assert_eq!(request.uri, expected);
    Url::of_metadata_service(IdentitySource::METADATA_ENDPOINT).unwrap();
}

#[tokio::test]
async fn a_workload_identity_exchanges_the_token_of_its_file() {
    let [test, issuer] = [
        TestHandler::answering(200, &[], "").await,
        issuer(3600).await,
    ];
    let token_file = std::env::temp_dir().join(format!("hubwire-workload-{}", issuer.port()));
    std::fs::write(&token_file, "assertion\n").unwrap();
    let auth = Auth::ManagedIdentity(ManagedIdentity {
        resource: "api://app/".to_owned(),
        source: IdentitySource::WorkloadIdentity {
            token_url: url(&issuer.url("/tenant/oauth2/v2.0/token")),
            client_id: "id".to_owned(),
            token_file: token_file.clone(),
        },
    });
    upstream(&test, auth)
        .ask(hello(), Ask::Event)
        .await
        .unwrap();
    std::fs::remove_file(&token_file).unwrap();
    assert_eq!(authorizations(&test), ["Bearer t1"]);
    let body = String::from_utf8(issuer.request().body.to_vec()).unwrap();
    assert!(body.contains("scope=api%3A%2F%2Fapp%2F.default"), "{body}");
    assert!(body.ends_with("client_assertion=assertion"), "{body}");
}

#[tokio::test]
async fn handlers_with_the_same_settings_share_a_token() {
    let [test, issuer] = [
        TestHandler::answering(200, &[], "").await,
        issuer(3600).await,
    ];
    let auth = client_credentials(&issuer);
    let mut settings = settings(Handler {
        auth,
        ..handles_all(&test.url("/"))
    });
    settings.default_hub = settings.hubs[&crate::support::hub()].clone();
    let upstream = Arc::new(Upstream::new(settings));
    upstream.ask(hello(), Ask::Event).await.unwrap();
    let mut other = hello();
    other.hub = hubwire_protocol::names::Hub::new("other").unwrap();
    upstream.ask(other, Ask::Event).await.unwrap();
    assert_eq!(issuer.requests().len(), 1);
}

/// A handler may answer `connect` with 401 for the client's sake; that must not have a token got for each client.
#[tokio::test]
async fn a_handler_that_refuses_again_and_again_costs_one_more_token() {
    let issuer = TestHandler::start(|_| {
        let body = r#"{"access_token":"t","expires_in":3600}"#;
        reply(200, &[("content-type", "application/json")], body)
    })
    .await;
    let test = TestHandler::answering(401, &[], "").await;
    let upstream = upstream(&test, client_credentials(&issuer));
    for _ in 0..5 {
        upstream.ask(hello(), Ask::Event).await.unwrap_err();
    }
    assert_eq!(issuer.requests().len(), 2);
}

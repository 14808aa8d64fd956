//! Where the service does not go, and what it does not show. Source: events-and-operations 2.4, 9.1, 10.3.

use std::sync::Arc;

use hubwire_protocol::event::EventFailure;
use hubwire_upstream::{
    Ask, Auth, PrivateAddresses, Secret, Settings, StaticHeader, TemplatePart, Upstream,
    UrlTemplate,
};

use crate::support::{Observed, TestHandler, handles_all, hello, settings, upstream};

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_refused_when_connecting_and_not_tried_again() {
    let observed = Arc::new(Observed::default());
    let test = TestHandler::answering(200, &[], "").await;
    let url = format!("http://localhost:{}/", test.port());
    let allowed = settings(handles_all(&url));
    Upstream::new(allowed.clone())
        .ask(hello(), Ask::Event)
        .await
        .unwrap();
    let denied = Upstream::new(Settings {
        private_addresses: PrivateAddresses::Deny,
        observer: observed.clone(),
        ..allowed
    });
    assert_eq!(
        denied.ask(hello(), Ask::Event).await,
        Err(EventFailure::Failed)
    );
    assert_eq!(test.requests().len(), 1);
    assert_eq!(observed.lines(), ["chat user failed"]);
}

#[tokio::test]
async fn a_literal_address_is_checked_again_when_connecting() {
    let test = TestHandler::answering(200, &[], "").await;
    let upstream = Upstream::new(Settings {
        private_addresses: PrivateAddresses::Deny,
        ..settings(handles_all(&test.url("/")))
    });
    assert_eq!(
        upstream.ask(hello(), Ask::Event).await,
        Err(EventFailure::Failed)
    );
    assert!(test.requests().is_empty());
}

#[tokio::test]
async fn short_forms_of_addresses_are_no_way_around() {
    let test = TestHandler::answering(200, &[], "").await;
    for host in ["127.1", "2130706433", "0x7f000001", "0177.0.0.1"] {
        let upstream = Upstream::new(Settings {
            private_addresses: PrivateAddresses::Deny,
            ..settings(handles_all(&format!("http://{host}:{}/", test.port())))
        });
        upstream.ask(hello(), Ask::Event).await.unwrap_err();
    }
    assert!(test.requests().is_empty());
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = TestHandler::answering(200, &[], "").await;
    let location = target.url("/");
    let test =
        TestHandler::start(move |_| crate::support::reply(307, &[("location", &location)], ""))
            .await;
    let outcome = upstream(handles_all(&test.url("/")))
        .ask(hello(), Ask::Event)
        .await;
    let rejected = EventFailure::Rejected {
        status: 307,
        error: None,
    };
    assert_eq!(outcome, Err(rejected));
    assert!(target.requests().is_empty());
}

#[tokio::test]
async fn secrets_are_in_no_debug_text() {
    let parts = [
        TemplatePart::Template("http://example.com/"),
        TemplatePart::Secret("hunter2"),
        TemplatePart::Template("/{event}?code=hunter2"),
    ];
    let mut handler = handles_all("http://example.com/?code=hunter2");
    handler.url_template = UrlTemplate::from_parts(parts, PrivateAddresses::Deny).unwrap();
    let header = StaticHeader::new("x-api-key", &Secret::new("hunter2")).unwrap();
    handler.auth = Auth::StaticHeader(header);
    assert_eq!(
        handler.url_template.to_string(),
        "http://example.com/***/{event}"
    );
    let mut settings = settings(handler);
    settings.access_keys = vec![Secret::new("hunter2")];
    assert!(!format!("{settings:?}").contains("hunter2"));
}

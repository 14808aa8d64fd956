//! Lists and their pages.

use azure_core::http::pager::PagerContinuation;
use futures_util::TryStreamExt;
use hubwire_service_client::WebPubSubServiceClientOptions;
use hubwire_service_client::models::ListConnectionsOptions;
use serde_json::json;

use crate::support::{Answer, Client, Fake, Service, key_client};

#[tokio::test]
async fn members_are_listed_one_by_one_and_by_page() {
    let running = Service::start().await;
    let service = running.client();
    let mut clients = Vec::new();
    for index in 0..5 {
        clients.push(Client::json(&service, &format!("user{index}")).await);
    }
    service
        .add_connections_to_groups(&["a/b"], None)
        .await
        .unwrap();
    let by_two = || {
        Some(ListConnectionsOptions {
            max_page_size: Some(2),
            ..ListConnectionsOptions::default()
        })
    };
    let members = service.list_connections("a/b", by_two()).unwrap();
    let members: Vec<_> = members.try_collect().await.unwrap();
    let mut found: Vec<_> = members
        .iter()
        .map(|member| member.connection_id.clone())
        .collect();
    let mut expected: Vec<_> = clients.iter().map(|client| client.id.clone()).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let mut pages = service
        .list_connections("a/b", by_two())
        .unwrap()
        .into_pages();
    let first = pages
        .try_next()
        .await
        .unwrap()
        .unwrap()
        .into_model()
        .unwrap();
    assert_eq!(first.value, members[..2]);
    let next = ListConnectionsOptions {
        continuation: pages.into_continuation(),
        ..ListConnectionsOptions::default()
    };
    let rest = service.list_connections("a/b", Some(next)).unwrap();
    assert_eq!(rest.try_collect::<Vec<_>>().await.unwrap(), members[2..]);
    let top = ListConnectionsOptions {
        top: Some(3),
        ..ListConnectionsOptions::default()
    };
    let top = service.list_connections("a/b", Some(top)).unwrap();
    assert_eq!(top.try_collect::<Vec<_>>().await.unwrap(), members[..3]);
}

fn page(next: Option<&str>) -> Answer {
    let body = json!({ "value": [{ "connectionId": "c", "userId": null }], "nextLink": next });
    Answer::status(200).body(body.to_string())
}

#[tokio::test]
async fn the_next_page_is_asked_for_through_the_proxy_and_with_the_own_version() {
    let path = "/api/hubs/chat/groups/room/connections";
    let own = format!(
        "https://service.example.com/base{path}?maxpagesize=1&api-version=2024-12-01&continuationToken=a%2B"
    );
    let other_name =
        format!("http://internal:8080{path}?continuationToken=b&api-version=2024-12-01");
    let proxy = Fake::start([page(Some(&own)), page(Some(&other_name)), page(Some(""))]).await;
    let options = WebPubSubServiceClientOptions {
        api_version: "2024-01-01".to_owned(),
        reverse_proxy_endpoint: Some(format!("{}/proxy", proxy.endpoint())),
        ..WebPubSubServiceClientOptions::default()
    };
    let service = key_client("https://service.example.com/base", "key", options);
    let members = service.list_connections("room", None).unwrap();
    assert_eq!(members.try_collect::<Vec<_>>().await.unwrap().len(), 3);
    let targets: Vec<_> = proxy.got().iter().map(|got| got.target.clone()).collect();
    let expected = [
        format!("/proxy{path}?api-version=2024-01-01"),
        format!("/proxy{path}?maxpagesize=1&continuationToken=a%2B&api-version=2024-01-01"),
        format!("/proxy{path}?continuationToken=b&api-version=2024-01-01"),
    ];
    assert_eq!(targets, expected);
    for got in proxy.got() {
        let aud = got.claims()["aud"].as_str().unwrap().to_owned();
        assert!(
            aud.starts_with("https://service.example.com/base/api/"),
            "{aud}"
        );
    }
}

#[tokio::test]
async fn a_next_page_that_leads_away_or_nowhere_new_is_an_error() {
    let foreign = "https://evil.example.com/steal?x=1";
    let fake = Fake::start([page(Some(foreign))]).await;
    let members = fake.client().list_connections("room", None).unwrap();
    let error = members.try_collect::<Vec<_>>().await.unwrap_err();
    assert!(error.to_string().contains("evil.example.com"), "{error}");
    assert_eq!(fake.got().len(), 1);
    let again = "http://x/api/hubs/chat/groups/room/connections?api-version=2024-12-01";
    let fake = Fake::start([page(Some(again))]).await;
    let members = fake.client().list_connections("room", None).unwrap();
    assert!(members.try_collect::<Vec<_>>().await.is_err());
    assert_eq!(fake.got().len(), 1);
    let link = PagerContinuation::Link(foreign.parse().unwrap());
    let options = ListConnectionsOptions {
        continuation: Some(link),
        ..ListConnectionsOptions::default()
    };
    let members = fake
        .client()
        .list_connections("room", Some(options))
        .unwrap();
    assert!(members.try_collect::<Vec<_>>().await.is_err());
    assert_eq!(fake.got().len(), 1);
}

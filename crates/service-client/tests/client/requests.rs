//! The shape of every request: method, path, query, headers, body.

use std::collections::BTreeMap;

use azure_core::http::Method;
use azure_core::http::headers::Headers;
use azure_core::http::pager::PagerContinuation;
use futures_util::TryStreamExt;
use hubwire_service_client::models::*;
use hubwire_service_client::{Message, Permission, WebPubSubServiceClientOptions};

use crate::support::{Answer, Fake, Got, key_client};

const V: &str = "api-version=2024-12-01";

/// Makes one call against a server that answers with `status`, and returns what it got.
macro_rules! got {
    ($status:expr, |$service:ident| $call:expr) => {{
        let fake = Fake::start([Answer::status($status)]).await;
        let $service = fake.client();
        $call.await.unwrap();
        fake.only()
    }};
}

fn assert_line(got: &Got, method: &str, target: String) {
    assert_eq!((got.method.as_str(), &got.target), (method, &target));
    assert!(got.header("authorization").unwrap().starts_with("Bearer "));
    let aud = format!("http://{}{target}", got.header("host").unwrap());
    assert_eq!(got.claims()["aud"], aud, "signed for the whole address");
}

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[tokio::test]
async fn sends_carry_every_option() {
    let options = || SendToAllOptions {
        excluded: strings(&["a b", "c,d"]),
        filter: Some("userId eq 'ü&'".to_owned()),
        message_ttl_seconds: Some(300),
        metadata: BTreeMap::from([("Trace".to_owned(), "7".to_owned())]),
        ..SendToAllOptions::default()
    };
    let filter = "filter=userId%20eq%20%27%C3%BC%26%27&messageTtlSeconds=300";
    let excluded = "excluded=a%20b&excluded=c%2Cd";
    let got = got!(202, |service| service
        .send_to_all(Message::text("hi"), Some(options())));
    let target = format!("/api/hubs/chat/:send?{excluded}&{V}&{filter}");
    assert_line(&got, "POST", target);
    assert_eq!(got.header("x-webpubsub-metadata-trace"), Some("7"));
    assert_eq!(got.header("content-type"), Some("text/plain"));
    assert_eq!(got.header("content-length"), Some("2"));
    assert_eq!(got.body, "hi");
    let got = got!(202, |service| service.send_to_group(
        "a/b",
        Message::text("hi"),
        Some(options())
    ));
    let target = format!("/api/hubs/chat/groups/a%2Fb/:send?{excluded}&{V}&{filter}");
    assert_line(&got, "POST", target);
    let user = SendToUserOptions {
        filter: options().filter,
        message_ttl_seconds: Some(300),
        metadata: options().metadata,
        ..SendToUserOptions::default()
    };
    let got = got!(202, |service| service.send_to_user(
        "O'Brien",
        Message::text("hi"),
        Some(user)
    ));
    let target = format!("/api/hubs/chat/users/O%27Brien/:send?{V}&{filter}");
    assert_line(&got, "POST", target);
    assert_eq!(got.header("x-webpubsub-metadata-trace"), Some("7"));
    let connection = SendToConnectionOptions {
        message_ttl_seconds: Some(0),
        metadata: options().metadata,
        ..SendToConnectionOptions::default()
    };
    let got = got!(202, |service| service.send_to_connection(
        "c1",
        Message::text("hi"),
        Some(connection)
    ));
    let target = format!("/api/hubs/chat/connections/c1/:send?{V}&messageTtlSeconds=0");
    assert_line(&got, "POST", target);
    assert_eq!(got.header("x-webpubsub-metadata-trace"), Some("7"));
}

#[tokio::test]
async fn closes_carry_every_option() {
    let options = || {
        Some(CloseConnectionsOptions {
            excluded: strings(&["c1", "c2"]),
            reason: Some("good night".to_owned()),
            ..CloseConnectionsOptions::default()
        })
    };
    let query = format!("excluded=c1&excluded=c2&reason=good%20night&{V}");
    let got = got!(204, |service| service.close_all_connections(options()));
    assert_line(
        &got,
        "POST",
        format!("/api/hubs/chat/:closeConnections?{query}"),
    );
    assert_eq!(got.header("content-length"), Some("0"));
    let got = got!(204, |service| service
        .close_group_connections("room", options()));
    let target = format!("/api/hubs/chat/groups/room/:closeConnections?{query}");
    assert_line(&got, "POST", target);
    let got = got!(204, |service| service
        .close_user_connections("alice", options()));
    let target = format!("/api/hubs/chat/users/alice/:closeConnections?{query}");
    assert_line(&got, "POST", target);
    let one = CloseConnectionOptions {
        reason: Some("good night".to_owned()),
        ..CloseConnectionOptions::default()
    };
    let got = got!(204, |service| service.close_connection("c1", Some(one)));
    let target = format!("/api/hubs/chat/connections/c1?reason=good%20night&{V}");
    assert_line(&got, "DELETE", target);
}

#[tokio::test]
async fn questions_are_asked_by_head() {
    let got = got!(200, |service| service.connection_exists("c1", None));
    assert_line(&got, "HEAD", format!("/api/hubs/chat/connections/c1?{V}"));
    let got = got!(200, |service| service.group_exists("room", None));
    assert_line(&got, "HEAD", format!("/api/hubs/chat/groups/room?{V}"));
    let got = got!(200, |service| service.user_exists("alice", None));
    assert_line(&got, "HEAD", format!("/api/hubs/chat/users/alice?{V}"));
    let got = got!(200, |service| service.health(None));
    assert_eq!(
        (got.method.as_str(), got.target.clone()),
        ("HEAD", format!("/api/health?{V}"))
    );
    assert_eq!(got.header("authorization"), None);
}

#[tokio::test]
async fn group_changes_name_group_and_member() {
    let got = got!(200, |service| service
        .add_connection_to_group("room", "c1", None));
    let member = format!("/api/hubs/chat/groups/room/connections/c1?{V}");
    assert_line(&got, "PUT", member.clone());
    assert_eq!(got.header("content-length"), Some("0"));
    let got = got!(204, |service| service
        .remove_connection_from_group("room", "c1", None));
    assert_line(&got, "DELETE", member);
    let got = got!(204, |service| service
        .remove_connection_from_all_groups("c1", None));
    assert_line(
        &got,
        "DELETE",
        format!("/api/hubs/chat/connections/c1/groups?{V}"),
    );
    let member = format!("/api/hubs/chat/users/alice/groups/room?{V}");
    let got = got!(200, |service| service
        .add_user_to_group("room", "alice", None));
    assert_line(&got, "PUT", member.clone());
    let got = got!(204, |service| service
        .remove_user_from_group("room", "alice", None));
    assert_line(&got, "DELETE", member);
    let got = got!(204, |service| service
        .remove_user_from_all_groups("alice", None));
    assert_line(
        &got,
        "DELETE",
        format!("/api/hubs/chat/users/alice/groups?{V}"),
    );
    let options = ChangeGroupsOptions {
        filter: Some("userId eq 'alice'".to_owned()),
        ..ChangeGroupsOptions::default()
    };
    let got = got!(200, |service| service
        .add_connections_to_groups(&["a", "b"], Some(options)));
    assert_line(&got, "POST", format!("/api/hubs/chat/:addToGroups?{V}"));
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert_eq!(
        got.body,
        r#"{"filter":"userId eq 'alice'","groups":["a","b"]}"#
    );
    let got = got!(200, |service| service
        .remove_connections_from_groups(&["a"], None));
    assert_line(
        &got,
        "POST",
        format!("/api/hubs/chat/:removeFromGroups?{V}"),
    );
    assert_eq!(got.body, r#"{"groups":["a"]}"#);
}

#[tokio::test]
async fn permissions_name_permission_connection_and_target() {
    let send =
        format!("/api/hubs/chat/permissions/sendToGroup/connections/c1?targetName=a%2Fb&{V}");
    let got = got!(200, |service| service.grant_permission(
        Permission::SendToGroup,
        "c1",
        "a/b",
        None
    ));
    assert_line(&got, "PUT", send.clone());
    let got = got!(204, |service| service.revoke_permission(
        Permission::SendToGroup,
        "c1",
        "a/b",
        None
    ));
    assert_line(&got, "DELETE", send);
    let got = got!(200, |service| service.has_permission(
        Permission::JoinLeaveGroup,
        "c1",
        "room",
        None
    ));
    let target = "/api/hubs/chat/permissions/joinLeaveGroup/connections/c1?targetName=room";
    assert_line(&got, "HEAD", format!("{target}&{V}"));
}

#[tokio::test]
async fn lists_carry_every_option() {
    let options = ListConnectionsOptions {
        top: Some(300),
        max_page_size: Some(5),
        continuation: Some(PagerContinuation::Token("t1".to_owned())),
        ..ListConnectionsOptions::default()
    };
    let fake = Fake::start([Answer::status(200).body("{}")]).await;
    let members = fake.client().list_connections("room", Some(options));
    let members: Vec<_> = members.unwrap().try_collect().await.unwrap();
    assert!(members.is_empty());
    let path = "/api/hubs/chat/groups/room/connections";
    let target = format!("{path}?maxpagesize=5&top=300&continuationToken=t1&{V}");
    assert_line(&fake.only(), "GET", target);
}

#[tokio::test]
async fn the_group_client_makes_the_same_requests() {
    let fake = Fake::start([
        Answer::status(202),
        Answer::status(204),
        Answer::status(200),
        Answer::status(200),
        Answer::status(204),
        Answer::status(200),
        Answer::status(204),
        Answer::status(200).body("{}"),
    ])
    .await;
    let room = fake.client().group("room");
    room.send_to_all(Message::text("hi"), None).await.unwrap();
    room.close_all_connections(None).await.unwrap();
    assert!(room.exists(None).await.unwrap());
    room.add_connection("c1", None).await.unwrap();
    room.remove_connection("c1", None).await.unwrap();
    room.add_user("alice", None).await.unwrap();
    room.remove_user("alice", None).await.unwrap();
    let members = room.list_connections(None).unwrap();
    assert!(members.try_collect::<Vec<_>>().await.unwrap().is_empty());
    let lines: Vec<String> = fake
        .got()
        .iter()
        .map(|got| format!("{} {}", got.method, got.target))
        .collect();
    let hub = "/api/hubs/chat";
    let expected = [
        format!("POST {hub}/groups/room/:send?{V}"),
        format!("POST {hub}/groups/room/:closeConnections?{V}"),
        format!("HEAD {hub}/groups/room?{V}"),
        format!("PUT {hub}/groups/room/connections/c1?{V}"),
        format!("DELETE {hub}/groups/room/connections/c1?{V}"),
        format!("PUT {hub}/users/alice/groups/room?{V}"),
        format!("DELETE {hub}/users/alice/groups/room?{V}"),
        format!("GET {hub}/groups/room/connections?{V}"),
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_call_can_name_its_own_headers_id_and_version() {
    let mut headers = Headers::new();
    headers.insert("x-extra", "1");
    headers.insert("accept", "text/json");
    let request = RequestOptions {
        headers,
        client_request_id: Some("my-id".to_owned()),
        api_version: Some("2024-01-01".to_owned()),
        ..RequestOptions::default()
    };
    let got = got!(204, |service| service
        .remove_user_from_all_groups("alice", Some(request)));
    assert_eq!(
        got.target,
        "/api/hubs/chat/users/alice/groups?api-version=2024-01-01"
    );
    assert_eq!(got.header("x-extra"), Some("1"));
    assert_eq!(got.header("accept"), Some("text/json"));
    assert_eq!(got.header("x-ms-client-request-id"), Some("my-id"));
}

#[tokio::test]
async fn requests_say_what_sends_them() {
    let got = got!(204, |service| service.close_all_connections(None));
    let agent = got.header("user-agent").unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        agent.contains(&format!("hubwire-service-client/{version}")),
        "{agent}"
    );
    assert_eq!(got.header("accept"), Some("application/json"));
    assert_eq!(got.header("x-ms-client-request-id").unwrap().len(), 36);
    let fake = Fake::start([Answer::status(204)]).await;
    let service = fake.client_with(WebPubSubServiceClientOptions {
        user_agent: Some("mine/1".to_owned()),
        api_version: "2021-10-01".to_owned(),
        user: Some("ops".to_owned()),
        ..WebPubSubServiceClientOptions::default()
    });
    service.close_all_connections(None).await.unwrap();
    let got = fake.only();
    assert_eq!(got.header("user-agent"), Some("mine/1"));
    assert!(got.target.ends_with("?api-version=2021-10-01"));
    let name = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name";
    assert_eq!(got.claims()[name], "ops");
}

#[tokio::test]
async fn any_request_can_be_sent_and_any_answer_is_returned() {
    let fake = Fake::start([Answer::status(418).body("tea")]).await;
    let service = fake.client();
    let mut request = service.request(Method::Get, "/api/new?x=1").unwrap();
    request.insert_header("x-own", "2");
    let response = service.send_request(request, None).await.unwrap();
    assert_eq!(*response.status(), 418);
    assert_eq!(response.body().as_ref(), b"tea");
    let got = fake.only();
    assert_line(&got, "GET", "/api/new?x=1".to_owned());
    assert_eq!(got.header("x-own"), Some("2"));
    assert!(service.request(Method::Get, "api/new").is_err());
}

#[tokio::test]
async fn nothing_is_signed_for_another_host() {
    let home = Fake::start([Answer::status(200)]).await;
    let foreign = Fake::start([Answer::status(200)]).await;
    let service = home.client();
    let other = key_client(&foreign.endpoint(), "x", Default::default());
    let request = other.request(Method::Get, "/api/new").unwrap();
    let error = service.send_request(request, None).await.unwrap_err();
    assert!(error.to_string().contains(&foreign.endpoint()), "{error}");
    assert!(foreign.got().is_empty() && home.got().is_empty());
}

//! The handshake: client-protocols 12, items 1 to 17 and 26 to 30, and the first delivery of item 18.

use std::time::Duration;

use futures_util::SinkExt;
use hubwire_server::config::{AnonymousConnectPolicy, DEVELOPMENT_KEY, Secret};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_websockets::{CloseCode, Message};

use crate::support::{ALL_ROLES, Answer, JSON, PATIENCE, Received, Service, sign, unix_seconds};

const NAME_IDENTIFIER: &str =
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier";
const LONG_ROLE: &str = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role";
const GOOD_HEADERS: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// Item 1.
#[tokio::test]
async fn a_valid_token_upgrades() {
    let service = Service::start().await;
    let answer = service
        .handshake(&service.client_path("chat", json!({})), "")
        .await;
    assert_eq!(answer.status, 101);
    assert_eq!(
        answer.header("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert_eq!(answer.header("sec-websocket-protocol"), None);
}

/// Item 1: browsers and proxies write the headers in their own ways.
#[tokio::test]
async fn upgrade_headers_are_lists_without_letter_case() {
    let service = Service::start().await;
    let path = service.client_path("chat", json!({}));
    let variants = [
        ("Connection", "keep-alive, Upgrade"),
        ("Connection", "upgrade"),
        ("Upgrade", "WebSocket"),
    ];
    for (name, value) in variants {
        let answer = upgrade_with(&service, &path, name, Some(value)).await;
        assert_eq!(answer.status, 101, "{name}: {value}");
    }
}

/// Item 2.
#[tokio::test]
async fn the_hub_may_stand_in_the_query() {
    let service = Service::start().await;
    let token = service.token("chat", json!({ "sub": "alice" }));
    for path in ["/client/", "/client"] {
        let path = format!("{path}?hub=chat&access_token={token}");
        let mut client = service.connect_path(&path, &[JSON]).await;
        assert_eq!(client.json().await["userId"], "alice", "{path}");
        service
            .send("/api/hubs/chat/:send", "text/plain", b"hi")
            .await;
        assert_eq!(client.json().await["data"], "hi", "{path}");
    }
}

/// Item 2: the audiences of section 1.3 for this form.
#[tokio::test]
async fn with_the_hub_in_the_query_the_audience_may_leave_it_out() {
    let service = Service::start().await;
    let origin = format!("http://{}", service.addr);
    let table = [
        (format!("{origin}/client"), 101),
        (format!("{origin}/client/"), 101),
        (format!("{origin}/client?hub=chat"), 101),
        (format!("{origin}/client/?hub=CHAT"), 101),
        (format!("{origin}/client/hubs/chat"), 101),
        (format!("{origin}/client?hub=other"), 401),
        (format!("{origin}/client/hubs/other"), 401),
        (origin.clone(), 401),
    ];
    for (audience, status) in table {
        let token = service.token("chat", json!({ "aud": audience }));
        let path = format!("/client/?hub=chat&access_token={token}");
        let answer = service.handshake(&path, "").await;
        assert_eq!(answer.status, status, "{audience}");
    }
    let token = service.token("chat", json!({ "aud": format!("{origin}/client") }));
    let path = format!("/client/hubs/chat?access_token={token}");
    assert_eq!(service.handshake(&path, "").await.status, 401);
}

/// Item 3.
#[tokio::test]
async fn a_request_that_is_no_upgrade_is_bad() {
    let service = Service::start().await;
    let path = service.client_path("chat", json!({}));
    assert_eq!(service.request("GET", &path, "", b"").await.status, 400);
    let faults = [
        ("Connection", None),
        ("Connection", Some("keep-alive")),
        ("Upgrade", None),
        ("Upgrade", Some("h2c")),
        ("Sec-WebSocket-Key", None),
        ("Sec-WebSocket-Key", Some("")),
        ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZQ==")),
        ("Sec-WebSocket-Key", Some("!!!!!!!!!!!!!!!!!!!!!!==")),
    ];
    for (name, value) in faults {
        let answer = upgrade_with(&service, &path, name, value).await;
        assert_eq!(answer.status, 400, "{name}: {value:?}");
    }
    for line in [
        format!("POST {path} HTTP/1.1"),
        format!("GET {path} HTTP/1.0"),
    ] {
        let answer = upgrade(&service, &line, &GOOD_HEADERS).await;
        assert_eq!(answer.status, 400, "{line}");
    }
}

/// Item 3: the only version is 13, and the answer says so.
#[tokio::test]
async fn another_websocket_version_is_told_the_right_one() {
    let service = Service::start().await;
    let path = service.client_path("chat", json!({}));
    for version in ["8", "14", "x"] {
        let answer = upgrade_with(&service, &path, "Sec-WebSocket-Version", Some(version)).await;
        assert_eq!(answer.status, 426, "{version}");
        assert_eq!(answer.header("sec-websocket-version"), Some("13"));
    }
}

/// Item 4.
#[tokio::test]
async fn an_invalid_hub_name_is_bad() {
    let service = Service::start().await;
    let too_long = "a".repeat(129);
    for hub in [
        "1chat",
        "_chat",
        "a-b",
        "a%20b",
        "a%2Fb",
        "%2563hat",
        "caf%C3%A9",
        &too_long,
    ] {
        let path = format!("/client/hubs/{hub}");
        assert_eq!(service.handshake(&path, "").await.status, 400, "{path}");
    }
    for path in [
        "/client",
        "/client/",
        "/client?hub=",
        "/client/?hub=%20",
        "/client/?hub=a-b",
    ] {
        assert_eq!(service.handshake(path, "").await.status, 400, "{path}");
    }
}

/// Item 4: the longest name and every character that may be in one.
#[tokio::test]
async fn every_valid_hub_name_upgrades() {
    let service = Service::start().await;
    for hub in ["a", &"a".repeat(128), "Chat_1`,.[]"] {
        let token = service.token(hub, json!({}));
        let escaped = hub.replace('`', "%60").replace('[', "%5B");
        let path = format!("/client/hubs/{escaped}?access_token={token}");
        assert_eq!(service.handshake(&path, "").await.status, 101, "{hub}");
    }
}

/// Item 5.
#[tokio::test]
async fn hub_names_have_no_letter_case() {
    let service = Service::start().await;
    let mut lower = service.simple("chat", json!({})).await;
    let mut upper = service.simple("CHAT", json!({})).await;
    let token = service.token("chat", json!({}));
    let path = format!("/client/hubs/Chat?access_token={token}");
    let mut mixed = service.connect_path(&path, &[]).await;
    service
        .send("/api/hubs/cHAT/:send", "text/plain", b"hi")
        .await;
    for client in [&mut lower, &mut upper, &mut mixed] {
        assert_eq!(client.text().await, "hi");
    }
}

/// Item 5: the path is percent-decoded before the hub is looked up.
#[tokio::test]
async fn a_percent_encoded_hub_is_the_same_hub() {
    let service = Service::start().await;
    let token = service.token("chat", json!({}));
    let path = format!("/client/hubs/%63ha%74?access_token={token}");
    let mut client = service.connect_path(&path, &[]).await;
    service
        .send("/api/hubs/chat/:send", "text/plain", b"hi")
        .await;
    assert_eq!(client.text().await, "hi");
}

/// Item 6.
#[tokio::test]
async fn without_a_token_a_hub_is_closed() {
    let service = Service::start().await;
    for path in ["/client/hubs/chat", "/client/hubs/chat?access_token="] {
        let answer = service.handshake(path, "").await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (401, ""),
            "{answer:?}"
        );
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
}

/// Item 7.
#[tokio::test]
async fn a_token_signed_with_another_key_is_refused() {
    let service = Service::start().await;
    let claims = claims(&service);
    let answer = with_token(&service, &sign(&claims, &"x".repeat(44))).await;
    assert_eq!((answer.status, answer.body.as_str()), (401, ""));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

/// Item 7: nothing but HS256 signs, and text that is no token is refused in the same way.
#[tokio::test]
async fn a_malformed_token_is_refused() {
    let service = Service::start().await;
    let claims = claims(&service);
    let key = EncodingKey::from_secret(DEVELOPMENT_KEY.as_bytes());
    let other_algorithm =
        jsonwebtoken::encode(&Header::new(Algorithm::HS512), &claims, &key).unwrap();
    let good = sign(&claims, DEVELOPMENT_KEY);
    let (signed, _) = good.rsplit_once('.').unwrap();
    // The header says {"alg":"none"}.
    let (_, body) = signed.split_once('.').unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIn0.{body}.");
    let cut = format!("{signed}.");
    for token in ["x", "x.y.z", "..", &other_algorithm, &unsigned, &cut] {
        assert_eq!(with_token(&service, token).await.status, 401, "{token}");
    }
}

/// Item 8.
#[tokio::test]
async fn the_secondary_key_signs_too() {
    let secondary = "s".repeat(44);
    let key = Secret::new(secondary.as_str());
    let service = Service::start_with(|config| config.keys.secondary = Some(key)).await;
    let claims = claims(&service);
    for key in [DEVELOPMENT_KEY, &secondary] {
        assert_eq!(with_token(&service, &sign(&claims, key)).await.status, 101);
    }
}

/// Item 9.
#[tokio::test]
async fn a_token_for_another_audience_is_refused() {
    let service = Service::start().await;
    let host = service.addr;
    let audiences = [
        json!(format!("http://{host}/client/hubs/other")),
        json!(format!("http://{host}/client/hubs/chat/more")),
        json!(format!("http://{host}/client/hubs")),
        json!(format!("http://{host}/api/hubs/chat")),
        json!(format!("http://{host}")),
        json!("http://example.com/client/hubs/chat"),
        json!("/client/hubs/chat"),
        json!([]),
        json!(null),
    ];
    for audience in audiences {
        let token = service.token("chat", json!({ "aud": audience }));
        let answer = with_token(&service, &token).await;
        assert_eq!(answer.status, 401, "{audience}");
    }
}

/// Item 9: scheme and letter case do not matter, and one audience of several is enough.
#[tokio::test]
async fn an_audience_is_compared_without_scheme_and_letter_case() {
    let service = Service::start().await;
    let host = service.addr;
    let audiences = [
        json!(format!("https://{host}/client/hubs/chat")),
        json!(format!("ws://{host}/client/hubs/chat")),
        json!(format!("WSS://{host}/Client/Hubs/CHAT")),
        json!([
            "http://example.com",
            format!("http://{host}/client/hubs/chat")
        ]),
    ];
    for audience in audiences {
        let token = service.token("chat", json!({ "aud": audience }));
        let answer = with_token(&service, &token).await;
        assert_eq!(answer.status, 101, "{audience}");
    }
}

/// Item 9: behind a proxy the audience names the public endpoint, not the host of the request.
#[tokio::test]
async fn a_token_for_a_public_endpoint_is_accepted() {
    let service = Service::start_with(|config| {
        config.public_endpoints = vec!["https://pubsub.example.com".parse().unwrap()];
    })
    .await;
    for (audience, status) in [
        ("https://pubsub.example.com/client/hubs/chat", 101),
        ("wss://pubsub.example.com:443/client/hubs/chat", 101),
        ("https://other.example.com/client/hubs/chat", 401),
    ] {
        let token = service.token("chat", json!({ "aud": audience }));
        let answer = with_token(&service, &token).await;
        assert_eq!(answer.status, status, "{audience}");
    }
}

/// Item 10.
#[tokio::test]
async fn the_times_of_a_token_may_be_off_by_five_minutes() {
    let service = Service::start().await;
    let now = unix_seconds();
    let table = [
        (json!({ "exp": now - 310 }), 401),
        (json!({ "exp": now - 290 }), 101),
        (json!({ "nbf": now + 310 }), 401),
        (json!({ "nbf": now + 290 }), 101),
    ];
    for (times, status) in table {
        let token = service.token("chat", times.clone());
        let answer = with_token(&service, &token).await;
        assert_eq!(answer.status, status, "{times}");
    }
}

/// Item 11.
#[tokio::test]
async fn a_token_without_an_expiry_is_refused() {
    let service = Service::start().await;
    let mut claims = claims(&service);
    claims.as_object_mut().unwrap().remove("exp");
    let answer = with_token(&service, &sign(&claims, DEVELOPMENT_KEY)).await;
    assert_eq!(answer.status, 401);
}

/// Item 12.
#[tokio::test]
async fn the_token_may_come_in_a_header_and_the_query_wins() {
    let service = Service::start().await;
    let good = service.token("chat", json!({}));
    let bad = service.token("other", json!({}));
    let table = [
        (String::new(), format!("Bearer {good}"), 101),
        (String::new(), format!("bearer {good}"), 101),
        (String::new(), format!("Basic {good}"), 401),
        (String::new(), format!("Bearer {bad}"), 401),
        (
            format!("?access_token={good}"),
            format!("Bearer {bad}"),
            101,
        ),
        (
            format!("?access_token={bad}"),
            format!("Bearer {good}"),
            401,
        ),
        ("?access_token=".to_owned(), format!("Bearer {good}"), 101),
    ];
    for (query, authorization, status) in table {
        let path = format!("/client/hubs/chat{query}");
        let head = format!("Authorization: {authorization}\r\n");
        let answer = service.handshake(&path, &head).await;
        assert_eq!(answer.status, status, "{path}, {authorization}");
    }
}

/// Item 13.
#[tokio::test]
async fn names_of_query_parameters_have_no_letter_case() {
    let service = Service::start().await;
    let token = service.token("chat", json!({}));
    for path in [
        format!("/client/hubs/chat?ACCESS_TOKEN={token}"),
        format!("/client/hubs/chat?Access_Token={token}"),
        format!("/client/?HUB=chat&ACCESS_TOKEN={token}"),
    ] {
        assert_eq!(service.handshake(&path, "").await.status, 101, "{path}");
    }
}

/// Item 14.
#[tokio::test]
async fn an_anonymous_hub_takes_no_token_but_no_bad_one() {
    let service = Service::start_with_hub(|hub| {
        hub.anonymous_connect_policy = AnonymousConnectPolicy::Allow;
    })
    .await;
    let mut client = service.connect_path("/client/hubs/chat", &[JSON]).await;
    assert_eq!(client.json().await["userId"], Value::Null);
    let ack = client
        .request(json!({ "type": "joinGroup", "group": "room", "ackId": 1 }))
        .await;
    assert_eq!(ack["error"]["name"], "Forbidden");

    let bad = service.token("other", json!({}));
    let head = format!("Authorization: Bearer {bad}\r\n");
    assert_eq!(with_token(&service, &bad).await.status, 401);
    let answer = service.handshake("/client/hubs/chat", &head).await;
    assert_eq!(answer.status, 401);
    let good = service.token("chat", json!({}));
    assert_eq!(with_token(&service, &good).await.status, 101);
}

/// Item 15.
#[tokio::test]
async fn an_invalid_group_in_the_token_is_bad() {
    let service = Service::start().await;
    let too_long = "g".repeat(1025);
    for groups in [
        json!(""),
        json!(" "),
        json!(["room", "\t "]),
        json!(too_long),
    ] {
        let token = service.token("chat", json!({ "webpubsub.group": groups }));
        let answer = with_token(&service, &token).await;
        assert_eq!(answer.status, 400, "{groups}");
        assert_eq!(answer.body, "The token contains an invalid group name.");
    }
}

/// Item 16.
#[tokio::test]
async fn groups_in_the_token_are_joined() {
    let service = Service::start().await;
    let of_text = json!({ "webpubsub.group": "room" });
    let of_list = json!({ "webpubsub.group": ["room", "other"] });
    for claims in [of_text, of_list] {
        let mut client = service.json("chat", claims).await;
        service
            .send("/api/hubs/chat/groups/room/:send", "text/plain", b"hi")
            .await;
        assert_eq!(client.json().await["group"], "room");
    }
}

/// Item 16: `group` is a claim of the MQTT endpoint only.
#[tokio::test]
async fn the_short_group_claim_joins_nothing() {
    let service = Service::start().await;
    let mut client = service.json("chat", json!({ "group": "room" })).await;
    service
        .send("/api/hubs/chat/groups/room/:send", "text/plain", b"hi")
        .await;
    client.expect_nothing().await;
}

/// Item 17: the token has expired when a new handshake with it fails.
#[tokio::test]
async fn a_connection_outlives_its_token() {
    let service = Service::start_with(|config| config.auth.clock_skew = Duration::ZERO).await;
    let claims = json!({ "exp": unix_seconds() + 2 });
    let path = service.client_path("chat", claims);
    let mut client = service.connect_path(&path, &[JSON]).await;
    assert_eq!(client.json().await["event"], "connected");
    // The bad mode is looked at after the token, so that no attempt connects.
    let attempt = format!("{path}&webpubsub_mode=none");
    let expired = async { while service.handshake(&attempt, "").await.status != 401 {} };
    timeout(PATIENCE, expired).await.unwrap();
    client.expect_nothing().await;
}

/// Item 18, as far as it needs no handler: what is sent once the 101 is seen arrives.
#[tokio::test]
async fn a_simple_client_receives_from_the_101_on() {
    let service = Service::start().await;
    let claims = json!({ "webpubsub.group": "room" });
    let mut client = service.simple("chat", claims).await;
    service
        .send("/api/hubs/chat/:send", "text/plain", b"all")
        .await;
    service
        .send("/api/hubs/chat/groups/room/:send", "text/plain", b"group")
        .await;
    assert_eq!(client.text().await, "all");
    assert_eq!(client.text().await, "group");
}

/// Item 26.
#[tokio::test]
async fn a_client_that_offers_unknown_subprotocols_is_a_simple_one() {
    let service = Service::start().await;
    let path = service.client_path("chat", json!({}));
    let mut client = service.connect_path(&path, &["custom", "other.v2"]).await;
    assert_eq!(client.subprotocol, None);
    service
        .send("/api/hubs/chat/:send", "text/plain", b"hi")
        .await;
    assert_eq!(client.text().await, "hi");
}

/// Item 27.
#[tokio::test]
async fn the_first_known_subprotocol_is_selected() {
    let service = Service::start().await;
    let path = service.client_path("chat", json!({}));
    let mut client = service
        .connect_path(&path, &["custom", JSON, "other"])
        .await;
    assert_eq!(client.subprotocol.as_deref(), Some(JSON));
    assert_eq!(client.json().await["event"], "connected");
}

/// Item 27: a list may be spread over several header lines.
#[tokio::test]
async fn subprotocols_are_read_from_every_header_line() {
    let service = Service::start().await;
    let path = service.client_path("chat", json!({}));
    let head =
        format!("Sec-WebSocket-Protocol: custom\r\nSec-WebSocket-Protocol: other,{JSON}\r\n");
    let answer = service.handshake(&path, &head).await;
    assert_eq!(answer.header("sec-websocket-protocol"), Some(JSON));
}

/// Item 29, and for two spellings of a name the order of item 28.
#[tokio::test]
async fn a_subprotocol_is_echoed_as_the_client_spells_it() {
    let service = Service::start().await;
    let path = service.client_path("chat", json!({}));
    let upper = JSON.to_ascii_uppercase();
    for offered in [&[upper.as_str()][..], &[&upper, JSON]] {
        let mut client = service.connect_path(&path, offered).await;
        assert_eq!(client.subprotocol.as_deref(), Some(upper.as_str()));
        assert_eq!(client.json().await["event"], "connected");
    }
}

/// Item 30.
#[tokio::test]
async fn connected_comes_first_and_only_with_a_subprotocol() {
    let service = Service::start().await;
    let path = service.client_path("chat", json!({ "webpubsub.group": "room" }));
    let mut json_client = service.connect_path(&path, &[JSON]).await;
    let mut simple = service.connect_path(&path, &[]).await;
    service
        .send("/api/hubs/chat/groups/room/:send", "text/plain", b"hi")
        .await;
    assert_eq!(json_client.json().await["event"], "connected");
    assert_eq!(json_client.json().await["data"], "hi");
    assert_eq!(simple.text().await, "hi");
}

/// Section 1.3: where a user id may stand, and which one counts.
#[tokio::test]
async fn the_user_is_the_subject_or_else_the_name_identifier() {
    let service = Service::start().await;
    let table = [
        (json!({ "sub": "alice" }), json!("alice")),
        (json!({ "nameid": "bob" }), json!("bob")),
        (json!({ NAME_IDENTIFIER: "carol" }), json!("carol")),
        (json!({ "sub": "alice", "nameid": "bob" }), json!("alice")),
        (json!({ "sub": "" }), json!(null)),
        (json!({}), json!(null)),
    ];
    for (claims, user) in table {
        let path = service.client_path("chat", claims.clone());
        let mut client = service.connect_path(&path, &[JSON]).await;
        assert_eq!(client.json().await["userId"], user, "{claims}");
    }
}

/// Section 1.3: roles come as text or as a list, under the short or the long name.
#[tokio::test]
async fn roles_are_read_in_every_form() {
    let service = Service::start().await;
    let forms = [
        json!({ "role": ALL_ROLES[0] }),
        json!({ "role": ALL_ROLES }),
        json!({ LONG_ROLE: ALL_ROLES[0] }),
        json!({ LONG_ROLE: ALL_ROLES }),
    ];
    for claims in forms {
        let mut client = service.json("chat", claims).await;
        client.join("room").await;
    }
}

/// Section 1.4: each step is only looked at when those before it are passed.
#[tokio::test]
async fn handshakes_are_checked_in_order() {
    let service = Service::start().await;
    let bad_group = service.token("chat", json!({ "webpubsub.group": " " }));
    let good = service.token("chat", json!({}));
    let table = [
        ("/client/hubs/a-b?access_token=bad".to_owned(), 400),
        (
            "/client/hubs/chat?access_token=bad&webpubsub_mode=x".to_owned(),
            401,
        ),
        (
            format!("/client/hubs/chat?webpubsub_mode=x&access_token={good}"),
            400,
        ),
    ];
    for (path, status) in table {
        assert_eq!(service.handshake(&path, "").await.status, status, "{path}");
    }
    let answer = service.request("GET", "/client/hubs/chat", "", b"").await;
    assert_eq!(answer.status, 400);
    let path = format!("/client/hubs/chat?webpubsub_mode=x&access_token={bad_group}");
    let answer = service.handshake(&path, "").await;
    assert_eq!(answer.body, "The token contains an invalid group name.");
}

/// Section 1.4, step 8: a place is free again as soon as a client has left.
#[tokio::test]
async fn beyond_the_quota_clients_are_to_come_back_later() {
    let service = Service::start_with(|config| config.limits.connections_max = 1).await;
    let mut first = service.simple("chat", json!({})).await;
    let answer = service
        .handshake(&service.client_path("chat", json!({})), "")
        .await;
    assert_eq!(answer.status, 429);
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds > 0);

    let close = Message::close(Some(CloseCode::NORMAL_CLOSURE), "");
    first.socket.send(close).await.unwrap();
    assert_eq!(first.next().await, Received::Close(1000, String::new()));
    service.simple("chat", json!({})).await;
}

/// Section 1.4, ours: a hub may name the pages that connect to it.
#[tokio::test]
async fn pages_of_other_origins_are_refused_where_a_hub_lists_its_own() {
    let service = Service::start_with_hub(|hub| {
        hub.allowed_origins = vec!["https://app.example.com".to_owned()];
    })
    .await;
    let path = service.client_path("chat", json!({}));
    for (head, status) in [
        ("Origin: https://app.example.com\r\n", 101),
        ("Origin: HTTPS://App.Example.com\r\n", 101),
        ("", 101),
        ("Origin: http://app.example.com\r\n", 403),
        ("Origin: https://app.example.com.evil.example\r\n", 403),
        ("Origin: null\r\n", 403),
    ] {
        assert_eq!(
            service.handshake(&path, head).await.status,
            status,
            "{head}"
        );
    }
}

/// Section 1.4, ours: without a list, and with `*` in it, every page may connect.
#[tokio::test]
async fn every_origin_may_connect_unless_a_hub_says_otherwise() {
    for allowed_origins in [vec![], vec!["*".to_owned()]] {
        let service = Service::start_with_hub(|hub| hub.allowed_origins = allowed_origins).await;
        let path = service.client_path("chat", json!({}));
        let answer = service
            .handshake(&path, "Origin: https://any.example.com\r\n")
            .await;
        assert_eq!(answer.status, 101);
    }
}

/// Section 1.1: no other path below `/client` is an endpoint.
#[tokio::test]
async fn other_paths_are_not_found() {
    let service = Service::start().await;
    for path in ["/client/hubs", "/client/hubs/chat/more", "/client/chat"] {
        assert_eq!(service.handshake(path, "").await.status, 404, "{path}");
    }
}

/// The claims of a good token of the hub `chat`.
fn claims(service: &Service) -> Value {
    json!({
        "aud": format!("http://{}/client/hubs/chat", service.addr),
        "exp": unix_seconds() + 3600,
    })
}

/// Asks the hub `chat` for an upgrade with this token.
async fn with_token(service: &Service, token: &str) -> Answer {
    let path = format!("/client/hubs/chat?access_token={token}");
    service.handshake(&path, "").await
}

/// Asks for an upgrade in which one header has another value, or none.
async fn upgrade_with(service: &Service, path: &str, name: &str, value: Option<&str>) -> Answer {
    let headers: Vec<_> = GOOD_HEADERS
        .into_iter()
        .filter(|(known, _)| *known != name)
        .chain(value.map(|value| (name, value)))
        .collect();
    upgrade(service, &format!("GET {path} HTTP/1.1"), &headers).await
}

async fn upgrade(service: &Service, line: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = format!("{line}\r\nHost: {}\r\n", service.addr);
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    service.raw(request.as_bytes()).await
}

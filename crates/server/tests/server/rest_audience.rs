//! Who may call: rest-api 3.1 to 3.3, items 2 and 3 of its acceptance checklist.

use std::time::Duration;

use hubwire_server::config::{AudienceHost, DEVELOPMENT_KEY, Endpoint, Secret};
use serde_json::{Value, json};

use crate::rest_tokens::claims_of;
use crate::support::rest::assert_bad_parameter;
use crate::support::{Client, JSON, Service, sign, unix_seconds};

const GROUP: &str = "/api/hubs/chat/groups/room/:send";
const ALL: &str = "/api/hubs/chat/:send";
const OTHER_KEY: &str = "another key of more than thirty-two bytes";

/// Acceptance 2.
#[tokio::test]
async fn an_audience_that_covers_the_path_is_accepted() {
    let service = Service::start().await;
    let host = service.addr.to_string();
    let url = format!("{host}{GROUP}");
    let covering = [
        format!("http://{url}?api-version=2024-12-01&filter=x%20y"),
        format!("http://{url}?"),
        format!("http://{url}"),
        format!("https://{url}"),
        format!("ws://{url}"),
        format!("wss://{url}"),
        format!("HTTP://{}", url.to_uppercase()),
        format!("http://{url}/"),
        format!("http://{url}/?x=y"),
        format!("http://{url}/child"),
        format!("http://{url}/child/and/more?x=y"),
        format!("http://{host}/api/hubs/chat/groups/room"),
        format!("http://{host}/api/hubs/chat/groups/room?x"),
        format!("http://{host}/api/hubs/%63hat/groups/r%6Fom/%3Asend"),
    ];
    for audience in &covering {
        for query in ["", "?api-version=2024-12-01", "/?messageTtlSeconds=1"] {
            let path = format!("{GROUP}{query}");
            let status = status_for(&service, &path, json!(audience)).await;
            assert_eq!(status, 202, "{audience} for {path}");
        }
    }
    let list = json!(["https://elsewhere.example", 7, covering[0]]);
    assert_eq!(status_for(&service, GROUP, list).await, 202);
    // The product's documentation leaves the action out.
    let documented = json!(format!("http://{host}/api/hubs/chat"));
    assert_eq!(status_for(&service, ALL, documented).await, 202);
}

/// Acceptance 2.
#[tokio::test]
async fn an_audience_that_does_not_cover_the_path_is_refused() {
    let service = Service::start().await;
    let mut witness = service.simple("chat", json!({})).await;
    let host = service.addr.to_string();
    let url = format!("{host}{GROUP}");
    let others = [
        json!(format!("ftp://{url}")),
        json!(format!("//{url}")),
        json!(url),
        json!(GROUP),
        json!(format!("http://{host}{GROUP}x")),
        json!(format!("http://{host}/api/hubs/chat/groups/room/:sen")),
        json!(format!("http://{host}/api/hubs/chat/groups/roo/:send")),
        json!(format!("http://{host}/api/hubs/chat/groups/room1/:send")),
        json!(format!("http://{host}/api/hubs/chat/groups/room1")),
        json!(format!("http://{host}/api/hubs/chat/groups/room/more")),
        json!(format!("http://{host}/api/hubs/other/groups/room/:send")),
        json!(format!("http://{host}/api/hubs/chat/groups")),
        json!(format!("http://{host}/api/hubs/chat")),
        json!(format!("http://{host}/api")),
        json!(format!("http://{host}/")),
        json!(format!("http://{host}")),
        json!(format!("http://{host}/x?{GROUP}")),
        json!(format!("http://elsewhere.example{GROUP}")),
        json!(format!("http://127.0.0.1{GROUP}")),
        json!(format!("http://elsewhere.example@{url}")),
        json!(""),
        json!([]),
        json!(["", "http://elsewhere.example"]),
        json!(7),
        json!({ "aud": format!("http://{url}") }),
        Value::Null,
    ];
    for audience in others {
        let status = status_for(&service, GROUP, audience.clone()).await;
        assert_eq!(status, 401, "{audience}");
        let status = status_for(&service, ALL, audience.clone()).await;
        let is_documented = audience == json!(format!("http://{host}/api/hubs/chat"));
        assert_eq!(status, if is_documented { 202 } else { 401 }, "{audience}");
        if is_documented {
            witness.next().await;
        }
    }
    service.mark("chat", "the only one").await;
    witness.expect_mark("the only one").await;
}

/// Acceptance 2: escapes are compared by what they mean.
#[tokio::test]
async fn an_audience_may_be_escaped_in_another_way_than_the_path() {
    let service = Service::start().await;
    let path = "/api/hubs/chat%5B1%5D/groups/room%2Fpart%20%C3%BC/:send";
    for spelling in [
        path,
        "/api/hubs/chat%5b1%5d/groups/room%2fpart%20%c3%bc/:send",
        "/api/hubs/chat[1]/groups/room%2Fpart%20ü/:send",
        "/api/hubs/chat[1]/groups/room%2Fpart ü/%3Asend",
    ] {
        let audience = json!(format!("http://{}{spelling}", service.addr));
        assert_eq!(
            status_for(&service, path, audience).await,
            202,
            "{spelling}"
        );
    }
    for other in [
        "/api/hubs/chat[1]/groups/room%2Fparty%20ü/:send",
        "/api/hubs/chat[1]/groups/room%2Fpart+ü/:send",
        "/api/hubs/chat1/groups/room%2Fpart%20ü/:send",
    ] {
        let audience = json!(format!("http://{}{other}", service.addr));
        assert_eq!(status_for(&service, path, audience).await, 401, "{other}");
    }
}

/// Acceptance 2: the clocks of caller and service may differ by five minutes.
#[tokio::test]
async fn the_times_of_a_token_are_checked_with_five_minutes_of_skew() {
    let service = Service::start().await;
    let now = unix_seconds();
    let table = [
        (json!({ "exp": now - 200 }), 202),
        (json!({ "exp": now - 301 }), 401),
        (json!({ "exp": now - 86_400 }), 401),
        (json!({}), 401),
        (json!({ "exp": "soon" }), 401),
        (json!({ "exp": now + 60, "nbf": now + 200 }), 202),
        (json!({ "exp": now + 9000, "nbf": now + 5000 }), 401),
        (json!({ "exp": now + 60, "iat": now + 9000 }), 202),
        (
            json!({ "exp": now + 60, "iss": "x", "sub": "y", "jti": "z" }),
            202,
        ),
    ];
    for (mut claims, status) in table {
        claims["aud"] = json!(format!("http://{}{GROUP}", service.addr));
        let answer = service
            .call_with("POST", GROUP, &claims, DEVELOPMENT_KEY, "")
            .await;
        assert_eq!(answer.status, status, "{claims}");
    }
}

/// Acceptance 2: without skew a token ends when it says.
#[tokio::test]
async fn the_skew_is_configurable() {
    let service = Service::start_with(|config| config.auth.clock_skew = Duration::ZERO).await;
    let now = unix_seconds();
    for (exp, status) in [(now - 1, 401), (now + 600, 202)] {
        let claims = json!({ "aud": format!("http://{}{GROUP}", service.addr), "exp": exp });
        let answer = service
            .call_with("POST", GROUP, &claims, DEVELOPMENT_KEY, "")
            .await;
        assert_eq!(answer.status, status);
    }
}

/// Acceptance 2.
#[tokio::test]
async fn both_keys_are_good_and_no_other_is() {
    let service = Service::start_with(|config| {
        config.keys.secondary = Some(Secret::new(OTHER_KEY));
    })
    .await;
    let claims = json!({
        "aud": format!("http://{}{GROUP}", service.addr),
        "exp": unix_seconds() + 60,
    });
    for (key, status) in [
        (DEVELOPMENT_KEY, 202),
        (OTHER_KEY, 202),
        ("another key of more than thirty-two byteS", 401),
        ("", 401),
    ] {
        let answer = service.call_with("POST", GROUP, &claims, key, "").await;
        assert_eq!(answer.status, status, "{key}");
    }

    let only_primary = Service::start().await;
    let claims = json!({
        "aud": format!("http://{}{GROUP}", only_primary.addr),
        "exp": unix_seconds() + 60,
    });
    let answer = only_primary
        .call_with("POST", GROUP, &claims, OTHER_KEY, "")
        .await;
    assert_eq!(answer.status, 401);
}

/// Acceptance 2: a client's token is none for REST, nor is one of `:generateToken`.
#[tokio::test]
async fn tokens_for_clients_are_no_tokens_for_rest() {
    let service = Service::start().await;
    let generated = service.call("POST", "/api/hubs/chat/:generateToken").await;
    let generated: Value = serde_json::from_str(&generated.body).unwrap();
    let own = service.token("chat", json!({}));
    for token in [generated["token"].as_str().unwrap(), &own] {
        let head = format!("Authorization: Bearer {token}\r\n");
        for path in [ALL, GROUP, "/api/hubs/chat/:generateToken"] {
            let answer = service.request("POST", path, &head, b"x").await;
            assert_eq!(answer.status, 401, "{path}");
        }
    }
}

/// rest-api 3: the scheme of the header has no letter case.
#[tokio::test]
async fn a_bearer_may_be_spelled_in_any_case() {
    let service = Service::start().await;
    let request = service.rest_request("POST", ALL, "text/plain", b"hi");
    let request = String::from_utf8(request).unwrap();
    for (scheme, status) in [
        ("bearer", 202),
        ("BEARER", 202),
        ("Bearer", 202),
        ("Token", 401),
    ] {
        let request = request.replace("Bearer", scheme);
        let answer = service.raw(request.as_bytes()).await;
        assert_eq!(answer.status, status, "{scheme}");
    }
}

/// Acceptance 3: no operation and no parameter asks for a version of its own.
#[tokio::test]
async fn the_oldest_version_may_use_everything() {
    let service = Service::start().await;
    let client = service.json("chat", json!({ "sub": "alice" })).await;
    let version = "api-version=2021-10-01";
    let body = json!({ "groups": ["room"], "filter": "userId eq 'alice'" });
    for action in [":addToGroups", ":removeFromGroups", ":addToGroups"] {
        let path = format!("/api/hubs/chat/{action}?{version}");
        assert_eq!(service.post(&path, &body).await.status, 200, "{action}");
    }
    let path = format!("/api/hubs/chat/groups/room/connections?{version}&maxpagesize=5&top=9");
    assert_eq!(
        service.get(&path).await,
        json!({
            "value": [{ "connectionId": client.connection_id, "userId": "alice" }],
            "nextLink": null,
        })
    );
    let path = format!("/api/hubs/chat/:send?{version}&messageTtlSeconds=9&filter=true");
    service.send(&path, "text/plain", b"hi").await;
    let path = format!("/api/hubs/chat/:generateToken?{version}&group=room&clientType=default");
    assert_eq!(service.status("POST", &path).await, 200);
    let id = &client.connection_id;
    let path = format!("/api/hubs/chat/connections/{id}/groups?{version}");
    assert_eq!(service.status("DELETE", &path).await, 204);
}

/// Acceptance 3: every kind of operation looks at the version.
#[tokio::test]
async fn an_unknown_version_is_refused_by_every_operation() {
    let service = Service::start().await;
    for (method, path) in [
        ("GET", "/api/health"),
        ("POST", "/api/hubs/chat/:generateToken"),
        ("POST", "/api/hubs/chat/:closeConnections"),
        ("POST", "/api/hubs/chat/:addToGroups"),
        ("GET", "/api/hubs/chat/groups/room/connections"),
        ("PUT", "/api/hubs/chat/groups/room/connections/x"),
        (
            "DELETE",
            "/api/hubs/chat/permissions/sendToGroup/connections/x",
        ),
        ("GET", "/api/hubs/chat/:count"),
    ] {
        let answer = service
            .call(method, &format!("{path}?api-version=2022-10-01-preview"))
            .await;
        assert_bad_parameter(&answer, "api-version");
    }
}

/// rest-api 3.3: a trusted proxy says how the service is addressed.
#[tokio::test]
async fn forwarded_headers_of_a_trusted_proxy_are_where_a_request_was_addressed() {
    let service = Service::start_with(|config| {
        config.network.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let _members = two_members(&service).await;
    let base = "https://pub.example.com/pubsub";
    let head = "X-Forwarded-Host: pub.example.com\r\n\
                X-Forwarded-Proto: https\r\n\
                X-Forwarded-Prefix: /pubsub/\r\n";

    let list = "/api/hubs/chat/groups/room/connections";
    let claims = |audience: String| json!({ "aud": audience, "exp": unix_seconds() + 60 });
    let call = async |method: &str, path: &str, audience: String, head: &str| {
        let claims = claims(audience);
        service
            .call_with(method, path, &claims, DEVELOPMENT_KEY, head)
            .await
    };
    let path = format!("{list}?maxpagesize=1");
    let page = call("GET", &path, format!("{base}{list}"), head).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let page: Value = serde_json::from_str(&page.body).unwrap();
    let link = page["nextLink"].as_str().unwrap();
    let query = link.strip_prefix(&format!("{base}{list}?")).unwrap();
    // The proxy takes its own part off again.
    let page = call("GET", &format!("{list}?{query}"), link.to_owned(), head).await;
    assert_eq!(page.status, 200, "{}", page.body);

    let path = "/api/hubs/Chat/:generateToken";
    let answer = call("POST", path, format!("{base}{path}?userId=bob"), head).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    let token = answer["token"].as_str().unwrap();
    let audience = claims_of(token)["aud"].clone();
    assert_eq!(audience, json!(format!("{base}/client/hubs/chat")));
    let elsewhere = call(
        "POST",
        ALL,
        format!("https://elsewhere.example/pubsub{ALL}"),
        head,
    )
    .await;
    assert_eq!(elsewhere.status, 401);
    let direct = call("POST", ALL, format!("http://{}{ALL}", service.addr), "").await;
    assert_eq!(direct.status, 202, "a proxy need not change anything");
}

/// rest-api 3.3 and 3.4: a client comes through the same proxy as the call that made its token.
#[tokio::test]
async fn a_client_token_names_the_prefix_of_a_trusted_proxy() {
    let service = Service::start_with(|config| {
        config.network.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let base = "https://pub.example.com/pubsub";
    let head = "X-Forwarded-Host: pub.example.com\r\nX-Forwarded-Prefix: /pubsub\r\n";
    let path = "/api/hubs/chat/:generateToken";
    let claims = json!({ "aud": format!("{base}{path}"), "exp": unix_seconds() + 60 });
    let answer = service
        .call_with("POST", path, &claims, DEVELOPMENT_KEY, head)
        .await;
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    for token in [answer["token"].as_str().unwrap(), &client_token(base)] {
        let path = format!("/client/hubs/chat?access_token={token}");
        assert_eq!(service.handshake(&path, head).await.status, 101);
        assert_eq!(service.handshake(&path, "").await.status, 401);
    }
}

/// rest-api 3.3.
#[tokio::test]
async fn forwarded_headers_of_anybody_else_are_ignored() {
    let service = Service::start_with(|config| {
        config.network.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
    })
    .await;
    let _members = two_members(&service).await;
    let head = "X-Forwarded-Host: pub.example.com\r\n\
                X-Forwarded-Proto: https\r\n\
                X-Forwarded-Prefix: /pubsub\r\n";
    let own = format!("http://{}", service.addr);
    let call = async |method: &str, path: &str, audience: String| {
        let claims = json!({ "aud": audience, "exp": unix_seconds() + 60 });
        service
            .call_with(method, path, &claims, DEVELOPMENT_KEY, head)
            .await
    };
    for base in ["https://pub.example.com", "https://pub.example.com/pubsub"] {
        assert_eq!(call("POST", ALL, format!("{base}{ALL}")).await.status, 401);
    }
    let list = "/api/hubs/chat/groups/room/connections";
    let path = format!("{list}?maxpagesize=1");
    let page = call("GET", &path, format!("{own}{list}")).await;
    let page: Value = serde_json::from_str(&page.body).unwrap();
    let link = page["nextLink"].as_str().unwrap();
    assert!(link.starts_with(&format!("{own}{list}?")), "{link}");
    let path = "/api/hubs/chat/:generateToken";
    let answer = call("POST", path, format!("{own}{path}")).await;
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    let claims = claims_of(answer["token"].as_str().unwrap());
    assert_eq!(claims["aud"], format!("{own}/client/hubs/chat"));
}

/// rest-api 3.3: behind a proxy, callers may sign for where the service is known to be.
#[tokio::test]
async fn an_audience_may_name_a_public_endpoint() {
    let service = Service::start_with(|config| {
        config.public_endpoints = ["https://pub.example.com", "http://other.example:8081"]
            .map(|endpoint| endpoint.parse::<Endpoint>().unwrap())
            .to_vec();
    })
    .await;
    for (base, status) in [
        ("https://pub.example.com", 202),
        ("https://pub.example.com:443", 202),
        ("HTTPS://Pub.Example.com", 202),
        ("wss://pub.example.com", 202),
        ("http://other.example:8081", 202),
        ("https://pub.example.com:444", 401),
        ("http://other.example", 401),
        ("http://other.example:80", 401),
        ("https://sub.pub.example.com", 401),
        ("https://pub.example.com.elsewhere.example", 401),
    ] {
        let audience = json!(format!("{base}{GROUP}"));
        assert_eq!(
            status_for(&service, GROUP, audience).await,
            status,
            "{base}"
        );
        let token = client_token(base);
        let path = format!("/client/hubs/chat?access_token={token}");
        let handshake = service.handshake(&path, "").await;
        let expected = if status == 202 { 101 } else { 401 };
        assert_eq!(handshake.status, expected, "{base}");
    }
    let own = json!(format!("http://{}{GROUP}", service.addr));
    assert_eq!(status_for(&service, GROUP, own).await, 202);
}

/// rest-api 3.3: `auth.audience_host`.
#[tokio::test]
async fn the_host_of_an_audience_may_be_any_or_a_configured_one_only() {
    for (setting, own, public, elsewhere) in [
        (AudienceHost::Request, true, true, false),
        (AudienceHost::Configured, false, true, false),
        (AudienceHost::Any, true, true, true),
    ] {
        let service = Service::start_with(|config| {
            config.auth.audience_host = setting;
            config.public_endpoints = vec!["https://pub.example.com".parse().unwrap()];
        })
        .await;
        for (base, is_good) in [
            (format!("http://{}", service.addr), own),
            ("https://pub.example.com".to_owned(), public),
            ("https://elsewhere.example:99".to_owned(), elsewhere),
        ] {
            let audience = json!(format!("{base}{GROUP}"));
            let status = status_for(&service, GROUP, audience).await;
            let expected = if is_good { 202 } else { 401 };
            assert_eq!(status, expected, "{setting:?}: {base}");
            let path = format!("/client/hubs/chat?access_token={}", client_token(&base));
            let head = format!("Sec-WebSocket-Protocol: {JSON}\r\n");
            let handshake = service.handshake(&path, &head).await;
            let expected = if is_good { 101 } else { 401 };
            assert_eq!(handshake.status, expected, "{setting:?}: {base}");
            let other_path = json!(format!("{base}/api/hubs/other/:send"));
            assert_eq!(status_for(&service, GROUP, other_path).await, 401);
        }
    }
}

async fn status_for(service: &Service, path: &str, audience: Value) -> u16 {
    let claims = json!({ "aud": audience, "exp": unix_seconds() + 60 });
    let answer = service
        .call_with("POST", path, &claims, DEVELOPMENT_KEY, "")
        .await;
    if answer.status == 401 {
        assert_eq!(answer.header("x-ms-error-code"), Some("Error.Unauthorized"));
    }
    answer.status
}

fn client_token(base: &str) -> String {
    let claims = json!({
        "aud": format!("{base}/client/hubs/chat"),
        "exp": unix_seconds() + 60,
    });
    sign(&claims, DEVELOPMENT_KEY)
}

async fn two_members(service: &Service) -> [Client; 2] {
    let claims = json!({ "webpubsub.group": "room" });
    [
        service.simple("chat", claims.clone()).await,
        service.simple("chat", claims).await,
    ]
}

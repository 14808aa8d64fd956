//! Client tokens of the service's own: rest-api 1.6 and 3.4, item 13 of its acceptance checklist.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::rest::{assert_bad_parameter, assert_bad_request, assert_refused, encode};
use crate::support::{Answer, JSON, Service};

const GENERATE: &str = "/api/hubs/chat/:generateToken";

/// Returns the claims of a token, unchecked.
pub(crate) fn claims_of(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

/// Acceptance 13.
#[tokio::test]
async fn a_token_lives_for_as_many_minutes_as_asked() {
    let service = Service::start().await;
    for (query, minutes) in [
        ("", 60),
        ("minutesToExpire=1", 1),
        ("minutesToExpire=60", 60),
        ("minutesToExpire=525600", 525_600),
        ("minutesToExpire=2147483647", 2_147_483_647_u64),
        ("minutesToExpire=5&minutesToExpire=0", 5),
    ] {
        let claims = generate(&service, query).await;
        let (exp, nbf) = (claims["exp"].as_u64(), claims["nbf"].as_u64());
        assert_eq!(exp.unwrap() - nbf.unwrap(), minutes * 60, "{query}");
        assert_eq!(claims["iat"], claims["nbf"]);
    }
}

/// Acceptance 13.
#[tokio::test]
async fn a_lifetime_out_of_range_is_refused() {
    let service = Service::start().await;
    for minutes in [
        "0",
        "-1",
        "2147483648",
        "99999999999999999999",
        "1.5",
        "x",
        "1%202",
        "0x10",
        "-2147483648",
    ] {
        let answer = ask(&service, &format!("minutesToExpire={minutes}")).await;
        assert_bad_parameter(&answer, "Request");
    }
}

/// Acceptance 13.
#[tokio::test]
async fn a_token_is_for_valid_groups_only() {
    let service = Service::start().await;
    let longest = "x".repeat(1024);
    let good = ["room", " a ", "a,b", "50%25", &longest];
    let query: Vec<String> = good
        .iter()
        .map(|group| format!("group={}", encode(group)))
        .collect();
    let claims = generate(&service, &query.join("&")).await;
    assert_eq!(claims["webpubsub.group"], json!(good));
    let too_long = "x".repeat(1025);
    for bad in ["", "%20", "%09%20", "%E3%80%80", &too_long] {
        for query in [
            format!("group={bad}"),
            format!("group=room&group={bad}"),
            format!("group={bad}&group=room"),
        ] {
            let answer = ask(&service, &query).await;
            assert_refused(
                &answer,
                400,
                "Error.BadRequest",
                "group",
                "Invalid group name.",
            );
        }
    }
}

/// Acceptance 13.
#[tokio::test]
async fn the_kind_of_client_has_no_letter_case() {
    let service = Service::start().await;
    for kind in ["Default", "default", "DEFAULT", "dEFAULT"] {
        let claims = generate(&service, &format!("clientType={kind}")).await;
        let audience = format!("http://{}/client/hubs/chat", service.addr);
        assert_eq!(claims["aud"], audience, "{kind}");
    }
    for kind in [
        "SocketIO",
        "socketio",
        "WebPubSub",
        "Default%20",
        "Default,MQTT",
    ] {
        let answer = ask(&service, &format!("clientType={kind}")).await;
        assert_refused(
            &answer,
            400,
            "Error.BadRequest",
            "clientType",
            "Invalid clientType.",
        );
    }
}

/// Acceptance 13: what is not asked for is not in the token.
#[tokio::test]
async fn a_token_holds_what_was_asked_for_and_nothing_else() {
    let service = Service::start().await;
    let names = |claims: &Value| -> Vec<String> {
        let mut names: Vec<String> = claims.as_object().unwrap().keys().cloned().collect();
        names.sort_unstable();
        names
    };
    for query in ["", "userId=", "api-version=2021-10-01", "excluded=x&top=-1"] {
        let claims = generate(&service, query).await;
        assert_eq!(names(&claims), ["aud", "exp", "iat", "nbf"], "{query}");
    }
    let query = "userId=O%27Brien%2C%20J&role=webpubsub.sendToGroup&role=any%20thing&group=room";
    let claims = generate(&service, query).await;
    assert_eq!(
        names(&claims),
        ["aud", "exp", "iat", "nbf", "role", "sub", "webpubsub.group"]
    );
    assert_eq!(claims["sub"], "O'Brien, J");
    assert_eq!(
        claims["role"],
        json!(["webpubsub.sendToGroup", "any thing"])
    );
    assert_eq!(claims["webpubsub.group"], json!(["room"]));
}

/// Acceptance 13.
#[tokio::test]
async fn a_user_id_that_no_client_could_have_is_refused() {
    let service = Service::start().await;
    let longest = "u".repeat(1024);
    let claims = generate(&service, &format!("userId={longest}")).await;
    assert_eq!(claims["sub"], longest);
    for user in [
        format!("{longest}u"),
        "%20".to_owned(),
        "%E3%80%80%09".to_owned(),
    ] {
        let answer = ask(&service, &format!("userId={user}")).await;
        assert_bad_request(&answer, "Invalid user ID.");
    }
}

/// Acceptance 13.
#[tokio::test]
async fn a_token_opens_a_socket_with_its_user_groups_and_roles() {
    let service = Service::start().await;
    let query = "userId=alice&group=room&group=a%2Fb&role=webpubsub.joinLeaveGroup.extra\
                 &role=webpubsub.sendToGroups.r*";
    let path = format!("/api/hubs/CHAT/:generateToken?{query}");
    let answer = service.call("POST", &path).await;
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    let token = answer["token"].as_str().unwrap();
    let audience = format!("http://{}/client/hubs/chat", service.addr);
    assert_eq!(claims_of(token)["aud"], audience, "hubs are in lower case");

    let path = format!("/client/hubs/Chat?access_token={token}");
    let mut client = service.connect_path(&path, &[JSON]).await;
    let connected = client.json().await;
    assert_eq!(connected["userId"], "alice");
    for group in ["room", "a%2Fb"] {
        let path = format!("/api/hubs/chat/groups/{group}/:send");
        service.send(&path, "text/plain", b"hi").await;
        assert_eq!(client.json().await["data"], "hi", "{group}");
    }
    let may = [
        ("joinGroup", "extra", true),
        ("joinGroup", "other", false),
        ("sendToGroup", "rest", true),
        ("sendToGroup", "extra", false),
    ];
    for (index, (kind, group, is_allowed)) in may.into_iter().enumerate() {
        let frame = json!({
            "type": kind, "group": group, "dataType": "text", "data": "x", "ackId": index,
        });
        let ack = client.request(frame).await;
        assert_eq!(ack["success"], is_allowed, "{kind} {group}");
    }
    let elsewhere = service
        .handshake(&format!("/client/hubs/other?access_token={token}"), "")
        .await;
    assert_eq!(elsewhere.status, 401);
}

/// Acceptance 13: the body is one member, and the answer is JSON whatever the caller accepts.
#[tokio::test]
async fn a_token_comes_alone_in_json() {
    let service = Service::start().await;
    let answer = service
        .rest_with_head(GENERATE, "Accept: text/html\r\n", "", b"")
        .await;
    assert_eq!(answer.status, 200);
    let content_type = answer.header("content-type");
    assert_eq!(content_type, Some("application/json; charset=utf-8"));
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
}

/// rest-api 3.7: the switch for the official behaviour.
#[tokio::test]
async fn access_keys_can_be_kept_from_making_tokens() {
    let service = Service::start_with(|config| {
        config.auth.generate_token_with_access_key = false;
    })
    .await;
    let answer = ask(&service, "userId=alice").await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header("x-ms-error-code"), Some("Error.Unauthorized"));
    service.mark("chat", "the key is good elsewhere").await;
}

async fn ask(service: &Service, query: &str) -> Answer {
    service.call("POST", &format!("{GENERATE}?{query}")).await
}

async fn generate(service: &Service, query: &str) -> Value {
    let answer = ask(service, query).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    claims_of(body["token"].as_str().unwrap())
}

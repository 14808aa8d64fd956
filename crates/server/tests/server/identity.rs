//! Callers with an identity: rest-api 3.6 and 3.7.

use hubwire_server::config::{
    Config, DEVELOPMENT_KEY, IdentityRole, OidcConfig, PrincipalClaim, RoleAssignment, Secret,
};
use serde_json::{Value, json};

use crate::support::issuer::{Issuer, OWNER, READER, SigningKey, changed, claims};
use crate::support::metrics::with_metrics;
use crate::support::{Answer, Service, sign, unix_seconds};

const ACTIONS: &str = "Microsoft.SignalRService/WebPubSub/";
const EXISTS: &str = "/api/hubs/chat/users/alice";

/// Every operation with the data action that it needs. Source: rest-api 3.6; those behind `:count` and the lists are ours.
const OPERATIONS: &[(&str, &str, &str)] = &[
    (
        "POST",
        "/api/hubs/chat/:generateToken",
        "auth/clientToken/action",
    ),
    ("POST", "/api/hubs/chat/:send", "hub/send/action"),
    ("POST", "/api/hubs/chat/groups/g/:send", "group/send/action"),
    ("POST", "/api/hubs/chat/users/u/:send", "user/send/action"),
    (
        "POST",
        "/api/hubs/chat/connections/c/:send",
        "clientConnection/send/action",
    ),
    (
        "HEAD",
        "/api/hubs/chat/connections/c",
        "clientConnection/read",
    ),
    (
        "HEAD",
        "/api/hubs/chat/permissions/sendToGroup/connections/c?targetName=g",
        "clientConnection/read",
    ),
    ("GET", "/api/hubs/chat/:count", "clientConnection/read"),
    ("GET", "/api/hubs/chat/connections", "clientConnection/read"),
    (
        "POST",
        "/api/hubs/chat/:closeConnections",
        "clientConnection/write",
    ),
    (
        "DELETE",
        "/api/hubs/chat/connections/c",
        "clientConnection/write",
    ),
    (
        "POST",
        "/api/hubs/chat/groups/g/:closeConnections",
        "clientConnection/write",
    ),
    (
        "POST",
        "/api/hubs/chat/users/u/:closeConnections",
        "clientConnection/write",
    ),
    (
        "PUT",
        "/api/hubs/chat/permissions/sendToGroup/connections/c?targetName=g",
        "clientConnection/write",
    ),
    (
        "DELETE",
        "/api/hubs/chat/permissions/sendToGroup/connections/c?targetName=g",
        "clientConnection/write",
    ),
    ("HEAD", "/api/hubs/chat/groups/g", "group/read"),
    ("GET", "/api/hubs/chat/groups/g/connections", "group/read"),
    ("GET", "/api/hubs/chat/groups/g/:count", "group/read"),
    ("GET", "/api/hubs/chat/groups", "group/read"),
    ("GET", "/api/hubs/chat/connections/c/groups", "group/read"),
    ("GET", "/api/hubs/chat/users/u/groups", "group/read"),
    ("POST", "/api/hubs/chat/:addToGroups", "group/write"),
    ("POST", "/api/hubs/chat/:removeFromGroups", "group/write"),
    (
        "DELETE",
        "/api/hubs/chat/connections/c/groups",
        "group/write",
    ),
    (
        "PUT",
        "/api/hubs/chat/groups/g/connections/c",
        "group/write",
    ),
    (
        "DELETE",
        "/api/hubs/chat/groups/g/connections/c",
        "group/write",
    ),
    ("PUT", "/api/hubs/chat/users/u/groups/g", "group/write"),
    ("DELETE", "/api/hubs/chat/users/u/groups/g", "group/write"),
    ("DELETE", "/api/hubs/chat/users/u/groups", "group/write"),
    ("HEAD", "/api/hubs/chat/users/u", "user/read"),
    ("GET", "/api/hubs/chat/users/u/:count", "user/read"),
    ("GET", "/api/hubs/chat/users/u/connections", "user/read"),
];

#[tokio::test]
async fn every_operation_needs_its_data_action() {
    let key = SigningKey::rsa("a");
    let issuer = Issuer::start(&[&key]).await;
    let service = Service::start_with(issuer.trusted()).await;
    let [nobody, reader, owner] =
        [&[][..], &[READER], &[OWNER]].map(|roles| key.token(&issuer.claims(roles)));
    for (method, path, action) in OPERATIONS {
        let what = format!("{method} {path}");
        let refused = ask(&service, method, path, &nobody).await;
        assert_forbidden(&refused, method, action, &what);
        let by_reader = ask(&service, method, path, &reader).await;
        match action.ends_with("/read") {
            true => assert!(
                by_reader.status == 200 || by_reader.status == 404,
                "{what}: {}",
                by_reader.status
            ),
            false => assert_forbidden(&by_reader, method, action, &what),
        }
        let by_owner = ask(&service, method, path, &owner).await;
        let is_done = matches!(by_owner.status, 200 | 202 | 204 | 404);
        assert!(is_done, "{what}: {} {}", by_owner.status, by_owner.body);
        assert_ne!(
            by_owner.header("x-ms-error-code"),
            Some("Error.NotFound"),
            "{what}"
        );
    }
}

fn assert_forbidden(answer: &Answer, method: &str, action: &str, what: &str) {
    assert_eq!(answer.status, 403, "{what}: {}", answer.body);
    assert_eq!(answer.header("x-ms-error-code"), Some("Error.Forbidden"));
    if method != "HEAD" {
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(
            (&body["code"], &body["target"]),
            (&json!("Error.Forbidden"), &json!("Request"))
        );
        let message = body["message"].as_str().unwrap();
        assert!(
            message.contains(&format!("{ACTIONS}{action}")),
            "{what}: {message}"
        );
    }
}

#[tokio::test]
async fn what_is_refused_has_no_effect_and_comes_after_the_version_and_before_the_parameters() {
    let key = SigningKey::ec("a");
    let issuer = Issuer::start(&[&key]).await;
    let service = Service::start_with(issuer.trusted()).await;
    let mut client = service.simple("chat", json!({})).await;
    let reader = key.token(&issuer.claims(&[READER]));
    for (path, status) in [
        ("/api/hubs/chat/:send?api-version=2019-01-01", 400),
        ("/api/hubs/chat/:send?messageTtlSeconds=x", 403),
        ("/api/hubs/1/:send", 403),
        ("/api/hubs/chat/:send", 403),
    ] {
        let answer = ask(&service, "POST", path, &reader).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
    }
    service.mark("chat", "only this").await;
    client.expect_mark("only this").await;
}

#[tokio::test]
async fn every_accepted_algorithm_is_accepted_by_a_key_of_its_kind() {
    let (rsa, ec) = (SigningKey::rsa("rsa"), SigningKey::ec("ec"));
    let issuer = Issuer::start(&[&rsa, &ec]).await;
    let service = Service::start_with(issuer.trusted()).await;
    for (key, algorithm) in [(&rsa, "RS256"), (&rsa, "PS256"), (&ec, "ES256")] {
        for audience in [
            "https://webpubsub.azure.com",
            "https://webpubsub.azure.com/",
        ] {
            let claims = changed(issuer.claims(&[OWNER]), json!({ "aud": audience }));
            let token = key.token_with(json!({ "alg": algorithm }), &claims);
            assert_eq!(
                status(&service, &token).await,
                404,
                "{algorithm}, {audience}"
            );
        }
    }
    let list = changed(
        issuer.claims(&[OWNER]),
        json!({ "aud": ["x", "https://webpubsub.azure.com"] }),
    );
    assert_eq!(status(&service, &ec.token(&list)).await, 404);
}

#[tokio::test]
async fn wrong_tokens_are_refused() {
    let (key, ec) = (SigningKey::rsa("a"), SigningKey::ec("ec"));
    let same_id = SigningKey::rsa("a");
    let issuer = Issuer::start(&[&key, &ec]).await;
    let service = Service::start_with(issuer.trusted()).await;
    let good = issuer.claims(&[OWNER]);
    let now = unix_seconds();
    let with = |change: Value| key.token(&changed(good.clone(), change));
    let headed = |head: Value| key.token_with(head, &good);
    let [head, claims, signature]: [String; 3] = {
        let token = key.token(&changed(good.clone(), json!({ "roles": [] })));
        let parts: Vec<String> = token.split('.').map(str::to_owned).collect();
        parts.try_into().unwrap()
    };
    let promoted = key.token(&good);
    let promoted = promoted.split('.').nth(1).unwrap();
    let table = [
        (
            "another audience",
            with(json!({ "aud": "https://management.azure.com" })),
        ),
        (
            "an audience that goes on",
            with(json!({ "aud": "https://webpubsub.azure.com.example.com" })),
        ),
        ("no audience", with(json!({ "aud": null }))),
        (
            "another issuer",
            with(json!({ "iss": "https://login.example.com" })),
        ),
        (
            "an issuer that goes on",
            with(json!({ "iss": format!("{}/v2.0", issuer.url) })),
        ),
        ("no issuer", with(json!({ "iss": null }))),
        (
            "an issuer that is no text",
            with(json!({ "iss": [issuer.url] })),
        ),
        ("expired", with(json!({ "exp": now - 301 }))),
        ("no expiry", with(json!({ "exp": null }))),
        (
            "an expiry that is no number",
            with(json!({ "exp": "9999999999" })),
        ),
        ("not valid yet", with(json!({ "nbf": now + 360 }))),
        ("alg none", headed(json!({ "alg": "none" }))),
        ("alg None", headed(json!({ "alg": "None" }))),
        ("HS256 by the public key", headed(json!({ "alg": "HS256" }))),
        ("HS256 by an access key", sign(&good, DEVELOPMENT_KEY)),
        ("RS512", headed(json!({ "alg": "RS512" }))),
        ("ES256 of an RSA key", headed(json!({ "alg": "ES256" }))),
        (
            "RS256 of an EC key",
            ec.token_with(json!({ "alg": "RS256" }), &good),
        ),
        ("no key id", headed(json!({ "alg": "RS256", "kid": null }))),
        (
            "an unknown key id",
            headed(json!({ "alg": "RS256", "kid": "b" })),
        ),
        (
            "the id of another key",
            headed(json!({ "alg": "RS256", "kid": "ec" })),
        ),
        (
            "an extension",
            headed(json!({ "alg": "RS256", "crit": ["x"] })),
        ),
        ("another key of that id", same_id.token(&good)),
        (
            "the key in the head",
            same_id.token_with(json!({ "alg": "RS256", "jwk": same_id.jwk() }), &good),
        ),
        ("other claims", format!("{head}.{promoted}.{signature}")),
        ("no signature", format!("{head}.{claims}.")),
        ("two parts", format!("{head}.{claims}")),
        ("four parts", format!("{head}.{claims}.{signature}.x")),
        ("no JSON", format!("{head}.bm9uZQ.{signature}")),
    ];
    for (what, token) in table {
        let answer = ask(&service, "POST", "/api/hubs/chat/:send", &token).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.body);
        assert_eq!(
            answer.header("x-ms-error-code"),
            Some("Error.Unauthorized"),
            "{what}"
        );
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer"), "{what}: {challenge}");
        let signature = token.rsplit('.').next().filter(|part| part.len() > 1);
        assert!(
            signature.is_none_or(|part| !answer.body.contains(part)),
            "{what}"
        );
    }
    assert_eq!(
        status(
            &service,
            &with(json!({ "exp": now - 240, "nbf": now + 240 }))
        )
        .await,
        404
    );
}

#[tokio::test]
async fn many_tokens_of_unknown_keys_have_the_issuer_asked_once() {
    let (key, unknown) = (SigningKey::ec("a"), SigningKey::ec("b"));
    let issuer = Issuer::start(&[&key]).await;
    let service = Service::start_with(issuer.trusted()).await;
    assert_eq!(
        status(&service, &key.token(&issuer.claims(&[OWNER]))).await,
        404
    );
    let before = issuer.fetches();

    let requests = (0..50).map(|number| {
        let head = json!({ "alg": "ES256", "kid": format!("unknown {number}") });
        let token = unknown.token_with(head, &issuer.claims(&[OWNER]));
        let service = &service;
        async move { status(service, &token).await }
    });
    let statuses = futures_util::future::join_all(requests).await;

    assert_eq!(statuses, [401; 50]);
    assert_eq!(issuer.fetches(), before + 1);
    let good = issuer.claims(&[OWNER]);
    assert_eq!(status(&service, &unknown.token(&good)).await, 401);
    assert_eq!(issuer.fetches(), before + 1);
    assert_eq!(status(&service, &key.token(&good)).await, 404);
}

#[tokio::test]
async fn a_token_that_cannot_be_good_does_not_have_the_issuer_asked() {
    let (key, unknown) = (SigningKey::ec("a"), SigningKey::ec("b"));
    let issuer = Issuer::start(&[&key]).await;
    let service = Service::start_with(issuer.trusted()).await;
    let good = issuer.claims(&[OWNER]);
    assert_eq!(status(&service, &key.token(&good)).await, 404);
    let before = issuer.fetches();
    let expired = changed(good.clone(), json!({ "exp": unix_seconds() - 301 }));
    let elsewhere = changed(good.clone(), json!({ "iss": "https://login.example.com" }));
    for token in [
        unknown.token_with(json!({ "alg": "none" }), &good),
        unknown.token_with(json!({ "alg": "HS256" }), &good),
        unknown.token(&expired),
        unknown.token(&elsewhere),
    ] {
        assert_eq!(status(&service, &token).await, 401);
    }
    assert_eq!(issuer.fetches(), before);
    assert_eq!(status(&service, &unknown.token(&good)).await, 401);
    assert_eq!(issuer.fetches(), before + 1);
}

#[tokio::test]
async fn a_first_storm_waits_for_the_keys_and_has_the_issuer_asked_once() {
    let key = SigningKey::ec("a");
    let issuer = Issuer::start(&[&key]).await;
    let service = Service::start_with(issuer.trusted()).await;
    let requests = (0..50).map(|number| {
        let claims = changed(issuer.claims(&[OWNER]), json!({ "jti": number }));
        let token = key.token(&claims);
        let service = &service;
        async move { status(service, &token).await }
    });
    let statuses = futures_util::future::join_all(requests).await;
    assert_eq!(statuses, [404; 50]);
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_at_once_and_a_withdrawn_one_is_not_trusted_any_more() {
    let (old, new) = (SigningKey::rsa("old"), SigningKey::rsa("new"));
    let issuer = Issuer::start(&[&old]).await;
    let service = Service::start_with(issuer.trusted()).await;
    let claims = issuer.claims(&[OWNER]);
    let (by_old, by_new) = (old.token(&claims), new.token(&claims));
    assert_eq!(status(&service, &by_old).await, 404);
    assert_eq!(status(&service, &by_old).await, 404);
    issuer.publish(&[&new]);
    // Nobody has told the service yet.
    assert_eq!(status(&service, &by_old).await, 404);
    assert_eq!(status(&service, &by_new).await, 404);
    assert_eq!(status(&service, &by_old).await, 401);
}

#[tokio::test]
async fn known_keys_are_used_while_the_issuer_is_down() {
    let (key, other) = (SigningKey::ec("a"), SigningKey::ec("b"));
    let issuer = Issuer::start(&[&key]).await;
    let service = Service::start_with(|config| {
        issuer.trusted()(config);
        with_metrics(config);
    })
    .await;
    let refreshes = "hubwire_identity_key_refreshes_total";
    let claims = issuer.claims(&[OWNER]);
    assert_eq!(status(&service, &key.token(&claims)).await, 404);
    assert_eq!(service.metric(refreshes, "success").await, 1.0);
    issuer.fail(Some(503));
    assert_eq!(status(&service, &other.token(&claims)).await, 401);
    assert_eq!(service.metric(refreshes, "failure").await, 1.0);
    let again = changed(claims, json!({ "jti": "another" }));
    assert_eq!(status(&service, &key.token(&again)).await, 404);
    assert_eq!(service.metric(refreshes, "").await, 2.0);
}

#[tokio::test]
async fn without_good_keys_a_caller_is_told_to_come_back() {
    for (what, break_it) in [
        ("down", (|issuer| issuer.fail(Some(500))) as fn(&Issuer)),
        ("moved", |issuer| issuer.fail(Some(302))),
        ("speaks for another", |issuer| {
            issuer.misguide(json!({ "issuer": "https://login.example.com" }));
        }),
        ("names keys without TLS", |issuer| {
            issuer.misguide(json!({ "jwks_uri": "http://login.example.com/keys" }));
        }),
        ("names a file", |issuer| {
            issuer.misguide(json!({ "jwks_uri": "file:///etc/passwd" }));
        }),
        ("names a metadata address", |issuer| {
            issuer.misguide(json!({ "jwks_uri": "https://169.254.169.254/keys" }));
        }),
        ("has no keys", |issuer| issuer.publish(&[])),
        ("answers too much", |issuer| issuer.pad(1 << 20)),
    ] {
        let key = SigningKey::ec("a");
        let issuer = Issuer::start(&[&key]).await;
        break_it(&issuer);
        let service = Service::start_with(issuer.trusted()).await;
        let token = key.token(&issuer.claims(&[OWNER]));
        let answer = ask(&service, "HEAD", EXISTS, &token).await;
        assert_eq!(answer.status, 503, "{what}");
        assert!(answer.header("retry-after").is_some(), "{what}");
    }
}

#[tokio::test]
async fn roles_come_from_the_claim_of_roles_and_from_who_the_caller_is() {
    let key = SigningKey::ec("a");
    let issuer = Issuer::start(&[&key]).await;
    let assignment = |claim, value: &str, role| RoleAssignment {
        claim,
        value: value.to_owned(),
        roles: vec![role],
    };
    let service = Service::start_with(|config| {
        issuer.trusted()(config);
        config.auth.oidc[0].role_claim = "entitlements".to_owned();
        config.auth.oidc[0].role_assignments = vec![
            assignment(PrincipalClaim::Oid, "operator", IdentityRole::Owner),
            assignment(PrincipalClaim::Appid, "backend", IdentityRole::Owner),
            assignment(PrincipalClaim::Azp, "backend", IdentityRole::Owner),
            assignment(PrincipalClaim::Groups, "lookers", IdentityRole::Reader),
            assignment(PrincipalClaim::Sub, "job", IdentityRole::Reader),
        ];
    })
    .await;
    for (claims, read, send) in [
        (json!({}), 403, 403),
        (json!({ "oid": "operator" }), 404, 202),
        (json!({ "appid": "backend" }), 404, 202),
        (json!({ "azp": "backend" }), 404, 202),
        (json!({ "groups": ["x", "lookers"] }), 404, 403),
        (json!({ "sub": "job" }), 404, 403),
        (
            json!({ "oid": "lookers", "sub": "operator", "appid": "operator" }),
            403,
            403,
        ),
        (json!({ "entitlements": [OWNER] }), 404, 202),
        (
            json!({ "entitlements": "bfb1c7d2-fb1a-466b-b2ba-aee63b92deaf" }),
            404,
            403,
        ),
        (json!({ "roles": [OWNER] }), 403, 403),
    ] {
        let token = key.token(&changed(issuer.claims(&[]), claims.clone()));
        assert_eq!(status(&service, &token).await, read, "{claims}");
        let sent = ask(&service, "POST", "/api/hubs/chat/:send", &token).await;
        assert_eq!(sent.status, send, "{claims}");
    }
}

/// Acceptance 14.
#[tokio::test]
async fn without_local_auth_an_identity_gets_tokens_that_connect() {
    let key = SigningKey::rsa("a");
    let issuer = Issuer::start(&[&key]).await;
    let service = Service::start_with(|config| {
        issuer.trusted()(config);
        config.auth.disable_local_auth = true;
        config.keys.internal = Some(Secret::new("a key that only the service itself knows"));
    })
    .await;
    let owner = key.token(&issuer.claims(&[OWNER]));
    let path = "/api/hubs/chat/:generateToken?userId=alice&role=webpubsub.sendToGroup&group=room";
    assert_eq!(service.status("POST", path).await, 401);
    let generated = ask(&service, "POST", path, &owner).await;
    assert_eq!(generated.status, 200, "{}", generated.body);
    let generated: Value = serde_json::from_str(&generated.body).unwrap();
    let token = generated["token"].as_str().unwrap();
    let url = format!("/client/hubs/chat?access_token={token}");
    let mut client = service.connect_path(&url, &[]).await;
    let sent = ask(&service, "POST", "/api/hubs/chat/groups/room/:send", &owner).await;
    assert_eq!(sent.status, 202);
    client.expect_mark("{\"groups\":[\"new\"]}").await;
}

#[tokio::test]
async fn tokens_can_be_had_by_identities_alone() {
    let key = SigningKey::ec("a");
    let issuer = Issuer::start(&[&key]).await;
    let service = Service::start_with(|config| {
        issuer.trusted()(config);
        config.auth.generate_token_with_access_key = false;
    })
    .await;
    let path = "/api/hubs/chat/:generateToken";
    assert_eq!(service.status("POST", path).await, 401);
    let owner = key.token(&issuer.claims(&[OWNER]));
    assert_eq!(ask(&service, "POST", path, &owner).await.status, 200);
    // All else is open to both.
    assert_eq!(service.status("HEAD", EXISTS).await, 404);
}

#[tokio::test]
async fn an_identity_token_is_no_client_token() {
    let key = SigningKey::ec("a");
    let issuer = Issuer::start(&[&key]).await;
    let service = Service::start_with(issuer.trusted()).await;
    let token = key.token(&issuer.claims(&[OWNER]));
    let refused = service
        .handshake(&format!("/client/hubs/chat?access_token={token}"), "")
        .await;
    assert_eq!(refused.status, 401);
}

/// Source: events-and-operations 7.1.
#[tokio::test]
async fn a_tunnel_is_open_to_an_owner() {
    let key = SigningKey::ec("a");
    let issuer = Issuer::start(&[&key]).await;
    let service = Service::start_with(issuer.trusted()).await;
    for (claims, wanted) in [
        (issuer.claims(&[OWNER]), 101),
        (issuer.claims(&[READER]), 403),
        (issuer.claims(&[]), 403),
        (
            changed(
                issuer.claims(&[OWNER]),
                json!({ "exp": unix_seconds() - 301 }),
            ),
            401,
        ),
    ] {
        let token = key.token(&claims);
        let in_query = format!("/server/tunnel?hub=chat&access_token={token}");
        assert_eq!(
            service.handshake(&in_query, "").await.status,
            wanted,
            "{claims}"
        );
        let head = format!("Authorization: Bearer {token}\r\n");
        let answer = service.handshake("/server/tunnel?hub=chat", &head).await;
        assert_eq!(answer.status, wanted, "{claims}");
    }
}

#[tokio::test]
async fn identities_are_refused_until_there_is_an_issuer_and_where_they_are_disabled() {
    let key = SigningKey::ec("a");
    let issuer = Issuer::start(&[&key]).await;
    let token = key.token(&issuer.claims(&[OWNER]));
    let without = Service::start().await;
    let disabled = Service::start_with(|config| {
        issuer.trusted()(config);
        config.auth.disable_identity_auth = true;
        config.auth.allow_unvalidated_identity_tokens = true;
    })
    .await;
    for service in [without, disabled] {
        let answer = ask(&service, "POST", "/api/hubs/chat/:send", &token).await;
        assert_eq!(answer.status, 401);
        assert!(
            answer.body.contains("identities are not accepted"),
            "{}",
            answer.body
        );
        assert_eq!(service.status("HEAD", EXISTS).await, 404);
    }
    assert_eq!(issuer.fetches(), 0);
}

#[tokio::test]
async fn unvalidated_tokens_are_accepted_by_audience_and_lifetime_where_that_is_allowed() {
    let service = Service::start_with(|config| {
        config.auth.disable_identity_auth = false;
        config.auth.allow_unvalidated_identity_tokens = true;
    })
    .await;
    let key = SigningKey::ec("a");
    let good = claims("https://anybody.example.com", &[]);
    let now = unix_seconds();
    for (change, wanted) in [
        (json!({}), 202),
        (json!({ "iss": null, "roles": null }), 202),
        (json!({ "exp": now - 301 }), 401),
        (json!({ "exp": null }), 401),
        (json!({ "nbf": now + 360 }), 401),
        (json!({ "aud": "https://management.azure.com" }), 401),
    ] {
        let claims = changed(good.clone(), change.clone());
        for algorithm in ["ES256", "none"] {
            let token = key.token_with(json!({ "alg": algorithm }), &claims);
            let answer = ask(&service, "POST", "/api/hubs/chat/:send", &token).await;
            assert_eq!(
                answer.status, wanted,
                "{change} {algorithm}: {}",
                answer.body
            );
        }
    }
}

#[tokio::test]
async fn keys_can_be_in_a_file_and_several_issuers_keep_to_their_audiences() {
    let (key, other) = (SigningKey::rsa("a"), SigningKey::ec("a"));
    let issuer = Issuer::start(&[&other]).await;
    let file = std::env::temp_dir().join(format!("hubwire-jwks-{}.json", std::process::id()));
    std::fs::write(&file, json!({ "keys": [key.jwk()] }).to_string()).unwrap();
    let service = Service::start_with(|config| {
        config.auth.disable_identity_auth = false;
        let in_file = OidcConfig {
            audience: "api://pubsub".to_owned(),
            jwks_file: Some(file.clone()),
            ..OidcConfig::new("https://login.example.com/")
        };
        config.auth.oidc = vec![issuer.config(), in_file];
    })
    .await;
    let of = |iss: &str, aud: &str| changed(claims(iss, &[OWNER]), json!({ "aud": aud }));
    for (signer, iss, aud, wanted) in [
        (&key, "https://login.example.com", "api://pubsub", 404),
        (&key, "https://login.example.com/", "api://pubsub/", 404),
        (
            &other,
            issuer.url.as_str(),
            "https://webpubsub.azure.com",
            404,
        ),
        (
            &key,
            "https://login.example.com",
            "https://webpubsub.azure.com",
            401,
        ),
        (&other, issuer.url.as_str(), "api://pubsub", 401),
        (&other, "https://login.example.com", "api://pubsub", 401),
        (
            &key,
            issuer.url.as_str(),
            "https://webpubsub.azure.com",
            401,
        ),
    ] {
        assert_eq!(
            status(&service, &signer.token(&of(iss, aud))).await,
            wanted,
            "{iss} {aud}"
        );
    }
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn issuers_come_and_go_with_a_reload_and_those_that_stay_keep_their_keys() {
    let key = SigningKey::ec("a");
    let (one, two) = (Issuer::start(&[&key]).await, Issuer::start(&[&key]).await);
    let service = Service::start_with(one.trusted()).await;
    let by_one = key.token(&one.claims(&[OWNER]));
    let by_two = key.token(&two.claims(&[OWNER]));
    assert_eq!(status(&service, &by_one).await, 404);
    assert_eq!(status(&service, &by_two).await, 401);

    let both = config(&service, |config| {
        config.auth.disable_identity_auth = false;
        config.auth.oidc = vec![two.config(), one.config()];
    });
    service.server.reload(both).unwrap();
    one.fail(Some(500));
    assert_eq!(status(&service, &by_one).await, 404);
    assert_eq!(status(&service, &by_two).await, 404);

    let second = config(&service, two.trusted());
    service.server.reload(second).unwrap();
    assert_eq!(status(&service, &by_one).await, 401);
    assert_eq!(status(&service, &by_two).await, 404);
    assert_eq!((one.fetches(), two.fetches()), (1, 1));
}

/// Returns a configuration for a reload of a service.
fn config(service: &Service, change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config {
        shards: 1,
        ..Config::default()
    };
    config.listeners[0].bind = vec![service.addr];
    change(&mut config);
    config
}

async fn ask(service: &Service, method: &str, path: &str, token: &str) -> Answer {
    let head = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
    let body: &[u8] = match method {
        "POST" => br#"{"groups":["new"]}"#,
        _ => b"",
    };
    service.request(method, path, &head, body).await
}

/// Asks for a user that does not exist: 404 for whoever may ask.
async fn status(service: &Service, token: &str) -> u16 {
    ask(service, "HEAD", EXISTS, token).await.status
}

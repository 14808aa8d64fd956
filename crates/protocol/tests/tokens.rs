//! Access tokens: signature, lifetime, claims and audiences (rest-api 3.1 to 3.4, client-protocols 1.3).

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hubwire_protocol::token::{
    Claims, ClientTokenClaims, TokenError, audience_host, client_audience_matches,
    derive_internal_key, rest_audience_matches, sign_client_token, tunnel_audience_matches,
};
use serde_json::{Value, json};

const PRIMARY: &str = "primary key of at least 32 bytes";
const SECONDARY: &str = "secondary key of at least 32 bytes";
const NOW: u64 = 1_700_000_000;
const SKEW: u64 = 300;
const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const NAME_IDENTIFIER: &str =
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier";
const ROLE: &str = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role";

/// Checklist 7, 8.
#[test]
fn token_of_any_active_key_is_good_and_of_another_is_not() {
    for key in [PRIMARY, SECONDARY] {
        assert_eq!(verify(&token(HS256, &json!({"exp": NOW}), key)), Ok(()));
    }
    let foreign = token(
        HS256,
        &json!({"exp": NOW}),
        "a key that is neither of the two",
    );
    assert_eq!(verify(&foreign), Err(TokenError::Signature));
    let without_keys = Claims::verify(&token(HS256, &json!({"exp": NOW}), PRIMARY), [], NOW, SKEW);
    assert_eq!(without_keys.err(), Some(TokenError::Signature));
}

#[test]
fn key_signs_by_its_text_and_not_by_what_its_base64_decodes_to() {
    let key = STANDARD.encode([7; 32]);
    let good = token(HS256, &json!({"exp": NOW}), &key);
    assert!(Claims::verify(&good, [key.as_str()], NOW, SKEW).is_ok());
    let signed_by_bytes = token_with_bytes(HS256, &json!({"exp": NOW}).to_string(), &[7; 32]);
    let refused = Claims::verify(&signed_by_bytes, [key.as_str()], NOW, SKEW);
    assert_eq!(refused.err(), Some(TokenError::Signature));
}

#[test]
fn only_hs256_is_accepted() {
    let unsigned = format!(
        "{}.{}.",
        encode(r#"{"alg":"none"}"#),
        encode(r#"{"exp":1700000000}"#)
    );
    assert_eq!(verify(&unsigned), Err(TokenError::Signature));
    for algorithm in [
        "none", "None", "HS384", "HS512", "RS256", "ES256", "PS256", "hs256", "",
    ] {
        let header = json!({"alg": algorithm, "typ": "JWT"}).to_string();
        let signed_by_hmac = token(&header, &json!({"exp": NOW}), PRIMARY);
        assert_eq!(
            verify(&signed_by_hmac),
            Err(TokenError::Signature),
            "{algorithm}"
        );
    }
    let without_algorithm = token(r#"{"typ":"JWT"}"#, &json!({"exp": NOW}), PRIMARY);
    assert_eq!(verify(&without_algorithm), Err(TokenError::Signature));
}

#[test]
fn other_headers_are_ignored() {
    let header = r#"{"alg":"HS256","kid":"unknown","typ":"at+jwt","x-custom":{"a":1}}"#;
    assert_eq!(
        verify(&token(header, &json!({"exp": NOW}), PRIMARY)),
        Ok(())
    );
    assert_eq!(
        verify(&token(r#"{"alg":"HS256"}"#, &json!({"exp": NOW}), PRIMARY)),
        Ok(())
    );
}

#[test]
fn malformed_tokens_are_refused() {
    let good = token(HS256, &json!({"exp": NOW}), PRIMARY);
    let parts: Vec<&str> = good.split('.').collect();
    let tokens = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        parts[..2].join("."),
        format!("{good}."),
        format!("{good}.{}", parts[2]),
        format!(" {good}"),
        format!("{good}="),
        format!(
            "{}.{}.{}",
            parts[0],
            encode(r#"{"exp":1700000001}"#),
            parts[2]
        ),
        format!("{}.{}.", parts[0], parts[1]),
        token_with_bytes(HS256, "[]", PRIMARY.as_bytes()),
        token_with_bytes(HS256, "\"exp\"", PRIMARY.as_bytes()),
        token_with_bytes(HS256, "", PRIMARY.as_bytes()),
        token_with_bytes("[]", r#"{"exp":1700000000}"#, PRIMARY.as_bytes()),
        "é.é.é".to_owned(),
    ];
    for token in tokens {
        assert_eq!(verify(&token), Err(TokenError::Signature), "{token}");
    }
}

/// Checklist 10.
#[test]
fn expiry_is_tolerated_within_the_skew() {
    let cases = [
        (NOW + 3600, Ok(())),
        (NOW, Ok(())),
        (NOW - 299, Ok(())),
        (NOW - 300, Err(TokenError::Expired)),
        (NOW - 301, Err(TokenError::Expired)),
        (0, Err(TokenError::Expired)),
    ];
    for (expiry, expected) in cases {
        assert_eq!(
            verify(&token(HS256, &json!({"exp": expiry}), PRIMARY)),
            expected,
            "{expiry}"
        );
    }
    let without_skew = |expiry: u64| {
        Claims::verify(
            &token(HS256, &json!({"exp": expiry}), PRIMARY),
            [PRIMARY],
            NOW,
            0,
        )
        .map(|_| ())
    };
    assert_eq!(without_skew(NOW + 1), Ok(()));
    assert_eq!(without_skew(NOW), Err(TokenError::Expired));
}

#[test]
fn start_of_validity_is_tolerated_within_the_skew() {
    let cases = [
        (json!(0), Ok(())),
        (json!(NOW), Ok(())),
        (json!(NOW + 300), Ok(())),
        (json!(NOW + 301), Err(TokenError::NotYetValid)),
        (json!("1700000000"), Err(TokenError::Signature)),
        (json!(null), Err(TokenError::Signature)),
    ];
    for (not_before, expected) in cases {
        let claims = json!({"exp": NOW + 3600, "nbf": not_before});
        assert_eq!(
            verify(&token(HS256, &claims, PRIMARY)),
            expected,
            "{not_before}"
        );
    }
}

/// Checklist 11.
#[test]
fn token_without_expiry_is_refused() {
    assert_eq!(
        verify(&token(HS256, &json!({}), PRIMARY)),
        Err(TokenError::NoExpiry)
    );
    assert_eq!(
        verify(&token(HS256, &json!({"EXP": NOW}), PRIMARY)),
        Err(TokenError::NoExpiry)
    );
}

#[test]
fn expiry_must_be_a_number() {
    for expiry in [
        json!("1700000000"),
        json!(null),
        json!([NOW]),
        json!({}),
        json!(true),
    ] {
        let refused = verify(&token(HS256, &json!({"exp": expiry}), PRIMARY));
        assert_eq!(refused, Err(TokenError::Signature), "{expiry}");
    }
    for (expiry, expected) in [
        ("1700000000.75", Ok(())),
        ("1.7e9", Ok(())),
        ("18446744073709551615", Ok(())),
        ("1e300", Ok(())),
        ("-1", Err(TokenError::Expired)),
        ("-1e300", Err(TokenError::Expired)),
    ] {
        let token = token_with_bytes(HS256, &format!(r#"{{"exp":{expiry}}}"#), PRIMARY.as_bytes());
        assert_eq!(verify(&token), expected, "{expiry}");
    }
}

#[test]
fn signature_is_looked_at_before_the_lifetime() {
    let expired_and_foreign = token(
        HS256,
        &json!({"exp": 0}),
        "a key that is neither of the two",
    );
    assert_eq!(verify(&expired_and_foreign), Err(TokenError::Signature));
}

/// Checklist 16.
#[test]
fn lists_may_be_a_string_or_an_array() {
    let cases = [
        (json!("a"), vec!["a"]),
        (json!(["a", "b"]), vec!["a", "b"]),
        (json!([]), vec![]),
        (json!(""), vec![""]),
        (json!(["a", 1, null, ["b"]]), vec!["a"]),
        (json!(7), vec![]),
        (json!(null), vec![]),
    ];
    for (value, expected) in cases {
        let claims =
            claims(&json!({"exp": NOW, "aud": value, "role": value, "webpubsub.group": value}));
        assert_eq!(claims.audiences().collect::<Vec<_>>(), expected, "{value}");
        assert_eq!(claims.roles().collect::<Vec<_>>(), expected, "{value}");
        assert_eq!(claims.groups().collect::<Vec<_>>(), expected, "{value}");
    }
    let claims = claims(&json!({"exp": NOW, "group": "mqtt only"}));
    assert_eq!(
        claims.groups().count() + claims.roles().count() + claims.audiences().count(),
        0
    );
}

/// Source: events-and-operations 9.4.
#[test]
fn any_claim_can_be_had_as_text_unless_it_is_null() {
    let claims = claims(&json!({
        "exp": NOW, "text": "a \"b\"", "empty": "", "number": 7, "truth": true, "list": ["a", 1], "null": null,
    }));
    let cases = [
        ("text", Some("a \"b\"")),
        ("empty", Some("")),
        ("number", Some("7")),
        ("truth", Some("true")),
        ("list", Some(r#"["a",1]"#)),
        ("null", None),
        ("absent", None),
    ];
    for (name, expected) in cases {
        assert_eq!(claims.text_of(name).as_deref(), expected, "{name}");
    }
}

#[test]
fn user_and_roles_have_long_names_too() {
    let user = |value: Value| {
        let mut all = value;
        all["exp"] = NOW.into();
        claims(&all).user_id().map(str::to_owned)
    };
    assert_eq!(
        user(json!({"sub": "a", "nameid": "b"})).as_deref(),
        Some("a")
    );
    assert_eq!(
        user(json!({"nameid": "b", NAME_IDENTIFIER: "c"})).as_deref(),
        Some("b")
    );
    assert_eq!(user(json!({NAME_IDENTIFIER: "c"})).as_deref(), Some("c"));
    assert_eq!(user(json!({"sub": ""})), None);
    assert_eq!(user(json!({"sub": 7})), None);
    assert_eq!(user(json!({})), None);
    let with_long_role = claims(&json!({"exp": NOW, ROLE: ["r"]}));
    assert_eq!(with_long_role.roles().collect::<Vec<_>>(), ["r"]);
    let with_both = claims(&json!({"exp": NOW, "role": "short", ROLE: "long"}));
    assert_eq!(with_both.roles().collect::<Vec<_>>(), ["short"]);
}

#[test]
fn signed_client_token_verifies_and_says_what_was_asked_for() {
    let asked = ClientTokenClaims {
        audience: "https://h/client/hubs/chat".to_owned(),
        issued_at: NOW,
        lifetime: 3600,
        user_id: Some("ann".to_owned()),
        roles: vec!["webpubsub.sendToGroup".to_owned()],
        groups: vec!["a".to_owned(), "b".to_owned()],
    };
    let token = sign_client_token(&asked, PRIMARY, Some("internal"));

    let [header, body, _]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(
        decode(header),
        json!({"alg": "HS256", "typ": "JWT", "kid": "internal"})
    );
    let expected = json!({
        "aud": "https://h/client/hubs/chat", "iat": NOW, "nbf": NOW, "exp": NOW + 3600, "sub": "ann",
        "role": ["webpubsub.sendToGroup"], "webpubsub.group": ["a", "b"],
    });
    assert_eq!(decode(body), expected);
    assert_eq!(verify(&token), Ok(()));
}

#[test]
fn signed_client_token_leaves_out_what_is_empty() {
    let asked = ClientTokenClaims {
        audience: "https://h/client/hubs/chat".to_owned(),
        issued_at: NOW,
        lifetime: u64::MAX,
        ..ClientTokenClaims::default()
    };
    let token = sign_client_token(&asked, SECONDARY, None);
    let [header, body, _]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(decode(header), json!({"alg": "HS256", "typ": "JWT"}));
    let expected =
        json!({"aud": "https://h/client/hubs/chat", "iat": NOW, "nbf": NOW, "exp": u64::MAX});
    assert_eq!(decode(body), expected);
    assert_eq!(verify(&token), Ok(()));
}

#[test]
fn internal_key_is_hkdf_of_the_primary() {
    let expected = "bqz3koincDW6BGB5g3olhuPZ5R+D6CVxmJb7g4XRsTs=";
    assert_eq!(derive_internal_key(PRIMARY), expected);
    assert_ne!(derive_internal_key(SECONDARY), expected);
}

#[test]
fn errors_do_not_show_the_token() {
    let shown = [
        TokenError::Signature,
        TokenError::NoExpiry,
        TokenError::Expired,
        TokenError::NotYetValid,
        TokenError::Audience,
    ]
    .map(|error| error.to_string());
    assert!(
        shown.iter().all(|text| text.starts_with("the token ")),
        "{shown:?}"
    );
}

/// Checklist 2 of rest-api 10.
#[test]
fn rest_audience_is_the_url_of_the_request_whatever_its_scheme_and_query() {
    let path = "/api/hubs/chat/groups/room/:send";
    let good = [
        "http://h.example:8080/api/hubs/chat/groups/room/:send",
        "https://h.example:8080/api/hubs/chat/groups/room/:send",
        "ws://h.example:8080/api/hubs/chat/groups/room/:send",
        "WSS://h.example:8080/api/hubs/chat/groups/room/:send",
        "https://H.Example:8080/API/Hubs/CHAT/groups/ROOM/:SEND",
        "https://h.example:8080/api/hubs/chat/groups/room/:send?api-version=2024-12-01&filter=x/y?z",
        "https://h.example:8080/api/hubs/chat/groups/room/:send?",
        "https://h.example:8080/api/hubs/chat/groups/room/:send/",
        "https://h.example:8080/api/hubs/chat/groups/room/:send/?a=b",
        "https://h.example:8080/api/hubs/chat/groups/room/:send/below",
        "https://h.example:8080/api/hubs/chat/groups/room/%3Asend",
    ];
    for audience in good {
        assert!(
            rest_audience_matches(audience, ["h.example:8080"], path),
            "{audience}"
        );
    }
    let bad = [
        "",
        "/api/hubs/chat/groups/room/:send",
        "h.example:8080/api/hubs/chat/groups/room/:send",
        "ftp://h.example:8080/api/hubs/chat/groups/room/:send",
        "https:/h.example:8080/api/hubs/chat/groups/room/:send",
        "https://",
        "https://h.example:8080",
        "https://h.example:8080/",
        "https://h.example/api/hubs/chat/groups/room/:send",
        "https://h.example:8081/api/hubs/chat/groups/room/:send",
        "https://other.example:8080/api/hubs/chat/groups/room/:send",
        "https://h.example:8080@other.example/api/hubs/chat/groups/room/:send",
        "https://x.h.example:8080/api/hubs/chat/groups/room/:send",
        "https://h.example:8080/api/hubs/chat/groups/room/:sender",
        "https://h.example:8080/api/hubs/chat/groups/room/:sen",
        "https://h.example:8080/api/hubs/other/groups/room/:send",
        "https://h.example:8080/api/hubs/chat/groups/rooms/:send",
        "https://h.example:8080/api/hubs/chat",
        "https://h.example:8080/prefix/api/hubs/chat/groups/room/:send",
        "https://h.example:8080//api/hubs/chat/groups/room/:send",
        "https://h.example:8080?/api/hubs/chat/groups/room/:send",
        "é://h.example:8080/api/hubs/chat/groups/room/:send",
    ];
    for audience in bad {
        assert!(
            !rest_audience_matches(audience, ["h.example:8080"], path),
            "{audience}"
        );
    }
}

#[test]
fn rest_audience_that_only_begins_like_a_resource_is_another_one() {
    let path = "/api/hubs/chat/groups/room";
    assert!(rest_audience_matches(
        "https://h/api/hubs/chat/groups/room/connections/c",
        ["h"],
        path
    ));
    assert!(!rest_audience_matches(
        "https://h/api/hubs/chat/groups/rooms",
        ["h"],
        path
    ));
    assert!(!rest_audience_matches(
        "https://h/api/hubs/chat/groups/roo",
        ["h"],
        path
    ));
}

#[test]
fn rest_audience_may_leave_out_the_action_and_then_nothing_may_follow() {
    let path = "/api/hubs/chat/:send";
    assert!(rest_audience_matches(
        "https://h/api/hubs/chat",
        ["h"],
        path
    ));
    assert!(rest_audience_matches(
        "https://h/api/hubs/chat/?api-version=1",
        ["h"],
        path
    ));
    assert!(!rest_audience_matches(
        "https://h/api/hubs/chat/groups",
        ["h"],
        path
    ));
    assert!(!rest_audience_matches(
        "https://h/api/hubs/chat/:closeConnections",
        ["h"],
        path
    ));
    assert!(!rest_audience_matches("https://h/api/hubs", ["h"], path));
    assert!(!rest_audience_matches(
        "https://h/api/hubs/chat/groups",
        ["h"],
        "/api/hubs/chat/groups/g"
    ));
}

#[test]
fn rest_audience_may_be_escaped_differently_from_the_path() {
    let path = "/api/hubs/chat%5B1%5D/groups/room%2Fpart/:send";
    for audience in [
        "https://h/api/hubs/chat%5B1%5D/groups/room%2Fpart/:send",
        "https://h/api/hubs/chat%5b1%5d/groups/room%2fpart/:send",
        "https://h/api/hubs/chat[1]/groups/room%2Fpart/:send",
        "https://h/api/hubs/%63hat%5B1]/groups/r%6Fom%2Fpart/%3Asend",
    ] {
        assert!(rest_audience_matches(audience, ["h"], path), "{audience}");
    }
    for audience in [
        "https://h/api/hubs/chat%5B1%5D/groups/room/:send",
        "https://h/api/hubs/chat%5B2%5D/groups/room%2Fpart/:send",
        "https://h/api/hubs/chat%5B1%5D%2Fgroups/room%2Fpart/:send",
    ] {
        assert!(!rest_audience_matches(audience, ["h"], path), "{audience}");
    }
}

#[test]
fn rest_audience_may_be_the_name_without_any_escapes() {
    for (audience, path) in [
        (
            "https://h/api/hubs/chat/groups/a b",
            "/api/hubs/chat/groups/a%20b",
        ),
        (
            "https://h/api/hubs/chat/groups/größe",
            "/api/hubs/chat/groups/gr%C3%B6%C3%9Fe",
        ),
        (
            "https://h/api/hubs/chat/groups/100%",
            "/api/hubs/chat/groups/100%25",
        ),
        (
            "https://h/api/hubs/chat/groups/%41",
            "/api/hubs/chat/groups/%2541",
        ),
    ] {
        assert!(rest_audience_matches(audience, ["h"], path), "{audience}");
    }
}

#[test]
fn rest_audience_is_unescaped_only_once() {
    let audience = "https://h/api/hubs/chat/groups/%2541";
    assert!(rest_audience_matches(
        audience,
        ["h"],
        "/api/hubs/chat/groups/%2541"
    ));
    assert!(!rest_audience_matches(
        audience,
        ["h"],
        "/api/hubs/chat/groups/A"
    ));
}

#[test]
fn default_ports_are_as_good_as_none() {
    let good = [
        ("https://h:443/x", "h"),
        ("wss://h:443/x", "h"),
        ("http://h:80/x", "h"),
        ("ws://h:80/x", "h"),
        ("https://h/x", "h:443"),
        ("http://h/x", "h:80"),
        ("https://h:443/x", "h:443"),
        ("https://h/x", "h:80"),
        ("http://h:443/x", "h:443"),
        ("https://[::1]:443/x", "[::1]"),
        ("http://[::1]:8080/x", "[::1]:8080"),
        ("https://H/x", "h:443"),
    ];
    for (audience, host) in good {
        assert!(
            rest_audience_matches(audience, [host], "/x"),
            "{audience} for {host}"
        );
    }
    let bad = [
        ("https://h:80/x", "h"),
        ("http://h:443/x", "h"),
        ("https://h/x", "h:8443"),
        ("https://h:8443/x", "h"),
        ("https://[::1]/x", "[::1]:8080"),
    ];
    for (audience, host) in bad {
        assert!(
            !rest_audience_matches(audience, [host], "/x"),
            "{audience} for {host}"
        );
    }
}

#[test]
fn every_name_of_the_service_is_good() {
    let hosts = ["internal:8080", "public.example"];
    assert!(rest_audience_matches(
        "https://public.example/x",
        hosts,
        "/x"
    ));
    assert!(rest_audience_matches("http://internal:8080/x", hosts, "/x"));
    assert!(!rest_audience_matches(
        "http://public.example:8080/x",
        hosts,
        "/x"
    ));
    assert!(!rest_audience_matches("http://public.example/x", [], "/x"));
}

#[test]
fn host_of_an_audience_is_without_default_port() {
    let cases = [
        ("https://h.example/x", Some("h.example")),
        ("https://h.example:443/x", Some("h.example")),
        ("http://h.example:443", Some("h.example:443")),
        ("wss://[::1]:8080/x?y", Some("[::1]:8080")),
        ("https://h?x", Some("h")),
        ("ftp://h/x", None),
        ("h/x", None),
        ("", None),
    ];
    for (audience, host) in cases {
        assert_eq!(audience_host(audience), host, "{audience}");
    }
}

/// Checklist 9.
#[test]
fn client_audience_is_the_endpoint_of_the_hub_and_no_other() {
    let good = [
        "https://h/client/hubs/chat",
        "http://h/client/hubs/chat",
        "wss://h/client/hubs/chat",
        "ws://h:80/client/hubs/chat",
        "https://H/Client/Hubs/CHAT",
        "https://h/client/hubs/chat?access_token=x",
        "https://h/client/hubs/%63hat",
    ];
    for audience in good {
        assert!(
            client_audience_matches(audience, ["h"], "", "chat", false),
            "{audience}"
        );
        assert!(
            client_audience_matches(audience, ["h"], "", "chat", true),
            "{audience}"
        );
    }
    let bad = [
        "https://h/client/hubs/other",
        "https://h/client/hubs/chats",
        "https://h/client/hubs/cha",
        "https://h/client/hubs/chat/below",
        "https://h/client/hubs/",
        "https://h/client/hubs",
        "https://h/clients/mqtt/hubs/chat",
        "https://h/clients/socketio/hubs/chat",
        "https://h/api/hubs/chat",
        "https://h/",
        "https://other/client/hubs/chat",
        "https://h:8080/client/hubs/chat",
        "ftp://h/client/hubs/chat",
        "chat",
        "",
    ];
    for audience in bad {
        assert!(
            !client_audience_matches(audience, ["h"], "", "chat", false),
            "{audience}"
        );
        assert!(
            !client_audience_matches(audience, ["h"], "", "chat", true),
            "{audience}"
        );
    }
}

/// Checklist 2.
#[test]
fn legacy_client_audience_may_leave_the_hub_out_but_not_name_another() {
    let good = [
        "https://h/client",
        "https://h/client/",
        "wss://h/client?hub=chat",
        "https://h/client/?hub=CHAT",
        "https://h/client/?x=1&hub=%63hat",
        "https://h/client?x=1",
    ];
    for audience in good {
        assert!(
            client_audience_matches(audience, ["h"], "", "chat", true),
            "{audience}"
        );
        assert!(
            !client_audience_matches(audience, ["h"], "", "chat", false),
            "{audience}"
        );
    }
    let bad = [
        "https://h/client?hub=other",
        "https://h/client/?x=1&hub=other",
        "https://h/client?hub=",
        "https://h/client/other",
        "https://h/",
        "https://other/client",
    ];
    for audience in bad {
        assert!(
            !client_audience_matches(audience, ["h"], "", "chat", true),
            "{audience}"
        );
    }
}

#[test]
fn client_audience_of_a_hub_with_brackets_may_be_escaped() {
    for audience in [
        "https://h/client/hubs/chat[1]",
        "https://h/client/hubs/chat%5B1%5d",
    ] {
        assert!(
            client_audience_matches(audience, ["h"], "", "chat[1]", false),
            "{audience}"
        );
    }
}

fn verify(token: &str) -> Result<(), TokenError> {
    Claims::verify(token, [PRIMARY, SECONDARY], NOW, SKEW).map(|_| ())
}

fn claims(claims: &Value) -> Claims {
    Claims::verify(&token(HS256, claims, PRIMARY), [PRIMARY], NOW, SKEW)
        .unwrap_or_else(|error| panic!("{claims}: {error}"))
}

fn token(header: &str, claims: &Value, key: &str) -> String {
    token_with_bytes(header, &claims.to_string(), key.as_bytes())
}

/// Signs by HMAC-SHA256 whatever the header says.
fn token_with_bytes(header: &str, claims: &str, key: &[u8]) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let signature = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn encode(part: &str) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

fn decode(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Section 7.1 of events-and-operations.
#[test]
fn tunnel_audience_is_the_endpoint_with_its_hub() {
    let is_good = |audience, prefix| tunnel_audience_matches(audience, ["h:8080"], prefix, "chat");
    for audience in [
        "ws://h:8080/server/tunnel?hub=chat",
        "WSS://H:8080/Server/Tunnel/?hub=CHAT",
        "https://h:8080/server/tunnel?x=1&hub=ch%61t&target=t",
    ] {
        assert!(is_good(audience, ""), "{audience}");
    }
    for audience in [
        "",
        "ws://h:8080/server/tunnel",
        "ws://h:8080/server/tunnel?hub=",
        "ws://h:8080/server/tunnel?hub=chats",
        "ws://h:8080/server/tunnel?myhub=chat",
        "ws://h:8080/server/tunnels?hub=chat",
        "ws://h:8080/server/tunnel/x?hub=chat",
        "ws://h:8080/server?hub=chat",
        "ws://h:8080/client/hubs/chat",
        "ws://h/server/tunnel?hub=chat",
        "ws://h:8080/p/server/tunnel?hub=chat",
    ] {
        assert!(!is_good(audience, ""), "{audience}");
    }
    assert!(is_good("ws://h:8080/p/server/tunnel?hub=chat", "/p"));
    assert!(!is_good("ws://h:8080/server/tunnel?hub=chat", "/p"));
}

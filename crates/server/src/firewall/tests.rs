use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::config::{ConnectionCountRule, TrafficControlRule};

const KEY: &str = "a-key-of-our-own-that-nobody-knows-1234";

/// A verified token with these claims.
fn token(claims: Value) -> (String, Claims) {
    let Value::Object(mut all) = claims else {
        panic!("claims are an object");
    };
    all.insert("exp".to_owned(), 4_000_000_000_u64.into());
    let key = jsonwebtoken::EncodingKey::from_secret(KEY.as_bytes());
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &all, &key).unwrap();
    let claims = Claims::verify(&token, [KEY], 0, 0).unwrap();
    (token, claims)
}

fn identify(firewall: &Firewall, claims: Value) -> Identity {
    let (token, claims) = token(claims);
    firewall.identify(&token, &claims)
}

fn counts(rules: &[(ThrottleKey, usize)]) -> FirewallConfig {
    let rules = rules.iter().cloned();
    FirewallConfig {
        client_connection_count_rules: rules
            .map(|(key, max_count)| ConnectionCountRule { key, max_count })
            .collect(),
        ..FirewallConfig::default()
    }
}

fn traffic(rules: &[(ThrottleKey, usize, u64)]) -> FirewallConfig {
    let rules = rules.iter().cloned();
    FirewallConfig {
        client_traffic_control_rules: rules
            .map(
                |(key, max_inbound_message_bytes, seconds)| TrafficControlRule {
                    key,
                    max_inbound_message_bytes,
                    aggregation_window: Duration::from_secs(seconds),
                },
            )
            .collect(),
        ..FirewallConfig::default()
    }
}

fn claim(name: &str) -> ThrottleKey {
    ThrottleKey::JwtCustomClaim(name.to_owned())
}

fn at(ms: u64) -> Time {
    Time::from_ms(ms)
}

/// Source: events-and-operations 9.4.
#[test]
fn connections_are_counted_by_user_signature_or_claim() {
    let cases = [
        (
            ThrottleKey::UserId,
            json!({ "sub": "ann" }),
            json!({ "sub": "ann", "tenant": 1 }),
        ),
        (
            ThrottleKey::JwtSignature,
            json!({ "sub": "ann" }),
            json!({ "sub": "ann" }),
        ),
        (
            claim("tenant"),
            json!({ "tenant": "a" }),
            json!({ "sub": "bob", "tenant": "a" }),
        ),
        (
            claim("tenant"),
            json!({ "tenant": 7 }),
            json!({ "sub": "bob", "tenant": 7 }),
        ),
        (
            claim("tenant"),
            json!({ "tenant": ["a", { "b": 1 }] }),
            json!({ "tenant": ["a", { "b": 1 }], "sub": "bob" }),
        ),
    ];
    for (key, first, same) in cases {
        let firewall = Firewall::new(&counts(&[(key.clone(), 2)]));
        let first = identify(&firewall, first);
        let same = identify(&firewall, same);
        let other = identify(&firewall, json!({ "sub": "other", "tenant": "other" }));
        let _one = first.admit(at(0)).unwrap();
        let two = same.admit(at(0)).unwrap();
        assert_eq!(first.admit(at(0)).err(), Some(TooMany), "{key:?}");
        assert!(other.admit(at(0)).is_ok(), "{key:?}");
        drop(two);
        assert!(same.admit(at(0)).is_ok(), "{key:?}: a place was given back");
    }
}

/// Source: events-and-operations 9.4.
#[test]
fn rule_without_its_claim_is_skipped() {
    let firewall = Firewall::new(&counts(&[
        (ThrottleKey::UserId, 1),
        (claim("tenant"), 1),
        (claim("site"), 1),
    ]));
    let nobody = identify(
        &firewall,
        json!({ "sub": "", "tenant": null, "role": "webpubsub.sendToGroup" }),
    );
    let passes: Vec<_> = (0..100).map(|_| nobody.admit(at(0)).unwrap()).collect();
    assert!(passes.iter().all(|pass| pass.places.is_empty()));
}

#[test]
fn one_rule_that_refuses_takes_no_place_of_the_others() {
    let firewall = Firewall::new(&counts(&[(ThrottleKey::UserId, 2), (claim("tenant"), 1)]));
    let ann = identify(&firewall, json!({ "sub": "ann", "tenant": "a" }));
    let _pass = ann.admit(at(0)).unwrap();
    for _ in 0..5 {
        assert_eq!(ann.admit(at(0)).err(), Some(TooMany));
    }
    let elsewhere = identify(&firewall, json!({ "sub": "ann", "tenant": "b" }));
    assert!(elsewhere.admit(at(0)).is_ok());
}

#[test]
fn of_two_rules_about_the_same_the_stricter_holds_and_counts_once() {
    let firewall = Firewall::new(&counts(&[
        (ThrottleKey::UserId, 3),
        (ThrottleKey::UserId, 2),
        (ThrottleKey::UserId, 9),
    ]));
    let ann = identify(&firewall, json!({ "sub": "ann" }));
    let _passes = [ann.admit(at(0)).unwrap(), ann.admit(at(0)).unwrap()];
    assert!(ann.admit(at(0)).is_err());
}

#[test]
fn who_has_no_connection_takes_no_memory() {
    let firewall = Firewall::new(&counts(&[(ThrottleKey::UserId, 2)]));
    for number in 0..100 {
        let user = identify(&firewall, json!({ "sub": number.to_string() }));
        drop(user.admit(at(0)).unwrap());
    }
    assert!(locked(&firewall.counts[0].taken).is_empty());
}

#[test]
fn the_firewall_shows_no_user_and_no_token() {
    let config = FirewallConfig {
        client_traffic_control_rules: vec![TrafficControlRule::new(ThrottleKey::JwtSignature)],
        ..counts(&[(ThrottleKey::UserId, 2)])
    };
    let firewall = Firewall::new(&config);
    let (token, claims) = token(json!({ "sub": "secret-user" }));
    let identity = firewall.identify(&token, &claims);
    let pass = identity.admit(at(0)).unwrap();
    let shown = format!("{firewall:?} {identity:?} {pass:?}");
    let signature = token.rsplit('.').next().unwrap();
    assert!(!shown.contains("secret-user") && !shown.contains(signature));
}

/// Source: events-and-operations 9.4.
#[test]
fn bytes_of_a_window_are_summed_over_connections_and_begin_anew_with_the_next() {
    let firewall = Firewall::new(&traffic(&[(ThrottleKey::UserId, 100, 10)]));
    let ann = identify(&firewall, json!({ "sub": "ann" }));
    let first = ann.admit(at(0)).unwrap();
    let second = ann.admit(at(0)).unwrap();
    let bob = identify(&firewall, json!({ "sub": "bob" }));
    let bob = bob.admit(at(0)).unwrap();
    assert_eq!(first.count(60, at(1)), Ok(()));
    assert_eq!(second.count(40, at(9_999)), Ok(()));
    assert_eq!(bob.count(100, at(9_999)), Ok(()));
    assert_eq!(first.count(1, at(9_999)), Err(Throttled));
    assert_eq!(second.count(100, at(10_000)), Ok(()));
    assert_eq!(first.count(1, at(10_000)), Err(Throttled));
    assert_eq!(second.count(101, at(25_000)), Err(Throttled));
}

#[test]
fn coming_back_does_not_empty_the_window() {
    let firewall = Firewall::new(&traffic(&[(ThrottleKey::UserId, 100, 10)]));
    let ann = identify(&firewall, json!({ "sub": "ann" }));
    ann.admit(at(0)).unwrap().count(100, at(1)).unwrap();
    for number in 0..SWEEP_AT * 3 {
        let user = identify(&firewall, json!({ "sub": number.to_string() }));
        drop(user.admit(at(2)));
    }
    let again = ann.admit(at(3)).unwrap();
    assert_eq!(again.count(1, at(4)), Err(Throttled));
    let remembered = locked(&firewall.traffic[0].counters).by_counted.len();
    assert!(remembered <= SWEEP_AT, "{remembered} meters are kept");
}

#[test]
fn several_windows_of_the_same_user_hold_together() {
    let firewall = Firewall::new(&traffic(&[
        (ThrottleKey::UserId, 100, 60),
        (ThrottleKey::UserId, 30, 1),
    ]));
    let ann = identify(&firewall, json!({ "sub": "ann" }));
    let pass = ann.admit(at(0)).unwrap();
    for second in 0..3 {
        assert_eq!(pass.count(30, at(second * 1000)), Ok(()));
    }
    assert_eq!(pass.count(30, at(3000)), Err(Throttled));
}

#[test]
fn counter_of_bytes_neither_wraps_nor_reaches_into_the_window() {
    let firewall = Firewall::new(&traffic(&[(ThrottleKey::UserId, 512 << 30, 1)]));
    let ann = identify(&firewall, json!({ "sub": "ann" }));
    let pass = ann.admit(at(0)).unwrap();
    let now = at(u64::MAX / 2);
    assert_eq!(pass.count(512 << 30, now), Ok(()));
    for _ in 0..4 {
        assert_eq!(pass.count(512 << 30, now), Err(Throttled));
    }
    assert_eq!(pass.count(1, now.after_ms(1000)), Ok(()));
}

/// Source: events-and-operations 9.2.
#[test]
fn changed_rules_go_on_counting_and_hold_for_existing_connections() {
    let mut config = counts(&[(ThrottleKey::UserId, 2)]);
    config.client_traffic_control_rules =
        traffic(&[(ThrottleKey::UserId, 100, 10)]).client_traffic_control_rules;
    let firewall = Firewall::new(&config);
    let ann = identify(&firewall, json!({ "sub": "ann" }));
    let first = ann.admit(at(0)).unwrap();
    let second = ann.admit(at(0)).unwrap();
    config.client_connection_count_rules[0].max_count = 3;
    config.client_traffic_control_rules[0].max_inbound_message_bytes = 50;
    let changed = firewall.changed(&config);
    let ann = identify(&changed, json!({ "sub": "ann" }));
    let third = ann.admit(at(0)).unwrap();
    assert!(ann.admit(at(0)).is_err());
    assert_eq!(first.count(51, at(0)), Err(Throttled));
    let none = changed.changed(&FirewallConfig::default());
    assert_eq!(first.count(1 << 30, at(1)), Ok(()));
    assert!(
        identify(&none, json!({ "sub": "ann" }))
            .admit(at(0))
            .unwrap()
            .places
            .is_empty()
    );
    drop((first, second, third));
}

#[test]
fn pass_is_given_back_once_when_its_connection_ends() {
    let firewall = Firewall::new(&counts(&[(ThrottleKey::UserId, 1)]));
    let ann = identify(&firewall, json!({ "sub": "ann" }));
    let mut passes = Passes::default();
    passes.insert(7, ann.admit(at(0)).unwrap());
    passes.remove(3);
    passes.remove(9);
    assert!(ann.admit(at(0)).is_err());
    passes.remove(7);
    passes.remove(7);
    passes.insert(7, ann.admit(at(0)).unwrap());
    assert!(ann.admit(at(0)).is_err());
}

#[test]
fn without_rules_nothing_is_kept_for_a_connection() {
    let firewall = Firewall::new(&FirewallConfig::default());
    let ann = identify(&firewall, json!({ "sub": "ann" }));
    let mut passes = Passes::default();
    passes.insert(7, ann.admit(at(0)).unwrap());
    assert!(passes.0.is_empty());
    assert_eq!(passes.count(7, usize::MAX, at(0)), Ok(()));
}

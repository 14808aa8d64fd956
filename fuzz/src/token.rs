//! Access tokens. The first byte chooses: `t` a token as it is, `c` claims that are signed first, `a` an audience, a host and a
//! path, one a line.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hubwire_protocol::names::Hub;
use hubwire_protocol::token::{
    Claims, audience_host, client_audience_matches, rest_audience_matches,
};

const KEY: &str = "a key that only the fuzz target knows";
const NOW: u64 = 1_700_000_000;
const SKEW: u64 = 300;

/// Verifies a token, reads its claims, or compares an audience.
///
/// # Panics
///
/// If a token is good without a signature, or the URL of a request is not its own audience.
pub fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    match kind {
        b't' => {
            let verified = Claims::verify(&text, [KEY], NOW, SKEW);
            assert!(verified.is_err(), "nobody else can sign");
        }
        b'c' => claims(&text),
        b'a' => audience(&text),
        _ => {}
    }
}

fn claims(body: &str) {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(body));
    let key = hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()));
    let token = format!("{message}.{signature}");
    let Ok(claims) = Claims::verify(&token, ["another key", KEY], NOW, SKEW) else {
        return;
    };
    let body: serde_json::Value = serde_json::from_str(body).expect("good claims are JSON");
    assert!(
        body["exp"]
            .as_f64()
            .is_some_and(|expiry| expiry > (NOW - SKEW) as f64)
    );
    assert!(claims.user_id().is_none_or(|user| !user.is_empty()));
    for text in claims
        .audiences()
        .chain(claims.roles())
        .chain(claims.groups())
    {
        audience(text);
    }
}

fn audience(lines: &str) {
    let mut lines = lines.split('\n');
    let audience = lines.next().unwrap_or_default();
    let host = lines.next().unwrap_or("h");
    let path = lines.next().unwrap_or("/api/hubs/chat/:send");

    rest_audience_matches(audience, [host], path);
    if audience_host(audience).is_none() {
        assert!(!rest_audience_matches(audience, [host], path));
    }
    let is_client = client_audience_matches(audience, [host], "", "chat", false);
    let is_legacy_client = client_audience_matches(audience, [host], "", "chat", true);
    assert!(is_legacy_client || !is_client);

    if !host.contains(['/', '?', '#']) && path.starts_with('/') && !path.contains(['?', '#']) {
        for scheme in ["http", "https", "ws", "wss"] {
            let url = format!("{scheme}://{host}{path}");
            assert!(rest_audience_matches(&url, [host], path), "{url}");
            assert!(
                rest_audience_matches(&format!("{url}?x=/y"), [host], path),
                "{url}"
            );
        }
        if let Ok(hub) = Hub::new(path.trim_start_matches('/')) {
            let url = format!("https://{host}/client/hubs/{hub}");
            assert!(
                client_audience_matches(&url, [host], "", hub.as_str(), false),
                "{url}"
            );
        }
    }
}

//! Reconnection tokens: what a client proves with that a new socket continues its connection. Opaque to clients: expiry, a number
//! that makes each its own, and a tag over both and the connection's id. Source: client-protocols 5.4 (the form is ours).

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const CLAIMS_LEN: usize = 16;
const TAG_LEN: usize = 32;

/// Signs and checks reconnection tokens.
#[derive(Clone)]
pub struct ReconnectionKey(hmac::Key);

impl ReconnectionKey {
    /// Makes the key from a secret that other tokens are signed with too.
    pub fn new(secret: &[u8]) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = hmac::sign(&secret, b"hubwire reconnection token");
        Self(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    /// Makes a token for a connection that is good before `expires`, in seconds since 1970. Tokens with different `number`s
    /// differ.
    pub fn sign(&self, connection_id: &str, expires: u64, number: u64) -> String {
        let mut token = Vec::with_capacity(CLAIMS_LEN + TAG_LEN);
        token.extend_from_slice(&expires.to_be_bytes());
        token.extend_from_slice(&number.to_be_bytes());
        let tag = hmac::sign(&self.0, &signed(&token, connection_id));
        token.extend_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(token)
    }

    /// Tells whether a token is one of ours, for this connection, and good at `now`, in seconds since 1970.
    pub fn verify(&self, connection_id: &str, token: &str, now: u64) -> bool {
        let Ok(token) = URL_SAFE_NO_PAD.decode(token) else {
            return false;
        };
        let Some((claims, tag)) = token.split_at_checked(CLAIMS_LEN) else {
            return false;
        };
        let Some(expires) = claims.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)) else {
            return false;
        };
        hmac::verify(&self.0, &signed(claims, connection_id), tag).is_ok() && now < expires
    }
}

fn signed(claims: &[u8], connection_id: &str) -> Vec<u8> {
    [claims, connection_id.as_bytes()].concat()
}

impl fmt::Debug for ReconnectionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReconnectionKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_good_for_its_connection_until_it_expires() {
        let key = ReconnectionKey::new(b"secret");
        let token = key.sign("a", 1000, 7);
        assert!(key.verify("a", &token, 999));
        assert!(!key.verify("a", &token, 1000));
        assert!(!key.verify("b", &token, 999));
        assert!(!ReconnectionKey::new(b"other").verify("a", &token, 999));
        assert_ne!(token, key.sign("a", 1000, 8));
    }

    #[test]
    fn token_that_is_changed_anywhere_is_refused() {
        let key = ReconnectionKey::new(b"secret");
        let token = key.sign("a", 1000, 7);
        for index in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(!key.verify("a", &changed, 999), "{index}");
        }
        for bad in [
            "",
            "A",
            "*",
            &token[..token.len() - 2],
            &format!("{token}AA"),
        ] {
            assert!(!key.verify("a", bad, 0), "{bad}");
        }
    }

    #[test]
    fn key_is_not_shown() {
        let shown = format!("{:?}", ReconnectionKey::new(b"secret"));
        assert_eq!(shown, "ReconnectionKey(***)");
    }
}

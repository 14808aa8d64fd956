//! Access keys, and the tokens made with them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::error::invalid;

/// `{"alg":"HS256","typ":"JWT"}` as the first part of a token.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
const NAME_CLAIM: &str = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name";
/// How long a token for one request is good for. Seconds. Source: rest-api 9.1.
const LIFETIME: u64 = 300;

/// An access key of the service. Clones share the key: [`AccessKeyCredential::update`] reaches every client that was made with one.
///
/// ```
/// use hubwire_service_client::{AccessKeyCredential, WebPubSubServiceClient};
/// # fn main() -> azure_core::Result<()> {
/// let credential = AccessKeyCredential::new("the primary key")?;
/// let service = WebPubSubServiceClient::with_key_credential(
///     "https://pubsub.example.com",
///     "chat",
///     credential.clone(),
///     None,
/// )?;
/// credential.update("the secondary key")?;
/// # let _ = service;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AccessKeyCredential(Arc<RwLock<hmac::Key>>);

impl AccessKeyCredential {
    /// Takes a key as the service shows it. Its UTF-8 bytes sign, whatever it looks like.
    ///
    /// ```
    /// # use hubwire_service_client::AccessKeyCredential;
    /// let credential = AccessKeyCredential::new("a key of the service")?;
    /// assert!(!format!("{credential:?}").contains("a key"));
    /// # azure_core::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// The key is empty.
    pub fn new(key: &str) -> azure_core::Result<Self> {
        Ok(Self(Arc::new(RwLock::new(signing_key(key)?))))
    }

    /// Replaces the key. Requests that begin from now on, and retries of those under way, are signed with the new one.
    ///
    /// ```
    /// # use hubwire_service_client::AccessKeyCredential;
    /// # let credential = AccessKeyCredential::new("primary")?;
    /// credential.update("secondary")?;
    /// # azure_core::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// The key is empty; the one before is kept.
    pub fn update(&self, key: &str) -> azure_core::Result<()> {
        let key = signing_key(key)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = key;
        Ok(())
    }

    /// Signs the token of one request: `aud` is where it goes, `user` a name for the service's logs, `now` in seconds since 1970.
    pub(crate) fn request_token(&self, audience: &[&str], user: Option<&str>, now: u64) -> String {
        let mut claims = String::with_capacity(256);
        claims.push_str("{\"aud\":\"");
        for part in audience {
            push_escaped(&mut claims, part);
        }
        claims.push_str("\",");
        if let Some(user) = user {
            claims.push('"');
            claims.push_str(NAME_CLAIM);
            claims.push_str("\":\"");
            push_escaped(&mut claims, user);
            claims.push_str("\",");
        }
        push_times(&mut claims, now, LIFETIME);
        claims.push('}');
        self.sign(HEADER, &claims)
    }

    /// Signs any claims, with `headers` beside those that say how it is signed.
    pub(crate) fn token(
        &self,
        headers: &BTreeMap<String, Value>,
        claims: &BTreeMap<&str, Value>,
    ) -> String {
        let claims = Value::from_iter(claims.clone()).to_string();
        if headers.is_empty() {
            return self.sign(HEADER, &claims);
        }
        let mut header = headers.clone();
        header.insert("alg".to_owned(), "HS256".into());
        header.entry("typ".to_owned()).or_insert("JWT".into());
        let header = Value::from_iter(header).to_string();
        self.sign(&URL_SAFE_NO_PAD.encode(header), &claims)
    }

    fn sign(&self, header: &str, claims: &str) -> String {
        let mut token = String::with_capacity(header.len() + claims.len() * 4 / 3 + 50);
        token.push_str(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let tag = {
            let key = self.0.read().unwrap_or_else(PoisonError::into_inner);
            hmac::sign(&key, token.as_bytes())
        };
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(tag, &mut token);
        token
    }
}

impl fmt::Debug for AccessKeyCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKeyCredential(***)")
    }
}

fn signing_key(key: &str) -> azure_core::Result<hmac::Key> {
    match key.is_empty() {
        true => Err(invalid(
            "the access key is empty; copy one of the two keys of the service".to_owned(),
        )),
        false => Ok(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes())),
    }
}

fn push_times(claims: &mut String, now: u64, lifetime: u64) {
    use std::fmt::Write;

    write!(
        claims,
        "\"iat\":{now},\"nbf\":{now},\"exp\":{}",
        now.saturating_add(lifetime)
    )
    .expect("a string takes any text");
}

/// Adds text as the inside of a JSON string. Addresses hold nothing to escape, so they are copied at once.
fn push_escaped(json: &mut String, text: &str) {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        return json.push_str(text);
    }
    let quoted = Value::from(text).to_string();
    json.push_str(&quoted[1..quoted.len() - 1]);
}

#[cfg(test)]
mod tests {
    use hubwire_protocol::token::{Claims, TokenError};

    use super::*;

    const KEY: &str = "a key of the test";

    #[test]
    fn a_request_token_is_verified_by_the_service() {
        let credential = AccessKeyCredential::new(KEY).unwrap();
        let token = credential.request_token(&["https://host", "/api?x=1"], None, 1_000);
        let claims = Claims::verify(&token, [KEY], 1_000, 0).unwrap();
        assert_eq!(
            claims.audiences().collect::<Vec<_>>(),
            ["https://host/api?x=1"]
        );
        let late = Claims::verify(&token, [KEY], 1_300, 0);
        assert_eq!(late.err(), Some(TokenError::Expired));
        let early = Claims::verify(&token, [KEY], 999, 0);
        assert_eq!(early.err(), Some(TokenError::NotYetValid));
        let foreign = Claims::verify(&token, ["another key"], 1_000, 0);
        assert_eq!(foreign.err(), Some(TokenError::Signature));
    }

    #[test]
    fn the_user_of_a_request_token_may_hold_any_character() {
        let credential = AccessKeyCredential::new(KEY).unwrap();
        let user = "O\"Brien \\ \n ü";
        let token = credential.request_token(&["https://host"], Some(user), 1_000);
        let claims = Claims::verify(&token, [KEY], 1_000, 0).unwrap();
        assert_eq!(claims.text_of(NAME_CLAIM).unwrap(), user);
    }

    #[test]
    fn an_updated_key_signs_for_every_clone() {
        let credential = AccessKeyCredential::new(KEY).unwrap();
        let clone = credential.clone();
        credential.update("another").unwrap();
        let token = clone.request_token(&["https://host"], None, 1_000);
        assert!(Claims::verify(&token, ["another"], 1_000, 0).is_ok());
        assert!(credential.update("").is_err());
        let token = clone.request_token(&["https://host"], None, 1_000);
        assert!(Claims::verify(&token, ["another"], 1_000, 0).is_ok());
    }

    #[test]
    fn headers_of_a_token_cannot_change_how_it_is_signed() {
        let credential = AccessKeyCredential::new(KEY).unwrap();
        let headers = BTreeMap::from([
            ("alg".to_owned(), "none".into()),
            ("kid".to_owned(), "k1".into()),
        ]);
        let claims = BTreeMap::from([("exp", 2_000.into())]);
        let token = credential.token(&headers, &claims);
        assert!(Claims::verify(&token, [KEY], 1_000, 0).is_ok());
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap());
        let header: Value = serde_json::from_slice(&header.unwrap()).unwrap();
        assert_eq!(
            header,
            serde_json::json!({ "alg": "HS256", "typ": "JWT", "kid": "k1" })
        );
    }
}

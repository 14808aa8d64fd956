//! The public keys of an issuer.

use std::collections::HashMap;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Refusal;

/// Keys of an issuer that are kept. Source: ours, several times as many as issuers have.
const KEYS_MAX: usize = 100;

/// The keys of an issuer by their ids. Those without an id, of other kinds and for other uses are left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct KeySet(HashMap<String, Jwk>);

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
struct Jwk {
    kty: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    used_for: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a JSON Web Key Set.
    pub(super) fn parse(document: &[u8]) -> Result<Self, String> {
        let document: Document = serde_json::from_slice(document)
            .map_err(|_| "the answer is no JSON Web Key Set".to_owned())?;
        let mut keys = HashMap::new();
        for key in document.keys {
            let Some(id) = key["kid"].as_str().map(str::to_owned) else {
                continue;
            };
            // A key that is not understood must not take away the others.
            let Ok(jwk) = serde_json::from_value::<Jwk>(key) else {
                continue;
            };
            if keys.len() < KEYS_MAX && jwk.is_usable() {
                keys.insert(id, jwk);
            }
        }
        match keys.is_empty() {
            true => Err("the key set has no key for RS256, PS256 or ES256 with a `kid`".to_owned()),
            false => Ok(Self(keys)),
        }
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Checks the signature of a token and returns its claims, unchecked.
    pub(super) fn verify(
        &self,
        token: &str,
        id: &str,
        algorithm: Algorithm,
    ) -> Result<Map<String, Value>, Refusal> {
        let jwk = self.0.get(id).ok_or(Refusal::UnknownKey)?;
        if !jwk.allows(algorithm) {
            return Err(Refusal::Algorithm);
        }
        let key = jwk.decoding_key().ok_or(Refusal::UnknownKey)?;
        let mut validation = Validation::new(algorithm);
        validation.algorithms = vec![algorithm];
        // Times, audience and issuer are checked by whoever has the time and the settings.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation)
            .map(|token| token.claims)
            .map_err(|_| Refusal::Signature)
    }
}

impl Jwk {
    fn is_usable(&self) -> bool {
        let algorithms = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256];
        self.used_for.as_deref().is_none_or(|used| used == "sig")
            && algorithms.into_iter().any(|known| self.allows(known))
            && self.decoding_key().is_some()
    }

    /// Tells whether a token that this key has signed may name an algorithm.
    fn allows(&self, algorithm: Algorithm) -> bool {
        let is_of_kind = match algorithm {
            Algorithm::RS256 | Algorithm::PS256 => self.kty == "RSA",
            Algorithm::ES256 => self.kty == "EC" && self.crv.as_deref() == Some("P-256"),
            _ => false,
        };
        let stated = self.alg.as_deref();
        is_of_kind && stated.is_none_or(|name| self::algorithm(name) == Some(algorithm))
    }

    fn decoding_key(&self) -> Option<DecodingKey> {
        let key = match self.kty.as_str() {
            "RSA" => DecodingKey::from_rsa_components(self.n.as_deref()?, self.e.as_deref()?),
            "EC" => DecodingKey::from_ec_components(self.x.as_deref()?, self.y.as_deref()?),
            _ => return None,
        };
        key.ok()
    }
}

/// Returns an algorithm that is accepted. Source: rest-api 3.6.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "RS256" => Some(Algorithm::RS256),
        "PS256" => Some(Algorithm::PS256),
        "ES256" => Some(Algorithm::ES256),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_of_other_kinds_and_uses_are_left_out() {
        let rsa = |kid: &str, more: Value| {
            let mut key = json!({ "kid": kid, "kty": "RSA", "n": "AQAB", "e": "AQAB" });
            key.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            key
        };
        let mut without_id = rsa("", json!({}));
        without_id.as_object_mut().unwrap().remove("kid");
        let document = json!({ "keys": [
            rsa("good", json!({ "use": "sig", "alg": "RS256", "x5c": ["x"] })),
            rsa("unspecified", json!({})),
            rsa("for encryption", json!({ "use": "enc" })),
            rsa("other algorithm", json!({ "alg": "RS512" })),
            rsa("not base64", json!({ "n": "*" })),
            without_id,
            { "kid": "shared", "kty": "oct", "k": "AQAB" },
            { "kid": "other curve", "kty": "EC", "crv": "P-384", "x": "AQAB", "y": "AQAB" },
            { "kid": 7, "kty": "RSA", "n": "AQAB", "e": "AQAB" },
            "no key",
        ] });
        let keys = KeySet::parse(document.to_string().as_bytes()).unwrap();
        let mut ids: Vec<&str> = keys.0.keys().map(String::as_str).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["good", "unspecified"]);
    }

    #[test]
    fn a_document_without_a_usable_key_is_refused_and_keys_are_bounded() {
        for document in [
            "",
            "[]",
            "{}",
            r#"{"keys":[]}"#,
            r#"{"keys":[{"kty":"oct","kid":"a"}]}"#,
        ] {
            assert!(KeySet::parse(document.as_bytes()).is_err(), "{document}");
        }
        let many: Vec<Value> = (0..KEYS_MAX + 10)
            .map(|n| json!({ "kid": n.to_string(), "kty": "RSA", "n": "AQAB", "e": "AQAB" }))
            .collect();
        let keys = KeySet::parse(json!({ "keys": many }).to_string().as_bytes()).unwrap();
        assert_eq!(keys.len(), KEYS_MAX);
    }
}

//! Access tokens: JSON Web Tokens signed with an access key. Source: rest-api 3.

mod audience;
mod reconnection;

pub use audience::{
    audience_host, client_audience_matches, rest_audience_matches, tunnel_audience_matches,
};
pub use reconnection::ReconnectionKey;

use std::borrow::Cow;
use std::collections::BTreeMap;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Map, Value};

const NAME_IDENTIFIER: &str =
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier";
const ROLE: &str = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role";

/// Why a token is refused. No variant holds any part of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a JSON Web Token, not signed by HS256 with one of the keys, or claims of the wrong form.
    #[error("the token is malformed or its signature matches no active key")]
    Signature,
    /// There is no `exp`.
    #[error("the token has no expiry")]
    NoExpiry,
    /// `exp` is past, beyond the tolerated skew.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is ahead, beyond the tolerated skew.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// No `aud` names what was asked for.
    #[error("the token is for another audience")]
    Audience,
}

/// The claims of a verified token.
#[derive(Clone, PartialEq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// Verifies signature and lifetime. `keys` are the active access keys, tried in order; their UTF-8 bytes sign.
    /// `now` is in seconds since 1970, `skew` in seconds and tolerated on both ends.
    ///
    /// # Errors
    ///
    /// The first [`TokenError`]; the audience is the caller's to check.
    pub fn verify<'k>(
        token: &str,
        keys: impl IntoIterator<Item = &'k str>,
        now: u64,
        skew: u64,
    ) -> Result<Self, TokenError> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let claims = keys
            .into_iter()
            .find_map(|key| {
                let key = DecodingKey::from_secret(key.as_bytes());
                jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation).ok()
            })
            .map(|token| Self(token.claims))
            .ok_or(TokenError::Signature)?;
        let (now, skew) = (now as f64, skew as f64);
        let expiry = claims.seconds("exp")?.ok_or(TokenError::NoExpiry)?;
        if expiry + skew <= now {
            return Err(TokenError::Expired);
        }
        match claims.seconds("nbf")? {
            Some(not_before) if not_before > now + skew => Err(TokenError::NotYetValid),
            Some(_) | None => Ok(claims),
        }
    }

    /// Returns the audiences.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        strings(self.0.get("aud"))
    }

    /// Returns the user id; an empty one counts as none.
    pub fn user_id(&self) -> Option<&str> {
        ["sub", "nameid", NAME_IDENTIFIER]
            .into_iter()
            .find_map(|name| self.0.get(name)?.as_str())
            .filter(|id| !id.is_empty())
    }

    /// Returns the roles.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        strings(self.0.get("role").or_else(|| self.0.get(ROLE)))
    }

    /// Returns the groups to join at connect, unchecked.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        strings(self.0.get("webpubsub.group"))
    }

    /// Returns all claims as handlers of `connect` see them: each value is a list of texts, in which what is no text is its JSON.
    /// Source: events-and-operations 5.1.
    pub fn entries(&self) -> impl Iterator<Item = (String, Vec<String>)> {
        self.0
            .iter()
            .map(|(name, value)| (name.clone(), texts(value)))
    }

    /// Returns a claim as text, so that it can be compared: a string as it is, anything else as JSON. `null` counts as none.
    pub fn text_of(&self, name: &str) -> Option<Cow<'_, str>> {
        match self.0.get(name)? {
            Value::Null => None,
            Value::String(text) => Some(Cow::Borrowed(text)),
            other => Some(Cow::Owned(other.to_string())),
        }
    }

    fn seconds(&self, name: &str) -> Result<Option<f64>, TokenError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(TokenError::Signature),
        }
    }
}

fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let values = match value {
        Some(Value::Array(values)) => values.as_slice(),
        Some(value) => std::slice::from_ref(value),
        None => &[],
    };
    values.iter().filter_map(Value::as_str)
}

fn texts(value: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    match value {
        Value::Array(values) => values.iter().map(text).collect(),
        value => vec![text(value)],
    }
}

/// What goes into a client access token. Source: rest-api 3.4.
#[derive(Clone, Debug, Default)]
pub struct ClientTokenClaims {
    /// The URL the client will open, as `http` or `https`.
    pub audience: String,
    /// Issued at and not valid before, in seconds since 1970.
    pub issued_at: u64,
    /// Lifetime in seconds.
    pub lifetime: u64,
    /// The user id, if any.
    pub user_id: Option<String>,
    /// The roles.
    pub roles: Vec<String>,
    /// The groups to join at connect.
    pub groups: Vec<String>,
}

/// Signs a client access token; `key_id` goes into the header and tells keys apart.
pub fn sign_client_token(claims: &ClientTokenClaims, key: &str, key_id: Option<&str>) -> String {
    let mut body = BTreeMap::from([
        ("aud", Value::from(claims.audience.as_str())),
        ("iat", claims.issued_at.into()),
        ("nbf", claims.issued_at.into()),
        (
            "exp",
            claims.issued_at.saturating_add(claims.lifetime).into(),
        ),
    ]);
    if let Some(user_id) = &claims.user_id {
        body.insert("sub", user_id.as_str().into());
    }
    if !claims.roles.is_empty() {
        body.insert("role", claims.roles.clone().into());
    }
    if !claims.groups.is_empty() {
        body.insert("webpubsub.group", claims.groups.clone().into());
    }
    let header = Header {
        kid: key_id.map(str::to_owned),
        ..Header::new(Algorithm::HS256)
    };
    jsonwebtoken::encode(&header, &body, &EncodingKey::from_secret(key.as_bytes()))
        .expect("HS256 signs any JSON object with any key")
}

/// Derives the key that signs what the service issues to itself when none is configured. Source: ours, so that one
/// access key is enough to start with; it changes with the primary key.
pub fn derive_internal_key(primary: &str) -> String {
    use aws_lc_rs::hkdf;
    use base64::Engine;

    let mut key = [0; 32];
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"hubwire")
        .extract(primary.as_bytes())
        .expand(&[b"internal key"], hkdf::HKDF_SHA256)
        .and_then(|output| output.fill(&mut key))
        .expect("32 bytes are one block of SHA-256");
    base64::engine::general_purpose::STANDARD.encode(key)
}

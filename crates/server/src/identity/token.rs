//! What an identity token says, before and after its signature is checked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Refusal;

/// Longest identity token. Bytes. Source: ours, several times what hundreds of groups take.
pub(super) const TOKEN_MAX: usize = 64 * 1024;

/// The head of a token, as far as it matters.
#[derive(Deserialize)]
pub(super) struct Head {
    pub(super) alg: String,
    pub(super) kid: Option<String>,
    /// Extensions that a reader has to know, of which this one knows none.
    pub(super) crit: Option<Value>,
}

/// Reads the head of a token.
pub(super) fn head(token: &str) -> Option<Head> {
    parse(token.split('.').next()?)
}

/// Reads the claims of a token without looking at its signature.
pub(super) fn claims(token: &str) -> Option<Map<String, Value>> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    match parts.next() {
        Some(_) => None,
        None => parse(claims),
    }
}

fn parse<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// Returns the texts of a claim that is a text or a list of texts.
pub(super) fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let values = match value {
        Some(Value::Array(values)) => values.as_slice(),
        Some(value) => std::slice::from_ref(value),
        None => &[],
    };
    values.iter().filter_map(Value::as_str)
}

/// Tells whether two URLs are the same but for a slash at their end.
pub(super) fn is_same_url(one: &str, other: &str) -> bool {
    let trim = |text: &'_ str| text.strip_suffix('/').map_or(text.len(), str::len);
    one[..trim(one)] == other[..trim(other)]
}

/// Tells whether claims name an audience.
pub(super) fn has_audience(claims: &Map<String, Value>, audience: &str) -> bool {
    strings(claims.get("aud")).any(|known| is_same_url(known, audience))
}

/// Checks the times of a token and returns the last second in which it is good. All are in seconds, `now` since 1970.
pub(super) fn check_times(
    claims: &Map<String, Value>,
    now: u64,
    skew: u64,
) -> Result<u64, Refusal> {
    let seconds = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(Refusal::Malformed),
    };
    let (now, skew) = (now as f64, skew as f64);
    let expiry = seconds("exp")?.ok_or(Refusal::NoExpiry)?;
    if expiry + skew <= now {
        return Err(Refusal::Expired);
    }
    match seconds("nbf")? {
        Some(not_before) if not_before > now + skew => Err(Refusal::NotYetValid),
        // A cast ends at the largest number.
        Some(_) | None => Ok((expiry + skew) as u64),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_checked_with_the_tolerated_skew() {
        let check = |claims: Value| check_times(claims.as_object().unwrap(), 1000, 300);
        for (claims, wanted) in [
            (json!({ "exp": 1001 }), Ok(1301)),
            (json!({ "exp": 701 }), Ok(1001)),
            (json!({ "exp": 701.5 }), Ok(1001)),
            (json!({ "exp": 700 }), Err(Refusal::Expired)),
            (json!({}), Err(Refusal::NoExpiry)),
            (json!({ "exp": "9999" }), Err(Refusal::Malformed)),
            (json!({ "exp": null }), Err(Refusal::Malformed)),
            (json!({ "exp": 2000, "nbf": 1300 }), Ok(2300)),
            (
                json!({ "exp": 2000, "nbf": 1301 }),
                Err(Refusal::NotYetValid),
            ),
            (json!({ "exp": 2000, "nbf": "0" }), Err(Refusal::Malformed)),
        ] {
            assert_eq!(check(claims.clone()), wanted, "{claims}");
        }
    }

    #[test]
    fn a_slash_at_the_end_makes_no_difference_and_nothing_else_is_forgiven() {
        for (audience, is_same) in [
            (json!("https://webpubsub.azure.com"), true),
            (json!("https://webpubsub.azure.com/"), true),
            (json!(["x", "https://webpubsub.azure.com"]), true),
            (json!("https://webpubsub.azure.com//"), false),
            (json!("https://webpubsub.azure.com/x"), false),
            (json!("https://WEBPUBSUB.azure.com"), false),
            (json!(["x"]), false),
            (json!(null), false),
        ] {
            let claims = json!({ "aud": audience });
            let found = has_audience(claims.as_object().unwrap(), "https://webpubsub.azure.com");
            assert_eq!(found, is_same, "{claims}");
        }
    }
}

//! The keys whose signatures are believed. Source: events-and-operations 4.1.

use std::fmt;
use std::sync::{PoisonError, RwLock};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use http::HeaderMap;

pub(crate) const SIGNATURE: &str = "ce-signature";
const SCHEME: &str = "sha256=";
const DIGEST_LEN: usize = 32;

/// Keys that can be replaced while requests are checked.
pub(crate) struct AccessKeys(RwLock<Vec<hmac::Key>>);

impl AccessKeys {
    pub(crate) fn new(keys: &[String]) -> Self {
        Self(RwLock::new(prepare(keys)))
    }

    pub(crate) fn replace(&self, keys: &[String]) {
        let keys = prepare(keys);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// Tells whether an element of the signature of a connection is by one of the keys. How long it takes says nothing of the
    /// right signature.
    pub(crate) fn have_signed(&self, headers: &HeaderMap, connection_id: &[u8]) -> bool {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let expected: Vec<hmac::Tag> = keys
            .iter()
            .map(|key| hmac::sign(key, connection_id))
            .collect();
        headers
            .get_all(SIGNATURE)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .filter_map(parse_element)
            .any(|given| {
                expected
                    .iter()
                    .any(|tag| verify_slices_are_equal(tag.as_ref(), &given).is_ok())
            })
    }
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKeys(***)")
    }
}

fn prepare(keys: &[String]) -> Vec<hmac::Key> {
    keys.iter()
        .map(|key| hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()))
        .collect()
}

/// Reads `sha256=<64 digits>`; letter case does not matter.
fn parse_element(element: &[u8]) -> Option<[u8; DIGEST_LEN]> {
    let (scheme, digits) = element.trim_ascii().split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME.as_bytes()) || digits.len() != 2 * DIGEST_LEN {
        return None;
    }
    let mut digest = [0; DIGEST_LEN];
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let value = digit(pair[0])? << 4 | digit(pair[1])?;
        *byte = u8::try_from(value).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4231, 4.3.
    const KEY: &str = "Jefe";
    const ID: &[u8] = b"what do ya want for nothing?";
    const BY_KEY: &str = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    fn believed(keys: &[&str], signature: &str) -> bool {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE, signature.parse().expect("a header value"));
        AccessKeys::new(&keys).have_signed(&headers, ID)
    }

    #[test]
    fn the_signature_is_the_hmac_of_the_connection_id_with_the_text_of_the_key() {
        assert!(believed(&[KEY], BY_KEY));
        assert!(believed(&[KEY], &BY_KEY.to_uppercase()));
        assert!(!AccessKeys::new(&[KEY.to_owned()]).have_signed(&HeaderMap::new(), ID));
    }

    #[test]
    fn any_key_and_any_element_will_do() {
        let other = format!("sha256={}", "0".repeat(64));
        assert!(believed(&["other", KEY], BY_KEY));
        assert!(believed(&[KEY], &format!("{other}, {BY_KEY}")));
        assert!(believed(&[KEY], &format!("{BY_KEY},{other}")));
        assert!(!believed(&[KEY], &other));
        assert!(!believed(&["other"], BY_KEY));
    }

    #[test]
    fn what_is_no_signature_is_none() {
        let digits = &BY_KEY[SCHEME.len()..];
        for signature in [
            "",
            ",",
            "sha256=",
            digits,
            &format!("sha1={digits}"),
            &BY_KEY[..BY_KEY.len() - 1],
            &format!("{BY_KEY}0"),
            &format!("{}g", &BY_KEY[..BY_KEY.len() - 1]),
            &format!("{BY_KEY};{BY_KEY}"),
        ] {
            assert!(!believed(&[KEY], signature), "{signature}");
        }
        assert!(!believed(&[], BY_KEY));
    }
}

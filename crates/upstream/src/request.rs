//! The headers of an event's request. Source: events-and-operations 4.

use aws_lc_rs::hmac;
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::cloud_event::CloudEvent;
use crate::connections::Attached;
use crate::cookies::Site;
use crate::secret::Secret;

pub(crate) const CE_CONNECTION_STATE: HeaderName = HeaderName::from_static("ce-connectionstate");
pub(crate) const CE_AWPS_VERSION: HeaderName = HeaderName::from_static("ce-awpsversion");
pub(crate) const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
pub(crate) const METADATA_PREFIX: &str = "x-webpubsub-metadata-";
const VERSION: HeaderValue = HeaderValue::from_static("1.0");
const USER_ID: HeaderName = HeaderName::from_static("ce-userid");

/// A header cannot have its value. Source: events-and-operations 4: such a request fails and is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("header `{0}` would hold a character that it cannot have")]
pub(crate) struct IllegalHeader(pub(crate) HeaderName);

/// What signs events.
pub(crate) struct Signer(Vec<hmac::Key>);

impl Signer {
    pub(crate) fn new(access_keys: &[Secret]) -> Self {
        let keys = access_keys
            .iter()
            .map(|key| hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes()));
        Self(keys.collect())
    }

    /// Returns the signature of a connection's events; `None` without keys. Source: events-and-operations 4.1.
    fn sign(&self, connection_id: &str) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let mut signature = String::new();
        for key in &self.0 {
            if !signature.is_empty() {
                signature.push(',');
            }
            signature.push_str("sha256=");
            push_hex(
                hmac::sign(key, connection_id.as_bytes()).as_ref(),
                &mut signature,
            );
        }
        Some(signature)
    }
}

fn push_hex(bytes: &[u8], text: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// What the attempts of an event have in common, beside the event.
pub(crate) struct Common {
    id: Uuid,
    state: Option<HeaderValue>,
    cookies: Option<HeaderValue>,
}

impl Common {
    /// Takes what is kept for the connection now.
    pub(crate) fn new(attached: &Attached, site: Site<'_>) -> Self {
        let mut cookies = attached.cookie_header(site);
        if let Some(cookies) = &mut cookies {
            cookies.set_sensitive(true);
        }
        Self {
            id: Uuid::new_v4(),
            state: attached.state(),
            cookies,
        }
    }
}

/// Returns the headers of an event's request but `Authorization`, the same for all its attempts. They are made for each, since a copy
/// costs as much.
pub(crate) fn headers(
    event: &CloudEvent,
    origin: &HeaderValue,
    signer: &Signer,
    common: &Common,
) -> Result<HeaderMap, IllegalHeader> {
    let mut headers = HeaderMap::with_capacity(24);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(event.content_type));
    headers.insert(CONTENT_LENGTH, event.body.len().into());
    headers.insert(REQUEST_ORIGIN, origin.clone());
    headers.insert("ce-specversion", VERSION);
    headers.insert(CE_AWPS_VERSION, VERSION);
    headers.insert("ce-id", event.id.into());
    let mut values = Values::new();
    values.add("ce-type", &event.kind);
    values.add("ce-source", &event.source);
    values.add("ce-time", &event.time);
    values.add("ce-connectionid", &event.connection_id);
    values.add("ce-hub", event.hub.as_str());
    values.add("ce-eventname", &event.event_name);
    let mut id = Uuid::encode_buffer();
    values.add(
        "x-ms-client-request-id",
        common.id.hyphenated().encode_lower(&mut id),
    );
    if let Some(subprotocol) = &event.subprotocol {
        values.add("ce-subprotocol", subprotocol);
    }
    values.insert_into(&mut headers)?;
    if let Some(user) = &event.user {
        let value = HeaderValue::from_bytes(user.as_str().as_bytes())
            .map_err(|_| IllegalHeader(USER_ID))?;
        headers.insert(USER_ID, value);
    }
    if let Some(mut signature) = signer
        .sign(&event.connection_id)
        .and_then(|signature| HeaderValue::from_maybe_shared(signature).ok())
    {
        signature.set_sensitive(true);
        headers.insert("ce-signature", signature);
    }
    if let Some(state) = &common.state {
        headers.insert(CE_CONNECTION_STATE, state.clone());
    }
    if let Some(cookies) = &common.cookies {
        headers.insert(COOKIE, cookies.clone());
    }
    for (key, value) in event.metadata.iter() {
        let name = format!("{METADATA_PREFIX}{}", key.to_ascii_lowercase());
        // Keys are tokens, as names of headers are.
        let name = HeaderName::try_from(name)
            .map_err(|_| IllegalHeader(HeaderName::from_static("x-webpubsub-metadata-")))?;
        insert(&mut headers, name, value)?;
    }
    Ok(headers)
}

/// Values of headers in one buffer, so that copies of the headers share it.
struct Values {
    text: Vec<u8>,
    /// Names, and where their values end.
    ends: Vec<(&'static str, usize)>,
}

impl Values {
    fn new() -> Self {
        Self {
            text: Vec::with_capacity(512),
            ends: Vec::with_capacity(8),
        }
    }

    fn add(&mut self, name: &'static str, value: &str) {
        self.text.extend_from_slice(value.as_bytes());
        self.ends.push((name, self.text.len()));
    }

    fn insert_into(self, headers: &mut HeaderMap) -> Result<(), IllegalHeader> {
        let text = Bytes::from(self.text);
        let mut begin = 0;
        for (name, end) in self.ends {
            let name = HeaderName::from_static(name);
            let value = text.slice(std::mem::replace(&mut begin, end)..end);
            let is_ascii = value.is_ascii();
            match HeaderValue::from_maybe_shared(value) {
                Ok(value) if is_ascii => headers.insert(name, value),
                _ => return Err(IllegalHeader(name)),
            };
        }
        Ok(())
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), IllegalHeader> {
    match HeaderValue::from_str(value) {
        Ok(value) if value.as_bytes().is_ascii() => {
            headers.insert(name, value);
            Ok(())
        }
        _ => Err(IllegalHeader(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_has_an_element_for_each_key_in_their_order() {
        let keys = ["primary-key", "secondary-key"].map(Secret::new);
        let [primary, secondary] =
            [&keys[..1], &keys[1..]].map(|keys| Signer::new(keys).sign("abc").unwrap());
        assert_eq!(primary.len(), "sha256=".len() + 64);
        assert_eq!(
            Signer::new(&keys).sign("abc").unwrap(),
            format!("{primary},{secondary}")
        );
        assert_eq!(Signer::new(&[]).sign("abc"), None);
    }

    #[test]
    fn a_signature_is_the_hmac_of_the_connection_id_with_the_text_of_the_key() {
        // RFC 4231, 4.3.
        let signature = Signer::new(&[Secret::new("Jefe")]).sign("what do ya want for nothing?");
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature.unwrap(), expected);
    }
}

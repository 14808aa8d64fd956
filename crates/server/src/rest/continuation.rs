//! Continuation tokens: the last item of a page, authenticated, so that a list goes on behind an item that it has shown. Callers
//! hand them back as they are. Source: ours, since rest-api 1.6 leaves the form to the service.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Longest token: one for a group name of 1,024 characters of three bytes each. Characters.
pub(super) const TOKEN_MAX: usize = (TAG_LEN + 3 * 1024).div_ceil(3) * 4;

const TAG_LEN: usize = 16;

/// Makes a token that only the owner of the key can have made, for this list only. The parts of `list` together name the list.
pub(super) fn seal(key: &[u8], list: &[&str], last: &str) -> String {
    let mut bytes = tag(key, list, last).as_ref()[..TAG_LEN].to_vec();
    bytes.extend_from_slice(last.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Returns the last item that a token holds; `None` if it was not made with this key for this list.
pub(super) fn open(key: &[u8], list: &[&str], token: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (found, last) = bytes.split_at_checked(TAG_LEN)?;
    let last = str::from_utf8(last).ok()?;
    let expected = tag(key, list, last);
    constant_time::verify_slices_are_equal(found, &expected.as_ref()[..TAG_LEN]).ok()?;
    Some(last.to_owned())
}

fn tag(key: &[u8], list: &[&str], last: &str) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in ["continuation"].iter().chain(list).chain([&last]) {
        // Names can hold any character, so only the length tells where one ends.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    context.sign()
}

use std::borrow::Cow;

use percent_encoding::{
    AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, utf8_percent_encode,
};

/// All but the unreserved characters of RFC 3986, 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Encodes a name as one segment of a path, or as a value of a query: all but the unreserved characters of RFC 3986.
pub fn encode_component(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}

/// Splits a raw path and decodes its segments, without the empty one before the first slash. It is split at its slashes first, so
/// that an encoded slash never makes a segment. A trailing slash does not matter. Source: rest-api 1.4.
pub fn decode_path(raw_path: &str, keep_encoded_slash: bool) -> Vec<Cow<'_, str>> {
    let path = raw_path.strip_suffix('/').unwrap_or(raw_path);
    path.split('/')
        .skip(1)
        .map(|segment| decode_segment(segment, keep_encoded_slash))
        .collect()
}

/// Decodes a segment of a path once; what is not UTF-8 becomes U+FFFD. With `keep_encoded_slash`, `%2F` stays as it is.
/// Source: rest-api 1.4.
pub fn decode_segment(segment: &str, keep_encoded_slash: bool) -> Cow<'_, str> {
    let decode = |text| percent_decode_str(text).decode_utf8_lossy();
    if !keep_encoded_slash || find_encoded_slash(segment).is_none() {
        return decode(segment);
    }
    let mut decoded = String::with_capacity(segment.len());
    let mut rest = segment;
    while let Some(at) = find_encoded_slash(rest) {
        decoded.push_str(&decode(&rest[..at]));
        decoded.push_str(&rest[at..at + 3]);
        rest = &rest[at + 3..];
    }
    decoded.push_str(&decode(rest));
    decoded.into()
}

fn find_encoded_slash(text: &str) -> Option<usize> {
    text.as_bytes()
        .windows(3)
        .position(|window| window.eq_ignore_ascii_case(b"%2f"))
}

//! Paths of URLs: a path as it is, and a text as a segment of one. The first byte says how the text is encoded.

use std::borrow::Cow;

use hubwire_protocol::http::{decode_path, decode_segment};

/// Decodes the input as a path, and encodes it as a segment in one of many ways that all mean the same.
///
/// # Panics
///
/// If segments are not what was encoded, or differ from those of a decoder that follows the words of the specification.
pub fn run(data: &[u8]) {
    let Some((ways, rest)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    decode(&text);

    let encoded = encode(&text, *ways);
    assert_eq!(decode_segment(&encoded, false), text);
    let path = format!("/api/hubs/{encoded}/:send/");
    assert_eq!(
        decode_path(&path, false),
        ["api", "hubs", &text, ":send"].map(Cow::Borrowed)
    );
    assert_eq!(decode_path(&path, true).len(), 4);
}

fn decode(path: &str) {
    let raw_segments: Vec<&str> = path
        .strip_suffix('/')
        .unwrap_or(path)
        .split('/')
        .skip(1)
        .collect();
    let decoded: Vec<String> = raw_segments
        .iter()
        .map(|segment| reference(segment))
        .collect();
    assert_eq!(decode_path(path, false), decoded);
    // What is to stay encoded is encoded once more.
    let kept: Vec<String> = raw_segments
        .iter()
        .map(|segment| reference(&segment.replace("%2f", "%252f").replace("%2F", "%252F")))
        .collect();
    assert_eq!(decode_path(path, true), kept);
}

fn reference(segment: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after
            .get(..2)
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        match (first, digits) {
            (b'%', Some(digits)) => {
                let digits = str::from_utf8(digits).expect("digits are ASCII");
                bytes.push(u8::from_str_radix(digits, 16).expect("two digits make a byte"));
                rest = &after[2..];
            }
            (byte, _) => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Encodes what must be encoded, and other bytes as the bits of `ways` say, in turn.
fn encode(text: &str, ways: u8) -> String {
    let mut encoded = String::new();
    for (index, char) in text.chars().enumerate() {
        let is_wanted = ways.rotate_left(index as u32) & 1 == 1;
        if !is_wanted && char != '%' && char != '/' {
            encoded.push(char);
            continue;
        }
        for byte in char.encode_utf8(&mut [0; 4]).bytes() {
            let is_upper = ways & 0x80 == 0;
            encoded.push_str(&match is_upper {
                true => format!("%{byte:02X}"),
                false => format!("%{byte:02x}"),
            });
        }
    }
    encoded
}

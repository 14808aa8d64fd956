//! Paths, queries and content types (rest-api 1.3, 1.4 and 2.1).

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::borrow::Cow;

use hubwire_protocol::http::{ContentType, Query, QueryError, decode_path, decode_segment};
use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn segments_are_decoded_once_after_the_path_is_split() {
    let table = [
        ("tenant%2Falice", "tenant/alice", "tenant%2Falice"),
        ("tenant%252Falice", "tenant%2Falice", "tenant%2Falice"),
        ("a%2fb%2Fc%20d", "a/b/c d", "a%2fb%2Fc d"),
        ("alice%20smith", "alice smith", "alice smith"),
        ("alice+bob", "alice+bob", "alice+bob"),
        ("chat%5B1%5D", "chat[1]", "chat[1]"),
        ("%3Asend", ":send", ":send"),
        ("100%", "100%", "100%"),
        ("%2", "%2", "%2"),
        ("%FF", "\u{FFFD}", "\u{FFFD}"),
        ("", "", ""),
    ];
    for (segment, decoded, kept) in table {
        assert_eq!(decode_segment(segment, false), decoded, "{segment}");
        assert_eq!(decode_segment(segment, true), kept, "{segment}");
        let path = format!("/x/{segment}/y/");
        assert_eq!(
            decode_path(&path, false),
            ["x", decoded, "y"].map(Cow::Borrowed)
        );
        assert_eq!(
            decode_path(&path, true),
            ["x", kept, "y"].map(Cow::Borrowed)
        );
    }
}

#[test]
fn content_types_are_split_into_media_type_and_charset() {
    let good = [
        ("text/plain", "text/plain", None),
        ("Text/Plain; charset=utf-8", "Text/Plain", Some("utf-8")),
        (
            "text/plain;charset=\"iso-8859-1\" ; x=y",
            "text/plain",
            Some("iso-8859-1"),
        ),
        (
            "application/json ; a=b;charset=utf-16",
            "application/json",
            Some("utf-16"),
        ),
        ("text/plain;", "text/plain", None),
        ("a/b;CharSet=\"\"", "a/b", Some("")),
        (r#"a/b;charset="x\"\\;y""#, "a/b", Some(r#"x"\;y"#)),
        ("a/b;charset=1;charset=2", "a/b", Some("1")),
    ];
    for (text, media_type, charset) in good {
        let expected = ContentType {
            media_type,
            charset: charset.map(Cow::Borrowed),
        };
        assert_eq!(ContentType::parse(text), Some(expected), "{text}");
    }
    for text in [
        "",
        "text",
        "text/",
        "/plain",
        "text/plain; charset=\"",
        "text/plain; charset=\"\\\"",
        "text/plain; charset",
        "text/plain; charset=",
        "text/plain; =x",
        "text/plain; charset =x",
        "a b/c",
        "a/b/c",
        "text/plain; charset=a b",
        "text/plain; charset=\"a\"b",
        "text/plain, text/html",
    ] {
        assert_eq!(ContentType::parse(text), None, "{text}");
    }
}

#[test]
fn a_number_is_in_range_and_given_once() {
    let number = |query: &str| Query::parse(query).number("top", 1..=200);
    assert_eq!(number("x=1&TOP=1"), Ok(None));
    for (query, expected) in [
        ("top=1", 1),
        ("top=%32%30%30&x", 200),
        ("top=%2B5", 5),
        ("top=007", 7),
    ] {
        assert_eq!(number(query), Ok(Some(expected)), "{query}");
    }
    for (query, text) in [
        ("top", ""),
        ("top=", ""),
        ("top=0", "0"),
        ("top=201", "201"),
        ("top=1.0", "1.0"),
        ("top=+1", " 1"),
        ("top=2147483648", "2147483648"),
        ("top=1&top=1", "1"),
    ] {
        let error = QueryError::Number {
            name: "top",
            text: text.to_owned(),
            low: 1,
            high: 200,
        };
        let message = format!("Invalid top '{text}', it is 1 to 200, given once.");
        assert_eq!(error.to_string(), message);
        assert_eq!(number(query), Err(error), "{query}");
    }
}

#[test]
fn a_time_to_live_is_a_number_of_seconds_up_to_300_and_the_first_counts() {
    let ttl = |query: &str| Query::parse(query).ttl_seconds();
    for (query, seconds) in [
        ("", 0),
        ("messageTtlSeconds=0", 0),
        ("messageTtlSeconds=300", 300),
        ("messageTtlSeconds=1&messageTtlSeconds=x", 1),
        ("messagettlseconds=x", 0),
    ] {
        assert_eq!(ttl(query), Ok(seconds), "{query}");
    }
    for query in ["", "x", "-1", "301", "65536", "1.5"] {
        let query = format!("messageTtlSeconds={query}");
        assert_eq!(ttl(&query), Err(QueryError::MessageTtl), "{query}");
    }
}

#[test]
fn clients_write_names_of_parameters_in_any_case() {
    let query = Query::parse_any_case("Access_Token=A%42c&HUB=Chat&hub=x");
    assert_eq!(query.first("access_token"), Some("ABc"));
    assert_eq!(query.all("hub").collect::<Vec<_>>(), ["Chat", "x"]);
    assert_eq!(query.last("hub"), Some("x"));
    assert_eq!(query.first("HUB"), None);
}

proptest! {
    #[test]
    fn any_segment_survives_any_encoding_of_it(text in any::<String>(), ways in vec(any::<(bool, bool)>(), 1..40)) {
        let mut encoded = String::new();
        for (char, (is_encoded, is_upper)) in text.chars().zip(ways.iter().cycle()) {
            if !is_encoded && char != '%' && char != '/' {
                encoded.push(char);
                continue;
            }
            for byte in char.to_string().bytes() {
                encoded.push_str(&if *is_upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") });
            }
        }
        prop_assert_eq!(decode_segment(&encoded, false), text.as_str());
        let path = format!("/{encoded}/{encoded}/");
        prop_assert_eq!(decode_path(&path, false), [text.as_str(); 2].map(Cow::Borrowed));
        if !text.contains('/') {
            prop_assert_eq!(decode_segment(&encoded, true), text.as_str());
        }
    }

    #[test]
    fn any_path_has_as_many_segments_as_slashes(path in "[/%2fFaé]{0,24}", keep in any::<bool>()) {
        let path = format!("/{path}");
        let slashes = path.strip_suffix('/').unwrap_or(&path).matches('/').count();
        prop_assert_eq!(decode_path(&path, keep).len(), slashes);
    }

    #[test]
    fn any_parameters_survive_any_encoding_of_them(
        pairs in vec((any::<String>(), any::<String>()), 0..6),
        uses_plus in any::<bool>(),
    ) {
        let encode = |text: &str| -> String {
            text.bytes()
                .map(|byte| match byte {
                    b' ' if uses_plus => "+".to_owned(),
                    b'a'..=b'z' => char::from(byte).to_string(),
                    _ => format!("%{byte:02X}"),
                })
                .collect()
        };
        let text: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let query = Query::parse(&text.join("&"));
        for (name, _) in &pairs {
            let values: Vec<&str> = pairs.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect();
            prop_assert_eq!(query.all(name).collect::<Vec<_>>(), values);
        }
    }

    #[test]
    fn any_charset_survives_its_quotes(
        media_type in "[a-z!#]{1,6}/[a-z.+-]{1,6}",
        charset in any::<String>(),
        space in "[ \t;]{0,3}",
    ) {
        let escaped = charset.replace('\\', "\\\\").replace('"', "\\\"");
        let text = format!("{media_type};{space}x=y;{space}charset=\"{escaped}\"");
        let expected = ContentType { media_type: &media_type, charset: Some(charset.into()) };
        prop_assert_eq!(ContentType::parse(&text), Some(expected));
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        decode_path(&text, true);
        Query::parse_any_case(&text);
        ContentType::parse(&text);
    }
}

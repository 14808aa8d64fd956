//! The limits of metadata (client-protocols 0 and 3.4, rest-api 2.4).

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use hubwire_protocol::metadata::{KEY_MAX, Metadata, MetadataError, TOTAL_MAX, VALUE_MAX};

#[test]
fn key_holds_the_characters_of_an_http_token() {
    let others = "!#$%&'*+-.^_`|~";
    for byte in 0..=0x7F_u8 {
        let key = char::from(byte).to_string();
        let is_valid = byte.is_ascii_alphanumeric() || others.contains(&key);
        let expected = match is_valid {
            true => Ok(()),
            false => Err(MetadataError::KeyCharacters(key.clone())),
        };
        assert_eq!(insert(&key, "v"), expected, "{byte}");
    }
    for key in ["", "ü", "aü"] {
        assert_eq!(
            insert(key, "v"),
            Err(MetadataError::KeyCharacters(key.to_owned()))
        );
    }
}

#[test]
fn value_holds_printable_ascii_and_tabs() {
    for byte in 0..=0x7F_u8 {
        let expected = match byte {
            b'\t' | b' '..=b'~' => Ok(()),
            _ => Err(MetadataError::ValueCharacters("k".to_owned())),
        };
        assert_eq!(
            insert("k", &char::from(byte).to_string()),
            expected,
            "{byte}"
        );
    }
    assert_eq!(insert("k", ""), Ok(()));
    assert_eq!(
        insert("k", "ü"),
        Err(MetadataError::ValueCharacters("k".to_owned()))
    );
}

/// Checklist 62.
#[test]
fn key_and_value_of_exactly_the_limit_pass_and_one_byte_more_does_not() {
    let key = "k".repeat(KEY_MAX);
    assert_eq!(insert(&key, "v"), Ok(()));
    let longer = key + "k";
    assert_eq!(
        insert(&longer, "v"),
        Err(MetadataError::KeyLength(longer.clone()))
    );
    let value = "v".repeat(VALUE_MAX);
    assert_eq!(insert("k", &value), Ok(()));
    assert_eq!(
        insert("k", &(value + "v")),
        Err(MetadataError::ValueLength("k".to_owned()))
    );
    assert_eq!((KEY_MAX, VALUE_MAX, TOTAL_MAX), (256, 1024, 8192));
}

/// Checklist 62.
#[test]
fn all_keys_and_values_together_may_have_exactly_the_limit() {
    let mut metadata = Metadata::default();
    for key in ["a", "b", "c", "d", "e", "f", "g"] {
        metadata.insert(key.to_owned(), "v".repeat(1023)).unwrap();
    }
    let one_too_many = metadata.insert("h".to_owned(), "v".repeat(1024));
    assert_eq!(one_too_many, Err(MetadataError::TotalLength));
    metadata.insert("h".to_owned(), "v".repeat(1023)).unwrap();
    assert_eq!(
        metadata.insert("i".to_owned(), String::new()),
        Err(MetadataError::TotalLength)
    );
    assert_eq!(metadata.iter().count(), 8);
}

#[test]
fn repeated_key_is_refused_and_another_case_is_another_key() {
    let mut metadata = Metadata::default();
    metadata.insert("Trace".to_owned(), "1".to_owned()).unwrap();
    let repeated = metadata.insert("Trace".to_owned(), "2".to_owned());
    assert_eq!(
        repeated,
        Err(MetadataError::DuplicateKey("Trace".to_owned()))
    );
    metadata.insert("trace".to_owned(), "3".to_owned()).unwrap();
    assert_eq!(
        metadata.iter().collect::<Vec<_>>(),
        [("Trace", "1"), ("trace", "3")]
    );
}

#[test]
fn refused_entry_leaves_no_trace() {
    let mut metadata = Metadata::default();
    metadata.insert("k".to_owned(), "ü".to_owned()).unwrap_err();
    metadata
        .insert("k".to_owned(), "v".repeat(2000))
        .unwrap_err();
    assert!(metadata.is_empty());
    assert_eq!(metadata, Metadata::default());
}

#[test]
fn errors_say_what_rest_callers_read() {
    let cases = [
        (
            insert("a b", "v"),
            "Metadata key 'a b' contains invalid characters.",
        ),
        (
            insert("k", "ü"),
            "Metadata value for key 'k' must be ASCII.",
        ),
        (
            insert("k", &"v".repeat(1025)),
            "Metadata value for key 'k' exceeds 1024 bytes.",
        ),
    ];
    for (result, text) in cases {
        assert_eq!(result.unwrap_err().to_string(), text);
    }
    let key = "k".repeat(257);
    let text = format!("Metadata key '{key}' exceeds 256 bytes.");
    assert_eq!(insert(&key, "v").unwrap_err().to_string(), text);
    assert_eq!(
        MetadataError::TotalLength.to_string(),
        "Metadata exceeds 8192 bytes."
    );
}

fn insert(key: &str, value: &str) -> Result<(), MetadataError> {
    Metadata::default().insert(key.to_owned(), value.to_owned())
}

//! Which bytes are a `google.protobuf.Any`, and which are JSON.

use hubwire_protocol::payload::{DataType, JSON_DEPTH_MAX, is_any, is_json};

#[test]
fn any_is_a_type_url_and_a_value_in_any_order_and_number() {
    let cases: [&[u8]; 9] = [
        b"",
        b"\x0A\x00",
        b"\x0A\x01a",
        b"\x12\x02\xFF\x00",
        b"\x0A\x01a\x12\x01b",
        b"\x12\x01b\x0A\x01a",
        b"\x0A\x01a\x0A\x01b",
        b"\x0A\x02\xC3\xBC",
        b"\x0A\x81\x00a",
    ];
    for bytes in cases {
        assert!(is_any(bytes), "{bytes:02x?}");
    }
}

#[test]
fn unknown_fields_of_any_are_skipped() {
    let cases: [&[u8]; 7] = [
        b"\x18\x01",
        b"\x18\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01",
        b"\x19\x01\x02\x03\x04\x05\x06\x07\x08",
        b"\x1A\x02\xFF\xFF",
        b"\x1D\x01\x02\x03\x04",
        b"\xF8\xFF\xFF\xFF\x0F\x00",
        b"\x18\x01\x0A\x01a\x1A\x00\x12\x00",
    ];
    for bytes in cases {
        assert!(is_any(bytes), "{bytes:02x?}");
    }
}

#[test]
fn bytes_that_break_the_encoding_are_no_any() {
    let cases: [(&str, &[u8]); 16] = [
        ("tag cut short", b"\x8A"),
        ("no length", b"\x0A"),
        ("length cut short", b"\x0A\x80"),
        ("value cut short", b"\x0A\x02a"),
        ("length beyond the end", b"\x12\xFF\xFF\xFF\xFF\x0F"),
        (
            "length beyond all memory",
            b"\x12\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01",
        ),
        (
            "varint of eleven bytes",
            b"\x18\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
        ),
        ("varint cut short", b"\x18\x80"),
        ("four bytes cut short", b"\x1D\x01\x02\x03"),
        ("eight bytes cut short", b"\x19\x01\x02\x03\x04\x05\x06\x07"),
        ("field zero", b"\x02\x00"),
        ("undefined wire type 6", b"\x1E"),
        ("undefined wire type 7", b"\x1F"),
        ("field number of 33 bits", b"\x80\x80\x80\x80\x80\x01\x00"),
        ("type URL that is not UTF-8", b"\x0A\x01\xFF"),
        ("garbage behind", b"\x0A\x01a\xFF"),
    ];
    for (name, bytes) in cases {
        assert!(!is_any(bytes), "{name}");
    }
}

#[test]
fn json_is_exactly_one_value() {
    for text in [
        "null",
        " 1 ",
        "\"x\"",
        "[]",
        "{\"a\":[1,{}]}",
        "1e400",
        "\"\\ud800\"",
        "\"[[{\\\"\"",
    ] {
        assert!(is_json(text.as_bytes()), "{text}");
    }
    for text in [
        "",
        " ",
        "{",
        "1 2",
        "[1,]",
        "{\"a\":1,}",
        "'x'",
        "01",
        "\u{FEFF}1",
        "1//",
        "nul",
        "\"\n\"",
        "NaN",
    ] {
        assert!(!is_json(text.as_bytes()), "{text}");
    }
    assert!(!is_json(b"\"\xFF\""));
}

#[test]
fn json_may_nest_64_deep_and_no_deeper() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(JSON_DEPTH_MAX, 64);
    assert!(is_json(nested(64).as_bytes()));
    assert!(!is_json(nested(65).as_bytes()));
    assert!(!is_json(nested(100_000).as_bytes()));
    let objects = |depth: usize| "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
    assert!(is_json(objects(64).as_bytes()));
    assert!(!is_json(objects(65).as_bytes()));
    let beside_each_other = format!("[{}]", vec!["[]"; 1000].join(","));
    assert!(is_json(beside_each_other.as_bytes()));
    let in_a_string = format!("[\"{}\\\"{}\"]", "[".repeat(1000), "{".repeat(1000));
    assert!(is_json(in_a_string.as_bytes()));
}

#[test]
fn data_types_have_names_without_letter_case() {
    for (name, data_type) in [
        ("json", DataType::Json),
        ("text", DataType::Text),
        ("binary", DataType::Binary),
        ("protobuf", DataType::Protobuf),
    ] {
        assert_eq!(data_type.name(), name);
        assert_eq!(DataType::from_name(name), Some(data_type));
        assert_eq!(
            DataType::from_name(&name.to_ascii_uppercase()),
            Some(data_type)
        );
    }
    for name in ["", "jso", "json ", "xml"] {
        assert_eq!(DataType::from_name(name), None);
    }
}

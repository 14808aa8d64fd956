//! What clients of `json.webpubsub.azure.v1` may send and what they may not (client-protocols 3).

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use bytes::Bytes;
use hubwire_protocol::message::{ClientMessage, Content, UserStreamError};
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::names::{EventName, GroupName, StreamId};
use hubwire_protocol::payload::{DataType, Payload};
use hubwire_protocol::state::GroupState;
use hubwire_protocol::subprotocol::json;

#[test]
fn join_and_leave_name_a_group() {
    accepts(r#"{"type":"joinGroup","group":"g"}"#, join("g", None));
    accepts(
        r#"{"type":"joinGroup","group":"g","ackId":7}"#,
        join("g", Some(7)),
    );
    accepts(r#"{"type":"leaveGroup","group":"g"}"#, leave("g", None));
    accepts(
        r#"{"ackId":7,"group":"g","type":"leaveGroup"}"#,
        leave("g", Some(7)),
    );
}

#[test]
fn group_must_be_a_string() {
    for frame_type in ["joinGroup", "leaveGroup", "sendToGroup"] {
        refuses(&format!(r#"{{"type":"{frame_type}","data":1}}"#));
        for group in ["null", "1", "true", "[\"g\"]", "{}"] {
            refuses(&format!(
                r#"{{"type":"{frame_type}","group":{group},"data":1}}"#
            ));
        }
    }
}

/// Checklist 78.
#[test]
fn group_name_of_1024_units_is_accepted_and_of_1025_refused() {
    for name in ["a".repeat(1024), "ü".repeat(1024), "😀".repeat(512)] {
        accepts(
            &format!(r#"{{"type":"joinGroup","group":"{name}"}}"#),
            join(&name, None),
        );
        refuses(&format!(r#"{{"type":"joinGroup","group":"{name}a"}}"#));
    }
}

#[test]
fn blank_group_name_is_refused() {
    for name in ["", " ", "\\t\\n", "\\u00a0\\u2003"] {
        refuses(&format!(r#"{{"type":"joinGroup","group":"{name}"}}"#));
    }
    accepts(r#"{"type":"joinGroup","group":" g "}"#, join(" g ", None));
}

/// Checklist 77.
#[test]
fn group_name_keeps_its_case() {
    accepts(r#"{"type":"joinGroup","group":"Room"}"#, join("Room", None));
}

/// Checklist 49.
#[test]
fn ack_id_takes_the_whole_range_of_64_bits() {
    for ack_id in [
        0,
        1,
        u64::from(u32::MAX) + 1,
        1 << 53,
        (1 << 63) + 1,
        u64::MAX,
    ] {
        let frame = format!(r#"{{"type":"joinGroup","group":"g","ackId":{ack_id}}}"#);
        accepts(&frame, join("g", Some(ack_id)));
    }
}

/// Checklist 51.
#[test]
fn ack_id_that_is_not_a_plain_unsigned_integer_is_refused() {
    let ack_ids = [
        r#""1""#,
        "-1",
        "-0",
        "1.0",
        "1.5",
        "1e0",
        "1E2",
        "18446744073709551616",
        "1e400",
        "01",
        "+1",
        "true",
        "[1]",
        "{}",
        "0x1",
    ];
    for ack_id in ack_ids {
        refuses(&format!(
            r#"{{"type":"joinGroup","group":"g","ackId":{ack_id}}}"#
        ));
        refuses(&format!(
            r#"{{"type":"leaveGroup","group":"g","ackId":{ack_id}}}"#
        ));
        refuses(&format!(
            r#"{{"type":"sendToGroup","group":"g","data":1,"ackId":{ack_id}}}"#
        ));
        refuses(&format!(
            r#"{{"type":"event","event":"e","data":1,"ackId":{ack_id}}}"#
        ));
    }
}

/// Checklist 52.
#[test]
fn null_ack_id_asks_for_no_ack() {
    accepts(
        r#"{"type":"joinGroup","group":"g","ackId":null}"#,
        join("g", None),
    );
}

/// Checklist 54.
#[test]
fn data_is_json_unless_it_says_otherwise() {
    let cases = [
        (
            r#""data":{"a":1}"#,
            DataType::Json,
            br#"{"a":1}"#.as_slice(),
        ),
        (r#""data":"x","dataType":"json""#, DataType::Json, br#""x""#),
        (r#""data":false"#, DataType::Json, b"false"),
        (r#""data":[]"#, DataType::Json, b"[]"),
        (r#""data":"x","dataType":"text""#, DataType::Text, b"x"),
        (r#""data":"","dataType":"text""#, DataType::Text, b""),
        (
            r#""data":"\u00fc\ud83d\ude00\n","dataType":"text""#,
            DataType::Text,
            "ü😀\n".as_bytes(),
        ),
        (
            r#""data":"\u0000","dataType":"text""#,
            DataType::Text,
            b"\0",
        ),
        (
            r#""data":"AAH/","dataType":"binary""#,
            DataType::Binary,
            &[0, 1, 0xFF],
        ),
        (r#""data":"","dataType":"binary""#, DataType::Binary, b""),
        (
            r#""data":"\u0041Q==","dataType":"binary""#,
            DataType::Binary,
            b"\x01",
        ),
        (
            r#""data":"CgFhEgFi","dataType":"protobuf""#,
            DataType::Protobuf,
            b"\x0A\x01a\x12\x01b",
        ),
        (
            r#""data":"","dataType":"protobuf""#,
            DataType::Protobuf,
            b"",
        ),
    ];
    for (fields, data_type, data) in cases {
        let expected = content(data_type, data);
        accepts(&send(fields), send_message(expected.clone()));
        accepts(&event(fields), event_message("e", expected));
    }
}

#[test]
fn data_type_is_known_in_any_letter_case() {
    for (name, data_type) in [
        ("TEXT", DataType::Text),
        ("Text", DataType::Text),
        ("tExT", DataType::Text),
    ] {
        let expected = send_message(content(data_type, b"x"));
        accepts(
            &send(&format!(r#""data":"x","dataType":"{name}""#)),
            expected,
        );
    }
    for name in [r#""""#, r#""xml""#, r#""json ""#, "1", "true", "[]"] {
        refuses(&send(&format!(r#""data":"x","dataType":{name}"#)));
    }
}

/// Checklist 55.
#[test]
fn json_data_is_kept_byte_for_byte() {
    let values = [
        "9007199254740993",
        "123456789012345678901234567890",
        "1e400",
        "-0",
        "-0.0",
        "1.0",
        "1E+2",
        "0.1000",
        r#"{"b":1,"a":2,"b":3}"#,
        r#"{ "a" : [ 1 ,2 ] }"#,
        "[\n\t1\r\n]",
        r#""\u0041\/\ud83d\ude00""#,
        r#""\ud800""#,
        r#""ü😀""#,
    ];
    for value in values {
        let expected = send_message(content(DataType::Json, value.as_bytes()));
        accepts(&send(&format!(r#""data":{value}"#)), expected.clone());
        accepts(&send(&format!(r#""data" : {value} , "x":1"#)), expected);
    }
}

#[test]
fn long_number_is_kept_byte_for_byte() {
    let value = format!(
        "{}.{}e-{}",
        "1".repeat(5000),
        "2".repeat(5000),
        "3".repeat(5000)
    );
    let expected = send_message(content(DataType::Json, value.as_bytes()));
    accepts(&send(&format!(r#""data":{value}"#)), expected);
}

#[test]
fn deep_nesting_is_no_recursion() {
    let value = "[".repeat(100_000) + &"]".repeat(100_000);
    refuses(&send(&format!(r#""data":{value}"#)));
    accepts(
        &format!(r#"{{"type":"ping","x":{value}}}"#),
        ClientMessage::Ping,
    );
    refuses(&format!(r#"{{"type":{value}}}"#));
    refuses(&send(&format!(r#""data":1,"metadata":{value}"#)));
    refuses(&send(&format!(r#""data":{}"#, "[".repeat(100_000))));
    refuses(&"[".repeat(100_000));
    refuses(&r#"{"x":"#.repeat(100_000));
}

#[test]
fn json_data_may_nest_64_deep_and_no_deeper() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let objects = |depth: usize| "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
    let in_a_string = format!("[\"{}\\\"{}\"]", "[".repeat(100), "{".repeat(100));
    let beside_each_other = format!("[{}]", vec!["{}"; 1000].join(","));
    for value in [nested(64), objects(64), in_a_string, beside_each_other] {
        let data = content(DataType::Json, value.as_bytes());
        let fields = format!(r#""data":{value}"#);
        accepts(&send(&fields), send_message(data.clone()));
        accepts(&event(&fields), event_message("e", data.clone()));
        accepts(&invoke(&fields), invoke_message(Some("e"), Some(data)));
    }
    for value in [nested(65), objects(65)] {
        let fields = format!(r#""data":{value},"dataType":"json""#);
        refuses(&send(&fields));
        refuses(&event(&fields));
        refuses(&invoke(&fields));
        refuses(&stream_data(&format!(r#""streamSequenceId":1,{fields}"#)));
        refuses(&start(&format!(r#"{{"streamId":"s"}},{fields}"#)));
    }
    let text = nested(65);
    accepts(
        &send(&format!(r#""data":"{text}","dataType":"text""#)),
        send_message(content(DataType::Text, text.as_bytes())),
    );
}

/// Checklist 56.
#[test]
fn data_must_be_there_and_not_null() {
    refuses(&send(r#""data":null"#));
    refuses(&send(r#""data":null,"dataType":"text""#));
    refuses(&send(r#""data":null,"metadata":{"a":"b"}"#));
    refuses(&send(r#""noEcho":false"#));
    refuses(&send(r#""metadata":null"#));
    refuses(&event(r#""dataType":"text""#));
}

/// Checklist 56.
#[test]
fn missing_data_with_metadata_is_empty_text() {
    let with_entry = metadata_content(DataType::Text, b"", &[("a", "b")]);
    accepts(
        &send(r#""metadata":{"a":"b"}"#),
        send_message(with_entry.clone()),
    );
    accepts(
        &event(r#""metadata":{"a":"b"}"#),
        event_message("e", with_entry.clone()),
    );
    accepts(
        &send(r#""dataType":"binary","metadata":{"a":"b"}"#),
        send_message(with_entry),
    );
    accepts(
        &send(r#""metadata":{}"#),
        send_message(content(DataType::Text, b"")),
    );
}

#[test]
fn text_must_be_a_string_without_lone_surrogates() {
    let values = [
        "1",
        "{}",
        "[]",
        "true",
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        r#""\ud800x""#,
        r#""\uZZZZ""#,
        r#""\x""#,
    ];
    for value in values {
        refuses(&send(&format!(r#""data":{value},"dataType":"text""#)));
    }
}

/// Checklist 57.
#[test]
fn binary_must_be_standard_base64_with_padding() {
    let values = [
        r#""AQ""#,
        r#""AQ=""#,
        r#""AQ===""#,
        r#""=""#,
        r#""A""#,
        r#""AR==""#,
        r#""-_8=""#,
        r#""AQ==\n""#,
        r#"" AQ==""#,
        r#""ü""#,
        "1",
        "[1]",
    ];
    for value in values {
        refuses(&send(&format!(r#""data":{value},"dataType":"binary""#)));
        refuses(&send(&format!(r#""data":{value},"dataType":"protobuf""#)));
    }
}

#[test]
fn protobuf_must_be_a_serialized_any() {
    // A field number of zero, a field cut short, a type URL that is not UTF-8.
    for value in ["AAA=", "CgVh", "CgH/"] {
        refuses(&send(&format!(r#""data":"{value}","dataType":"protobuf""#)));
    }
}

/// Checklist 58.
#[test]
fn no_echo_is_a_boolean_or_null() {
    for (value, no_echo) in [("true", true), ("false", false), ("null", false)] {
        let ClientMessage::SendToGroup {
            no_echo: actual, ..
        } = parse(&send(&format!(r#""data":1,"noEcho":{value}"#)))
        else {
            panic!("{value}");
        };
        assert_eq!(actual, no_echo, "{value}");
    }
    for value in ["0", "1", r#""true""#, "[]", "{}"] {
        refuses(&send(&format!(r#""data":1,"noEcho":{value}"#)));
    }
}

/// Checklist 60.
#[test]
fn ttl_is_an_integer_from_0_to_300_or_null() {
    for (value, seconds) in [("0", 0), ("1", 1), ("300", 300), ("null", 0)] {
        let ClientMessage::SendToGroup { ttl_seconds, .. } =
            parse(&send(&format!(r#""data":1,"ttlSeconds":{value}"#)))
        else {
            panic!("{value}");
        };
        assert_eq!(ttl_seconds, seconds, "{value}");
    }
    for value in [
        "301",
        "-1",
        "65536",
        "65836",
        "4294967296",
        "1.5",
        "1.0",
        "1e2",
        r#""1""#,
        "true",
        "[]",
    ] {
        refuses(&send(&format!(r#""data":1,"ttlSeconds":{value}"#)));
    }
}

/// Checklist 61.
#[test]
fn metadata_keeps_the_case_and_order_of_its_keys() {
    let expected = metadata_content(
        DataType::Json,
        b"1",
        &[("Trace", "A"), ("trace", "b"), ("!#$%&'*+-.^_`|~", "")],
    );
    let fields = r#""data":1,"metadata":{"Trace":"A","\u0074race":"\u0062","!#$%&'*+-.^_`|~":""}"#;
    accepts(&send(fields), send_message(expected.clone()));
    accepts(&event(fields), event_message("e", expected));
    accepts(
        &send(r#""data":1,"metadata":null"#),
        send_message(content(DataType::Json, b"1")),
    );
    accepts(
        &send(r#""data":1,"metadata":{"a":"\t"}"#),
        send_message(metadata_content(DataType::Json, b"1", &[("a", "\t")])),
    );
}

/// Checklist 62.
#[test]
fn metadata_that_breaks_a_rule_is_refused() {
    let long_key = format!(r#"{{"{}":"v"}}"#, "k".repeat(257));
    let long_value = format!(r#"{{"k":"{}"}}"#, "v".repeat(1025));
    let entries: Vec<String> = (0..9)
        .map(|index| format!(r#""{index}":"{}""#, "v".repeat(1000)))
        .collect();
    let long_total = format!("{{{}}}", entries.join(","));
    let values = [
        r#"{"a":"1","a":"2"}"#,
        r#"{"a":"1","\u0061":"1"}"#,
        r#"{"a":1}"#,
        r#"{"a":null}"#,
        r#"{"a":["b"]}"#,
        r#"{"":"v"}"#,
        r#"{"a b":"v"}"#,
        r#"{"ü":"v"}"#,
        r#"{"a:b":"v"}"#,
        r#"{"a":"ü"}"#,
        r#"{"a":"\n"}"#,
        r#"{"a":"\u0000"}"#,
        r#"{"a":"\u007f"}"#,
        "[]",
        r#""a""#,
        "1",
        "true",
        &long_key,
        &long_value,
        &long_total,
    ];
    for value in values {
        refuses(&send(&format!(r#""data":1,"metadata":{value}"#)));
        refuses(&event(&format!(r#""data":1,"metadata":{value}"#)));
    }
}

/// Checklist 67.
#[test]
fn event_name_is_checked() {
    let longest = "a".repeat(128);
    for name in ["e", "E1_.-", "message", &longest] {
        let frame = format!(r#"{{"type":"event","event":"{name}","data":1}}"#);
        accepts(&frame, event_message(name, content(DataType::Json, b"1")));
    }
    let too_long = "a".repeat(129);
    for name in ["", "1a", "_a", "a/b", "a b", " a", "ä", "a\\n", &too_long] {
        refuses(&format!(r#"{{"type":"event","event":"{name}","data":1}}"#));
    }
    for name in ["null", "1", "[]"] {
        refuses(&format!(r#"{{"type":"event","event":{name},"data":1}}"#));
    }
    refuses(r#"{"type":"event","data":1}"#);
}

#[test]
fn event_carries_an_ack_id_and_knows_no_echo_and_no_ttl() {
    let frame = event(r#""data":1,"ackId":3,"noEcho":"whatever","ttlSeconds":-1,"group":5"#);
    let ClientMessage::Event { ack_id, .. } = parse(&frame) else {
        panic!("{frame}");
    };
    assert_eq!(ack_id, Some(3));
}

/// Checklist 68.
#[test]
fn ping_needs_nothing_else() {
    accepts(r#"{"type":"ping"}"#, ClientMessage::Ping);
    accepts(r#"{"type":"ping","ackId":"ignored"}"#, ClientMessage::Ping);
}

/// Checklist 69.
#[test]
fn sequence_ack_needs_an_unsigned_integer() {
    for sequence_id in [0, 1, u64::MAX] {
        let frame = format!(r#"{{"type":"sequenceAck","sequenceId":{sequence_id}}}"#);
        accepts(&frame, ClientMessage::SequenceAck { sequence_id });
    }
    refuses(r#"{"type":"sequenceAck"}"#);
    for value in ["null", "-1", "1.0", "1e1", r#""1""#, "18446744073709551616"] {
        refuses(&format!(r#"{{"type":"sequenceAck","sequenceId":{value}}}"#));
    }
}

/// Checklist 70.
#[test]
fn unknown_or_missing_type_is_refused() {
    for value in [
        r#""""#,
        r#""pong""#,
        r#""ack""#,
        r#""join""#,
        r#""ping ""#,
        "null",
        "1",
        r#"["ping"]"#,
        "{}",
    ] {
        refuses(&format!(r#"{{"type":{value},"group":"g","data":1}}"#));
    }
    refuses(r#"{"group":"g"}"#);
    refuses(r#"{"Type":"ping"}"#);
}

/// Checklist 71.
#[test]
fn anything_but_one_json_object_is_refused() {
    let frames = [
        "",
        " ",
        "null",
        "1",
        "true",
        r#""ping""#,
        "[]",
        r#"["type","ping"]"#,
        "{}",
        "{",
        r#"{"type":"ping""#,
        r#"{"type":"ping",}"#,
        r#"{type:"ping"}"#,
        r#"{'type':'ping'}"#,
        r#"{"type":"ping"}{"type":"ping"}"#,
        r#"{"type":"ping"} x"#,
        r#"{"type":"ping"/**/}"#,
        "\u{FEFF}{\"type\":\"ping\"}",
        "{\"type\":\"ping\"}\0",
        "\0",
        "{\"type\":\"pi\0ng\"}",
        "{\"type\":\"ping\",\"x\":\"\n\"}",
        r#"{"type":"ping","x":01}"#,
        r#"{"type":"ping","x":NaN}"#,
        r#"{"type":"ping","x":}"#,
        r#"{"type":"ping" "x":1}"#,
    ];
    for frame in frames {
        refuses(frame);
    }
}

#[test]
fn white_space_around_the_frame_is_no_matter() {
    accepts(" \r\n\t{ \"type\" : \"ping\" } \r\n\t", ClientMessage::Ping);
}

/// Checklist 72.
#[test]
fn type_is_known_in_any_letter_case() {
    accepts(r#"{"type":"PING"}"#, ClientMessage::Ping);
    accepts(r#"{"type":"JoinGroup","group":"g"}"#, join("g", None));
    accepts(r#"{"type":"LEAVEGROUP","group":"g"}"#, leave("g", None));
    accepts(
        r#"{"type":"sendtogroup","group":"g","data":1}"#,
        send_message(content(DataType::Json, b"1")),
    );
    accepts(
        r#"{"type":"EVENT","event":"e","data":1}"#,
        event_message("e", content(DataType::Json, b"1")),
    );
    accepts(
        r#"{"type":"SequenceACK","sequenceId":1}"#,
        ClientMessage::SequenceAck { sequence_id: 1 },
    );
}

/// Checklist 73.
#[test]
fn unknown_property_is_ignored_whatever_it_holds() {
    for value in [
        "1",
        "null",
        "1e999",
        r#""\ud800""#,
        r#"{"type":"x"}"#,
        "[[[]]]",
    ] {
        accepts(
            &format!(r#"{{"type":"ping","x":{value},"":{value}}}"#),
            ClientMessage::Ping,
        );
    }
    accepts(
        r#"{"Group":"x","type":"joinGroup","group":"g","GROUP":1}"#,
        join("g", None),
    );
}

#[test]
fn property_that_a_type_does_not_use_may_hold_anything() {
    let frame = r#"{"type":"joinGroup","group":"g","data":null,"dataType":7,"noEcho":"x","ttlSeconds":-1,"metadata":1}"#;
    accepts(frame, join("g", None));
}

#[test]
fn last_of_repeated_properties_counts() {
    accepts(
        r#"{"type":"ping","type":"joinGroup","group":"a","group":"g","ackId":1,"ackId":2}"#,
        join("g", Some(2)),
    );
    accepts(r#"{"type":5,"type":"ping"}"#, ClientMessage::Ping);
    accepts(
        r#"{"type":"joinGroup","group":"g","ackId":1,"ackId":null}"#,
        join("g", None),
    );
    refuses(r#"{"type":"ping","type":5}"#);
    accepts(
        &send(r#""data":null,"data":2"#),
        send_message(content(DataType::Json, b"2")),
    );
    refuses(&send(r#""data":2,"data":null"#));
}

#[test]
fn escapes_in_keys_and_values_mean_their_characters() {
    accepts(r#"{"\u0074ype":"\u0070ing"}"#, ClientMessage::Ping);
    accepts(
        r#"{"type":"joinGroup","gr\u006Fup":"\"\\\/\b\f\n\r\t\u00e4"}"#,
        join("\"\\/\u{8}\u{c}\n\r\tä", None),
    );
    refuses(r#"{"type":"joinGroup","group":"\ud800"}"#);
}

#[test]
fn bytes_that_are_not_utf8_are_refused() {
    refuses_bytes(b"\xFF");
    refuses_bytes(b"{\"type\":\"joinGroup\",\"group\":\"\xFF\"}");
    refuses_bytes(b"{\"type\":\"sendToGroup\",\"group\":\"g\",\"data\":\"\xC3\"}");
    refuses_bytes(b"{\"type\":\"sendToGroup\",\"group\":\"g\",\"data\":\"\xED\xA0\x80\",\"dataType\":\"text\"}");
}

/// Section 3.8, rule 1.
#[test]
fn stream_of_a_send_starts_a_stream() {
    accepts(&start(r#"{"streamId":"s"}"#), start_message("s", 300_000));
    accepts(
        &start(r#"{"streamId":"s","idleTimeoutMs":null,"x":[1]}"#),
        start_message("s", 300_000),
    );
    accepts(
        &start(r#"{"idleTimeoutMs":5000,"stream\u0049d":"\u00fc"}"#),
        start_message("ü", 5000),
    );
    accepts(
        r#"{"type":"SENDTOGROUP","group":"g","noEcho":true,"stream":{"streamId":"s"}}"#,
        ClientMessage::StartStream {
            group: GroupName::new("g").unwrap(),
            stream: StreamId::new("s").unwrap(),
            no_echo: true,
            idle_timeout_ms: 300_000,
            has_data: false,
        },
    );
}

/// Section 3.8, rule 1.
#[test]
fn idle_timeout_of_a_stream_is_an_integer_from_1_to_3600000() {
    for timeout_ms in [1, 3_600_000] {
        accepts(
            &start(&format!(
                r#"{{"streamId":"s","idleTimeoutMs":{timeout_ms}}}"#
            )),
            start_message("s", timeout_ms),
        );
    }
    for value in [
        "0",
        "3600001",
        "-1",
        "4294967297",
        "1.0",
        "1e3",
        r#""1000""#,
        "true",
        "[]",
    ] {
        refuses(&start(&format!(
            r#"{{"streamId":"s","idleTimeoutMs":{value}}}"#
        )));
    }
}

/// Section 3.8, rule 1.
#[test]
fn stream_id_is_a_string_of_1_to_256_bytes() {
    for id in ["s".repeat(256), "ü".repeat(128), " ".to_owned()] {
        let stream = StreamId::new(&id).unwrap();
        accepts(
            &start(&format!(r#"{{"streamId":"{id}"}}"#)),
            start_message(&id, 300_000),
        );
        accepts(
            &format!(r#"{{"type":"streamData","streamId":"{id}"}}"#),
            ClientMessage::StreamData {
                stream: stream.clone(),
                fragment: None,
            },
        );
        accepts(
            &format!(r#"{{"type":"streamEnd","streamId":"{id}"}}"#),
            ClientMessage::EndStream {
                stream,
                error: None,
            },
        );
    }
    let too_long = format!(r#""{}""#, "s".repeat(257));
    for id in [r#""""#, r#""\ud800""#, "null", "1", "[]", "{}", &too_long] {
        refuses(&start(&format!(r#"{{"streamId":{id}}}"#)));
        refuses(&format!(r#"{{"type":"streamData","streamId":{id}}}"#));
        refuses(&format!(r#"{{"type":"streamEnd","streamId":{id}}}"#));
    }
    refuses(&start("{}"));
    refuses(r#"{"type":"streamData"}"#);
    refuses(r#"{"type":"streamEnd"}"#);
}

#[test]
fn stream_is_an_object_without_repeated_properties() {
    for stream in [
        "1",
        "false",
        r#""s""#,
        "[]",
        r#"["s"]"#,
        r#"["s",1000]"#,
        r#"{"streamId":"s","streamId":"s"}"#,
    ] {
        refuses(&start(stream));
        refuses(&send(&format!(r#""data":1,"stream":{stream}"#)));
    }
    accepts(
        &send(r#""data":1,"stream":null"#),
        send_message(content(DataType::Json, b"1")),
    );
    refuses(&start("null"));
}

/// Section 3.8, rule 2.
#[test]
fn start_of_a_stream_says_whether_it_carries_data() {
    for fields in [
        r#""data":1"#,
        r#""dataType":"text""#,
        r#""data":"x","dataType":"text""#,
        r#""data":"","dataType":"BINARY""#,
    ] {
        let frame = start(&format!(r#"{{"streamId":"s"}},{fields}"#));
        let ClientMessage::StartStream { has_data, .. } = parse(&frame) else {
            panic!("{frame}");
        };
        assert!(has_data, "{frame}");
    }
    accepts(
        &start(r#"{"streamId":"s"},"dataType":null"#),
        start_message("s", 300_000),
    );
}

/// Section 3.8, rule 2: only a structurally malformed frame is a violation.
#[test]
fn start_of_a_stream_ignores_valid_properties_of_a_send() {
    accepts(
        &start(r#"{"streamId":"s"},"ackId":7,"ttlSeconds":300,"metadata":{"a":"b"}"#),
        start_message("s", 300_000),
    );
    for field in [
        r#""ackId":"7""#,
        r#""ttlSeconds":301"#,
        r#""metadata":{"a":1}"#,
        r#""noEcho":1"#,
        r#""dataType":"xml""#,
        r#""data":null"#,
        r#""data":1,"dataType":"text""#,
        r#""data":"A","dataType":"binary""#,
        r#""group":" ""#,
    ] {
        refuses(&start(&format!(r#"{{"streamId":"s"}},{field}"#)));
    }
}

/// Section 3.2.
#[test]
fn events_and_invocations_start_no_stream() {
    for stream in [r#"{"streamId":"s"}"#, "{}", "1", "false", r#""s""#] {
        refuses(&event(&format!(r#""data":1,"stream":{stream}"#)));
        refuses(&invoke(&format!(r#""data":1,"stream":{stream}"#)));
    }
    let one = content(DataType::Json, b"1");
    accepts(
        &event(r#""data":1,"stream":null"#),
        event_message("e", one.clone()),
    );
    accepts(
        &invoke(r#""data":1,"stream":null"#),
        invoke_message(Some("e"), Some(one)),
    );
}

/// Section 3.8; checklist 110.
#[test]
fn fragment_has_a_number_a_type_and_data() {
    let cases: [(&str, DataType, &[u8]); 5] = [
        (
            r#""json","data":{ "a":1e400 }"#,
            DataType::Json,
            b"{ \"a\":1e400 }",
        ),
        (r#""text","data":"x""#, DataType::Text, b"x"),
        (r#""Text","data":"""#, DataType::Text, b""),
        (r#""binary","data":"AAH/""#, DataType::Binary, &[0, 1, 0xFF]),
        (
            r#""protobuf","data":"CgFh""#,
            DataType::Protobuf,
            b"\x0A\x01a",
        ),
    ];
    for (fields, data_type, data) in cases {
        for sequence_id in [1, 2, u64::MAX] {
            let frame = stream_data(&format!(
                r#""streamSequenceId":{sequence_id},"dataType":{fields}"#
            ));
            let payload = content(data_type, data).payload;
            let expected = ClientMessage::StreamData {
                stream: StreamId::new("s").unwrap(),
                fragment: Some((sequence_id, payload)),
            };
            accepts(&frame, expected);
        }
    }
}

/// Section 3.8, rule 3.
#[test]
fn fragment_number_is_an_unsigned_integer_from_1_on() {
    for number in [
        "0",
        "-1",
        "1.0",
        "1e0",
        r#""1""#,
        "null",
        "18446744073709551616",
    ] {
        refuses(&stream_data(&format!(
            r#""streamSequenceId":{number},"dataType":"text","data":"x""#
        )));
    }
}

/// Section 3.8, rule 3.
#[test]
fn part_of_a_fragment_is_refused() {
    for fields in [
        r#""streamSequenceId":1"#,
        r#""dataType":"text""#,
        r#""data":"x""#,
        r#""streamSequenceId":1,"dataType":"text""#,
        r#""streamSequenceId":1,"data":"x""#,
        r#""dataType":"text","data":"x""#,
        r#""streamSequenceId":null"#,
        r#""dataType":null"#,
        r#""data":null"#,
        r#""streamSequenceId":1,"dataType":null,"data":"x""#,
        r#""streamSequenceId":1,"dataType":"json","data":null"#,
        r#""streamSequenceId":1,"dataType":"xml","data":"x""#,
        r#""streamSequenceId":1,"dataType":"text","data":1"#,
        r#""streamSequenceId":1,"dataType":"binary","data":"A""#,
    ] {
        refuses(&stream_data(fields));
    }
}

/// Section 3.8; checklist 111.
#[test]
fn stream_data_without_a_fragment_keeps_the_stream_open() {
    let keep_alive = ClientMessage::StreamData {
        stream: StreamId::new("s").unwrap(),
        fragment: None,
    };
    accepts(
        r#"{"type":"streamData","streamId":"s"}"#,
        keep_alive.clone(),
    );
    accepts(
        r#"{"streamId":"s","type":"StreamData","ackId":"x","metadata":1}"#,
        keep_alive,
    );
}

/// Section 3.8; checklist 112, 113.
#[test]
fn end_of_a_stream_may_say_why() {
    let end = |error| ClientMessage::EndStream {
        stream: StreamId::new("s").unwrap(),
        error,
    };
    let error = |message: Option<&str>, code: Option<&str>| {
        Some(UserStreamError {
            message: message.map(str::to_owned),
            user_error_code: code.map(str::to_owned),
        })
    };
    let cases = [
        (r#""x":1"#, None),
        (r#""error":null"#, None),
        (r#""error":{}"#, error(None, None)),
        (
            r#""error":{"message":"m","userErrorCode":"c"}"#,
            error(Some("m"), Some("c")),
        ),
        (
            r#""error":{"userErrorCode":"","message":null,"name":5}"#,
            error(None, Some("")),
        ),
    ];
    for (fields, expected) in cases {
        accepts(&stream_end(fields), end(expected));
    }
    for value in [
        "1",
        r#""m""#,
        "[]",
        r#"["m","c"]"#,
        r#"{"message":1}"#,
        r#"{"userErrorCode":1}"#,
        r#"{"message":"a","message":"b"}"#,
        r#"{"message":"\ud800"}"#,
    ] {
        refuses(&stream_end(&format!(r#""error":{value}"#)));
    }
}

/// Section 3.9; checklist 117.
#[test]
fn invocation_carries_data_like_an_event_or_none() {
    let cases = [
        (r#""x":1"#, None),
        (r#""metadata":null"#, None),
        (r#""dataType":"text""#, None),
        (r#""data":1"#, Some(content(DataType::Json, b"1"))),
        (
            r#""dataType":"TEXT","data":"x""#,
            Some(content(DataType::Text, b"x")),
        ),
        (
            r#""dataType":"binary","metadata":{"a":"b"}"#,
            Some(metadata_content(DataType::Text, b"", &[("a", "b")])),
        ),
        (
            r#""data":[],"metadata":{"a":"b"}"#,
            Some(metadata_content(DataType::Json, b"[]", &[("a", "b")])),
        ),
    ];
    for (fields, expected) in cases {
        accepts(&invoke(fields), invoke_message(Some("e"), expected));
    }
    for fields in [
        r#""data":null"#,
        r#""data":1,"dataType":"text""#,
        r#""dataType":"xml""#,
        r#""metadata":{"a":1}"#,
        r#""metadata":[]"#,
    ] {
        refuses(&invoke(fields));
    }
}

/// Section 3.9.
#[test]
fn invocation_targets_an_event_unless_it_says_otherwise() {
    for target in ["null", r#""event""#, r#""EVENT""#] {
        accepts(
            &invoke(&format!(r#""target":{target}"#)),
            invoke_message(Some("e"), None),
        );
    }
    for target in [r#""group""#, r#""""#, r#""event ""#] {
        accepts(
            &invoke(&format!(r#""target":{target}"#)),
            invoke_message(None, None),
        );
        for name in ["null", "5", r#""not a name""#] {
            accepts(
                &format!(
                    r#"{{"type":"invoke","invocationId":"i","target":{target},"event":{name}}}"#
                ),
                invoke_message(None, None),
            );
        }
        refuses(&invoke(&format!(r#""target":{target},"data":null"#)));
    }
    for target in ["1", "true", "[]", "{}"] {
        refuses(&invoke(&format!(r#""target":{target}"#)));
    }
}

/// Section 3.9.
#[test]
fn invocation_of_an_event_names_it() {
    refuses(r#"{"type":"invoke","invocationId":"i"}"#);
    refuses(r#"{"type":"invoke","invocationId":"i","target":"event"}"#);
    for name in ["null", "1", r#""""#, r#""1a""#, r#""a b""#] {
        refuses(&format!(
            r#"{{"type":"invoke","invocationId":"i","event":{name}}}"#
        ));
    }
}

/// Section 3.9; checklist 118.
#[test]
fn invocation_id_is_a_string_that_is_not_empty() {
    accepts(
        r#"{"type":"cancelInvocation","invocationId":"\u0000 ü"}"#,
        ClientMessage::CancelInvocation {
            invocation_id: "\0 ü".to_owned(),
        },
    );
    refuses(r#"{"type":"invoke","event":"e"}"#);
    refuses(r#"{"type":"cancelInvocation"}"#);
    for id in [r#""""#, "null", "1", "[]", r#""\ud800""#] {
        refuses(&format!(
            r#"{{"type":"invoke","event":"e","invocationId":{id}}}"#
        ));
        refuses(&format!(
            r#"{{"type":"cancelInvocation","invocationId":{id}}}"#
        ));
    }
}

/// Section 3.10; checklist 120.
#[test]
fn group_state_is_set_or_cleared() {
    accepts(&set_state(r#""x":1"#), state_message(None, None));
    accepts(
        &set_state(r#""state":null,"ackId":7"#),
        state_message(None, Some(7)),
    );
    accepts(&set_state(r#""state":{}"#), state_message(Some(&[]), None));
    let entries = [("b", "grün\n"), ("A key\0", ""), ("a", "1")];
    accepts(
        &set_state(r#""state":{"b":"grün\n","A key\u0000":"","\u0061":"1"},"ackId":0"#),
        state_message(Some(&entries), Some(0)),
    );
}

/// Section 3.10: the limits of metadata.
#[test]
fn group_state_that_breaks_a_rule_is_refused() {
    let key = |len| format!(r#"{{"{}":"v"}}"#, "k".repeat(len));
    let value = |len| format!(r#"{{"k":"{}"}}"#, "v".repeat(len));
    let total = |len: usize| {
        let mut entries: Vec<String> = (0..7)
            .map(|index| format!(r#""{index}":"{}""#, "v".repeat(1023)))
            .collect();
        entries.push(format!(r#""7":"{}""#, "v".repeat(len - 7 * 1024 - 1)));
        format!("{{{}}}", entries.join(","))
    };
    for state in [key(256), value(1024), total(8192)] {
        parse(&set_state(&format!(r#""state":{state}"#)));
    }
    let (long_key, long_value, long_total) = (key(257), value(1025), total(8193));
    for state in [
        r#"{"a":"1","a":"2"}"#,
        r#"{"a":"1","\u0061":"1"}"#,
        r#"{"":"v"}"#,
        r#"{"a":1}"#,
        r#"{"a":null}"#,
        r#"{"a":{}}"#,
        r#"{"a":"\ud800"}"#,
        "[]",
        r#"[["a","b"]]"#,
        r#""a""#,
        "1",
        "false",
        &long_key,
        &long_value,
        &long_total,
    ] {
        refuses(&set_state(&format!(r#""state":{state}"#)));
    }
}

/// Section 3.10.
#[test]
fn frames_of_group_state_name_a_group_and_may_ask_for_an_ack() {
    for ack_id in [None, Some(0), Some(u64::MAX)] {
        let group = GroupName::new("g").unwrap();
        let field = ack_id.map_or(String::new(), |id| format!(r#","ackId":{id}"#));
        accepts(
            &format!(r#"{{"type":"subscribeGroupState","group":"g"{field}}}"#),
            ClientMessage::SubscribeGroupState {
                group: group.clone(),
                ack_id,
            },
        );
        accepts(
            &format!(r#"{{"type":"unsubscribeGroupState","group":"g"{field}}}"#),
            ClientMessage::UnsubscribeGroupState { group, ack_id },
        );
    }
    for frame_type in [
        "setGroupState",
        "subscribeGroupState",
        "unsubscribeGroupState",
    ] {
        refuses(&format!(r#"{{"type":"{frame_type}"}}"#));
        for group in ["null", "1", r#"" ""#] {
            refuses(&format!(r#"{{"type":"{frame_type}","group":{group}}}"#));
        }
        for ack_id in ["-1", "1.0", r#""1""#] {
            refuses(&format!(
                r#"{{"type":"{frame_type}","group":"g","ackId":{ack_id}}}"#
            ));
        }
    }
}

/// Checklist 72.
#[test]
fn types_of_streams_invocations_and_group_state_are_known_in_any_letter_case() {
    for name in [
        "streamData",
        "streamEnd",
        "invoke",
        "cancelInvocation",
        "setGroupState",
        "subscribeGroupState",
        "unsubscribeGroupState",
    ] {
        let fields = r#""streamId":"s","invocationId":"i","event":"e","group":"g""#;
        let frame = |name: &str| format!(r#"{{"type":"{name}",{fields}}}"#);
        let expected = parse(&frame(name));
        accepts(&frame(&name.to_ascii_uppercase()), expected.clone());
        accepts(&frame(&name.to_ascii_lowercase()), expected);
    }
}

fn parse(frame: &str) -> ClientMessage {
    json::parse(frame.as_bytes()).unwrap_or_else(|error| panic!("{frame}: {error}"))
}

fn accepts(frame: &str, expected: ClientMessage) {
    assert_eq!(parse(frame), expected, "{frame}");
}

fn refuses(frame: &str) {
    refuses_bytes(frame.as_bytes());
}

fn refuses_bytes(frame: &[u8]) {
    if let Ok(message) = json::parse(frame) {
        panic!("{} became {message:?}", String::from_utf8_lossy(frame));
    }
}

fn send(fields: &str) -> String {
    format!(r#"{{"type":"sendToGroup","group":"g",{fields}}}"#)
}

fn event(fields: &str) -> String {
    format!(r#"{{"type":"event","event":"e",{fields}}}"#)
}

fn start(stream: &str) -> String {
    format!(r#"{{"type":"sendToGroup","group":"g","stream":{stream}}}"#)
}

fn stream_data(fields: &str) -> String {
    format!(r#"{{"type":"streamData","streamId":"s",{fields}}}"#)
}

fn stream_end(fields: &str) -> String {
    format!(r#"{{"type":"streamEnd","streamId":"s",{fields}}}"#)
}

fn invoke(fields: &str) -> String {
    format!(r#"{{"type":"invoke","invocationId":"i","event":"e",{fields}}}"#)
}

fn set_state(fields: &str) -> String {
    format!(r#"{{"type":"setGroupState","group":"g",{fields}}}"#)
}

fn join(group: &str, ack_id: Option<u64>) -> ClientMessage {
    ClientMessage::JoinGroup {
        group: GroupName::new(group).unwrap(),
        ack_id,
    }
}

fn leave(group: &str, ack_id: Option<u64>) -> ClientMessage {
    ClientMessage::LeaveGroup {
        group: GroupName::new(group).unwrap(),
        ack_id,
    }
}

fn send_message(content: Content) -> ClientMessage {
    ClientMessage::SendToGroup {
        group: GroupName::new("g").unwrap(),
        content,
        no_echo: false,
        ttl_seconds: 0,
        ack_id: None,
    }
}

fn event_message(event: &str, content: Content) -> ClientMessage {
    ClientMessage::Event {
        event: EventName::new(event).unwrap(),
        content,
        ack_id: None,
    }
}

fn start_message(stream: &str, idle_timeout_ms: u32) -> ClientMessage {
    ClientMessage::StartStream {
        group: GroupName::new("g").unwrap(),
        stream: StreamId::new(stream).unwrap(),
        no_echo: false,
        idle_timeout_ms,
        has_data: false,
    }
}

fn invoke_message(event: Option<&str>, content: Option<Content>) -> ClientMessage {
    ClientMessage::Invoke {
        invocation_id: "i".to_owned(),
        event: event.map(|name| EventName::new(name).unwrap()),
        content,
    }
}

fn state_message(entries: Option<&[(&str, &str)]>, ack_id: Option<u64>) -> ClientMessage {
    let state = entries.map(|entries| {
        let mut state = GroupState::default();
        for (key, value) in entries {
            state
                .insert((*key).to_owned(), (*value).to_owned())
                .unwrap();
        }
        state
    });
    ClientMessage::SetGroupState {
        group: GroupName::new("g").unwrap(),
        state,
        ack_id,
    }
}

fn content(data_type: DataType, data: &[u8]) -> Content {
    metadata_content(data_type, data, &[])
}

fn metadata_content(data_type: DataType, data: &[u8], entries: &[(&str, &str)]) -> Content {
    let mut metadata = Metadata::default();
    for (key, value) in entries {
        metadata
            .insert((*key).to_owned(), (*value).to_owned())
            .unwrap();
    }
    Content {
        payload: Payload {
            data_type,
            data: Bytes::copy_from_slice(data),
        },
        metadata,
    }
}

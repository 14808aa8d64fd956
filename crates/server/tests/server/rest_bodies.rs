//! Bodies of requests: rest-api 2.1, item 5 of its acceptance checklist.

use serde_json::{Value, json};

use crate::support::rest::assert_bad_request;
use crate::support::{Received, Service};

const ALL: &str = "/api/hubs/chat/:send";
const NOT_JSON: &str = "The request body is not a valid JSON.";
const TOO_LARGE: &str = "Invalid Content-Length header.";
const MEBIBYTE: usize = 1 << 20;

/// Acceptance 5.
#[tokio::test]
async fn the_content_type_decides_what_a_message_is() {
    let service = Service::start().await;
    let mut client = service.json("chat", json!({})).await;
    let table: [(&str, &[u8], &str, Value); 22] = [
        ("", b"\xFF\x00", "binary", json!("/wA=")),
        (
            "application/octet-stream",
            b"\xFF\x00",
            "binary",
            json!("/wA="),
        ),
        ("Application/Octet-Stream", b"", "binary", json!("")),
        (
            "application/octet-stream; charset=klingon",
            b"a",
            "binary",
            json!("YQ=="),
        ),
        ("text/plain", "ü🦀".as_bytes(), "text", json!("ü🦀")),
        ("text/plain", b"", "text", json!("")),
        ("TEXT/plain;charset=UTF-8", b"a", "text", json!("a")),
        ("text/plain; charset=\"utf-8\"", b"a", "text", json!("a")),
        ("text/plain; format=flowed", b"a", "text", json!("a")),
        (
            "text/plain; charset=utf-16",
            b"\xFC\x00a\x00",
            "text",
            json!("üa"),
        ),
        (
            "text/plain; charset=utf-16le",
            b"\x3E\xD8\x80\xDD",
            "text",
            json!("🦀"),
        ),
        (
            "text/plain; charset=UTF-16BE",
            b"\x00\xFC\x00a",
            "text",
            json!("üa"),
        ),
        (
            "text/plain; charset=iso-8859-1",
            b"\xFCa",
            "text",
            json!("üa"),
        ),
        ("text/plain; charset=latin1", b"\xE9", "text", json!("é")),
        (
            "text/plain; x=y; charset=us-ascii",
            b"a",
            "text",
            json!("a"),
        ),
        ("text/plain", b"a\xFFb", "text", json!("a\u{FFFD}b")),
        (
            "application/json",
            b"{\"a\":[1]}",
            "json",
            json!({ "a": [1] }),
        ),
        (
            "application/json; charset=utf-8",
            b"\"x\"",
            "json",
            json!("x"),
        ),
        ("APPLICATION/JSON", b" 1 ", "json", json!(1)),
        (
            "application/json; charset=utf-16",
            b"\"\x00\xFC\x00\"\x00",
            "json",
            json!("ü"),
        ),
        (
            "application/json; charset=iso-8859-1",
            b"\"\xFC\"",
            "json",
            json!("ü"),
        ),
        ("application/json", b"null", "json", Value::Null),
    ];
    for (content_type, body, data_type, data) in table {
        service.send(ALL, content_type, body).await;
        assert_eq!(
            client.json().await,
            json!({ "type": "message", "from": "server", "dataType": data_type, "data": data }),
            "{content_type}"
        );
    }
    let answer = service
        .rest_with_head(ALL, "Content-Type:\r\n", "", b"a")
        .await;
    assert_eq!(answer.status, 202);
    assert_eq!(client.json().await["dataType"], "binary");
}

/// Acceptance 5.
#[tokio::test]
async fn other_content_types_and_charsets_are_refused() {
    let service = Service::start().await;
    let mut client = service.simple("chat", json!({})).await;
    for content_type in [
        "application/xml",
        "application/x-protobuf",
        "application/jsonp",
        "application/json5",
        "application/problem+json",
        "text/html",
        "text/*",
        "*/*",
        "text",
        "text/",
        "/plain",
        "json",
        "text/plain; charset=\"",
        "text/plain; charset=\"utf-8",
        "text/plain; charset=",
        "text/plain; charset=\"\"",
        "text/plain; charset=klingon",
        "text/plain; charset=utf-9",
        "text/plain; charset=a b",
        "text/plain; charset",
        "text/plain, application/json",
        "application/json; charset=klingon",
        "application/json; charset=\"",
        "application/octet-stream; x=\"",
    ] {
        let answer = service.rest("POST", ALL, content_type, b"1").await;
        assert_eq!(answer.status, 415, "{content_type}");
        let code = answer.header("x-ms-error-code");
        assert_eq!(code, Some("Error.UnsupportedMediaType"), "{content_type}");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(body["target"], "Request", "{content_type}");
    }
    service.mark("chat", "only this").await;
    client.expect_mark("only this").await;
}

/// Acceptance 5.
#[tokio::test]
async fn json_is_exactly_one_value() {
    let service = Service::start().await;
    let mut client = service.simple("chat", json!({})).await;
    for good in [
        "null",
        "0",
        "-1.50E+2",
        "12345678901234567890123456789",
        "\"\"",
        "[]",
        "{}",
        " [1 , 2]\r\n\t",
        r#"{"b":1.0,"a":1e2,"b":"twice"}"#,
        "\"\u{FEFF}ü\u{2028}\"",
    ] {
        service.send(ALL, "application/json", good.as_bytes()).await;
        assert_eq!(client.text().await, good, "as it was sent");
    }
    let with_bom = "\u{FEFF}1";
    let bad: [&[u8]; 26] = [
        b"{",
        b"",
        b" ",
        b"nul",
        b"NULL",
        b"{} {}",
        b"1,",
        b"1 2",
        b"[1,]",
        b"{\"a\":1,}",
        b"[,1]",
        b"{a:1}",
        b"{'a':1}",
        b"'a'",
        b"// c\n1",
        b"1 // c",
        b"/* c */ 1",
        b"NaN",
        b"Infinity",
        b"01",
        b"+1",
        b".5",
        b"\"a",
        b"\"\xFF\"",
        b"\"\n\"",
        with_bom.as_bytes(),
    ];
    for bad in bad {
        let answer = service.rest("POST", ALL, "application/json", bad).await;
        assert_bad_request(&answer, NOT_JSON);
    }
    service.mark("chat", "nothing else").await;
    client.expect_mark("nothing else").await;
}

/// Acceptance 5: nesting of 64 is the most.
#[tokio::test]
async fn json_may_be_nested_64_deep() {
    let service = Service::start().await;
    let mut client = service.simple("chat", json!({})).await;
    let arrays = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| {
        format!(
            "{}{{}}{}",
            "{\"a\":".repeat(depth - 1),
            "}".repeat(depth - 1)
        )
    };
    for good in [
        arrays(64),
        objects(64),
        format!("[{},{}]", arrays(63), objects(63)),
        format!("[\"{}\"]", "[{".repeat(100)),
    ] {
        service.send(ALL, "application/json", good.as_bytes()).await;
        assert_eq!(client.text().await, good);
    }
    for bad in [
        arrays(65),
        objects(65),
        format!("[1,{}]", objects(64)),
        arrays(100_000),
        objects(100_000),
    ] {
        let answer = service
            .rest("POST", ALL, "application/json", bad.as_bytes())
            .await;
        assert_bad_request(&answer, NOT_JSON);
    }
    service.mark("chat", "nothing else").await;
    client.expect_mark("nothing else").await;
}

/// Acceptance 5: official packages send streams in chunks.
#[tokio::test]
async fn a_body_in_chunks_is_delivered_whole() {
    let service = Service::start().await;
    let mut client = service.simple("chat", json!({})).await;
    let chunks: [&[u8]; 3] = [b"{\"a\"", b":", b"1}"];
    let answer = service.chunked(ALL, "application/json", &chunks).await;
    assert_eq!(answer.status, 202);
    assert_eq!(client.text().await, r#"{"a":1}"#);
    let answer = service.chunked(ALL, "text/plain", &[]).await;
    assert_eq!(answer.status, 202);
    assert_eq!(client.text().await, "");
    let single_bytes: Vec<&[u8]> = b"abc".chunks(1).collect();
    let answer = service.chunked(ALL, "", &single_bytes).await;
    assert_eq!(answer.status, 202);
    assert_eq!(client.next().await, Received::Binary(b"abc".to_vec()));
    let answer = service.chunked(ALL, "application/json", &[]).await;
    assert_bad_request(&answer, NOT_JSON);
    let bulk = "/api/hubs/chat/:addToGroups";
    let chunks: [&[u8]; 2] = [b"{\"groups\":", b"[\"room\"]}"];
    let answer = service.chunked(bulk, "application/json", &chunks).await;
    assert_eq!(answer.status, 200);
    assert_eq!(service.count("/api/hubs/chat/groups/room/:count").await, 1);
}

/// Acceptance 5: 1 MiB is the most, with and without a length.
#[tokio::test]
async fn a_body_may_be_one_mebibyte() {
    let service = Service::start().await;
    let mut client = service.simple("chat", json!({})).await;
    let body = vec![b'x'; MEBIBYTE + 1];
    let whole = &body[..MEBIBYTE];
    let (first, second) = whole.split_at(300_000);
    assert_eq!(service.rest("POST", ALL, "", whole).await.status, 202);
    assert_eq!(client.next().await, Received::Binary(whole.to_vec()));
    let answer = service.chunked(ALL, "", &[first, second]).await;
    assert_eq!(answer.status, 202);
    assert_eq!(client.next().await, Received::Binary(whole.to_vec()));

    let bulk = "/api/hubs/chat/:addToGroups";
    for path in [ALL, bulk, "/api/hubs/chat/connections/nobody/:send"] {
        for content_type in ["", "text/plain", "application/json"] {
            let answer = service.rest("POST", path, content_type, &body).await;
            assert_bad_request(&answer, TOO_LARGE);
            // A bulk request of another type is refused for that before its body is looked at.
            if path != bulk || content_type == "application/json" {
                let chunks = [first, second, b"x"];
                let answer = service.chunked(path, content_type, &chunks).await;
                assert_bad_request(&answer, TOO_LARGE);
            }
        }
    }
    service.mark("chat", "nothing else").await;
    client.expect_mark("nothing else").await;
}

/// Acceptance 5.
#[tokio::test]
async fn the_largest_body_is_configurable() {
    let service = Service::start_with(|config| config.rest.body_max = 2048).await;
    for (len, status) in [(2048, 202), (2049, 400)] {
        let body = vec![b'x'; len];
        let answer = service.rest("POST", ALL, "", &body).await;
        assert_eq!(answer.status, status, "{len}");
        let answer = service
            .chunked(ALL, "", &[&body[..1000], &body[1000..]])
            .await;
        assert_eq!(answer.status, status, "{len} in chunks");
    }
}

/// Acceptance 5: the switch for the official behaviour.
#[tokio::test]
async fn a_length_can_be_made_obligatory() {
    let service = Service::start_with(|config| config.rest.require_content_length = true).await;
    let mut client = service.simple("chat", json!({})).await;
    let bulk = "/api/hubs/chat/:addToGroups";
    for (path, body) in [(ALL, "1"), (bulk, r#"{"groups":["room"]}"#)] {
        let answer = service
            .chunked(path, "application/json", &[body.as_bytes()])
            .await;
        assert_bad_request(&answer, TOO_LARGE);
    }
    assert_eq!(service.count("/api/hubs/chat/groups/room/:count").await, 0);
    service.mark("chat", "with a length").await;
    client.expect_mark("with a length").await;
    service.send(ALL, "text/plain", b"").await;
    client.expect_mark("").await;
}

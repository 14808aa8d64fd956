//! Data and metadata: items 54 to 57, 61, 62 and 74.

use serde_json::json;

use super::{expect_invalid, sender_and_member};
use crate::support::Service;

/// Item 54.
#[tokio::test]
async fn every_data_type_arrives_as_it_was_sent() {
    let service = Service::start().await;
    let (mut sender, mut member) = sender_and_member(&service).await;
    let table = [
        (None, "json", json!({ "a": [1, null, "x"] })),
        (Some("json"), "json", json!("text")),
        (Some("json"), "json", json!(false)),
        (Some("text"), "text", json!("grüße \u{1F600} \"\\\n\u{0}")),
        (Some("text"), "text", json!("")),
        (Some("binary"), "binary", json!("AP+A")),
        (Some("binary"), "binary", json!("")),
        // An `Any` with type URL `t` and value 1, 2, and an empty one.
        (Some("protobuf"), "protobuf", json!("CgF0EgIBAg==")),
        (Some("protobuf"), "protobuf", json!("")),
    ];
    for (data_type, delivered_type, data) in table {
        let mut frame = json!({ "type": "sendToGroup", "group": "room", "data": data });
        if let Some(data_type) = data_type {
            frame["dataType"] = data_type.into();
        }
        sender.send_json(frame.clone()).await;
        assert_eq!(
            member.json().await,
            json!({ "type": "message", "from": "group", "group": "room", "fromUserId": "alice", "dataType": delivered_type, "data": data }),
            "{frame}"
        );
    }
}

/// Item 55.
#[tokio::test]
async fn json_data_is_delivered_byte_for_byte() {
    let service = Service::start().await;
    let (mut sender, mut member) = sender_and_member(&service).await;
    for data in [
        "123456789012345678901234567890",
        "9007199254740993",
        "-0.10",
        "1.0E+400",
        r#"{"b": 1, "a" :[ 1.50 ], "b":2}"#,
        r#""\u00e9\/é""#,
    ] {
        sender
            .send_text(format!(
                r#"{{"type":"sendToGroup","group":"room","data":{data}}}"#
            ))
            .await;
        assert_eq!(
            member.text().await,
            format!(
                r#"{{"type":"message","from":"group","group":"room","fromUserId":"alice","dataType":"json","data":{data}}}"#
            )
        );
    }
}

/// Item 56.
#[tokio::test]
async fn data_that_is_null_or_missing_is_invalid() {
    let service = Service::start().await;
    for frame in [
        r#"{"type":"sendToGroup","group":"room","data":null}"#,
        r#"{"type":"sendToGroup","group":"room","data":null,"metadata":{"k":"v"}}"#,
        r#"{"type":"sendToGroup","group":"room"}"#,
        r#"{"type":"sendToGroup","group":"room","metadata":null}"#,
        r#"{"type":"sendToGroup","group":"room","dataType":"text"}"#,
        r#"{"type":"event","event":"e","data":null}"#,
        r#"{"type":"event","event":"e"}"#,
    ] {
        expect_invalid(&service, frame).await;
    }
}

/// Item 56.
#[tokio::test]
async fn metadata_alone_makes_an_empty_text() {
    let service = Service::start().await;
    let (mut sender, mut member) = sender_and_member(&service).await;
    sender
        .send_json(json!({ "type": "sendToGroup", "group": "room", "metadata": { "k": "v" } }))
        .await;
    assert_eq!(
        member.json().await,
        json!({ "type": "message", "from": "group", "group": "room", "fromUserId": "alice", "dataType": "text", "data": "", "metadata": { "k": "v" } })
    );
}

/// Item 57, and the other data that its type does not allow.
#[tokio::test]
async fn data_that_is_not_of_its_type_is_invalid() {
    let service = Service::start().await;
    for (data_type, data) in [
        ("binary", r#""AP+""#),
        ("binary", r#""AP+A=""#),
        ("binary", r#""AP-A""#),
        ("binary", r#""AP+A\n""#),
        ("binary", r#""not base64!""#),
        ("binary", "1"),
        ("text", "1"),
        ("text", r#"{"a":1}"#),
        ("protobuf", r#""!""#),
        ("protobuf", r#""/w==""#),
        ("xml", r#""x""#),
        ("", r#""x""#),
    ] {
        let frame = format!(
            r#"{{"type":"sendToGroup","group":"room","dataType":"{data_type}","data":{data}}}"#
        );
        expect_invalid(&service, &frame).await;
    }
}

/// Item 61.
#[tokio::test]
async fn metadata_keeps_its_letter_case() {
    let service = Service::start().await;
    let (mut sender, mut member) = sender_and_member(&service).await;
    let metadata = json!({ "Trace": "A\tb", "trace": "", "x!#$%&'*+-.^_`|~9": "~ \"\\" });
    sender
        .send_json(
            json!({ "type": "sendToGroup", "group": "room", "data": 1, "metadata": metadata }),
        )
        .await;
    let message = member.json().await;
    assert_eq!(message["metadata"], metadata);
    sender
        .send_json(json!({ "type": "sendToGroup", "group": "room", "data": 1, "metadata": {} }))
        .await;
    assert_eq!(member.json().await.get("metadata"), None);
}

/// Item 62: the largest that is good.
#[tokio::test]
async fn metadata_may_be_as_large_as_its_limits() {
    let service = Service::start().await;
    let (mut sender, mut member) = sender_and_member(&service).await;
    let mut metadata = json!({ "k".repeat(256): "v".repeat(1024) });
    // 1280 + 6 * 1025 + 762 = 8192.
    for key in ["a", "b", "c", "d", "e", "f"] {
        metadata[key] = "v".repeat(1024).into();
    }
    metadata["g"] = "v".repeat(761).into();
    sender
        .send_json(
            json!({ "type": "sendToGroup", "group": "room", "data": 1, "metadata": metadata }),
        )
        .await;
    assert_eq!(member.json().await["metadata"], metadata);

    metadata["g"] = "v".repeat(762).into();
    let frame = json!({ "type": "sendToGroup", "group": "room", "data": 1, "metadata": metadata });
    expect_invalid(&service, &frame.to_string()).await;
}

/// Item 62.
#[tokio::test]
async fn metadata_that_breaks_a_rule_is_invalid() {
    let service = Service::start().await;
    let long_key = format!(r#"{{"{}":"v"}}"#, "k".repeat(257));
    let long_value = format!(r#"{{"k":"{}"}}"#, "v".repeat(1025));
    for metadata in [
        r#"{"k":"a","k":"b"}"#,
        r#"{"k":1}"#,
        r#"{"k":null}"#,
        r#"{"k":{}}"#,
        r#"{"":"v"}"#,
        r#"{"a b":"v"}"#,
        r#"{"a:b":"v"}"#,
        r#"{"é":"v"}"#,
        r#"{"k":"é"}"#,
        r#"{"k":"a\nb"}"#,
        r#"{"k":"\u007f"}"#,
        r#"["k"]"#,
        r#""k""#,
        &long_key,
        &long_value,
    ] {
        for start in [
            r#"{"type":"sendToGroup","group":"room""#,
            r#"{"type":"event","event":"e""#,
        ] {
            expect_invalid(
                &service,
                &format!(r#"{start},"data":1,"metadata":{metadata}}}"#),
            )
            .await;
        }
    }
}

/// Item 74: a JSON null by REST is delivered as such.
#[tokio::test]
async fn every_message_has_a_data_type_and_data() {
    let service = Service::start().await;
    let mut client = service.json("chat", json!({})).await;
    let table = [
        ("application/json", "null", "json", json!(null)),
        ("application/json", " 1 ", "json", json!(1)),
        ("text/plain", "", "text", json!("")),
        ("application/octet-stream", "", "binary", json!("")),
        ("", "hi", "binary", json!("aGk=")),
    ];
    for (content_type, body, data_type, data) in table {
        let path = "/api/hubs/chat/:send";
        service.send(path, content_type, body.as_bytes()).await;
        assert_eq!(
            client.json().await,
            json!({ "type": "message", "from": "server", "dataType": data_type, "data": data }),
            "{content_type}"
        );
    }
}

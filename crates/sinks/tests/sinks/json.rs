//! The JSON form of events, as a file has it. Source: events-and-operations 8.1, 8.2.

use hubwire_upstream::ListenerEvent;
use serde_json::{Value, json};

use crate::lines::{file_sink, lines_of, temporary};
use crate::support::{JSON, TEXT, full_event, user_event, with};

async fn object(event: ListenerEvent) -> Value {
    let path = temporary("json");
    file_sink(&path).deliver(&[event]).await.unwrap();
    let lines = lines_of(&path);
    assert_eq!(lines.len(), 1, "{lines:?}");
    serde_json::from_str(&lines[0]).unwrap()
}

/// Events-and-operations 8.1: what is not set is absent.
#[tokio::test]
async fn an_event_has_the_attributes_of_cloud_events() {
    let event = with(user_event("c1", 3, JSON, b"{}"), |event| {
        event.kind = "azure.webpubsub.sys.connected".to_owned();
        event.event_name = "connected".to_owned();
    });
    let expected = json!({
        "specversion": "1.0",
        "id": "3",
        "source": "/hubs/chat/client/c1",
        "type": "azure.webpubsub.sys.connected",
        "time": "2024-02-29T12:34:56Z",
        "awpsversion": "1.0",
        "hub": "chat",
        "eventname": "connected",
        "connectionid": "c1",
        "datacontenttype": "application/json",
        "data": {},
    });
    assert_eq!(object(event).await, expected);
}

/// Events-and-operations 8.1.
#[tokio::test]
async fn what_is_set_is_there_and_metadata_is_the_text_of_an_object() {
    let expected = json!({
        "specversion": "1.0",
        "id": "3",
        "source": "/hubs/chat/client/c1",
        "type": "azure.webpubsub.user.order.created",
        "time": "2024-02-29T12:34:56Z",
        "awpsversion": "1.0",
        "hub": "chat",
        "eventname": "order.created",
        "connectionid": "c1",
        "userid": "Zoë \"✓\" 50%",
        "subprotocol": "json.webpubsub.azure.v1",
        "connectionstate": "c3RhdGU=",
        "datacontenttype": "application/json",
        "metadata": "{\"trace-id\":\"c d\"}",
        "data": { "a": 1.5 },
    });
    assert_eq!(object(full_event("c1", 3)).await, expected);
}

#[tokio::test]
async fn data_is_as_its_media_type_wants_it() {
    let binary = "application/octet-stream";
    let protobuf = "application/x-protobuf";
    let cases: [(&'static str, &[u8], &str, Value); 9] = [
        (
            TEXT,
            "grüß\n\"Gott\"".as_bytes(),
            "data",
            json!("grüß\n\"Gott\""),
        ),
        (TEXT, b"", "data", json!("")),
        (TEXT, b"\xff", "data_base64", json!("/w==")),
        (JSON, b" [1,\r\n\t\"a\\nb\"] ", "data", json!([1, "a\nb"])),
        (JSON, b"null", "data", Value::Null),
        (JSON, b"{", "data_base64", json!("ew==")),
        (binary, b"\x00\x01", "data_base64", json!("AAE=")),
        (binary, b"text", "data_base64", json!("dGV4dA==")),
        (protobuf, b"\x0a\x00", "data_base64", json!("CgA=")),
    ];
    for (content_type, body, member, value) in cases {
        let object = object(user_event("c1", 1, content_type, body)).await;
        let media_type = content_type.split(';').next().unwrap();
        assert_eq!(object["datacontenttype"], media_type);
        assert_eq!(object.get(member), Some(&value), "{content_type} {body:?}");
        let others = ["data", "data_base64"].into_iter();
        assert!(
            others
                .filter(|other| *other != member)
                .all(|other| object.get(other).is_none()),
            "{object}"
        );
    }
}

#[tokio::test]
async fn an_event_without_data_has_no_member_for_it() {
    for content_type in [JSON, "application/octet-stream"] {
        let object = object(user_event("c1", 1, content_type, b"")).await;
        assert!(object.get("data").is_none() && object.get("data_base64").is_none());
    }
}

#[tokio::test]
async fn the_digits_of_a_number_stay() {
    let path = temporary("digits");
    let event = user_event("c1", 1, JSON, b"123456789012345678901234567890.10");
    file_sink(&path).deliver(&[event]).await.unwrap();
    let line = &lines_of(&path)[0];
    assert!(
        line.ends_with(",\"data\":123456789012345678901234567890.10}"),
        "{line}"
    );
}

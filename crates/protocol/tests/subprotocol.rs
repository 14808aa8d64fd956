//! How a subprotocol is chosen, and what simple clients receive.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use bytes::Bytes;
use hubwire_protocol::message::{Content, ControlMessage, DataMessage, From};
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::payload::{DataType, Payload};
use hubwire_protocol::subprotocol::{Subprotocol, WireKind};

const JSON: &str = "json.webpubsub.azure.v1";

/// Checklist 26, 27.
#[test]
fn first_known_name_of_the_client_is_chosen() {
    let json = Some((Subprotocol::Json, JSON));
    assert_eq!(Subprotocol::negotiate([JSON]), json);
    assert_eq!(Subprotocol::negotiate(["mine", JSON]), json);
    assert_eq!(Subprotocol::negotiate([JSON, "mine"]), json);
    assert_eq!(Subprotocol::negotiate([]), None);
    assert_eq!(
        Subprotocol::negotiate(["mine", "json.webpubsub.azure.v2", ""]),
        None
    );
}

/// Checklist 29.
#[test]
fn name_is_known_in_any_letter_case_and_keeps_the_spelling_of_the_client() {
    let spelling = "JSON.WebPubSub.Azure.V1";
    assert_eq!(
        Subprotocol::negotiate([spelling]),
        Some((Subprotocol::Json, spelling))
    );
}

#[test]
fn each_subprotocol_has_its_own_index() {
    assert_eq!(Subprotocol::Simple.name(), None);
    assert_eq!(Subprotocol::Json.name(), Some(JSON));
    let indexes = [Subprotocol::Simple.index(), Subprotocol::Json.index()];
    assert_eq!(indexes, [0, 1]);
    assert_eq!(Subprotocol::COUNT, indexes.len());
}

/// Checklist 42.
#[test]
fn simple_clients_receive_payloads_as_they_are() {
    let cases: [(DataType, WireKind, &[u8]); 5] = [
        (DataType::Json, WireKind::Text, b"\"Hello World\""),
        (DataType::Text, WireKind::Text, "grün".as_bytes()),
        (DataType::Text, WireKind::Text, b""),
        (DataType::Binary, WireKind::Binary, &[0, 0xFF]),
        (DataType::Protobuf, WireKind::Binary, b"\x0A\x01a"),
    ];
    for (data_type, kind, data) in cases {
        let encoded = Subprotocol::Simple.encode_data(&message(data_type, data));
        assert_eq!(encoded, (kind, Bytes::copy_from_slice(data)));
    }
}

#[test]
fn simple_clients_receive_text_that_is_utf8() {
    let (kind, data) = Subprotocol::Simple.encode_data(&message(DataType::Text, b"a\xFFb"));
    assert_eq!((kind, &*data), (WireKind::Text, "a\u{FFFD}b".as_bytes()));
}

/// Checklist 30.
#[test]
fn simple_clients_receive_no_control_messages() {
    let connected = ControlMessage::Connected {
        connection_id: "c",
        user: None,
    };
    assert_eq!(Subprotocol::Simple.encode_control(&connected), None);
    assert!(Subprotocol::Json.encode_control(&connected).is_some());
}

fn message(data_type: DataType, data: &[u8]) -> DataMessage {
    let mut metadata = Metadata::default();
    metadata
        .insert("never".to_owned(), "seen".to_owned())
        .unwrap();
    DataMessage {
        from: From::Server,
        content: Content {
            payload: Payload {
                data_type,
                data: Bytes::copy_from_slice(data),
            },
            metadata,
        },
    }
}

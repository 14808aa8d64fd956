//! How a subprotocol is chosen, and what simple clients receive.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use bytes::Bytes;
use hubwire_protocol::message::{
    Content, ControlMessage, DataMessage, Fragment, From, GroupStateMessage,
};
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::names::{GroupName, StreamId};
use hubwire_protocol::payload::{DataType, Payload};
use hubwire_protocol::subprotocol::{Format, Subprotocol, WireKind};

const JSON: &str = "json.webpubsub.azure.v1";
const RELIABLE_JSON: &str = "json.reliable.webpubsub.azure.v1";
const PROTOBUF: &str = "protobuf.webpubsub.azure.v1";
const RELIABLE_PROTOBUF: &str = "protobuf.reliable.webpubsub.azure.v1";

/// The registered names (client-protocols 1.5).
const NAMED: [(Subprotocol, &str); 4] = [
    (Subprotocol::Json, JSON),
    (Subprotocol::ReliableJson, RELIABLE_JSON),
    (Subprotocol::Protobuf, PROTOBUF),
    (Subprotocol::ReliableProtobuf, RELIABLE_PROTOBUF),
];

/// Checklist 26, 27.
#[test]
fn first_known_name_of_the_client_is_chosen() {
    for (subprotocol, name) in NAMED {
        let chosen = Some((subprotocol, name));
        assert_eq!(Subprotocol::negotiate([name]), chosen);
        assert_eq!(Subprotocol::negotiate(["mine", name]), chosen);
        assert_eq!(Subprotocol::negotiate([name, "mine"]), chosen);
        for (_, other) in NAMED {
            assert_eq!(Subprotocol::negotiate([name, other]), chosen);
            assert_eq!(Subprotocol::negotiate(["mine", name, other, name]), chosen);
        }
    }
    assert_eq!(Subprotocol::negotiate([]), None);
}

/// Checklist 28.
#[test]
fn client_that_prefers_protobuf_to_json_gets_it() {
    assert_eq!(
        Subprotocol::negotiate([PROTOBUF, JSON]),
        Some((Subprotocol::Protobuf, PROTOBUF))
    );
    assert_eq!(
        Subprotocol::negotiate([RELIABLE_PROTOBUF, PROTOBUF, RELIABLE_JSON, JSON]),
        Some((Subprotocol::ReliableProtobuf, RELIABLE_PROTOBUF))
    );
}

/// Checklist 26.
#[test]
fn unknown_names_mean_a_simple_client() {
    let names = [
        "mine",
        "",
        "json.webpubsub.azure.v2",
        "json.reliable.webpubsub.azure.v2",
        "reliable.json.webpubsub.azure.v1",
        "protobuf.webpubsub.azure",
        " json.webpubsub.azure.v1",
        "json.webpubsub.azure.v1 ",
        "mqtt",
    ];
    for name in names {
        assert_eq!(Subprotocol::negotiate([name]), None, "{name:?}");
    }
    assert_eq!(Subprotocol::negotiate(names), None);
}

/// Checklist 29.
#[test]
fn name_is_known_in_any_letter_case_and_keeps_the_spelling_of_the_client() {
    for (subprotocol, name) in NAMED {
        let spellings = [
            name.to_ascii_uppercase(),
            name.replace("webpubsub", "WebPubSub"),
        ];
        for spelling in &spellings {
            assert_eq!(
                Subprotocol::negotiate([spelling.as_str(), JSON]),
                Some((subprotocol, spelling.as_str()))
            );
        }
    }
}

#[test]
fn each_subprotocol_has_its_own_index() {
    let indexes: Vec<usize> = Subprotocol::ALL.map(Subprotocol::index).to_vec();
    assert_eq!(indexes, [0, 1, 2, 3, 4]);
    assert_eq!(Subprotocol::COUNT, indexes.len());
}

#[test]
fn names_are_the_registered_ones() {
    assert_eq!(Subprotocol::Simple.name(), None);
    for (subprotocol, name) in NAMED {
        assert_eq!(subprotocol.name(), Some(name));
    }
}

/// Section 5.1.
#[test]
fn reliable_subprotocols_write_as_their_plain_ones_do() {
    let facts =
        Subprotocol::ALL.map(|subprotocol| (subprotocol.format(), subprotocol.is_reliable()));
    let expected = [
        (Format::Simple, false),
        (Format::Json, false),
        (Format::Json, true),
        (Format::Protobuf, false),
        (Format::Protobuf, true),
    ];
    assert_eq!(facts, expected);
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
        let encoded = Format::Simple.encode_data(&message(data_type, data));
        assert_eq!(encoded, (kind, Bytes::copy_from_slice(data)));
    }
}

#[test]
fn simple_clients_receive_text_that_is_utf8() {
    let (kind, data) = Format::Simple.encode_data(&message(DataType::Text, b"a\xFFb"));
    assert_eq!((kind, &*data), (WireKind::Text, "a\u{FFFD}b".as_bytes()));
}

/// Section 3.8, rule 14.
#[test]
fn simple_clients_receive_fragments_as_ordinary_payloads() {
    let mut fragment = message(DataType::Text, b"x");
    fragment.stream = Some(Fragment {
        stream: StreamId::new("s").unwrap(),
        sequence_id: 1,
        end: None,
    });
    let encoded = Format::Simple.encode_data(&fragment);
    assert_eq!(encoded, (WireKind::Text, Bytes::from_static(b"x")));
}

/// Checklist 30.
#[test]
fn simple_clients_receive_no_control_messages() {
    let connected = ControlMessage::Connected {
        connection_id: "c",
        user: None,
        reconnection_token: None,
    };
    assert_eq!(Format::Simple.encode_control(&connected), None);
    let (kind, _) = Format::Json.encode_control(&connected).unwrap();
    assert_eq!(kind, WireKind::Text);
}

#[test]
fn simple_clients_receive_no_group_state() {
    let update = GroupStateMessage {
        group: GroupName::new("g").unwrap(),
        is_snapshot: false,
        items: Vec::new(),
    };
    assert_eq!(Format::Simple.encode_group_state(&update), None);
    let (kind, _) = Format::Json.encode_group_state(&update).unwrap();
    assert_eq!(kind, WireKind::Text);
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
        stream: None,
    }
}

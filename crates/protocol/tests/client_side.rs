//! The client's and the service's side of each codec understand each other.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use bytes::Bytes;
use hubwire_protocol::message::{
    AckError, AckErrorName, ClientMessage, Content, ControlMessage, DataMessage, Fragment, From,
    NamedError, ReceivedError, ReceivedFrom, ServiceMessage, StreamEnd, StreamError,
    StreamErrorName, UserStreamError,
};
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::names::{EventName, GroupName, StreamId, UserId};
use hubwire_protocol::payload::Payload;
use hubwire_protocol::state::GroupState;
use hubwire_protocol::subprotocol::{Format, Unnumbered, json, protobuf};
use proptest::prelude::*;

fn group() -> impl Strategy<Value = GroupName> {
    "[^\\s]\\PC{0,20}".prop_filter_map("a group name", |name| GroupName::new(&name).ok())
}

fn stream() -> impl Strategy<Value = StreamId> {
    "\\PC{1,20}".prop_filter_map("a stream id", |id| StreamId::new(&id).ok())
}

fn event() -> impl Strategy<Value = EventName> {
    "[A-Za-z][A-Za-z0-9_.-]{0,10}".prop_map(|name| EventName::new(&name).unwrap())
}

fn payload() -> impl Strategy<Value = Payload> {
    let value = prop_oneof![
        any::<i64>().prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
        prop::collection::vec(any::<u32>(), 0..4).prop_map(serde_json::Value::from),
    ];
    prop_oneof![
        any::<String>().prop_map(Payload::text),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Payload::binary),
        value.prop_map(|value| Payload::json(&value).unwrap()),
    ]
}

fn content() -> impl Strategy<Value = Content> {
    let entries = prop::collection::btree_map("[A-Za-z!-]{1,9}", "[ -~]{0,9}", 0..4);
    (payload(), entries).prop_map(|(payload, entries)| {
        let mut metadata = Metadata::default();
        for (key, value) in entries {
            metadata.insert(key, value).unwrap();
        }
        Content { payload, metadata }
    })
}

fn client_message() -> impl Strategy<Value = ClientMessage> {
    let ack = any::<Option<u64>>;
    let state = prop::option::of(prop::collection::btree_map("\\PC{1,9}", "\\PC{0,9}", 0..4));
    let texts = (any::<Option<String>>(), any::<Option<String>>());
    let error = texts.prop_map(|(message, user_error_code)| UserStreamError {
        message,
        user_error_code,
    });
    prop_oneof![
        (group(), ack()).prop_map(|(group, ack_id)| ClientMessage::JoinGroup { group, ack_id }),
        (group(), ack()).prop_map(|(group, ack_id)| ClientMessage::LeaveGroup { group, ack_id }),
        (group(), content(), any::<bool>(), 0..=300_u16, ack()).prop_map(
            |(group, content, no_echo, ttl_seconds, ack_id)| ClientMessage::SendToGroup {
                group,
                content,
                no_echo,
                ttl_seconds,
                ack_id
            }
        ),
        (event(), content(), ack()).prop_map(|(event, content, ack_id)| ClientMessage::Event {
            event,
            content,
            ack_id
        }),
        Just(ClientMessage::Ping),
        any::<u64>().prop_map(|sequence_id| ClientMessage::SequenceAck { sequence_id }),
        (group(), stream(), any::<bool>(), 1..=3_600_000_u32).prop_map(
            |(group, stream, no_echo, idle_timeout_ms)| ClientMessage::StartStream {
                group,
                stream,
                no_echo,
                idle_timeout_ms,
                has_data: false
            }
        ),
        (stream(), prop::option::of((1..=u64::MAX, payload())))
            .prop_map(|(stream, fragment)| ClientMessage::StreamData { stream, fragment }),
        (stream(), prop::option::of(error))
            .prop_map(|(stream, error)| ClientMessage::EndStream { stream, error }),
        ("\\PC{1,9}", event(), prop::option::of(content())).prop_map(
            |(invocation_id, event, content)| ClientMessage::Invoke {
                invocation_id,
                event: Some(event),
                content
            }
        ),
        "\\PC{1,9}".prop_map(|invocation_id| ClientMessage::CancelInvocation { invocation_id }),
        (group(), state, ack()).prop_map(|(group, entries, ack_id)| {
            let state = entries.map(|entries| {
                let mut state = GroupState::default();
                for (key, value) in entries {
                    state.insert(key, value).unwrap();
                }
                state
            });
            ClientMessage::SetGroupState {
                group,
                state,
                ack_id,
            }
        }),
        (group(), ack())
            .prop_map(|(group, ack_id)| ClientMessage::SubscribeGroupState { group, ack_id }),
        (group(), ack())
            .prop_map(|(group, ack_id)| ClientMessage::UnsubscribeGroupState { group, ack_id }),
    ]
}

proptest! {
    #[test]
    fn the_service_reads_what_a_client_says(message in client_message()) {
        let frame = json::encode_client(&message).unwrap();
        prop_assert_eq!(json::parse(&frame).unwrap(), message.clone());
        let frame = protobuf::encode_client(&message).unwrap();
        prop_assert_eq!(protobuf::parse(&frame).unwrap(), message);
    }

    #[test]
    fn a_client_reads_data_with_its_number(
        content in content(),
        group in group(),
        user in prop::option::of("[a-z]{1,9}"),
        place in prop::option::of((stream(), 1..=u64::MAX, any::<bool>())),
        number in any::<u64>(),
    ) {
        let error = StreamError { name: StreamErrorName::UserError, details: UserStreamError { message: Some("m".into()), user_error_code: Some("c".into()) } };
        let message = DataMessage {
            from: From::Group { group: group.clone(), user: user.as_deref().map(|user| UserId::new(user).unwrap()) },
            content: content.clone(),
            stream: place.clone().map(|(stream, sequence_id, is_end)| Fragment {
                stream, sequence_id, end: is_end.then(|| StreamEnd { error: Some(error.clone()) }),
            }),
        };
        for format in [Format::Json, Format::Protobuf] {
            let (kind, frame) = format.encode_data(&message);
            let unnumbered = Unnumbered::of(format, &frame).unwrap();
            let head = unnumbered.envelope.head(unnumbered.body.len(), number);
            let frame = Bytes::from([head.as_bytes(), &unnumbered.body].concat());
            let ServiceMessage::Data(data) = format.parse_service(kind, frame).unwrap() else { panic!("no data") };
            prop_assert_eq!(&data.content, &content);
            prop_assert_eq!(data.sequence_id, Some(number));
            let user_id = user.clone().filter(|_| format == Format::Json);
            prop_assert_eq!(data.from, ReceivedFrom::Group { group: group.as_str().to_owned(), user_id });
            let fragment = data.stream.map(|it| (it.stream, it.sequence_id, it.end));
            match (&place, fragment) {
                (None, None) => {}
                (Some((stream, number, is_end)), Some((read, read_number, end))) => {
                    prop_assert_eq!((stream.as_str(), *number, *is_end), (read.as_str(), read_number, end.is_some()));
                    if let Some(end) = end {
                        prop_assert_eq!(end.error.unwrap(), ReceivedError { name: "UserError".into(), message: "m".into() });
                        prop_assert_eq!(end.user_error_code.as_deref(), Some("c"));
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn no_frame_makes_a_client_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        json::parse_service(&bytes).ok();
        protobuf::parse_service(bytes.into()).ok();
    }
}

#[test]
fn a_client_reads_every_control_frame() {
    let user = UserId::new("alice").unwrap();
    let stream = StreamId::new("s").unwrap();
    let content = Content::from("answer");
    let forbidden = AckError {
        name: AckErrorName::Forbidden,
        message: "no".to_owned(),
    };
    let named = NamedError {
        name: "N",
        message: "m",
    };
    let received = ReceivedError {
        name: "N".to_owned(),
        message: "m".to_owned(),
    };
    for format in [Format::Json, Format::Protobuf] {
        let read = |message: ControlMessage<'_>| {
            let (kind, frame) = format.encode_control(&message).unwrap();
            format.parse_service(kind, frame).unwrap()
        };
        let connected = read(ControlMessage::Connected {
            connection_id: "c",
            user: Some(&user),
            reconnection_token: Some("secret"),
        });
        assert!(!format!("{connected:?}").contains("secret"));
        let ServiceMessage::Connected {
            connection_id,
            user_id,
            reconnection_token,
        } = connected
        else {
            panic!("not connected");
        };
        assert_eq!(
            (connection_id.as_str(), user_id.as_deref()),
            ("c", Some("alice"))
        );
        assert_eq!(reconnection_token.unwrap().as_str(), "secret");
        assert_eq!(
            read(ControlMessage::Disconnected { message: "bye" }),
            ServiceMessage::Disconnected {
                message: "bye".to_owned()
            }
        );
        for (outcome, expected) in [
            (Ok(()), Ok(())),
            (
                Err(&forbidden),
                Err(ReceivedError {
                    name: "Forbidden".to_owned(),
                    message: "no".to_owned(),
                }),
            ),
        ] {
            assert_eq!(
                read(ControlMessage::Ack {
                    ack_id: u64::MAX,
                    outcome
                }),
                ServiceMessage::Ack {
                    ack_id: u64::MAX,
                    outcome: expected
                }
            );
        }
        assert_eq!(read(ControlMessage::Pong), ServiceMessage::Pong);
        for (outcome, expected) in [
            (Ok(Some(&content)), Ok(Some(content.clone()))),
            (Ok(None), Ok(None)),
            (Err(named), Err(received.clone())),
        ] {
            assert_eq!(
                read(ControlMessage::InvokeResponse {
                    invocation_id: "7",
                    outcome
                }),
                ServiceMessage::InvokeResponse {
                    invocation_id: "7".to_owned(),
                    outcome: expected
                }
            );
        }
        assert_eq!(
            read(ControlMessage::StreamAck {
                stream: &stream,
                expected_sequence_id: 5
            }),
            ServiceMessage::StreamAck {
                stream: "s".to_owned(),
                expected_sequence_id: 5
            }
        );
        assert_eq!(
            read(ControlMessage::StreamNack {
                stream: &stream,
                expected_sequence_id: 5,
                error: named
            }),
            ServiceMessage::StreamNack {
                stream: "s".to_owned(),
                expected_sequence_id: 5,
                error: received.clone()
            }
        );
        for (error, expected) in [(None, None), (Some(named), Some(received.clone()))] {
            assert_eq!(
                read(ControlMessage::StreamClosed {
                    stream: &stream,
                    error
                }),
                ServiceMessage::StreamClosed {
                    stream: "s".to_owned(),
                    error: expected
                }
            );
        }
    }
}

#[test]
fn what_a_client_does_not_know_is_skipped() {
    let unknown =
        json::parse_service(br#"{"type":"newThing","data":{"a":1},"sequenceId":3}"#).unwrap();
    assert_eq!(unknown, ServiceMessage::Unknown);
    let unknown = protobuf::parse_service(Bytes::from_static(&[0xFA, 0x01, 0x00])).unwrap();
    assert_eq!(unknown, ServiceMessage::Unknown);
    let pong = json::parse_service(br#"{"type":"pong","later":[1]}"#).unwrap();
    assert_eq!(pong, ServiceMessage::Pong);
}

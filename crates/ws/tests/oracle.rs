//! Both directions against an independent implementation, the client of tokio-websockets.

#[path = "support/receiver.rs"]
mod receiver;

use futures_util::{SinkExt, StreamExt};
use hubwire_ws::{ClosePayload, Header, Opcode};
use proptest::collection::vec;
use proptest::prelude::*;
use receiver::{NO_LIMIT, Seen, decode_all};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_websockets::{ClientBuilder, CloseCode, Config, Message};

/// Room for everything that a case sends, so that neither side waits for the other.
const PIPE_LEN: usize = 1 << 22;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_the_other_client_sends_is_what_we_receive(
        messages in vec(seen_message(), 0..6),
        close in seen_close(),
        frame_len in prop_oneof![Just(1 << 22), 1000_usize..5000],
    ) {
        let expected = with_close(messages, close);
        let bytes = block_on(sent_by_client(&expected, frame_len));
        prop_assert_eq!(decode_all(&bytes, NO_LIMIT), Ok(expected));
    }

    #[test]
    fn what_we_send_is_what_the_other_client_receives(
        messages in vec(seen_message(), 0..6),
        close in seen_close(),
    ) {
        let expected = with_close(messages, close);
        let bytes = expected.iter().flat_map(sent_by_us).collect::<Vec<u8>>();
        prop_assert_eq!(block_on(received_by_client(&bytes)), expected);
    }
}

#[test]
fn fragments_of_one_byte_are_understood() {
    let expected = vec![
        Seen::Text("größer 😀".to_owned()),
        Seen::Binary(vec![0xFF; 300]),
    ];
    let bytes = block_on(sent_by_client(&expected, 1));
    assert_eq!(decode_all(&bytes, NO_LIMIT), Ok(expected));
}

async fn sent_by_client(messages: &[Seen], frame_len: usize) -> Vec<u8> {
    let (theirs, mut ours) = tokio::io::duplex(PIPE_LEN);
    let mut client = ClientBuilder::new()
        .config(Config::default().frame_size(frame_len))
        .take_over(theirs);
    for message in messages {
        client
            .send(their_message(message))
            .await
            .expect("the pipe has room");
    }
    drop(client);
    let mut bytes = Vec::new();
    ours.read_to_end(&mut bytes)
        .await
        .expect("a pipe does not fail");
    bytes
}

async fn received_by_client(bytes: &[u8]) -> Vec<Seen> {
    let (theirs, mut ours) = tokio::io::duplex(PIPE_LEN);
    ours.write_all(bytes).await.expect("the pipe has room");
    ours.shutdown().await.expect("a pipe does not fail");
    let mut client = ClientBuilder::new().take_over(theirs);
    let mut seen = Vec::new();
    while let Some(Ok(message)) = client.next().await {
        seen.push(seen_by_them(&message));
    }
    seen
}

fn their_message(message: &Seen) -> Message {
    match message {
        Seen::Text(text) => Message::text(text.clone()),
        Seen::Binary(payload) => Message::binary(payload.clone()),
        Seen::Ping(payload) => Message::ping(payload.clone()),
        Seen::Pong(payload) => Message::pong(payload.clone()),
        Seen::Close(code, reason) => {
            let code = code.map(|code| CloseCode::try_from(code).expect("a code that may be sent"));
            Message::close(code, reason)
        }
    }
}

fn seen_by_them(message: &Message) -> Seen {
    let payload = message.as_payload().to_vec();
    if let Some(text) = message.as_text() {
        Seen::Text(text.to_owned())
    } else if message.is_binary() {
        Seen::Binary(payload)
    } else if message.is_ping() {
        Seen::Ping(payload)
    } else if message.is_pong() {
        Seen::Pong(payload)
    } else {
        match (payload.is_empty(), message.as_close()) {
            (false, Some((code, reason))) => Seen::Close(Some(code.into()), reason.to_owned()),
            _ => Seen::Close(None, String::new()),
        }
    }
}

fn sent_by_us(message: &Seen) -> Vec<u8> {
    let (opcode, payload) = match message {
        Seen::Text(text) => (Opcode::Text, text.clone().into_bytes()),
        Seen::Binary(payload) => (Opcode::Binary, payload.clone()),
        Seen::Ping(payload) => (Opcode::Ping, payload.clone()),
        Seen::Pong(payload) => (Opcode::Pong, payload.clone()),
        Seen::Close(code, reason) => {
            let payload = match code {
                Some(code) => ClosePayload::new(*code, reason),
                None => ClosePayload::empty(),
            };
            (Opcode::Close, payload.as_bytes().to_vec())
        }
    };
    [Header::new(opcode, payload.len()).as_bytes(), &payload].concat()
}

fn seen_message() -> impl Strategy<Value = Seen> {
    prop_oneof![
        "\\PC{0,100}".prop_map(Seen::Text),
        payload().prop_map(Seen::Binary),
        vec(any::<u8>(), 0..126).prop_map(Seen::Ping),
        vec(any::<u8>(), 0..126).prop_map(Seen::Pong),
    ]
}

/// Sizes around the borders of the length forms, with a content that shows a shift.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![
        0_usize..10,
        120_usize..135,
        65_530_usize..65_545,
        0_usize..200_000
    ];
    (len, any::<u8>()).prop_map(|(len, seed)| {
        (0..len)
            .map(|index| (index as u8).wrapping_mul(31).wrapping_add(seed))
            .collect()
    })
}

fn seen_close() -> impl Strategy<Value = Option<Seen>> {
    let code = prop_oneof![1000_u16..1004, 1007_u16..1015, 3000_u16..5000];
    prop_oneof![
        Just(None),
        Just(Some(Seen::Close(None, String::new()))),
        (code, "[ -~]{0,123}").prop_map(|(code, reason)| Some(Seen::Close(Some(code), reason))),
    ]
}

fn with_close(mut messages: Vec<Seen>, close: Option<Seen>) -> Vec<Seen> {
    messages.extend(close);
    messages
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without I/O starts")
        .block_on(future)
}

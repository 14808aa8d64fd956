//! The frames of a client: one byte that says into what pieces the stream is cut, then the stream.

use hubwire_ws::{DecodeError, Decoder, Event, MessageKind, Progress, is_valid_close_code};

const MESSAGE_MAX: usize = 4096;

/// Decodes the stream at once and in pieces, which must come to the same.
///
/// # Panics
///
/// If the decoder breaks its contract.
pub fn run(data: &[u8]) {
    let Some((piece, stream)) = data.split_first() else {
        return;
    };
    let whole = decode(stream, stream.len().max(1));
    let pieces = decode(stream, usize::from(*piece) + 1);
    assert_eq!(whole, pieces);
}

/// Returns a line for each event, and how it ended.
fn decode(stream: &[u8], piece: usize) -> (Vec<String>, Option<DecodeError>) {
    let mut decoder = Decoder::default();
    let mut waiting = Vec::new();
    let mut events = Vec::new();
    for piece in stream.chunks(piece) {
        waiting.extend_from_slice(piece);
        loop {
            let len = waiting.len();
            let before = waiting.clone();
            let consumed = match decoder.decode(&mut waiting, MESSAGE_MAX) {
                Ok(Progress::Event { event, consumed }) => {
                    check(&event);
                    events.push(format!("{event:?}"));
                    consumed
                }
                Ok(Progress::Fragment { consumed }) => consumed,
                Ok(Progress::Incomplete { needed }) => {
                    assert!(needed > len, "asks for no more than is there");
                    assert_eq!(waiting, before, "changed what it did not take");
                    break;
                }
                Err(error) => return (events, Some(error)),
            };
            assert!((6..=len).contains(&consumed), "took {consumed} of {len}");
            assert_eq!(
                waiting[consumed..],
                before[consumed..],
                "changed what it did not take"
            );
            waiting.drain(..consumed);
        }
    }
    (events, None)
}

fn check(event: &Event<'_>) {
    match event {
        Event::Message { kind, payload } => {
            assert!(payload.len() <= MESSAGE_MAX);
            assert!(*kind == MessageKind::Binary || std::str::from_utf8(payload).is_ok());
        }
        Event::Ping(payload) | Event::Pong(payload) => assert!(payload.len() <= 125),
        Event::Close { code, reason } => {
            assert!(code.is_none_or(is_valid_close_code));
            assert!(reason.len() <= 123);
        }
    }
}

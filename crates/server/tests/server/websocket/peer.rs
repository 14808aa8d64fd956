//! A client that writes bytes as they are given and checks every byte that comes.

use std::fmt;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::support::wire::upgrade_request;
use crate::support::{PATIENCE, Service};

/// Browsers offer it always; the service does not take it.
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
/// The answer to the key of [`upgrade_request`], which is the example of RFC 6455.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const SHOWN: usize = 48;

/// What comes from the service.
#[derive(Clone, PartialEq)]
pub(super) enum Came {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    /// The end of the connection.
    End,
    /// The end of the connection by a TCP reset.
    Reset,
    /// Nothing, for as long as anybody would wait.
    Silence,
    /// Something that a server must not send.
    Broken(String),
}

impl Came {
    fn is_last(&self) -> bool {
        matches!(
            self,
            Self::End | Self::Reset | Self::Silence | Self::Broken(_)
        )
    }
}

impl fmt::Debug for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => match text.char_indices().nth(SHOWN) {
                None => write!(f, "text {text:?}"),
                Some((end, _)) => write!(f, "text {:?}.. of {} bytes", &text[..end], text.len()),
            },
            Self::Binary(bytes) => show_bytes(f, "binary", bytes),
            Self::Ping(bytes) => show_bytes(f, "ping", bytes),
            Self::Pong(bytes) => show_bytes(f, "pong", bytes),
            Self::Close(Some(code), reason) => write!(f, "close {code} {reason:?}"),
            Self::Close(None, _) => write!(f, "close without a code"),
            Self::End => write!(f, "the end"),
            Self::Reset => write!(f, "a reset"),
            Self::Silence => write!(f, "silence"),
            Self::Broken(fault) => write!(f, "broken: {fault}"),
        }
    }
}

fn show_bytes(f: &mut fmt::Formatter<'_>, kind: &str, bytes: &[u8]) -> fmt::Result {
    let shown = bytes[..bytes.len().min(SHOWN)].escape_ascii();
    match bytes.len() {
        0..=SHOWN => write!(f, "{kind} \"{shown}\""),
        len => write!(f, "{kind} \"{shown}\".. of {len} bytes"),
    }
}

/// A connection after its handshake.
pub(super) struct Peer {
    tcp: TcpStream,
    input: Vec<u8>,
}

impl Peer {
    /// Connects and checks the answer to the handshake.
    pub(super) async fn connect(service: &Service, path: &str) -> Self {
        let tcp = TcpStream::connect(service.addr).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let mut peer = Self {
            tcp,
            input: Vec::new(),
        };
        let request = upgrade_request(service.addr, path, OFFER);
        peer.tcp.write_all(request.as_bytes()).await.unwrap();
        let end = loop {
            if let Some(end) = peer.input.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            let last = fill(&mut peer.tcp, &mut peer.input).await;
            assert_eq!(last, None, "instead of the answer to a handshake");
        };
        let head: Vec<u8> = peer.input.drain(..end).collect();
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (known, value) = line.split_once(": ")?;
                known.eq_ignore_ascii_case(name).then_some(value)
            })
        };
        assert_eq!(header("Sec-WebSocket-Accept"), Some(ACCEPT), "{head}");
        assert_eq!(header("Sec-WebSocket-Extensions"), None, "{head}");
        assert_eq!(header("Sec-WebSocket-Protocol"), None, "{head}");
        peer
    }

    /// Writes these pieces one by one, then ends its side if told so, and meanwhile takes all that comes, up to the end.
    pub(super) async fn exchange(mut self, pieces: &[Vec<u8>], hangs_up: bool) -> Vec<Came> {
        let (reader, writer) = self.tcp.split();
        let (came, ()) = tokio::join!(
            take_all(reader, &mut self.input),
            write_all(writer, pieces, hangs_up)
        );
        came
    }
}

async fn write_all(mut tcp: impl AsyncWrite + Unpin, pieces: &[Vec<u8>], hangs_up: bool) {
    for piece in pieces {
        let written = timeout(PATIENCE, tcp.write_all(piece)).await;
        if !matches!(written, Ok(Ok(()))) {
            // What the service said before it let go is what counts.
            return;
        }
        yield_now().await;
    }
    if hangs_up {
        tcp.shutdown().await.ok();
    }
}

async fn take_all(mut tcp: impl AsyncRead + Unpin, input: &mut Vec<u8>) -> Vec<Came> {
    let mut came = Vec::new();
    let mut done = 0;
    loop {
        match take_frame(&input[done..]) {
            Err(fault) => came.push(Came::Broken(fault)),
            Ok(Some((next, len))) => {
                done += len;
                came.push(next);
                continue;
            }
            Ok(None) => {
                input.drain(..done);
                done = 0;
                came.extend(fill(&mut tcp, input).await);
            }
        }
        if came.last().is_some_and(Came::is_last) {
            return came;
        }
    }
}

/// Reads some bytes. Returns what came if they were none.
async fn fill(tcp: &mut (impl AsyncRead + Unpin), input: &mut Vec<u8>) -> Option<Came> {
    match timeout(PATIENCE, tcp.read_buf(input)).await {
        Err(_) => Some(Came::Silence),
        Ok(Ok(0)) if input.is_empty() => Some(Came::End),
        Ok(Ok(0)) => Some(Came::Broken(format!("an end within a frame: {input:?}"))),
        Ok(Ok(_)) => None,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => Some(Came::Reset),
        Ok(Err(error)) => Some(Came::Broken(error.to_string())),
    }
}

/// Takes a frame of a server as RFC 6455 section 5 lets it be, and not fragmented. Returns it with its length.
fn take_frame(input: &[u8]) -> Result<Option<(Came, usize)>, String> {
    let &[first, second, ..] = input else {
        return Ok(None);
    };
    let head = format!("{first:#04x} {second:#04x}");
    if first & 0x80 == 0 {
        return Err(format!("a fragment: {head}"));
    }
    if first & 0x70 != 0 {
        return Err(format!("a reserved bit: {head}"));
    }
    if second & 0x80 != 0 {
        return Err(format!("a masked frame: {head}"));
    }
    let (length_len, shortest) = match second {
        126 => (2, 126),
        127 => (8, 0x1_0000),
        _ => (0, 0),
    };
    let is_control = first & 0x08 != 0;
    if is_control && length_len != 0 {
        return Err(format!("a control frame that is too long: {head}"));
    }
    let head_len = 2 + length_len;
    let Some(length) = input.get(2..head_len) else {
        return Ok(None);
    };
    let len = match length_len {
        0 => usize::from(second),
        _ => length
            .iter()
            .fold(0, |len, &byte| len << 8 | usize::from(byte)),
    };
    if len < shortest {
        return Err(format!("{len} bytes in a length form that is too long"));
    }
    let Some(payload) = input.get(head_len..head_len + len) else {
        return Ok(None);
    };
    let came = match first & 0x0F {
        0x1 => Came::Text(string(payload)?),
        0x2 => Came::Binary(payload.to_vec()),
        0x8 => match payload {
            [] => Came::Close(None, String::new()),
            [high, low, reason @ ..] => {
                Came::Close(Some(u16::from_be_bytes([*high, *low])), string(reason)?)
            }
            [_] => return Err("half a close code".to_owned()),
        },
        0x9 => Came::Ping(payload.to_vec()),
        0xA => Came::Pong(payload.to_vec()),
        _ => return Err(format!("an unknown type: {head}")),
    };
    Ok(Some((came, head_len + len)))
}

fn string(payload: &[u8]) -> Result<String, String> {
    String::from_utf8(payload.to_vec()).map_err(|error| error.to_string())
}

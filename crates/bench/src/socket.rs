//! One WebSocket of a client, over a socket that does not block.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;

use crate::{frame, message};

/// What happened on a socket.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// The service accepted the upgrade.
    Opened,
    /// A text message.
    Message(&'a [u8]),
    /// The socket is gone; its connection may live on.
    Ended(End),
}

/// How a socket ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The upgrade was answered with another status.
    Refused(String),
    /// The service sent a close frame.
    Closed { code: u16, reason: String },
    /// The other end wrote no more.
    Finished,
    /// The network failed.
    Failed(ErrorKind),
    /// What came is no WebSocket of a service.
    Malformed,
}

/// What waits to be written.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    written: usize,
}

impl Outbox {
    /// Adds a text message.
    pub(crate) fn send(&mut self, text: &str) {
        frame::encode(frame::TEXT, text.as_bytes(), &mut self.bytes);
    }

    fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }
}

/// What a socket is opened with.
pub(crate) struct Request {
    pub(crate) address: SocketAddr,
    /// The service, which may be behind the address.
    pub(crate) host: SocketAddr,
    pub(crate) path: String,
    /// What is offered; nothing if it is [`message::SIMPLE`].
    pub(crate) subprotocol: &'static str,
}

#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    is_open: bool,
    /// The beginning of what has not come as a whole yet.
    rest: Vec<u8>,
    pub(crate) outbox: Outbox,
}

impl Socket {
    /// Begins to connect, and queues the upgrade.
    pub(crate) fn connect(request: &Request) -> std::io::Result<Self> {
        let stream = TcpStream::connect(request.address)?;
        stream.set_nodelay(true)?;
        let upgrade = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}\r\n",
            request.path,
            request.host,
            match request.subprotocol {
                message::SIMPLE => String::new(),
                subprotocol => format!("Sec-WebSocket-Protocol: {subprotocol}\r\n"),
            }
        );
        Ok(Self {
            stream,
            is_open: false,
            rest: Vec::new(),
            outbox: Outbox {
                bytes: upgrade.into_bytes(),
                written: 0,
            },
        })
    }

    /// Writes what the kernel takes. An error is left to the next read.
    pub(crate) fn flush(&mut self) {
        while !self.outbox.is_empty() {
            match self.stream.write(&self.outbox.bytes[self.outbox.written..]) {
                Ok(written) => self.outbox.written += written,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
        self.outbox.bytes.clear();
        self.outbox.written = 0;
    }

    /// Reads until there is no more. `scratch` must be longer than any frame. With `to_the_end` a short read is not taken for the last.
    pub(crate) fn receive(
        &mut self,
        scratch: &mut [u8],
        to_the_end: bool,
        mut each: impl FnMut(Event<'_>, &mut Outbox),
    ) -> Result<(), End> {
        loop {
            let kept = self.rest.len();
            scratch[..kept].copy_from_slice(&self.rest);
            let read = match self.stream.read(&mut scratch[kept..]) {
                Ok(0) => return Err(End::Finished),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // Still connecting.
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
                Err(error) => return Err(End::Failed(error.kind())),
            };
            self.rest.clear();
            let bytes = &scratch[..kept + read];
            let used = self.consume(bytes, &mut each)?;
            self.rest.extend_from_slice(&bytes[used..]);
            if self.rest.len() == scratch.len() {
                return Err(End::Malformed);
            }
            if kept + read < scratch.len() && !to_the_end {
                return Ok(());
            }
        }
    }

    /// Returns how many bytes were used.
    fn consume(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(Event<'_>, &mut Outbox),
    ) -> Result<usize, End> {
        let mut used = 0;
        if !self.is_open {
            let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
                return Ok(0);
            };
            if !bytes.starts_with(b"HTTP/1.1 101 ") {
                let line = bytes[..head]
                    .split(|byte| *byte == b'\r')
                    .next()
                    .unwrap_or_default();
                return Err(End::Refused(String::from_utf8_lossy(line).into_owned()));
            }
            used = head + 4;
            self.is_open = true;
            each(Event::Opened, &mut self.outbox);
        }
        while let Some(frame) = frame::decode(&bytes[used..]).map_err(|_| End::Malformed)? {
            used += frame.len;
            match frame.opcode {
                frame::TEXT => each(Event::Message(frame.payload), &mut self.outbox),
                frame::PING => frame::encode(frame::PONG, frame.payload, &mut self.outbox.bytes),
                frame::PONG => {}
                frame::CLOSE => return Err(closed(frame.payload)),
                _ => return Err(End::Malformed),
            }
        }
        Ok(used)
    }
}

fn closed(payload: &[u8]) -> End {
    match payload {
        [high, low, reason @ ..] => End::Closed {
            code: u16::from_be_bytes([*high, *low]),
            reason: String::from_utf8_lossy(reason).into_owned(),
        },
        _ => End::Closed {
            code: 1005,
            reason: String::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    use super::*;

    /// Returns what a client sees when the service writes `parts`, one after another, and then no more.
    fn events_of(parts: &[&[u8]]) -> Vec<String> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let request = Request {
            address,
            host: address,
            path: "/".to_owned(),
            subprotocol: "p",
        };
        let mut socket = Socket::connect(&request).expect("connects");
        let (peer, _) = listener.accept().expect("accepts");
        let mut events = Vec::new();
        let mut scratch = [0; 256];
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut parts = parts.iter();
        let mut peer = Some(peer);
        while Instant::now() < deadline {
            match (parts.next(), &mut peer) {
                (Some(part), Some(peer)) => peer.write_all(part).expect("writes"),
                _ => peer = None,
            }
            if let Err(end) = receive(&mut socket, &mut scratch, &mut events) {
                events.push(format!("{end:?}"));
                break;
            }
        }
        events
    }

    fn receive(
        socket: &mut Socket,
        scratch: &mut [u8],
        events: &mut Vec<String>,
    ) -> Result<(), End> {
        socket.receive(scratch, false, |event, _| match event {
            Event::Opened => events.push("opened".to_owned()),
            Event::Message(payload) => events.push(String::from_utf8_lossy(payload).into_owned()),
            Event::Ended(end) => events.push(format!("{end:?}")),
        })
    }

    #[test]
    fn frames_may_come_in_any_parts() {
        let parts: [&[u8]; 5] = [
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: web",
            b"socket\r\n\r\n\x81\x05he",
            b"llo\x81",
            b"\x02yo",
            b"\x88\x05\x03\xf0bye",
        ];
        let closed = r#"Closed { code: 1008, reason: "bye" }"#;
        assert_eq!(events_of(&parts), ["opened", "hello", "yo", closed]);
    }

    #[test]
    fn a_refusal_is_told_with_its_status() {
        let refused = r#"Refused("HTTP/1.1 401 Unauthorized")"#;
        assert_eq!(
            events_of(&[b"HTTP/1.1 401 Unauthorized\r\nA: b\r\n\r\n"]),
            [refused]
        );
    }

    #[test]
    fn the_end_of_the_stream_is_an_end() {
        assert_eq!(
            events_of(&[b"HTTP/1.1 101 \r\n\r\n"]),
            ["opened", "Finished"]
        );
    }
}

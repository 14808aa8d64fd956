use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{PATIENCE, Service};

/// First bytes of whole frames, and of the fragments of a message.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8A;
pub(crate) const FIRST_TEXT: u8 = 0x01;
pub(crate) const FIRST_BINARY: u8 = 0x02;
pub(crate) const MIDDLE: u8 = 0x00;
pub(crate) const LAST: u8 = 0x80;

/// Header line that offers the JSON subprotocol.
pub(crate) const JSON_HEAD: &str = "Sec-WebSocket-Protocol: json.webpubsub.azure.v1\r\n";

const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

/// A client that makes its own frames, answers nothing by itself and reads only when it is told to.
pub(crate) struct Wire {
    pub(crate) tcp: TcpStream,
    input: Vec<u8>,
    /// The head of the 101.
    pub(crate) head: String,
}

impl Service {
    /// Connects a client that makes its own frames, with these header lines added to the handshake.
    pub(crate) async fn wire(&self, path: &str, head: &str) -> Wire {
        let tcp = TcpStream::connect(self.addr).await.unwrap();
        Wire::upgrade(tcp, self.addr, path, head).await
    }

    /// Sends a handshake and leaves its answer to the test.
    pub(crate) async fn half_open(&self, path: &str, head: &str) -> TcpStream {
        let mut tcp = TcpStream::connect(self.addr).await.unwrap();
        let request = upgrade_request(self.addr, path, head);
        tcp.write_all(request.as_bytes()).await.unwrap();
        tcp
    }

    /// Like [`Service::wire`], with a text message sent in one go with the handshake.
    pub(crate) async fn wire_with_frame(&self, path: &str, head: &str, message: &[u8]) -> Wire {
        let tcp = TcpStream::connect(self.addr).await.unwrap();
        let mut bytes = upgrade_request(self.addr, path, head).into_bytes();
        bytes.extend(frame(TEXT, message));
        Wire::handshake(tcp, &bytes).await
    }

    /// Like [`Service::wire`], with so small a receive buffer that it soon holds the service up when it does not read.
    pub(crate) async fn narrow_wire(&self, path: &str, head: &str) -> Wire {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let tcp = socket.connect(self.addr).await.unwrap();
        Wire::upgrade(tcp, self.addr, path, head).await
    }
}

impl Wire {
    async fn upgrade(tcp: TcpStream, addr: SocketAddr, path: &str, head: &str) -> Self {
        Self::handshake(tcp, upgrade_request(addr, path, head).as_bytes()).await
    }

    async fn handshake(mut tcp: TcpStream, request: &[u8]) -> Self {
        tcp.write_all(request).await.unwrap();
        let mut wire = Self {
            tcp,
            input: Vec::new(),
            head: String::new(),
        };
        let end = loop {
            if let Some(end) = wire.input.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(wire.fill().await, "the handshake was answered");
        };
        wire.head = String::from_utf8(wire.input.drain(..end).collect()).unwrap();
        assert!(wire.head.starts_with("HTTP/1.1 101 "), "{}", wire.head);
        wire
    }

    /// Sends a masked frame.
    pub(crate) async fn send(&mut self, first: u8, payload: &[u8]) {
        self.send_bytes(&frame(first, payload)).await;
    }

    /// Sends bytes that need not be a frame.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.tcp.write_all(bytes).await.unwrap();
    }

    /// Returns the first byte and the payload of the next frame, or `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some(frame) = self.take_frame() {
                return Some(frame);
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// Asserts that the next frame is a close frame with this code and reason.
    pub(crate) async fn expect_close(&mut self, code: u16, reason: &str) {
        let (first, payload) = self.next().await.expect("a close frame");
        assert_eq!(first, CLOSE, "{payload:?}");
        let (got_code, got_reason) = payload.split_at(2);
        assert_eq!(
            (
                u16::from_be_bytes([got_code[0], got_code[1]]),
                std::str::from_utf8(got_reason).unwrap()
            ),
            (code, reason)
        );
    }

    /// Asserts that the service ends the connection now.
    pub(crate) async fn expect_end(&mut self) {
        assert_eq!(self.next().await, None);
    }

    /// Ends the connection with a TCP reset.
    pub(crate) fn abort(self) {
        self.tcp.set_zero_linger().unwrap();
    }

    /// Reads some bytes; false at the end.
    async fn fill(&mut self) -> bool {
        let len = timeout(PATIENCE, self.tcp.read_buf(&mut self.input))
            .await
            .expect("something came in time");
        len.is_ok_and(|len| len > 0)
    }

    fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let &[first, short_len, ..] = self.input.as_slice() else {
            return None;
        };
        assert_eq!(short_len & 0x80, 0, "a server does not mask");
        let length_len = match short_len {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let head_len = 2 + length_len;
        let len = match length_len {
            0 => usize::from(short_len),
            _ => self
                .input
                .get(2..head_len)?
                .iter()
                .fold(0, |len, &byte| len << 8 | usize::from(byte)),
        };
        if self.input.len() < head_len + len {
            return None;
        }
        let payload = self.input[head_len..head_len + len].to_vec();
        self.input.drain(..head_len + len);
        Some((first, payload))
    }
}

/// Returns a whole handshake request.
pub(crate) fn upgrade_request(addr: SocketAddr, path: &str, head: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{head}\r\n"
    )
}

/// Returns the bytes of a masked frame.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | len as u8),
        len @ 126..=0xFFFF => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    bytes.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

/// Returns the payload of a close frame.
pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

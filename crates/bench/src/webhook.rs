//! An event handler that echoes: a bare HTTP/1.1 server on sockets that do not block, on the thread of the clients.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

mod request;

use request::{Malformed, Request};

const LISTENER: Token = Token(usize::MAX);
/// No request of a measurement is longer. Bytes.
const SCRATCH: usize = 256 * 1024;

/// What was asked of a handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Connections that it was asked over.
    pub(crate) connections: u64,
    /// Whether it agrees to get events.
    pub(crate) validations: u64,
    /// Whether a client may connect.
    pub(crate) connects: u64,
    /// User events.
    pub(crate) events: u64,
    /// What is nothing of the kind.
    pub(crate) malformed: u64,
}

/// A listening handler.
pub(crate) struct Webhook {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    address: SocketAddr,
    connections: Slab<Connection>,
    scratch: Vec<u8>,
    /// What it puts before an echo, so that clients can tell who it is from.
    mark: &'static str,
    pub(crate) asked: Asked,
}

impl Webhook {
    pub(crate) fn listen(mark: &'static str) -> Result<Self> {
        let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into())
            .context("cannot listen for events")?;
        let address = listener.local_addr()?;
        let poll = Poll::new().context("cannot poll")?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            listener,
            address,
            connections: Slab::new(),
            scratch: vec![0; SCRATCH],
            mark,
            asked: Asked::default(),
        })
    }

    /// Returns its URL, with the name of the event in the path.
    pub(crate) fn url_template(&self) -> String {
        format!("http://{}/events/{{event}}", self.address)
    }

    /// Waits for something to happen, and answers. Returns whether anything did.
    pub(crate) fn turn(&mut self, timeout: Duration) -> Result<bool> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(false),
            Err(error) => return Err(error).context("cannot poll"),
        }
        let mut is_called = false;
        for event in &self.events {
            if event.token() == LISTENER {
                is_called = true;
                continue;
            }
            let Token(number) = event.token();
            let Some(connection) = self.connections.get_mut(number) else {
                continue;
            };
            if connection
                .go_on(&mut self.scratch, self.mark, &mut self.asked)
                .is_err()
            {
                self.connections.remove(number);
            }
        }
        if is_called {
            self.accept()?;
        }
        Ok(!self.events.is_empty())
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("cannot accept a request"),
            };
            self.asked.connections += 1;
            stream.set_nodelay(true)?;
            let entry = self.connections.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut stream, Token(entry.key()), interest)?;
            entry.insert(Connection {
                stream,
                rest: Vec::new(),
                out: Vec::new(),
            });
        }
    }
}

/// The connection is over.
struct Over;

struct Connection {
    stream: TcpStream,
    /// The beginning of what has not come as a whole yet.
    rest: Vec<u8>,
    /// What the kernel did not take yet.
    out: Vec<u8>,
}

impl Connection {
    fn go_on(&mut self, scratch: &mut [u8], mark: &str, asked: &mut Asked) -> Result<(), Over> {
        self.flush()?;
        loop {
            let kept = self.rest.len();
            scratch[..kept].copy_from_slice(&self.rest);
            let read = match self.stream.read(&mut scratch[kept..]) {
                Ok(0) => return Err(Over),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Over),
            };
            self.rest.clear();
            let bytes = &scratch[..kept + read];
            let used = answer_all(bytes, mark, &mut self.out, asked)?;
            self.rest.extend_from_slice(&bytes[used..]);
            self.flush()?;
            if self.rest.len() == scratch.len() {
                asked.malformed += 1;
                return Err(Over);
            }
            // Less than there was room for is all there was; an end comes with a readiness of its own.
            if kept + read < scratch.len() {
                return Ok(());
            }
        }
    }

    fn flush(&mut self) -> Result<(), Over> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Over),
            }
        }
        Ok(())
    }
}

/// Answers all whole requests. Returns how many bytes they took.
fn answer_all(
    bytes: &[u8],
    mark: &str,
    out: &mut Vec<u8>,
    asked: &mut Asked,
) -> Result<usize, Over> {
    let mut used = 0;
    loop {
        match Request::parse(&bytes[used..]) {
            Ok(Some(request)) => {
                answer(&request, mark, out, asked);
                used += request.len;
            }
            Ok(None) => return Ok(used),
            Err(Malformed) => {
                asked.malformed += 1;
                return Err(Over);
            }
        }
    }
}

fn answer(request: &Request<'_>, mark: &str, out: &mut Vec<u8>, asked: &mut Asked) {
    match (request.method, request.event_type) {
        (b"OPTIONS", _) => {
            asked.validations += 1;
            out.extend_from_slice(
                b"HTTP/1.1 200 OK\r\nWebHook-Allowed-Origin: *\r\nContent-Length: 0\r\n\r\n",
            );
        }
        (b"POST", b"azure.webpubsub.sys.connect") => {
            asked.connects += 1;
            out.extend_from_slice(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            );
        }
        (b"POST", kind) if kind.starts_with(b"azure.webpubsub.user.") => {
            asked.events += 1;
            let len = mark.len() + request.body.len();
            out.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Type: ");
            out.extend_from_slice(request.content_type);
            out.extend_from_slice(format!("\r\nContent-Length: {len}\r\n\r\n{mark}").as_bytes());
            out.extend_from_slice(request.body);
        }
        _ => {
            asked.malformed += 1;
            out.extend_from_slice(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what a handler writes for what it reads, and what it counts.
    fn answers(bytes: &[u8]) -> (String, Asked) {
        let (mut out, mut asked) = (Vec::new(), Asked::default());
        let _ = answer_all(bytes, "A", &mut out, &mut asked);
        (String::from_utf8(out).expect("text"), asked)
    }

    #[test]
    fn a_user_event_is_echoed_behind_the_mark() {
        let (out, asked) = answers(
            b"POST /events/message HTTP/1.1\r\nce-type: azure.webpubsub.user.message\r\n\
              content-type: text/plain; charset=utf-8\r\ncontent-length: 5\r\n\r\nhello",
        );
        assert_eq!(
            out,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 6\r\n\r\nAhello"
        );
        assert_eq!(asked.events, 1);
    }

    #[test]
    fn validations_and_connects_are_let_through() {
        let (out, asked) = answers(
            b"OPTIONS /events/validate HTTP/1.1\r\n\r\n\
              POST /events/connect HTTP/1.1\r\nce-type: azure.webpubsub.sys.connect\r\ncontent-length: 2\r\n\r\n{}",
        );
        assert!(out.contains("WebHook-Allowed-Origin: *") && out.ends_with("{}"));
        assert_eq!(
            (asked.validations, asked.connects, asked.malformed),
            (1, 1, 0)
        );
    }

    #[test]
    fn what_is_no_event_is_not_found() {
        let (out, asked) = answers(b"GET / HTTP/1.1\r\n\r\n");
        assert!(out.starts_with("HTTP/1.1 404 "));
        assert_eq!(asked.malformed, 1);
    }
}

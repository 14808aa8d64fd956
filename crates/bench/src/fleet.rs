//! Many sockets of clients on one thread.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::{Events, Interest, Poll, Token};

use crate::socket::{End, Event, Outbox, Request, Socket};

/// No frame of a measurement is longer. Bytes.
const SCRATCH: usize = 256 * 1024;
/// Sockets that are opened at the same time.
const OPENING_MAX: usize = 100;
const OPENING_TIMEOUT: Duration = Duration::from_secs(30);

/// Sockets by the index of their client, each of which has one or none.
pub(crate) struct Fleet {
    poll: Poll,
    events: Events,
    sockets: Vec<Option<Socket>>,
    scratch: Vec<u8>,
    /// How often a socket had something to read.
    pub(crate) reads: u64,
}

impl Fleet {
    pub(crate) fn new(clients: usize) -> Result<Self> {
        Ok(Self {
            poll: Poll::new().context("cannot poll")?,
            events: Events::with_capacity(1024),
            sockets: std::iter::repeat_with(|| None).take(clients).collect(),
            scratch: vec![0; SCRATCH],
            reads: 0,
        })
    }

    /// Begins to open a socket for a client, in place of the one it has.
    pub(crate) fn connect(&mut self, client: usize, request: &Request) -> Result<()> {
        let mut socket = Socket::connect(request).context("cannot open a socket")?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut socket.stream, Token(client), interest)?;
        self.sockets[client] = Some(socket);
        Ok(())
    }

    /// Opens sockets for the first `clients`, each until it is told that it is connected.
    pub(crate) fn open(
        &mut self,
        clients: usize,
        request: impl FnMut(usize) -> Request,
        mut connected: impl FnMut(usize, &[u8]),
    ) -> Result<()> {
        let is_connected = |client: usize, event: &Event<'_>| match event {
            Event::Message(payload) => {
                connected(client, payload);
                true
            }
            Event::Opened | Event::Ended(_) => false,
        };
        self.open_until(clients, request, is_connected, || Ok(()))
    }

    /// Opens sockets for the first `clients`, each until its upgrade is accepted; `meanwhile` is called again and again.
    pub(crate) fn upgrade(
        &mut self,
        clients: usize,
        request: impl FnMut(usize) -> Request,
        meanwhile: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let is_open = |_: usize, event: &Event<'_>| matches!(event, Event::Opened);
        self.open_until(clients, request, is_open, meanwhile)
    }

    fn open_until(
        &mut self,
        clients: usize,
        mut request: impl FnMut(usize) -> Request,
        mut is_done: impl FnMut(usize, &Event<'_>) -> bool,
        mut meanwhile: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let deadline = Instant::now() + OPENING_TIMEOUT;
        let (mut begun, mut done, mut failure) = (0, 0, None);
        while done < clients {
            while begun < clients && begun - done < OPENING_MAX {
                self.connect(begun, &request(begun))?;
                begun += 1;
            }
            self.turn(Duration::from_millis(1), |client, event, _| {
                done += usize::from(is_done(client, &event));
                if let Event::Ended(end) = event {
                    failure = Some(end);
                }
            })?;
            meanwhile()?;
            if let Some(end) = failure {
                bail!("a client could not connect: {end:?}");
            }
            if Instant::now() > deadline {
                bail!("only {done} of {clients} clients could connect");
            }
        }
        Ok(())
    }

    /// Sends a text message to the service, at once.
    pub(crate) fn send(&mut self, client: usize, text: &str) {
        if let Some(socket) = &mut self.sockets[client] {
            socket.outbox.send(text);
            socket.flush();
        }
    }

    /// Queues a text message, for [`Self::flush`].
    pub(crate) fn queue(&mut self, client: usize, text: &str) {
        if let Some(socket) = &mut self.sockets[client] {
            socket.outbox.send(text);
        }
    }

    pub(crate) fn flush(&mut self, client: usize) {
        if let Some(socket) = &mut self.sockets[client] {
            socket.flush();
        }
    }

    /// Drops a client's socket by a reset.
    pub(crate) fn reset(&mut self, client: usize) {
        if let Some(socket) = self.sockets[client].take() {
            // Without it the drop is an orderly end.
            let _ = rustix::net::sockopt::set_socket_linger(&socket.stream, Some(Duration::ZERO));
        }
    }

    /// Waits for something to happen, and tells what. Returns whether anything did.
    pub(crate) fn turn(
        &mut self,
        timeout: Duration,
        mut each: impl FnMut(usize, Event<'_>, &mut Outbox),
    ) -> Result<bool> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(false),
            Err(error) => return Err(error).context("cannot poll"),
        }
        for event in &self.events {
            let Token(client) = event.token();
            let Some(socket) = &mut self.sockets[client] else {
                continue;
            };
            socket.flush();
            if !event.is_readable() && !event.is_read_closed() && !event.is_error() {
                continue;
            }
            self.reads += 1;
            let to_the_end = event.is_read_closed() || event.is_error();
            let received = socket.receive(&mut self.scratch, to_the_end, |event, outbox| {
                each(client, event, outbox)
            });
            socket.flush();
            if let Err(end) = received {
                self.sockets[client] = None;
                each(client, Event::Ended(end), &mut Outbox::default());
            }
        }
        Ok(!self.events.is_empty())
    }

    /// Runs turns until the time is over.
    pub(crate) fn turns_until(
        &mut self,
        deadline: Instant,
        mut each: impl FnMut(usize, Event<'_>, &mut Outbox),
    ) -> Result<()> {
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            self.turn(left.min(Duration::from_millis(20)), &mut each)?;
        }
        Ok(())
    }
}

/// Fails a measurement on the first socket that ends.
pub(crate) fn unexpected(client: usize, end: &End) -> anyhow::Error {
    anyhow::anyhow!("the socket of client {client} ended: {end:?}")
}

//! A network that fails: forwards TCP between clients and the service, and cuts each connection after a random time.

mod pair;

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use serde::Serialize;
use slab::Slab;

use crate::random::Random;
use pair::{Pair, State};

const LISTENER: Token = Token(usize::MAX - 1);
/// How exactly cuts are on time.
const TICK: Duration = Duration::from_millis(5);
const SCRATCH: usize = 64 * 1024;

/// How a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// Both ends get a TCP reset.
    Reset,
    /// Both ends get the orderly end of the stream, without a WebSocket close frame.
    Finish,
}

/// How many connections were cut, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Cuts {
    pub(crate) resets: u64,
    pub(crate) finishes: u64,
    /// Of both, those inside of what was on its way to the client.
    pub(crate) inside: u64,
}

/// A running proxy, ended when dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    control: Arc<Control>,
    thread: Option<JoinHandle<Result<Cuts>>>,
}

#[derive(Debug, Default)]
struct Control {
    is_cutting: AtomicBool,
    is_over: AtomicBool,
}

impl Proxy {
    /// Starts on a free port. Each connection, from the moment it is accepted, has a lifetime from the range; whether that ends it
    /// is up to [`Self::set_cutting`].
    pub(crate) fn start(
        service: SocketAddr,
        seed: u64,
        lifetimes: Range<Duration>,
    ) -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let control = Arc::new(Control::default());
        let mut network = Network {
            poll: Poll::new()?,
            listener: TcpListener::from_std(listener),
            service,
            pairs: Slab::new(),
            random: Random::new(seed),
            lifetimes,
            cuts: Cuts::default(),
            scratch: vec![0; SCRATCH],
        };
        network
            .poll
            .registry()
            .register(&mut network.listener, LISTENER, Interest::READABLE)?;
        let shared = Arc::clone(&control);
        let thread = std::thread::spawn(move || network.run(&shared));
        Ok(Self {
            address,
            control,
            thread: Some(thread),
        })
    }

    /// Says whether connections are cut when their lifetime is over.
    pub(crate) fn set_cutting(&self, is_cutting: bool) {
        self.control.is_cutting.store(is_cutting, Ordering::Relaxed);
    }

    /// Ends it, and tells what it has cut.
    pub(crate) fn stop(mut self) -> Result<Cuts> {
        self.control.is_over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("the proxy has ended already")?;
        thread.join().map_err(|_| anyhow!("the proxy panicked"))?
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.control.is_over.store(true, Ordering::Relaxed);
    }
}

/// What the thread of the proxy owns. Tokens: twice the index of a pair for its client, one more for its service.
struct Network {
    poll: Poll,
    listener: TcpListener,
    service: SocketAddr,
    pairs: Slab<Pair>,
    random: Random,
    lifetimes: Range<Duration>,
    cuts: Cuts,
    scratch: Vec<u8>,
}

impl Network {
    fn run(mut self, control: &Control) -> Result<Cuts> {
        let mut events = Events::with_capacity(1024);
        let mut next_tick = Instant::now();
        while !control.is_over.load(Ordering::Relaxed) {
            match self.poll.poll(&mut events, Some(TICK)) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(side) => self.forward(side / 2),
                }
            }
            let now = Instant::now();
            if now >= next_tick {
                next_tick = now + TICK;
                self.tick(now, control.is_cutting.load(Ordering::Relaxed));
            }
        }
        Ok(self.cuts)
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let mut client = match self.listener.accept() {
                Ok((client, _)) => client,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => continue,
            };
            let mut service =
                TcpStream::connect(self.service).context("cannot reach the service")?;
            let entry = self.pairs.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registry = self.poll.registry();
            registry.register(&mut client, Token(2 * entry.key()), interest)?;
            registry.register(&mut service, Token(2 * entry.key() + 1), interest)?;
            // What is delayed here would look like a slow service.
            let _ = client.set_nodelay(true);
            let _ = service.set_nodelay(true);
            let lifetime = self.random.duration(&self.lifetimes);
            entry.insert(Pair::new(client, service, Instant::now() + lifetime));
        }
    }

    fn forward(&mut self, index: usize) {
        // An event may be about a pair that is gone, and then about its successor, which does no harm.
        let Some(pair) = self.pairs.get_mut(index) else {
            return;
        };
        let is_cut_due = pair.forward(&mut self.scratch, &mut self.random);
        if is_cut_due {
            self.cuts.inside += 1;
            self.cut(index);
        } else if pair.is_over() {
            self.pairs.remove(index);
        }
    }

    /// Cuts what is due, unless it is to wait for data, and what has waited in vain; drops what is over.
    fn tick(&mut self, now: Instant, is_cutting: bool) {
        let random = &mut self.random;
        let due: Vec<usize> = self
            .pairs
            .iter_mut()
            .filter_map(|(index, pair)| pair.tick(now, is_cutting, random).then_some(index))
            .collect();
        for index in due {
            match self.pairs[index].state {
                State::Armed { .. } => self.cut(index),
                State::Open { .. } | State::Finishing { .. } => {
                    self.pairs.remove(index);
                }
            }
        }
    }

    fn cut(&mut self, index: usize) {
        let cut = if self.random.below(2) == 0 {
            Cut::Reset
        } else {
            Cut::Finish
        };
        match cut {
            Cut::Reset => {
                self.cuts.resets += 1;
                self.pairs.remove(index).reset();
            }
            Cut::Finish => {
                self.cuts.finishes += 1;
                let pair = &mut self.pairs[index];
                pair.finish(Instant::now());
                // What has come already raises no event any more.
                pair.forward(&mut self.scratch, &mut self.random);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// A service that sends back what it gets.
    fn echo() -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut bytes = [0; 1024];
                    while let Ok(read @ 1..) = stream.read(&mut bytes) {
                        if stream.write_all(&bytes[..read]).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    #[test]
    fn what_is_not_cut_is_forwarded_both_ways() {
        let proxy =
            Proxy::start(echo(), 1, Duration::ZERO..Duration::from_millis(1)).expect("starts");
        let mut client = std::net::TcpStream::connect(proxy.address).expect("connects");
        client.write_all(b"hello").expect("writes");
        let mut bytes = [0; 5];
        client.read_exact(&mut bytes).expect("reads");
        assert_eq!(&bytes, b"hello");
        client.shutdown(std::net::Shutdown::Write).expect("ends");
        assert_eq!(client.read(&mut bytes).expect("reads"), 0);
        assert_eq!(proxy.stop().expect("stops"), Cuts::default());
    }

    #[test]
    fn a_connection_is_cut_when_its_time_is_over() {
        let proxy =
            Proxy::start(echo(), 1, Duration::ZERO..Duration::from_millis(1)).expect("starts");
        proxy.set_cutting(true);
        let connect = |_| std::net::TcpStream::connect(proxy.address).expect("connects");
        let clients: Vec<_> = (0..20).map(connect).collect();
        for mut client in clients {
            let mut bytes = [0; 5];
            assert!(matches!(client.read(&mut bytes), Ok(0) | Err(_)));
        }
        let cuts = proxy.stop().expect("stops");
        assert_eq!(cuts.resets + cuts.finishes, 20);
        assert!(cuts.resets > 0 && cuts.finishes > 0);
    }
}

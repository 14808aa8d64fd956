//! A client's connection and the one to the service that it is forwarded to.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use crate::random::Random;

/// A cut waits so long for data to the client, so as to happen inside of it.
const ARMED_MAX: Duration = Duration::from_millis(200);
/// Both ends may take so long to notice an orderly end.
const FINISHING_MAX: Duration = Duration::from_secs(2);
/// Bytes that wait for one end before the other is no longer read.
const WAITING_MAX: usize = 1 << 20;

#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    Open {
        cut_at: Instant,
    },
    /// It is cut inside the next data to the client, or when its time is over.
    Armed {
        until: Instant,
    },
    /// It is cut in an orderly way; nothing is forwarded any more.
    Finishing {
        until: Instant,
    },
}

pub(super) struct Pair {
    client: TcpStream,
    service: TcpStream,
    pub(super) state: State,
    to_service: Direction,
    to_client: Direction,
}

/// What is on its way in one direction.
#[derive(Default)]
struct Direction {
    waiting: Vec<u8>,
    /// The source has ended.
    is_ended: bool,
    /// The target was told.
    is_passed_on: bool,
    is_failed: bool,
}

impl Pair {
    pub(super) fn new(client: TcpStream, service: TcpStream, cut_at: Instant) -> Self {
        Self {
            client,
            service,
            state: State::Open { cut_at },
            to_service: Direction::default(),
            to_client: Direction::default(),
        }
    }

    /// Forwards what there is. Returns whether it is to be cut now, after a random part of the data for the client.
    pub(super) fn forward(&mut self, scratch: &mut [u8], random: &mut Random) -> bool {
        match self.state {
            State::Open { .. } => {
                self.to_service
                    .forward(&mut self.client, &mut self.service, scratch);
                self.to_client
                    .forward(&mut self.service, &mut self.client, scratch);
                false
            }
            State::Armed { .. } => {
                self.to_service
                    .forward(&mut self.client, &mut self.service, scratch);
                self.to_client
                    .forward_part(&mut self.service, &mut self.client, scratch, random)
            }
            State::Finishing { .. } => {
                self.to_service.discard(&mut self.client, scratch);
                self.to_client.discard(&mut self.service, scratch);
                false
            }
        }
    }

    /// Tells whether both ends are done with it.
    pub(super) fn is_over(&self) -> bool {
        let is_failed = self.to_service.is_failed || self.to_client.is_failed;
        is_failed || (self.to_service.is_passed_on && self.to_client.is_passed_on)
    }

    /// Tells whether the time has come to cut it, or to drop it. Every second cut waits for data.
    pub(super) fn tick(&mut self, now: Instant, is_cutting: bool, random: &mut Random) -> bool {
        match self.state {
            State::Open { cut_at } if is_cutting && cut_at <= now => {
                let waits = random.below(2) == 0;
                let until = if waits { now + ARMED_MAX } else { now };
                self.state = State::Armed { until };
                !waits
            }
            State::Open { .. } => false,
            State::Armed { until } | State::Finishing { until } => until <= now,
        }
    }

    /// Ends both sides by a reset.
    pub(super) fn reset(self) {
        for stream in [&self.client, &self.service] {
            // Without it the drop is an orderly end.
            let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
        }
    }

    /// Ends both sides in an orderly way, and waits for them to do the same.
    pub(super) fn finish(&mut self, now: Instant) {
        let until = now + FINISHING_MAX;
        self.state = State::Finishing { until };
        for (stream, direction) in [
            (&self.service, &mut self.to_service),
            (&self.client, &mut self.to_client),
        ] {
            direction.is_passed_on = direction.is_ended;
            if stream.shutdown(Shutdown::Write).is_err() {
                direction.is_failed = true;
            }
        }
    }
}

impl Direction {
    /// Moves data until the source has none, or the target takes none.
    fn forward(&mut self, source: &mut TcpStream, target: &mut TcpStream, scratch: &mut [u8]) {
        self.write(target);
        while !self.is_ended && self.waiting.len() < WAITING_MAX {
            let Some(read) = self.read(source, scratch) else {
                break;
            };
            self.waiting.extend_from_slice(&scratch[..read]);
            self.write(target);
        }
        if self.is_ended && self.waiting.is_empty() && !self.is_passed_on {
            self.is_passed_on = true;
            let _ = target.shutdown(Shutdown::Write);
        }
    }

    /// Moves a random part of the next data. Returns whether there was some.
    fn forward_part(
        &mut self,
        source: &mut TcpStream,
        target: &mut TcpStream,
        scratch: &mut [u8],
        random: &mut Random,
    ) -> bool {
        self.write(target);
        let Some(read) = self.read(source, scratch) else {
            return false;
        };
        let part = random.below(read as u64 + 1) as usize;
        self.waiting.extend_from_slice(&scratch[..part]);
        self.write(target);
        read > 0
    }

    /// Reads until the source has ended.
    fn discard(&mut self, source: &mut TcpStream, scratch: &mut [u8]) {
        while !self.is_ended && self.read(source, scratch).is_some() {}
        self.is_passed_on = self.is_ended;
    }

    fn read(&mut self, source: &mut TcpStream, scratch: &mut [u8]) -> Option<usize> {
        loop {
            match source.read(scratch) {
                Ok(0) => {
                    self.is_ended = true;
                    return None;
                }
                Ok(read) => return Some(read),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.is_failed |= !is_transient(error.kind());
                    return None;
                }
            }
        }
    }

    fn write(&mut self, target: &mut TcpStream) {
        let mut written = 0;
        while written < self.waiting.len() {
            match target.write(&self.waiting[written..]) {
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.is_failed |= !is_transient(error.kind());
                    break;
                }
            }
        }
        self.waiting.drain(..written);
    }
}

/// Nothing can be moved for now, or not yet.
fn is_transient(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::NotConnected)
}

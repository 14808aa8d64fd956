//! Clients that send numbered events at a steady rate, and the two handlers that answer them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::MARKS;
use crate::fleet::{Fleet, unexpected};
use crate::message;
use crate::service::Service;
use crate::socket::{Event, Request};
use crate::webhook::Webhook;

/// What is under way at the end must be answered within this time.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// An event that is not answered yet.
struct Pending {
    sent_at: Instant,
    /// Who is to answer it, where that is known.
    handler: Option<usize>,
}

/// A client with its events that are not answered, whose answers come in their order.
#[derive(Default)]
struct Client {
    answered: u64,
    pending: VecDeque<Pending>,
}

/// Everything that is sent and received.
pub(super) struct Traffic {
    fleet: Fleet,
    pub(super) handlers: [Webhook; 2],
    clients: Vec<Client>,
    /// Events a second.
    rate: f64,
    size: usize,
    begin: Instant,
    pub(super) sent: u64,
    pub(super) answered_by: [u64; 2],
    /// Who is to answer what is sent now, where that is known.
    expected: Option<usize>,
    /// Of what is answered, in microseconds.
    pub(super) latencies: Vec<u32>,
}

impl Traffic {
    pub(super) fn open(
        service: &Service,
        mut handlers: [Webhook; 2],
        connections: usize,
        rate: f64,
        size: usize,
    ) -> Result<Self> {
        let mut fleet = Fleet::new(connections)?;
        let request = |client: usize| Request {
            address: service.address,
            host: service.address,
            path: service.client_path(&format!("user-{client}"), false),
            subprotocol: message::SIMPLE,
        };
        fleet.upgrade(connections, request, || {
            let turn = |handler: &mut Webhook| handler.turn(Duration::ZERO).map(drop);
            handlers.iter_mut().try_for_each(turn)
        })?;
        Ok(Self {
            fleet,
            handlers,
            clients: std::iter::repeat_with(Client::default)
                .take(connections)
                .collect(),
            rate,
            size,
            begin: Instant::now(),
            sent: 0,
            answered_by: [0; 2],
            expected: None,
            latencies: Vec::new(),
        })
    }

    /// Says who is to answer what is sent from now on. If nobody is known, that goes for what is under way too.
    pub(super) fn expect(&mut self, handler: Option<usize>) {
        self.expected = handler;
        if handler.is_none() {
            let pending = self
                .clients
                .iter_mut()
                .flat_map(|client| &mut client.pending);
            pending.for_each(|event| event.handler = None);
        }
    }

    /// Sends and receives for a while.
    pub(super) fn run(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn()?;
        }
        Ok(())
    }

    /// Sends what is due, and takes in what has come.
    pub(super) fn turn(&mut self) -> Result<()> {
        let due = (self.begin.elapsed().as_secs_f64() * self.rate) as u64;
        while self.sent < due {
            self.send();
        }
        self.receive()
    }

    fn send(&mut self) {
        let client = (self.sent % self.clients.len() as u64) as usize;
        let state = &mut self.clients[client];
        let number = state.answered + state.pending.len() as u64;
        state.pending.push_back(Pending {
            sent_at: Instant::now(),
            handler: self.expected,
        });
        self.sent += 1;
        let text = text(client, number, self.size);
        self.fleet.send(client, &text);
    }

    fn receive(&mut self) -> Result<()> {
        let (clients, size) = (&mut self.clients, self.size);
        let (answered_by, latencies) = (&mut self.answered_by, &mut self.latencies);
        let mut outcome = Ok(());
        self.fleet
            .turn(Duration::ZERO, |client, event, _| match event {
                Event::Opened => {}
                Event::Message(payload) => match clients[client].take(client, size, payload) {
                    Ok((handler, elapsed)) => {
                        answered_by[handler] += 1;
                        latencies.push(u32::try_from(elapsed.as_micros()).unwrap_or(u32::MAX));
                    }
                    Err(wrong) => outcome = Err(wrong),
                },
                Event::Ended(end) => outcome = Err(unexpected(client, &end)),
            })?;
        for handler in &mut self.handlers {
            handler.turn(Duration::ZERO)?;
            ensure!(
                handler.asked.malformed == 0,
                "a handler got a malformed request"
            );
        }
        outcome
    }

    /// Waits for what is under way.
    pub(super) fn drain(&mut self) -> Result<()> {
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        while self.answered_by.iter().sum::<u64>() < self.sent {
            if Instant::now() > deadline {
                let answered: u64 = self.answered_by.iter().sum();
                bail!("{} events were not answered", self.sent - answered);
            }
            self.receive()?;
        }
        Ok(())
    }
}

impl Client {
    /// Takes in an answer. Returns who gave it, and how long it took.
    fn take(&mut self, client: usize, size: usize, payload: &[u8]) -> Result<(usize, Duration)> {
        let number = self.answered;
        let pending = self.pending.pop_front();
        let pending =
            pending.with_context(|| format!("client {client} got an answer to nothing"))?;
        self.answered += 1;
        let expected = text(client, number, size);
        let is_from =
            |mark: &&str| payload.strip_prefix(mark.as_bytes()) == Some(expected.as_bytes());
        let handler = MARKS.iter().position(is_from);
        let handler = handler.with_context(|| {
            format!("client {client} got another answer than that to event {number}")
        })?;
        ensure!(
            pending.handler.is_none_or(|expected| expected == handler),
            "event {number} of client {client} was answered by {}, which is not in force",
            MARKS[handler]
        );
        Ok((handler, pending.sent_at.elapsed()))
    }
}

/// What a client's event carries: its number, different for each client.
fn text(client: usize, number: u64, size: usize) -> String {
    message::numbered(client as u64 * 1_000_000_000 + number, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting_for(handler: Option<usize>) -> Client {
        Client {
            answered: 4,
            pending: VecDeque::from([Pending {
                sent_at: Instant::now(),
                handler,
            }]),
        }
    }

    fn answer(client: &mut Client, mark: &str, number: u64) -> Result<usize> {
        let payload = format!("{mark}{}", text(3, number, 20));
        client
            .take(3, 20, payload.as_bytes())
            .map(|(handler, _)| handler)
    }

    #[test]
    fn either_handler_may_answer_where_none_is_known_to_be_in_force() {
        for (index, mark) in MARKS.iter().enumerate() {
            assert_eq!(answer(&mut waiting_for(None), mark, 4).ok(), Some(index));
        }
    }

    #[test]
    fn a_handler_that_is_not_in_force_is_wrong() {
        assert!(answer(&mut waiting_for(Some(1)), "B", 4).is_ok());
        assert!(answer(&mut waiting_for(Some(1)), "A", 4).is_err());
    }

    #[test]
    fn a_second_answer_and_one_to_another_event_are_wrong() {
        let mut client = waiting_for(None);
        assert!(answer(&mut client, "A", 4).is_ok());
        assert!(answer(&mut client, "A", 4).is_err());
        assert!(answer(&mut waiting_for(None), "A", 5).is_err());
    }
}

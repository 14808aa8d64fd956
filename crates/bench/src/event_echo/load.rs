//! One run: clients, the service and the handler.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};

use super::{Kind, Load, Options, Run};
use crate::fleet::{Fleet, unexpected};
use crate::handlers::{ConfigFile, Handler, Wanted};
use crate::message::{self, ServiceMessage};
use crate::meter::Meter;
use crate::process::{Cpu, Machine};
use crate::service::Service;
use crate::socket::{Event, Outbox, Request};
use crate::statistics::quantile;
use crate::webhook::Webhook;

/// Not measured.
const WARM_UP: Duration = Duration::from_secs(1);
/// What is under way at the end must be answered within this time.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn measure(binary: &Path, options: &Options, load: Load, kind: Kind) -> Result<Run> {
    let webhook = Webhook::listen("")?;
    let file = ConfigFile::new(&Handler {
        url_template: webhook.url_template(),
        wanted: Wanted::User,
        abuse_protection: options.abuse_protection,
    })?;
    let service = Service::start_with(binary, &[], Some(file.path()))?;
    let mut traffic = Traffic::open(&service, webhook, options, load, kind)?;
    let mut fault = traffic.run(WARM_UP).err();
    traffic.latencies.clear();
    let before = Reading::of(&traffic, &service)?;
    if fault.is_none() {
        fault = traffic.run(Duration::from_secs_f64(options.seconds)).err();
    }
    let after = Reading::of(&traffic, &service)?;
    let mut latencies = std::mem::take(&mut traffic.latencies);
    if fault.is_none() {
        fault = traffic.drain().err();
    }
    let mut milliseconds =
        |share| quantile(&mut latencies, share).map_or(f64::NAN, |us| f64::from(us) / 1e3);
    let (latency_median, latency_99) = (milliseconds(0.5), milliseconds(0.99));
    let echoes = (after.answered - before.answered) as f64;
    let seconds = (after.at - before.at).as_secs_f64();
    let cpu = after.cpu.since(before.cpu);
    let machine = after.machine.since(&before.machine);
    Ok(Run {
        echoes_per_second: echoes / seconds,
        user: cpu.user * 1e6 / echoes,
        system: cpu.system * 1e6 / echoes,
        latency_median,
        latency_99,
        service_percent: cpu.total() / seconds * 100.0,
        generator_percent: after.meter.percent_since(&before.meter),
        others_percent: machine.others_percent(cpu.total()),
        handler_connections: traffic.webhook.asked.connections,
        fault: fault.map(|fault| format!("{fault:#}")),
    })
}

/// A client with its events that are not answered.
#[derive(Default)]
struct Client {
    sent: u64,
    answered: u64,
    /// Whether the echo of the next one came, and its ack did not.
    is_echoed: bool,
    /// When the events under way were sent.
    times: VecDeque<Instant>,
}

/// Everything that is sent and received.
struct Traffic {
    // Dropped before the service, so that it does not wait for its clients.
    fleet: Fleet,
    webhook: Webhook,
    clients: Vec<Client>,
    kind: Kind,
    load: Load,
    size: usize,
    answered: u64,
    /// Events whose turn to be sent at a given rate has come.
    given: u64,
    /// How long it has run.
    active: Duration,
    /// Of what is answered, in microseconds.
    latencies: Vec<u32>,
    meter: Meter,
}

impl Traffic {
    fn open(
        service: &Service,
        mut webhook: Webhook,
        options: &Options,
        load: Load,
        kind: Kind,
    ) -> Result<Self> {
        let mut fleet = Fleet::new(options.clients)?;
        let request = |client: usize| Request {
            address: service.address,
            host: service.address,
            path: service.client_path(&format!("user-{client}"), false),
            subprotocol: kind.subprotocol(),
        };
        fleet.upgrade(options.clients, request, || {
            webhook.turn(Duration::ZERO).map(drop)
        })?;
        Ok(Self {
            fleet,
            webhook,
            clients: std::iter::repeat_with(Client::default)
                .take(options.clients)
                .collect(),
            kind,
            load,
            size: options.size as usize,
            answered: 0,
            given: 0,
            active: Duration::ZERO,
            latencies: Vec::new(),
            meter: Meter::start(),
        })
    }

    /// Sends and receives for a while.
    fn run(&mut self, time: Duration) -> Result<()> {
        let begin = Instant::now();
        let is_first = self.answered == 0;
        if self.load == Load::OneEach && is_first {
            (0..self.clients.len()).for_each(|client| self.send(client));
        }
        loop {
            let elapsed = begin.elapsed();
            if elapsed >= time {
                self.active += elapsed;
                return Ok(());
            }
            let mut had_work = false;
            if let Load::Rate(events) = self.load {
                let clients = self.clients.len() as u64;
                let active = (self.active + elapsed).as_secs_f64();
                let given = (active * events * clients as f64) as u64;
                for turn in self.given..given {
                    self.send((turn % clients) as usize);
                    had_work = true;
                }
                self.given = given;
            }
            had_work |= self.turn(self.load == Load::OneEach)?;
            self.meter.turn(had_work);
        }
    }

    fn send(&mut self, client: usize) {
        let state = &mut self.clients[client];
        let text = text(client, state.sent, self.size);
        let text = match self.kind {
            Kind::Raw => text,
            Kind::Json => message::event("echo", &text, state.sent),
        };
        state.sent += 1;
        state.times.push_back(Instant::now());
        self.fleet.send(client, &text);
    }

    /// Takes in what has come; with `goes_on` each client whose event is answered sends the next one.
    fn turn(&mut self, goes_on: bool) -> Result<bool> {
        let (clients, kind, size) = (&mut self.clients, self.kind, self.size);
        let (answered, latencies) = (&mut self.answered, &mut self.latencies);
        let mut fault = None;
        let had_work = self.fleet.turn(Duration::ZERO, |client, event, outbox| {
            let payload = match event {
                Event::Opened => return,
                Event::Message(payload) => payload,
                Event::Ended(end) => {
                    fault = Some(unexpected(client, &end));
                    return;
                }
            };
            let state = &mut clients[client];
            match state.take(client, kind, size, payload) {
                Ok(None) => {}
                Ok(Some(sent_at)) => {
                    *answered += 1;
                    let elapsed = sent_at.elapsed().as_micros();
                    latencies.push(u32::try_from(elapsed).unwrap_or(u32::MAX));
                    if goes_on {
                        state.send_next(client, kind, size, outbox);
                    }
                }
                Err(wrong) => fault = Some(wrong),
            }
        })?;
        let had_events = self.webhook.turn(Duration::ZERO)?;
        match fault {
            Some(fault) => Err(fault),
            None => Ok(had_work || had_events),
        }
    }

    /// Waits for what is under way, and checks that the handler got each event once.
    fn drain(&mut self) -> Result<()> {
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        let sent: u64 = self.clients.iter().map(|client| client.sent).sum();
        while self.answered < sent {
            if Instant::now() > deadline {
                bail!(
                    "{} of {sent} events were not answered",
                    sent - self.answered
                );
            }
            self.turn(false)?;
        }
        let asked = self.webhook.asked;
        ensure!(
            asked.events == sent && asked.malformed == 0,
            "{sent} events were sent, and the handler got {} and {} malformed requests",
            asked.events,
            asked.malformed
        );
        Ok(())
    }
}

impl Client {
    fn send_next(&mut self, client: usize, kind: Kind, size: usize, outbox: &mut Outbox) {
        let text = text(client, self.sent, size);
        match kind {
            Kind::Raw => outbox.send(&text),
            Kind::Json => outbox.send(&message::event("echo", &text, self.sent)),
        }
        self.sent += 1;
        self.times.push_back(Instant::now());
    }

    /// Takes in a message. Returns when the event was sent that it is the last answer to.
    fn take(
        &mut self,
        client: usize,
        kind: Kind,
        size: usize,
        payload: &[u8],
    ) -> Result<Option<Instant>> {
        let is_answered = match kind {
            Kind::Raw => {
                self.check(client, size, payload)?;
                true
            }
            Kind::Json => self.take_json(client, size, payload)?,
        };
        if !is_answered {
            return Ok(None);
        }
        self.answered += 1;
        self.is_echoed = false;
        let sent_at = self.times.pop_front();
        sent_at
            .map(Some)
            .ok_or_else(|| anyhow!("client {client} got an answer to nothing"))
    }

    fn take_json(&mut self, client: usize, size: usize, payload: &[u8]) -> Result<bool> {
        let malformed = || anyhow!("client {client} got a malformed message");
        let message = ServiceMessage::parse(payload).ok_or_else(malformed)?;
        match (message.kind, message.data) {
            ("system", _) => Ok(false),
            ("message", Some(data)) => {
                ensure!(!self.is_echoed, "client {client} got an echo twice");
                self.check(client, size, data.as_bytes())?;
                self.is_echoed = true;
                Ok(false)
            }
            ("ack", _) => {
                let is_right = message.ack_id == Some(self.answered)
                    && message.success == Some(true)
                    && self.is_echoed;
                ensure!(is_right, "client {client} got a wrong ack: {message:?}");
                Ok(true)
            }
            _ => Err(malformed()),
        }
    }

    fn check(&self, client: usize, size: usize, echo: &[u8]) -> Result<()> {
        let expected = text(client, self.answered, size);
        ensure!(
            echo == expected.as_bytes(),
            "client {client} got another echo than that of event {}",
            self.answered
        );
        Ok(())
    }
}

/// What a client's event carries: its number, different for each client.
fn text(client: usize, number: u64, size: usize) -> String {
    message::numbered(client as u64 * 1_000_000_000 + number, size)
}

/// What has been used and answered.
struct Reading {
    at: Instant,
    cpu: Cpu,
    machine: Machine,
    meter: Meter,
    answered: u64,
}

impl Reading {
    fn of(traffic: &Traffic, service: &Service) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            cpu: Cpu::of(service.pid())?,
            machine: Machine::read()?,
            meter: traffic.meter,
            answered: traffic.answered,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting_client() -> Client {
        Client {
            sent: 1,
            times: VecDeque::from([Instant::now()]),
            ..Client::default()
        }
    }

    fn take(client: &mut Client, kind: Kind, payload: &str) -> Result<bool> {
        let answered = client.take(7, kind, 32, payload.as_bytes())?;
        Ok(answered.is_some())
    }

    #[test]
    fn a_raw_client_has_its_answer_with_the_echo() {
        let mut client = waiting_client();
        assert!(take(&mut client, Kind::Raw, &text(7, 0, 32)).is_ok_and(|is| is));
        assert!(take(&mut client, Kind::Raw, &text(7, 0, 32)).is_err());
    }

    #[test]
    fn a_json_client_has_its_answer_with_the_ack_behind_the_echo() {
        let ack = r#"{"type":"ack","ackId":0,"success":true}"#;
        let echo = format!(
            r#"{{"type":"message","from":"server","dataType":"text","data":"{}"}}"#,
            text(7, 0, 32)
        );
        let mut client = waiting_client();
        assert!(take(&mut client, Kind::Json, ack).is_err());
        assert!(take(&mut client, Kind::Json, &echo).is_ok_and(|is| !is));
        assert!(take(&mut client, Kind::Json, &echo).is_err());
        assert!(take(&mut client, Kind::Json, ack).is_ok_and(|is| is));
    }

    #[test]
    fn the_echo_of_another_client_or_event_is_wrong() {
        for other in [text(8, 0, 32), text(7, 1, 32), text(7, 0, 31)] {
            assert!(take(&mut waiting_client(), Kind::Raw, &other).is_err());
        }
    }
}

//! One pair of runs: for each kind clients that connect again and again, and what the services use meanwhile.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::{Kind, Options, Pair, Run};
use crate::fleet::{Fleet, unexpected};
use crate::handlers::{ConfigFile, Handler, Wanted};
use crate::message;
use crate::meter::Meter;
use crate::process::{Cpu, Machine};
use crate::runs::by_turns;
use crate::service::Service;
use crate::socket::{Event, Request};
use crate::statistics::quantile;
use crate::webhook::Webhook;

/// Not measured, for each kind.
const WARM_UP: Duration = Duration::from_secs(1);
/// Clients that are connecting at the end must be let in within this time.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Measures both kinds by turns; `first` begins. Each kind has a service of
/// its own, on the same core, which has nothing to do while it is not its turn.
pub(super) fn measure(binary: &Path, options: &Options, first: Kind) -> Result<Pair> {
    let mut plain = Side::open(binary, options, Kind::Plain)?;
    let mut handled = Side::open(binary, options, Kind::Handled)?;
    let mut slices = |time: Duration| {
        let (run_plain, run_other) = (|slice| plain.run(slice), |slice| handled.run(slice));
        match first {
            Kind::Plain => by_turns(time, run_plain, run_other),
            Kind::Handled => by_turns(time, run_other, run_plain),
        }
        anyhow::Ok((Machine::read()?, plain.reading()?, handled.reading()?))
    };
    let before = slices(WARM_UP)?;
    let after = slices(Duration::from_secs_f64(options.seconds))?;
    let service = after.1.cpu.since(before.1.cpu).total() + after.2.cpu.since(before.2.cpu).total();
    Ok(Pair {
        plain: plain.finish(&before.1, &after.1),
        handled: handled.finish(&before.2, &after.2),
        others_percent: after.0.since(&before.0).others_percent(service),
    })
}

/// A service, its handler and its clients.
struct Side {
    // Dropped first, so that the service does not wait for its clients.
    fleet: Fleet,
    webhook: Webhook,
    service: Service,
    _file: Option<ConfigFile>,
    kind: Kind,
    /// What the clients connect with, and when each began.
    clients: Vec<(String, Instant)>,
    begun: u64,
    connected: u64,
    /// Of the connects, in microseconds, in their order.
    latencies: Vec<u32>,
    /// How long it has had its turn.
    active: Duration,
    meter: Meter,
    /// Why it has no more.
    fault: Option<String>,
}

impl Side {
    fn open(binary: &Path, options: &Options, kind: Kind) -> Result<Self> {
        let webhook = Webhook::listen("")?;
        let file = match kind {
            Kind::Plain => None,
            Kind::Handled => Some(ConfigFile::new(&Handler {
                url_template: webhook.url_template(),
                wanted: Wanted::Connect,
                abuse_protection: options.abuse_protection,
            })?),
        };
        let service = Service::start_with(binary, &[], file.as_ref().map(ConfigFile::path))?;
        let now = Instant::now();
        let clients = (0..options.connecting)
            .map(|client| (service.client_path(&format!("user-{client}"), false), now))
            .collect();
        Ok(Self {
            fleet: Fleet::new(options.connecting)?,
            webhook,
            service,
            _file: file,
            kind,
            clients,
            begun: 0,
            connected: 0,
            latencies: Vec::new(),
            active: Duration::ZERO,
            meter: Meter::start(),
            fault: None,
        })
    }

    /// Gives it its turn, and waits until all that connect are let in.
    fn run(&mut self, slice: Duration) {
        if self.fault.is_some() {
            return;
        }
        let begin = Instant::now();
        self.meter.resume();
        let outcome = self.connects(begin + slice).and_then(|()| self.check());
        self.active += begin.elapsed();
        self.fault = outcome.err().map(|error| format!("{error:#}"));
    }

    fn connects(&mut self, end: Instant) -> Result<()> {
        (0..self.clients.len()).try_for_each(|client| self.connect(client))?;
        let mut opened = Vec::new();
        while self.connected < self.begun {
            let mut fault = None;
            let had_work = self
                .fleet
                .turn(Duration::ZERO, |client, event, _| match event {
                    Event::Opened => opened.push(client),
                    Event::Message(_) => {}
                    Event::Ended(end) => fault = Some(unexpected(client, &end)),
                })?;
            if let Some(fault) = fault {
                return Err(fault);
            }
            let now = Instant::now();
            for client in opened.drain(..) {
                self.connected += 1;
                let elapsed = (now - self.clients[client].1).as_micros();
                self.latencies
                    .push(u32::try_from(elapsed).unwrap_or(u32::MAX));
                self.fleet.reset(client);
                if now < end {
                    self.connect(client)?;
                }
            }
            let was_asked = self.webhook.turn(Duration::ZERO)?;
            self.meter.turn(had_work || was_asked);
            if now > end + DRAIN_TIMEOUT {
                bail!("{} clients were not let in", self.begun - self.connected);
            }
        }
        Ok(())
    }

    fn connect(&mut self, client: usize) -> Result<()> {
        let (path, begun_at) = &mut self.clients[client];
        *begun_at = Instant::now();
        self.begun += 1;
        let request = Request {
            address: self.service.address,
            host: self.service.address,
            path: path.clone(),
            subprotocol: message::PLAIN,
        };
        self.fleet.connect(client, &request)
    }

    /// Checks that the handler was asked once about each client.
    fn check(&self) -> Result<()> {
        let asked = self.webhook.asked;
        let expected = match self.kind {
            Kind::Plain => 0,
            Kind::Handled => self.begun,
        };
        ensure!(
            asked.connects == expected && asked.malformed == 0,
            "the handler was asked {} times and got {} malformed requests, but {expected} is right",
            asked.connects,
            asked.malformed
        );
        Ok(())
    }

    fn reading(&self) -> Result<Reading> {
        Ok(Reading {
            active: self.active,
            cpu: Cpu::of(self.service.pid())?,
            connected: self.connected,
            meter: self.meter,
        })
    }

    fn finish(mut self, before: &Reading, after: &Reading) -> Run {
        let measured = self.latencies.get_mut(before.connected as usize..);
        let measured = measured.unwrap_or_default();
        let mut milliseconds =
            |share| quantile(measured, share).map_or(f64::NAN, |us| f64::from(us) / 1e3);
        let connects = (after.connected - before.connected) as f64;
        let seconds = (after.active - before.active).as_secs_f64();
        let cpu = after.cpu.since(before.cpu);
        Run {
            connects_per_second: connects / seconds,
            user: cpu.user * 1e6 / connects,
            system: cpu.system * 1e6 / connects,
            latency_median: milliseconds(0.5),
            latency_99: milliseconds(0.99),
            service_percent: cpu.total() / seconds * 100.0,
            generator_percent: after.meter.percent_since(&before.meter),
            handler_connections: self.webhook.asked.connections,
            fault: self.fault,
        }
    }
}

/// What one side has used and done.
struct Reading {
    active: Duration,
    cpu: Cpu,
    connected: u64,
    meter: Meter,
}

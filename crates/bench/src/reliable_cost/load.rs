//! One pair of runs: a group of subscribers and one publisher for each kind, and what the services use meanwhile.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::{Kind, Load, Options, Pair, Run};
use crate::acks::AckClock;
use crate::fleet::{Fleet, unexpected};
use crate::message;
use crate::process::{Cpu, Machine};
use crate::runs::by_turns;
use crate::service::{GROUP, Service};
use crate::socket::{Event, Request};

/// Not measured, for each kind.
const WARM_UP: Duration = Duration::from_secs(1);
/// What is under way at the end must arrive within this time.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Measures both kinds by turns; `first` begins. Each kind has a service of
/// its own, on the same core, which has nothing to do while it is not its turn.
pub(super) fn measure(binary: &Path, options: &Options, load: Load, first: Kind) -> Result<Pair> {
    let mut plain = Side::open(binary, options, load, Kind::Plain)?;
    let mut reliable = Side::open(binary, options, load, Kind::Reliable)?;
    let mut slices = |time: Duration| {
        let (run_plain, run_other) = (|slice| plain.run(slice), |slice| reliable.run(slice));
        match first {
            Kind::Plain => by_turns(time, run_plain, run_other),
            Kind::Reliable => by_turns(time, run_other, run_plain),
        }
        anyhow::Ok((Machine::read()?, plain.reading()?, reliable.reading()?))
    };
    let before = slices(WARM_UP)?;
    let after = slices(Duration::from_secs_f64(options.seconds))?;
    let machine = after.0.since(&before.0);
    let plain = plain.finish(&after.1.since(&before.1));
    let reliable = reliable.finish(&after.2.since(&before.2));
    let service = after.1.cpu.since(before.1.cpu).total() + after.2.cpu.since(before.2.cpu).total();
    Ok(Pair {
        plain,
        reliable,
        others_percent: machine.others_percent(service),
    })
}

/// A service and all that is sent through it.
struct Side {
    // Dropped first, so that the service does not wait for its clients.
    traffic: Traffic,
    service: Service,
    /// How long it has had its turn.
    active: Duration,
    /// Why it has no more.
    fault: Option<String>,
}

impl Side {
    fn open(binary: &Path, options: &Options, load: Load, kind: Kind) -> Result<Self> {
        // More than the default is sent between two acknowledgements.
        let raised = [
            ("HUBS___DEFAULT__RELIABLE_BUFFER_MESSAGES", "100000"),
            ("HUBS___DEFAULT__RELIABLE_BUFFER_BYTES", "256MiB"),
        ];
        let settings: &[_] = match load {
            Load::Outstanding(1) | Load::Rate(_) => &[],
            Load::Outstanding(_) => &raised,
        };
        let service = Service::start(binary, settings)?;
        let mut traffic = Traffic::open(&service, options, load, kind)?;
        if kind == Kind::Reliable {
            traffic.spread_ids(options.spread_ids)?;
        }
        Ok(Self {
            traffic,
            service,
            active: Duration::ZERO,
            fault: None,
        })
    }

    /// Gives it its turn, and waits until all has arrived.
    fn run(&mut self, slice: Duration) {
        if self.fault.is_some() {
            return;
        }
        let begin = Instant::now();
        let outcome = self
            .traffic
            .run(self.active, slice)
            .and_then(|()| self.traffic.drain());
        self.active += begin.elapsed();
        self.fault = outcome.err().map(|error| format!("{error:#}"));
    }

    fn reading(&self) -> Result<Reading> {
        Ok(Reading {
            active: self.active,
            cpu: Cpu::of(self.service.pid())?,
            received: self.traffic.received,
            reads: self.traffic.fleet.reads,
            sequence_acks: self.traffic.sequence_acks,
        })
    }

    fn finish(self, used: &Reading) -> Run {
        let deliveries = used.received as f64;
        let seconds = used.active.as_secs_f64();
        Run {
            deliveries_per_second: deliveries / seconds,
            user: used.cpu.user * 1e6 / deliveries,
            system: used.cpu.system * 1e6 / deliveries,
            service_percent: used.cpu.total() / seconds * 100.0,
            joined: deliveries / used.reads as f64,
            sequence_acks: used.sequence_acks,
            fault: self.fault,
        }
    }
}

/// Everything that is sent and received.
struct Traffic {
    fleet: Fleet,
    kind: Kind,
    load: Load,
    /// What the publisher sends, again and again.
    publish: String,
    published: u64,
    received: u64,
    /// The highest sequence id of each subscriber, and the last one that was acknowledged.
    sequence_ids: Vec<(u64, u64)>,
    acks: AckClock,
    sequence_acks: u64,
}

impl Traffic {
    fn open(service: &Service, options: &Options, load: Load, kind: Kind) -> Result<Self> {
        let subscribers = options.subscribers;
        let mut fleet = Fleet::new(subscribers + 1)?;
        let request = |client: usize| Request {
            address: service.address,
            host: service.address,
            path: service.client_path(&format!("user-{client}"), client < subscribers),
            subprotocol: match kind {
                Kind::Reliable if client < subscribers => message::RELIABLE,
                Kind::Reliable | Kind::Plain => message::PLAIN,
            },
        };
        fleet.open(subscribers + 1, request, |_, _| {})?;
        Ok(Self {
            fleet,
            kind,
            load,
            publish: message::send_to_group(GROUP, &message::numbered(0, options.size), None),
            published: 0,
            received: 0,
            sequence_ids: vec![(0, 0); subscribers],
            acks: AckClock::new(subscribers),
            sequence_acks: 0,
        })
    }

    fn subscribers(&self) -> u64 {
        self.sequence_ids.len() as u64
    }

    /// Makes the sequence ids of subscribers differ: number `i` sends itself `i % width` messages.
    fn spread_ids(&mut self, width: usize) -> Result<()> {
        let mut expected = 0;
        for subscriber in 0..self.sequence_ids.len() {
            let messages = subscriber.checked_rem(width).unwrap_or(0);
            let group = format!("only-{subscriber}");
            self.fleet.queue(
                subscriber,
                &format!(r#"{{"type":"joinGroup","group":"{group}"}}"#),
            );
            for _ in 0..messages {
                self.fleet
                    .queue(subscriber, &message::send_to_group(&group, "x", None));
            }
            self.fleet.flush(subscriber);
            expected += messages as u64;
        }
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        while self.received < expected {
            self.turn(Duration::from_millis(20))?;
            ensure!(
                Instant::now() < deadline,
                "{} of {expected} messages came",
                self.received
            );
        }
        self.received = 0;
        Ok(())
    }

    /// Publishes, receives and acknowledges for a while; `active` is how long it has done so before.
    fn run(&mut self, active: Duration, slice: Duration) -> Result<()> {
        let publisher = self.sequence_ids.len();
        let begin = Instant::now();
        loop {
            let elapsed = begin.elapsed();
            if elapsed >= slice {
                return Ok(());
            }
            let due = self.due(active + elapsed);
            if due > 0 {
                for _ in 0..due {
                    self.fleet.queue(publisher, &self.publish);
                }
                self.published += due;
                self.fleet.flush(publisher);
            }
            if self.kind == Kind::Reliable {
                self.acknowledge(active + elapsed);
            }
            // Without a wait, so that waking this process is not charged to the service.
            self.turn(Duration::ZERO)?;
        }
    }

    /// Returns how many messages are to be published now.
    fn due(&self, elapsed: Duration) -> u64 {
        match self.load {
            Load::Outstanding(messages) => {
                let done = self.received / self.subscribers();
                (done + messages).saturating_sub(self.published)
            }
            Load::Rate(messages) => {
                let due = (elapsed.as_secs_f64() * messages as f64) as u64;
                due.saturating_sub(self.published)
            }
        }
    }

    fn acknowledge(&mut self, elapsed: Duration) {
        for subscriber in self.acks.due(elapsed) {
            let (highest, acknowledged) = self.sequence_ids[subscriber];
            if highest > acknowledged {
                self.fleet.send(subscriber, &message::sequence_ack(highest));
                self.sequence_ids[subscriber].1 = highest;
                self.sequence_acks += 1;
            }
        }
    }

    fn turn(&mut self, timeout: Duration) -> Result<bool> {
        let (received, sequence_ids, kind) =
            (&mut self.received, &mut self.sequence_ids, self.kind);
        let mut fault = None;
        let any = self.fleet.turn(timeout, |client, event, _| match event {
            Event::Opened => {}
            Event::Message(payload) => match kind {
                Kind::Plain if message::is_data(payload) => *received += 1,
                Kind::Reliable => {
                    if let (Some(id), Some((highest, _))) =
                        (message::sequence_id(payload), sequence_ids.get_mut(client))
                    {
                        if id != *highest + 1 {
                            fault = Some(anyhow::anyhow!(
                                "client {client} got sequence id {id} after {highest}"
                            ));
                        }
                        *highest = id;
                        *received += 1;
                    }
                }
                Kind::Plain => {}
            },
            Event::Ended(end) => fault = Some(unexpected(client, &end)),
        })?;
        match fault {
            Some(fault) => Err(fault),
            None => Ok(any),
        }
    }

    /// Waits for what is under way.
    fn drain(&mut self) -> Result<()> {
        let expected = self.published * self.subscribers();
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        while self.received < expected {
            if Instant::now() > deadline {
                bail!(
                    "{} of {expected} deliveries never came",
                    expected - self.received
                );
            }
            self.turn(Duration::ZERO)?;
        }
        ensure!(
            self.received == expected,
            "{} deliveries, but {expected} are right",
            self.received
        );
        Ok(())
    }
}

/// What one side has used and delivered.
struct Reading {
    active: Duration,
    cpu: Cpu,
    received: u64,
    reads: u64,
    sequence_acks: u64,
}

impl Reading {
    fn since(&self, earlier: &Self) -> Self {
        Self {
            active: self.active - earlier.active,
            cpu: self.cpu.since(earlier.cpu),
            received: self.received - earlier.received,
            reads: self.reads - earlier.reads,
            sequence_acks: self.sequence_acks - earlier.sequence_acks,
        }
    }
}

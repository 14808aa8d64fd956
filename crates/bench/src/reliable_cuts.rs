//! Deliveries to reliable clients whose sockets are cut again and again.

mod client;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::json;

use crate::acks::AckClock;
use crate::fleet::{Fleet, unexpected};
use crate::message::{self, ServiceMessage};
use crate::proxy::{Cuts, Proxy};
use crate::random::Random;
use crate::report::{Report, table, verdict};
use crate::service::{GROUP, Service};
use crate::socket::{Event, Request};
use client::{Client, Tally};

/// Each connection lives so long before it is cut, from the moment it is accepted; so some are cut while they recover.
const LIFETIME_MAX: Duration = Duration::from_millis(2500);
/// A client comes back, or tries again, within this time.
const AWAY_MAX: Duration = Duration::from_secs(1);
const CUTS_MIN: u64 = 5;
/// After the last message, nothing being cut any more.
const COMPLETE_TIMEOUT: Duration = Duration::from_secs(40);

#[derive(Args)]
pub(crate) struct Options {
    /// Clients in the group.
    #[arg(long, default_value_t = 1000)]
    subscribers: usize,
    /// Numbered messages sent to the group.
    #[arg(long, default_value_t = 1000)]
    messages: u64,
    /// Seconds over which they are sent.
    #[arg(long, default_value_t = 25)]
    seconds: u64,
    /// Bytes of a payload.
    #[arg(long, default_value_t = 128)]
    size: usize,
    /// Begins the random numbers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(binary: &Path, options: &Options) -> Result<Report> {
    let service = Service::start(binary, &[])?;
    let proxy = Proxy::start(service.address, options.seed, Duration::ZERO..LIFETIME_MAX)?;
    let mut course = Course::open(&service, &proxy, options)?;
    proxy.set_cutting(true);
    course.publish(options)?;
    proxy.set_cutting(false);
    course.complete(options)?;
    let clients = course.clients;
    let cuts = proxy.stop()?;
    Ok(report(options, &clients, cuts))
}

/// Clients and publisher on their way through the measurement.
struct Course<'p> {
    fleet: Fleet,
    host: SocketAddr,
    proxy: &'p Proxy,
    clients: Vec<Client>,
    acks: AckClock,
    begin: Instant,
    /// Messages that the service has accepted from the publisher.
    accepted: u64,
    random: Random,
}

impl<'p> Course<'p> {
    fn open(service: &Service, proxy: &'p Proxy, options: &Options) -> Result<Self> {
        let subscribers = options.subscribers;
        let mut fleet = Fleet::new(subscribers + 1)?;
        let request = |client: usize| Request {
            // The publisher goes to the service directly.
            address: if client < subscribers {
                proxy.address
            } else {
                service.address
            },
            host: service.address,
            path: service.client_path(&format!("user-{client}"), client < subscribers),
            subprotocol: if client < subscribers {
                message::RELIABLE
            } else {
                message::PLAIN
            },
        };
        let mut clients: Vec<Client> = std::iter::repeat_with(Client::default)
            .take(subscribers)
            .collect();
        fleet.open(subscribers + 1, request, |client, payload| {
            if let (Some(client), Some(message)) =
                (clients.get_mut(client), ServiceMessage::parse(payload))
            {
                client.connected(&message);
            }
        })?;
        ensure!(
            clients.iter().all(Client::can_recover),
            "a reliable client got no reconnection token"
        );
        Ok(Self {
            fleet,
            host: service.address,
            proxy,
            clients,
            acks: AckClock::new(subscribers),
            begin: Instant::now(),
            accepted: 0,
            // The proxy uses the seed itself.
            random: Random::new(options.seed.wrapping_add(1)),
        })
    }

    fn publish(&mut self, options: &Options) -> Result<()> {
        let publisher = self.clients.len();
        let per_second = options.messages as f64 / options.seconds as f64;
        let mut published = 0;
        let deadline = self.begin + Duration::from_secs(options.seconds) + COMPLETE_TIMEOUT;
        while self.accepted < options.messages {
            let due = (self.begin.elapsed().as_secs_f64() * per_second) as u64;
            while published < due.min(options.messages) {
                published += 1;
                let text = message::numbered(published, options.size);
                self.fleet.send(
                    publisher,
                    &message::send_to_group(GROUP, &text, Some(published)),
                );
            }
            self.turn()?;
            ensure!(
                Instant::now() < deadline,
                "only {} messages were accepted",
                self.accepted
            );
        }
        Ok(())
    }

    /// Goes on until every client has everything, or the time is over.
    fn complete(&mut self, options: &Options) -> Result<()> {
        let deadline = Instant::now() + COMPLETE_TIMEOUT;
        while Instant::now() < deadline
            && !self
                .clients
                .iter()
                .all(|client| client.is_settled(options.messages))
        {
            self.turn()?;
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<()> {
        let now = Instant::now();
        for index in self.acks.due(now - self.begin) {
            if let Some(sequence_id) = self.clients[index].acknowledge() {
                self.fleet.send(index, &message::sequence_ack(sequence_id));
            }
        }
        for (index, client) in self.clients.iter_mut().enumerate() {
            if let Some(path) = client.try_again(now) {
                let request = Request {
                    address: self.proxy.address,
                    host: self.host,
                    path,
                    subprotocol: message::RELIABLE,
                };
                self.fleet.connect(index, &request)?;
            }
        }
        let (clients, accepted, random) = (&mut self.clients, &mut self.accepted, &mut self.random);
        let mut fault = None;
        self.fleet
            .turn(Duration::from_millis(2), |index, event, _| {
                match (clients.get_mut(index), event) {
                    (_, Event::Opened) => {}
                    (Some(client), Event::Message(payload)) => {
                        client.receive(payload, now, *accepted)
                    }
                    (Some(client), Event::Ended(end)) => {
                        let back_at = now + random.duration(&(Duration::ZERO..AWAY_MAX));
                        client.lose_socket(&end, now, back_at);
                    }
                    (None, Event::Message(payload)) => match ServiceMessage::parse(payload) {
                        Some(message) if message.success == Some(true) => {
                            *accepted = message.ack_id.unwrap_or_default()
                        }
                        _ => {
                            fault = Some(anyhow::anyhow!(
                                "not an ack: {}",
                                String::from_utf8_lossy(payload)
                            ))
                        }
                    },
                    (None, Event::Ended(end)) => fault = Some(unexpected(index, &end)),
                }
            })?;
        fault.map_or(Ok(()), Err)
    }
}

fn report(options: &Options, clients: &[Client], cuts: Cuts) -> Report {
    let mut tally = Tally::default();
    for client in clients {
        tally.add(&client.tally);
    }
    let complete = clients
        .iter()
        .filter(|client| client.has_all(options.messages))
        .count();
    let cuts_min = clients
        .iter()
        .map(|client| client.tally.cuts)
        .min()
        .unwrap_or(0);
    let is_complete = complete == clients.len();
    let has_no_faults = tally.faults() == 0;
    let is_passed = is_complete && has_no_faults && tally.refused == 0 && cuts_min >= CUTS_MIN;
    let row = |name: &str, value: String, note: &str| vec![name.to_owned(), value, note.to_owned()];
    let bar = |is_held: bool, bar: &str| format!("{bar}: {}", verdict(is_held));
    let longest = tally.detached_max.as_secs_f64();
    let mut text = table(&[
        row("what", "count".to_owned(), "note"),
        row(
            "clients with every message, in order, once",
            format!("{complete} of {}", clients.len()),
            &bar(is_complete, "all"),
        ),
        row(
            "sockets cut",
            tally.cuts.to_string(),
            &format!(
                "{} resets, {} ends; {} of both inside of data",
                cuts.resets, cuts.finishes, cuts.inside
            ),
        ),
        row(
            "fewest cuts of a client",
            cuts_min.to_string(),
            &bar(cuts_min >= CUTS_MIN, "at least 5"),
        ),
        row("recoveries", tally.recoveries.to_string(), ""),
        row(
            "recoveries refused",
            tally.refused.to_string(),
            &bar(tally.refused == 0, "none"),
        ),
        row(
            "recoveries cut before they were answered",
            tally.failed.to_string(),
            "tried again",
        ),
        row(
            "frames replayed",
            tally.replayed.to_string(),
            "sent before their client was back",
        ),
        row(
            "of them received before",
            tally.duplicates.to_string(),
            "dropped by the client as their ids are known",
        ),
        row("  replayed with other bytes", tally.changed.to_string(), ""),
        row(
            "  ids skipped, or repeated but by replay",
            tally.gaps.to_string(),
            "",
        ),
        row("  messages out of order", tally.disordered.to_string(), ""),
        row(
            "  frames before `connected`, or unknown",
            tally.unannounced.to_string(),
            "",
        ),
        row(
            "  sockets closed by the service",
            tally.closed.to_string(),
            "",
        ),
        row(
            "faults on the wire, together",
            tally.faults().to_string(),
            &bar(has_no_faults, "none"),
        ),
        row(
            "longest time without a socket",
            format!("{longest:.2} s"),
            "",
        ),
    ]);
    if let Some(fault) = clients
        .iter()
        .find_map(|client| client.first_fault.as_deref())
    {
        text.push_str(&format!("First fault: {fault}\n"));
    }
    Report {
        text,
        json: json!({
            "measurement": "reliable-cuts",
            "is_passed": is_passed,
            "seed": options.seed,
            "messages": options.messages,
            "clients": clients.len(),
            "clients_complete": complete,
            "cuts_min": cuts_min,
            "proxy": cuts,
            "tally": tally.json(),
        }),
        is_passed,
    }
}

//! Memory of messages kept for reliable clients that lost their sockets.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};
use clap::Args;
use serde_json::json;

use crate::fleet::{Fleet, unexpected};
use crate::message::{self, ServiceMessage};
use crate::process::resident_bytes;
use crate::report::{Report, mebibytes, table, verdict};
use crate::service::{GROUP, Service};
use crate::socket::{Event, Request};

/// The bytes of the messages themselves, which all clients share, may take this much more in memory.
const SHARED_FACTOR_MAX: f64 = 1.3;
/// Bytes for each message of each client.
const REFERENCE_MAX: f64 = 24.0;
/// What may be left, of what was grown, when all is acknowledged.
const LEFT_MAX: f64 = 0.1;
/// Freed memory goes back to the system within a second or two.
const SETTLE: Duration = Duration::from_secs(4);
/// Messages that are published and not yet acknowledged by the service.
const PUBLISHING_MAX: u64 = 16;
const RECOVERING_MAX: usize = 50;
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(crate) struct Options {
    /// Clients in the group.
    #[arg(long, default_value_t = 1000)]
    subscribers: usize,
    /// Messages sent to the group while its members are away.
    #[arg(long, default_value_t = 1000)]
    messages: u64,
    /// Bytes of a payload.
    #[arg(long, default_value_t = 1024)]
    size: usize,
}

/// A client as it was when it lost its socket, and what it has received since.
#[derive(Clone, Debug, Default)]
struct Client {
    connection_id: String,
    reconnection_token: String,
    sequence_id: u64,
    frame_bytes: u64,
}

/// Resident memory of the service. Bytes.
#[derive(Debug)]
struct Resident {
    attached: f64,
    detached: f64,
    kept: f64,
    acknowledged: f64,
}

pub(crate) fn run(binary: &Path, options: &Options) -> Result<Report> {
    let settings = [
        ("LIMITS__RECOVERY_WINDOW", "10m"),
        // An empty buffer is given back when its client is looked after.
        ("HUBS___DEFAULT__WEB_SOCKET_KEEP_ALIVE_INTERVAL", "1s"),
    ];
    let service = Service::start(binary, &settings)?;
    let subscribers = options.subscribers;
    let mut fleet = Fleet::new(subscribers + 1)?;
    let mut clients = open(&service, &mut fleet, subscribers)?;
    let resident = |fleet: &mut Fleet| -> Result<f64> {
        // The service may ping meanwhile.
        fleet.turns_until(Instant::now() + SETTLE, |_, _, _| {})?;
        Ok(resident_bytes(service.pid())? as f64)
    };

    let attached = resident(&mut fleet)?;
    for client in 0..subscribers {
        fleet.reset(client);
    }
    let detached = resident(&mut fleet)?;
    publish(&mut fleet, subscribers, options)?;
    let kept = resident(&mut fleet)?;
    let begin = Instant::now();
    recover(&service, &mut fleet, &mut clients, options)?;
    let recovery_s = begin.elapsed().as_secs_f64();
    let acknowledged = resident(&mut fleet)?;
    let resident = Resident {
        attached,
        detached,
        kept,
        acknowledged,
    };
    let frame_bytes = clients.iter().map(|client| client.frame_bytes).sum::<u64>() as f64;
    let shared_bytes = frame_bytes / subscribers as f64;
    Ok(report(options, &resident, shared_bytes, recovery_s))
}

/// Opens all connections; the last one publishes.
fn open(service: &Service, fleet: &mut Fleet, subscribers: usize) -> Result<Vec<Client>> {
    let request = |client: usize| Request {
        address: service.address,
        host: service.address,
        path: service.client_path(&format!("user-{client}"), client < subscribers),
        subprotocol: if client < subscribers {
            message::RELIABLE
        } else {
            message::PLAIN
        },
    };
    let mut clients = vec![Client::default(); subscribers + 1];
    fleet.open(subscribers + 1, request, |client, payload| {
        if let Some(message) = ServiceMessage::parse(payload) {
            clients[client].connection_id = message.connection_id.unwrap_or_default().to_owned();
            clients[client].reconnection_token =
                message.reconnection_token.unwrap_or_default().to_owned();
        }
    })?;
    clients.truncate(subscribers);
    ensure!(
        clients
            .iter()
            .all(|client| !client.reconnection_token.is_empty()),
        "a reliable client got no reconnection token"
    );
    Ok(clients)
}

fn publish(fleet: &mut Fleet, publisher: usize, options: &Options) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    let (mut published, mut acknowledged, mut fault) = (0, 0, None);
    while acknowledged < options.messages {
        while published < options.messages && published - acknowledged < PUBLISHING_MAX {
            published += 1;
            let text = message::numbered(published, options.size);
            fleet.send(
                publisher,
                &message::send_to_group(GROUP, &text, Some(published)),
            );
        }
        fleet.turn(Duration::from_millis(20), |client, event, _| match event {
            Event::Opened => {}
            Event::Message(payload) => match ServiceMessage::parse(payload) {
                Some(message) if message.success == Some(true) => acknowledged += 1,
                _ => fault = Some(anyhow!("not an ack: {}", String::from_utf8_lossy(payload))),
            },
            Event::Ended(end) => fault = Some(unexpected(client, &end)),
        })?;
        if let Some(fault) = fault {
            return Err(fault);
        }
        ensure!(
            Instant::now() < deadline,
            "only {acknowledged} messages were acknowledged"
        );
    }
    Ok(())
}

/// Lets every client come back, a number of them at a time, receive what it has missed and acknowledge it.
fn recover(
    service: &Service,
    fleet: &mut Fleet,
    clients: &mut [Client],
    options: &Options,
) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    let (mut begun, mut done, mut fault) = (0, 0, None);
    while done < clients.len() {
        while begun < clients.len() && begun - done < RECOVERING_MAX {
            let client = &clients[begun];
            let request = Request {
                address: service.address,
                host: service.address,
                path: Service::recovery_path(&client.connection_id, &client.reconnection_token),
                subprotocol: message::RELIABLE,
            };
            fleet.connect(begun, &request)?;
            begun += 1;
        }
        fleet.turn(
            Duration::from_millis(20),
            |index, event, outbox| match event {
                Event::Opened => {}
                Event::Message(payload) => {
                    let Some(client) = clients.get_mut(index) else {
                        return;
                    };
                    if let Err(error) = client.receive(index, payload, options.size) {
                        fault = Some(error);
                    } else if client.sequence_id == options.messages {
                        outbox.send(&message::sequence_ack(client.sequence_id));
                        done += 1;
                    }
                }
                Event::Ended(end) => fault = Some(unexpected(index, &end)),
            },
        )?;
        if let Some(fault) = fault {
            return Err(fault);
        }
        ensure!(
            Instant::now() < deadline,
            "only {done} of {} clients have everything",
            clients.len()
        );
    }
    Ok(())
}

impl Client {
    /// Takes the frame that says who it is, or the next message; everything else is a fault.
    fn receive(&mut self, index: usize, payload: &[u8], size: usize) -> Result<()> {
        let shown = || String::from_utf8_lossy(payload).into_owned();
        let Some(message) = ServiceMessage::parse(payload) else {
            bail!("client {index} got {}", shown());
        };
        if message.is_connected() && self.sequence_id == 0 {
            ensure!(
                message.connection_id == Some(&self.connection_id),
                "client {index} recovered another connection: {}",
                shown()
            );
            return Ok(());
        }
        let next = self.sequence_id + 1;
        let text = message.data.unwrap_or_default();
        ensure!(
            message.sequence_id == Some(next)
                && message::number(text) == Some(next)
                && text.len() == size,
            "client {index} expected message {next}, got {}",
            shown()
        );
        self.sequence_id = next;
        self.frame_bytes += payload.len() as u64;
        Ok(())
    }
}

fn report(options: &Options, resident: &Resident, shared_bytes: f64, recovery_s: f64) -> Report {
    let references = options.subscribers as f64 * options.messages as f64;
    let growth = resident.kept - resident.detached;
    let growth_max = SHARED_FACTOR_MAX * shared_bytes + REFERENCE_MAX * references;
    // Sockets and what comes with them are there again, as they were at first.
    let left = resident.acknowledged - resident.attached;
    let is_held = growth <= growth_max;
    let is_given_back = left <= LEFT_MAX * growth;
    let row = |name: &str, bytes: f64, note: String| vec![name.to_owned(), mebibytes(bytes), note];
    let text = table(&[
        vec![
            "resident (Rss)".to_owned(),
            "size".to_owned(),
            "note".to_owned(),
        ],
        row(
            "connected",
            resident.attached,
            format!("{} reliable clients", options.subscribers),
        ),
        row(
            "detached",
            resident.detached,
            "their sockets reset".to_owned(),
        ),
        row(
            "kept",
            resident.kept,
            format!(
                "{} messages of {} bytes for each",
                options.messages, options.size
            ),
        ),
        row(
            "acknowledged",
            resident.acknowledged,
            format!(
                "all recovered in {recovery_s:.1} s, received everything in order, acknowledged it"
            ),
        ),
        row(
            "growth while kept",
            growth,
            format!(
                "{:.1} bytes a reference beyond the shared bytes",
                (growth - shared_bytes) / references
            ),
        ),
        row(
            "bar",
            growth_max,
            format!(
                "{SHARED_FACTOR_MAX} x {} shared + {REFERENCE_MAX} bytes x {references} references: {}",
                mebibytes(shared_bytes),
                verdict(is_held)
            ),
        ),
        row(
            "left of it in the end",
            left,
            format!("bar: a tenth of the growth: {}", verdict(is_given_back)),
        ),
    ]);
    Report {
        text,
        json: json!({
            "measurement": "reliable-memory",
            "is_passed": is_held && is_given_back,
            "subscribers": options.subscribers,
            "messages": options.messages,
            "size": options.size,
            "resident_bytes": {
                "connected": resident.attached,
                "detached": resident.detached,
                "kept": resident.kept,
                "acknowledged": resident.acknowledged,
            },
            "shared_bytes": shared_bytes,
            "references": references,
            "growth_bytes": growth,
            "growth_bytes_max": growth_max,
            "left_bytes": left,
            "recovery_seconds": recovery_s,
        }),
        is_passed: is_held && is_given_back,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client {
            connection_id: "c".to_owned(),
            ..Client::default()
        }
    }

    fn data(sequence_id: u64, number: u64) -> Vec<u8> {
        let text = message::numbered(number, 20);
        format!(r#"{{"sequenceId":{sequence_id},"type":"message","data":"{text}"}}"#).into_bytes()
    }

    #[test]
    fn messages_are_taken_in_order_only() {
        let mut client = client();
        let connected = br#"{"type":"system","event":"connected","connectionId":"c"}"#;
        assert!(client.receive(0, connected, 20).is_ok());
        assert!(client.receive(0, &data(1, 1), 20).is_ok());
        assert!(client.receive(0, &data(3, 3), 20).is_err());
        assert!(client.receive(0, &data(2, 3), 20).is_err());
        assert!(client.receive(0, &data(1, 1), 20).is_err());
        assert!(client.receive(0, &data(2, 2), 20).is_ok());
    }

    #[test]
    fn another_connection_is_a_fault() {
        let connected = br#"{"type":"system","event":"connected","connectionId":"d"}"#;
        assert!(client().receive(0, connected, 20).is_err());
    }

    #[test]
    fn the_bar_counts_shared_bytes_and_references() {
        let options = Options {
            subscribers: 10,
            messages: 10,
            size: 100,
        };
        let resident = |kept, acknowledged| Resident {
            attached: 1000.0,
            detached: 900.0,
            kept,
            acknowledged,
        };
        // 1.3 * 1000 + 24 * 100 = 3700
        assert!(report(&options, &resident(4600.0, 1370.0), 1000.0, 1.0).is_passed);
        assert!(!report(&options, &resident(4601.0, 1000.0), 1000.0, 1.0).is_passed);
        assert!(!report(&options, &resident(4600.0, 1371.0), 1000.0, 1.0).is_passed);
    }
}

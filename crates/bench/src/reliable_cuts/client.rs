//! One reliable client, which follows the rules of the official ones and watches what the service does.

use std::hash::{DefaultHasher, Hasher};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::message::{self, ServiceMessage};
use crate::service::Service;
use crate::socket::End;

#[derive(Debug, Default)]
pub(super) struct Client {
    connection_id: String,
    reconnection_token: String,
    link: Link,
    /// The highest sequence id it has seen, and the last one it has acknowledged on this socket.
    highest: u64,
    acknowledged: u64,
    /// The last sequence id on this socket.
    last: Option<u64>,
    /// How many messages it has taken, each numbered one above the one before.
    taken: u64,
    /// What each frame was when it came first, by its sequence id.
    fingerprints: Vec<u64>,
    /// Messages up to this number were accepted before it was back.
    replayed_to: u64,
    away_since: Option<Instant>,
    pub(super) tally: Tally,
    pub(super) first_fault: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Link {
    #[default]
    Attached,
    Away {
        back_at: Instant,
    },
    Recovering,
    /// The service has ended the connection.
    Over,
}

/// What happened to one client, or to all.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) cuts: u64,
    pub(super) recoveries: u64,
    pub(super) refused: u64,
    /// Recoveries whose socket was lost before they were answered.
    pub(super) failed: u64,
    pub(super) replayed: u64,
    pub(super) duplicates: u64,
    /// Replayed frames with other bytes than at first.
    pub(super) changed: u64,
    pub(super) gaps: u64,
    pub(super) disordered: u64,
    pub(super) unannounced: u64,
    /// Sockets with a close frame of the service that refuses no recovery.
    pub(super) closed: u64,
    pub(super) detached_max: Duration,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.cuts += other.cuts;
        self.recoveries += other.recoveries;
        self.refused += other.refused;
        self.failed += other.failed;
        self.replayed += other.replayed;
        self.duplicates += other.duplicates;
        self.changed += other.changed;
        self.gaps += other.gaps;
        self.disordered += other.disordered;
        self.unannounced += other.unannounced;
        self.closed += other.closed;
        self.detached_max = self.detached_max.max(other.detached_max);
    }

    pub(super) fn faults(&self) -> u64 {
        self.changed + self.gaps + self.disordered + self.unannounced + self.closed
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "cuts": self.cuts,
            "recoveries": self.recoveries,
            "recoveries_refused": self.refused,
            "recoveries_cut": self.failed,
            "frames_replayed": self.replayed,
            "duplicates_dropped": self.duplicates,
            "replayed_frames_changed": self.changed,
            "sequence_id_gaps": self.gaps,
            "numbers_out_of_order": self.disordered,
            "frames_before_connected": self.unannounced,
            "closed_by_service": self.closed,
            "detached_seconds_max": self.detached_max.as_secs_f64(),
        })
    }
}

impl Client {
    pub(super) fn can_recover(&self) -> bool {
        !self.connection_id.is_empty() && !self.reconnection_token.is_empty()
    }

    /// Tells whether it has received every message, in order and once.
    pub(super) fn has_all(&self, messages: u64) -> bool {
        self.taken == messages && self.highest == messages && self.tally.faults() == 0
    }

    /// Tells whether nothing more is to be expected of it.
    pub(super) fn is_settled(&self, messages: u64) -> bool {
        self.link == Link::Over || (self.link == Link::Attached && self.taken >= messages)
    }

    /// Takes who it is, and the newest token to recover with.
    pub(super) fn connected(&mut self, message: &ServiceMessage<'_>) {
        let connection_id = message.connection_id.unwrap_or_default();
        if self.connection_id.is_empty() {
            connection_id.clone_into(&mut self.connection_id);
        } else if self.connection_id != connection_id {
            self.tally.unannounced += 1;
            self.note(|| format!("another connection: {connection_id}"));
        }
        message
            .reconnection_token
            .unwrap_or_default()
            .clone_into(&mut self.reconnection_token);
    }

    /// Takes a message of its socket. `accepted` is the number of the newest message that the service has accepted.
    pub(super) fn receive(&mut self, payload: &[u8], now: Instant, accepted: u64) {
        let shown = || String::from_utf8_lossy(payload).into_owned();
        let message = ServiceMessage::parse(payload);
        match (message, self.link) {
            (Some(message), Link::Recovering) if message.is_connected() => {
                self.connected(&message);
                self.link = Link::Attached;
                self.last = None;
                self.acknowledged = 0;
                self.replayed_to = accepted;
                self.tally.recoveries += 1;
                if let Some(since) = self.away_since.take() {
                    self.tally.detached_max = self.tally.detached_max.max(now - since);
                }
            }
            (
                Some(ServiceMessage {
                    sequence_id: Some(id),
                    data: Some(text),
                    ..
                }),
                Link::Attached,
            ) => self.take(id, text, payload),
            _ => {
                self.tally.unannounced += 1;
                self.note(|| format!("unexpected: {}", shown()));
            }
        }
    }

    fn take(&mut self, id: u64, text: &str, payload: &[u8]) {
        let follows = match self.last {
            None => id > 0 && id <= self.highest + 1,
            Some(last) => id == last + 1,
        };
        if !follows {
            let (last, highest) = (self.last, self.highest);
            self.tally.gaps += 1;
            self.note(|| format!("sequence id {id} after {last:?}, the highest being {highest}"));
        }
        self.last = Some(id);
        let number = message::number(text);
        if number.is_some_and(|number| number <= self.replayed_to) {
            self.tally.replayed += 1;
        }
        let fingerprint = fingerprint(payload);
        if id <= self.highest {
            self.tally.duplicates += 1;
            if self.fingerprints.get(id as usize - 1) != Some(&fingerprint) {
                self.tally.changed += 1;
                self.note(|| format!("sequence id {id} is replayed with other bytes"));
            }
            return;
        }
        self.highest = id;
        self.fingerprints.resize(id as usize - 1, 0);
        self.fingerprints.push(fingerprint);
        if number == Some(self.taken + 1) {
            self.taken += 1;
        } else {
            let taken = self.taken;
            self.tally.disordered += 1;
            self.note(|| format!("message {number:?} after {taken}"));
        }
    }

    /// Returns what to acknowledge, if anything is new.
    pub(super) fn acknowledge(&mut self) -> Option<u64> {
        let is_new = self.link == Link::Attached && self.highest > self.acknowledged;
        self.acknowledged = if is_new {
            self.highest
        } else {
            self.acknowledged
        };
        is_new.then_some(self.highest)
    }

    pub(super) fn lose_socket(&mut self, end: &End, now: Instant, back_at: Instant) {
        match (self.link, end) {
            (Link::Recovering, End::Closed { code: 1008, reason }) => {
                self.tally.refused += 1;
                self.link = Link::Over;
                self.note(|| format!("recovery refused: {reason}"));
            }
            (Link::Attached, End::Closed { code, reason }) => {
                self.tally.closed += 1;
                self.link = Link::Over;
                self.note(|| format!("closed by the service: {code} {reason}"));
            }
            (Link::Attached, _) => {
                self.tally.cuts += 1;
                self.away_since = Some(now);
                self.link = Link::Away { back_at };
            }
            (Link::Recovering | Link::Away { .. } | Link::Over, _) => {
                self.tally.failed += 1;
                self.link = Link::Away { back_at };
            }
        }
    }

    /// Returns path and query to recover with, if it is time to.
    pub(super) fn try_again(&mut self, now: Instant) -> Option<String> {
        match self.link {
            Link::Away { back_at } if back_at <= now => {
                self.link = Link::Recovering;
                Some(Service::recovery_path(
                    &self.connection_id,
                    &self.reconnection_token,
                ))
            }
            Link::Away { .. } | Link::Attached | Link::Recovering | Link::Over => None,
        }
    }

    fn note(&mut self, fault: impl FnOnce() -> String) {
        if self.first_fault.is_none() {
            self.first_fault = Some(format!("connection {}: {}", self.connection_id, fault()));
        }
    }
}

fn fingerprint(payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(payload);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUT: End = End::Finished;

    fn frame(id: u64, number: u64, more: &str) -> String {
        let text = message::numbered(number, 20);
        format!(r#"{{"sequenceId":{id},"type":"message","data":"{text}{more}"}}"#)
    }

    fn connected() -> &'static str {
        r#"{"type":"system","event":"connected","connectionId":"c","reconnectionToken":"t"}"#
    }

    /// Returns a client that has taken the frames 1 and 2, was cut, and is back; 3 messages were accepted meanwhile.
    fn recovered() -> Client {
        let now = Instant::now();
        let mut client = Client::default();
        client.connected(&ServiceMessage::parse(connected().as_bytes()).expect("valid"));
        for id in [1, 2] {
            client.receive(frame(id, id, "").as_bytes(), now, id);
        }
        client.lose_socket(&CUT, now, now);
        assert_eq!(
            client.try_again(now).as_deref(),
            Some("/client/hubs/bench?awps_connection_id=c&awps_reconnection_token=t")
        );
        client.receive(connected().as_bytes(), now, 3);
        client
    }

    fn receive(client: &mut Client, frame: &str) {
        client.receive(frame.as_bytes(), Instant::now(), 4);
    }

    #[test]
    fn what_is_replayed_is_dropped_if_it_is_known() {
        let mut client = recovered();
        for id in [2, 3, 4] {
            receive(&mut client, &frame(id, id, ""));
        }
        let tally = &client.tally;
        assert_eq!(
            (
                tally.cuts,
                tally.recoveries,
                tally.replayed,
                tally.duplicates
            ),
            (1, 1, 2, 1)
        );
        assert!(client.has_all(4), "{client:?}");
        assert_eq!(
            (client.acknowledge(), client.acknowledge()),
            (Some(4), None)
        );
    }

    #[test]
    fn a_replayed_frame_must_not_differ() {
        let mut client = recovered();
        receive(&mut client, &frame(2, 2, "!"));
        assert_eq!((client.tally.changed, client.tally.faults()), (1, 1));
    }

    #[test]
    fn sequence_ids_have_no_gaps_and_repeat_only_by_replay() {
        let mut client = recovered();
        receive(&mut client, &frame(4, 4, ""));
        assert_eq!((client.tally.gaps, client.tally.disordered), (1, 1));
        let mut client = recovered();
        for id in [3, 3] {
            receive(&mut client, &frame(id, id, ""));
        }
        assert_eq!(client.tally.gaps, 1);
        assert!(!client.has_all(3));
    }

    #[test]
    fn nothing_comes_before_connected() {
        let mut client = recovered();
        let now = Instant::now();
        client.lose_socket(&CUT, now, now);
        assert!(client.try_again(now).is_some());
        receive(&mut client, &frame(3, 3, ""));
        assert_eq!(client.tally.unannounced, 1);
    }

    #[test]
    fn a_refused_recovery_is_the_end_and_a_cut_one_is_not() {
        let now = Instant::now();
        let mut client = recovered();
        client.lose_socket(&CUT, now, now);
        assert!(client.try_again(now).is_some());
        client.lose_socket(&End::Failed(std::io::ErrorKind::ConnectionReset), now, now);
        assert!(client.try_again(now).is_some());
        let refusal = End::Closed {
            code: 1008,
            reason: "no".to_owned(),
        };
        client.lose_socket(&refusal, now, now);
        assert!(client.try_again(now).is_none() && client.is_settled(9));
        assert_eq!((client.tally.failed, client.tally.refused), (1, 1));
    }
}

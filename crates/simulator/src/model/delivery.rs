//! Messages: who is to get them, and whether they do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use bytes::Bytes;
use hubwire_engine::CloseCategory;
use hubwire_protocol::payload::DataType;
use hubwire_protocol::subprotocol::Subprotocol;

use super::{Connection, Link, Model, Selected};
use crate::promise::{Checked, Promise, broken};
use crate::wire::{Part, ServiceFrame};

/// Who publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Client(usize),
    Rest,
    /// A handler answers an event of a client.
    Handler(usize),
}

/// A message that was published.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub(crate) from: Source,
    pub(crate) to: Selected,
    /// The group that receivers see, and the user.
    pub(crate) group: Option<&'static str>,
    pub(crate) user: Option<&'static str>,
    pub(crate) data_type: DataType,
    pub(crate) data: Bytes,
    pub(crate) expires: Option<u64>,
    pub(crate) part: Option<Part>,
    /// What it may be instead.
    pub(crate) or_part: Option<Part>,
}

impl Publication {
    pub(super) fn source(&self) -> impl Iterator<Item = usize> + use<> {
        match self.from {
            Source::Client(number) => Some(number),
            Source::Rest | Source::Handler(_) => None,
        }
        .into_iter()
    }

    fn is_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Tells whether it must arrive before a later one. Streams that end together may do so in any order.
    fn goes_before(&self, later: &Self) -> bool {
        self.from == later.from && !(self.is_end() && later.is_end())
    }

    /// Returns a length that no frame of it exceeds.
    fn len_max(&self) -> usize {
        2 * self.data.len() + 400
    }

    fn is_end(&self) -> bool {
        self.part.as_ref().is_some_and(|part| part.end.is_some())
    }

    fn is_in(&self, frame: &ServiceFrame) -> bool {
        match frame {
            ServiceFrame::Data(data) => {
                data.data == self.data
                    && data.data_type == self.data_type
                    && data.group.as_deref() == self.group
                    && data
                        .user
                        .as_ref()
                        .is_none_or(|user| user.as_deref() == self.user)
                    && (data.part == self.part
                        || (data.part.is_some() && data.part == self.or_part))
            }
            ServiceFrame::Bare { is_text, data } => {
                let is_text_type = matches!(self.data_type, DataType::Text | DataType::Json);
                *data == self.data && *is_text == is_text_type
            }
            _ => false,
        }
    }
}

/// What a reliable connection was sent.
#[derive(Debug, Default)]
pub(crate) struct Reliable {
    unacked: VecDeque<Unacked>,
    /// The highest sequence id so far.
    pub(crate) last: u64,
    /// Sequence ids of messages that had expired before they were sent first.
    skipped: BTreeSet<u64>,
    /// When the others expire, of those that do.
    expires: BTreeMap<u64, u64>,
    replay: Option<Replay>,
}

#[derive(Debug)]
struct Unacked {
    sequence_id: u64,
    bytes: Rc<[u8]>,
    expires: Option<u64>,
}

#[derive(Debug)]
struct Replay {
    /// How many messages are to be sent again, and how many have been.
    total: usize,
    next: usize,
    /// Messages that have expired while there was no socket and whose numbers were not seen missing yet.
    expired: u64,
}

impl Reliable {
    /// Tells whether a client may be without a message for ever.
    pub(crate) fn may_miss(&self, sequence_id: u64, now: u64) -> bool {
        self.skipped.contains(&sequence_id)
            || self
                .expires
                .get(&sequence_id)
                .is_some_and(|expires| *expires <= now)
    }

    pub(super) fn acknowledge(&mut self, sequence_id: u64) {
        self.unacked
            .retain(|unacked| unacked.sequence_id > sequence_id);
    }
}

/// Whether a buffer takes one more message.
enum Room {
    Yes,
    No,
    /// It depends on lengths that the model does not know.
    Unsure,
}

impl Model {
    /// Publishes a message, and expects it in the publisher's own shard, if it has one.
    pub(crate) fn publish(&mut self, publication: Publication) -> usize {
        let index = self.publications.len();
        let from = publication.from;
        self.publications.push(publication);
        if matches!(from, Source::Client(_)) {
            self.turn.published.push(index);
        }
        if from != Source::Rest {
            self.reach(index, self.turn.shard);
        }
        index
    }

    /// Finds the publication of this turn that a message is, by what a JSON client would get.
    pub(crate) fn identify(&mut self, frame: &ServiceFrame) -> Checked<usize> {
        let ServiceFrame::Data(data) = frame else {
            return broken(Promise::Unchanged, [], format!("{frame:?} is handed on"));
        };
        let is_it = |publication: &Publication| match (&data.part, &publication.part) {
            (Some(Part { end: Some(_), .. }), Some(part)) => {
                publication.is_end() && data.stream() == Some(&part.stream)
            }
            _ => !publication.is_end() && publication.data == data.data,
        };
        let place = self
            .turn
            .published
            .iter()
            .position(|&published| is_it(&self.publications[published]));
        match place {
            Some(place) => Ok(self.turn.published.remove(place)),
            None => broken(
                Promise::OnceForEachAckId,
                [],
                format!("{data:?} is handed on, which nobody has published now"),
            ),
        }
    }

    /// A message reaches a shard: everybody there who is meant now is to get it.
    pub(crate) fn reach(&mut self, publication: usize, shard: usize) {
        let to = self.publications[publication].to.clone();
        for number in self.selected(&to, Some(shard)) {
            self.expect(number, publication);
        }
    }

    /// Streams may have been idle for too long at the very time at which their publishers ended, for one reason or the other.
    pub(super) fn streams_end_either_way(&mut self) {
        for &index in &self.turn.published {
            let publication = &mut self.publications[index];
            if let Source::Client(number) = publication.from
                && self.turn.ends.contains_key(&number)
                && let Some(part) = &publication.part
                && let Some(end) = &part.end
            {
                let is_cancelled = end.as_deref() == Some("Cancelled");
                let other = if is_cancelled {
                    "IdleTimeout"
                } else {
                    "Cancelled"
                };
                let end = Some(Some(other.to_owned()));
                publication.or_part = Some(Part {
                    end,
                    ..part.clone()
                });
            }
        }
    }

    /// Returns the shards that have receivers of a message.
    pub(crate) fn shards_of(&self, publication: usize) -> u64 {
        let to = &self.publications[publication].to;
        let shards = self.selected(to, None).into_iter();
        shards.fold(0, |mask, number| mask | 1 << self.connections[number].shard)
    }

    fn expect(&mut self, number: usize, publication: usize) {
        let connection = &self.connections[number];
        let is_bare = connection.subprotocol == Subprotocol::Simple;
        if is_bare && self.publications[publication].is_end() {
            return;
        }
        match self.room(connection, publication) {
            Room::No => return self.end(number, CloseCategory::SlowClient),
            Room::Unsure => {
                self.turn.may_overflow.insert(number);
            }
            Room::Yes => {}
        }
        self.connections[number].pending.push(publication);
    }

    fn room(&self, connection: &Connection, publication: usize) -> Room {
        let Some(reliable) = &connection.reliable else {
            return Room::Yes;
        };
        let now = self.turn.now;
        let limits = self.settings.buffer;
        let mut messages = 0;
        let (mut least, mut most) = (0, 0);
        for unacked in &reliable.unacked {
            if unacked.expires.is_none_or(|expires| expires > now) {
                messages += 1;
                least += unacked.bytes.len();
                most += unacked.bytes.len();
            }
        }
        for &index in &connection.pending {
            let pending = &self.publications[index];
            if !pending.is_expired(now) {
                messages += 1;
                least += pending.data.len();
                most += pending.len_max();
            }
        }
        least += self.publications[publication].data.len();
        most += self.publications[publication].len_max();
        if messages >= limits.messages || least > limits.bytes {
            return Room::No;
        }
        // States that came while there was no socket count too, and nobody has seen how many there are.
        let is_known = connection.is_linked() || !connection.hides_states;
        match is_known && most <= limits.bytes {
            true => Room::Yes,
            false => Room::Unsure,
        }
    }

    /// Tells whether states of groups may have filled a buffer, which only those who watch them get.
    pub(super) fn states_may_overflow(&self, number: usize) -> bool {
        let connection = &self.connections[number];
        let Some(reliable) = &connection.reliable else {
            return false;
        };
        if !connection.is_linked() {
            return connection.hides_states;
        }
        if connection.watched.is_empty() {
            return false;
        }
        let limits = self.settings.buffer;
        let sent = reliable.unacked.iter().map(|unacked| unacked.bytes.len());
        let pending = connection.pending.iter();
        let pending = pending.map(|&index| self.publications[index].len_max());
        // A frame for what the turn is about, and one for each state that follows. One with all of them is as long as there are
        // members.
        let frames = 1 + self.turn.state_changes;
        let longest = 400 * self.connections.len() * frames;
        reliable.unacked.len() + connection.pending.len() + frames > limits.messages
            || sent.chain(pending).sum::<usize>() + longest > limits.bytes
    }

    /// A client comes back with a token. Returns whether it must be let in.
    pub(crate) fn recover(&mut self, number: usize, hub: &str) -> bool {
        let now = self.turn.now;
        let connection = &mut self.connections[number];
        let may_recover = matches!(connection.link, Link::Attached | Link::Detached { .. });
        let Some(reliable) = &mut connection.reliable else {
            return false;
        };
        if !connection.is_active || !may_recover || connection.hub != hub {
            return false;
        }
        let publications = &self.publications;
        let waiting = connection.pending.len();
        connection
            .pending
            .retain(|&index| !publications[index].is_expired(now));
        reliable
            .unacked
            .retain(|unacked| unacked.expires.is_none_or(|expires| expires > now));
        reliable.replay = Some(Replay {
            total: reliable.unacked.len(),
            next: 0,
            expired: (waiting - connection.pending.len()) as u64,
        });
        connection.link = Link::Recovering;
        connection.last_heard = now;
        connection.awaits_connected = true;
        self.turn.recovering = Some(number);
        self.new_socket_is_read(number);
        self.call_invocations_off(number);
        true
    }

    pub(super) fn finish_replay(&mut self, number: usize) -> Checked {
        let Some(reliable) = &mut self.connections[number].reliable else {
            return Ok(());
        };
        let Some(replay) = reliable.replay.take() else {
            return Ok(());
        };
        for _ in 0..replay.expired {
            reliable.last += 1;
            reliable.skipped.insert(reliable.last);
        }
        match reliable.unacked.get(replay.next) {
            Some(missing) if replay.next < replay.total => broken(
                Promise::Replay,
                [number],
                format!("message {} was not sent again", missing.sequence_id),
            ),
            _ => Ok(()),
        }
    }

    /// The engine sends a message.
    pub(super) fn sent_message(
        &mut self,
        number: usize,
        frame: &ServiceFrame,
        bytes: &Rc<[u8]>,
    ) -> Checked {
        if self.replayed(number, frame, bytes)? {
            return Ok(());
        }
        let expires = match frame {
            ServiceFrame::States(states) => {
                self.sent_states(number, states)?;
                None
            }
            _ => self.sent_publication(number, frame)?,
        };
        let connection = &mut self.connections[number];
        let Some(reliable) = &mut connection.reliable else {
            return Ok(());
        };
        let sequence_id = reliable.last;
        if let Some(expires) = expires {
            reliable.expires.insert(sequence_id, expires);
        }
        reliable.unacked.push_back(Unacked {
            sequence_id,
            bytes: bytes.clone(),
            expires,
        });
        Ok(())
    }

    /// Checks the number of a message, and whether it is one that was sent before. Returns true for that.
    fn replayed(&mut self, number: usize, frame: &ServiceFrame, bytes: &Rc<[u8]>) -> Checked<bool> {
        let sequence_id = frame.sequence_id();
        let Some(reliable) = &mut self.connections[number].reliable else {
            return match sequence_id {
                None => Ok(false),
                Some(_) => broken(
                    Promise::GaplessNumbers,
                    [number],
                    "a plain client gets numbers",
                ),
            };
        };
        let Some(sequence_id) = sequence_id else {
            return broken(Promise::GaplessNumbers, [number], "a message has no number");
        };
        let mut gap_max = 0;
        if let Some(replay) = &mut reliable.replay {
            if replay.next < replay.total {
                let unacked = &reliable.unacked[replay.next];
                replay.next += 1;
                if unacked.sequence_id != sequence_id || unacked.bytes != *bytes {
                    return broken(
                        Promise::Replay,
                        [number],
                        format!(
                            "message {} was to be sent again, it was {sequence_id}: {frame:?}",
                            unacked.sequence_id
                        ),
                    );
                }
                return Ok(true);
            }
            gap_max = replay.expired;
        }
        let first = reliable.last + 1;
        if sequence_id < first || sequence_id - first > gap_max {
            return broken(
                Promise::GaplessNumbers,
                [number],
                format!("number {sequence_id} follows {}", reliable.last),
            );
        }
        reliable.skipped.extend(first..sequence_id);
        reliable.last = sequence_id;
        if let Some(replay) = &mut reliable.replay {
            replay.expired -= sequence_id - first;
        }
        Ok(false)
    }

    /// Finds the publication that is sent. Returns when it expires.
    fn sent_publication(&mut self, number: usize, frame: &ServiceFrame) -> Checked<Option<u64>> {
        let publications = &self.publications;
        let connection = &mut self.connections[number];
        let pending = &mut connection.pending;
        let Some(place) = pending
            .iter()
            .position(|&index| publications[index].is_in(frame))
        else {
            return self.unexpected(number, frame);
        };
        let index = pending[place];
        let publication = &publications[index];
        let earlier = pending[..place]
            .iter()
            .find(|&&earlier| publications[earlier].goes_before(publication));
        if let Some(&earlier) = earlier {
            return broken(
                Promise::OrderOfEachPublisher,
                publication.source().chain([number]),
                format!(
                    "{publication:?} was sent before {:?}",
                    publications[earlier]
                ),
            );
        }
        pending.remove(place);
        connection.sent.push(index);
        Ok(publication.expires)
    }

    fn unexpected<T>(&self, number: usize, frame: &ServiceFrame) -> Checked<T> {
        let known = (0..self.publications.len())
            .rev()
            .find(|&index| self.publications[index].is_in(frame));
        let clients = known.map(|index| self.publications[index].source());
        let clients = clients.into_iter().flatten().chain([number]);
        let promise = match known {
            None => Promise::Unchanged,
            Some(index) if self.connections[number].sent.contains(&index) => Promise::NothingTwice,
            Some(_) => Promise::OnlyThoseMeant,
        };
        broken(promise, clients, format!("{frame:?} was sent"))
    }
}

//! The reference model: what the service is, with plain lists and sets and no thought of speed.
//!
//! It is told of everything that happens, in the order in which the shards handle it, and says what must come of it. Then it is
//! shown what the engine made of it, and compares. The order in which things reach the shards is all that it takes from the
//! world; who exists, who is a member, who may do what and who receives is its own.

mod delivery;
mod events;
mod group_state;
mod requests;
mod rest;
mod rights;
mod streams;
mod turn;

pub(crate) use delivery::{Publication, Source};
pub(crate) use events::Outcome;
pub(crate) use group_state::View;
pub(crate) use rest::{Done, Having, Rest, Selected, To, group_name, hub_name, user_id};
pub(crate) use rights::{Rights, Roles};

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hubwire_engine::{CloseCategory, ConnectionId, SocketEnd};
use hubwire_protocol::subprotocol::Subprotocol;

use crate::promise::{Checked, Promise, broken};
use crate::settings::{HUBS, HubEvents, Settings};
use crate::wire::{Entries, ServiceFrame};

use self::delivery::Reliable;
use self::events::Events;
use self::streams::Stream;
use self::turn::Turn;

/// How a connection and its socket stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// The first socket is on its way.
    Opening,
    /// A new one is.
    Recovering,
    /// There is one.
    Attached,
    /// There is none since then, or it is closing.
    Detached { since: u64 },
}

/// A connection, known by the number of its client.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) shard: usize,
    pub(crate) id: Option<ConnectionId>,
    /// What the client was told.
    id_text: Option<String>,
    pub(crate) hub: &'static str,
    pub(crate) user: Option<&'static str>,
    pub(crate) subprotocol: Subprotocol,
    /// The group that a simple client publishes to, and whether it leaves the client out.
    pub(crate) raw_publish: Option<(&'static str, bool)>,
    pub(crate) is_active: bool,
    pub(crate) link: Link,
    last_heard: u64,
    /// Its socket has been there, so its silence is noticed.
    was_attached: bool,
    awaits_connected: bool,
    pub(crate) groups: BTreeSet<&'static str>,
    pub(crate) rights: Rights,
    /// Ack ids of successes, oldest first.
    remembered: VecDeque<u64>,
    streams: BTreeMap<String, Stream>,
    /// Where the streams that are closed ended.
    closed_streams: BTreeMap<String, u64>,
    /// What it shows, by group.
    shown: BTreeMap<&'static str, Entries>,
    /// The groups whose states it watches, and whether it has had the first of them.
    watched: BTreeMap<&'static str, bool>,
    /// It has watched something while it had no socket: states that nobody has seen wait for it.
    hides_states: bool,
    /// Publications that it is to be sent.
    pending: Vec<usize>,
    /// Publications that it was sent.
    sent: Vec<usize>,
    /// Frames that are no messages and that it is to be sent, in this order.
    controls: VecDeque<ServiceFrame>,
    pub(crate) reliable: Option<Reliable>,
    events: Events,
}

impl Connection {
    /// Tells whether frames are sent to it.
    pub(crate) fn is_linked(&self) -> bool {
        self.is_active && !matches!(self.link, Link::Detached { .. })
    }

    pub(crate) fn watches(&self, group: &str) -> bool {
        self.watched.contains_key(group)
    }
}

/// A client that is let in.
pub(crate) struct NewConnection {
    pub(crate) shard: usize,
    pub(crate) hub: &'static str,
    pub(crate) user: Option<&'static str>,
    pub(crate) subprotocol: Subprotocol,
    pub(crate) raw_publish: Option<(&'static str, bool)>,
    pub(crate) groups: BTreeSet<&'static str>,
    pub(crate) roles: Roles,
}

#[derive(Debug)]
pub(crate) struct Model {
    settings: Settings,
    /// By the numbers of their clients; those that have ended stay.
    pub(crate) connections: Vec<Connection>,
    pub(crate) publications: Vec<Publication>,
    hub_events: BTreeMap<&'static str, HubEvents>,
    turn: Turn,
}

impl Model {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            connections: Vec::new(),
            publications: Vec::new(),
            hub_events: BTreeMap::new(),
            turn: Turn::default(),
        }
    }

    /// A client is let in. Its number is the next.
    pub(crate) fn open(&mut self, new: NewConnection) {
        let is_simple = new.subprotocol == Subprotocol::Simple;
        self.connections.push(Connection {
            shard: new.shard,
            id: None,
            id_text: None,
            hub: new.hub,
            user: new.user,
            subprotocol: new.subprotocol,
            raw_publish: new.raw_publish,
            is_active: true,
            link: match new.subprotocol.is_reliable() {
                true => Link::Opening,
                false => Link::Attached,
            },
            last_heard: self.turn.now,
            was_attached: false,
            awaits_connected: !is_simple,
            groups: new.groups,
            rights: Rights::new(new.roles),
            remembered: VecDeque::new(),
            streams: BTreeMap::new(),
            closed_streams: BTreeMap::new(),
            shown: BTreeMap::new(),
            watched: BTreeMap::new(),
            hides_states: false,
            pending: Vec::new(),
            sent: Vec::new(),
            controls: VecDeque::new(),
            reliable: new.subprotocol.is_reliable().then(Reliable::default),
            events: Events::default(),
        });
        self.raise_beginning(self.connections.len() - 1);
    }

    /// The caller is told the id of the connection that was made.
    pub(crate) fn opened(&mut self, number: usize, id: ConnectionId) -> Checked {
        let connection = &mut self.connections[number];
        connection.id = Some(id);
        let text = id.to_string();
        // Events tell the id too, those of a simple client as well.
        let is_told = match &connection.id_text {
            Some(told) => *told == text,
            None => connection.subprotocol == Subprotocol::Simple,
        };
        match is_told {
            true => Ok(()),
            false => broken(
                Promise::ConnectedFirst,
                [number],
                "the client was told another id, or none",
            ),
        }
    }

    pub(crate) fn heard(&mut self, number: usize) {
        self.connections[number].last_heard = self.turn.now;
    }

    pub(crate) fn attached(&mut self, number: usize) {
        if self.connections[number].is_linked() {
            self.connections[number].link = Link::Attached;
            self.connections[number].was_attached = true;
            self.heard(number);
        }
    }

    /// A client sends a close frame.
    pub(crate) fn peer_closed(&mut self, number: usize, code: Option<u16>) {
        let connection = &mut self.connections[number];
        if !connection.is_linked() {
            return;
        }
        match connection.reliable.is_some() && code != Some(1000) {
            true => {
                self.detach(number);
                self.turn.leaving.push(number);
            }
            false if self.hold_close(number) => {}
            false => self.end(number, CloseCategory::Normal),
        }
    }

    /// The current socket of a connection is gone.
    pub(crate) fn socket_closed(&mut self, number: usize, end: SocketEnd) {
        let connection = &mut self.connections[number];
        if !connection.is_active {
            return;
        }
        let is_closed = connection.events.is_closed_behind;
        let outlives = connection.reliable.is_some()
            && !is_closed
            && end != SocketEnd::InternalError
            && matches!(
                (connection.link, end),
                (Link::Detached { .. }, _)
                    | (Link::Attached, SocketEnd::Lost)
                    | (Link::Recovering, SocketEnd::Lost | SocketEnd::NotAttached)
            );
        match (outlives, connection.link) {
            (true, Link::Detached { .. }) => {}
            (true, _) => self.detach(number),
            (false, _) => {
                let category = match end {
                    SocketEnd::Lost if is_closed => CloseCategory::Normal,
                    SocketEnd::Lost | SocketEnd::NotAttached => CloseCategory::ConnectionLost,
                    SocketEnd::Dropped => CloseCategory::Normal,
                    SocketEnd::InternalError => CloseCategory::ServiceTransientError,
                };
                self.end(number, category);
            }
        }
    }

    /// A client breaks the rules below its subprotocol.
    pub(crate) fn broke_framing(&mut self, number: usize) {
        if self.connections[number].is_linked() {
            self.end(number, CloseCategory::BadRequest);
        }
    }

    /// What waits for a client has reached the limit.
    pub(crate) fn queue_full(&mut self, number: usize) {
        if self.connections[number].is_linked() {
            self.end(number, CloseCategory::SlowClient);
        }
    }

    /// The process is about to stop.
    pub(crate) fn shutdown(&mut self, shard: usize) {
        for number in 0..self.connections.len() {
            let connection = &self.connections[number];
            if connection.is_active && connection.shard == shard {
                self.end(number, CloseCategory::ServiceReload);
            }
        }
    }

    /// Timers of a shard are due.
    pub(crate) fn timeout(&mut self, shard: usize) {
        let now = self.turn.now;
        for number in 0..self.connections.len() {
            let connection = &self.connections[number];
            if !connection.is_active || connection.shard != shard {
                continue;
            }
            if let Link::Detached { since } = connection.link
                && since + self.settings.recovery_window_ms <= now
            {
                self.end(number, CloseCategory::ConnectionLost);
            }
        }
        self.streams_due(shard);
    }

    fn detach(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        connection.link = Link::Detached {
            since: self.turn.now,
        };
        connection.hides_states = !connection.watched.is_empty();
        self.call_invocations_off(number);
    }

    /// A connection must end now.
    fn end(&mut self, number: usize, category: CloseCategory) {
        let connection = &mut self.connections[number];
        if !connection.is_active {
            return;
        }
        if category == CloseCategory::SlowClient && connection.is_linked() {
            self.turn.must_close.insert(number);
        }
        connection.is_active = false;
        self.raise_end(number);
        let connection = &mut self.connections[number];
        connection.groups.clear();
        self.turn.state_changes += connection.shown.len();
        connection.shown.clear();
        connection.watched.clear();
        connection.pending.clear();
        connection.controls.clear();
        self.turn.ends.insert(number, category);
        for (id, stream) in std::mem::take(&mut self.connections[number].streams) {
            self.turn.cancelled.push_back((number, id, stream));
        }
    }

    /// Returns the buckets that a shard has members in.
    pub(crate) fn interest(&self, shard: usize) -> BTreeSet<usize> {
        let mut interest = BTreeSet::new();
        for connection in &self.connections {
            if connection.is_active && connection.shard == shard {
                interest.extend(rest::buckets_of(connection));
            }
        }
        interest
    }

    /// Returns the buckets that a connection is in.
    pub(crate) fn buckets(&self, number: usize) -> Vec<usize> {
        rest::buckets_of(&self.connections[number])
    }

    /// Returns the clients whose connections are active.
    pub(crate) fn active(&self) -> impl Iterator<Item = usize> {
        (0..self.connections.len()).filter(|&number| self.connections[number].is_active)
    }

    /// Returns the hub that a recovery with another hub's name is tried in.
    pub(crate) fn other_hub(&self, number: usize) -> &'static str {
        match self.connections[number].hub == HUBS[0] {
            true => HUBS[1],
            false => HUBS[0],
        }
    }
}

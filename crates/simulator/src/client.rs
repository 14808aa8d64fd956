//! A client as its developer would write it: it keeps what it was told, drops what it has had, and repeats what was not answered.
//! It believes nobody: what reaches it is checked once more from its side.

mod actions;

pub(crate) use actions::{DATA_TYPES, payload};

use std::collections::{BTreeMap, BTreeSet};

use hubwire_engine::ConnectionKey;
use hubwire_protocol::subprotocol::Subprotocol;

use crate::model::{Model, View};
use crate::promise::{Checked, Promise, broken};
use crate::wire::{ClientFrame, ServiceFrame, States};

/// A stream that the client publishes.
#[derive(Debug, Default)]
struct Outbound {
    /// The number of the next fragment.
    next: u64,
    /// The highest number that it has sent.
    highest: u64,
    /// The service expects this one; 0 until it has said so.
    expected: u64,
    /// It was started again, and the client does not know whether it was still open.
    is_doubtful: bool,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) number: usize,
    pub(crate) subprotocol: Subprotocol,
    /// The socket that the service has for it.
    pub(crate) key: ConnectionKey,
    pub(crate) id: Option<String>,
    /// Every reconnection token it was given, oldest first.
    pub(crate) tokens: Vec<String>,
    /// It has a socket, as far as it knows.
    pub(crate) is_open: bool,
    /// A socket for it is on its way.
    pub(crate) awaits_socket: bool,
    /// It takes nothing from its socket for a while.
    pub(crate) is_blocked: bool,
    /// It will not come back.
    pub(crate) is_over: bool,
    awaits_connected: bool,
    /// The highest sequence id that it has had.
    pub(crate) highest: u64,
    /// Up to here it has confirmed what it may not have had.
    given_up: u64,
    next_ack_id: u64,
    next_stream: u64,
    /// Requests that are not answered, by ack id, and the last that was.
    outstanding: BTreeMap<u64, ClientFrame>,
    answered: Option<ClientFrame>,
    streams: BTreeMap<String, Outbound>,
    next_invocation: u64,
    /// Invocations without a response, over this socket or one before.
    invocations: BTreeSet<String>,
    views: BTreeMap<String, View>,
    /// When the state of a connection in a group was set that it has seen.
    updated_at: BTreeMap<(String, String), u64>,
}

impl Client {
    pub(crate) fn new(number: usize, subprotocol: Subprotocol) -> Self {
        Self {
            number,
            subprotocol,
            key: ConnectionKey {
                slot: u32::MAX,
                generation: 0,
            },
            id: None,
            tokens: Vec::new(),
            is_open: false,
            awaits_socket: false,
            is_blocked: false,
            is_over: false,
            awaits_connected: false,
            highest: 0,
            given_up: 0,
            next_ack_id: 0,
            next_stream: 0,
            outstanding: BTreeMap::new(),
            answered: None,
            streams: BTreeMap::new(),
            next_invocation: 0,
            invocations: BTreeSet::new(),
            views: BTreeMap::new(),
            updated_at: BTreeMap::new(),
        }
    }

    /// Its socket is there.
    pub(crate) fn open_socket(&mut self) {
        self.is_open = true;
        self.awaits_connected = self.subprotocol != Subprotocol::Simple;
    }

    /// A socket is lost, maybe its last.
    pub(crate) fn lose_socket(&mut self, key: ConnectionKey) {
        if self.key == key {
            self.is_open = false;
        }
    }

    /// It has had a close frame.
    pub(crate) fn closed(&mut self, code: Option<u16>) {
        self.is_open = false;
        self.is_over |= code != Some(1001) && code.is_some();
    }

    /// Tells whether it could ask for its connection.
    pub(crate) fn can_come_back(&self) -> bool {
        !self.tokens.is_empty() && !self.is_over
    }

    /// Takes a frame. Returns whether it is a message that is new to it.
    pub(crate) fn receive(
        &mut self,
        frame: &ServiceFrame,
        model: &Model,
        now: u64,
    ) -> Checked<bool> {
        let is_connected = matches!(frame, ServiceFrame::Connected { .. });
        if is_connected != self.awaits_connected {
            let detail = format!("{frame:?} is not what comes now");
            return broken(Promise::ConnectedFirst, [self.number], detail);
        }
        self.awaits_connected = false;
        if let Some(sequence_id) = frame.sequence_id() {
            if sequence_id <= self.highest {
                return Ok(false);
            }
            self.misses_nothing(sequence_id, model, now)?;
            self.highest = sequence_id;
        }
        match frame {
            ServiceFrame::Connected { id, token, .. } => {
                if self.id.get_or_insert_with(|| id.clone()) != id {
                    let detail = format!("it was {:?} and is {id} now", self.id);
                    return broken(Promise::ConnectedFirst, [self.number], detail);
                }
                self.tokens.extend(token.clone());
                Ok(false)
            }
            ServiceFrame::Ack { ack_id, .. } => {
                if let Some(request) = self.outstanding.remove(ack_id) {
                    self.answered = Some(request);
                }
                Ok(false)
            }
            ServiceFrame::StreamAck { stream, expected }
            | ServiceFrame::StreamNack {
                stream, expected, ..
            } => {
                self.stream_confirmed(stream, *expected)?;
                Ok(false)
            }
            ServiceFrame::StreamClosed { stream, .. } => {
                self.streams.remove(stream);
                Ok(false)
            }
            ServiceFrame::States(states) => {
                self.see(states)?;
                Ok(true)
            }
            ServiceFrame::Data(_) | ServiceFrame::Bare { .. } => Ok(true),
            ServiceFrame::InvokeResponse { id, .. } => {
                self.invocations.remove(id);
                Ok(false)
            }
            ServiceFrame::Disconnected | ServiceFrame::Pong => Ok(false),
        }
    }

    /// Checks that what lies between the last message and this one cannot come any more.
    fn misses_nothing(&self, sequence_id: u64, model: &Model, now: u64) -> Checked {
        let connection = &model.connections[self.number];
        let Some(reliable) = connection
            .reliable
            .as_ref()
            .filter(|_| connection.is_active)
        else {
            return Ok(());
        };
        match (self.highest.max(self.given_up) + 1..sequence_id)
            .find(|&missing| !reliable.may_miss(missing, now))
        {
            None => Ok(()),
            Some(missing) => broken(
                Promise::NothingLost,
                [self.number],
                format!("message {missing} never came, {sequence_id} did"),
            ),
        }
    }

    /// An official client takes a number outside of what it has sent for the end of the stream. Source: client-protocols 3.8.
    fn stream_confirmed(&mut self, id: &str, expected: u64) -> Checked {
        let Some(stream) = self.streams.get_mut(id) else {
            return Ok(());
        };
        let is_possible = expected >= stream.expected && expected <= stream.highest + 1;
        if !is_possible && !stream.is_doubtful {
            let detail = format!("stream {id}: {expected} is expected, {stream:?}");
            return broken(Promise::Streams, [self.number], detail);
        }
        stream.expected = expected;
        Ok(())
    }

    fn see(&mut self, states: &States) -> Checked {
        // All of them may be among what it has given up.
        if states.is_snapshot {
            self.views.insert(states.group.clone(), View::new());
        } else if self.given_up > 0 {
            self.views.entry(states.group.clone()).or_default();
        }
        let Some(view) = self.views.get_mut(&states.group) else {
            let detail = format!("it has seen nothing of {} before", states.group);
            return broken(Promise::GroupStateConverges, [self.number], detail);
        };
        for item in &states.items {
            let of = (states.group.clone(), item.connection.clone());
            let seen = self.updated_at.insert(of, item.updated_at).unwrap_or(0);
            let rises = item.updated_at > seen || (states.is_snapshot && item.updated_at == seen);
            if !rises {
                let detail = format!("{item:?} is not newer than {seen}");
                return broken(Promise::GroupStateRises, [self.number], detail);
            }
            match &item.state {
                Some(state) => {
                    view.insert(item.connection.clone(), (item.user.clone(), state.clone()))
                }
                None => view.remove(&item.connection),
            };
        }
        Ok(())
    }

    /// Checks what must hold when nothing is on its way to the client any more.
    pub(crate) fn check_rest(&self, model: &Model, now: u64) -> Checked {
        let connection = &model.connections[self.number];
        if let Some(reliable) = &connection.reliable {
            self.misses_nothing(reliable.last + 1, model, now)?;
        }
        if self.given_up > 0 {
            return Ok(());
        }
        for group in model.watched(self.number) {
            let expected = model.states(connection.hub, group);
            if self.views.get(group) != Some(&expected) {
                let seen = self.views.get(group);
                let detail = format!("in {group} it sees {seen:?}, there is {expected:?}");
                return broken(Promise::GroupStateConverges, [self.number], detail);
            }
        }
        Ok(())
    }
}

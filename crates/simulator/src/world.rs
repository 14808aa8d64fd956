//! The simulated world: shards wired as a node wires them, sockets, a network that is slow and breaks, and a clock.

mod apply;
mod ends;
mod handing;
mod inbox;
mod questions;
mod recovery;
mod rest;
mod socket;

pub(crate) use recovery::Shown;
pub(crate) use socket::Up;

use std::collections::{BTreeMap, VecDeque};

use hubwire_engine::{
    BUCKETS, ConnectionId, ConnectionKey, Input, Open, Place, RawMode, Reply, ReplyToken, Shard,
    SocketEnd, Time,
};
use hubwire_protocol::token::ReconnectionKey;

use self::handing::Stalled;
use self::inbox::{Inbox, Work};
use self::questions::Asked;
use self::socket::{Down, Socket};
use crate::client::Client;
use crate::model::{Model, NewConnection, group_name, hub_name, user_id};
use crate::promise::{Checked, Promise, broken};
use crate::settings::Settings;
use crate::trace::Trace;
use crate::wire::ClientFrame;

/// The answers that the world asks for.
const REPLY: ReplyToken = ReplyToken(1);

/// One shard with what its thread has.
#[derive(Debug)]
struct Node {
    engine: Shard,
    inbox: Inbox,
    /// Commands that wait for room in other inboxes, in the order they came.
    stalled: Vec<Stalled>,
    /// By slot.
    sockets: BTreeMap<u32, Socket>,
    /// The client whose connection is in a slot, or was last.
    slots: BTreeMap<u32, usize>,
}

/// What follows from the outputs of an input, to be told to the engine next.
#[derive(Debug)]
enum FollowUp {
    /// A socket is gone.
    Gone {
        client: usize,
        key: ConnectionKey,
        end: SocketEnd,
    },
    /// Too much waits for a client.
    Overflow { client: usize, key: ConnectionKey },
}

/// What was done in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Steps.
    pub steps: u64,
    /// Messages that clients have received.
    pub deliveries: u64,
    /// Sockets that have gone on with a connection.
    pub recoveries: u64,
    /// Connections.
    pub connections: u64,
    /// Questions to event handlers.
    pub questions: u64,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) now: u64,
    pub(crate) model: Model,
    pub(crate) clients: Vec<Client>,
    pub(crate) trace: Trace,
    pub(crate) totals: Totals,
    key: ReconnectionKey,
    nodes: Vec<Node>,
    /// For each bucket, the shards that have members in it.
    interest: Vec<u64>,
    by_id: BTreeMap<ConnectionId, usize>,
    by_text: BTreeMap<String, usize>,
    follow_ups: VecDeque<FollowUp>,
    /// Questions that wait for an answer, oldest first, and some that do not any more.
    questions: Vec<Asked>,
    stale: Vec<Asked>,
    next_answer: u64,
    is_answering: bool,
    /// Places that are kept for clients, by their shards.
    reservations: Vec<(usize, ConnectionKey, ConnectionId)>,
    /// The client whose socket is being made room for.
    opening: usize,
    reply: Option<Reply>,
}

impl World {
    pub(crate) fn new(settings: Settings, mut trace: Trace) -> Self {
        trace.note(0, &[], || format!("{settings:?}"));
        let key = ReconnectionKey::new(b"simulated");
        let nodes = (0..settings.shards)
            .map(|number| Node {
                engine: Shard::new(settings.shard_settings(number, &key)),
                inbox: Inbox::new(settings.shards, settings.inbox_capacity),
                stalled: Vec::new(),
                sockets: BTreeMap::new(),
                slots: BTreeMap::new(),
            })
            .collect();
        Self {
            now: 0,
            model: Model::new(settings.clone()),
            clients: Vec::new(),
            trace,
            totals: Totals::default(),
            key,
            nodes,
            interest: vec![0; BUCKETS],
            by_id: BTreeMap::new(),
            by_text: BTreeMap::new(),
            follow_ups: VecDeque::new(),
            questions: Vec::new(),
            stale: Vec::new(),
            next_answer: 0,
            is_answering: false,
            reservations: Vec::new(),
            opening: 0,
            reply: None,
            settings,
        }
    }

    pub(crate) fn shards(&self) -> usize {
        self.nodes.len()
    }

    fn time(&self) -> Time {
        Time::from_ms(self.now)
    }

    fn begin(&mut self, shard: usize) {
        self.model.begin(self.now, shard, false);
    }

    /// It is being decided whether a client is let in.
    pub(crate) fn reserve(&mut self, shard: usize, random: [u8; 16]) -> Checked {
        self.note(&[], || format!("a place is kept in shard {shard}"));
        self.begin(shard);
        let reply = REPLY;
        self.input(shard, Input::Reserve { random, reply })?;
        let Some(Reply::Reserved { key, id }) = self.reply.take() else {
            return broken(Promise::EndsForAReason, [], "no place is kept");
        };
        self.reservations.push((shard, key, id));
        self.end_turn()
    }

    /// A client is not let in.
    pub(crate) fn release(&mut self) -> Checked {
        let Some((shard, key, _)) = self.reservations.pop() else {
            return Ok(());
        };
        self.note(&[], || format!("a place is given up in shard {shard}"));
        self.begin(shard);
        self.input(shard, Input::Release { key })?;
        self.end_turn()
    }

    /// A client is let in; its socket is on its way. It has the place that was kept first, if one was.
    pub(crate) fn open(&mut self, new: NewConnection, random: [u8; 16]) -> Checked {
        let number = self.clients.len();
        let reserved = match self.reservations.is_empty() {
            false => Some(self.reservations.remove(0)),
            true => None,
        };
        let shard = reserved.map_or(new.shard, |(shard, ..)| shard);
        let new = NewConnection { shard, ..new };
        let open = Open {
            hub: hub_name(new.hub),
            settings: self.settings_for(new.hub, shard),
            subprotocol: new.subprotocol,
            spelling: None,
            user: new.user.map(user_id),
            groups: new.groups.iter().map(|group| group_name(group)).collect(),
            roles: new.roles.names(),
            raw_mode: match new.raw_publish {
                None => RawMode::Event,
                Some((group, no_echo)) => RawMode::Publish {
                    group: group_name(group),
                    no_echo,
                },
            },
            place: match reserved {
                Some((_, key, _)) => Place::Reserved(key),
                None => Place::Random(random),
            },
        };
        self.note(&[number], || {
            format!(
                "opens in shard {shard}: {:?} {:?} {:?} {:?}",
                open.subprotocol, open.user, open.groups, open.roles
            )
        });
        self.clients.push(Client::new(number, new.subprotocol));
        self.totals.connections += 1;
        self.opening = number;
        self.begin(shard);
        self.model.open(new);
        self.input(
            shard,
            Input::Open {
                open: Box::new(open),
                reply: REPLY,
            },
        )?;
        let Some(Reply::Opened {
            id,
            ignored_roles: 0,
            ..
        }) = self.reply.take()
        else {
            return broken(Promise::EndsForAReason, [number], "it was not let in");
        };
        if reserved.is_some_and(|(_, _, reserved)| reserved != id) {
            let detail = "it has another id than the one that was kept for it";
            return broken(Promise::ConnectedFirst, [number], detail);
        }
        self.by_id.insert(id, number);
        self.by_text.insert(id.to_string(), number);
        self.model.opened(number, id)?;
        self.clients[number].awaits_socket = true;
        self.end_turn()
    }

    /// The socket of a connection is there.
    pub(crate) fn attach(&mut self, number: usize) -> Checked {
        self.note(&[number], || "its socket is attached".to_owned());
        self.clients[number].awaits_socket = false;
        let (shard, key) = (self.shard_of(number), self.clients[number].key);
        let Some(socket) = self.socket(number) else {
            return Ok(());
        };
        socket.is_attached = true;
        self.clients[number].open_socket();
        self.begin(shard);
        self.model.attached(number);
        self.input(shard, Input::Attached { key })?;
        self.end_turn()
    }

    /// The socket of a connection will not come.
    pub(crate) fn abandon(&mut self, number: usize) -> Checked {
        self.note(&[number], || "its socket never comes".to_owned());
        self.clients[number].awaits_socket = false;
        self.drop_socket(number, SocketEnd::NotAttached);
        self.end_turn()
    }

    /// The client sends something.
    pub(crate) fn client_sends(&mut self, number: usize, up: Up) {
        self.note(&[number], || format!("-> {up:?}"));
        let is_close = matches!(up, Up::Close(_));
        if let Some(socket) = self.socket(number) {
            socket.up.push_back(up);
        }
        if is_close {
            self.clients[number].is_open = false;
        }
    }

    /// The service reads the next of what a client has sent, if there is something and the client is not held back.
    pub(crate) fn read(&mut self, number: usize) -> Checked<bool> {
        let (shard, key) = (self.shard_of(number), self.clients[number].key);
        if self.is_paused(number) {
            return Ok(false);
        }
        let Some(socket) = self.socket(number) else {
            return Ok(false);
        };
        if socket.is_reading_held {
            return Ok(false);
        }
        let Some(up) = socket.up.pop_front() else {
            return Ok(false);
        };
        if socket.peer_closed {
            return Ok(true);
        }
        if socket.is_deaf {
            // All that is waited for is the end.
            if matches!(up, Up::Close(_)) {
                self.drop_socket(number, SocketEnd::Lost);
                self.end_turn()?;
            }
            return Ok(true);
        }
        self.note(&[number], || format!("is read: {up:?}"));
        self.begin(shard);
        self.hear(number);
        match up {
            Up::Frame(frame) => self.read_frame(shard, number, &frame)?,
            Up::Broken(fault) => {
                if let Some(socket) = self.socket(number) {
                    socket.is_deaf = true;
                }
                self.model.broke_framing(number);
                self.input(shard, Input::Fault { key, fault })?;
            }
            Up::Close(code) => {
                if let Some(socket) = self.socket(number) {
                    socket.peer_closed = true;
                }
                self.model.peer_closed(number, code);
                self.input(
                    shard,
                    Input::PeerClosed {
                        key,
                        code,
                        reason: "",
                    },
                )?;
            }
        }
        self.end_turn()?;
        Ok(true)
    }

    fn read_frame(&mut self, shard: usize, number: usize, frame: &ClientFrame) -> Checked {
        let key = self.clients[number].key;
        let (kind, payload) = frame.encode(self.clients[number].subprotocol);
        self.model.client_frame(number, frame, payload.len());
        self.input(
            shard,
            Input::Message {
                key,
                kind,
                payload: &payload,
            },
        )
    }

    /// The client takes the next of what is on its way to it.
    pub(crate) fn receive(&mut self, number: usize) -> Checked<bool> {
        if !self.clients[number].is_open {
            return Ok(false);
        }
        let pipe_bytes = self.settings.pipe_bytes;
        let now = self.now;
        let Some(socket) = self.socket(number) else {
            return Ok(false);
        };
        let Some(down) = socket.down.pop_front() else {
            return Ok(false);
        };
        socket.write(pipe_bytes, now);
        match down {
            Down::Frame { frame, .. } => {
                self.note(&[number], || format!("<- {frame:?}"));
                let client = &mut self.clients[number];
                self.totals.deliveries += u64::from(client.receive(&frame, &self.model, now)?);
            }
            Down::Close(code) => {
                self.note(&[number], || format!("<- close {code:?}"));
                self.client_sends(number, Up::Close(code));
                self.clients[number].closed(code);
            }
        }
        self.end_turn()?;
        Ok(true)
    }

    /// Lets a shard handle the next letter of a producer.
    pub(crate) fn deliver(&mut self, shard: usize, producer: usize) -> Checked {
        let Some(letter) = self.nodes[shard].inbox.pop(producer) else {
            return Ok(());
        };
        self.begin(shard);
        let answer = match &letter.work {
            Work::Publication(publication) => {
                self.note(&[], || {
                    format!("publication {publication} reaches shard {shard}")
                });
                self.model.reach(*publication, shard);
                None
            }
            Work::Rest(rest) => {
                self.note(&[], || format!("{rest:?} reaches shard {shard}"));
                Some(self.model.rest(rest, shard))
            }
            Work::State => {
                self.note(&[], || {
                    format!("{:?} reaches shard {shard}", letter.command.action)
                });
                None
            }
        };
        let reply = answer.as_ref().map(|_| REPLY);
        self.input(
            shard,
            Input::Command {
                command: &letter.command,
                reply,
            },
        )?;
        let reply = self.reply.take();
        if reply != answer {
            let detail = format!("{:?}: {reply:?}, expected {answer:?}", letter.work);
            return broken(Promise::RestAnswer, [], detail);
        }
        self.end_turn()
    }

    /// Returns the producers that something waits from in a shard's inbox.
    pub(crate) fn waiting(&self, shard: usize) -> Vec<usize> {
        self.nodes[shard].inbox.waiting()
    }

    /// Lets time pass; timeouts are handled when they are due.
    pub(crate) fn advance(&mut self, milliseconds: u64) -> Checked {
        let end = self.now + milliseconds;
        loop {
            let due = (0..self.shards())
                .filter_map(|shard| Some((self.nodes[shard].engine.next_timeout()?, shard)))
                .min();
            let Some((due, shard)) = due.filter(|(due, _)| due.as_ms() <= end) else {
                break;
            };
            self.now = self.now.max(due.as_ms());
            self.keep_paused_alive();
            self.model.begin(self.now, shard, true);
            self.model.timeout(shard);
            self.note(&[], || format!("timeout in shard {shard}"));
            self.input(shard, Input::Timeout)?;
            self.end_turn()?;
        }
        self.now = end;
        self.keep_paused_alive();
        self.begin(0);
        self.model.nobody_is_silent()
    }

    /// Notes that bytes came from a client.
    fn hear(&mut self, number: usize) {
        let (shard, now) = (self.shard_of(number), self.time());
        let key = self.clients[number].key;
        self.nodes[shard].engine.heard(key, now);
        self.model.heard(number);
    }

    /// A client that is deliberately not read cannot be heard.
    fn keep_paused_alive(&mut self) {
        for number in 0..self.clients.len() {
            if self.is_paused(number) && self.socket(number).is_some() {
                self.begin(self.shard_of(number));
                self.hear(number);
            }
        }
    }

    fn shard_of(&self, number: usize) -> usize {
        self.model.connections[number].shard
    }

    /// Returns a client's socket, as the service has it.
    pub(crate) fn socket(&mut self, number: usize) -> Option<&mut Socket> {
        let key = self.clients[number].key;
        let shard = self.shard_of(number);
        let socket = self.nodes[shard].sockets.get_mut(&key.slot)?;
        (socket.key == key).then_some(socket)
    }

    fn note(&mut self, clients: &[usize], text: impl FnOnce() -> String) {
        self.trace.note(self.now, clients, text);
    }
}

//! From outputs of the engine to other shards and nodes, in the order of each publisher and of each bucket of a hub.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;

use hubwire_engine::{Action, Bucket, Command, ConnectionKey, Route, Time};
use hubwire_protocol::names::Hub;

use super::ShardLoop;

/// A command that waits for room in another shard, or behind one that does.
#[derive(Debug)]
pub(super) struct Stalled {
    /// The slot of the client that sent it; absent for one that follows from another command and needs no room.
    from: Option<u32>,
    /// The client's socket, if it has one. It is not read meanwhile.
    socket: Option<ConnectionKey>,
    command: Arc<Command>,
}

impl Stalled {
    /// Tells whether it must not overtake another: both come from one client, or are about the same, such as a state that is cleared
    /// and set again, or a change and the snapshot that has it.
    fn comes_behind(&self, earlier: &Self) -> bool {
        let is_of_one_client = self.from.is_some() && self.from == earlier.from;
        is_of_one_client || (self.subject().is_some() && self.subject() == earlier.subject())
    }

    /// Returns what it is about, if that is more than one connection.
    fn subject(&self) -> Option<(&Hub, Bucket)> {
        let hub = &self.command.hub;
        if let Action::GroupStateSnapshot { group, .. } = &self.command.action {
            return Some((hub, Bucket::of_group_state(hub, group)));
        }
        match self.command.route() {
            Route::Bucket(bucket) | Route::Home(bucket) => Some((hub, bucket)),
            Route::Owner(_) => None,
        }
    }
}

/// Those behind whom others wait.
#[derive(Debug, Default)]
struct Ahead {
    clients: HashSet<u32>,
    subjects: HashSet<(Hub, Bucket)>,
}

impl Ahead {
    /// Tells whether a command comes behind one of them.
    fn is_ahead_of(&self, stalled: &Stalled) -> bool {
        let client = stalled.from;
        let subject = stalled.subject().map(|(hub, bucket)| (hub.clone(), bucket));
        client.is_some_and(|slot| self.clients.contains(&slot))
            || subject.is_some_and(|subject| self.subjects.contains(&subject))
    }

    fn add(&mut self, stalled: &Stalled) {
        self.clients.extend(stalled.from);
        let subject = stalled.subject().map(|(hub, bucket)| (hub.clone(), bucket));
        self.subjects.extend(subject);
    }
}

impl ShardLoop {
    /// Hands out what a client has sent. It is not read while there is no room.
    pub(super) fn forward(&mut self, from: u32, command: Arc<Command>) {
        let socket = self.sockets.get(from as usize).and_then(Option::as_ref);
        let stalled = Stalled {
            from: Some(from),
            socket: socket.map(|socket| socket.key),
            command,
        };
        self.hand_on(stalled);
    }

    /// Hands out what follows from another command, for which there is always room.
    pub(super) fn relay(&mut self, command: Arc<Command>) {
        let stalled = Stalled {
            from: None,
            socket: None,
            command,
        };
        self.hand_on(stalled);
    }

    fn hand_on(&mut self, stalled: Stalled) {
        let waits = self
            .stalled
            .iter()
            .any(|earlier| stalled.comes_behind(earlier));
        if !waits && self.try_hand_on(&stalled) {
            return;
        }
        if let Some(key) = stalled.socket
            && let Some(socket) = self.socket(key)
        {
            socket.is_paused = true;
        }
        self.stalled.push(stalled);
    }

    /// Returns false if there is no room.
    fn try_hand_on(&self, stalled: &Stalled) -> bool {
        match stalled.from {
            Some(_) => self.node.forward(self.number, &stalled.command).is_ok(),
            None => {
                self.node.relay(self.number, stalled.command.clone());
                true
            }
        }
    }

    /// Tries again to hand out what waits, and reads on from clients of whom nothing waits any more.
    pub(super) fn retry_stalled(&mut self, now: Time) {
        let mut ahead = Ahead::default();
        let mut resumed = Vec::new();
        for stalled in mem::take(&mut self.stalled) {
            if let Some(key) = stalled.socket {
                self.shard.heard(key, now);
            }
            if !ahead.is_ahead_of(&stalled) && self.try_hand_on(&stalled) {
                resumed.extend(stalled.socket);
                continue;
            }
            ahead.add(&stalled);
            self.stalled.push(stalled);
        }
        for key in resumed {
            if let Some(socket) = self.socket(key)
                && !ahead.clients.contains(&key.slot)
            {
                socket.is_paused = false;
                self.guarded(|shard| shard.read_on(now, key));
            }
        }
    }
}

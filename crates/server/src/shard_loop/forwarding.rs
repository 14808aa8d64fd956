//! From outputs of the engine to other shards and nodes, in the order of each publisher.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

use hubwire_engine::{Bucket, Command, ConnectionKey, Route, Time};

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
    /// Returns the bucket for which it is.
    fn bucket(&self) -> Option<Bucket> {
        bucket_of(&self.command)
    }
}

fn bucket_of(command: &Command) -> Option<Bucket> {
    match command.route() {
        Route::Bucket(bucket) | Route::Home(bucket) => Some(bucket),
        Route::Owner(_) => None,
    }
}

impl ShardLoop {
    /// Hands out what a client has sent. It is not read while there is no room.
    pub(super) fn forward(&mut self, from: u32, command: Arc<Command>) {
        // What a client has sent over a socket that it has lost may still wait, and goes first.
        let waits = self
            .stalled
            .iter()
            .any(|earlier| earlier.from == Some(from));
        if !waits && self.node.forward(self.number, &command).is_ok() {
            return;
        }
        let socket = self.sockets.get_mut(from as usize).and_then(Option::as_mut);
        let socket = socket.map(|socket| {
            socket.is_paused = true;
            socket.key
        });
        self.stalled.push(Stalled {
            from: Some(from),
            socket,
            command,
        });
    }

    /// Hands out what follows from another command, for which there is always room. It does not overtake what waits: the end of a
    /// stream comes behind its fragments, the end of a state behind its changes.
    pub(super) fn relay(&mut self, command: Arc<Command>) {
        let bucket = bucket_of(&command);
        let waits = bucket.is_some()
            && self
                .stalled
                .iter()
                .any(|earlier| earlier.bucket() == bucket);
        if !waits {
            self.node.relay(self.number, command);
            return;
        }
        self.stalled.push(Stalled {
            from: None,
            socket: None,
            command,
        });
    }

    /// Tries again to hand out what waits, and reads on from clients of whom nothing waits any more.
    pub(super) fn retry_stalled(&mut self, now: Time) {
        let mut slots = BTreeSet::new();
        let mut buckets = BTreeSet::new();
        let mut resumed = Vec::new();
        for stalled in mem::take(&mut self.stalled) {
            if let Some(key) = stalled.socket {
                self.shard.heard(key, now);
            }
            let bucket = stalled.bucket();
            let is_done = match stalled.from {
                Some(slot) if slots.contains(&slot) => false,
                Some(_) => self.node.forward(self.number, &stalled.command).is_ok(),
                None if bucket.is_some_and(|bucket| buckets.contains(&bucket)) => false,
                None => {
                    self.node.relay(self.number, stalled.command.clone());
                    true
                }
            };
            match is_done {
                true => resumed.extend(stalled.socket),
                false => {
                    slots.extend(stalled.from);
                    buckets.extend(bucket);
                    self.stalled.push(stalled);
                }
            }
        }
        for key in resumed {
            if let Some(socket) = self.socket(key)
                && !slots.contains(&key.slot)
            {
                socket.is_paused = false;
                self.guarded(|shard| {
                    shard.current = Some(key);
                    shard.decode_input(now, key);
                    shard.read(now, key, true);
                });
            }
        }
    }
}

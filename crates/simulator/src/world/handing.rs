//! Commands from shard to shard, as a node hands them on: to those that are interested, to all or to none.

use std::mem;
use std::sync::Arc;

use hubwire_engine::{Action, Bucket, Command, ConnectionKey, Route, Target};

use super::World;
use super::inbox::{Letter, Work};
use crate::promise::{Checked, Promise, broken};

/// A command that waits for room, or behind one that does.
#[derive(Debug)]
pub(super) struct Stalled {
    /// The slot of the client that sent it; absent for one that follows from another command and needs no room.
    from: Option<u32>,
    /// The client's socket, if it has one. It is not read meanwhile.
    socket: Option<ConnectionKey>,
    letter: Letter,
}

impl Stalled {
    /// Tells whether it must not overtake another: they come from one client, or are about one bucket, such as a state that is
    /// cleared and set again, or a change and a snapshot that has it.
    fn comes_behind(&self, earlier: &Self) -> bool {
        let is_of_one_client = self.from.is_some() && self.from == earlier.from;
        is_of_one_client || (self.bucket().is_some() && self.bucket() == earlier.bucket())
    }

    /// Returns the bucket that it is about, in which order matters.
    fn bucket(&self) -> Option<Bucket> {
        let command = &self.letter.command;
        if let Action::GroupStateSnapshot { group, .. } = &command.action {
            return Some(Bucket::of_group_state(&command.hub, group));
        }
        match command.route() {
            Route::Bucket(bucket) | Route::Home(bucket) => Some(bucket),
            Route::Owner(_) => None,
        }
    }
}

impl World {
    /// Hands a client's command to the others concerned, or holds the client back.
    pub(super) fn forward(&mut self, shard: usize, from: u32, command: Command) -> Checked {
        let socket = self.nodes[shard].sockets.get(&from);
        let stalled = Stalled {
            from: Some(from),
            socket: socket.map(|socket| socket.key),
            letter: self.letter(command)?,
        };
        self.hand_on(shard, stalled)
    }

    /// Hands on what follows from something else.
    pub(super) fn relay(&mut self, shard: usize, command: Command) -> Checked {
        let stalled = Stalled {
            from: None,
            socket: None,
            letter: self.letter(command)?,
        };
        self.hand_on(shard, stalled)
    }

    fn hand_on(&mut self, shard: usize, stalled: Stalled) -> Checked {
        let mut earlier = self.nodes[shard].stalled.iter();
        let waits = earlier.any(|earlier| stalled.comes_behind(earlier));
        if waits || !self.try_hand_on(shard, &stalled)? {
            self.nodes[shard].stalled.push(stalled);
        }
        Ok(())
    }

    /// Tries again to hand on what waits. Returns whether something went.
    pub(crate) fn retry(&mut self, shard: usize) -> Checked<bool> {
        let mut has_moved = false;
        for stalled in mem::take(&mut self.nodes[shard].stalled) {
            let mut earlier = self.nodes[shard].stalled.iter();
            let waits = earlier.any(|earlier| stalled.comes_behind(earlier));
            match !waits && self.try_hand_on(shard, &stalled)? {
                true => has_moved = true,
                false => self.nodes[shard].stalled.push(stalled),
            }
        }
        Ok(has_moved)
    }

    /// Tells whether a client's frames are not read because what it has sent waits for room.
    pub(crate) fn is_paused(&self, number: usize) -> bool {
        let key = Some(self.clients[number].key);
        let stalled = &self.nodes[self.model.connections[number].shard].stalled;
        stalled.iter().any(|stalled| stalled.socket == key)
    }

    fn try_hand_on(&mut self, from: usize, stalled: &Stalled) -> Checked<bool> {
        let letter = &stalled.letter;
        let mine = 1 << from;
        let shards = self.shards_for(&letter.command) & !mine;
        let needed = match letter.command.route() {
            Route::Home(bucket) => shards | (self.interest[bucket.index()] & !mine),
            Route::Owner(_) | Route::Bucket(_) => shards,
        };
        if stalled.from.is_some() && !self.have_room(needed) {
            return Ok(false);
        }
        self.covers(letter, shards | mine)?;
        self.post(from, shards, letter);
        Ok(true)
    }

    /// Hands a REST caller's command to the shards concerned. Returns false if one of them has no room.
    pub(super) fn post_rest(&mut self, letter: &Letter) -> Checked<bool> {
        let shards = self.shards_for(&letter.command);
        if !self.have_room(shards) {
            return Ok(false);
        }
        self.covers(letter, shards)?;
        self.post(self.shards(), shards, letter);
        Ok(true)
    }

    fn post(&mut self, producer: usize, shards: u64, letter: &Letter) {
        for (number, node) in self.nodes.iter_mut().enumerate() {
            if shards & 1 << number != 0 {
                node.inbox.push(producer, letter.clone());
            }
        }
    }

    fn shards_for(&self, command: &Command) -> u64 {
        match command.route() {
            Route::Bucket(bucket) => self.interest[bucket.index()],
            Route::Owner(id) => 1 << id.shard,
            Route::Home(bucket) => 1 << bucket.home(self.shards() as u16),
        }
    }

    fn have_room(&self, shards: u64) -> bool {
        let mut nodes = self.nodes.iter().enumerate();
        nodes.all(|(number, node)| shards & 1 << number == 0 || node.inbox.has_room())
    }

    /// Checks that a letter goes to every shard that has somebody for it.
    fn covers(&self, letter: &Letter, shards: u64) -> Checked {
        let concerned = match &letter.work {
            Work::Publication(publication) => self.model.shards_of(*publication),
            Work::Rest(rest) => self.model.shards_meant(&rest.selected),
            Work::State => match &letter.command.action {
                Action::Send { to, .. } => match &to.target {
                    Target::Watchers(group) => {
                        let hub = letter.command.hub.as_str();
                        self.model.shards_that_watch(hub, group.as_str())
                    }
                    _ => 0,
                },
                _ => 0,
            },
        };
        match concerned & !shards {
            0 => Ok(()),
            _ => broken(
                Promise::AckedJoinMissesNothing,
                [],
                format!(
                    "{:?} does not reach every shard that it concerns",
                    letter.work
                ),
            ),
        }
    }

    fn letter(&mut self, command: Command) -> Checked<Letter> {
        let work = match &command.action {
            Action::Send { to, .. } if !matches!(to.target, Target::Watchers(_)) => {
                match Self::data_of(&command.action) {
                    Some(frame) => Work::Publication(self.model.identify(&frame?)?),
                    None => Work::State,
                }
            }
            Action::Send { .. }
            | Action::SetGroupState { .. }
            | Action::GetGroupState { .. }
            | Action::GroupStateSnapshot { .. } => Work::State,
            action => {
                let detail = format!("a shard hands on {action:?}");
                return broken(Promise::OnlyThoseMeant, [], detail);
            }
        };
        Ok(Letter {
            command: Arc::new(command),
            work,
        })
    }
}

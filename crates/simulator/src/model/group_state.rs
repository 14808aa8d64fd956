//! What connections show of themselves in a group, and who watches.

use std::collections::BTreeMap;

use super::{Link, Model};
use crate::promise::{Checked, Promise, broken};
use crate::wire::{Entries, States};

/// What there is to see in a group: the user and the entries of each connection, by its id.
pub(crate) type View = BTreeMap<String, (Option<String>, Entries)>;

impl Model {
    /// Returns what all who watch a group must see in the end.
    pub(crate) fn states(&self, hub: &str, group: &str) -> View {
        let mut view = View::new();
        for connection in &self.connections {
            if connection.is_active
                && connection.hub == hub
                && let Some(id) = connection.id
                && let Some(entries) = connection.shown.get(group)
            {
                let user = connection.user.map(str::to_owned);
                view.insert(id.to_string(), (user, entries.clone()));
            }
        }
        view
    }

    /// Returns the groups whose states a connection watches.
    pub(crate) fn watched(&self, number: usize) -> impl Iterator<Item = &'static str> {
        self.connections[number].watched.keys().copied()
    }

    /// Returns the shards with connections that watch a group.
    pub(crate) fn shards_that_watch(&self, hub: &str, group: &str) -> u64 {
        self.connections
            .iter()
            .filter(|connection| connection.is_active && connection.hub == hub)
            .filter(|connection| connection.watches(group))
            .fold(0, |mask, connection| mask | 1 << connection.shard)
    }

    /// Checks that everybody who watches has had the first states; nothing is on its way any more.
    pub(crate) fn nobody_waits_for_states(&self) -> Checked {
        for number in self.active() {
            let connection = &self.connections[number];
            if connection.link != Link::Attached {
                continue;
            }
            if let Some((group, _)) = connection.watched.iter().find(|(_, has_seen)| !**has_seen) {
                return broken(
                    Promise::GroupStateConverges,
                    [number],
                    format!("it watches {group} and was never sent its states"),
                );
            }
        }
        Ok(())
    }

    /// The engine sends states.
    pub(super) fn sent_states(&mut self, number: usize, states: &States) -> Checked {
        // What came while there was no socket may be of a time when it watched.
        let is_replay = self.turn.recovering == Some(number);
        // So may what follows from the first of several frames that had to wait.
        let group = states.group.as_str();
        let mut unwatched = self.turn.unwatched.iter();
        let has_watched =
            unwatched.any(|(client, unwatched)| *client == number && *unwatched == group);
        let watched = &mut self.connections[number].watched;
        match watched.iter_mut().find(|(watched, _)| **watched == group) {
            Some((_, has_seen)) if states.is_snapshot => *has_seen = true,
            Some((_, true)) => {}
            _ if has_watched => {}
            Some((_, false)) => {
                return broken(
                    Promise::GroupStateConverges,
                    [number],
                    format!("a change in {group} comes before all states"),
                );
            }
            None if is_replay => {}
            None => {
                return broken(
                    Promise::OnlyThoseMeant,
                    [number],
                    format!("it gets states of {group} and does not watch"),
                );
            }
        }
        Ok(())
    }
}

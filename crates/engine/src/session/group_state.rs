//! Group state: what connections show of themselves in a group. Source: client-protocols 3.10.
//!
//! The states of a group are kept by its home, one of the shards, which puts all changes into one order. A connection's own shard
//! checks what it asks and keeps track of where it shows and watches something. A watcher counts only once the home's snapshot
//! has come, so it sees every change exactly once: in the snapshot or after it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hubwire_protocol::message::{AckError, AckErrorName, GroupStateMessage};
use hubwire_protocol::names::{GroupName, Hub, UserId};
use hubwire_protocol::state::{GroupState, StateItem};

use crate::command::{Action, Command, Selection, Target};
use crate::connection_id::ConnectionId;
use crate::interest::Bucket;
use crate::outgoing::Message;
use crate::output::{Ended, Output, Outputs};
use crate::permission::Permission;
use crate::shard::Shard;
use crate::timers::Time;

/// The states of the groups that have their home in a shard.
#[derive(Debug, Default)]
pub(crate) struct GroupStates {
    groups: HashMap<Hub, HashMap<GroupName, BTreeMap<ConnectionId, StateItem>>>,
    /// When the last change was, so that the next is later.
    last_change: u64,
}

impl Shard {
    /// Sets or clears what a connection shows, if it may: it is a member.
    pub(super) fn show_group_state(
        &mut self,
        now: Time,
        slot: u32,
        group: GroupName,
        state: Option<GroupState>,
        out: &mut Outputs,
    ) -> Result<(), AckError> {
        let Some(connection) = self.registry.get(slot) else {
            return Ok(());
        };
        if !self.registry.is_member(connection, group.as_str()) {
            return Err(AckError {
                name: AckErrorName::Forbidden,
                message: format!("The client is not a member of group '{group}'."),
            });
        }
        let connection = self.registry.get_mut(slot);
        let extras = connection.map(|connection| connection.extras.get_or_insert_default());
        if let Some(extras) = extras {
            let shown = extras.shown.iter().position(|shown| *shown == group);
            match (shown, &state) {
                (None, Some(_)) => extras.shown.push(group.clone()),
                (Some(index), None) => {
                    extras.shown.swap_remove(index);
                }
                (None, None) | (Some(_), Some(_)) => {}
            }
        }
        let Some(command) = self.group_state_command(slot, group, state) else {
            return Ok(());
        };
        // The home hears of it, or everybody who watches does. Either way the client is held back where there is no room.
        let command = match command.action {
            Action::SetGroupState {
                connection,
                user,
                group,
                state,
            } if self.is_home(Bucket::of_group_state(&command.hub, &group)) => {
                let hub = command.hub;
                let Some(update) =
                    self.set_group_state(now, &hub, &connection, &user, &group, &state)
                else {
                    return Ok(());
                };
                self.execute(now, &update, out);
                update
            }
            action => Command {
                hub: command.hub,
                action,
            },
        };
        out.push(Output::Forward {
            from: slot,
            command: Box::new(command),
        });
        Ok(())
    }

    fn group_state_command(
        &self,
        slot: u32,
        group: GroupName,
        state: Option<GroupState>,
    ) -> Option<Command> {
        let connection = self.registry.get(slot)?;
        Some(Command {
            hub: self.registry.hub_of(connection).name.clone(),
            action: Action::SetGroupState {
                connection: self.id_of(slot)?,
                user: connection.user.clone(),
                group,
                state,
            },
        })
    }

    /// Lets a connection watch a group, if it may: it is a member, or could be.
    pub(super) fn watch_group_state(
        &mut self,
        slot: u32,
        group: &GroupName,
        out: &mut Outputs,
    ) -> Result<(), AckError> {
        let Some(connection) = self.registry.get(slot) else {
            return Ok(());
        };
        if !self.registry.is_member(connection, group.as_str()) {
            self.check(slot, Permission::JoinLeaveGroup, group, "watch")?;
        }
        self.registry.watch(slot, group, out);
        let connection = self.registry.get_mut(slot);
        let extras = connection.map(|connection| connection.extras.get_or_insert_default());
        if let Some(extras) = extras
            && !extras.watched.contains(group)
        {
            extras.watched.push(group.clone());
        }
        Ok(())
    }

    /// Asks the group's home for all states. The answer makes the watcher live.
    pub(super) fn get_group_state(&mut self, slot: u32, group: GroupName) {
        if let (Some(connection), Some(watcher)) = (self.registry.get(slot), self.id_of(slot)) {
            self.deferred.push_back(Command {
                hub: self.registry.hub_of(connection).name.clone(),
                action: Action::GetGroupState { watcher, group },
            });
        }
    }

    pub(super) fn unwatch_group_state(&mut self, slot: u32, group: &GroupName, out: &mut Outputs) {
        self.registry.unwatch(slot, group, out);
        if let Some(extras) = self.extras_mut(slot) {
            extras.watched.retain(|watched| watched != group);
        }
    }

    /// Ends a membership, and with it what the connection shows there, and whether it may watch.
    pub(crate) fn leave(&mut self, now: Time, slot: u32, group: &GroupName, out: &mut Outputs) {
        if self.registry.leave(slot, group, out) {
            self.notify_left(now, slot, group, out);
        }
        let Some(extras) = self.extras_mut(slot) else {
            return;
        };
        let watches = extras.watched.contains(group);
        if let Some(index) = extras.shown.iter().position(|shown| shown == group) {
            extras.shown.swap_remove(index);
            let clear = self.group_state_command(slot, group.clone(), None);
            self.deferred.extend(clear);
        }
        let may_watch = self
            .check(slot, Permission::JoinLeaveGroup, group, "watch")
            .is_ok();
        if watches && !may_watch {
            self.unwatch_group_state(slot, group, out);
        }
    }

    /// Ends all memberships.
    pub(crate) fn leave_all(&mut self, now: Time, slot: u32, out: &mut Outputs) {
        let groups: Vec<GroupName> = self.registry.groups_of_connection(slot).cloned().collect();
        for group in groups {
            self.leave(now, slot, &group, out);
        }
    }

    /// Takes back what a connection shows that has ended.
    pub(super) fn clear_group_states(&mut self, ended: &Ended, shown: Vec<GroupName>) {
        for group in shown {
            self.deferred.push_back(Command {
                hub: ended.hub.clone(),
                action: Action::SetGroupState {
                    connection: ended.id,
                    user: ended.user.clone(),
                    group,
                    state: None,
                },
            });
        }
    }

    /// Changes a state, in the group's home. Returns what those who watch are to hear.
    pub(crate) fn set_group_state(
        &mut self,
        now: Time,
        hub: &Hub,
        connection: &ConnectionId,
        user: &Option<UserId>,
        group: &GroupName,
        state: &Option<GroupState>,
    ) -> Option<Command> {
        let states = &mut self.group_states;
        let updated_at = self.settings.unix_ms(now).max(states.last_change + 1);
        let item = StateItem {
            connection_id: connection.to_string(),
            user: user.clone(),
            state: state.clone(),
            updated_at,
        };
        match state {
            Some(_) => {
                let groups = states.groups.entry(hub.clone()).or_default();
                let items = groups.entry(group.clone()).or_default();
                items.insert(*connection, item.clone());
            }
            None => {
                let groups = states.groups.get_mut(hub)?;
                let items = groups.get_mut(group)?;
                items.remove(connection)?;
                if items.is_empty() {
                    groups.remove(group);
                }
                if groups.is_empty() {
                    states.groups.remove(hub);
                }
            }
        }
        states.last_change = updated_at;
        let message = Message::group_state(GroupStateMessage {
            group: group.clone(),
            is_snapshot: false,
            items: vec![item],
        });
        Some(Command {
            hub: hub.clone(),
            action: Action::Send {
                to: Selection::from(Target::Watchers(group.clone())),
                message: Arc::new(message),
            },
        })
    }

    /// Returns all states of a group for one who watches it, in the group's home.
    pub(crate) fn group_state_snapshot(
        &self,
        hub: &Hub,
        watcher: &ConnectionId,
        group: &GroupName,
    ) -> Command {
        let items = self
            .group_states
            .groups
            .get(hub)
            .and_then(|groups| groups.get(group))
            .into_iter()
            .flat_map(|items| items.values().cloned())
            .collect();
        let message = Message::group_state(GroupStateMessage {
            group: group.clone(),
            is_snapshot: true,
            items,
        });
        Command {
            hub: hub.clone(),
            action: Action::GroupStateSnapshot {
                watcher: *watcher,
                group: group.clone(),
                message: Arc::new(message),
            },
        }
    }

    /// Gives one who watches a group its states, if it still does.
    pub(crate) fn deliver_snapshot(
        &mut self,
        now: Time,
        hub: &Hub,
        watcher: &ConnectionId,
        group: &GroupName,
        message: &Message,
        out: &mut Outputs,
    ) {
        if let Some(slot) = self.find(hub, watcher)
            && self.registry.watch_live(slot, group)
        {
            let to = Selection::from(Target::Connection(*watcher));
            self.fan_out(now, hub, &to, message, out);
        }
    }
}

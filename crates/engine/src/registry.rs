//! Connections by slot, and the hubs, groups and users they are in. Both directions are kept here and only here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hubwire_protocol::names::{GroupName, Hub, UserId};
use hubwire_protocol::subprotocol::Subprotocol;
use slab::Slab;

use crate::ack::AckHistory;
use crate::input::RawMode;
use crate::interest::{Bucket, Interest};
use crate::limits::HubSettings;
use crate::output::Outputs;
use crate::permission::Permissions;
use crate::recovery::Reliable;
use crate::session::Extras;
use crate::timers::Time;

const NOBODY: u32 = u32::MAX;

/// Whether a connection exists for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It has an id and nothing else: it is being decided whether its client is let in.
    Reserved,
    /// It exists; its socket may still be on the way.
    Active,
    /// It is gone from its hub, groups and user; only its socket is left, to be closed.
    Closing,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) generation: u32,
    pub(crate) random: [u8; 16],
    pub(crate) state: State,
    pub(crate) subprotocol: Subprotocol,
    pub(crate) user: Option<UserId>,
    /// The client's spelling of its subprotocol, where that is not the usual one.
    pub(crate) spelling: Option<Box<str>>,
    pub(crate) since: Time,
    pub(crate) last_heard: Time,
    pub(crate) permissions: Permissions,
    pub(crate) acks: AckHistory,
    /// How many events it has raised, besides `connect`.
    pub(crate) events: u64,
    /// Absent in event mode, which nearly every connection is in.
    pub(crate) raw_mode: Option<Box<RawMode>>,
    /// Present on reliable connections.
    pub(crate) reliable: Option<Box<Reliable>>,
    /// Absent unless the connection has streams or to do with group state.
    pub(crate) extras: Option<Box<Extras>>,
    hub: u32,
    hub_position: u32,
    /// Neighbours in the ring-less list of the user's connections.
    user_previous: u32,
    user_next: u32,
    /// Sorted by group.
    memberships: Vec<Membership>,
}

impl Connection {
    /// Returns the name of its subprotocol, in the client's spelling.
    pub(crate) fn protocol(&self) -> Option<&str> {
        self.spelling.as_deref().or_else(|| self.subprotocol.name())
    }

    pub(crate) fn group_count(&self) -> usize {
        self.memberships.len()
    }
}

/// A connection's entry in a group: which group, and where in its member list.
#[derive(Clone, Copy, Debug)]
struct Membership {
    group: u32,
    position: u32,
}

/// All that fan-out needs to know of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receiver {
    pub(crate) slot: u32,
    pub(crate) subprotocol: Subprotocol,
}

#[derive(Debug)]
pub(crate) struct HubEntry {
    pub(crate) name: Hub,
    pub(crate) settings: Arc<HubSettings>,
    connections: Vec<Receiver>,
    groups: HashMap<GroupName, u32>,
    /// The first connection of each user.
    users: HashMap<UserId, u32>,
    /// Who watches the states of a group, by slot, and whether they have had the first of them.
    watchers: HashMap<GroupName, BTreeMap<u32, bool>>,
}

#[derive(Debug)]
struct Group {
    name: GroupName,
    bucket: Bucket,
    members: Vec<Receiver>,
}

/// A connection to be inserted.
pub(crate) struct NewConnection {
    pub(crate) hub: Hub,
    pub(crate) settings: Arc<HubSettings>,
    /// Its generation, with the reserved slot if it has one.
    pub(crate) generation: u32,
    pub(crate) reserved: Option<u32>,
    pub(crate) random: [u8; 16],
    pub(crate) subprotocol: Subprotocol,
    pub(crate) spelling: Option<Box<str>>,
    pub(crate) user: Option<UserId>,
    pub(crate) now: Time,
    pub(crate) permissions: Permissions,
    pub(crate) raw_mode: RawMode,
}

#[derive(Debug)]
pub(crate) struct Registry {
    connections: Slab<Connection>,
    hubs: Slab<HubEntry>,
    hub_by_name: HashMap<Hub, u32>,
    groups: Slab<Group>,
    interest: Interest,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self {
            connections: Slab::new(),
            hubs: Slab::new(),
            hub_by_name: HashMap::new(),
            groups: Slab::new(),
            interest: Interest::new(),
        }
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Connection> {
        self.connections.get(slot as usize)
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Connection> {
        self.connections.get_mut(slot as usize)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Connection)> {
        self.connections
            .iter()
            .map(|(slot, connection)| (slot as u32, connection))
    }

    pub(crate) fn slots(&self) -> Vec<u32> {
        self.connections
            .iter()
            .map(|(slot, _)| slot as u32)
            .collect()
    }

    pub(crate) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Returns the hub of a connection, which has one as long as it is active.
    pub(crate) fn hub_of(&self, connection: &Connection) -> &HubEntry {
        &self.hubs[connection.hub as usize]
    }

    /// Returns the name of the hub of an active connection.
    pub(crate) fn hub_name(&self, slot: u32) -> Hub {
        self.hub_of(&self.connections[slot as usize]).name.clone()
    }

    /// Makes an active connection, visible in its hub and under its user. The settings are those of a hub that has no connections
    /// yet; a hub that has some may have got newer ones meanwhile.
    pub(crate) fn insert(&mut self, new: NewConnection, out: &mut Outputs) -> u32 {
        let hub = self.hub_entry(&new.hub, new.settings, out);
        let entry = &mut self.hubs[hub as usize];
        let slot = new
            .reserved
            .unwrap_or_else(|| self.connections.vacant_key() as u32);
        let hub_position = entry.connections.len() as u32;
        let reliable = new
            .subprotocol
            .is_reliable()
            .then(|| Box::new(Reliable::new(entry.settings.reliable_buffer)));
        entry.connections.push(Receiver {
            slot,
            subprotocol: new.subprotocol,
        });
        let user_next = match &new.user {
            None => NOBODY,
            Some(user) => entry.users.insert(user.clone(), slot).unwrap_or(NOBODY),
        };
        match (&new.user, self.connections.get_mut(user_next as usize)) {
            (Some(_), Some(next)) => next.user_previous = slot,
            (Some(user), None) => {
                let bucket = Bucket::of_user(&new.hub, user);
                self.add_interest(bucket, out);
            }
            (None, _) => {}
        }
        let connection = Connection {
            generation: new.generation,
            random: new.random,
            state: State::Active,
            subprotocol: new.subprotocol,
            user: new.user,
            spelling: new.spelling,
            since: new.now,
            last_heard: new.now,
            permissions: new.permissions,
            acks: AckHistory::default(),
            events: 0,
            raw_mode: match new.raw_mode {
                RawMode::Event => None,
                publish @ RawMode::Publish { .. } => Some(Box::new(publish)),
            },
            reliable,
            extras: None,
            hub,
            hub_position,
            user_previous: NOBODY,
            user_next,
            memberships: Vec::new(),
        };
        match self.connections.get_mut(slot as usize) {
            Some(reserved) => *reserved = connection,
            None => {
                self.connections.insert(connection);
            }
        }
        slot
    }

    /// Takes a slot for a connection that may come.
    pub(crate) fn reserve(&mut self, generation: u32, random: [u8; 16], now: Time) -> u32 {
        let slot = self.connections.insert(Connection {
            generation,
            random,
            state: State::Reserved,
            subprotocol: Subprotocol::Simple,
            user: None,
            spelling: None,
            since: now,
            last_heard: now,
            permissions: Permissions::default(),
            acks: AckHistory::default(),
            events: 0,
            raw_mode: None,
            reliable: None,
            extras: None,
            hub: NOBODY,
            hub_position: NOBODY,
            user_previous: NOBODY,
            user_next: NOBODY,
            memberships: Vec::new(),
        });
        slot as u32
    }

    /// Returns the hubs that have connections here.
    pub(crate) fn hub_names(&self) -> Vec<Hub> {
        self.hubs
            .iter()
            .map(|(_, entry)| entry.name.clone())
            .collect()
    }

    /// Changes the settings of a hub, if it has connections here.
    pub(crate) fn set_settings(&mut self, hub: &Hub, settings: Arc<HubSettings>) {
        if let Some(&hub) = self.hub_by_name.get(hub) {
            self.hubs[hub as usize].settings = settings;
        }
    }

    /// Takes a connection out of its hub, its groups and from its user. Its slot stays taken until [`Registry::free`].
    pub(crate) fn unlink(&mut self, slot: u32, out: &mut Outputs) {
        self.leave_all(slot, out);
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        debug_assert_eq!(connection.state, State::Active);
        connection.state = State::Closing;
        let (hub, position) = (connection.hub as usize, connection.hub_position as usize);
        let user = connection.user.clone();
        let (previous, next) = (connection.user_previous, connection.user_next);
        let entry = &mut self.hubs[hub];
        entry.connections.swap_remove(position);
        if let Some(moved) = entry.connections.get(position) {
            self.connections[moved.slot as usize].hub_position = position as u32;
        }
        if let Some(user) = user {
            self.unlink_from_user(hub, &user, previous, next, out);
        }
        if self.hubs[hub].connections.is_empty() {
            let entry = self.hubs.remove(hub);
            self.hub_by_name.remove(&entry.name);
            self.remove_interest(Bucket::of_hub(&entry.name), out);
        }
    }

    fn unlink_from_user(
        &mut self,
        hub: usize,
        user: &UserId,
        previous: u32,
        next: u32,
        out: &mut Outputs,
    ) {
        if let Some(next) = self.connections.get_mut(next as usize) {
            next.user_previous = previous;
        }
        if let Some(previous) = self.connections.get_mut(previous as usize) {
            previous.user_next = next;
            return;
        }
        let entry = &mut self.hubs[hub];
        if next != NOBODY {
            entry.users.insert(user.clone(), next);
            return;
        }
        entry.users.remove(user);
        let bucket = Bucket::of_user(&entry.name, user);
        self.remove_interest(bucket, out);
    }

    /// Frees the slot of a connection that is not active.
    pub(crate) fn free(&mut self, slot: u32) {
        let removed = self.connections.try_remove(slot as usize);
        debug_assert!(removed.is_some_and(|connection| connection.state != State::Active));
    }

    /// Makes an active connection a member. False if it is one.
    pub(crate) fn join(&mut self, slot: u32, name: &GroupName, out: &mut Outputs) -> bool {
        let connection = &self.connections[slot as usize];
        let (hub, subprotocol) = (connection.hub as usize, connection.subprotocol);
        let group = match self.hubs[hub].groups.get(name) {
            Some(group) => *group,
            None => self.add_group(hub, name, out),
        };
        let memberships = &mut self.connections[slot as usize].memberships;
        let Err(place) = memberships.binary_search_by_key(&group, |entry| entry.group) else {
            return false;
        };
        let members = &mut self.groups[group as usize].members;
        let position = members.len() as u32;
        memberships.insert(place, Membership { group, position });
        members.push(Receiver { slot, subprotocol });
        true
    }

    /// Ends a membership. False if there is none.
    pub(crate) fn leave(&mut self, slot: u32, name: &GroupName, out: &mut Outputs) -> bool {
        let connection = &mut self.connections[slot as usize];
        let Some(&group) = self.hubs[connection.hub as usize].groups.get(name) else {
            return false;
        };
        let found = connection
            .memberships
            .binary_search_by_key(&group, |entry| entry.group);
        let Ok(place) = found else {
            return false;
        };
        let membership = connection.memberships.remove(place);
        self.remove_member(slot, membership, out);
        true
    }

    /// Ends all memberships.
    pub(crate) fn leave_all(&mut self, slot: u32, out: &mut Outputs) {
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        for membership in std::mem::take(&mut connection.memberships) {
            self.remove_member(slot, membership, out);
        }
    }

    fn remove_member(&mut self, slot: u32, membership: Membership, out: &mut Outputs) {
        let Membership { group, position } = membership;
        let hub = self.connections[slot as usize].hub as usize;
        let entry = &mut self.groups[group as usize];
        let removed = entry.members.swap_remove(position as usize);
        debug_assert_eq!(removed.slot, slot);
        if let Some(moved) = entry.members.get(position as usize) {
            let memberships = &mut self.connections[moved.slot as usize].memberships;
            let place = memberships
                .binary_search_by_key(&group, |entry| entry.group)
                .expect("a member has an entry for its group");
            memberships[place].position = position;
        }
        if entry.members.is_empty() {
            let entry = self.groups.remove(group as usize);
            self.hubs[hub].groups.remove(&entry.name);
            self.remove_interest(entry.bucket, out);
        }
    }

    /// Returns every connection of a hub.
    pub(crate) fn hub_connections(&self, hub: &Hub) -> &[Receiver] {
        self.hub(hub).map_or(&[], |entry| &entry.connections)
    }

    /// Returns the members of a group.
    pub(crate) fn group_members(&self, hub: &Hub, group: &GroupName) -> &[Receiver] {
        self.hub(hub)
            .and_then(|entry| entry.groups.get(group))
            .map_or(&[], |&group| &self.groups[group as usize].members)
    }

    /// Returns the connections of a user.
    pub(crate) fn user_connections(
        &self,
        hub: &Hub,
        user: &UserId,
    ) -> impl Iterator<Item = Receiver> {
        let first = self
            .hub(hub)
            .and_then(|entry| entry.users.get(user))
            .copied()
            .unwrap_or(NOBODY);
        std::iter::successors(self.get(first).map(|entry| (first, entry)), |(_, entry)| {
            self.get(entry.user_next)
                .map(|next| (entry.user_next, next))
        })
        .map(|(slot, entry)| Receiver {
            slot,
            subprotocol: entry.subprotocol,
        })
    }

    /// Notes that an active connection watches the states of a group. Others' changes reach it once it is live.
    pub(crate) fn watch(&mut self, slot: u32, group: &GroupName, out: &mut Outputs) {
        let hub = self.connections[slot as usize].hub as usize;
        let entry = &mut self.hubs[hub];
        let watchers = entry.watchers.entry(group.clone()).or_default();
        let is_first = watchers.is_empty();
        watchers.entry(slot).or_insert(false);
        if is_first {
            let bucket = Bucket::of_group_state(&entry.name, group);
            self.add_interest(bucket, out);
        }
    }

    /// Notes that a watcher gets the states of a group as they are, and from now on every change. False if it does not watch.
    pub(crate) fn watch_live(&mut self, slot: u32, group: &GroupName) -> bool {
        let hub = self.connections[slot as usize].hub as usize;
        let watchers = self.hubs[hub].watchers.get_mut(group);
        watchers
            .and_then(|watchers| watchers.get_mut(&slot))
            .map(|is_live| *is_live = true)
            .is_some()
    }

    /// Notes that a connection no longer watches; without effect if it does not.
    pub(crate) fn unwatch(&mut self, slot: u32, group: &GroupName, out: &mut Outputs) {
        let hub = self.connections[slot as usize].hub as usize;
        let entry = &mut self.hubs[hub];
        let Some(watchers) = entry.watchers.get_mut(group) else {
            return;
        };
        if watchers.remove(&slot).is_some() && watchers.is_empty() {
            entry.watchers.remove(group);
            let bucket = Bucket::of_group_state(&entry.name, group);
            self.remove_interest(bucket, out);
        }
    }

    /// Returns those who get every change of the states of a group.
    pub(crate) fn watchers(&self, hub: &Hub, group: &GroupName) -> impl Iterator<Item = Receiver> {
        self.hub(hub)
            .and_then(|entry| entry.watchers.get(group))
            .into_iter()
            .flatten()
            .filter(|(_, is_live)| **is_live)
            .filter_map(|(&slot, _)| {
                let subprotocol = self.get(slot)?.subprotocol;
                Some(Receiver { slot, subprotocol })
            })
    }

    /// Tells whether an active connection is in a group.
    pub(crate) fn is_member(&self, connection: &Connection, group: &str) -> bool {
        let groups = &self.hub_of(connection).groups;
        groups.get(group).is_some_and(|group| {
            let found = connection
                .memberships
                .binary_search_by_key(group, |entry| entry.group);
            found.is_ok()
        })
    }

    /// Returns the groups of a hub with their sizes, in no order.
    pub(crate) fn groups_of_hub(&self, hub: &Hub) -> impl Iterator<Item = (&GroupName, usize)> {
        self.hub(hub)
            .into_iter()
            .flat_map(|entry| entry.groups.values())
            .map(|&group| {
                let group = &self.groups[group as usize];
                (&group.name, group.members.len())
            })
    }

    /// Returns the groups of a connection, in no order.
    pub(crate) fn groups_of_connection(&self, slot: u32) -> impl Iterator<Item = &GroupName> {
        self.get(slot)
            .into_iter()
            .flat_map(|connection| &connection.memberships)
            .map(|entry| &self.groups[entry.group as usize].name)
    }

    fn hub(&self, hub: &Hub) -> Option<&HubEntry> {
        self.hub_by_name
            .get(hub)
            .map(|&hub| &self.hubs[hub as usize])
    }

    fn hub_entry(&mut self, name: &Hub, settings: Arc<HubSettings>, out: &mut Outputs) -> u32 {
        if let Some(&hub) = self.hub_by_name.get(name) {
            return hub;
        }
        let hub = self.hubs.insert(HubEntry {
            name: name.clone(),
            settings,
            connections: Vec::new(),
            groups: HashMap::new(),
            users: HashMap::new(),
            watchers: HashMap::new(),
        }) as u32;
        self.hub_by_name.insert(name.clone(), hub);
        self.add_interest(Bucket::of_hub(name), out);
        hub
    }

    fn add_group(&mut self, hub: usize, name: &GroupName, out: &mut Outputs) -> u32 {
        let entry = &mut self.hubs[hub];
        let bucket = Bucket::of_group(&entry.name, name);
        let group = self.groups.insert(Group {
            name: name.clone(),
            bucket,
            members: Vec::new(),
        }) as u32;
        entry.groups.insert(name.clone(), group);
        self.add_interest(bucket, out);
        group
    }

    fn add_interest(&mut self, bucket: Bucket, out: &mut Outputs) {
        if self.interest.add(bucket) {
            out.interest(bucket, true);
        }
    }

    fn remove_interest(&mut self, bucket: Bucket, out: &mut Outputs) {
        if self.interest.remove(bucket) {
            out.interest(bucket, false);
        }
    }
}

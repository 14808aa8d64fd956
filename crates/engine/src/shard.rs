use std::collections::VecDeque;

use hubwire_protocol::message::ControlMessage;
use hubwire_protocol::names::Hub;
use hubwire_protocol::token::ReconnectionKey;

use crate::command::{Action, Command, Route};
use crate::connection_id::ConnectionId;
use crate::input::{ConnectionKey, Input, Open, Place, ReplyToken};
use crate::interest::Bucket;
use crate::limits::ShardSettings;
use crate::output::{CloseCategory, Output, Outputs, Reply, Started};
use crate::permission::Permissions;
use crate::recovery::Link;
use crate::registry::{Connection, NewConnection, Registry, State};
use crate::session::GroupStates;
use crate::timers::{Time, Timer, Timers};
use crate::unacked::UnackedTotal;

/// A set of connections with everything about them, owned by one thread.
#[derive(Debug)]
pub struct Shard {
    pub(crate) settings: ShardSettings,
    pub(crate) generation: u32,
    pub(crate) registry: Registry,
    pub(crate) timers: Timers,
    /// States of the groups that have their home here.
    pub(crate) group_states: GroupStates,
    /// What has followed from the input at hand and is to be done before the next.
    pub(crate) deferred: VecDeque<Command>,
    /// Room for the reliable receivers of a message.
    pub(crate) reliable_receivers: Vec<u32>,
    /// What reliable connections have not acknowledged.
    pub(crate) unacked: UnackedTotal,
    /// Reliable connections without a socket.
    pub(crate) detached: usize,
    /// Questions to event handlers so far.
    pub(crate) questions: u64,
}

impl Shard {
    /// Makes an empty shard.
    pub fn new(settings: ShardSettings) -> Self {
        Self {
            settings,
            generation: 0,
            registry: Registry::new(),
            timers: Timers::default(),
            group_states: GroupStates::default(),
            deferred: VecDeque::new(),
            reliable_receivers: Vec::new(),
            unacked: UnackedTotal::default(),
            detached: 0,
            questions: 0,
        }
    }

    /// Replaces the key that authenticates reconnection tokens from now on; tokens that are out stay as they are.
    pub fn set_reconnection_key(&mut self, key: ReconnectionKey) {
        self.settings.reconnection_key = key;
    }

    /// Takes one input and appends what follows from it. Inputs about a connection that is gone are ignored.
    pub fn handle(&mut self, now: Time, input: Input<'_>, out: &mut Outputs) {
        match input {
            Input::Open { open, reply } => self.open(now, *open, reply, out),
            Input::Reserve { random, reply } => self.reserve(now, random, reply, out),
            Input::Release { key } => self.release(key),
            Input::Answered {
                connection,
                question,
                answer,
            } => self.answered(now, &connection, question, answer, out),
            Input::Settings { hub, settings } => self.registry.set_settings(hub, settings),
            Input::Recover { recover, reply } => self.recover(now, recover, reply, out),
            Input::Attached { key } => self.attached(now, key),
            Input::Message { key, kind, payload } => {
                if self.is_linked(key) {
                    self.message(now, key, kind, payload, out);
                }
            }
            Input::Fault { key, fault } => {
                if self.is_active(key) {
                    self.close(now, key.slot, fault.close(), fault.category(), out);
                }
            }
            Input::PeerClosed { key, code, reason } => {
                if self.is_linked(key) {
                    self.peer_closed(now, key, code, reason, out);
                }
            }
            Input::SocketClosed { key, end } => self.socket_closed(now, key, end, out),
            Input::Command { command, reply } => self.command(now, command, reply, out),
            Input::Shutdown => self.shutdown(now, out),
            Input::Timeout => self.timeout(now, out),
        }
        while let Some(command) = self.deferred.pop_front() {
            self.relay(now, command, out);
        }
    }

    /// Returns when [`Input::Timeout`] is due.
    pub fn next_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    /// Returns the hubs that have connections here.
    pub fn hubs(&self) -> Vec<Hub> {
        self.registry.hub_names()
    }

    /// Returns how many groups have members here.
    pub fn group_count(&self) -> usize {
        self.registry.group_count()
    }

    /// Returns how many messages reliable connections have not acknowledged.
    pub fn unacked_message_count(&self) -> usize {
        self.unacked.messages
    }

    /// Returns the bytes of memory that these take. What shards share counts in one of them, so only the sum over all tells.
    pub fn unacked_bytes(&self) -> isize {
        self.unacked.bytes
    }

    /// Returns the reliable connections that have not acknowledged all they were sent, with the bytes of that.
    pub fn unacked_connections(&self) -> impl Iterator<Item = (ConnectionKey, usize)> {
        self.registry.iter().filter_map(|(slot, connection)| {
            let bytes = connection.reliable.as_ref()?.unacked.bytes();
            let generation = connection.generation;
            (bytes > 0).then_some((ConnectionKey { slot, generation }, bytes))
        })
    }

    /// Returns how many connections have lost their socket and may recover.
    pub fn detached_count(&self) -> usize {
        self.detached
    }

    /// Notes that bytes came from a client, or that they could not come because its socket is deliberately not read.
    pub fn heard(&mut self, key: ConnectionKey, now: Time) {
        if let Some(connection) = self.registry.get_mut(key.slot)
            && connection.generation == key.generation
        {
            connection.last_heard = now;
        }
    }

    fn reserve(&mut self, now: Time, random: [u8; 16], reply: ReplyToken, out: &mut Outputs) {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let slot = self.registry.reserve(generation, random, now);
        out.push(Output::Reply {
            token: reply,
            reply: Reply::Reserved {
                key: ConnectionKey { slot, generation },
                id: self.id(slot, random),
            },
        });
    }

    fn release(&mut self, key: ConnectionKey) {
        if self.reserved(key).is_some() {
            self.registry.free(key.slot);
        }
    }

    /// Returns the random part of the id that is kept for a connection.
    fn reserved(&self, key: ConnectionKey) -> Option<[u8; 16]> {
        self.registry
            .get(key.slot)
            .filter(|connection| {
                connection.generation == key.generation && connection.state == State::Reserved
            })
            .map(|connection| connection.random)
    }

    fn open(&mut self, now: Time, open: Open, reply: ReplyToken, out: &mut Outputs) {
        let (permissions, ignored_roles) =
            Permissions::from_roles(open.roles.iter().map(String::as_str));
        let (reserved, generation, random) = match open.place {
            Place::Random(random) => {
                self.generation = self.generation.wrapping_add(1);
                (None, self.generation, random)
            }
            Place::Reserved(key) => {
                let Some(random) = self.reserved(key) else {
                    let (token, reply) = (reply, Reply::NotFound);
                    return out.push(Output::Reply { token, reply });
                };
                (Some(key.slot), key.generation, random)
            }
        };
        let started = Started {
            hub: open.hub.clone(),
            subprotocol: open.subprotocol,
        };
        let slot = self.registry.insert(
            NewConnection {
                hub: open.hub,
                settings: open.settings,
                generation,
                reserved,
                random,
                subprotocol: open.subprotocol,
                spelling: open.spelling,
                user: open.user,
                now,
                permissions,
                raw_mode: open.raw_mode,
            },
            out,
        );
        let key = ConnectionKey { slot, generation };
        let connection = self.registry.get(slot);
        let reliable = connection.and_then(|connection| connection.reliable.as_ref());
        out.push(Output::Opened {
            key,
            reliable_buffer: reliable.map(|reliable| reliable.limits),
        });
        out.push(Output::Started(Box::new(started)));
        self.send_connected(now, slot, out);
        self.notify_connected(now, slot, out);
        for group in &open.groups {
            self.join(now, slot, group, out);
        }
        out.push(Output::Reply {
            token: reply,
            reply: Reply::Opened {
                key,
                id: self.id(slot, random),
                ignored_roles,
            },
        });
    }

    fn attached(&mut self, now: Time, key: ConnectionKey) {
        if !self.is_linked(key) {
            return;
        }
        self.heard(key, now);
        if let Some(connection) = self.registry.get_mut(key.slot)
            && let Some(reliable) = &mut connection.reliable
        {
            reliable.link = Link::Attached;
        }
        if let Some(connection) = self.registry.get(key.slot) {
            let interval_ms = self.keep_alive_interval_ms(connection);
            let due = now.after_ms(u64::from(interval_ms));
            self.timers.set(due, Timer::KeepAlive(key, interval_ms));
            self.set_lifetime_timer(key, due);
        }
    }

    fn command(
        &mut self,
        now: Time,
        command: &Command,
        reply: Option<ReplyToken>,
        out: &mut Outputs,
    ) {
        let answer = self.execute(now, command, out);
        if let Some(token) = reply {
            out.push(Output::Reply {
                token,
                reply: answer,
            });
        }
    }

    /// Carries out a command in this shard.
    pub(crate) fn execute(&mut self, now: Time, command: &Command, out: &mut Outputs) -> Reply {
        let hub = &command.hub;
        match &command.action {
            Action::Send { to, message } => {
                self.fan_out(now, hub, to, message, out);
                Reply::Matched(0)
            }
            Action::Close {
                connections,
                reason,
            } => {
                let slots = self.select(hub, connections);
                for &slot in &slots {
                    self.close_by_app_server(now, slot, reason.as_deref(), out);
                }
                Reply::Matched(slots.len())
            }
            Action::AddToGroups { members, groups } => {
                let slots = self.select(hub, members);
                for &slot in &slots {
                    for group in groups {
                        self.join(now, slot, group, out);
                    }
                }
                Reply::Matched(slots.len())
            }
            Action::RemoveFromGroups { members, groups } => {
                let slots = self.select(hub, members);
                for &slot in &slots {
                    match groups {
                        Some(groups) => {
                            for group in groups {
                                self.leave(now, slot, group, out);
                            }
                        }
                        None => self.leave_all(now, slot, out),
                    }
                }
                Reply::Matched(slots.len())
            }
            Action::Count { of } => Reply::Matched(self.count(hub, of)),
            Action::ListConnections { of, after, limit } => {
                Reply::Connections(self.list_connections(hub, of, after.as_ref(), *limit))
            }
            Action::ListGroups { of, after, limit } => {
                Reply::Groups(self.list_groups(hub, of, after.as_ref(), *limit))
            }
            Action::Grant {
                connection,
                permission,
                group,
            } => self.change_permissions(hub, connection, |permissions| {
                match permissions.grant(*permission, group) {
                    Ok(()) => Reply::Matched(1),
                    Err(_) => Reply::Conflict,
                }
            }),
            Action::Revoke {
                connection,
                permission,
                group,
            } => self.change_permissions(hub, connection, |permissions| {
                match permissions.revoke(*permission, group) {
                    Ok(()) => Reply::Matched(1),
                    Err(_) => Reply::Conflict,
                }
            }),
            Action::SetGroupState {
                connection,
                user,
                group,
                state,
            } => {
                let update = self.set_group_state(now, hub, connection, user, group, state);
                self.deferred.extend(update);
                Reply::Matched(0)
            }
            Action::GetGroupState { watcher, group } => {
                let snapshot = self.group_state_snapshot(hub, watcher, group);
                self.deferred.push_back(snapshot);
                Reply::Matched(0)
            }
            Action::GroupStateSnapshot {
                watcher,
                group,
                message,
            } => {
                self.deliver_snapshot(now, hub, watcher, group, message, out);
                Reply::Matched(0)
            }
            Action::CheckPermission {
                connection,
                permission,
                group,
            } => self.change_permissions(hub, connection, |permissions| {
                match permissions.allows(*permission, group) {
                    true => Reply::Matched(1),
                    false => Reply::Denied,
                }
            }),
        }
    }

    /// Carries out a command here, if it concerns this shard, and hands it to the others that it concerns.
    fn relay(&mut self, now: Time, command: Command, out: &mut Outputs) {
        let (is_for_me, is_for_others) = match command.route() {
            Route::Bucket(_) => (true, true),
            Route::Owner(id) => {
                let is_mine = self.settings.has(&id);
                (is_mine, !is_mine)
            }
            Route::Home(bucket) => {
                let is_mine = self.is_home(bucket);
                (is_mine, !is_mine)
            }
        };
        if is_for_me {
            self.execute(now, &command, out);
        }
        if is_for_others {
            out.push(Output::Relay(Box::new(command)));
        }
    }

    /// Tells whether this shard keeps what belongs to a bucket.
    pub(crate) fn is_home(&self, bucket: Bucket) -> bool {
        bucket.home(self.settings.shards) == self.settings.number
    }

    fn change_permissions(
        &mut self,
        hub: &Hub,
        id: &ConnectionId,
        change: impl FnOnce(&mut Permissions) -> Reply,
    ) -> Reply {
        match self
            .find(hub, id)
            .and_then(|slot| self.registry.get_mut(slot))
        {
            Some(connection) => change(&mut connection.permissions),
            None => Reply::NotFound,
        }
    }

    /// Sends a message to one connection, where its subprotocol has such a frame and it has a socket.
    pub(crate) fn send_control(&self, slot: u32, message: &ControlMessage<'_>, out: &mut Outputs) {
        let frame = self
            .registry
            .get(slot)
            .filter(|connection| !connection.link().is_detached())
            .and_then(|connection| connection.subprotocol.format().encode_control(message));
        if let Some(frame) = frame {
            out.send(slot, frame.into());
        }
    }

    fn timeout(&mut self, now: Time, out: &mut Outputs) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::KeepAlive(key, interval_ms) => {
                    self.keep_alive(now, key, interval_ms, out);
                }
                Timer::CloseDeadline(key) => {
                    let is_closing = self.registry.get(key.slot).is_some_and(|connection| {
                        connection.generation == key.generation
                            && (connection.state == State::Closing
                                || connection.link() == Link::Leaving)
                    });
                    if is_closing {
                        out.push(Output::Abort { to: key.slot });
                    }
                }
                Timer::RecoveryWindow(key) => self.recovery_timed_out(now, key, out),
                Timer::Lifetime(key) => self.lifetime_due(now, key, out),
                Timer::Streams(key) => self.streams_due(now, key, out),
            }
        }
    }

    /// Pings a client, or gives it up. `interval_ms` was the interval when the timer was set.
    fn keep_alive(&mut self, now: Time, key: ConnectionKey, interval_ms: u32, out: &mut Outputs) {
        if !self.is_linked(key) {
            return;
        }
        if let Some(connection) = self.registry.get_mut(key.slot)
            && let Some(reliable) = &mut connection.reliable
            && reliable.unacked.is_empty()
        {
            reliable.unacked.shrink();
        }
        let Some(connection) = self.registry.get(key.slot) else {
            return;
        };
        // At another interval it was not asked to say something in time; unread it cannot, and closed it need not.
        let is_changed = self.keep_alive_interval_ms(connection) != interval_ms;
        if is_changed || connection.is_reading_held() || connection.is_closed_behind() {
            self.heard(key, now);
        }
        let Some(connection) = self.registry.get(key.slot) else {
            return;
        };
        let settings = &self.registry.hub_of(connection).settings;
        if now.since_ms(connection.last_heard) >= settings.silence_max_ms() {
            match connection.reliable.is_some() {
                true => self.detach(now, key, Link::Leaving, out),
                false => {
                    let reason = "The client did not answer pings.".to_owned();
                    self.end(now, key.slot, CloseCategory::PingTimeout, reason, out);
                }
            }
            out.push(Output::Abort { to: key.slot });
            return;
        }
        let interval_ms = self.keep_alive_interval_ms(connection);
        let due = now
            .after_ms(u64::from(interval_ms))
            .min(connection.last_heard.after_ms(settings.silence_max_ms()));
        let due = due.max(now.after_ms(1));
        out.push(Output::Ping { to: key.slot });
        self.timers.set(due, Timer::KeepAlive(key, interval_ms));
        self.set_lifetime_timer(key, due);
    }

    fn keep_alive_interval_ms(&self, connection: &Connection) -> u32 {
        let settings = &self.registry.hub_of(connection).settings;
        u32::try_from(settings.keep_alive_interval_ms).unwrap_or(u32::MAX)
    }

    /// Sets the timer for the end of a connection's life if that comes before it is looked at again.
    pub(crate) fn set_lifetime_timer(&mut self, key: ConnectionKey, looked_at: Time) {
        if let Some(end) = self.end_of_life(key.slot)
            && end <= looked_at
        {
            self.timers.set(end, Timer::Lifetime(key));
        }
    }

    pub(crate) fn end_of_life(&self, slot: u32) -> Option<Time> {
        let connection = self.registry.get(slot)?;
        let settings = &self.registry.hub_of(connection).settings;
        settings.end_of_life(connection.since)
    }

    pub(crate) fn is_active(&self, key: ConnectionKey) -> bool {
        self.registry.get(key.slot).is_some_and(|connection| {
            connection.generation == key.generation && connection.state == State::Active
        })
    }

    /// Tells whether an active connection has a socket, or waits for one that is on its way.
    fn is_linked(&self, key: ConnectionKey) -> bool {
        self.is_active(key)
            && self
                .registry
                .get(key.slot)
                .is_some_and(|connection| !connection.link().is_detached())
    }

    fn id(&self, slot: u32, random: [u8; 16]) -> ConnectionId {
        ConnectionId {
            node: self.settings.node,
            shard: self.settings.number,
            slot,
            random,
        }
    }

    /// Returns the slot of an active connection of a hub.
    pub(crate) fn find(&self, hub: &Hub, id: &ConnectionId) -> Option<u32> {
        let slot = self.find_by_id(id)?;
        let connection = self.registry.get(slot)?;
        (self.registry.hub_of(connection).name == *hub).then_some(slot)
    }

    /// Returns the slot of an active connection.
    pub(crate) fn find_by_id(&self, id: &ConnectionId) -> Option<u32> {
        let connection = self.registry.get(id.slot)?;
        let is_it = self.settings.has(id)
            && connection.random == id.random
            && connection.state == State::Active;
        is_it.then_some(id.slot)
    }

    /// Returns the id of a connection.
    pub(crate) fn id_of(&self, slot: u32) -> Option<ConnectionId> {
        self.registry
            .get(slot)
            .map(|connection| self.id(slot, connection.random))
    }
}

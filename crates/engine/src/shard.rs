use hubwire_protocol::close::{Close, app_server_closed_message};
use hubwire_protocol::message::ControlMessage;
use hubwire_protocol::names::Hub;

use crate::command::{Action, Command};
use crate::connection_id::ConnectionId;
use crate::input::{ConnectionKey, Input, Open, ReplyToken, SocketEnd};
use crate::limits::Limits;
use crate::output::{CloseCategory, Ended, Output, Outputs, Reply};
use crate::permission::Permissions;
use crate::registry::{NewConnection, Registry, State};
use crate::timers::{Time, Timer, Timers};

/// A set of connections with everything about them, owned by one thread.
#[derive(Debug)]
pub struct Shard {
    node: u16,
    number: u16,
    generation: u32,
    pub(crate) limits: Limits,
    pub(crate) registry: Registry,
    timers: Timers,
}

impl Shard {
    /// Makes an empty shard; `node` and `number` go into the ids of its connections.
    pub fn new(node: u16, number: u16, limits: Limits) -> Self {
        Self {
            node,
            number,
            generation: 0,
            limits,
            registry: Registry::new(),
            timers: Timers::default(),
        }
    }

    /// Takes one input and appends what follows from it. Inputs about a connection that is gone are ignored.
    pub fn handle(&mut self, now: Time, input: Input<'_>, out: &mut Outputs) {
        match input {
            Input::Open { open, reply } => self.open(now, *open, reply, out),
            Input::Attached { key } => self.attached(now, key),
            Input::Message { key, kind, payload } => {
                if self.is_active(key) {
                    self.message(now, key, kind, payload, out);
                }
            }
            Input::Fault { key, fault } => {
                if self.is_active(key) {
                    self.close(now, key.slot, fault.close(), fault.category(), out);
                }
            }
            Input::PeerClosed { key, code, reason } => {
                if self.is_active(key) {
                    let close = Close::echo(code, reason);
                    self.close(now, key.slot, close, CloseCategory::Normal, out);
                }
            }
            Input::SocketClosed { key, end } => self.socket_closed(key, end, out),
            Input::Command { command, reply } => self.command(now, command, reply, out),
            Input::Shutdown => self.shutdown(now, out),
            Input::Timeout => self.timeout(now, out),
        }
    }

    /// Returns when [`Input::Timeout`] is due.
    pub fn next_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    /// Returns how many groups have members here.
    pub fn group_count(&self) -> usize {
        self.registry.group_count()
    }

    /// Notes that bytes came from a client, or that they could not come because its socket is deliberately not read.
    pub fn heard(&mut self, key: ConnectionKey, now: Time) {
        if let Some(connection) = self.registry.get_mut(key.slot)
            && connection.generation == key.generation
        {
            connection.last_heard = now;
        }
    }

    fn open(&mut self, now: Time, open: Open, reply: ReplyToken, out: &mut Outputs) {
        let (permissions, ignored_roles) =
            Permissions::from_roles(open.roles.iter().map(String::as_str));
        self.generation = self.generation.wrapping_add(1);
        let slot = self.registry.insert(
            NewConnection {
                hub: open.hub,
                settings: open.settings,
                generation: self.generation,
                random: open.random,
                subprotocol: open.subprotocol,
                spelling: open.spelling,
                user: open.user.clone(),
                now,
                permissions,
                raw_mode: open.raw_mode,
            },
            out,
        );
        let key = ConnectionKey {
            slot,
            generation: self.generation,
        };
        out.push(Output::Opened { key });
        let id = self.id(slot, open.random);
        let connected = ControlMessage::Connected {
            connection_id: &id.to_string(),
            user: open.user.as_ref(),
        };
        if let Some(frame) = open.subprotocol.encode_control(&connected) {
            out.send(slot, frame.into());
        }
        for group in &open.groups {
            self.registry.join(slot, group, out);
        }
        out.push(Output::Reply {
            token: reply,
            reply: Reply::Opened {
                key,
                id,
                ignored_roles,
            },
        });
    }

    fn attached(&mut self, now: Time, key: ConnectionKey) {
        if !self.is_active(key) {
            return;
        }
        self.heard(key, now);
        if let Some(connection) = self.registry.get(key.slot) {
            let due = self.registry.hub_of(connection).settings.next_ping(now);
            self.timers.set(due, Timer::KeepAlive(key));
        }
    }

    fn socket_closed(&mut self, key: ConnectionKey, end: SocketEnd, out: &mut Outputs) {
        let Some(connection) = self.registry.get(key.slot) else {
            return;
        };
        if connection.generation != key.generation {
            return;
        }
        if connection.state == State::Active {
            let (category, reason) = match end {
                SocketEnd::Lost => (CloseCategory::ConnectionLost, "The connection was lost."),
                SocketEnd::Dropped => (CloseCategory::Normal, ""),
                SocketEnd::NotAttached => (
                    CloseCategory::ConnectionLost,
                    "The connection could not be activated.",
                ),
                SocketEnd::InternalError => (
                    CloseCategory::ServiceTransientError,
                    "Internal server error",
                ),
            };
            self.end(key.slot, category, reason.to_owned(), out);
        }
        self.registry.free(key.slot);
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
                self.fan_out(hub, to, message, out);
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
                        self.registry.join(slot, group, out);
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
                                self.registry.leave(slot, group, out);
                            }
                        }
                        None => self.registry.leave_all(slot, out),
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

    fn close_by_app_server(
        &mut self,
        now: Time,
        slot: u32,
        reason: Option<&str>,
        out: &mut Outputs,
    ) {
        self.disconnected(slot, &app_server_closed_message(reason), out);
        let close = Close::closed_by_app_server();
        self.close(now, slot, close, CloseCategory::ClosedByAppServer, out);
    }

    fn shutdown(&mut self, now: Time, out: &mut Outputs) {
        for slot in self.registry.slots() {
            let is_active = self
                .registry
                .get(slot)
                .is_some_and(|connection| connection.state == State::Active);
            if is_active {
                let close = Close::service_restarting();
                self.disconnected(slot, &close.reason, out);
                self.close(now, slot, close, CloseCategory::ServiceReload, out);
            }
        }
    }

    /// Sends the `disconnected` frame where the subprotocol has one.
    fn disconnected(&self, slot: u32, message: &str, out: &mut Outputs) {
        let frame = self.registry.get(slot).and_then(|connection| {
            connection
                .subprotocol
                .encode_control(&ControlMessage::Disconnected { message })
        });
        if let Some(frame) = frame {
            out.send(slot, frame.into());
        }
    }

    /// Ends an active connection and starts the closing handshake of its socket.
    pub(crate) fn close(
        &mut self,
        now: Time,
        slot: u32,
        close: Close,
        category: CloseCategory,
        out: &mut Outputs,
    ) {
        let Some(connection) = self.registry.get(slot) else {
            return;
        };
        let key = ConnectionKey {
            slot,
            generation: connection.generation,
        };
        self.end(slot, category, close.reason.clone(), out);
        out.push(Output::Close {
            to: slot,
            close: Box::new(close),
        });
        let deadline = now.after_ms(self.limits.close_timeout_ms);
        self.timers.set(deadline, Timer::CloseDeadline(key));
    }

    /// Ends an active connection: from here on nobody sees it, and only its socket is left.
    fn end(&mut self, slot: u32, category: CloseCategory, reason: String, out: &mut Outputs) {
        let Some(connection) = self.registry.get(slot) else {
            return;
        };
        let ended = Ended {
            id: self.id(slot, connection.random),
            hub: self.registry.hub_of(connection).name.clone(),
            subprotocol: connection.subprotocol,
            user: connection.user.clone(),
            category,
            reason,
        };
        self.registry.unlink(slot, out);
        out.push(Output::Ended(Box::new(ended)));
    }

    fn timeout(&mut self, now: Time, out: &mut Outputs) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::KeepAlive(key) => self.keep_alive(now, key, out),
                Timer::CloseDeadline(key) => {
                    let is_closing = self.registry.get(key.slot).is_some_and(|connection| {
                        connection.generation == key.generation
                            && connection.state == State::Closing
                    });
                    if is_closing {
                        out.push(Output::Abort { to: key.slot });
                    }
                }
            }
        }
    }

    fn keep_alive(&mut self, now: Time, key: ConnectionKey, out: &mut Outputs) {
        if !self.is_active(key) {
            return;
        }
        let Some(connection) = self.registry.get(key.slot) else {
            return;
        };
        let settings = &self.registry.hub_of(connection).settings;
        if now.since_ms(connection.last_heard) >= settings.silence_max_ms() {
            let reason = "The client did not answer pings.".to_owned();
            self.end(key.slot, CloseCategory::PingTimeout, reason, out);
            out.push(Output::Abort { to: key.slot });
            return;
        }
        let due = settings
            .next_ping(now)
            .min(connection.last_heard.after_ms(settings.silence_max_ms()));
        out.push(Output::Ping { to: key.slot });
        self.timers
            .set(due.max(now.after_ms(1)), Timer::KeepAlive(key));
    }

    fn is_active(&self, key: ConnectionKey) -> bool {
        self.registry.get(key.slot).is_some_and(|connection| {
            connection.generation == key.generation && connection.state == State::Active
        })
    }

    fn id(&self, slot: u32, random: [u8; 16]) -> ConnectionId {
        ConnectionId {
            node: self.node,
            shard: self.number,
            slot,
            random,
        }
    }

    /// Returns the slot of an active connection of a hub.
    pub(crate) fn find(&self, hub: &Hub, id: &ConnectionId) -> Option<u32> {
        let connection = self.registry.get(id.slot)?;
        let is_it = id.node == self.node
            && id.shard == self.number
            && connection.random == id.random
            && connection.state == State::Active
            && self.registry.hub_of(connection).name == *hub;
        is_it.then_some(id.slot)
    }

    /// Returns the id of a connection.
    pub(crate) fn id_of(&self, slot: u32) -> Option<ConnectionId> {
        self.registry
            .get(slot)
            .map(|connection| self.id(slot, connection.random))
    }
}

//! Clients of the PubSub subprotocols: joins, leaves, sends, events and their acks. Source: client-protocols 3.

use hubwire_protocol::close::Close;
use hubwire_protocol::message::{AckError, AckErrorName, ClientMessage, Content, ControlMessage};
use hubwire_protocol::names::GroupName;
use hubwire_protocol::subprotocol::{WireKind, json, protobuf};

use crate::output::{CloseCategory, Outputs};
use crate::permission::Permission;
use crate::session::Publish;
use crate::session::streams::StartStream;
use crate::shard::Shard;
use crate::timers::Time;

impl Shard {
    /// Reads a frame; what cannot be understood is why the connection is closed.
    pub(super) fn parse_json(&self, slot: u32, payload: &[u8]) -> Result<ClientMessage, Close> {
        match json::parse(payload) {
            Ok(message) if self.knows(slot, &message) => Ok(message),
            Ok(_) | Err(_) => Err(Close::invalid_json_message()),
        }
    }

    /// Like [`Shard::parse_json`], in protobuf.
    pub(super) fn parse_protobuf(
        &self,
        slot: u32,
        kind: WireKind,
        payload: &[u8],
    ) -> Result<ClientMessage, Close> {
        if kind == WireKind::Text {
            return Err(Close::protobuf_requires_binary());
        }
        match protobuf::parse(payload) {
            Ok(message) if self.knows(slot, &message) => Ok(message),
            Ok(_) | Err(_) => Err(Close::invalid_protobuf_message()),
        }
    }

    pub(super) fn parsed_message(
        &mut self,
        now: Time,
        slot: u32,
        parsed: Result<ClientMessage, Close>,
        out: &mut Outputs,
    ) {
        match parsed {
            Ok(message) => self.client_message(now, slot, message, out),
            Err(close) => self.close(now, slot, close, CloseCategory::BadRequest, out),
        }
    }

    /// Tells whether the hub knows this type of frame; some have a switch.
    fn knows(&self, slot: u32, message: &ClientMessage) -> bool {
        let Some(connection) = self.registry.get(slot) else {
            return false;
        };
        let settings = &self.registry.hub_of(connection).settings;
        match message {
            ClientMessage::StartStream { .. }
            | ClientMessage::StreamData { .. }
            | ClientMessage::EndStream { .. } => settings.streaming,
            ClientMessage::Invoke { .. } | ClientMessage::CancelInvocation { .. } => {
                settings.invocation
            }
            ClientMessage::SetGroupState { .. }
            | ClientMessage::SubscribeGroupState { .. }
            | ClientMessage::UnsubscribeGroupState { .. } => settings.group_state,
            ClientMessage::JoinGroup { .. }
            | ClientMessage::LeaveGroup { .. }
            | ClientMessage::SendToGroup { .. }
            | ClientMessage::Event { .. }
            | ClientMessage::Ping
            | ClientMessage::SequenceAck { .. } => true,
        }
    }

    fn client_message(&mut self, now: Time, slot: u32, message: ClientMessage, out: &mut Outputs) {
        match message {
            ClientMessage::JoinGroup { group, ack_id } => {
                self.acked(slot, ack_id, out, |shard, out| {
                    shard.check(slot, Permission::JoinLeaveGroup, &group, "join")?;
                    shard.join(now, slot, &group, out);
                    Ok(())
                });
            }
            ClientMessage::LeaveGroup { group, ack_id } => {
                self.acked(slot, ack_id, out, |shard, out| {
                    shard.check(slot, Permission::JoinLeaveGroup, &group, "leave")?;
                    shard.leave(now, slot, &group, out);
                    Ok(())
                });
            }
            ClientMessage::SendToGroup {
                group,
                content,
                no_echo,
                ttl_seconds,
                ack_id,
            } => {
                self.acked(slot, ack_id, out, |shard, out| {
                    shard.check(slot, Permission::SendToGroup, &group, "send to")?;
                    let publish = Publish {
                        group,
                        content,
                        fragment: None,
                        no_echo,
                        ttl_seconds,
                    };
                    shard.publish(now, slot, publish, out);
                    Ok(())
                });
            }
            ClientMessage::Event {
                event,
                content,
                ack_id,
            } => self.user_event(now, slot, (event, content), ack_id, out),
            ClientMessage::Ping => self.send_control(slot, &ControlMessage::Pong, out),
            ClientMessage::SequenceAck { sequence_id } => self.acknowledge(slot, sequence_id),
            ClientMessage::StartStream {
                group,
                stream,
                no_echo,
                idle_timeout_ms,
                has_data,
            } => {
                let start = StartStream {
                    group,
                    stream,
                    no_echo,
                    idle_timeout_ms,
                    has_data,
                };
                self.start_stream(now, slot, start, out);
            }
            ClientMessage::StreamData { stream, fragment } => {
                self.stream_data(now, slot, &stream, fragment, out);
            }
            ClientMessage::EndStream { stream, error } => {
                self.end_stream(now, slot, &stream, error, out);
            }
            ClientMessage::Invoke {
                invocation_id,
                event,
                content,
            } => {
                let content = content.unwrap_or_else(Content::empty);
                let event = event.map(|event| (event, content));
                self.invoke(now, slot, invocation_id, event, out);
            }
            ClientMessage::CancelInvocation { invocation_id } => {
                self.cancel_invocation(slot, &invocation_id, out);
            }
            ClientMessage::SetGroupState {
                group,
                state,
                ack_id,
            } => {
                self.acked(slot, ack_id, out, |shard, out| {
                    shard.show_group_state(now, slot, group, state, out)
                });
            }
            ClientMessage::SubscribeGroupState { group, ack_id } => {
                let is_done = self.acked(slot, ack_id, out, |shard, out| {
                    shard.watch_group_state(slot, &group, out)
                });
                if is_done {
                    self.get_group_state(slot, group);
                }
            }
            ClientMessage::UnsubscribeGroupState { group, ack_id } => {
                self.acked(slot, ack_id, out, |shard, out| {
                    shard.unwatch_group_state(slot, &group, out);
                    Ok(())
                });
            }
        }
    }

    /// Carries out a request at most once for each ack id and acks it, if it has one. Only successes are remembered, so a
    /// failed request may be repeated. Returns whether it was carried out now.
    fn acked(
        &mut self,
        slot: u32,
        ack_id: Option<u64>,
        out: &mut Outputs,
        request: impl FnOnce(&mut Self, &mut Outputs) -> Result<(), AckError>,
    ) -> bool {
        let Some(ack_id) = ack_id else {
            // Without an ack id an error is silent and the connection stays.
            return request(self, out).is_ok();
        };
        if self.is_duplicate(slot, ack_id) {
            self.ack_duplicate(slot, ack_id, out);
            return false;
        }
        match request(self, out) {
            Ok(()) => {
                self.ack_success(slot, ack_id, out);
                true
            }
            Err(error) => {
                self.send_ack(slot, ack_id, Err(&error), out);
                false
            }
        }
    }

    /// Tells whether a request with this ack id has succeeded before.
    pub(super) fn is_duplicate(&self, slot: u32, ack_id: u64) -> bool {
        self.registry
            .get(slot)
            .is_some_and(|connection| connection.acks.contains(ack_id))
    }

    pub(super) fn ack_duplicate(&self, slot: u32, ack_id: u64, out: &mut Outputs) {
        let error = AckError {
            name: AckErrorName::Duplicate,
            message: format!("Message with ack-id: {ack_id} has been processed"),
        };
        self.send_ack(slot, ack_id, Err(&error), out);
    }

    /// Remembers an ack id and acks it.
    pub(super) fn ack_success(&mut self, slot: u32, ack_id: u64, out: &mut Outputs) {
        if let Some(connection) = self.registry.get_mut(slot) {
            connection
                .acks
                .remember(ack_id, self.settings.limits.remembered_ack_ids);
        }
        self.send_ack(slot, ack_id, Ok(()), out);
    }

    pub(super) fn send_ack(
        &self,
        slot: u32,
        ack_id: u64,
        outcome: Result<(), &AckError>,
        out: &mut Outputs,
    ) {
        self.send_control(slot, &ControlMessage::Ack { ack_id, outcome }, out);
    }

    pub(super) fn check(
        &self,
        slot: u32,
        permission: Permission,
        group: &GroupName,
        verb: &str,
    ) -> Result<(), AckError> {
        let is_allowed = self
            .registry
            .get(slot)
            .is_some_and(|connection| connection.permissions.allows(permission, group));
        match is_allowed {
            true => Ok(()),
            false => Err(AckError {
                name: AckErrorName::Forbidden,
                message: format!("The client does not have permission to {verb} group '{group}'."),
            }),
        }
    }
}

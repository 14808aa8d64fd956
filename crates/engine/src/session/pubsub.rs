//! Clients of the PubSub subprotocols: joins, leaves, sends, events and their acks. Source: client-protocols 3.

use hubwire_protocol::close::Close;
use hubwire_protocol::message::{
    AckError, AckErrorName, ClientMessage, ControlMessage, NamedError,
};
use hubwire_protocol::names::GroupName;
use hubwire_protocol::subprotocol::{WireKind, json, protobuf};

use crate::output::{CloseCategory, Outputs};
use crate::permission::Permission;
use crate::session::Publish;
use crate::session::streams::StartStream;
use crate::shard::Shard;
use crate::timers::Time;

impl Shard {
    pub(super) fn json_message(&mut self, now: Time, slot: u32, payload: &[u8], out: &mut Outputs) {
        match json::parse(payload) {
            Ok(message) if self.knows(slot, &message) => {
                self.client_message(now, slot, message, out);
            }
            Ok(_) | Err(_) => self.violation(now, slot, Close::invalid_json_message(), out),
        }
    }

    pub(super) fn protobuf_message(
        &mut self,
        now: Time,
        slot: u32,
        kind: WireKind,
        payload: &[u8],
        out: &mut Outputs,
    ) {
        if kind == WireKind::Text {
            return self.violation(now, slot, Close::protobuf_requires_binary(), out);
        }
        match protobuf::parse(payload) {
            Ok(message) if self.knows(slot, &message) => {
                self.client_message(now, slot, message, out);
            }
            Ok(_) | Err(_) => self.violation(now, slot, Close::invalid_protobuf_message(), out),
        }
    }

    fn violation(&mut self, now: Time, slot: u32, close: Close, out: &mut Outputs) {
        self.close(now, slot, close, CloseCategory::BadRequest, out);
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
                    shard.registry.join(slot, &group, out);
                    Ok(())
                });
            }
            ClientMessage::LeaveGroup { group, ack_id } => {
                self.acked(slot, ack_id, out, |shard, out| {
                    shard.check(slot, Permission::JoinLeaveGroup, &group, "leave")?;
                    shard.leave(slot, &group, out);
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
            ClientMessage::Event { ack_id, .. } => self.event(now, slot, ack_id, out),
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
                ..
            } => self.invoke(slot, &invocation_id, event.is_some(), out),
            // An invocation is answered at once, so there is none that could be cancelled.
            ClientMessage::CancelInvocation { .. } => {}
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

    /// Fails an invocation: nothing handles events.
    fn invoke(&self, slot: u32, invocation_id: &str, is_event: bool, out: &mut Outputs) {
        let (name, message) = match is_event {
            true => ("NotFound", "Nothing handles the event."),
            false => ("BadRequest", "The target of an invocation is an event."),
        };
        let response = ControlMessage::InvokeResponse {
            invocation_id,
            outcome: Err(NamedError { name, message }),
        };
        self.send_control(slot, &response, out);
    }

    /// Fails an event: nothing handles events or listens to them.
    fn event(&mut self, now: Time, slot: u32, ack_id: Option<u64>, out: &mut Outputs) {
        let drops_connection = self.registry.get(slot).is_some_and(|connection| {
            let settings = &self.registry.hub_of(connection).settings;
            settings.drop_connection_on_event_failure
        });
        if drops_connection {
            let close = Close::event_failed();
            self.close(now, slot, close, CloseCategory::EventHandlerNotFound, out);
            return;
        }
        self.acked(slot, ack_id, out, |_, _| {
            Err(AckError {
                name: AckErrorName::InternalServerError,
                message: "Internal server error".to_owned(),
            })
        });
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
        let is_duplicate = self
            .registry
            .get(slot)
            .is_some_and(|connection| connection.acks.contains(ack_id));
        let outcome = match is_duplicate {
            true => Err(AckError {
                name: AckErrorName::Duplicate,
                message: format!("Message with ack-id: {ack_id} has been processed"),
            }),
            false => request(self, out),
        };
        if outcome.is_ok()
            && let Some(connection) = self.registry.get_mut(slot)
        {
            connection
                .acks
                .remember(ack_id, self.settings.limits.remembered_ack_ids);
        }
        let ack = ControlMessage::Ack {
            ack_id,
            outcome: outcome.as_ref().copied(),
        };
        self.send_control(slot, &ack, out);
        outcome.is_ok()
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

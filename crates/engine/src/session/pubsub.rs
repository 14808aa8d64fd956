//! Clients of the PubSub subprotocols: joins, leaves, sends, events and their acks. Source: client-protocols 3.

use hubwire_protocol::close::Close;
use hubwire_protocol::message::{AckError, AckErrorName, ClientMessage, ControlMessage};
use hubwire_protocol::names::GroupName;
use hubwire_protocol::subprotocol::json;

use crate::output::{CloseCategory, Outputs};
use crate::permission::Permission;
use crate::session::Publish;
use crate::shard::Shard;
use crate::timers::Time;

impl Shard {
    pub(super) fn json_message(&mut self, now: Time, slot: u32, payload: &[u8], out: &mut Outputs) {
        match json::parse(payload) {
            Ok(message) => self.client_message(now, slot, message, out),
            Err(_) => {
                let close = Close::invalid_json_message();
                self.close(now, slot, close, CloseCategory::BadRequest, out);
            }
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
                    shard.registry.leave(slot, &group, out);
                    Ok(())
                });
            }
            ClientMessage::SendToGroup {
                group,
                content,
                no_echo,
                ttl_seconds,
                ack_id,
            } => self.acked(slot, ack_id, out, |shard, out| {
                shard.check(slot, Permission::SendToGroup, &group, "send to")?;
                let publish = Publish {
                    group,
                    content,
                    no_echo,
                    ttl_seconds,
                };
                shard.publish(now, slot, publish, out);
                Ok(())
            }),
            ClientMessage::Event { ack_id, .. } => self.event(now, slot, ack_id, out),
            ClientMessage::Ping => self.send_control(slot, &ControlMessage::Pong, out),
            ClientMessage::SequenceAck { .. } => {}
        }
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
    /// failed request may be repeated.
    fn acked(
        &mut self,
        slot: u32,
        ack_id: Option<u64>,
        out: &mut Outputs,
        request: impl FnOnce(&mut Self, &mut Outputs) -> Result<(), AckError>,
    ) {
        let Some(ack_id) = ack_id else {
            // Without an ack id an error is silent and the connection stays.
            request(self, out).ok();
            return;
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
                .remember(ack_id, self.limits.remembered_ack_ids);
        }
        let ack = ControlMessage::Ack {
            ack_id,
            outcome: outcome.as_ref().copied(),
        };
        self.send_control(slot, &ack, out);
    }

    fn check(
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

    fn send_control(&self, slot: u32, message: &ControlMessage<'_>, out: &mut Outputs) {
        let frame = self
            .registry
            .get(slot)
            .and_then(|connection| connection.subprotocol.encode_control(message));
        if let Some(frame) = frame {
            out.send(slot, frame.into());
        }
    }
}

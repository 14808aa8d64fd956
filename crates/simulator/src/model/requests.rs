//! What a client's frames do.

use std::rc::Rc;

use bytes::Bytes;
use hubwire_engine::{CloseCategory, Permission};
use hubwire_protocol::payload::DataType;
use hubwire_protocol::subprotocol::Subprotocol;

use super::rest::To;
use super::{Model, Publication, Selected, Source};
use crate::promise::{Checked, Promise, broken};
use crate::wire::{ClientFrame, ServiceFrame};

/// Why a request fails.
const FORBIDDEN: &str = "Forbidden";

impl Model {
    /// A frame of a client is handled.
    pub(super) fn handle_frame(&mut self, number: usize, frame: &ClientFrame) {
        if self.connections[number].subprotocol == Subprotocol::Simple {
            return self.bare_frame(number, frame);
        }
        match frame {
            ClientFrame::Join { group, .. } => self.acked(number, frame, |model| {
                model.check(number, Permission::JoinLeaveGroup, group)?;
                model.join(number, group);
                Ok(())
            }),
            ClientFrame::Leave { group, .. } => self.acked(number, frame, |model| {
                model.check(number, Permission::JoinLeaveGroup, group)?;
                model.leave(number, group);
                Ok(())
            }),
            ClientFrame::Send {
                group,
                data_type,
                data,
                no_echo,
                ttl_seconds,
                ..
            } => {
                self.acked(number, frame, |model| {
                    model.check(number, Permission::SendToGroup, group)?;
                    let ttl_ms = u64::from(*ttl_seconds) * 1000;
                    let expires = (ttl_ms > 0).then(|| model.turn.now + ttl_ms);
                    let publication = Publication {
                        data_type: *data_type,
                        data: data.clone(),
                        expires,
                        ..model.publication_of(number, group, *no_echo)
                    };
                    model.publish(publication);
                    Ok(())
                });
            }
            ClientFrame::SetState { group, state, .. } => self.acked(number, frame, |model| {
                let connection = &mut model.connections[number];
                if !connection.groups.contains(group) {
                    return Err(FORBIDDEN);
                }
                match state {
                    Some(state) => connection.shown.insert(group, state.clone()),
                    None => connection.shown.remove(group),
                };
                Ok(())
            }),
            ClientFrame::Watch { group, .. } => self.acked(number, frame, |model| {
                if !model.connections[number].groups.contains(group) {
                    model.check(number, Permission::JoinLeaveGroup, group)?;
                }
                let connection = &mut model.connections[number];
                connection.hides_states |= !connection.is_linked();
                connection.watched.entry(group).or_insert(false);
                Ok(())
            }),
            ClientFrame::Unwatch { group, .. } => self.acked(number, frame, |model| {
                model.connections[number].watched.remove(group);
                model.unwatched(number, group);
                Ok(())
            }),
            ClientFrame::Event {
                data_type,
                data,
                ack_id,
            } => self.user_event(number, *data_type, data, *ack_id),
            ClientFrame::Invoke {
                id,
                data_type,
                data,
            } => self.invoke(number, id, *data_type, data),
            ClientFrame::Cancel { id } => self.cancel(number, id),
            ClientFrame::SequenceAck(sequence_id) => {
                if let Some(reliable) = &mut self.connections[number].reliable {
                    reliable.acknowledge(*sequence_id);
                }
            }
            ClientFrame::Ping => self.control(number, ServiceFrame::Pong),
            ClientFrame::StartStream { .. }
            | ClientFrame::Fragment { .. }
            | ClientFrame::KeepStream { .. }
            | ClientFrame::EndStream { .. } => self.stream_frame(number, frame),
            ClientFrame::Bare { .. } | ClientFrame::Nonsense => {
                self.end(number, CloseCategory::BadRequest);
            }
        }
    }

    fn bare_frame(&mut self, number: usize, frame: &ClientFrame) {
        let ClientFrame::Bare { is_text, data } = frame else {
            return;
        };
        let data_type = match is_text {
            true => DataType::Text,
            false => DataType::Binary,
        };
        let Some((group, no_echo)) = self.connections[number].raw_publish else {
            return self.user_event(number, data_type, data, None);
        };
        if self.check(number, Permission::SendToGroup, group).is_err() {
            return self.end(number, CloseCategory::Unauthorized);
        }
        let publication = Publication {
            data_type,
            data: data.clone(),
            ..self.publication_of(number, group, no_echo)
        };
        self.publish(publication);
    }

    /// Makes an empty message of a client to a group.
    pub(super) fn publication_of(
        &self,
        number: usize,
        group: &'static str,
        no_echo: bool,
    ) -> Publication {
        let connection = &self.connections[number];
        Publication {
            from: Source::Client(number),
            to: Selected {
                hub: connection.hub,
                to: To::Group(group),
                excluded: no_echo.then_some(number).into_iter().collect(),
                filter: None,
            },
            group: Some(group),
            user: connection.user,
            data_type: DataType::Text,
            data: Bytes::new(),
            expires: None,
            part: None,
            or_part: None,
        }
    }

    /// Ends a membership, and what goes with it.
    pub(super) fn leave(&mut self, number: usize, group: &'static str) {
        let may_watch = self
            .check(number, Permission::JoinLeaveGroup, group)
            .is_ok();
        let connection = &mut self.connections[number];
        let is_left = connection.groups.remove(group);
        if connection.shown.remove(group).is_some() {
            self.turn.state_changes += 1;
        }
        if !may_watch {
            connection.watched.remove(group);
            self.unwatched(number, group);
        }
        if is_left {
            self.raise_left(number, group);
        }
    }

    fn unwatched(&mut self, number: usize, group: &'static str) {
        if self.turn.handles_held {
            self.turn.unwatched.push((number, group));
        }
    }

    pub(super) fn check(
        &self,
        number: usize,
        permission: Permission,
        group: &str,
    ) -> Result<(), &'static str> {
        match self.connections[number].rights.allow(permission, group) {
            true => Ok(()),
            false => Err(FORBIDDEN),
        }
    }

    fn acked(
        &mut self,
        number: usize,
        frame: &ClientFrame,
        request: impl FnOnce(&mut Self) -> Result<(), &'static str>,
    ) {
        let Some(ack_id) = frame.ack_id() else {
            // What fails without ack id fails in silence.
            let _ = request(self);
            return;
        };
        let outcome = match self.connections[number].remembered.contains(&ack_id) {
            true => Err("Duplicate"),
            false => request(self),
        };
        if outcome.is_ok() {
            self.remember(number, ack_id);
        }
        let error = outcome.err().map(str::to_owned);
        self.control(number, ServiceFrame::Ack { ack_id, error });
    }

    pub(super) fn remember(&mut self, number: usize, ack_id: u64) {
        let remembered = &mut self.connections[number].remembered;
        remembered.push_back(ack_id);
        if remembered.len() > self.settings.remembered_ack_ids {
            remembered.pop_front();
        }
    }

    pub(super) fn control(&mut self, number: usize, frame: ServiceFrame) {
        if self.connections[number].is_linked() {
            self.connections[number].controls.push_back(frame);
        }
    }

    /// The engine sends a frame.
    pub(crate) fn sent(
        &mut self,
        number: usize,
        frame: &ServiceFrame,
        bytes: &Rc<[u8]>,
    ) -> Checked {
        if self.has_ended_now(number) {
            return Ok(());
        }
        let connection = &mut self.connections[number];
        if !connection.is_linked() {
            return broken(
                Promise::OnlyThoseMeant,
                [number],
                format!("it has no socket, or had been closed, and gets {frame:?}"),
            );
        }
        if connection.awaits_connected {
            return self.sent_first(number, frame);
        }
        self.answer_precedes(number, frame)?;
        let connection = &mut self.connections[number];
        match frame {
            ServiceFrame::Data(_) | ServiceFrame::States(_) | ServiceFrame::Bare { .. } => {
                self.sent_message(number, frame, bytes)
            }
            ServiceFrame::StreamAck { stream, expected }
                if connection.controls.front() != Some(frame) =>
            {
                self.sent_stream_ack(number, stream, *expected)
            }
            _ => match connection.controls.pop_front() {
                Some(expected) if expected == *frame => Ok(()),
                expected => broken(
                    Self::promise_of(expected.as_ref().unwrap_or(frame)),
                    [number],
                    format!("it gets {frame:?}, expected {expected:?}"),
                ),
            },
        }
    }

    fn sent_first(&mut self, number: usize, frame: &ServiceFrame) -> Checked {
        let connection = &mut self.connections[number];
        let ServiceFrame::Connected { id, user, token } = frame else {
            return broken(
                Promise::ConnectedFirst,
                [number],
                format!("the first frame is {frame:?}"),
            );
        };
        connection.awaits_connected = false;
        let is_same = connection.id_text.get_or_insert_with(|| id.clone()) == id
            && user.as_deref() == connection.user
            && token.is_some() == connection.reliable.is_some();
        match is_same {
            true => Ok(()),
            false => broken(
                Promise::ConnectedFirst,
                [number],
                format!("it gets {frame:?}"),
            ),
        }
    }

    pub(super) fn promise_of(frame: &ServiceFrame) -> Promise {
        match frame {
            ServiceFrame::Ack { .. } | ServiceFrame::Pong => Promise::OnceForEachAckId,
            ServiceFrame::StreamAck { .. }
            | ServiceFrame::StreamNack { .. }
            | ServiceFrame::StreamClosed { .. } => Promise::Streams,
            ServiceFrame::InvokeResponse { .. } => Promise::Invocations,
            ServiceFrame::Connected { .. } => Promise::ConnectedFirst,
            ServiceFrame::Disconnected => Promise::EndsForAReason,
            ServiceFrame::Data(_) | ServiceFrame::Bare { .. } => Promise::OnlyThoseMeant,
            ServiceFrame::States(_) => Promise::GroupStateConverges,
        }
    }
}

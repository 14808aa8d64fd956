//! What a client's messages do, a file for each kind of client.

mod events;
mod group_state;
mod pubsub;
mod simple;
mod streams;

pub(crate) use group_state::GroupStates;

use std::sync::Arc;

use bytes::Bytes;
use hubwire_protocol::message::{Content, DataMessage, Fragment, From};
use hubwire_protocol::names::GroupName;
use hubwire_protocol::subprotocol::{Format, WireKind};

use crate::command::{Action, Command, Selection, Target};
use crate::input::ConnectionKey;
use crate::outgoing::Message;
use crate::output::{Ended, Output, Outputs};
use crate::session::events::Asked;
use crate::session::streams::Stream;
use crate::shard::Shard;
use crate::timers::Time;

/// What few connections have.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    streams: Vec<Stream>,
    /// When the streams are looked at next, by the timer of which generation of the connection.
    stream_timer: Option<(Time, u32)>,
    /// Groups in which the connection shows a state.
    shown: Vec<GroupName>,
    /// Groups whose states it watches.
    watched: Vec<GroupName>,
    /// Events whose answers it waits for.
    asked: Asked,
}

/// What a client publishes to a group.
struct Publish {
    group: GroupName,
    content: Content,
    /// Set for a part of a stream.
    fragment: Option<Fragment>,
    no_echo: bool,
    ttl_seconds: u16,
}

impl Shard {
    /// Handles a whole message of an active connection.
    pub(crate) fn message(
        &mut self,
        now: Time,
        key: ConnectionKey,
        kind: WireKind,
        payload: &[u8],
        out: &mut Outputs,
    ) {
        let Some(connection) = self.registry.get(key.slot) else {
            return;
        };
        let (slot, format) = (key.slot, connection.subprotocol.format());
        if connection.is_asking() {
            return self.message_while_asking(now, slot, kind, payload, out);
        }
        match format {
            Format::Simple => {
                let data = Bytes::copy_from_slice(payload);
                self.simple_message(now, slot, kind, data, out);
            }
            Format::Json => {
                let parsed = self.parse_json(slot, payload);
                self.parsed_message(now, slot, parsed, out);
            }
            Format::Protobuf => {
                let parsed = self.parse_protobuf(slot, kind, payload);
                self.parsed_message(now, slot, parsed, out);
            }
        }
    }

    /// Ends what an ended connection had beside its memberships, while it is still in its hub.
    pub(crate) fn end_extras(
        &mut self,
        slot: u32,
        ended: &Ended,
        extras: Extras,
        out: &mut Outputs,
    ) {
        for group in &extras.watched {
            self.registry.unwatch(slot, group, out);
        }
        Self::forget_asked(extras.asked, out);
        self.clear_group_states(ended, extras.shown);
        self.cancel_streams(ended, extras.streams);
    }

    fn extras_mut(&mut self, slot: u32) -> Option<&mut Extras> {
        let connection = self.registry.get_mut(slot)?;
        connection.extras.as_deref_mut()
    }

    /// Publishes for a connection that may: here at once, and to the other shards and nodes by the same command.
    fn publish(&mut self, now: Time, slot: u32, publish: Publish, out: &mut Outputs) {
        let Some(connection) = self.registry.get(slot) else {
            return;
        };
        let data = DataMessage {
            from: From::Group {
                group: publish.group.clone(),
                user: connection.user.clone(),
            },
            content: publish.content,
            stream: publish.fragment,
        };
        let command = Command {
            hub: self.registry.hub_of(connection).name.clone(),
            action: Action::Send {
                to: Selection {
                    target: Target::Group(publish.group),
                    excluded: match publish.no_echo {
                        true => self.id_of(slot).into_iter().collect(),
                        false => Vec::new(),
                    },
                    filter: None,
                },
                message: Arc::new(Message::new(data, now, publish.ttl_seconds)),
            },
        };
        self.execute(now, &command, out);
        out.push(Output::Forward {
            from: slot,
            command: Box::new(command),
        });
    }
}

//! What a client's messages do, a file for each kind of client.

mod pubsub;
mod simple;

use std::sync::Arc;

use hubwire_protocol::message::{Content, DataMessage, From};
use hubwire_protocol::names::GroupName;
use hubwire_protocol::subprotocol::{Subprotocol, WireKind};

use crate::command::{Action, Command, Selection, Target};
use crate::input::ConnectionKey;
use crate::outgoing::Message;
use crate::output::{Output, Outputs};
use crate::shard::Shard;
use crate::timers::Time;

/// What a client publishes to a group.
struct Publish {
    group: GroupName,
    content: Content,
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
        match connection.subprotocol {
            Subprotocol::Simple => self.simple_message(now, key.slot, kind, payload, out),
            Subprotocol::Json => self.json_message(now, key.slot, payload, out),
        }
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

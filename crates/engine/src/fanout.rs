//! Target, exclusions and filter to receivers.

use std::borrow::Cow;

use hubwire_protocol::filter::{Filter, Subject};
use hubwire_protocol::names::Hub;
use hubwire_protocol::subprotocol::Subprotocol;

use crate::command::{Selection, Target};
use crate::connection_id::ConnectionId;
use crate::outgoing::{Frame, Message};
use crate::output::{FrameId, Outputs};
use crate::registry::{Connection, Receiver};
use crate::shard::Shard;
use crate::timers::Time;
use crate::unacked::{KeptId, UnackedTotal};

impl Shard {
    /// Sends a message to everybody selected in this shard.
    pub(crate) fn fan_out(
        &mut self,
        now: Time,
        hub: &Hub,
        to: &Selection,
        message: &Message,
        out: &mut Outputs,
    ) {
        let mut frames = FrameIds::default();
        let mut reliable = std::mem::take(&mut self.reliable_receivers);
        self.for_each_selected(hub, to, |receiver| {
            if receiver.subprotocol.is_reliable() {
                reliable.push(receiver.slot);
            } else if let Some(frame) = message.frame(receiver.subprotocol) {
                let frame = frames.of(receiver.subprotocol, frame, out);
                out.deliver(receiver.slot, frame, 0);
            }
        });
        for slot in reliable.drain(..) {
            self.send_numbered(now, slot, message, &mut frames, out);
        }
        frames.let_go(&mut self.unacked);
        self.reliable_receivers = reliable;
    }

    /// Returns the slots of the selected connections.
    pub(crate) fn select(&self, hub: &Hub, selection: &Selection) -> Vec<u32> {
        let mut slots = Vec::new();
        self.for_each_selected(hub, selection, |receiver| slots.push(receiver.slot));
        slots
    }

    fn for_each_selected(&self, hub: &Hub, selection: &Selection, mut each: impl FnMut(Receiver)) {
        let excluded = self.slots_of(hub, &selection.excluded);
        let is_excluded = |slot: u32| !excluded.is_empty() && excluded.binary_search(&slot).is_ok();
        match &selection.filter {
            None => self.for_each(hub, &selection.target, |receiver| {
                if !is_excluded(receiver.slot) {
                    each(receiver);
                }
            }),
            Some(filter) => self.for_each(hub, &selection.target, |receiver| {
                if !is_excluded(receiver.slot) && self.matches(receiver.slot, filter) {
                    each(receiver);
                }
            }),
        }
    }

    fn matches(&self, slot: u32, filter: &Filter) -> bool {
        self.registry.get(slot).is_some_and(|connection| {
            filter.matches(&Candidate {
                shard: self,
                slot,
                connection,
            })
        })
    }

    /// Returns how many connections a target has here.
    pub(crate) fn count(&self, hub: &Hub, target: &Target) -> usize {
        match target {
            Target::All => self.registry.hub_connections(hub).len(),
            Target::Group(group) => self.registry.group_members(hub, group).len(),
            Target::User(user) => self.registry.user_connections(hub, user).count(),
            Target::Connection(id) => usize::from(self.find(hub, id).is_some()),
            Target::Watchers(group) => self.registry.watchers(hub, group).count(),
        }
    }

    pub(crate) fn for_each(&self, hub: &Hub, target: &Target, mut each: impl FnMut(Receiver)) {
        match target {
            Target::All => self
                .registry
                .hub_connections(hub)
                .iter()
                .copied()
                .for_each(each),
            Target::Group(group) => {
                self.registry
                    .group_members(hub, group)
                    .iter()
                    .copied()
                    .for_each(each);
            }
            Target::User(user) => self.registry.user_connections(hub, user).for_each(each),
            Target::Watchers(group) => self.registry.watchers(hub, group).for_each(each),
            Target::Connection(id) => {
                if let Some(slot) = self.find(hub, id)
                    && let Some(connection) = self.registry.get(slot)
                {
                    each(Receiver {
                        slot,
                        subprotocol: connection.subprotocol,
                    });
                }
            }
        }
    }

    /// Returns the sorted slots of those ids that are connections of this shard.
    fn slots_of(&self, hub: &Hub, ids: &[ConnectionId]) -> Vec<u32> {
        let mut slots: Vec<u32> = ids.iter().filter_map(|id| self.find(hub, id)).collect();
        slots.sort_unstable();
        slots
    }
}

/// A connection as a filter sees it.
struct Candidate<'a> {
    shard: &'a Shard,
    slot: u32,
    connection: &'a Connection,
}

impl Subject for Candidate<'_> {
    fn connection_id(&self) -> Cow<'_, str> {
        let id = self.shard.id_of(self.slot);
        Cow::Owned(id.map(|id| id.to_string()).unwrap_or_default())
    }

    fn user_id(&self) -> Option<&str> {
        self.connection.user.as_ref().map(|user| user.as_str())
    }

    fn protocol(&self) -> Option<&str> {
        self.connection.protocol()
    }

    fn is_member(&self, group: &str) -> bool {
        self.shard.registry.is_member(self.connection, group)
    }

    fn group_count(&self) -> usize {
        self.connection.group_count()
    }
}

/// The frames of one message that are already among the outputs, and those that reliable connections of the shard keep.
#[derive(Debug, Default)]
pub(crate) struct FrameIds {
    sent: [Option<FrameId>; Subprotocol::COUNT],
    kept: [Option<KeptId>; Subprotocol::COUNT],
}

impl FrameIds {
    /// Returns the id of the frame that receivers of this subprotocol get.
    pub(crate) fn of(
        &mut self,
        subprotocol: Subprotocol,
        frame: &Frame,
        out: &mut Outputs,
    ) -> FrameId {
        *self.sent[subprotocol.index()].get_or_insert_with(|| out.add_frame(frame.clone()))
    }

    /// Returns what reliable receivers of this subprotocol keep.
    pub(crate) fn kept(
        &mut self,
        subprotocol: Subprotocol,
        frame: &Frame,
        unacked: &mut UnackedTotal,
    ) -> KeptId {
        *self.kept[subprotocol.index()].get_or_insert_with(|| unacked.hold(frame.clone()))
    }

    /// Lets frames go that nobody has kept.
    fn let_go(self, unacked: &mut UnackedTotal) {
        for kept in self.kept.into_iter().flatten() {
            unacked.let_go(kept);
        }
    }
}

//! Target and exclusions to receivers.

use hubwire_protocol::names::Hub;
use hubwire_protocol::subprotocol::Subprotocol;

use crate::command::Target;
use crate::connection_id::ConnectionId;
use crate::outgoing::Message;
use crate::output::{FrameId, Output, Outputs};
use crate::registry::Receiver;
use crate::shard::Shard;

impl Shard {
    /// Sends a message to everybody concerned in this shard.
    pub(crate) fn fan_out(
        &self,
        hub: &Hub,
        to: &Target,
        excluded: &[ConnectionId],
        message: &Message,
        out: &mut Outputs,
    ) {
        let excluded = self.slots_of(hub, excluded);
        let mut frames = [None; Subprotocol::COUNT];
        self.for_each(hub, to, |receiver| {
            if !excluded.is_empty() && excluded.binary_search(&receiver.slot).is_ok() {
                return;
            }
            let frame = frame_for(message, receiver.subprotocol, &mut frames, out);
            out.push(Output::Send {
                to: receiver.slot,
                frame,
            });
        });
    }

    /// Returns the slots of the target's connections, except the excluded ones.
    pub(crate) fn select(&self, hub: &Hub, target: &Target, excluded: &[ConnectionId]) -> Vec<u32> {
        let excluded = self.slots_of(hub, excluded);
        let mut slots = Vec::new();
        self.for_each(hub, target, |receiver| {
            if excluded.binary_search(&receiver.slot).is_err() {
                slots.push(receiver.slot);
            }
        });
        slots
    }

    /// Returns how many connections a target has here.
    pub(crate) fn count(&self, hub: &Hub, target: &Target) -> usize {
        match target {
            Target::All => self.registry.hub_connections(hub).len(),
            Target::Group(group) => self.registry.group_members(hub, group).len(),
            Target::User(user) => self.registry.user_connections(hub, user).count(),
            Target::Connection(id) => usize::from(self.find(hub, id).is_some()),
        }
    }

    fn for_each(&self, hub: &Hub, target: &Target, mut each: impl FnMut(Receiver)) {
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

fn frame_for(
    message: &Message,
    subprotocol: Subprotocol,
    frames: &mut [Option<FrameId>; Subprotocol::COUNT],
    out: &mut Outputs,
) -> FrameId {
    *frames[subprotocol.index()]
        .get_or_insert_with(|| out.add_frame(message.frame(subprotocol).clone(), message.expires()))
}

//! Simple WebSocket clients: payloads without envelope. Source: client-protocols 2.

use bytes::Bytes;
use hubwire_protocol::close::Close;
use hubwire_protocol::message::Content;
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::payload::{DataType, Payload};
use hubwire_protocol::subprotocol::WireKind;

use crate::input::RawMode;
use crate::output::{CloseCategory, Outputs};
use crate::permission::Permission;
use crate::session::Publish;
use crate::shard::Shard;
use crate::timers::Time;

impl Shard {
    pub(super) fn simple_message(
        &mut self,
        now: Time,
        slot: u32,
        kind: WireKind,
        data: Bytes,
        out: &mut Outputs,
    ) {
        let Some(connection) = self.registry.get(slot) else {
            return;
        };
        match connection.raw_mode.as_deref() {
            None | Some(RawMode::Event) => self.simple_event(now, slot, kind, data, out),
            Some(RawMode::Publish { group, no_echo }) => {
                if !connection
                    .permissions
                    .allows(Permission::SendToGroup, group)
                {
                    let close = Close::publish_forbidden();
                    self.close(now, slot, close, CloseCategory::Unauthorized, out);
                    return;
                }
                let publish = Publish {
                    group: group.clone(),
                    content: Content {
                        payload: Payload {
                            data_type: match kind {
                                WireKind::Text => DataType::Text,
                                WireKind::Binary => DataType::Binary,
                            },
                            data,
                        },
                        metadata: Metadata::default(),
                    },
                    fragment: None,
                    no_echo: *no_echo,
                    ttl_seconds: 0,
                };
                self.publish(now, slot, publish, out);
            }
        }
    }
}

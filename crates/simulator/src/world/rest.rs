//! What REST callers do.

use std::sync::Arc;

use hubwire_engine::{Action, Command, Message};
use hubwire_protocol::message::{Content, DataMessage, From};
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::payload::Payload;

use super::World;
use super::inbox::{Letter, Work};
use crate::model::{Publication, Rest, group_name, hub_name};
use crate::promise::Checked;

impl World {
    /// A caller sends a message.
    pub(crate) fn rest_send(&mut self, publication: Publication, ttl_seconds: u16) -> Checked {
        let data = DataMessage {
            from: match publication.group {
                None => From::Server,
                Some(group) => From::Group {
                    group: group_name(group),
                    user: None,
                },
            },
            content: Content {
                payload: Payload {
                    data_type: publication.data_type,
                    data: publication.data.clone(),
                },
                metadata: Metadata::default(),
            },
            stream: None,
        };
        let command = Command {
            hub: hub_name(publication.to.hub),
            action: Action::Send {
                to: self.model.selection(&publication.to),
                message: Arc::new(Message::new(data, self.time(), ttl_seconds)),
            },
        };
        let index = self.model.publish(publication);
        let letter = Letter {
            command: Arc::new(command),
            work: Work::Publication(index),
        };
        let is_accepted = self.post_rest(&letter)?;
        let publication = &self.model.publications[index];
        self.trace.note(self.now, &[], || {
            format!("REST send, accepted: {is_accepted}, publication {index}: {publication:?}")
        });
        Ok(())
    }

    /// A caller does something to connections.
    pub(crate) fn rest_call(&mut self, rest: Rest) -> Checked {
        let command = Arc::new(self.model.command(&rest));
        let text = format!("{rest:?}");
        let is_accepted = self.post_rest(&Letter {
            command,
            work: Work::Rest(rest),
        })?;
        self.note(&[], || {
            format!("REST call, accepted: {is_accepted}: {text}")
        });
        Ok(())
    }
}

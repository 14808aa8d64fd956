use std::sync::Arc;

use hubwire_engine::{
    Command, ConnectionId, ConnectionKey, EventAnswer, HubSettings, Open, Recover, Reply,
};
use hubwire_protocol::names::Hub;
use hubwire_protocol::token::ReconnectionKey;
use tokio::sync::oneshot;

use crate::config::Config;
use crate::firewall::Pass;
use crate::socket::Attach;
use crate::upgrade::hub_settings;

/// What the rest of the process wants of a shard.
#[derive(Debug)]
pub(crate) enum ShardMessage {
    /// Keep a place for a client, about whom a handler is asked.
    Reserve {
        /// For the id.
        random: [u8; 16],
        /// Answered with [`Reply::Reserved`].
        reply: oneshot::Sender<Reply>,
    },
    /// Give up a place that was kept.
    Release {
        /// The place.
        key: ConnectionKey,
    },
    /// Activate a connection.
    Open {
        /// The client.
        open: Box<Open>,
        /// What it has of the firewall, until it ends.
        pass: Pass,
        /// Answered with [`Reply::Opened`].
        reply: oneshot::Sender<Reply>,
    },
    /// Let a client go on with its reliable connection.
    Recover {
        /// Which.
        recover: Recover,
        /// Answered with [`Reply::Recovered`] or [`Reply::NotFound`].
        reply: oneshot::Sender<Reply>,
    },
    /// Here is the socket of an active connection.
    Attach(Box<Attach>),
    /// The socket of an active connection will not come.
    Abandon {
        /// The connection.
        key: ConnectionKey,
    },
    /// An event has its answer.
    Answered {
        /// The connection that raised it.
        connection: ConnectionId,
        /// The number of the question.
        question: u64,
        /// The answer.
        answer: EventAnswer,
    },
    /// Do something to a hub.
    Command {
        /// What.
        command: Arc<Command>,
        /// Answers, if set.
        reply: Option<oneshot::Sender<Reply>>,
    },
    /// The configuration has changed.
    Settings(Arc<ShardUpdate>),
    /// Send all clients away, then return.
    ShutDown,
    /// Drop what is left and return.
    Stop,
}

/// What a shard has to know of a changed configuration.
#[derive(Debug)]
pub(crate) struct ShardUpdate {
    /// Where the settings of hubs are.
    pub(crate) config: Arc<Config>,
    /// Authenticates reconnection tokens from now on.
    pub(crate) reconnection_key: ReconnectionKey,
}

impl ShardUpdate {
    /// Returns the settings that the connections of a hub have from now on.
    pub(super) fn hub_settings(&self, hub: &Hub) -> Arc<HubSettings> {
        let settings = self.config.hubs.get(hub.as_str());
        Arc::new(hub_settings(settings, &self.config.firewall))
    }
}

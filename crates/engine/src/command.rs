use std::sync::Arc;

use hubwire_protocol::names::{GroupName, Hub, UserId};

use crate::connection_id::ConnectionId;
use crate::interest::Bucket;
use crate::outgoing::Message;
use crate::permission::Permission;

/// Connections of a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All of them.
    All,
    /// The members of a group.
    Group(GroupName),
    /// Those of a user.
    User(UserId),
    /// One.
    Connection(ConnectionId),
}

/// Something that is done to a hub, whoever asks: a REST caller, a client, or another node.
#[derive(Clone, Debug)]
pub struct Command {
    /// The hub.
    pub hub: Hub,
    /// What is done.
    pub action: Action,
}

/// Everything that can be done to a hub.
#[derive(Clone, Debug)]
pub enum Action {
    /// Delivers a message. Never answered.
    Send {
        /// Receivers.
        to: Target,
        /// Except these.
        excluded: Vec<ConnectionId>,
        /// The message.
        message: Arc<Message>,
    },
    /// Closes connections; they are gone when the answer comes.
    Close {
        /// Which.
        to: Target,
        /// Except these.
        excluded: Vec<ConnectionId>,
        /// For the client.
        reason: Option<String>,
    },
    /// Makes connections members of a group.
    AddToGroup {
        /// Which.
        members: Target,
        /// The group.
        group: GroupName,
    },
    /// Ends memberships.
    RemoveFromGroup {
        /// Whose.
        members: Target,
        /// In this group, or in all of them.
        group: Option<GroupName>,
    },
    /// Counts connections.
    Count {
        /// Which.
        of: Target,
    },
    /// Lets a connection do something to a group.
    Grant {
        /// The connection.
        connection: ConnectionId,
        /// What it may do.
        permission: Permission,
        /// To which group.
        group: GroupName,
    },
    /// Takes that back, or overrides a role that allows it.
    Revoke {
        /// The connection.
        connection: ConnectionId,
        /// What it may no longer do.
        permission: Permission,
        /// To which group.
        group: GroupName,
    },
    /// Asks whether a connection may do something to a group.
    CheckPermission {
        /// The connection.
        connection: ConnectionId,
        /// What it would do.
        permission: Permission,
        /// To which group.
        group: GroupName,
    },
}

/// Who has to carry out a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The shard that has this connection.
    Owner(ConnectionId),
    /// Every shard with members in this bucket.
    Bucket(Bucket),
}

impl Command {
    /// Returns who has to carry it out.
    pub fn route(&self) -> Route {
        match &self.action {
            Action::Send { to, .. }
            | Action::Close { to, .. }
            | Action::AddToGroup { members: to, .. }
            | Action::RemoveFromGroup { members: to, .. }
            | Action::Count { of: to } => match to {
                Target::All => Route::Bucket(Bucket::of_hub(&self.hub)),
                Target::Group(group) => Route::Bucket(Bucket::of_group(&self.hub, group)),
                Target::User(user) => Route::Bucket(Bucket::of_user(&self.hub, user)),
                Target::Connection(id) => Route::Owner(*id),
            },
            Action::Grant { connection, .. }
            | Action::Revoke { connection, .. }
            | Action::CheckPermission { connection, .. } => Route::Owner(*connection),
        }
    }
}

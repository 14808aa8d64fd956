use std::sync::Arc;

use hubwire_protocol::filter::Filter;
use hubwire_protocol::names::{GroupName, Hub, UserId};
use hubwire_protocol::state::GroupState;

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
    /// Those who watch the states of a group.
    Watchers(GroupName),
}

/// Those connections of a target that are not left out.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Who could be meant.
    pub target: Target,
    /// Who is not.
    pub excluded: Vec<ConnectionId>,
    /// What the others must match, if anything.
    pub filter: Option<Arc<Filter>>,
}

impl From<Target> for Selection {
    fn from(target: Target) -> Self {
        Self {
            target,
            excluded: Vec::new(),
            filter: None,
        }
    }
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
        /// To whom.
        to: Selection,
        /// The message.
        message: Arc<Message>,
    },
    /// Closes connections; they are gone when the answer comes.
    Close {
        /// Which.
        connections: Selection,
        /// For the client.
        reason: Option<String>,
    },
    /// Makes connections members of groups. All of them are selected before the first is changed.
    AddToGroups {
        /// Which.
        members: Selection,
        /// The groups.
        groups: Vec<GroupName>,
    },
    /// Ends memberships. All connections are selected before the first is changed.
    RemoveFromGroups {
        /// Whose.
        members: Selection,
        /// In these groups; `None` is all of them.
        groups: Option<Vec<GroupName>>,
    },
    /// Counts connections.
    Count {
        /// Which.
        of: Target,
    },
    /// Lists connections in the order of their ids as text.
    ListConnections {
        /// Which.
        of: Target,
        /// Behind this one; it need not exist any more.
        after: Option<ConnectionId>,
        /// At most so many.
        limit: usize,
    },
    /// Lists the groups that connections are in, in the order of their names.
    ListGroups {
        /// Which connections.
        of: Target,
        /// Behind this one; it need not exist any more.
        after: Option<GroupName>,
        /// At most so many.
        limit: usize,
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
    /// Changes what a connection shows of itself in a group. For the group's home.
    SetGroupState {
        /// The connection.
        connection: ConnectionId,
        /// Its user.
        user: Option<UserId>,
        /// The group.
        group: GroupName,
        /// The entries; `None` clears them.
        state: Option<GroupState>,
    },
    /// Wants the states of a group for one who watches it from now on. For the group's home.
    GetGroupState {
        /// Who watches.
        watcher: ConnectionId,
        /// The group.
        group: GroupName,
    },
    /// Brings them.
    GroupStateSnapshot {
        /// Who watches.
        watcher: ConnectionId,
        /// The group.
        group: GroupName,
        /// The states.
        message: Arc<Message>,
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
    /// The bucket's home, if every shard with members in it has room for what follows.
    Home(Bucket),
}

impl Command {
    /// Returns who has to carry it out.
    pub fn route(&self) -> Route {
        match &self.action {
            Action::Send { to: selection, .. }
            | Action::Close {
                connections: selection,
                ..
            }
            | Action::AddToGroups {
                members: selection, ..
            }
            | Action::RemoveFromGroups {
                members: selection, ..
            } => self.route_to(&selection.target),
            Action::Count { of }
            | Action::ListConnections { of, .. }
            | Action::ListGroups { of, .. } => self.route_to(of),
            Action::Grant { connection, .. }
            | Action::Revoke { connection, .. }
            | Action::CheckPermission { connection, .. }
            | Action::GroupStateSnapshot {
                watcher: connection,
                ..
            } => Route::Owner(*connection),
            Action::SetGroupState { group, .. } | Action::GetGroupState { group, .. } => {
                Route::Home(Bucket::of_group_state(&self.hub, group))
            }
        }
    }

    fn route_to(&self, target: &Target) -> Route {
        match target {
            Target::All => Route::Bucket(Bucket::of_hub(&self.hub)),
            Target::Group(group) => Route::Bucket(Bucket::of_group(&self.hub, group)),
            Target::User(user) => Route::Bucket(Bucket::of_user(&self.hub, user)),
            Target::Connection(id) => Route::Owner(*id),
            Target::Watchers(group) => Route::Bucket(Bucket::of_group_state(&self.hub, group)),
        }
    }
}

//! What a REST caller wants, in the words of the model and of the engine.

use std::sync::Arc;

use hubwire_engine::{Action, Bucket, Command, ConnectionId, Permission, Reply, Selection, Target};
use hubwire_protocol::filter::Filter;
use hubwire_protocol::names::{GroupName, Hub, UserId};

use super::{Connection, Model};
use crate::settings::NODE;

/// Connections of a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    All,
    Group(&'static str),
    User(&'static str),
    Client(usize),
    /// A connection that never was.
    Nobody,
}

/// What the connections of a selection must have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Having {
    User(&'static str),
    NoUser,
    Group(&'static str),
    NotGroup(&'static str),
}

/// Those that are meant.
#[derive(Clone, Debug)]
pub(crate) struct Selected {
    pub(crate) hub: &'static str,
    pub(crate) to: To,
    pub(crate) excluded: Vec<usize>,
    pub(crate) filter: Option<Having>,
}

/// What is done to them.
#[derive(Clone, Debug)]
pub(crate) enum Done {
    Close,
    Add(Vec<&'static str>),
    Remove(Option<Vec<&'static str>>),
    Count,
    Grant(Permission, &'static str),
    Revoke(Permission, &'static str),
    CheckPermission(Permission, &'static str),
}

/// A REST call that is answered.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    pub(crate) selected: Selected,
    pub(crate) done: Done,
}

impl Having {
    fn matches(self, connection: &Connection) -> bool {
        match self {
            Self::User(user) => connection.user == Some(user),
            Self::NoUser => connection.user.is_none(),
            Self::Group(group) => connection.groups.contains(group),
            Self::NotGroup(group) => !connection.groups.contains(group),
        }
    }

    fn text(self) -> String {
        match self {
            Self::User(user) => format!("userId eq '{user}'"),
            Self::NoUser => "userId eq null".to_owned(),
            Self::Group(group) => format!("'{group}' in groups"),
            Self::NotGroup(group) => format!("not('{group}' in groups)"),
        }
    }
}

impl Model {
    /// Returns the active connections that are meant, of one shard or of all.
    pub(super) fn selected(&self, selected: &Selected, shard: Option<usize>) -> Vec<usize> {
        let is_meant = |number: usize| {
            let connection = &self.connections[number];
            let is_target = match selected.to {
                To::All => true,
                To::Group(group) => connection.groups.contains(group),
                To::User(user) => connection.user == Some(user),
                To::Client(client) => client == number,
                To::Nobody => false,
            };
            is_target
                && connection.is_active
                && connection.hub == selected.hub
                && shard.is_none_or(|shard| connection.shard == shard)
                && !selected.excluded.contains(&number)
                && selected
                    .filter
                    .is_none_or(|filter| filter.matches(connection))
        };
        (0..self.connections.len())
            .filter(|&number| is_meant(number))
            .collect()
    }

    /// Returns the shards that a REST call must reach, whatever its filter and its exclusions.
    pub(crate) fn shards_meant(&self, selected: &Selected) -> u64 {
        let everybody = Selected {
            excluded: Vec::new(),
            filter: None,
            ..selected.clone()
        };
        let selected = self.selected(&everybody, None).into_iter();
        selected.fold(0, |mask, number| mask | 1 << self.connections[number].shard)
    }

    /// A REST call reaches a shard. Returns what must be answered.
    pub(crate) fn rest(&mut self, rest: &Rest, shard: usize) -> Reply {
        let selected = self.selected(&rest.selected, Some(shard));
        let one = selected.first().copied();
        match &rest.done {
            Done::Close => {
                for &number in &selected {
                    self.end(number, hubwire_engine::CloseCategory::ClosedByAppServer);
                }
            }
            Done::Add(groups) => {
                for &number in &selected {
                    for group in groups {
                        self.join(number, group);
                    }
                }
            }
            Done::Remove(groups) => {
                for &number in &selected {
                    let joined = || self.connections[number].groups.iter().copied().collect();
                    for group in groups.clone().unwrap_or_else(joined) {
                        self.leave(number, group);
                    }
                }
            }
            Done::Count => {}
            Done::Grant(permission, group) | Done::Revoke(permission, group) => {
                let is_allowed = matches!(rest.done, Done::Grant(..));
                let Some(number) = one else {
                    return Reply::NotFound;
                };
                self.connections[number]
                    .rights
                    .set(*permission, group, is_allowed);
            }
            Done::CheckPermission(permission, group) => {
                return match one.map(|number| self.check(number, *permission, group)) {
                    None => Reply::NotFound,
                    Some(Ok(())) => Reply::Matched(1),
                    Some(Err(_)) => Reply::Denied,
                };
            }
        }
        Reply::Matched(selected.len())
    }

    /// Returns the engine's words for those that are meant.
    pub(crate) fn selection(&self, selected: &Selected) -> Selection {
        Selection {
            target: self.target(selected.to),
            excluded: selected
                .excluded
                .iter()
                .map(|&number| self.id(number))
                .collect(),
            filter: selected.filter.map(|filter| {
                let filter = Filter::parse(&filter.text()).expect("the filter is well-formed");
                Arc::new(filter)
            }),
        }
    }

    /// Returns the engine's words for a REST call.
    pub(crate) fn command(&self, rest: &Rest) -> Command {
        let selection = self.selection(&rest.selected);
        let connection = match rest.selected.to {
            To::Client(number) => self.id(number),
            To::All | To::Group(_) | To::User(_) | To::Nobody => nobody(),
        };
        let names = |groups: &[&str]| groups.iter().map(|group| group_name(group)).collect();
        let action = match &rest.done {
            Done::Close => Action::Close {
                connections: selection,
                reason: None,
            },
            Done::Add(groups) => Action::AddToGroups {
                members: selection,
                groups: names(groups),
            },
            Done::Remove(groups) => Action::RemoveFromGroups {
                members: selection,
                groups: groups.as_ref().map(|groups| names(groups)),
            },
            Done::Count => Action::Count {
                of: selection.target,
            },
            Done::Grant(permission, group) => Action::Grant {
                connection,
                permission: *permission,
                group: group_name(group),
            },
            Done::Revoke(permission, group) => Action::Revoke {
                connection,
                permission: *permission,
                group: group_name(group),
            },
            Done::CheckPermission(permission, group) => Action::CheckPermission {
                connection,
                permission: *permission,
                group: group_name(group),
            },
        };
        Command {
            hub: hub_name(rest.selected.hub),
            action,
        }
    }

    fn target(&self, to: To) -> Target {
        match to {
            To::All => Target::All,
            To::Group(group) => Target::Group(group_name(group)),
            To::User(user) => Target::User(user_id(user)),
            To::Client(number) => Target::Connection(self.id(number)),
            To::Nobody => Target::Connection(nobody()),
        }
    }

    fn id(&self, number: usize) -> ConnectionId {
        self.connections[number].id.unwrap_or_else(nobody)
    }
}

/// Returns an id that no connection has.
fn nobody() -> ConnectionId {
    ConnectionId {
        node: NODE,
        shard: 0,
        slot: 0,
        random: [0xEE; 16],
    }
}

/// Returns the buckets that a connection is in.
pub(super) fn buckets_of(connection: &Connection) -> Vec<usize> {
    let hub = hub_name(connection.hub);
    let mut buckets = vec![Bucket::of_hub(&hub)];
    buckets.extend(
        connection
            .user
            .map(|user| Bucket::of_user(&hub, &user_id(user))),
    );
    let groups = connection.groups.iter();
    buckets.extend(groups.map(|group| Bucket::of_group(&hub, &group_name(group))));
    let watched = connection.watched.keys();
    buckets.extend(watched.map(|group| Bucket::of_group_state(&hub, &group_name(group))));
    buckets.into_iter().map(Bucket::index).collect()
}

pub(crate) fn hub_name(hub: &str) -> Hub {
    Hub::new(hub).expect("a hub name")
}

pub(crate) fn group_name(group: &str) -> GroupName {
    GroupName::new(group).expect("a group name")
}

pub(crate) fn user_id(user: &str) -> UserId {
    UserId::new(user).expect("a user id")
}

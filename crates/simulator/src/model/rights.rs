//! What roles, grants and revocations allow.

use std::collections::BTreeMap;

use hubwire_engine::Permission;

use crate::random::Random;
use crate::settings::GROUPS;

/// Roles for one permission: the end of the role's name, and the groups that it allows.
type Role = (&'static str, &'static [&'static str]);

const ROLES: [Role; 9] = [
    ("Group", &GROUPS),
    ("Group", &GROUPS),
    ("Group", &GROUPS),
    ("Group", &GROUPS),
    ("Group.g0", &["g0"]),
    ("Groups.g*", &["g0", "g1"]),
    ("Groups.h.?", &["h.2"]),
    ("Groups.**", &GROUPS),
    ("Groups.h*", &[]),
];

/// The roles of a client.
#[derive(Clone, Debug)]
pub(crate) struct Roles {
    send: Option<Role>,
    join: Option<Role>,
}

impl Roles {
    pub(crate) fn choose(random: &mut Random) -> Self {
        let role = |random: &mut Random| random.percent(95).then(|| random.pick(&ROLES));
        Self {
            send: role(random),
            join: role(random),
        }
    }

    /// Returns the roles as they stand in a token.
    pub(crate) fn names(&self) -> Vec<String> {
        let send = self.send.map(|(end, _)| format!("webpubsub.sendTo{end}"));
        let join = self
            .join
            .map(|(end, _)| format!("webpubsub.joinLeave{end}"));
        send.into_iter().chain(join).collect()
    }

    fn allow(&self, permission: Permission, group: &str) -> bool {
        let role = match permission {
            Permission::SendToGroup => &self.send,
            Permission::JoinLeaveGroup => &self.join,
        };
        role.is_some_and(|(_, groups)| groups.contains(&group))
    }
}

/// What a connection may do.
#[derive(Debug)]
pub(crate) struct Rights {
    roles: Roles,
    send: BTreeMap<&'static str, bool>,
    join: BTreeMap<&'static str, bool>,
}

impl Rights {
    pub(crate) fn new(roles: Roles) -> Self {
        Self {
            roles,
            send: BTreeMap::new(),
            join: BTreeMap::new(),
        }
    }

    pub(crate) fn allow(&self, permission: Permission, group: &str) -> bool {
        let later = match permission {
            Permission::SendToGroup => &self.send,
            Permission::JoinLeaveGroup => &self.join,
        };
        match later.get(group) {
            Some(is_allowed) => *is_allowed,
            None => self.roles.allow(permission, group),
        }
    }

    /// Allows something from now on, or forbids it.
    pub(crate) fn set(&mut self, permission: Permission, group: &'static str, is_allowed: bool) {
        match permission {
            Permission::SendToGroup => self.send.insert(group, is_allowed),
            Permission::JoinLeaveGroup => self.join.insert(group, is_allowed),
        };
    }
}

//! Roles, grants and the check. Source: client-protocols 8, rest-api 4.

use std::collections::HashMap;

use hubwire_protocol::names::GroupName;
use hubwire_protocol::pattern::Pattern;

/// Literal group rules that a connection may hold for each permission.
pub const PERMISSION_RULES_MAX: usize = 1000;
/// Patterns that a connection keeps for each permission; further ones are ignored.
const PATTERNS_MAX: usize = 9;

/// What a connection may do to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Publish to it.
    SendToGroup,
    /// Join and leave it.
    JoinLeaveGroup,
}

/// What a connection may do, from its roles and from later grants.
#[derive(Clone, Debug, Default)]
pub struct Permissions {
    send_to_group: Rules,
    join_leave_group: Rules,
}

#[derive(Clone, Debug, Default)]
struct Rules {
    /// The unrestricted role.
    allows_all: bool,
    /// Most connections have none.
    details: Option<Box<Details>>,
}

#[derive(Clone, Debug, Default)]
struct Details {
    patterns: Vec<Pattern>,
    groups: HashMap<GroupName, bool>,
}

/// A permission already holds [`PERMISSION_RULES_MAX`] literal rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyRules;

impl Permissions {
    /// Reads role strings. Returns the permissions with the number of roles that had no effect: unknown, invalid, or beyond
    /// a limit.
    pub fn from_roles<'a>(roles: impl IntoIterator<Item = &'a str>) -> (Self, usize) {
        let mut permissions = Self::default();
        let ignored = roles
            .into_iter()
            .filter(|role| permissions.add_role(role).is_none())
            .count();
        (permissions, ignored)
    }

    fn add_role(&mut self, role: &str) -> Option<()> {
        let role = role.strip_prefix("webpubsub.")?;
        let (kind, name) = match role.split_once('.') {
            Some((kind, name)) => (kind, Some(name)),
            None => (role, None),
        };
        match (kind, name) {
            ("sendToGroup", None) => self.send_to_group.allows_all = true,
            ("joinLeaveGroup", None) => self.join_leave_group.allows_all = true,
            ("sendToGroup", Some(name)) => self.send_to_group.add_literal(name)?,
            ("joinLeaveGroup", Some(name)) => self.join_leave_group.add_literal(name)?,
            ("sendToGroups", Some(pattern)) => self.send_to_group.add_pattern(pattern)?,
            ("joinLeaveGroups", Some(pattern)) => self.join_leave_group.add_pattern(pattern)?,
            _ => return None,
        }
        Some(())
    }

    /// Tells whether the connection may do this to the group.
    pub fn allows(&self, permission: Permission, group: &GroupName) -> bool {
        self.rules(permission).allows(group)
    }

    /// Allows it from now on.
    pub(crate) fn grant(
        &mut self,
        permission: Permission,
        group: &GroupName,
    ) -> Result<(), TooManyRules> {
        self.rules_mut(permission).set(group, true)
    }

    /// Forbids it from now on, whatever the roles say.
    pub(crate) fn revoke(
        &mut self,
        permission: Permission,
        group: &GroupName,
    ) -> Result<(), TooManyRules> {
        self.rules_mut(permission).set(group, false)
    }

    fn rules(&self, permission: Permission) -> &Rules {
        match permission {
            Permission::SendToGroup => &self.send_to_group,
            Permission::JoinLeaveGroup => &self.join_leave_group,
        }
    }

    fn rules_mut(&mut self, permission: Permission) -> &mut Rules {
        match permission {
            Permission::SendToGroup => &mut self.send_to_group,
            Permission::JoinLeaveGroup => &mut self.join_leave_group,
        }
    }
}

impl Rules {
    fn allows(&self, group: &GroupName) -> bool {
        let Some(details) = &self.details else {
            return self.allows_all;
        };
        match details.groups.get(group) {
            Some(is_allowed) => *is_allowed,
            None => {
                self.allows_all
                    || details
                        .patterns
                        .iter()
                        .any(|pattern| pattern.matches(group.as_str()))
            }
        }
    }

    /// Makes the answer for a group `is_allowed`. A literal rule to the contrary is taken back, so that the roles count again; a new
    /// one is only made where they say otherwise.
    fn set(&mut self, group: &GroupName, is_allowed: bool) -> Result<(), TooManyRules> {
        if self.allows(group) == is_allowed {
            return Ok(());
        }
        if let Some(details) = &mut self.details {
            details.groups.remove(group);
        }
        if self.allows(group) == is_allowed {
            return Ok(());
        }
        let details = self.details.get_or_insert_default();
        if details.groups.len() >= PERMISSION_RULES_MAX {
            return Err(TooManyRules);
        }
        details.groups.insert(group.clone(), is_allowed);
        Ok(())
    }

    fn add_literal(&mut self, name: &str) -> Option<()> {
        let group = GroupName::new(name).ok()?;
        let details = self.details.get_or_insert_default();
        if details.groups.len() >= PERMISSION_RULES_MAX {
            return None;
        }
        details.groups.insert(group, true);
        Some(())
    }

    fn add_pattern(&mut self, text: &str) -> Option<()> {
        let pattern = Pattern::parse(text)?;
        if pattern.is_everything() {
            self.allows_all = true;
            return Some(());
        }
        if let Some(name) = pattern.literal() {
            return self.add_literal(&name);
        }
        let details = self.details.get_or_insert_default();
        if details.patterns.contains(&pattern) {
            return Some(());
        }
        if details.patterns.len() >= PATTERNS_MAX {
            return None;
        }
        details.patterns.push(pattern);
        Some(())
    }
}

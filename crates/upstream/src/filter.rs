//! Which events a handler or a listener wants. Source: events-and-operations 2.2, 2.3.

use hubwire_protocol::names::{EventName, GroupName};
use hubwire_protocol::pattern::Pattern;

/// An event of the service's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemEvent {
    /// A client wants to connect; never for listeners.
    Connect,
    /// A connection is there.
    Connected,
    /// A connection is gone.
    Disconnected,
}

impl SystemEvent {
    /// Parses a name; letter case does not matter.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Connect, Self::Connected, Self::Disconnected]
            .into_iter()
            .find(|event| name.eq_ignore_ascii_case(event.as_str()))
    }

    /// Returns the official name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
        }
    }
}

/// Which user events: all, none, or those with certain names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserEventPattern(Names);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    All,
    /// In lower case.
    These(Vec<String>),
}

impl Default for Names {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

impl UserEventPattern {
    /// Parses `*`, a name, or names with commas between them; empty for none. There are no wildcards in names, and letter case
    /// does not matter.
    pub fn parse(text: &str) -> Self {
        if text.trim() == "*" {
            return Self(Names::All);
        }
        let names = text.split(',').map(str::trim);
        let names = names.filter(|name| !name.is_empty());
        Self(Names::These(names.map(str::to_ascii_lowercase).collect()))
    }

    /// Tells whether an event is among them.
    pub fn matches(&self, event: &EventName) -> bool {
        match &self.0 {
            Names::All => true,
            Names::These(names) => names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(event.as_str())),
        }
    }
}

/// An event of a connection and a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresenceEvent {
    /// The connection became a member.
    Joined,
    /// It is no longer one.
    Left,
}

impl PresenceEvent {
    /// Parses a name; letter case does not matter.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Joined, Self::Left]
            .into_iter()
            .find(|event| name.eq_ignore_ascii_case(event.as_str()))
    }

    /// Returns the official name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Left => "left",
        }
    }
}

/// Which group presence events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupPresence {
    /// Empty for none.
    pub event_names: Vec<PresenceEvent>,
    /// Of which groups; empty for all.
    pub group_filters: Vec<Pattern>,
}

impl GroupPresence {
    /// Tells whether an event is among them.
    pub fn matches(&self, event: PresenceEvent, group: &GroupName) -> bool {
        self.event_names.contains(&event)
            && (self.group_filters.is_empty()
                || self
                    .group_filters
                    .iter()
                    .any(|filter| filter.matches(group.as_str())))
    }
}

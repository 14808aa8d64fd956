//! Checked names. Each is a shared string, cheap to clone, that has passed the official rules once.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Longest group name. UTF-16 code units.
pub const GROUP_NAME_MAX: usize = 1024;
/// Longest hub or event name. ASCII characters.
pub const HUB_NAME_MAX: usize = 128;
/// Longest stream id. Bytes. Source: client-protocols 3.8 (ours).
pub const STREAM_ID_MAX: usize = 256;
/// Longest user id. UTF-16 code units. Source: rest-api 6 (ours; no bound is published).
pub const USER_ID_MAX: usize = 1024;

/// The text is not a valid name of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a hub name.
    #[error("Invalid hub name.")]
    Hub,
    /// Not a group name.
    #[error("Invalid group name.")]
    Group,
    /// Not a user id.
    #[error("Invalid user ID.")]
    User,
    /// Not an event name.
    #[error("Invalid event name.")]
    Event,
    /// Not a stream id.
    #[error("Invalid stream ID.")]
    Stream,
}

macro_rules! shared_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

shared_name! {
    /// Isolation scope of connections. Compared without case, hence kept in lower case.
    Hub
}
shared_name! {
    /// A named set of connections in a hub. Case-sensitive.
    GroupName
}
shared_name! {
    /// The identity that owns connections. Case-sensitive, never empty.
    UserId
}
shared_name! {
    /// The name of a user event.
    EventName
}
shared_name! {
    /// A publisher's name for one of its streams.
    StreamId
}

impl Hub {
    /// Checks and lower-cases a hub name: a letter, then up to 127 letters, digits, or one of `` _`,.[] ``.
    ///
    /// # Errors
    ///
    /// [`NameError::Hub`] for any other text.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let is_valid = name.len() <= HUB_NAME_MAX
            && name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_`,.[]".contains(&byte));
        match is_valid {
            true => Ok(Self(name.to_ascii_lowercase().into())),
            false => Err(NameError::Hub),
        }
    }
}

impl GroupName {
    /// Checks a group name: 1 to 1,024 UTF-16 code units, not only white space.
    ///
    /// # Errors
    ///
    /// [`NameError::Group`] for any other text.
    pub fn new(name: &str) -> Result<Self, NameError> {
        match is_group_name(name) {
            true => Ok(Self(name.into())),
            false => Err(NameError::Group),
        }
    }
}

/// Tells whether `name` may name a group, without making a [`GroupName`] of it.
pub fn is_group_name(name: &str) -> bool {
    !is_blank(name) && is_within(name, GROUP_NAME_MAX)
}

impl UserId {
    /// Checks a user id: at least one character that is not white space, at most 1,024 UTF-16 code units.
    ///
    /// # Errors
    ///
    /// [`NameError::User`] for any other text.
    pub fn new(id: &str) -> Result<Self, NameError> {
        match !is_blank(id) && is_within(id, USER_ID_MAX) {
            true => Ok(Self(id.into())),
            false => Err(NameError::User),
        }
    }
}

impl EventName {
    /// Returns the name of the events that simple clients raise.
    pub fn message() -> Self {
        Self("message".into())
    }

    /// Checks an event name: a letter, then up to 127 letters, digits, or one of `_.-`.
    ///
    /// # Errors
    ///
    /// [`NameError::Event`] for any other text.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let is_valid = name.len() <= HUB_NAME_MAX
            && name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        match is_valid {
            true => Ok(Self(name.into())),
            false => Err(NameError::Event),
        }
    }
}

impl StreamId {
    /// Checks a stream id: 1 to 256 bytes.
    ///
    /// # Errors
    ///
    /// [`NameError::Stream`] for any other text.
    pub fn new(id: &str) -> Result<Self, NameError> {
        match !id.is_empty() && id.len() <= STREAM_ID_MAX {
            true => Ok(Self(id.into())),
            false => Err(NameError::Stream),
        }
    }
}

fn is_blank(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}

fn is_within(text: &str, utf16_max: usize) -> bool {
    text.len() <= utf16_max || text.encode_utf16().count() <= utf16_max
}

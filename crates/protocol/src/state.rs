//! Group state: what connections show of themselves in a group. Source: client-protocols 3.10.

use crate::entries::Entries;
use crate::metadata::{KEY_MAX, TOTAL_MAX, VALUE_MAX};
use crate::names::UserId;

/// An entry breaks a limit of group state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupStateError {
    /// A key is empty or longer than 256 bytes.
    #[error("a key is empty or exceeds 256 bytes")]
    Key,
    /// A value is longer than 1024 bytes.
    #[error("a value exceeds 1024 bytes")]
    Value,
    /// All entries together are longer than 8192 bytes.
    #[error("the state exceeds 8192 bytes")]
    Total,
    /// A key is there already.
    #[error("a key is given more than once")]
    DuplicateKey,
}

/// Checked entries of one connection's state in one group, in the order they were given. The limits are those of metadata, but
/// any text is allowed, since it never becomes an HTTP header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupState(Entries);

impl GroupState {
    /// Adds an entry.
    ///
    /// # Errors
    ///
    /// The first limit that it breaks; the state is then unchanged.
    pub fn insert(&mut self, key: String, value: String) -> Result<(), GroupStateError> {
        if key.is_empty() || key.len() > KEY_MAX {
            return Err(GroupStateError::Key);
        }
        if value.len() > VALUE_MAX {
            return Err(GroupStateError::Value);
        }
        if self.0.total_with(&key, &value) > TOTAL_MAX {
            return Err(GroupStateError::Total);
        }
        self.0
            .insert(key, value)
            .map_err(|_| GroupStateError::DuplicateKey)
    }

    /// Returns the entries in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter()
    }
}

/// The state of one connection in a group, as subscribers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateItem {
    /// The connection's id.
    pub connection_id: String,
    /// Its user, if any.
    pub user: Option<UserId>,
    /// The entries; `None` where they were cleared.
    pub state: Option<GroupState>,
    /// Milliseconds since 1970, later than of any earlier change in the group.
    pub updated_at: u64,
}

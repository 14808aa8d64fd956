//! Metadata that travels with a message: names and values beside the payload. Source: client-protocols 3.4, rest-api 2.4.

use crate::entries::Entries;

/// Longest metadata key. Bytes.
pub const KEY_MAX: usize = 256;
/// Longest metadata value. Bytes.
pub const VALUE_MAX: usize = 1024;
/// Longest sum of all keys and values. Bytes.
pub const TOTAL_MAX: usize = 8192;

/// An entry breaks a rule of metadata. The text is the one REST callers get.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The key is empty or holds what an HTTP header name cannot.
    #[error("Metadata key '{0}' contains invalid characters.")]
    KeyCharacters(String),
    /// The key is longer than [`KEY_MAX`].
    #[error("Metadata key '{0}' exceeds 256 bytes.")]
    KeyLength(String),
    /// The value of this key is longer than [`VALUE_MAX`].
    #[error("Metadata value for key '{0}' exceeds 1024 bytes.")]
    ValueLength(String),
    /// The value of this key holds other than printable ASCII and tabs.
    #[error("Metadata value for key '{0}' must be ASCII.")]
    ValueCharacters(String),
    /// All entries together are longer than [`TOTAL_MAX`].
    #[error("Metadata exceeds 8192 bytes.")]
    TotalLength,
    /// The key is there already.
    #[error("Metadata key '{0}' is given more than once.")]
    DuplicateKey(String),
}

/// Checked metadata, in the order it was given. Keys keep their letter case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(Entries);

impl Metadata {
    /// Adds an entry.
    ///
    /// # Errors
    ///
    /// The first rule that it breaks; the metadata is then unchanged.
    pub fn insert(&mut self, key: String, value: String) -> Result<(), MetadataError> {
        if key.is_empty() || !key.bytes().all(is_token) {
            return Err(MetadataError::KeyCharacters(key));
        }
        if key.len() > KEY_MAX {
            return Err(MetadataError::KeyLength(key));
        }
        if value.len() > VALUE_MAX {
            return Err(MetadataError::ValueLength(key));
        }
        if !value
            .bytes()
            .all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
        {
            return Err(MetadataError::ValueCharacters(key));
        }
        if self.0.total_with(&key, &value) > TOTAL_MAX {
            return Err(MetadataError::TotalLength);
        }
        self.0
            .insert(key, value)
            .map_err(MetadataError::DuplicateKey)
    }

    /// Returns the entries in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter()
    }

    /// Tells whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

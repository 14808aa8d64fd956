//! Why a configuration cannot be used.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Says why a configuration cannot be used; its text names the place, the key and the way out, and never a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}: {source}; check --config and HUBWIRE_CONFIG", path.display())]
    Unreadable {
        /// File that was asked for.
        path: PathBuf,
        /// Answer of the operating system.
        source: std::io::Error,
    },
    /// A value, a key or a combination of them is refused.
    #[error("{place}: {reason}")]
    Invalid {
        /// Where the refused text stands.
        place: Place,
        /// What is wrong with it and what would be right.
        reason: String,
    },
}

/// Names where a setting was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A position in the configuration file, both counted from 1.
    File {
        /// File as it was named to us.
        path: Arc<Path>,
        /// Line.
        line: usize,
        /// Column in characters.
        column: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A command line flag.
    Flag(&'static str),
    /// Nobody set it.
    Default,
}

impl Place {
    pub(super) fn refuse(&self, reason: impl Into<String>) -> ConfigError {
        ConfigError::Invalid {
            place: self.clone(),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Default => f.write_str("default"),
        }
    }
}

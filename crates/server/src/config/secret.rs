//! Text that must not be seen.

use std::fmt;

pub use hubwire_upstream::Secret;

/// Key that every emulator user knows; accepted on loopback, refused elsewhere unless explicitly allowed.
pub const DEVELOPMENT_KEY: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH";

/// Holds a secret together with the text that stands for it in the file, references included.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText {
    written: String,
    secret: Secret,
}

impl SecretText {
    /// Wraps a secret that was written as it is.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            written: text.clone(),
            secret: Secret::new(text),
        }
    }

    /// Joins the parts of a text.
    pub(super) fn of_parts(written: &str, parts: &[Part]) -> Self {
        Self {
            written: written.to_owned(),
            secret: joined(parts),
        }
    }

    /// Returns what the text stands for.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Returns the text with its references, which may hold secrets between them.
    pub(super) fn written(&self) -> &str {
        &self.written
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Holds the keys that sign and verify tokens.
///
/// Each has at least 32 UTF-8 bytes, no `;`, no control character and no white space at either end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Signs and verifies; it is the key of the connection string.
    ///
    /// Default: [`DEVELOPMENT_KEY`], on loopback only.
    pub primary: Secret,
    /// Verifies too, so that keys can be replaced one at a time.
    ///
    /// Default: none.
    pub secondary: Option<Secret>,
    /// Signs what the service issues to itself, such as client tokens of `:generateToken`.
    ///
    /// Default: none, it is derived from the primary key and changes with it. Set it so that such tokens outlive a change
    /// of the primary key.
    pub internal: Option<Secret>,
}

impl Keys {
    /// Returns the setting that holds the development key, if one does.
    pub(super) fn development_key_setting(&self) -> Option<&'static str> {
        let keys = [
            ("keys.primary", Some(&self.primary)),
            ("keys.secondary", self.secondary.as_ref()),
            ("keys.internal", self.internal.as_ref()),
        ];
        for (setting, key) in keys {
            if key.is_some_and(|key| key.expose() == DEVELOPMENT_KEY) {
                return Some(setting);
            }
        }
        None
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            primary: Secret::new(DEVELOPMENT_KEY),
            secondary: None,
            internal: None,
        }
    }
}

/// A part of a text that may refer to secrets.
pub(super) enum Part {
    /// Text as it was written.
    Written(String),
    /// What a reference stands for.
    Referenced(String),
}

/// Follows the references to environment variables and files that a secret may be or contain.
///
/// What a reference stands for is not searched again. The error never holds a part of the secret.
pub(super) fn resolve(text: &str, environment: &[(String, String)]) -> Result<Secret, String> {
    resolve_parts(text, environment).map(|parts| joined(&parts))
}

/// Follows the references likewise, and keeps apart what they stand for.
pub(super) fn resolve_parts(
    text: &str,
    environment: &[(String, String)],
) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, reference)) = rest.split_once("${") {
        let Some((reference, after)) = reference.split_once('}') else {
            return Err(UNKNOWN_REFERENCE.to_owned());
        };
        parts.push(Part::Written(before.to_owned()));
        parts.push(Part::Referenced(follow(reference, environment)?));
        rest = after;
    }
    parts.push(Part::Written(rest.to_owned()));
    Ok(parts)
}

/// Returns the files that the references in a text name, readable or not.
pub(super) fn referenced_files(text: &str) -> impl Iterator<Item = &str> {
    text.split("${file:")
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(path, _)| path))
}

fn joined(parts: &[Part]) -> Secret {
    let texts = parts.iter().map(|part| match part {
        Part::Written(text) | Part::Referenced(text) => text.as_str(),
    });
    Secret::new(texts.collect::<String>())
}

const UNKNOWN_REFERENCE: &str = "after `${` comes `env:NAME}` or `file:/path}`; a secret that \
     contains `${` itself belongs in a file";

fn follow(reference: &str, environment: &[(String, String)]) -> Result<String, String> {
    match reference.split_once(':') {
        Some(("env", name)) => match environment.iter().find(|(known, _)| known == name) {
            Some((_, text)) => Ok(text.clone()),
            None => Err(format!(
                "environment variable {name} of `${{env:{name}}}` is not set"
            )),
        },
        Some(("file", path)) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(without_final_newline(&text).to_owned()),
            Err(error) => Err(format!("cannot read {path} of `${{file:{path}}}`: {error}")),
        },
        _ => Err(UNKNOWN_REFERENCE.to_owned()),
    }
}

fn without_final_newline(text: &str) -> &str {
    let Some(line) = text.strip_suffix('\n') else {
        return text;
    };
    line.strip_suffix('\r').unwrap_or(line)
}

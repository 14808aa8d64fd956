//! Where settings come from.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::logging::{Level, LogFormat};
use super::secret::{Secret, referenced_files};

/// Holds what a configuration is made of, weakest first: file, environment, flags.
#[derive(Clone, Default)]
pub struct Sources {
    /// Names the TOML file, if there is one.
    pub file: Option<PathBuf>,
    /// Holds the environment; variables that do not concern the service are looked at only by `${env:NAME}`.
    pub environment: Vec<(String, String)>,
    /// Holds what flags set.
    pub overrides: Overrides,
}

impl Sources {
    /// Returns the files that a configuration from here depends on: the configuration file, and those that its secrets refer to,
    /// readable or not. Certificates are not among them.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.file.iter().cloned().collect();
        let text = files
            .first()
            .and_then(|path| std::fs::read_to_string(path).ok());
        let variables = self.environment.iter();
        let variables = variables.filter(|(name, _)| name.starts_with("HUBWIRE_"));
        let key = self.overrides.access_key.as_ref();
        let texts = text
            .iter()
            .chain(variables.map(|(_, value)| value))
            .map(String::as_str)
            .chain(key.map(Secret::expose));
        for path in texts.flat_map(referenced_files) {
            files.push(path.into());
        }
        files
    }
}

impl fmt::Debug for Sources {
    /// Shows the names of environment variables only, since their values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self
            .environment
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field("environment", &names)
            .field("overrides", &self.overrides)
            .finish()
    }
}

/// Holds what flags set; what is absent leaves the weaker sources as they are.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--listen`: replaces the addresses of the first listener unless empty.
    pub listen: Vec<SocketAddr>,
    /// `--access-key`: sets `keys.primary`.
    pub access_key: Option<Secret>,
    /// `--tls-cert`: sets the certificate of the first listener.
    pub tls_cert: Option<PathBuf>,
    /// `--tls-key`: sets the private key of the first listener.
    pub tls_key: Option<PathBuf>,
    /// `--shards`: sets `shards`.
    pub shards: Option<usize>,
    /// `--allow-development-key`: sets `auth.allow_development_key`; false leaves it as it is.
    pub allow_development_key: bool,
    /// `--metrics-listen`: adds a listener for metrics and health.
    pub metrics_listen: Option<SocketAddr>,
    /// `--log-level`: sets `logging.level`.
    pub log_level: Option<Level>,
    /// `--log-format`: sets `logging.format`.
    pub log_format: Option<LogFormat>,
}

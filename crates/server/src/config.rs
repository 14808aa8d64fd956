//! Configuration: where it comes from, what it may say, and the checked values the service runs with.
//!
//! The file is TOML in snake_case. A flag wins over the environment, the environment over the file, and the file over the
//! defaults documented on each field. Keys nobody knows are errors, so that a misspelt one is noticed.

mod auth;
mod check;
mod endpoint;
mod environment;
mod error;
mod hub;
mod limits;
mod listener;
mod logging;
mod network;
mod overlay;
mod print;
mod rest;
mod secret;
mod section;
mod sources;
mod tree;
mod value;

use std::num::NonZero;
use std::time::Duration;

pub use auth::{AudienceHost, AuthConfig};
pub use endpoint::{Endpoint, EndpointError, Scheme};
pub use error::{ConfigError, Place};
pub use hub::{AnonymousConnectPolicy, HubConfig, Hubs};
pub use limits::LimitsConfig;
pub use listener::{ListenerConfig, Roles, TlsConfig, TlsVersion};
pub use logging::{Level, LogCategory, LogFormat, LoggingConfig};
pub use network::NetworkConfig;
pub use rest::RestConfig;
pub use secret::{DEVELOPMENT_KEY, Keys, Secret};
pub use sources::{Overrides, Sources};

use tree::Table;

/// Largest number of shards, since a set of shards is kept as one 64-bit mask.
pub const SHARDS_MAX: usize = 64;

/// Holds everything an operator can set, checked and with defaults filled in.
///
/// `Config::default()` is what `hubwire` without a file, a flag or an environment runs with.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Lists the addresses under which clients and app servers reach the service from outside.
    ///
    /// The first is the one written into tokens and printed at start; all of them are accepted as audiences where
    /// [`AuthConfig::audience_host`] asks for it. Default: none, the listeners' own addresses serve. Set it behind a proxy
    /// or a load balancer.
    pub public_endpoints: Vec<Endpoint>,
    /// Bounds the way from the shutdown signal to the exit.
    ///
    /// Default: 5 s; range: 0 s to 1 h. Raise it where clients need longer to receive what is queued for them; keep it
    /// below the grace period of whatever supervises the process.
    pub shutdown_timeout: Duration,
    /// Lists the sockets the service listens on and what is answered on each.
    ///
    /// Default: one listener on `127.0.0.1:8080` and `[::1]:8080` for clients, REST and health. At least one listener
    /// serves clients or REST.
    pub listeners: Vec<ListenerConfig>,
    /// Holds the keys that sign and verify tokens.
    pub keys: Keys,
    /// Says which tokens are accepted.
    pub auth: AuthConfig,
    /// Tunes the REST surface.
    pub rest: RestConfig,
    /// Holds the settings of each hub, with a fallback for hubs that are not listed.
    pub hubs: Hubs,
    /// Bounds what connections may use.
    pub limits: LimitsConfig,
    /// Says whom the service believes about where a request comes from.
    pub network: NetworkConfig,
    /// Says what is logged and in which form.
    pub logging: LoggingConfig,
    /// Counts the shards, each a thread that owns its connections outright.
    ///
    /// Default: the cores the process may use, at most [`SHARDS_MAX`]; range: 1 to [`SHARDS_MAX`]. Lower it to leave
    /// cores to other programs on the machine.
    pub shards: usize,
}

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            public_endpoints: Vec::new(),
            shutdown_timeout: Duration::from_secs(5),
            listeners: vec![ListenerConfig::default()],
            keys: Keys::default(),
            auth: AuthConfig::default(),
            rest: RestConfig::default(),
            hubs: Hubs::default(),
            limits: LimitsConfig::default(),
            network: NetworkConfig::default(),
            logging: LoggingConfig::default(),
            shards: cores.min(SHARDS_MAX),
        }
    }
}

impl Config {
    /// Reads and checks a configuration; the first thing wrong with it is returned.
    ///
    /// Reads the file, and the files that secrets refer to; nothing else is touched, the process environment included.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or a setting is unknown, malformed, out of range or at odds with another.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut settings = Table::new();
        if let Some(path) = &sources.file {
            let unreadable = |source| ConfigError::Unreadable {
                path: path.clone(),
                source,
            };
            let text = std::fs::read_to_string(path).map_err(unreadable)?;
            settings = tree::parse_document(path, &text)?;
        }
        check::lower_hub_names(&mut settings)?;
        environment::overlay(&mut settings, &sources.environment)?;
        overlay::overlay(&mut settings, sources);
        check::check(settings, &sources.environment)
    }

    /// Writes the whole configuration, defaults included, as TOML that loads back.
    ///
    /// Keys are replaced by a comment, except for the development key, which is no secret.
    pub fn to_toml(&self) -> String {
        print::to_toml(self)
    }
}

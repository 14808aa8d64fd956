//! Configuration: where it comes from, what it may say, and the checked values the service runs with.
//!
//! The file is TOML in snake_case. A flag wins over the environment, the environment over the file, and the file over the
//! defaults documented on each field. Keys nobody knows are errors, so that a misspelt one is noticed.

mod auth;
mod check;
mod endpoint;
mod environment;
mod error;
mod event_handler;
mod event_listener;
mod firewall;
mod hub;
mod limits;
mod listener;
mod logging;
mod network;
mod oidc;
mod overlay;
mod print;
mod rest;
mod secret;
mod section;
mod sources;
mod tree;
mod upstream;
mod value;

use std::num::NonZero;
use std::time::Duration;

pub use auth::{AudienceHost, AuthConfig};
pub use endpoint::{Endpoint, EndpointError, Scheme};
pub use error::{ConfigError, Place};
pub use event_handler::{
    EventHandlerConfig, GroupFilter, GroupPresenceConfig, HandlerAuth, HandlerUrl,
    StaticHeaderConfig,
};
pub use event_listener::{EventListenerConfig, HttpUrl, ListenerEndpoint, SaslConfig};
pub use firewall::{ConnectionCountRule, FirewallConfig, ThrottleKey, TrafficControlRule};
pub use hub::{AnonymousConnectPolicy, HubConfig, Hubs};
pub use limits::LimitsConfig;
pub use listener::{ListenerConfig, Roles, TlsConfig, TlsVersion};
pub use logging::{Level, LogCategory, LogFormat, LoggingConfig};
pub use network::{
    AclAction, IpRule, NetworkAcl, NetworkConfig, NetworkRules, PublicNetworkAccess, RequestRules,
    RequestType,
};
pub use oidc::{IDENTITY_AUDIENCE, IdentityRole, OidcConfig, PrincipalClaim, RoleAssignment};
pub use rest::RestConfig;
pub use secret::{DEVELOPMENT_KEY, Keys, Secret, SecretText};
pub use sources::{Overrides, Sources};
// What handlers and listeners are described with.
pub use hubwire_upstream::{PresenceEvent, PrivateAddresses, SystemEvent};
pub use upstream::{PrivateAddressPolicy, UpstreamConfig};

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
    /// Says how events leave the service.
    pub upstream: UpstreamConfig,
    /// Holds the settings of each hub, with a fallback for hubs that are not listed.
    pub hubs: Hubs,
    /// Bounds what connections may use.
    pub limits: LimitsConfig,
    /// Says whom the service answers, and whom it believes about where a request comes from.
    pub network: NetworkConfig,
    /// Bounds what clients with the same user, token or claim may use together.
    pub firewall: FirewallConfig,
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
            upstream: UpstreamConfig::default(),
            hubs: Hubs::default(),
            limits: LimitsConfig::default(),
            network: NetworkConfig::default(),
            firewall: FirewallConfig::default(),
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

    /// Tells whether event handlers may be at loopback, private and link-local addresses.
    pub fn private_addresses(&self) -> PrivateAddresses {
        let is_on_loopback = || {
            let mut addresses = self.listeners.iter().flat_map(|listener| &listener.bind);
            addresses.all(|address| address.ip().to_canonical().is_loopback())
        };
        match self.upstream.private_addresses {
            PrivateAddressPolicy::Allow => PrivateAddresses::Allow,
            PrivateAddressPolicy::Auto if is_on_loopback() => PrivateAddresses::Allow,
            PrivateAddressPolicy::Auto | PrivateAddressPolicy::Deny => PrivateAddresses::Deny,
        }
    }

    /// Returns the setting that holds the development key, if one does and must not with the listeners of this configuration.
    pub(crate) fn misplaced_development_key(&self) -> Option<&'static str> {
        let mut addresses = self.listeners.iter().flat_map(|listener| &listener.bind);
        addresses.find_map(|address| check::known_key_at(self, *address))
    }

    /// Writes the whole configuration, defaults included, as TOML that loads back.
    ///
    /// Keys are replaced by a comment, except for the development key, which is no secret. Of the secrets of handlers and listeners
    /// the references are written, and `***` for what was written in their place.
    pub fn to_toml(&self) -> String {
        print::to_toml(self)
    }
}

//! What the configuration says of events, checked as far as it can be without a network.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hubwire_protocol::names::Hub;
use hyper::header::{HeaderName, HeaderValue};
use rustls::pki_types::CertificateDer;

use crate::filter::{GroupPresence, SystemEvent, UserEventPattern};
use crate::listener::Listener;
use crate::observer::{NoObserver, Observer};
use crate::secret::Secret;
use crate::tunnel::Tunnel;
use crate::url_template::{Url, UrlTemplate};

/// Time for an event, from the first attempt to the headers of the response. Source: events-and-operations 4.4.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(100);
/// Pauses between the attempts of an event. Source: events-and-operations 4.4.
pub const RETRY_DELAYS_DEFAULT: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(5),
];
/// Longest body of a response. Bytes. Source: events-and-operations 4.4.
pub const RESPONSE_BODY_MAX_DEFAULT: usize = 16 * 1024 * 1024;
/// Requests to one host at a time; further ones wait. Source: ours, several times what one client of a pooled connection
/// uses, and far below what exhausts the ports towards one address.
pub const REQUESTS_PER_HOST_MAX_DEFAULT: usize = 256;
/// Notifications under way at a time; further ones are dropped and counted. Source: ours, more than the connections of a large process, all
/// of which may end at once.
pub const NOTIFICATIONS_MAX_DEFAULT: usize = 100_000;

/// All that the configuration says of events.
#[derive(Clone)]
pub struct Settings {
    /// Handlers and listeners of the hubs that have an entry of their own.
    pub hubs: HashMap<Hub, HubSettings>,
    /// Those of every other hub.
    pub default_hub: HubSettings,
    /// Hosts that the service has, without port, for `WebHook-Request-Origin`.
    pub request_origins: Vec<String>,
    /// What a handler may allow instead of one of `request_origins`: the public endpoints with their ports.
    pub accepted_origins: Vec<String>,
    /// What signs events: the primary access key, then the secondary. Empty for no signature.
    pub access_keys: Vec<Secret>,
    /// Pauses between the attempts of an event; one attempt more than there are pauses.
    pub retry_delays: Vec<Duration>,
    /// Longest body of a response. Bytes.
    pub response_body_max: usize,
    /// Whether handlers may be in private networks.
    pub private_addresses: PrivateAddresses,
    /// Requests to one host at a time. Further ones wait within their timeout.
    pub requests_per_host_max: usize,
    /// Notifications under way at a time. Further ones are dropped and counted.
    pub notifications_max: usize,
    /// Certificates that vouch for handlers, beside those of the operating system.
    pub certificates: Vec<CertificateDer<'static>>,
    /// What requests to `tunnel:///path` go to; without it they fail like requests to a host that is down.
    pub tunnel: Option<Arc<dyn Tunnel>>,
    /// What counts.
    pub observer: Arc<dyn Observer>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hubs: HashMap::new(),
            default_hub: HubSettings::default(),
            request_origins: Vec::new(),
            accepted_origins: Vec::new(),
            access_keys: Vec::new(),
            retry_delays: RETRY_DELAYS_DEFAULT.to_vec(),
            response_body_max: RESPONSE_BODY_MAX_DEFAULT,
            private_addresses: PrivateAddresses::Deny,
            requests_per_host_max: REQUESTS_PER_HOST_MAX_DEFAULT,
            notifications_max: NOTIFICATIONS_MAX_DEFAULT,
            certificates: Vec::new(),
            tunnel: None,
            observer: Arc::new(NoObserver),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("hubs", &self.hubs)
            .field("default_hub", &self.default_hub)
            .field("request_origins", &self.request_origins)
            .field("access_keys", &self.access_keys)
            .finish_non_exhaustive()
    }
}

/// What the configuration says of a hub's events.
#[derive(Clone, Debug, Default)]
pub struct HubSettings {
    /// Its handlers. The first that matches an event is asked, and no other.
    pub handlers: Vec<Handler>,
    /// Its listeners. All that match an event are told.
    pub listeners: Vec<Listener>,
}

/// An event handler. Source: events-and-operations 2.
#[derive(Clone, Debug)]
pub struct Handler {
    /// Where it is.
    pub url_template: UrlTemplate,
    /// The user events that it handles.
    pub user_event_pattern: UserEventPattern,
    /// The system events that it handles.
    pub system_events: Vec<SystemEvent>,
    /// The group presence events that it handles.
    pub group_presence: Option<GroupPresence>,
    /// How the service proves to it who it is.
    pub auth: Auth,
    /// Time for an event, from the first attempt to the headers of the response.
    pub timeout: Duration,
    /// Whether it must agree to get events before it gets any.
    pub abuse_protection: bool,
    /// Whether a client that it refuses gets to read what it says.
    pub forward_reject_body: bool,
}

impl Handler {
    /// Makes a handler that handles nothing yet, with the defaults of everything else.
    pub fn new(url_template: UrlTemplate) -> Self {
        Self {
            url_template,
            user_event_pattern: UserEventPattern::default(),
            system_events: Vec::new(),
            group_presence: None,
            auth: Auth::None,
            timeout: TIMEOUT_DEFAULT,
            abuse_protection: true,
            forward_reject_body: false,
        }
    }
}

/// How the service proves to a handler who it is. Source: events-and-operations 2.4.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Auth {
    /// Not at all, or by the query of the URL.
    #[default]
    None,
    /// By a header that is always the same.
    StaticHeader(StaticHeader),
    /// By a token that an OAuth 2.0 server issues to the service.
    ClientCredentials(ClientCredentials),
    /// By a token of the identity that the service's machine has in Azure.
    ManagedIdentity(ManagedIdentity),
}

/// A header for a handler, the same in every request.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StaticHeader {
    pub(crate) name: HeaderName,
    pub(crate) value: HeaderValue,
}

/// A setting breaks a rule. The text names the value unless it is a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not the name of a header, or of one that is the service's own.
    #[error("`{0}` is not the name of a header that a handler may be sent")]
    HeaderName(String),
    /// The value of this header has characters that a header cannot have.
    #[error("the value of header `{0}` holds other than visible ASCII characters and spaces")]
    HeaderValue(String),
}

impl StaticHeader {
    /// Returns its name.
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// Returns its value, which is marked as sensitive.
    pub fn value(&self) -> &HeaderValue {
        &self.value
    }

    /// Checks a header.
    ///
    /// # Errors
    ///
    /// The name or the value cannot be in a header, or the name is one that the service sets itself.
    pub fn new(name: &str, value: &Secret) -> Result<Self, SettingsError> {
        let header: HeaderName = name
            .parse()
            .map_err(|_| SettingsError::HeaderName(name.to_owned()))?;
        if is_reserved(&header) {
            return Err(SettingsError::HeaderName(name.to_owned()));
        }
        let mut value = HeaderValue::from_str(value.expose())
            .ok()
            .filter(|value| value.to_str().is_ok())
            .ok_or_else(|| SettingsError::HeaderValue(name.to_owned()))?;
        value.set_sensitive(true);
        Ok(Self {
            name: header,
            value,
        })
    }
}

impl fmt::Debug for StaticHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ***", self.name)
    }
}

/// Tells whether the service, or HTTP itself, gives this header its value.
fn is_reserved(name: &HeaderName) -> bool {
    const PREFIXES: [&str; 3] = ["ce-", "webhook-", "x-webpubsub-metadata-"];
    const NAMES: [&str; 10] = [
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "te",
        "transfer-encoding",
        "upgrade",
        "x-ms-client-request-id",
    ];
    let name = name.as_str();
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&name)
}

/// What an OAuth 2.0 server issues a token for (RFC 6749, 4.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientCredentials {
    /// Where tokens are issued.
    pub token_url: Url,
    /// The service's name there.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// What the token is for; empty for what the server chooses.
    pub scope: String,
}

/// What the identity of the service's machine gets a token for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ManagedIdentity {
    /// The application id URI of the handler, which is the audience of its tokens.
    pub resource: String,
    /// Where tokens come from.
    pub source: IdentitySource,
}

/// Where the tokens of a managed identity come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IdentitySource {
    /// The metadata service of the machine.
    InstanceMetadata {
        /// Its origin; [`IdentitySource::METADATA_ENDPOINT`] in Azure. The only address that the service takes for a token's sake
        /// whatever [`PrivateAddresses`] says.
        endpoint: Url,
        /// Which of several identities.
        client_id: Option<String>,
    },
    /// A file that the platform keeps fresh, exchanged for a token.
    WorkloadIdentity {
        /// Where tokens are issued: `{authority host}{tenant}/oauth2/v2.0/token`.
        token_url: Url,
        /// The identity.
        client_id: String,
        /// The file.
        token_file: std::path::PathBuf,
    },
}

impl IdentitySource {
    /// Origin of the metadata service of Azure's machines.
    pub const METADATA_ENDPOINT: &'static str = "http://169.254.169.254";
}

/// Whether handlers may be in private networks: loopback, private, shared and link-local addresses. Those where clouds keep the
/// secrets of a machine are refused always. Source: events-and-operations 9.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrivateAddresses {
    /// They may.
    Allow,
    /// They may not.
    #[default]
    Deny,
}

impl PrivateAddresses {
    /// Tells whether a handler may be at an address.
    pub fn allows(self, address: IpAddr) -> bool {
        crate::address::is_allowed(self, address)
    }
}

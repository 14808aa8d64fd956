//! Event handlers of hubs. Source: events-and-operations 2.

use std::fmt;
use std::time::Duration;

use hubwire_protocol::pattern::Pattern;
use hubwire_upstream::{
    Auth, ClientCredentials, ManagedIdentity, PresenceEvent, PrivateAddresses, SettingsError,
    StaticHeader, SystemEvent, TemplatePart, UrlError, UrlTemplate,
};

use super::event_listener::HttpUrl;
use super::secret::{Part, SecretText};

/// Words for system events.
pub(super) const SYSTEM_EVENTS: &[(&str, SystemEvent)] = &[
    ("connect", SystemEvent::Connect),
    ("connected", SystemEvent::Connected),
    ("disconnected", SystemEvent::Disconnected),
];
/// Words for group presence events.
pub(super) const PRESENCE_EVENTS: &[(&str, PresenceEvent)] = &[
    ("joined", PresenceEvent::Joined),
    ("left", PresenceEvent::Left),
];

/// Describes a webhook that events of a hub are sent to. The first of a hub's handlers that matches an event gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct EventHandlerConfig {
    /// Says where the handler is.
    ///
    /// An absolute URL of http or https, or `tunnel:///path`. `{hub}` and `{event}` are replaced in its path and query.
    pub url_template: HandlerUrl,
    /// Names the user events that it gets: `*`, a name, or names separated by commas; letter case does not matter.
    ///
    /// Default: empty, none.
    pub user_event_pattern: String,
    /// Lists the system events that it gets.
    ///
    /// Default: none.
    pub system_events: Vec<SystemEvent>,
    /// Selects the group presence events that it gets.
    ///
    /// Default: none.
    pub group_presence_events: Option<GroupPresenceConfig>,
    /// Says how the service proves to it who it is.
    ///
    /// Default: none. A secret in the query of the URL is the simple way.
    pub auth: HandlerAuth,
    /// Bounds an event from the first attempt to the headers of the response.
    ///
    /// Default: none, that of [`UpstreamConfig::timeout`](super::UpstreamConfig::timeout); range: 1 ms to 1 h.
    pub timeout: Option<Duration>,
    /// Asks the handler whether it agrees to get events before it gets any.
    ///
    /// Default: true. Turn it off for a handler of your own that does not answer `OPTIONS`.
    pub abuse_protection: bool,
    /// Lets a client that the handler refuses read what it says.
    ///
    /// Default: false.
    pub forward_reject_body: bool,
}

impl EventHandlerConfig {
    /// Makes a handler that gets nothing yet, with the defaults of everything else.
    pub fn new(url_template: HandlerUrl) -> Self {
        Self {
            url_template,
            user_event_pattern: String::new(),
            system_events: Vec::new(),
            group_presence_events: None,
            auth: HandlerAuth::None,
            timeout: None,
            abuse_protection: true,
            forward_reject_body: false,
        }
    }
}

/// The URL of a handler, checked, with the text that it was written as. Neither `Debug` nor `Display` shows its query.
#[derive(Clone, PartialEq, Eq)]
pub struct HandlerUrl {
    written: String,
    template: UrlTemplate,
}

impl HandlerUrl {
    /// Checks a URL without references to secrets.
    ///
    /// # Errors
    ///
    /// The first rule that it breaks.
    pub fn parse(text: &str, private: PrivateAddresses) -> Result<Self, UrlError> {
        Self::of_parts(text, &[Part::Written(text.to_owned())], private)
    }

    pub(super) fn of_parts(
        written: &str,
        parts: &[Part],
        private: PrivateAddresses,
    ) -> Result<Self, UrlError> {
        let parts = parts.iter().map(|part| match part {
            Part::Written(text) => TemplatePart::Template(text),
            Part::Referenced(text) => TemplatePart::Secret(text),
        });
        Ok(Self {
            written: written.to_owned(),
            template: UrlTemplate::from_parts(parts, private)?,
        })
    }

    /// Returns the checked template.
    pub fn template(&self) -> &UrlTemplate {
        &self.template
    }

    /// Returns the text with its references, which may hold secrets in its query.
    pub(super) fn written(&self) -> &str {
        &self.written
    }
}

impl fmt::Debug for HandlerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.template, f)
    }
}

impl fmt::Display for HandlerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.template, f)
    }
}

/// Selects group presence events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupPresenceConfig {
    /// Lists the events; none if empty.
    pub event_names: Vec<PresenceEvent>,
    /// Lists patterns of group names, such as `room.*`; all groups if empty.
    pub group_filters: Vec<GroupFilter>,
}

/// A pattern of group names: `*` is any characters but dots, `**` any characters, `?` one character but a dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupFilter {
    text: String,
    pattern: Pattern,
}

impl GroupFilter {
    /// Parses a pattern; `None` is an invalid one, such as one with more than five wildcards.
    pub fn parse(text: &str) -> Option<Self> {
        Pattern::parse(text).map(|pattern| Self {
            text: text.to_owned(),
            pattern,
        })
    }

    /// Returns the text of the pattern.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the parsed pattern.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }
}

/// Says how the service proves to a handler who it is. Source: events-and-operations 2.4.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum HandlerAuth {
    /// Not at all, or by the query of the URL.
    #[default]
    None,
    /// By a token of the identity that the machine has in Azure.
    ManagedIdentity(ManagedIdentity),
    /// By a token that an OAuth 2.0 server issues.
    ClientCredentials {
        /// Where tokens are issued.
        token_url: HttpUrl,
        /// The service's name there.
        client_id: String,
        /// Its secret.
        client_secret: SecretText,
        /// What the token is for; empty for what the server chooses.
        scope: String,
    },
    /// By a header that is always the same.
    StaticHeader(StaticHeaderConfig),
}

impl HandlerAuth {
    /// Returns what requests are made with.
    pub(crate) fn to_auth(&self) -> Auth {
        match self {
            Self::None => Auth::None,
            Self::ManagedIdentity(identity) => Auth::ManagedIdentity(identity.clone()),
            Self::ClientCredentials {
                token_url,
                client_id,
                client_secret,
                scope,
            } => Auth::ClientCredentials(ClientCredentials {
                token_url: token_url.url.clone(),
                client_id: client_id.clone(),
                client_secret: client_secret.secret().clone(),
                scope: scope.clone(),
            }),
            Self::StaticHeader(header) => Auth::StaticHeader(header.header.clone()),
        }
    }
}

/// A checked header that is always the same, with the text that its value was written as.
#[derive(Clone, Debug, PartialEq)]
pub struct StaticHeaderConfig {
    pub(super) name: String,
    pub(super) value: SecretText,
    header: StaticHeader,
}

impl StaticHeaderConfig {
    /// Checks a header.
    ///
    /// # Errors
    ///
    /// The name or the value cannot be in a header, or the name is one that the service sets itself.
    pub fn new(name: &str, value: SecretText) -> Result<Self, SettingsError> {
        Ok(Self {
            name: name.to_owned(),
            header: StaticHeader::new(name, value.secret())?,
            value,
        })
    }
}

use std::fmt;

use hubwire_protocol::connection_string::{ConnectionString, ConnectionStringError};

use crate::handler::EventHandler;
use crate::origin::AllowedOrigins;
use crate::service::EventHandlerService;

/// Longest body of an event unless the builder says otherwise: the longest message that services take by default. Bytes.
pub const BODY_MAX_DEFAULT: usize = 1 << 20;

/// Makes an [`EventHandlerService`]: of services it needs to know at least one, and the key that signs its events.
///
/// ```
/// use hubwire_event_handler::{EventHandler, EventHandlerService};
///
/// struct Application;
/// impl EventHandler for Application {}
///
/// let service = EventHandlerService::builder(Application)
///     .allowed_endpoint("https://pubsub.example.com")
///     .access_key("primary-key")
///     .access_key("secondary-key")
///     .build()?;
/// # Ok::<(), hubwire_event_handler::BuildError>(())
/// ```
#[must_use]
pub struct Builder<H> {
    handler: H,
    origins: AllowedOrigins,
    access_keys: Vec<String>,
    checks_signatures: bool,
    body_max: usize,
    error: Option<BuildError>,
}

/// Settings make no event handler. No text holds a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A text is no connection string.
    #[error("the connection string: {0}")]
    ConnectionString(#[from] ConnectionStringError),
    /// A text is not the URL of an endpoint.
    #[error(
        "allowed endpoint `{0}` is neither `*` nor a URL such as https://pubsub.example.com:8443"
    )]
    AllowedEndpoint(String),
    /// No service may send events.
    #[error("no endpoint is allowed: call connection_string or allowed_endpoint")]
    NoAllowedEndpoint,
    /// A key is empty.
    #[error("an access key is empty")]
    EmptyAccessKey,
    /// Nothing tells the events of the service from those of anyone else.
    #[error(
        "there is no access key to check signatures with: call connection_string, access_key or without_signatures"
    )]
    NoAccessKey,
}

impl<H: EventHandler> Builder<H> {
    pub(crate) fn new(handler: H) -> Self {
        Self {
            handler,
            origins: AllowedOrigins::default(),
            access_keys: Vec::new(),
            checks_signatures: true,
            body_max: BODY_MAX_DEFAULT,
            error: None,
        }
    }

    /// Adds the endpoint and the access key of a connection string. One without a key adds the endpoint.
    ///
    /// ```
    /// # use hubwire_event_handler::{EventHandler, EventHandlerService};
    /// # struct Application;
    /// # impl EventHandler for Application {}
    /// let service = EventHandlerService::builder(Application)
    ///     .connection_string("Endpoint=https://pubsub.example.com;AccessKey=primary-key;Version=1.0;")
    ///     .build()?;
    /// # Ok::<(), hubwire_event_handler::BuildError>(())
    /// ```
    pub fn connection_string(mut self, text: &str) -> Self {
        match ConnectionString::parse(text) {
            Ok(parsed) => {
                if let Ok(key) = parsed.access_key() {
                    self.access_keys.push(key.to_owned());
                }
                self.allowed_endpoint(parsed.endpoint())
            }
            Err(error) => {
                self.error.get_or_insert(error.into());
                self
            }
        }
    }

    /// Adds a service that may send events, by the URL of its endpoint, or all by `*`: then only signatures tell them apart.
    ///
    /// What counts is the host, with its port or without. `localhost`, `127.0.0.1` and `[::1]` are one.
    ///
    /// ```
    /// # use hubwire_event_handler::{EventHandler, EventHandlerService};
    /// # struct Application;
    /// # impl EventHandler for Application {}
    /// let service = EventHandlerService::builder(Application)
    ///     .allowed_endpoint("https://east.example.com")
    ///     .allowed_endpoint("https://west.example.com")
    ///     .access_key("the-key-of-both")
    ///     .build()?;
    /// # Ok::<(), hubwire_event_handler::BuildError>(())
    /// ```
    pub fn allowed_endpoint(mut self, endpoint: &str) -> Self {
        if !self.origins.add(endpoint) {
            self.error
                .get_or_insert_with(|| BuildError::AllowedEndpoint(endpoint.to_owned()));
        }
        self
    }

    /// Adds a key. Events signed with any key are taken, so that the keys of a service can be rotated one after the other.
    ///
    /// ```
    /// # use hubwire_event_handler::{BuildError, EventHandler, EventHandlerService};
    /// # struct Application;
    /// # impl EventHandler for Application {}
    /// let without_a_key = EventHandlerService::builder(Application).allowed_endpoint("*");
    /// assert_eq!(without_a_key.build().unwrap_err(), BuildError::NoAccessKey);
    /// let with_one = EventHandlerService::builder(Application).allowed_endpoint("*").access_key("key");
    /// assert!(with_one.build().is_ok());
    /// ```
    pub fn access_key(mut self, key: impl Into<String>) -> Self {
        self.access_keys.push(key.into());
        self
    }

    /// Takes events without a look at their signatures: for services that use no access keys, with a secret in the handler's URL
    /// or a token that something in front checks.
    ///
    /// ```
    /// # use hubwire_event_handler::{EventHandler, EventHandlerService};
    /// # struct Application;
    /// # impl EventHandler for Application {}
    /// let service = EventHandlerService::builder(Application)
    ///     .allowed_endpoint("https://pubsub.example.com")
    ///     .without_signatures()
    ///     .build()?;
    /// # Ok::<(), hubwire_event_handler::BuildError>(())
    /// ```
    pub fn without_signatures(mut self) -> Self {
        self.checks_signatures = false;
        self
    }

    /// Sets the longest body of an event, [`BODY_MAX_DEFAULT`] unless this is called. Longer ones are answered with 413. Bytes.
    ///
    /// ```
    /// # use hubwire_event_handler::{EventHandler, EventHandlerService};
    /// # struct Application;
    /// # impl EventHandler for Application {}
    /// let service = EventHandlerService::builder(Application)
    ///     .connection_string("Endpoint=http://localhost:8080;AccessKey=key;Version=1.0;")
    ///     .body_max(16 << 20)
    ///     .build()?;
    /// # Ok::<(), hubwire_event_handler::BuildError>(())
    /// ```
    pub fn body_max(mut self, body_max: usize) -> Self {
        self.body_max = body_max;
        self
    }

    /// Makes the service.
    ///
    /// # Errors
    ///
    /// [`BuildError`] for the first fault.
    ///
    /// ```
    /// # use hubwire_event_handler::{BuildError, EventHandler, EventHandlerService};
    /// # struct Application;
    /// # impl EventHandler for Application {}
    /// let error = EventHandlerService::builder(Application).access_key("key").build().unwrap_err();
    /// assert_eq!(error, BuildError::NoAllowedEndpoint);
    /// ```
    pub fn build(self) -> Result<EventHandlerService<H>, BuildError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.origins.is_empty() {
            return Err(BuildError::NoAllowedEndpoint);
        }
        if self.checks_signatures {
            check_keys(&self.access_keys)?;
        }
        let keys = self.checks_signatures.then_some(self.access_keys);
        Ok(EventHandlerService::new(
            self.handler,
            self.origins,
            keys.as_deref(),
            self.body_max,
        ))
    }
}

pub(crate) fn check_keys(keys: &[String]) -> Result<(), BuildError> {
    if keys.is_empty() {
        return Err(BuildError::NoAccessKey);
    }
    match keys.iter().any(String::is_empty) {
        true => Err(BuildError::EmptyAccessKey),
        false => Ok(()),
    }
}

impl<H> fmt::Debug for Builder<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("origins", &self.origins)
            .field("access_keys", &self.access_keys.len())
            .field("checks_signatures", &self.checks_signatures)
            .field("body_max", &self.body_max)
            .finish_non_exhaustive()
    }
}

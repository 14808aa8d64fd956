//! Why something failed.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use hubwire_protocol::message::ReceivedError;
use hubwire_protocol::names::NameError;

/// What a program may do something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument is not valid; nothing was sent.
    Invalid,
    /// The credential gave no URL, or one that cannot be used.
    Credential,
    /// The service could not be reached, or ended the connection before it was one.
    Connect,
    /// The service refused the handshake; [`Error::status`] tells the HTTP status.
    Rejected,
    /// The service answered that it failed or refuses; [`Error::name`] tells its word for it, such as `Forbidden`.
    Service,
    /// No answer came in time.
    Timeout,
    /// There is no connection, or it was lost before the answer.
    Disconnected,
    /// A bound of the client is reached, such as that of streams.
    Limit,
    /// The client was stopped, or has given up.
    Stopped,
}

/// Why something failed. Never holds a token.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    text: String,
    name: Option<String>,
    status: Option<u16>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self::whole(kind, text.into(), None, None, None)
    }

    pub(crate) fn service(error: ReceivedError) -> Self {
        let text = format!("the service answered {}: {}", error.name, error.message);
        Self::whole(ErrorKind::Service, text, Some(error.name), None, None)
    }

    pub(crate) fn rejected(status: u16) -> Self {
        let hint = match status {
            401 => "; check the token, its key, its audience and the clocks",
            404 => "; check the path of the URL",
            429 => "; the service has no room for more connections",
            _ => "",
        };
        let text = format!("the service refused the connection with HTTP {status}{hint}");
        Self::whole(ErrorKind::Rejected, text, None, Some(status), None)
    }

    pub(crate) fn caused(
        kind: ErrorKind,
        text: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::whole(kind, text.into(), None, None, Some(source.into()))
    }

    pub(crate) fn stopped() -> Self {
        Self::new(ErrorKind::Stopped, "the client is stopped")
    }

    fn whole(
        kind: ErrorKind,
        text: String,
        name: Option<String>,
        status: Option<u16>,
        source: Option<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self(Arc::new(Inner {
            kind,
            text,
            name,
            status,
            source,
        }))
    }

    /// Returns what a program can go by.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the service's word for it, such as `Forbidden`, if it answered.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Returns the HTTP status with which the handshake was refused.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("text", &self.0.text)
            .field("source", &self.0.source)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}

impl From<NameError> for Error {
    fn from(error: NameError) -> Self {
        Self::new(ErrorKind::Invalid, error.to_string())
    }
}

//! What a handler keeps with a connection. Source: events-and-operations 4.2.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) const STATE: &str = "ce-connectionstate";

/// Longest state as it travels, in base64. Bytes.
pub const STATE_MAX: usize = 8192;

/// What a handler keeps with a connection: the service stores it, sends it with every later event of the connection, and drops it
/// when the connection ends. Clients do not see it.
///
/// It travels as the base64 of a JSON value, as the official packages write it. They want an object.
///
/// ```
/// use hubwire_event_handler::{ConnectResponse, ConnectionState};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Visit {
///     count: u32,
/// }
///
/// let state = ConnectionState::new(&Visit { count: 1 })?;
/// let response = ConnectResponse::new().state(state);
/// # Ok::<(), hubwire_event_handler::StateError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ConnectionState(String);

/// A value cannot be the state of a connection, or a state is not such a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The value has no JSON form, or the JSON is not of the type that was asked for.
    #[error("the connection state: {0}")]
    Json(#[from] serde_json::Error),
    /// The state would be longer than [`STATE_MAX`].
    #[error("the connection state takes {0} bytes in base64, limit is {STATE_MAX}")]
    TooLong(usize),
    /// What came was not written by the official packages or this one.
    #[error("the connection state is not in base64")]
    NotBase64,
}

impl ConnectionState {
    /// Makes a state of a value.
    ///
    /// # Errors
    ///
    /// [`StateError::Json`] or [`StateError::TooLong`].
    ///
    /// ```
    /// # use hubwire_event_handler::ConnectionState;
    /// let state = ConnectionState::new(&serde_json::json!({ "count": 1 }))?;
    /// assert!(!state.is_empty());
    /// # Ok::<(), hubwire_event_handler::StateError>(())
    /// ```
    pub fn new(value: &impl Serialize) -> Result<Self, StateError> {
        let text = BASE64_STANDARD.encode(serde_json::to_vec(value)?);
        match text.len() <= STATE_MAX {
            true => Ok(Self(text)),
            false => Err(StateError::TooLong(text.len())),
        }
    }

    /// Returns a state without a value. As part of an answer it clears what the connection has.
    ///
    /// ```
    /// # use hubwire_event_handler::{ConnectionState, UserEventResponse};
    /// assert!(ConnectionState::empty().is_empty());
    /// let response = UserEventResponse::empty().state(ConnectionState::empty());
    /// ```
    pub fn empty() -> Self {
        Self::default()
    }

    /// Tells whether there is no value.
    ///
    /// ```
    /// # use hubwire_event_handler::Context;
    /// assert!(Context::default().state.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`StateError::NotBase64`] or [`StateError::Json`].
    ///
    /// ```
    /// # use hubwire_event_handler::ConnectionState;
    /// let state = ConnectionState::new(&[1, 2])?;
    /// assert_eq!(state.value::<Vec<u32>>()?, Some(vec![1, 2]));
    /// assert_eq!(ConnectionState::empty().value::<Vec<u32>>()?, None);
    /// # Ok::<(), hubwire_event_handler::StateError>(())
    /// ```
    pub fn value<T: DeserializeOwned>(&self) -> Result<Option<T>, StateError> {
        if self.is_empty() {
            return Ok(None);
        }
        let json = BASE64_STANDARD
            .decode(&self.0)
            .map_err(|_| StateError::NotBase64)?;
        Ok(Some(serde_json::from_slice(&json)?))
    }

    /// Reads the state that came with an event.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let bytes = headers.get(STATE).map_or(&b""[..], HeaderValue::as_bytes);
        Self(String::from_utf8_lossy(bytes.trim_ascii()).into_owned())
    }

    pub(crate) fn to_header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&self.0).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionState({} bytes)", self.0.len())
    }
}

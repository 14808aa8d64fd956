//! How a handler says no. Source: events-and-operations 5.1, 5.4, 5.5.

use std::error::Error;
use std::fmt;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

/// Refuses a client, or fails an event.
///
/// An error of any kind becomes one with the status 500 by `?`; it is logged and not shown to anyone. The service asks again after
/// 408 and 5xx, so that a handler must stand being asked twice; other statuses are final.
///
/// | event | what a client sees |
/// | --- | --- |
/// | `connect` | the status, as the answer to its handshake |
/// | user event | a failed ack, or the end of the connection of a simple client |
/// | invocation | the error of [`Rejection::with_error`], else one that follows from the status |
/// | other | nothing |
///
/// ```
/// use hubwire_event_handler::{Rejection, StatusCode};
///
/// fn seat(text: &str) -> Result<u32, Rejection> {
///     if text.is_empty() {
///         return Err(Rejection::new(StatusCode::BAD_REQUEST));
///     }
///     Ok(text.parse()?)
/// }
/// assert_eq!(seat("").unwrap_err().status(), 400);
/// assert_eq!(seat("x").unwrap_err().status(), 500);
/// ```
pub struct Rejection {
    status: StatusCode,
    body: Option<Body>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

enum Body {
    Text(String),
    Json(Vec<u8>),
}

impl Rejection {
    /// Makes one with a status of 300 to 599. Any other would not refuse, and becomes 500.
    ///
    /// ```
    /// # use hubwire_event_handler::{Rejection, StatusCode};
    /// assert_eq!(Rejection::new(StatusCode::FORBIDDEN).status(), 403);
    /// assert_eq!(Rejection::new(StatusCode::NO_CONTENT).status(), 500);
    /// ```
    pub fn new(status: StatusCode) -> Self {
        let refuses = (300..600).contains(&status.as_u16());
        Self {
            status: match refuses {
                true => status,
                false => StatusCode::INTERNAL_SERVER_ERROR,
            },
            body: None,
            source: None,
        }
    }

    /// Adds a text. A refused client gets to read it where the service passes it on; Hubwire does with `forward_reject_body`.
    ///
    /// ```
    /// # use hubwire_event_handler::{Rejection, StatusCode};
    /// let rejection = Rejection::new(StatusCode::FORBIDDEN).with_text("members only");
    /// ```
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.body = Some(Body::Text(text.into()));
        self
    }

    /// Adds an error of the application's own, for the client of an invocation. It takes the place of a text.
    ///
    /// ```
    /// # use hubwire_event_handler::{Rejection, StatusCode};
    /// let rejection = Rejection::new(StatusCode::CONFLICT).with_error("OutOfStock", "no tea left");
    /// ```
    #[must_use]
    pub fn with_error(mut self, name: &str, message: &str) -> Self {
        let error = serde_json::json!({ "name": name, "message": message });
        self.body = Some(Body::Json(error.to_string().into_bytes()));
        self
    }

    /// Returns the status.
    ///
    /// ```
    /// # use hubwire_event_handler::{Rejection, StatusCode};
    /// assert_eq!(Rejection::new(StatusCode::UNAUTHORIZED).status(), StatusCode::UNAUTHORIZED);
    /// ```
    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn source(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.source.as_deref()
    }

    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let (content_type, body) = match self.body {
            None => (None, Bytes::new()),
            Some(Body::Text(text)) => (Some("text/plain; charset=utf-8"), text.into()),
            Some(Body::Json(json)) => (Some("application/json"), json.into()),
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = self.status;
        if let Some(content_type) = content_type {
            let content_type = HeaderValue::from_static(content_type);
            response.headers_mut().insert(CONTENT_TYPE, content_type);
        }
        response
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Rejection {
    fn from(error: E) -> Self {
        Self {
            source: Some(Box::new(error)),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("status", &self.status)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

//! Asks a handler whether it agrees to get events. Source: events-and-operations 3.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderValue;
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};

use crate::active::Active;
use crate::http::{Answer, SendError};
use crate::request::{CE_AWPS_VERSION, REQUEST_ORIGIN};
use crate::retry;

/// Time for each of the two requests, retries included.
const TIMEOUT: Duration = Duration::from_secs(10);
const ALLOWED_ORIGIN: &str = "webhook-allowed-origin";

/// Asks, and tells whether events may go there. `shown` is the URL for the log.
pub(crate) async fn run(active: Arc<Active>, uri: Uri, shown: String) -> bool {
    let is_valid = ask(&active, &uri, &shown).await;
    if !is_valid {
        active.settings.observer.abuse_protection_failed();
    }
    is_valid
}

async fn ask(active: &Active, uri: &Uri, url: &str) -> bool {
    let mut answer = request(active, uri, Method::OPTIONS).await;
    if answer
        .as_ref()
        .is_ok_and(|answer| answer.status == StatusCode::NOT_FOUND)
    {
        answer = request(active, uri, Method::GET).await;
    }
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let event = "AbuseProtectionResponseFailed";
            tracing::warn!(event, url, error, "an event handler cannot be validated");
            return false;
        }
    };
    if !answer.status.is_success() {
        let (event, status) = (
            "AbuseProtectionResponseInvalidStatusCode",
            answer.status.as_u16(),
        );
        tracing::warn!(event, url, status, "an event handler cannot be validated");
        return false;
    }
    let is_allowed = allowed_origins(&answer.headers).any(|origin| active.is_origin(origin));
    if !is_allowed {
        let (event, origin) = (
            "AbuseProtectionResponseMissingAllowedOrigin",
            &active.origin,
        );
        tracing::warn!(
            event,
            url,
            ?origin,
            "an event handler does not allow this service"
        );
    }
    is_allowed
}

/// Returns the values of all lines, split at commas.
fn allowed_origins(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(ALLOWED_ORIGIN).into_iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| [line].into_iter().chain(line.split(',')))
        .map(str::trim)
}

async fn request(active: &Active, uri: &Uri, method: Method) -> Result<Answer, String> {
    let attempt = || {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri.clone();
        let headers = request.headers_mut();
        headers.insert(REQUEST_ORIGIN, active.origin.clone());
        headers.insert(CE_AWPS_VERSION, HeaderValue::from_static("1.0"));
        active.clients.handlers().send(request)
    };
    let is_transient = |outcome: &Result<Answer, SendError>| match outcome {
        Ok(answer) => retry::is_transient_status(answer.status),
        Err(error) => *error != SendError::AddressRefused,
    };
    let observer = &active.settings.observer;
    let attempts = retry::run(&active.settings.retry_delays, attempt, is_transient, || {
        observer.retried()
    });
    // Clients may choose the names of hubs, and so how many URLs there are to ask.
    let attempts = async {
        let _place = active.place(uri).await;
        attempts.await
    };
    match tokio::time::timeout(TIMEOUT, attempts).await {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(_) => Err("no response in time".to_owned()),
    }
}

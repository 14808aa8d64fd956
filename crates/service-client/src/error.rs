//! What the service says when it refuses.

use std::fmt;

use azure_core::Error;
use azure_core::error::ErrorKind;
use azure_core::http::headers::{ERROR_CODE, HeaderName};
use azure_core::http::{RawResponse, StatusCode};
use serde::Deserialize;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");

/// An answer of the service that is no success, read from an [`azure_core::Error`].
///
/// ```
/// use hubwire_service_client::{ServiceError, WebPubSubServiceClient};
/// # async fn run(service: WebPubSubServiceClient) -> azure_core::Result<()> {
/// if let Err(error) = service.add_user_to_group("room", "nobody", None).await {
///     match ServiceError::try_from(&error) {
///         Ok(refusal) => println!("{} {:?}", refusal.status, refusal.message),
///         Err(other) => println!("the service did not answer: {other}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceError {
    /// The status of the answer. 401: not authenticated. 403: not allowed. 404: not there. 409: too many permissions.
    pub status: StatusCode,
    /// The code in the `x-ms-error-code` header, else the one in the body.
    pub code: Option<String>,
    /// The sentence in the body.
    pub message: Option<String>,
    /// What the error is about, such as a parameter.
    pub target: Option<String>,
    /// The id under which the service logged the request.
    pub request_id: Option<String>,
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the service answered {}", u16::from(self.status))?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ServiceError {}

impl<'e> TryFrom<&'e Error> for ServiceError {
    /// The error itself, when no answer of the service is its cause.
    type Error = &'e Error;

    fn try_from(error: &'e Error) -> Result<Self, Self::Error> {
        match error.kind() {
            ErrorKind::HttpResponse {
                raw_response: Some(response),
                ..
            } => Ok(Self::read(response)),
            ErrorKind::HttpResponse {
                status, error_code, ..
            } => Ok(Self {
                status: *status,
                code: error_code.clone(),
                message: None,
                target: None,
                request_id: None,
            }),
            _ => Err(error),
        }
    }
}

impl ServiceError {
    fn read(response: &RawResponse) -> Self {
        let body: ErrorBody = serde_json::from_slice(response.body()).unwrap_or_default();
        let header = |name| response.headers().get_optional_string(name);
        Self {
            status: response.status(),
            code: header(&ERROR_CODE).or(body.code),
            message: body.message,
            target: body.target,
            request_id: header(&REQUEST_ID),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    code: Option<String>,
    message: Option<String>,
    target: Option<String>,
}

/// Makes the error of an answer that the operation does not expect.
pub(crate) fn unexpected(response: RawResponse) -> Error {
    let refusal = ServiceError::read(&response);
    let text = refusal.to_string();
    let kind = ErrorKind::HttpResponse {
        status: refusal.status,
        error_code: refusal.code,
        raw_response: Some(Box::new(response)),
    };
    Error::with_message(kind, text)
}

/// Makes the error of an argument that cannot be right. Nothing has been sent.
pub(crate) fn invalid(text: String) -> Error {
    Error::with_message(ErrorKind::Other, text)
}

#[cfg(test)]
mod tests {
    use azure_core::http::headers::Headers;

    use super::*;

    fn error(headers: &[(&'static str, &'static str)], body: &'static str) -> Error {
        let mut all = Headers::new();
        for (name, value) in headers {
            all.insert(*name, *value);
        }
        unexpected(RawResponse::from_bytes(StatusCode::NotFound, all, body))
    }

    #[test]
    fn the_code_of_the_header_goes_before_the_one_of_the_body() {
        let body = r#"{"code":"body","message":"Not here.","target":"User"}"#;
        let headers = [("x-ms-error-code", "header"), ("x-ms-request-id", "r1")];
        let refused = error(&headers, body);
        let refusal = ServiceError::try_from(&refused).unwrap();
        assert_eq!(refusal.code.as_deref(), Some("header"));
        assert_eq!(refusal.message.as_deref(), Some("Not here."));
        assert_eq!(refusal.target.as_deref(), Some("User"));
        assert_eq!(refusal.request_id.as_deref(), Some("r1"));
        assert_eq!(
            refused.to_string(),
            "the service answered 404 header: Not here."
        );
        let refused = error(&[], body);
        let refusal = ServiceError::try_from(&refused).unwrap();
        assert_eq!(refusal.code.as_deref(), Some("body"));
    }

    #[test]
    fn a_body_that_is_no_error_gives_the_status_alone() {
        for body in ["", "<html>", "[1]", r#"{"code":7}"#] {
            let refused = error(&[], body);
            let refusal = ServiceError::try_from(&refused).unwrap();
            assert_eq!(refusal.status, StatusCode::NotFound);
            assert_eq!(refusal.message, None);
        }
    }

    #[test]
    fn an_error_without_an_answer_is_given_back() {
        let error = invalid("x".to_owned());
        assert!(ServiceError::try_from(&error).is_err());
    }
}

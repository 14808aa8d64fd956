use http_body_util::Full;
use hubwire_protocol::http::QueryError;
use hubwire_protocol::names::NameError;
use hubwire_protocol::rest::{ErrorBody, ErrorCode};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};

use crate::http::{RETRY_AFTER_SECONDS, Response, empty};

const X_MS_ERROR_CODE: HeaderName = HeaderName::from_static("x-ms-error-code");

/// A request that is answered with an error. Source: rest-api 1.5.
#[derive(Debug)]
pub(super) struct RestError {
    code: ErrorCode,
    message: String,
    target: &'static str,
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl RestError {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let target = match code {
            ErrorCode::ConnectionNotExisted
            | ErrorCode::ConnectionNotExistedInfo
            | ErrorCode::ConnectionConflict => "Connection",
            ErrorCode::UserNotExisted => "User",
            ErrorCode::BadRequest
            | ErrorCode::Unauthorized
            | ErrorCode::Forbidden
            | ErrorCode::NotFound
            | ErrorCode::MethodNotAllowed
            | ErrorCode::UserNotExistedWarning
            | ErrorCode::GroupNotExistedWarning
            | ErrorCode::ConnectionNotExistedWarning
            | ErrorCode::RequestTimeout
            | ErrorCode::UnsupportedMediaType
            | ErrorCode::TooManyRequests
            | ErrorCode::InternalServerError
            | ErrorCode::ServiceUnavailable => "Request",
        };
        Self {
            code,
            message: message.into(),
            target,
            header: None,
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }

    pub(super) fn not_found() -> Self {
        Self::new(ErrorCode::NotFound, "There is nothing at this path.")
    }

    pub(super) fn unauthorized(message: &str) -> Self {
        let challenge = HeaderValue::from_static(r#"Bearer error="invalid_token""#);
        Self::new(ErrorCode::Unauthorized, message).with_header(WWW_AUTHENTICATE, challenge)
    }

    pub(super) fn unavailable(message: &str) -> Self {
        let seconds = HeaderValue::from_static(RETRY_AFTER_SECONDS);
        Self::new(ErrorCode::ServiceUnavailable, message).with_header(RETRY_AFTER, seconds)
    }

    pub(super) fn too_many_requests() -> Self {
        let seconds = HeaderValue::from_static(RETRY_AFTER_SECONDS);
        let message = "The hub or the service has as much to do as it may have.";
        Self::new(ErrorCode::TooManyRequests, message).with_header(RETRY_AFTER, seconds)
    }

    /// Names the parameter that the error is about.
    pub(super) fn with_target(self, target: &'static str) -> Self {
        Self { target, ..self }
    }

    pub(super) fn with_header(self, name: HeaderName, value: HeaderValue) -> Self {
        Self {
            header: Some(Box::new((name, value))),
            ..self
        }
    }

    pub(super) fn into_response(self, is_head: bool) -> Response {
        let status = StatusCode::from_u16(self.code.status())
            .expect("the table holds HTTP status codes only");
        let code = self.code.as_str();
        let mut response = empty(status);
        if !is_head {
            let body = ErrorBody {
                code,
                message: &self.message,
                target: self.target,
            };
            let body = serde_json::to_vec(&body).expect("strings always serialize into memory");
            *response.body_mut() = Full::from(body);
            let json = HeaderValue::from_static("application/json; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, json);
        }
        let headers = response.headers_mut();
        headers.insert(X_MS_ERROR_CODE, HeaderValue::from_static(code));
        if let Some(header) = self.header {
            let (name, value) = *header;
            headers.insert(name, value);
        }
        response
    }
}

impl From<QueryError> for RestError {
    fn from(error: QueryError) -> Self {
        let refusal = Self::bad_request(error.to_string());
        match error {
            QueryError::Number { name, .. } => refusal.with_target(name),
            QueryError::MessageTtl => refusal,
        }
    }
}

impl From<NameError> for RestError {
    fn from(error: NameError) -> Self {
        Self::bad_request(error.to_string())
    }
}

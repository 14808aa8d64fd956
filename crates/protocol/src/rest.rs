//! The REST data plane's versions and errors. Source: rest-api 1.5 and 7.1.

use serde::Serialize;

/// Every accepted `api-version`, oldest first. A new one is a new entry.
pub const API_VERSIONS: [&str; 5] = [
    "2021-10-01",
    "2022-11-01",
    "2023-07-01",
    "2024-01-01",
    "2024-12-01",
];

/// Value of the `api-supported-versions` header.
pub const API_SUPPORTED_VERSIONS: &str =
    "2021-10-01, 2022-11-01, 2023-07-01, 2024-01-01, 2024-12-01";

/// An error's code on the wire: the `code` of the body and the `x-ms-error-code` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// 400: the request is not valid.
    BadRequest,
    /// 401: no token, or not a good one.
    Unauthorized,
    /// 403: the caller may not do this, or not from where it is.
    Forbidden,
    /// 404: nothing at this path.
    NotFound,
    /// 405: the path knows other methods.
    MethodNotAllowed,
    /// 404: the user has no connection (existence check).
    UserNotExistedWarning,
    /// 404: the group has no member (existence check).
    GroupNotExistedWarning,
    /// 404: no such connection (existence check).
    ConnectionNotExistedWarning,
    /// 404: no such connection to change.
    ConnectionNotExisted,
    /// 404: the user has no connection to change.
    UserNotExisted,
    /// 404: no such connection, or it lacks the permission.
    ConnectionNotExistedInfo,
    /// 408: the body did not come in time.
    RequestTimeout,
    /// 409: the connection holds as many permission rules as it may.
    ConnectionConflict,
    /// 415: content type or charset not supported.
    UnsupportedMediaType,
    /// 429: a limit of the service is reached.
    TooManyRequests,
    /// 500: our fault.
    InternalServerError,
    /// 503: shutting down or overloaded; nothing has happened.
    ServiceUnavailable,
}

impl ErrorCode {
    /// Returns the code on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "Error.BadRequest",
            Self::Unauthorized => "Error.Unauthorized",
            Self::Forbidden => "Error.Forbidden",
            Self::NotFound => "Error.NotFound",
            Self::MethodNotAllowed => "Error.MethodNotAllowed",
            Self::UserNotExistedWarning => "Warning.User.NotExisted",
            Self::GroupNotExistedWarning => "Warning.Group.NotExisted",
            Self::ConnectionNotExistedWarning => "Warning.Connection.NotExisted",
            Self::ConnectionNotExisted => "Error.Connection.NotExisted",
            Self::UserNotExisted => "Error.User.NotExisted",
            Self::ConnectionNotExistedInfo => "Info.Connection.NotExisted",
            Self::RequestTimeout => "Error.RequestTimeout",
            Self::ConnectionConflict => "Error.Connection.Conflict",
            Self::UnsupportedMediaType => "Error.UnsupportedMediaType",
            Self::TooManyRequests => "Error.TooManyRequests",
            Self::InternalServerError => "Error.InternalServerError",
            Self::ServiceUnavailable => "Error.ServiceUnavailable",
        }
    }

    /// Returns the HTTP status that carries it.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound
            | Self::UserNotExistedWarning
            | Self::GroupNotExistedWarning
            | Self::ConnectionNotExistedWarning
            | Self::ConnectionNotExisted
            | Self::UserNotExisted
            | Self::ConnectionNotExistedInfo => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::ConnectionConflict => 409,
            Self::UnsupportedMediaType => 415,
            Self::TooManyRequests => 429,
            Self::InternalServerError => 500,
            Self::ServiceUnavailable => 503,
        }
    }
}

/// The body of an error response. Members that the service never fills are left out.
#[derive(Debug, Serialize)]
pub struct ErrorBody<'a> {
    /// The code, as in the header.
    pub code: &'a str,
    /// What went wrong, for people.
    pub message: &'a str,
    /// What it concerns: a parameter's name, or `Request`.
    pub target: &'a str,
}

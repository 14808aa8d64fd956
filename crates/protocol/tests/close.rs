//! Close codes and reasons (client-protocols 7.2) and the errors of REST (rest-api 7.1).

use hubwire_protocol::close::Close;
use hubwire_protocol::rest::{API_SUPPORTED_VERSIONS, API_VERSIONS, ErrorCode};

#[test]
fn each_close_has_the_code_and_reason_of_the_table() {
    let cases = [
        (Close::closed_by_app_server(), 1000, ""),
        (Close::service_restarting(), 1001, "Service is restarting."),
        (Close::invalid_frame(), 1002, "The client frame is invalid."),
        (Close::invalid_utf8(), 1007, "The client frame is invalid."),
        (
            Close::invalid_json_message(),
            1007,
            "The client message is not a valid JSON protocol message.",
        ),
        (
            Close::json_requires_text(),
            1003,
            "The JSON subprotocol requires text messages.",
        ),
        (
            Close::message_too_large(),
            1009,
            "The client message is too large.",
        ),
        (
            Close::outbound_queue_full(),
            1008,
            "The outbound message queue is full.",
        ),
        (
            Close::not_activated(),
            1008,
            "The connection could not be activated.",
        ),
        (Close::event_failed(), 1011, "Internal server error"),
    ];
    for (close, code, reason) in cases {
        assert_eq!((close.code, close.reason.as_str()), (Some(code), reason));
    }
    assert_eq!(Close::publish_forbidden().code, Some(1008));
    assert!(Close::publish_forbidden().reason.len() <= 123);
}

#[test]
fn close_of_the_peer_is_echoed() {
    assert_eq!(Close::echo(None, "").code, None);
    let close = Close::echo(Some(3000), "bye");
    assert_eq!((close.code, close.reason.as_str()), (Some(3000), "bye"));
}

#[test]
fn supported_versions_are_the_accepted_ones() {
    assert_eq!(API_SUPPORTED_VERSIONS, API_VERSIONS.join(", "));
}

#[test]
fn rest_errors_have_the_status_that_their_name_says() {
    let cases = [
        (ErrorCode::BadRequest, 400, "Error.BadRequest"),
        (ErrorCode::Unauthorized, 401, "Error.Unauthorized"),
        (
            ErrorCode::UserNotExistedWarning,
            404,
            "Warning.User.NotExisted",
        ),
        (
            ErrorCode::GroupNotExistedWarning,
            404,
            "Warning.Group.NotExisted",
        ),
        (
            ErrorCode::ConnectionNotExistedWarning,
            404,
            "Warning.Connection.NotExisted",
        ),
        (
            ErrorCode::ConnectionNotExisted,
            404,
            "Error.Connection.NotExisted",
        ),
        (ErrorCode::UserNotExisted, 404, "Error.User.NotExisted"),
        (
            ErrorCode::ConnectionNotExistedInfo,
            404,
            "Info.Connection.NotExisted",
        ),
        (
            ErrorCode::ConnectionConflict,
            409,
            "Error.Connection.Conflict",
        ),
        (
            ErrorCode::UnsupportedMediaType,
            415,
            "Error.UnsupportedMediaType",
        ),
    ];
    for (error, status, code) in cases {
        assert_eq!((error.status(), error.as_str()), (status, code));
    }
}

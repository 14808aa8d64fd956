//! Every way the service closes a connection: close code and reason, with the case that produces it.
//! Source: client-protocols 7.2.

/// A close code with its reason, as the client sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The code; `None` answers a close frame without one.
    pub code: Option<u16>,
    /// The reason; a close frame holds its first 123 bytes.
    pub reason: String,
}

macro_rules! closes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $reason:expr;)*) => {
        impl Close {
            $($(#[$doc])* pub fn $name() -> Self {
                Self::new($code, $reason)
            })*
        }
    };
}

closes! {
    /// The application asked for it; a reason travels in the `disconnected` frame only.
    closed_by_app_server = 1000, "";
    /// The process is shutting down.
    service_restarting = 1001, "Service is restarting.";
    /// The WebSocket framing is broken.
    invalid_frame = 1002, "The client frame is invalid.";
    /// A text message is not UTF-8.
    invalid_utf8 = 1007, "The client frame is invalid.";
    /// A frame of the JSON subprotocols cannot be understood or breaks a rule.
    invalid_json_message = 1007, "The client message is not a valid JSON protocol message.";
    /// The subprotocol wants text messages and got a binary one.
    json_requires_text = 1003, "The JSON subprotocol requires text messages.";
    /// A frame of the protobuf subprotocols cannot be understood or breaks a rule.
    invalid_protobuf_message = 1007, "The client message is not a valid protobuf.webpubsub.azure.v1 protocol message.";
    /// The subprotocol wants binary messages and got a text one.
    protobuf_requires_binary = 1003, "The protobuf.webpubsub.azure.v1 subprotocol requires binary messages.";
    /// A message is longer than the limit.
    message_too_large = 1009, "The client message is too large.";
    /// The receiver is too slow: what waits for it has reached a limit.
    outbound_queue_full = 1008, "The outbound message queue is full.";
    /// A reliable connection has as many messages unacknowledged as it may.
    reliable_buffer_full = 1008, "The reliable message buffer is full.";
    /// There is no such connection to recover, or the token is not for it.
    not_recovered = 1008, "The connection could not be recovered.";
    /// The connection was active, but its socket came too late.
    not_activated = 1008, "The connection could not be activated.";
    /// A simple client in publish mode has no permission for its group.
    publish_forbidden = 1008, "The client does not have permission to send to the group.";
    /// The client's user, token or claim has sent as much as it may for now. Source: events-and-operations 9.4.
    throttled = 1008, "The client has sent more than it may.";
    /// The connection is as old as connections may get; the client may open another at once. Source: events-and-operations 9.4.
    lifetime_over = 1001, "The connection has reached its maximum lifetime.";
    /// A simple client's event failed.
    event_failed = 1011, "Internal server error";
}

impl Close {
    fn new(code: u16, reason: &str) -> Self {
        Self {
            code: Some(code),
            reason: reason.to_owned(),
        }
    }

    /// Answers a peer's close frame with its own code and reason.
    pub fn echo(code: Option<u16>, reason: &str) -> Self {
        Self {
            code,
            reason: reason.to_owned(),
        }
    }
}

/// Returns the text of the `disconnected` frame for a close that the application asked for.
pub fn app_server_closed_message(reason: Option<&str>) -> String {
    match reason {
        None | Some("") => "Application server closed the connection.".to_owned(),
        Some(reason) => format!("Application server closed the connection. Reason: {reason}"),
    }
}

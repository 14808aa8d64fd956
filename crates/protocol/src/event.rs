//! Events: what connections do, as event handlers and event listeners learn of it. Source: events-and-operations 1 to 5.

use std::sync::Arc;

use crate::message::Content;
use crate::names::{EventName, GroupName, Hub, UserId};

/// Something that a connection did.
#[derive(Clone, Debug)]
pub struct Event {
    /// The connection's hub.
    pub hub: Hub,
    /// The connection's id.
    pub connection_id: Arc<str>,
    /// Its user, if any.
    pub user: Option<UserId>,
    /// Its subprotocol in the client's spelling; absent for simple clients, and before it is negotiated.
    pub subprotocol: Option<Arc<str>>,
    /// Counts the events of the connection. `connect` has 0, whether it is raised or not.
    pub id: u64,
    /// Milliseconds since 1970.
    pub time: u64,
    /// What it did.
    pub kind: EventKind,
}

/// What a connection did.
#[derive(Clone, Debug)]
pub enum EventKind {
    /// Its client wants to connect.
    Connect(Box<ConnectRequest>),
    /// It is there.
    Connected,
    /// It is gone.
    Disconnected {
        /// Why; empty for a clean close by the client.
        reason: String,
    },
    /// It raised a user event.
    User {
        /// The event's name; `message` for simple clients.
        name: EventName,
        /// The event's data.
        content: Content,
    },
    /// It became a member of a group.
    Joined {
        /// The group.
        group: GroupName,
    },
    /// It is no longer a member of a group.
    Left {
        /// The group.
        group: GroupName,
    },
}

/// What the handshake of a client says, for the handler of `connect`. Source: events-and-operations 5.1.
#[derive(Clone, Debug, Default)]
pub struct ConnectRequest {
    /// Claims of the token by name.
    pub claims: Vec<(String, Vec<String>)>,
    /// Parameters of the query, without the token.
    pub query: Vec<(String, Vec<String>)>,
    /// Headers, without those with credentials.
    pub headers: Vec<(String, Vec<String>)>,
    /// The subprotocols that the client offers, in its order.
    pub subprotocols: Vec<String>,
    /// Certificates that the client has shown.
    pub client_certificates: Vec<ClientCertificate>,
}

/// A client's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// SHA-1 of the DER form, in hexadecimal.
    pub thumbprint: String,
    /// The PEM form.
    pub content: String,
}

/// What a handler of `connect` decides of a client that it lets in. What is absent stays as the token has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectAnswer {
    /// The user id; empty for none.
    pub user_id: Option<String>,
    /// The roles, instead of the token's.
    pub roles: Option<Vec<String>>,
    /// The groups, instead of the token's; never empty.
    pub groups: Option<Vec<GroupName>>,
    /// The subprotocol.
    pub subprotocol: Option<String>,
}

/// Why a client is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectRefusal {
    /// The handler said no.
    Rejected {
        /// The HTTP status that it answered with, and the client gets.
        status: u16,
        /// What the client gets to read, if the handler's settings let it.
        body: Option<String>,
    },
    /// The handler could not be asked, or its answer makes no sense.
    Failed,
}

/// Why an event that wants an answer failed. Source: events-and-operations 5.4, 5.5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventFailure {
    /// Nothing handles it, and, unless it is an invocation, nothing listens to it either.
    NotFound,
    /// The handler answered with another status than 2xx.
    Rejected {
        /// The status.
        status: u16,
        /// Name and message of the handler's own error, if its body is one.
        error: Option<(String, String)>,
    },
    /// The handler did not answer in time.
    Timeout,
    /// The handler could not be asked, or its answer makes no sense.
    Failed,
}

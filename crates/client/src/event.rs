//! What a client tells its program.

use hubwire_protocol::message::{Content, ReceivedFragment, ReceivedStateItem};

use crate::Error;

/// What happened, in its order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A new connection is made: the first one, or one in place of one that is lost.
    Connected {
        /// Its id.
        connection_id: String,
        /// The user that the service sees, if any.
        user_id: Option<String>,
    },
    /// A connection of a reliable protocol goes on over a new socket. Nothing was lost.
    Recovered {
        /// Its id.
        connection_id: String,
    },
    /// A connection is lost for good; messages after this one and before the next connection are missed.
    Disconnected {
        /// Its id.
        connection_id: String,
        /// The close code, if the socket was closed in the way of WebSocket.
        close_code: Option<u16>,
        /// What the service said, or the reason of the close; may be empty.
        reason: String,
    },
    /// The client has ended, and this is the last event.
    Stopped {
        /// Why it gave up, if it was not stopped.
        error: Option<Error>,
    },
    /// The app server sent something.
    ServerMessage(ServerMessage),
    /// A group got something.
    GroupMessage(GroupMessage),
    /// What members of a group show of themselves, after [`crate::Client::subscribe_group_state`].
    GroupState {
        /// The group.
        group: String,
        /// All that there are, instead of those that have changed.
        is_snapshot: bool,
        /// The states.
        items: Vec<ReceivedStateItem>,
    },
    /// A group could not be joined again on a new connection; it will not be tried again.
    RejoinFailed {
        /// The group.
        group: String,
        /// Why.
        error: Error,
    },
}

/// Something that the app server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerMessage {
    /// What.
    pub content: Content,
    /// The connection's number for it; reliable protocols only.
    pub sequence_id: Option<u64>,
}

/// Something that was sent to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMessage {
    /// The group.
    pub group: String,
    /// The sender's user, if a client with one sent it and the protocol tells.
    pub from_user_id: Option<String>,
    /// What. Empty text in the last message of a stream.
    pub content: Content,
    /// Which part of a stream it is, if it is one.
    pub stream: Option<ReceivedFragment>,
    /// The connection's number for it; reliable protocols only.
    pub sequence_id: Option<u64>,
}

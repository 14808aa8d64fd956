//! What goes into a [`Machine`](super::Machine), and what comes out.

use std::fmt;
use std::time::Duration;

use hubwire_protocol::http::encode_component;
use hubwire_protocol::message::{
    ClientMessage, Content, ReconnectionToken, ServiceMessage, UserStreamError,
};
use hubwire_protocol::names::{EventName, GroupName, StreamId};
use hubwire_protocol::payload::Payload;

use crate::Error;
use crate::event::Event;

/// The URL of a connection, with its token. A secret: `Debug` shows no query.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessUrl(String);

impl AccessUrl {
    /// Takes a URL such as `wss://host/client/hubs/chat?access_token=…`.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// Returns the whole URL, to be opened and nothing else.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn recovering(&self, connection_id: &str, token: &ReconnectionToken) -> Self {
        let separator = match self.0.contains('?') {
            true => '&',
            false => '?',
        };
        let id = encode_component(connection_id);
        let token = encode_component(token.as_str());
        Self(format!(
            "{}{separator}awps_connection_id={id}&awps_reconnection_token={token}",
            self.0
        ))
    }
}

impl fmt::Debug for AccessUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let visible = self.0.split('?').next().unwrap_or_default();
        write!(f, "AccessUrl({visible}?..)")
    }
}

/// What a program wants.
#[derive(Clone, Debug)]
pub enum Request {
    /// Something that the service acknowledges. The machine sets the ack id.
    Acked(ClientMessage),
    /// Something that it does not; done once it is handed to the socket.
    Unacked(ClientMessage),
    /// An event whose answer is wanted.
    Invoke {
        /// The event.
        event: EventName,
        /// Its data, if any.
        content: Option<Content>,
        /// How long the answer may take.
        timeout: Duration,
    },
    /// A new stream to a group.
    OpenStream {
        /// The group.
        group: GroupName,
        /// Leaves this client out of its receivers.
        no_echo: bool,
        /// Milliseconds without a fragment after which the service ends it.
        idle_timeout_ms: u32,
    },
    /// A fragment of a stream; done when the stream's window has room for it.
    StreamSend {
        /// The stream.
        stream: StreamId,
        /// The fragment.
        payload: Payload,
    },
    /// Keeps a stream open without a fragment.
    StreamKeepAlive {
        /// The stream.
        stream: StreamId,
    },
    /// Ends a stream once all its fragments are confirmed; done when the service has confirmed the end.
    StreamEnd {
        /// The stream.
        stream: StreamId,
    },
    /// Ends a stream at once with an error for its subscribers.
    StreamAbort {
        /// The stream.
        stream: StreamId,
        /// What they are told.
        error: UserStreamError,
    },
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The program wants to be connected. Once, before anything else.
    Start,
    /// The answer to [`Action::AskUrl`].
    Url(Result<AccessUrl, Error>),
    /// The socket of [`Action::Open`] is open.
    Opened {
        /// Its number.
        socket: u64,
    },
    /// It could not be opened.
    OpenFailed {
        /// Its number.
        socket: u64,
        /// Why.
        error: Error,
    },
    /// A frame of the service.
    Frame {
        /// The socket's number.
        socket: u64,
        /// The frame.
        message: ServiceMessage,
    },
    /// Something arrived that is no frame, such as a ping of WebSocket.
    Activity {
        /// The socket's number.
        socket: u64,
    },
    /// The socket is closed or broken.
    Closed {
        /// Its number.
        socket: u64,
        /// The code of the service's close frame, if one came.
        code: Option<u16>,
        /// Its reason, or what broke.
        reason: String,
    },
    /// Events have to wait for the program, so that the socket is not read; silence does not count until this is taken back.
    HeldBack(bool),
    /// A request under a number of the caller's.
    Request {
        /// The number.
        id: u64,
        /// The request.
        request: Request,
    },
    /// The answer to a request is no longer wanted.
    Cancel {
        /// Its number.
        id: u64,
    },
    /// The program wants to end.
    Stop,
    /// [`Machine::next_timeout`](super::Machine::next_timeout) has come.
    Timeout,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Get a URL with a fresh token.
    AskUrl,
    /// Open a socket.
    Open {
        /// The number it has from now on.
        socket: u64,
        /// Where.
        url: AccessUrl,
    },
    /// Send a frame on the open socket.
    Send(ClientMessage),
    /// Close the open socket with 1000 after what was sent.
    Close,
    /// Give up the socket, open or not, without a word.
    Drop,
    /// A request is finished.
    Done {
        /// Its number.
        id: u64,
        /// How.
        outcome: Result<Answer, Error>,
    },
    /// Tell the program.
    Emit(Event),
    /// The first connection is made, or could not be.
    Started(Result<(), Error>),
    /// Nothing will happen any more.
    Ended,
}

/// How a request went well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// The service had done it before this repetition arrived.
    Duplicate,
    /// The answer to an invocation, if there is one.
    Invocation(Option<Content>),
    /// The stream that was opened.
    Stream(StreamId),
}

use std::ops::Range;

use hubwire_protocol::close::Close;
use hubwire_protocol::event::Event;
use hubwire_protocol::names::{GroupName, Hub, UserId};
use hubwire_protocol::subprotocol::Subprotocol;

use crate::command::Command;
use crate::connection_id::ConnectionId;
use crate::input::{ConnectionKey, ReplyToken};
use crate::interest::Bucket;
use crate::limits::BufferLimits;
use crate::outgoing::Frame;
use crate::timers::Time;

/// A frame of [`Outputs`], by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameId(pub u32);

/// Why a connection ended, in the official words of its metric; the last two are ours. Source: events-and-operations 10.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseCategory {
    /// The client closed.
    Normal,
    /// A request of the app server.
    ClosedByAppServer,
    /// Nobody handles the event of a simple client.
    EventHandlerNotFound,
    /// The handler of an event failed, or said no.
    SendEventFailed,
    /// It did not keep up.
    SlowClient,
    /// A fault of the service.
    ServiceTransientError,
    /// It, or others with the same user, token or claim, sent more than they may.
    Throttled,
    /// It broke the protocol.
    BadRequest,
    /// The service is shutting down.
    ServiceReload,
    /// It published without permission.
    Unauthorized,
    /// Nothing was heard from it for too long.
    PingTimeout,
    /// The socket broke.
    ConnectionLost,
    /// It was as old as connections may get.
    LifetimeOver,
}

impl CloseCategory {
    /// Returns the word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::ClosedByAppServer => "ClosedByAppServer",
            Self::EventHandlerNotFound => "EventHandlerNotFound",
            Self::SendEventFailed => "SendEventFailed",
            Self::SlowClient => "SlowClient",
            Self::ServiceTransientError => "ServiceTransientError",
            Self::Throttled => "Throttled",
            Self::BadRequest => "BadRequest",
            Self::ServiceReload => "ServiceReload",
            Self::Unauthorized => "Unauthorized",
            Self::PingTimeout => "PingTimeout",
            Self::ConnectionLost => "ConnectionLost",
            Self::LifetimeOver => "LifetimeOver",
        }
    }
}

/// A connection that has come into being, for logs and metrics.
#[derive(Clone, Debug)]
pub struct Started {
    /// Its hub.
    pub hub: Hub,
    /// Its format.
    pub subprotocol: Subprotocol,
}

/// A connection that no longer exists, for logs, metrics and events.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its id.
    pub id: ConnectionId,
    /// Its hub.
    pub hub: Hub,
    /// Its format.
    pub subprotocol: Subprotocol,
    /// Its user.
    pub user: Option<UserId>,
    /// Why, as a closed set.
    pub category: CloseCategory,
    /// Why, as text; empty for a clean close by the client.
    pub reason: String,
}

/// A connection in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedConnection {
    /// Its id.
    pub id: ConnectionId,
    /// Its user.
    pub user: Option<UserId>,
    /// The name of its subprotocol, in the client's spelling.
    pub protocol: Option<String>,
    /// The number of its groups.
    pub group_count: usize,
    /// When it was activated.
    pub since: Time,
}

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// Its name.
    pub name: GroupName,
    /// How many of the connections asked about are in it.
    pub connections: usize,
}

/// An event whose handler is to be asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Its number, unique in the shard.
    pub number: u64,
    /// The connection that raised the event.
    pub connection: ConnectionId,
    /// The event.
    pub event: Event,
    /// The connection wants the answer by name; listeners alone do not make such an event succeed.
    pub is_invocation: bool,
}

/// The answer to an input that carried a [`ReplyToken`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A place is kept for a connection.
    Reserved {
        /// The place.
        key: ConnectionKey,
        /// The id that the connection will have.
        id: ConnectionId,
    },
    /// The connection is active: visible, in its groups, its output buffered until a socket is attached.
    Opened {
        /// Its place, to attach the socket to.
        key: ConnectionKey,
        /// Its id.
        id: ConnectionId,
        /// Roles that were not understood and so ignored.
        ignored_roles: usize,
    },
    /// A reliable connection waits for its new socket, and what it has missed is buffered for it.
    Recovered {
        /// Its place, to attach the socket to.
        key: ConnectionKey,
        /// The name of its subprotocol, in the client's spelling.
        protocol: String,
    },
    /// Done, to or about this many connections.
    Matched(usize),
    /// Connections, ordered by their ids as text.
    Connections(Vec<ListedConnection>),
    /// Groups, ordered by name.
    Groups(Vec<ListedGroup>),
    /// The connection does not exist.
    NotFound,
    /// The connection lacks the permission.
    Denied,
    /// The connection holds as many permission rules as it may.
    Conflict,
}

/// What the shell is to do, in this order.
#[derive(Debug)]
pub enum Output {
    /// Make room for a connection: what is sent to it waits until its socket is attached.
    Opened {
        /// Its place.
        key: ConnectionKey,
        /// The most that the engine sends at once to a reliable connection that recovers.
        reliable_buffer: Option<BufferLimits>,
    },
    /// Carry out these of the [`Outputs::deliveries`].
    Deliver(Range<usize>),
    /// Ping a client, unless it has output waiting anyway.
    Ping {
        /// The connection's slot.
        to: u32,
    },
    /// Send a close frame after what is waiting, then wait for the peer's.
    Close {
        /// The connection's slot.
        to: u32,
        /// Code and reason.
        close: Box<Close>,
    },
    /// Drop the socket at once.
    Abort {
        /// The connection's slot.
        to: u32,
    },
    /// Read nothing from a socket until [`Output::ReadOn`]: as many of its messages wait as may.
    HoldReading {
        /// The connection's slot.
        to: u32,
    },
    /// Read from a socket again.
    ReadOn {
        /// The connection's slot.
        to: u32,
    },
    /// Ask the handler of an event, and answer with [`Input::Answered`](crate::Input::Answered).
    Ask(Box<Question>),
    /// Nobody wants the answer to a question any more.
    Forget {
        /// The number of the question.
        question: u64,
    },
    /// Tell of an event.
    Notify(Box<Event>),
    /// Hand a client's command to the other shards and nodes concerned; this shard has carried it out.
    Forward {
        /// The connection's slot.
        from: u32,
        /// The command.
        command: Box<Command>,
    },
    /// Hand a command to the other shards and nodes concerned although they may have no room. It follows from something that there
    /// was room for.
    Relay(Box<Command>),
    /// Tell the others whether this shard has members in a bucket; in force before anything that follows is sent.
    Interest {
        /// The bucket.
        bucket: Bucket,
        /// Whether there are members.
        is_interested: bool,
    },
    /// Answer an input.
    Reply {
        /// The input's token.
        token: ReplyToken,
        /// The answer.
        reply: Reply,
    },
    /// A connection has come into being.
    Started(Box<Started>),
    /// A connection no longer exists.
    Ended(Box<Ended>),
}

/// Append a frame to a socket's output. There is one for each receiver of each message, so they are kept apart from what is rare.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// The connection's slot.
    pub to: u32,
    /// The frame.
    pub frame: FrameId,
    /// The receiver's number for a frame that has an [`Frame::envelope`], else 0. Such frames of one socket count upwards.
    pub sequence_id: u64,
}

/// The shell's list of outputs, and what they refer to.
#[derive(Debug, Default)]
pub struct Outputs {
    /// What to do, to be drained in order.
    pub list: Vec<Output>,
    /// What [`Output::Deliver`] refers to, to be cleared with the list.
    pub deliveries: Vec<Delivery>,
    /// Frames by [`FrameId`], kept until the turn ends.
    pub frames: Vec<Frame>,
}

impl Outputs {
    /// Adds a frame to send.
    pub fn add_frame(&mut self, frame: Frame) -> FrameId {
        let id = FrameId(self.frames.len() as u32);
        self.frames.push(frame);
        id
    }

    pub(crate) fn push(&mut self, output: Output) {
        self.list.push(output);
    }

    pub(crate) fn send(&mut self, to: u32, frame: Frame) {
        let frame = self.add_frame(frame);
        self.deliver(to, frame, 0);
    }

    #[inline]
    pub(crate) fn deliver(&mut self, to: u32, frame: FrameId, sequence_id: u64) {
        self.deliveries.push(Delivery {
            to,
            frame,
            sequence_id,
        });
        let end = self.deliveries.len();
        match self.list.last_mut() {
            Some(Output::Deliver(range)) => range.end = end,
            _ => self.push(Output::Deliver(end - 1..end)),
        }
    }

    pub(crate) fn interest(&mut self, bucket: Bucket, is_interested: bool) {
        self.push(Output::Interest {
            bucket,
            is_interested,
        });
    }
}

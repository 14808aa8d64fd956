use std::sync::Arc;

use hubwire_protocol::close::Close;
use hubwire_protocol::event::EventFailure;
use hubwire_protocol::message::Content;
use hubwire_protocol::names::{GroupName, Hub, UserId};
use hubwire_protocol::subprotocol::{Subprotocol, WireKind};

use crate::command::Command;
use crate::connection_id::ConnectionId;
use crate::limits::HubSettings;
use crate::output::CloseCategory;

/// A connection's place in its shard. The generation tells it from earlier ones in the same slot, so that a late input
/// never reaches the wrong connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionKey {
    /// Index, small and dense.
    pub slot: u32,
    /// Counts the connections of the shard.
    pub generation: u32,
}

/// Chosen by the shell to recognise the [`Output::Reply`](crate::Output::Reply) to an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyToken(pub u64);

/// What a simple client's messages do. Source: client-protocols 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawMode {
    /// Each is a user event `message`.
    Event,
    /// Each is published to a group.
    Publish {
        /// The group.
        group: GroupName,
        /// Leaves the sender out even if it is a member.
        no_echo: bool,
    },
}

/// A client whose handshake is good and whose connection is to be activated.
#[derive(Clone, Debug)]
pub struct Open {
    /// Its hub.
    pub hub: Hub,
    /// The hub's settings of now. They count if it is the hub's first connection in the shard; from then on
    /// [`Input::Settings`] changes them.
    pub settings: Arc<HubSettings>,
    /// The negotiated format.
    pub subprotocol: Subprotocol,
    /// The client's spelling of its name, where that is not the usual one.
    pub spelling: Option<Box<str>>,
    /// Its user.
    pub user: Option<UserId>,
    /// Groups to join, without any permission.
    pub groups: Vec<GroupName>,
    /// Role strings; unknown ones are ignored.
    pub roles: Vec<String>,
    /// What its messages do; only simple clients have a choice.
    pub raw_mode: RawMode,
    /// Where it gets its id from.
    pub place: Place,
}

/// Where a new connection gets its id from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A new one, made of this.
    Random([u8; 16]),
    /// The one that [`Input::Reserve`] was answered with.
    Reserved(ConnectionKey),
}

/// A client that shows a good reconnection token for a connection.
#[derive(Clone, Debug)]
pub struct Recover {
    /// The hub that it names.
    pub hub: Hub,
    /// The connection.
    pub id: ConnectionId,
}

/// What the shell saw a client do wrong, below the subprotocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Broken WebSocket framing.
    InvalidFrame,
    /// A text message that is not UTF-8.
    InvalidUtf8,
    /// A message beyond the limit.
    MessageTooLarge,
    /// It reads too slowly: what waits for it has reached the limit.
    OutboundQueueFull,
    /// It, or others with the same user, token or claim, sent more than they may. Source: events-and-operations 9.4.
    Throttled,
}

impl Fault {
    pub(crate) fn close(self) -> Close {
        match self {
            Self::InvalidFrame => Close::invalid_frame(),
            Self::InvalidUtf8 => Close::invalid_utf8(),
            Self::MessageTooLarge => Close::message_too_large(),
            Self::OutboundQueueFull => Close::outbound_queue_full(),
            Self::Throttled => Close::throttled(),
        }
    }

    pub(crate) fn category(self) -> CloseCategory {
        match self {
            Self::InvalidFrame | Self::InvalidUtf8 | Self::MessageTooLarge => {
                CloseCategory::BadRequest
            }
            Self::OutboundQueueFull => CloseCategory::SlowClient,
            Self::Throttled => CloseCategory::Throttled,
        }
    }
}

/// Why a socket is gone without a closing handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketEnd {
    /// The peer or the network ended it.
    Lost,
    /// It was dropped because the engine said so or after a closing handshake.
    Dropped,
    /// It never came: the upgrade failed.
    NotAttached,
    /// A fault of ours concerned this connection.
    InternalError,
}

/// What came of an event that was asked about.
pub type EventAnswer = Result<Option<Content>, EventFailure>;

/// Everything that can happen to a shard.
#[derive(Debug)]
pub enum Input<'a> {
    /// A client is to have an id before it is decided whether it is let in; answered with
    /// [`Reply::Reserved`](crate::Reply::Reserved).
    Reserve {
        /// For the id.
        random: [u8; 16],
        /// For the answer.
        reply: ReplyToken,
    },
    /// A client that has an id is not let in.
    Release {
        /// Its place.
        key: ConnectionKey,
    },
    /// A client is to be let in; answered with [`Reply::Opened`](crate::Reply::Opened).
    Open {
        /// The client.
        open: Box<Open>,
        /// For the answer.
        reply: ReplyToken,
    },
    /// A client wants to go on with a reliable connection; answered with [`Reply::Recovered`](crate::Reply::Recovered) or
    /// [`Reply::NotFound`](crate::Reply::NotFound).
    Recover {
        /// Which.
        recover: &'a Recover,
        /// For the answer.
        reply: ReplyToken,
    },
    /// A connection's socket is there.
    Attached {
        /// The connection.
        key: ConnectionKey,
    },
    /// A client sent a whole message.
    Message {
        /// The connection.
        key: ConnectionKey,
        /// Text or binary.
        kind: WireKind,
        /// The payload.
        payload: &'a [u8],
    },
    /// A client did wrong below the subprotocol.
    Fault {
        /// The connection.
        key: ConnectionKey,
        /// What it did.
        fault: Fault,
    },
    /// A client sent a close frame.
    PeerClosed {
        /// The connection.
        key: ConnectionKey,
        /// The close code, if the frame had one.
        code: Option<u16>,
        /// The reason, often empty.
        reason: &'a str,
    },
    /// A connection's socket is gone. Its slot is free from now on, unless it is a reliable connection that may recover.
    SocketClosed {
        /// The connection.
        key: ConnectionKey,
        /// Why.
        end: SocketEnd,
    },
    /// An event that was asked about by [`Output::Ask`](crate::Output::Ask) has its answer.
    Answered {
        /// The connection that raised it.
        connection: ConnectionId,
        /// The number of the question.
        question: u64,
        /// The answer.
        answer: EventAnswer,
    },
    /// The settings of a hub have changed. They hold at once for all connections, except that a new keep-alive interval begins with
    /// the next ping, and that a reliable connection keeps its buffer. Without effect on a hub that has no connections here.
    Settings {
        /// The hub.
        hub: &'a Hub,
        /// Its settings from now on.
        settings: Arc<HubSettings>,
    },
    /// Something is to be done to a hub.
    Command {
        /// What.
        command: &'a Command,
        /// Answers if set; sends are never answered.
        reply: Option<ReplyToken>,
    },
    /// The process is about to stop: every client is to be sent away.
    Shutdown,
    /// [`Shard::next_timeout`](crate::Shard::next_timeout) has come.
    Timeout,
}

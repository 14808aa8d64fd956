//! The service without I/O: who is connected, who may do what, who receives.
//!
//! A [`Shard`] owns a set of connections outright. It is a value that is driven: [`Shard::handle`] takes the time, one
//! [`Input`] and a list to append [`Output`]s to. Invariants:
//!
//! - no clock, no randomness, no lock, no `async`, no environment; time and random bytes come in as arguments;
//! - a bad client is a normal input: what it causes is an ack error or a close, never an `Err`;
//! - everything that is done to a hub is a [`Command`], whoever asks, so there is one way to deliver;
//! - a message is encoded at most once a subprotocol ([`Message`]), and work is proportional to its receivers;
//! - fan-out only appends to the outputs; a slow receiver is the shell's to notice and to report.

mod ack;
mod closing;
mod command;
mod connection_id;
mod fanout;
mod input;
mod interest;
mod limits;
mod list;
mod outgoing;
mod output;
mod permission;
mod recovery;
mod registry;
mod session;
mod shard;
mod timers;
mod unacked;

pub use command::{Action, Command, Route, Selection, Target};
pub use connection_id::ConnectionId;
pub use input::{
    ConnectionKey, EventAnswer, Fault, Input, Open, Place, RawMode, Recover, ReplyToken, SocketEnd,
};
pub use interest::{BUCKETS, Bucket};
pub use limits::{BufferLimits, EventSettings, HubSettings, Limits, ShardSettings};
pub use outgoing::{Frame, FrameKind, Message};
pub use output::{
    CloseCategory, Delivery, Ended, FrameId, ListedConnection, ListedGroup, Output, Outputs,
    Question, Reply, Started,
};
pub use permission::{PERMISSION_RULES_MAX, Permission, Permissions};
pub use shard::Shard;
pub use timers::Time;

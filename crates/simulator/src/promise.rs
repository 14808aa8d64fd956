//! What the service promises, and what is known when it does not keep a promise.

use std::fmt;

/// A promise of the service. Source: client-protocols 3 to 5 and 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Messages of one publisher reach a receiver in the order in which they were published.
    OrderOfEachPublisher,
    /// Whoever has had a join acked misses nothing that is published after it, whichever shard has it and the publisher.
    AckedJoinMissesNothing,
    /// What is accepted is handed to every shard that has a receiver.
    AcceptedIsHandedOn,
    /// Every receiver that keeps up gets the message.
    NothingLost,
    /// A message reaches only those whom it is meant for.
    OnlyThoseMeant,
    /// Nothing reaches a receiver twice.
    NothingTwice,
    /// A message arrives as it was sent, in every format.
    Unchanged,
    /// Sequence ids count from 1, with gaps only where messages have expired.
    GaplessNumbers,
    /// What is not acknowledged is sent again after a recovery, byte for byte and in order.
    Replay,
    /// `connected` comes first, also after a recovery, with the same id and user.
    ConnectedFirst,
    /// A connection can be recovered within the recovery window with any token it was given, and not otherwise.
    Recovery,
    /// A request is carried out at most once for each ack id, and answered with what came of it.
    OnceForEachAckId,
    /// Who does not keep up is closed with 1008, and nobody else is.
    Overflow,
    /// A connection ends when there is a reason to, then only.
    EndsForAReason,
    /// Fragments are acknowledged, refused and ended as the rules of streams say.
    Streams,
    /// Whoever watches the states of a group sees first all of them, then every change, and so the same as everybody.
    GroupStateConverges,
    /// A state is newer than the one it replaces.
    GroupStateRises,
    /// Events of a connection count from 1, whatever they are, and none is raised after its end.
    EventNumbers,
    /// A connection's events are asked about one after the other, each once, and what follows one waits for its answer, with a
    /// bound.
    EventsOneByOne,
    /// The answer to an event reaches the connection that raised it, and then the event is acknowledged.
    AnswerBeforeAck,
    /// Beginnings and ends of connections and of memberships are told of once each, where somebody wants to know.
    ToldOnce,
    /// An invocation is answered by its id, as long as its client waits for it.
    Invocations,
    /// An answer that nobody wants any more is called off, no other.
    CalledOff,
    /// A REST caller is told what was done.
    RestAnswer,
    /// A shard says that it is interested in what it has, and in nothing else.
    Interest,
    /// When all clients are gone, nothing is left of them.
    NothingLeft,
    /// Frames can be read by those whom they are for.
    ReadableFrames,
    /// The engine's own assertions hold.
    NoPanic,
}

impl Promise {
    /// All of them.
    pub const ALL: [Self; 28] = [
        Self::OrderOfEachPublisher,
        Self::AckedJoinMissesNothing,
        Self::AcceptedIsHandedOn,
        Self::NothingLost,
        Self::OnlyThoseMeant,
        Self::NothingTwice,
        Self::Unchanged,
        Self::GaplessNumbers,
        Self::Replay,
        Self::ConnectedFirst,
        Self::Recovery,
        Self::OnceForEachAckId,
        Self::Overflow,
        Self::EndsForAReason,
        Self::Streams,
        Self::GroupStateConverges,
        Self::GroupStateRises,
        Self::EventNumbers,
        Self::EventsOneByOne,
        Self::AnswerBeforeAck,
        Self::ToldOnce,
        Self::Invocations,
        Self::CalledOff,
        Self::RestAnswer,
        Self::Interest,
        Self::NothingLeft,
        Self::ReadableFrames,
        Self::NoPanic,
    ];
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OrderOfEachPublisher => "messages of one publisher reach a receiver in order",
            Self::AckedJoinMissesNothing => "whoever has had a join acked misses nothing",
            Self::AcceptedIsHandedOn => {
                "what is accepted is handed to every shard that has a receiver"
            }
            Self::NothingLost => "every receiver that keeps up gets the message",
            Self::OnlyThoseMeant => "a message reaches only those whom it is meant for",
            Self::NothingTwice => "nothing reaches a receiver twice",
            Self::Unchanged => "a message arrives as it was sent",
            Self::GaplessNumbers => {
                "sequence ids count from 1, with gaps only for expired messages"
            }
            Self::Replay => {
                "what is not acknowledged is replayed, byte for byte and in order"
            }
            Self::ConnectedFirst => "`connected` comes first, with the connection's id and user",
            Self::Recovery => {
                "a connection can be recovered within its window with a token of its own, not otherwise"
            }
            Self::OnceForEachAckId => {
                "a request is carried out once for each ack id and answered with what came of it"
            }
            Self::Overflow => "who does not keep up is closed with 1008, and nobody else is",
            Self::EndsForAReason => "a connection ends when there is a reason to, then only",
            Self::Streams => "streams are acknowledged, refused and ended by their rules",
            Self::GroupStateConverges => {
                "whoever watches the states of a group sees all of them, then every change"
            }
            Self::GroupStateRises => "a state is newer than the one it replaces",
            Self::EventNumbers => {
                "events of a connection count from 1, and none is raised after its end"
            }
            Self::EventsOneByOne => {
                "events of a connection are asked about one by one, and what follows one waits"
            }
            Self::AnswerBeforeAck => {
                "the answer to an event reaches the connection that raised it, and then its ack"
            }
            Self::ToldOnce => {
                "beginnings and ends are told of once each, where somebody wants to know"
            }
            Self::Invocations => "an invocation is answered by its id while its client waits",
            Self::CalledOff => "an answer that nobody wants any more is called off, no other",
            Self::RestAnswer => "a REST caller is told what was done",
            Self::Interest => "a shard is interested in what it has, and in nothing else",
            Self::NothingLeft => "when all clients are gone, nothing is left of them",
            Self::ReadableFrames => "frames can be read by those whom they are for",
            Self::NoPanic => "the engine's own assertions hold",
        })
    }
}

/// A promise that was not kept.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Which.
    pub promise: Promise,
    /// What happened instead.
    pub detail: String,
    /// The clients concerned, by their numbers.
    pub clients: Vec<usize>,
}

pub(crate) type Checked<T = ()> = Result<T, Broken>;

/// Returns the error of a promise that was broken to some clients.
pub(crate) fn broken<T>(
    promise: Promise,
    clients: impl IntoIterator<Item = usize>,
    detail: impl Into<String>,
) -> Checked<T> {
    Err(Broken {
        promise,
        detail: detail.into(),
        clients: clients.into_iter().collect(),
    })
}

//! Events: what connections raise, what waits for the answer, what becomes of it.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use hubwire_engine::{CloseCategory, EventAnswer, Question};
use hubwire_protocol::event::{Event, EventFailure, EventKind};
use hubwire_protocol::message::Content;
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::payload::{DataType, Payload};
use hubwire_protocol::subprotocol::Subprotocol;

use super::rest::To;
use super::{Model, Publication, Selected, Source};
use crate::promise::{Checked, Promise, broken};
use crate::settings::{HubEvents, UNIX_ORIGIN_MS};
use crate::wire::{ClientFrame, EVENT, ServiceFrame};

/// Messages and bytes that wait behind an event, before the socket is not read. Source: client-protocols 0.
const HELD_MAX: usize = 64;
const HELD_BYTES_MAX: usize = 1 << 20;
/// Invocations that a connection may have open. Source: client-protocols 0.
pub(crate) const INVOCATIONS_MAX: usize = 64;

/// Something that a connection raises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raised {
    Connected,
    Disconnected,
    Joined(String),
    Left(String),
    User {
        name: String,
        data_type: DataType,
        data: Bytes,
        /// Set for an invocation.
        id: Option<String>,
    },
}

/// What a connection has to do with events.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The number of the last.
    last: u64,
    /// What it is to raise now, in this order.
    raised: VecDeque<Raised>,
    /// The event whose answer it waits for.
    asking: Option<Asking>,
    held: VecDeque<(ClientFrame, usize)>,
    held_bytes: usize,
    /// Behind what is held its client has closed.
    pub(super) is_closed_behind: bool,
    pub(super) is_reading_held: bool,
    /// The socket must be told now to be read no more, or to be read again.
    must_turn_reading: bool,
    /// Open invocations, with their questions.
    invocations: BTreeMap<String, Option<u64>>,
    /// What comes before the ack of an event.
    answers: BTreeMap<u64, usize>,
}

#[derive(Debug)]
struct Asking {
    question: Option<u64>,
    ack_id: Option<u64>,
}

/// What comes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Nothing,
    /// A JSON `null`, which is nothing to answer an invocation with.
    Null,
    Content(DataType, Bytes),
    NotFound,
    Timeout,
    Failed,
    Status(u16),
    /// The handler's own error.
    Own,
}

impl Outcome {
    pub(crate) fn answer(&self) -> EventAnswer {
        let content = |data_type, data: &Bytes| Content {
            payload: Payload {
                data_type,
                data: data.clone(),
            },
            metadata: Metadata::default(),
        };
        match self {
            Self::Nothing => Ok(None),
            Self::Null => Ok(Some(content(DataType::Json, &Bytes::from_static(b"null")))),
            Self::Content(data_type, data) => Ok(Some(content(*data_type, data))),
            Self::NotFound => Err(EventFailure::NotFound),
            Self::Timeout => Err(EventFailure::Timeout),
            Self::Failed => Err(EventFailure::Failed),
            Self::Status(status) => Err(EventFailure::Rejected {
                status: *status,
                error: None,
            }),
            Self::Own => Err(EventFailure::Rejected {
                status: 409,
                error: Some(("Taken".to_owned(), "Somebody else has it.".to_owned())),
            }),
        }
    }

    fn failure(&self) -> Option<CloseCategory> {
        match self {
            Self::Nothing | Self::Null | Self::Content(..) => None,
            Self::NotFound => Some(CloseCategory::EventHandlerNotFound),
            Self::Timeout | Self::Failed | Self::Status(_) | Self::Own => {
                Some(CloseCategory::SendEventFailed)
            }
        }
    }

    /// Returns what an invocation is answered with. Source: client-protocols 3.9.
    fn response(&self) -> Result<Option<(DataType, Bytes)>, String> {
        let name = match self {
            Self::Nothing | Self::Null => return Ok(None),
            Self::Content(data_type, data) => return Ok(Some((*data_type, data.clone()))),
            Self::NotFound => "NotFound",
            Self::Timeout | Self::Status(408) => "Timeout",
            Self::Status(401) => "Unauthorized",
            Self::Status(403) => "Forbidden",
            Self::Status(400..=499) => "BadRequest",
            Self::Failed | Self::Status(_) => "InternalServerError",
            Self::Own => "Taken",
        };
        Err(name.to_owned())
    }
}

impl Model {
    /// The settings of a hub are others from now on.
    pub(crate) fn set_hub_events(&mut self, hub: &'static str, events: HubEvents) {
        self.hub_events.insert(hub, events);
    }

    pub(crate) fn hub_events(&self, hub: &str) -> HubEvents {
        self.hub_events.get(hub).copied().unwrap_or_default()
    }

    pub(crate) fn is_reading_held(&self, number: usize) -> bool {
        self.connections[number].events.is_reading_held
    }

    /// Tells whether a hub has connections in a shard.
    pub(crate) fn is_hub_in(&self, hub: &str, shard: usize) -> bool {
        self.connections.iter().any(|connection| {
            connection.is_active && connection.hub == hub && connection.shard == shard
        })
    }

    fn raise(&mut self, number: usize, raised: Raised) {
        let events = self.hub_events(self.connections[number].hub).events;
        let is_wanted = match &raised {
            Raised::Connected | Raised::Disconnected => events.system,
            Raised::Joined(_) | Raised::Left(_) => events.presence,
            Raised::User { .. } => true,
        };
        if is_wanted {
            self.connections[number].events.raised.push_back(raised);
        }
    }

    /// A connection has come into being, with its groups.
    pub(super) fn raise_beginning(&mut self, number: usize) {
        self.raise(number, Raised::Connected);
        let groups = self.connections[number].groups.clone();
        for group in groups {
            self.raise(number, Raised::Joined(group.to_owned()));
        }
    }

    /// A connection ends; it still is in its groups.
    pub(super) fn raise_end(&mut self, number: usize) {
        let groups = self.connections[number].groups.clone();
        for group in groups {
            self.raise(number, Raised::Left(group.to_owned()));
        }
        self.raise(number, Raised::Disconnected);
        let events = &mut self.connections[number].events;
        events.held.clear();
        events.is_reading_held = false;
        events.must_turn_reading = false;
        let asked = events.asking.take().and_then(|asking| asking.question);
        self.turn.called_off.extend(asked);
        self.call_invocations_off(number);
    }

    /// The client has lost its socket, and with it the responses to what it has invoked.
    pub(super) fn call_invocations_off(&mut self, number: usize) {
        let invocations = std::mem::take(&mut self.connections[number].events.invocations);
        let questions = invocations.into_values().flatten();
        self.turn.called_off.extend(questions);
    }

    /// A new socket is read, unless as much as may waits already.
    pub(super) fn new_socket_is_read(&mut self, number: usize) {
        let events = &mut self.connections[number].events;
        events.must_turn_reading = events.is_reading_held;
    }

    /// Makes a connection a member of a group.
    pub(super) fn join(&mut self, number: usize, group: &'static str) {
        if self.connections[number].groups.insert(group) {
            self.raise(number, Raised::Joined(group.to_owned()));
        }
    }

    pub(super) fn raise_left(&mut self, number: usize, group: &str) {
        self.raise(number, Raised::Left(group.to_owned()));
    }

    /// A frame has come from a client. If an event before it waits for its answer, it waits too.
    pub(crate) fn client_frame(&mut self, number: usize, frame: &ClientFrame, len: usize) {
        if !self.connections[number].is_linked() {
            return;
        }
        let events = &mut self.connections[number].events;
        if events.asking.is_none() || frame.passes_events() {
            return self.handle_frame(number, frame);
        }
        events.held.push_back((frame.clone(), len));
        events.held_bytes += len;
        let is_full = events.held.len() >= HELD_MAX || events.held_bytes >= HELD_BYTES_MAX;
        if is_full && !events.is_reading_held {
            events.is_reading_held = true;
            events.must_turn_reading = true;
        }
    }

    /// A client's close waits behind what it has sent before, if that waits for the answer to an event.
    pub(super) fn hold_close(&mut self, number: usize) -> bool {
        let events = &mut self.connections[number].events;
        events.is_closed_behind = events.asking.is_some();
        events.is_closed_behind
    }

    fn handle_held(&mut self, number: usize) {
        self.turn.handles_held = true;
        while self.connections[number].is_active
            && self.connections[number].events.asking.is_none()
            && let Some((frame, len)) = self.connections[number].events.held.pop_front()
        {
            self.connections[number].events.held_bytes -= len;
            self.handle_frame(number, &frame);
        }
        let events = &self.connections[number].events;
        if self.connections[number].is_active && events.asking.is_none() && events.is_closed_behind
        {
            self.end(number, CloseCategory::Normal);
        }
        let connection = &mut self.connections[number];
        let is_linked = connection.is_linked();
        let events = &mut connection.events;
        let is_half = events.held.len() < HELD_MAX / 2 && events.held_bytes < HELD_BYTES_MAX / 2;
        if connection.is_active && events.is_reading_held && is_half {
            events.is_reading_held = false;
            events.must_turn_reading = is_linked;
        }
    }

    /// A client raises an event.
    pub(super) fn user_event(
        &mut self,
        number: usize,
        data_type: DataType,
        data: &Bytes,
        ack_id: Option<u64>,
    ) {
        if let Some(ack_id) = ack_id
            && self.connections[number].remembered.contains(&ack_id)
        {
            let error = Some("Duplicate".to_owned());
            return self.control(number, ServiceFrame::Ack { ack_id, error });
        }
        let connection = &mut self.connections[number];
        let name = match connection.subprotocol {
            Subprotocol::Simple => "message",
            _ => EVENT,
        };
        if !self.hub_events(self.connections[number].hub).events.user {
            return self.event_failed(number, ack_id, CloseCategory::EventHandlerNotFound);
        }
        let question = None;
        self.connections[number].events.asking = Some(Asking { question, ack_id });
        let raised = Raised::User {
            name: name.to_owned(),
            data_type,
            data: data.clone(),
            id: None,
        };
        self.raise(number, raised);
    }

    fn event_failed(&mut self, number: usize, ack_id: Option<u64>, category: CloseCategory) {
        let connection = &self.connections[number];
        let is_simple = connection.subprotocol == Subprotocol::Simple;
        if is_simple || self.hub_events(connection.hub).are_failures_fatal {
            return self.end(number, category);
        }
        if let Some(ack_id) = ack_id {
            let error = Some("InternalServerError".to_owned());
            self.control(number, ServiceFrame::Ack { ack_id, error });
        }
    }

    /// A client invokes something.
    pub(super) fn invoke(&mut self, number: usize, id: &str, data_type: DataType, data: &Bytes) {
        let connection = &self.connections[number];
        let invocations = &connection.events.invocations;
        let error = if invocations.contains_key(id) || invocations.len() >= INVOCATIONS_MAX {
            Some("BadRequest")
        } else if !self.hub_events(connection.hub).events.user {
            Some("NotFound")
        } else {
            None
        };
        let id = id.to_owned();
        if let Some(error) = error {
            let outcome = Err(error.to_owned());
            return self.control(number, ServiceFrame::InvokeResponse { id, outcome });
        }
        let invocations = &mut self.connections[number].events.invocations;
        invocations.insert(id.clone(), None);
        let raised = Raised::User {
            name: EVENT.to_owned(),
            data_type,
            data: data.clone(),
            id: Some(id),
        };
        self.raise(number, raised);
    }

    pub(super) fn cancel(&mut self, number: usize, id: &str) {
        let events = &mut self.connections[number].events;
        if let Some(Some(question)) = events.invocations.remove(id) {
            self.turn.called_off.insert(question);
        }
    }

    /// A question is answered, maybe one that nobody waits for any more.
    pub(crate) fn answered(&mut self, number: usize, question: u64, outcome: &Outcome) {
        if !self.connections[number].is_active {
            return;
        }
        let events = &mut self.connections[number].events;
        let mut invocations = events.invocations.iter();
        let invocation = invocations.find(|(_, open)| **open == Some(question));
        if let Some(id) = invocation.map(|(id, _)| id.clone()) {
            events.invocations.remove(&id);
            let outcome = outcome.response();
            return self.control(number, ServiceFrame::InvokeResponse { id, outcome });
        }
        let is_it = |asking: &mut Asking| asking.question == Some(question);
        let Some(Asking { ack_id, .. }) = events.asking.take_if(is_it) else {
            return;
        };
        match outcome.failure() {
            Some(category) => self.event_failed(number, ack_id, category),
            None => self.event_answered(number, ack_id, outcome),
        }
        self.handle_held(number);
    }

    fn event_answered(&mut self, number: usize, ack_id: Option<u64>, outcome: &Outcome) {
        let content = match outcome {
            Outcome::Content(data_type, data) => Some((*data_type, data.clone())),
            Outcome::Null => Some((DataType::Json, Bytes::from_static(b"null"))),
            _ => None,
        };
        let answer = content.map(|(data_type, data)| {
            let publication = Publication {
                from: Source::Handler(number),
                to: Selected {
                    hub: self.connections[number].hub,
                    to: To::Client(number),
                    excluded: Vec::new(),
                    filter: None,
                },
                group: None,
                user: None,
                data_type,
                data,
                expires: None,
                part: None,
                or_part: None,
            };
            self.publish(publication)
        });
        if let Some(ack_id) = ack_id
            && self.connections[number].is_active
        {
            self.remember(number, ack_id);
            self.control(
                number,
                ServiceFrame::Ack {
                    ack_id,
                    error: None,
                },
            );
            let answers = &mut self.connections[number].events.answers;
            answers.clear();
            answers.extend(answer.map(|answer| (ack_id, answer)));
        }
    }

    /// Checks that the answer to an event comes before its ack.
    pub(super) fn answer_precedes(&self, number: usize, frame: &ServiceFrame) -> Checked {
        let ServiceFrame::Ack { ack_id, .. } = frame else {
            return Ok(());
        };
        let connection = &self.connections[number];
        let answer = connection.events.answers.get(ack_id);
        match answer.is_some_and(|answer| connection.pending.contains(answer)) {
            false => Ok(()),
            true => broken(
                Promise::AnswerBeforeAck,
                [number],
                format!("event {ack_id} is acked before its answer"),
            ),
        }
    }

    /// The engine tells of an event.
    pub(crate) fn told(&mut self, number: usize, event: &Event) -> Checked {
        match &event.kind {
            EventKind::User { .. } | EventKind::Connect(_) => {
                let detail = format!("nobody is asked about {event:?}");
                broken(Promise::EventsOneByOne, [number], detail)
            }
            _ => self.raised(number, event, None),
        }
    }

    /// The engine has the handler of an event asked.
    pub(crate) fn asked(&mut self, number: usize, question: &Question) -> Checked {
        let id = match self.connections[number].events.raised.front() {
            Some(Raised::User { id, .. }) => id.clone(),
            _ => None,
        };
        if question.is_invocation != id.is_some() {
            let detail = format!("asked is {question:?}, as what it is not");
            return broken(Promise::EventsOneByOne, [number], detail);
        }
        self.raised(number, &question.event, id.clone())?;
        if !self.connections[number].is_active {
            // It has ended since.
            self.turn.called_off.insert(question.number);
        }
        let events = &mut self.connections[number].events;
        match id {
            Some(id) => {
                if let Some(open) = events.invocations.get_mut(&id) {
                    *open = Some(question.number);
                }
            }
            None => {
                if let Some(asking) = &mut events.asking {
                    asking.question = Some(question.number);
                }
            }
        }
        Ok(())
    }

    fn raised(&mut self, number: usize, event: &Event, id: Option<String>) -> Checked {
        let time = UNIX_ORIGIN_MS + self.turn.now;
        let connection = &mut self.connections[number];
        connection.events.last += 1;
        if event.id != connection.events.last {
            let detail = format!("{event:?}, expected number {}", connection.events.last);
            return broken(Promise::EventNumbers, [number], detail);
        }
        let is_its = event.hub.as_str() == connection.hub
            && event.user.as_ref().map(|user| user.as_str()) == connection.user
            && event.subprotocol.as_deref() == connection.subprotocol.name()
            && event.time == time
            && connection
                .id_text
                .get_or_insert_with(|| event.connection_id.to_string())
                == &*event.connection_id;
        let told = match &event.kind {
            EventKind::Connect(_) => None,
            EventKind::Connected => Some(Raised::Connected),
            EventKind::Disconnected { .. } => Some(Raised::Disconnected),
            EventKind::Joined { group } => Some(Raised::Joined(group.to_string())),
            EventKind::Left { group } => Some(Raised::Left(group.to_string())),
            EventKind::User { name, content } => Some(Raised::User {
                name: name.to_string(),
                data_type: content.payload.data_type,
                data: content.payload.data.clone(),
                id,
            }),
        };
        let expected = &mut connection.events.raised;
        // Groups that are left at once are left in any order.
        let is_left = |raised: &Raised| matches!(raised, Raised::Left(_));
        let any = expected.iter().take_while(|raised| is_left(raised)).count();
        let any = any.max(1);
        let place = expected
            .iter()
            .take(any)
            .position(|expected| Some(expected) == told.as_ref());
        match place {
            Some(place) if is_its => {
                expected.remove(place);
                Ok(())
            }
            _ => {
                let promise = match &event.kind {
                    EventKind::User { .. } => Promise::EventsOneByOne,
                    _ => Promise::ToldOnce,
                };
                let detail = format!("{event:?} is raised, expected {:?}", expected.front());
                broken(promise, [number], detail)
            }
        }
    }

    /// The engine wants the answer to a question no more.
    pub(crate) fn forgot(&mut self, number: usize, question: u64) -> Checked {
        match self.turn.called_off.remove(&question) {
            true => Ok(()),
            false => broken(
                Promise::CalledOff,
                [number],
                format!("question {question} is called off, whose answer is waited for"),
            ),
        }
    }

    /// The engine says whether a client's socket is read.
    pub(crate) fn turned_reading(&mut self, number: usize, is_held: bool) -> Checked {
        let events = &mut self.connections[number].events;
        let must_turn = std::mem::take(&mut events.must_turn_reading);
        // A socket that is closed is read again.
        let may_turn = self.turn.ends.contains_key(&number) && !is_held;
        match must_turn && events.is_reading_held == is_held || may_turn {
            true => Ok(()),
            false => broken(
                Promise::EventsOneByOne,
                [number],
                format!("its socket is not read any more: {is_held}, and should not change"),
            ),
        }
    }

    /// A client that is not read is pinged: it is not silent.
    pub(crate) fn pinged(&mut self, number: usize) {
        if self.connections[number].events.is_reading_held {
            self.heard(number);
        }
    }

    pub(super) fn finish_events(&self, number: usize) -> Checked {
        let events = &self.connections[number].events;
        if let Some(raised) = events.raised.front() {
            let promise = match raised {
                Raised::User { .. } => Promise::EventsOneByOne,
                _ => Promise::ToldOnce,
            };
            return broken(promise, [number], format!("{raised:?} was not raised"));
        }
        if events.must_turn_reading {
            let is_held = events.is_reading_held;
            let detail = format!("its socket should not be read any more: {is_held}");
            return broken(Promise::EventsOneByOne, [number], detail);
        }
        Ok(())
    }
}

//! Events: raising them, and waiting for the answer of a handler. Source: client-protocols 2, 3.7, 3.9.
//!
//! A connection's events are handled one after the other. While it waits for an answer, what else its client sends is held in order,
//! up to a limit, beyond which its socket is not read. Only what has no order passes: `ping`, `sequenceAck`, `invoke` and
//! `cancelInvocation`.

use std::collections::VecDeque;

use bytes::Bytes;
use hubwire_protocol::close::Close;
use hubwire_protocol::event::{Event, EventFailure, EventKind};
use hubwire_protocol::message::{
    AckError, AckErrorName, ClientMessage, Content, ControlMessage, DataMessage, From, NamedError,
};
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::names::{EventName, GroupName};
use hubwire_protocol::payload::{DataType, Payload};
use hubwire_protocol::subprotocol::{Format, WireKind};

use crate::command::{Selection, Target};
use crate::connection_id::ConnectionId;
use crate::input::EventAnswer;
use crate::limits::EventSettings;
use crate::outgoing::Message;
use crate::output::{CloseCategory, Ended, Output, Outputs, Question};
use crate::registry::Connection;
use crate::shard::Shard;
use crate::timers::Time;

/// Messages held for a connection that waits for an answer. Source: client-protocols 0.
const HELD_MAX: usize = 64;
/// Bytes of them.
const HELD_BYTES_MAX: usize = 1 << 20;
/// Invocations that a connection may have open. Source: client-protocols 0.
const INVOCATIONS_MAX: usize = 64;
/// Bytes of their data, unless there is only one. Ours, so that a client cannot have much of it wait for a slow handler.
const INVOCATION_BYTES_MAX: usize = 4 << 20;
/// Longest invocation id. Bytes (ours).
const INVOCATION_ID_MAX: usize = 1024;

/// What a connection has asked, and what waits for the answer.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    event: Option<PendingEvent>,
    held: VecDeque<Held>,
    held_bytes: usize,
    /// The socket is not read, since as much is held as may.
    is_reading_held: bool,
    invocations: Vec<PendingInvocation>,
}

#[derive(Debug)]
struct PendingEvent {
    question: u64,
    ack_id: Option<u64>,
}

#[derive(Debug)]
struct PendingInvocation {
    question: u64,
    id: String,
    /// Bytes of its data.
    len: usize,
}

#[derive(Debug)]
struct Held {
    message: HeldMessage,
    len: usize,
}

/// A message of a client, parsed as far as it can be without a look at the connection.
#[derive(Debug)]
enum HeldMessage {
    /// Of a simple client.
    Simple(WireKind, Bytes),
    /// Of a client of a subprotocol, or why it cannot be understood.
    PubSub(Result<ClientMessage, Close>),
    /// The client's close frame, by its echo.
    Close(Close),
}

impl HeldMessage {
    fn passes(&self) -> bool {
        match self {
            Self::Simple(..) | Self::PubSub(Err(_)) | Self::Close(_) => false,
            Self::PubSub(Ok(message)) => matches!(
                message,
                ClientMessage::Ping
                    | ClientMessage::SequenceAck { .. }
                    | ClientMessage::Invoke { .. }
                    | ClientMessage::CancelInvocation { .. }
            ),
        }
    }
}

impl Shard {
    /// Handles a message of a client that waits for the answer to an event, or holds it until then.
    pub(super) fn message_while_asking(
        &mut self,
        now: Time,
        slot: u32,
        kind: WireKind,
        payload: &[u8],
        out: &mut Outputs,
    ) {
        let Some(connection) = self.registry.get(slot) else {
            return;
        };
        let message = match connection.subprotocol.format() {
            Format::Simple => HeldMessage::Simple(kind, Bytes::copy_from_slice(payload)),
            Format::Json => HeldMessage::PubSub(self.parse_json(slot, payload)),
            Format::Protobuf => HeldMessage::PubSub(self.parse_protobuf(slot, kind, payload)),
        };
        if message.passes() {
            return self.handle_message(now, slot, message, out);
        }
        let Some(asked) = self.asked_mut(slot) else {
            return;
        };
        let len = payload.len();
        asked.held.push_back(Held { message, len });
        asked.held_bytes += len;
        let is_full = asked.held.len() >= HELD_MAX || asked.held_bytes >= HELD_BYTES_MAX;
        if is_full && !asked.is_reading_held {
            asked.is_reading_held = true;
            out.push(Output::HoldReading { to: slot });
        }
    }

    /// Handles what was held, until the next event is to be waited for.
    fn handle_held(&mut self, now: Time, slot: u32, out: &mut Outputs) {
        while let Some(asked) = self.asked_mut(slot)
            && asked.event.is_none()
            && let Some(held) = asked.held.pop_front()
        {
            asked.held_bytes -= held.len;
            self.handle_message(now, slot, held.message, out);
        }
        if let Some(asked) = self.asked_mut(slot)
            && asked.is_reading_held
            && asked.held.len() < HELD_MAX / 2
            && asked.held_bytes < HELD_BYTES_MAX / 2
        {
            asked.is_reading_held = false;
            let connection = self.registry.get(slot);
            if connection.is_some_and(|connection| !connection.link().is_detached()) {
                out.push(Output::ReadOn { to: slot });
            }
        }
    }

    fn handle_message(&mut self, now: Time, slot: u32, message: HeldMessage, out: &mut Outputs) {
        match message {
            HeldMessage::Simple(kind, data) => self.simple_message(now, slot, kind, data, out),
            HeldMessage::PubSub(parsed) => self.parsed_message(now, slot, parsed, out),
            HeldMessage::Close(echo) => self.closed_by_client(now, slot, echo, out),
        }
    }

    /// Holds a client's close behind what it has sent before, if that waits for the answer to an event.
    pub(crate) fn hold_close(&mut self, slot: u32, close: &Close) -> bool {
        let is_asking = self.registry.get(slot).is_some_and(Connection::is_asking);
        let Some(asked) = self.asked_mut(slot).filter(|_| is_asking) else {
            return false;
        };
        let message = HeldMessage::Close(close.clone());
        asked.held.push_back(Held { message, len: 0 });
        true
    }

    /// Raises a user event of a subprotocol client, or fails it at once if nothing could handle it.
    pub(super) fn user_event(
        &mut self,
        now: Time,
        slot: u32,
        event: (EventName, Content),
        ack_id: Option<u64>,
        out: &mut Outputs,
    ) {
        if let Some(ack_id) = ack_id
            && self.is_duplicate(slot, ack_id)
        {
            return self.ack_duplicate(slot, ack_id, out);
        }
        match self.ask(now, slot, event, false, out) {
            Some(question) => self.wait_for(slot, PendingEvent { question, ack_id }),
            None => self.event_failed(now, slot, ack_id, EventFailure::NotFound, out),
        }
    }

    /// Raises the event `message` of a simple client.
    pub(super) fn simple_event(
        &mut self,
        now: Time,
        slot: u32,
        kind: WireKind,
        data: Bytes,
        out: &mut Outputs,
    ) {
        let content = Content {
            payload: Payload {
                data_type: match kind {
                    WireKind::Text => DataType::Text,
                    WireKind::Binary => DataType::Binary,
                },
                data,
            },
            metadata: Metadata::default(),
        };
        match self.ask(now, slot, (EventName::message(), content), false, out) {
            Some(question) => {
                let ack_id = None;
                self.wait_for(slot, PendingEvent { question, ack_id });
            }
            None => self.event_failed(now, slot, None, EventFailure::NotFound, out),
        }
    }

    fn wait_for(&mut self, slot: u32, event: PendingEvent) {
        if let Some(connection) = self.registry.get_mut(slot) {
            let extras = connection.extras.get_or_insert_default();
            debug_assert!(extras.asked.event.is_none(), "asked out of order");
            extras.asked.event = Some(event);
        }
    }

    /// Raises an event that is answered by name, beside what else the connection does.
    pub(super) fn invoke(
        &mut self,
        now: Time,
        slot: u32,
        id: String,
        event: Option<(EventName, Content)>,
        out: &mut Outputs,
    ) {
        let invocations = self.asked(slot).map_or(&[][..], |asked| &asked.invocations);
        let len = event
            .as_ref()
            .map_or(0, |(_, content)| content.payload.data.len());
        let open_bytes: usize = invocations.iter().map(|open| open.len).sum();
        let refusal = if event.is_none() {
            Some("The target of an invocation is an event.")
        } else if id.len() > INVOCATION_ID_MAX {
            Some("The id of an invocation has at most 1024 bytes.")
        } else if invocations.iter().any(|open| open.id == id) {
            Some("The invocation is open already.")
        } else if invocations.len() >= INVOCATIONS_MAX {
            Some("A connection has at most 64 open invocations.")
        } else if !invocations.is_empty() && open_bytes + len > INVOCATION_BYTES_MAX {
            Some("The open invocations of a connection have at most 4 MiB of data.")
        } else {
            None
        };
        let (None, Some(event)) = (refusal, event) else {
            let message = refusal.unwrap_or_default();
            let name = "BadRequest";
            return self.respond(slot, &id, Err(NamedError { name, message }), out);
        };
        match self.ask(now, slot, event, true, out) {
            Some(question) => {
                if let Some(connection) = self.registry.get_mut(slot) {
                    let extras = connection.extras.get_or_insert_default();
                    let invocation = PendingInvocation { question, id, len };
                    extras.asked.invocations.push(invocation);
                }
            }
            None => {
                let failure = EventFailure::NotFound;
                self.respond(slot, &id, Err(invocation_error(&failure)), out);
            }
        }
    }

    /// Forgets an invocation. Nothing is said about it any more.
    pub(super) fn cancel_invocation(&mut self, slot: u32, id: &str, out: &mut Outputs) {
        let Some(asked) = self.asked_mut(slot) else {
            return;
        };
        let found = asked.invocations.iter().position(|open| open.id == id);
        if let Some(index) = found {
            let question = asked.invocations.swap_remove(index).question;
            out.push(Output::Forget { question });
        }
    }

    /// Forgets the invocations of a connection that has lost its socket: its client has given them up.
    pub(crate) fn cancel_invocations(&mut self, slot: u32, out: &mut Outputs) {
        if let Some(asked) = self.asked_mut(slot) {
            for PendingInvocation { question, .. } in asked.invocations.drain(..) {
                out.push(Output::Forget { question });
            }
        }
    }

    /// Forgets what a connection has asked that has ended.
    pub(super) fn forget_asked(asked: Asked, out: &mut Outputs) {
        let event = asked.event.map(|event| event.question);
        let invocations = asked.invocations.iter().map(|open| open.question);
        for question in event.into_iter().chain(invocations) {
            out.push(Output::Forget { question });
        }
    }

    /// Takes the answer to a question, unless nobody waits for it any more.
    pub(crate) fn answered(
        &mut self,
        now: Time,
        connection: &ConnectionId,
        question: u64,
        answer: EventAnswer,
        out: &mut Outputs,
    ) {
        let Some(slot) = self.find_by_id(connection) else {
            return;
        };
        let Some(asked) = self.asked_mut(slot) else {
            return;
        };
        let is_it = |open: &PendingInvocation| open.question == question;
        if let Some(index) = asked.invocations.iter().position(is_it) {
            let PendingInvocation { id, .. } = asked.invocations.swap_remove(index);
            return match &answer {
                Ok(content) => self.respond(slot, &id, Ok(content.as_ref()), out),
                Err(failure) => self.respond(slot, &id, Err(invocation_error(failure)), out),
            };
        }
        let Some(event) = asked.event.take_if(|event| event.question == question) else {
            return;
        };
        match answer {
            Ok(content) => {
                if let Some(content) = content {
                    self.deliver_answer(now, slot, content, out);
                }
                if let Some(ack_id) = event.ack_id {
                    self.ack_success(slot, ack_id, out);
                }
            }
            Err(failure) => self.event_failed(now, slot, event.ack_id, failure, out),
        }
        self.handle_held(now, slot, out);
    }

    /// Sends a handler's answer to the connection that has asked, as a message of the server.
    fn deliver_answer(&mut self, now: Time, slot: u32, content: Content, out: &mut Outputs) {
        let (Some(connection), Some(id)) = (self.registry.get(slot), self.id_of(slot)) else {
            return;
        };
        let hub = self.registry.hub_of(connection).name.clone();
        let data = DataMessage {
            from: From::Server,
            content,
            stream: None,
        };
        let to = Selection::from(Target::Connection(id));
        self.fan_out(now, &hub, &to, &Message::new(data, now, 0), out);
    }

    /// Fails an event. Simple clients are closed, others get an error ack if they want one.
    fn event_failed(
        &mut self,
        now: Time,
        slot: u32,
        ack_id: Option<u64>,
        failure: EventFailure,
        out: &mut Outputs,
    ) {
        let Some(connection) = self.registry.get(slot) else {
            return;
        };
        let settings = &self.registry.hub_of(connection).settings;
        let is_simple = connection.subprotocol.name().is_none();
        if is_simple || settings.drop_connection_on_event_failure {
            let category = match failure {
                EventFailure::NotFound => CloseCategory::EventHandlerNotFound,
                EventFailure::Rejected { .. } | EventFailure::Timeout | EventFailure::Failed => {
                    CloseCategory::SendEventFailed
                }
            };
            return self.close(now, slot, Close::event_failed(), category, out);
        }
        if let Some(ack_id) = ack_id {
            let error = AckError {
                name: AckErrorName::InternalServerError,
                message: "Internal server error".to_owned(),
            };
            self.send_ack(slot, ack_id, Err(&error), out);
        }
    }

    fn respond(
        &self,
        slot: u32,
        invocation_id: &str,
        outcome: Result<Option<&Content>, NamedError<'_>>,
        out: &mut Outputs,
    ) {
        let response = ControlMessage::InvokeResponse {
            invocation_id,
            outcome,
        };
        self.send_control(slot, &response, out);
    }

    /// Has the handler of an event asked. `None` if the hub's settings say that there is none.
    fn ask(
        &mut self,
        now: Time,
        slot: u32,
        (name, content): (EventName, Content),
        is_invocation: bool,
        out: &mut Outputs,
    ) -> Option<u64> {
        let connection = self.registry.get(slot)?;
        if !self.registry.hub_of(connection).settings.events.user {
            return None;
        }
        let connection = self.id_of(slot)?;
        let event = self.raise(now, slot, EventKind::User { name, content })?;
        self.questions += 1;
        let question = Question {
            number: self.questions,
            connection,
            event,
            is_invocation,
        };
        out.push(Output::Ask(Box::new(question)));
        Some(self.questions)
    }

    /// Tells of the beginning of a connection, where somebody wants to know.
    pub(crate) fn notify_connected(&mut self, now: Time, slot: u32, out: &mut Outputs) {
        if self.event_settings(slot).system {
            self.notify(now, slot, EventKind::Connected, out);
        }
    }

    /// Tells of the end of a connection and of its memberships, where somebody wants to know. It still is in its hub and groups.
    pub(crate) fn notify_ended(&mut self, now: Time, slot: u32, ended: &Ended, out: &mut Outputs) {
        let settings = self.event_settings(slot);
        if settings.presence {
            let groups: Vec<GroupName> =
                self.registry.groups_of_connection(slot).cloned().collect();
            for group in groups {
                self.notify(now, slot, EventKind::Left { group }, out);
            }
        }
        if settings.system {
            let reason = ended.reason.clone();
            self.notify(now, slot, EventKind::Disconnected { reason }, out);
        }
    }

    /// Makes an active connection a member of a group, and tells of it, where somebody wants to know.
    pub(crate) fn join(&mut self, now: Time, slot: u32, group: &GroupName, out: &mut Outputs) {
        if self.registry.join(slot, group, out) && self.event_settings(slot).presence {
            let group = group.clone();
            self.notify(now, slot, EventKind::Joined { group }, out);
        }
    }

    /// Tells that a connection is no longer a member of a group, where somebody wants to know.
    pub(super) fn notify_left(
        &mut self,
        now: Time,
        slot: u32,
        group: &GroupName,
        out: &mut Outputs,
    ) {
        if self.event_settings(slot).presence {
            let group = group.clone();
            self.notify(now, slot, EventKind::Left { group }, out);
        }
    }

    fn notify(&mut self, now: Time, slot: u32, kind: EventKind, out: &mut Outputs) {
        if let Some(event) = self.raise(now, slot, kind) {
            out.push(Output::Notify(Box::new(event)));
        }
    }

    /// Makes an event with the connection's next number.
    fn raise(&mut self, now: Time, slot: u32, kind: EventKind) -> Option<Event> {
        let connection_id = self.id_of(slot)?.to_string().into();
        let connection = self.registry.get_mut(slot)?;
        connection.events += 1;
        let id = connection.events;
        let connection = self.registry.get(slot)?;
        Some(Event {
            hub: self.registry.hub_of(connection).name.clone(),
            connection_id,
            user: connection.user.clone(),
            subprotocol: connection.protocol().map(std::convert::Into::into),
            id,
            time: self.settings.unix_ms(now),
            kind,
        })
    }

    fn event_settings(&self, slot: u32) -> EventSettings {
        self.registry
            .get(slot)
            .map(|connection| self.registry.hub_of(connection).settings.events)
            .unwrap_or_default()
    }

    fn asked(&self, slot: u32) -> Option<&Asked> {
        let extras = self.registry.get(slot)?.extras.as_ref()?;
        Some(&extras.asked)
    }

    fn asked_mut(&mut self, slot: u32) -> Option<&mut Asked> {
        self.extras_mut(slot).map(|extras| &mut extras.asked)
    }
}

impl Connection {
    /// Tells whether it waits for the answer to an event.
    pub(super) fn is_asking(&self) -> bool {
        self.extras
            .as_ref()
            .is_some_and(|extras| extras.asked.event.is_some())
    }

    /// Tells whether its client has closed it, behind what waits for an answer.
    pub(crate) fn is_closed_behind(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| {
            let last = extras.asked.held.back();
            last.is_some_and(|held| matches!(held.message, HeldMessage::Close(_)))
        })
    }

    /// Tells whether its socket is not read because as many of its messages wait as may.
    pub(crate) fn is_reading_held(&self) -> bool {
        self.extras
            .as_ref()
            .is_some_and(|extras| extras.asked.is_reading_held)
    }
}

/// Names the failure of an invocation. Source: client-protocols 3.9.
fn invocation_error(failure: &EventFailure) -> NamedError<'_> {
    let (name, message) = match failure {
        EventFailure::NotFound => ("NotFound", "Nothing handles the event."),
        EventFailure::Rejected {
            error: Some((name, message)),
            ..
        } => (name.as_str(), message.as_str()),
        EventFailure::Rejected { status, .. } => match status {
            401 => ("Unauthorized", "The event handler wants credentials."),
            403 => ("Forbidden", "The event handler forbids it."),
            408 => ("Timeout", "The event handler did not answer in time."),
            400..=499 => ("BadRequest", "The event handler refused the event."),
            _ => ("InternalServerError", "Internal server error"),
        },
        EventFailure::Timeout => ("Timeout", "The event handler did not answer in time."),
        EventFailure::Failed => ("InternalServerError", "Internal server error"),
    };
    NamedError { name, message }
}

//! Requests that wait for an answer: those with an ack id, and invocations.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hubwire_protocol::message::{AckErrorName, ClientMessage, Content, ReceivedError};
use hubwire_protocol::names::{EventName, GroupName};

use super::{Action, Answer, ByNumber, GROUPS_MAX, done, not_connected};
use crate::event::Event;
use crate::options::Options;
use crate::{Error, ErrorKind};

#[derive(Debug, Default)]
pub(super) struct Requests {
    last_ack_id: u64,
    acked: ByNumber<Acked>,
    last_invocation: u64,
    invocations: ByNumber<Invocation>,
    /// To be joined again.
    groups: BTreeSet<GroupName>,
}

#[derive(Debug)]
struct Acked {
    owner: Owner,
    message: ClientMessage,
    deadline: Duration,
    repetitions: u32,
    state: Sending,
}

#[derive(Debug)]
enum Owner {
    Program(u64),
    /// The answer is no longer wanted.
    Nobody,
    Rejoin(GroupName),
}

#[derive(Debug, PartialEq, Eq)]
enum Sending {
    Sent,
    /// To be sent on the next socket.
    Waiting,
    /// To be sent again at a time.
    At(Duration),
}

#[derive(Debug)]
struct Invocation {
    id: u64,
    deadline: Duration,
}

impl Requests {
    pub(super) fn len(&self) -> usize {
        self.acked.len() + self.invocations.len()
    }

    pub(super) fn next_timeout(&self, is_connected: bool) -> Option<Duration> {
        // All acked requests have the same time, so that the oldest one runs out first.
        let oldest = self.acked.first_key_value().map(|(_, it)| it.deadline);
        let retries = self.acked.values().filter_map(|it| match it.state {
            Sending::At(at) if is_connected => Some(at),
            _ => None,
        });
        let invocations = self.invocations.values().map(|it| it.deadline);
        oldest.into_iter().chain(retries).chain(invocations).min()
    }

    /// Takes a request; `(is_connected, may_wait)` tell whether it goes out now and whether it may wait for a connection.
    pub(super) fn acked(
        &mut self,
        id: u64,
        message: ClientMessage,
        deadline: Duration,
        (is_connected, may_wait): (bool, bool),
        actions: &mut Vec<Action>,
    ) {
        if !is_connected && !may_wait {
            return done(actions, id, Err(not_connected()));
        }
        match &message {
            ClientMessage::JoinGroup { group, .. }
                if self.groups.len() >= GROUPS_MAX && !self.groups.contains(group) =>
            {
                let text = format!("there are {GROUPS_MAX} groups, which is the limit");
                return done(actions, id, Err(Error::new(ErrorKind::Limit, text)));
            }
            ClientMessage::LeaveGroup { group, .. } => {
                self.groups.remove(group);
            }
            _ => {}
        }
        self.push(Owner::Program(id), message, deadline, is_connected, actions);
    }

    fn push(
        &mut self,
        owner: Owner,
        mut message: ClientMessage,
        deadline: Duration,
        is_connected: bool,
        actions: &mut Vec<Action>,
    ) {
        self.last_ack_id += 1;
        set_ack_id(&mut message, self.last_ack_id);
        let state = match is_connected {
            true => {
                actions.push(Action::Send(message.clone()));
                Sending::Sent
            }
            false => Sending::Waiting,
        };
        let acked = Acked {
            owner,
            message,
            deadline,
            repetitions: 0,
            state,
        };
        self.acked.insert(self.last_ack_id, acked);
    }

    pub(super) fn invoke(
        &mut self,
        id: u64,
        event: EventName,
        content: Option<Content>,
        deadline: Duration,
        actions: &mut Vec<Action>,
    ) {
        self.last_invocation += 1;
        actions.push(Action::Send(ClientMessage::Invoke {
            invocation_id: self.last_invocation.to_string(),
            event: Some(event),
            content,
        }));
        let invocation = Invocation { id, deadline };
        self.invocations.insert(self.last_invocation, invocation);
    }

    pub(super) fn cancel(&mut self, id: u64, is_connected: bool, actions: &mut Vec<Action>) {
        for acked in self.acked.values_mut() {
            if matches!(acked.owner, Owner::Program(owner) if owner == id) {
                acked.owner = Owner::Nobody;
            }
        }
        let found = self.invocations.iter().find(|(_, it)| it.id == id);
        if let Some(number) = found.map(|(number, _)| *number) {
            self.invocations.remove(&number);
            if is_connected {
                actions.push(cancel(number));
            }
        }
    }

    pub(super) fn ack(
        &mut self,
        now: Duration,
        options: &Options,
        random: u64,
        ack_id: u64,
        outcome: Result<(), ReceivedError>,
        actions: &mut Vec<Action>,
    ) {
        let Some(mut acked) = self.acked.remove(&ack_id) else {
            return;
        };
        let answer = match outcome {
            Ok(()) => Answer::Done,
            Err(error) if error.name == AckErrorName::Duplicate.as_str() => Answer::Duplicate,
            Err(error) => {
                let wait = (error.name == AckErrorName::InternalServerError.as_str()
                    && acked.repetitions < options.message_retries)
                    .then(|| options.message_backoff.wait(acked.repetitions, random))
                    .flatten();
                match wait {
                    Some(wait) => {
                        acked.repetitions += 1;
                        acked.state = Sending::At(now + wait);
                        self.acked.insert(ack_id, acked);
                    }
                    None => self.refuse(acked, Error::service(error), actions),
                }
                return;
            }
        };
        if let ClientMessage::JoinGroup { group, .. } = acked.message {
            self.groups.insert(group);
        }
        if let Owner::Program(id) = acked.owner {
            done(actions, id, Ok(answer));
        }
    }

    fn refuse(&mut self, acked: Acked, error: Error, actions: &mut Vec<Action>) {
        match acked.owner {
            Owner::Program(id) => done(actions, id, Err(error)),
            Owner::Nobody => {}
            Owner::Rejoin(group) => {
                self.groups.remove(&group);
                let group = group.as_str().to_owned();
                actions.push(Action::Emit(Event::RejoinFailed { group, error }));
            }
        }
    }

    pub(super) fn answered(
        &mut self,
        invocation_id: &str,
        outcome: Result<Option<Content>, ReceivedError>,
        actions: &mut Vec<Action>,
    ) {
        let number = invocation_id.parse().ok();
        if let Some(invocation) = number.and_then(|number: u64| self.invocations.remove(&number)) {
            let outcome = outcome.map(Answer::Invocation).map_err(Error::service);
            done(actions, invocation.id, outcome);
        }
    }

    /// Joins all groups on a new connection, apart from those that wait to be joined anyway.
    pub(super) fn rejoin(&mut self, deadline: Duration, actions: &mut Vec<Action>) {
        let waiting: BTreeSet<GroupName> = self
            .acked
            .values()
            .filter_map(|it| match &it.message {
                ClientMessage::JoinGroup { group, .. } => Some(group.clone()),
                _ => None,
            })
            .collect();
        let groups: Vec<GroupName> = self.groups.difference(&waiting).cloned().collect();
        for group in groups {
            let message = ClientMessage::JoinGroup {
                group: group.clone(),
                ack_id: None,
            };
            self.push(Owner::Rejoin(group), message, deadline, true, actions);
        }
    }

    /// Sends what waits for a socket.
    pub(super) fn resend(&mut self, actions: &mut Vec<Action>) {
        for acked in self.acked.values_mut() {
            if acked.state == Sending::Waiting {
                acked.state = Sending::Sent;
                actions.push(Action::Send(acked.message.clone()));
            }
        }
    }

    pub(super) fn socket_lost(&mut self, repetitions_max: u32, actions: &mut Vec<Action>) {
        let lost = Error::new(
            ErrorKind::Disconnected,
            "the connection was lost before the answer",
        );
        let mut failed = Vec::new();
        for (ack_id, acked) in &mut self.acked {
            if acked.state == Sending::Sent {
                acked.repetitions += 1;
                acked.state = Sending::Waiting;
                let is_program = !matches!(acked.owner, Owner::Rejoin(_));
                if is_program && acked.repetitions > repetitions_max {
                    failed.push(*ack_id);
                }
            }
        }
        for ack_id in failed {
            if let Some(acked) = self.acked.remove(&ack_id) {
                self.refuse(acked, lost.clone(), actions);
            }
        }
        for invocation in std::mem::take(&mut self.invocations).into_values() {
            done(actions, invocation.id, Err(lost.clone()));
        }
    }

    /// What rejoins is of the old connection; the new one begins again.
    pub(super) fn connection_lost(&mut self) {
        self.acked
            .retain(|_, acked| !matches!(acked.owner, Owner::Rejoin(_)));
    }

    /// Ends all requests.
    pub(super) fn fail(&mut self, error: &Error, actions: &mut Vec<Action>) {
        for acked in std::mem::take(&mut self.acked).into_values() {
            if let Owner::Program(id) = acked.owner {
                done(actions, id, Err(error.clone()));
            }
        }
        for invocation in std::mem::take(&mut self.invocations).into_values() {
            done(actions, invocation.id, Err(error.clone()));
        }
    }

    pub(super) fn tick(
        &mut self,
        now: Duration,
        is_connected: bool,
        timeout: &Error,
        actions: &mut Vec<Action>,
    ) {
        while let Some(oldest) = self.acked.first_entry() {
            if oldest.get().deadline > now {
                break;
            }
            let acked = oldest.remove();
            self.refuse(acked, timeout.clone(), actions);
        }
        if is_connected {
            for acked in self.acked.values_mut() {
                if matches!(acked.state, Sending::At(at) if at <= now) {
                    acked.state = Sending::Sent;
                    actions.push(Action::Send(acked.message.clone()));
                }
            }
        }
        let due: BTreeMap<u64, u64> = self
            .invocations
            .iter()
            .filter(|(_, it)| it.deadline <= now)
            .map(|(number, it)| (*number, it.id))
            .collect();
        for (number, id) in due {
            self.invocations.remove(&number);
            if is_connected {
                actions.push(cancel(number));
            }
            done(actions, id, Err(timeout.clone()));
        }
    }
}

fn cancel(number: u64) -> Action {
    Action::Send(ClientMessage::CancelInvocation {
        invocation_id: number.to_string(),
    })
}

fn set_ack_id(message: &mut ClientMessage, number: u64) {
    match message {
        ClientMessage::JoinGroup { ack_id, .. }
        | ClientMessage::LeaveGroup { ack_id, .. }
        | ClientMessage::SendToGroup { ack_id, .. }
        | ClientMessage::Event { ack_id, .. }
        | ClientMessage::SetGroupState { ack_id, .. }
        | ClientMessage::SubscribeGroupState { ack_id, .. }
        | ClientMessage::UnsubscribeGroupState { ack_id, .. } => *ack_id = Some(number),
        ClientMessage::Ping
        | ClientMessage::SequenceAck { .. }
        | ClientMessage::StartStream { .. }
        | ClientMessage::StreamData { .. }
        | ClientMessage::EndStream { .. }
        | ClientMessage::Invoke { .. }
        | ClientMessage::CancelInvocation { .. } => {}
    }
}

//! The whole behaviour of a client without its I/O: events and the time go in, [`Action`]s come out.
//!
//! Nothing here opens a socket, reads a clock or draws a random number: time is the [`Duration`] since any fixed moment, and what is
//! random follows from a seed. [`crate::Client`] runs a [`Machine`] on tokio; a program for another runtime can run it too.
//!
//! The contract: call [`Machine::handle`] for everything that happens, carry the actions out in their order, and hand in
//! [`Input::Timeout`] when [`Machine::next_timeout`] has come. Every list in it has a bound; while [`Machine::has_room`] is false no
//! further request may be handed in.

mod io;
mod pending;
mod streams;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hubwire_protocol::message::{
    ClientMessage, ReceivedData, ReceivedFrom, ReconnectionToken, ServiceMessage,
};

use crate::event::{Event, GroupMessage, ServerMessage};
use crate::options::Options;
use crate::{Error, ErrorKind};
pub use io::{AccessUrl, Action, Answer, Input, Request};
use pending::Requests;
use streams::Streams;

/// Requests that may wait for their answers.
pub const IN_FLIGHT_MAX: usize = 1024;
/// Groups that are remembered to be joined again.
pub const GROUPS_MAX: usize = 10_000;
/// Streams that may be open.
pub const STREAMS_MAX: usize = 100;
/// Time from a numbered message to the sequence ack that covers it, at most.
pub const SEQUENCE_ACK_DELAY: Duration = Duration::from_secs(1);
/// Numbered messages after which a sequence ack is sent at once, so that a fast sender does not fill the service's buffer.
pub const SEQUENCE_ACK_MESSAGES_MAX: u64 = 250;
/// Payload bytes after which a sequence ack is sent at once.
pub const SEQUENCE_ACK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Longest wait after a recovery that has failed; the shortest is half of it.
const RECOVERY_PAUSE: Duration = Duration::from_secs(1);
/// Longest wait before a recovery of a socket that was lost so soon after another; the shortest is half of it.
const LOST_AGAIN_PAUSE: Duration = Duration::from_millis(100);
/// Close codes after which the service has forgotten the connection. Source: client-protocols 5.3.
const FINAL_CODES: [u16; 6] = [1000, 1002, 1003, 1007, 1008, 1009];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    New,
    Recovery,
}

#[derive(Clone, Debug)]
enum Phase {
    Idle,
    AskingUrl { deadline: Duration },
    Opening { kind: Kind, deadline: Duration },
    Greeting { kind: Kind, deadline: Duration },
    Connected,
    Waiting { kind: Kind, until: Duration },
    Stopping { deadline: Duration },
    Ended,
}

/// What is known of a connection, whether it has a socket or not.
#[derive(Debug)]
struct Connection {
    id: String,
    token: Option<ReconnectionToken>,
    /// Highest sequence id received.
    received: u64,
    /// Highest sequence id confirmed.
    confirmed: u64,
    unconfirmed_bytes: usize,
    confirm_at: Option<Duration>,
    since: Duration,
}

/// How a socket ended.
struct Loss {
    code: Option<u16>,
    reason: String,
    error: Error,
}

impl Loss {
    /// Without a word of the service.
    fn failure(error: Error) -> Self {
        Self {
            code: None,
            reason: error.to_string(),
            error,
        }
    }

    /// By a close frame, or because the connection broke.
    fn close(code: Option<u16>, reason: String) -> Self {
        let text = match code {
            Some(code) => format!("the service closed the connection with code {code}"),
            None => "the connection broke".to_owned(),
        };
        let text = match reason.as_str() {
            "" => text,
            reason => format!("{text}: {reason}"),
        };
        Self {
            code,
            reason,
            error: Error::new(ErrorKind::Connect, text),
        }
    }
}

/// A client without its I/O.
pub struct Machine {
    options: Options,
    random: u64,
    phase: Phase,
    socket: u64,
    url: Option<AccessUrl>,
    connection: Option<Connection>,
    was_started: bool,
    /// Attempts since the last connection that lasted.
    attempt: u32,
    recover_until: Duration,
    /// When the socket of a connection was last lost.
    lost_at: Option<Duration>,
    heard_at: Duration,
    ping_at: Option<Duration>,
    is_held_back: bool,
    /// What the service said before it closes.
    farewell: Option<String>,
    requests: Requests,
    streams: Streams,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

impl Machine {
    /// Makes a client that does nothing before [`Input::Start`]. All that is random in it follows from the seed.
    pub fn new(options: Options, seed: u64) -> Self {
        Self {
            options,
            random: seed,
            phase: Phase::Idle,
            socket: 0,
            url: None,
            connection: None,
            was_started: false,
            attempt: 0,
            recover_until: Duration::ZERO,
            lost_at: None,
            heard_at: Duration::ZERO,
            ping_at: None,
            is_held_back: false,
            farewell: None,
            requests: Requests::default(),
            streams: Streams::default(),
        }
    }

    /// Tells whether a further request may be handed in.
    pub fn has_room(&self) -> bool {
        self.requests.len() + self.streams.waiting_len() < IN_FLIGHT_MAX
    }

    /// Tells whether frames can be sent right now.
    pub fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected)
    }

    /// Returns the id of the current connection, which may be without a socket for a while.
    pub fn connection_id(&self) -> Option<&str> {
        Some(&self.connection.as_ref()?.id)
    }

    /// Returns when [`Input::Timeout`] is due; a moment that is past means now.
    pub fn next_timeout(&self) -> Option<Duration> {
        let phase = match self.phase {
            Phase::Idle | Phase::Connected | Phase::Ended => None,
            Phase::AskingUrl { deadline }
            | Phase::Opening { deadline, .. }
            | Phase::Greeting { deadline, .. }
            | Phase::Stopping { deadline } => Some(deadline),
            Phase::Waiting { until, .. } => Some(until),
        };
        let live = self.is_connected().then(|| {
            let confirm = self.connection.as_ref().and_then(|it| it.confirm_at);
            [self.ping_at, self.silent_at(), confirm]
        });
        let live = live.into_iter().flatten().flatten();
        phase
            .into_iter()
            .chain(live)
            .chain(self.requests.next_timeout(self.is_connected()))
            .chain(self.streams.next_timeout(self.is_connected()))
            .min()
    }

    /// Takes in what happened at a time and appends what is to be done.
    pub fn handle(&mut self, now: Duration, input: Input, actions: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Ended) {
            if let Input::Request { id, .. } = input {
                done(actions, id, Err(Error::stopped()));
            }
            return;
        }
        match input {
            Input::Start => {
                if matches!(self.phase, Phase::Idle) {
                    self.ask_url(now, actions);
                }
            }
            Input::Url(outcome) => self.got_url(now, outcome, actions),
            Input::Opened { socket } => self.opened(now, socket, actions),
            Input::OpenFailed { socket, error } => {
                if socket == self.socket && matches!(self.phase, Phase::Opening { .. }) {
                    self.lost(now, Loss::failure(error), actions);
                }
            }
            Input::Frame { socket, message } => {
                if socket == self.socket {
                    self.heard_at = now;
                    self.frame(now, message, actions);
                }
            }
            Input::Activity { socket } => {
                if socket == self.socket {
                    self.heard_at = now;
                }
            }
            Input::Closed {
                socket,
                code,
                reason,
            } => {
                if socket == self.socket {
                    self.lost(now, Loss::close(code, reason), actions);
                }
            }
            Input::HeldBack(is_held_back) => {
                self.is_held_back = is_held_back;
                self.heard_at = now;
            }
            Input::Request { id, request } => self.request(now, id, request, actions),
            Input::Cancel { id } => self.requests.cancel(id, self.is_connected(), actions),
            Input::Stop => self.stop(now, actions),
            Input::Timeout => self.tick(now, actions),
        }
    }

    fn ask_url(&mut self, now: Duration, actions: &mut Vec<Action>) {
        self.phase = Phase::AskingUrl {
            deadline: now + self.options.connect_timeout,
        };
        actions.push(Action::AskUrl);
    }

    fn got_url(
        &mut self,
        now: Duration,
        outcome: Result<AccessUrl, Error>,
        actions: &mut Vec<Action>,
    ) {
        if !matches!(self.phase, Phase::AskingUrl { .. }) {
            return;
        }
        match outcome {
            Ok(url) => {
                self.url = Some(url.clone());
                self.open(now, Kind::New, url, actions);
            }
            Err(error) => self.lost(now, Loss::failure(error), actions),
        }
    }

    fn open(&mut self, now: Duration, kind: Kind, url: AccessUrl, actions: &mut Vec<Action>) {
        self.socket += 1;
        self.phase = Phase::Opening {
            kind,
            deadline: now + self.options.connect_timeout,
        };
        let socket = self.socket;
        actions.push(Action::Open { socket, url });
    }

    fn opened(&mut self, now: Duration, socket: u64, actions: &mut Vec<Action>) {
        let Phase::Opening { kind, deadline } = self.phase else {
            return;
        };
        if socket != self.socket {
            return;
        }
        self.heard_at = now;
        self.phase = Phase::Greeting { kind, deadline };
        // A service may accept a recovery without a word. Its pong then tells that from a refusal.
        if kind == Kind::Recovery {
            actions.push(Action::Send(ClientMessage::Ping));
        }
    }

    fn frame(&mut self, now: Duration, message: ServiceMessage, actions: &mut Vec<Action>) {
        match (&self.phase, message) {
            (
                Phase::Greeting {
                    kind: Kind::New, ..
                },
                ServiceMessage::Connected {
                    connection_id,
                    user_id,
                    reconnection_token,
                },
            ) => self.connected(now, connection_id, user_id, reconnection_token, actions),
            (_, ServiceMessage::Disconnected { message }) => self.farewell = Some(message),
            (
                Phase::Greeting {
                    kind: Kind::Recovery,
                    ..
                },
                message,
            ) => {
                self.recovered(now, actions);
                self.live_frame(now, message, actions);
            }
            (Phase::Connected, message) => self.live_frame(now, message, actions),
            _ => {}
        }
    }

    fn connected(
        &mut self,
        now: Duration,
        connection_id: String,
        user_id: Option<String>,
        token: Option<ReconnectionToken>,
        actions: &mut Vec<Action>,
    ) {
        self.connection = Some(Connection {
            id: connection_id.clone(),
            token,
            received: 0,
            confirmed: 0,
            unconfirmed_bytes: 0,
            confirm_at: None,
            since: now,
        });
        self.alive(now);
        if !self.was_started {
            self.was_started = true;
            actions.push(Action::Started(Ok(())));
        }
        actions.push(Action::Emit(Event::Connected {
            connection_id,
            user_id,
        }));
        if self.options.auto_rejoin_groups {
            self.requests
                .rejoin(now + self.options.ack_timeout, actions);
        }
        self.requests.resend(actions);
        self.streams.resume(actions);
    }

    fn recovered(&mut self, now: Duration, actions: &mut Vec<Action>) {
        self.alive(now);
        if let Some(connection) = &mut self.connection {
            actions.push(Action::Emit(Event::Recovered {
                connection_id: connection.id.clone(),
            }));
        }
        self.requests.resend(actions);
        self.streams.resume(actions);
    }

    fn alive(&mut self, now: Duration) {
        self.phase = Phase::Connected;
        self.farewell = None;
        self.ping_at = self.options.ping_interval.map(|interval| now + interval);
    }

    fn live_frame(&mut self, now: Duration, message: ServiceMessage, actions: &mut Vec<Action>) {
        match message {
            ServiceMessage::Connected {
                reconnection_token, ..
            } => {
                if let (Some(connection), Some(token)) = (&mut self.connection, reconnection_token)
                {
                    connection.token = Some(token);
                }
            }
            ServiceMessage::Ack { ack_id, outcome } => {
                let random = self.random();
                self.requests
                    .ack(now, &self.options, random, ack_id, outcome, actions);
            }
            ServiceMessage::InvokeResponse {
                invocation_id,
                outcome,
            } => self.requests.answered(&invocation_id, outcome, actions),
            ServiceMessage::StreamAck {
                stream,
                expected_sequence_id,
            } => self.streams.ack(&stream, expected_sequence_id, actions),
            ServiceMessage::StreamNack {
                stream,
                expected_sequence_id,
                error,
            } => {
                let retry_at = now + self.options.message_backoff.first;
                self.streams
                    .nack(&stream, expected_sequence_id, &error, retry_at, actions);
            }
            ServiceMessage::StreamClosed { stream, error } => {
                self.streams.closed(&stream, error, actions);
            }
            ServiceMessage::Data(data) => {
                let bytes = data.content.payload.data.len();
                if self.is_new(now, data.sequence_id, bytes, actions) {
                    actions.push(Action::Emit(data_event(data)));
                }
            }
            ServiceMessage::GroupState {
                group,
                is_snapshot,
                items,
                sequence_id,
            } => {
                if self.is_new(now, sequence_id, 0, actions) {
                    actions.push(Action::Emit(Event::GroupState {
                        group,
                        is_snapshot,
                        items,
                    }));
                }
            }
            ServiceMessage::Pong
            | ServiceMessage::Disconnected { .. }
            | ServiceMessage::Unknown => {}
        }
    }

    /// Notes a sequence id; false for a message that came before.
    fn is_new(
        &mut self,
        now: Duration,
        sequence_id: Option<u64>,
        bytes: usize,
        actions: &mut Vec<Action>,
    ) -> bool {
        let (Some(sequence_id), Some(connection)) = (sequence_id, &mut self.connection) else {
            return true;
        };
        let is_new = sequence_id > connection.received;
        if is_new {
            connection.received = sequence_id;
            connection.unconfirmed_bytes += bytes;
        } else {
            // The service sends again what it has no confirmation of.
            connection.confirmed = connection.confirmed.min(sequence_id.saturating_sub(1));
        }
        connection
            .confirm_at
            .get_or_insert(now + SEQUENCE_ACK_DELAY);
        let waiting = connection.received - connection.confirmed;
        if waiting >= SEQUENCE_ACK_MESSAGES_MAX
            || connection.unconfirmed_bytes >= SEQUENCE_ACK_BYTES_MAX
        {
            self.confirm(actions);
        }
        is_new
    }

    fn confirm(&mut self, actions: &mut Vec<Action>) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        connection.confirm_at = None;
        if connection.received > connection.confirmed {
            connection.confirmed = connection.received;
            connection.unconfirmed_bytes = 0;
            actions.push(Action::Send(ClientMessage::SequenceAck {
                sequence_id: connection.received,
            }));
        }
    }

    /// The socket, or the attempt at one, is gone.
    fn lost(&mut self, now: Duration, loss: Loss, actions: &mut Vec<Action>) {
        // Whatever may still come from it is of no interest.
        self.socket += 1;
        match self.phase.clone() {
            Phase::Idle | Phase::Ended | Phase::Waiting { .. } => {}
            Phase::Stopping { .. } => self.end(None, loss.code, actions),
            Phase::Connected => self.socket_lost(now, loss, actions),
            Phase::Opening {
                kind: Kind::Recovery,
                ..
            }
            | Phase::Greeting {
                kind: Kind::Recovery,
                ..
            } => self.recovery_failed(now, loss, actions),
            Phase::AskingUrl { .. } | Phase::Opening { .. } | Phase::Greeting { .. } => {
                match self.was_started {
                    true => self.wait_for_new(now, loss.error, actions),
                    false => {
                        self.phase = Phase::Ended;
                        self.requests.fail(&loss.error, actions);
                        actions.push(Action::Started(Err(loss.error.clone())));
                        actions.push(Action::Emit(Event::Stopped {
                            error: Some(loss.error),
                        }));
                        actions.push(Action::Ended);
                    }
                }
            }
        }
    }

    fn socket_lost(&mut self, now: Duration, loss: Loss, actions: &mut Vec<Action>) {
        self.requests
            .socket_lost(self.options.message_retries, actions);
        self.streams.socket_lost(actions);
        let lasted = self
            .connection
            .as_ref()
            .map(|it| now.saturating_sub(it.since));
        if lasted.is_some_and(|lasted| lasted >= self.options.reconnect.max) {
            self.attempt = 0;
        }
        if self.is_recoverable(loss.code) {
            self.recover_until = now + self.options.recovery_window;
            let before = self.lost_at.replace(now);
            // A service or a proxy that lets every recovery in and cuts it at once is not asked at full speed.
            match before.is_some_and(|before| now.saturating_sub(before) < RECOVERY_PAUSE) {
                true => self.wait_to_recover(now, LOST_AGAIN_PAUSE),
                false => self.recover(now, actions),
            }
        } else {
            self.connection_lost(now, loss, actions);
        }
    }

    fn is_recoverable(&self, code: Option<u16>) -> bool {
        let has_token = self
            .connection
            .as_ref()
            .is_some_and(|it| it.token.is_some());
        self.options.protocol.is_reliable()
            && has_token
            && !code.is_some_and(|code| FINAL_CODES.contains(&code))
    }

    fn recover(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let url = match (&self.url, &self.connection) {
            (Some(url), Some(connection)) => connection
                .token
                .as_ref()
                .map(|token| url.recovering(&connection.id, token)),
            _ => None,
        };
        let url = url.expect("only a connection with a token is recovered");
        self.open(now, Kind::Recovery, url, actions);
    }

    fn recovery_failed(&mut self, now: Duration, loss: Loss, actions: &mut Vec<Action>) {
        let is_refused = loss.code.is_some_and(|code| FINAL_CODES.contains(&code));
        if is_refused || now + RECOVERY_PAUSE >= self.recover_until {
            self.connection_lost(now, loss, actions);
        } else {
            self.wait_to_recover(now, RECOVERY_PAUSE);
        }
    }

    fn wait_to_recover(&mut self, now: Duration, longest: Duration) {
        let half = longest / 2;
        self.phase = Phase::Waiting {
            kind: Kind::Recovery,
            until: now + half + half * (self.random() % 1000) as u32 / 1000,
        };
    }

    /// The connection is gone for good.
    fn connection_lost(&mut self, now: Duration, loss: Loss, actions: &mut Vec<Action>) {
        self.say_disconnected(loss.code, loss.reason, actions);
        let error = Error::new(
            ErrorKind::Disconnected,
            "the connection was lost, and the stream with it",
        );
        self.streams.connection_lost(&error, actions);
        self.requests.connection_lost();
        match self.options.auto_reconnect {
            true => self.wait_for_new(now, loss.error, actions),
            false => self.end(Some(loss.error), None, actions),
        }
    }

    fn wait_for_new(&mut self, now: Duration, error: Error, actions: &mut Vec<Action>) {
        let random = self.random();
        match self.options.reconnect.wait(self.attempt, random) {
            Some(wait) => {
                self.attempt = self.attempt.saturating_add(1);
                self.phase = Phase::Waiting {
                    kind: Kind::New,
                    until: now + wait,
                };
            }
            None => self.end(Some(error), None, actions),
        }
    }

    fn say_disconnected(&mut self, code: Option<u16>, reason: String, actions: &mut Vec<Action>) {
        if let Some(connection) = self.connection.take() {
            actions.push(Action::Emit(Event::Disconnected {
                connection_id: connection.id,
                close_code: code,
                reason: self.farewell.take().unwrap_or(reason),
            }));
        }
    }

    fn stop(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Stopping { .. }) {
            return;
        }
        self.requests.fail(&Error::stopped(), actions);
        self.streams.connection_lost(&Error::stopped(), actions);
        if self.is_connected() {
            self.confirm(actions);
            self.phase = Phase::Stopping {
                deadline: now + self.options.stop_timeout,
            };
            actions.push(Action::Close);
        } else {
            self.socket += 1;
            actions.push(Action::Drop);
            self.end(None, None, actions);
        }
    }

    fn end(&mut self, error: Option<Error>, code: Option<u16>, actions: &mut Vec<Action>) {
        self.phase = Phase::Ended;
        let failure = error.clone().unwrap_or_else(Error::stopped);
        self.requests.fail(&failure, actions);
        self.streams.connection_lost(&failure, actions);
        self.say_disconnected(code, String::new(), actions);
        if !self.was_started {
            self.was_started = true;
            actions.push(Action::Started(Err(failure)));
        }
        actions.push(Action::Emit(Event::Stopped { error }));
        actions.push(Action::Ended);
    }

    fn request(&mut self, now: Duration, id: u64, request: Request, actions: &mut Vec<Action>) {
        let is_connected = self.is_connected();
        if matches!(self.phase, Phase::Stopping { .. }) {
            done(actions, id, Err(Error::stopped()));
            return;
        }
        let deadline = now + self.options.ack_timeout;
        match request {
            Request::Acked(message) => {
                let may_wait = self.options.message_retries > 0;
                self.requests
                    .acked(id, message, deadline, (is_connected, may_wait), actions);
            }
            Request::Unacked(message) if is_connected => {
                actions.push(Action::Send(message));
                done(actions, id, Ok(Answer::Done));
            }
            Request::Invoke {
                event,
                content,
                timeout,
            } if is_connected => {
                self.requests
                    .invoke(id, event, content, now + timeout, actions);
            }
            Request::OpenStream {
                group,
                no_echo,
                idle_timeout_ms,
            } if is_connected => {
                let start = |stream| ClientMessage::StartStream {
                    group,
                    stream,
                    no_echo,
                    idle_timeout_ms,
                    has_data: false,
                };
                self.streams.open(id, deadline, start, actions);
            }
            Request::Unacked(_) | Request::Invoke { .. } | Request::OpenStream { .. } => {
                done(actions, id, Err(not_connected()));
            }
            Request::StreamSend { stream, payload } => {
                self.streams
                    .send(id, &stream, payload, is_connected, actions);
            }
            Request::StreamKeepAlive { stream } => {
                self.streams.keep_alive(id, &stream, is_connected, actions);
            }
            Request::StreamEnd { stream } => {
                self.streams
                    .end(id, &stream, deadline, is_connected, actions);
            }
            Request::StreamAbort { stream, error } => {
                self.streams
                    .abort(id, &stream, error, is_connected, actions);
            }
        }
    }

    fn tick(&mut self, now: Duration, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Idle | Phase::Ended => {}
            Phase::AskingUrl { deadline } if deadline <= now => {
                self.give_up(now, "the credential gave no URL in time", actions);
            }
            Phase::Opening { deadline, .. } | Phase::Greeting { deadline, .. }
                if deadline <= now =>
            {
                self.give_up(now, "the service did not greet in time", actions);
            }
            Phase::Stopping { deadline } if deadline <= now => {
                self.socket += 1;
                actions.push(Action::Drop);
                self.end(None, None, actions);
            }
            Phase::Waiting { kind, until } if until <= now => match kind {
                Kind::New => self.ask_url(now, actions),
                Kind::Recovery => self.recover(now, actions),
            },
            Phase::Connected => self.tick_connected(now, actions),
            _ => {}
        }
        let is_connected = self.is_connected();
        let timeout = Error::new(ErrorKind::Timeout, "the service did not answer in time");
        self.requests.tick(now, is_connected, &timeout, actions);
        self.streams.tick(now, is_connected, &timeout, actions);
    }

    fn tick_connected(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.silent_at().is_some_and(|at| at <= now) {
            self.give_up(now, "nothing arrived for too long", actions);
            return;
        }
        if self.ping_at.is_some_and(|at| at <= now) {
            self.ping_at = self.options.ping_interval.map(|interval| now + interval);
            actions.push(Action::Send(ClientMessage::Ping));
        }
        let confirm_at = self.connection.as_ref().and_then(|it| it.confirm_at);
        if confirm_at.is_some_and(|at| at <= now) {
            self.confirm(actions);
        }
    }

    fn give_up(&mut self, now: Duration, reason: &str, actions: &mut Vec<Action>) {
        actions.push(Action::Drop);
        let error = Error::new(ErrorKind::Timeout, reason);
        self.lost(now, Loss::failure(error), actions);
    }

    fn silent_at(&self) -> Option<Duration> {
        match self.is_held_back {
            true => None,
            false => self
                .options
                .silence_timeout
                .map(|timeout| self.heard_at + timeout),
        }
    }

    /// The next number of splitmix64.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

fn data_event(data: ReceivedData) -> Event {
    match data.from {
        ReceivedFrom::Server => Event::ServerMessage(ServerMessage {
            content: data.content,
            sequence_id: data.sequence_id,
        }),
        ReceivedFrom::Group { group, user_id } => Event::GroupMessage(GroupMessage {
            group,
            from_user_id: user_id,
            content: data.content,
            stream: data.stream,
            sequence_id: data.sequence_id,
        }),
    }
}

fn not_connected() -> Error {
    Error::new(ErrorKind::Disconnected, "there is no connection right now")
}

fn done(actions: &mut Vec<Action>, id: u64, outcome: Result<Answer, Error>) {
    actions.push(Action::Done { id, outcome });
}

/// Requests by their numbers on the wire.
type ByNumber<T> = BTreeMap<u64, T>;

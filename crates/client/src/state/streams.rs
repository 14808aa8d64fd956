//! Streams that the program publishes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hubwire_protocol::message::{ClientMessage, ReceivedError, UserStreamError};
use hubwire_protocol::names::StreamId;
use hubwire_protocol::payload::Payload;

use super::{Action, Answer, STREAMS_MAX, done, not_connected};
use crate::{Error, ErrorKind};

/// Fragments of a stream that may be without confirmation.
const WINDOW_MAX: usize = 64;
/// Their bytes; one fragment may be larger if it is alone.
const WINDOW_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Streams {
    last: u64,
    streams: BTreeMap<String, Stream>,
}

#[derive(Debug)]
struct Stream {
    id: StreamId,
    state: State,
    /// The number of the first fragment in the window.
    first: u64,
    window: VecDeque<Payload>,
    window_bytes: usize,
    /// Requests whose fragments wait for the window.
    waiting: VecDeque<(u64, Payload)>,
    retry_at: Option<Duration>,
    end: Option<End>,
}

#[derive(Debug)]
enum State {
    Opening {
        id: u64,
        deadline: Duration,
    },
    Open,
    /// Kept until its writer learns of it.
    Closed(Error),
}

#[derive(Debug)]
struct End {
    id: u64,
    deadline: Duration,
    is_sent: bool,
}

impl Streams {
    pub(super) fn waiting_len(&self) -> usize {
        self.streams.values().map(|it| it.waiting.len()).sum()
    }

    pub(super) fn next_timeout(&self, is_connected: bool) -> Option<Duration> {
        let times = self.streams.values().flat_map(|stream| {
            let opening = match stream.state {
                State::Opening { deadline, .. } => Some(deadline),
                State::Open | State::Closed(_) => None,
            };
            let end = stream.end.as_ref().map(|end| end.deadline);
            [opening, end, stream.retry_at.filter(|_| is_connected)]
        });
        times.flatten().min()
    }

    pub(super) fn open(
        &mut self,
        id: u64,
        deadline: Duration,
        start: impl FnOnce(StreamId) -> ClientMessage,
        actions: &mut Vec<Action>,
    ) {
        if self.streams.len() >= STREAMS_MAX {
            let text = format!("{STREAMS_MAX} streams are open, which is the limit");
            return done(actions, id, Err(Error::new(ErrorKind::Limit, text)));
        }
        self.last += 1;
        let stream = StreamId::new(&format!("s{}", self.last)).expect("a few letters are an id");
        actions.push(Action::Send(start(stream.clone())));
        self.streams.insert(
            stream.as_str().to_owned(),
            Stream {
                id: stream,
                state: State::Opening { id, deadline },
                first: 1,
                window: VecDeque::new(),
                window_bytes: 0,
                waiting: VecDeque::new(),
                retry_at: None,
                end: None,
            },
        );
    }

    pub(super) fn send(
        &mut self,
        id: u64,
        stream: &StreamId,
        payload: Payload,
        is_connected: bool,
        actions: &mut Vec<Action>,
    ) {
        match self.streams.get_mut(stream.as_str()) {
            Some(stream) if stream.end.is_none() => match &stream.state {
                State::Closed(error) => done(actions, id, Err(error.clone())),
                State::Opening { .. } => done(actions, id, Err(no_stream())),
                State::Open => {
                    stream.waiting.push_back((id, payload));
                    stream.fill(is_connected, actions);
                }
            },
            Some(_) | None => done(actions, id, Err(no_stream())),
        }
    }

    pub(super) fn keep_alive(
        &mut self,
        id: u64,
        stream: &StreamId,
        is_connected: bool,
        actions: &mut Vec<Action>,
    ) {
        let outcome = match self.streams.get(stream.as_str()).map(|it| &it.state) {
            Some(State::Closed(error)) => Err(error.clone()),
            Some(State::Opening { .. } | State::Open) if is_connected => {
                actions.push(Action::Send(ClientMessage::StreamData {
                    stream: stream.clone(),
                    fragment: None,
                }));
                Ok(Answer::Done)
            }
            Some(State::Opening { .. } | State::Open) => Err(not_connected()),
            None => Err(no_stream()),
        };
        done(actions, id, outcome);
    }

    pub(super) fn end(
        &mut self,
        id: u64,
        stream: &StreamId,
        deadline: Duration,
        is_connected: bool,
        actions: &mut Vec<Action>,
    ) {
        let Some(found) = self.streams.get_mut(stream.as_str()) else {
            return done(actions, id, Err(no_stream()));
        };
        if let State::Closed(error) = &found.state {
            done(actions, id, Err(error.clone()));
            self.streams.remove(stream.as_str());
            return;
        }
        if found.end.is_some() || matches!(found.state, State::Opening { .. }) {
            return done(actions, id, Err(no_stream()));
        }
        found.end = Some(End {
            id,
            deadline,
            is_sent: false,
        });
        found.fill(is_connected, actions);
    }

    pub(super) fn abort(
        &mut self,
        id: u64,
        stream: &StreamId,
        error: UserStreamError,
        is_connected: bool,
        actions: &mut Vec<Action>,
    ) {
        if let Some(mut found) = self.streams.remove(stream.as_str()) {
            let is_closed = matches!(found.state, State::Closed(_));
            found.fail(&no_stream(), actions);
            if is_connected && !is_closed {
                actions.push(Action::Send(ClientMessage::EndStream {
                    stream: stream.clone(),
                    error: Some(error),
                }));
            }
        }
        done(actions, id, Ok(Answer::Done));
    }

    pub(super) fn ack(&mut self, stream: &str, expected: u64, actions: &mut Vec<Action>) {
        if let Some(stream) = self.streams.get_mut(stream) {
            if let State::Opening { id, .. } = stream.state {
                stream.state = State::Open;
                done(actions, id, Ok(Answer::Stream(stream.id.clone())));
            }
            stream.confirm(expected);
            stream.fill(true, actions);
        }
    }

    pub(super) fn nack(
        &mut self,
        stream: &str,
        expected: u64,
        error: &ReceivedError,
        retry_at: Duration,
        actions: &mut Vec<Action>,
    ) {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.confirm(expected);
            // The service has a gap, or could not take the fragment this time.
            match error.name.as_str() {
                "InvalidSequenceId" => stream.send_window(actions),
                _ => stream.retry_at = Some(retry_at),
            }
            stream.fill(true, actions);
        }
    }

    pub(super) fn closed(
        &mut self,
        stream: &str,
        error: Option<ReceivedError>,
        actions: &mut Vec<Action>,
    ) {
        let Some(found) = self.streams.get_mut(stream) else {
            return;
        };
        let is_ended = found.end.as_ref().is_some_and(|end| end.is_sent);
        // An end that is sent again after a recovery may find the stream ended.
        let is_good = error
            .as_ref()
            .is_none_or(|error| error.name == "StreamNotFound");
        if is_ended && is_good {
            if let Some(end) = &found.end {
                done(actions, end.id, Ok(Answer::Done));
            }
            self.streams.remove(stream);
            return;
        }
        let error = error.map_or_else(
            || Error::new(ErrorKind::Service, "the service closed the stream"),
            Error::service,
        );
        let is_known = matches!(found.state, State::Opening { .. }) || found.end.is_some();
        found.fail(&error, actions);
        if is_known {
            self.streams.remove(stream);
        }
    }

    /// Goes on after a recovery.
    pub(super) fn resume(&mut self, actions: &mut Vec<Action>) {
        for stream in self.streams.values_mut() {
            if matches!(stream.state, State::Open) {
                stream.send_window(actions);
                if let Some(end) = &mut stream.end {
                    end.is_sent = false;
                }
                stream.fill(true, actions);
            }
        }
    }

    /// A stream whose start has no answer may be open or not; it is given up.
    pub(super) fn socket_lost(&mut self, actions: &mut Vec<Action>) {
        self.streams.retain(|_, stream| {
            let is_opening = matches!(stream.state, State::Opening { .. });
            if is_opening {
                stream.fail(&not_connected(), actions);
            }
            !is_opening
        });
    }

    pub(super) fn connection_lost(&mut self, error: &Error, actions: &mut Vec<Action>) {
        self.streams.retain(|_, stream| {
            let is_known = matches!(stream.state, State::Opening { .. }) || stream.end.is_some();
            stream.fail(error, actions);
            !is_known
        });
    }

    pub(super) fn tick(
        &mut self,
        now: Duration,
        is_connected: bool,
        timeout: &Error,
        actions: &mut Vec<Action>,
    ) {
        self.streams.retain(|_, stream| {
            let is_late = match (&stream.state, &stream.end) {
                (State::Opening { deadline, .. }, _) => *deadline <= now,
                (_, Some(end)) => end.deadline <= now,
                (_, None) => false,
            };
            if is_late {
                stream.fail(timeout, actions);
                if is_connected {
                    actions.push(Action::Send(ClientMessage::EndStream {
                        stream: stream.id.clone(),
                        error: None,
                    }));
                }
                return false;
            }
            if is_connected && stream.retry_at.is_some_and(|at| at <= now) {
                stream.retry_at = None;
                stream.send_window(actions);
            }
            true
        });
    }
}

impl Stream {
    fn confirm(&mut self, expected: u64) {
        // Beyond what was sent there is nothing to confirm.
        while self.first < expected {
            let Some(payload) = self.window.pop_front() else {
                return;
            };
            self.window_bytes -= payload.data.len();
            self.first += 1;
        }
    }

    /// Moves fragments into the window and sends the end once all are confirmed.
    fn fill(&mut self, is_connected: bool, actions: &mut Vec<Action>) {
        while !self.waiting.is_empty() && self.has_room() {
            let Some((id, payload)) = self.waiting.pop_front() else {
                return;
            };
            let number = self.first + self.window.len() as u64;
            if is_connected && self.retry_at.is_none() {
                actions.push(self.fragment(number, payload.clone()));
            }
            self.window_bytes += payload.data.len();
            self.window.push_back(payload);
            done(actions, id, Ok(Answer::Done));
        }
        let is_empty = self.window.is_empty() && self.waiting.is_empty();
        if let Some(end) = &mut self.end
            && is_connected
            && is_empty
            && !end.is_sent
        {
            end.is_sent = true;
            actions.push(Action::Send(ClientMessage::EndStream {
                stream: self.id.clone(),
                error: None,
            }));
        }
    }

    fn has_room(&self) -> bool {
        let next = self.waiting.front().map_or(0, |(_, it)| it.data.len());
        self.window.is_empty()
            || (self.window.len() < WINDOW_MAX && self.window_bytes + next <= WINDOW_BYTES_MAX)
    }

    fn send_window(&self, actions: &mut Vec<Action>) {
        for (number, payload) in (self.first..).zip(&self.window) {
            actions.push(self.fragment(number, payload.clone()));
        }
    }

    fn fragment(&self, number: u64, payload: Payload) -> Action {
        Action::Send(ClientMessage::StreamData {
            stream: self.id.clone(),
            fragment: Some((number, payload)),
        })
    }

    fn fail(&mut self, error: &Error, actions: &mut Vec<Action>) {
        if let State::Opening { id, .. } = self.state {
            done(actions, id, Err(error.clone()));
        }
        if !matches!(self.state, State::Closed(_)) {
            self.state = State::Closed(error.clone());
        }
        for (id, _) in self.waiting.drain(..) {
            done(actions, id, Err(error.clone()));
        }
        if let Some(end) = self.end.take() {
            done(actions, end.id, Err(error.clone()));
        }
        self.window.clear();
        self.window_bytes = 0;
        self.retry_at = None;
    }
}

fn no_stream() -> Error {
    Error::new(ErrorKind::Invalid, "the stream is not open")
}

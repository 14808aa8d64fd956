//! One input of one shard: what must come of it, and what has come of it so far.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hubwire_engine::CloseCategory;

use super::streams::Stream;
use super::{Link, Model};
use crate::promise::{Checked, Promise, broken};

#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) now: u64,
    pub(super) shard: usize,
    /// Connections that must end, or have ended for a reason of their own.
    pub(super) ends: BTreeMap<usize, CloseCategory>,
    /// Connections that may end because their buffer may be full.
    pub(super) may_overflow: BTreeSet<usize>,
    /// Connections that have ended.
    ended: BTreeSet<usize>,
    /// Connections whose sockets must be closed.
    pub(super) must_close: BTreeSet<usize>,
    /// Connections that leave and may come back.
    pub(super) leaving: Vec<usize>,
    /// Streams whose publishers have ended.
    pub(super) cancelled: VecDeque<(usize, String, Stream)>,
    /// Publications of clients, which are to be handed on.
    pub(super) published: Vec<usize>,
    /// Acks of streams that are due because of the fragments that have come, by client, stream and number.
    pub(super) acks_due: Vec<(usize, String, u64)>,
    /// Frames are handled that have waited.
    pub(super) handles_held: bool,
    /// Connections that have watched a group until one of these.
    pub(super) unwatched: Vec<(usize, &'static str)>,
    /// How many states have changed.
    pub(super) state_changes: usize,
    /// Questions whose answers nobody wants any more.
    pub(super) called_off: BTreeSet<u64>,
    /// The client that recovers.
    pub(super) recovering: Option<usize>,
    is_timeout: bool,
}

impl Model {
    /// Starts a turn.
    pub(crate) fn begin(&mut self, now: u64, shard: usize, is_timeout: bool) {
        self.turn = Turn {
            now,
            shard,
            is_timeout,
            ..Turn::default()
        };
    }

    /// The engine says that a connection has ended.
    pub(crate) fn ended(&mut self, number: usize, category: CloseCategory) -> Checked {
        if !self.turn.ended.insert(number) {
            return broken(Promise::EndsForAReason, [number], "it ended twice");
        }
        if !self.turn.ends.contains_key(&number) {
            // The ends so far may have led to messages that were too many for this one.
            self.cancel_streams();
        }
        if !self.turn.ends.contains_key(&number) {
            self.ended_by_itself(number, category)?;
            self.end(number, category);
        }
        match self.turn.ends.get(&number) {
            Some(expected) if *expected == category => Ok(()),
            expected => broken(
                Promise::EndsForAReason,
                [number],
                format!("it ended as {category:?}, expected {expected:?}"),
            ),
        }
    }

    /// Checks the end of a connection that need not have ended now.
    fn ended_by_itself(&self, number: usize, category: CloseCategory) -> Checked {
        let connection = &self.connections[number];
        if !connection.is_active {
            return broken(Promise::EndsForAReason, [number], "it had ended before");
        }
        match category {
            CloseCategory::PingTimeout => self.silent(number),
            CloseCategory::SlowClient
                if self.turn.may_overflow.contains(&number) || self.states_may_overflow(number) =>
            {
                Ok(())
            }
            CloseCategory::SlowClient => broken(
                Promise::Overflow,
                [number],
                "it was closed although it kept up",
            ),
            _ => broken(
                Promise::EndsForAReason,
                [number],
                format!("it ended as {category:?} for no reason"),
            ),
        }
    }

    fn silent(&self, number: usize) -> Checked {
        let silence = self.turn.now - self.connections[number].last_heard;
        match silence >= self.settings.silence_ms() {
            true => Ok(()),
            false => broken(
                Promise::EndsForAReason,
                [number],
                format!("it was dropped after {silence} ms of silence"),
            ),
        }
    }

    /// The engine drops the socket of a connection.
    pub(crate) fn aborted(&mut self, number: usize) -> Checked {
        self.turn.must_close.remove(&number);
        let connection = &self.connections[number];
        if connection.is_active && connection.link == Link::Attached {
            self.silent(number)?;
            if self.connections[number].reliable.is_some() {
                self.detach(number);
            }
        }
        Ok(())
    }

    /// The engine closes the socket of a connection.
    pub(crate) fn closes(&mut self, number: usize, code: Option<u16>) -> Checked {
        self.turn.must_close.remove(&number);
        if self.turn.leaving.contains(&number) {
            return Ok(());
        }
        let Some(category) = self.turn.ends.get(&number) else {
            return broken(
                Promise::EndsForAReason,
                [number],
                "it was closed for no reason",
            );
        };
        let is_right = match category {
            CloseCategory::Normal => true,
            CloseCategory::ClosedByAppServer => code == Some(1000),
            CloseCategory::EventHandlerNotFound | CloseCategory::SendEventFailed => {
                code == Some(1011)
            }
            CloseCategory::SlowClient | CloseCategory::Unauthorized | CloseCategory::Throttled => {
                code == Some(1008)
            }
            CloseCategory::BadRequest => matches!(code, Some(1002 | 1007 | 1009)),
            CloseCategory::ServiceReload | CloseCategory::LifetimeOver => code == Some(1001),
            CloseCategory::ServiceTransientError
            | CloseCategory::PingTimeout
            | CloseCategory::ConnectionLost => false,
        };
        match is_right {
            true => Ok(()),
            false => broken(
                Promise::EndsForAReason,
                [number],
                format!("closed with {code:?} as {category:?}"),
            ),
        }
    }

    /// All ends of the turn are known: what follows from them is expected from here on.
    pub(crate) fn follow_ends(&mut self) -> Checked {
        self.cancel_streams();
        if let Some((number, category)) = self
            .turn
            .ends
            .iter()
            .find(|(number, _)| !self.turn.ended.contains(number))
        {
            let promise = match category {
                CloseCategory::SlowClient => Promise::Overflow,
                CloseCategory::ConnectionLost => Promise::Recovery,
                _ => Promise::EndsForAReason,
            };
            return broken(
                promise,
                [*number],
                format!("it goes on instead of ending as {category:?}"),
            );
        }
        if self.turn.is_timeout {
            self.streams_end_either_way();
        }
        Ok(())
    }

    /// Tells those who get streams of publishers that have ended.
    fn cancel_streams(&mut self) {
        while let Some((number, id, stream)) = self.turn.cancelled.pop_front() {
            self.cancel_stream(number, &id, &stream);
        }
    }

    pub(super) fn has_ended_now(&self, number: usize) -> bool {
        self.turn.ended.contains(&number)
    }

    /// Everything that the engine made of the input was shown.
    pub(crate) fn finish(&mut self) -> Checked {
        if let Some(number) = self.turn.recovering.take() {
            self.finish_replay(number)?;
        }
        if let Some(number) = self.turn.must_close.first() {
            return broken(Promise::Overflow, [*number], "it was not closed with 1008");
        }
        for &publication in &self.turn.published {
            if self.shards_of(publication) & !(1 << self.turn.shard) != 0 {
                let source = self.publications[publication].source();
                return broken(
                    Promise::AcceptedIsHandedOn,
                    source,
                    format!("publication {publication} stays in its shard"),
                );
            }
        }
        if let Some(question) = self.turn.called_off.first() {
            let detail = format!("question {question} is not called off");
            return broken(Promise::CalledOff, [], detail);
        }
        for number in 0..self.connections.len() {
            if self.connections[number].shard == self.turn.shard {
                self.finish_events(number)?;
                self.finish_connection(number)?;
            }
        }
        Ok(())
    }

    fn finish_connection(&mut self, number: usize) -> Checked {
        let connection = &mut self.connections[number];
        if !connection.is_linked() {
            connection.controls.clear();
            return Ok(());
        }
        if connection.awaits_connected {
            return broken(
                Promise::ConnectedFirst,
                [number],
                "there was no `connected`",
            );
        }
        if let Some(&publication) = connection.pending.first() {
            let clients = self.publications[publication].source().chain([number]);
            return broken(
                Promise::NothingLost,
                clients,
                format!("{:?} was not sent", self.publications[publication]),
            );
        }
        if let Some(frame) = connection.controls.front() {
            return broken(
                Self::promise_of(frame),
                [number],
                format!("{frame:?} was not sent"),
            );
        }
        self.acks_of_streams(number, self.turn.is_timeout)
    }

    /// Checks that a client that says nothing is not kept.
    pub(crate) fn nobody_is_silent(&self) -> Checked {
        for number in self.active() {
            let connection = &self.connections[number];
            let patience = self.settings.silence_ms() + self.settings.keep_alive_ms;
            let silence = self.turn.now.saturating_sub(connection.last_heard);
            let events = &connection.events;
            let is_read = !events.is_reading_held && !events.is_closed_behind;
            let is_there = connection.link == Link::Attached && connection.was_attached;
            if is_there && is_read && silence > patience {
                return broken(
                    Promise::EndsForAReason,
                    [number],
                    format!("{silence} ms of silence went unnoticed"),
                );
            }
        }
        Ok(())
    }
}

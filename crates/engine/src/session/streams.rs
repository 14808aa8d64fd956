//! Streams: fragments from one publisher to a group, acknowledged one way. Source: client-protocols 3.8.

use bytes::Bytes;
use hubwire_protocol::message::{
    Content, ControlMessage, DataMessage, Fragment, From, NamedError, StreamEnd, StreamError,
    StreamErrorName, UserStreamError,
};
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::names::{GroupName, StreamId};
use hubwire_protocol::payload::{DataType, Payload};

use crate::command::{Action, Command, Selection, Target};
use crate::input::ConnectionKey;
use crate::outgoing::Message;
use crate::output::{Ended, Outputs};
use crate::permission::Permission;
use crate::session::Publish;
use crate::shard::Shard;
use crate::timers::{Time, Timer};

/// Streams that a connection may have open.
const STREAMS_MAX: usize = 100;
/// Fragments after which an ack is sent at the latest.
const ACK_FRAGMENTS: u32 = 32;
/// Milliseconds after which one is.
const ACK_MS: u64 = 100;

/// A stream that a connection publishes.
#[derive(Debug)]
pub(crate) struct Stream {
    id: StreamId,
    group: GroupName,
    no_echo: bool,
    idle_timeout_ms: u32,
    /// The number of the next fragment.
    expected: u64,
    /// When the last fragment or keep-alive came.
    last_active: Time,
    /// Fragments accepted since the last ack.
    unacked: u32,
    /// When they are to be acked.
    ack_due: Option<Time>,
}

impl Stream {
    fn due(&self) -> Time {
        let idle = self.last_active.after_ms(u64::from(self.idle_timeout_ms));
        self.ack_due.map_or(idle, |ack| ack.min(idle))
    }

    fn acked(&mut self) {
        self.unacked = 0;
        self.ack_due = None;
    }

    /// Makes the message that tells subscribers of the end. Its text is there because official clients drop what has none.
    fn terminal(&self, error: Option<StreamError>) -> Publish {
        Publish {
            group: self.group.clone(),
            content: Content {
                payload: Payload {
                    data_type: DataType::Text,
                    data: Bytes::new(),
                },
                metadata: Metadata::default(),
            },
            fragment: Some(Fragment {
                stream: self.id.clone(),
                sequence_id: self.expected,
                end: Some(StreamEnd { error }),
            }),
            no_echo: self.no_echo,
            ttl_seconds: 0,
        }
    }
}

fn error(name: StreamErrorName, message: &str) -> StreamError {
    StreamError {
        name,
        details: UserStreamError {
            message: Some(message.to_owned()),
            user_error_code: None,
        },
    }
}

/// A stream to be opened.
pub(super) struct StartStream {
    pub(super) group: GroupName,
    pub(super) stream: StreamId,
    pub(super) no_echo: bool,
    pub(super) idle_timeout_ms: u32,
    pub(super) has_data: bool,
}

impl Shard {
    pub(super) fn start_stream(
        &mut self,
        now: Time,
        slot: u32,
        start: StartStream,
        out: &mut Outputs,
    ) {
        let refuse = |name, message: &str, out: &mut Outputs| {
            self.stream_closed(slot, &start.stream, Some((name, message)), out);
        };
        if let Err(denied) = self.check(slot, Permission::SendToGroup, &start.group, "send to") {
            return refuse(StreamErrorName::Forbidden, &denied.message, out);
        }
        let bad_request = StreamErrorName::BadRequest;
        if start.has_data {
            return refuse(bad_request, "The start of a stream carries no data.", out);
        }
        let streams = self.streams(slot);
        if streams.iter().any(|stream| stream.id == start.stream) {
            return refuse(bad_request, "The stream is open already.", out);
        }
        if streams.len() >= STREAMS_MAX {
            return refuse(bad_request, "A connection has at most 100 streams.", out);
        }
        let stream = Stream {
            id: start.stream.clone(),
            group: start.group,
            no_echo: start.no_echo,
            idle_timeout_ms: start.idle_timeout_ms,
            expected: 1,
            last_active: now,
            unacked: 0,
            ack_due: None,
        };
        if let Some(connection) = self.registry.get_mut(slot) {
            let extras = connection.extras.get_or_insert_default();
            extras.streams.push(stream);
        }
        self.stream_ack(slot, &start.stream, 1, out);
        self.set_stream_timer(now, slot);
    }

    pub(super) fn stream_data(
        &mut self,
        now: Time,
        slot: u32,
        id: &StreamId,
        fragment: Option<(u64, Payload)>,
        out: &mut Outputs,
    ) {
        let Some(stream) = self.stream_mut(slot, id) else {
            return self.stream_not_found(slot, id, out);
        };
        let expected = stream.expected;
        let Some((sequence_id, payload)) = fragment else {
            stream.last_active = now;
            return;
        };
        if sequence_id < expected {
            stream.last_active = now;
            stream.acked();
            return self.stream_ack(slot, id, expected, out);
        }
        if sequence_id > expected {
            let nack = ControlMessage::StreamNack {
                stream: id,
                expected_sequence_id: expected,
                error: NamedError {
                    name: StreamErrorName::InvalidSequenceId.as_str(),
                    message: "Fragments are missing before this one.",
                },
            };
            return self.send_control(slot, &nack, out);
        }
        let group = stream.group.clone();
        if let Err(denied) = self.check(slot, Permission::SendToGroup, &group, "send to") {
            let error = error(StreamErrorName::Forbidden, &denied.message);
            return self.break_stream(now, slot, id, error, out);
        }
        let Some(stream) = self.stream_mut(slot, id) else {
            return;
        };
        stream.expected += 1;
        stream.last_active = now;
        stream.unacked += 1;
        let is_ack_due = stream.unacked >= ACK_FRAGMENTS;
        if is_ack_due {
            stream.acked();
        } else {
            stream.ack_due.get_or_insert(now.after_ms(ACK_MS));
        }
        let publish = Publish {
            group,
            content: Content {
                payload,
                metadata: Metadata::default(),
            },
            fragment: Some(Fragment {
                stream: id.clone(),
                sequence_id,
                end: None,
            }),
            no_echo: stream.no_echo,
            ttl_seconds: 0,
        };
        self.publish(now, slot, publish, out);
        match is_ack_due {
            true => self.stream_ack(slot, id, sequence_id + 1, out),
            false => self.set_stream_timer(now, slot),
        }
    }

    pub(super) fn end_stream(
        &mut self,
        now: Time,
        slot: u32,
        id: &StreamId,
        error: Option<UserStreamError>,
        out: &mut Outputs,
    ) {
        let Some(stream) = self.take_stream(slot, id) else {
            return self.stream_not_found(slot, id, out);
        };
        let terminal = stream.terminal(error.map(|details| StreamError {
            name: StreamErrorName::UserError,
            details,
        }));
        self.publish(now, slot, terminal, out);
        if stream.unacked > 0 {
            self.stream_ack(slot, id, stream.expected, out);
        }
        self.stream_closed(slot, id, None, out);
    }

    /// Acks what is due to be acked, ends what has been idle for too long.
    pub(crate) fn streams_due(&mut self, now: Time, key: ConnectionKey, out: &mut Outputs) {
        if !self.is_active(key) {
            return;
        }
        let slot = key.slot;
        if let Some(extras) = self.extras_mut(slot) {
            extras.stream_timer = None;
        }
        let due: Vec<StreamId> = self
            .streams(slot)
            .iter()
            .filter(|stream| stream.due() <= now)
            .map(|stream| stream.id.clone())
            .collect();
        for id in due {
            let Some(stream) = self.stream_mut(slot, &id) else {
                continue;
            };
            let expected = stream.expected;
            if stream.ack_due.take().is_some_and(|ack| ack <= now) {
                stream.acked();
                self.stream_ack(slot, &id, expected, out);
                continue;
            }
            let message = "Nothing came for the idle timeout of the stream.";
            let error = error(StreamErrorName::IdleTimeout, message);
            self.break_stream(now, slot, &id, error, out);
        }
        self.set_stream_timer(now, slot);
    }

    /// Makes messages that tell subscribers that the publisher is gone.
    pub(super) fn cancel_streams(&mut self, ended: &Ended, streams: Vec<Stream>) {
        for stream in streams {
            let message = "The publisher is gone.";
            let publish = stream.terminal(Some(error(StreamErrorName::Cancelled, message)));
            let data = DataMessage {
                from: From::Group {
                    group: publish.group.clone(),
                    user: ended.user.clone(),
                },
                content: publish.content,
                stream: publish.fragment,
            };
            self.deferred.push_back(Command {
                hub: ended.hub.clone(),
                action: Action::Send {
                    to: Selection::from(Target::Group(publish.group)),
                    message: Message::new(data, Time::default(), 0).into(),
                },
            });
        }
    }

    /// Ends a stream early, on both sides.
    fn break_stream(
        &mut self,
        now: Time,
        slot: u32,
        id: &StreamId,
        error: StreamError,
        out: &mut Outputs,
    ) {
        let Some(stream) = self.take_stream(slot, id) else {
            return;
        };
        let message = error.details.message.clone().unwrap_or_default();
        let name = error.name;
        self.publish(now, slot, stream.terminal(Some(error)), out);
        self.stream_closed(slot, id, Some((name, &message)), out);
    }

    fn stream_not_found(&mut self, slot: u32, id: &StreamId, out: &mut Outputs) {
        let error = (StreamErrorName::StreamNotFound, "There is no such stream.");
        self.stream_closed(slot, id, Some(error), out);
    }

    fn stream_ack(&self, slot: u32, stream: &StreamId, expected: u64, out: &mut Outputs) {
        let ack = ControlMessage::StreamAck {
            stream,
            expected_sequence_id: expected,
        };
        self.send_control(slot, &ack, out);
    }

    fn stream_closed(
        &self,
        slot: u32,
        stream: &StreamId,
        error: Option<(StreamErrorName, &str)>,
        out: &mut Outputs,
    ) {
        let closed = ControlMessage::StreamClosed {
            stream,
            error: error.map(|(name, message)| NamedError {
                name: name.as_str(),
                message,
            }),
        };
        self.send_control(slot, &closed, out);
    }

    /// Sees to it that the connection's streams are looked at when the first of them is due.
    pub(crate) fn set_stream_timer(&mut self, now: Time, slot: u32) {
        let Some(connection) = self.registry.get_mut(slot) else {
            return;
        };
        let key = ConnectionKey {
            slot,
            generation: connection.generation,
        };
        let Some(extras) = &mut connection.extras else {
            return;
        };
        let Some(due) = extras.streams.iter().map(Stream::due).min() else {
            return;
        };
        let due = due.max(now);
        // A timer of an earlier socket means nothing any more.
        let is_set = extras
            .stream_timer
            .is_some_and(|(set, generation)| generation == key.generation && set <= due);
        if !is_set {
            extras.stream_timer = Some((due, key.generation));
            self.timers.set(due, Timer::Streams(key));
        }
    }

    fn streams(&self, slot: u32) -> &[Stream] {
        self.registry
            .get(slot)
            .and_then(|connection| connection.extras.as_ref())
            .map_or(&[], |extras| &extras.streams)
    }

    fn stream_mut(&mut self, slot: u32, id: &StreamId) -> Option<&mut Stream> {
        let streams = &mut self.extras_mut(slot)?.streams;
        streams.iter_mut().find(|stream| stream.id == *id)
    }

    fn take_stream(&mut self, slot: u32, id: &StreamId) -> Option<Stream> {
        let streams = &mut self.extras_mut(slot)?.streams;
        let index = streams.iter().position(|stream| stream.id == *id)?;
        Some(streams.remove(index))
    }
}

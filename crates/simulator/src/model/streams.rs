//! Streams: what becomes of each frame of a publisher, and when it hears of it.

use bytes::Bytes;
use hubwire_engine::Permission;

use super::{Model, Publication};
use crate::promise::{Checked, Promise, broken};
use crate::wire::{ClientFrame, Part, ServiceFrame};

/// Fragments after which an ack is due, and milliseconds. Source: client-protocols 3.8.
const ACK_FRAGMENTS: u32 = 32;
const ACK_MS: u64 = 100;

#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Counts the streams of the connection.
    number: usize,
    group: &'static str,
    no_echo: bool,
    idle_timeout_ms: u64,
    /// The number of the next fragment.
    expected: u64,
    last_active: u64,
    unacked: u32,
    unacked_since: Option<u64>,
}

impl Model {
    pub(super) fn stream_frame(&mut self, number: usize, frame: &ClientFrame) {
        match frame {
            ClientFrame::StartStream {
                stream,
                group,
                no_echo,
                idle_timeout_ms,
            } => {
                let error = match self.check(number, Permission::SendToGroup, group) {
                    Err(error) => Some(error),
                    Ok(()) if self.connections[number].streams.contains_key(stream) => {
                        Some("BadRequest")
                    }
                    Ok(()) => None,
                };
                if let Some(error) = error {
                    return self.stream_closed(number, stream, Some(error));
                }
                let connection = &self.connections[number];
                let started = Stream {
                    number: connection.streams.len() + connection.closed_streams.len(),
                    group,
                    no_echo: *no_echo,
                    idle_timeout_ms: u64::from(*idle_timeout_ms),
                    expected: 1,
                    last_active: self.turn.now,
                    unacked: 0,
                    unacked_since: None,
                };
                let streams = &mut self.connections[number].streams;
                streams.insert(stream.clone(), started);
                self.stream_ack(number, stream, 1);
            }
            ClientFrame::Fragment {
                stream,
                sequence_id,
                data,
            } => {
                self.fragment(number, stream, *sequence_id, data);
            }
            ClientFrame::KeepStream { stream } => {
                let now = self.turn.now;
                match self.connections[number].streams.get_mut(stream) {
                    Some(stream) => stream.last_active = now,
                    None => self.stream_closed(number, stream, Some("StreamNotFound")),
                }
            }
            ClientFrame::EndStream { stream, is_failed } => {
                if !self.connections[number].streams.contains_key(stream) {
                    return self.stream_closed(number, stream, Some("StreamNotFound"));
                }
                self.end_stream(number, stream, is_failed.then_some("UserError"));
                self.stream_closed(number, stream, None);
            }
            _ => {}
        }
    }

    fn fragment(&mut self, number: usize, id: &str, sequence_id: u64, data: &Bytes) {
        let now = self.turn.now;
        let Some(stream) = self.connections[number].streams.get_mut(id) else {
            return self.stream_closed(number, id, Some("StreamNotFound"));
        };
        let expected = stream.expected;
        if sequence_id < expected {
            stream.last_active = now;
            stream.unacked = 0;
            stream.unacked_since = None;
            return self.stream_ack(number, id, expected);
        }
        if sequence_id > expected {
            let nack = ServiceFrame::StreamNack {
                stream: id.to_owned(),
                expected,
                name: "InvalidSequenceId".to_owned(),
            };
            return self.control(number, nack);
        }
        let (group, no_echo) = (stream.group, stream.no_echo);
        if let Err(error) = self.check(number, Permission::SendToGroup, group) {
            self.end_stream(number, id, Some(error));
            return self.stream_closed(number, id, Some(error));
        }
        let is_linked = self.connections[number].is_linked();
        if let Some(stream) = self.connections[number].streams.get_mut(id) {
            stream.expected += 1;
            stream.last_active = now;
            stream.unacked += 1;
            stream.unacked_since.get_or_insert(now);
            if stream.unacked >= ACK_FRAGMENTS {
                stream.unacked = 0;
                stream.unacked_since = None;
                if is_linked {
                    let ack = (number, id.to_owned(), stream.expected);
                    self.turn.acks_due.push(ack);
                }
            }
        }
        let part = Part {
            stream: id.to_owned(),
            sequence_id,
            end: None,
        };
        let publication = Publication {
            data: data.clone(),
            part: Some(part),
            ..self.publication_of(number, group, no_echo)
        };
        self.publish(publication);
    }

    /// Ends a stream for those who get it.
    fn end_stream(&mut self, number: usize, id: &str, error: Option<&str>) {
        if let Some(stream) = self.connections[number].streams.remove(id) {
            let closed = &mut self.connections[number].closed_streams;
            closed.insert(id.to_owned(), stream.expected);
            self.publish_end(number, id, &stream, stream.no_echo, error);
        }
    }

    /// Ends a stream whose publisher is gone.
    pub(super) fn cancel_stream(&mut self, number: usize, id: &str, stream: &Stream) {
        self.publish_end(number, id, stream, false, Some("Cancelled"));
    }

    fn publish_end(
        &mut self,
        number: usize,
        id: &str,
        stream: &Stream,
        no_echo: bool,
        error: Option<&str>,
    ) {
        let part = Part {
            stream: id.to_owned(),
            sequence_id: stream.expected,
            end: Some(error.map(str::to_owned)),
        };
        let publication = Publication {
            part: Some(part),
            ..self.publication_of(number, stream.group, no_echo)
        };
        self.publish(publication);
    }

    fn stream_closed(&mut self, number: usize, id: &str, error: Option<&str>) {
        let closed = ServiceFrame::StreamClosed {
            stream: id.to_owned(),
            error: error.map(str::to_owned),
        };
        self.control(number, closed);
    }

    fn stream_ack(&mut self, number: usize, id: &str, expected: u64) {
        let ack = ServiceFrame::StreamAck {
            stream: id.to_owned(),
            expected,
        };
        self.control(number, ack);
    }

    /// The engine acknowledges fragments at a time of its choosing.
    pub(super) fn sent_stream_ack(&mut self, number: usize, id: &str, expected: u64) -> Checked {
        let ack = (number, id.to_owned(), expected);
        if let Some(place) = self.turn.acks_due.iter().position(|due| *due == ack) {
            self.turn.acks_due.remove(place);
            return Ok(());
        }
        let connection = &mut self.connections[number];
        let known = match connection.streams.get_mut(id) {
            Some(stream) => {
                stream.unacked = 0;
                stream.unacked_since = None;
                Some(stream.expected)
            }
            None => connection.closed_streams.get(id).copied(),
        };
        // Of several frames that had to wait, one may have ended the stream and the next begun it again.
        let ended = connection.closed_streams.get(id).copied();
        let is_ended = self.turn.handles_held && ended == Some(expected);
        match known == Some(expected) || is_ended {
            true => Ok(()),
            false => broken(
                Promise::Streams,
                [number],
                format!("stream {id} is acked before {expected}, the model says {known:?}"),
            ),
        }
    }

    /// Timers are due: streams that nothing comes for end.
    pub(super) fn streams_due(&mut self, shard: usize) {
        let now = self.turn.now;
        for number in 0..self.connections.len() {
            let connection = &mut self.connections[number];
            if !connection.is_active || connection.shard != shard {
                continue;
            }
            let is_linked = connection.is_linked();
            let mut idle = Vec::new();
            for (id, stream) in &mut connection.streams {
                if stream.last_active + stream.idle_timeout_ms <= now {
                    idle.push((stream.number, id.clone()));
                }
                let is_ack_due = stream
                    .unacked_since
                    .is_some_and(|since| since + ACK_MS <= now);
                if is_ack_due && !is_linked {
                    // Nobody is there to be told; what the client sends again is acked then.
                    stream.unacked = 0;
                    stream.unacked_since = None;
                }
            }
            idle.sort();
            for (_, id) in idle {
                self.end_stream(number, &id, Some("IdleTimeout"));
                self.stream_closed(number, &id, Some("IdleTimeout"));
            }
        }
    }

    /// Checks that fragments are acked in time.
    pub(super) fn acks_of_streams(&self, number: usize, is_timeout: bool) -> Checked {
        let now = self.turn.now;
        for (id, stream) in &self.connections[number].streams {
            let is_late = is_timeout
                && stream
                    .unacked_since
                    .is_some_and(|since| since + ACK_MS <= now);
            let mut due = self.turn.acks_due.iter();
            let is_due = due.any(|(client, due, _)| *client == number && due == id);
            if is_late || is_due {
                return broken(
                    Promise::Streams,
                    [number],
                    format!(
                        "{} fragments of stream {id} were not acked in time",
                        stream.unacked
                    ),
                );
            }
        }
        Ok(())
    }
}

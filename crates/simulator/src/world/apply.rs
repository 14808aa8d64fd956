//! An input for the engine, and what it says is to be done. The model is told of ends first, since other things follow from
//! them, and is then shown everything in order.

use std::rc::Rc;

use hubwire_engine::{
    Action, BufferLimits, ConnectionKey, Delivery, Frame, FrameKind, Input, Output, Outputs, Reply,
    SocketEnd,
};
use hubwire_protocol::close::Close;

use super::{Down, FollowUp, Socket, World};
use crate::promise::{Checked, Promise, broken};
use crate::wire::ServiceFrame;

impl World {
    /// Gives an input to a shard. What the model is to know of it, it knows already.
    pub(super) fn input(&mut self, shard: usize, input: Input<'_>) -> Checked {
        let mut outputs = Outputs::default();
        let now = self.time();
        self.nodes[shard].engine.handle(now, input, &mut outputs);
        for output in &outputs.list {
            self.show_end(shard, output)?;
        }
        self.model.follow_ends()?;
        let Outputs {
            list,
            deliveries,
            frames,
        } = outputs;
        for output in list {
            match output {
                Output::Deliver(range) => {
                    for delivery in &deliveries[range] {
                        self.send(shard, delivery, &frames)?;
                    }
                }
                output => self.apply(shard, output)?,
            }
        }
        self.model.finish()
    }

    fn show_end(&mut self, shard: usize, output: &Output) -> Checked {
        match output {
            Output::Ended(ended) => {
                let Some(&number) = self.by_id.get(&ended.id) else {
                    return broken(
                        Promise::EndsForAReason,
                        [],
                        "an unknown connection has ended",
                    );
                };
                self.note(&[number], || {
                    format!("ended: {:?} {}", ended.category, ended.reason)
                });
                self.model.ended(number, ended.category)
            }
            Output::Abort { to } => match self.nodes[shard].sockets.get(to) {
                Some(socket) => self.model.aborted(socket.client),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn apply(&mut self, shard: usize, output: Output) -> Checked {
        match output {
            Output::Opened {
                key,
                reliable_buffer,
            } => self.opened(shard, key, reliable_buffer),
            Output::Ping { to } => {
                self.ping(shard, to);
                Ok(())
            }
            Output::Close { to, close } => self.close(shard, to, &close),
            Output::Abort { to } => {
                if let Some(socket) = self.nodes[shard].sockets.remove(&to) {
                    self.clients[socket.client].lose_socket(socket.key);
                    self.follow_ups.push_back(FollowUp::Gone {
                        client: socket.client,
                        key: socket.key,
                        end: SocketEnd::Dropped,
                    });
                }
                Ok(())
            }
            Output::Forward { from, command } => self.forward(shard, from, *command),
            Output::Relay(command) => self.relay(shard, *command),
            Output::Interest {
                bucket,
                is_interested,
            } => {
                let mask = &mut self.interest[bucket.index()];
                let before = *mask & 1 << shard != 0;
                match is_interested {
                    true => *mask |= 1 << shard,
                    false => *mask &= !(1 << shard),
                }
                match before == is_interested {
                    false => Ok(()),
                    true => broken(Promise::Interest, [], "a shard says again what it has said"),
                }
            }
            Output::Reply { reply, .. } => {
                self.reply = Some(reply);
                Ok(())
            }
            Output::HoldReading { to } => self.turn_reading(shard, to, true),
            Output::ReadOn { to } => self.turn_reading(shard, to, false),
            Output::Ask(question) => self.asked(shard, &question),
            Output::Forget { question } => self.forgotten(shard, question),
            Output::Notify(event) => {
                // The id of a connection is known when all that comes of its beginning is.
                let known = self.by_text.get(&*event.connection_id);
                let number = known.copied().unwrap_or(self.opening);
                self.note(&[number], || format!("tells of {event:?}"));
                self.model.told(number, &event)
            }
            Output::Deliver(_) | Output::Started(_) | Output::Ended(_) => Ok(()),
        }
    }

    fn opened(
        &mut self,
        shard: usize,
        key: ConnectionKey,
        reliable_buffer: Option<BufferLimits>,
    ) -> Checked {
        let number = self.opening;
        let (messages, bytes) = (self.settings.queue_messages, self.settings.queue_bytes);
        let mut socket = Socket::new(key, number, messages, bytes);
        if let Some(buffer) = reliable_buffer {
            socket = socket.with_replay(buffer.messages, buffer.bytes);
        }
        self.clients[number].key = key;
        let node = &mut self.nodes[shard];
        node.slots.insert(key.slot, number);
        match node.sockets.insert(key.slot, socket) {
            None => Ok(()),
            Some(taken) => broken(
                Promise::EndsForAReason,
                [number, taken.client],
                "a slot was given away twice",
            ),
        }
    }

    fn send(&mut self, shard: usize, delivery: &Delivery, frames: &[Frame]) -> Checked {
        let Delivery {
            to,
            frame,
            sequence_id,
        } = *delivery;
        let frame = &frames[frame.0 as usize];
        let bytes: Rc<[u8]> = match frame.envelope() {
            None => frame.payload().as_ref().into(),
            Some(envelope) => {
                let head = envelope.head(frame.payload().len(), sequence_id);
                [head.as_bytes(), frame.payload()].concat().into()
            }
        };
        let Some(socket) = self.nodes[shard].sockets.get(&to) else {
            let client = self.nodes[shard].slots.get(&to).copied();
            return broken(
                Promise::OnlyThoseMeant,
                client,
                "a frame for a socket that is gone",
            );
        };
        let number = socket.client;
        let is_text = frame.kind() == FrameKind::Text;
        let format = self.clients[number].subprotocol.format();
        let decoded = match ServiceFrame::decode(format, is_text, &bytes) {
            Ok(decoded) => decoded,
            Err(error) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                return broken(
                    Promise::ReadableFrames,
                    [number],
                    format!("{error}: {text}"),
                );
            }
        };
        self.note(&[number], || format!("is sent {decoded:?}"));
        if decoded.sequence_id().unwrap_or(0) != sequence_id {
            let detail = format!("the shell is told {sequence_id}, the client {decoded:?}");
            return broken(Promise::GaplessNumbers, [number], detail);
        }
        self.model.sent(number, &decoded, &bytes)?;
        if !self.is_answering && matches!(decoded, ServiceFrame::Ack { error: None, .. }) {
            self.covers_joins(number)?;
        }
        let down = Down::Frame {
            expires: self.expires_of(frame),
            frame: Rc::new(decoded),
            len: bytes.len(),
        };
        self.queue(shard, to, down);
        Ok(())
    }

    /// Finds out when a frame expires: the engine tells only whether it has.
    fn expires_of(&self, frame: &Frame) -> Option<u64> {
        let is_expired = |ms: u64| frame.is_expired(hubwire_engine::Time::from_ms(ms));
        let (mut before, mut after) = (self.now.saturating_sub(1_000_000), self.now + 1_000_000);
        if !is_expired(after) {
            return None;
        }
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            match is_expired(middle) {
                true => after = middle,
                false => before = middle,
            }
        }
        Some(after)
    }

    fn queue(&mut self, shard: usize, to: u32, down: Down) {
        let (pipe_bytes, now) = (self.settings.pipe_bytes, self.now);
        let Some(socket) = self.nodes[shard].sockets.get_mut(&to) else {
            return;
        };
        if socket.is_closing || socket.is_overflowed || socket.push(down, pipe_bytes, now) {
            return;
        }
        socket.is_overflowed = true;
        let (client, key) = (socket.client, socket.key);
        self.follow_ups
            .push_back(FollowUp::Overflow { client, key });
        self.note(&[client], || "has too much waiting for it".to_owned());
    }

    fn turn_reading(&mut self, shard: usize, to: u32, is_held: bool) -> Checked {
        let Some(socket) = self.nodes[shard].sockets.get_mut(&to) else {
            let detail = "a socket is to be read that is gone, or not to be read";
            return broken(Promise::EventsOneByOne, [], detail);
        };
        socket.is_reading_held = is_held;
        let number = socket.client;
        self.note(&[number], || format!("is not read: {is_held}"));
        self.model.turned_reading(number, is_held)
    }

    fn ping(&mut self, shard: usize, to: u32) {
        let Some(socket) = self.nodes[shard].sockets.get(&to) else {
            return;
        };
        self.model.pinged(socket.client);
        let client = &self.clients[socket.client];
        let is_read = !socket.is_reading_held;
        let answers = client.is_open && !client.is_blocked && !socket.is_cut && is_read;
        if answers && socket.is_drained() {
            self.hear(client.number);
        }
    }

    fn close(&mut self, shard: usize, to: u32, close: &Close) -> Checked {
        let Some(socket) = self.nodes[shard].sockets.get_mut(&to) else {
            return broken(
                Promise::EndsForAReason,
                [],
                "a socket is closed that is gone",
            );
        };
        let number = socket.client;
        if socket.is_reading_held {
            let detail = "its socket is closed and not read";
            return broken(Promise::EventsOneByOne, [number], detail);
        }
        socket.push_close(close.code);
        self.note(&[number], || {
            format!("is closed: {:?} {}", close.code, close.reason)
        });
        self.model.closes(number, close.code)
    }

    /// Checks that a shard has said that it is interested in all that a connection has joined, as it must before it acks a join.
    pub(super) fn covers_joins(&self, number: usize) -> Checked {
        let connection = &self.model.connections[number];
        if !connection.is_active {
            return Ok(());
        }
        let mine = 1 << connection.shard;
        for bucket in self.model.buckets(number) {
            if self.interest[bucket] & mine == 0 {
                return broken(
                    Promise::AckedJoinMissesNothing,
                    [number],
                    "an ack is sent before others know that the shard is interested",
                );
            }
        }
        Ok(())
    }

    /// Returns what a JSON client would get of a command that sends data.
    pub(super) fn data_of(action: &Action) -> Option<Checked<ServiceFrame>> {
        let Action::Send { message, .. } = action else {
            return None;
        };
        let format = hubwire_protocol::subprotocol::Format::Json;
        let frame = message.frame(hubwire_protocol::subprotocol::Subprotocol::Json)?;
        let decoded = ServiceFrame::decode(format, true, frame.payload());
        Some(match decoded {
            Ok(decoded) => Ok(decoded),
            Err(error) => broken(Promise::ReadableFrames, [], error),
        })
    }

    /// Returns the answer to the last input, which is forgotten.
    pub(super) fn take_reply(&mut self) -> Option<Reply> {
        self.reply.take()
    }
}

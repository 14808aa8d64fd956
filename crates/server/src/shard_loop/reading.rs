//! From a ready socket to inputs of the engine.

use std::io;
use std::mem;

use bytes::Bytes;
use hubwire_engine::{ConnectionKey, Fault, Frame, FrameKind, Input, SocketEnd, Time};
use hubwire_protocol::subprotocol::WireKind;
use hubwire_ws::{DecodeError, Event, MessageKind, Progress};

use super::{READS_PER_TURN, ShardLoop};

impl ShardLoop {
    /// Reads a ready socket. A short read says that nothing is left, unless the peer `is_ending`: then the end is to be read too.
    pub(super) fn read(&mut self, now: Time, key: ConnectionKey, is_ending: bool) {
        self.current = Some(key);
        let mut buffer = mem::take(&mut self.read_buffer);
        let is_drained = self.read_some(now, key, is_ending, &mut buffer);
        self.read_buffer = buffer;
        if !is_drained
            && let Some(socket) = self.socket(key)
            && !mem::replace(&mut socket.reads_again, true)
        {
            self.read_again.push(key);
        }
    }

    /// Returns false if there may be more to read now.
    pub(super) fn read_some(
        &mut self,
        now: Time,
        key: ConnectionKey,
        is_ending: bool,
        buffer: &mut [u8],
    ) -> bool {
        for _ in 0..READS_PER_TURN {
            let Some(socket) = self.socket(key) else {
                return true;
            };
            if socket.is_unread() {
                return true;
            }
            let Some(io) = &mut socket.io else {
                return true;
            };
            match io.read(buffer) {
                Ok(0) => {
                    // A client that has ended its side may still read, such as the answer to its close frame.
                    self.write(now, key);
                    self.gone(now, key, SocketEnd::Lost);
                    return true;
                }
                Ok(len) => {
                    let is_short = len < buffer.len() && io.drains_by_short_read() && !is_ending;
                    self.metrics.count_received(len);
                    self.shard.heard(key, now);
                    self.received(now, key, &mut buffer[..len]);
                    if is_short {
                        return true;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.gone(now, key, SocketEnd::Lost);
                    return true;
                }
            }
        }
        false
    }

    /// Takes bytes of a client, together with those that were left.
    pub(super) fn received(&mut self, now: Time, key: ConnectionKey, bytes: &mut [u8]) {
        let Some(socket) = self.socket(key) else {
            return;
        };
        if socket.is_deaf || bytes.is_empty() {
            return;
        }
        if socket.is_unread() {
            // It came with the upgrade.
            socket.input.extend_from_slice(bytes);
            return;
        }
        if socket.input.is_empty() {
            let consumed = self.decode(now, key, bytes);
            if consumed < bytes.len()
                && let Some(socket) = self.socket(key)
            {
                socket.input.extend_from_slice(&bytes[consumed..]);
            }
            return;
        }
        socket.input.extend_from_slice(bytes);
        if socket.input.len() >= socket.needed {
            self.decode_input(now, key);
        }
    }

    /// Reads from a socket again that was not read for a while.
    pub(super) fn read_on(&mut self, now: Time, key: ConnectionKey) {
        self.current = Some(key);
        if self.socket(key).is_some_and(|socket| !socket.is_unread()) {
            self.decode_input(now, key);
            self.read(now, key, true);
        }
    }

    /// Decodes what a socket has kept.
    pub(super) fn decode_input(&mut self, now: Time, key: ConnectionKey) {
        let Some(socket) = self.socket(key) else {
            return;
        };
        let mut input = mem::take(&mut socket.input);
        let consumed = self.decode(now, key, &mut input);
        if consumed < input.len()
            && let Some(socket) = self.socket(key)
        {
            input.drain(..consumed);
            socket.input = input;
        }
    }

    /// Decodes and handles whole frames. Returns the bytes that are done with.
    pub(super) fn decode(&mut self, now: Time, key: ConnectionKey, bytes: &mut [u8]) -> usize {
        let message_max = self.limits.message_max;
        let Some(socket) = self.socket(key) else {
            return bytes.len();
        };
        let mut decoder = mem::take(&mut socket.decoder);
        let mut needed = 0;
        let mut done = 0;
        while done < bytes.len() {
            match decoder.decode(&mut bytes[done..], message_max) {
                Ok(Progress::Event { event, consumed }) => {
                    done += consumed;
                    self.event(now, key, event);
                    match self.socket(key) {
                        Some(socket) if socket.is_deaf => return bytes.len(),
                        Some(socket) if socket.is_unread() => break,
                        Some(_) => {}
                        None => return bytes.len(),
                    }
                }
                Ok(Progress::Fragment { consumed }) => done += consumed,
                Ok(Progress::Incomplete { needed: wanted }) => {
                    needed = wanted;
                    break;
                }
                Err(error) => {
                    self.deafen(now, key, fault_of(error));
                    return bytes.len();
                }
            }
        }
        if let Some(socket) = self.socket(key) {
            socket.decoder = decoder;
            socket.needed = needed;
        }
        done
    }

    pub(super) fn event(&mut self, now: Time, key: ConnectionKey, event: Event<'_>) {
        match event {
            Event::Message { payload, .. }
                if self.passes.count(key.slot, payload.len(), now).is_err() =>
            {
                self.deafen(now, key, Fault::Throttled);
            }
            Event::Message { kind, payload } => {
                let kind = match kind {
                    MessageKind::Text => WireKind::Text,
                    MessageKind::Binary => WireKind::Binary,
                };
                self.handle(now, Input::Message { key, kind, payload });
            }
            Event::Ping(payload) => {
                let pong = Frame::new(FrameKind::Pong, Bytes::copy_from_slice(payload));
                let frame = self.turn.outputs.add_frame(pong);
                self.send(now, key.slot, frame, 0);
                self.apply(now);
            }
            Event::Pong(_) => {}
            Event::Close { code, reason } => {
                if let Some(socket) = self.socket(key) {
                    socket.peer_closed = true;
                    // What a peer sends behind its close frame means nothing.
                    socket.is_deaf = true;
                }
                self.mark_dirty(key);
                self.handle(now, Input::PeerClosed { key, code, reason });
            }
        }
    }

    /// Stops listening to a client that did wrong.
    pub(super) fn deafen(&mut self, now: Time, key: ConnectionKey, fault: Fault) {
        if let Some(socket) = self.socket(key) {
            socket.is_deaf = true;
            socket.input = Vec::new();
        }
        self.mark_dirty(key);
        self.handle(now, Input::Fault { key, fault });
    }
}

fn fault_of(error: DecodeError) -> Fault {
    match error {
        DecodeError::TooLarge => Fault::MessageTooLarge,
        DecodeError::InvalidUtf8 => Fault::InvalidUtf8,
        DecodeError::ReservedBits
        | DecodeError::UnknownOpcode
        | DecodeError::Unmasked
        | DecodeError::InvalidControl
        | DecodeError::UnexpectedContinuation
        | DecodeError::ExpectedContinuation
        | DecodeError::InvalidClose => Fault::InvalidFrame,
    }
}

//! From outputs of the engine to sockets: queued during the turn, written once at its end.

use std::mem;

use bytes::Bytes;
use hubwire_engine::{ConnectionKey, Fault, Frame, FrameId, FrameKind, Input, SocketEnd, Time};
use hubwire_protocol::close::Close;
use hubwire_ws::ClosePayload;

use super::{ShardLoop, TURN_BYTES};
use crate::socket::{Closing, Written};

impl ShardLoop {
    /// Queues a frame on a socket. If its queue is full even after a write, the engine is told.
    pub(super) fn send(&mut self, now: Time, slot: u32, frame: FrameId, sequence_id: u64) {
        self.turn.lay_out();
        let frame_len = self.turn.frame_len(frame, sequence_id);
        let Some(Some(socket)) = self.sockets.get_mut(slot as usize) else {
            return;
        };
        let limits = socket.queue_limits(self.limits.queue);
        if socket.closing != Closing::No || socket.is_overflowed {
            return;
        }
        if !socket.queue.has_room(frame_len, limits) {
            let key = socket.key;
            // The kernel may have made room since the turn began.
            socket.unblock();
            self.write(now, key);
            let Some(Some(socket)) = self.sockets.get_mut(slot as usize) else {
                return;
            };
            if !socket.queue.has_room(frame_len, limits) {
                let before = socket.queue.backlog_bytes();
                socket.queue.drop_expired(now);
                let after = socket.queue.backlog_bytes();
                self.metrics.change_queued(before, after);
            }
            if !socket.queue.has_room(frame_len, limits) {
                socket.is_overflowed = true;
                let fault = Fault::OutboundQueueFull;
                self.shard
                    .handle(now, Input::Fault { key, fault }, &mut self.turn.outputs);
                return;
            }
        }
        self.push(slot, frame, sequence_id, frame_len);
    }

    fn push(&mut self, slot: u32, frame: FrameId, sequence_id: u64, frame_len: usize) {
        let Some(Some(socket)) = self.sockets.get_mut(slot as usize) else {
            return;
        };
        socket.push(&mut self.turn, frame, sequence_id, frame_len);
        if !mem::replace(&mut socket.is_dirty, true) {
            self.dirty.push(slot);
        }
    }

    pub(super) fn ping(&mut self, now: Time, slot: u32) {
        let is_drained = matches!(
            self.sockets.get(slot as usize),
            Some(Some(socket)) if socket.is_drained()
        );
        // A client that has not read what is there cannot answer a ping either.
        if is_drained {
            let frame = self.turn.outputs.add_frame(self.ping.clone());
            self.send(now, slot, frame, 0);
        }
    }

    pub(super) fn close(&mut self, slot: u32, close: &Close) {
        let payload = match close.code {
            Some(code) => ClosePayload::new(code, &close.reason),
            None => ClosePayload::empty(),
        };
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        let frame = Frame::new(FrameKind::Close, payload);
        let frame = self.turn.outputs.add_frame(frame);
        self.turn.lay_out();
        let frame_len = self.turn.frame_len(frame, 0);
        // A close frame is queued whatever is waiting before it; it is the last one.
        self.push(slot, frame, 0, frame_len);
        if let Some(Some(socket)) = self.sockets.get_mut(slot as usize) {
            socket.closing = Closing::Queued;
        }
    }

    pub(super) fn mark_dirty(&mut self, key: ConnectionKey) {
        if let Some(socket) = self.socket(key)
            && !mem::replace(&mut socket.is_dirty, true)
        {
            self.dirty.push(key.slot);
        }
    }

    pub(super) fn write_if_long(&mut self, now: Time) {
        if self.turn.len() > TURN_BYTES {
            self.write_dirty(now);
        }
    }

    /// Writes every socket that has something waiting, once, and ends the turn's frames.
    pub(super) fn write_dirty(&mut self, now: Time) {
        while !self.dirty.is_empty() {
            let mut dirty = mem::take(&mut self.dirty);
            for slot in dirty.drain(..) {
                if let Some(Some(socket)) = self.sockets.get_mut(slot as usize) {
                    socket.is_dirty = false;
                    let key = socket.key;
                    self.write(now, key);
                }
            }
            // Writing may have ended connections, but nothing that follows from that goes to a dirty socket any more.
            if self.dirty.is_empty() {
                self.dirty = dirty;
                break;
            }
        }
        self.turn.clear();
    }

    pub(super) fn write(&mut self, now: Time, key: ConnectionKey) {
        let Some(Some(socket)) = self.sockets.get_mut(key.slot as usize) else {
            return;
        };
        let before = socket.queue.backlog_bytes();
        let (written, bytes) = socket.write(&mut self.turn, now);
        let after = socket.queue.backlog_bytes();
        self.metrics.count_sent(bytes);
        self.metrics.change_queued(before, after);
        match written {
            Written::Ok => {}
            Written::Finished => self.gone(now, key, SocketEnd::Dropped),
            Written::Broken => self.gone(now, key, SocketEnd::Lost),
        }
    }
}

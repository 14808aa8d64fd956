use std::collections::VecDeque;

use crate::limits::BufferLimits;
use crate::outgoing::Frame;
use crate::timers::Time;

/// What a reliable connection was sent and has not acknowledged: a number and a reference for each frame. Source: client-protocols
/// 5.1, 5.2.
#[derive(Debug, Default)]
pub(crate) struct Unacked {
    /// In the order of their numbers, which have gaps only where frames have expired.
    frames: VecDeque<(u64, Frame)>,
    bytes: usize,
    last: u64,
}

/// What all reliable connections of a shard have not acknowledged.
#[derive(Debug, Default)]
pub(crate) struct UnackedTotal {
    pub(crate) messages: usize,
    /// Bytes of memory. A frame that several connections keep counts once, in the shard that was first, and is given back where it is
    /// let go last, which may be another: only the sum over all shards tells.
    pub(crate) bytes: isize,
}

/// Room for frames that is kept although few are left. More was needed once, and may never be again.
const ROOM_KEPT: usize = 64;

/// Bytes that a frame takes with each connection.
const REFERENCE: usize = size_of::<(u64, Frame)>();

impl UnackedTotal {
    fn keep(&mut self, frame: &Frame) {
        self.messages += 1;
        self.bytes += (frame.keep() + REFERENCE) as isize;
    }

    fn let_go(&mut self, frame: &Frame) {
        self.messages -= 1;
        self.bytes -= (frame.let_go() + REFERENCE) as isize;
    }
}

/// There are as many messages or bytes as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Unacked {
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Returns the bytes of all frames.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps a frame and returns its number. What has expired makes room first.
    pub(crate) fn push(
        &mut self,
        now: Time,
        frame: &Frame,
        limits: BufferLimits,
        total: &mut UnackedTotal,
    ) -> Result<u64, Full> {
        let sequence_id = self.last + 1;
        let len = frame.numbered_len(sequence_id);
        if !self.has_room(len, limits) {
            self.drop_expired(now, total);
            if !self.has_room(len, limits) {
                return Err(Full);
            }
        }
        self.last = sequence_id;
        self.bytes += len;
        total.keep(frame);
        self.frames.push_back((sequence_id, frame.clone()));
        Ok(sequence_id)
    }

    fn has_room(&self, len: usize, limits: BufferLimits) -> bool {
        self.frames.len() < limits.messages && self.bytes + len <= limits.bytes
    }

    /// Forgets everything up to a number. One that was never sent forgets everything.
    pub(crate) fn acknowledge(&mut self, sequence_id: u64, total: &mut UnackedTotal) {
        while let Some((first, frame)) = self.frames.front()
            && *first <= sequence_id
        {
            self.bytes -= frame.numbered_len(*first);
            total.let_go(frame);
            self.frames.pop_front();
        }
        if self.frames.capacity() > ROOM_KEPT && self.frames.len() < self.frames.capacity() / 8 {
            self.frames.shrink_to(self.frames.capacity() / 4);
        }
    }

    /// Forgets what it is too late to send.
    pub(crate) fn drop_expired(&mut self, now: Time, total: &mut UnackedTotal) {
        let bytes = &mut self.bytes;
        self.frames.retain(|(sequence_id, frame)| {
            let is_expired = frame.is_expired(now);
            if is_expired {
                *bytes -= frame.numbered_len(*sequence_id);
                total.let_go(frame);
            }
            !is_expired
        });
    }

    /// Gives memory back that was needed once.
    pub(crate) fn shrink(&mut self) {
        self.frames.shrink_to_fit();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Frame)> {
        self.frames
            .iter()
            .map(|(sequence_id, frame)| (*sequence_id, frame))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hubwire_protocol::subprotocol::Envelope;

    use super::*;
    use crate::outgoing::FrameKind;

    const LIMITS: BufferLimits = BufferLimits {
        messages: 10,
        bytes: 10_000,
    };

    fn frame(len: usize, expires: Option<Time>) -> Frame {
        let payload = Bytes::from(vec![0; len]);
        Frame::with(FrameKind::Text, payload, Some(Envelope::Json), expires)
    }

    #[test]
    fn frame_that_many_keep_counts_once() {
        let mut total = UnackedTotal::default();
        let mut buffers = [const {
            Unacked {
                frames: VecDeque::new(),
                bytes: 0,
                last: 0,
            }
        }; 3];
        let shared = frame(1000, None);
        for buffer in &mut buffers {
            buffer
                .push(Time::default(), &shared, LIMITS, &mut total)
                .expect("there is room");
        }
        assert_eq!((total.messages, total.bytes), (3, 1000 + 3 * 16));
        buffers[0].acknowledge(1, &mut total);
        buffers[1].acknowledge(1, &mut total);
        assert_eq!((total.messages, total.bytes), (1, 1000 + 16));
        buffers[2].acknowledge(u64::MAX, &mut total);
        assert_eq!((total.messages, total.bytes), (0, 0));
    }

    #[test]
    fn what_expires_is_given_back() {
        let mut total = UnackedTotal::default();
        let mut buffer = Unacked::default();
        let expiring = frame(100, Some(Time::from_ms(5)));
        for frame in [&expiring, &frame(50, None), &expiring] {
            buffer
                .push(Time::default(), frame, LIMITS, &mut total)
                .expect("there is room");
        }
        buffer.drop_expired(Time::from_ms(5), &mut total);
        assert_eq!((total.messages, total.bytes), (1, 50 + 16));
        assert_eq!(buffer.bytes(), 50 + r#"{"sequenceId":2,"#.len());
        let kept: Vec<u64> = buffer.iter().map(|(sequence_id, _)| sequence_id).collect();
        assert_eq!(kept, [2]);
    }
}

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

/// There are as many messages or bytes as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Unacked {
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Keeps a frame and returns its number. What has expired makes room first.
    pub(crate) fn push(
        &mut self,
        now: Time,
        frame: &Frame,
        limits: BufferLimits,
    ) -> Result<u64, Full> {
        let sequence_id = self.last + 1;
        let len = frame.numbered_len(sequence_id);
        if !self.has_room(len, limits) {
            self.drop_expired(now);
            if !self.has_room(len, limits) {
                return Err(Full);
            }
        }
        self.last = sequence_id;
        self.bytes += len;
        self.frames.push_back((sequence_id, frame.clone()));
        Ok(sequence_id)
    }

    fn has_room(&self, len: usize, limits: BufferLimits) -> bool {
        self.frames.len() < limits.messages && self.bytes + len <= limits.bytes
    }

    /// Forgets everything up to a number. One that was never sent forgets everything.
    pub(crate) fn acknowledge(&mut self, sequence_id: u64) {
        while let Some((first, frame)) = self.frames.front()
            && *first <= sequence_id
        {
            self.bytes -= frame.numbered_len(*first);
            self.frames.pop_front();
        }
    }

    /// Forgets what it is too late to send.
    pub(crate) fn drop_expired(&mut self, now: Time) {
        let bytes = &mut self.bytes;
        self.frames.retain(|(sequence_id, frame)| {
            let is_expired = frame.is_expired(now);
            if is_expired {
                *bytes -= frame.numbered_len(*sequence_id);
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

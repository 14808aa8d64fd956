use std::collections::VecDeque;
use std::mem;

use hubwire_protocol::subprotocol::Envelope;
use slab::Slab;

use crate::limits::BufferLimits;
use crate::outgoing::Frame;
use crate::timers::Time;

/// What a reliable connection was sent and has not acknowledged: a reference for each frame. Source: client-protocols 5.1, 5.2.
#[derive(Debug, Default)]
pub(crate) struct Unacked {
    /// What has the numbers behind `gone`, up to `last`. The first one is a frame.
    entries: VecDeque<Entry>,
    /// How many entries are gaps.
    gaps: u32,
    bytes: usize,
    /// The highest number that is acknowledged, or expired with all before it.
    gone: u64,
    last: u64,
}

/// A [`KeptId`], or with the highest bit set how many numbers in a row have expired. So a frame takes 4 bytes with each connection,
/// and there are no more gaps than frames, however many expire.
#[derive(Clone, Copy, Debug)]
struct Entry(u32);

/// What an [`Entry`] stands for.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Kept(KeptId),
    Gap(u32),
}

/// A frame of [`UnackedTotal`], by its index. 31 bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeptId(u32);

/// What all reliable connections of a shard have not acknowledged.
#[derive(Debug, Default)]
pub(crate) struct UnackedTotal {
    frames: Slab<Kept>,
    pub(crate) messages: usize,
    /// Bytes of memory. A frame that several shards keep counts once, in the shard that was first, and is given back where it is
    /// let go last, which may be another: only the sum over all shards tells.
    pub(crate) bytes: isize,
}

/// A frame that connections of a shard keep. They count their references here, since a counter that other shards may change too
/// would cost more than all the rest of keeping.
#[derive(Debug)]
struct Kept {
    frame: Frame,
    /// Those of the frame, to be had without a look at it.
    payload_len: usize,
    envelope: Option<Envelope>,
    references: u32,
}

/// Room for frames that is kept although few are left. More was needed once, and may never be again.
const ROOM_KEPT: usize = 64;

/// The same for a shard. Frames.
const SHARD_ROOM_KEPT: usize = 4096;

/// Bytes that a frame takes with each connection.
const REFERENCE: usize = size_of::<Entry>();

/// Bytes that a frame takes in a shard, besides its payload.
const KEPT: usize = size_of::<Kept>();

/// There are as many messages or bytes as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Entry {
    const GAP: u32 = 1 << 31;

    fn kept(id: KeptId) -> Self {
        debug_assert_eq!(id.0 & Self::GAP, 0);
        Self(id.0)
    }

    /// Makes a gap, unless it is too long for one entry.
    fn gap(numbers: u32) -> Option<Self> {
        (numbers & Self::GAP == 0).then_some(Self(numbers | Self::GAP))
    }

    fn kind(self) -> Kind {
        match self.0 & Self::GAP {
            0 => Kind::Kept(KeptId(self.0)),
            _ => Kind::Gap(self.0 & !Self::GAP),
        }
    }
}

impl UnackedTotal {
    /// Takes a frame that connections may be going to keep, and holds it until [`UnackedTotal::let_go`].
    pub(crate) fn hold(&mut self, frame: Frame) -> KeptId {
        self.bytes += (frame.keep() + KEPT) as isize;
        let id = self.frames.insert(Kept {
            payload_len: frame.payload().len(),
            envelope: frame.envelope(),
            frame,
            references: 1,
        });
        KeptId(id as u32)
    }

    /// Takes a reference to a frame away. Without any it is forgotten.
    #[inline]
    pub(crate) fn let_go(&mut self, KeptId(id): KeptId) {
        let kept = &mut self.frames[id as usize];
        kept.references -= 1;
        if kept.references == 0 {
            self.remove(KeptId(id));
        }
    }

    fn remove(&mut self, KeptId(id): KeptId) {
        let kept = self.frames.remove(id as usize);
        self.bytes -= (kept.frame.let_go() + KEPT) as isize;
        if self.frames.is_empty() && self.frames.capacity() > SHARD_ROOM_KEPT {
            self.frames = Slab::new();
        }
    }

    fn kept(&self, KeptId(id): KeptId) -> &Kept {
        &self.frames[id as usize]
    }

    /// Counts a connection more that keeps a frame.
    fn keep(&mut self, KeptId(id): KeptId) {
        self.frames[id as usize].references += 1;
        self.messages += 1;
        self.bytes += REFERENCE as isize;
    }

    /// Counts a connection less that keeps a frame.
    fn forget(&mut self, id: KeptId) {
        self.let_go(id);
        self.messages -= 1;
        self.bytes -= REFERENCE as isize;
    }
}

impl Kept {
    /// Returns the bytes of the whole frame with a number, without its WebSocket head.
    fn numbered_len(&self, sequence_id: u64) -> usize {
        let len = self.payload_len;
        let envelope = self.envelope;
        len + envelope.map_or(0, |envelope| envelope.head_len(len, sequence_id))
    }
}

impl Unacked {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the bytes of all frames.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps a frame and returns its number. What has expired makes room first.
    pub(crate) fn push(
        &mut self,
        now: Time,
        id: KeptId,
        limits: BufferLimits,
        total: &mut UnackedTotal,
    ) -> Result<u64, Full> {
        let sequence_id = self.last + 1;
        let len = total.kept(id).numbered_len(sequence_id);
        if !self.has_room(len, limits) {
            self.drop_expired(now, total);
            if !self.has_room(len, limits) {
                return Err(Full);
            }
        }
        self.last = sequence_id;
        self.bytes += len;
        total.keep(id);
        self.entries.push_back(Entry::kept(id));
        Ok(sequence_id)
    }

    fn has_room(&self, len: usize, limits: BufferLimits) -> bool {
        let messages = self.entries.len() - self.gaps as usize;
        messages < limits.messages && self.bytes + len <= limits.bytes
    }

    /// Forgets everything up to a number. One that was never sent forgets everything.
    pub(crate) fn acknowledge(&mut self, sequence_id: u64, total: &mut UnackedTotal) {
        while let Some(entry) = self.entries.front() {
            match entry.kind() {
                Kind::Gap(numbers) => {
                    self.gaps -= 1;
                    self.gone += u64::from(numbers);
                }
                Kind::Kept(id) if self.gone < sequence_id => {
                    self.gone += 1;
                    self.bytes -= total.kept(id).numbered_len(self.gone);
                    total.forget(id);
                }
                Kind::Kept(_) => break,
            }
            self.entries.pop_front();
        }
        if self.entries.capacity() > ROOM_KEPT && self.entries.len() < self.entries.capacity() / 8 {
            self.entries.shrink_to(self.entries.capacity() / 4);
        }
    }

    /// Forgets what it is too late to send.
    pub(crate) fn drop_expired(&mut self, now: Time, total: &mut UnackedTotal) {
        let mut number = self.gone;
        self.gaps = 0;
        for entry in mem::take(&mut self.entries) {
            match entry.kind() {
                Kind::Gap(numbers) => {
                    number += u64::from(numbers);
                    self.push_gap(numbers);
                }
                Kind::Kept(id) => {
                    number += 1;
                    let kept = total.kept(id);
                    if kept.frame.is_expired(now) {
                        self.bytes -= kept.numbered_len(number);
                        total.forget(id);
                        self.push_gap(1);
                    } else {
                        self.entries.push_back(entry);
                    }
                }
            }
        }
    }

    /// Notes that the next numbers have expired.
    fn push_gap(&mut self, numbers: u32) {
        let Some(back) = self.entries.back_mut() else {
            self.gone += u64::from(numbers);
            return;
        };
        if let Kind::Gap(before) = back.kind()
            && let Some(longer) = Entry::gap(before + numbers)
        {
            *back = longer;
        } else if let Some(gap) = Entry::gap(numbers) {
            self.entries.push_back(gap);
            self.gaps += 1;
        }
    }

    /// Gives memory back that was needed once.
    pub(crate) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
    }

    /// Returns the frames with their numbers.
    pub(crate) fn iter<'a>(
        &'a self,
        total: &'a UnackedTotal,
    ) -> impl Iterator<Item = (u64, &'a Frame)> {
        let mut number = self.gone;
        self.entries
            .iter()
            .filter_map(move |entry| match entry.kind() {
                Kind::Gap(numbers) => {
                    number += u64::from(numbers);
                    None
                }
                Kind::Kept(id) => {
                    number += 1;
                    Some((number, &total.kept(id).frame))
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

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

    /// Has connections keep a frame, as a fan-out does.
    fn send(buffers: &mut [Unacked], frame: &Frame, total: &mut UnackedTotal) {
        let id = total.hold(frame.clone());
        for buffer in buffers {
            buffer
                .push(Time::default(), id, LIMITS, total)
                .expect("there is room");
        }
        total.let_go(id);
    }

    fn numbers(buffer: &Unacked, total: &UnackedTotal) -> Vec<u64> {
        let numbers = buffer.iter(total).map(|(sequence_id, _)| sequence_id);
        numbers.collect()
    }

    /// Returns messages and bytes, those of the shard's list left out.
    fn counted(total: &UnackedTotal) -> (usize, isize) {
        let list = total.frames.len() * KEPT;
        (total.messages, total.bytes - list as isize)
    }

    #[test]
    fn frame_that_many_keep_counts_once() {
        let mut total = UnackedTotal::default();
        let mut buffers = [const {
            Unacked {
                entries: VecDeque::new(),
                gaps: 0,
                bytes: 0,
                gone: 0,
                last: 0,
            }
        }; 3];
        send(&mut buffers, &frame(1000, None), &mut total);
        assert_eq!(counted(&total), (3, 1000 + 3 * 4));
        buffers[0].acknowledge(1, &mut total);
        buffers[1].acknowledge(1, &mut total);
        assert_eq!(counted(&total), (1, 1000 + 4));
        buffers[2].acknowledge(u64::MAX, &mut total);
        assert_eq!((total.messages, total.bytes), (0, 0));
        assert!(total.frames.is_empty());
    }

    #[test]
    fn frame_that_two_shards_keep_counts_once() {
        let mut totals = [UnackedTotal::default(), UnackedTotal::default()];
        let mut buffers = [Unacked::default(), Unacked::default()];
        let shared = frame(1000, None);
        for (buffer, total) in buffers.iter_mut().zip(&mut totals) {
            send(std::slice::from_mut(buffer), &shared, total);
        }
        let sum = |totals: &[UnackedTotal; 2]| counted(&totals[0]).1 + counted(&totals[1]).1;
        assert_eq!(sum(&totals), 1000 + 2 * 4);
        buffers[0].acknowledge(1, &mut totals[0]);
        assert_eq!(sum(&totals), 1000 + 4);
        buffers[1].acknowledge(1, &mut totals[1]);
        assert_eq!(sum(&totals), 0);
    }

    #[test]
    fn frame_that_nobody_keeps_is_forgotten() {
        let mut total = UnackedTotal::default();
        send(&mut [], &frame(1000, None), &mut total);
        assert_eq!((total.messages, total.bytes), (0, 0));
        assert!(total.frames.is_empty());
    }

    #[test]
    fn what_expires_is_given_back() {
        let mut total = UnackedTotal::default();
        let mut buffer = [Unacked::default()];
        let expiring = frame(100, Some(Time::from_ms(5)));
        for frame in [&expiring, &frame(50, None), &expiring] {
            send(&mut buffer, frame, &mut total);
        }
        let [mut buffer] = buffer;
        buffer.drop_expired(Time::from_ms(5), &mut total);
        assert_eq!(counted(&total), (1, 50 + 4));
        assert_eq!(buffer.bytes(), 50 + r#"{"sequenceId":2,"#.len());
        assert_eq!(numbers(&buffer, &total), [2]);
        buffer.acknowledge(2, &mut total);
        assert!(buffer.is_empty());
        assert_eq!((buffer.bytes(), buffer.gone, buffer.gaps), (0, 3, 0));
    }

    #[test]
    fn what_expires_takes_no_room() {
        let mut total = UnackedTotal::default();
        let mut buffer = [Unacked::default()];
        let expiring = frame(1, Some(Time::from_ms(5)));
        let lasting = frame(1, None);
        let mut kept = Vec::new();
        for round in 0..5_u64 {
            send(&mut buffer, &lasting, &mut total);
            kept.push(round * 5 + 1);
            for _ in 0..2 {
                send(&mut buffer, &expiring, &mut total);
                send(&mut buffer, &expiring, &mut total);
                buffer[0].drop_expired(Time::from_ms(5), &mut total);
            }
            assert_eq!(numbers(&buffer[0], &total), kept);
            assert!(buffer[0].entries.len() <= 2 * kept.len());
        }
        let [mut buffer] = buffer;
        // Numbers that have expired may be acknowledged too, and all of them go with what is before them.
        buffer.acknowledge(7, &mut total);
        assert_eq!(numbers(&buffer, &total), [11, 16, 21]);
        assert_eq!(buffer.gone, 10);
        buffer.acknowledge(u64::MAX, &mut total);
        assert_eq!((total.messages, total.bytes), (0, 0));
        assert_eq!((buffer.gone, buffer.last, buffer.gaps), (25, 25, 0));
    }

    #[test]
    fn gap_that_is_too_long_for_an_entry_takes_another() {
        let mut total = UnackedTotal::default();
        let mut buffer = [Unacked::default()];
        send(&mut buffer, &frame(1, None), &mut total);
        let [mut buffer] = buffer;
        let longest = Entry::GAP - 1;
        for numbers in [longest - 1, 1, 1] {
            buffer.push_gap(numbers);
        }
        assert_eq!(buffer.gaps, 2);
        buffer.acknowledge(1, &mut total);
        assert_eq!(buffer.gone, u64::from(longest) + 2);
    }
}

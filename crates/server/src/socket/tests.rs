//! The output of sockets against a model of it: frames in a list, written one after the other.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::Bytes;
use hubwire_engine::{Frame, FrameId, FrameKind, Time};
use hubwire_protocol::subprotocol::Envelope;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::Turn;
use super::io::Sink;
use super::output::{Queue, QueueLimits};

const SOCKETS: usize = 3;
/// The numbers before those of the first numbered frame of each socket: soon some of them differ in length.
const FIRST_NUMBERS: [u64; SOCKETS] = [0, 5, 97];
/// Longest frame that a turn lays out beside others. Bytes.
const COPIED_MAX: usize = 16 * 1024;
/// Longest output of a turn that is copied together for one socket. Bytes.
const COPIED_TOGETHER_MAX: usize = 64 * 1024;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_written_are_the_frames_in_order_except_expired_ones(steps in vec(step(), 0..60)) {
        let mut run = Run::default();
        for step in steps {
            run.take(step);
        }
        run.finish();
    }

    #[test]
    fn without_expiry_each_byte_arrives_however_the_socket_takes_it(
        lens in vec(frame_len(), 1..80),
        takes in vec(take(), 0..40),
        per_turn in 1_usize..20,
    ) {
        let mut run = Run::default();
        run.peers[0].sink.takes = takes.into();
        let mut sent = Vec::new();
        for lens in lens.chunks(per_turn) {
            for len in lens {
                run.add_frame(FrameKind::Binary, false, *len, None);
                sent.extend_from_slice(&run.expected.last().unwrap().bytes(0));
                run.push(0, run.expected.len() - 1);
            }
            run.end_turn();
        }
        run.finish();
        prop_assert!(run.peers[0].sink.bytes == sent);
    }
}

/// What happens to the sockets of a shard.
#[derive(Clone, Debug)]
enum Step {
    /// A frame is encoded.
    Frame {
        kind: FrameKind,
        /// It gets a number for each socket.
        is_numbered: bool,
        len: usize,
        /// In how many milliseconds it expires.
        ttl: Option<u64>,
    },
    /// A frame of the turn is queued on a socket.
    Push {
        socket: usize,
        frame: Index,
    },
    /// Several frames of the turn are queued on a socket, in their order.
    PushAll {
        socket: usize,
        first: Index,
    },
    /// The kernel is going to take this of a socket's output.
    Kernel {
        socket: usize,
        takes: Vec<Take>,
    },
    /// A socket is written in the middle of a turn.
    Write {
        socket: usize,
    },
    /// All sockets are written and the frames forgotten.
    EndTurn,
    Wait {
        ms: u64,
    },
    DropExpired {
        socket: usize,
    },
    Discard {
        socket: usize,
    },
}

/// What a sink does when it is called. After the last it blocks, unless it is to take everything.
#[derive(Clone, Copy, Debug)]
enum Take {
    Bytes(usize),
    Everything,
    Block,
    Interrupt,
    /// It takes everything, and then cannot pass it on.
    Keep,
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        4 => Just(FrameKind::Text),
        4 => Just(FrameKind::Binary),
        1 => Just(FrameKind::Ping),
        1 => Just(FrameKind::Pong),
        1 => Just(FrameKind::Close),
    ];
    let socket = || 0..SOCKETS;
    prop_oneof![
        8 => (kind, any::<bool>(), frame_len(), proptest::option::of(0..6_u64)).prop_map(
            |(kind, is_numbered, len, ttl)| Step::Frame { kind, is_numbered, len, ttl }
        ),
        8 => (socket(), any::<Index>()).prop_map(|(socket, frame)| Step::Push { socket, frame }),
        4 => (socket(), any::<Index>()).prop_map(|(socket, first)| Step::PushAll { socket, first }),
        4 => (socket(), vec(take(), 0..6)).prop_map(|(socket, takes)| Step::Kernel { socket, takes }),
        2 => socket().prop_map(|socket| Step::Write { socket }),
        5 => Just(Step::EndTurn),
        4 => (1..5_u64).prop_map(|ms| Step::Wait { ms }),
        3 => socket().prop_map(|socket| Step::DropExpired { socket }),
        1 => socket().prop_map(|socket| Step::Discard { socket }),
    ]
}

fn frame_len() -> impl Strategy<Value = usize> {
    prop_oneof![
        24 => 0_usize..40,
        6 => 120_usize..130,
        1 => COPIED_MAX - 4..COPIED_MAX + 4,
        1 => 65_530_usize..65_540,
    ]
}

fn take() -> impl Strategy<Value = Take> {
    prop_oneof![
        4 => (1_usize..8).prop_map(Take::Bytes),
        4 => (1_usize..300).prop_map(Take::Bytes),
        1 => (1_usize..70_000).prop_map(Take::Bytes),
        3 => Just(Take::Everything),
        2 => Just(Take::Block),
        1 => Just(Take::Interrupt),
        1 => Just(Take::Keep),
    ]
}

/// The sockets of a shard, and what must come of them.
struct Run {
    turn: Turn,
    now: Time,
    peers: Vec<Peer>,
    /// The frames of the turn.
    expected: Vec<Expected>,
    /// Frames of all turns, so that each has a payload of its own.
    count: usize,
}

#[derive(Default)]
struct Peer {
    queue: Queue,
    sink: Script,
    model: Model,
    /// Numbered frames so far.
    numbers: u64,
    /// Bytes of the sink that are compared already.
    checked: usize,
}

/// A frame of a turn.
#[derive(Clone)]
struct Expected {
    kind: FrameKind,
    payload: Bytes,
    is_numbered: bool,
    expires: Option<Time>,
}

impl Expected {
    /// Returns it as it is on the wire for one socket.
    fn bytes(&self, sequence_id: u64) -> Bytes {
        match self.is_numbered {
            false => on_the_wire(self.kind, &self.payload),
            true => {
                let head = format!("{{\"sequenceId\":{sequence_id},");
                on_the_wire(self.kind, &[head.as_bytes(), &self.payload].concat())
            }
        }
    }
}

/// A frame that waits for a socket.
#[derive(Clone)]
struct Queued {
    bytes: Bytes,
    expires: Option<Time>,
}

/// What is queued for a socket.
#[derive(Default)]
struct Model {
    /// Frames of the turn, by index, with their numbers.
    pending: Vec<(usize, u64)>,
    backlog: VecDeque<Queued>,
    /// Bytes of the first frame of the backlog that are written.
    written: usize,
    /// All that must have been written.
    bytes: Vec<u8>,
}

/// A sink that does what it was told, and keeps what it was given.
#[derive(Default)]
struct Script {
    takes: VecDeque<Take>,
    is_open: bool,
    keeps: bool,
    bytes: Vec<u8>,
    calls: Vec<Called>,
}

struct Called {
    is_vectored: bool,
    taken: usize,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            turn: Turn::default(),
            now: Time::from_ms(1),
            peers: FIRST_NUMBERS.map(Peer::numbered_from).into(),
            expected: Vec::new(),
            count: 0,
        }
    }
}

impl Run {
    fn take(&mut self, step: Step) {
        match step {
            Step::Frame {
                kind,
                is_numbered,
                len,
                ttl,
            } => {
                let is_control = !matches!(kind, FrameKind::Text | FrameKind::Binary);
                let len = if is_control { len.min(125) } else { len };
                let expires = ttl.map(|ttl| self.now.after_ms(ttl));
                self.add_frame(kind, is_numbered && !is_control, len, expires);
            }
            Step::Push { socket, frame } if !self.expected.is_empty() => {
                self.push(socket, frame.index(self.expected.len()));
            }
            Step::PushAll { socket, first } if !self.expected.is_empty() => {
                for frame in first.index(self.expected.len())..self.expected.len() {
                    self.push(socket, frame);
                }
            }
            Step::Push { .. } | Step::PushAll { .. } => {}
            Step::Kernel { socket, takes } => {
                let sink = &mut self.peers[socket].sink;
                sink.takes = takes.into();
                sink.keeps = false;
            }
            Step::Write { socket } => {
                self.peers[socket].write(&mut self.turn, &self.expected, self.now);
            }
            Step::EndTurn => self.end_turn(),
            Step::Wait { ms } => self.now = self.now.after_ms(ms),
            Step::DropExpired { socket } => {
                let peer = &mut self.peers[socket];
                peer.queue.drop_expired(self.now);
                peer.model.drop_expired(self.now);
            }
            Step::Discard { socket } => {
                let peer = &mut self.peers[socket];
                peer.queue.discard();
                peer.model.discard();
            }
        }
        for peer in &mut self.peers {
            peer.check(&self.expected);
        }
    }

    fn add_frame(&mut self, kind: FrameKind, is_numbered: bool, len: usize, expires: Option<Time>) {
        self.count += 1;
        let payload: Bytes = self
            .count
            .to_be_bytes()
            .into_iter()
            .cycle()
            .skip(4)
            .take(len)
            .collect();
        let envelope = is_numbered.then_some(Envelope::Json);
        self.turn
            .outputs
            .add_frame(Frame::with(kind, payload.clone(), envelope, expires));
        self.turn.lay_out();
        self.expected.push(Expected {
            kind,
            payload,
            is_numbered,
            expires,
        });
    }

    fn push(&mut self, socket: usize, frame: usize) {
        let id = FrameId(frame as u32);
        let peer = &mut self.peers[socket];
        let sequence_id = match self.expected[frame].is_numbered {
            true => {
                peer.numbers += 1;
                peer.numbers
            }
            false => 0,
        };
        let len = self.turn.frame_len(id, sequence_id);
        assert_eq!(len, self.expected[frame].bytes(sequence_id).len());
        peer.queue.push(&mut self.turn, id, sequence_id, len);
        peer.model.pending.push((frame, sequence_id));
    }

    fn end_turn(&mut self) {
        for peer in &mut self.peers {
            match peer.sink.takes.is_empty() && !peer.sink.is_open {
                // The kernel has said that it takes no more.
                true => {
                    peer.queue.spill(&self.turn, 0);
                    peer.model.spill(&self.expected);
                }
                false => peer.write(&mut self.turn, &self.expected, self.now),
            }
            assert!(peer.model.pending.is_empty());
        }
        self.turn.clear();
        assert_eq!(self.turn.len(), 0);
        self.expected.clear();
    }

    /// Lets the kernel take everything.
    fn finish(&mut self) {
        for peer in &mut self.peers {
            peer.sink.is_open = true;
            peer.sink.keeps = false;
            peer.sink.takes.clear();
        }
        self.end_turn();
        for peer in &mut self.peers {
            peer.check(&self.expected);
            assert!(peer.queue.is_empty());
            assert_eq!(peer.queue.backlog_bytes(), 0);
        }
    }
}

impl Peer {
    fn numbered_from(numbers: u64) -> Self {
        Self {
            numbers,
            ..Self::default()
        }
    }

    fn write(&mut self, turn: &mut Turn, expected: &[Expected], now: Time) {
        let before = self.sink.bytes.len();
        let is_one_slice = self.model.is_one_slice(expected);
        let (written, outcome) = self.queue.write(&mut self.sink, turn, now);
        assert_eq!(written, self.sink.bytes.len() - before);
        let is_blocked = outcome.expect("the sink is never broken");

        self.model.spill(expected);
        for (index, called) in self.sink.calls.drain(..).enumerate() {
            assert_eq!(called.is_vectored, !(is_one_slice && index == 0));
            if called.is_vectored {
                self.model.drop_expired_first(now);
            }
            // The frames of a turn are written in one piece without a look at the clock.
            let can_expire = called.is_vectored.then_some(now);
            self.model.write(called.taken, can_expire);
        }
        if !is_blocked || self.sink.keeps {
            self.model.drop_expired_first(now);
        }
        let is_done = self.model.backlog.is_empty();
        assert_eq!(
            is_blocked,
            !is_done || self.sink.keeps,
            "stopped for no reason"
        );
    }

    fn check(&mut self, expected: &[Expected]) {
        let model = &self.model;
        let fresh = self.checked..;
        assert!(
            self.sink.bytes[fresh.clone()] == model.bytes[fresh],
            "wrote something else"
        );
        self.checked = model.bytes.len();
        let waiting: usize = model.backlog.iter().map(|frame| frame.bytes.len()).sum();
        assert_eq!(self.queue.backlog_bytes(), waiting);
        assert_eq!(
            self.queue.is_empty(),
            model.backlog.is_empty() && model.pending.is_empty()
        );

        let pending: usize = model
            .pending
            .iter()
            .map(|&(frame, sequence_id)| expected[frame].bytes(sequence_id).len())
            .sum();
        let limits = QueueLimits {
            messages: model.backlog.len() + model.pending.len() + 1,
            bytes: waiting + pending + 10,
        };
        assert!(self.queue.has_room(10, limits));
        assert!(!self.queue.has_room(11, limits));
        let messages = limits.messages - 1;
        assert!(!self.queue.has_room(10, QueueLimits { messages, ..limits }));
    }
}

impl Model {
    /// Tells whether a turn's frames are written as one slice: nothing waits, none is large, and they follow each other in memory
    /// or are few enough to be copied together.
    fn is_one_slice(&self, expected: &[Expected]) -> bool {
        let (Some((first, _)), Some((last, _))) = (self.pending.first(), self.pending.last())
        else {
            return false;
        };
        let frames = || self.pending.iter().map(|(frame, _)| *frame);
        let lens = self
            .pending
            .iter()
            .map(|&(frame, sequence_id)| expected[frame].bytes(sequence_id).len());
        self.backlog.is_empty()
            && frames().all(|frame| expected[frame].payload.len() <= COPIED_MAX)
            && (lens.sum::<usize>() <= COPIED_TOGETHER_MAX
                || (frames().eq(*first..=*last)
                    && frames().all(|frame| !expected[frame].is_numbered)))
    }

    fn spill(&mut self, expected: &[Expected]) {
        let frames = self.pending.drain(..).map(|(frame, sequence_id)| Queued {
            bytes: expected[frame].bytes(sequence_id),
            expires: expected[frame].expires,
        });
        self.backlog.extend(frames);
    }

    fn write(&mut self, mut len: usize, now: Option<Time>) {
        while len > 0 {
            let first = self
                .backlog
                .front()
                .expect("the sink was given no more than is queued");
            let is_late = self.written == 0 && now.is_some_and(|now| first.is_expired(now));
            assert!(!is_late, "sent an expired frame");
            let part = len.min(first.bytes.len() - self.written);
            self.bytes
                .extend_from_slice(&first.bytes[self.written..self.written + part]);
            self.written += part;
            len -= part;
            if self.written == first.bytes.len() {
                self.backlog.pop_front();
                self.written = 0;
            }
        }
    }

    fn drop_expired_first(&mut self, now: Time) {
        while self.written == 0
            && self
                .backlog
                .front()
                .is_some_and(|first| first.is_expired(now))
        {
            self.backlog.pop_front();
        }
    }

    fn drop_expired(&mut self, now: Time) {
        let begun = (self.written > 0)
            .then(|| self.backlog.pop_front())
            .flatten();
        self.backlog.retain(|frame| !frame.is_expired(now));
        if let Some(begun) = begun {
            self.backlog.push_front(begun);
        }
    }

    fn discard(&mut self) {
        self.backlog.truncate(usize::from(self.written > 0));
    }
}

impl Queued {
    fn is_expired(&self, now: Time) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

impl Sink for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.take(false, &[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.take(true, slices)
    }

    fn flush(&mut self) -> io::Result<bool> {
        Ok(!self.keeps)
    }
}

impl Script {
    fn take(&mut self, is_vectored: bool, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let given: usize = slices.iter().map(|slice| slice.len()).sum();
        assert!(given > 0 && slices.iter().all(|slice| !slice.is_empty()));
        let next = if self.is_open {
            Some(Take::Everything)
        } else {
            self.takes.pop_front()
        };
        let taken = match next {
            Some(Take::Bytes(count)) => Ok(count.min(given)),
            Some(Take::Everything) => Ok(given),
            Some(Take::Keep) => {
                self.keeps = true;
                Ok(given)
            }
            Some(Take::Interrupt) => Err(io::ErrorKind::Interrupted),
            Some(Take::Block) | None => Err(io::ErrorKind::WouldBlock),
        };
        let bytes = slices.iter().flat_map(|slice| slice.iter());
        self.bytes.extend(bytes.take(taken.unwrap_or(0)));
        self.calls.push(Called {
            is_vectored,
            taken: taken.unwrap_or(0),
        });
        taken.map_err(io::Error::from)
    }
}

/// Writes a frame as RFC 6455 section 5.2 has it.
fn on_the_wire(kind: FrameKind, payload: &[u8]) -> Bytes {
    let opcode = match kind {
        FrameKind::Text => 0x1,
        FrameKind::Binary => 0x2,
        FrameKind::Close => 0x8,
        FrameKind::Ping => 0x9,
        FrameKind::Pong => 0xA,
    };
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        len @ 0..126 => bytes.push(len as u8),
        len @ 126..65536 => {
            bytes.push(126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes.into()
}

//! One thread and one readiness loop for each shard: ready sockets and inbox → engine → one write for each dirty socket.

mod asking;
mod forwarding;
mod message;
mod reading;
mod writing;

use std::collections::HashMap;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use asking::Questions;
use bytes::Bytes;
use forwarding::Stalled;
use hubwire_engine::{
    BufferLimits, ConnectionKey, Delivery, Fault, Frame, FrameKind, Input, Output, Reply,
    ReplyToken, Shard, SocketEnd, Time,
};
pub(crate) use message::{ShardMessage, ShardUpdate};
use mio::{Events, Poll, Token};
use slab::Slab;
use tokio::sync::oneshot;

use crate::firewall::{Pass, Passes};
use crate::inbox::Inbox;
use crate::metrics::{ShardCounts, ShardMetrics};
use crate::node::Node;
use crate::socket::{Attach, Closing, QueueLimits, Socket, Turn};

/// The bell of the inbox; sockets have their slot and generation as token.
pub(crate) const BELL: Token = Token(usize::MAX);
/// What is read from a socket at once. Bytes.
const READ_BUFFER: usize = 64 * 1024;
/// Reads from one socket in a turn, so that a busy one does not starve the others.
const READS_PER_TURN: usize = 4;
/// Bytes laid out in a turn after which it is written before more is handled.
const TURN_BYTES: usize = 512 * 1024;
/// How soon a publisher that waits for room in another shard tries again.
const PAUSED_RETRY: Duration = Duration::from_millis(1);

/// Limits that the loop itself enforces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoopLimits {
    pub(crate) message_max: usize,
    pub(crate) queue: QueueLimits,
    /// Bytes that may wait for all clients of the process; 0 is no limit.
    pub(crate) memory: usize,
    /// Shards of the process.
    pub(crate) shards: usize,
}

/// A shard with its sockets.
pub(crate) struct ShardLoop {
    number: u16,
    poll: Poll,
    inbox: Arc<Inbox<ShardMessage>>,
    node: Arc<Node>,
    metrics: ShardMetrics,
    limits: LoopLimits,
    shard: Shard,
    turn: Turn,
    /// By slot.
    sockets: Vec<Option<Socket>>,
    open_sockets: usize,
    read_buffer: Vec<u8>,
    replies: Slab<oneshot::Sender<Reply>>,
    passes: Passes,
    /// The pass of the connection that is being activated.
    opening: Option<Pass>,
    dirty: Vec<u32>,
    read_again: Vec<ConnectionKey>,
    /// Commands that wait for room in other shards, in the order they came.
    stalled: Vec<Stalled>,
    /// Events whose handlers are being asked.
    questions: Questions,
    applying: Vec<Output>,
    /// What these refer to.
    delivering: Vec<Delivery>,
    ping: Frame,
    /// The connection that is being handled, to be dropped if that panics.
    current: Option<ConnectionKey>,
    /// The last change of the configuration.
    update: Option<Arc<ShardUpdate>>,
    is_shutting_down: bool,
    is_stopped: bool,
}

impl ShardLoop {
    pub(crate) fn new(
        number: u16,
        poll: Poll,
        inbox: Arc<Inbox<ShardMessage>>,
        node: Arc<Node>,
        metrics: ShardMetrics,
        limits: LoopLimits,
        shard: Shard,
    ) -> Self {
        Self {
            number,
            poll,
            inbox,
            node,
            metrics,
            limits,
            shard,
            turn: Turn::default(),
            sockets: Vec::new(),
            open_sockets: 0,
            read_buffer: vec![0; READ_BUFFER],
            replies: Slab::new(),
            passes: Passes::default(),
            opening: None,
            dirty: Vec::new(),
            read_again: Vec::new(),
            stalled: Vec::new(),
            questions: Questions::default(),
            applying: Vec::new(),
            delivering: Vec::new(),
            ping: Frame::new(FrameKind::Ping, Bytes::new()),
            current: None,
            update: None,
            is_shutting_down: false,
            is_stopped: false,
        }
    }

    /// Runs until it is told to stop, or to shut down and all sockets are gone.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        let mut messages = Vec::new();
        while !self.is_done() {
            let timeout = self.sleep_time();
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::error!(shard = self.number, %error, "cannot wait for sockets");
                    return;
                }
            }
            self.inbox.awake();
            self.turn(&events, &mut messages);
        }
    }

    fn is_done(&self) -> bool {
        self.is_stopped || (self.is_shutting_down && self.open_sockets == 0)
    }

    fn sleep_time(&self) -> Option<Duration> {
        if !self.read_again.is_empty() {
            return Some(Duration::ZERO);
        }
        let until_timeout = self.shard.next_timeout().map(|due| {
            // The clock may be up to a millisecond behind.
            Duration::from_millis(due.since_ms(self.node.clock.now()) + 1)
        });
        let timeout = match self.stalled.is_empty() {
            true => until_timeout,
            false => Some(PAUSED_RETRY),
        };
        match self.inbox.prepare_sleep() {
            true => timeout,
            false => Some(Duration::ZERO),
        }
    }

    fn turn(&mut self, events: &Events, messages: &mut Vec<ShardMessage>) {
        let now = self.node.clock.now();
        self.inbox.take(messages);
        for message in messages.drain(..) {
            self.guarded(|shard| shard.message(now, message));
            self.write_if_long(now);
        }
        for event in events {
            if event.token() == BELL {
                continue;
            }
            let key = key_of(event.token());
            let Some(socket) = self.socket(key) else {
                continue;
            };
            if event.is_writable() {
                socket.unblock();
                self.mark_dirty(key);
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                let is_ending = event.is_read_closed() || event.is_error();
                self.guarded(|shard| shard.read(now, key, is_ending));
                self.write_if_long(now);
            }
        }
        for key in mem::take(&mut self.read_again) {
            if let Some(socket) = self.socket(key) {
                socket.reads_again = false;
                self.guarded(|shard| shard.read_on(now, key));
                self.write_if_long(now);
            }
        }
        self.retry_stalled(now);
        if self.shard.next_timeout().is_some_and(|due| due <= now) {
            self.guarded(|shard| shard.handle(now, Input::Timeout));
        }
        self.write_dirty(now);
        self.publish_metrics();
        if self.limits.memory > 0 && self.has_to_shed() {
            self.guarded(|shard| shard.shed(now));
        }
    }

    fn publish_metrics(&mut self) {
        self.metrics.publish(ShardCounts {
            groups: self.shard.group_count(),
            unacked_messages: self.shard.unacked_message_count(),
            unacked_bytes: self.shard.unacked_bytes(),
            detached_connections: self.shard.detached_count(),
        });
    }

    /// Tells whether too much waits for all clients, and more than its share for this shard's: the others see to theirs.
    fn has_to_shed(&self) -> bool {
        self.metrics.queued_bytes() > self.limits.memory
            && self.metrics.waiting_bytes() > self.limits.memory / self.limits.shards
    }

    /// Closes the clients for which most waits until what waits for all is within the limit again.
    fn shed(&mut self, now: Time) {
        let mut waiting: HashMap<ConnectionKey, usize> = self.shard.unacked_connections().collect();
        for socket in self.sockets.iter().flatten() {
            if socket.closing == Closing::No && socket.queue.backlog_bytes() > 0 {
                *waiting.entry(socket.key).or_default() += socket.queue.backlog_bytes();
            }
        }
        let mut waiting: Vec<(usize, ConnectionKey)> = waiting
            .into_iter()
            .map(|(key, bytes)| (bytes, key))
            .collect();
        waiting.sort_unstable();
        while self.has_to_shed()
            && let Some((_, key)) = waiting.pop()
        {
            if let Some(socket) = self.socket(key) {
                let before = socket.queue.backlog_bytes();
                socket.queue.discard();
                let after = socket.queue.backlog_bytes();
                self.metrics.change_queued(before, after);
            }
            let fault = Fault::OutboundQueueFull;
            self.handle(now, Input::Fault { key, fault });
            self.publish_metrics();
        }
        self.write_dirty(now);
    }

    /// Runs a step of the turn. A panic in it is a bug of ours: it is logged, the connection concerned is dropped, and the others
    /// go on.
    fn guarded(&mut self, step: impl FnOnce(&mut Self)) {
        self.current = None;
        if catch_unwind(AssertUnwindSafe(|| step(self))).is_ok() {
            return;
        }
        let current = self.current.take();
        self.opening = None;
        tracing::error!(shard = self.number, ?current, "a step of a shard panicked");
        self.metrics.count_panic();
        if self.read_buffer.len() != READ_BUFFER {
            self.read_buffer = vec![0; READ_BUFFER];
        }
        let now = self.node.clock.now();
        if let Some(key) = current {
            let drop_it = AssertUnwindSafe(|| self.gone(now, key, SocketEnd::InternalError));
            if catch_unwind(drop_it).is_err() {
                tracing::error!(shard = self.number, ?key, "dropping a connection panicked");
            }
        }
    }

    fn message(&mut self, now: Time, message: ShardMessage) {
        match message {
            // Dropping the sender refuses the client.
            ShardMessage::Open { open, .. } if self.is_shutting_down => {
                self.node.quotas.close_connection(&open.hub);
            }
            ShardMessage::Open {
                mut open,
                pass,
                reply,
            } => {
                if let Some(update) = &self.update {
                    // The request may have begun before the configuration changed.
                    open.settings = update.hub_settings(&open.hub);
                }
                let reply = ReplyToken(self.replies.insert(reply) as u64);
                self.opening = Some(pass);
                self.handle(now, Input::Open { open, reply });
                self.opening = None;
            }
            ShardMessage::Reserve { random, reply } => {
                let reply = ReplyToken(self.replies.insert(reply) as u64);
                self.handle(now, Input::Reserve { random, reply });
            }
            ShardMessage::Release { key } => self.handle(now, Input::Release { key }),
            ShardMessage::Recover { recover, reply } => {
                let reply = ReplyToken(self.replies.insert(reply) as u64);
                let recover = &recover;
                self.handle(now, Input::Recover { recover, reply });
            }
            ShardMessage::Attach(attach) => self.attach(now, *attach),
            ShardMessage::Abandon { key } => self.gone(now, key, SocketEnd::NotAttached),
            ShardMessage::Answered {
                connection,
                question,
                answer,
            } => {
                self.questions.forget(question);
                self.handle(
                    now,
                    Input::Answered {
                        connection,
                        question,
                        answer,
                    },
                );
            }
            ShardMessage::Command { command, reply } => {
                let reply = reply.map(|reply| ReplyToken(self.replies.insert(reply) as u64));
                let command = &command;
                self.handle(now, Input::Command { command, reply });
            }
            ShardMessage::Settings(update) => self.take_update(now, update),
            ShardMessage::ShutDown => {
                self.is_shutting_down = true;
                self.handle(now, Input::Shutdown);
            }
            ShardMessage::Stop => self.is_stopped = true,
        }
    }

    /// Puts a changed configuration into force for the hubs that have connections here, and for those to come.
    fn take_update(&mut self, now: Time, update: Arc<ShardUpdate>) {
        let key = update.reconnection_key.clone();
        self.shard.set_reconnection_key(key);
        for hub in self.shard.hubs() {
            let settings = update.hub_settings(&hub);
            let hub = &hub;
            self.handle(now, Input::Settings { hub, settings });
        }
        self.update = Some(update);
    }

    fn attach(&mut self, now: Time, attach: Attach) {
        let Attach {
            key,
            mut io,
            received,
        } = attach;
        let Some(socket) = self
            .sockets
            .get_mut(key.slot as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        if socket.key != key || socket.io.is_some() {
            return;
        }
        self.current = Some(key);
        if let Err(error) = io.register(self.poll.registry(), token_of(key)) {
            tracing::error!(shard = self.number, %error, "cannot watch a socket");
            self.gone(now, key, SocketEnd::NotAttached);
            return;
        }
        socket.io = Some(io);
        self.mark_dirty(key);
        self.handle(now, Input::Attached { key });
        // Neither what came with the upgrade nor what TLS has decrypted raises readiness.
        self.received(now, key, &mut received.to_vec());
        self.read(now, key, true);
    }

    /// Gives an input to the engine and does what it says.
    fn handle(&mut self, now: Time, input: Input<'_>) {
        self.shard.handle(now, input, &mut self.turn.outputs);
        self.apply(now);
    }

    fn apply(&mut self, now: Time) {
        while !self.turn.outputs.list.is_empty() {
            let mut outputs = mem::take(&mut self.applying);
            let mut deliveries = mem::take(&mut self.delivering);
            mem::swap(&mut outputs, &mut self.turn.outputs.list);
            mem::swap(&mut deliveries, &mut self.turn.outputs.deliveries);
            for output in outputs.drain(..) {
                self.apply_one(now, output, &deliveries);
            }
            deliveries.clear();
            self.applying = outputs;
            self.delivering = deliveries;
        }
    }

    fn apply_one(&mut self, now: Time, output: Output, deliveries: &[Delivery]) {
        match output {
            Output::Opened {
                key,
                reliable_buffer,
            } => self.opened(key, reliable_buffer),
            Output::Deliver(range) => {
                for delivery in &deliveries[range] {
                    self.send(now, delivery.to, delivery.frame, delivery.sequence_id);
                }
            }
            Output::Ping { to } => self.ping(now, to),
            Output::Close { to, close } => self.close(to, &close),
            Output::Abort { to } => {
                let key = self
                    .sockets
                    .get(to as usize)
                    .and_then(Option::as_ref)
                    .map(|socket| socket.key);
                if let Some(key) = key {
                    self.gone(now, key, SocketEnd::Dropped);
                }
            }
            Output::HoldReading { to } => self.hold_reading(to, true),
            Output::ReadOn { to } => self.hold_reading(to, false),
            Output::Ask(question) => {
                self.questions
                    .ask(&self.node, self.number, *question, &self.metrics);
            }
            // During a shutdown the requests that are under way go on, and end before the process does.
            Output::Forget { question } if self.is_shutting_down => self.questions.forget(question),
            Output::Forget { question } => self.questions.abort(question),
            Output::Notify(event) => self.node.upstream.notify(*event),
            Output::Forward { from, command } => self.forward(from, Arc::new(*command)),
            Output::Relay(command) => self.relay(Arc::new(*command)),
            Output::Interest {
                bucket,
                is_interested,
            } => self.node.set_interest(self.number, bucket, is_interested),
            Output::Reply { token, reply } => self.reply(token, reply),
            Output::Started(started) => self.metrics.count_started(&started),
            Output::Ended(ended) => {
                self.passes.remove(ended.id.slot);
                self.node.quotas.close_connection(&ended.hub);
                self.metrics.count_ended(&ended);
            }
        }
    }

    fn opened(&mut self, key: ConnectionKey, reliable_buffer: Option<BufferLimits>) {
        let usual = self.limits.queue;
        let queue_limits = reliable_buffer.map(|buffer| usual.with_replay(buffer));
        let slot = key.slot as usize;
        if self.sockets.len() <= slot {
            self.sockets.resize_with(slot + 1, || None);
        }
        debug_assert!(self.sockets[slot].is_none(), "a slot was given away twice");
        self.sockets[slot] = Some(Socket::new(key, queue_limits));
        self.current = Some(key);
        self.open_sockets += 1;
        if let Some(pass) = self.opening.take() {
            self.passes.insert(key.slot, pass);
        }
    }

    fn hold_reading(&mut self, slot: u32, is_held: bool) {
        let Some(socket) = self.sockets.get_mut(slot as usize).and_then(Option::as_mut) else {
            return;
        };
        socket.is_held = is_held;
        // What has been received may hold whole frames, for which no readiness comes.
        if !is_held && !mem::replace(&mut socket.reads_again, true) {
            self.read_again.push(socket.key);
        }
    }

    fn reply(&mut self, token: ReplyToken, reply: Reply) {
        let Some(sender) = self.replies.try_remove(token.0 as usize) else {
            return;
        };
        // The client gave up while its place was being kept, or its connection made or recovered.
        let now = self.node.clock.now();
        match sender.send(reply) {
            Err(Reply::Reserved { key, .. }) => self.handle(now, Input::Release { key }),
            Err(Reply::Opened { key, .. } | Reply::Recovered { key, .. }) => {
                self.gone(now, key, SocketEnd::NotAttached);
            }
            Err(_) | Ok(()) => {}
        }
    }

    /// Drops a socket and tells the engine, which frees its slot.
    fn gone(&mut self, now: Time, key: ConnectionKey, end: SocketEnd) {
        if self.socket(key).is_none() {
            return;
        }
        if let Some(socket) = self.sockets[key.slot as usize].take() {
            self.open_sockets -= 1;
            self.metrics.change_queued(socket.queue.backlog_bytes(), 0);
        }
        self.handle(now, Input::SocketClosed { key, end });
    }

    fn socket(&mut self, key: ConnectionKey) -> Option<&mut Socket> {
        self.sockets
            .get_mut(key.slot as usize)?
            .as_mut()
            .filter(|socket| socket.key == key)
    }
}

fn token_of(key: ConnectionKey) -> Token {
    Token((u64::from(key.generation) << 32 | u64::from(key.slot)) as usize)
}

fn key_of(token: Token) -> ConnectionKey {
    ConnectionKey {
        slot: token.0 as u32,
        generation: (token.0 as u64 >> 32) as u32,
    }
}

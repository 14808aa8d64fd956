use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hubwire_backplane::Backplane;
use hubwire_engine::{
    BUCKETS, Bucket, Command, ConnectionId, ConnectionKey, EventAnswer, Open, Place, Recover,
    Reply, Route,
};
use hubwire_upstream::Upstream;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::firewall::Pass;
use crate::inbox::Inbox;
use crate::quota::Quotas;
use crate::shard_loop::{ShardMessage, ShardUpdate};
use crate::socket::Attach;

/// Messages that may wait for a shard. Beyond it REST answers 503 and publishing clients are not read.
pub(crate) const INBOX_CAPACITY: usize = 16_384;
/// How long an answer from shards may take. They do not wait for anything themselves.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A shard has no room, or the answer did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overloaded;

/// One process of the service: its shards and its connection to other nodes. Local and remote commands meet here.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) clock: Clock,
    shards: Vec<Arc<Inbox<ShardMessage>>>,
    /// For each bucket, the shards that have members in it.
    interest: Vec<AtomicU64>,
    backplane: Box<dyn Backplane>,
    pub(crate) quotas: Quotas,
    /// Event handlers and listeners.
    pub(crate) upstream: Upstream,
    /// What asks event handlers.
    pub(crate) runtime: Handle,
    next_shard: AtomicUsize,
}

impl Node {
    pub(crate) fn new(
        clock: Clock,
        shards: Vec<Arc<Inbox<ShardMessage>>>,
        backplane: Box<dyn Backplane>,
        quotas: Quotas,
        upstream: Upstream,
    ) -> Self {
        Self {
            clock,
            shards,
            interest: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            backplane,
            quotas,
            upstream,
            runtime: Handle::current(),
            next_shard: AtomicUsize::new(0),
        }
    }

    /// Returns this node's number.
    pub(crate) fn number(&self) -> u16 {
        self.backplane.node()
    }

    /// Notes whether a shard has members in a bucket.
    pub(crate) fn set_interest(&self, shard: u16, bucket: Bucket, is_interested: bool) {
        let bit = 1 << shard;
        let mask = &self.interest[bucket.index()];
        let before = match is_interested {
            true => mask.fetch_or(bit, Ordering::SeqCst),
            false => mask.fetch_and(!bit, Ordering::SeqCst),
        };
        let others = before & !bit;
        if others == 0 {
            self.backplane.set_interest(bucket, is_interested);
        }
    }

    /// Has the next shard keep a place for a client. Returns the shard with the answer. The place is to be given to
    /// [`Node::open`] or [`Node::release`].
    pub(crate) async fn reserve_place(&self, random: [u8; 16]) -> Result<(u16, Reply), Overloaded> {
        let number = self.next_shard();
        let shard = &self.shards[usize::from(number)];
        if !shard.reserve() {
            return Err(Overloaded);
        }
        let reply = Activation::of(shard, |reply| ShardMessage::Reserve { random, reply }).await?;
        Ok((number, reply))
    }

    /// Gives up a place that a shard keeps for a client.
    pub(crate) fn release(&self, shard: u16, key: ConnectionKey) {
        self.shards[usize::from(shard)].push_unreserved(ShardMessage::Release { key });
    }

    /// Activates a connection, on the shard that keeps a place for it or on the next one, whose part of the quota is taken. Returns
    /// the shard with the answer. Once the shard has been asked, giving the part of the quota back is its business, also where nobody
    /// waits for its answer any more. The shard keeps the pass until the connection ends.
    pub(crate) async fn open(
        &self,
        open: Open,
        pass: Pass,
        kept_by: Option<u16>,
    ) -> Result<(u16, Reply), Overloaded> {
        let number = kept_by.unwrap_or_else(|| self.next_shard());
        let shard = &self.shards[usize::from(number)];
        if !shard.reserve() {
            if let Place::Reserved(key) = open.place {
                self.release(number, key);
            }
            self.quotas.close_connection(&open.hub);
            return Err(Overloaded);
        }
        let open = Box::new(open);
        let message = |reply| ShardMessage::Open { open, pass, reply };
        let reply = Activation::of(shard, message).await?;
        Ok((number, reply))
    }

    fn next_shard(&self) -> u16 {
        (self.next_shard.fetch_add(1, Ordering::Relaxed) % self.shards.len()) as u16
    }

    /// Gives a shard the answer to a question of its own, for which it always has room.
    pub(crate) fn answer(
        &self,
        shard: u16,
        connection: ConnectionId,
        question: u64,
        answer: EventAnswer,
    ) {
        self.shards[usize::from(shard)].push_unreserved(ShardMessage::Answered {
            connection,
            question,
            answer,
        });
    }

    /// Lets a client go on with a reliable connection. Returns the shard with the answer; [`Reply::NotFound`] if it cannot.
    pub(crate) async fn recover(&self, recover: Recover) -> Result<(u16, Reply), Overloaded> {
        let number = recover.id.shard;
        let shard = self.shards.get(usize::from(number));
        let Some(shard) = shard.filter(|_| recover.id.node == self.number()) else {
            return Ok((0, Reply::NotFound));
        };
        if !shard.reserve() {
            return Err(Overloaded);
        }
        let reply = Activation::of(shard, |reply| ShardMessage::Recover { recover, reply }).await?;
        Ok((number, reply))
    }

    /// Gives an active connection its socket.
    pub(crate) fn attach(&self, shard: u16, attach: Attach) {
        self.shards[usize::from(shard)].push_unreserved(ShardMessage::Attach(Box::new(attach)));
    }

    /// Ends an active connection whose socket will not come.
    pub(crate) fn abandon(&self, shard: u16, key: ConnectionKey) {
        self.shards[usize::from(shard)].push_unreserved(ShardMessage::Abandon { key });
    }

    /// Hands a command to every shard and node concerned, without waiting for it to be carried out.
    pub(crate) fn send(&self, command: Command) -> Result<(), Overloaded> {
        let shards = self.shards_for(&command);
        self.reserve(shards)?;
        self.hand_out(Arc::new(command), shards)
    }

    /// Hands a client's command, which its own shard has carried out, to the others concerned. Overloaded is also a hub that has
    /// sent as much as it may for now.
    pub(crate) fn forward(&self, from: u16, command: &Arc<Command>) -> Result<(), Overloaded> {
        let mine = 1 << from;
        let shards = self.shards_for(command) & !mine;
        // Where a home hands on what it gets, those it hands it to must have room too.
        let needed = match command.route() {
            Route::Home(bucket) => shards | (self.interested(bucket) & !mine),
            Route::Owner(_) | Route::Bucket(_) => shards,
        };
        self.reserve(needed)?;
        if self.quotas.take_message(&command.hub).is_err() {
            self.inboxes(needed).for_each(|shard| shard.release());
            return Err(Overloaded);
        }
        self.inboxes(needed & !shards)
            .for_each(|shard| shard.release());
        self.hand_out(command.clone(), shards)
    }

    /// Hands a command that follows from another to the other shards concerned, whether they have room or not.
    pub(crate) fn relay(&self, from: u16, command: Arc<Command>) {
        let shards = self.shards_for(&command) & !(1 << from);
        for shard in self.inboxes(shards) {
            shard.push_unreserved(ShardMessage::Command {
                command: command.clone(),
                reply: None,
            });
        }
    }

    /// Hands a command to shards that have a slot reserved for it, and to the other nodes.
    fn hand_out(&self, command: Arc<Command>, shards: u64) -> Result<(), Overloaded> {
        if self.backplane.publish(&command).is_err() {
            self.inboxes(shards).for_each(|shard| shard.release());
            return Err(Overloaded);
        }
        for shard in self.inboxes(shards) {
            shard.push(ShardMessage::Command {
                command: command.clone(),
                reply: None,
            });
        }
        Ok(())
    }

    /// Has a command carried out by every shard concerned and adds up their answers: matches are summed, lists joined without
    /// being sorted again, and [`Reply::NotFound`] is the answer if nobody is concerned.
    pub(crate) async fn ask(&self, command: Command) -> Result<Reply, Overloaded> {
        let shards = self.shards_for(&command);
        self.reserve(shards)?;
        let command = Arc::new(command);
        let answers: Vec<_> = self
            .inboxes(shards)
            .map(|shard| {
                let (reply, answer) = oneshot::channel();
                shard.push(ShardMessage::Command {
                    command: command.clone(),
                    reply: Some(reply),
                });
                answer
            })
            .collect();
        let mut total = Reply::NotFound;
        let deadline = tokio::time::Instant::now() + ANSWER_TIMEOUT;
        for answer in answers {
            let answer = tokio::time::timeout_at(deadline, answer)
                .await
                .map_err(|_| Overloaded)?
                .map_err(|_| Overloaded)?;
            total = match (total, answer) {
                (Reply::Matched(total), Reply::Matched(more)) => Reply::Matched(total + more),
                (Reply::Connections(mut total), Reply::Connections(more)) => {
                    total.extend(more);
                    Reply::Connections(total)
                }
                (Reply::Groups(mut total), Reply::Groups(more)) => {
                    total.extend(more);
                    Reply::Groups(total)
                }
                (total, Reply::NotFound) => total,
                (_, answer) => answer,
            };
        }
        Ok(total)
    }

    /// Tells every shard of a changed configuration.
    pub(crate) fn set_hub_settings(&self, update: &Arc<ShardUpdate>) {
        for shard in &self.shards {
            shard.push_unreserved(ShardMessage::Settings(update.clone()));
        }
    }

    /// Asks every shard to send its clients away.
    pub(crate) fn shut_down(&self) {
        for shard in &self.shards {
            shard.push_unreserved(ShardMessage::ShutDown);
        }
    }

    /// Asks every shard to drop what is left and to return.
    pub(crate) fn stop(&self) {
        for shard in &self.shards {
            shard.push_unreserved(ShardMessage::Stop);
        }
    }

    fn shards_for(&self, command: &Command) -> u64 {
        match command.route() {
            Route::Bucket(bucket) => self.interested(bucket),
            Route::Home(bucket) => 1 << bucket.home(self.shards.len() as u16),
            Route::Owner(id) => {
                let is_here = id.node == self.number() && usize::from(id.shard) < self.shards.len();
                if is_here { 1 << id.shard } else { 0 }
            }
        }
    }

    /// Returns the shards with members in a bucket.
    fn interested(&self, bucket: Bucket) -> u64 {
        self.interest[bucket.index()].load(Ordering::SeqCst)
    }

    /// Takes a slot on every one of these shards or on none.
    fn reserve(&self, shards: u64) -> Result<(), Overloaded> {
        let mut reserved = 0;
        for number in bits(shards) {
            if !self.shards[number].reserve() {
                self.inboxes(reserved).for_each(|shard| shard.release());
                return Err(Overloaded);
            }
            reserved |= 1 << number;
        }
        Ok(())
    }

    fn inboxes(&self, shards: u64) -> impl Iterator<Item = &Inbox<ShardMessage>> {
        bits(shards).map(|number| &*self.shards[number])
    }
}

/// A shard's answer about a connection that is to get a socket. A client may be gone, and the wait for it dropped, when the answer
/// is there and nobody has looked at it yet: then the shard is told that no socket will come.
struct Activation<'s> {
    shard: &'s Inbox<ShardMessage>,
    answer: oneshot::Receiver<Reply>,
}

impl<'s> Activation<'s> {
    /// Asks a shard that has a slot reserved for it.
    async fn of(
        shard: &'s Inbox<ShardMessage>,
        message: impl FnOnce(oneshot::Sender<Reply>) -> ShardMessage,
    ) -> Result<Reply, Overloaded> {
        let (reply, answer) = oneshot::channel();
        shard.push(message(reply));
        let mut activation = Self { shard, answer };
        let reply = timeout(ANSWER_TIMEOUT, &mut activation.answer).await;
        reply.map_err(|_| Overloaded)?.map_err(|_| Overloaded)
    }
}

impl Drop for Activation<'_> {
    fn drop(&mut self) {
        // From here on an answer goes back to the shard.
        self.answer.close();
        match self.answer.try_recv() {
            Ok(Reply::Reserved { key, .. }) => {
                self.shard.push_unreserved(ShardMessage::Release { key });
            }
            Ok(Reply::Opened { key, .. } | Reply::Recovered { key, .. }) => {
                self.shard.push_unreserved(ShardMessage::Abandon { key });
            }
            Ok(_) | Err(_) => {}
        }
    }
}

fn bits(mask: u64) -> impl Iterator<Item = usize> {
    (0..64).filter(move |bit| mask & 1 << bit != 0)
}

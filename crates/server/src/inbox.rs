use std::io;
use std::mem;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mio::{Registry, Token, Waker};

/// A shard's bounded queue of things to do, and the bell that wakes it.
///
/// First in, first out for each producer. A slot is reserved before anything is pushed, so that a command for several shards
/// reaches all of them or none.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    queue: Mutex<Vec<T>>,
    taken: AtomicUsize,
    capacity: usize,
    /// Set while the shard is about to sleep or sleeps; the producer that clears it rings.
    is_asleep: AtomicBool,
    waker: Waker,
}

impl<T> Inbox<T> {
    /// Makes an inbox whose shard polls `registry` and takes `token` as the bell.
    pub(crate) fn new(registry: &Registry, token: Token, capacity: usize) -> io::Result<Self> {
        Ok(Self {
            queue: Mutex::new(Vec::new()),
            taken: AtomicUsize::new(0),
            capacity,
            is_asleep: AtomicBool::new(false),
            waker: Waker::new(registry, token)?,
        })
    }

    /// Takes a slot for one message, if there is one.
    pub(crate) fn reserve(&self) -> bool {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        if before < self.capacity {
            return true;
        }
        self.release();
        false
    }

    /// Gives a reserved slot back.
    pub(crate) fn release(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }

    /// Puts a message into a reserved slot.
    pub(crate) fn push(&self, message: T) {
        self.lock().push(message);
        if self.is_asleep.swap(false, Ordering::SeqCst) {
            self.ring();
        }
    }

    /// Puts a message in although there may be no slot, for what must not be refused and is bounded elsewhere.
    pub(crate) fn push_unreserved(&self, message: T) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.push(message);
    }

    /// Swaps what is there with an empty list. The shard's side.
    pub(crate) fn take(&self, empty: &mut Vec<T>) {
        debug_assert!(empty.is_empty());
        mem::swap(&mut *self.lock(), empty);
        self.taken.fetch_sub(empty.len(), Ordering::Relaxed);
    }

    /// Announces that the shard is going to sleep; false if there is something to do first. The shard's side.
    pub(crate) fn prepare_sleep(&self) -> bool {
        self.is_asleep.store(true, Ordering::SeqCst);
        let is_empty = self.lock().is_empty();
        if !is_empty {
            self.awake();
        }
        is_empty
    }

    /// Announces that the shard is awake, so that nobody rings. The shard's side.
    pub(crate) fn awake(&self) {
        self.is_asleep.store(false, Ordering::SeqCst);
    }

    fn ring(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "cannot wake a shard");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<T>> {
        // Nothing that runs under the lock can panic half-way.
        self.queue
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

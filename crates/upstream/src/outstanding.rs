//! Counts what is under way, so that there is not too much of it and that an end can be awaited.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The number of things under way.
#[derive(Clone, Default)]
pub(crate) struct Outstanding(Arc<Count>);

#[derive(Default)]
struct Count {
    count: AtomicUsize,
    zero: Notify,
}

impl Outstanding {
    /// Counts one more, unless there are `max` already.
    pub(crate) fn start(&self, max: usize) -> Option<Started> {
        let grow = |count| (count < max).then_some(count + 1);
        self.0
            .count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, grow)
            .ok()
            .map(|_| Started(Arc::clone(&self.0)))
    }

    /// Waits until nothing is under way.
    pub(crate) async fn end(&self) {
        loop {
            let mut zero = std::pin::pin!(self.0.zero.notified());
            zero.as_mut().enable();
            if self.0.count.load(Ordering::Acquire) == 0 {
                return;
            }
            zero.await;
        }
    }
}

/// One thing under way, until it is dropped.
pub(crate) struct Started(Arc<Count>);

impl Drop for Started {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.zero.notify_waiters();
        }
    }
}

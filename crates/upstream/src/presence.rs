//! The order of `joined` and `left`. Source: events-and-operations 5.3.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hubwire_protocol::names::{GroupName, Hub};
use tokio::sync::oneshot;

type Key = (Hub, Arc<str>, GroupName);

/// Puts the presence events of a connection and a group in a row: each waits until the one before it is delivered or lost.
#[derive(Clone, Default)]
pub(crate) struct PresenceOrder(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The last event of each row, and when it is done.
    last: HashMap<Key, (u64, oneshot::Receiver<()>)>,
    next: u64,
}

impl PresenceOrder {
    /// Takes the next place in a row.
    pub(crate) fn take(&self, hub: &Hub, connection_id: &Arc<str>, group: &GroupName) -> Place {
        let key = (hub.clone(), Arc::clone(connection_id), group.clone());
        let (done, is_done) = oneshot::channel();
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        let before = state.last.insert(key.clone(), (number, is_done));
        Place {
            order: self.clone(),
            key,
            number,
            before: before.map(|(_, before)| before),
            _done: done,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a row, until it is dropped.
pub(crate) struct Place {
    order: PresenceOrder,
    key: Key,
    number: u64,
    before: Option<oneshot::Receiver<()>>,
    /// Whoever waits for this place learns of its end when this is dropped.
    _done: oneshot::Sender<()>,
}

impl Place {
    /// Waits for the place before.
    pub(crate) async fn wait(&mut self) {
        if let Some(before) = self.before.take() {
            // Nothing is ever sent: its end is an error.
            let _ = before.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.order.lock();
        if state
            .last
            .get(&self.key)
            .is_some_and(|(number, _)| *number == self.number)
        {
            state.last.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn events_of_one_connection_and_group_wait_for_each_other() {
        let order = PresenceOrder::default();
        let (hub, id) = (Hub::new("chat").unwrap(), Arc::from("a"));
        let take = |group| order.take(&hub, &id, &GroupName::new(group).unwrap());
        let (mut joined, mut left, mut other) = (take("g"), take("g"), take("h"));
        joined.wait().await;
        other.wait().await;
        let mut waiting = Box::pin(left.wait());
        assert!(is_pending(waiting.as_mut()).await);
        drop(joined);
        waiting.await;
        drop((left, other));
        assert!(order.lock().last.is_empty());
    }

    /// Tells whether a future is pending.
    async fn is_pending<F: Future>(mut future: std::pin::Pin<&mut F>) -> bool {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(future.as_mut().poll(context).is_pending())
        })
        .await
    }
}

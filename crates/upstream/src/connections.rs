//! What handlers have the service keep for a connection: state and cookies. Source: events-and-operations 4.2, 4.3.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hubwire_protocol::names::Hub;
use hyper::HeaderMap;
use hyper::header::{HeaderValue, SET_COOKIE};
use time::OffsetDateTime;

use crate::cookies::{Jar, Site};
use crate::request::CE_CONNECTION_STATE;

/// Longest state of a connection. Bytes. Source: events-and-operations 4.2 (ours).
const STATE_MAX: usize = 8 * 1024;

/// The state of a response cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StateError {
    #[error("the connection state is {0} bytes, limit is 8192")]
    TooLong(usize),
    #[error("the connection state holds other than ASCII characters")]
    NotAscii,
}

type Key = (Hub, Arc<str>);

/// Memories of connections. There is one while an event of the connection is under way, and as long as something is kept.
#[derive(Clone, Default)]
pub(crate) struct Connections(Arc<Mutex<HashMap<Key, Arc<Mutex<Memory>>>>>);

#[derive(Default)]
struct Memory {
    state: Option<HeaderValue>,
    jar: Jar,
}

/// How an event relates to what is kept for its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tie {
    /// The connection goes on.
    Lasting,
    /// The connection may be gone already: what is kept is used, but nothing more is kept than that.
    Trailing,
    /// The connection is gone when the event is delivered.
    Last,
}

impl Connections {
    pub(crate) fn attach(&self, hub: &Hub, connection_id: &Arc<str>, tie: Tie) -> Attached {
        let key = (hub.clone(), Arc::clone(connection_id));
        let mut memories = lock(&self.0);
        let memory = match tie {
            Tie::Lasting => Arc::clone(memories.entry(key.clone()).or_default()),
            Tie::Trailing | Tie::Last => memories.get(&key).cloned().unwrap_or_default(),
        };
        Attached {
            connections: self.clone(),
            key,
            memory,
            is_last: tie == Tie::Last,
        }
    }

    /// Drops what is kept for a connection.
    pub(crate) fn forget(&self, hub: &Hub, connection_id: &str) {
        lock(&self.0).remove(&(hub.clone(), Arc::from(connection_id)));
    }

    /// Drops what is kept for the connections of other hubs than these.
    pub(crate) fn retain(&self, is_kept: impl Fn(&Hub) -> bool) {
        lock(&self.0).retain(|(hub, _), _| is_kept(hub));
    }

    /// Returns how many connections something is kept for.
    pub(crate) fn len(&self) -> usize {
        lock(&self.0).len()
    }
}

/// An event's hold on what is kept for its connection.
pub(crate) struct Attached {
    connections: Connections,
    key: Key,
    memory: Arc<Mutex<Memory>>,
    is_last: bool,
}

impl Attached {
    pub(crate) fn state(&self) -> Option<HeaderValue> {
        lock(&self.memory).state.clone()
    }

    pub(crate) fn cookie_header(&self, site: Site<'_>) -> Option<HeaderValue> {
        lock(&self.memory)
            .jar
            .header(site, OffsetDateTime::now_utc())
    }

    /// Keeps the cookies of a response; returns how many make no sense.
    pub(crate) fn store_cookies(&self, headers: &HeaderMap, site: Site<'_>) -> usize {
        let now = OffsetDateTime::now_utc();
        let mut memory = lock(&self.memory);
        headers
            .get_all(SET_COOKIE)
            .iter()
            .filter(|header| !memory.jar.store(header, site, now))
            .count()
    }

    /// Keeps the state of a response, if it has one.
    pub(crate) fn store_state(&self, headers: &HeaderMap) -> Result<(), StateError> {
        let Some(state) = headers.get_all(CE_CONNECTION_STATE).iter().next_back() else {
            return Ok(());
        };
        if state.len() > STATE_MAX {
            return Err(StateError::TooLong(state.len()));
        }
        if state.to_str().is_err() {
            return Err(StateError::NotAscii);
        }
        let mut state = state.clone();
        state.set_sensitive(true);
        lock(&self.memory).state = Some(state);
        Ok(())
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let mut memories = lock(&self.connections.0);
        let Some(memory) = memories.get(&self.key) else {
            return;
        };
        // A later connection of the same id has a memory of its own.
        if !Arc::ptr_eq(memory, &self.memory) {
            return;
        }
        // The map and this event hold it; whoever else does is another event.
        let is_needed = Arc::strong_count(memory) > 2 || !lock(memory).is_empty();
        if self.is_last || !is_needed {
            memories.remove(&self.key);
        }
    }
}

impl Memory {
    fn is_empty(&self) -> bool {
        self.state.is_none() && self.jar.is_empty()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CE_CONNECTION_STATE, text.parse().unwrap());
        headers
    }

    fn attach(connections: &Connections, id: &str, tie: Tie) -> Attached {
        connections.attach(&Hub::new("chat").unwrap(), &Arc::from(id), tie)
    }

    #[test]
    fn an_event_that_keeps_nothing_leaves_nothing_behind() {
        let connections = Connections::default();
        let first = attach(&connections, "a", Tie::Lasting);
        let second = attach(&connections, "a", Tie::Lasting);
        drop(first);
        assert_eq!(connections.len(), 1);
        drop(second);
        assert_eq!(connections.len(), 0);
    }

    #[test]
    fn what_is_kept_goes_with_the_last_event() {
        let connections = Connections::default();
        attach(&connections, "a", Tie::Lasting)
            .store_state(&state("s"))
            .unwrap();
        let last = attach(&connections, "a", Tie::Last);
        assert_eq!(last.state().unwrap(), "s");
        let late = attach(&connections, "a", Tie::Trailing);
        drop(last);
        assert_eq!(connections.len(), 0);
        assert_eq!(late.state().unwrap(), "s");
        late.store_state(&state("t")).unwrap();
        drop(late);
        assert_eq!(connections.len(), 0);
        let later = attach(&connections, "a", Tie::Trailing);
        later.store_state(&state("u")).unwrap();
        drop(later);
        assert_eq!(connections.len(), 0);
    }

    #[test]
    fn an_answer_that_comes_after_the_last_event_keeps_nothing() {
        let connections = Connections::default();
        let slow = attach(&connections, "a", Tie::Lasting);
        drop(attach(&connections, "a", Tie::Last));
        slow.store_state(&state("s")).unwrap();
        drop(slow);
        assert_eq!(connections.len(), 0);
    }

    #[test]
    fn states_up_to_8_kib_of_ascii_are_kept() {
        let connections = Connections::default();
        let attached = attach(&connections, "a", Tie::Lasting);
        assert_eq!(attached.store_state(&state(&"x".repeat(STATE_MAX))), Ok(()));
        let too_long = attached.store_state(&state(&"x".repeat(STATE_MAX + 1)));
        assert_eq!(too_long, Err(StateError::TooLong(STATE_MAX + 1)));
        assert_eq!(attached.store_state(&state("é")), Err(StateError::NotAscii));
        assert_eq!(attached.state().unwrap().len(), STATE_MAX);
    }

    #[test]
    fn the_last_of_several_states_counts() {
        let connections = Connections::default();
        let attached = attach(&connections, "a", Tie::Lasting);
        let mut headers = state("first");
        headers.append(CE_CONNECTION_STATE, "last".parse().unwrap());
        attached.store_state(&headers).unwrap();
        assert_eq!(attached.state().unwrap(), "last");
    }
}

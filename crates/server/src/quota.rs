//! What callers and clients may use, for each hub and in total.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use hubwire_protocol::names::Hub;

use crate::config::{Config, HubConfig};

/// Hubs whose use is remembered; beyond it hubs without connections are forgotten.
const HUBS_MAX: usize = 10_000;
const SECOND_NS: u64 = 1_000_000_000;

/// The quota is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted;

/// All quotas of the process. Those that are not set cost nothing.
#[derive(Debug)]
pub(crate) struct Quotas {
    origin: Instant,
    total: Usage,
    /// Absent unless some hub has a quota of its own.
    hubs: Option<Mutex<HashMap<Hub, Arc<Usage>>>>,
    config: Config,
}

/// What is used of one set of quotas.
#[derive(Debug)]
struct Usage {
    connections: AtomicU64,
    connections_max: u64,
    rest_requests: Rate,
    messages: Rate,
}

impl Quotas {
    pub(crate) fn new(config: &Config) -> Self {
        let limits = &config.limits;
        let mut hubs = config
            .hubs
            .iter()
            .map(|(_, hub)| hub)
            .chain([config.hubs.default_hub()]);
        Self {
            origin: Instant::now(),
            total: Usage::new(
                limits.connections_max,
                limits.rest_requests_per_second,
                limits.messages_per_second,
            ),
            hubs: hubs.any(has_quota).then(Mutex::default),
            config: config.clone(),
        }
    }

    /// Takes a place for a connection.
    pub(crate) fn open_connection(&self, hub: &Hub) -> Result<(), Exhausted> {
        self.total.open_connection()?;
        let hub = self.usage(hub);
        let opened = hub.as_ref().map_or(Ok(()), |usage| usage.open_connection());
        if opened.is_err() {
            self.total.close_connection();
        }
        opened
    }

    /// Gives a connection's place back.
    pub(crate) fn close_connection(&self, hub: &Hub) {
        self.total.close_connection();
        if let Some(usage) = self.usage(hub) {
            usage.close_connection();
        }
    }

    /// Returns the connections of the process as a share of those that there may be; 0 without a limit.
    pub(crate) fn connection_ratio(&self) -> f64 {
        match self.total.connections_max {
            0 => 0.0,
            max => self.total.connections.load(Ordering::Relaxed) as f64 / max as f64,
        }
    }

    /// Counts a REST request about a hub.
    pub(crate) fn take_rest_request(&self, hub: &Hub) -> Result<(), Exhausted> {
        let now = self.now();
        if let Some(usage) = self.usage(hub) {
            usage.rest_requests.take(now)?;
        }
        self.total.rest_requests.take(now)
    }

    /// Counts a message.
    pub(crate) fn take_message(&self, hub: &Hub) -> Result<(), Exhausted> {
        let now = self.now();
        if let Some(usage) = self.usage(hub) {
            usage.messages.take(now)?;
        }
        self.total.messages.take(now)
    }

    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    fn usage(&self, hub: &Hub) -> Option<Arc<Usage>> {
        let mut hubs = self
            .hubs
            .as_ref()?
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(usage) = hubs.get(hub) {
            return Some(usage.clone());
        }
        if hubs.len() >= HUBS_MAX {
            hubs.retain(|_, usage| usage.connections.load(Ordering::Relaxed) > 0);
        }
        let settings = self.config.hubs.get(hub.as_str());
        let usage = Arc::new(Usage::new(
            settings.connections_max,
            settings.rest_requests_per_second,
            settings.messages_per_second,
        ));
        hubs.insert(hub.clone(), usage.clone());
        Some(usage)
    }
}

fn has_quota(hub: &HubConfig) -> bool {
    hub.connections_max > 0 || hub.rest_requests_per_second > 0 || hub.messages_per_second > 0
}

impl Usage {
    fn new(connections_max: usize, rest_requests: usize, messages: usize) -> Self {
        Self {
            connections: AtomicU64::new(0),
            connections_max: connections_max as u64,
            rest_requests: Rate::new(rest_requests),
            messages: Rate::new(messages),
        }
    }

    fn open_connection(&self) -> Result<(), Exhausted> {
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        if self.connections_max == 0 || before < self.connections_max {
            return Ok(());
        }
        self.close_connection();
        Err(Exhausted)
    }

    fn close_connection(&self) {
        // A place that is given back twice must not turn into a count that refuses everybody.
        let less = |count: u64| count.checked_sub(1);
        let result = self
            .connections
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        debug_assert!(result.is_ok(), "a place was given back twice");
    }
}

/// So many a second, and up to a second's worth at once.
#[derive(Debug)]
struct Rate {
    /// Nanoseconds that one takes; 0 is no limit.
    interval: u64,
    /// When everything taken so far is paid for, in nanoseconds.
    paid_at: AtomicU64,
}

impl Rate {
    fn new(per_second: usize) -> Self {
        Self {
            interval: SECOND_NS.checked_div(per_second as u64).unwrap_or(0),
            paid_at: AtomicU64::new(0),
        }
    }

    fn take(&self, now: u64) -> Result<(), Exhausted> {
        if self.interval == 0 {
            return Ok(());
        }
        let taken = self
            .paid_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid_at| {
                let paid_at = paid_at.max(now) + self.interval;
                (paid_at <= now + SECOND_NS).then_some(paid_at)
            });
        taken.map(|_| ()).map_err(|_| Exhausted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_s_worth_may_be_taken_at_once_and_then_one_for_each_interval() {
        let rate = Rate::new(4);
        let start = 10 * SECOND_NS;
        let taken = (0..10).filter(|_| rate.take(start).is_ok()).count();
        assert_eq!(taken, 4);
        assert_eq!(rate.take(start + SECOND_NS / 4 - 1), Err(Exhausted));
        assert_eq!(rate.take(start + SECOND_NS / 4), Ok(()));
        assert_eq!(rate.take(start + SECOND_NS / 4), Err(Exhausted));
        let later = (0..10)
            .filter(|_| rate.take(start + 60 * SECOND_NS).is_ok())
            .count();
        assert_eq!(later, 4);
    }

    #[test]
    fn no_rate_is_no_limit() {
        let rate = Rate::new(0);
        assert!((0..1000).all(|_| rate.take(0).is_ok()));
    }
}

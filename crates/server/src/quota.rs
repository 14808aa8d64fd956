//! What callers and clients may use, for each hub and in total.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use hubwire_protocol::names::Hub;

use crate::config::{Config, HubConfig};

/// Hubs whose use is remembered; beyond it hubs without connections are forgotten.
const HUBS_MAX: usize = 10_000;
const SECOND_NS: u64 = 1_000_000_000;

/// The quota is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted;

/// All quotas of the process.
#[derive(Debug)]
pub(crate) struct Quotas {
    origin: Instant,
    total: Usage,
    /// Connections are counted whether there are quotas or not, since a changed configuration may bring some.
    hubs: Mutex<HashMap<Hub, Arc<Usage>>>,
    /// Whether some hub has a rate of its own; without one, messages and requests do not look for their hub.
    has_rates: AtomicBool,
    config: ArcSwap<Config>,
}

/// What is used of one set of quotas.
#[derive(Debug, Default)]
struct Usage {
    connections: AtomicU64,
    connections_max: AtomicU64,
    rest_requests: Rate,
    messages: Rate,
}

impl Quotas {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        let quotas = Self {
            origin: Instant::now(),
            total: Usage::default(),
            hubs: Mutex::default(),
            has_rates: AtomicBool::new(false),
            config: ArcSwap::new(config.clone()),
        };
        quotas.set(config);
        quotas
    }

    /// Replaces the quotas; what is used of them stays.
    pub(crate) fn set(&self, config: Arc<Config>) {
        let limits = &config.limits;
        self.total.set(
            limits.connections_max,
            limits.rest_requests_per_second,
            limits.messages_per_second,
        );
        let named = config.hubs.iter().map(|(_, hub)| hub);
        let has_rates = named.chain([config.hubs.default_hub()]).any(has_rate);
        // Whoever adds a hub meanwhile either finds the new quotas or is found here.
        let hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        for (hub, usage) in hubs.iter() {
            usage.set_hub(config.hubs.get(hub.as_str()));
        }
        self.config.store(config);
        self.has_rates.store(has_rates, Ordering::Relaxed);
    }

    /// Takes a place for a connection.
    pub(crate) fn open_connection(&self, hub: &Hub) -> Result<(), Exhausted> {
        self.total.open_connection()?;
        let opened = self.usage(hub).open_connection();
        if opened.is_err() {
            self.total.close_connection();
        }
        opened
    }

    /// Gives a connection's place back.
    pub(crate) fn close_connection(&self, hub: &Hub) {
        self.total.close_connection();
        self.usage(hub).close_connection();
    }

    /// Returns the connections of the process as a share of those that there may be; 0 without a limit.
    pub(crate) fn connection_ratio(&self) -> f64 {
        match self.total.connections_max.load(Ordering::Relaxed) {
            0 => 0.0,
            max => self.total.connections.load(Ordering::Relaxed) as f64 / max as f64,
        }
    }

    /// Counts a REST request about a hub.
    pub(crate) fn take_rest_request(&self, hub: &Hub) -> Result<(), Exhausted> {
        let now = self.now();
        if let Some(usage) = self.rated(hub) {
            usage.rest_requests.take(now)?;
        }
        self.total.rest_requests.take(now)
    }

    /// Counts a message.
    pub(crate) fn take_message(&self, hub: &Hub) -> Result<(), Exhausted> {
        let now = self.now();
        if let Some(usage) = self.rated(hub) {
            usage.messages.take(now)?;
        }
        self.total.messages.take(now)
    }

    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    /// Returns what a hub uses, if hubs have rates at all.
    fn rated(&self, hub: &Hub) -> Option<Arc<Usage>> {
        let has_rates = self.has_rates.load(Ordering::Relaxed);
        has_rates.then(|| self.usage(hub))
    }

    fn usage(&self, hub: &Hub) -> Arc<Usage> {
        let mut hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(usage) = hubs.get(hub) {
            return usage.clone();
        }
        if hubs.len() >= HUBS_MAX {
            // One that is held is about to be used.
            hubs.retain(|_, usage| {
                Arc::strong_count(usage) > 1 || usage.connections.load(Ordering::Relaxed) > 0
            });
        }
        let usage = Arc::new(Usage::default());
        usage.set_hub(self.config.load().hubs.get(hub.as_str()));
        hubs.insert(hub.clone(), usage.clone());
        usage
    }
}

fn has_rate(hub: &HubConfig) -> bool {
    hub.rest_requests_per_second > 0 || hub.messages_per_second > 0
}

impl Usage {
    fn set_hub(&self, hub: &HubConfig) {
        self.set(
            hub.connections_max,
            hub.rest_requests_per_second,
            hub.messages_per_second,
        );
    }

    fn set(&self, connections_max: usize, rest_requests: usize, messages: usize) {
        let connections_max = connections_max as u64;
        self.connections_max
            .store(connections_max, Ordering::Relaxed);
        self.rest_requests.set(rest_requests);
        self.messages.set(messages);
    }

    fn open_connection(&self) -> Result<(), Exhausted> {
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        let max = self.connections_max.load(Ordering::Relaxed);
        if max == 0 || before < max {
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
#[derive(Debug, Default)]
struct Rate {
    /// Nanoseconds that one takes; 0 is no limit.
    interval: AtomicU64,
    /// When everything taken so far is paid for, in nanoseconds.
    paid_at: AtomicU64,
}

impl Rate {
    fn set(&self, per_second: usize) {
        let interval = SECOND_NS.checked_div(per_second as u64).unwrap_or(0);
        self.interval.store(interval, Ordering::Relaxed);
    }

    fn take(&self, now: u64) -> Result<(), Exhausted> {
        let interval = self.interval.load(Ordering::Relaxed);
        if interval == 0 {
            return Ok(());
        }
        let taken = self
            .paid_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid_at| {
                let paid_at = paid_at.max(now) + interval;
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
        let rate = Rate::default();
        rate.set(4);
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
        let rate = Rate::default();
        assert!((0..1000).all(|_| rate.take(0).is_ok()));
    }

    /// Source: events-and-operations 9.2.
    #[test]
    fn changed_quotas_apply_to_what_is_in_use_already() {
        let hub = Hub::new("chat").unwrap();
        let quotas = Quotas::new(Arc::default());
        assert_eq!(quotas.open_connection(&hub), Ok(()));
        assert_eq!(quotas.open_connection(&hub), Ok(()));

        let mut config = Config::default();
        let of_hub = HubConfig {
            connections_max: 2,
            messages_per_second: 1,
            ..HubConfig::default()
        };
        config.hubs.set("chat", of_hub);
        quotas.set(Arc::new(config));

        assert_eq!(quotas.open_connection(&hub), Err(Exhausted));
        quotas.close_connection(&hub);
        assert_eq!(quotas.open_connection(&hub), Ok(()));
        assert_eq!(quotas.take_message(&hub), Ok(()));
        assert_eq!(quotas.take_message(&hub), Err(Exhausted));
        quotas.set(Arc::default());
        assert_eq!(quotas.open_connection(&hub), Ok(()));
        assert_eq!(quotas.take_message(&hub), Ok(()));
    }
}

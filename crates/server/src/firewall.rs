//! The application firewall: how many connections there are of a user, a token or a claim, and how much they send together.
//! Source: events-and-operations 9.4.
//!
//! A client's token says once, at the handshake, who it is counted with. From there on its [`Pass`] holds its places and its
//! meters: a message adds to counters, without looking anything up and without a lock.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use hubwire_engine::Time;
use hubwire_protocol::token::Claims;

use crate::config::{FirewallConfig, ThrottleKey};

/// Meters of a rule after which those that nobody needs are looked for.
const SWEEP_AT: usize = 1024;
/// Bits of a meter that count bytes; those above are the number of the window.
const BYTES_BITS: u32 = 40;
const BYTES_MASK: u64 = (1 << BYTES_BITS) - 1;
const WINDOW_MASK: u64 = u64::MAX >> BYTES_BITS;
/// What a rule allows that is no longer configured.
const UNLIMITED: u64 = u64::MAX;

/// Who is counted together by a rule: a hash, so that neither ids nor parts of tokens are kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Counted([u8; 32]);

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted")
    }
}

/// There are as many connections as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// More was sent than may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Throttled;

/// The rules, with what they have counted so far.
#[derive(Debug, Default)]
pub(crate) struct Firewall {
    counts: Vec<Arc<CountTable>>,
    traffic: Vec<Arc<TrafficTable>>,
}

impl Firewall {
    pub(crate) fn new(config: &FirewallConfig) -> Self {
        Self::default().changed(config)
    }

    /// Returns the firewall with other rules. Rules about the same go on counting where they are, and what they allow changes for
    /// existing connections too; a rule about something else counts connections from now on.
    pub(crate) fn changed(&self, config: &FirewallConfig) -> Self {
        let mut changed = Self::default();
        for rule in &config.client_connection_count_rules {
            let max = rule.max_count as u64;
            let known = |table: &&Arc<CountTable>| table.key == rule.key;
            if let Some(table) = changed.counts.iter().find(known) {
                table.max.fetch_min(max, Ordering::Relaxed);
                continue;
            }
            let table = self.counts.iter().find(known).cloned();
            let table = table.unwrap_or_else(|| Arc::new(CountTable::new(rule.key.clone())));
            table.max.store(max, Ordering::Relaxed);
            changed.counts.push(table);
        }
        for rule in &config.client_traffic_control_rules {
            let max = rule.max_inbound_message_bytes as u64;
            let window_ms = (rule.aggregation_window.as_millis() as u64).max(1);
            let known =
                |table: &&Arc<TrafficTable>| table.key == rule.key && table.window_ms == window_ms;
            if let Some(table) = changed.traffic.iter().find(known) {
                table.max.fetch_min(max, Ordering::Relaxed);
                continue;
            }
            let table = self.traffic.iter().find(known).cloned();
            let table =
                table.unwrap_or_else(|| Arc::new(TrafficTable::new(rule.key.clone(), window_ms)));
            table.max.store(max, Ordering::Relaxed);
            changed.traffic.push(table);
        }
        let gone = |table: &&Arc<TrafficTable>| {
            !changed.traffic.iter().any(|kept| Arc::ptr_eq(kept, table))
        };
        for table in self.traffic.iter().filter(gone) {
            table.max.store(UNLIMITED, Ordering::Relaxed);
        }
        changed
    }

    /// Finds out who the holder of a verified token is counted with. A rule whose claim the token does not have is left out.
    pub(crate) fn identify(&self, token: &str, claims: &Claims) -> Identity {
        let counts = self.counts.iter().filter_map(|table| {
            let counted = counted(&table.key, token, claims)?;
            Some((table.clone(), counted))
        });
        let traffic = self.traffic.iter().filter_map(|table| {
            let counted = counted(&table.key, token, claims)?;
            Some((table.clone(), counted))
        });
        Identity {
            counts: counts.collect(),
            traffic: traffic.collect(),
        }
    }
}

fn counted(key: &ThrottleKey, token: &str, claims: &Claims) -> Option<Counted> {
    let hash = |text: &str| {
        let hash = digest(&SHA256, text.as_bytes());
        hash.as_ref().try_into().ok().map(Counted)
    };
    match key {
        ThrottleKey::UserId => hash(claims.user_id()?),
        ThrottleKey::JwtSignature => hash(token.rsplit_once('.')?.1),
        ThrottleKey::JwtCustomClaim(name) => hash(&claims.text_of(name)?),
    }
}

/// Who a client is counted with.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    counts: Vec<(Arc<CountTable>, Counted)>,
    traffic: Vec<(Arc<TrafficTable>, Counted)>,
}

impl Identity {
    /// Takes the client's places; none, if one rule has none left.
    pub(crate) fn admit(&self, now: Time) -> Result<Pass, TooMany> {
        let mut pass = Pass::default();
        for (table, counted) in &self.counts {
            pass.places.push(CountTable::take(table, *counted)?);
        }
        for (table, counted) in &self.traffic {
            let counter = table.counter(*counted, now);
            let table = table.clone();
            pass.meters.push(Meter { table, counter });
        }
        Ok(pass)
    }
}

/// What a connection has of the firewall, from before it is activated until it ends. Its places are given back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    places: Vec<Place>,
    meters: Vec<Meter>,
}

impl Pass {
    fn count(&self, bytes: usize, now: Time) -> Result<(), Throttled> {
        // A message counts everywhere, also if the first rule is against it.
        let mut result = Ok(());
        for meter in &self.meters {
            result = result.and(meter.count(bytes as u64, now));
        }
        result
    }
}

/// How many connections there are, by who is counted together.
#[derive(Debug)]
struct CountTable {
    key: ThrottleKey,
    max: AtomicU64,
    /// Nobody is at zero here, so there are at most as many entries as connections.
    taken: Mutex<HashMap<Counted, u64>>,
}

impl CountTable {
    fn new(key: ThrottleKey) -> Self {
        Self {
            key,
            max: AtomicU64::new(UNLIMITED),
            taken: Mutex::default(),
        }
    }

    fn take(table: &Arc<Self>, counted: Counted) -> Result<Place, TooMany> {
        let max = table.max.load(Ordering::Relaxed);
        let mut taken = locked(&table.taken);
        match taken.entry(counted) {
            Entry::Occupied(entry) if *entry.get() >= max => return Err(TooMany),
            Entry::Occupied(entry) => *entry.into_mut() += 1,
            Entry::Vacant(_) if max == 0 => return Err(TooMany),
            Entry::Vacant(entry) => *entry.insert(0) += 1,
        }
        drop(taken);
        Ok(Place {
            table: table.clone(),
            counted,
        })
    }
}

/// A place that is taken.
#[derive(Debug)]
struct Place {
    table: Arc<CountTable>,
    counted: Counted,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = locked(&self.table.taken).entry(self.counted) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// How much was sent in the window, by who is counted together.
#[derive(Debug)]
struct TrafficTable {
    key: ThrottleKey,
    window_ms: u64,
    max: AtomicU64,
    counters: Mutex<Counters>,
}

#[derive(Debug)]
struct Counters {
    /// Besides those of connections there are those of who has sent something in this window.
    by_counted: HashMap<Counted, Arc<AtomicU64>>,
    sweep_at: usize,
}

impl TrafficTable {
    fn new(key: ThrottleKey, window_ms: u64) -> Self {
        Self {
            key,
            window_ms,
            max: AtomicU64::new(UNLIMITED),
            counters: Mutex::new(Counters {
                by_counted: HashMap::new(),
                sweep_at: SWEEP_AT,
            }),
        }
    }

    fn window(&self, now: Time) -> u64 {
        (now.as_ms() / self.window_ms) & WINDOW_MASK
    }

    /// Returns the counter, which outlives connections for the rest of its window: coming back does not empty it.
    fn counter(&self, counted: Counted, now: Time) -> Arc<AtomicU64> {
        let window = self.window(now);
        let mut counters = locked(&self.counters);
        if counters.by_counted.len() >= counters.sweep_at {
            counters.by_counted.retain(|_, counter| {
                Arc::strong_count(counter) > 1
                    || bytes_in(window, counter.load(Ordering::Relaxed)) > 0
            });
            counters.sweep_at = SWEEP_AT.max(2 * counters.by_counted.len());
        }
        counters.by_counted.entry(counted).or_default().clone()
    }
}

/// Counts what a client sends.
#[derive(Debug)]
struct Meter {
    table: Arc<TrafficTable>,
    /// The number of the window and the bytes in it.
    counter: Arc<AtomicU64>,
}

impl Meter {
    fn count(&self, bytes: u64, now: Time) -> Result<(), Throttled> {
        let window = self.table.window(now);
        let add = |counter: u64| (bytes_in(window, counter) + bytes).min(BYTES_MASK);
        let pack = |counter: u64| Some(window << BYTES_BITS | add(counter));
        let before = self
            .counter
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, pack);
        let sum = before.map_or(0, add);
        match sum <= self.table.max.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(Throttled),
        }
    }
}

/// Returns the bytes of a counter if they are of this window.
fn bytes_in(window: u64, counter: u64) -> u64 {
    match counter >> BYTES_BITS == window {
        true => counter & BYTES_MASK,
        false => 0,
    }
}

/// The passes of a shard's connections, by slot. Empty, and of no cost to a message, as long as there are no rules.
#[derive(Debug, Default)]
pub(crate) struct Passes(Vec<Option<Box<Pass>>>);

impl Passes {
    /// Keeps the pass of a connection until [`Passes::remove`].
    pub(crate) fn insert(&mut self, slot: u32, pass: Pass) {
        if pass.places.is_empty() && pass.meters.is_empty() {
            return;
        }
        let slot = slot as usize;
        if self.0.len() <= slot {
            self.0.resize_with(slot + 1, || None);
        }
        debug_assert!(self.0[slot].is_none(), "a slot was given away twice");
        self.0[slot] = Some(Box::new(pass));
    }

    /// Gives back what a connection has that has ended.
    pub(crate) fn remove(&mut self, slot: u32) {
        if let Some(pass) = self.0.get_mut(slot as usize) {
            *pass = None;
        }
    }

    /// Counts the payload of a message.
    pub(crate) fn count(&self, slot: u32, bytes: usize, now: Time) -> Result<(), Throttled> {
        match self.0.get(slot as usize) {
            Some(Some(pass)) => pass.count(bytes, now),
            Some(None) | None => Ok(()),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

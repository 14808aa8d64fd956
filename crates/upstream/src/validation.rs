//! Whether handlers agree to get events: when they are asked, and what holds in between. Source: events-and-operations 3.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

/// Time after a success until the next check, and at most after a failure.
const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// Time after the first failure until the next check.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// URLs whose verdict is kept; beyond it the one that was not needed longest goes. Source: ours; hubs without an entry of their own
/// have names that clients choose.
const ENTRIES_MAX: usize = 4096;

/// What is known of one URL. Time is an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Schedule {
    is_valid: bool,
    interval: Duration,
    /// Absent until the first check has ended.
    next_check: Option<Instant>,
}

/// What an event does that needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    /// Waits for the first check.
    Wait,
    /// Takes the last verdict, and has it checked in the background.
    Refresh(bool),
    /// Takes the last verdict.
    Use(bool),
}

impl Schedule {
    fn new() -> Self {
        Self {
            is_valid: true,
            interval: INTERVAL_MIN,
            next_check: None,
        }
    }

    fn decide(&self, now: Instant) -> Decision {
        match self.next_check {
            None => Decision::Wait,
            Some(next) if next <= now => Decision::Refresh(self.is_valid),
            Some(_) => Decision::Use(self.is_valid),
        }
    }

    fn record(&mut self, now: Instant, is_valid: bool) {
        self.interval = match (is_valid, self.is_valid) {
            (true, _) => INTERVAL_MAX,
            (false, true) => INTERVAL_MIN,
            (false, false) => (self.interval * 2).min(INTERVAL_MAX),
        };
        self.is_valid = is_valid;
        self.next_check = Some(now + self.interval);
    }
}

struct Entry {
    schedule: Schedule,
    last_used: Instant,
    /// The outcome of the check that is under way, if one is.
    running: Option<watch::Receiver<Option<bool>>>,
}

/// The verdicts on all URLs of the process.
pub(crate) struct Validations<K> {
    runtime: Handle,
    entries: Mutex<HashMap<K, Entry>>,
}

impl<K: Clone + Eq + Hash + Send + 'static> Validations<K> {
    pub(crate) fn new(runtime: Handle) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            entries: Mutex::default(),
        })
    }

    /// Tells whether events may go to a URL. `check` finds out, if that is necessary. It runs to its end even if the caller
    /// does not wait, since others may wait for it too.
    pub(crate) async fn is_valid<F>(self: &Arc<Self>, key: &K, check: impl FnOnce() -> F) -> bool
    where
        F: Future<Output = bool> + Send + 'static,
    {
        let mut outcome = match self.decide(key, check) {
            Ok(is_valid) => return is_valid,
            Err(outcome) => outcome,
        };
        match outcome.wait_for(Option::is_some).await {
            Ok(is_valid) => *is_valid == Some(true),
            Err(_) => false,
        }
    }

    fn decide<F>(
        self: &Arc<Self>,
        key: &K,
        check: impl FnOnce() -> F,
    ) -> Result<bool, watch::Receiver<Option<bool>>>
    where
        F: Future<Output = bool> + Send + 'static,
    {
        let now = Instant::now();
        let mut entries = self.lock();
        if !entries.contains_key(key) {
            make_room(&mut entries);
        }
        let entry = entries.entry(key.clone()).or_insert_with(|| Entry {
            schedule: Schedule::new(),
            last_used: now,
            running: None,
        });
        entry.last_used = now;
        let decision = entry.schedule.decide(now);
        if let (Decision::Wait | Decision::Refresh(_), None) = (decision, &entry.running) {
            let (sender, receiver) = watch::channel(None);
            entry.running = Some(receiver);
            let running = Running {
                validations: Arc::clone(self),
                key: key.clone(),
                outcome: false,
                sender,
            };
            let check = check();
            self.runtime.spawn(async move {
                running.end(check.await);
            });
        }
        match (decision, &entry.running) {
            (Decision::Use(is_valid) | Decision::Refresh(is_valid), _) => Ok(is_valid),
            (Decision::Wait, Some(running)) => Err(running.clone()),
            (Decision::Wait, None) => unreachable!("a check was started above"),
        }
    }

    /// Forgets all verdicts.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room<K: Clone + Eq + Hash>(entries: &mut HashMap<K, Entry>) {
    if entries.len() < ENTRIES_MAX {
        return;
    }
    let oldest = entries.iter().min_by_key(|(_, entry)| entry.last_used);
    if let Some(key) = oldest.map(|(key, _)| key.clone()) {
        entries.remove(&key);
    }
}

/// A check that is under way. Its outcome counts when it is dropped, so that a check that panics has failed.
struct Running<K: Clone + Eq + Hash + Send + 'static> {
    validations: Arc<Validations<K>>,
    key: K,
    outcome: bool,
    sender: watch::Sender<Option<bool>>,
}

impl<K: Clone + Eq + Hash + Send + 'static> Running<K> {
    fn end(mut self, is_valid: bool) {
        self.outcome = is_valid;
    }
}

impl<K: Clone + Eq + Hash + Send + 'static> Drop for Running<K> {
    fn drop(&mut self) {
        let mut entries = self.validations.lock();
        let is_of_this = |entry: &&mut Entry| {
            let running = entry.running.as_ref();
            running.is_some_and(|running| running.same_channel(&self.sender.subscribe()))
        };
        // What was asked before the verdicts were forgotten says nothing.
        if let Some(entry) = entries.get_mut(&self.key).filter(is_of_this) {
            entry.schedule.record(Instant::now(), self.outcome);
            entry.running = None;
        }
        drop(entries);
        self.sender.send_replace(Some(self.outcome));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A handler that takes a second for each check.
    #[derive(Default)]
    struct Scripted {
        checks: Arc<AtomicUsize>,
    }

    impl Scripted {
        fn check(&self, outcome: bool) -> impl FnOnce() -> CheckFuture {
            let checks = Arc::clone(&self.checks);
            move || {
                Box::pin(async move {
                    checks.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    outcome
                })
            }
        }

        fn count(&self) -> usize {
            self.checks.load(Ordering::Relaxed)
        }
    }

    type CheckFuture = std::pin::Pin<Box<dyn Future<Output = bool> + Send>>;

    fn validations() -> Arc<Validations<&'static str>> {
        Validations::new(Handle::current())
    }

    async fn pass(seconds: f64) {
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_events_share_the_first_validation_and_wait() {
        let (validations, handler) = (validations(), Scripted::default());
        let start = Instant::now();
        let both = tokio::join!(
            validations.is_valid(&"a", handler.check(false)),
            validations.is_valid(&"a", handler.check(true)),
        );
        assert_eq!(both, (false, false));
        assert_eq!((handler.count(), start.elapsed().as_secs()), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn urls_are_validated_apart() {
        let (validations, handler) = (validations(), Scripted::default());
        assert!(validations.is_valid(&"a", handler.check(true)).await);
        assert!(!validations.is_valid(&"b", handler.check(false)).await);
        assert_eq!(handler.count(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_no_longer_waits_does_not_stop_the_validation() {
        let (validations, handler) = (validations(), Scripted::default());
        let waiting = validations.is_valid(&"a", handler.check(true));
        let gave_up = tokio::time::timeout(Duration::from_millis(10), waiting).await;
        assert!(gave_up.is_err());
        assert!(validations.is_valid(&"a", handler.check(false)).await);
        assert_eq!(handler.count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_holds_for_60_seconds_then_the_stale_verdict_is_used_while_one_check_runs() {
        let (validations, handler) = (validations(), Scripted::default());
        assert!(validations.is_valid(&"a", handler.check(true)).await);
        pass(59.9).await;
        assert!(validations.is_valid(&"a", handler.check(false)).await);
        assert_eq!(handler.count(), 1);
        pass(0.1).await;
        let start = Instant::now();
        for _ in 0..3 {
            assert!(validations.is_valid(&"a", handler.check(false)).await);
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        pass(1.5).await;
        assert_eq!(handler.count(), 2);
        assert!(!validations.is_valid(&"a", handler.check(true)).await);
    }

    #[test]
    fn failures_are_checked_again_after_1_2_4_up_to_60_seconds() {
        let mut schedule = Schedule::new();
        let now = Instant::now();
        let mut intervals = Vec::new();
        for is_valid in [
            false, false, false, false, false, false, false, false, true, false,
        ] {
            schedule.record(now, is_valid);
            intervals.push(schedule.interval.as_secs());
        }
        assert_eq!(intervals, [1, 2, 4, 8, 16, 32, 60, 60, 60, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_recovers_gets_events_after_the_refresh() {
        let (validations, handler) = (validations(), Scripted::default());
        assert!(!validations.is_valid(&"a", handler.check(false)).await);
        pass(1.0).await;
        assert!(!validations.is_valid(&"a", handler.check(true)).await);
        pass(1.1).await;
        assert!(validations.is_valid(&"a", handler.check(false)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_verdicts_that_are_kept_are_bounded() {
        let validations = Validations::new(Handle::current());
        for url in 0..ENTRIES_MAX + 10 {
            assert!(
                validations
                    .is_valid(&url, || std::future::ready(true))
                    .await
            );
        }
        assert_eq!(validations.lock().len(), ENTRIES_MAX);
    }
}

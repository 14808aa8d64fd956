//! An issuer and its keys: when it is asked for them, and for how long they are used. Source: rest-api 3.6.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hubwire_upstream::{HttpClient, PrivateAddresses, Url};
use hyper::StatusCode;
use hyper::header::{ACCEPT, HeaderMap, HeaderValue};
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use super::Refusal;
use super::key::KeySet;
use super::token::is_same_url;
use crate::config::OidcConfig;
use crate::metrics::Metrics;

/// Least time between two times that an issuer is asked because of tokens whose key is not known.
const UNKNOWN_KEY_PAUSE: Duration = Duration::from_secs(60);
/// Age after which keys are fetched again while they go on being used. Source: ours, so that a key that the issuer has withdrawn is
/// not trusted for long.
const REFRESH_AGE: Duration = Duration::from_secs(3600);
/// Time until the next attempt after that has failed.
const REFRESH_PAUSE: Duration = Duration::from_secs(60);
/// Age after which keys are not used any more, however long the issuer has not answered. Source: ours.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Time until the next attempt while there are no keys at all.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Time to fetch the keys, discovery included.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest document. Bytes.
const DOCUMENT_MAX: usize = 1 << 20;

/// An issuer whose tokens are accepted.
pub(super) struct Issuer {
    pub(super) config: OidcConfig,
    client: Arc<HttpClient>,
    metrics: Arc<Metrics>,
    known: Mutex<Known>,
    /// Held by whoever asks the issuer.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// The keys, and when they were asked for.
#[derive(Default)]
struct Known {
    keys: Option<Keys>,
    tried: Option<Instant>,
    /// When the issuer was last asked because of a key that was not known.
    missed: Option<Instant>,
}

#[derive(Clone)]
pub(super) struct Keys {
    pub(super) set: Arc<KeySet>,
    /// Changes with the keys.
    pub(super) version: u64,
    fetched: Instant,
}

/// Why an issuer may have to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// There are no keys.
    Nothing,
    /// There are keys, and none of a token's id. The time is that of the request.
    UnknownKey(Instant),
    /// The keys are old.
    Age,
}

impl Known {
    /// Returns the keys unless they are too old to be used.
    fn keys(&self, now: Instant) -> Option<&Keys> {
        let keys = self.keys.as_ref()?;
        (now.duration_since(keys.fetched) < AGE_MAX).then_some(keys)
    }

    /// Tells whether the issuer is to be asked now for a reason that there is.
    fn is_due(&self, reason: Reason, now: Instant) -> bool {
        let is_past = |at: Option<Instant>, pause| {
            at.is_none_or(|at| now.saturating_duration_since(at) >= pause)
        };
        let fetched = self.keys.as_ref().map(|keys| keys.fetched);
        match reason {
            Reason::Nothing => is_past(self.tried, RETRY_PAUSE),
            // Keys that have come since then were those that the request has waited for.
            Reason::UnknownKey(asked) => {
                fetched.is_none_or(|fetched| fetched < asked)
                    && is_past(self.missed, UNKNOWN_KEY_PAUSE)
            }
            Reason::Age => is_past(fetched, REFRESH_AGE) && is_past(self.tried, REFRESH_PAUSE),
        }
    }

    fn begin(&mut self, reason: Reason, now: Instant) {
        self.tried = Some(now);
        if let Reason::UnknownKey(_) = reason {
            self.missed = Some(now);
        }
    }

    fn replace(&mut self, set: KeySet, now: Instant) {
        self.keys = Some(match self.keys.take() {
            Some(keys) if *keys.set == set => Keys {
                fetched: now,
                ..keys
            },
            before => Keys {
                set: Arc::new(set),
                version: before.map_or(0, |keys| keys.version + 1),
                fetched: now,
            },
        });
    }
}

impl Issuer {
    pub(super) fn new(
        config: OidcConfig,
        client: Arc<HttpClient>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            config,
            client,
            metrics,
            known: Mutex::default(),
            turn: Arc::default(),
        })
    }

    /// Returns the keys, among them the one of that id. Asks the issuer if need be: whoever asks meanwhile waits for the same answer.
    pub(super) async fn keys_with(self: &Arc<Self>, id: &str) -> Result<Keys, Refusal> {
        let asked = Instant::now();
        if let Ok(keys) = self.find(id) {
            self.refresh_if_old();
            return Ok(keys);
        }
        let turn = self.turn.clone().lock_owned().await;
        let reason = match self.find(id) {
            Ok(keys) => return Ok(keys),
            Err(Refusal::Unavailable) => Reason::Nothing,
            Err(_) => Reason::UnknownKey(asked),
        };
        if self.begin_if_due(reason) {
            // Apart, so that a caller who does not wait for the answer cannot use up an attempt.
            let refresh = tokio::spawn(self.clone().refresh(turn));
            refresh.await.ok();
        }
        self.find(id)
    }

    /// Returns the keys of now, if there are any.
    pub(super) fn version(&self) -> Option<u64> {
        self.lock().keys(Instant::now()).map(|keys| keys.version)
    }

    /// Has the keys fetched again in the background when it is time.
    pub(super) fn refresh_if_old(self: &Arc<Self>) {
        if !self.lock().is_due(Reason::Age, Instant::now()) {
            return;
        }
        if let Ok(turn) = self.turn.clone().try_lock_owned()
            && self.begin_if_due(Reason::Age)
        {
            tokio::spawn(self.clone().refresh(turn));
        }
    }

    /// Has the keys fetched in the background for the first time, so that what is wrong with an issuer is seen at once.
    pub(super) fn prefetch(self: &Arc<Self>) {
        if let Ok(turn) = self.turn.clone().try_lock_owned()
            && self.begin_if_due(Reason::Nothing)
        {
            tokio::spawn(self.clone().refresh(turn));
        }
    }

    fn find(&self, id: &str) -> Result<Keys, Refusal> {
        let known = self.lock();
        let keys = known.keys(Instant::now()).ok_or(Refusal::Unavailable)?;
        match keys.set.has(id) {
            true => Ok(keys.clone()),
            false => Err(Refusal::UnknownKey),
        }
    }

    fn begin_if_due(&self, reason: Reason) -> bool {
        let now = Instant::now();
        let mut known = self.lock();
        let is_due = known.is_due(reason, now);
        if is_due {
            known.begin(reason, now);
        }
        is_due
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn refresh(self: Arc<Self>, turn: OwnedMutexGuard<()>) {
        let fetched = tokio::time::timeout(FETCH_TIMEOUT, self.fetch()).await;
        let fetched =
            fetched.unwrap_or_else(|_| Err("the issuer did not answer in time".to_owned()));
        let issuer = &self.config.issuer;
        match fetched {
            Ok(set) => {
                tracing::debug!(issuer, keys = set.len(), "keys of an issuer fetched");
                self.metrics.count_identity_refresh("success");
                self.lock().replace(set, Instant::now());
            }
            Err(error) => {
                let uses_old = self.lock().keys(Instant::now()).is_some();
                tracing::warn!(
                    issuer,
                    error,
                    uses_old,
                    "keys of an issuer cannot be fetched"
                );
                self.metrics.count_identity_refresh("failure");
            }
        }
        drop(turn);
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        if let Some(path) = &self.config.jwks_file {
            let unreadable = |error| format!("cannot read {}: {error}", path.display());
            let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
            let mut document = Vec::new();
            let mut file = file.take(DOCUMENT_MAX as u64 + 1);
            file.read_to_end(&mut document).await.map_err(unreadable)?;
            if document.len() > DOCUMENT_MAX {
                return Err(format!(
                    "{} is longer than {DOCUMENT_MAX} bytes",
                    path.display()
                ));
            }
            return KeySet::parse(&document);
        }
        let issuer = &self.config.issuer;
        let url = format!(
            "{}/.well-known/openid-configuration",
            issuer.trim_end_matches('/')
        );
        let document = self.get("discovery", &url).await?;
        let found: Discovery = serde_json::from_slice(&document)
            .map_err(|_| "discovery: the answer does not name an issuer and its keys".to_owned())?;
        // Otherwise one issuer could speak for another.
        if !is_same_url(&found.issuer, issuer) {
            return Err("discovery: the answer is of another issuer".to_owned());
        }
        let document = self.get("keys", &found.jwks_uri).await?;
        KeySet::parse(&document)
    }

    async fn get(&self, what: &str, url: &str) -> Result<Vec<u8>, String> {
        if let Some(fault) = self.config.fault_of(url) {
            return Err(format!("{what}: the URL {fault}"));
        }
        let url =
            Url::parse(url, PrivateAddresses::Allow).map_err(|error| format!("{what}: {error}"))?;
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(ACCEPT, json)]);
        let (status, body) = self
            .client
            .get(&url, headers, DOCUMENT_MAX)
            .await
            .map_err(|error| format!("{what}: {error}"))?;
        match status {
            StatusCode::OK => Ok(body.into()),
            status => Err(format!("{what}: the answer was {}", status.as_u16())),
        }
    }
}

/// What discovery answers, as far as it matters.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns what is known of an issuer whose keys were fetched at that time.
    fn fetched(at: Instant) -> Known {
        let mut known = Known::default();
        known.begin(Reason::Nothing, at);
        known.replace(KeySet::default(), at);
        known
    }

    #[test]
    fn an_issuer_without_keys_is_asked_again_after_a_pause() {
        let start = Instant::now();
        let mut known = Known::default();
        assert!(known.is_due(Reason::Nothing, start));
        known.begin(Reason::Nothing, start);
        assert!(!known.is_due(Reason::Nothing, start + RETRY_PAUSE - SECOND));
        assert!(known.is_due(Reason::Nothing, start + RETRY_PAUSE));
    }

    #[test]
    fn an_unknown_key_has_the_issuer_asked_once_a_minute() {
        let start = Instant::now();
        let mut known = fetched(start);
        let asked = |now| Reason::UnknownKey(now);
        let later = start + SECOND;
        assert!(known.is_due(asked(later), later));
        known.begin(asked(later), later);
        let soon = later + UNKNOWN_KEY_PAUSE - SECOND;
        assert!(!known.is_due(asked(soon), soon));
        let then = later + UNKNOWN_KEY_PAUSE;
        assert!(known.is_due(asked(then), then));
    }

    #[test]
    fn a_request_that_waited_for_keys_does_not_have_the_issuer_asked_again() {
        let start = Instant::now();
        let known = fetched(start + SECOND);
        assert!(!known.is_due(Reason::UnknownKey(start), start + 2 * SECOND));
    }

    #[test]
    fn old_keys_are_fetched_again_and_used_meanwhile_up_to_a_day() {
        let start = Instant::now();
        let mut known = fetched(start);
        assert!(!known.is_due(Reason::Age, start + REFRESH_AGE - SECOND));
        let old = start + REFRESH_AGE;
        assert!(known.is_due(Reason::Age, old));
        known.begin(Reason::Age, old);
        assert!(!known.is_due(Reason::Age, old + REFRESH_PAUSE - SECOND));
        assert!(known.is_due(Reason::Age, old + REFRESH_PAUSE));
        assert!(known.keys(start + AGE_MAX - SECOND).is_some());
        assert!(known.keys(start + AGE_MAX).is_none());
    }

    #[test]
    fn the_version_changes_with_the_keys_alone() {
        let start = Instant::now();
        let mut known = fetched(start);
        let version = known.keys(start).map(|keys| keys.version);
        known.replace(KeySet::default(), start + SECOND);
        assert_eq!(known.keys(start).map(|keys| keys.version), version);
        let document = br#"{"keys":[{"kid":"a","kty":"RSA","n":"AQAB","e":"AQAB"}]}"#;
        known.replace(KeySet::parse(document).unwrap(), start + SECOND);
        assert_ne!(known.keys(start).map(|keys| keys.version), version);
    }
}

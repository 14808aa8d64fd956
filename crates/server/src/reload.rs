//! A changed configuration takes the place of the one in force. Source: events-and-operations 9.2.

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::auth::Auth;
use crate::config::Config;
use crate::http::{App, CurrentApp};
use crate::shard_loop::ShardUpdate;

/// How long files must be left alone before they are looked at, since a change is often made in steps.
const QUIET: Duration = Duration::from_millis(100);
/// Longest wait for that.
const QUIET_MAX: Duration = Duration::from_secs(2);

/// A configuration is valid, and must not take the place of the one in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// The addresses that are listened on stay, and with them the key must not be the one that everybody knows.
    #[error(
        "{0} holds the development key that everybody knows, and the service goes on listening beyond loopback until it is restarted"
    )]
    DevelopmentKey(&'static str),
    /// Handlers and listeners were checked for other addresses than those that are listened on until a restart.
    #[error(
        "where handlers may be depends on `listeners`, which stay until the service is restarted; set `upstream.private_addresses` to \"allow\" or \"deny\", or restart it"
    )]
    PrivateAddresses,
}

/// Puts a configuration into force, but for what stays until a restart, which is returned by its keys.
///
/// Requests and events under way end under the one before. Clients stay connected.
///
/// # Errors
///
/// Nothing has changed then.
pub(crate) fn reload(
    current: &CurrentApp,
    mut config: Config,
) -> Result<Vec<&'static str>, ReloadError> {
    let before = current.load_full();
    let meant = config.private_addresses();
    let kept = keep_until_restart(&before.config, &mut config);
    if let Some(setting) = config.misplaced_development_key() {
        return Err(ReloadError::DevelopmentKey(setting));
    }
    if config.private_addresses() != meant && tells_somebody(&config) {
        return Err(ReloadError::PrivateAddresses);
    }
    let config = Arc::new(config);
    let auth = Arc::new(Auth::new(&config));
    let update = Arc::new(ShardUpdate {
        config: config.clone(),
        reconnection_key: auth.reconnection_key.clone(),
    });
    before.node.quotas.set(config.clone());
    before.events.replace(&config);
    current.store(Arc::new(App {
        firewall: Arc::new(before.firewall.changed(&config.firewall)),
        identities: Arc::new(before.identities.changed(&config.auth)),
        config,
        auth,
        ..App::clone(&before)
    }));
    // After the store, so that no request that finds the old configuration follows the update.
    before.node.set_hub_settings(&update);
    Ok(kept)
}

/// Tells whether there are event handlers or listeners, whose addresses were checked.
fn tells_somebody(config: &Config) -> bool {
    let named = config.hubs.iter().map(|(_, hub)| hub);
    let mut hubs = named.chain([config.hubs.default_hub()]);
    hubs.any(|hub| !(hub.event_handlers.is_empty() && hub.event_listeners.is_empty()))
}

/// Gives a configuration the settings of the one in force that are read only at the start. Returns the keys that differ.
fn keep_until_restart(before: &Config, config: &mut Config) -> Vec<&'static str> {
    let mut kept = Vec::new();
    keep(
        "listeners",
        &before.listeners,
        &mut config.listeners,
        &mut kept,
    );
    keep("shards", &before.shards, &mut config.shards, &mut kept);
    let (old, new) = (&before.limits, &mut config.limits);
    keep(
        "limits.message_max",
        &old.message_max,
        &mut new.message_max,
        &mut kept,
    );
    for (key, old, new) in [
        (
            "limits.outbound_queue_messages",
            &old.outbound_queue_messages,
            &mut new.outbound_queue_messages,
        ),
        (
            "limits.outbound_queue_bytes",
            &old.outbound_queue_bytes,
            &mut new.outbound_queue_bytes,
        ),
        (
            "limits.remembered_ack_ids",
            &old.remembered_ack_ids,
            &mut new.remembered_ack_ids,
        ),
        (
            "limits.handshakes_max",
            &old.handshakes_max,
            &mut new.handshakes_max,
        ),
        ("limits.memory", &old.memory, &mut new.memory),
    ] {
        keep(key, old, new, &mut kept);
    }
    for (key, old, new) in [
        (
            "limits.recovery_window",
            &old.recovery_window,
            &mut new.recovery_window,
        ),
        (
            "limits.reconnection_token_lifetime",
            &old.reconnection_token_lifetime,
            &mut new.reconnection_token_lifetime,
        ),
        (
            "limits.close_timeout",
            &old.close_timeout,
            &mut new.close_timeout,
        ),
        (
            "limits.handshake_timeout",
            &old.handshake_timeout,
            &mut new.handshake_timeout,
        ),
    ] {
        keep(key, old, new, &mut kept);
    }
    let (old, new) = (&before.logging, &mut config.logging);
    keep("logging.format", &old.format, &mut new.format, &mut kept);
    kept
}

fn keep<T: Clone + PartialEq>(
    key: &'static str,
    old: &T,
    new: &mut T,
    kept: &mut Vec<&'static str>,
) {
    if old != new {
        *new = old.clone();
        kept.push(key);
    }
}

/// Watches files for changes of what they hold, also where a symbolic link on the way to one is replaced, as platforms do with
/// secrets that they mount.
pub struct FileWatch {
    /// Absent where the system cannot watch.
    watcher: Option<RecommendedWatcher>,
    touched: Arc<Notify>,
    files: Vec<PathBuf>,
    /// With their inodes: one that was replaced is another.
    directories: BTreeSet<(PathBuf, u64)>,
    seen: u64,
}

impl std::fmt::Debug for FileWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileWatch")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl FileWatch {
    /// Starts to watch files, readable or not. What cannot be watched is logged.
    pub fn start(files: Vec<PathBuf>) -> Self {
        let touched = Arc::new(Notify::new());
        let watcher = {
            let touched = touched.clone();
            notify::recommended_watcher(move |event: notify::Result<Event>| {
                // Looking at the files must not look like a change of them.
                if event.is_ok_and(|event| is_change(event.kind)) {
                    touched.notify_one();
                }
            })
        };
        let watcher = watcher
            .inspect_err(
                |error| tracing::warn!(%error, "files of the configuration are not watched"),
            )
            .ok();
        let mut watch = Self {
            watcher,
            touched,
            files: Vec::new(),
            directories: BTreeSet::new(),
            seen: 0,
        };
        watch.follow(files);
        watch
    }

    /// Watches other files from now on, and takes what they hold for known.
    pub fn follow(&mut self, files: Vec<PathBuf>) {
        self.files = files;
        self.follow_directories();
        self.seen = fingerprint(&self.files);
    }

    /// Waits until a file holds something else than it did.
    ///
    /// Dropping the future may miss a change; [`FileWatch::follow`] makes up for it if the files are read after it.
    pub async fn changed(&mut self) {
        loop {
            self.touched.notified().await;
            self.wait_for_quiet().await;
            // A replaced link may lead to another directory.
            self.follow_directories();
            let seen = fingerprint(&self.files);
            if seen != self.seen {
                self.seen = seen;
                return;
            }
        }
    }

    async fn wait_for_quiet(&self) {
        let end = Instant::now() + QUIET_MAX;
        while timeout(QUIET, self.touched.notified()).await.is_ok() && Instant::now() < end {}
    }

    fn follow_directories(&mut self) {
        let directories: BTreeSet<(PathBuf, u64)> = self
            .files
            .iter()
            .flat_map(|file| directories_of(file))
            .map(|directory| {
                let inode = fs::metadata(&directory).map_or(0, |found| found.ino());
                (directory, inode)
            })
            .collect();
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        for (gone, _) in self.directories.difference(&directories) {
            // One that was removed is not watched any more.
            watcher.unwatch(gone).ok();
        }
        let mut watched = BTreeSet::new();
        for directory in directories {
            let is_new = !self.directories.contains(&directory);
            let (path, _) = &directory;
            if is_new && let Err(error) = watcher.watch(path, RecursiveMode::NonRecursive) {
                tracing::warn!(directory = %path.display(), %error, "a directory of the configuration is not watched");
                continue;
            }
            watched.insert(directory);
        }
        self.directories = watched;
    }
}

fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}

/// Returns the directory that a file is named in, and the one that it is in.
fn directories_of(file: &Path) -> impl Iterator<Item = PathBuf> {
    let named = directory(file);
    let real = fs::canonicalize(file).ok().map(|file| directory(&file));
    [Some(named), real].into_iter().flatten()
}

fn directory(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Tells two contents of files apart.
fn fingerprint(files: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read(file).ok().hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{HubConfig, LogFormat};

    #[test]
    fn what_is_read_only_at_the_start_stays_and_is_named() {
        let before = Config::default();
        let mut config = Config {
            shards: before.shards + 1,
            ..Config::default()
        };
        config.listeners[0].bind.pop();
        config.limits.message_max += 1;
        config.limits.memory += 1;
        config.limits.connections_max = 7;
        config.limits.close_timeout *= 2;
        config.logging.format = LogFormat::Json;
        config.hubs.set("chat", HubConfig::default());

        let kept = keep_until_restart(&before, &mut config);

        assert_eq!(
            kept,
            [
                "listeners",
                "shards",
                "limits.message_max",
                "limits.memory",
                "limits.close_timeout",
                "logging.format"
            ]
        );
        assert_eq!(config.limits.connections_max, 7);
        config.limits.connections_max = 0;
        config.hubs = before.hubs.clone();
        assert_eq!(config, before);
    }
}

//! The configuration file that names the event handlers of the hub.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, process};

use anyhow::{Context, Result};

use crate::service::HUB;

/// Which events a handler gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Connect,
    User,
    All,
}

/// A handler of the hub.
#[derive(Clone, Debug)]
pub(crate) struct Handler {
    pub(crate) url_template: String,
    pub(crate) wanted: Wanted,
    pub(crate) abuse_protection: bool,
}

impl Handler {
    /// Writes the part of the file that is about it.
    pub(crate) fn to_toml(&self) -> String {
        let (pattern, system) = match self.wanted {
            Wanted::Connect => ("", r#""connect""#),
            Wanted::User => ("*", ""),
            Wanted::All => ("*", r#""connect""#),
        };
        format!(
            "[[hubs.{HUB}.event_handlers]]\nurl_template = \"{}\"\nuser_event_pattern = \"{pattern}\"\n\
             system_events = [{system}]\nabuse_protection = {}\n",
            self.url_template, self.abuse_protection
        )
    }
}

/// A configuration file in a folder of its own, which is gone when dropped.
pub(crate) struct ConfigFile {
    folder: PathBuf,
    path: PathBuf,
}

impl ConfigFile {
    pub(crate) fn new(handler: &Handler) -> Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("hubwire-bench-{}-{number}", process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let path = folder.join("hubwire.toml");
        let file = Self { folder, path };
        file.write(handler)?;
        Ok(file)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Names another handler.
    pub(crate) fn write(&self, handler: &Handler) -> Result<()> {
        self.write_text(&handler.to_toml())
    }

    /// Replaces what is in the file as a whole, as deployments do.
    pub(crate) fn write_text(&self, text: &str) -> Result<()> {
        let next = self.path.with_extension("next");
        fs::write(&next, text)
            .and_then(|()| fs::rename(&next, &self.path))
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_one_handler_until_it_is_written_again_and_goes_in_the_end() {
        let mut handler = Handler {
            url_template: "http://127.0.0.1:1/events/{event}".to_owned(),
            wanted: Wanted::All,
            abuse_protection: false,
        };
        let file = ConfigFile::new(&handler).expect("a folder for temporary files");
        let read = || fs::read_to_string(file.path()).expect("the file is there");
        assert!(read().contains(":1/events/{event}") && read().contains("[\"connect\"]"));
        handler.url_template = "http://127.0.0.1:2/".to_owned();
        file.write(&handler).expect("writes");
        assert!(read().contains("127.0.0.1:2/") && !read().contains("127.0.0.1:1/"));
        let folder = file.folder.clone();
        drop(file);
        assert!(!folder.exists());
    }
}

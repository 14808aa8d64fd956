//! `hubwire print-config`: prints the effective configuration.

use std::io::Write as _;

use crate::arguments::Settings;
use crate::failure::Failure;

/// Prints what file, environment, flags and defaults come to, as TOML without the keys.
pub(crate) fn run(settings: &Settings) -> Result<(), Failure> {
    let text = settings.load()?.config.to_toml();
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::Work(error.into()))
}

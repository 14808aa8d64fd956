//! `hubwire check-config`: tells whether a configuration is valid.

use std::fs::File;
use std::io::Write as _;

use anyhow::Context as _;
use hubwire_server::config::Config;

use crate::arguments::Settings;
use crate::failure::Failure;

/// Loads the configuration and says so; the files of certificates must be readable too.
pub(crate) fn run(settings: &Settings) -> Result<(), Failure> {
    let file = settings.file();
    let config = settings.load()?.config;
    check_certificate_files(&config).map_err(Failure::Usage)?;
    let file = file.map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    let hubs = config.hubs.iter().len();
    let text =
        format!("configuration is valid\nfile: {file}\nhubs with their own settings: {hubs}\n");
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::Work(error.into()))
}

fn check_certificate_files(config: &Config) -> anyhow::Result<()> {
    for tls in config
        .listeners
        .iter()
        .filter_map(|listener| listener.tls.as_ref())
    {
        for path in [&tls.cert, &tls.key] {
            File::open(path)
                .with_context(|| format!("cannot read {} of a TLS listener", path.display()))?;
        }
    }
    Ok(())
}

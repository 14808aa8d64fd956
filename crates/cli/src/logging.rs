//! Log lines on standard error.

use std::io::{self, IsTerminal as _};

use hubwire_server::config::{Level, LogCategory, LogFormat, LoggingConfig};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

/// Changes what is logged while the process runs.
pub(crate) struct Logging(reload::Handle<Targets, Registry>);

impl Logging {
    /// Applies another level and other categories; the form of a line stays.
    pub(crate) fn set(&self, logging: &LoggingConfig) {
        if let Err(error) = self.0.reload(filter(logging)) {
            tracing::warn!(%error, "logging stays as it is");
        }
    }
}

/// Starts to write log lines; call it once.
pub(crate) fn init(logging: &LoggingConfig) -> Logging {
    let (filter, handle) = reload::Layer::new(filter(logging));
    let registry = tracing_subscriber::registry().with(filter);
    match logging.format {
        LogFormat::Text => {
            let is_colourless = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let has_colour = io::stderr().is_terminal() && !is_colourless;
            registry
                .with(fmt::layer().with_writer(io::stderr).with_ansi(has_colour))
                .init();
        }
        LogFormat::Json => {
            registry
                .with(
                    fmt::layer()
                        .json()
                        .flatten_event(true)
                        .with_writer(io::stderr),
                )
                .init();
        }
    }
    Logging(handle)
}

/// Lets through our own lines up to the level, and the lines of a category only when it is listed.
fn filter(logging: &LoggingConfig) -> Targets {
    let level = match logging.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let of_category = |category| {
        if logging.categories.contains(&category) {
            LevelFilter::INFO
        } else {
            LevelFilter::OFF
        }
    };
    Targets::new()
        .with_target("hubwire", level)
        .with_target(
            "hubwire::connectivity",
            of_category(LogCategory::Connectivity),
        )
        .with_target(
            "hubwire::http_request",
            of_category(LogCategory::HttpRequest),
        )
}

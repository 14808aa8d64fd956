//! What is logged and in which form.

/// Says what is logged and in which form; log lines go to standard error.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggingConfig {
    /// Sets the least severe level that is written.
    ///
    /// Default: info. Choose debug or trace to follow single connections or messages; both cost speed.
    pub level: Level,
    /// Sets the form of a log line.
    ///
    /// Default: text. Choose JSON where a program reads the log.
    pub format: LogFormat,
    /// Lists extra logs with one line per happening, off unless listed.
    ///
    /// Default: none, since their volume grows with the traffic.
    pub categories: Vec<LogCategory>,
}

impl Default for LoggingConfig {
    fn default() -> Self {
        Self {
            level: Level::Info,
            format: LogFormat::Text,
            categories: Vec::new(),
        }
    }
}

/// Orders log lines by how much an operator must care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something promised was not kept.
    Error,
    /// Degraded yet correct.
    Warn,
    /// What an operator did or must know.
    Info,
    /// A branch taken.
    Debug,
    /// Every message.
    Trace,
}

impl Level {
    /// Lists every level with its word in files and flags.
    pub const WORDS: &[(&str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

/// Names the form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// Lists every form with its word in files and flags.
    pub const WORDS: &[(&str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

/// Names an extra log that is written only when asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogCategory {
    /// Client connections that begin and end.
    Connectivity,
    /// HTTP requests and their status.
    HttpRequest,
}

impl LogCategory {
    /// Lists every category with its word in the configuration file.
    pub const WORDS: &[(&str, Self)] = &[
        ("connectivity", Self::Connectivity),
        ("http_request", Self::HttpRequest),
    ];
}

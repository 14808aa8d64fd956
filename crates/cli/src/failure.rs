//! How a command fails: one line on standard error and an exit code.

use std::process::ExitCode;

use hubwire_server::config::ConfigError;

/// Says why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was asked for cannot be understood; exit code 2.
    Usage(anyhow::Error),
    /// What was asked for could not be done; exit code 1.
    Work(anyhow::Error),
}

impl Failure {
    /// Writes the reason to standard error and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let (error, code) = match self {
            Self::Usage(error) => (error, 2),
            Self::Work(error) => (error, 1),
        };
        eprintln!("error: {}", describe(error));
        ExitCode::from(code)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.into())
    }
}

/// Joins an error and its causes to one line, leaving out causes that were named already.
pub(crate) fn describe(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string().replace('\n', ", ");
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

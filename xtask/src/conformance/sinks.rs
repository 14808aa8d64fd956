//! Event listeners at real brokers: the ignored tests of `hubwire-sinks`, with the brokers and clients that PyPI has.

use anyhow::Result;

use super::Setup;
use super::python::install;
use crate::counts::Counts;
use crate::workspace::{Workspace, follow};

pub(super) fn run(workspace: &Workspace, setup: &Setup, counts: &mut Counts) -> Result<bool> {
    let python = install(&setup.sources.join("sinks"), &setup.installed.join("sinks"))?;
    let mut command = workspace.cargo([
        "test",
        "--package",
        "hubwire-sinks",
        "--features",
        "kafka",
        "--",
        "--include-ignored",
    ]);
    command
        .env("HUBWIRE_SINKS_PYTHON", std::path::absolute(python)?)
        .env("NO_PROXY", "127.0.0.1,localhost")
        .env("no_proxy", "127.0.0.1,localhost");
    follow(&mut command, |line| counts.observe_cargo(line))
}

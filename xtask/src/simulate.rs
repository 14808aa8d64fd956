//! `cargo xtask simulate`: the engine in a simulated world beside its reference model, many seeds or one.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::workspace::{Workspace, follow, show};

/// Builds the simulator, optimised but with assertions, and hands the arguments on.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    show(&mut command(workspace, arguments))
}

/// Runs the usual number of seeds. Each promise of the service counts as a test, which passes if no seed breaks it.
pub(crate) fn run_counted(workspace: &Workspace, counts: &mut Counts) -> Result<()> {
    let mut command = command(workspace, &[]);
    let is_kept = follow(&mut command, |line| counts.observe_simulation(line))?;
    ensure!(is_kept, "a seed broke a promise");
    Ok(())
}

fn command(workspace: &Workspace, arguments: &[&str]) -> Command {
    let mut command = workspace.cargo([
        "run",
        "--quiet",
        "--profile",
        "simulation",
        "-p",
        "hubwire-simulator",
        "--",
    ]);
    command.args(arguments);
    command
}

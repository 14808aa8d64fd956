//! `cargo xtask test`: every check, in the order in which they are cheap.

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::conformance::{self, Suite};
use crate::counts::Counts;
use crate::simulate;
use crate::tidy;
use crate::workspace::{Workspace, follow, show};

/// Runs all steps and stops at the first that fails. The last line on stdout is the sum of all
/// tests that ran, also after a failure.
pub(crate) fn run(workspace: &Workspace) -> ExitCode {
    let started = Instant::now();
    let mut counts = Counts::default();
    let result = run_steps(workspace, &mut counts);
    println!("\nall steps: {:.1} s", started.elapsed().as_secs_f64());
    if let Err(error) = &result {
        println!("error: {error:#}");
    }
    println!("{counts}");
    if result.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run_steps(workspace: &Workspace, counts: &mut Counts) -> Result<()> {
    step("format", || {
        show(&mut workspace.cargo(["fmt", "--all", "--check"]))
    })?;
    step("lints", || {
        let flags = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ];
        show(&mut workspace.cargo(flags))?;
        let kafka = [
            "--package",
            "hubwire-sinks",
            "--package",
            "hubwire-cli",
            "--features",
            "hubwire-sinks/kafka,hubwire-cli/kafka",
        ];
        let mut flags = flags.to_vec();
        flags.splice(1..2, kafka);
        show(&mut workspace.cargo(flags))
    })?;
    step("tests", || {
        cargo_test(&mut workspace.cargo(["test", "--workspace"]), counts)
    })?;
    step("documentation", || {
        let mut command = workspace.cargo(["doc", "--workspace", "--no-deps"]);
        show(command.env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    step("tidy", || tidy::run(workspace))?;
    step("simulation", || simulate::run_counted(workspace, counts))?;
    step("conformance", || {
        let mut suites = Counts::default();
        let result = conformance::run_counted(workspace, &Suite::ALL, &mut suites);
        *counts += suites;
        result
    })
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("\n== {name}");
    let started = Instant::now();
    work().with_context(|| format!("step `{name}`"))?;
    println!("== {name}: {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn cargo_test(command: &mut Command, counts: &mut Counts) -> Result<()> {
    if !follow(command, |line| counts.observe_cargo(line))? {
        bail!("cargo test failed");
    }
    Ok(())
}

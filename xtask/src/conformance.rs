//! `cargo xtask conformance`: unmodified official SDKs, a real browser and generated requests against the binary,
//! and the brokers of event listeners.
//!
//! Everything the suites need is installed under `target/conformance` and kept until the list of
//! what they need changes. The suites themselves are in `tests/conformance`.

mod browser;
mod javascript;
mod python;
mod schema;
mod sinks;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::counts::Counts;
use crate::workspace::{Workspace, show};

/// One of the suites under `tests/conformance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    Python,
    JavaScript,
    Browser,
    Schema,
    Sinks,
}

impl Suite {
    pub(crate) const ALL: [Self; 5] = [
        Self::Python,
        Self::JavaScript,
        Self::Browser,
        Self::Schema,
        Self::Sinks,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::JavaScript => "js",
            Self::Browser => "browser",
            Self::Schema => "schema",
            Self::Sinks => "sinks",
        }
    }
}

/// What a suite is given: where its sources and the examples are, where it may install, which binary it tests.
struct Setup {
    sources: PathBuf,
    examples: PathBuf,
    installed: PathBuf,
    binary: PathBuf,
}

/// Reads the names of the suites; none means all.
pub(crate) fn parse(arguments: &[&str]) -> Result<Vec<Suite>> {
    if arguments.is_empty() {
        return Ok(Suite::ALL.to_vec());
    }
    arguments
        .iter()
        .map(|argument| parse_suite(argument))
        .collect()
}

fn parse_suite(argument: &str) -> Result<Suite> {
    let suite = Suite::ALL
        .into_iter()
        .find(|suite| suite.name() == argument);
    suite.with_context(|| {
        format!("there is no suite `{argument}`: say python, js, browser, schema or sinks")
    })
}

/// Runs the suites in turn and sums their tests.
pub(crate) fn run(workspace: &Workspace, suites: &[Suite]) -> Result<Counts> {
    let mut counts = Counts::default();
    run_counted(workspace, suites, &mut counts)?;
    Ok(counts)
}

/// Like [`run`], with the tests of a failed suite counted too. All suites run, also after a
/// failure: what one of them shows often explains another.
pub(crate) fn run_counted(
    workspace: &Workspace,
    suites: &[Suite],
    counts: &mut Counts,
) -> Result<()> {
    let target = workspace.target_dir()?;
    let setup = Setup {
        sources: workspace.root.join("tests/conformance"),
        examples: workspace.root.join("examples"),
        installed: target.join("conformance"),
        binary: find_or_build_binary(workspace, &target)?,
    };
    let mut failed = Vec::new();
    for suite in suites {
        println!("-- conformance: {}", suite.name());
        let mut of_suite = Counts::default();
        let passed = match suite {
            Suite::Python => python::run(&setup, &mut of_suite),
            Suite::JavaScript => javascript::run(&setup, &mut of_suite),
            Suite::Browser => browser::run(&setup, &mut of_suite),
            Suite::Schema => schema::run(&setup, &mut of_suite),
            Suite::Sinks => sinks::run(workspace, &setup, &mut of_suite),
        }
        .with_context(|| format!("conformance suite `{}`", suite.name()))?;
        println!("-- conformance: {}: {of_suite}", suite.name());
        if !passed || of_suite == Counts::default() {
            failed.push(suite.name());
        }
        *counts += of_suite;
    }
    ensure!(
        failed.is_empty(),
        "conformance suites that failed or ran no test: {}",
        failed.join(", ")
    );
    Ok(())
}

fn find_or_build_binary(workspace: &Workspace, target: &Path) -> Result<PathBuf> {
    if let Some(binary) = std::env::var_os("HUBWIRE_BIN") {
        let binary = std::path::absolute(binary)?;
        ensure!(
            binary.is_file(),
            "HUBWIRE_BIN is {}, which is no file",
            binary.display()
        );
        return Ok(binary);
    }
    show(&mut workspace.cargo(["build", "--package", "hubwire-cli", "--bin", "hubwire"]))?;
    let binary = target.join("debug").join("hubwire");
    ensure!(binary.is_file(), "the build left no {}", binary.display());
    Ok(binary)
}

/// Whether `folder` was last set up for exactly these `needs`.
fn is_current(folder: &Path, needs: &str) -> bool {
    std::fs::read_to_string(stamp(folder)).is_ok_and(|found| found == needs)
}

/// Notes that `folder` is set up for `needs`. To be called last, so that a set-up that was
/// interrupted is done again.
fn mark_current(folder: &Path, needs: &str) -> Result<()> {
    let file = stamp(folder);
    std::fs::write(&file, needs).with_context(|| format!("cannot write {}", file.display()))
}

fn stamp(folder: &Path) -> PathBuf {
    folder.join("installed.stamp")
}

fn remove_folder(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// What every suite runs with: the binary under test, and no proxy between it and the loopback.
fn prepare<'a>(command: &'a mut Command, setup: &Setup) -> &'a mut Command {
    command
        .env("HUBWIRE_BIN", &setup.binary)
        .env("NO_PROXY", "127.0.0.1,localhost")
        .env("no_proxy", "127.0.0.1,localhost")
}

/// Fails with advice when a program is not on PATH.
fn require(program: &str, advice: &str) -> Result<PathBuf> {
    match crate::workspace::find_program(program) {
        Some(path) => Ok(path),
        None => bail!("{program} is not on PATH: {advice}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_means_every_suite() -> Result<()> {
        assert_eq!(parse(&[])?, Suite::ALL);
        assert_eq!(parse(&["js"])?, [Suite::JavaScript]);
        Ok(())
    }

    #[test]
    fn an_unknown_suite_is_named_in_the_error() {
        let error = parse(&["ruby"]).map(drop).unwrap_err();
        assert!(error.to_string().contains("`ruby`"), "{error}");
    }
}

//! The official JavaScript packages, run by the test runner of a pinned Node.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Setup, is_current, mark_current, prepare, read, remove_folder, require};
use crate::counts::Counts;
use crate::workspace::{follow, show};

const MANIFESTS: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];

const FILES: [&str; 8] = [
    "service.test.mjs",
    "client.test.mjs",
    "recovery.test.mjs",
    "stream.test.mjs",
    "handler.test.mjs",
    "event.test.mjs",
    "invocation.test.mjs",
    "tunnel.test.mjs",
];

/// A test that hangs, or a file of them, fails after this many milliseconds; the waits in a test are far shorter.
const TEST_TIMEOUT_MS: &str = "180000";

pub(super) fn run(setup: &Setup, counts: &mut Counts) -> Result<bool> {
    let folder = install(setup)?;
    run_files(setup, &mut node(&folder), &FILES, counts)
}

/// Installs the packages of the suite with its sources; returns that folder.
pub(super) fn install(setup: &Setup) -> Result<PathBuf> {
    let folder = setup.installed.join("js");
    install_packages(&setup.sources.join("js"), &folder)?;
    Ok(folder)
}

/// Installs the packages that the `sources` of a program list into a folder, and copies the sources beside them, because Node
/// looks for packages in the folders above the importing file.
pub(super) fn install_packages(sources: &Path, folder: &Path) -> Result<()> {
    let needs = MANIFESTS
        .iter()
        .map(|name| read(&sources.join(name)))
        .collect::<Result<Vec<_>>>()?
        .concat();
    let is_installed = folder.join("node_modules").is_dir();
    if !is_installed || !is_current(folder, &needs) {
        let npm = require(
            "npm",
            "install Node.js with npm; the suite brings its own newer Node",
        )?;
        println!(
            "installing the JavaScript packages into {}",
            folder.display()
        );
        remove_folder(folder)?;
        copy_files(sources, folder)?;
        show(
            Command::new(npm)
                .args(["ci", "--no-audit", "--no-fund"])
                .current_dir(folder),
        )?;
        mark_current(folder, &needs)?;
    }
    copy_files(sources, folder)
}

/// The pinned Node in `folder`, ready to be told which test files to run.
pub(super) fn node(folder: &Path) -> Command {
    let mut command = Command::new(folder.join("node_modules/.bin/node"));
    command.current_dir(folder).args([
        "--test",
        "--test-reporter=spec",
        "--test-concurrency=1",
        &format!("--test-timeout={TEST_TIMEOUT_MS}"),
    ]);
    command
}

pub(super) fn run_files(
    setup: &Setup,
    node: &mut Command,
    files: &[&str],
    counts: &mut Counts,
) -> Result<bool> {
    follow(prepare(node.args(files), setup), |line| {
        counts.observe_node(line)
    })
}

/// Copies files and folders, but no packages.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in from
        .read_dir()
        .with_context(|| format!("cannot list {}", from.display()))?
    {
        let entry = entry?;
        let copy = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_file() {
            std::fs::copy(entry.path(), &copy)
                .with_context(|| format!("cannot write {}", copy.display()))?;
        } else if kind.is_dir() && entry.file_name() != "node_modules" {
            copy_files(&entry.path(), &copy)?;
        }
    }
    Ok(())
}

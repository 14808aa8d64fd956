//! The official Python packages, run by pytest in a virtual environment of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{Setup, is_current, mark_current, prepare, read, remove_folder, require};
use crate::counts::Counts;
use crate::workspace::{follow, show};

pub(super) fn run(setup: &Setup, counts: &mut Counts) -> Result<bool> {
    run_pytest(setup, "python", "venv", counts)
}

/// Runs the tests of a folder with what its `requirements.txt` lists in the virtual `environment` of that name.
pub(super) fn run_pytest(
    setup: &Setup,
    folder: &str,
    environment: &str,
    counts: &mut Counts,
) -> Result<bool> {
    let sources = setup.sources.join(folder);
    let python = install(&sources, &setup.installed.join(environment))?;
    let mut command = Command::new(python);
    command
        .args(["-m", "pytest", "-q"])
        .current_dir(&sources)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env(
            "HYPOTHESIS_STORAGE_DIRECTORY",
            setup.installed.join("hypothesis"),
        );
    follow(prepare(&mut command, setup), |line| {
        counts.observe_pytest(line)
    })
}

/// Makes the virtual environment unless the one there fits; returns its interpreter.
pub(super) fn install(sources: &Path, environment: &Path) -> Result<PathBuf> {
    let requirements = sources.join("requirements.txt");
    let needs = read(&requirements)?;
    let python = environment.join("bin/python");
    if python.is_file() && is_current(environment, &needs) {
        return Ok(python);
    }
    let system_python = require(
        "python3",
        "install Python 3.10 or newer with its venv module",
    )?;
    println!(
        "installing the Python packages into {}",
        environment.display()
    );
    remove_folder(environment)?;
    show(
        Command::new(system_python)
            .args(["-m", "venv"])
            .arg(environment),
    )?;
    show(
        Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-input",
                "--disable-pip-version-check",
            ])
            .arg("--requirement")
            .arg(requirements),
    )?;
    mark_current(environment, &needs)?;
    Ok(python)
}

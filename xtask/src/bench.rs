//! `cargo xtask bench`: measures the service as it is released. Never part of `cargo xtask test`, since other work on the machine
//! changes what is measured.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::workspace::{Workspace, show};

/// Builds the service and what measures it, then hands the arguments on; without any it names the measurements.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let packages = [
        "build",
        "--release",
        "-p",
        "hubwire-cli",
        "-p",
        "hubwire-bench",
    ];
    show(&mut workspace.cargo(packages))?;
    let folder = workspace.target_dir()?.join("release");
    let service = match std::env::var_os("HUBWIRE_BIN") {
        Some(binary) => PathBuf::from(binary),
        None => folder.join("hubwire"),
    };
    // A path that is relative is so to where this was started.
    let service = std::path::absolute(service).context("cannot tell where the service is")?;
    ensure!(service.is_file(), "{} is no file", service.display());
    let mut command = std::process::Command::new(folder.join("hubwire-bench"));
    command.arg("--binary").arg(service);
    match arguments.is_empty() {
        true => command.arg("--help"),
        false => command.args(arguments),
    };
    show(command.current_dir(&workspace.root))
}

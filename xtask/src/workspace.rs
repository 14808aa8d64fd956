//! Where the repository is, and how commands are run in it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// The repository that this tool belongs to.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
}

impl Workspace {
    pub(crate) fn find() -> Result<Self> {
        // Cargo says where it runs this from; the place it was built at may be another checkout.
        let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&manifest_dir)
            .parent()
            .context("the manifest of xtask has no parent folder")?;
        ensure!(
            root.join("Cargo.toml").is_file(),
            "no Cargo.toml in {}",
            root.display()
        );
        Ok(Self {
            root: root.to_path_buf(),
        })
    }

    /// A cargo command in the root of the repository, with the cargo that runs this tool.
    pub(crate) fn cargo<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(arguments).current_dir(&self.root);
        command
    }

    /// What `cargo metadata` says of the workspace and everything it depends on, on this platform.
    pub(crate) fn metadata(&self) -> Result<Value> {
        let host = host_triple()?;
        let mut command = self.cargo([
            "metadata",
            "--format-version",
            "1",
            "--filter-platform",
            &host,
        ]);
        let text = output(&mut command)?;
        serde_json::from_str(&text).context("cargo metadata did not print JSON")
    }

    /// The folder of build artefacts, wherever the configuration puts it.
    pub(crate) fn target_dir(&self) -> Result<PathBuf> {
        let text = output(&mut self.cargo(["metadata", "--format-version", "1", "--no-deps"]))?;
        let metadata: Value =
            serde_json::from_str(&text).context("cargo metadata did not print JSON")?;
        let directory = metadata["target_directory"].as_str();
        Ok(directory
            .context("cargo metadata names no target_directory")?
            .into())
    }
}

fn host_triple() -> Result<String> {
    let text = output(Command::new("rustc").arg("-vV"))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}

/// Runs `command` with its output shown as it comes.
pub(crate) fn show(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", describe(command)))?;
    ensure!(status.success(), "{} failed ({status})", describe(command));
    Ok(())
}

/// Runs `command` and returns what it printed on stdout; its stderr is shown only when it fails.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", describe(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{} failed ({})\n{}",
            describe(command),
            output.status,
            stderr.trim_end()
        );
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("{} did not print UTF-8", describe(command)))
}

/// Runs `command`, shows its stdout line by line and gives each line to `observe`. Says whether it
/// succeeded; a command that cannot be started is an error.
pub(crate) fn follow(command: &mut Command, mut observe: impl FnMut(&str)) -> Result<bool> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", describe(command)))?;
    let mut stdout = BufReader::new(child.stdout.take().context("the child has no stdout")?);
    let mut line = Vec::new();
    while stdout.read_until(b'\n', &mut line)? > 0 {
        std::io::stdout().write_all(&line)?;
        observe(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    let status = child
        .wait()
        .with_context(|| format!("lost track of {}", describe(command)))?;
    Ok(status.success())
}

/// The first folder of PATH that holds an executable of that name.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let words = std::iter::once(name).chain(command.get_args());
    let text: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    format!("`{}`", text.join(" "))
}

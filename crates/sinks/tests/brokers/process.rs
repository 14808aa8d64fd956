//! Programs that end with the test.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A time that tests never reach unless something hangs.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The interpreter of the environment that has what the tests need.
pub(crate) fn python() -> PathBuf {
    std::env::var_os("HUBWIRE_SINKS_PYTHON")
        .expect("`cargo xtask conformance sinks` sets HUBWIRE_SINKS_PYTHON")
        .into()
}

/// A script of `tests/conformance/sinks` that says what happens by lines of JSON.
pub(crate) struct Script {
    _child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Script {
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/conformance/sinks")
            .join(name);
        let mut child = Command::new(python())
            .arg(script)
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take().unwrap(),
            lines: BufReader::new(child.stdout.take().unwrap()).lines(),
            _child: child,
        }
    }

    pub(crate) async fn say(&mut self, command: &str) {
        let line = format!("{command}\n");
        self.stdin.write_all(line.as_bytes()).await.unwrap();
    }

    /// The next thing that happens.
    pub(crate) async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(LONG, self.lines.next_line());
        let line = line.await.expect("the script says nothing").unwrap();
        serde_json::from_str(&line.expect("the script has ended")).unwrap()
    }

    /// What happens until something of this kind does, and that.
    pub(crate) async fn until(&mut self, kind: &str) -> (Vec<Value>, Value) {
        let mut before = Vec::new();
        loop {
            match self.next().await {
                value if value["kind"] == kind => return (before, value),
                value => before.push(value),
            }
        }
    }
}

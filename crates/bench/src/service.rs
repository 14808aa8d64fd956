//! The service that is measured: the `hubwire` binary as a child process, on a core of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use hubwire_protocol::connection_string::ConnectionString;
use hubwire_protocol::token::{ClientTokenClaims, sign_client_token};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

pub(crate) const HUB: &str = "bench";
pub(crate) const GROUP: &str = "all";
const TOKEN_LIFETIME_S: u64 = 3600;
/// Lines of the log that wait to be taken.
const LOG_LINES_MAX: usize = 1024;
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// A running service, ended when dropped.
pub(crate) struct Service {
    child: Child,
    endpoint: String,
    access_key: String,
    pub(crate) address: SocketAddr,
    /// What it logs, line by line, if it was started with a file. Lines that nobody takes are dropped.
    log: Option<Receiver<String>>,
}

impl Service {
    /// Starts the service with one shard on the first core this process may use, then keeps this thread, and those it starts, to the
    /// last one. `settings` are environment variables without their prefix, such as `LIMITS__RECOVERY_WINDOW`.
    pub(crate) fn start(binary: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        Self::start_with(binary, settings, None)
    }

    /// Starts the service likewise, with a configuration file.
    pub(crate) fn start_with(
        binary: &Path,
        settings: &[(&str, &str)],
        file: Option<&Path>,
    ) -> Result<Self> {
        raise_open_file_limit();
        let cores = Cores::find()?;
        let mut command = Command::new(binary);
        command
            .args([
                "--listen",
                "127.0.0.1:0",
                "--shards",
                "1",
                "--log-level",
                "warn",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HUBWIRE") {
                command.env_remove(name);
            }
        }
        for (name, value) in settings {
            command.env(format!("HUBWIRE__{name}"), value);
        }
        if let Some(file) = file {
            command.arg("--config").arg(file).stderr(Stdio::piped());
        }
        // A child starts on the cores of the thread that starts it.
        cores.keep_to(cores.service)?;
        let child = command.spawn();
        cores.keep_to(cores.client)?;
        let mut child = child.with_context(|| format!("cannot start {}", binary.display()))?;
        let log = child.stderr.take().map(log_of);
        match announced(&mut child) {
            Ok((endpoint, access_key, address)) => Ok(Self {
                child,
                endpoint,
                access_key,
                address,
                log,
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks the service to read its configuration again.
    pub(crate) fn reload(&self) -> Result<()> {
        let pid = Pid::from_raw(self.child.id() as i32).context("the service has no id")?;
        kill_process(pid, Signal::HUP).context("cannot signal the service")
    }

    /// Takes what it has logged since the last time.
    pub(crate) fn logged(&self) -> impl Iterator<Item = String> {
        self.log.iter().flat_map(Receiver::try_iter)
    }

    /// Returns path and query that open a connection; it is in the group if it is to receive.
    pub(crate) fn client_path(&self, user: &str, receives: bool) -> String {
        let path = format!("/client/hubs/{HUB}");
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let claims = ClientTokenClaims {
            audience: format!("{}{path}", self.endpoint),
            issued_at: now.as_secs(),
            lifetime: TOKEN_LIFETIME_S,
            user_id: Some(user.to_owned()),
            roles: ["webpubsub.sendToGroup", "webpubsub.joinLeaveGroup"]
                .map(str::to_owned)
                .to_vec(),
            groups: if receives {
                vec![GROUP.to_owned()]
            } else {
                Vec::new()
            },
        };
        let token = sign_client_token(&claims, &self.access_key, None);
        format!("{path}?access_token={token}")
    }

    /// Returns path and query that recover a connection.
    pub(crate) fn recovery_path(connection_id: &str, reconnection_token: &str) -> String {
        format!(
            "/client/hubs/{HUB}?awps_connection_id={connection_id}&awps_reconnection_token={reconnection_token}"
        )
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.child.id() as i32) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + EXIT_TIMEOUT;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads what the service logs, on a thread that ends with it, and shows it.
fn log_of(stderr: ChildStderr) -> Receiver<String> {
    let (lines, log) = sync_channel(LOG_LINES_MAX);
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            eprintln!("{line}");
            let _ = lines.try_send(line);
        }
    });
    log
}

/// Reads what the service prints at its start: endpoint, access key and address.
fn announced(child: &mut Child) -> Result<(String, String, SocketAddr)> {
    let stdout = child
        .stdout
        .take()
        .context("the service has no standard output")?;
    let mut line = String::new();
    BufReader::new(stdout)
        .read_line(&mut line)
        .context("cannot read what the service prints")?;
    let Some(text) = line.trim().strip_prefix("Connection string: ") else {
        bail!(
            "the service did not start; its first line is `{}`",
            line.trim()
        );
    };
    let connection_string = ConnectionString::parse(text)?;
    let endpoint = connection_string
        .endpoint()
        .trim_end_matches('/')
        .to_owned();
    let host = endpoint.split_once("://").map_or("", |(_, host)| host);
    let address: SocketAddr = host
        .parse()
        .with_context(|| format!("no address: `{host}`"))?;
    if !address.ip().is_loopback() {
        bail!("the service listens beyond loopback: {address}");
    }
    Ok((
        endpoint,
        connection_string.access_key()?.to_owned(),
        address,
    ))
}

/// The cores that service and client are kept to, as they were when this process began.
struct Cores {
    service: usize,
    client: usize,
}

impl Cores {
    fn find() -> Result<Self> {
        static ALLOWED: std::sync::OnceLock<Vec<usize>> = std::sync::OnceLock::new();
        let read = sched_getaffinity(None).context("cannot ask for the cores")?;
        let allowed = ALLOWED.get_or_init(|| {
            (0..CpuSet::MAX_CPU)
                .filter(|core| read.is_set(*core))
                .collect()
        });
        let (Some(service), Some(client)) = (allowed.first(), allowed.last()) else {
            bail!("there is no core to run on");
        };
        if service == client {
            bail!("service and client need a core each");
        }
        Ok(Self {
            service: *service,
            client: *client,
        })
    }

    fn keep_to(&self, core: usize) -> Result<()> {
        let mut set = CpuSet::new();
        set.set(core);
        sched_setaffinity(None, &set).with_context(|| format!("cannot keep to core {core}"))
    }
}

fn raise_open_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let highest = Rlimit {
        current: maximum,
        maximum,
    };
    // If it stays as it is, opening the sockets fails and says so.
    let _ = setrlimit(Resource::Nofile, highest);
}

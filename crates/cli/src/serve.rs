//! `hubwire serve`: runs the service until a signal ends it.

use std::io::{self, IsTerminal as _, Write as _};
use std::num::NonZero;

use anyhow::{Context as _, anyhow};
use hubwire_protocol::connection_string::ConnectionString;
use hubwire_server::config::{Config, DEVELOPMENT_KEY};
use hubwire_server::{FileWatch, Server};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::arguments::{Loaded, Settings};
use crate::failure::{Failure, describe};
use crate::logging::{self, Logging};

/// Exit code after a second signal, as a shell reports a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Serves until SIGINT or SIGTERM.
pub(crate) fn run(settings: &Settings) -> Result<(), Failure> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .expect("nothing else installs a provider in this process");
    let Loaded { config, warnings } = settings.load()?;
    let logging = logging::init(&config.logging);
    warn_of(&warnings);
    raise_open_file_limit();
    let runtime = build_runtime().map_err(Failure::Work)?;
    let outcome = runtime.block_on(serve(config, settings, &logging));
    runtime.shutdown_background();
    outcome.map_err(Failure::Work)
}

fn build_runtime() -> anyhow::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    Builder::new_multi_thread()
        .worker_threads(cores.min(2))
        .enable_all()
        .build()
        .context("cannot start threads")
}

async fn serve(config: Config, settings: &Settings, logging: &Logging) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup()).context("cannot catch SIGHUP")?;
    let mut ends = EndSignals::catch().context("cannot catch SIGINT and SIGTERM")?;
    let mut files = FileWatch::start(settings.watched_files());
    let server = match Server::start(config.clone()).await {
        Ok(server) => server,
        Err(error) => return Err(with_way_out(error.into(), &config)),
    };
    if let Err(error) = announce(&server, config.keys.primary.expose()) {
        tracing::warn!(%error, "serving without the announcement on standard output");
    }
    loop {
        tokio::select! {
            _ = hangup.recv() => server.reload_certificates(),
            () = files.changed() => {}
            () = ends.next() => break,
        }
        // Before they are read, so that a change meanwhile is noticed.
        files.follow(settings.watched_files());
        reload(&server, settings, logging);
    }
    tracing::info!("shutting down");
    tokio::select! {
        _ = server.shutdown() => Ok(()),
        () = ends.next() => {
            tracing::warn!("second signal, exiting at once");
            std::process::exit(INTERRUPTED);
        }
    }
}

/// Puts what the configuration is now into force, or keeps the one that is.
fn reload(server: &Server, settings: &Settings, logging: &Logging) {
    let loaded = match settings.load() {
        Ok(loaded) => loaded,
        Err(Failure::Usage(error) | Failure::Work(error)) => {
            let error = describe(&error);
            tracing::warn!(%error, "configuration not reloaded, the old one stays");
            return;
        }
    };
    let Loaded { config, warnings } = loaded;
    let of_logging = config.logging.clone();
    match server.reload(config) {
        Ok(()) => {
            logging.set(&of_logging);
            warn_of(&warnings);
        }
        Err(error) => tracing::warn!(%error, "configuration not reloaded, the old one stays"),
    }
}

fn warn_of(lines: &[String]) {
    for line in lines {
        tracing::warn!("emulator settings: {line}");
    }
}

/// Prints how to reach the service; three lines, whole at once.
fn announce(server: &Server, key: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let endpoint = server.endpoint();
    let mut url = server.sample_client_url();
    let mut shown_key = key;
    // Standard output that is no terminal often ends in a log, where only the key that everybody knows may stand.
    if key != DEVELOPMENT_KEY && !stdout.is_terminal() {
        shown_key = "***";
        url.truncate(url.find('?').unwrap_or(url.len()));
    }
    let connection_string = ConnectionString::new(&endpoint, shown_key)
        .map_err(io::Error::other)?
        .to_text();
    let text = format!(
        "Connection string: {connection_string}\n\
         Client URL: {url}\n\
         Health URL: {endpoint}/api/health\n"
    );
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Holds the signals that ask for the end, caught from the beginning so that none is lost.
struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl EndSignals {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Adds to a failed start what the operator can do about it, where that is known.
fn with_way_out(error: anyhow::Error, config: &Config) -> anyhow::Error {
    let text = describe(&error);
    let Some(kind) = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<io::Error>())
        .map(io::Error::kind)
    else {
        return anyhow!(text);
    };
    let mut addresses = config.listeners.iter().flat_map(|listener| &listener.bind);
    let is_low_port =
        addresses.any(|addr| (1..1024).contains(&addr.port()) && text.contains(&addr.to_string()));
    match kind {
        io::ErrorKind::AddrInUse => anyhow!(
            "{text}; stop the program that listens there, or choose another address with --listen, such as --listen \
             127.0.0.1:0 for a free port"
        ),
        io::ErrorKind::AddrNotAvailable => {
            anyhow!("{text}; choose an address of this machine with --listen")
        }
        io::ErrorKind::PermissionDenied if is_low_port => anyhow!(
            "{text}; ports below 1024 need a privilege (CAP_NET_BIND_SERVICE), choose a higher one with --listen"
        ),
        _ => anyhow!(text),
    }
}

/// Raises the limit of open files, since each connection takes one.
fn raise_open_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    match setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    ) {
        Ok(()) => tracing::info!(
            before = current,
            now = maximum,
            "raised the limit of open files"
        ),
        Err(error) => {
            tracing::warn!(%error, limit = current, "the limit of open files stays as it is")
        }
    }
}

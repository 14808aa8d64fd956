//! What the command line says.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use hubwire_server::config::{Config, Endpoint, Level, LogFormat, Overrides, Secret, Sources};

use crate::emulator;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  hubwire
      Serve on http://localhost:8080 with the development key, for programs on this machine.
  hubwire --listen 127.0.0.1:0
      The same on a free port, which is printed.
  HUBWIRE_ACCESS_KEY=\"$(hubwire keygen)\" hubwire --listen 0.0.0.0:8080
      Serve other machines with a key of your own.
  hubwire --config /etc/hubwire.toml --tls-cert tls.crt --tls-key tls.key
      Serve with a configuration file, over TLS.

Signals:
  SIGINT, SIGTERM  close clients, finish requests and exit; a second one exits at once
  SIGHUP           load the configuration again and look for changed certificates, which also happens when their files change";

const CHECK_EXAMPLES: &str = "\
Examples:
  hubwire check-config --config /etc/hubwire.toml
      Exit with 0 if `hubwire --config /etc/hubwire.toml` would accept it, with 2 and the reason if not.";

const PRINT_EXAMPLES: &str = "\
Examples:
  hubwire print-config
      Print every setting with its default.
  hubwire print-config --config /etc/hubwire.toml
      Print what the file, the environment and the defaults come to. Keys are not printed.";

const KEYGEN_EXAMPLES: &str = "\
Examples:
  hubwire keygen > /run/secrets/hubwire-primary
      Make a key file, used by primary = \"${file:/run/secrets/hubwire-primary}\" in the section [keys].
  hubwire keygen --connection-string https://pubsub.example.com
      Make a key and print it as the connection string that app servers use.";

/// Serves the Azure Web PubSub wire protocols on your own machines.
///
/// Without a command it serves, as `hubwire serve` does. Every setting has a key in the configuration file and an
/// environment variable HUBWIRE__SECTION__KEY, such as HUBWIRE__LIMITS__MESSAGE_MAX=2MiB. A flag wins over the environment, the
/// environment over the file.
#[derive(Debug, Parser)]
#[command(name = "hubwire", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve clients and app servers until a signal ends it (the default)
    #[command(after_help = EXAMPLES)]
    Serve(Settings),
    /// Tell whether a configuration is valid, without serving
    #[command(after_help = CHECK_EXAMPLES)]
    CheckConfig(Settings),
    /// Print the effective configuration as TOML, without the keys
    #[command(after_help = PRINT_EXAMPLES)]
    PrintConfig(Settings),
    /// Connect as a client: send to groups, raise events, see what comes
    Connect(crate::connect::ConnectArguments),
    /// Print a new random access key
    #[command(after_help = KEYGEN_EXAMPLES)]
    Keygen(KeygenArguments),
}

#[derive(Debug, Args)]
pub(crate) struct KeygenArguments {
    /// Print a whole connection string for this endpoint, such as https://pubsub.example.com
    #[arg(long, value_name = "ENDPOINT")]
    pub(crate) connection_string: Option<Endpoint>,
}

#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Address to listen on; repeatable; port 0 picks a free one
    ///
    /// Replaces the addresses of the first listener. [env: HUBWIRE_LISTEN, separated by commas] [default: 127.0.0.1:8080
    /// and [::1]:8080]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    listen: Vec<SocketAddr>,
    /// Key that signs tokens, at least 32 bytes; WARNING: visible in the process list
    ///
    /// Everyone who can list the processes of this machine sees a key that is given here. Prefer the environment
    /// variable, or the file with keys.primary = "${file:/path}". [env: HUBWIRE_ACCESS_KEY] [default: the development key that
    /// everybody knows, on loopback only]
    #[arg(long, value_name = "KEY", value_parser = parse_secret)]
    access_key: Option<Secret>,
    /// Configuration file in TOML
    ///
    /// [default: none, no file is searched for]
    #[arg(long, value_name = "FILE", env = "HUBWIRE_CONFIG")]
    config: Option<PathBuf>,
    /// PEM file with the certificate chain of the first listener; needs --tls-key
    ///
    /// [default: none, plain HTTP]
    #[arg(long, value_name = "PEM")]
    tls_cert: Option<PathBuf>,
    /// PEM file with the private key that belongs to --tls-cert
    #[arg(long, value_name = "PEM")]
    tls_key: Option<PathBuf>,
    /// Threads that own the connections, 1 to 64
    ///
    /// [env: HUBWIRE__SHARDS] [default: the cores of this machine]
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// Address to answer /metrics and health on, to anyone who can reach it
    ///
    /// [default: none]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    metrics_listen: Option<SocketAddr>,
    /// Accept the development key beyond loopback; for throw-away containers
    ///
    /// Everybody knows that key: whoever reaches the port may do everything. [env: HUBWIRE__AUTH__ALLOW_DEVELOPMENT_KEY=true]
    #[arg(long)]
    allow_development_key: bool,
    /// Least severe log lines to write to standard error
    ///
    /// [env: HUBWIRE__LOGGING__LEVEL] [default: info]
    #[arg(long, value_name = "LEVEL", value_parser = word_parser(Level::WORDS))]
    log_level: Option<Level>,
    /// Form of log lines
    ///
    /// [env: HUBWIRE__LOGGING__FORMAT] [default: text]
    #[arg(long, value_name = "FORMAT", value_parser = word_parser(LogFormat::WORDS))]
    log_format: Option<LogFormat>,

    /// Settings file of Microsoft's emulator, whose event handlers are served
    ///
    /// Its section WebPubSub is read. What it asks for and is not served, such as Event Hubs, is logged as a warning. Address and
    /// key are the emulator's by default.
    #[arg(long, value_name = "FILE")]
    emulator_settings: Option<PathBuf>,
}

/// A configuration, and what its sources ask for and is not served.
pub(crate) struct Loaded {
    /// The configuration.
    pub(crate) config: Config,
    /// A line each.
    pub(crate) warnings: Vec<String>,
}

impl Settings {
    /// Loads the configuration that these flags, the environment and the files come to.
    pub(crate) fn load(&self) -> Result<Loaded, Failure> {
        let mut config = Config::load(&self.sources()?)?;
        let warnings = match &self.emulator_settings {
            Some(path) => emulator::apply(path, &mut config)?,
            None => Vec::new(),
        };
        Ok(Loaded { config, warnings })
    }

    /// Returns the configuration file that was asked for.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Returns the files that the configuration depends on, readable or not; certificates are not among them.
    pub(crate) fn watched_files(&self) -> Vec<PathBuf> {
        let sources = self.sources().ok();
        let mut files = sources.map(|sources| sources.files()).unwrap_or_default();
        files.extend(self.emulator_settings.clone());
        files
    }

    fn sources(&self) -> Result<Sources, Failure> {
        let overrides = Overrides {
            listen: self.listen.clone(),
            access_key: self.access_key.clone(),
            tls_cert: self.tls_cert.clone(),
            tls_key: self.tls_key.clone(),
            shards: self.shards,
            allow_development_key: self.allow_development_key,
            metrics_listen: self.metrics_listen,
            log_level: self.log_level,
            log_format: self.log_format,
        };
        let environment = environment().map_err(Failure::Usage)?;
        Ok(Sources {
            file: self.config.clone(),
            environment,
            overrides,
        })
    }
}

/// Returns the variables of the process, except foreign ones that are not valid Unicode.
fn environment() -> anyhow::Result<Vec<(String, String)>> {
    let mut variables = Vec::new();
    for (name, value) in env::vars_os() {
        let Ok(name) = name.into_string() else {
            continue;
        };
        match value.into_string() {
            Ok(value) => variables.push((name, value)),
            Err(_) if name.starts_with("HUBWIRE_") => {
                return Err(anyhow!(
                    "environment variable {name}: the value is not valid UTF-8"
                ));
            }
            Err(_) => {}
        }
    }
    Ok(variables)
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "write an IP address and a port, such as 127.0.0.1:8080, [::1]:8080, or 0.0.0.0:8080 for all of IPv4".to_owned()
    })
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of a parser of clap")]
fn parse_secret(text: &str) -> Result<Secret, String> {
    Ok(Secret::new(text))
}

fn word_parser<T>(words: &'static [(&'static str, T)]) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    PossibleValuesParser::new(words.iter().map(|(word, _)| *word)).map(|text| {
        let known = words.iter().find(|(word, _)| *word == text);
        known
            .map(|(_, value)| *value)
            .expect("only possible values get here")
    })
}

//! What the configuration says of a listener's endpoint. Source: events-and-operations 8.2, 9.1.

use std::path::PathBuf;
use std::sync::Arc;

use hubwire_upstream::Sink;

use crate::http::{HttpSettings, HttpSink};
use crate::kafka::KafkaSettings;
use crate::lines::{LineSink, Output};
use crate::nats::{NatsSettings, NatsSink};

/// Where the events of a listener go. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub enum SinkSettings {
    /// To the standard output, as JSON lines.
    Stdout,
    /// To the end of a file, as JSON lines.
    File(PathBuf),
    /// To a URL.
    Http(Box<HttpSettings>),
    /// To a NATS server.
    Nats(Box<NatsSettings>),
    /// To a topic of Kafka, or of what speaks its protocol.
    Kafka(Box<KafkaSettings>),
}

/// A setting breaks a rule. The text names the value unless it is a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkSettingsError {
    /// The path names no file.
    #[error("`{0}` is not the path of a file")]
    Path(PathBuf),
    /// The prefix of subjects is no subject.
    #[error(
        "`{0}` is not a subject; it holds visible ASCII characters other than `*` and `>`, with single dots between them"
    )]
    Subject(String),
    /// One of the URLs, counted from 1, is malformed. It may hold a password.
    #[error(
        "URL {0} of the NATS servers is not of the form `nats://host:4222` or `tls://user:password@host:4222`"
    )]
    NatsUrl(usize),
    /// The credentials are no credentials file.
    #[error("the NATS credentials are not the text of a credentials file")]
    NatsCredentials,
    /// There are credentials in the URL and beside it.
    #[error("there are NATS credentials in the URL and as `credentials`; leave one of them out")]
    NatsCredentialsTwice,
    /// A broker's address is malformed.
    #[error("`{0}` is not the address of a Kafka broker, such as `kafka:9092`")]
    Broker(String),
    /// There is no broker.
    #[error("there is no Kafka broker; name at least one, such as `kafka:9092`")]
    NoBroker,
    /// The name of the topic is malformed.
    #[error("`{0}` is not the name of a Kafka topic; it holds 1 to 249 letters, digits, or `._-`")]
    Topic(String),
    /// The program was built without Kafka.
    #[error("this program was built without Kafka; build it with `--features kafka`")]
    NoKafka,
}

/// Makes the sink of a listener. Nothing is opened and nothing connects before the first event.
///
/// # Errors
///
/// The first setting that breaks a rule.
pub fn sink(settings: SinkSettings) -> Result<Arc<dyn Sink>, SinkSettingsError> {
    Ok(match settings {
        SinkSettings::Stdout => Arc::new(LineSink::new(Output::Stdout)),
        SinkSettings::File(path) => {
            if path.file_name().is_none() || path.is_dir() {
                return Err(SinkSettingsError::Path(path));
            }
            Arc::new(LineSink::new(Output::File(path)))
        }
        SinkSettings::Http(settings) => Arc::new(HttpSink::new(*settings)),
        SinkSettings::Nats(settings) => Arc::new(NatsSink::new(*settings)?),
        SinkSettings::Kafka(settings) => crate::kafka::sink(*settings)?,
    })
}

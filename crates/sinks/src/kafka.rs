//! Kafka, and what speaks its protocol: Redpanda, Azure Event Hubs. Source: events-and-operations 8.2; Kafka binding of
//! CloudEvents, binary mode.

#[cfg(feature = "kafka")]
mod partition;
#[cfg(feature = "kafka")]
mod producer;
#[cfg(feature = "kafka")]
mod record;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hubwire_upstream::{Secret, Sink};
use rustls::pki_types::CertificateDer;

use crate::nats::BROKER_RETRY_FOR_DEFAULT;
use crate::settings::SinkSettingsError;

const TOPIC_MAX: usize = 249;

/// Events go to a topic, those of a connection in their order to one partition.
#[derive(Clone)]
pub struct KafkaSettings {
    /// Addresses of brokers that know of the others: `host:port`.
    pub brokers: Vec<String>,
    /// The topic. It must exist.
    pub topic: String,
    /// Who the service is.
    pub sasl: Option<Sasl>,
    /// Whether the connections are encrypted.
    pub tls: bool,
    /// Time until events that cannot be delivered are lost.
    pub retry_for: Duration,
    /// Certificates that vouch for the brokers, beside those of the operating system.
    pub certificates: Vec<CertificateDer<'static>>,
}

/// A user of Kafka. For Event Hubs the name is `$ConnectionString`, and the password is the connection string.
#[derive(Clone, Debug)]
pub struct Sasl {
    /// How it proves who it is.
    pub mechanism: SaslMechanism,
    /// Its name.
    pub username: String,
    /// Its password.
    pub password: Secret,
}

/// How a user of Kafka proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// It sends the password, which wants TLS.
    Plain,
    /// SCRAM with SHA-256.
    ScramSha256,
    /// SCRAM with SHA-512.
    ScramSha512,
}

impl KafkaSettings {
    /// Makes settings with the defaults of everything else.
    pub fn new(brokers: Vec<String>, topic: impl Into<String>) -> Self {
        Self {
            brokers,
            topic: topic.into(),
            sasl: None,
            tls: false,
            retry_for: BROKER_RETRY_FOR_DEFAULT,
            certificates: Vec::new(),
        }
    }

    fn check(&self) -> Result<(), SinkSettingsError> {
        if self.brokers.is_empty() {
            return Err(SinkSettingsError::NoBroker);
        }
        if let Some(broker) = self.brokers.iter().find(|broker| !is_address(broker)) {
            return Err(SinkSettingsError::Broker(broker.clone()));
        }
        let is_topic = (1..=TOPIC_MAX).contains(&self.topic.len())
            && ![".", ".."].contains(&&*self.topic)
            && self
                .topic
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        match is_topic {
            true => Ok(()),
            false => Err(SinkSettingsError::Topic(self.topic.clone())),
        }
    }
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .field("topic", &self.topic)
            .field("sasl", &self.sasl)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Makes the sink, if the program was built with it.
pub(crate) fn sink(settings: KafkaSettings) -> Result<Arc<dyn Sink>, SinkSettingsError> {
    settings.check()?;
    #[cfg(feature = "kafka")]
    return Ok(Arc::new(producer::KafkaSink::new(settings)));
    #[cfg(not(feature = "kafka"))]
    Err(SinkSettingsError::NoKafka)
}

/// Tells whether a text is a name or an IPv4 address with a port. One of IPv6 is refused: the library cannot do TLS with it.
fn is_address(text: &str) -> bool {
    text.split_once(':').is_some_and(|(host, port)| {
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        !host.is_empty()
            && host.bytes().all(is_host)
            && port.parse().is_ok_and(|port: u16| port > 0)
    })
}

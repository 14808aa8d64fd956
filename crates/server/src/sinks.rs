//! Where the events of listeners go, from the configuration. Source: events-and-operations 8.2.

use std::sync::Arc;

use hubwire_sinks::{
    HttpSettings, KafkaSettings, NatsSettings, Sasl, SaslMechanism, SinkSettings, SinkSettingsError,
};
use hubwire_upstream::{PrivateAddresses, Sink};

use crate::config::ListenerEndpoint;

/// Makes the sink of a listener. Nothing is opened and nothing connects before the first event.
///
/// # Errors
///
/// The first setting that breaks a rule.
pub(crate) fn sink(
    endpoint: &ListenerEndpoint,
    private_addresses: PrivateAddresses,
) -> Result<Arc<dyn Sink>, SinkSettingsError> {
    hubwire_sinks::sink(match endpoint {
        ListenerEndpoint::Stdout => SinkSettings::Stdout,
        ListenerEndpoint::File { path } => SinkSettings::File(path.clone()),
        ListenerEndpoint::Http { url, batch } => SinkSettings::Http(Box::new(HttpSettings {
            batch: *batch,
            private_addresses,
            ..HttpSettings::new(url.url.clone())
        })),
        ListenerEndpoint::Nats {
            url,
            subject,
            jetstream,
            credentials,
        } => SinkSettings::Nats(Box::new(NatsSettings {
            jetstream: *jetstream,
            credentials: credentials.as_ref().map(|text| text.secret().clone()),
            ..NatsSettings::new(url.secret().clone(), subject)
        })),
        ListenerEndpoint::Kafka {
            brokers,
            topic,
            sasl,
            tls,
        } => SinkSettings::Kafka(Box::new(KafkaSettings {
            sasl: sasl.as_ref().map(|sasl| Sasl {
                mechanism: SaslMechanism::Plain,
                username: sasl.username.clone(),
                password: sasl.password.secret().clone(),
            }),
            tls: *tls,
            ..KafkaSettings::new(brokers.clone(), topic)
        })),
    })
}

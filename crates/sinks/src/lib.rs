//! Where the events of event listeners go: files, HTTP, NATS, Kafka. Source: events-and-operations 8, 8.1, 8.2.
//!
//! | question | file |
//! | --- | --- |
//! | what the configuration says | `settings`, and each sink's own |
//! | what is said of an event, whatever its form | `attributes` |
//! | its form in JSON | `json` |
//! | where it goes | `lines` (standard output and files), `http`, `nats`, `kafka` |
//! | when it is tried again | `backoff` |
//! | what became of a delivery | `lost` |
//!
//! The queue of a listener, its bounds and its counters are in `hubwire-upstream`; a sink gets up to 256 events at a time. It
//! delivers them at least once, or says which of them are lost: it ends in any case.

mod attributes;
mod backoff;
mod http;
mod json;
mod kafka;
mod lines;
mod lost;
mod nats;
mod settings;

pub use http::{HTTP_RETRY_FOR_DEFAULT, HTTP_TIMEOUT_DEFAULT, HttpSettings};
pub use kafka::{KafkaSettings, Sasl, SaslMechanism};
pub use nats::{BROKER_RETRY_FOR_DEFAULT, NatsSettings};
pub use settings::{SinkSettings, SinkSettingsError, sink};

//! Event listeners of hubs. Source: events-and-operations 8.

use std::path::PathBuf;

use hubwire_upstream::{QUEUE_BYTES_MAX_DEFAULT, QUEUE_EVENTS_MAX_DEFAULT, SystemEvent, Url};

use super::secret::SecretText;

/// Describes a stream that events of a hub are copied to. Every listener that matches an event gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct EventListenerConfig {
    /// Lists the system events that it gets: `connected` and `disconnected`; `connect` is for no listener.
    ///
    /// Default: none.
    pub system_events: Vec<SystemEvent>,
    /// Names the user events that it gets: `*`, a name, or names separated by commas; letter case does not matter.
    ///
    /// Default: empty, none.
    pub user_event_pattern: String,
    /// Says where the events go.
    pub endpoint: ListenerEndpoint,
    /// Bounds the events that wait for the endpoint; further ones are dropped and counted.
    ///
    /// Events; default: 10,000; range: from 1.
    pub queue_events: usize,
    /// Bounds the bytes of the events that wait, likewise.
    ///
    /// Bytes; default: 64 MiB; range: from 1 KiB.
    pub queue_bytes: usize,
}

impl EventListenerConfig {
    /// Makes a listener that gets nothing yet, with the defaults of everything else.
    pub fn new(endpoint: ListenerEndpoint) -> Self {
        Self {
            system_events: Vec::new(),
            user_event_pattern: String::new(),
            endpoint,
            queue_events: QUEUE_EVENTS_MAX_DEFAULT,
            queue_bytes: QUEUE_BYTES_MAX_DEFAULT,
        }
    }
}

/// Says where the events of a listener go. Source: events-and-operations 8.2.
#[derive(Clone, Debug, PartialEq)]
pub enum ListenerEndpoint {
    /// A NATS server; the subject of an event is `<subject>.<hub>.<sys|user>.<event>`.
    Nats {
        /// URLs of servers of one cluster, `nats://` or `tls://`, with a user and a password where they are needed.
        url: SecretText,
        /// What subjects begin with.
        subject: String,
        /// Waits for JetStream to store each event. Default: false.
        jetstream: bool,
        /// Contents of a credentials file of NATS, usually `"${file:/path}"`. Default: none.
        credentials: Option<SecretText>,
    },
    /// A webhook that is not waited for.
    Http {
        /// Where it is.
        url: HttpUrl,
        /// Sends several events in one request, as `application/cloudevents-batch+json`. Default: false.
        batch: bool,
    },
    /// A file that gets a line of JSON for each event.
    File {
        /// Where it is; it is made if it is not there.
        path: PathBuf,
    },
    /// Standard output, likewise.
    Stdout,
    /// A Kafka cluster, or what speaks its protocol, such as Azure Event Hubs.
    Kafka {
        /// Hosts with ports; one that answers is enough.
        brokers: Vec<String>,
        /// Where events go.
        topic: String,
        /// Who the service is there. Default: none.
        sasl: Option<SaslConfig>,
        /// Encrypts the connections. Default: false.
        tls: bool,
    },
}

/// The URL of a webhook, checked, with the text that it was written as.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpUrl {
    /// The text.
    pub text: SecretText,
    /// What it stands for.
    pub url: Url,
}

/// A user and a password for Kafka, by the mechanism `PLAIN`.
#[derive(Clone, Debug, PartialEq)]
pub struct SaslConfig {
    /// The user; `$ConnectionString` for Azure Event Hubs.
    pub username: String,
    /// The password; the connection string for Azure Event Hubs.
    pub password: SecretText,
}

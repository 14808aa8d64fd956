//! NATS, with or without JetStream. Source: events-and-operations 8.2; NATS binding of CloudEvents, binary mode.

mod connection;

use std::fmt;
use std::time::Duration;

use async_nats::HeaderMap;
use hubwire_upstream::{ListenerEvent, Secret, Sink, SinkFuture};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::pki_types::CertificateDer;
use tokio::sync::Mutex;

use crate::attributes::{METADATA_PREFIX, attributes, global_id, media_type, metadata};
use crate::backoff::Backoff;
use crate::lost::Lost;
use crate::settings::SinkSettingsError;
use connection::{Connection, Failure, Servers};

/// Time until events that cannot be delivered are lost. Source: ours: a broker that is restarted or moved is back by then, and
/// what comes meanwhile waits in the queue of the listener.
pub const BROKER_RETRY_FOR_DEFAULT: Duration = Duration::from_secs(300);

/// Events are published to a subject for each hub and event: `{prefix}.{hub}.{sys|user}.{event}`.
#[derive(Clone)]
pub struct NatsSettings {
    /// Addresses of the servers, separated by commas: `nats://host:4222`, or `tls://` where TLS is a must. The first may hold
    /// `user:password@`, or `token@`, which is for all of them.
    pub url: Secret,
    /// The first tokens of every subject.
    pub subject: String,
    /// Whether a stream must have stored an event before it counts as delivered.
    pub jetstream: bool,
    /// The text of a credentials file (`.creds`).
    pub credentials: Option<Secret>,
    /// Time until events that cannot be delivered are lost.
    pub retry_for: Duration,
    /// Certificates that vouch for the servers, beside those of the operating system.
    pub certificates: Vec<CertificateDer<'static>>,
}

impl NatsSettings {
    /// Makes settings with the defaults of everything else.
    pub fn new(url: Secret, subject: impl Into<String>) -> Self {
        Self {
            url,
            subject: subject.into(),
            jetstream: false,
            credentials: None,
            retry_for: BROKER_RETRY_FOR_DEFAULT,
            certificates: Vec::new(),
        }
    }
}

impl fmt::Debug for NatsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsSettings")
            .field("url", &self.url)
            .field("subject", &self.subject)
            .field("jetstream", &self.jetstream)
            .finish_non_exhaustive()
    }
}

pub(crate) struct NatsSink {
    settings: NatsSettings,
    servers: Servers,
    /// Made when there are events, and again after anything has gone wrong.
    connection: Mutex<Option<Connection>>,
}

impl NatsSink {
    pub(crate) fn new(settings: NatsSettings) -> Result<Self, SinkSettingsError> {
        let is_legal = |token: &str| {
            !token.is_empty()
                && !token.contains(['*', '>'])
                && token.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !settings.subject.split('.').all(is_legal) {
            return Err(SinkSettingsError::Subject(settings.subject));
        }
        let servers = Servers::parse(&settings)?;
        Ok(Self {
            settings,
            servers,
            connection: Mutex::new(None),
        })
    }

    async fn publish(&self, events: &[ListenerEvent]) -> Lost {
        let mut lost = Lost::default();
        let mut waiting: Vec<usize> = (0..events.len()).collect();
        let mut backoff = Backoff::new(self.settings.retry_for);
        let mut connection = self.connection.lock().await;
        loop {
            let before = waiting.len();
            let attempt = self.attempt(&mut connection, events, &mut waiting, &mut lost);
            let reason = match attempt.await {
                Ok(()) => return lost,
                Err(Failure::Transient(reason)) => reason,
                Err(Failure::Permanent(reason)) => {
                    lost.add_all(waiting, &reason);
                    return lost;
                }
            };
            *connection = None;
            tracing::debug!(reason, "an event listener at NATS did not take events");
            if !backoff.again(waiting.len() < before).await {
                lost.add_all(waiting, &reason);
                return lost;
            }
        }
    }

    /// Publishes the events that wait. Those that are delivered or lost wait no more, whatever the outcome is.
    async fn attempt(
        &self,
        connection: &mut Option<Connection>,
        events: &[ListenerEvent],
        waiting: &mut Vec<usize>,
        lost: &mut Lost,
    ) -> Result<(), Failure> {
        if connection
            .as_ref()
            .is_none_or(|connection| !connection.is_up())
        {
            *connection = None;
            *connection = Some(self.servers.connect().await?);
        }
        let Some(connection) = connection else {
            return Err(Failure::Transient("there is no connection".to_owned()));
        };
        let mut messages = Vec::with_capacity(waiting.len());
        for &index in waiting.iter() {
            let event = &events[index];
            messages.push(Message {
                index,
                subject: subject(&self.settings.subject, event),
                headers: headers(event),
                payload: event.event.body.clone(),
            });
        }
        match self.settings.jetstream {
            true => connection.store(messages, waiting, lost).await,
            false => connection.publish(messages, waiting, lost).await,
        }
    }
}

impl Sink for NatsSink {
    fn deliver<'a>(&'a self, events: &'a [ListenerEvent]) -> SinkFuture<'a> {
        Box::pin(async move { self.publish(events).await.into_result() })
    }
}

/// An event as NATS has it.
struct Message {
    index: usize,
    subject: String,
    headers: HeaderMap,
    payload: bytes::Bytes,
}

/// Returns the subject of an event: always three tokens behind the prefix. What separates or matches tokens in NATS is
/// percent-encoded in the names of hubs and events, and so is everything that is neither letter nor digit nor one of `-_`.
fn subject(prefix: &str, event: &ListenerEvent) -> String {
    const TOKEN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
    let inner = &*event.event;
    let hub = utf8_percent_encode(inner.hub.as_str(), TOKEN);
    let category = match inner.kind.starts_with("azure.webpubsub.user.") {
        true => "user",
        false => "sys",
    };
    let name = utf8_percent_encode(&inner.event_name, TOKEN);
    format!("{prefix}.{hub}.{category}.{name}")
}

fn headers(event: &ListenerEvent) -> HeaderMap {
    /// What the binding has encoded in the values of attributes.
    const VALUE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');
    let mut headers = HeaderMap::new();
    let mut insert = |name: &str, value: &str| headers.insert(name, value);
    let media_type = media_type(event);
    insert("content-type", media_type);
    insert("Nats-Msg-Id", &global_id(event));
    insert("ce-id", &event.event.id.to_string());
    insert("ce-datacontenttype", media_type);
    for (name, value) in attributes(event) {
        insert(
            &format!("ce-{name}"),
            &utf8_percent_encode(value, VALUE).to_string(),
        );
    }
    for (key, value) in metadata(event) {
        insert(&format!("{METADATA_PREFIX}{key}"), value);
    }
    headers
}

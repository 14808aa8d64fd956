//! A connection to one of several servers, good until anything goes wrong with it.

use std::error::Error;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::client::PublishErrorKind;
use async_nats::connection::State;
use async_nats::jetstream::context::{ContextBuilder, PublishErrorKind as StoreErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, ConnectOptions, Event, Request, RequestErrorKind, ServerAddr};
use hubwire_upstream::{Secret, tls_config};
use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;

use super::{Message, NatsSettings};
use crate::lost::Lost;
use crate::settings::SinkSettingsError;

/// Time to connect to a server, its greeting included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a server to take in what a batch holds.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for it to answer after that.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// What a subject begins with that only one client knows.
const INBOX: &str = "_INBOX";

/// Something went wrong. The text holds no secret.
pub(super) enum Failure {
    Transient(String),
    Permanent(String),
}

fn transient(what: &str, error: &dyn Error) -> Failure {
    let source = error.source().map(|source| format!(": {source}"));
    Failure::Transient(format!("{what}: {error}{}", source.unwrap_or_default()))
}

/// Where the servers are, and who the service is there.
pub(super) struct Servers {
    addresses: Vec<ServerAddr>,
    identity: Identity,
    certificates: Vec<CertificateDer<'static>>,
}

enum Identity {
    None,
    User(String, Secret),
    Token(Secret),
    Credentials(Secret),
}

impl Servers {
    pub(super) fn parse(settings: &NatsSettings) -> Result<Self, SinkSettingsError> {
        let mut addresses = Vec::new();
        let mut identity = Identity::None;
        for (index, url) in settings.url.expose().split(',').enumerate() {
            // The credentials are taken out, since the library shows an address with all that is in it.
            let (address, found) =
                parse_url(url.trim()).ok_or(SinkSettingsError::NatsUrl(index + 1))?;
            addresses.push(address);
            if let (Identity::None, Some(found)) = (&identity, found) {
                identity = found;
            }
        }
        if let Some(credentials) = &settings.credentials {
            if !matches!(identity, Identity::None) {
                return Err(SinkSettingsError::NatsCredentialsTwice);
            }
            ConnectOptions::with_credentials(credentials.expose())
                .map_err(|_| SinkSettingsError::NatsCredentials)?;
            identity = Identity::Credentials(credentials.clone());
        }
        Ok(Self {
            addresses,
            identity,
            certificates: settings.certificates.clone(),
        })
    }

    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        let refusals: Arc<Mutex<Refusals>> = Arc::default();
        let noted = Arc::clone(&refusals);
        let tls = tls_config(&self.certificates);
        let options = self
            .options()?
            .name("hubwire")
            .connection_timeout(CONNECT_TIMEOUT)
            // After this the client is closed, and another one is made: so none is left behind that tries for ever.
            .max_reconnects(self.addresses.len())
            .ignore_discovered_servers()
            .tls_client_config((*tls).clone())
            .event_callback(move |event| {
                if let Event::ServerError(error) = event {
                    let text = error.to_string();
                    tracing::debug!(error = text, "a server of an event listener complains");
                    lock(&noted).note(text);
                }
                std::future::ready(())
            });
        let connected = options.connect(self.addresses.as_slice()).await;
        let client = connected.map_err(|error| transient("cannot connect to NATS", &error))?;
        Ok(Connection {
            client,
            refusals,
            is_confirmed: true,
        })
    }

    fn options(&self) -> Result<ConnectOptions, Failure> {
        Ok(match &self.identity {
            Identity::None => ConnectOptions::new(),
            Identity::User(user, password) => {
                ConnectOptions::with_user_and_password(user.clone(), password.expose().to_owned())
            }
            Identity::Token(token) => ConnectOptions::with_token(token.expose().to_owned()),
            Identity::Credentials(text) => ConnectOptions::with_credentials(text.expose())
                .map_err(|_| Failure::Permanent("the credentials are malformed".to_owned()))?,
        })
    }
}

/// Returns the address of a server, and who its URL says the service is.
fn parse_url(url: &str) -> Option<(ServerAddr, Option<Identity>)> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
    if !["nats", "tls"].contains(&scheme) {
        return None;
    }
    let (identity, host) = match rest.rsplit_once('@') {
        None => (None, rest),
        Some((identity, host)) => (Some(parse_identity(identity)?), host),
    };
    let host = host.trim_end_matches('/');
    if host.is_empty() || host.contains(['/', '?', '#']) {
        return None;
    }
    let address = format!("{scheme}://{host}").parse().ok()?;
    Some((address, identity))
}

fn parse_identity(text: &str) -> Option<Identity> {
    let decode = |text: &str| {
        let text = percent_decode_str(text).decode_utf8().ok()?;
        Some(text.into_owned())
    };
    Some(match text.split_once(':') {
        Some((user, password)) => Identity::User(decode(user)?, Secret::new(decode(password)?)),
        None => Identity::Token(Secret::new(decode(text)?)),
    })
}

/// What a server does not permit.
#[derive(Default)]
struct Refusals {
    /// To ask whether it has read everything.
    inbox: bool,
    /// To publish an event. What it says of that.
    event: Option<String>,
}

impl Refusals {
    fn note(&mut self, text: String) {
        match text.to_ascii_lowercase().contains("permissions violation") {
            true if text.contains(INBOX) => self.inbox = true,
            true => self.event = Some(text),
            false => {}
        }
    }
}

fn lock(refusals: &Mutex<Refusals>) -> MutexGuard<'_, Refusals> {
    refusals.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct Connection {
    client: Client,
    refusals: Arc<Mutex<Refusals>>,
    /// Whether the server lets the service ask whether it has read everything.
    is_confirmed: bool,
}

impl Connection {
    pub(super) fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Publishes messages, and waits until the server has read them. `waiting` holds the indices of the messages.
    pub(super) async fn publish(
        &mut self,
        messages: Vec<Message>,
        waiting: &mut Vec<usize>,
        lost: &mut Lost,
    ) -> Result<(), Failure> {
        let connects = self.connects();
        let written = tokio::time::timeout(WRITE_TIMEOUT, self.write(messages, waiting, lost));
        written.await.map_err(|_| late())??;
        self.confirm().await?;
        if self.connects() != connects || !self.is_up() {
            // What was in the buffers of the connection before this one is gone.
            let reason = "the connection to NATS was lost meanwhile";
            return Err(Failure::Transient(reason.to_owned()));
        }
        waiting.clear();
        Ok(())
    }

    async fn write(
        &self,
        messages: Vec<Message>,
        waiting: &mut Vec<usize>,
        lost: &mut Lost,
    ) -> Result<(), Failure> {
        for message in messages {
            let published =
                self.client
                    .publish_with_headers(message.subject, message.headers, message.payload);
            match published.await {
                Ok(()) => {}
                Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                    lose(message.index, too_large(&self.client), waiting, lost);
                }
                Err(error) => return Err(transient("cannot publish to NATS", &error)),
            }
        }
        let flushed = self.client.flush().await;
        flushed.map_err(|error| transient("cannot publish to NATS", &error))
    }

    /// Waits until the server has read everything: it answers a request that nobody else is there for at once, and in its turn.
    async fn confirm(&mut self) -> Result<(), Failure> {
        if !self.is_confirmed {
            return self.check_refusals();
        }
        let request = Request::new().timeout(Some(ANSWER_TIMEOUT));
        let outcome = self
            .client
            .send_request(self.client.new_inbox(), request)
            .await;
        self.check_refusals()?;
        match outcome {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == RequestErrorKind::NoResponders => Ok(()),
            Err(_) if !self.is_confirmed => Ok(()),
            Err(error) => Err(transient("NATS does not answer", &error)),
        }
    }

    /// Looks at what the server does not permit.
    fn check_refusals(&mut self) -> Result<(), Failure> {
        let refusals = std::mem::take(&mut *lock(&self.refusals));
        if refusals.inbox && self.is_confirmed {
            tracing::warn!(
                "NATS does not let the service publish and subscribe below {INBOX}: events count as delivered once they are sent"
            );
            self.is_confirmed = false;
        }
        match refusals.event {
            Some(text) => Err(Failure::Permanent(format!("NATS: {text}"))),
            None => Ok(()),
        }
    }

    /// Publishes messages, and waits until a stream has stored them. Those that are stored or lost wait no more.
    pub(super) async fn store(
        &mut self,
        messages: Vec<Message>,
        waiting: &mut Vec<usize>,
        lost: &mut Lost,
    ) -> Result<(), Failure> {
        let context = ContextBuilder::new()
            .timeout(ANSWER_TIMEOUT)
            .ack_timeout(ANSWER_TIMEOUT)
            .build(self.client.clone());
        let mut acks = Vec::with_capacity(messages.len());
        for message in messages {
            let published = PublishMessage::build()
                .headers(message.headers)
                .payload(message.payload);
            let sent = tokio::time::timeout(
                WRITE_TIMEOUT,
                context.send_publish(message.subject, published),
            );
            match sent.await.map_err(|_| late())? {
                Ok(ack) => acks.push((message.index, ack)),
                Err(error) if error.kind() == StoreErrorKind::MaxPayloadExceeded => {
                    lose(message.index, too_large(&self.client), waiting, lost);
                }
                Err(error) => return Err(transient("cannot publish to JetStream", &error)),
            }
        }
        for (index, ack) in acks {
            match ack.await {
                Ok(_) => waiting.retain(|waiting| *waiting != index),
                Err(error) if is_too_large(&error) => {
                    let reason = "the event is larger than its stream takes".to_owned();
                    lose(index, reason, waiting, lost);
                }
                Err(error) => {
                    self.check_refusals()?;
                    return Err(transient("JetStream did not store an event", &error));
                }
            }
        }
        Ok(())
    }

    fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }
}

fn late() -> Failure {
    Failure::Transient("NATS takes no more".to_owned())
}

fn too_large(client: &Client) -> String {
    format!(
        "the event is larger than the server takes, {} bytes with its headers",
        client.max_payload()
    )
}

fn is_too_large(error: &jetstream::context::PublishError) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref());
    source.is_some_and(|error: &jetstream::Error| {
        error.error_code() == ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM
    })
}

fn lose(index: usize, reason: String, waiting: &mut Vec<usize>, lost: &mut Lost) {
    waiting.retain(|waiting| *waiting != index);
    lost.add(index, reason);
}

//! The handle that a program has, and how it is made.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use hubwire_protocol::message::{ClientMessage, Content, TTL_SECONDS_MAX};
use hubwire_protocol::names::{EventName, GroupName};
use hubwire_protocol::payload::{DataType, is_any, is_json};
use hubwire_protocol::state::GroupState;
use tokio::sync::{mpsc, oneshot};

use crate::driver::{Command, Credential, Driver, Shared};
use crate::options::{Backoff, Options, Protocol};
use crate::socket::Tls;
use crate::state::{AccessUrl, Answer, Request};
use crate::stream::{StreamOptions, StreamWriter};
use crate::{Error, ErrorKind, Event};

/// Requests that may wait to be looked at.
const COMMANDS_MAX: usize = 512;

/// A client of the service. Clones are handles of the same client; it stops when it is told to, and when the last handle is gone.
///
/// Every method may be cancelled by dropping its future. What was sent by then stays sent.
#[derive(Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    next_id: Arc<AtomicU64>,
    shared: Arc<Shared>,
}

/// The events of a client, as a [`Stream`]. Ends after [`Event::Stopped`].
///
/// Up to a bound ([`Builder::events_max`]) they wait here. Beyond it the client reads nothing more from its socket, answers to requests
/// included, until there is room: take events in a task of its own, or drop this if they are not wanted.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<Event>);

/// How a request was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acked {
    /// The service had done it already when it was repeated; it was done once.
    pub is_duplicate: bool,
}

/// How a message to a group is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendOptions {
    /// Leaves this client out of the receivers.
    pub no_echo: bool,
    /// Asks for no acknowledgement: it is not known whether the message arrived, and it is not repeated.
    pub fire_and_forget: bool,
    /// Seconds that the message may wait for a receiver, up to 300; 0 is for ever.
    pub ttl_seconds: u16,
}

impl SendOptions {
    /// Sets [`SendOptions::no_echo`].
    #[must_use]
    pub fn no_echo(mut self, no_echo: bool) -> Self {
        self.no_echo = no_echo;
        self
    }

    /// Sets [`SendOptions::fire_and_forget`].
    #[must_use]
    pub fn fire_and_forget(mut self, fire_and_forget: bool) -> Self {
        self.fire_and_forget = fire_and_forget;
        self
    }

    /// Sets [`SendOptions::ttl_seconds`].
    #[must_use]
    pub fn ttl_seconds(mut self, ttl_seconds: u16) -> Self {
        self.ttl_seconds = ttl_seconds;
        self
    }
}

/// Makes a [`Client`].
pub struct Builder {
    credential: Credential,
    options: Options,
    tls: Tls,
    events_max: usize,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("options", &self.options)
            .field("events_max", &self.events_max)
            .finish_non_exhaustive()
    }
}

macro_rules! option {
    ($(#[$doc:meta])* $name:ident: $type:ty) => {
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $name: $type) -> Self {
            self.options.$name = $name;
            self
        }
    };
}

impl Builder {
    fn new(credential: Credential) -> Self {
        Self {
            credential,
            options: Options::default(),
            tls: Tls::default(),
            events_max: 1024,
        }
    }

    option! {
        /// What is spoken; [`Protocol::ReliableJson`] by default.
        protocol: Protocol
    }
    option! {
        /// Makes a new connection when one is lost for good; on by default.
        auto_reconnect: bool
    }
    option! {
        /// Joins the groups again on a new connection; on by default.
        auto_rejoin_groups: bool
    }
    option! {
        /// Waits between attempts at a new connection: 1 s, doubled up to 30 s, without end by default.
        reconnect: Backoff
    }
    option! {
        /// How long a lost connection of a reliable protocol is tried to be recovered; 30 s by default.
        recovery_window: Duration
    }
    option! {
        /// How often a request is sent again after a failure; 3 by default. Repetitions on the same connection are carried out once;
        /// those on a new connection may be carried out twice.
        message_retries: u32
    }
    option! {
        /// Waits before sending again what the service failed at.
        message_backoff: Backoff
    }
    option! {
        /// How long a request may take in all; 30 s by default.
        ack_timeout: Duration
    }
    option! {
        /// How long an attempt to connect may take; 30 s by default.
        connect_timeout: Duration
    }
    option! {
        /// Time between pings; 20 s by default.
        ping_interval: Option<Duration>
    }
    option! {
        /// A socket on which nothing arrived for so long is given up; 120 s by default.
        silence_timeout: Option<Duration>
    }
    option! {
        /// How long a stop waits for the service; 5 s by default.
        stop_timeout: Duration
    }

    /// Sets how many events may wait, 1,024 by default and at least 1; see [`Events`].
    #[must_use]
    pub fn events_max(mut self, events_max: usize) -> Self {
        self.events_max = events_max.max(1);
        self
    }

    /// Speaks TLS with this configuration instead of the roots of the system: own roots, client certificates, another provider.
    #[must_use]
    pub fn tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Tls(Some(config));
        self
    }

    /// Connects. Returns once the service has greeted; the first attempt is the only one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Credential`], [`ErrorKind::Rejected`] with the status, [`ErrorKind::Connect`] and [`ErrorKind::Timeout`].
    pub async fn connect(self) -> Result<(Client, Events), Error> {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let (events, event_receiver) = mpsc::channel(self.events_max);
        let (started, is_started) = oneshot::channel();
        let shared = Arc::new(Shared::default());
        let driver = Driver {
            options: self.options,
            credential: self.credential,
            tls: self.tls,
            commands: receiver,
            events,
            started: Some(started),
            shared: shared.clone(),
        };
        let client = Client {
            commands,
            next_id: Arc::default(),
            shared,
        };
        tokio::spawn(driver.run());
        is_started.await.unwrap_or_else(|_| Err(Error::stopped()))?;
        Ok((client, Events(event_receiver)))
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.poll_recv(cx)
    }
}

impl Events {
    /// Returns the next event; `None` after [`Event::Stopped`]. Nothing is lost when it is cancelled.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("connection_id", &self.connection_id())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Begins with a URL that holds its token, such as the service's package for app servers makes. Once the token has expired no new
    /// connection can be made with it: [`Client::with_credential`] suits programs that live longer.
    pub fn builder(url: impl Into<String>) -> Builder {
        let url = AccessUrl::new(url);
        Builder::new(Arc::new(move || {
            let url = url.clone();
            Box::pin(async move { Ok(url) })
        }))
    }

    /// Begins with a function that returns the URL with a fresh token. It is asked for each new connection, and not for a recovery.
    pub fn with_credential<F, U, E>(credential: F) -> Builder
    where
        F: Fn() -> U + Send + Sync + 'static,
        U: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Builder::new(Arc::new(move || {
            let url = credential();
            Box::pin(async move {
                url.await.map(AccessUrl::new).map_err(|error| {
                    let text = "the credential gave no URL";
                    Error::caused(ErrorKind::Credential, text, error)
                })
            })
        }))
    }

    /// Returns the id of the connection; `None` while there is none.
    pub fn connection_id(&self) -> Option<String> {
        self.shared.connection_id()
    }

    /// Joins a group, and remembers it to be joined on later connections.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for a name that is not valid, [`ErrorKind::Service`] with the name `Forbidden` without the permission,
    /// [`ErrorKind::Timeout`], [`ErrorKind::Disconnected`], [`ErrorKind::Limit`], [`ErrorKind::Stopped`]; so too the methods below.
    pub async fn join_group(&self, group: &str) -> Result<Acked, Error> {
        let group = GroupName::new(group)?;
        self.acked(ClientMessage::JoinGroup {
            group,
            ack_id: None,
        })
        .await
    }

    /// Leaves a group.
    ///
    /// # Errors
    ///
    /// Those of [`Client::join_group`].
    pub async fn leave_group(&self, group: &str) -> Result<Acked, Error> {
        let group = GroupName::new(group)?;
        self.acked(ClientMessage::LeaveGroup {
            group,
            ack_id: None,
        })
        .await
    }

    /// Sends to the members of a group, this client included if it is one.
    ///
    /// # Errors
    ///
    /// Those of [`Client::join_group`].
    pub async fn send_to_group(
        &self,
        group: &str,
        content: impl Into<Content>,
    ) -> Result<Acked, Error> {
        self.send_to_group_with(group, content, SendOptions::default())
            .await
    }

    /// Sends to the members of a group in a certain way.
    ///
    /// # Errors
    ///
    /// Those of [`Client::join_group`]. With [`SendOptions::fire_and_forget`] only that there is no connection.
    pub async fn send_to_group_with(
        &self,
        group: &str,
        content: impl Into<Content>,
        options: SendOptions,
    ) -> Result<Acked, Error> {
        if options.ttl_seconds > TTL_SECONDS_MAX {
            let text = format!(
                "ttl_seconds is {}, the limit is {TTL_SECONDS_MAX}",
                options.ttl_seconds
            );
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        let message = ClientMessage::SendToGroup {
            group: GroupName::new(group)?,
            content: checked(content.into())?,
            no_echo: options.no_echo,
            ttl_seconds: options.ttl_seconds,
            ack_id: None,
        };
        self.deliver(message, options.fire_and_forget).await
    }

    /// Raises an event for the app server. What it answers, if anything, comes as [`Event::ServerMessage`].
    ///
    /// # Errors
    ///
    /// Those of [`Client::join_group`]. [`ErrorKind::Service`] with the name `InternalServerError` if nobody takes the event.
    pub async fn send_event(
        &self,
        event: &str,
        content: impl Into<Content>,
    ) -> Result<Acked, Error> {
        self.event(event, content.into(), false).await
    }

    /// As [`Client::send_event`], without an acknowledgement.
    ///
    /// # Errors
    ///
    /// A name or data that is not valid, or that there is no connection.
    pub async fn fire_event(&self, event: &str, content: impl Into<Content>) -> Result<(), Error> {
        self.event(event, content.into(), true).await.map(|_| ())
    }

    /// Raises an event for the app server and returns its answer, `None` if that is empty. Takes the time of
    /// [`Builder::ack_timeout`] at most; is cancelled at the service when the future is dropped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Service`] with the name that the app server or the service gave, and those of [`Client::join_group`].
    pub async fn invoke(
        &self,
        event: &str,
        content: impl Into<Content>,
    ) -> Result<Option<Content>, Error> {
        self.invoke_within(event, content, Duration::from_secs(30))
            .await
    }

    /// As [`Client::invoke`], with a time of its own.
    ///
    /// # Errors
    ///
    /// Those of [`Client::invoke`].
    pub async fn invoke_within(
        &self,
        event: &str,
        content: impl Into<Content>,
        timeout: Duration,
    ) -> Result<Option<Content>, Error> {
        let request = Request::Invoke {
            event: EventName::new(event)?,
            content: Some(checked(content.into())?),
            timeout,
        };
        match self.request(request).await? {
            Answer::Invocation(content) => Ok(content),
            Answer::Done | Answer::Duplicate | Answer::Stream(_) => Ok(None),
        }
    }

    /// Opens a stream to a group: fragments that its members receive in their order.
    ///
    /// # Errors
    ///
    /// Those of [`Client::join_group`].
    pub async fn open_stream(
        &self,
        group: &str,
        options: StreamOptions,
    ) -> Result<StreamWriter, Error> {
        let request = Request::OpenStream {
            group: GroupName::new(group)?,
            no_echo: options.no_echo,
            idle_timeout_ms: options.idle_timeout_ms()?,
        };
        // For the end of the stream there is room from the beginning, since a drop cannot wait for it.
        let permit = self.permit().await?;
        match self.request(request).await? {
            Answer::Stream(stream) => Ok(StreamWriter::new(self.clone(), stream, permit)),
            Answer::Done | Answer::Duplicate | Answer::Invocation(_) => Err(Error::stopped()),
        }
    }

    /// Sets what this client shows of itself in a group, or clears it.
    ///
    /// # Errors
    ///
    /// Those of [`Client::join_group`]; [`ErrorKind::Invalid`] for an entry beyond its limits.
    pub async fn set_group_state<K: Into<String>, V: Into<String>>(
        &self,
        group: &str,
        entries: Option<impl IntoIterator<Item = (K, V)>>,
    ) -> Result<Acked, Error> {
        let group = GroupName::new(group)?;
        let state = match entries {
            None => None,
            Some(entries) => {
                let mut state = GroupState::default();
                for (key, value) in entries {
                    state
                        .insert(key.into(), value.into())
                        .map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))?;
                }
                Some(state)
            }
        };
        self.acked(ClientMessage::SetGroupState {
            group,
            state,
            ack_id: None,
        })
        .await
    }

    /// Wants the states of a group's members as [`Event::GroupState`]. Not repeated on a new connection.
    ///
    /// # Errors
    ///
    /// Those of [`Client::join_group`].
    pub async fn subscribe_group_state(&self, group: &str) -> Result<Acked, Error> {
        let group = GroupName::new(group)?;
        self.acked(ClientMessage::SubscribeGroupState {
            group,
            ack_id: None,
        })
        .await
    }

    /// No longer wants them.
    ///
    /// # Errors
    ///
    /// Those of [`Client::join_group`].
    pub async fn unsubscribe_group_state(&self, group: &str) -> Result<Acked, Error> {
        let group = GroupName::new(group)?;
        self.acked(ClientMessage::UnsubscribeGroupState {
            group,
            ack_id: None,
        })
        .await
    }

    /// Ends the client in good order: open requests fail, the socket is closed with 1000, [`Event::Stopped`] is the last event.
    /// Returns once the connection is closed, or after [`Builder::stop_timeout`]. Without effect on one that has ended.
    pub async fn stop(&self) {
        if self.commands.send(Command::Stop).await.is_ok() {
            self.commands.closed().await;
        }
    }

    /// Waits until the client has ended, because it was stopped or has given up. The last events may still wait to be taken.
    pub async fn ended(&self) {
        self.commands.closed().await;
    }

    async fn event(&self, event: &str, content: Content, is_fired: bool) -> Result<Acked, Error> {
        let message = ClientMessage::Event {
            event: EventName::new(event)?,
            content: checked(content)?,
            ack_id: None,
        };
        self.deliver(message, is_fired).await
    }

    async fn deliver(&self, message: ClientMessage, is_fired: bool) -> Result<Acked, Error> {
        match is_fired {
            false => self.acked(message).await,
            true => {
                self.request(Request::Unacked(message)).await?;
                Ok(Acked {
                    is_duplicate: false,
                })
            }
        }
    }

    async fn acked(&self, message: ClientMessage) -> Result<Acked, Error> {
        let answer = self.request(Request::Acked(message)).await?;
        Ok(Acked {
            is_duplicate: answer == Answer::Duplicate,
        })
    }

    pub(crate) async fn request(&self, request: Request) -> Result<Answer, Error> {
        let permit = match &request {
            Request::Invoke { .. } => Some(self.permit().await?),
            _ => None,
        };
        let id = self.next_id();
        let (reply, answer) = oneshot::channel();
        let command = Command::Request { id, request, reply };
        self.commands
            .send(command)
            .await
            .map_err(|_| Error::stopped())?;
        let mut cancel = Cancel { id, permit };
        let answer = answer.await;
        cancel.permit = None;
        answer.unwrap_or_else(|_| Err(Error::stopped()))
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    async fn permit(&self) -> Result<mpsc::OwnedPermit<Command>, Error> {
        let permit = self.commands.clone().reserve_owned().await;
        permit.map_err(|_| Error::stopped())
    }
}

/// Cancels a request whose future is dropped before its answer.
struct Cancel {
    id: u64,
    permit: Option<mpsc::OwnedPermit<Command>>,
}

impl Drop for Cancel {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.send(Command::Cancel(self.id));
        }
    }
}

/// Checks data that would end the connection if the service got it.
pub(crate) fn checked(content: Content) -> Result<Content, Error> {
    let data = &content.payload.data;
    let problem = match content.payload.data_type {
        DataType::Json if data.trim_ascii() == b"null" => Some("null cannot be sent as JSON"),
        DataType::Json if !is_json(data) => {
            Some("the data is not one JSON value of at most 64 levels")
        }
        DataType::Text if std::str::from_utf8(data).is_err() => Some("the text is not UTF-8"),
        DataType::Protobuf if !is_any(data) => Some("the data is not a google.protobuf.Any"),
        DataType::Json | DataType::Text | DataType::Binary | DataType::Protobuf => None,
    };
    match problem {
        Some(text) => Err(Error::new(ErrorKind::Invalid, text)),
        None => Ok(content),
    }
}

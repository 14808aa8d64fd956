use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use hubwire_protocol::event::{ConnectAnswer, ConnectRefusal, Event, EventFailure, EventKind};
use hubwire_protocol::message::Content;
use hubwire_protocol::names::Hub;
use hyper::{StatusCode, Uri};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::active::Active;
use crate::cloud_event::CloudEvent;
use crate::connections::{Attached, Connections, Tie};
use crate::delivery::{Delivery, Failure};
use crate::http::Answer;
use crate::listener::{ListenerEvent, Queue};
use crate::observer::{Kind, Outcome};
use crate::outstanding::Outstanding;
use crate::presence::PresenceOrder;
use crate::probe;
use crate::reply;
use crate::settings::Settings;
use crate::url_template::Target;
use crate::validation::Validations;

/// Longest body of a refusal that is read, for the client or for the name of an error in it. Bytes. Source: ours.
const REFUSAL_BODY_MAX: usize = 64 * 1024;

/// What is asked of the handler of a user event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Its client goes on when the event is handled.
    Event,
    /// Its client awaits the answer to it.
    Invocation,
}

/// Delivers events to handlers and listeners. Clones are the same.
#[derive(Clone)]
pub struct Upstream {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: Handle,
    active: ArcSwap<Active>,
    validations: Arc<Validations<Uri>>,
    connections: Connections,
    presence: PresenceOrder,
    notifications: Outstanding,
    notifications_dropped: AtomicU64,
    listened: Outstanding,
    asked: Outstanding,
}

impl Upstream {
    /// Starts with settings.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime. It is the one on which notifications are delivered, whatever thread they come from.
    pub fn new(settings: Settings) -> Self {
        let runtime = Handle::current();
        let active = Active::new(settings, None, &runtime);
        Self {
            shared: Arc::new(Shared {
                active: ArcSwap::from_pointee(active),
                validations: Validations::new(runtime.clone()),
                connections: Connections::default(),
                presence: PresenceOrder::default(),
                notifications: Outstanding::default(),
                notifications_dropped: AtomicU64::new(0),
                listened: Outstanding::default(),
                asked: Outstanding::default(),
                runtime,
            }),
        }
    }

    /// Replaces the settings. Events under way end under the old ones; what is known of URLs stays, and so does what is kept for
    /// connections. Source: events-and-operations 9.2.
    pub fn replace(&self, settings: Settings) {
        let Shared { active, .. } = &*self.shared;
        let before = active.load_full();
        let next = Active::new(settings, Some(&before), &self.shared.runtime);
        let has_other_origin = next.origin != before.origin;
        active.store(Arc::new(next));
        if has_other_origin {
            self.shared.validations.clear();
        }
        // No event ends what is kept for the connections of a hub that has no handlers any more.
        let is_kept = |hub: &Hub| self.has_targets(hub);
        self.shared.connections.retain(is_kept);
    }

    /// Tells whether a handler decides who may connect to a hub.
    pub fn wants_connect(&self, hub: &Hub) -> bool {
        self.shared.active.load().hub(hub).wants_connect()
    }

    /// Tells whether a hub has a handler or a listener at all.
    pub fn has_targets(&self, hub: &Hub) -> bool {
        let active = self.shared.active.load();
        let hub = active.hub(hub);
        !(hub.handlers.is_empty() && hub.listeners.is_empty())
    }

    /// Asks whether a client may connect. Without a handler it may. When the connection does not come about after all, and no
    /// `disconnected` follows, [`Upstream::forget`] ends what is kept for it.
    ///
    /// Cancel safe: a future that is dropped takes the request back.
    ///
    /// Source: events-and-operations 5.1.
    ///
    /// # Errors
    ///
    /// The client may not connect.
    pub async fn connect(&self, event: Event) -> Result<ConnectAnswer, ConnectRefusal> {
        let active = self.shared.active.load_full();
        let Some(handler) = active.hub(&event.hub).handler(&event.kind) else {
            return Ok(ConnectAnswer::default());
        };
        let attached =
            self.shared
                .connections
                .attach(&event.hub, &event.connection_id, Tie::Lasting);
        let event = CloudEvent::new(event);
        let delivery = Delivery {
            active: &active,
            validations: &self.shared.validations,
            handler,
            event: &event,
            attached: &attached,
            kind: Kind::Connect,
        };
        let start = Instant::now();
        let outcome = connect(&delivery).await;
        let outcome = observe(&delivery, start, outcome);
        match outcome {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Refusal { status, body, .. })) => Err(ConnectRefusal::Rejected {
                status: status.as_u16(),
                body,
            }),
            Err(_) => Err(ConnectRefusal::Failed),
        }
    }

    /// Tells the listeners of a user event at once, then asks its handler. Returns what the handler replies, if anything. May be called
    /// on any thread.
    ///
    /// Cancel safe: a future that is dropped takes the request back.
    ///
    /// Source: events-and-operations 5.4, 5.5.
    ///
    /// # Errors
    ///
    /// Nobody wants the event, or its handler did not handle it.
    pub fn ask(
        &self,
        event: Event,
        kind: Ask,
    ) -> impl Future<Output = Result<Option<Content>, EventFailure>> + Send + use<> {
        let active = self.shared.active.load_full();
        let attached =
            self.shared
                .connections
                .attach(&event.hub, &event.connection_id, Tie::Lasting);
        let handler = active.hub(&event.hub).handler(&event.kind).map(Arc::clone);
        let queues = queues(&active, &event);
        let event = Arc::new(CloudEvent::new(event));
        self.listen(&queues, &event, &attached);
        let is_listened_to = !queues.is_empty();
        let started = self.shared.asked.start(usize::MAX);
        let validations = Arc::clone(&self.shared.validations);
        async move {
            let _started = started;
            let Some(handler) = handler else {
                return match (kind, is_listened_to) {
                    (Ask::Event, true) => Ok(None),
                    (Ask::Event, false) | (Ask::Invocation, _) => Err(EventFailure::NotFound),
                };
            };
            let delivery = Delivery {
                active: &active,
                validations: &validations,
                handler: &handler,
                event: &event,
                attached: &attached,
                kind: match kind {
                    Ask::Event => Kind::User,
                    Ask::Invocation => Kind::Invocation,
                },
            };
            let start = Instant::now();
            let outcome = ask(&delivery, kind).await;
            match observe(&delivery, start, outcome) {
                Ok(Ok(content)) => Ok(content),
                Ok(Err(refusal)) => Err(refusal.into_event_failure()),
                Err(failure) if failure.outcome() == Outcome::Timeout => Err(EventFailure::Timeout),
                Err(_) => Err(EventFailure::Failed),
            }
        }
    }

    /// Tells the handler and the listeners of an event that nobody waits for. It is delivered whatever becomes of its
    /// connection, and dropped and counted if too many are under way. May be called on any thread.
    ///
    /// `disconnected` is the last event of its connection; only `left` may follow it.
    ///
    /// Source: events-and-operations 5.2, 5.3.
    pub fn notify(&self, event: Event) {
        let (tie, kind) = match event.kind {
            EventKind::Connect(_) | EventKind::User { .. } => {
                debug_assert!(false, "an event that is answered is no notification");
                return;
            }
            EventKind::Connected => (Tie::Lasting, Kind::Connected),
            EventKind::Disconnected { .. } => (Tie::Last, Kind::Disconnected),
            EventKind::Joined { .. } => (Tie::Lasting, Kind::Presence),
            EventKind::Left { .. } => (Tie::Trailing, Kind::Presence),
        };
        let active = self.shared.active.load_full();
        let attached = self
            .shared
            .connections
            .attach(&event.hub, &event.connection_id, tie);
        let handler = active.hub(&event.hub).handler(&event.kind).map(Arc::clone);
        let queues = queues(&active, &event);
        if handler.is_none() && queues.is_empty() {
            return;
        }
        let place = match &event.kind {
            EventKind::Joined { group } | EventKind::Left { group } if handler.is_some() => {
                let (hub, connection_id) = (&event.hub, &event.connection_id);
                Some(self.shared.presence.take(hub, connection_id, group))
            }
            _ => None,
        };
        let event = Arc::new(CloudEvent::new(event));
        self.listen(&queues, &event, &attached);
        let Some(handler) = handler else {
            return;
        };
        let max = active.settings.notifications_max;
        let Some(started) = self.shared.notifications.start(max) else {
            let dropped = &self.shared.notifications_dropped;
            let dropped = dropped.fetch_add(1, Ordering::Relaxed) + 1;
            active.settings.observer.notification_dropped(&event.hub);
            // Of many, not every one.
            if dropped.is_power_of_two() {
                tracing::warn!(hub = %event.hub, dropped, "notifications are dropped, since too many are under way");
            }
            return;
        };
        let validations = Arc::clone(&self.shared.validations);
        self.shared.runtime.spawn(async move {
            let mut place = place;
            if let Some(place) = &mut place {
                place.wait().await;
            }
            let delivery = Delivery {
                active: &active,
                validations: &validations,
                handler: &handler,
                event: &event,
                attached: &attached,
                kind,
            };
            notify(&delivery).await;
            // What is kept for the connection goes before the notification counts as delivered.
            drop((attached, place));
            drop(started);
        });
    }

    /// Drops the state and the cookies of a connection that was let in and did not come about.
    pub fn forget(&self, hub: &Hub, connection_id: &str) {
        self.shared.connections.forget(hub, connection_id);
    }

    /// Returns how many notifications were dropped since too many were under way.
    pub fn notifications_dropped(&self) -> u64 {
        self.shared.notifications_dropped.load(Ordering::Relaxed)
    }

    /// Returns how many connections a state or cookies are kept for, or an event is under way for.
    pub fn connections(&self) -> usize {
        self.shared.connections.len()
    }

    /// Asks all handlers of the hubs with settings of their own whether they agree to get events, and returns the templates of
    /// those that do not. Source: events-and-operations 3, `validate_on_load`.
    pub async fn validate(&self) -> Vec<String> {
        let active = self.shared.active.load_full();
        let mut checks = JoinSet::new();
        for (hub, settings) in active.hubs() {
            for handler in settings
                .handlers
                .iter()
                .filter(|handler| handler.abuse_protection)
            {
                let template = &handler.url_template;
                let Some(Target::Http(uri)) = template.resolve(hub.as_str(), "validate") else {
                    continue;
                };
                let shown = template.shown(hub.as_str(), "validate");
                let (template, active) = (template.to_string(), Arc::clone(&active));
                let validations = Arc::clone(&self.shared.validations);
                checks.spawn(async move {
                    let check = || probe::run(active, uri.clone(), shown);
                    let is_valid = validations.is_valid(&uri, check).await;
                    (!is_valid).then_some(template)
                });
            }
        }
        let mut invalid: Vec<String> = checks.join_all().await.into_iter().flatten().collect();
        invalid.sort();
        invalid
    }

    /// Waits until all notifications are delivered, user events answered, and listeners told, or until the deadline.
    pub async fn drain(&self, deadline: Instant) {
        let ends = async {
            self.shared.asked.end().await;
            self.shared.notifications.end().await;
            self.shared.listened.end().await;
        };
        if tokio::time::timeout_at(deadline, ends).await.is_err() {
            tracing::warn!("events are lost, since they were not delivered in time");
        }
    }

    /// Tells listeners of an event.
    fn listen(&self, queues: &[&Queue], event: &Arc<CloudEvent>, attached: &Attached) {
        if queues.is_empty() {
            return;
        }
        let state = attached.state();
        let state = state.as_ref().and_then(|state| state.to_str().ok());
        let connection_state: Option<Arc<str>> =
            state.filter(|state| !state.is_empty()).map(Arc::from);
        for queue in queues {
            let event = ListenerEvent {
                event: Arc::clone(event),
                connection_state: connection_state.clone(),
            };
            queue.push(event, &self.shared.listened);
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").finish_non_exhaustive()
    }
}

/// Returns the queues of the listeners of an event.
fn queues<'a>(active: &'a Active, event: &Event) -> Vec<&'a Queue> {
    let listeners = active.hub(&event.hub).listeners.iter();
    listeners
        .filter(|queue| queue.matches(&event.kind))
        .collect()
}

/// A handler that answered with another status than 2xx.
struct Refusal {
    status: StatusCode,
    /// For the client.
    body: Option<String>,
    /// The handler's own error.
    error: Option<(String, String)>,
}

impl Refusal {
    fn into_event_failure(self) -> EventFailure {
        match self.status {
            StatusCode::REQUEST_TIMEOUT if self.error.is_none() => EventFailure::Timeout,
            status => EventFailure::Rejected {
                status: status.as_u16(),
                error: self.error,
            },
        }
    }
}

async fn connect(delivery: &Delivery<'_>) -> Result<Result<ConnectAnswer, Refusal>, Failure> {
    let (answer, target) = delivery.send().await?;
    let status = answer.status;
    let (max, timeout) = (
        delivery.active.settings.response_body_max,
        delivery.handler.timeout,
    );
    if !status.is_success() {
        let body = match delivery.handler.forward_reject_body {
            true => Box::pin(read_refusal(answer, timeout)).await,
            false => None,
        };
        let body = body.map(|body| String::from_utf8_lossy(&body).into_owned());
        return Ok(Err(Refusal {
            status,
            body,
            error: None,
        }));
    }
    let headers = answer.headers;
    let decision = match status {
        StatusCode::OK => {
            let body = answer
                .body
                .read(max, timeout)
                .await
                .map_err(Failure::Body)?;
            reply::connect_answer(&body).map_err(Failure::Reply)?
        }
        _ => ConnectAnswer::default(),
    };
    delivery.keep(&headers, &target)?;
    Ok(Ok(decision))
}

async fn ask(
    delivery: &Delivery<'_>,
    kind: Ask,
) -> Result<Result<Option<Content>, Refusal>, Failure> {
    let (answer, target) = delivery.send().await?;
    let status = answer.status;
    let (max, timeout) = (
        delivery.active.settings.response_body_max,
        delivery.handler.timeout,
    );
    if !status.is_success() {
        let error = match kind {
            Ask::Event => None,
            Ask::Invocation => Box::pin(read_refusal(answer, timeout))
                .await
                .and_then(|body| reply::error(&body)),
        };
        return Ok(Err(Refusal {
            status,
            body: None,
            error,
        }));
    }
    let body = answer
        .body
        .read(max, timeout)
        .await
        .map_err(Failure::Body)?;
    let content = match kind {
        Ask::Event => reply::content(&answer.headers, body),
        Ask::Invocation => reply::invocation(&answer.headers, body),
    };
    let content = content.map_err(Failure::Reply)?;
    delivery.keep(&answer.headers, &target)?;
    Ok(Ok(content))
}

async fn notify(delivery: &Delivery<'_>) {
    let start = Instant::now();
    let outcome = match delivery.send().await {
        Ok((
            Answer {
                status, headers, ..
            },
            target,
        )) => match status.is_success() {
            true => delivery.keep(&headers, &target).map(Ok),
            false => Ok(Err(Refusal {
                status,
                body: None,
                error: None,
            })),
        },
        Err(failure) => Err(failure),
    };
    let _ = observe(delivery, start, outcome);
}

/// Reads the body of a refusal; one that cannot be had is as none.
async fn read_refusal(answer: Answer, timeout: Duration) -> Option<bytes::Bytes> {
    let body = answer.body.read(REFUSAL_BODY_MAX, timeout).await.ok()?;
    (!body.is_empty()).then_some(body)
}

/// Logs and counts how an event went.
fn observe<T>(
    delivery: &Delivery<'_>,
    start: Instant,
    outcome: Result<Result<T, Refusal>, Failure>,
) -> Result<Result<T, Refusal>, Failure> {
    let counted = match &outcome {
        Ok(Ok(_)) => Outcome::Success,
        Ok(Err(refusal)) => {
            delivery.log_status(refusal.status);
            Outcome::Rejected
        }
        Err(failure) => {
            delivery.log_failure(failure);
            failure.outcome()
        }
    };
    let observer = &delivery.active.settings.observer;
    observer.handled(&delivery.event.hub, delivery.kind, counted, start.elapsed());
    outcome
}

//! Event listeners: told, and nothing more. Source: events-and-operations 8.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hubwire_protocol::event::EventKind;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::cloud_event::CloudEvent;
use crate::filter::{SystemEvent, UserEventPattern};
use crate::observer::Observer;
use crate::outstanding::{Outstanding, Started};

/// Events that wait for a sink; a further one is dropped and counted. Source: events-and-operations 8.2.
pub const QUEUE_EVENTS_MAX_DEFAULT: usize = 10_000;
/// Bytes of the events that wait for a sink. Source: events-and-operations 8.2.
pub const QUEUE_BYTES_MAX_DEFAULT: usize = 64 * 1024 * 1024;
/// Events that a sink gets at a time.
const BATCH_MAX: usize = 256;
/// Bytes that an event counts for beside its data. Source: ours, about what its attributes take.
const EVENT_BYTES: usize = 512;

/// An event listener.
#[derive(Clone)]
pub struct Listener {
    /// The system events that it wants; `connect` is for no listener.
    pub system_events: Vec<SystemEvent>,
    /// The user events that it wants.
    pub user_event_pattern: UserEventPattern,
    /// Where its events go.
    pub sink: Arc<dyn Sink>,
    /// Events that wait for the sink at most.
    pub queue_events_max: usize,
    /// Bytes of data of the events that wait for the sink at most.
    pub queue_bytes_max: usize,
}

impl Listener {
    /// Makes a listener that wants nothing yet.
    pub fn new(sink: Arc<dyn Sink>) -> Self {
        Self {
            system_events: Vec::new(),
            user_event_pattern: UserEventPattern::default(),
            sink,
            queue_events_max: QUEUE_EVENTS_MAX_DEFAULT,
            queue_bytes_max: QUEUE_BYTES_MAX_DEFAULT,
        }
    }

    pub(crate) fn matches(&self, event: &EventKind) -> bool {
        match event {
            EventKind::Connected => self.system_events.contains(&SystemEvent::Connected),
            EventKind::Disconnected { .. } => {
                self.system_events.contains(&SystemEvent::Disconnected)
            }
            EventKind::User { name, .. } => self.user_event_pattern.matches(name),
            EventKind::Connect(_) | EventKind::Joined { .. } | EventKind::Left { .. } => false,
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("system_events", &self.system_events)
            .field("user_event_pattern", &self.user_event_pattern)
            .finish_non_exhaustive()
    }
}

/// Where the events of a listener go.
pub trait Sink: Send + Sync {
    /// Delivers events in their order; more come only when the future is ready. It retries as it sees fit, and ends in any case.
    fn deliver<'a>(&'a self, events: &'a [ListenerEvent]) -> SinkFuture<'a>;
}

/// How a delivery goes.
pub type SinkFuture<'a> = Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send + 'a>>;

/// Events could not be delivered and are lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct SinkError {
    /// Why, for the first of them. Holds no secret.
    pub reason: String,
    /// Which of the events, by their index, in ascending order. The others are delivered.
    pub lost: Vec<usize>,
}

impl SinkError {
    /// Makes the error for events of which none could be delivered.
    pub fn all(reason: impl Into<String>, events: &[ListenerEvent]) -> Self {
        Self {
            reason: reason.into(),
            lost: (0..events.len()).collect(),
        }
    }
}

/// An event for a listener.
#[derive(Clone, Debug)]
pub struct ListenerEvent {
    /// The event.
    pub event: Arc<CloudEvent>,
    /// The state that a handler has set for its connection, if it is not empty.
    pub connection_state: Option<Arc<str>>,
}

/// The events that wait for the sink of a listener. They are delivered to the end after it is dropped.
pub(crate) struct Queue {
    listener: Listener,
    sender: mpsc::UnboundedSender<Queued>,
    used: Arc<Used>,
    observer: Arc<dyn Observer>,
}

struct Queued {
    event: ListenerEvent,
    room: Room,
}

/// What waits in a queue, or is being delivered.
#[derive(Default)]
struct Used {
    events: AtomicUsize,
    bytes: AtomicUsize,
}

/// The part of a queue that an event takes until it is delivered.
struct Room {
    size: usize,
    used: Arc<Used>,
    _started: Started,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.used.events.fetch_sub(1, Ordering::Relaxed);
        self.used.bytes.fetch_sub(self.size, Ordering::Relaxed);
    }
}

impl Queue {
    pub(crate) fn start(
        listener: Listener,
        observer: &Arc<dyn Observer>,
        runtime: &Handle,
    ) -> Self {
        // Bounded by what is used.
        let (sender, receiver) = mpsc::unbounded_channel();
        runtime.spawn(run(
            Arc::clone(&listener.sink),
            receiver,
            Arc::clone(observer),
        ));
        Self {
            listener,
            sender,
            used: Arc::default(),
            observer: Arc::clone(observer),
        }
    }

    /// Goes on with the queue of a listener that had the same sink, so that its events keep their order.
    pub(crate) fn resume(&self, listener: &Listener) -> Option<Self> {
        Arc::ptr_eq(&self.listener.sink, &listener.sink).then(|| Self {
            listener: listener.clone(),
            sender: self.sender.clone(),
            used: Arc::clone(&self.used),
            observer: Arc::clone(&self.observer),
        })
    }

    pub(crate) fn matches(&self, event: &EventKind) -> bool {
        self.listener.matches(event)
    }

    /// Queues an event, or drops and counts it.
    pub(crate) fn push(&self, event: ListenerEvent, outstanding: &Outstanding) {
        let hub = event.event.hub.clone();
        if self.try_push(event, outstanding).is_none() {
            tracing::debug!(%hub, "the queue of an event listener is full");
            self.observer.listener_dropped(&hub);
        }
    }

    fn try_push(&self, event: ListenerEvent, outstanding: &Outstanding) -> Option<()> {
        let size = event.event.body.len() + EVENT_BYTES;
        let Listener {
            queue_events_max,
            queue_bytes_max,
            ..
        } = self.listener;
        take(&self.used.events, 1, queue_events_max.max(1))?;
        if take(&self.used.bytes, size, queue_bytes_max).is_none() {
            self.used.events.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let room = Room {
            size,
            used: Arc::clone(&self.used),
            _started: outstanding.start(usize::MAX)?,
        };
        self.sender.send(Queued { event, room }).ok()
    }
}

/// Takes so much more, unless that is more than there may be.
fn take(used: &AtomicUsize, more: usize, max: usize) -> Option<()> {
    let grow = |used: usize| used.checked_add(more).filter(|used| *used <= max);
    used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow)
        .ok()
        .map(|_| ())
}

async fn run(
    sink: Arc<dyn Sink>,
    mut receiver: mpsc::UnboundedReceiver<Queued>,
    observer: Arc<dyn Observer>,
) {
    let mut batch = Vec::new();
    while receiver.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let (events, rooms): (Vec<ListenerEvent>, Vec<Room>) = batch
            .drain(..)
            .map(|queued: Queued| (queued.event, queued.room))
            .unzip();
        let lost = match sink.deliver(&events).await {
            Ok(()) => Vec::new(),
            Err(error) => {
                tracing::warn!(%error, events = error.lost.len(), "events for a listener are lost");
                error.lost
            }
        };
        for (index, event) in events.iter().enumerate() {
            match lost.binary_search(&index) {
                Ok(_) => observer.listener_dropped(&event.event.hub),
                Err(_) => observer.listener_delivered(&event.event.hub),
            }
        }
        drop(rooms);
    }
}

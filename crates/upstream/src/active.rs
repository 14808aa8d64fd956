//! Settings in force, with what lives as long as they do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hubwire_protocol::event::EventKind;
use hubwire_protocol::names::Hub;
use hyper::Uri;
use hyper::header::HeaderValue;
use rustls::pki_types::CertificateDer;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::credential::Credential;
use crate::filter::{PresenceEvent, SystemEvent};
use crate::http::{Client, Reach};
use crate::listener::Queue;
use crate::request::Signer;
use crate::settings::{Auth, Handler, HubSettings, PrivateAddresses, Settings};

/// Settings in force. Events keep those with which they began.
pub(crate) struct Active {
    /// Without the hubs.
    pub(crate) settings: Settings,
    /// The value of `WebHook-Request-Origin`.
    pub(crate) origin: HeaderValue,
    pub(crate) signer: Signer,
    pub(crate) clients: Arc<Clients>,
    credentials: HashMap<Auth, Arc<Credential>>,
    hubs: HashMap<Hub, ActiveHub>,
    default_hub: ActiveHub,
    /// What requests to one host wait for, by its authority.
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// The handlers and listeners of a hub.
pub(crate) struct ActiveHub {
    pub(crate) handlers: Vec<Arc<Handler>>,
    pub(crate) listeners: Vec<Queue>,
}

impl Active {
    /// Puts settings into force, with the connections and tokens of those before where the same settings led to them.
    pub(crate) fn new(mut settings: Settings, before: Option<&Self>, runtime: &Handle) -> Self {
        let hubs = std::mem::take(&mut settings.hubs);
        let default_hub = std::mem::take(&mut settings.default_hub);
        let credentials = hubs
            .values()
            .chain([&default_hub])
            .flat_map(|hub| &hub.handlers)
            .map(|handler| (handler.auth.clone(), credential(&handler.auth, before)))
            .collect();
        let start = |hub: HubSettings| ActiveHub {
            handlers: hub.handlers.into_iter().map(Arc::new).collect(),
            listeners: hub
                .listeners
                .into_iter()
                .map(|listener| {
                    let mut queues = before.into_iter().flat_map(Self::queues);
                    queues
                        .find_map(|queue| queue.resume(&listener))
                        .unwrap_or_else(|| Queue::start(listener, &settings.observer, runtime))
                })
                .collect(),
        };
        Self {
            origin: origin(&settings.request_origins),
            signer: Signer::new(&settings.access_keys),
            clients: clients(&settings, before),
            credentials,
            hubs: hubs
                .into_iter()
                .map(|(hub, settings)| (hub, start(settings)))
                .collect(),
            default_hub: start(default_hub),
            hosts: Mutex::default(),
            settings,
        }
    }

    /// Returns what holds for a hub. Source: events-and-operations 2.
    pub(crate) fn hub(&self, hub: &Hub) -> &ActiveHub {
        self.hubs.get(hub).unwrap_or(&self.default_hub)
    }

    /// Returns the hubs that have settings of their own.
    pub(crate) fn hubs(&self) -> impl Iterator<Item = (&Hub, &ActiveHub)> {
        self.hubs.iter()
    }

    fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.hubs
            .values()
            .chain([&self.default_hub])
            .flat_map(|hub| &hub.listeners)
    }

    /// Returns what proves to a handler who the service is, if anything does.
    pub(crate) fn credential(&self, handler: &Handler) -> Option<&Credential> {
        if handler.auth == Auth::None {
            return None;
        }
        self.credentials
            .get(&handler.auth)
            .map(|credential| &**credential)
    }

    /// Waits for a place among the requests to the host of a URL.
    pub(crate) async fn place(&self, uri: &Uri) -> Option<OwnedSemaphorePermit> {
        let host = uri.authority()?.as_str().to_ascii_lowercase();
        let semaphore = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            // Hosts hold no parameters, so there are no more of them than handlers.
            let places = self
                .settings
                .requests_per_host_max
                .clamp(1, Semaphore::MAX_PERMITS);
            Arc::clone(
                hosts
                    .entry(host)
                    .or_insert_with(|| Arc::new(Semaphore::new(places))),
            )
        };
        semaphore.acquire_owned().await.ok()
    }

    /// Tells whether a handler that names these origins agrees to get events. Source: events-and-operations 3.
    pub(crate) fn is_origin(&self, allowed: &str) -> bool {
        let Settings {
            request_origins,
            accepted_origins,
            ..
        } = &self.settings;
        let mut known = request_origins.iter().chain(accepted_origins);
        let is_whole = self
            .origin
            .to_str()
            .is_ok_and(|origin| !origin.is_empty() && origin.eq_ignore_ascii_case(allowed));
        is_whole || allowed == "*" || known.any(|origin| origin.eq_ignore_ascii_case(allowed))
    }
}

impl ActiveHub {
    /// Returns the first handler of an event. Source: events-and-operations 2.
    pub(crate) fn handler(&self, event: &EventKind) -> Option<&Arc<Handler>> {
        self.handlers.iter().find(|handler| handles(handler, event))
    }

    pub(crate) fn wants_connect(&self) -> bool {
        let mut handlers = self.handlers.iter();
        handlers.any(|handler| handler.system_events.contains(&SystemEvent::Connect))
    }
}

fn handles(handler: &Handler, event: &EventKind) -> bool {
    let system = |event| handler.system_events.contains(&event);
    let presence = |event, group| {
        let presence = handler.group_presence.as_ref();
        presence.is_some_and(|presence| presence.matches(event, group))
    };
    match event {
        EventKind::Connect(_) => system(SystemEvent::Connect),
        EventKind::Connected => system(SystemEvent::Connected),
        EventKind::Disconnected { .. } => system(SystemEvent::Disconnected),
        EventKind::User { name, .. } => handler.user_event_pattern.matches(name),
        EventKind::Joined { group } => presence(PresenceEvent::Joined, group),
        EventKind::Left { group } => presence(PresenceEvent::Left, group),
    }
}

fn origin(origins: &[String]) -> HeaderValue {
    HeaderValue::from_str(&origins.join(", ")).unwrap_or_else(|_| {
        tracing::error!("a request origin holds a character that a header cannot have");
        HeaderValue::from_static("")
    })
}

fn credential(auth: &Auth, before: Option<&Active>) -> Arc<Credential> {
    let known = before.and_then(|before| before.credentials.get(auth));
    known.map_or_else(|| Arc::new(Credential::new(auth.clone())), Arc::clone)
}

fn clients(settings: &Settings, before: Option<&Active>) -> Arc<Clients> {
    let reach = Reach::Handlers(settings.private_addresses);
    let known = before
        .map(|before| &before.clients)
        .filter(|clients| clients.reach == reach && clients.certificates == settings.certificates);
    known.map_or_else(
        || {
            Arc::new(Clients::new(
                settings.private_addresses,
                settings.certificates.clone(),
            ))
        },
        Arc::clone,
    )
}

/// The clients of HTTP, made when they are first needed, since they read the certificates of the system.
pub(crate) struct Clients {
    reach: Reach,
    certificates: Vec<CertificateDer<'static>>,
    handlers: OnceLock<Client>,
    metadata: OnceLock<Client>,
}

impl Clients {
    fn new(private: PrivateAddresses, certificates: Vec<CertificateDer<'static>>) -> Self {
        Self {
            reach: Reach::Handlers(private),
            certificates,
            handlers: OnceLock::new(),
            metadata: OnceLock::new(),
        }
    }

    /// For handlers, and whoever issues tokens for them.
    pub(crate) fn handlers(&self) -> &Client {
        self.handlers
            .get_or_init(|| Client::new(self.reach, &self.certificates))
    }

    /// For the metadata service.
    pub(crate) fn metadata(&self) -> &Client {
        self.metadata
            .get_or_init(|| Client::new(Reach::Metadata, &self.certificates))
    }
}

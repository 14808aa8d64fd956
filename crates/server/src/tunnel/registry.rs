//! Which tunnels there are. Source: events-and-operations 7.3.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hubwire_protocol::names::Hub;
use hubwire_upstream::{Tunnel, TunnelError, TunnelFuture, TunnelRequest};
use hyper::{Response, StatusCode};
use tokio::sync::watch;
use uuid::Uuid;

use super::link::{Failure, Link};
use super::session::Session;
use crate::metrics::Metrics;

/// Tunnels that a hub may have; a developer has one. Further ones are refused.
const TUNNELS_PER_HUB_MAX: usize = 128;

/// The connected tunnels of all hubs.
pub(crate) struct Tunnels {
    pub(super) metrics: Arc<Metrics>,
    hubs: Mutex<HashMap<Hub, Vec<Arc<Link>>>>,
    /// Each tunnel subscribes to it.
    shutdown: watch::Sender<bool>,
}

impl Tunnels {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            hubs: Mutex::default(),
            shutdown: watch::channel(false).0,
        }
    }

    /// Makes a tunnel of a hub, to which requests go from now on; they wait until it has its socket. `None` if there are too many.
    pub(super) fn connect(self: &Arc<Self>, hub: Hub, user: Option<String>) -> Option<Session> {
        let (link, queued) = Link::new(Uuid::new_v4().to_string());
        let link = Arc::new(link);
        {
            let mut hubs = self.lock();
            let links = hubs.entry(hub.clone()).or_default();
            if links.len() >= TUNNELS_PER_HUB_MAX {
                return None;
            }
            links.push(link.clone());
        }
        self.metrics.count_tunnel(&hub, 1);
        let shutdown = self.shutdown.subscribe();
        Some(Session::new(
            self.clone(),
            hub,
            user,
            link,
            queued,
            shutdown,
        ))
    }

    /// Forgets a tunnel; its requests fail.
    pub(super) fn disconnect(&self, hub: &Hub, link: &Arc<Link>) {
        {
            let mut hubs = self.lock();
            if let Some(links) = hubs.get_mut(hub) {
                links.retain(|other| !Arc::ptr_eq(other, link));
                if links.is_empty() {
                    hubs.remove(hub);
                }
            }
        }
        link.close();
        self.metrics.count_tunnel(hub, -1);
    }

    /// Closes all tunnels with 1001, and returns when they are gone. To be called when no event is to be delivered any more; the
    /// caller bounds the wait.
    pub(crate) async fn shut_down(&self) {
        self.shutdown.send_replace(true);
        self.shutdown.closed().await;
    }

    /// Picks the tunnel with the highest hash of its id and the connection's: the connections of one that goes are spread over the
    /// others, and those of the others stay where they are.
    fn pick(&self, hub: &Hub, connection_id: &str) -> Option<Arc<Link>> {
        let hubs = self.lock();
        let links = hubs.get(hub)?;
        let score = |link: &&Arc<Link>| {
            let mut hasher = DefaultHasher::new();
            (&link.id, connection_id).hash(&mut hasher);
            hasher.finish()
        };
        links.iter().max_by_key(score).cloned()
    }

    async fn send(
        &self,
        hub: &Hub,
        connection_id: &str,
        request: TunnelRequest,
    ) -> Result<Response<Bytes>, TunnelError> {
        let mut count = Count {
            metrics: &self.metrics,
            outcome: "abandoned",
        };
        let Some(link) = self.pick(hub, connection_id) else {
            count.outcome = "no_tunnel";
            return Err(TunnelError);
        };
        let failure = match link.request(request).await {
            Ok(response) => {
                count.outcome = "answered";
                return Ok(response);
            }
            Err(failure) => failure,
        };
        tracing::warn!(%hub, tunnel = link.id, %failure, "a tunnel did not answer a request");
        count.outcome = match failure {
            Failure::Lost => "lost",
            Failure::Busy => "busy",
            Failure::RequestTooLong | Failure::ResponseTooLong => "too_long",
        };
        match failure {
            Failure::Lost | Failure::Busy => Err(TunnelError),
            // As if the handler had said so: another attempt would end the same way.
            Failure::RequestTooLong | Failure::ResponseTooLong => {
                let mut response = Response::new(Bytes::from(failure.to_string()));
                *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
                Ok(response)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Hub, Vec<Arc<Link>>>> {
        self.hubs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tunnel for Tunnels {
    fn request<'a>(
        &'a self,
        hub: &'a Hub,
        connection_id: &'a str,
        request: TunnelRequest,
    ) -> TunnelFuture<'a> {
        Box::pin(self.send(hub, connection_id, request))
    }
}

impl std::fmt::Debug for Tunnels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tunnels").finish_non_exhaustive()
    }
}

/// Counts a request when it ends, however that is.
struct Count<'a> {
    metrics: &'a Metrics,
    outcome: &'static str,
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.metrics.count_tunnel_request(self.outcome);
    }
}

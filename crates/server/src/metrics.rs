//! What the service counts, under the names of its metrics. Source: events-and-operations 10.2.

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hubwire_engine::{Ended, Started};
use hubwire_protocol::names::Hub;
use hubwire_protocol::subprotocol::Subprotocol;
use hubwire_upstream::{Kind, Observer};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Content type of what [`Metrics::render`] returns.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Hubs that get a label of their own; the names of further ones, which callers choose, share [`OTHER_HUBS`].
const HUB_LABELS_MAX: usize = 1000;
const OTHER_HUBS: &str = "_other";
const SECONDS: [f64; 9] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HubProtocol {
    hub: String,
    protocol: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HubCategory {
    hub: String,
    category: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HubLabel {
    hub: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Handled {
    hub: String,
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Category {
    category: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfHub {
    hub: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Traffic {
    direction: &'static str,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClientRequest {
    client_type: &'static str,
    status: u16,
}

/// All metrics of the process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    hubs: Mutex<HashSet<String>>,
    connections: Family<HubProtocol, Gauge>,
    opened: Family<HubProtocol, Counter>,
    closed: Family<HubCategory, Counter>,
    traffic: Family<Traffic, Counter>,
    rest_seconds: Family<Category, Histogram>,
    client_requests: Family<ClientRequest, Counter>,
    send_queue_bytes: Gauge,
    groups: Gauge,
    reliable_buffer_messages: Gauge,
    reliable_buffer_bytes: Gauge,
    detached_connections: Gauge,
    recoveries: Family<Outcome, Counter>,
    event_handler_seconds: Family<Handled, Histogram>,
    event_handler_retries: Counter,
    event_bytes: Gauge,
    abuse_protection_failures: Counter,
    event_notifications_dropped: Family<HubLabel, Counter>,
    listener_delivered: Family<HubLabel, Counter>,
    listener_dropped: Family<HubLabel, Counter>,
    connection_limit_ratio: Gauge<f64, AtomicU64>,
    shard_panics: Counter,
    tunnels: Family<OfHub, Gauge>,
    tunnel_requests: Family<Outcome, Counter>,
    identity_key_refreshes: Family<Outcome, Counter>,
}

impl Metrics {
    /// Makes metrics that are all zero; the ratio of connections to their limit is shown only if there is one.
    pub(crate) fn new(has_connection_limit: bool) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("hubwire"),
            hubs: Mutex::default(),
            connections: Family::default(),
            opened: Family::default(),
            closed: Family::default(),
            traffic: Family::default(),
            rest_seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            client_requests: Family::default(),
            send_queue_bytes: Gauge::default(),
            groups: Gauge::default(),
            reliable_buffer_messages: Gauge::default(),
            reliable_buffer_bytes: Gauge::default(),
            detached_connections: Gauge::default(),
            recoveries: Family::default(),
            event_handler_seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            event_handler_retries: Counter::default(),
            event_bytes: Gauge::default(),
            abuse_protection_failures: Counter::default(),
            event_notifications_dropped: Family::default(),
            listener_delivered: Family::default(),
            listener_dropped: Family::default(),
            connection_limit_ratio: Gauge::default(),
            shard_panics: Counter::default(),
            tunnels: Family::default(),
            tunnel_requests: Family::default(),
            identity_key_refreshes: Family::default(),
        };
        let registry = &mut metrics.registry;
        registry.register(
            "connections",
            "Connections that exist",
            metrics.connections.clone(),
        );
        registry.register(
            "connections_opened",
            "Connections opened",
            metrics.opened.clone(),
        );
        registry.register(
            "connections_closed",
            "Connections ended, by the reason's category",
            metrics.closed.clone(),
        );
        registry.register(
            "traffic_bytes",
            "Bytes on sockets and in bodies",
            metrics.traffic.clone(),
        );
        registry.register(
            "rest_request_seconds",
            "Time from a REST request's head to its answer",
            metrics.rest_seconds.clone(),
        );
        registry.register(
            "client_requests",
            "Client handshakes answered, by HTTP status",
            metrics.client_requests.clone(),
        );
        registry.register(
            "send_queue_bytes",
            "Bytes waiting for clients that read more slowly than they are sent to",
            metrics.send_queue_bytes.clone(),
        );
        registry.register(
            "groups",
            "Groups with members, counted once for each shard that has some",
            metrics.groups.clone(),
        );
        registry.register(
            "reliable_buffer_messages",
            "Messages that reliable connections have not acknowledged",
            metrics.reliable_buffer_messages.clone(),
        );
        registry.register(
            "reliable_buffer_bytes",
            "Memory that these take",
            metrics.reliable_buffer_bytes.clone(),
        );
        registry.register(
            "detached_connections",
            "Reliable connections that have lost their socket and may recover",
            metrics.detached_connections.clone(),
        );
        registry.register(
            "recoveries",
            "Recoveries of reliable connections that clients have tried, by their outcome",
            metrics.recoveries.clone(),
        );
        metrics.register_events();
        let registry = &mut metrics.registry;
        if has_connection_limit {
            registry.register(
                "connection_limit_ratio",
                "Connections that exist, as a share of those that may",
                metrics.connection_limit_ratio.clone(),
            );
        }
        registry.register(
            "shard_panics",
            "Bugs that a shard has survived; each dropped at most one connection",
            metrics.shard_panics.clone(),
        );
        registry.register("tunnels", "Tunnels that exist", metrics.tunnels.clone());
        registry.register(
            "tunnel_requests",
            "Requests to handlers behind tunnels, by their outcome",
            metrics.tunnel_requests.clone(),
        );
        registry.register(
            "identity_key_refreshes",
            "Times that the keys of an issuer were asked for, by their outcome",
            metrics.identity_key_refreshes.clone(),
        );
        metrics
    }

    fn register_events(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "event_handler_seconds",
            "Time that event handlers took, retries included",
            self.event_handler_seconds.clone(),
        );
        registry.register(
            "event_handler_retries",
            "Requests to event handlers that were repeated",
            self.event_handler_retries.clone(),
        );
        registry.register(
            "event_bytes",
            "Data of events whose handlers are being asked",
            self.event_bytes.clone(),
        );
        registry.register(
            "abuse_protection_failures",
            "Event handlers that did not agree to get events, or could not be asked",
            self.abuse_protection_failures.clone(),
        );
        registry.register(
            "event_notifications_dropped",
            "Notifications that event handlers did not get, since too many were under way",
            self.event_notifications_dropped.clone(),
        );
        registry.register(
            "listener_delivered",
            "Events that event listeners have got",
            self.listener_delivered.clone(),
        );
        registry.register(
            "listener_dropped",
            "Events that event listeners did not get",
            self.listener_dropped.clone(),
        );
    }

    fn count_for(&self, family: &Family<HubLabel, Counter>, hub: &Hub) {
        let hub = self.hub_label(hub);
        family.get_or_create(&HubLabel { hub }).inc();
    }

    /// Returns everything in the OpenMetrics text form.
    pub(crate) fn render(&self, connection_limit_ratio: f64) -> String {
        self.connection_limit_ratio.set(connection_limit_ratio);
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }

    /// Counts a recovery that a client has tried.
    pub(crate) fn count_recovery(&self, outcome: &'static str) {
        self.recoveries.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts a tunnel that has come (1) or gone (-1).
    pub(crate) fn count_tunnel(&self, hub: &Hub, change: i64) {
        let hub = self.hub_label(hub);
        self.tunnels.get_or_create(&OfHub { hub }).inc_by(change);
    }

    /// Counts a request to a handler behind a tunnel.
    pub(crate) fn count_tunnel_request(&self, outcome: &'static str) {
        self.tunnel_requests
            .get_or_create(&Outcome { outcome })
            .inc();
    }

    /// Counts that an issuer of identity tokens was asked for its keys.
    pub(crate) fn count_identity_refresh(&self, outcome: &'static str) {
        self.identity_key_refreshes
            .get_or_create(&Outcome { outcome })
            .inc();
    }

    fn count_started(&self, started: &Started) {
        let labels = HubProtocol {
            hub: self.hub_label(&started.hub),
            protocol: protocol_label(started.subprotocol),
        };
        self.connections.get_or_create(&labels).inc();
        self.opened.get_or_create(&labels).inc();
    }

    pub(crate) fn count_client_request(&self, status: u16) {
        let labels = ClientRequest {
            client_type: "WebPubSub",
            status,
        };
        self.client_requests.get_or_create(&labels).inc();
    }

    pub(crate) fn observe_rest(&self, category: &'static str, took: Duration, received: usize) {
        let labels = Category { category };
        self.rest_seconds
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
        self.count_traffic("inbound", "rest", received);
    }

    /// Returns the bytes that wait for all clients, or for their acknowledgement.
    pub(crate) fn queued_bytes(&self) -> usize {
        let bytes = self.send_queue_bytes.get() + self.reliable_buffer_bytes.get();
        usize::try_from(bytes).unwrap_or(0)
    }

    /// Returns the bytes that wait for clients and for event handlers.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.queued_bytes() + usize::try_from(self.event_bytes.get()).unwrap_or(0)
    }

    fn count_ended(&self, ended: &Ended) {
        let hub = self.hub_label(&ended.hub);
        let labels = HubProtocol {
            hub: hub.clone(),
            protocol: protocol_label(ended.subprotocol),
        };
        self.connections.get_or_create(&labels).dec();
        let category = ended.category.as_str();
        self.closed
            .get_or_create(&HubCategory { hub, category })
            .inc();
    }

    fn count_traffic(&self, direction: &'static str, kind: &'static str, bytes: usize) {
        if bytes > 0 {
            let labels = Traffic { direction, kind };
            self.traffic.get_or_create(&labels).inc_by(bytes as u64);
        }
    }

    fn hub_label(&self, hub: &Hub) -> String {
        let mut hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = hubs.contains(hub.as_str());
        if !is_known && hubs.len() >= HUB_LABELS_MAX {
            return OTHER_HUBS.to_owned();
        }
        if !is_known {
            hubs.insert(hub.as_str().to_owned());
        }
        hub.as_str().to_owned()
    }
}

impl Observer for Metrics {
    fn handled(
        &self,
        hub: &Hub,
        kind: Kind,
        outcome: hubwire_upstream::Outcome,
        elapsed: Duration,
    ) {
        let labels = Handled {
            hub: self.hub_label(hub),
            kind: kind.as_str(),
            outcome: outcome.as_str(),
        };
        self.event_handler_seconds
            .get_or_create(&labels)
            .observe(elapsed.as_secs_f64());
    }

    fn retried(&self) {
        self.event_handler_retries.inc();
    }

    fn abuse_protection_failed(&self) {
        self.abuse_protection_failures.inc();
    }

    fn notification_dropped(&self, hub: &Hub) {
        self.count_for(&self.event_notifications_dropped, hub);
    }

    fn listener_delivered(&self, hub: &Hub) {
        self.count_for(&self.listener_delivered, hub);
    }

    fn listener_dropped(&self, hub: &Hub) {
        self.count_for(&self.listener_dropped, hub);
    }
}

fn protocol_label(subprotocol: Subprotocol) -> &'static str {
    subprotocol.name().unwrap_or("none")
}

/// The data of an event whose handler is asked, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct EventWaiting {
    gauge: Gauge,
    bytes: i64,
}

impl Drop for EventWaiting {
    fn drop(&mut self) {
        self.gauge.dec_by(self.bytes);
    }
}

/// What a shard has at the end of a turn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ShardCounts {
    pub(crate) groups: usize,
    pub(crate) unacked_messages: usize,
    /// Of all shards together; one alone may be negative.
    pub(crate) unacked_bytes: isize,
    pub(crate) detached_connections: usize,
}

/// A shard's share, added up in the shard and published once a turn.
#[derive(Debug)]
pub(crate) struct ShardMetrics {
    metrics: Arc<Metrics>,
    received: usize,
    sent: usize,
    queued: i64,
    /// Bytes that wait for this shard's clients.
    waiting: i64,
    counts: ShardCounts,
}

impl ShardMetrics {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            received: 0,
            sent: 0,
            queued: 0,
            waiting: 0,
            counts: ShardCounts::default(),
        }
    }

    pub(crate) fn count_received(&mut self, bytes: usize) {
        self.received += bytes;
    }

    pub(crate) fn count_sent(&mut self, bytes: usize) {
        self.sent += bytes;
    }

    pub(crate) fn change_queued(&mut self, before: usize, after: usize) {
        self.queued += after as i64 - before as i64;
        self.waiting += after as i64 - before as i64;
    }

    /// Counts the data of an event while its handler is asked.
    pub(crate) fn count_waiting(&self, bytes: usize) -> EventWaiting {
        let gauge = self.metrics.event_bytes.clone();
        let bytes = bytes as i64;
        gauge.inc_by(bytes);
        EventWaiting { gauge, bytes }
    }

    pub(crate) fn count_panic(&self) {
        self.metrics.shard_panics.inc();
    }

    pub(crate) fn count_started(&self, started: &Started) {
        self.metrics.count_started(started);
    }

    pub(crate) fn count_ended(&self, ended: &Ended) {
        self.metrics.count_ended(ended);
        tracing::info!(
            target: "hubwire::connectivity",
            hub = %ended.hub,
            connection_id = %ended.id,
            category = ended.category.as_str(),
            reason = ended.reason,
            "connection ended"
        );
    }

    /// Returns the bytes that wait for this shard's clients, or for their acknowledgement.
    pub(crate) fn waiting_bytes(&self) -> usize {
        let bytes = self.waiting + self.counts.unacked_bytes as i64;
        usize::try_from(bytes).unwrap_or(0)
    }

    /// Returns the bytes that wait for all clients, other shards' as of their last turns.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.metrics.queued_bytes()
    }

    /// Adds this turn's share to the process's metrics.
    pub(crate) fn publish(&mut self, counts: ShardCounts) {
        let (received, sent) = (
            std::mem::take(&mut self.received),
            std::mem::take(&mut self.sent),
        );
        self.metrics.count_traffic("inbound", "client", received);
        self.metrics.count_traffic("outbound", "client", sent);
        let queued = std::mem::take(&mut self.queued);
        if queued != 0 {
            self.metrics.send_queue_bytes.inc_by(queued);
        }
        let before = std::mem::replace(&mut self.counts, counts);
        add_change(&self.metrics.groups, before.groups, counts.groups);
        add_change(
            &self.metrics.reliable_buffer_messages,
            before.unacked_messages,
            counts.unacked_messages,
        );
        let unacked_bytes = counts.unacked_bytes - before.unacked_bytes;
        if unacked_bytes != 0 {
            self.metrics
                .reliable_buffer_bytes
                .inc_by(unacked_bytes as i64);
        }
        add_change(
            &self.metrics.detached_connections,
            before.detached_connections,
            counts.detached_connections,
        );
    }
}

fn add_change(gauge: &Gauge, before: usize, after: usize) {
    if before != after {
        gauge.inc_by(after as i64 - before as i64);
    }
}

//! Where events go, and that it follows the configuration. Source: events-and-operations 2, 8 and 9.2.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hubwire_upstream::{
    ListenerEvent, PrivateAddresses, Settings, Sink, SinkError, SinkFuture, Upstream,
};

use crate::config::{Config, ListenerEndpoint};
use crate::metrics::Metrics;
use crate::sinks;
use crate::tunnel::Tunnels;
use crate::upstream_settings::{Surroundings, upstream_settings};

/// The handlers and listeners of all hubs, with what of them outlives a change of the configuration.
pub(crate) struct Events {
    upstream: Upstream,
    around: Around,
}

struct Around {
    bound: Vec<SocketAddr>,
    metrics: Arc<Metrics>,
    tunnels: Arc<Tunnels>,
    /// Where events of the listeners of now go. A listener that a change leaves as it is keeps its connections.
    sinks: Mutex<Vec<KnownSink>>,
}

/// A sink, with all that it was made of.
struct KnownSink {
    endpoint: ListenerEndpoint,
    private_addresses: PrivateAddresses,
    sink: Arc<dyn Sink>,
}

impl Events {
    /// Starts to deliver. `bound` are the addresses that are listened on.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub(crate) fn start(
        config: &Config,
        bound: Vec<SocketAddr>,
        metrics: Arc<Metrics>,
        tunnels: Arc<Tunnels>,
    ) -> Self {
        let around = Around {
            bound,
            metrics,
            tunnels,
            sinks: Mutex::default(),
        };
        let events = Self {
            upstream: Upstream::new(around.settings(config)),
            around,
        };
        events.validate(config);
        events
    }

    /// Returns what delivers.
    pub(crate) fn upstream(&self) -> Upstream {
        self.upstream.clone()
    }

    /// Delivers as another configuration says from now on. Events under way end under the one before.
    pub(crate) fn replace(&self, config: &Config) {
        self.upstream.replace(self.around.settings(config));
        self.validate(config);
    }

    /// Warns of event handlers that do not agree to get events, where the configuration wants to know beforehand.
    fn validate(&self, config: &Config) {
        if !config.upstream.validate_on_load {
            return;
        }
        let upstream = self.upstream.clone();
        tokio::spawn(async move {
            for url in upstream.validate().await {
                tracing::warn!(url, "an event handler does not agree to get events");
            }
        });
    }
}

impl Around {
    fn settings(&self, config: &Config) -> Settings {
        let mut known = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = Vec::new();
        let private_addresses = config.private_addresses();
        let settings = upstream_settings(
            config,
            Surroundings {
                bound: &self.bound,
                observer: self.metrics.clone(),
                tunnel: Some(self.tunnels.clone()),
                sinks: &mut |endpoint| {
                    let same = known.iter().position(|known| {
                        known.endpoint == *endpoint && known.private_addresses == private_addresses
                    });
                    let sink = match same {
                        Some(index) => known.remove(index).sink,
                        None => sinks::sink(endpoint, private_addresses)
                            .unwrap_or_else(|error| Arc::new(Unusable(error.to_string()))),
                    };
                    kept.push(KnownSink {
                        endpoint: endpoint.clone(),
                        private_addresses,
                        sink: sink.clone(),
                    });
                    sink
                },
            },
        );
        *known = kept;
        settings
    }
}

/// Where the events of a listener go that cannot be used, which a configuration that was loaded does not have.
struct Unusable(String);

impl Sink for Unusable {
    fn deliver<'a>(&'a self, events: &'a [ListenerEvent]) -> SinkFuture<'a> {
        Box::pin(async { Err(SinkError::all(&self.0, events)) })
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

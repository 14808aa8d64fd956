//! One request: which part of the service answers it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, Version};
use ipnet::IpNet;
use tokio::sync::Semaphore;

use crate::auth::Auth;
use crate::config::{Config, Roles};
use crate::events::Events;
use crate::firewall::Firewall;
use crate::identity::Identities;
use crate::metrics::{self, Metrics};
use crate::node::Node;
use crate::tls::ClientCertificates;
use crate::tunnel::Tunnels;
use crate::{rest, tunnel, upgrade};

pub(crate) type Response = hyper::Response<Full<Bytes>>;

/// Seconds after which a refused client or caller may try again.
pub(crate) const RETRY_AFTER_SECONDS: &str = "1";

/// All that answering a request needs. A request keeps the one that it began with when another takes its place.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) config: Arc<Config>,
    pub(crate) auth: Arc<Auth>,
    pub(crate) identities: Arc<Identities>,
    pub(crate) node: Arc<Node>,
    pub(crate) events: Arc<Events>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) filters: Arc<rest::Filters>,
    pub(crate) firewall: Arc<Firewall>,
    /// Clients that may be told at once that there is nothing to recover.
    pub(crate) refusals: Arc<Semaphore>,
    /// Handlers that have connected to the service.
    pub(crate) tunnels: Arc<Tunnels>,
    pub(crate) is_shutting_down: Arc<AtomicBool>,
}

/// The [`App`] of now, replaced when the configuration is.
pub(crate) type CurrentApp = Arc<ArcSwap<App>>;

/// Who asks, and where.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) addr: SocketAddr,
    pub(crate) is_tls: bool,
    /// What the listener answers.
    pub(crate) roles: Roles,
    pub(crate) certificates: ClientCertificates,
}

impl App {
    pub(crate) async fn handle(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: &Peer,
    ) -> Response {
        let is_http_1 = request.version() == Version::HTTP_11;
        let response = self.route(request, peer).await;
        match self.is_shutting_down() && is_http_1 {
            true if response.status() == StatusCode::SWITCHING_PROTOCOLS => response,
            true => with_header(response, CONNECTION, "close"),
            false => response,
        }
    }

    async fn route(self: &Arc<Self>, request: Request<Incoming>, peer: &Peer) -> Response {
        let path = request.uri().path();
        let first = path.split('/').nth(1).unwrap_or_default();
        match first {
            "api" if peer.roles.rest || peer.roles.health => {
                rest::handle(self, request, peer).await
            }
            "client" if peer.roles.client => upgrade::handle(self, request, peer).await,
            "server" if peer.roles.tunnel => tunnel::handle(self, request, peer).await,
            "healthz" if peer.roles.health => probe(request.method(), path, "/healthz", true),
            "readyz" if peer.roles.health => {
                probe(request.method(), path, "/readyz", !self.is_shutting_down())
            }
            "metrics" if peer.roles.metrics && path == "/metrics" => self.metrics(request.method()),
            _ => text(StatusCode::NOT_FOUND, "There is nothing at this path."),
        }
    }

    pub(crate) fn is_shutting_down(&self) -> bool {
        self.is_shutting_down.load(Ordering::SeqCst)
    }

    fn metrics(&self, method: &Method) -> Response {
        match *method {
            Method::GET | Method::HEAD => with_header(
                text(
                    StatusCode::OK,
                    &self.metrics.render(self.node.quotas.connection_ratio()),
                ),
                CONTENT_TYPE,
                metrics::CONTENT_TYPE,
            ),
            _ => method_not_allowed(),
        }
    }
}

/// Answers a health probe.
fn probe(method: &Method, path: &str, known_path: &str, is_good: bool) -> Response {
    if path != known_path {
        return text(StatusCode::NOT_FOUND, "There is nothing at this path.");
    }
    match *method {
        Method::GET | Method::HEAD if is_good => text(StatusCode::OK, "ok"),
        Method::GET | Method::HEAD => text(StatusCode::SERVICE_UNAVAILABLE, "shutting down"),
        _ => method_not_allowed(),
    }
}

fn method_not_allowed() -> Response {
    let response = text(
        StatusCode::METHOD_NOT_ALLOWED,
        "Only GET and HEAD are allowed here.",
    );
    with_header(response, hyper::header::ALLOW, "GET, HEAD")
}

/// Makes an answer without body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// Makes an answer of plain text.
pub(crate) fn text(status: StatusCode, body: &str) -> Response {
    let mut response = Response::new(Full::from(body.to_owned()));
    *response.status_mut() = status;
    with_header(response, CONTENT_TYPE, "text/plain; charset=utf-8")
}

pub(crate) fn with_header(
    mut response: Response,
    name: HeaderName,
    value: &'static str,
) -> Response {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
    response
}

/// Where a request was addressed to, as the client sees it: a trusted proxy's word counts for what it has changed.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    scheme: &'static str,
    /// With its port if it names one.
    pub(crate) host: String,
    /// What the proxy has cut off the path; empty, or a slash and more.
    pub(crate) prefix: String,
}

impl Origin {
    pub(crate) fn of<B>(request: &Request<B>, peer: &Peer, trusted: &[IpNet]) -> Self {
        let is_trusted = trusted
            .iter()
            .any(|net| net.contains(&peer.addr.ip().to_canonical()));
        let forwarded = |name: &str| {
            let value = request.headers().get(name).filter(|_| is_trusted)?;
            let first = value.to_str().ok()?.split(',').next()?.trim();
            (!first.is_empty()).then(|| first.to_owned())
        };
        let is_tls = match forwarded("x-forwarded-proto") {
            Some(scheme) => matches!(scheme.as_str(), "https" | "wss"),
            None => peer.is_tls,
        };
        let host = request
            .uri()
            .authority()
            .map(|authority| authority.as_str())
            .or_else(|| {
                request
                    .headers()
                    .get(HOST)
                    .and_then(|host| host.to_str().ok())
            });
        let prefix = forwarded("x-forwarded-prefix").unwrap_or_default();
        let prefix = prefix.trim_matches('/');
        Self {
            scheme: if is_tls { "https" } else { "http" },
            host: forwarded("x-forwarded-host")
                .unwrap_or_else(|| host.unwrap_or_default().to_owned()),
            prefix: match prefix {
                "" => String::new(),
                prefix => format!("/{prefix}"),
            },
        }
    }

    /// Returns a path of ours as the client addresses it.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// Returns the URL of a path of ours.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{}{path}", self.scheme, self.host, self.prefix)
    }
}

/// Returns the token of an `Authorization: Bearer` header; the scheme's letter case does not matter.
pub(crate) fn bearer_token<B>(request: &Request<B>) -> Option<&str> {
    let value = request.headers().get(hyper::header::AUTHORIZATION)?;
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

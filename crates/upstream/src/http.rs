//! Connections to handlers, and to nothing that the settings do not allow. Source: events-and-operations 9.1.

use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::{HeaderMap, Request, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OwnedSemaphorePermit;
use tower_service::Service;

use crate::settings::{PrivateAddresses, REQUESTS_PER_HOST_MAX_DEFAULT};
use crate::url_template::literal_address;

/// Time to connect to one host, all its addresses included. Source: ours, so that an attempt to a host that is gone leaves time
/// for the others.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time that a connection without a request is kept. Source: ours, below the usual minute after which servers close.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// Connections without a request that are kept for a host. Source: ours, as many as there may be requests to it by default. With
/// fewer a host with many requests is connected to again and again.
const IDLE_PER_HOST_MAX: usize = REQUESTS_PER_HOST_MAX_DEFAULT;
/// Time between pings of an HTTP/2 connection with requests, so that a host that is gone is found out.
const PING_INTERVAL: Duration = Duration::from_secs(20);

type BoxError = Box<dyn Error + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// A host has no address that the service may connect to.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the address of the host is private or that of a metadata service")]
struct AddressRefused;

/// No response came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The host has no address that the service may connect to.
    #[error("{AddressRefused}")]
    AddressRefused,
    /// Anything else. The text names no URL.
    #[error("{0}")]
    Network(String),
}

/// Sends requests and reuses connections.
#[derive(Clone)]
pub(crate) struct Client(legacy::Client<HttpsConnector<CheckedConnector>, Full<Bytes>>);

/// Which addresses a client connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Those that handlers may have.
    Handlers(PrivateAddresses),
    /// Any; for the metadata service, whose URL is in the settings as such.
    Metadata,
}

impl Client {
    pub(crate) fn new(reach: Reach, certificates: &[CertificateDer<'static>]) -> Self {
        let mut http = HttpConnector::new_with_resolver(Resolver(reach));
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls(certificates))
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(CheckedConnector { reach, http });
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .http2_keep_alive_interval(PING_INTERVAL)
            .build(https);
        Self(client)
    }

    /// Sends a request. Dropping the future takes it back.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Result<Answer, SendError> {
        let response = self.0.request(request.map(Full::new)).await;
        let (head, body) = response.map_err(|error| send_error(&error))?.into_parts();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: AnswerBody::Incoming(body),
            _permit: None,
        })
    }
}

fn send_error(error: &legacy::Error) -> SendError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<AddressRefused>() {
            return SendError::AddressRefused;
        }
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    SendError::Network(text)
}

/// A response whose body is not read yet.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: AnswerBody,
    /// The place among the requests to the host, until the body is read.
    pub(crate) _permit: Option<OwnedSemaphorePermit>,
}

/// The body of a response.
pub(crate) enum AnswerBody {
    Incoming(Incoming),
    Whole(Bytes),
}

/// The body of a response cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body is longer than {0} bytes")]
    TooLong(usize),
    #[error("the body broke off: {0}")]
    Network(String),
    #[error("the body did not come in time")]
    Timeout,
}

impl AnswerBody {
    /// Reads the body up to a length and within a time.
    pub(crate) async fn read(self, max: usize, timeout: Duration) -> Result<Bytes, BodyError> {
        let body = match self {
            Self::Whole(body) if body.len() > max => return Err(BodyError::TooLong(max)),
            Self::Whole(body) => return Ok(body),
            Self::Incoming(body) => body,
        };
        if body.size_hint().lower() > u64::try_from(max).unwrap_or(u64::MAX) {
            return Err(BodyError::TooLong(max));
        }
        let collected = tokio::time::timeout(timeout, Limited::new(body, max).collect()).await;
        match collected {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                Err(BodyError::TooLong(max))
            }
            Ok(Err(error)) => Err(BodyError::Network(error.to_string())),
            Err(_) => Err(BodyError::Timeout),
        }
    }
}

pub(crate) fn tls(certificates: &[CertificateDer<'static>]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(system_certificates().iter().cloned());
    let (_, ignored) = roots.add_parsable_certificates(certificates.iter().cloned());
    if ignored > 0 {
        tracing::warn!(ignored, "certificates for event handlers are malformed");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the cipher suites of the protocol versions that are compiled in")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Reads the certificates of the operating system, once.
fn system_certificates() -> &'static [CertificateDer<'static>] {
    static CERTIFICATES: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    CERTIFICATES.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        if found.certs.is_empty() {
            tracing::warn!(
                "the system has no certificates that vouch for event handlers with https"
            );
        }
        found.certs
    })
}

/// Connects to hosts, and refuses those that are written as an address that is not allowed.
#[derive(Clone)]
struct CheckedConnector {
    reach: Reach,
    http: HttpConnector<Resolver>,
}

impl Service<Uri> for CheckedConnector {
    type Response = <HttpConnector<Resolver> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.http.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        // A literal address never reaches the resolver.
        if literal_address(&uri).is_some_and(|address| !self.reach.allows(address)) {
            return Box::pin(std::future::ready(Err(AddressRefused.into())));
        }
        let connecting = self.http.call(uri);
        Box::pin(async move { connecting.await.map_err(Into::into) })
    }
}

impl Reach {
    fn allows(self, address: std::net::IpAddr) -> bool {
        match self {
            Self::Handlers(private) => private.allows(address),
            Self::Metadata => true,
        }
    }
}

/// Resolves names, and leaves out the addresses that are not allowed: what is checked is what is connected to, so that a name
/// cannot be resolved otherwise in between.
#[derive(Clone)]
struct Resolver(Reach);

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self(reach) = *self;
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found
                .iter()
                .copied()
                .filter(|address| reach.allows(address.ip()))
                .collect();
            match allowed.is_empty() && !found.is_empty() {
                true => Err(AddressRefused.into()),
                false => Ok(allowed.into_iter()),
            }
        })
    }
}

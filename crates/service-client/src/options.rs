//! How a client and a call behave.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use azure_core::http::ClientOptions;
use azure_core::http::headers::Headers;

/// Options of a [`WebPubSubServiceClient`](crate::WebPubSubServiceClient).
///
/// ```
/// use hubwire_service_client::{RetryOptions, WebPubSubServiceClientOptions};
/// use std::time::Duration;
///
/// let options = WebPubSubServiceClientOptions {
///     timeout: Some(Duration::from_secs(30)),
///     retry: RetryOptions { sends: false, ..Default::default() },
///     ..Default::default()
/// };
/// # let _ = options;
/// ```
#[derive(Clone)]
pub struct WebPubSubServiceClientOptions {
    /// The version of the REST API that requests name. Default `2024-12-01`.
    pub api_version: String,
    /// A proxy that forwards to the service, such as an API gateway: requests go there, and are signed for the endpoint.
    pub reverse_proxy_endpoint: Option<String>,
    /// A name that tokens made with an access key carry for the service's logs.
    pub user: Option<String>,
    /// What requests log.
    pub logging: LoggingOptions,
    /// When requests are sent again.
    pub retry: RetryOptions,
    /// Bound of a call, retries and waits included. Default none.
    pub timeout: Option<Duration>,
    /// The whole `User-Agent` of requests, instead of the usual one.
    pub user_agent: Option<String>,
    /// How connections are made. Without effect where `client_options.transport` is given.
    pub transport: TransportOptions,
    /// What tells the time for tokens and for waiting.
    pub clock: Clock,
    /// Options of the pipeline: policies, transport, instrumentation. Its `retry` and `logging` are without effect: see
    /// [`Self::retry`] and [`Self::logging`].
    pub client_options: ClientOptions,
}

impl Default for WebPubSubServiceClientOptions {
    fn default() -> Self {
        Self {
            api_version: crate::models::API_VERSION.to_owned(),
            reverse_proxy_endpoint: None,
            user: None,
            logging: LoggingOptions::default(),
            retry: RetryOptions::default(),
            timeout: None,
            user_agent: None,
            transport: TransportOptions::default(),
            clock: Clock::default(),
            client_options: ClientOptions::default(),
        }
    }
}

impl fmt::Debug for WebPubSubServiceClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebPubSubServiceClientOptions")
            .field("api_version", &self.api_version)
            .field("reverse_proxy_endpoint", &self.reverse_proxy_endpoint)
            .field("logging", &self.logging)
            .field("retry", &self.retry)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// What requests log, by `tracing`.
///
/// Target `hubwire_service_client::http` gets a summary of each request and response at level `INFO`: method, address, status,
/// headers and time, with values that are not on a list of harmless ones as `REDACTED`. Target `hubwire_service_client::http::trace`
/// gets everything at level `DEBUG`, bodies included, when [`LoggingOptions::enabled`] or [`RequestOptions::logging`] says so.
/// Secrets are masked in both.
///
/// ```
/// use hubwire_service_client::LoggingOptions;
/// let logging = LoggingOptions { enabled: true, ..Default::default() };
/// # let _ = logging;
/// ```
#[derive(Clone, Debug, Default)]
pub struct LoggingOptions {
    /// Whether requests are logged in full. Default no.
    pub enabled: bool,
    /// Names of further headers whose values the summary shows.
    pub allowed_headers: Vec<String>,
    /// Names of further query parameters whose values the summary shows.
    pub allowed_query: Vec<String>,
}

/// When requests are sent again. The defaults are those of the official Python package.
///
/// Failures to connect are always worth another try. Answers of status 408, 429, 500, 502, 503, 504 and from 506 on are, except that a
/// `POST` is only sent again after 500, 503 and 504. A `Retry-After` header makes any error status worth another try and sets the
/// wait. A connection that fails while the answer is awaited is for requests other than `POST`.
///
/// A message may be delivered twice when a send is sent again: see [`RetryOptions::sends`].
///
/// ```
/// use hubwire_service_client::RetryOptions;
/// let retry = RetryOptions { status: 5, ..Default::default() };
/// assert_eq!(RetryOptions::none().total, 0);
/// # let _ = retry;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryOptions {
    /// Most retries of a call, whatever the cause. Default 10.
    pub total: u32,
    /// Most retries after failures to connect. Default 3.
    pub connect: u32,
    /// Most retries after connections that failed before the answer was there. Default 3.
    pub read: u32,
    /// Most retries after answers. Default 3.
    pub status: u32,
    /// The second retry waits for twice as long, each further one doubles. The first comes at once. Default 0.8 s.
    pub backoff: Duration,
    /// Longest wait. An answer that asks for a longer one is returned as it is. Default 120 s.
    pub max_delay: Duration,
    /// Whether sends are sent again when they may have been delivered already. Default yes. A failure to connect and status 429
    /// with `Retry-After` are retried all the same.
    pub sends: bool,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            total: 10,
            connect: 3,
            read: 3,
            status: 3,
            backoff: Duration::from_millis(800),
            max_delay: Duration::from_secs(120),
            sends: true,
        }
    }
}

impl RetryOptions {
    /// Returns options with which nothing is sent again.
    ///
    /// ```
    /// # use hubwire_service_client::RetryOptions;
    /// assert_eq!(RetryOptions::none().total, 0);
    /// ```
    pub fn none() -> Self {
        Self {
            total: 0,
            ..Self::default()
        }
    }
}

/// How the client's own transport connects.
///
/// ```
/// use hubwire_service_client::TransportOptions;
/// use std::time::Duration;
/// let transport = TransportOptions { connect_timeout: Duration::from_secs(5), ..Default::default() };
/// # let _ = transport;
/// ```
#[derive(Clone)]
pub struct TransportOptions {
    /// Bound of making a connection. Default 20 s.
    pub connect_timeout: Duration,
    /// Longest silence while an answer is awaited or read. Default 60 s.
    pub read_timeout: Duration,
    /// Address of an HTTP proxy for all requests. Default: what the variables `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say.
    pub proxy: Option<String>,
    /// Certificates to trust besides those of the system, each file as PEM.
    pub root_certificates: Vec<Vec<u8>>,
    /// Whether certificates are checked. Default yes. Anybody on the way can read keys and messages otherwise.
    pub verify_certificates: bool,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(20),
            read_timeout: Duration::from_secs(60),
            proxy: None,
            root_certificates: Vec::new(),
            verify_certificates: true,
        }
    }
}

impl fmt::Debug for TransportOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address of a proxy may hold a password.
        f.debug_struct("TransportOptions")
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("has_proxy", &self.proxy.is_some())
            .field("root_certificates", &self.root_certificates.len())
            .field("verify_certificates", &self.verify_certificates)
            .finish()
    }
}

/// Options of one call that every method has. What is absent is as the client has it.
///
/// ```
/// use hubwire_service_client::RequestOptions;
/// let options = RequestOptions { logging: Some(true), ..Default::default() };
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default)]
pub struct RequestOptions {
    /// Whether this call is logged in full, whatever the client says.
    pub logging: Option<bool>,
    /// Bound of this call, retries and waits included.
    pub timeout: Option<Duration>,
    /// When this call is sent again.
    pub retry: Option<RetryOptions>,
    /// Further headers.
    pub headers: Headers,
    /// The `x-ms-client-request-id`, kept over retries. Default a new UUID for each call.
    pub client_request_id: Option<String>,
    /// The version of the REST API that this call names.
    pub api_version: Option<String>,
}

/// What tells the time. Only tests need another one than the system's.
///
/// ```
/// use hubwire_service_client::Clock;
/// use std::time::{Duration, SystemTime};
/// let slow = Clock::new(|| SystemTime::now() - Duration::from_secs(120));
/// # let _ = slow;
/// ```
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<dyn Fn() -> SystemTime + Send + Sync>>);

impl Clock {
    /// Makes a clock of a function.
    ///
    /// ```
    /// # use hubwire_service_client::Clock;
    /// let stopped = Clock::new(|| std::time::UNIX_EPOCH);
    /// # let _ = stopped;
    /// ```
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(now)))
    }

    /// Returns the seconds since 1970.
    pub(crate) fn unix_seconds(&self) -> u64 {
        let now = self.0.as_ref().map_or_else(SystemTime::now, |now| now());
        now.duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_secs())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Some(_) => "Clock(function)",
            None => "Clock(system)",
        })
    }
}

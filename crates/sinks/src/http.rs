//! A webhook that nobody waits for. Source: events-and-operations 8.2.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use hubwire_upstream::{
    HttpAnswer, HttpClient, ListenerEvent, PrivateAddresses, SendError, Sink, SinkFuture,
    StaticHeader, Url,
};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use rustls::pki_types::CertificateDer;

use crate::attributes::{METADATA_PREFIX, attributes, metadata};
use crate::backoff::Backoff;
use crate::json;
use crate::lost::Lost;

/// Time for a request, from its start to the head of the response. Source: ours.
pub const HTTP_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// Time until an event that cannot be delivered is lost. Source: ours, so that one that the receiver chokes on holds up the
/// others for no longer.
pub const HTTP_RETRY_FOR_DEFAULT: Duration = Duration::from_secs(60);
/// Longest body of a batch, unless a single event is longer. Bytes. Source: ours, the default limit of common receivers.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Requests at a time, each for another connection. Source: ours.
const REQUESTS_MAX: usize = 8;
/// Longest pause that a receiver may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// Events go to a URL by POST.
#[derive(Clone)]
pub struct HttpSettings {
    /// Where. Its query is never shown.
    pub url: Url,
    /// Whether several events share a request, as `application/cloudevents-batch+json`, rather than each having its own.
    pub batch: bool,
    /// Headers for each request, such as `Authorization`.
    pub headers: Vec<StaticHeader>,
    /// Time for a request.
    pub timeout: Duration,
    /// Time until an event that cannot be delivered is lost.
    pub retry_for: Duration,
    /// Whether the receiver may be in a private network.
    pub private_addresses: PrivateAddresses,
    /// Certificates that vouch for the receiver, beside those of the operating system.
    pub certificates: Vec<CertificateDer<'static>>,
}

impl HttpSettings {
    /// Makes settings with the defaults of everything but the URL.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            batch: false,
            headers: Vec::new(),
            timeout: HTTP_TIMEOUT_DEFAULT,
            retry_for: HTTP_RETRY_FOR_DEFAULT,
            private_addresses: PrivateAddresses::Deny,
            certificates: Vec::new(),
        }
    }
}

impl fmt::Debug for HttpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSettings")
            .field("url", &self.url)
            .field("batch", &self.batch)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

pub(crate) struct HttpSink {
    settings: HttpSettings,
    client: HttpClient,
}

/// How the events of one delivery fare.
#[derive(Default)]
struct Course {
    /// Counts the requests that the receiver has answered with other than an error of its own.
    answers: AtomicU64,
    /// Whether the receiver has been down for so long that the rest is not tried any more.
    is_given_up: AtomicBool,
}

enum Failure {
    /// The same request fails again.
    Permanent(String),
    /// It may succeed later, but not before the time that the receiver asks for.
    Transient(String, Duration),
}

impl HttpSink {
    pub(crate) fn new(settings: HttpSettings) -> Self {
        let client = HttpClient::new(settings.private_addresses, settings.certificates.clone());
        Self { settings, client }
    }

    /// Sends each event by a request. Those of a connection go one after the other, those of others meanwhile.
    async fn deliver_singly(&self, events: &[ListenerEvent]) -> Lost {
        let course = Course::default();
        let lanes: Vec<_> = lanes(events)
            .into_iter()
            .map(|lane| self.deliver_lane(events, lane, &course))
            .collect();
        let lost = stream::iter(lanes)
            .buffer_unordered(REQUESTS_MAX)
            .collect::<Vec<Lost>>();
        let mut all = Lost::default();
        for lost in lost.await {
            all.merge(lost);
        }
        all
    }

    async fn deliver_lane(
        &self,
        events: &[ListenerEvent],
        lane: Vec<usize>,
        course: &Course,
    ) -> Lost {
        let mut lost = Lost::default();
        for index in lane {
            let event = &events[index];
            let outcome = self
                .send(self.binary_headers(event), event.event.body.clone(), course)
                .await;
            if let Err(reason) = outcome {
                lost.add(index, reason);
            }
        }
        lost
    }

    async fn deliver_batches(&self, events: &[ListenerEvent]) -> Lost {
        let course = Course::default();
        let mut lost = Lost::default();
        let mut first = 0;
        while first < events.len() {
            let (body, end) = batch(events, first);
            let mut headers = self.own_headers();
            let content_type = "application/cloudevents-batch+json; charset=utf-8";
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            if let Err(reason) = self.send(headers, body, &course).await {
                for index in first..end {
                    lost.add(index, reason.clone());
                }
            }
            first = end;
        }
        lost
    }

    /// Sends a request until it has succeeded, or has failed for good.
    async fn send(&self, headers: HeaderMap, body: Bytes, course: &Course) -> Result<(), String> {
        let mut backoff = Backoff::new(self.settings.retry_for);
        let answers = course.answers.load(Ordering::Relaxed);
        loop {
            if course.is_given_up.load(Ordering::Relaxed) {
                return Err(format!("{} has been down for too long", self.settings.url));
            }
            let (reason, pause) = match self.attempt(headers.clone(), body.clone()).await {
                Ok(()) => {
                    course.answers.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                Err(Failure::Permanent(reason)) => {
                    course.answers.fetch_add(1, Ordering::Relaxed);
                    return Err(reason);
                }
                Err(Failure::Transient(reason, pause)) => (reason, pause),
            };
            tracing::debug!(url = %self.settings.url, reason, "an event listener did not take events");
            if !backoff.wait(pause).await {
                if course.answers.load(Ordering::Relaxed) == answers {
                    course.is_given_up.store(true, Ordering::Relaxed);
                }
                return Err(reason);
            }
        }
    }

    async fn attempt(&self, headers: HeaderMap, body: Bytes) -> Result<(), Failure> {
        let url = &self.settings.url;
        let sent = self.client.post(url, headers, body);
        match tokio::time::timeout(self.settings.timeout, sent).await {
            Ok(Ok(answer)) => judge(&answer, url),
            Ok(Err(SendError::AddressRefused)) => Err(Failure::Permanent(format!(
                "{url}: {}",
                SendError::AddressRefused
            ))),
            Ok(Err(error)) => Err(Failure::Transient(
                format!("{url}: {error}"),
                Duration::ZERO,
            )),
            Err(_) => Err(Failure::Transient(
                format!("{url} did not answer in time"),
                Duration::ZERO,
            )),
        }
    }

    fn own_headers(&self) -> HeaderMap {
        let headers = self.settings.headers.iter();
        headers
            .map(|header| (header.name().clone(), header.value().clone()))
            .collect()
    }

    /// Returns the headers of an event in the binary mode, the same as for handlers. Source: events-and-operations 4.
    fn binary_headers(&self, event: &ListenerEvent) -> HeaderMap {
        let mut headers = self.own_headers();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(event.event.content_type),
        );
        headers.insert("ce-id", event.event.id.into());
        for (name, value) in attributes(event) {
            insert(&mut headers, &format!("ce-{name}"), value, name == "userid");
        }
        for (key, value) in metadata(event) {
            insert(
                &mut headers,
                &format!("{METADATA_PREFIX}{key}"),
                value,
                false,
            );
        }
        headers
    }
}

impl Sink for HttpSink {
    fn deliver<'a>(&'a self, events: &'a [ListenerEvent]) -> SinkFuture<'a> {
        Box::pin(async move {
            let lost = match self.settings.batch {
                true => self.deliver_batches(events).await,
                false => self.deliver_singly(events).await,
            };
            lost.into_result()
        })
    }
}

/// Tells what a response says of its request.
fn judge(answer: &HttpAnswer, url: &Url) -> Result<(), Failure> {
    let status = answer.status;
    if status.is_success() {
        return Ok(());
    }
    let reason = format!("{url} answered {}", status.as_u16());
    let is_transient = status.is_server_error()
        || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    match is_transient {
        true => Err(Failure::Transient(reason, retry_after(&answer.headers))),
        false => Err(Failure::Permanent(reason)),
    }
}

/// Returns the seconds of `Retry-After`; a date is not looked at.
fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok());
    seconds.map_or(Duration::ZERO, |seconds| {
        Duration::from_secs(seconds).min(RETRY_AFTER_MAX)
    })
}

/// Inserts a header as it is if it can have its value, which may be raw UTF-8 in one of them, and percent-encoded otherwise, as
/// the HTTP binding of CloudEvents has it.
fn insert(headers: &mut HeaderMap, name: &str, value: &str, is_raw: bool) {
    const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');
    // Keys of metadata are tokens, as names of headers are.
    let Ok(name) = HeaderName::try_from(name) else {
        return;
    };
    let as_it_is = HeaderValue::from_bytes(value.as_bytes())
        .ok()
        .filter(|_| is_raw || value.is_ascii());
    let value = as_it_is.or_else(|| {
        let encoded = utf8_percent_encode(value, ENCODED).to_string();
        HeaderValue::try_from(encoded).ok()
    });
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

/// Returns the indices of the events by connection, each in their order.
fn lanes(events: &[ListenerEvent]) -> Vec<Vec<usize>> {
    let mut lanes: Vec<(&str, Vec<usize>)> = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let id = &*event.event.connection_id;
        match lanes.iter_mut().find(|(known, _)| *known == id) {
            Some((_, lane)) => lane.push(index),
            None => lanes.push((id, vec![index])),
        }
    }
    lanes.into_iter().map(|(_, lane)| lane).collect()
}

/// Returns the body of a batch that begins with an event, and the index behind its last.
fn batch(events: &[ListenerEvent], first: usize) -> (Bytes, usize) {
    let mut body = vec![b'['];
    let mut end = first;
    for event in &events[first..] {
        let length = body.len();
        if end > first {
            body.push(b',');
        }
        json::append(event, &mut body);
        if body.len() >= BATCH_BYTES_MAX && end > first {
            body.truncate(length);
            break;
        }
        end += 1;
    }
    body.push(b']');
    (body.into(), end)
}

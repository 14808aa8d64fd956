//! Logs requests and responses in two layers. Source: rest-api 9.5.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use azure_core::http::headers::{CLIENT_REQUEST_ID, Headers};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{AsyncRawResponse, Body, Context, Request, Url};
use serde_json::{Map, Value};
use tracing::{Level, debug, enabled, info};

use crate::options::LoggingOptions;
use crate::policies::{Call, SECRET_HEADERS};

const SUMMARY: &str = "hubwire_service_client::http";
const TRACE: &str = "hubwire_service_client::http::trace";
/// Longest body in the log. Bytes.
const BODY_MAX: usize = 64 * 1024;
const REDACTED: &str = "REDACTED";
const MASK: &str = "***";
const SECRET_QUERY: [&str; 2] = ["access_token", "subscription-key"];
const HARMLESS_HEADERS: [&str; 25] = [
    "x-ms-request-id",
    "x-ms-client-request-id",
    "x-ms-return-client-request-id",
    "x-ms-error-code",
    "traceparent",
    "accept",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "date",
    "etag",
    "expires",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
    "last-modified",
    "pragma",
    "request-id",
    "retry-after",
    "server",
    "transfer-encoding",
    "user-agent",
    "www-authenticate",
];
const HARMLESS_QUERY: [&str; 1] = ["api-version"];

/// What may be shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    Summary,
    Full,
}

#[derive(Debug)]
pub(crate) struct Log(pub(crate) LoggingOptions);

#[async_trait]
impl Policy for Log {
    async fn send(
        &self,
        ctx: &Context,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        let call = ctx.value::<Call>();
        let has_summary = enabled!(target: SUMMARY, Level::INFO);
        let is_traced =
            call.is_some_and(|call| call.is_traced) && enabled!(target: TRACE, Level::DEBUG);
        if !has_summary && !is_traced {
            return next[0].send(ctx, request, &next[1..]).await;
        }
        let hides_body = call.is_some_and(|call| call.has_secret_answer);
        let begun = Instant::now();
        if has_summary {
            self.log_request(request, Detail::Summary);
        }
        if is_traced {
            self.log_request(request, Detail::Full);
        }
        let result = next[0].send(ctx, request, &next[1..]).await;
        let elapsed_ms = begun.elapsed().as_secs_f64() * 1e3;
        match result {
            Ok(response) => {
                if has_summary {
                    self.log_summary(request, &response, elapsed_ms);
                }
                match is_traced {
                    true => {
                        self.log_trace(request, response, elapsed_ms, hides_body)
                            .await
                    }
                    false => Ok(response),
                }
            }
            Err(error) => {
                let id = client_request_id(request);
                if has_summary {
                    info!(target: SUMMARY, client_request_id = id, elapsed_ms, %error, "no response");
                }
                if is_traced {
                    debug!(target: TRACE, client_request_id = id, elapsed_ms, %error, "no response");
                }
                Err(error)
            }
        }
    }
}

impl Log {
    fn log_request(&self, request: &Request, detail: Detail) {
        let method = request.method().as_str();
        let url = self.url(request.url(), detail);
        let headers = self.headers(request.headers(), detail);
        let id = client_request_id(request);
        match detail {
            Detail::Summary => {
                info!(target: SUMMARY, client_request_id = id, method, url, headers, "request");
            }
            Detail::Full => {
                let body = request_body(request);
                debug!(target: TRACE, client_request_id = id, method, url, headers, body, "request");
            }
        }
    }

    fn log_summary(&self, request: &Request, response: &AsyncRawResponse, elapsed_ms: f64) {
        let headers = self.headers(response.headers(), Detail::Summary);
        let id = client_request_id(request);
        let status = *response.status();
        info!(target: SUMMARY, client_request_id = id, status, elapsed_ms, headers, "response");
    }

    async fn log_trace(
        &self,
        request: &Request,
        response: AsyncRawResponse,
        elapsed_ms: f64,
        hides_body: bool,
    ) -> PolicyResult {
        let (status, all, body) = response.deconstruct();
        let bytes = body.collect().await?;
        let body = match hides_body {
            true => "(holds a secret)".to_owned(),
            false => response_body(&all, &bytes),
        };
        let headers = self.headers(&all, Detail::Full);
        let id = client_request_id(request);
        debug!(
            target: TRACE,
            client_request_id = id,
            status = *status,
            elapsed_ms,
            headers,
            body,
            "response"
        );
        Ok(AsyncRawResponse::from_bytes(status, all, bytes))
    }

    /// Returns headers as a JSON object, sorted by name.
    fn headers(&self, headers: &Headers, detail: Detail) -> String {
        let shown: Map<String, Value> = headers
            .iter()
            .map(|(name, value)| {
                let name = name.as_str();
                let value = match detail {
                    _ if contains(&SECRET_HEADERS, name) => MASK,
                    Detail::Summary if !self.allows_header(name) => REDACTED,
                    Detail::Summary | Detail::Full => value.as_str(),
                };
                (name.to_owned(), Value::from(value))
            })
            .collect();
        Value::Object(shown).to_string()
    }

    fn url(&self, url: &Url, detail: Detail) -> String {
        let Some(query) = url.query() else {
            return url.to_string();
        };
        let mut shown = url.clone();
        let pairs: Vec<String> = query
            .split('&')
            .map(|pair| {
                let name = pair.split('=').next().unwrap_or(pair);
                match detail {
                    _ if contains(&SECRET_QUERY, name) => format!("{name}={MASK}"),
                    Detail::Summary if !self.allows_query(name) => format!("{name}={REDACTED}"),
                    Detail::Summary | Detail::Full => pair.to_owned(),
                }
            })
            .collect();
        shown.set_query(Some(&pairs.join("&")));
        shown.to_string()
    }

    fn allows_header(&self, name: &str) -> bool {
        contains(&HARMLESS_HEADERS, name) || contains(&self.0.allowed_headers, name)
    }

    fn allows_query(&self, name: &str) -> bool {
        contains(&HARMLESS_QUERY, name) || contains(&self.0.allowed_query, name)
    }
}

fn contains<S: AsRef<str>>(names: &[S], name: &str) -> bool {
    names
        .iter()
        .any(|known| known.as_ref().eq_ignore_ascii_case(name))
}

fn client_request_id(request: &Request) -> &str {
    request
        .headers()
        .get_optional_str(&CLIENT_REQUEST_ID)
        .unwrap_or_default()
}

fn request_body(request: &Request) -> String {
    match request.body() {
        Body::Bytes(bytes) if bytes.is_empty() => "(no body)".to_owned(),
        Body::Bytes(bytes) => text_of(bytes),
        Body::SeekableStream(_) => "(stream)".to_owned(),
    }
}

fn response_body(headers: &Headers, bytes: &[u8]) -> String {
    let content_type = headers
        .get_optional_str(&azure_core::http::headers::CONTENT_TYPE)
        .unwrap_or_default()
        .to_ascii_lowercase();
    let is_binary = ["application/octet-stream", "image/"]
        .iter()
        .any(|binary| content_type.starts_with(binary));
    match is_binary {
        true => format!("({} bytes of {content_type})", bytes.len()),
        false => text_of(bytes),
    }
}

fn text_of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Err(_) => format!("({} bytes that are no text)", bytes.len()),
        Ok(text) if text.len() <= BODY_MAX => text.to_owned(),
        Ok(text) => {
            let end = text.floor_char_boundary(BODY_MAX);
            format!("{} (first {end} of {} bytes)", &text[..end], text.len())
        }
    }
}

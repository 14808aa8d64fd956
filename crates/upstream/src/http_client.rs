//! HTTP for those that are told events by requests of their own making: the connections and the rules are those of handlers.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use hyper::{HeaderMap, Method, Request, StatusCode};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;

pub use crate::http::SendError;
use crate::http::{Answer, Client, Reach, tls};
use crate::settings::PrivateAddresses;
use crate::url_template::Url;

/// What is read of the body of a response, so that its connection can be used again. Bytes.
const BODY_MAX: usize = 64 * 1024;
/// Time for that.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends requests and reuses connections. It follows no redirect, uses no proxy and connects to no address that the settings do
/// not allow. Source: events-and-operations 8.2, 9.1.
pub struct HttpClient {
    private: PrivateAddresses,
    certificates: Vec<CertificateDer<'static>>,
    /// Made when it is first needed, since it reads the certificates of the system.
    client: OnceLock<Client>,
}

/// The head of a response.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
}

impl HttpClient {
    /// Makes a client. The certificates vouch for hosts beside those of the operating system.
    pub fn new(private: PrivateAddresses, certificates: Vec<CertificateDer<'static>>) -> Self {
        Self {
            private,
            certificates,
            client: OnceLock::new(),
        }
    }

    /// Gets a document. The caller bounds the time to the head of the response.
    ///
    /// # Errors
    ///
    /// No response came, or its body is longer than `body_max` bytes or too slow. The text names no URL.
    pub async fn get(
        &self,
        url: &Url,
        headers: HeaderMap,
        body_max: usize,
    ) -> Result<(StatusCode, Bytes), SendError> {
        let answer = self.send(Method::GET, url, headers, Bytes::new()).await?;
        let body = answer.body.read(body_max, BODY_TIMEOUT).await;
        let body = body.map_err(|error| SendError::Network(error.to_string()))?;
        Ok((answer.status, body))
    }

    /// Sends a POST and returns the head of the response whatever its status is. The caller bounds the time; dropping the future
    /// takes the request back.
    ///
    /// # Errors
    ///
    /// No response came. The text names no URL.
    pub async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<HttpAnswer, SendError> {
        let answer = self.send(Method::POST, url, headers, body).await?;
        // A body that is too long or too slow costs the connection, and nothing else.
        drop(answer.body.read(BODY_MAX, BODY_TIMEOUT).await);
        Ok(HttpAnswer {
            status: answer.status,
            headers: answer.headers,
        })
    }

    async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, SendError> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = url.uri().clone();
        *request.headers_mut() = headers;
        let client = self
            .client
            .get_or_init(|| Client::new(Reach::Handlers(self.private), &self.certificates));
        client.send(request).await
    }
}

/// Returns how the service does TLS with others: it trusts the certificates of the operating system and these.
pub fn tls_config(certificates: &[CertificateDer<'static>]) -> Arc<ClientConfig> {
    Arc::new(tls(certificates))
}

//! How the service proves to a handler who it is. Source: events-and-operations 2.4.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use form_urlencoded::Serializer;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Request, StatusCode};
use serde_json::Value;
use tokio::time::Instant;

use crate::active::Clients;
use crate::retry::is_transient_status;
use crate::settings::{Auth, ClientCredentials, IdentitySource, ManagedIdentity};

/// Time to get a token. Source: ours, as long as a validation may take.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer of a token endpoint. Bytes.
const TOKEN_BODY_MAX: usize = 64 * 1024;
/// A token is renewed this long before it expires, or after half its life if that is later.
const RENEWAL_MARGIN: Duration = Duration::from_secs(300);
/// Time until the next attempt after a renewal has failed and the old token still holds, or after a handler had one dropped.
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);
/// Life of a token whose issuer does not say.
const LIFETIME_DEFAULT: Duration = Duration::from_secs(300);

/// There is no token. The text holds nothing of a secret or of an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct CredentialError {
    reason: String,
    /// Whether there may be one soon.
    pub(crate) is_transient: bool,
}

/// The proof for the handlers that have the same settings of `auth`.
pub(crate) struct Credential {
    auth: Auth,
    token: Mutex<Option<Token>>,
    /// When a handler last had a token dropped.
    refused: Mutex<Option<Instant>>,
    /// Held by whoever gets a token, with the last time that there was none to be had.
    renewal: tokio::sync::Mutex<Option<(Instant, CredentialError)>>,
}

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    renew: Instant,
    expires: Instant,
}

impl Credential {
    pub(crate) fn new(auth: Auth) -> Self {
        Self {
            auth,
            token: Mutex::default(),
            refused: Mutex::default(),
            renewal: tokio::sync::Mutex::default(),
        }
    }

    /// Returns the header of a request that is made now.
    pub(crate) async fn header(
        &self,
        clients: &Clients,
    ) -> Result<Option<(HeaderName, HeaderValue)>, CredentialError> {
        match &self.auth {
            Auth::None => Ok(None),
            Auth::StaticHeader(header) => Ok(Some((header.name.clone(), header.value.clone()))),
            Auth::ClientCredentials(_) | Auth::ManagedIdentity(_) => {
                // Apart, since few events need it, and each would carry what getting a token takes.
                let token = Box::pin(self.token(clients)).await?;
                Ok(Some((AUTHORIZATION, token)))
            }
        }
    }

    /// Drops the token that a handler may have refused, unless there is another one by now. That may be for the client's sake, as
    /// with `connect`, so it is believed only now and then.
    pub(crate) fn refuse(&self, header: Option<&HeaderValue>) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.is_some_and(|refused| refused.elapsed() < RENEWAL_PAUSE) {
            return;
        }
        *refused = Some(Instant::now());
        let mut token = self.lock();
        if token.as_ref().map(|token| &token.header) == header {
            *token = None;
        }
    }

    async fn token(&self, clients: &Clients) -> Result<HeaderValue, CredentialError> {
        let began = Instant::now();
        let mut failed = match self.current() {
            Some((header, true)) => return Ok(header),
            // One request renews it, the others take the old one meanwhile.
            Some((header, false)) => match self.renewal.try_lock() {
                Ok(renewal) => renewal,
                Err(_) => return Ok(header),
            },
            None => self.renewal.lock().await,
        };
        if let Some((header, true)) = self.current() {
            return Ok(header);
        }
        // Those who have waited for an attempt share what came of it.
        if let (None, Some((at, error))) = (self.current(), &*failed)
            && *at >= began
        {
            return Err(error.clone());
        }
        let issued = tokio::time::timeout(TOKEN_TIMEOUT, self.issue(clients)).await;
        match issued.unwrap_or_else(|_| {
            Err(transient(
                "the token endpoint did not answer in time".to_owned(),
            ))
        }) {
            Ok(token) => {
                let header = token.header.clone();
                *self.lock() = Some(token);
                Ok(header)
            }
            Err(error) => match &mut *self.lock() {
                Some(token) if token.expires > Instant::now() => {
                    tracing::warn!(%error, "a token for event handlers cannot be renewed");
                    token.renew = Instant::now() + RENEWAL_PAUSE;
                    Ok(token.header.clone())
                }
                _ => {
                    *failed = Some((Instant::now(), error.clone()));
                    Err(error)
                }
            },
        }
    }

    /// Returns the token that holds now, and whether it need not be renewed.
    fn current(&self) -> Option<(HeaderValue, bool)> {
        let now = Instant::now();
        let token = self.lock().clone().filter(|token| token.expires > now)?;
        Some((token.header, token.renew > now))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Token>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn issue(&self, clients: &Clients) -> Result<Token, CredentialError> {
        let (request, client) = match &self.auth {
            Auth::ClientCredentials(credentials) => (of_client(credentials)?, clients.handlers()),
            Auth::ManagedIdentity(identity) => match &identity.source {
                IdentitySource::InstanceMetadata { .. } => {
                    (of_machine(identity)?, clients.metadata())
                }
                IdentitySource::WorkloadIdentity { .. } => {
                    (of_workload(identity).await?, clients.handlers())
                }
            },
            Auth::None | Auth::StaticHeader(_) => {
                return Err(permanent("no token is wanted".to_owned()));
            }
        };
        let now = Instant::now();
        let answer = client
            .send(request)
            .await
            .map_err(|error| transient(format!("the token endpoint cannot be reached: {error}")))?;
        if answer.status != StatusCode::OK {
            let is_transient = is_transient_status(answer.status)
                || answer.status == StatusCode::TOO_MANY_REQUESTS;
            let reason = format!("the token endpoint answered {}", answer.status.as_u16());
            return Err(CredentialError {
                reason,
                is_transient,
            });
        }
        let body = answer
            .body
            .read(TOKEN_BODY_MAX, TOKEN_TIMEOUT)
            .await
            .map_err(|error| transient(format!("the token endpoint: {error}")))?;
        parse(&body, now)
            .ok_or_else(|| permanent("the token endpoint did not answer with a token".to_owned()))
    }
}

fn transient(reason: String) -> CredentialError {
    CredentialError {
        reason,
        is_transient: true,
    }
}

fn permanent(reason: String) -> CredentialError {
    CredentialError {
        reason,
        is_transient: false,
    }
}

fn parse(body: &[u8], now: Instant) -> Option<Token> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let mut header = HeaderValue::from_str(&format!("Bearer {}", body["access_token"].as_str()?))
        .ok()
        .filter(|header| header.to_str().is_ok())?;
    header.set_sensitive(true);
    // The metadata service writes the number as text.
    let expires_in = match &body["expires_in"] {
        Value::Number(seconds) => seconds.as_u64(),
        Value::String(seconds) => seconds.parse().ok(),
        _ => None,
    };
    let lifetime = expires_in.map_or(LIFETIME_DEFAULT, |seconds| {
        Duration::from_secs(seconds.min(24 * 3600))
    });
    Some(Token {
        header,
        renew: now + lifetime.saturating_sub(RENEWAL_MARGIN).max(lifetime / 2),
        expires: now + lifetime,
    })
}

fn of_client(credentials: &ClientCredentials) -> Result<Request<Bytes>, CredentialError> {
    let mut fields = vec![
        ("grant_type", "client_credentials"),
        ("client_id", &credentials.client_id),
        ("client_secret", credentials.client_secret.expose()),
    ];
    if !credentials.scope.is_empty() {
        fields.push(("scope", &credentials.scope));
    }
    form(credentials.token_url.uri().clone(), &fields)
}

async fn of_workload(identity: &ManagedIdentity) -> Result<Request<Bytes>, CredentialError> {
    let IdentitySource::WorkloadIdentity {
        token_url,
        client_id,
        token_file,
    } = &identity.source
    else {
        return Err(permanent("not a workload identity".to_owned()));
    };
    let assertion = tokio::fs::read_to_string(token_file)
        .await
        .map_err(|error| transient(format!("cannot read {}: {error}", token_file.display())))?;
    let scope = format!("{}/.default", identity.resource.trim_end_matches('/'));
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", client_id.as_str()),
        ("scope", &scope),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", assertion.trim()),
    ];
    form(token_url.uri().clone(), &fields)
}

fn form(uri: hyper::Uri, fields: &[(&str, &str)]) -> Result<Request<Bytes>, CredentialError> {
    let body = Serializer::new(String::new()).extend_pairs(fields).finish();
    Request::post(uri)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(ACCEPT, "application/json")
        .body(body.into())
        .map_err(|error| permanent(error.to_string()))
}

fn of_machine(identity: &ManagedIdentity) -> Result<Request<Bytes>, CredentialError> {
    let IdentitySource::InstanceMetadata {
        endpoint,
        client_id,
    } = &identity.source
    else {
        return Err(permanent("not an identity of the machine".to_owned()));
    };
    let mut query = Serializer::new(String::new());
    query.append_pair("api-version", "2018-02-01");
    query.append_pair("resource", &identity.resource);
    if let Some(client_id) = client_id {
        query.append_pair("client_id", client_id);
    }
    let origin = endpoint.to_string();
    let origin = origin.trim_end_matches('/');
    Request::get(format!(
        "{origin}/metadata/identity/oauth2/token?{}",
        query.finish()
    ))
    .header("metadata", "true")
    .body(Bytes::new())
    .map_err(|error| permanent(error.to_string()))
}

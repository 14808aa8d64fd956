//! An event goes to its handler. Source: events-and-operations 4.

use std::sync::Arc;

use hyper::header::HeaderValue;
use hyper::{HeaderMap, Request, StatusCode};
use tokio::time::Instant;

use crate::active::Active;
use crate::cloud_event::CloudEvent;
use crate::connections::Attached;
use crate::cookies::Site;
use crate::credential::CredentialError;
use crate::http::{Answer, AnswerBody, BodyError, SendError};
use crate::observer::{Kind, Outcome};
use crate::probe;
use crate::reply::ReplyError;
use crate::request::{self, Common, IllegalHeader};
use crate::retry;
use crate::settings::Handler;
use crate::tunnel::{TunnelError, TunnelRequest};
use crate::url_template::Target;
use crate::validation::Validations;

/// An event on its way to its handler.
pub(crate) struct Delivery<'a> {
    pub(crate) active: &'a Arc<Active>,
    pub(crate) validations: &'a Arc<Validations<hyper::Uri>>,
    pub(crate) handler: &'a Handler,
    pub(crate) event: &'a CloudEvent,
    pub(crate) attached: &'a Attached,
    pub(crate) kind: Kind,
}

/// No response came, or one that makes no sense.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the handler does not agree to get events")]
    Invalid,
    #[error("no response in time")]
    Timeout,
    #[error("{0}")]
    Network(String),
    #[error("{0}")]
    Credential(CredentialError),
    #[error("{0}")]
    IllegalHeader(IllegalHeader),
    #[error("the URL of this event is malformed")]
    Url,
    #[error("{0}")]
    Body(BodyError),
    #[error("{0}")]
    Reply(ReplyError),
    #[error("{0}")]
    State(crate::connections::StateError),
}

impl Failure {
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Invalid => Outcome::Invalid,
            Self::Timeout | Self::Body(BodyError::Timeout) => Outcome::Timeout,
            Self::Network(_)
            | Self::Credential(_)
            | Self::IllegalHeader(_)
            | Self::Url
            | Self::Body(_)
            | Self::Reply(_)
            | Self::State(_) => Outcome::Failed,
        }
    }
}

enum AttemptError {
    Send(SendError),
    Tunnel(TunnelError),
    Credential(CredentialError),
    IllegalHeader(IllegalHeader),
}

impl AttemptError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Send(error) => *error != SendError::AddressRefused,
            Self::Tunnel(_) => true,
            Self::Credential(error) => error.is_transient,
            Self::IllegalHeader(_) => false,
        }
    }
}

impl Delivery<'_> {
    /// Sends the event, and again if that may help. Returns the response whatever its status is.
    pub(crate) async fn send(&self) -> Result<(Answer, Target), Failure> {
        if self.handler.abuse_protection {
            let target = self.target("validate").ok_or(Failure::Url)?;
            if let Target::Http(uri) = &target
                && !Box::pin(self.is_valid(uri)).await
            {
                return Err(Failure::Invalid);
            }
        }
        let target = self.target(&self.event.event_name).ok_or(Failure::Url)?;
        let active = self.active;
        let common = Common::new(self.attached, Site::of(&target));
        let is_transient = |outcome: &Result<Answer, AttemptError>| match outcome {
            Ok(answer) => retry::is_transient_status(answer.status),
            Err(error) => error.is_transient(),
        };
        let attempts = retry::run(
            &active.settings.retry_delays,
            || self.attempt(&target, &common),
            is_transient,
            || active.settings.observer.retried(),
        );
        let deadline = Instant::now() + self.handler.timeout;
        match tokio::time::timeout_at(deadline, attempts).await {
            Ok(Ok(answer)) => Ok((answer, target)),
            Ok(Err(AttemptError::Send(error))) => Err(Failure::Network(error.to_string())),
            Ok(Err(AttemptError::Tunnel(error))) => Err(Failure::Network(error.to_string())),
            Ok(Err(AttemptError::Credential(error))) => Err(Failure::Credential(error)),
            Ok(Err(AttemptError::IllegalHeader(error))) => Err(Failure::IllegalHeader(error)),
            Err(_) => Err(Failure::Timeout),
        }
    }

    fn target(&self, event: &str) -> Option<Target> {
        self.handler
            .url_template
            .resolve(self.event.hub.as_str(), event)
    }

    async fn is_valid(&self, uri: &hyper::Uri) -> bool {
        let check = || {
            let shown = self
                .handler
                .url_template
                .shown(self.event.hub.as_str(), "validate");
            probe::run(Arc::clone(self.active), uri.clone(), shown)
        };
        self.validations.is_valid(uri, check).await
    }

    async fn attempt(&self, target: &Target, common: &Common) -> Result<Answer, AttemptError> {
        let Active { origin, signer, .. } = &**self.active;
        let headers = request::headers(self.event, origin, signer, common)
            .map_err(AttemptError::IllegalHeader)?;
        let mut request = Request::new(self.event.body.clone());
        *request.method_mut() = hyper::Method::POST;
        *request.headers_mut() = headers;
        let credential = self.active.credential(self.handler);
        let mut proof: Option<HeaderValue> = None;
        if let Some(credential) = credential
            && let Some((name, value)) = credential
                .header(&self.active.clients)
                .await
                .map_err(AttemptError::Credential)?
        {
            proof = Some(value.clone());
            request.headers_mut().insert(name, value);
        }
        let answer = self.exchange(target, request).await?;
        if let (StatusCode::UNAUTHORIZED, Some(credential)) = (answer.status, credential) {
            credential.refuse(proof.as_ref());
        }
        Ok(answer)
    }

    async fn exchange(
        &self,
        target: &Target,
        mut request: Request<bytes::Bytes>,
    ) -> Result<Answer, AttemptError> {
        match target {
            Target::Http(uri) => {
                *request.uri_mut() = uri.clone();
                let permit = self.active.place(uri).await;
                let client = self.active.clients.handlers();
                let answer = client.send(request).await.map_err(AttemptError::Send)?;
                Ok(Answer {
                    _permit: permit,
                    ..answer
                })
            }
            Target::Tunnel(url) => {
                let tunnel = self.active.settings.tunnel.as_ref();
                let tunnel = tunnel.ok_or(AttemptError::Tunnel(TunnelError))?;
                let (hub, id) = (&self.event.hub, &*self.event.connection_id);
                let url = url.clone();
                let response = tunnel
                    .request(hub, id, TunnelRequest { url, request })
                    .await;
                let (head, body) = response.map_err(AttemptError::Tunnel)?.into_parts();
                Ok(Answer {
                    status: head.status,
                    headers: head.headers,
                    body: AnswerBody::Whole(body),
                    _permit: None,
                })
            }
        }
    }

    /// Keeps what a response of 2xx sets: cookies, and the state if the event is one that is answered.
    pub(crate) fn keep(&self, headers: &HeaderMap, target: &Target) -> Result<(), Failure> {
        let ignored = self.attached.store_cookies(headers, Site::of(target));
        if ignored > 0 {
            let url = self.url();
            tracing::debug!(
                url,
                ignored,
                "cookies of an event handler are malformed or not for its host"
            );
        }
        match self.kind {
            Kind::Connect | Kind::User | Kind::Invocation => {
                self.attached.store_state(headers).map_err(Failure::State)
            }
            Kind::Connected | Kind::Disconnected | Kind::Presence => Ok(()),
        }
    }

    /// Logs an event that failed.
    pub(crate) fn log_failure(&self, failure: &Failure) {
        let CloudEvent {
            hub,
            event_name,
            kind,
            ..
        } = self.event;
        // What is wrong with a handler that does not agree is logged once for each check of it.
        if let Failure::Invalid = failure {
            tracing::debug!(%hub, event_name, r#type = kind, url = self.url(), "{failure}");
            return;
        }
        tracing::warn!(%hub, event_name, r#type = kind, url = self.url(), error = %failure, "an event was not handled");
    }

    /// Logs a status that is not 2xx. A client error in the answer to a client is the handler's business.
    pub(crate) fn log_status(&self, status: StatusCode) {
        let CloudEvent {
            hub,
            event_name,
            kind,
            ..
        } = self.event;
        let (event, status_code) = ("HttpHandlerUnexpectedResponse", status.as_u16());
        let is_expected =
            status.is_client_error() && matches!(self.kind, Kind::Connect | Kind::Invocation);
        match is_expected {
            true => {
                tracing::debug!(event, %hub, event_name, r#type = kind, status_code, url = self.url(), "an event handler said no")
            }
            false => {
                tracing::warn!(event, %hub, event_name, r#type = kind, status_code, url = self.url(), "an event handler did not answer with 2xx")
            }
        }
    }

    fn url(&self) -> String {
        let Self { handler, event, .. } = self;
        handler
            .url_template
            .shown(event.hub.as_str(), &event.event_name)
    }
}

//! Proves who asks.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::Error;
use azure_core::error::ErrorKind;
use azure_core::http::headers::AUTHORIZATION;
use azure_core::http::policies::auth::BearerTokenAuthorizationPolicy;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request};

use crate::address::Endpoint;
use crate::credential::AccessKeyCredential;
use crate::options::Clock;
use crate::policies::redirect::Unsigned;

/// Signs each try for itself, so that a retry has a fresh token and the key of its time.
#[derive(Debug)]
pub(crate) struct AccessKey {
    pub(crate) credential: AccessKeyCredential,
    /// What tokens are for.
    pub(crate) endpoint: Endpoint,
    /// Where requests go: the endpoint or a proxy.
    pub(crate) base: Endpoint,
    pub(crate) user: Option<String>,
    pub(crate) clock: Clock,
}

#[async_trait]
impl Policy for AccessKey {
    async fn send(
        &self,
        ctx: &Context,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        if ctx.value::<Unsigned>().is_none()
            && let Some(rest) = self.base.below(request.url().as_str())
        {
            let audience = [self.endpoint.as_str(), rest];
            let now = self.clock.unix_seconds();
            let token = self
                .credential
                .request_token(&audience, self.user.as_deref(), now);
            request.insert_header(AUTHORIZATION, format!("Bearer {token}"));
        }
        next[0].send(ctx, request, &next[1..]).await
    }
}

/// Lets the policy of `azure_core` ask a credential for tokens.
#[derive(Debug)]
pub(crate) struct Identity(pub(crate) BearerTokenAuthorizationPolicy);

#[async_trait]
impl Policy for Identity {
    async fn send(
        &self,
        ctx: &Context,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        if ctx.value::<Unsigned>().is_some() {
            return next[0].send(ctx, request, &next[1..]).await;
        }
        if request.url().scheme() != "https" {
            return Err(Error::with_message(
                ErrorKind::Credential,
                format!(
                    "the token of an identity is not sent to {} in the clear; use an https endpoint or an access key",
                    request.url().origin().ascii_serialization()
                ),
            ));
        }
        self.0.send(ctx, request, next).await
    }
}

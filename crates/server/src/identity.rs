//! Callers with an identity: bearer tokens of OpenID Connect issuers, and what their holders may do. Source: rest-api 3.6.
//!
//! | question | file |
//! | --- | --- |
//! | what does a token say | `token` |
//! | which keys are an issuer's, and when is it asked for them | `key`, `issuer` |
//! | what may its holder do | `action` |
//! | which tokens need no second look | `verified` |
//!
//! Nothing of a token reaches a log or an answer.

mod action;
mod issuer;
mod key;
mod token;
mod verified;

use std::fmt;
use std::sync::Arc;

use hubwire_upstream::{HttpClient, PrivateAddresses};
use serde_json::{Map, Value};

use crate::clock::unix_seconds;
use crate::config::{AuthConfig, IDENTITY_AUDIENCE};
use crate::metrics::Metrics;

pub(crate) use action::{DataAction, Grant};
use issuer::Issuer;
use token::{TOKEN_MAX, check_times, has_audience, is_same_url};
use verified::{TokenHash, Verified, VerifiedTokens};

/// Why an identity token is refused. No variant holds any part of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the token is malformed")]
    Malformed,
    #[error("the token is signed by another algorithm than RS256, PS256 and ES256")]
    Algorithm,
    #[error("the token does not name the key that has signed it")]
    NoKeyId,
    #[error("the issuer of the token is not one of `auth.oidc`")]
    Issuer,
    #[error("the token is for another audience than its issuer's")]
    Audience,
    #[error("the token has no expiry")]
    NoExpiry,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the issuer of the token has no key of the id that the token names")]
    UnknownKey,
    #[error("the signature of the token is wrong")]
    Signature,
    /// Not the caller's fault.
    #[error("the keys of the token's issuer cannot be had")]
    Unavailable,
}

/// The issuers whose tokens are accepted, with their keys.
pub(crate) struct Identities {
    is_enabled: bool,
    accepts_unvalidated: bool,
    clock_skew: u64,
    issuers: Vec<Arc<Issuer>>,
    verified: VerifiedTokens,
    client: Arc<HttpClient>,
    metrics: Arc<Metrics>,
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities")
            .field("is_enabled", &self.is_enabled)
            .finish_non_exhaustive()
    }
}

/// The claims of a token whose audience is that of identity tokens. Nothing else about it is known to be true.
pub(crate) struct Unverified(Map<String, Value>);

impl Identities {
    /// Starts to fetch the keys of the issuers.
    pub(crate) fn start(config: &AuthConfig, metrics: Arc<Metrics>) -> Self {
        // Who an issuer is was decided by whoever has written the configuration; it may well be a neighbour.
        let client = HttpClient::new(PrivateAddresses::Allow, Vec::new());
        let nobody = Self {
            is_enabled: false,
            accepts_unvalidated: false,
            clock_skew: 0,
            issuers: Vec::new(),
            verified: VerifiedTokens::default(),
            client: Arc::new(client),
            metrics,
        };
        nobody.changed(config)
    }

    /// Returns what another configuration makes of it. Issuers that it describes alike keep their keys.
    pub(crate) fn changed(&self, config: &AuthConfig) -> Self {
        let is_enabled = !config.disable_identity_auth;
        let accepts_unvalidated = is_enabled && config.allow_unvalidated_identity_tokens;
        if accepts_unvalidated {
            tracing::warn!(
                "identity tokens are accepted without validation, so anybody can make one; \
                 set auth.allow_unvalidated_identity_tokens to false outside of development"
            );
        }
        let mut issuers = Vec::new();
        for oidc in config.oidc.iter().filter(|_| is_enabled) {
            let known = self.issuers.iter().find(|known| known.config == *oidc);
            issuers.push(known.cloned().unwrap_or_else(|| {
                let issuer = Issuer::new(oidc.clone(), self.client.clone(), self.metrics.clone());
                issuer.prefetch();
                issuer
            }));
        }
        Self {
            is_enabled,
            accepts_unvalidated,
            clock_skew: config.clock_skew.as_secs(),
            issuers,
            verified: VerifiedTokens::default(),
            client: self.client.clone(),
            metrics: self.metrics.clone(),
        }
    }

    /// Returns the claims of an identity token, as opposed to one that an access key has signed; none where identities are refused.
    pub(crate) fn recognise(&self, token: &str) -> Option<Unverified> {
        if !self.is_enabled {
            return None;
        }
        let claims = parse(token)?;
        let is_known = has_audience(&claims, IDENTITY_AUDIENCE)
            || self
                .issuers
                .iter()
                .any(|issuer| has_audience(&claims, &issuer.config.audience));
        is_known.then_some(Unverified(claims))
    }

    /// Checks a token and returns what its holder may do. May wait for the issuer.
    pub(crate) async fn check(
        &self,
        token: &str,
        Unverified(claims): Unverified,
    ) -> Result<Grant, Refusal> {
        let now = unix_seconds();
        if self.accepts_unvalidated {
            check_times(&claims, now, self.clock_skew)?;
            return Ok(Grant::EVERYTHING);
        }
        let hash = TokenHash::of(token);
        if let Some(verified) = self.verified.get(hash)
            && let Some(issuer) = self.issuers.get(verified.issuer)
            && issuer.version() == Some(verified.version)
            && now < verified.until
        {
            issuer.refresh_if_old();
            return Ok(verified.grant);
        }
        let verified = self.verify(token, &claims, now).await?;
        self.verified.insert(hash, verified);
        Ok(verified.grant)
    }

    /// Asks for keys last, so that only a token that could be good has an issuer asked.
    async fn verify(
        &self,
        token: &str,
        claims: &Map<String, Value>,
        now: u64,
    ) -> Result<Verified, Refusal> {
        let name = claims.get("iss").and_then(Value::as_str);
        let name = name.ok_or(Refusal::Issuer)?;
        let mut issuers = self.issuers.iter().enumerate();
        let (index, issuer) = issuers
            .find(|(_, issuer)| is_same_url(&issuer.config.issuer, name))
            .ok_or(Refusal::Issuer)?;
        if !has_audience(claims, &issuer.config.audience) {
            return Err(Refusal::Audience);
        }
        let until = check_times(claims, now, self.clock_skew)?;
        let head = token::head(token).ok_or(Refusal::Malformed)?;
        if head.crit.is_some() {
            return Err(Refusal::Malformed);
        }
        let algorithm = key::algorithm(&head.alg).ok_or(Refusal::Algorithm)?;
        let key_id = head.kid.ok_or(Refusal::NoKeyId)?;
        let keys = issuer.keys_with(&key_id).await?;
        let claims = keys.set.verify(token, &key_id, algorithm)?;
        Ok(Verified {
            grant: Grant::of(&claims, &issuer.config),
            issuer: index,
            version: keys.version,
            until,
        })
    }
}

/// Tells whether a token is one of an identity by the audience that the official packages ask for.
pub(crate) fn is_identity_token(token: &str) -> bool {
    parse(token).is_some_and(|claims| has_audience(&claims, IDENTITY_AUDIENCE))
}

fn parse(token: &str) -> Option<Map<String, Value>> {
    match token.len() <= TOKEN_MAX {
        true => token::claims(token),
        false => None,
    }
}

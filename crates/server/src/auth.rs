//! Which tokens open what. Source: rest-api 3, client-protocols 1.3.

use hubwire_protocol::names::Hub;
use hubwire_protocol::token::{
    Claims, ClientTokenClaims, ReconnectionKey, TokenError, audience_host, client_audience_matches,
    derive_internal_key, rest_audience_matches, sign_client_token, tunnel_audience_matches,
};

use crate::clock::unix_seconds;
use crate::config::{AudienceHost, Config, Secret};
use crate::http::Origin;

/// Marks tokens that the service itself has signed.
const INTERNAL_KEY_ID: &str = "internal";

/// The keys and the rules of tokens.
#[derive(Debug)]
pub(crate) struct Auth {
    access_keys: Vec<Secret>,
    internal_key: Secret,
    pub(crate) reconnection_key: ReconnectionKey,
    audience_host: AudienceHost,
    /// Host with port of each public endpoint.
    public_hosts: Vec<String>,
    clock_skew: u64,
    pub(crate) generates_token_with_access_key: bool,
}

impl Auth {
    pub(crate) fn new(config: &Config) -> Self {
        let keys = &config.keys;
        let internal_key = keys
            .internal
            .clone()
            .unwrap_or_else(|| Secret::new(derive_internal_key(keys.primary.expose())));
        let public_hosts = config.public_endpoints.iter().map(|endpoint| {
            let text = endpoint.to_string();
            let host = text
                .split_once("://")
                .map_or(text.as_str(), |(_, host)| host);
            host.to_owned()
        });
        Self {
            access_keys: [Some(&keys.primary), keys.secondary.as_ref()]
                .into_iter()
                .flatten()
                .filter(|_| !config.auth.disable_local_auth)
                .cloned()
                .collect(),
            reconnection_key: ReconnectionKey::new(internal_key.expose().as_bytes()),
            internal_key,
            audience_host: config.auth.audience_host,
            public_hosts: public_hosts.collect(),
            clock_skew: config.auth.clock_skew.as_secs(),
            generates_token_with_access_key: config.auth.generate_token_with_access_key,
        }
    }

    /// Checks the token of a REST request. `host` is the one the request names, `raw_path` its path as received.
    pub(crate) fn check_rest(
        &self,
        token: &str,
        host: &str,
        raw_path: &str,
    ) -> Result<(), TokenError> {
        let keys = self.access_keys.iter().map(Secret::expose);
        let claims = Claims::verify(token, keys, unix_seconds(), self.clock_skew)?;
        let is_covered = claims
            .audiences()
            .any(|audience| rest_audience_matches(audience, self.hosts(host, audience), raw_path));
        match is_covered {
            true => Ok(()),
            false => {
                log_audience(&claims, host, raw_path);
                Err(TokenError::Audience)
            }
        }
    }

    /// Checks the token of a client that wants to connect to a hub.
    pub(crate) fn check_client(
        &self,
        token: &str,
        origin: &Origin,
        hub: &Hub,
        is_legacy: bool,
    ) -> Result<Claims, TokenError> {
        let keys = self
            .access_keys
            .iter()
            .chain([&self.internal_key])
            .map(Secret::expose);
        let claims = Claims::verify(token, keys, unix_seconds(), self.clock_skew)?;
        let is_covered = claims.audiences().any(|audience| {
            let hosts = self.hosts(&origin.host, audience);
            client_audience_matches(audience, hosts, &origin.prefix, hub.as_str(), is_legacy)
        });
        match is_covered {
            true => Ok(claims),
            false => {
                log_audience(
                    &claims,
                    &origin.host,
                    &origin.path(&format!("/client/hubs/{hub}")),
                );
                Err(TokenError::Audience)
            }
        }
    }

    /// Checks the token of a tunnel of a hub. Source: events-and-operations 7.1.
    pub(crate) fn check_tunnel(
        &self,
        token: &str,
        origin: &Origin,
        hub: &Hub,
    ) -> Result<Claims, TokenError> {
        let keys = self.access_keys.iter().map(Secret::expose);
        let claims = Claims::verify(token, keys, unix_seconds(), self.clock_skew)?;
        let is_covered = claims.audiences().any(|audience| {
            let hosts = self.hosts(&origin.host, audience);
            tunnel_audience_matches(audience, hosts, &origin.prefix, hub.as_str())
        });
        match is_covered {
            true => Ok(claims),
            false => {
                log_audience(&claims, &origin.host, &origin.path("/server/tunnel"));
                Err(TokenError::Audience)
            }
        }
    }

    /// Signs a client token with the key that is the service's own.
    pub(crate) fn sign(&self, claims: &ClientTokenClaims) -> String {
        sign_client_token(claims, self.internal_key.expose(), Some(INTERNAL_KEY_ID))
    }

    /// Returns the key that authenticates continuation tokens.
    pub(crate) fn continuation_key(&self) -> &[u8] {
        self.internal_key.expose().as_bytes()
    }

    /// Returns the hosts that an audience may name.
    fn hosts<'a>(&'a self, host: &'a str, audience: &'a str) -> impl Iterator<Item = &'a str> {
        let requested = match self.audience_host {
            AudienceHost::Request => Some(host),
            AudienceHost::Configured => None,
            AudienceHost::Any => audience_host(audience),
        };
        requested
            .into_iter()
            .chain(self.public_hosts.iter().map(String::as_str))
    }
}

/// The most used hint when a token is refused: what it is for, and what was asked for.
fn log_audience(claims: &Claims, host: &str, path: &str) {
    let audiences: Vec<&str> = claims
        .audiences()
        .map(|audience| audience.split('?').next().unwrap_or_default())
        .collect();
    tracing::debug!(?audiences, host, path, "token is for another audience");
}

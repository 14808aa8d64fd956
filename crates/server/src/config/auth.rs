//! Which tokens are accepted.

use std::time::Duration;

use super::oidc::OidcConfig;

/// Says which tokens are accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthConfig {
    /// Says which host the audience of a token must name.
    ///
    /// Default: [`AudienceHost::Request`]. Choose [`AudienceHost::Configured`] when the `Host` header cannot be trusted, or
    /// [`AudienceHost::Any`] behind a proxy that rewrites it.
    pub audience_host: AudienceHost,
    /// Lets `:generateToken` be called with a token signed by an access key.
    ///
    /// Default: true. Set it to false where only identities may issue client tokens.
    pub generate_token_with_access_key: bool,
    /// Lets the development key be used on addresses that other machines can reach.
    ///
    /// Default: false, since everybody knows that key. Meant for throw-away containers.
    pub allow_development_key: bool,
    /// Refuses every token that an access key has signed, of callers and of clients; tokens that the service has issued stay good.
    ///
    /// Default: false. It needs `keys.internal`.
    pub disable_local_auth: bool,
    /// Refuses every token of an identity.
    ///
    /// Default: true until there is an issuer or [`AuthConfig::allow_unvalidated_identity_tokens`].
    pub disable_identity_auth: bool,
    /// Accepts identity tokens by their audience and their lifetime alone, whoever has made them, and lets their holders do everything.
    ///
    /// Default: false. Meant for development without an issuer: anybody can make such a token.
    pub allow_unvalidated_identity_tokens: bool,
    /// Lists the issuers whose identity tokens are accepted.
    ///
    /// Default: none.
    pub oidc: Vec<OidcConfig>,
    /// Tolerates clocks that differ by this much when a token's times are checked.
    ///
    /// Default: 5 min; range: 0 s to 1 h. Lower it where clocks are kept in step and expiry must be sharp.
    pub clock_skew: Duration,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            audience_host: AudienceHost::Request,
            generate_token_with_access_key: true,
            allow_development_key: false,
            disable_local_auth: false,
            disable_identity_auth: true,
            allow_unvalidated_identity_tokens: false,
            oidc: Vec::new(),
            clock_skew: Duration::from_secs(300),
        }
    }
}

/// Names the host that the audience of a token is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudienceHost {
    /// The host of the request, as its `Host` header says.
    Request,
    /// The host of one of the public endpoints.
    Configured,
    /// Any host; only the path of the audience is compared.
    Any,
}

impl AudienceHost {
    /// Lists every value with its word in the configuration file.
    pub(super) const WORDS: &[(&str, Self)] = &[
        ("request", Self::Request),
        ("configured", Self::Configured),
        ("any", Self::Any),
    ];
}

//! Whose identity tokens are accepted, and what their holders may do.

use std::path::PathBuf;

use hubwire_upstream::{PrivateAddresses, Url};

/// The audience of identity tokens that the official packages ask for. Source: rest-api 3.6.
pub const IDENTITY_AUDIENCE: &str = "https://webpubsub.azure.com";

/// Describes an OpenID Connect issuer whose tokens callers may show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcConfig {
    /// The issuer as its tokens name it in `iss`; a slash at its end makes no difference.
    ///
    /// Its keys are found by discovery below it, unless [`OidcConfig::jwks_file`] is set.
    pub issuer: String,
    /// The audience that its tokens name in `aud`; a slash at its end makes no difference.
    ///
    /// Default: [`IDENTITY_AUDIENCE`].
    pub audience: String,
    /// The claim that lists the roles of a caller.
    ///
    /// Default: `roles`.
    pub role_claim: String,
    /// A file with the keys of the issuer as a JSON Web Key Set, for where the issuer cannot be reached.
    ///
    /// Default: none, the keys come from the issuer. The file is read again as the issuer would be asked again.
    pub jwks_file: Option<PathBuf>,
    /// Lets an issuer on loopback be asked by plain HTTP.
    ///
    /// Default: false. Meant for development; no other issuer is ever asked without TLS.
    pub allow_http: bool,
    /// Gives roles to callers by who they are, in addition to those that their tokens list.
    ///
    /// Default: none.
    pub role_assignments: Vec<RoleAssignment>,
}

impl OidcConfig {
    /// Describes an issuer with the defaults for everything else.
    pub fn new(issuer: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            audience: IDENTITY_AUDIENCE.to_owned(),
            role_claim: "roles".to_owned(),
            jwks_file: None,
            allow_http: false,
            role_assignments: Vec::new(),
        }
    }

    /// Says what is wrong with a URL that is the issuer's, or that it has named, if anything is.
    pub(crate) fn fault_of(&self, url: &str) -> Option<&'static str> {
        let Ok(parsed) = Url::parse(url, PrivateAddresses::Allow) else {
            return Some("is no URL of https that the service connects to");
        };
        if url.contains(['?', '#']) {
            return Some("has a query");
        }
        let origin = parsed.to_string();
        // Anything else is https.
        let host = origin.strip_prefix("http://")?;
        match (self.allow_http, is_loopback(host)) {
            (_, false) => Some("is not one of https"),
            (false, true) => Some("is not one of https; `allow_http` lets one on loopback be"),
            (true, true) => None,
        }
    }
}

/// Tells whether a host with or without a port is a loopback address. A name is none, since what it stands for may change.
fn is_loopback(host: &str) -> bool {
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address: Result<std::net::IpAddr, _> = address.parse();
    address.is_ok_and(|address| address.is_loopback())
}

/// Gives roles to the callers whose token has a claim with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleAssignment {
    /// The claim.
    pub claim: PrincipalClaim,
    /// The value of the claim, or one of its values.
    pub value: String,
    /// The roles.
    pub roles: Vec<IdentityRole>,
}

/// Names a claim that says who a caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrincipalClaim {
    /// The object id of a user or of a service principal.
    Oid,
    /// The application, in tokens of version 1 of Entra ID.
    Appid,
    /// The application, in other tokens.
    Azp,
    /// The groups of the caller.
    Groups,
    /// The caller as the issuer calls it.
    Sub,
}

impl PrincipalClaim {
    /// Lists every value with its word in the configuration file, which is the name of the claim.
    pub(crate) const WORDS: &[(&str, Self)] = &[
        ("oid", Self::Oid),
        ("appid", Self::Appid),
        ("azp", Self::Azp),
        ("groups", Self::Groups),
        ("sub", Self::Sub),
    ];
}

/// Names a built-in role of callers with an identity. Source: rest-api 3.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityRole {
    /// May do everything.
    Owner,
    /// May look, and change nothing.
    Reader,
}

impl IdentityRole {
    /// Lists every value with its name and its id.
    pub(crate) const NAMES: &[(&str, &str, Self)] = &[
        (
            "Web PubSub Service Owner",
            "12cf5a90-567b-43ae-8102-96cf46c7d9b4",
            Self::Owner,
        ),
        (
            "Web PubSub Service Reader",
            "bfb1c7d2-fb1a-466b-b2ba-aee63b92deaf",
            Self::Reader,
        ),
    ];

    /// Finds a role by its name or its id; case does not matter.
    pub(crate) fn find(text: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(name, id, _)| name.eq_ignore_ascii_case(text) || id.eq_ignore_ascii_case(text))
            .map(|(_, _, role)| *role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_asked_by_https_and_on_loopback_by_http_where_that_is_allowed() {
        for (url, is_good, is_good_if_allowed) in [
            ("https://login.example.com/tenant/v2.0", true, true),
            ("HTTPS://login.example.com", true, true),
            ("http://login.example.com", false, false),
            ("HTTP://login.example.com", false, false),
            ("http://127.0.0.1:8000", false, true),
            ("http://[::1]:8000/realm", false, true),
            ("http://localhost:8000", false, false),
            ("http://127.0.0.1.example.com", false, false),
            ("http://127.0.0.1@example.com", false, false),
            ("https://login.example.com/?tenant=1", false, false),
            ("https://169.254.169.254/", false, false),
            ("file:///etc/passwd", false, false),
            ("login.example.com", false, false),
        ] {
            let mut config = OidcConfig::new(url);
            assert_eq!(config.fault_of(url).is_none(), is_good, "{url}");
            config.allow_http = true;
            assert_eq!(config.fault_of(url).is_none(), is_good_if_allowed, "{url}");
        }
    }
}

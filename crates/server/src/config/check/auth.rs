//! Which tokens are accepted.

use std::time::Duration;

use super::super::auth::{AudienceHost, AuthConfig};
use super::super::error::ConfigError;
use super::super::oidc::{IdentityRole, OidcConfig, PrincipalClaim, RoleAssignment};
use super::super::section::{Field, Section, listed};
use super::HOUR;

/// Most issuers.
const ISSUERS_MAX: usize = 32;
/// Most callers of an issuer that get roles by who they are.
const ASSIGNMENTS_MAX: usize = 1000;

pub(super) fn read_auth(mut section: Section, auth: &mut AuthConfig) -> Result<(), ConfigError> {
    section.read("audience_host", &mut auth.audience_host, |field| {
        field.choice(AudienceHost::WORDS)
    })?;
    for (key, is_on) in [
        (
            "generate_token_with_access_key",
            &mut auth.generate_token_with_access_key,
        ),
        ("allow_development_key", &mut auth.allow_development_key),
        ("disable_local_auth", &mut auth.disable_local_auth),
        (
            "allow_unvalidated_identity_tokens",
            &mut auth.allow_unvalidated_identity_tokens,
        ),
    ] {
        section.read(key, is_on, |field| field.truth())?;
    }
    section.read("clock_skew", &mut auth.clock_skew, |field| {
        field.duration(Duration::ZERO..=HOUR)
    })?;
    let disabled = section.take("disable_identity_auth");
    section.read("oidc", &mut auth.oidc, read_issuers)?;
    section.finish()?;
    let can_be_enabled = !auth.oidc.is_empty() || auth.allow_unvalidated_identity_tokens;
    auth.disable_identity_auth = match disabled {
        None => !can_be_enabled,
        Some(field) => match field.truth()? {
            false if !can_be_enabled => {
                return Err(field.refuse(
                    "but there is no issuer whose tokens could be accepted; add one under [[auth.oidc]]",
                ));
            }
            is_disabled => is_disabled,
        },
    };
    Ok(())
}

fn read_issuers(field: Field) -> Result<Vec<OidcConfig>, ConfigError> {
    let too_many = field.refuse_unseen(&format!("has more than {ISSUERS_MAX} items"));
    let mut issuers: Vec<OidcConfig> = Vec::new();
    for section in field.tables()? {
        if issuers.len() == ISSUERS_MAX {
            return Err(too_many);
        }
        let again =
            section.refuse("names an issuer that another entry has named; it has one entry");
        let issuer = read_issuer(section)?;
        let name = issuer.issuer.trim_end_matches('/');
        if issuers
            .iter()
            .any(|known| known.issuer.trim_end_matches('/') == name)
        {
            return Err(again);
        }
        issuers.push(issuer);
    }
    Ok(issuers)
}

fn read_issuer(mut section: Section) -> Result<OidcConfig, ConfigError> {
    let Some(url) = section.take("issuer") else {
        return Err(section.refuse("has no `issuer`, which is the URL that tokens name in `iss`"));
    };
    let mut oidc = OidcConfig::new(url.filled_text()?);
    for (key, text) in [
        ("audience", &mut oidc.audience),
        ("role_claim", &mut oidc.role_claim),
    ] {
        section.read(key, text, |field| field.filled_text())?;
    }
    section.read("jwks_file", &mut oidc.jwks_file, |field| {
        Ok(Some(field.filled_text()?.into()))
    })?;
    section.read("allow_http", &mut oidc.allow_http, |field| field.truth())?;
    section.read("role_assignments", &mut oidc.role_assignments, |field| {
        let too_many = field.refuse_unseen(&format!("has more than {ASSIGNMENTS_MAX} items"));
        let sections = field.tables()?;
        match sections.len() <= ASSIGNMENTS_MAX {
            true => sections.into_iter().map(read_assignment).collect(),
            false => Err(too_many),
        }
    })?;
    section.finish()?;
    // The name alone matters where the keys are in a file.
    let fault = match oidc.jwks_file {
        Some(_) => None,
        None => oidc.fault_of(&oidc.issuer),
    };
    match fault {
        Some(fault) => Err(url.refuse_unseen(&format!("is refused: it {fault}"))),
        None => Ok(oidc),
    }
}

fn read_assignment(mut section: Section) -> Result<RoleAssignment, ConfigError> {
    let mut take = |key: &'static str| section.take(key);
    let (Some(claim), Some(value), Some(roles)) = (take("claim"), take("value"), take("roles"))
    else {
        return Err(section.refuse("needs `claim`, `value` and `roles`"));
    };
    section.finish()?;
    let mut assigned = Vec::new();
    for role in roles.list()? {
        let text = role.text()?;
        let found = IdentityRole::find(&text).ok_or_else(|| {
            let names = listed(IdentityRole::NAMES.iter().map(|(name, _, _)| *name));
            role.refuse(&format!("expected one of {names}, or its id"))
        })?;
        if !assigned.contains(&found) {
            assigned.push(found);
        }
    }
    Ok(RoleAssignment {
        claim: claim.choice(PrincipalClaim::WORDS)?,
        value: value.filled_text()?,
        roles: assigned,
    })
}

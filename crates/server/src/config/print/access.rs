//! Who is answered, and how much clients may use.

use std::fmt::{self, Write};

use super::super::auth::{AudienceHost, AuthConfig};
use super::super::check::{count_word, traffic_word};
use super::super::firewall::{FirewallConfig, ThrottleKey};
use super::super::network::{
    AclAction, NetworkConfig, PublicNetworkAccess, RequestRules, RequestType,
};
use super::super::oidc::{IdentityRole, OidcConfig, PrincipalClaim, RoleAssignment};
use super::super::overlay::word;
use super::super::value::{format_duration, format_size};
use super::{quoted, quoted_list};

pub(super) fn write_auth(out: &mut String, auth: &AuthConfig) -> fmt::Result {
    writeln!(out, "\n[auth]")?;
    let host = word(AudienceHost::WORDS, auth.audience_host);
    writeln!(out, "audience_host = {}", quoted(host))?;
    for (key, is_on) in [
        (
            "generate_token_with_access_key",
            auth.generate_token_with_access_key,
        ),
        ("allow_development_key", auth.allow_development_key),
        ("disable_local_auth", auth.disable_local_auth),
        ("disable_identity_auth", auth.disable_identity_auth),
        (
            "allow_unvalidated_identity_tokens",
            auth.allow_unvalidated_identity_tokens,
        ),
    ] {
        writeln!(out, "{key} = {is_on}")?;
    }
    writeln!(out, "clock_skew = \"{}\"", format_duration(auth.clock_skew))?;
    for issuer in &auth.oidc {
        write_issuer(out, issuer)?;
    }
    Ok(())
}

fn write_issuer(out: &mut String, oidc: &OidcConfig) -> fmt::Result {
    writeln!(out, "\n[[auth.oidc]]")?;
    for (key, text) in [
        ("issuer", &oidc.issuer),
        ("audience", &oidc.audience),
        ("role_claim", &oidc.role_claim),
    ] {
        writeln!(out, "{key} = {}", quoted(text))?;
    }
    if let Some(file) = &oidc.jwks_file {
        writeln!(out, "jwks_file = {}", quoted(&file.to_string_lossy()))?;
    }
    writeln!(out, "allow_http = {}", oidc.allow_http)?;
    let assignments = oidc.role_assignments.iter().map(assignment);
    let assignments: Vec<String> = assignments.collect();
    writeln!(out, "role_assignments = [{}]", assignments.join(", "))
}

fn assignment(assignment: &RoleAssignment) -> String {
    let roles = assignment.roles.iter().map(|role| {
        let mut names = IdentityRole::NAMES.iter();
        let name = names.find(|(_, _, known)| known == role);
        name.map_or("", |(name, _, _)| *name).to_owned()
    });
    format!(
        "{{ claim = {}, value = {}, roles = {} }}",
        quoted(word(PrincipalClaim::WORDS, assignment.claim)),
        quoted(&assignment.value),
        quoted_list(roles)
    )
}

pub(super) fn write_network(out: &mut String, network: &NetworkConfig) -> fmt::Result {
    let access = word(PublicNetworkAccess::WORDS, network.public_network_access);
    writeln!(out, "\n[network]")?;
    writeln!(out, "public_network_access = {}", quoted(access))?;
    let proxies = network.trusted_proxies.iter();
    writeln!(
        out,
        "trusted_proxies = {}",
        quoted_list(proxies.map(ToString::to_string))
    )?;
    let acl = &network.acl;
    let default_action = word(AclAction::WORDS, acl.default_action);
    writeln!(out, "\n[network.acl]")?;
    writeln!(out, "default_action = {}", quoted(default_action))?;
    writeln!(
        out,
        "public_network = {{ {} }}",
        request_rules(&acl.public_network)
    )?;
    let networks = acl.networks.iter().map(|network| {
        let cidr = quoted_list(network.cidr.iter().map(ToString::to_string));
        format!(
            "name = {}, cidr = {cidr}, {}",
            quoted(&network.name),
            request_rules(&network.rules)
        )
    });
    write_tables(out, "networks", networks)?;
    let ip_rules = acl.ip_rules.iter().map(|rule| {
        format!(
            "value = {}, action = {}",
            quoted(&rule.value.to_string()),
            quoted(word(AclAction::WORDS, rule.action))
        )
    });
    write_tables(out, "ip_rules", ip_rules)
}

fn request_rules(rules: &RequestRules) -> String {
    let listed = |types: &[RequestType]| {
        let words = types
            .iter()
            .map(|request_type| word(RequestType::WORDS, *request_type).to_owned());
        quoted_list(words)
    };
    format!(
        "allow = {}, deny = {}",
        listed(&rules.allow),
        listed(&rules.deny)
    )
}

pub(super) fn write_firewall(out: &mut String, firewall: &FirewallConfig) -> fmt::Result {
    writeln!(out, "\n[firewall]")?;
    writeln!(
        out,
        "max_client_connection_lifetime = \"{}\"",
        format_duration(firewall.max_client_connection_lifetime)
    )?;
    let counts = firewall.client_connection_count_rules.iter().map(|rule| {
        format!(
            "type = \"{}\"{}, max_count = {}",
            count_word(&rule.key),
            claim_name(&rule.key),
            rule.max_count
        )
    });
    write_tables(out, "client_connection_count_rules", counts)?;
    let traffic = firewall.client_traffic_control_rules.iter().map(|rule| {
        format!(
            "type = \"{}\"{}, max_inbound_message_bytes = \"{}\", aggregation_window = \"{}\"",
            traffic_word(&rule.key),
            claim_name(&rule.key),
            format_size(rule.max_inbound_message_bytes),
            format_duration(rule.aggregation_window)
        )
    });
    write_tables(out, "client_traffic_control_rules", traffic)
}

fn claim_name(key: &ThrottleKey) -> String {
    match key {
        ThrottleKey::UserId | ThrottleKey::JwtSignature => String::new(),
        ThrottleKey::JwtCustomClaim(name) => format!(", claim_name = {}", quoted(name)),
    }
}

/// Writes a list of inline tables, each on a line of its own.
fn write_tables(
    out: &mut String,
    key: &str,
    tables: impl ExactSizeIterator<Item = String>,
) -> fmt::Result {
    if tables.len() == 0 {
        return writeln!(out, "{key} = []");
    }
    writeln!(out, "{key} = [")?;
    for table in tables {
        writeln!(out, "  {{ {table} }},")?;
    }
    writeln!(out, "]")
}

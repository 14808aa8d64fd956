//! The application firewall: who is counted together, and how much they may use.

use std::time::Duration;

use super::super::error::ConfigError;
use super::super::firewall::{
    ConnectionCountRule, FirewallConfig, ThrottleKey, TrafficControlRule,
};
use super::super::section::{Field, Section};
use super::{COUNT_MAX, DAY, GIB, HOUR, SECOND};

/// Rules in a list.
const RULES_MAX: usize = 32;
const LIFETIME_MAX: Duration = Duration::from_secs(365 * DAY.as_secs());

/// What kind of a rule it is, before its claim is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    UserId,
    JwtSignature,
    JwtCustomClaim,
}

const COUNT_WORDS: &[(&str, Kind)] = &[
    ("throttle_by_user_id_rule", Kind::UserId),
    ("throttle_by_jwt_signature_rule", Kind::JwtSignature),
    ("throttle_by_jwt_custom_claim_rule", Kind::JwtCustomClaim),
];
const TRAFFIC_WORDS: &[(&str, Kind)] = &[
    ("traffic_throttle_by_user_id_rule", Kind::UserId),
    ("traffic_throttle_by_jwt_signature_rule", Kind::JwtSignature),
    (
        "traffic_throttle_by_jwt_custom_claim_rule",
        Kind::JwtCustomClaim,
    ),
];

pub(super) fn read_firewall(
    mut section: Section,
    firewall: &mut FirewallConfig,
) -> Result<(), ConfigError> {
    let counts = &mut firewall.client_connection_count_rules;
    section.read("client_connection_count_rules", counts, |field| {
        let items = field.list_of_at_most(RULES_MAX)?;
        items.into_iter().map(read_count_rule).collect()
    })?;
    let traffic = &mut firewall.client_traffic_control_rules;
    section.read("client_traffic_control_rules", traffic, |field| {
        let items = field.list_of_at_most(RULES_MAX)?;
        items.into_iter().map(read_traffic_rule).collect()
    })?;
    let lifetime = &mut firewall.max_client_connection_lifetime;
    section.read("max_client_connection_lifetime", lifetime, |field| {
        let lifetime = field.duration(Duration::ZERO..=LIFETIME_MAX)?;
        match lifetime.is_zero() || lifetime >= SECOND {
            true => Ok(lifetime),
            false => Err(field.refuse("allowed is 0s, which is no limit, or 1s to 365d")),
        }
    })?;
    section.finish()
}

fn read_count_rule(field: Field) -> Result<ConnectionCountRule, ConfigError> {
    let (mut section, key) = read_key(field, COUNT_WORDS)?;
    let mut rule = ConnectionCountRule::new(key);
    section.read("max_count", &mut rule.max_count, |field| {
        field.count(1..=COUNT_MAX)
    })?;
    section.finish()?;
    Ok(rule)
}

fn read_traffic_rule(field: Field) -> Result<TrafficControlRule, ConfigError> {
    let (mut section, key) = read_key(field, TRAFFIC_WORDS)?;
    let mut rule = TrafficControlRule::new(key);
    let bytes = &mut rule.max_inbound_message_bytes;
    section.read("max_inbound_message_bytes", bytes, |field| {
        field.size(1..=512 * GIB)
    })?;
    section.read(
        "aggregation_window",
        &mut rule.aggregation_window,
        |field| field.duration(SECOND..=HOUR),
    )?;
    section.finish()?;
    Ok(rule)
}

/// Reads what the rule is about. Returns the rest of it.
fn read_key(field: Field, words: &[(&str, Kind)]) -> Result<(Section, ThrottleKey), ConfigError> {
    let (first, _) = words[0];
    let no_type = field.refuse_unseen(&format!("has no `type`, such as type = \"{first}\""));
    let no_claim = field.refuse_unseen("has no `claim_name`, such as claim_name = \"tenant\"");
    let mut section = field.section()?;
    let mut kind = None;
    section.read("type", &mut kind, |field| field.choice(words).map(Some))?;
    let kind = kind.ok_or(no_type)?;
    let claim_name = section.take("claim_name");
    let key = match (kind, claim_name) {
        (Kind::JwtCustomClaim, None) => return Err(no_claim),
        (Kind::JwtCustomClaim, Some(name)) => match name.text()? {
            text if text.is_empty() => return Err(no_claim),
            text => ThrottleKey::JwtCustomClaim(text),
        },
        (Kind::UserId | Kind::JwtSignature, Some(name)) => {
            let wrong = "belongs to rules by custom claim; remove it or change `type`";
            return Err(name.refuse_unseen(wrong));
        }
        (Kind::UserId, None) => ThrottleKey::UserId,
        (Kind::JwtSignature, None) => ThrottleKey::JwtSignature,
    };
    Ok((section, key))
}

/// Returns the word for the `type` of a rule that counts connections.
pub(in super::super) fn count_word(key: &ThrottleKey) -> &'static str {
    word(key, COUNT_WORDS)
}

/// Returns the word for the `type` of a rule that counts bytes.
pub(in super::super) fn traffic_word(key: &ThrottleKey) -> &'static str {
    word(key, TRAFFIC_WORDS)
}

fn word(key: &ThrottleKey, words: &'static [(&'static str, Kind)]) -> &'static str {
    let kind = match key {
        ThrottleKey::UserId => Kind::UserId,
        ThrottleKey::JwtSignature => Kind::JwtSignature,
        ThrottleKey::JwtCustomClaim(_) => Kind::JwtCustomClaim,
    };
    super::super::overlay::word(words, kind)
}

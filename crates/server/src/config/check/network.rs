//! Access by network: who is believed, and who is answered.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::error::ConfigError;
use super::super::network::{
    AclAction, IpRule, NetworkAcl, NetworkConfig, NetworkRules, PublicNetworkAccess, RequestRules,
    RequestType,
};
use super::super::section::{Field, Section};

/// Networks with rules of their own.
const NETWORKS_MAX: usize = 100;
/// Rules about addresses.
const IP_RULES_MAX: usize = 1000;

pub(super) fn read_network(
    mut section: Section,
    network: &mut NetworkConfig,
) -> Result<(), ConfigError> {
    let access = &mut network.public_network_access;
    section.read("public_network_access", access, |field| {
        field.choice(PublicNetworkAccess::WORDS)
    })?;
    let proxies = &mut network.trusted_proxies;
    section.read("trusted_proxies", proxies, read_addresses)?;
    if let Some(acl) = section.take("acl") {
        network.acl = read_acl(acl.section()?)?;
    }
    section.finish()
}

fn read_acl(mut section: Section) -> Result<NetworkAcl, ConfigError> {
    let mut acl = NetworkAcl::default();
    section.read("default_action", &mut acl.default_action, |field| {
        field.choice(AclAction::WORDS)
    })?;
    let default_action = acl.default_action;
    section.read("public_network", &mut acl.public_network, |field| {
        read_public_rules(field, default_action)
    })?;
    section.read("networks", &mut acl.networks, |field| {
        let items = field.list_of_at_most(NETWORKS_MAX)?;
        items.into_iter().map(read_own).collect()
    })?;
    section.read("ip_rules", &mut acl.ip_rules, |field| {
        let items = field.list_of_at_most(IP_RULES_MAX)?;
        items.into_iter().map(read_ip_rule).collect()
    })?;
    section.finish()?;
    Ok(acl)
}

fn read_own(field: Field) -> Result<NetworkRules, ConfigError> {
    let nameless = field.refuse_unseen("has no `name`, such as name = \"office\"");
    let empty = field.refuse_unseen("has no `cidr`, such as cidr = [\"10.0.0.0/8\"]");
    let mut section = field.section()?;
    let (mut name, mut cidr) = (String::new(), Vec::new());
    section.read("name", &mut name, |field| field.text())?;
    section.read("cidr", &mut cidr, read_addresses)?;
    let rules = read_rules(&mut section)?;
    section.finish()?;
    match (name.is_empty(), cidr.is_empty()) {
        (true, _) => Err(nameless),
        (false, true) => Err(empty),
        (false, false) => Ok(NetworkRules { name, cidr, rules }),
    }
}

fn read_rules(section: &mut Section) -> Result<RequestRules, ConfigError> {
    let mut rules = RequestRules::default();
    section.read("allow", &mut rules.allow, read_request_types)?;
    section.read("deny", &mut rules.deny, read_request_types)?;
    Ok(rules)
}

/// Refuses a list that looks as if it kept the public from the rest, and does not.
fn read_public_rules(field: Field, default_action: AclAction) -> Result<RequestRules, ConfigError> {
    let useless = field.refuse_unseen(
        "allows some request types by `allow`, and the others are allowed too, since \
         network.acl.default_action is \"allow\"; make that \"deny\", or list the others in `deny`",
    );
    let mut section = field.section()?;
    let rules = read_rules(&mut section)?;
    section.finish()?;
    let mut types = RequestType::WORDS
        .iter()
        .map(|(_, request_type)| request_type);
    let is_named =
        |request_type| rules.allow.contains(request_type) || rules.deny.contains(request_type);
    match default_action {
        AclAction::Allow if !rules.allow.is_empty() && !types.all(is_named) => Err(useless),
        AclAction::Allow | AclAction::Deny => Ok(rules),
    }
}

fn read_request_types(field: Field) -> Result<Vec<RequestType>, ConfigError> {
    let items = field.list()?;
    let types = items.iter().map(|item| item.choice(RequestType::WORDS));
    types.collect()
}

fn read_ip_rule(field: Field) -> Result<IpRule, ConfigError> {
    let no_value = field.refuse_unseen("has no `value`, such as value = \"203.0.113.0/24\"");
    let no_action = field.refuse_unseen("has no `action`, which is \"allow\" or \"deny\"");
    let mut section = field.section()?;
    let (mut value, mut action) = (None, None);
    section.read("value", &mut value, |field| read_address(&field).map(Some))?;
    section.read("action", &mut action, |field| {
        field.choice(AclAction::WORDS).map(Some)
    })?;
    section.finish()?;
    match (value, action) {
        (Some(value), Some(action)) => Ok(IpRule { value, action }),
        (None, _) => Err(no_value),
        (Some(_), None) => Err(no_action),
    }
}

fn read_addresses(field: Field) -> Result<Vec<IpNet>, ConfigError> {
    field.list()?.iter().map(read_address).collect()
}

/// Reads a network, or an address alone.
fn read_address(field: &Field) -> Result<IpNet, ConfigError> {
    let text = field.text()?;
    let network = text
        .parse()
        .or_else(|_| text.parse().map(|addr: IpAddr| addr.into()));
    network.map_err(|_| field.refuse("is neither an address nor a network such as \"10.0.0.0/8\""))
}

//! Whether a request is answered, by what it asks for and where it comes from. Source: events-and-operations 9.3.
//!
//! An address of a network that the configuration lists is under that network's rules. Other addresses of loopback and private
//! networks are under the default action alone. All the rest is public, and the order there is: public access at all, what the
//! public network denies, the IP rules, what the public network allows, the default action.

use std::net::IpAddr;

use hyper::Request;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::config::{AclAction, NetworkAcl, NetworkConfig, PublicNetworkAccess, RequestType};
use crate::http::Peer;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denied;

impl Denied {
    /// Says so to the client or caller.
    pub(crate) const MESSAGE: &str =
        "The network rules of the service do not allow this request from this address.";
}

/// Checks a request. What health and metrics answer is not asked about: a listener's addresses say who reaches them.
pub(crate) fn check<B>(
    network: &NetworkConfig,
    asks_for: RequestType,
    request: &Request<B>,
    peer: &Peer,
) -> Result<(), Denied> {
    let has_rules = network.public_network_access != PublicNetworkAccess::Enabled
        || network.acl != NetworkAcl::default();
    if !has_rules {
        return Ok(());
    }
    let peer_addr = peer.addr.ip();
    let addr = client_address(request.headers(), peer_addr, &network.trusted_proxies);
    let (action, rule) = decide(network, asks_for, addr);
    match action {
        AclAction::Allow => Ok(()),
        AclAction::Deny => {
            tracing::debug!(%addr, ?asks_for, rule, "request denied by a network rule");
            Err(Denied)
        }
    }
}

/// Returns the address that a request comes from: that of the peer, or if it is a trusted proxy, the last one in `X-Forwarded-For`
/// that is not. Each proxy appends the address it was asked from, so what stands left of that one is a mere claim.
pub(crate) fn client_address(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> IpAddr {
    let mut addr = peer.to_canonical();
    // Hop by hop, since a client may have begun the line with anything.
    let values: Vec<&[u8]> = headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let hops = values
        .iter()
        .rev()
        .flat_map(|value| value.rsplit(|byte| *byte == b','))
        .map(|hop| str::from_utf8(hop).unwrap_or_default());
    for hop in hops {
        if !trusted.iter().any(|net| net.contains(&addr)) {
            break;
        }
        // A proxy that does not say where the request came from is where it came from.
        let Some(before) = parse_hop(hop.trim()) else {
            break;
        };
        addr = before;
    }
    addr
}

/// Reads an address, with or without a port.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let addr = hop.parse::<IpAddr>().ok().or_else(|| {
        let bare = hop
            .strip_prefix('[')
            .and_then(|hop| hop.split_once(']'))
            .map(|(addr, _)| addr);
        bare.or_else(|| hop.rsplit_once(':').map(|(addr, _)| addr))?
            .parse()
            .ok()
    });
    addr.map(|addr| addr.to_canonical())
}

/// Returns what becomes of a request, and the part of the rules that says so.
fn decide(
    network: &NetworkConfig,
    asks_for: RequestType,
    addr: IpAddr,
) -> (AclAction, &'static str) {
    use AclAction::{Allow, Deny};

    let addr = addr.to_canonical();
    let acl = &network.acl;
    let own = acl
        .networks
        .iter()
        .find(|own| own.cidr.iter().any(|net| net.contains(&addr)));
    if let Some(own) = own {
        if own.rules.deny.contains(&asks_for) {
            return (Deny, "networks");
        }
        return match own.rules.allow.contains(&asks_for) {
            true => (Allow, "networks"),
            false => (acl.default_action, "default_action"),
        };
    }
    if !is_public(addr) {
        return (acl.default_action, "default_action");
    }
    if network.public_network_access == PublicNetworkAccess::Disabled {
        return (Deny, "public_network_access");
    }
    if acl.public_network.deny.contains(&asks_for) {
        return (Deny, "public_network");
    }
    if let Some(rule) = acl.ip_rules.iter().find(|rule| rule.value.contains(&addr)) {
        return (rule.action, "ip_rules");
    }
    match acl.public_network.allow.contains(&asks_for) {
        true => (Allow, "public_network"),
        false => (acl.default_action, "default_action"),
    }
}

/// Tells whether an address is one of the internet: neither of this machine, nor of a link, nor of a network that routes
/// privately.
fn is_public(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => {
            let [first, second, ..] = addr.octets();
            let is_shared = first == 100 && second & 0xC0 == 64;
            let is_this_network = first == 0;
            !(addr.is_loopback()
                || addr.is_private()
                || addr.is_link_local()
                || is_shared
                || is_this_network)
        }
        IpAddr::V6(addr) => {
            !(addr.is_loopback()
                || addr.is_unspecified()
                || addr.is_unique_local()
                || addr.is_unicast_link_local())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{IpRule, NetworkRules, RequestRules};

    use AclAction::{Allow, Deny};
    use RequestType::{ClientConnection, RestApi, ServerConnection, Trace};

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn net(text: &str) -> IpNet {
        text.parse().unwrap_or_else(|_| addr(text).into())
    }

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| net(text)).collect()
    }

    fn ip_rule(value: &str, action: AclAction) -> IpRule {
        IpRule {
            value: net(value),
            action,
        }
    }

    fn rules(allow: &[RequestType], deny: &[RequestType]) -> RequestRules {
        RequestRules {
            allow: allow.to_vec(),
            deny: deny.to_vec(),
        }
    }

    fn own(name: &str, cidr: &[&str], rules: RequestRules) -> NetworkRules {
        NetworkRules {
            name: name.to_owned(),
            cidr: nets(cidr),
            rules,
        }
    }

    #[track_caller]
    fn check_table(network: &NetworkConfig, table: &[(&str, RequestType, AclAction, &str)]) {
        for (from, asks_for, action, rule) in table {
            let decision = decide(network, *asks_for, addr(from));
            assert_eq!(decision, (*action, *rule), "{asks_for:?} from {from}");
        }
    }

    /// Source: events-and-operations 9.3.
    #[test]
    fn without_rules_everything_is_allowed() {
        let network = NetworkConfig::default();
        for asks_for in [ClientConnection, ServerConnection, RestApi, Trace] {
            for from in ["203.0.113.9", "2001:db8::1", "10.0.0.1", "127.0.0.1", "::1"] {
                assert_eq!(decide(&network, asks_for, addr(from)).0, Allow);
            }
        }
    }

    /// Source: events-and-operations 9.3.
    #[test]
    fn disabled_public_access_comes_before_every_rule_that_allows() {
        let network = NetworkConfig {
            public_network_access: PublicNetworkAccess::Disabled,
            acl: NetworkAcl {
                public_network: rules(&[ClientConnection, RestApi], &[]),
                ip_rules: vec![ip_rule("203.0.113.0/24", Allow)],
                networks: vec![own("office", &["198.51.100.0/24"], rules(&[], &[]))],
                ..NetworkAcl::default()
            },
            ..NetworkConfig::default()
        };
        check_table(
            &network,
            &[
                ("203.0.113.9", RestApi, Deny, "public_network_access"),
                (
                    "2001:db8::1",
                    ClientConnection,
                    Deny,
                    "public_network_access",
                ),
                ("10.0.0.1", RestApi, Allow, "default_action"),
                ("::1", RestApi, Allow, "default_action"),
                ("198.51.100.7", RestApi, Allow, "default_action"),
            ],
        );
    }

    /// Source: events-and-operations 9.3.
    #[test]
    fn public_requests_are_denied_by_type_then_decided_by_ip_then_allowed_by_type() {
        let network = NetworkConfig {
            acl: NetworkAcl {
                default_action: Deny,
                public_network: rules(&[ClientConnection], &[Trace]),
                ip_rules: vec![
                    ip_rule("203.0.113.66", Deny),
                    ip_rule("203.0.113.0/24", Allow),
                    ip_rule("203.0.0.0/16", Deny),
                    ip_rule("2001:db8:1::/48", Deny),
                ],
                ..NetworkAcl::default()
            },
            ..NetworkConfig::default()
        };
        check_table(
            &network,
            &[
                ("203.0.113.9", Trace, Deny, "public_network"),
                ("203.0.113.9", RestApi, Allow, "ip_rules"),
                ("203.0.113.66", RestApi, Deny, "ip_rules"),
                ("203.0.113.66", ClientConnection, Deny, "ip_rules"),
                ("203.0.114.1", ClientConnection, Deny, "ip_rules"),
                ("::ffff:203.0.113.9", RestApi, Allow, "ip_rules"),
                ("2001:db8:1::5", ClientConnection, Deny, "ip_rules"),
                ("2001:db8:2::5", ClientConnection, Allow, "public_network"),
                ("198.51.100.1", ClientConnection, Allow, "public_network"),
                ("198.51.100.1", RestApi, Deny, "default_action"),
                ("198.51.100.1", ServerConnection, Deny, "default_action"),
            ],
        );
    }

    /// Source: events-and-operations 9.3.
    #[test]
    fn ip_rules_and_rules_of_the_public_network_never_concern_private_networks() {
        let network = NetworkConfig {
            acl: NetworkAcl {
                public_network: rules(&[], &[ClientConnection]),
                ip_rules: vec![ip_rule("0.0.0.0/0", Deny), ip_rule("::/0", Deny)],
                networks: vec![
                    own("vpc", &["10.1.0.0/16"], rules(&[RestApi], &[Trace])),
                    own(
                        "all of it",
                        &["10.0.0.0/8", "fd00::/8"],
                        rules(&[], &[RestApi]),
                    ),
                    own("office", &["198.51.100.0/24"], rules(&[], &[Trace])),
                ],
                ..NetworkAcl::default()
            },
            ..NetworkConfig::default()
        };
        check_table(
            &network,
            &[
                ("10.1.2.3", RestApi, Allow, "networks"),
                ("10.1.2.3", Trace, Deny, "networks"),
                ("10.1.2.3", ClientConnection, Allow, "default_action"),
                ("10.2.2.3", RestApi, Deny, "networks"),
                ("fd00::1", RestApi, Deny, "networks"),
                ("192.168.1.1", ClientConnection, Allow, "default_action"),
                ("127.0.0.1", ClientConnection, Allow, "default_action"),
                ("198.51.100.1", ClientConnection, Allow, "default_action"),
                ("198.51.100.1", Trace, Deny, "networks"),
                ("8.8.8.8", ClientConnection, Deny, "public_network"),
                ("8.8.8.8", RestApi, Deny, "ip_rules"),
            ],
        );
    }

    #[test]
    fn what_does_not_route_in_the_internet_is_not_public() {
        for private in [
            "127.0.0.1",
            "10.255.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "0.0.0.0",
            "::",
            "::1",
            "fd12::1",
            "fc00::1",
            "fe80::1",
        ] {
            assert!(!is_public(addr(private)), "{private}");
        }
        for public in [
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "100.63.255.255",
            "2606:4700::1",
        ] {
            assert!(is_public(addr(public)), "{public}");
        }
    }

    #[test]
    fn address_is_the_last_one_that_no_trusted_proxy_has() {
        let trusted = nets(&["10.0.0.0/8", "::1"]);
        let cases: &[(&str, &[&str], &str)] = &[
            ("203.0.113.1", &["198.51.100.1"], "203.0.113.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]:80"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["8.8.8.8, 198.51.100.1"], "198.51.100.1"),
            (
                "10.0.0.1",
                &["8.8.8.8, 198.51.100.1 ,10.0.0.2", "10.0.0.3"],
                "198.51.100.1",
            ),
            ("10.0.0.1", &["10.0.0.4, 10.0.0.2"], "10.0.0.4"),
            ("10.0.0.1", &["8.8.8.8, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["nonsense, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
        ];
        for (peer, values, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in *values {
                headers.append(X_FORWARDED_FOR, value.parse().unwrap());
            }
            let found = client_address(&headers, addr(peer), &trusted);
            assert_eq!(found, addr(expected), "{peer} {values:?}");
        }
        let claim = HeaderValue::from_bytes(b"\xff, 198.51.100.1").unwrap();
        let headers = HeaderMap::from_iter([(X_FORWARDED_FOR, claim)]);
        let found = client_address(&headers, addr("10.0.0.1"), &trusted);
        assert_eq!(
            found,
            addr("198.51.100.1"),
            "what a client claims hides nothing"
        );
    }
}

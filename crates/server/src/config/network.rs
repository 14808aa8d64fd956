//! The network around the service.

use ipnet::IpNet;

/// Says whom the service answers, and whom it believes about where a request comes from. Source: events-and-operations 9.3.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkConfig {
    /// Says whether anything is answered that comes from a public address.
    ///
    /// Default: enabled. Disable it where clients and app servers are all in networks of your own; the rules of
    /// [`NetworkAcl`] about the public network are ignored then.
    pub public_network_access: PublicNetworkAccess,
    /// Lists the networks of proxies whose `X-Forwarded-For`, `X-Forwarded-Host`, `X-Forwarded-Proto` and `X-Forwarded-Prefix`
    /// headers count.
    ///
    /// Default: none, the headers are ignored. Set it where a proxy stands before the service; anyone else who could send the
    /// headers could choose the audience that tokens are checked against, and the address that the rules are about.
    pub trusted_proxies: Vec<IpNet>,
    /// Says which requests are answered, by what they ask for and where they come from.
    pub acl: NetworkAcl,
}

/// Says whether public addresses are answered at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PublicNetworkAccess {
    /// They are, as far as the rules allow it.
    #[default]
    Enabled,
    /// They are not.
    Disabled,
}

impl PublicNetworkAccess {
    pub(super) const WORDS: &[(&str, Self)] =
        &[("enabled", Self::Enabled), ("disabled", Self::Disabled)];
}

/// Rules about requests. The default ones allow everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkAcl {
    /// Decides about requests that no rule is about.
    ///
    /// Default: allow.
    pub default_action: AclAction,
    /// The rules for public addresses: those that are neither private to a machine or a site nor in one of `networks`.
    pub public_network: RequestRules,
    /// Networks with rules of their own; an address belongs to the first that has it. At most 100.
    pub networks: Vec<NetworkRules>,
    /// Rules for public addresses, whatever they ask for; the first that has the address decides. At most 1,000.
    pub ip_rules: Vec<IpRule>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AclAction {
    /// It is answered, if its token is good.
    #[default]
    Allow,
    /// It is answered with 403.
    Deny,
}

impl AclAction {
    pub(super) const WORDS: &[(&str, Self)] = &[("allow", Self::Allow), ("deny", Self::Deny)];
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestType {
    /// A client's handshake, or its way back to a connection.
    ClientConnection,
    /// A connection of an app server, such as the tunnel.
    ServerConnection,
    /// A REST call; health is not one.
    RestApi,
    /// A look at the live trace.
    Trace,
}

impl RequestType {
    pub(super) const WORDS: &[(&str, Self)] = &[
        ("client_connection", Self::ClientConnection),
        ("server_connection", Self::ServerConnection),
        ("rest_api", Self::RestApi),
        ("trace", Self::Trace),
    ];
}

/// Which requests of a network are allowed and which denied; a denial wins. What is in neither list is left to the next rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestRules {
    /// Allowed, unless an IP rule denies the address. It takes a default action of deny to make a difference.
    pub allow: Vec<RequestType>,
    /// Denied.
    pub deny: Vec<RequestType>,
}

/// A network with rules of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkRules {
    /// Tells it from others in the log.
    pub name: String,
    /// The addresses in it, at least one network.
    pub cidr: Vec<IpNet>,
    /// What is allowed and denied there.
    pub rules: RequestRules,
}

/// A rule about addresses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IpRule {
    /// The addresses.
    pub value: IpNet,
    /// What becomes of their requests.
    pub action: AclAction,
}

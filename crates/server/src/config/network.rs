//! The network around the service.

use ipnet::IpNet;

/// Says whom the service believes about where a request comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkConfig {
    /// Lists the networks of proxies whose `X-Forwarded-Host`, `X-Forwarded-Proto` and `X-Forwarded-Prefix` headers count.
    ///
    /// Default: none, the headers are ignored. Set it where a proxy changes the host or the path of requests; anyone else who
    /// could send the headers could choose the audience that tokens are checked against.
    pub trusted_proxies: Vec<IpNet>,
}

//! Sockets the service listens on.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// Port of the default listener.
const DEFAULT_PORT: u16 = 8080;

/// Describes sockets that share what is answered on them.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerConfig {
    /// Lists the addresses to bind; port 0 picks a free one.
    ///
    /// Default: `127.0.0.1:8080` and `[::1]:8080`. Bind `0.0.0.0` or `[::]` to be reached from other machines.
    pub bind: Vec<SocketAddr>,
    /// Says what is answered here.
    ///
    /// Default: clients, REST, tunnels and health.
    pub roles: Roles,
    /// Encrypts the sockets when set.
    ///
    /// Default: none, plain HTTP and WebSocket.
    pub tls: Option<TlsConfig>,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        let bind = vec![
            (Ipv4Addr::LOCALHOST, DEFAULT_PORT).into(),
            (Ipv6Addr::LOCALHOST, DEFAULT_PORT).into(),
        ];
        Self {
            bind,
            roles: Roles::default(),
            tls: None,
        }
    }
}

/// Says what is answered on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Clients may connect. Default: true.
    pub client: bool,
    /// REST calls are answered. Default: true.
    pub rest: bool,
    /// Tunnels may connect. Default: true.
    pub tunnel: bool,
    /// The health routes are answered. Default: true.
    pub health: bool,
    /// `/metrics` is answered, to anyone who asks. Default: false.
    pub metrics: bool,
}

impl Roles {
    /// No role at all.
    pub const NONE: Self = Self {
        client: false,
        rest: false,
        tunnel: false,
        health: false,
        metrics: false,
    };
}

impl Default for Roles {
    fn default() -> Self {
        Self {
            client: true,
            rest: true,
            tunnel: true,
            health: true,
            metrics: false,
        }
    }
}

/// Names the certificate of a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsConfig {
    /// Names the PEM file with the certificate chain, leaf first; relative to the working directory.
    pub cert: PathBuf,
    /// Names the PEM file with the private key; relative to the working directory.
    pub key: PathBuf,
    /// Refuses older versions of TLS.
    ///
    /// Default: 1.2. Raise it to 1.3 when all clients speak it.
    pub min_version: TlsVersion,
    /// Asks clients for a certificate, which handlers of the event `connect` get to see.
    ///
    /// Default: false. A client without one is let in all the same: the handler decides. Any certificate is accepted, self-signed
    /// ones too, as long as the client has its key and there is no `client_ca`.
    pub request_client_certificate: bool,
    /// Names the PEM file with the authorities that vouch for clients' certificates; relative to the working directory. Asks for
    /// certificates, and refuses those of others during the TLS handshake.
    ///
    /// Default: none.
    pub client_ca: Option<PathBuf>,
}

/// Names a version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

impl TlsVersion {
    /// Lists every version with its word in the configuration file.
    pub(super) const WORDS: &[(&str, Self)] = &[("1.2", Self::V1_2), ("1.3", Self::V1_3)];
}

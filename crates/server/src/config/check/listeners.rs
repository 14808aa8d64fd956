//! Listeners: addresses, roles and certificates.

use std::net::SocketAddr;

use super::super::error::{ConfigError, Place};
use super::super::listener::{ListenerConfig, Roles, TlsConfig, TlsVersion};
use super::super::section::Field;

/// Words for the roles of a listener.
const ROLE_WORDS: [&str; 5] = ["client", "rest", "tunnel", "health", "metrics"];

/// An address to bind and where it was written.
pub(super) type Bound = (SocketAddr, Place);

/// Reads all listeners; also returns every address with its place.
pub(super) fn read_listeners(
    field: Field,
) -> Result<(Vec<ListenerConfig>, Vec<Bound>), ConfigError> {
    let place = field.place().clone();
    let mut listeners = Vec::new();
    let mut bound: Vec<Bound> = Vec::new();
    for item in field.list()? {
        listeners.push(read_listener(item, &mut bound)?);
    }
    if !listeners
        .iter()
        .any(|listener| listener.roles.client || listener.roles.rest)
    {
        return Err(place.refuse(
            "no listener serves clients or REST; give one of `listeners` the role \"client\" or \
             \"rest\"",
        ));
    }
    Ok((listeners, bound))
}

fn read_listener(field: Field, bound: &mut Vec<Bound>) -> Result<ListenerConfig, ConfigError> {
    let missing = field.refuse_unseen("has no `bind`, such as bind = [\"127.0.0.1:8080\"]");
    let mut listener = ListenerConfig {
        bind: Vec::new(),
        roles: Roles::default(),
        tls: None,
    };
    let mut section = field.section()?;
    section.read("bind", &mut listener.bind, |field| {
        read_addresses(field, bound)
    })?;
    section.read("roles", &mut listener.roles, read_roles)?;
    section.read("tls", &mut listener.tls, |field| read_tls(field).map(Some))?;
    section.finish()?;
    if listener.bind.is_empty() {
        Err(missing)
    } else {
        Ok(listener)
    }
}

fn read_addresses(field: Field, bound: &mut Vec<Bound>) -> Result<Vec<SocketAddr>, ConfigError> {
    let mut addresses = Vec::new();
    for item in field.list()? {
        let text = item.text()?;
        let Ok(address) = text.parse::<SocketAddr>() else {
            return Err(item.refuse(
                "expected an IP address and a port, such as \"127.0.0.1:8080\", \"[::1]:8080\" or \
                 \"0.0.0.0:8080\"",
            ));
        };
        // Port 0 asks for a free port, a different one each time.
        if address.port() != 0 && bound.iter().any(|(other, _)| *other == address) {
            return Err(item.refuse("this address is bound already, list it once"));
        }
        bound.push((address, item.place().clone()));
        addresses.push(address);
    }
    Ok(addresses)
}

fn read_roles(field: Field) -> Result<Roles, ConfigError> {
    let none = field.refuse_unseen(
        "is empty, leave it out for the default or list some of \"client\", \"rest\", \"tunnel\", \
         \"health\", \"metrics\"",
    );
    let mut roles = Roles::NONE;
    for item in field.list()? {
        match item.choice(&ROLE_WORDS.map(|word| (word, word)))? {
            "client" => roles.client = true,
            "rest" => roles.rest = true,
            "tunnel" => roles.tunnel = true,
            "health" => roles.health = true,
            _ => roles.metrics = true,
        }
    }
    if roles == Roles::NONE {
        Err(none)
    } else {
        Ok(roles)
    }
}

fn read_tls(field: Field) -> Result<TlsConfig, ConfigError> {
    let place = field.place().clone();
    let path = field.path().to_owned();
    let mut section = field.section()?;
    let (mut cert, mut key, mut min_version) = (None, None, TlsVersion::V1_2);
    section.read("cert", &mut cert, |field| field.file_path().map(Some))?;
    section.read("key", &mut key, |field| field.file_path().map(Some))?;
    section.read("min_version", &mut min_version, |field| {
        field.choice(TlsVersion::WORDS)
    })?;
    let (mut request_client_certificate, mut client_ca) = (false, None);
    section.read(
        "request_client_certificate",
        &mut request_client_certificate,
        |field| field.truth(),
    )?;
    section.read("client_ca", &mut client_ca, |field| {
        field.file_path().map(Some)
    })?;
    section.finish()?;
    let missing = match (cert, key) {
        (Some(cert), Some(key)) => {
            return Ok(TlsConfig {
                cert,
                key,
                min_version,
                request_client_certificate,
                client_ca,
            });
        }
        (None, _) => "cert",
        (_, None) => "key",
    };
    Err(place.refuse(format!(
        "{path} has no `{missing}`; a certificate and its private key go together (flags --tls-cert \
         and --tls-key)"
    )))
}

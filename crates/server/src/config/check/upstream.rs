//! How events leave the service.

use std::time::Duration;

use super::super::error::ConfigError;
use super::super::section::{Field, Section};
use super::super::upstream::{PrivateAddressPolicy, UpstreamConfig};
use super::{COUNT_MAX, GIB, HOUR, KIB};

/// Shortest time that an event may get.
pub(super) const TIMEOUT_MIN: Duration = Duration::from_millis(1);
/// Most pauses between attempts.
const RETRIES_MAX: usize = 10;

pub(super) fn read_upstream(mut section: Section) -> Result<UpstreamConfig, ConfigError> {
    let mut upstream = UpstreamConfig::default();
    section.read("request_origins", &mut upstream.request_origins, read_hosts)?;
    section.read("timeout", &mut upstream.timeout, |field| {
        field.duration(TIMEOUT_MIN..=HOUR)
    })?;
    section.read("retry_delays", &mut upstream.retry_delays, read_delays)?;
    let body_max = &mut upstream.response_body_max;
    section.read("response_body_max", body_max, |field| field.size(KIB..=GIB))?;
    let policy = &mut upstream.private_addresses;
    section.read("private_addresses", policy, |field| {
        field.choice(PrivateAddressPolicy::WORDS)
    })?;
    let validate = &mut upstream.validate_on_load;
    section.read("validate_on_load", validate, |field| field.truth())?;
    for (key, limit) in [
        ("requests_per_host_max", &mut upstream.requests_per_host_max),
        ("notifications_max", &mut upstream.notifications_max),
    ] {
        section.read(key, limit, |field| field.count(1..=COUNT_MAX))?;
    }
    section.finish()?;
    Ok(upstream)
}

fn read_hosts(field: Field) -> Result<Vec<String>, ConfigError> {
    let is_in_host = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
    };
    let mut hosts = Vec::new();
    for item in field.list()? {
        let host = item.text()?.to_ascii_lowercase();
        if host.is_empty() || !host.bytes().all(is_in_host) {
            return Err(item.refuse(
                "expected a host name without scheme and path, such as \"pubsub.example.com\"",
            ));
        }
        hosts.push(host);
    }
    Ok(hosts)
}

fn read_delays(field: Field) -> Result<Vec<Duration>, ConfigError> {
    let too_many = field.refuse_unseen(&format!("has too many entries, allowed are {RETRIES_MAX}"));
    let mut delays = Vec::new();
    for item in field.list()? {
        delays.push(item.duration(Duration::ZERO..=HOUR)?);
    }
    match delays.len() <= RETRIES_MAX {
        true => Ok(delays),
        false => Err(too_many),
    }
}

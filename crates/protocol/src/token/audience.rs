/// Tells whether a REST token's audience covers a request. Source: rest-api 3.3.
///
/// `hosts` are the names under which the service is addressed, each with its port if it has one beyond the default;
/// `raw_path` is the path as received. The scheme and the query never matter; an audience below the path, or the path without its
/// last `:action` segment, is good too.
pub fn rest_audience_matches<'a>(
    audience: &str,
    hosts: impl IntoIterator<Item = &'a str>,
    raw_path: &str,
) -> bool {
    let Some((host, path)) = split_audience(audience) else {
        return false;
    };
    if !hosts.into_iter().any(|known| is_same_host(known, host)) {
        return false;
    }
    let target: Vec<Vec<u8>> = segments(raw_path, 1);
    let is_covered = |path: &[Vec<u8>], target: &[Vec<u8>]| {
        path.len() >= target.len()
            && path
                .iter()
                .zip(target)
                .all(|(path, target)| path.eq_ignore_ascii_case(target))
    };
    let without_action = match target.split_last() {
        Some((last, rest)) if last.starts_with(b":") => Some(rest),
        Some(_) | None => None,
    };
    // Some callers sign the URL before they escape it.
    [0, 1].into_iter().any(|times| {
        let path = segments(path, times);
        is_covered(&path, &target)
            || without_action
                .is_some_and(|rest| path.len() == rest.len() && is_covered(&path, rest))
    })
}

/// Tells whether a client token's audience is the client endpoint of `hub`. Source: client-protocols 1.3, rest-api 3.4.
///
/// `prefix` is what a trusted proxy has cut off the path, empty without one. `is_legacy` is for the endpoint that has the hub in its query (`/client?hub=...`), where an audience may leave the hub out.
/// The scheme never matters.
pub fn client_audience_matches<'a>(
    audience: &str,
    hosts: impl IntoIterator<Item = &'a str>,
    prefix: &str,
    hub: &str,
    is_legacy: bool,
) -> bool {
    let Some((host, path)) = split_audience(audience) else {
        return false;
    };
    if !hosts.into_iter().any(|known| is_same_host(known, host)) {
        return false;
    }
    is_path(path, prefix, &["client", "hubs", hub])
        || (is_legacy
            && is_path(path, prefix, &["client"])
            && names_hub(audience, hub) != Some(false))
}

/// Tells whether a token's audience is the endpoint of tunnels of `hub` (`/server/tunnel?hub=...`). Source: events-and-operations 7.1.
///
/// `prefix` is as for [`client_audience_matches`]. The scheme and the rest of the query never matter.
pub fn tunnel_audience_matches<'a>(
    audience: &str,
    hosts: impl IntoIterator<Item = &'a str>,
    prefix: &str,
    hub: &str,
) -> bool {
    let Some((host, path)) = split_audience(audience) else {
        return false;
    };
    hosts.into_iter().any(|known| is_same_host(known, host))
        && is_path(path, prefix, &["server", "tunnel"])
        && names_hub(audience, hub) == Some(true)
}

/// Tells whether a path consists of the segments of `prefix` and the wanted ones, whatever their letter case.
fn is_path(path: &str, prefix: &str, wanted: &[&str]) -> bool {
    let path = segments(path, 1);
    let prefix = segments(prefix, 1);
    let wanted = wanted.iter().map(|segment| segment.as_bytes());
    let wanted = prefix
        .iter()
        .map(Vec::as_slice)
        .filter(|segment| !segment.is_empty())
        .chain(wanted);
    let path = path.iter().map(Vec::as_slice);
    path.map(<[u8]>::to_ascii_lowercase)
        .eq(wanted.map(<[u8]>::to_ascii_lowercase))
}

/// Tells whether the hub that the query of an audience names is `hub`; `None` if it names none.
fn names_hub(audience: &str, hub: &str) -> Option<bool> {
    let (_, query) = audience.split_once('?')?;
    let named = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("hub="))?;
    Some(decode(named.as_bytes()).eq_ignore_ascii_case(hub.as_bytes()))
}

/// Returns the host that an audience names, without a default port.
pub fn audience_host(audience: &str) -> Option<&str> {
    split_audience(audience).map(|(host, _)| host)
}

/// Splits an audience into host and path, without scheme, query and default port.
fn split_audience(audience: &str) -> Option<(&str, &str)> {
    let (default_port, rest) = [
        ("http://", ":80"),
        ("https://", ":443"),
        ("ws://", ":80"),
        ("wss://", ":443"),
    ]
    .into_iter()
    .find_map(|(scheme, port)| {
        let start = audience.get(..scheme.len())?;
        start
            .eq_ignore_ascii_case(scheme)
            .then(|| (port, &audience[scheme.len()..]))
    })?;
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Some((host.strip_suffix(default_port).unwrap_or(host), path))
}

/// Compares hosts. A default port was cut off an audience by its scheme, which a `Host` header does not have, so there
/// both default ports count as none.
fn is_same_host(known: &str, audience: &str) -> bool {
    let cut = |host: &str| {
        let end = host
            .strip_suffix(":443")
            .or_else(|| host.strip_suffix(":80"))
            .map_or(host.len(), str::len);
        host[..end].to_ascii_lowercase()
    };
    known.eq_ignore_ascii_case(audience) || cut(known) == audience.to_ascii_lowercase()
}

/// Splits a path at its slashes, then decodes each segment `times` times; a trailing slash makes no segment.
fn segments(path: &str, times: usize) -> Vec<Vec<u8>> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/')
        .map(|segment| (0..times).fold(segment.as_bytes().to_vec(), |segment, _| decode(&segment)))
        .collect()
}

fn decode(text: &[u8]) -> Vec<u8> {
    percent_encoding::percent_decode(text).collect()
}

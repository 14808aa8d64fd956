//! Services that may send events: the handshake and the header that names the sender. Source: events-and-operations 3.

use http::{HeaderMap, HeaderValue, Uri};

pub(crate) const REQUEST_ORIGIN: &str = "webhook-request-origin";
pub(crate) const ALLOWED_ORIGIN: &str = "webhook-allowed-origin";

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Whose events are taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllowedOrigins {
    is_any: bool,
    /// Host and host with port of each endpoint, in lower case.
    hosts: Vec<(String, String)>,
}

impl AllowedOrigins {
    /// Adds `*` or the URL of an endpoint. Gives back whether it is one of these.
    pub(crate) fn add(&mut self, endpoint: &str) -> bool {
        if endpoint == "*" {
            self.is_any = true;
            return true;
        }
        let Some((host, port)) = host_and_port(endpoint) else {
            return false;
        };
        let host = host.to_ascii_lowercase();
        // A service on loopback calls itself `localhost`, whatever it is reached by.
        let names = match LOOPBACK.contains(&&*host) {
            true => LOOPBACK.map(str::to_owned).to_vec(),
            false => vec![host],
        };
        for host in names {
            let with_port = format!("{host}:{port}");
            self.hosts.push((host, with_port));
        }
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.is_any && self.hosts.is_empty()
    }

    /// Returns what the handshake is answered with for those origins of a request that are allowed. A service behind several names
    /// sends them all, separated by commas.
    pub(crate) fn agreed(&self, headers: &HeaderMap) -> Vec<HeaderValue> {
        if self.is_any {
            return vec![HeaderValue::from_static("*")];
        }
        self.allowed(headers)
            .filter_map(|origin| HeaderValue::from_bytes(origin).ok())
            .collect()
    }

    /// Tells whether one of the origins of a request is allowed.
    pub(crate) fn allow(&self, headers: &HeaderMap) -> bool {
        self.is_any || self.allowed(headers).next().is_some()
    }

    fn allowed<'h>(&self, headers: &'h HeaderMap) -> impl Iterator<Item = &'h [u8]> {
        headers
            .get_all(REQUEST_ORIGIN)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|origin| {
                let is_origin = |host: &String| origin.eq_ignore_ascii_case(host.as_bytes());
                self.hosts
                    .iter()
                    .any(|(host, with_port)| is_origin(host) || is_origin(with_port))
            })
    }
}

fn host_and_port(endpoint: &str) -> Option<(String, u16)> {
    let uri: Uri = endpoint.parse().ok()?;
    let default_port = match uri.scheme_str()? {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let authority = uri.authority()?;
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return None;
    }
    let port = match authority.port() {
        Some(port) => Some(port.as_u16()).filter(|port| *port > 0)?,
        // A port that is no number is none to `http`.
        None if authority.as_str() != authority.host() => return None,
        None => default_port,
    };
    Some((authority.host().to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(endpoints: &[&str], origin: &str) -> Vec<HeaderValue> {
        let mut origins = AllowedOrigins::default();
        for endpoint in endpoints {
            assert!(origins.add(endpoint), "{endpoint}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ORIGIN, origin.parse().expect("a header value"));
        let agreed = origins.agreed(&headers);
        assert_eq!(origins.allow(&headers), !agreed.is_empty());
        agreed
    }

    #[test]
    fn an_origin_is_the_host_of_an_endpoint_with_or_without_its_port() {
        let endpoints = ["https://a.example.com", "http://B.example.com:8080/path"];
        for origin in [
            "a.example.com",
            "A.Example.com",
            "a.example.com:443",
            "b.example.com",
            "b.example.com:8080",
        ] {
            assert_eq!(allowed(&endpoints, origin), [origin]);
        }
        for origin in [
            "c.example.com",
            "a.example.com:444",
            "b.example.com:80",
            "a.example.com.evil.example",
            "example.com",
            "*",
            "",
        ] {
            assert!(allowed(&endpoints, origin).is_empty(), "{origin}");
        }
    }

    #[test]
    fn the_names_of_loopback_are_one() {
        for endpoint in ["http://localhost:80", "http://127.0.0.1", "http://[::1]/"] {
            for origin in ["localhost", "127.0.0.1", "[::1]", "[::1]:80"] {
                assert_eq!(allowed(&[endpoint], origin), [origin]);
            }
            assert!(allowed(&[endpoint], "127.0.0.2").is_empty());
        }
    }

    #[test]
    fn of_several_origins_those_that_are_allowed_are_agreed_to() {
        let endpoints = ["https://a.example.com", "https://b.example.com"];
        let origins = "x.example.com, b.example.com,a.example.com";
        assert_eq!(
            allowed(&endpoints, origins),
            ["b.example.com", "a.example.com"]
        );
    }

    #[test]
    fn a_star_allows_every_origin() {
        assert_eq!(allowed(&["https://a.example.com", "*"], "x"), ["*"]);
    }

    #[test]
    fn what_is_no_url_of_a_service_is_no_endpoint() {
        for endpoint in [
            "",
            "a.example.com",
            "ftp://a.example.com",
            "https://",
            "https://a:b@c",
            "https://a:port",
            "https://a:0",
            "**",
        ] {
            assert!(!AllowedOrigins::default().add(endpoint), "{endpoint}");
        }
    }
}

//! The cookies that handlers set for one connection. Source: events-and-operations 4.3; matching: RFC 6265, 5.

use std::net::IpAddr;

use cookie::Cookie;
use hyper::header::HeaderValue;
use time::OffsetDateTime;

use crate::url_template::Target;

/// Cookies of one connection; the oldest goes when there is one more. Source: RFC 6265, 6.1 asks for at least this many.
const COOKIES_MAX: usize = 50;
/// Longest name and value together; a longer cookie is ignored. Bytes. Source: RFC 6265, 6.1.
const COOKIE_BYTES_MAX: usize = 4096;

/// Where a request goes, as far as cookies care.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'a> {
    host: &'a str,
    path: &'a str,
    is_secure: bool,
}

impl<'a> Site<'a> {
    pub(crate) fn of(target: &'a Target) -> Self {
        match target {
            Target::Http(uri) => Self {
                host: uri.host().unwrap_or_default(),
                path: uri.path(),
                is_secure: uri.scheme_str() == Some("https"),
            },
            // All tunnels of a hub lead to one application.
            Target::Tunnel(_) => Self {
                host: "tunnel",
                path: "/",
                is_secure: true,
            },
        }
    }
}

/// The cookies of one connection, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Jar {
    cookies: Vec<Stored>,
}

#[derive(Debug)]
struct Stored {
    name: String,
    value: String,
    /// In lower case.
    domain: String,
    /// Only for the host that has set it.
    is_host_only: bool,
    path: String,
    is_secure: bool,
    expires: Option<OffsetDateTime>,
}

impl Jar {
    pub(crate) fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// Takes the value of a `Set-Cookie` header; returns whether it makes sense.
    pub(crate) fn store(
        &mut self,
        header: &HeaderValue,
        site: Site<'_>,
        now: OffsetDateTime,
    ) -> bool {
        let Some(cookie) = header.to_str().ok().and_then(|text| parse(text, site, now)) else {
            return false;
        };
        self.cookies.retain(|other| {
            (&other.name, &other.domain, &other.path)
                != (&cookie.name, &cookie.domain, &cookie.path)
        });
        if cookie.expires.is_none_or(|expires| expires > now) {
            if self.cookies.len() >= COOKIES_MAX {
                self.cookies.remove(0);
            }
            self.cookies.push(cookie);
        }
        true
    }

    /// Returns the `Cookie` header for a request, if any cookie matches.
    pub(crate) fn header(&self, site: Site<'_>, now: OffsetDateTime) -> Option<HeaderValue> {
        let mut matching: Vec<&Stored> = self
            .cookies
            .iter()
            .filter(|cookie| cookie.matches(site, now))
            .collect();
        // Longer paths first; among those of one length, the older first.
        matching.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> = matching
            .iter()
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        match pairs.is_empty() {
            true => None,
            false => HeaderValue::from_str(&pairs.join("; ")).ok(),
        }
    }
}

impl Stored {
    fn matches(&self, site: Site<'_>, now: OffsetDateTime) -> bool {
        let is_for_host = match self.is_host_only {
            true => site.host.eq_ignore_ascii_case(&self.domain),
            false => domain_matches(site.host, &self.domain),
        };
        is_for_host
            && path_matches(site.path, &self.path)
            && (site.is_secure || !self.is_secure)
            && self.expires.is_none_or(|expires| expires > now)
    }
}

fn parse(text: &str, site: Site<'_>, now: OffsetDateTime) -> Option<Stored> {
    let cookie = Cookie::parse(text).ok()?;
    if cookie.name().len() + cookie.value().len() > COOKIE_BYTES_MAX {
        return None;
    }
    let domain = cookie.domain().filter(|domain| !domain.is_empty());
    if let Some(domain) = domain {
        // A name without a dot is that of a whole top-level domain, unless it is the host's own.
        let is_wide = !domain.contains('.') && !domain.eq_ignore_ascii_case(site.host);
        if is_wide || !domain_matches(site.host, domain) {
            return None;
        }
    }
    let path = cookie.path().filter(|path| path.starts_with('/'));
    let expires = match cookie.max_age() {
        Some(age) => Some(now.checked_add(age).unwrap_or(now)),
        None => cookie.expires_datetime(),
    };
    Some(Stored {
        name: cookie.name().to_owned(),
        value: cookie.value().to_owned(),
        domain: domain.unwrap_or(site.host).to_ascii_lowercase(),
        is_host_only: domain.is_none(),
        path: path.unwrap_or(default_path(site.path)).to_owned(),
        is_secure: cookie.secure().unwrap_or(false),
        expires,
    })
}

fn domain_matches(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.to_ascii_lowercase(), domain.to_ascii_lowercase());
    host == domain
        || (host
            .strip_suffix(&domain)
            .is_some_and(|start| start.ends_with('.'))
            && host.parse::<IpAddr>().is_err())
}

fn path_matches(path: &str, wanted: &str) -> bool {
    path.strip_prefix(wanted)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || wanted.ends_with('/'))
}

fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        Some(end) if end > 0 && path.starts_with('/') => &path[..end],
        _ => "/",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: Site<'static> = Site {
        host: "api.example.com",
        path: "/events/chat",
        is_secure: false,
    };

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap()
    }

    fn jar(cookies: &[&str]) -> Jar {
        let mut jar = Jar::default();
        for cookie in cookies {
            jar.store(&HeaderValue::from_str(cookie).unwrap(), SITE, now());
        }
        jar
    }

    fn sent(jar: &Jar, site: Site<'_>, now: OffsetDateTime) -> String {
        let header = jar.header(site, now);
        header.map_or(String::new(), |header| header.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_cookie_goes_back_to_the_host_and_path_that_set_it() {
        let jar = jar(&["a=1"]);
        assert_eq!(sent(&jar, SITE, now()), "a=1");
        assert_eq!(
            sent(
                &jar,
                Site {
                    path: "/events",
                    ..SITE
                },
                now()
            ),
            "a=1"
        );
        for other in [
            Site {
                host: "example.com",
                ..SITE
            },
            Site {
                host: "x.api.example.com",
                ..SITE
            },
            Site {
                path: "/other",
                ..SITE
            },
            Site {
                path: "/eventsx",
                ..SITE
            },
        ] {
            assert_eq!(sent(&jar, other, now()), "", "{other:?}");
        }
    }

    #[test]
    fn a_domain_covers_its_hosts_and_must_cover_the_one_that_sets_it() {
        let jar = jar(&[
            "a=1; Domain=.example.com; Path=/",
            "b=2; Domain=other.com; Path=/",
            "c=3; Domain=com; Path=/",
        ]);
        assert_eq!(
            sent(
                &jar,
                Site {
                    host: "b.example.com",
                    ..SITE
                },
                now()
            ),
            "a=1"
        );
        assert_eq!(
            sent(
                &jar,
                Site {
                    host: "other.com",
                    ..SITE
                },
                now()
            ),
            ""
        );
        assert_eq!(sent(&jar, SITE, now()), "a=1");
    }

    #[test]
    fn a_secure_cookie_needs_https() {
        let jar = jar(&["a=1; Secure"]);
        assert_eq!(sent(&jar, SITE, now()), "");
        assert_eq!(
            sent(
                &jar,
                Site {
                    is_secure: true,
                    ..SITE
                },
                now()
            ),
            "a=1"
        );
    }

    #[test]
    fn cookies_expire_and_are_taken_back() {
        let jar = jar(&[
            "a=1; Max-Age=60",
            "b=2; Expires=Wed, 15 Nov 2023 00:00:00 GMT",
            "c=3",
            "c=; Max-Age=0",
        ]);
        assert_eq!(sent(&jar, SITE, now()), "a=1; b=2");
        assert_eq!(sent(&jar, SITE, now() + time::Duration::minutes(2)), "b=2");
        assert_eq!(sent(&jar, SITE, now() + time::Duration::days(2)), "");
    }

    #[test]
    fn a_cookie_replaces_the_one_of_its_name_and_longer_paths_come_first() {
        let jar = jar(&["a=1; Path=/", "b=2", "a=3; Path=/"]);
        assert_eq!(sent(&jar, SITE, now()), "b=2; a=3");
    }

    #[test]
    fn what_is_no_cookie_is_ignored_and_the_number_is_bounded() {
        let mut jar = Jar::default();
        for bad in [
            "",
            "no name",
            &format!("a={}", "x".repeat(COOKIE_BYTES_MAX)),
        ] {
            assert!(!jar.store(&HeaderValue::from_str(bad).unwrap(), SITE, now()));
        }
        for index in 0..=COOKIES_MAX {
            let cookie = HeaderValue::from_str(&format!("c{index}=1")).unwrap();
            assert!(jar.store(&cookie, SITE, now()));
        }
        assert_eq!(jar.cookies.len(), COOKIES_MAX);
        assert_eq!(jar.cookies[0].name, "c1");
    }
}

//! Where handlers are. Source: events-and-operations 2.1.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use hubwire_protocol::http::encode_component;
use hyper::Uri;

use crate::settings::PrivateAddresses;

const SECRET_SHOWN: &str = "***";
const TUNNEL: &str = "tunnel://";

/// A URL, or the template of one, breaks a rule. The text names the value, without its query and its secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not an absolute URL.
    #[error("`{0}` is not an absolute URL of http, https or tunnel")]
    Malformed(String),
    /// A name and a password are in it.
    #[error("`{0}` holds a user name; use the `auth` of the handler")]
    UserInfo(String),
    /// A parameter is in its host.
    #[error("`{0}` has a parameter in its host")]
    ParameterInHost(String),
    /// A brace is in it that belongs to no parameter.
    #[error(
        "`{0}` holds `{1}`; parameters are {{hub}} and {{event}}, other braces are written %7B and %7D"
    )]
    Parameter(String, String),
    /// Its host is an address that the service does not connect to.
    #[error("`{0}` is at a private address, which `upstream.private_addresses` does not allow")]
    PrivateAddress(String),
    /// Its host is where a cloud keeps the secrets of a machine.
    #[error("`{0}` is at a metadata address, which is never allowed")]
    MetadataAddress(String),
}

/// An absolute URL of http or https. `Debug` and `Display` show its origin alone, since its path or query may hold a secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Url(Uri);

impl Url {
    /// Checks a URL.
    ///
    /// # Errors
    ///
    /// It is not one of http or https, or is at an address that the service does not connect to.
    pub fn parse(text: &str, private: PrivateAddresses) -> Result<Self, UrlError> {
        let shown = || without_query(&without_user_info(text)).to_owned();
        Ok(Self(parse_uri(text, private, shown)?))
    }

    /// Checks the origin of a metadata service, which may be at any address.
    ///
    /// # Errors
    ///
    /// It is not a URL of http or https.
    pub fn of_metadata_service(text: &str) -> Result<Self, UrlError> {
        let shown = || without_query(&without_user_info(text)).to_owned();
        Ok(Self(parse_absolute(text, shown)?))
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.0
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.scheme_str().unwrap_or_default();
        let authority = self
            .0
            .authority()
            .map_or("", |authority| authority.as_str());
        write!(f, "{scheme}://{authority}")
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A part of the text of a template.
#[derive(Clone, Copy)]
pub enum TemplatePart<'a> {
    /// May hold parameters.
    Template(&'a str),
    /// What a reference to a secret stands for: no parameters are looked for in it, and it is never shown.
    Secret(&'a str),
}

/// The URL of a handler, with parameters. Neither `Debug` nor `Display` shows its query or its secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct UrlTemplate {
    pieces: Vec<Piece>,
}

#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Secret(String),
    Hub,
    Event,
}

impl UrlTemplate {
    /// Checks a template without secrets in it.
    ///
    /// # Errors
    ///
    /// The first rule that it breaks.
    pub fn parse(text: &str, private: PrivateAddresses) -> Result<Self, UrlError> {
        Self::from_parts([TemplatePart::Template(text)], private)
    }

    /// Checks a template whose text is that of all the parts.
    ///
    /// # Errors
    ///
    /// The first rule that it breaks.
    pub fn from_parts<'a>(
        parts: impl IntoIterator<Item = TemplatePart<'a>>,
        private: PrivateAddresses,
    ) -> Result<Self, UrlError> {
        let parts: Vec<_> = parts.into_iter().collect();
        let shown = || shown_parts(&parts);
        let mut pieces = Vec::new();
        for part in &parts {
            match part {
                TemplatePart::Secret(text) => pieces.push(Piece::Secret((*text).to_owned())),
                TemplatePart::Template(text) => take_pieces(text, &mut pieces)
                    .map_err(|parameter| UrlError::Parameter(shown(), parameter))?,
            }
        }
        let template = Self { pieces };
        template.check(private, shown)?;
        Ok(template)
    }

    fn check(&self, private: PrivateAddresses, shown: impl Fn() -> String) -> Result<(), UrlError> {
        // A parameter in the host would show, since it can be told from what else a host may hold.
        let text = self.text("{hub}", "{event}");
        let after_scheme = text
            .split_once("://")
            .map_or(text.as_str(), |split| split.1);
        let host_len = after_scheme
            .find(['/', '?', '#'])
            .unwrap_or(after_scheme.len());
        if after_scheme[..host_len].contains('{') {
            return Err(UrlError::ParameterInHost(shown()));
        }
        let resolved = self.text("hub", "event");
        if is_tunnel(&resolved) {
            let path = &resolved[TUNNEL.len()..];
            let path = path.find('/').map_or("", |start| &path[start..]);
            return match path.parse::<Uri>() {
                Ok(_) => Ok(()),
                Err(_) => Err(UrlError::Malformed(shown())),
            };
        }
        parse_uri(&resolved, private, shown).map(|_| ())
    }

    /// Tells whether the handler is behind a tunnel.
    pub fn is_tunnel(&self) -> bool {
        is_tunnel(&self.text("", ""))
    }

    /// Returns where an event of a hub goes; `None` cannot happen with names that are valid.
    pub(crate) fn resolve(&self, hub: &str, event: &str) -> Option<Target> {
        let text = self.text(&encode(hub), &encode(event));
        match is_tunnel(&text) {
            true => Some(Target::Tunnel(text)),
            false => text.parse().ok().map(Target::Http),
        }
    }

    /// Returns the URL of an event for a log.
    pub(crate) fn shown(&self, hub: &str, event: &str) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Secret(_) => text.push_str(SECRET_SHOWN),
                Piece::Hub => text.push_str(&encode(hub)),
                Piece::Event => text.push_str(&encode(event)),
            }
        }
        text.truncate(without_query(&text).len());
        text
    }

    fn text(&self, hub: &str, event: &str) -> String {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) | Piece::Secret(text) => text,
                Piece::Hub => hub,
                Piece::Event => event,
            })
            .collect()
    }
}

impl fmt::Display for UrlTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for piece in &self.pieces {
            text.push_str(match piece {
                Piece::Literal(literal) => literal,
                Piece::Secret(_) => SECRET_SHOWN,
                Piece::Hub => "{hub}",
                Piece::Event => "{event}",
            });
        }
        f.write_str(without_query(&text))
    }
}

impl fmt::Debug for UrlTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where an event goes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    Http(Uri),
    /// The whole URL.
    Tunnel(String),
}

fn is_tunnel(text: &str) -> bool {
    text.get(..TUNNEL.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(TUNNEL))
}

fn encode(name: &str) -> Cow<'_, str> {
    encode_component(name).into()
}

/// Cuts a text at its parameters; the error is the text of one that is unknown.
fn take_pieces(text: &str, pieces: &mut Vec<Piece>) -> Result<(), String> {
    let mut rest = text;
    while let Some(start) = rest.find(['{', '}']) {
        let (literal, parameter) = rest.split_at(start);
        let Some(end) = parameter.find('}').filter(|end| *end > 0) else {
            return Err(parameter.chars().take(1).collect());
        };
        pieces.push(Piece::Literal(literal.to_owned()));
        let (parameter, after) = parameter.split_at(end + 1);
        pieces.push(match parameter {
            _ if parameter.eq_ignore_ascii_case("{hub}") => Piece::Hub,
            _ if parameter.eq_ignore_ascii_case("{event}") => Piece::Event,
            _ => return Err(parameter.to_owned()),
        });
        rest = after;
    }
    pieces.push(Piece::Literal(rest.to_owned()));
    Ok(())
}

fn shown_parts(parts: &[TemplatePart<'_>]) -> String {
    let text: String = parts
        .iter()
        .map(|part| match part {
            TemplatePart::Template(text) => text,
            TemplatePart::Secret(_) => SECRET_SHOWN,
        })
        .collect();
    without_query(&without_user_info(&text)).to_owned()
}

/// Hides what may be a user and a password, also of what is no URL.
fn without_user_info(text: &str) -> String {
    let start = text.find("://").map_or(0, |scheme| scheme + 3);
    let end = text[start..]
        .find('/')
        .map_or(text.len(), |path| start + path);
    match text[start..end].rfind('@') {
        Some(at) => format!("{}{SECRET_SHOWN}{}", &text[..start], &text[start + at..]),
        None => text.to_owned(),
    }
}

fn without_query(text: &str) -> &str {
    text.split(['?', '#']).next().unwrap_or(text)
}

fn parse_uri(
    text: &str,
    private: PrivateAddresses,
    shown: impl Fn() -> String,
) -> Result<Uri, UrlError> {
    let uri = parse_absolute(text, &shown)?;
    match literal_address(&uri) {
        Some(address) if !PrivateAddresses::Allow.allows(address) => {
            Err(UrlError::MetadataAddress(shown()))
        }
        Some(address) if !private.allows(address) => Err(UrlError::PrivateAddress(shown())),
        _ => Ok(uri),
    }
}

fn parse_absolute(text: &str, shown: impl Fn() -> String) -> Result<Uri, UrlError> {
    let malformed = || UrlError::Malformed(shown());
    let uri: Uri = text.parse().map_err(|_| malformed())?;
    let authority = uri.authority().ok_or_else(malformed)?;
    if authority.as_str().contains('@') {
        return Err(UrlError::UserInfo(shown()));
    }
    // A port that is not a number is taken for none.
    let has_port = authority.as_str().len() > authority.host().len();
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    if !is_http || authority.host().is_empty() || (has_port && uri.port_u16().is_none()) {
        return Err(malformed());
    }
    Ok(uri)
}

/// Returns the host of a URL if it is an address.
pub(crate) fn literal_address(uri: &Uri) -> Option<IpAddr> {
    uri.host()?
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}

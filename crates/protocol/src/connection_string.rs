//! `Endpoint=https://host;AccessKey=...;Version=1.0;`: where an app server finds the service, and the key that signs its tokens.
//! Source: rest-api 3.8.

use std::fmt;

const ENDPOINT: &str = "Endpoint";
const ACCESS_KEY: &str = "AccessKey";
const PORT: &str = "Port";
const VERSION: &str = "Version";
const AUTH_TYPE: &str = "AuthType";
const VERSION_DEFAULT: &str = "1.0";
const WORDS: [&str; 5] = [ENDPOINT, ACCESS_KEY, PORT, VERSION, AUTH_TYPE];

/// Where the service is and how to prove who asks. `Debug` does not show the key.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionString {
    endpoint: String,
    access_key: Option<String>,
    version: String,
    /// There is no key because an identity takes its place.
    is_for_identity: bool,
}

/// Why a text is no connection string. It names the word at fault and never shows a value, which could be the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionStringError {
    /// Something between two `;` is no word with a value. Counted from 1.
    #[error("part {0} is not of the form Word=value")]
    NotAPair(usize),
    /// A word is there twice, whatever its letter case.
    #[error("{0} is given more than once")]
    Repeated(&'static str),
    /// There is no endpoint, or an empty one.
    #[error("Endpoint is missing")]
    MissingEndpoint,
    /// The scheme of the endpoint is missing or not known.
    #[error("Endpoint does not begin with http:// or https://")]
    Scheme,
    /// The endpoint is more or less than host, port and path.
    #[error(
        "Endpoint is not a host with an optional port and path, such as https://pubsub.example.com"
    )]
    Endpoint,
    /// A port, in the endpoint or beside it, is out of range.
    #[error("Port is not a number from 1 to 65535")]
    Port,
    /// There is no key, and nothing says that none is needed.
    #[error("AccessKey is missing")]
    MissingAccessKey,
    /// The key is not one that a connection string can hold.
    #[error("AccessKey is empty, or holds `;`, a control character or white space at an end")]
    AccessKey,
    /// The key is missing because the service is to be asked with the token of an identity.
    #[error(
        "AuthType asks for an identity, so a token credential is needed and AccessKey is missing"
    )]
    Identity,
}

impl ConnectionString {
    /// Makes one of an endpoint and a key.
    ///
    /// # Errors
    ///
    /// Those of [`ConnectionString::parse`] about these two.
    pub fn new(endpoint: &str, access_key: &str) -> Result<Self, ConnectionStringError> {
        Ok(Self {
            endpoint: check_endpoint(endpoint, None)?,
            access_key: Some(check_access_key(access_key)?),
            version: VERSION_DEFAULT.to_owned(),
            is_for_identity: false,
        })
    }

    /// Parses a connection string. Words have no letter case, what surrounds words and values is trimmed, a value reaches from the
    /// first `=` to the next `;`, `Port` replaces the port of the endpoint, and unknown words are ignored.
    ///
    /// # Errors
    ///
    /// [`ConnectionStringError`] for the first fault. That there is no key is none yet: [`ConnectionString::access_key`].
    pub fn parse(text: &str) -> Result<Self, ConnectionStringError> {
        let pairs = pairs(text)?;
        let value = |word: &str| {
            let found = pairs
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(word));
            found.map(|(_, value)| *value)
        };
        let endpoint = value(ENDPOINT).ok_or(ConnectionStringError::MissingEndpoint)?;
        let port = value(PORT).map(parse_port).transpose()?;
        let endpoint = check_endpoint(endpoint, port)?;
        let access_key = value(ACCESS_KEY).map(check_access_key).transpose()?;
        let is_identity = |auth_type: &str| {
            ["aad", "azure"]
                .iter()
                .any(|identity| identity.eq_ignore_ascii_case(auth_type))
        };
        Ok(Self {
            endpoint,
            is_for_identity: access_key.is_none() && value(AUTH_TYPE).is_some_and(is_identity),
            access_key,
            version: value(VERSION).unwrap_or(VERSION_DEFAULT).to_owned(),
        })
    }

    /// Returns scheme, host, port if there is one, and path, without a slash at the end.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns the key.
    ///
    /// # Errors
    ///
    /// [`ConnectionStringError::MissingAccessKey`] or [`ConnectionStringError::Identity`]: a token credential has to take its place.
    pub fn access_key(&self) -> Result<&str, ConnectionStringError> {
        match (&self.access_key, self.is_for_identity) {
            (Some(key), _) => Ok(key),
            (None, true) => Err(ConnectionStringError::Identity),
            (None, false) => Err(ConnectionStringError::MissingAccessKey),
        }
    }

    /// Returns the version as given, `1.0` if it was not.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Tells whether the version is one whose words are known. Others are understood as far as possible.
    pub fn has_known_version(&self) -> bool {
        self.version.starts_with("1.")
    }

    /// Writes the connection string, key included. This is no `Display`, so that it happens on purpose only.
    pub fn to_text(&self) -> String {
        let auth = match (&self.access_key, self.is_for_identity) {
            (Some(key), _) => format!("{ACCESS_KEY}={key};"),
            (None, true) => format!("{AUTH_TYPE}=azure;"),
            (None, false) => String::new(),
        };
        format!(
            "{ENDPOINT}={};{auth}{VERSION}={};",
            self.endpoint, self.version
        )
    }
}

impl fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionString")
            .field("endpoint", &self.endpoint)
            .field("access_key", &self.access_key.as_ref().map(|_| "***"))
            .field("version", &self.version)
            .field("is_for_identity", &self.is_for_identity)
            .finish()
    }
}

/// Splits a text into words and values, no word twice.
fn pairs(text: &str) -> Result<Vec<(&str, &str)>, ConnectionStringError> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for (index, part) in text.split(';').enumerate() {
        if part.trim().is_empty() {
            continue;
        }
        let pair = part
            .split_once('=')
            .map(|(word, value)| (word.trim(), value.trim()));
        let Some((word, value)) = pair.filter(|(word, _)| !word.is_empty()) else {
            return Err(ConnectionStringError::NotAPair(index + 1));
        };
        if pairs
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(word))
        {
            // An unknown word can be the end of a key that was cut at a `;`, so it is not shown.
            let known = WORDS.iter().find(|known| known.eq_ignore_ascii_case(word));
            return Err(ConnectionStringError::Repeated(
                known.unwrap_or(&"an unknown word"),
            ));
        }
        pairs.push((word, value));
    }
    Ok(pairs)
}

fn check_access_key(text: &str) -> Result<String, ConnectionStringError> {
    let is_whole = !text.is_empty() && text.trim() == text;
    match is_whole && !text.contains(|char: char| char == ';' || char.is_control()) {
        true => Ok(text.to_owned()),
        false => Err(ConnectionStringError::AccessKey),
    }
}

fn check_endpoint(text: &str, port: Option<u16>) -> Result<String, ConnectionStringError> {
    if text.is_empty() {
        return Err(ConnectionStringError::MissingEndpoint);
    }
    let (scheme, rest) = text
        .split_once("://")
        .ok_or(ConnectionStringError::Scheme)?;
    let scheme = ["http", "https"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(scheme))
        .ok_or(ConnectionStringError::Scheme)?;
    let is_foreign =
        |char: char| char.is_whitespace() || char.is_control() || "?#\\;".contains(char);
    if rest.contains(is_foreign) {
        return Err(ConnectionStringError::Endpoint);
    }
    let rest = rest.trim_end_matches('/');
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, own_port) = split_port(authority);
    // A user with a password looks like a host with a port.
    if !is_host(host) || authority.contains('@') {
        return Err(ConnectionStringError::Endpoint);
    }
    let own_port = own_port.map(parse_port).transpose()?;
    Ok(match port.or(own_port) {
        Some(port) => format!("{scheme}://{host}:{port}{path}"),
        None => format!("{scheme}://{host}{path}"),
    })
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        // A colon inside brackets belongs to the address.
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        Some(_) | None => (authority, None),
    }
}

fn is_host(host: &str) -> bool {
    let address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match address {
        Some(address) => !address.is_empty() && !address.contains(['[', ']']),
        None => !host.is_empty() && !host.contains([':', '[', ']']),
    }
}

fn parse_port(digits: &str) -> Result<u16, ConnectionStringError> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(port) if is_number && port > 0 => Ok(port),
        Ok(_) | Err(_) => Err(ConnectionStringError::Port),
    }
}

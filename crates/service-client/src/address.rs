//! Where the service is, and the address of one operation.

use azure_core::http::Url;
use hubwire_protocol::http::encode_component;

use crate::error::invalid;

/// A service or a proxy in front of it: scheme, host, port and path, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) url: Url,
    text: String,
}

impl Endpoint {
    /// Parses what a user gives as endpoint; `what` names it in errors.
    pub(crate) fn parse(text: &str, what: &str) -> azure_core::Result<Self> {
        let refuse = |why: &str| {
            invalid(format!(
                "{what} is not usable: {why}; give it as https://host[:port][/path]"
            ))
        };
        let url = Url::parse(text.trim().trim_end_matches('/'))
            .map_err(|error| refuse(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(refuse("it does not begin with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("it holds a user name or a password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("it holds a query or a fragment"));
        }
        let text = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { url, text })
    }

    /// Returns the endpoint without a slash at its end.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns what follows the endpoint in an address below it, beginning with `/` or `?`; none for an address elsewhere.
    pub(crate) fn below<'u>(&self, url: &'u str) -> Option<&'u str> {
        let rest = url.strip_prefix(self.text.as_str())?;
        (rest.is_empty() || rest.starts_with(['/', '?'])).then_some(rest)
    }
}

/// The address of one operation, built from left to right: segments first, then the query.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    text: String,
    has_query: bool,
}

impl Address {
    /// Begins with text that is encoded already.
    pub(crate) fn new(prefix: &str) -> Self {
        let mut text = String::with_capacity(prefix.len() + 96);
        text.push_str(prefix);
        Self {
            text,
            has_query: false,
        }
    }

    /// Adds text that needs no encoding.
    pub(crate) fn literal(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Adds a name as one path segment; `what` names it in errors.
    pub(crate) fn segment(mut self, name: &str, what: &str) -> azure_core::Result<Self> {
        match name {
            "" => return Err(invalid(format!("{what} is empty; give a name"))),
            // Every URL parser takes these for steps in the path, escaped or not, and would address another resource.
            "." | ".." => {
                return Err(invalid(format!(
                    "{what} {name:?} cannot stand in a path; use another name"
                )));
            }
            name => self.text.extend(encode_component(name)),
        }
        Ok(self)
    }

    /// Adds a query parameter.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        self.text.push_str(name);
        self.text.push('=');
        self.text.extend(encode_component(value));
        self
    }

    /// Adds a query parameter if there is a value.
    pub(crate) fn query_if(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Adds a query parameter for each value.
    pub(crate) fn query_each(self, name: &str, values: &[String]) -> Self {
        values
            .iter()
            .fold(self, |address, value| address.query(name, value))
    }

    /// Returns the finished address.
    pub(crate) fn finish(self) -> azure_core::Result<Url> {
        Ok(Url::parse(&self.text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_escapes_everything_but_unreserved_characters() {
        let url = Address::new("http://host/api/groups/")
            .segment("a/b c%2F[1]~-._ü+:", "the group")
            .unwrap()
            .literal("/:send")
            .query("excluded", "a&b=c d+")
            .query("excluded", "ü")
            .finish()
            .unwrap();
        assert_eq!(
            url.as_str(),
            "http://host/api/groups/a%2Fb%20c%252F%5B1%5D~-._%C3%BC%2B%3A/:send?excluded=a%26b%3Dc%20d%2B&excluded=%C3%BC"
        );
    }

    #[test]
    fn names_that_would_be_steps_in_the_path_are_refused() {
        for name in ["", ".", ".."] {
            let error = Address::new("http://host/").segment(name, "the group");
            assert!(error.unwrap_err().to_string().contains("the group"));
        }
        let url = Address::new("http://host/a/").segment("...", "it").unwrap();
        assert_eq!(url.finish().unwrap().path(), "/a/...");
    }

    #[test]
    fn an_endpoint_loses_its_slash_and_its_default_port() {
        let endpoint = Endpoint::parse("HTTPS://Pubsub.Example.com:443/base/", "it").unwrap();
        assert_eq!(endpoint.as_str(), "https://pubsub.example.com/base");
        assert_eq!(
            endpoint.below("https://pubsub.example.com/base/api?x"),
            Some("/api?x")
        );
        assert_eq!(endpoint.below("https://pubsub.example.com/base2"), None);
        assert_eq!(endpoint.below("https://other.example.com/base"), None);
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for text in [
            "pubsub.example.com",
            "ftp://host",
            "http://user:secret@host",
            "http://host?x=1",
            "http://host#x",
            "",
        ] {
            let error = Endpoint::parse(text, "the endpoint").unwrap_err();
            assert!(error.to_string().contains("https://host"), "{text}");
            assert!(!error.to_string().contains("secret"));
        }
    }
}

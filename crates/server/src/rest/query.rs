use hubwire_engine::ConnectionId;
use hubwire_protocol::message::TTL_SECONDS_MAX;

use super::error::RestError;

/// The decoded query of a request.
pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub(super) fn parse(query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        Self { pairs }
    }

    /// Returns the values of a repeated parameter.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the value of a parameter, the first if there are several.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Returns the connections to leave out. What is not an id of a connection leaves nobody out.
    pub(super) fn excluded(&self) -> Vec<ConnectionId> {
        self.all("excluded")
            .filter_map(ConnectionId::parse)
            .collect()
    }

    /// Returns `messageTtlSeconds`.
    pub(super) fn ttl_seconds(&self) -> Result<u16, RestError> {
        let Some(text) = self.first("messageTtlSeconds") else {
            return Ok(0);
        };
        match text.parse() {
            Ok(seconds) if seconds <= TTL_SECONDS_MAX => Ok(seconds),
            Ok(_) | Err(_) => Err(RestError::bad_request("Invalid messageTtlSeconds.")),
        }
    }

    /// Returns the number of a parameter that may be given once.
    pub(super) fn number(
        &self,
        name: &'static str,
        range: std::ops::RangeInclusive<i32>,
    ) -> Result<Option<usize>, RestError> {
        let mut values = self.all(name);
        let Some(text) = values.next() else {
            return Ok(None);
        };
        match (text.parse::<i32>(), values.next()) {
            (Ok(number), None) if range.contains(&number) => Ok(Some(number as usize)),
            (_, _) => {
                let (low, high) = (range.start(), range.end());
                let message =
                    format!("Invalid {name} '{text}', it is {low} to {high}, given once.");
                Err(RestError::bad_request(message).with_target(name))
            }
        }
    }
}

use std::collections::HashMap;
use std::ops::RangeInclusive;

use crate::message::TTL_SECONDS_MAX;

/// The decoded query of a URL, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

/// A parameter whose value is not what it has to be. The text is for the caller. Source: rest-api 1.3.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A number that is none, out of range, or given twice.
    #[error("Invalid {name} '{text}', it is {low} to {high}, given once.")]
    Number {
        /// The parameter.
        name: &'static str,
        /// Its value, the first if there are several.
        text: String,
        /// The least that it may be.
        low: i32,
        /// The most that it may be.
        high: i32,
    },
    /// `messageTtlSeconds` is not a number up to [`TTL_SECONDS_MAX`].
    #[error("Invalid messageTtlSeconds.")]
    MessageTtl,
}

impl Query {
    /// Decodes a query, the part of a URL behind `?`. What is not UTF-8 becomes U+FFFD.
    pub fn parse(query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        Self { pairs }
    }

    /// Decodes the query of a client, in which the letter case of names does not matter: they are found in lower case.
    /// Source: client-protocols 1.2.
    pub fn parse_any_case(query: &str) -> Self {
        let mut parsed = Self::parse(query);
        for (name, _) in &mut parsed.pairs {
            name.make_ascii_lowercase();
        }
        parsed
    }

    /// Returns all parameters with their values, each in its order.
    pub fn entries(&self) -> Vec<(String, Vec<String>)> {
        let mut entries: Vec<(String, Vec<String>)> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (name, value) in &self.pairs {
            let place = *places.entry(name).or_insert_with(|| {
                entries.push((name.clone(), Vec::new()));
                entries.len() - 1
            });
            entries[place].1.push(value.clone());
        }
        entries
    }

    /// Returns the values of a repeated parameter.
    pub fn all(&self, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        self.pairs
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the value of a parameter, the first if there are several.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Returns the value of a parameter, the last if there are several.
    pub fn last(&self, name: &str) -> Option<&str> {
        self.all(name).next_back()
    }

    /// Returns the number of a parameter that may be given once.
    ///
    /// # Errors
    ///
    /// [`QueryError::Number`] if it is not in `range`, or given more than once.
    pub fn number(
        &self,
        name: &'static str,
        range: RangeInclusive<i32>,
    ) -> Result<Option<i32>, QueryError> {
        let mut values = self.all(name);
        let Some(text) = values.next() else {
            return Ok(None);
        };
        match (text.parse(), values.next()) {
            (Ok(number), None) if range.contains(&number) => Ok(Some(number)),
            (_, _) => Err(QueryError::Number {
                name,
                text: text.to_owned(),
                low: *range.start(),
                high: *range.end(),
            }),
        }
    }

    /// Returns `messageTtlSeconds`, 0 if it is not given.
    ///
    /// # Errors
    ///
    /// [`QueryError::MessageTtl`] if the first value is not a number up to [`TTL_SECONDS_MAX`].
    pub fn ttl_seconds(&self) -> Result<u16, QueryError> {
        let Some(text) = self.first("messageTtlSeconds") else {
            return Ok(0);
        };
        match text.parse() {
            Ok(seconds) if seconds <= TTL_SECONDS_MAX => Ok(seconds),
            Ok(_) | Err(_) => Err(QueryError::MessageTtl),
        }
    }
}

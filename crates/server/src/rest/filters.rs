use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hubwire_protocol::filter::Filter;

use super::Call;
use super::error::RestError;

/// Filters kept parsed.
const KEPT_MAX: usize = 1000;
/// Longest filter that is kept; what is longer is hardly sent twice. Bytes.
const KEPT_LENGTH_MAX: usize = 1024;
/// Longest filter. Bytes. Source: rest-api 5.6.
const LENGTH_MAX: usize = 64 * 1024;

/// Filters parsed lately, by their text: callers repeat themselves.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    parsed: Mutex<HashMap<String, Arc<Filter>>>,
}

impl Filters {
    fn get(&self, text: &str) -> Result<Arc<Filter>, RestError> {
        let lock = || self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(filter) = lock().get(text) {
            return Ok(filter.clone());
        }
        if text.len() > LENGTH_MAX {
            return Err(RestError::bad_request(format!(
                "The filter is longer than {LENGTH_MAX} bytes."
            )));
        }
        let filter = Filter::parse(text)
            .map(Arc::new)
            .map_err(|error| RestError::bad_request(error.to_string()))?;
        if text.len() > KEPT_LENGTH_MAX {
            return Ok(filter);
        }
        let mut parsed = lock();
        if parsed.len() >= KEPT_MAX {
            parsed.clear();
        }
        parsed.insert(text.to_owned(), filter.clone());
        Ok(filter)
    }
}

impl Call<'_> {
    /// Returns a parsed filter; none and an empty one let everybody pass.
    pub(super) fn filter(&self, text: Option<&str>) -> Result<Option<Arc<Filter>>, RestError> {
        match text {
            None | Some("") => Ok(None),
            Some(text) => self.app.filters.get(text).map(Some),
        }
    }
}

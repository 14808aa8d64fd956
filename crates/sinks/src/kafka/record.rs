//! An event as a record.

use std::collections::BTreeMap;

use hubwire_upstream::ListenerEvent;
use rskafka::chrono::{DateTime, Utc};
use rskafka::record::Record;

use crate::attributes::{METADATA_PREFIX, attributes, media_type, metadata};

/// Bytes that a record takes beside what is in it, at most.
const OVERHEAD: usize = 64;

pub(super) fn record(event: &ListenerEvent) -> Record {
    let mut headers = BTreeMap::new();
    let mut insert = |name: String, value: &str| headers.insert(name, value.as_bytes().to_vec());
    insert("content-type".to_owned(), media_type(event));
    insert("ce_id".to_owned(), &event.event.id.to_string());
    for (name, value) in attributes(event) {
        insert(format!("ce_{name}"), value);
    }
    for (key, value) in metadata(event) {
        insert(format!("{METADATA_PREFIX}{key}"), value);
    }
    Record {
        key: Some(event.event.connection_id.as_bytes().to_vec()),
        value: Some(event.event.body.to_vec()),
        headers,
        timestamp: DateTime::parse_from_rfc3339(&event.event.time)
            .map_or(DateTime::UNIX_EPOCH, |time| time.with_timezone(&Utc)),
    }
}

/// Returns about how many bytes a record takes in a request.
pub(super) fn size(record: &Record) -> usize {
    record.approximate_size() + OVERHEAD + 8 * record.headers.len()
}

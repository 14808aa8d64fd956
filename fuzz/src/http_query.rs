//! Queries of URLs.

use hubwire_protocol::http::{Query, QueryError};
use hubwire_protocol::message::TTL_SECONDS_MAX;

const NAMES: [&str; 4] = ["top", "maxpagesize", "messageTtlSeconds", "excluded"];

/// Decodes a query, reads its parameters in all ways there are, encodes what it holds and decodes that.
///
/// # Panics
///
/// If the ways do not agree, a number is out of range, or a value does not survive.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let query = Query::parse(&text);
    let any_case = Query::parse_any_case(&text);
    let ttl = query.ttl_seconds();
    assert!(
        ttl.as_ref()
            .is_ok_and(|seconds| *seconds <= TTL_SECONDS_MAX)
            || ttl == Err(QueryError::MessageTtl)
    );
    for name in NAMES {
        let values: Vec<&str> = query.all(name).collect();
        assert_eq!(query.first(name), values.first().copied());
        assert_eq!(query.last(name), values.last().copied());
        check_number(&query, name, &values);
        let lower = name.to_ascii_lowercase();
        assert!(any_case.all(&lower).count() >= values.len());
        assert_eq!(
            Query::parse(&encode(name, &values))
                .all(name)
                .collect::<Vec<_>>(),
            values
        );
    }
}

fn check_number(query: &Query, name: &'static str, values: &[&str]) {
    match query.number(name, 1..=200) {
        Ok(None) => assert!(values.is_empty()),
        Ok(Some(number)) => {
            assert!((1..=200).contains(&number));
            assert!(values.len() == 1 && values[0].parse() == Ok(number));
        }
        Err(error) => {
            assert!(values.len() > 1 || !(1..=200).any(|number| values[0].parse() == Ok(number)));
            assert!(error.to_string().contains(values[0]));
        }
    }
}

fn encode(name: &str, values: &[&str]) -> String {
    let pairs: Vec<String> = values
        .iter()
        .map(|value| {
            let encoded: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
            format!("{name}={encoded}")
        })
        .collect();
    pairs.join("&")
}

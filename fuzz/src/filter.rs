//! Filters over connections.

use std::borrow::Cow;

use hubwire_protocol::filter::{Filter, Subject};

struct Connection {
    user: Option<&'static str>,
    protocol: Option<&'static str>,
    groups: &'static [&'static str],
}

const CONNECTIONS: [Connection; 3] = [
    Connection {
        user: None,
        protocol: None,
        groups: &[],
    },
    Connection {
        user: Some("alice"),
        protocol: Some("json.webpubsub.azure.v1"),
        groups: &["room", "a.b"],
    },
    Connection {
        user: Some("\u{3000}O'Brien 🦀 ǅß\u{301}"),
        protocol: None,
        groups: &["", "'", "ROOM"],
    },
];

impl Subject for Connection {
    fn connection_id(&self) -> Cow<'_, str> {
        Cow::Borrowed("c-1_😀")
    }

    fn user_id(&self) -> Option<&str> {
        self.user
    }

    fn protocol(&self) -> Option<&str> {
        self.protocol
    }

    fn is_member(&self, group: &str) -> bool {
        self.groups.contains(&group)
    }

    fn group_count(&self) -> usize {
        self.groups.len()
    }
}

/// Parses a filter, evaluates it and its negation for some connections, or prints what is wrong.
///
/// # Panics
///
/// If a filter means something else in parentheses, a connection matches it and its negation, or an error is no official message.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let filter = match Filter::parse(&text) {
        Ok(filter) => filter,
        Err(error) => {
            let message = error.to_string();
            assert!(message.starts_with("Invalid syntax for '"));
            assert!(message.ends_with(" (Parameter 'filter')"));
            assert!(
                message.len() <= 8 * text.len() + 200,
                "{} bytes",
                message.len()
            );
            return;
        }
    };
    let nested = variant(&format!("({text})"));
    let negated = variant(&format!("not({text})"));
    for connection in &CONNECTIONS {
        let is_match = filter.matches(connection);
        assert!(
            nested
                .as_ref()
                .is_none_or(|nested| nested.matches(connection) == is_match)
        );
        // A filter whose types are wrong for a connection matches it in neither way.
        assert!(
            !is_match
                || negated
                    .as_ref()
                    .is_none_or(|negated| !negated.matches(connection))
        );
    }
}

/// Parses a filter that is one level deeper than a good one.
fn variant(text: &str) -> Option<Filter> {
    match Filter::parse(text) {
        Ok(filter) => Some(filter),
        Err(error) => {
            assert!(error.to_string().contains("nested deeper"), "{error}");
            None
        }
    }
}

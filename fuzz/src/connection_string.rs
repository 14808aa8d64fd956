//! Connection strings.

use hubwire_protocol::connection_string::ConnectionString;

/// Shorter keys may well stand in something else that is shown.
const SHOWN_KEY_MIN: usize = 6;

/// Parses a connection string, writes it and parses that.
///
/// # Panics
///
/// If what is written means something else, a part breaks its rules, or the key can be seen.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let parsed = match ConnectionString::parse(&text) {
        Ok(parsed) => parsed,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let written = parsed.to_text();
    assert_eq!(ConnectionString::parse(&written).as_ref(), Ok(&parsed));
    assert_eq!(
        ConnectionString::parse(&format!(" ;{written} Unknown = x")).as_ref(),
        Ok(&parsed)
    );

    let endpoint = parsed.endpoint();
    assert!(endpoint.starts_with("http://") || endpoint.starts_with("https://"));
    assert!(!endpoint.ends_with('/') && !endpoint.contains(char::is_whitespace));
    let Ok(key) = parsed.access_key() else {
        return;
    };
    assert!(text.contains(key) && key.trim() == key);
    let again = ConnectionString::new(endpoint, key).expect("its parts are good");
    assert_eq!(again.endpoint(), endpoint);
    assert_eq!(again.access_key(), Ok(key));
    let is_elsewhere = [
        endpoint,
        parsed.version(),
        "ConnectionString",
        "access_key",
        "is_for_identity",
    ]
    .iter()
    .any(|other| other.contains(key));
    if key.len() >= SHOWN_KEY_MIN && !is_elsewhere {
        assert!(!format!("{parsed:?}").contains(key));
    }
}

//! Names of hubs, groups, users and events, and metadata, from any text.

use hubwire_protocol::metadata::{KEY_MAX, Metadata, TOTAL_MAX, VALUE_MAX};
use hubwire_protocol::names::{
    EventName, GROUP_NAME_MAX, GroupName, HUB_NAME_MAX, Hub, USER_ID_MAX, UserId, is_group_name,
};
use hubwire_protocol::payload::DataType;
use hubwire_protocol::subprotocol::Subprotocol;

/// Makes a name of each kind of the text, and metadata of its lines.
///
/// # Panics
///
/// If a name is beyond its limit, or is not the name that was given.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let utf16_len = text.encode_utf16().count();
    if let Ok(hub) = Hub::new(&text) {
        assert!(text.is_ascii() && (1..=HUB_NAME_MAX).contains(&text.len()));
        assert_eq!(hub.as_str(), text.to_ascii_lowercase());
        assert_eq!(Hub::new(hub.as_str()).as_ref(), Ok(&hub));
        assert_eq!(Hub::new(&text.to_ascii_uppercase()), Ok(hub));
    }
    if let Ok(event) = EventName::new(&text) {
        assert!(text.is_ascii() && (1..=HUB_NAME_MAX).contains(&text.len()));
        assert_eq!(event.as_str(), text);
    }
    let group = GroupName::new(&text);
    assert_eq!(group.is_ok(), is_group_name(&text));
    assert_eq!(
        group.is_ok(),
        utf16_len <= GROUP_NAME_MAX && !text.trim().is_empty()
    );
    let user = UserId::new(&text);
    assert_eq!(
        user.is_ok(),
        utf16_len <= USER_ID_MAX && !text.trim().is_empty()
    );
    if let Some(data_type) = DataType::from_name(&text) {
        assert!(data_type.name().eq_ignore_ascii_case(&text));
    }
    if let Some((subprotocol, spelling)) = Subprotocol::negotiate(text.split(',')) {
        assert!(
            subprotocol
                .name()
                .is_some_and(|name| name.eq_ignore_ascii_case(spelling))
        );
    }
    metadata(&text);
}

fn metadata(text: &str) {
    let mut metadata = Metadata::default();
    for line in text.lines() {
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        let before = metadata.clone();
        if metadata.insert(key.to_owned(), value.to_owned()).is_err() {
            assert_eq!(metadata, before);
        }
    }
    let total: usize = metadata
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    assert!(total <= TOTAL_MAX);
    for (key, value) in metadata.iter() {
        assert!((1..=KEY_MAX).contains(&key.len()) && value.len() <= VALUE_MAX);
        assert_eq!(
            metadata.iter().filter(|(other, _)| *other == key).count(),
            1
        );
    }
}

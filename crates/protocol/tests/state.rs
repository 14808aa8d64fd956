//! What a connection may show of itself in a group (client-protocols 3.10).

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use hubwire_protocol::state::{GroupState, GroupStateError};

#[test]
fn entries_keep_their_order_and_their_letter_case() {
    let entries = [("b", "1"), ("B", "2"), ("a", "1")];
    let state = state(&entries);
    assert_eq!(state.iter().collect::<Vec<_>>(), entries);
    assert_eq!(GroupState::default().iter().count(), 0);
}

#[test]
fn any_text_is_allowed() {
    let entries = [(" ", ""), ("\0\n:", "grün \u{1F600}"), ("\u{1F600}", "\0")];
    assert_eq!(state(&entries).iter().collect::<Vec<_>>(), entries);
}

#[test]
fn key_has_1_to_256_bytes() {
    let mut state = GroupState::default();
    for key in ["k".repeat(256), "ü".repeat(128)] {
        assert_eq!(state.insert(key, String::new()), Ok(()));
    }
    for key in [String::new(), "k".repeat(257), "ü".repeat(128) + "k"] {
        let result = state.insert(key, String::new());
        assert_eq!(result, Err(GroupStateError::Key));
    }
}

#[test]
fn value_has_up_to_1024_bytes() {
    let mut state = GroupState::default();
    for (key, value) in [("a", "v".repeat(1024)), ("b", "ü".repeat(512))] {
        assert_eq!(state.insert(key.to_owned(), value.clone()), Ok(()));
        let result = state.insert("c".to_owned(), value + "v");
        assert_eq!(result, Err(GroupStateError::Value));
    }
}

#[test]
fn keys_and_values_have_up_to_8192_bytes_together() {
    let mut state = GroupState::default();
    for key in ["0", "1", "2", "3", "4", "5", "6", "7"] {
        state.insert(key.to_owned(), "v".repeat(1023)).unwrap();
    }
    let full = state.clone();
    let result = state.insert("8".to_owned(), String::new());
    assert_eq!(result, Err(GroupStateError::Total));
    assert_eq!(state, full);
}

#[test]
fn key_is_given_once() {
    let mut state = state(&[("a", "1")]);
    let result = state.insert("a".to_owned(), "2".to_owned());
    assert_eq!(result, Err(GroupStateError::DuplicateKey));
    assert_eq!(state.iter().collect::<Vec<_>>(), [("a", "1")]);
}

fn state(entries: &[(&str, &str)]) -> GroupState {
    let mut state = GroupState::default();
    for (key, value) in entries {
        state
            .insert((*key).to_owned(), (*value).to_owned())
            .unwrap();
    }
    state
}

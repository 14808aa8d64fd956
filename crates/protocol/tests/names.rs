//! Which texts are names (client-protocols 0).

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use hubwire_protocol::names::{
    EventName, GroupName, Hub, NameError, StreamId, UserId, is_group_name,
};

/// Checklist 4.
#[test]
fn hub_name_is_a_letter_and_up_to_127_more_characters() {
    let longest = "a".repeat(128);
    for name in ["h", "chat", "a1_`,.[]", "z[0].x", &longest] {
        assert_eq!(Hub::new(name).unwrap().as_str(), name);
    }
    let too_long = "a".repeat(129);
    for name in [
        "", "1a", "_a", "[a]", "a-b", "a b", " a", "a ", "a/b", "ä", "aä", "a\n", "a%20", "a*",
        &too_long,
    ] {
        assert_eq!(Hub::new(name), Err(NameError::Hub), "{name:?}");
    }
}

/// Checklist 5.
#[test]
fn hub_names_that_differ_only_in_case_are_the_same() {
    let hub = Hub::new("ChAt[A]").unwrap();
    assert_eq!(hub, Hub::new("chat[a]").unwrap());
    assert_eq!(hub.as_str(), "chat[a]");
    assert_eq!(hub.to_string(), "chat[a]");
}

/// Checklist 67.
#[test]
fn event_name_is_a_letter_and_up_to_127_more_characters() {
    let longest = "a".repeat(128);
    for name in ["e", "E", "a1_.-", "message", &longest] {
        assert_eq!(EventName::new(name).unwrap().as_str(), name);
    }
    let too_long = "a".repeat(129);
    for name in [
        "", "1a", "-a", ".a", "a/b", "a b", "a,", "a[", "é", "aé", "a\0", &too_long,
    ] {
        assert_eq!(EventName::new(name), Err(NameError::Event), "{name:?}");
    }
}

/// Checklist 78.
#[test]
fn group_name_is_measured_in_utf16_units() {
    let accepted = [
        "g".repeat(1024),
        "ü".repeat(1024),
        "語".repeat(1024),
        "😀".repeat(512),
    ];
    for name in accepted {
        assert!(is_group_name(&name));
        assert_eq!(GroupName::new(&name).unwrap().as_str(), name);
        let longer = name + "g";
        assert!(!is_group_name(&longer));
        assert_eq!(GroupName::new(&longer), Err(NameError::Group));
    }
}

#[test]
fn group_name_may_hold_anything_but_white_space_alone() {
    for name in [
        "*", "a/b", " g ", "\0", "\u{200B}", "..", "a\nb", "$x", "\u{FEFF}",
    ] {
        assert_eq!(GroupName::new(name).unwrap().as_str(), name);
    }
    for name in ["", " ", "\t\r\n", "\u{A0}", "\u{2003}\u{3000}\u{85}"] {
        assert_eq!(GroupName::new(name), Err(NameError::Group), "{name:?}");
        assert!(!is_group_name(name));
    }
}

/// Checklist 77.
#[test]
fn group_names_and_user_ids_are_case_sensitive() {
    assert_ne!(
        GroupName::new("Room").unwrap(),
        GroupName::new("room").unwrap()
    );
    assert_ne!(UserId::new("Ann").unwrap(), UserId::new("ann").unwrap());
}

#[test]
fn user_id_is_not_blank_and_up_to_1024_utf16_units() {
    for id in ["u".repeat(1024), "😀".repeat(512)] {
        assert_eq!(UserId::new(&id).unwrap().as_str(), id);
        assert_eq!(UserId::new(&(id + "u")), Err(NameError::User));
    }
    for id in ["", " ", "\n"] {
        assert_eq!(UserId::new(id), Err(NameError::User), "{id:?}");
    }
}

/// Section 3.8, rule 1.
#[test]
fn stream_id_is_any_text_of_1_to_256_bytes() {
    for id in [
        "s".repeat(256),
        "ü".repeat(128),
        " ".to_owned(),
        "\0".to_owned(),
    ] {
        assert_eq!(StreamId::new(&id).unwrap().as_str(), id);
    }
    for id in [String::new(), "s".repeat(257), "ü".repeat(128) + "s"] {
        assert_eq!(StreamId::new(&id), Err(NameError::Stream), "{id:?}");
    }
    assert_ne!(StreamId::new("S").unwrap(), StreamId::new("s").unwrap());
}

//! What roles allow (client-protocols 8, rest-api 4).

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use hubwire_engine::{PERMISSION_RULES_MAX, Permission, Permissions};
use hubwire_protocol::names::GroupName;

const JOIN: Permission = Permission::JoinLeaveGroup;
const SEND: Permission = Permission::SendToGroup;

#[test]
fn nothing_is_allowed_without_a_role() {
    let permissions = from_roles(&[], 0);
    assert!(!allows(&permissions, SEND, "g"));
    assert!(!allows(&permissions, JOIN, "g"));
}

/// Checklist 129.
#[test]
fn unrestricted_role_allows_its_permission_for_every_group() {
    let permissions = from_roles(&["webpubsub.sendToGroup"], 0);
    for group in ["g", "a.b", "*", "group with spaces", "ü"] {
        assert!(allows(&permissions, SEND, group), "{group}");
        assert!(!allows(&permissions, JOIN, group), "{group}");
    }
    let permissions = from_roles(&["webpubsub.joinLeaveGroup"], 0);
    assert!(allows(&permissions, JOIN, "g"));
    assert!(!allows(&permissions, SEND, "g"));
}

/// Checklist 129.
#[test]
fn literal_role_allows_exactly_its_group() {
    let roles = [
        "webpubsub.sendToGroup.a.b",
        "webpubsub.joinLeaveGroup.*",
        "webpubsub.joinLeaveGroup. x ",
    ];
    let permissions = from_roles(&roles, 0);
    assert!(allows(&permissions, SEND, "a.b"));
    for group in ["a", "a.b.c", "A.b", "b"] {
        assert!(!allows(&permissions, SEND, group), "{group}");
    }
    assert!(allows(&permissions, JOIN, "*"));
    assert!(allows(&permissions, JOIN, " x "));
    assert!(!allows(&permissions, JOIN, "x"));
    assert!(!allows(&permissions, JOIN, "a.b"));
}

/// Checklist 129.
#[test]
fn pattern_role_allows_the_groups_that_match() {
    let roles = [
        "webpubsub.sendToGroups.room.*",
        "webpubsub.joinLeaveGroups.room.**",
    ];
    let permissions = from_roles(&roles, 0);
    assert!(allows(&permissions, SEND, "room.1"));
    assert!(allows(&permissions, SEND, "room."));
    assert!(!allows(&permissions, SEND, "room.1.2"));
    assert!(!allows(&permissions, SEND, "room"));
    assert!(allows(&permissions, JOIN, "room.1.2"));
    assert!(!allows(&permissions, JOIN, "rooms"));
}

/// Checklist 130.
#[test]
fn patterns_match_as_in_the_specification() {
    let cases = [
        ("ab*", "ab", true),
        ("ab*", "abc", true),
        ("ab*", "ab.cd", false),
        ("ab*", "xab", false),
        ("a?c", "abc", true),
        ("a?c", "a.c", false),
        ("a?c", "ac", false),
        ("a.**.b", "a..b", true),
        ("a.**.b", "a.x.y.b", true),
        ("a.**.b", "a.b", false),
        (r"a\?*", "a?bc", true),
        (r"a\?*", "abc", false),
        (r"\*", "*", true),
        (r"\*", "x", false),
        (r"\\*", r"\x", true),
        ("Room*", "Room1", true),
        ("Room*", "room1", false),
        ("?", "ü", true),
        // One character is one UTF-16 unit.
        ("?", "😀", false),
        ("??", "😀", true),
        ("*", "a b", true),
        ("*", "a.b", false),
        ("**", "a.b", true),
        ("*****", "a.b", true),
        ("x*y*z", "x1y2y3z", true),
        ("x*y*z", "x1y.2z", false),
        ("*?", "x", true),
        ("*?", ".", false),
        ("**?", ".x", true),
        ("plain", "plain", true),
        ("plain", "plainer", false),
        ("[a-z]+", "[a-z]+", true),
        ("[a-z]+", "b", false),
    ];
    for (pattern, group, is_allowed) in cases {
        let permissions = from_roles(&[&format!("webpubsub.sendToGroups.{pattern}")], 0);
        assert_eq!(
            allows(&permissions, SEND, group),
            is_allowed,
            "{pattern} and {group}"
        );
        assert!(!allows(&permissions, JOIN, group));
    }
}

/// Checklist 131.
#[test]
fn invalid_patterns_are_ignored() {
    let longest = "x".repeat(1024);
    from_roles(&[&format!("webpubsub.sendToGroups.{longest}")], 0);
    let too_long = format!("{longest}x");
    for pattern in [
        "",
        r"a\b",
        r"a\",
        r"\\\",
        "******",
        "?????*",
        "*a*a*a*a*a*",
        "??????",
        "****a**",
        &too_long,
    ] {
        let permissions = from_roles(&[&format!("webpubsub.sendToGroups.{pattern}")], 1);
        assert!(!allows(&permissions, SEND, "aaaaaa"), "{pattern}");
        assert!(!allows(&permissions, SEND, "g"), "{pattern}");
    }
}

/// Checklist 131.
#[test]
fn nine_patterns_are_kept_for_each_permission() {
    let roles: Vec<String> = (0..10)
        .flat_map(|index| {
            [
                format!("webpubsub.sendToGroups.{index}*"),
                format!("webpubsub.joinLeaveGroups.{index}*"),
            ]
        })
        .collect();
    let permissions = from_roles(&roles.iter().map(String::as_str).collect::<Vec<_>>(), 2);
    for permission in [SEND, JOIN] {
        for group in ["0x", "4x", "8x"] {
            assert!(allows(&permissions, permission, group), "{group}");
        }
        assert!(!allows(&permissions, permission, "9x"));
    }
}

#[test]
fn repeated_patterns_and_those_without_wildcards_take_no_place() {
    let mut roles = vec!["webpubsub.sendToGroups.first*"; 20];
    roles.extend([
        "webpubsub.sendToGroups.plain",
        r"webpubsub.sendToGroups.st\*r",
        "webpubsub.sendToGroups.**",
    ]);
    let others: Vec<String> = (0..8)
        .map(|index| format!("webpubsub.sendToGroups.{index}*"))
        .collect();
    roles.extend(others.iter().map(String::as_str));
    from_roles(&roles, 0);
}

#[test]
fn roles_are_case_sensitive_and_unknown_ones_are_ignored() {
    let roles = [
        "",
        "webpubsub",
        "webpubsub.",
        "webpubsub.sendtogroup",
        "WebPubSub.sendToGroup",
        "webpubsub.sendToGroupX",
        "webpubsub.sendToGroups",
        "webpubsub.joinLeaveGroups",
        "webpubsub.sendToGroup.",
        "webpubsub.sendToGroup. ",
        " webpubsub.sendToGroup",
        "webpubsub.sendToGroup:g",
        "sendToGroup",
    ];
    let permissions = from_roles(&roles, roles.len());
    for permission in [SEND, JOIN] {
        for group in ["g", "s", "X"] {
            assert!(!allows(&permissions, permission, group));
        }
    }
}

#[test]
fn repeated_roles_are_harmless() {
    let roles = [
        "webpubsub.sendToGroup.g",
        "webpubsub.sendToGroup.g",
        "webpubsub.joinLeaveGroup",
        "webpubsub.joinLeaveGroup",
    ];
    let permissions = from_roles(&roles, 0);
    assert!(allows(&permissions, SEND, "g"));
    assert!(allows(&permissions, JOIN, "g"));
}

#[test]
fn role_with_an_invalid_group_name_is_ignored() {
    let longest = format!("webpubsub.sendToGroup.{}", "g".repeat(1024));
    from_roles(&[&longest], 0);
    from_roles(&[&format!("{longest}g")], 1);
}

#[test]
fn thousand_literal_roles_are_kept_for_each_permission() {
    let roles: Vec<String> = (0..=PERMISSION_RULES_MAX)
        .map(|index| format!("webpubsub.sendToGroup.g{index}"))
        .collect();
    let permissions = from_roles(&roles.iter().map(String::as_str).collect::<Vec<_>>(), 1);
    assert!(allows(&permissions, SEND, "g999"));
    assert!(!allows(&permissions, SEND, "g1000"));
}

fn from_roles(roles: &[&str], ignored: usize) -> Permissions {
    let (permissions, actually_ignored) = Permissions::from_roles(roles.iter().copied());
    assert_eq!(actually_ignored, ignored, "{roles:?}");
    permissions
}

fn allows(permissions: &Permissions, permission: Permission, group: &str) -> bool {
    permissions.allows(permission, &GroupName::new(group).unwrap())
}

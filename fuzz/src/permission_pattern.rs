//! Group name patterns of roles: the pattern on the first line, a group name behind it.

use hubwire_engine::{Permission, Permissions};
use hubwire_protocol::names::GroupName;

const PATTERN_MAX: usize = 1024;
const WILDCARDS_MAX: usize = 5;
/// The reference is slow.
const COMPARED_MAX: usize = 48;

/// Checks a group against a pattern role, and compares short names with a matcher that follows the words of the specification.
///
/// # Panics
///
/// If the two disagree, or the role allows what it does not name.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (pattern, name) = text.split_once('\n').unwrap_or((&text, "room"));
    let Ok(group) = GroupName::new(name) else {
        return;
    };
    let role = format!("webpubsub.sendToGroups.{pattern}");
    let (permissions, ignored) = Permissions::from_roles([role.as_str()]);
    let is_allowed = permissions.allows(Permission::SendToGroup, &group);
    assert!(ignored == 0 || !is_allowed);
    assert!(!permissions.allows(Permission::JoinLeaveGroup, &group));

    let pattern: Vec<u16> = pattern.encode_utf16().collect();
    let name: Vec<u16> = name.encode_utf16().collect();
    if !is_valid(&pattern) {
        assert_eq!(ignored, 1);
    } else if name.len() <= COMPARED_MAX {
        assert_eq!(is_allowed, matches(&pattern, &name));
    }
}

fn is_valid(pattern: &[u16]) -> bool {
    let (mut stars, mut wildcards) = (0, 0);
    let mut rest = pattern;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match u8::try_from(*first) {
            Ok(b'\\') => match tail {
                [escaped, tail @ ..] if [b'*', b'?', b'\\'].map(u16::from).contains(escaped) => {
                    rest = tail;
                }
                _ => return false,
            },
            Ok(b'*') => {
                let run = 1 + leading_stars(tail);
                rest = &tail[run - 1..];
                stars += run;
                wildcards += 1;
            }
            Ok(b'?') => wildcards += 1,
            Ok(_) | Err(_) => {}
        }
    }
    let is_blank_literal = wildcards == 0 && is_blank(pattern);
    (1..=PATTERN_MAX).contains(&pattern.len())
        && stars <= WILDCARDS_MAX
        && wildcards <= WILDCARDS_MAX
        && !is_blank_literal
}

/// A pattern without wildcards names a group, and no group has such a name.
fn is_blank(pattern: &[u16]) -> bool {
    String::from_utf16_lossy(pattern).trim().is_empty()
}

fn matches(pattern: &[u16], name: &[u16]) -> bool {
    let Some((first, rest)) = pattern.split_first() else {
        return name.is_empty();
    };
    let dot = u16::from(b'.');
    match u8::try_from(*first) {
        Ok(b'*') => {
            let more = leading_stars(rest);
            let reach = match more {
                0 => name
                    .iter()
                    .position(|unit| *unit == dot)
                    .unwrap_or(name.len()),
                _ => name.len(),
            };
            (0..=reach).any(|taken| matches(&rest[more..], &name[taken..]))
        }
        Ok(b'?') => name
            .split_first()
            .is_some_and(|(unit, name)| *unit != dot && matches(rest, name)),
        Ok(b'\\') => name.first() == rest.first() && matches(&rest[1..], &name[1..]),
        Ok(_) | Err(_) => name.first() == Some(first) && matches(rest, &name[1..]),
    }
}

fn leading_stars(pattern: &[u16]) -> usize {
    pattern
        .iter()
        .take_while(|unit| **unit == u16::from(b'*'))
        .count()
}

//! Continuation tokens of lists. The first byte chooses: `t` a token as it is, `s` a list and its last item, one part a line.

#[path = "../../crates/server/src/rest/continuation.rs"]
mod continuation;

use continuation::{TOKEN_MAX, open, seal};
use hubwire_protocol::names::GROUP_NAME_MAX;

const KEY: &[u8] = b"a key that only the fuzz target knows";
/// Longest token of which every bit is changed. Characters.
const CHANGED_WHOLLY_MAX: usize = 48;

/// Opens a token that nobody made, or makes one and changes it in every way there is.
///
/// # Panics
///
/// If a token opens that was not made with the key for the list, or one does not that was.
pub fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    match kind {
        b't' => assert_eq!(
            open(KEY, &["ListGroups", "hub"], &text),
            None,
            "nobody else can make one"
        ),
        b's' => made(&text.split('\n').collect::<Vec<_>>()),
        _ => {}
    }
}

fn made(lines: &[&str]) {
    let Some((last, list)) = lines.split_last() else {
        return;
    };
    let token = seal(KEY, list, last);
    assert!(last.encode_utf16().count() > GROUP_NAME_MAX || token.len() <= TOKEN_MAX);
    assert_eq!(open(KEY, list, &token).as_deref(), Some(*last));
    assert_eq!(open(b"another key", list, &token), None);

    let changed_max = if token.len() <= CHANGED_WHOLLY_MAX {
        token.len()
    } else {
        1
    };
    for index in 0..changed_max {
        for bit in 0..7 {
            let mut changed = token.clone().into_bytes();
            changed[index] ^= 1 << bit;
            let changed = String::from_utf8(changed).expect("seven bits are ASCII");
            assert_eq!(open(KEY, list, &changed), None, "{changed}");
        }
    }
    for len in [0, 1, token.len() / 2, token.len() - 1] {
        assert_eq!(open(KEY, list, &token[..len]), None);
    }
    assert_eq!(open(KEY, list, &format!("{token}A")), None);
    assert_eq!(open(KEY, list, &format!("{token}=")), None);

    // The same characters, cut into parts elsewhere, are another list.
    let joined = list.join("");
    if list.len() > 1 {
        assert_eq!(open(KEY, &[&joined], &token), None);
        assert_eq!(open(KEY, &[&list.join("\0")], &token), None);
        assert_eq!(open(KEY, &list[1..], &token), None);
    }
    let longer: Vec<&str> = list.iter().copied().chain([""]).collect();
    assert_eq!(open(KEY, &longer, &token), None);
}

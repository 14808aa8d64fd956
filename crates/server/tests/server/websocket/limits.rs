//! Sections 9 and 10: the longest message, with a limit that is quickly reached.

use super::frame::{Frame, binary, close, fragments_of, last, letters, middle, ping, text};
use super::table::{Row, Table, came_binary, came_pong, came_text, refused, row, too_large};

const MAX: usize = 1024;

#[tokio::test]
async fn messages_beyond_the_limit_are_refused() {
    table().check(36).await;
}

pub(super) fn table() -> Table {
    let mut rows = whole();
    rows.extend(announced());
    rows.extend(in_fragments());
    rows.extend(around());
    Table::with_limit(MAX, rows)
}

fn whole() -> Vec<Row> {
    let two_bytes = "ü".repeat(MAX / 2);
    vec![
        row(
            "a text as long as the limit comes back",
            [text(letters(MAX))],
            [came_text(letters(MAX))],
        ),
        row(
            "a binary message as long as the limit comes back",
            [binary([0xFF; MAX])],
            [came_binary([0xFF; MAX])],
        ),
        row(
            "a text is measured in bytes, not in characters, and may be as long as the limit",
            [text(&two_bytes)],
            [came_text(&two_bytes)],
        ),
        row(
            "a text of fewer characters and more bytes than the limit is refused",
            [text(format!("{two_bytes}x"))],
            [too_large()],
        ),
        row(
            "a text longer than the limit by a byte is refused",
            [text(letters(MAX + 1))],
            [too_large()],
        ),
        row(
            "a binary message longer than the limit by a byte is refused",
            [binary([0xFF; MAX + 1])],
            [too_large()],
        ),
        row(
            "a message as long as the limit with its length in eight bytes comes back",
            [binary([1; MAX]).length_in(8)],
            [came_binary([1; MAX])],
        ),
        row(
            "a message longer than the limit by a byte with its length in eight bytes is refused",
            [binary([1; MAX + 1]).length_in(8)],
            [too_large()],
        ),
    ]
}

/// Heads without their payload.
fn announced() -> Vec<Row> {
    let lengths = [
        (1025, "one byte more than the limit"),
        (0xFFFF, "the most for two bytes"),
        (0x1_0000, "the least for eight bytes"),
        (1 << 31, "what does not fit 31 bits"),
        (1 << 32, "what does not fit 32 bits"),
        ((1 << 32) + 5, "a small number above 32 bits"),
        (i64::MAX as u64, "the most for 63 bits"),
        (1 << 63, "the most significant bit alone"),
        (
            (1 << 63) + 5,
            "a small number with the most significant bit",
        ),
        (u64::MAX, "all bits"),
    ];
    let mut rows = Vec::new();
    for (len, name) in lengths {
        rows.push(row(
            format!("a head that announces {name} is refused"),
            [binary("").announcing(len).head_only()],
            [too_large()],
        ));
    }
    let sums = [
        (MAX as u64, "as much as the limit"),
        (u64::MAX, "all bits"),
        (u64::MAX - 4, "what would come to the limit by overflow"),
    ];
    for (len, name) in sums {
        rows.push(row(
            format!("a continuation of five bytes that announces {name} is refused"),
            [
                text("12345").unfinished(),
                last("").announcing(len).head_only(),
            ],
            [too_large()],
        ));
    }
    rows
}

fn in_fragments() -> Vec<Row> {
    let half = [7; MAX / 2];
    vec![
        row(
            "two halves of the limit come back whole",
            [binary(half).unfinished(), last(half)],
            [came_binary([7; MAX])],
        ),
        row(
            "two halves and a byte are refused",
            [binary(half).unfinished(), middle(half), last("x")],
            [too_large()],
        ),
        row(
            "a last fragment that goes beyond the limit by a byte is refused",
            [binary(half).unfinished(), last([7; MAX / 2 + 1])],
            [too_large()],
        ),
        row(
            "a first fragment may fill the limit and an empty one end it",
            [text(letters(MAX)).unfinished(), last("")],
            [came_text(letters(MAX))],
        ),
        row(
            "a first fragment beyond the limit is refused",
            [text(letters(MAX + 1)).unfinished()],
            [too_large()],
        ),
        row(
            "a thousand fragments of one byte come back whole",
            fragments_of(&text(letters(MAX)), 1),
            [came_text(letters(MAX))],
        ),
        row(
            "a byte more than the limit in fragments of one byte is refused",
            [
                vec![text("a").unfinished()],
                vec![middle("b"); MAX],
                vec![last("c")],
            ]
            .concat(),
            [too_large()],
        ),
        row(
            "a message that never ends is refused when it passes the limit",
            [
                vec![ping("before"), binary([1; 100]).unfinished()],
                vec![middle([2; 100]); 12],
            ]
            .concat(),
            [came_pong("before"), too_large()],
        ),
        row(
            "empty fragments do not count against the limit",
            [
                vec![binary([1; MAX]).unfinished()],
                vec![middle(""); 100],
                vec![last("")],
            ]
            .concat(),
            [came_binary([1; MAX])],
        ),
    ]
}

fn around() -> Vec<Row> {
    let full = || binary([1; MAX]);
    let between: Vec<Frame> = vec![
        binary([1; MAX - 1]).unfinished(),
        ping([2; 125]),
        ping([3; 125]),
        last([1]),
    ];
    vec![
        row(
            "the limit is for each message",
            [full(), full(), full()],
            [
                came_binary([1; MAX]),
                came_binary([1; MAX]),
                came_binary([1; MAX]),
            ],
        ),
        row(
            "pings between fragments do not count against the limit",
            between,
            [
                came_pong([2; 125]),
                came_pong([3; 125]),
                came_binary([1; MAX]),
            ],
        ),
        row(
            "a message before one that is too long comes back",
            [full(), binary([1; MAX + 1])],
            [came_binary([1; MAX]), too_large()],
        ),
        row(
            "what follows a message that is too long means nothing",
            [binary([1; MAX + 1]), text("too late"), close(1000, "bye")],
            [too_large()],
        ),
        row(
            "a text that is too long is refused as such, UTF-8 or not",
            [text([0xFF; MAX + 1])],
            [too_large()],
        ),
        row(
            "an unmasked message that is too long is refused as unmasked",
            [binary([1; MAX + 1]).unmasked()],
            [refused()],
        ),
    ]
}

//! Section 3: the three reserved bits, which mean nothing without an extension.

use super::frame::{Frame, binary, close, last, middle, opcode, ping, pong, text};
use super::table::{Row, Table, came_pong, came_text, refused, row};

const NAMES: [(u8, &str); 7] = [
    (0b100, "the first reserved bit"),
    (0b010, "the second reserved bit"),
    (0b001, "the third reserved bit"),
    (0b110, "the first and the second reserved bit"),
    (0b101, "the first and the third reserved bit"),
    (0b011, "the second and the third reserved bit"),
    (0b111, "all reserved bits"),
];

#[tokio::test]
async fn frames_with_a_reserved_bit_are_refused() {
    table().check(36).await;
}

pub(super) fn table() -> Table {
    let mut rows = Vec::new();
    for (bits, name) in NAMES {
        rows.push(row(
            format!("a text with {name} is refused"),
            [text("reserved").reserved(bits)],
            [refused()],
        ));
    }
    for (bits, name) in &NAMES[..3] {
        rows.extend(types(*bits, name));
    }
    rows.extend(places());
    Table::new(rows)
}

/// One bit on each type of frame but a whole text.
fn types(bits: u8, name: &str) -> Vec<Row> {
    let frames: [(&str, Vec<Frame>); 7] = [
        ("a binary message", vec![binary([1, 2]).reserved(bits)]),
        ("a ping", vec![ping("x").reserved(bits)]),
        ("a pong", vec![pong("x").reserved(bits)]),
        ("a close", vec![close(1000, "x").reserved(bits)]),
        (
            "a first fragment",
            vec![text("x").unfinished().reserved(bits)],
        ),
        (
            "a middle fragment",
            vec![text("x").unfinished(), middle("y").reserved(bits)],
        ),
        (
            "a last fragment",
            vec![text("x").unfinished(), last("y").reserved(bits)],
        ),
    ];
    frames
        .map(|(what, frames)| {
            row(
                format!("{what} with {name} is refused"),
                frames,
                [refused()],
            )
        })
        .into()
}

fn places() -> Vec<Row> {
    vec![
        row(
            "a text of nothing with a reserved bit is refused",
            [text("").reserved(0b100)],
            [refused()],
        ),
        row(
            "an undefined type with a reserved bit is refused",
            [opcode(0x3, "x").reserved(0b001)],
            [refused()],
        ),
        row(
            "a message before a reserved bit comes back",
            [text("good"), text("bad").reserved(0b010)],
            [came_text("good"), refused()],
        ),
        row(
            "a ping behind a reserved bit is not answered",
            [ping("before"), text("bad").reserved(0b001), ping("behind")],
            [came_pong("before"), refused()],
        ),
        row(
            "a close behind a reserved bit is not echoed",
            [binary("bad").reserved(0b100), close(1000, "bye")],
            [refused()],
        ),
        row(
            "a ping with a reserved bit between fragments is refused",
            [
                text("good").unfinished(),
                ping("bad").reserved(0b010),
                last("good"),
            ],
            [refused()],
        ),
        row(
            "a reserved bit is refused by the first two bytes of its frame",
            [text("x").reserved(0b111).cut_to(2)],
            [refused()],
        ),
        row(
            "a message that looks as if it were compressed is refused",
            // "Hello" as permessage-deflate would send it; the extension is offered in the handshake and not taken.
            [text([0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]).reserved(0b100)],
            [refused()],
        ),
    ]
}

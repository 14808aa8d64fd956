//! Sections 9 and 10: large messages and many of them, with the default limit of one mebibyte.

use super::frame::{Frame, binary, bytes, close, fragments_of, last, letters, middle, ping, text};
use super::table::{
    Row, Table, came_binary, came_close, came_pong, came_text, not_utf8, row, too_large,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

#[tokio::test]
async fn large_messages_come_back_up_to_the_default_limit() {
    table().check(27).await;
}

pub(super) fn table() -> Table {
    let mut rows = whole();
    rows.extend(in_fragments());
    rows.extend(many());
    rows.extend(beyond());
    Table::new(rows)
}

fn whole() -> Vec<Row> {
    let wide = "🦀".repeat(MIB / 4);
    let mut rows = Vec::new();
    for (len, name) in [(256 * KIB, "256 KiB"), (MIB, "1 MiB")] {
        rows.push(row(
            format!("a text of {name} comes back"),
            [text(letters(len))],
            [came_text(letters(len))],
        ));
        rows.push(row(
            format!("a binary message of {name} comes back"),
            [binary(bytes(len))],
            [came_binary(bytes(len))],
        ));
    }
    rows.extend([
        row(
            "a text of 1 MiB in characters of four bytes comes back",
            [text(&wide)],
            [came_text(&wide)],
        ),
        row(
            "a text of 1 MiB that is not UTF-8 at its end is refused",
            [text([letters(MIB - 1).as_bytes(), b"\xF0"].concat())],
            [not_utf8()],
        ),
        row(
            "a binary message of 1 MiB that is no text comes back",
            [binary(vec![0xFF; MIB])],
            [came_binary(vec![0xFF; MIB])],
        ),
    ]);
    rows
}

fn in_fragments() -> Vec<Row> {
    let mut rows = Vec::new();
    for (len, name) in [
        (256, "256 bytes"),
        (4 * KIB, "4 KiB"),
        (64 * KIB, "64 KiB"),
        (512 * KIB, "512 KiB"),
    ] {
        rows.push(row(
            format!("a text of 1 MiB in fragments of {name} comes back"),
            fragments_of(&text(letters(MIB)), len),
            [came_text(letters(MIB))],
        ));
        rows.push(row(
            format!("a binary message of 1 MiB in fragments of {name} comes back"),
            fragments_of(&binary(bytes(MIB)), len),
            [came_binary(bytes(MIB))],
        ));
    }
    let with_pings: Vec<Frame> = fragments_of(&binary(bytes(MIB)), 64 * KIB)
        .into_iter()
        .flat_map(|fragment| [ping("so far"), fragment])
        .collect();
    let mut came = vec![came_pong("so far"); 16];
    came.push(came_binary(bytes(MIB)));
    rows.extend([
        row(
            "a text of 64 KiB in fragments of 1300 bytes comes back",
            fragments_of(&text(letters(64 * KIB)), 1300),
            [came_text(letters(64 * KIB))],
        ),
        row(
            "pings between the fragments of a large message are answered at once",
            with_pings,
            came,
        ),
    ]);
    rows
}

fn many() -> Vec<Row> {
    let mut rows = Vec::new();
    for (count, len) in [(500, 0), (500, 16), (500, 125), (400, 256), (200, 4096)] {
        rows.push(row(
            format!("{count} texts of {len} bytes come back"),
            vec![text(letters(len)); count],
            vec![came_text(letters(len)); count],
        ));
    }
    rows.extend([
        row(
            "a large message and a small one do not overtake each other",
            [
                text("first"),
                binary(bytes(512 * KIB)),
                ping("second"),
                text("third"),
            ],
            [
                came_text("first"),
                came_binary(bytes(512 * KIB)),
                came_pong("second"),
                came_text("third"),
            ],
        ),
        row(
            "a close behind large messages waits for them",
            [
                binary(bytes(512 * KIB)),
                text(letters(512 * KIB)),
                close(4000, "done"),
            ],
            [
                came_binary(bytes(512 * KIB)),
                came_text(letters(512 * KIB)),
                came_close(4000, "done"),
            ],
        ),
    ]);
    rows
}

fn beyond() -> Vec<Row> {
    vec![
        row(
            "a text of 1 MiB and a byte is refused",
            [text(letters(MIB + 1))],
            [too_large()],
        ),
        row(
            "a binary message that announces 1 MiB and a byte is refused by its head",
            [binary("").announcing(MIB as u64 + 1).head_only()],
            [too_large()],
        ),
        row(
            "fragments of 1 MiB and a byte together are refused",
            [
                binary(bytes(512 * KIB)).unfinished(),
                middle(bytes(512 * KIB)),
                last("x"),
            ],
            [too_large()],
        ),
    ]
}

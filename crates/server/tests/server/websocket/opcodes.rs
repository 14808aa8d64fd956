//! Section 4: types of frames that are not defined.

use super::frame::{binary, last, opcode, ping, text};
use super::table::{Table, came_pong, came_text, refused, row};

const DATA: [u8; 5] = [0x3, 0x4, 0x5, 0x6, 0x7];
const CONTROL: [u8; 5] = [0xB, 0xC, 0xD, 0xE, 0xF];

#[tokio::test]
async fn frames_of_an_undefined_type_are_refused() {
    table().check(32).await;
}

pub(super) fn table() -> Table {
    let mut rows = Vec::new();
    for kind in DATA.into_iter().chain(CONTROL) {
        rows.push(row(
            format!("an empty frame of type {kind:#x} is refused"),
            [opcode(kind, "")],
            [refused()],
        ));
        rows.push(row(
            format!("a frame of type {kind:#x} between good frames is refused"),
            [
                text("good"),
                ping("before"),
                opcode(kind, "undefined"),
                ping("behind"),
            ],
            [came_text("good"), came_pong("before"), refused()],
        ));
    }
    for kind in DATA {
        rows.push(row(
            format!("a first fragment of type {kind:#x} is refused"),
            [opcode(kind, "un").unfinished(), last("defined")],
            [refused()],
        ));
    }
    rows.extend([
        row(
            "an undefined type between the fragments of a text is refused",
            [text("a").unfinished(), opcode(0x3, "b"), last("c")],
            [refused()],
        ),
        row(
            "an undefined control type between the fragments of a text is refused",
            [text("a").unfinished(), opcode(0xB, "b"), last("c")],
            [refused()],
        ),
        row(
            "an undefined type with its length in two bytes is refused",
            [opcode(0x7, [7; 126])],
            [refused()],
        ),
        row(
            "an undefined control type of 126 bytes is refused",
            [opcode(0xF, [7; 126])],
            [refused()],
        ),
        row(
            "an unmasked frame of an undefined type is refused",
            [opcode(0x4, "x").unmasked()],
            [refused()],
        ),
        row(
            "an undefined type is refused by its first two bytes",
            [opcode(0x5, "x").cut_to(2)],
            [refused()],
        ),
        row(
            "a message inside an undefined type does not come back",
            [opcode(0x6, binary("inside").bytes())],
            [refused()],
        ),
    ]);
    Table::new(rows)
}

//! Section 6: text is UTF-8 as RFC 3629 has it, and all of it.

use super::frame::{binary, last, middle, ping, text};
use super::peer::Came;
use super::table::{Row, Table, came_binary, came_pong, came_text, not_utf8, row};

/// Where the forms of UTF-8 begin and end, and code points that some take for invalid.
const VALID: [(&str, &str); 25] = [
    ("the first code point", "\u{0}"),
    ("the last of one byte", "\u{7F}"),
    ("the first of two bytes", "\u{80}"),
    ("the last of two bytes", "\u{7FF}"),
    ("the first of three bytes", "\u{800}"),
    ("the last of the bytes E0", "\u{FFF}"),
    ("the first of the bytes E1", "\u{1000}"),
    ("the last before the surrogates", "\u{D7FF}"),
    ("the first after the surrogates", "\u{E000}"),
    ("the noncharacter FDD0", "\u{FDD0}"),
    ("the byte order mark", "\u{FEFF}"),
    ("the replacement character", "\u{FFFD}"),
    ("the noncharacter FFFE", "\u{FFFE}"),
    ("the last of three bytes", "\u{FFFF}"),
    ("the first of four bytes", "\u{10000}"),
    ("the noncharacter 1FFFE", "\u{1FFFE}"),
    ("the last of the bytes F0", "\u{3FFFF}"),
    ("the first of the bytes F1", "\u{40000}"),
    ("the first of the bytes F4", "\u{100000}"),
    ("the last but one", "\u{10FFFE}"),
    ("the last code point", "\u{10FFFF}"),
    ("a letter with a combining accent", "e\u{301}"),
    ("a family of joined characters", "👩\u{200D}👩\u{200D}👧"),
    ("text from right to left", "שלום"),
    ("characters of one to four bytes", "aü好🦀"),
];

/// What is not UTF-8, whatever stands around it.
const INVALID: [(&str, &[u8]); 47] = [
    ("the first continuation byte alone", b"\x80"),
    ("the last continuation byte alone", b"\xBF"),
    ("two continuation bytes alone", b"\x80\xBF"),
    ("three continuation bytes alone", b"\x80\xBF\x80"),
    ("the byte C0, which starts nothing", b"\xC0"),
    ("the byte C1, which starts nothing", b"\xC1"),
    ("the byte F5, which starts nothing", b"\xF5"),
    ("the byte FE", b"\xFE"),
    ("the byte FF", b"\xFF"),
    ("a two-byte start alone", b"\xC2"),
    ("the last two-byte start alone", b"\xDF"),
    ("a three-byte start alone", b"\xE1"),
    ("a four-byte start alone", b"\xF1"),
    ("a character of three bytes without the last", b"\xE5\xA5"),
    (
        "a character of four bytes without the last",
        b"\xF0\x9F\xA6",
    ),
    (
        "a character of four bytes without the last two",
        b"\xF0\x9F",
    ),
    ("a two-byte start and a letter", b"\xC3a"),
    ("a three-byte start and a letter", b"\xE5ab"),
    ("a letter in place of a third byte", b"\xE5\xA5a"),
    ("a letter in place of a fourth byte", b"\xF0\x9F\xA6a"),
    ("a start in place of a continuation", b"\xC3\xC3\xBC"),
    ("a continuation byte too many behind two", b"\xC3\xBC\xBC"),
    (
        "a continuation byte too many behind three",
        b"\xE5\xA5\xBD\xBD",
    ),
    (
        "a continuation byte too many behind four",
        b"\xF0\x9F\xA6\x80\x80",
    ),
    ("a zero byte in two", b"\xC0\x80"),
    ("a zero byte in three", b"\xE0\x80\x80"),
    ("a zero byte in four", b"\xF0\x80\x80\x80"),
    ("a slash in two", b"\xC0\xAF"),
    ("a slash in three", b"\xE0\x80\xAF"),
    ("a slash in four", b"\xF0\x80\x80\xAF"),
    ("the longest overlong form of two", b"\xC1\xBF"),
    ("the longest overlong form of three", b"\xE0\x9F\xBF"),
    ("the longest overlong form of four", b"\xF0\x8F\xBF\xBF"),
    ("a form of five bytes", b"\xF8\x88\x80\x80\x80"),
    ("an overlong form of five bytes", b"\xF8\x80\x80\x80\xAF"),
    ("a form of six bytes", b"\xFC\x84\x80\x80\x80\x80"),
    ("an overlong form of six bytes", b"\xFC\x80\x80\x80\x80\xAF"),
    ("the first high surrogate", b"\xED\xA0\x80"),
    ("the last high surrogate", b"\xED\xAF\xBF"),
    ("the first low surrogate", b"\xED\xB0\x80"),
    ("the last low surrogate", b"\xED\xBF\xBF"),
    ("a pair of surrogates", b"\xED\xA0\xBE\xED\xB6\x80"),
    (
        "a pair of surrogates the wrong way round",
        b"\xED\xB6\x80\xED\xA0\xBE",
    ),
    (
        "the first number beyond all code points",
        b"\xF4\x90\x80\x80",
    ),
    (
        "the last number of a start that begins well",
        b"\xF4\xBF\xBF\xBF",
    ),
    ("a number of the byte F5", b"\xF5\x80\x80\x80"),
    ("the last number of four bytes", b"\xF7\xBF\xBF\xBF"),
];

#[tokio::test]
async fn text_is_utf8() {
    table().check(114).await;
}

pub(super) fn table() -> Table {
    let mut rows = Vec::new();
    for (name, valid) in VALID {
        rows.push(row(
            format!("a text of {name} comes back"),
            [text(valid)],
            [came_text(valid)],
        ));
    }
    for (name, invalid) in INVALID {
        rows.push(row(
            format!("a text of {name} is refused"),
            [text(invalid)],
            [not_utf8()],
        ));
    }
    rows.extend(places());
    rows.extend(cut_characters());
    rows.extend(invalid_fragments());
    rows.extend(other_frames());
    Table::new(rows)
}

/// Characters and faults around the blocks that validators take at once.
fn places() -> Vec<Row> {
    let mut rows = Vec::new();
    for block in [16, 32, 64, 128] {
        let start = "a".repeat(block - 1);
        let valid = format!("{start}🦀 and more");
        rows.push(row(
            format!("a character may lie across byte {block}"),
            [text(&valid)],
            [came_text(&valid)],
        ));
        rows.push(row(
            format!("a text that ends within a character at byte {block} is refused"),
            [text([start.as_bytes(), b"\xF0"].concat())],
            [not_utf8()],
        ));
        let after = [start.as_bytes(), b"\xF0aaa", &[b'a'; 200]].concat();
        rows.push(row(
            format!("a start without its character at byte {block} is refused"),
            [text(after)],
            [not_utf8()],
        ));
    }
    rows.extend([
        row(
            "a fault in front of good text is refused",
            [text(b"\xFFgood text")],
            [not_utf8()],
        ),
        row(
            "a fault within good text is refused",
            [text(b"good \xED\xA0\x80 text")],
            [not_utf8()],
        ),
        row(
            "a fault within a text of other letters is refused",
            [text(
                ["שלום".as_bytes(), b"\xC0\xAF", "好".as_bytes()].concat(),
            )],
            [not_utf8()],
        ),
    ]);
    rows
}

/// Fragments may end within a character: only the whole message is text.
fn cut_characters() -> Vec<Row> {
    let mut rows = Vec::new();
    for (character, cuts) in [("ü", 1..2), ("好", 1..3), ("🦀", 1..4)] {
        for cut in cuts {
            let (start, end) = character.as_bytes().split_at(cut);
            rows.push(row(
                format!("a fragment may end behind byte {cut} of {character}"),
                [text(start).unfinished(), last(end)],
                [came_text(character)],
            ));
        }
    }
    let [a, b, c, d] = *b"\xF0\x9F\xA6\x80";
    rows.extend([
        row(
            "each byte of a character may be a fragment",
            [text([a]).unfinished(), middle([b]), middle([c]), last([d])],
            [came_text("🦀")],
        ),
        row(
            "an empty fragment may lie within a character",
            [text([a, b]).unfinished(), middle(""), last([c, d])],
            [came_text("🦀")],
        ),
        row(
            "a ping within a character is answered",
            [text([a, b]).unfinished(), ping("cut"), last([c, d])],
            [came_pong("cut"), came_text("🦀")],
        ),
        row(
            "a fragment may end one character and begin another",
            [
                text(b"\xC3").unfinished(),
                middle(b"\xBC\xF0\x9F"),
                last(b"\xA6\x80"),
            ],
            [came_text("ü🦀")],
        ),
    ]);
    rows
}

/// Whether such a message is refused at once or at its end is the service's choice; no row here tells.
fn invalid_fragments() -> Vec<Row> {
    vec![
        row(
            "a fault in the first fragment is refused",
            [text(b"\xFF").unfinished(), last("good")],
            [not_utf8()],
        ),
        row(
            "a fault in a middle fragment is refused",
            [text("good").unfinished(), middle(b"\xC0\xAF"), last("good")],
            [not_utf8()],
        ),
        row(
            "a fault in the last fragment is refused",
            [text("good").unfinished(), last(b"\xED\xA0\x80")],
            [not_utf8()],
        ),
        row(
            "a character that the next fragment does not end is refused",
            [text(b"good \xC3").unfinished(), last("good")],
            [not_utf8()],
        ),
        row(
            "a character that an empty last fragment does not end is refused",
            [text(b"good \xE5\xA5").unfinished(), last("")],
            [not_utf8()],
        ),
        row(
            "an overlong form in two fragments is refused",
            [text(b"\xE0").unfinished(), last(b"\x80\xAF")],
            [not_utf8()],
        ),
        row(
            "a surrogate in two fragments is refused",
            [text(b"\xED").unfinished(), last(b"\xA0\x80")],
            [not_utf8()],
        ),
        row(
            "a number beyond all code points in two fragments is refused",
            [text(b"\xF4").unfinished(), last(b"\x90\x80\x80")],
            [not_utf8()],
        ),
        row(
            "a pair of surrogates in two fragments is refused",
            [text(b"\xED\xA0\xBE").unfinished(), last(b"\xED\xB6\x80")],
            [not_utf8()],
        ),
        row(
            "two halves of a character in two messages are refused",
            [text(b"\xC3"), text(b"\xBC")],
            [not_utf8()],
        ),
    ]
}

fn other_frames() -> Vec<Row> {
    vec![
        row(
            "a text before one that is not UTF-8 comes back",
            [text("good"), text(b"\xFF")],
            [came_text("good"), not_utf8()],
        ),
        row(
            "a ping behind a text that is not UTF-8 is not answered",
            [ping("before"), text(b"\xFF"), ping("behind")],
            [came_pong("before"), not_utf8()],
        ),
        row(
            "a binary message need not be UTF-8",
            [binary(b"\xC0\xAF\xED\xA0\x80\xFF")],
            [came_binary(b"\xC0\xAF\xED\xA0\x80\xFF")],
        ),
        row(
            "a binary message in fragments need not be UTF-8",
            [binary(b"\xF0\x9F").unfinished(), last(b"\xFF\xC3")],
            [came_binary(b"\xF0\x9F\xFF\xC3")],
        ),
        row(
            "a text is checked behind a binary message that is not UTF-8",
            [binary(b"\xFF").unfinished(), last(b"\xFE"), text(b"\xFF")],
            [came_binary(b"\xFF\xFE"), not_utf8()],
        ),
        row(
            "a text behind a binary message that ends like half a character stands alone",
            [binary(b"\xC3"), text("good")],
            [came_binary(b"\xC3"), came_text("good")],
        ),
        row(
            "nothing comes of a text that is not UTF-8 without its last byte",
            [text(b"\xC3").unfinished(), last("good").without_last_byte()],
            [Came::End],
        ),
    ]
}

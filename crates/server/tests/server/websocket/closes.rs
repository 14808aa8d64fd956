//! Section 7: the closing handshake.

use super::frame::{bare_close, binary, close, last, ping, pong, text};
use super::peer::Came;
use super::table::{
    Row, Table, came_binary, came_close, came_pong, came_text, not_utf8, refused, row,
};

/// Codes that RFC 6455 section 7.4.1 and the registry of IANA define for close frames.
const DEFINED: [(u16, &str); 12] = [
    (1000, "a normal closure"),
    (1001, "going away"),
    (1002, "a protocol error"),
    (1003, "unsupported data"),
    (1007, "an invalid payload"),
    (1008, "a policy violation"),
    (1009, "a message that is too big"),
    (1010, "a missing extension"),
    (1011, "an internal error"),
    (1012, "a service restart"),
    (1013, "an overload"),
    (1014, "a bad gateway"),
];
/// Codes for libraries and applications, section 7.4.2: both ends of both ranges.
const FREE: [u16; 4] = [3000, 3999, 4000, 4999];
/// Codes that must not be in a close frame: what is not a code at all, reserved and undefined ones, and what is beyond all ranges.
const FORBIDDEN: [u16; 15] = [
    0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 32_768, 65_535,
];

#[tokio::test]
async fn closes_are_echoed_or_refused() {
    table().check(67).await;
}

pub(super) fn table() -> Table {
    let mut rows = codes();
    rows.extend(reasons());
    rows.extend(invalid());
    rows.extend(before_and_behind());
    Table::new(rows)
}

fn codes() -> Vec<Row> {
    let mut rows = vec![row(
        "a close without a code is answered by one without a code",
        [bare_close("")],
        [Came::Close(None, String::new())],
    )];
    for (code, name) in DEFINED {
        rows.push(row(
            format!("a close for {name}, {code}, is echoed"),
            [close(code, "because")],
            [came_close(code, "because")],
        ));
    }
    for code in FREE {
        rows.push(row(
            format!("a close with {code} is echoed"),
            [close(code, "because")],
            [came_close(code, "because")],
        ));
    }
    for code in FORBIDDEN {
        rows.push(row(
            format!("a close with {code} is refused"),
            [close(code, "because")],
            [refused()],
        ));
    }
    rows
}

fn reasons() -> Vec<Row> {
    let longest = "r".repeat(123);
    let two_bytes = format!("{}x", "ü".repeat(61));
    let three_bytes = "好".repeat(41);
    let four_bytes = format!("{}xyz", "🦀".repeat(30));
    let cases = [
        ("no reason", ""),
        ("a reason of one character", "r"),
        ("a reason of 123 bytes", &longest),
        ("a reason of 123 bytes in characters of two", &two_bytes),
        ("a reason of 123 bytes in characters of three", &three_bytes),
        ("a reason of 123 bytes in characters of four", &four_bytes),
        ("a reason of a zero byte", "\0"),
    ];
    cases
        .map(|(name, reason)| {
            row(
                format!("a close with {name} is echoed"),
                [close(1000, reason)],
                [came_close(1000, reason)],
            )
        })
        .into()
}

fn invalid() -> Vec<Row> {
    let too_long = "r".repeat(124);
    vec![
        row(
            "a close with half a code is refused",
            [bare_close([0x03])],
            [refused()],
        ),
        row(
            "a close of 126 bytes is refused",
            [close(1000, &too_long)],
            [refused()],
        ),
        row(
            "a close of 65,536 bytes is refused",
            [close(1000, vec![b'r'; 65_534])],
            [refused()],
        ),
        row(
            "a short close with its length in two bytes is refused",
            [close(1000, "short").length_in(2)],
            [refused()],
        ),
        row(
            "a short close with its length in eight bytes is refused",
            [close(1000, "short").length_in(8)],
            [refused()],
        ),
        row(
            "a close that is too long is refused by its first two bytes",
            [close(1000, &too_long).cut_to(2)],
            [refused()],
        ),
        row(
            "a reason with a byte that is never in UTF-8 is refused",
            [close(1000, b"because \xFF")],
            [not_utf8()],
        ),
        row(
            "a reason that ends within a character is refused",
            [close(1000, b"because \xE2\x82")],
            [not_utf8()],
        ),
        row(
            "a reason with a surrogate is refused",
            [close(1000, b"because \xED\xA0\x80")],
            [not_utf8()],
        ),
        row(
            "a reason with an overlong form is refused",
            [close(1000, b"because \xC0\xAF")],
            [not_utf8()],
        ),
        row(
            "a forbidden code is refused before its reason is read",
            [close(1005, b"because \xFF")],
            [refused()],
        ),
        row(
            "nothing comes of a close without its last byte",
            [close(1000, "bye").without_last_byte()],
            [Came::End],
        ),
    ]
}

fn before_and_behind() -> Vec<Row> {
    let bye = || close(1000, "bye");
    let echo = || came_close(1000, "bye");
    vec![
        row(
            "messages before a close come back before its echo",
            [text("one"), binary("two"), ping("three"), bye()],
            [
                came_text("one"),
                came_binary("two"),
                came_pong("three"),
                echo(),
            ],
        ),
        row(
            "a long message before a close comes back whole",
            [binary(vec![5; 300_000]), bye()],
            [came_binary(vec![5; 300_000]), echo()],
        ),
        row(
            "a hundred messages before a close come back",
            [vec![text("again"); 100], vec![bye()]].concat(),
            [vec![came_text("again"); 100], vec![echo()]].concat(),
        ),
        row(
            "a text behind a close does not come back",
            [bye(), text("too late")],
            [echo()],
        ),
        row(
            "a binary message behind a close does not come back",
            [bye(), binary("too late")],
            [echo()],
        ),
        row(
            "a ping behind a close is not answered",
            [bye(), ping("too late")],
            [echo()],
        ),
        row(
            "a pong behind a close is taken in silence",
            [bye(), pong("too late")],
            [echo()],
        ),
        row(
            "a message in fragments behind a close does not come back",
            [bye(), text("too ").unfinished(), last("late")],
            [echo()],
        ),
        row(
            "only the first of two closes is echoed",
            [bye(), close(1001, "again")],
            [echo()],
        ),
        row(
            "an empty close is the first of two as well",
            [bare_close(""), bye()],
            [Came::Close(None, String::new())],
        ),
        row(
            "broken frames behind a close mean nothing",
            [bye(), text("x").reserved(7).unmasked(), bare_close([1])],
            [echo()],
        ),
        row(
            "many bytes behind a close mean nothing",
            [bye(), binary(vec![0; 200_000])],
            [echo()],
        ),
        row(
            "a close that answers a refusal is not echoed",
            [text("bad").reserved(1), close(1002, "")],
            [refused()],
        ),
        row(
            "only the first of two broken frames is answered",
            [close(1006, ""), text([0xFF])],
            [refused()],
        ),
        row(
            "many bytes behind a broken frame mean nothing",
            [last("broken"), binary(vec![0; 200_000])],
            [refused()],
        ),
        row(
            "a client may end its side behind nothing but an unfinished close",
            [bye().head_only()],
            [Came::End],
        ),
    ]
}

//! Section 2: pings, which are answered, and pongs, which are not.

use super::frame::{binary, close, ping, pong, text};
use super::peer::Came;
use super::table::{Row, Table, came_binary, came_close, came_pong, came_text, refused, row};

#[tokio::test]
async fn pings_are_answered_and_pongs_are_not() {
    table().check(32).await;
}

pub(super) fn table() -> Table {
    let mut rows = pings();
    rows.extend(pongs());
    rows.extend(too_long());
    Table::new(rows)
}

fn pings() -> Vec<Row> {
    let numbers: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    vec![
        row(
            "an empty ping gets an empty pong",
            [ping("")],
            [came_pong("")],
        ),
        row(
            "a ping gets a pong with its payload",
            [ping("are you there?")],
            [came_pong("are you there?")],
        ),
        row(
            "a ping may carry bytes that are no text",
            [ping([0x00, 0xFF, 0xFE, 0xC3, 0x28])],
            [came_pong([0x00, 0xFF, 0xFE, 0xC3, 0x28])],
        ),
        row(
            "a ping may carry a close frame's payload",
            [ping(b"\x03\xE8bye")],
            [came_pong(b"\x03\xE8bye")],
        ),
        row(
            "a ping of 124 bytes is answered",
            [ping([0xA5; 124])],
            [came_pong([0xA5; 124])],
        ),
        row(
            "a ping of 125 bytes is answered",
            [ping([0x5A; 125])],
            [came_pong([0x5A; 125])],
        ),
        row(
            "a ping with a masking key of zeros is answered",
            [ping("plain").masked_by([0; 4])],
            [came_pong("plain")],
        ),
        row(
            "each of a hundred pings is answered in order",
            numbers.iter().map(ping).collect::<Vec<_>>(),
            numbers.iter().map(came_pong).collect::<Vec<_>>(),
        ),
        row(
            "pings with the same payload are all answered",
            [ping("again"), ping("again"), ping("again")],
            [came_pong("again"), came_pong("again"), came_pong("again")],
        ),
        row(
            "a pong waits for the messages before its ping",
            [text("one"), ping("two"), binary("three"), ping("four")],
            [
                came_text("one"),
                came_pong("two"),
                came_binary("three"),
                came_pong("four"),
            ],
        ),
        row(
            "a ping before a close is answered",
            [ping("last words"), close(1000, "bye")],
            [came_pong("last words"), came_close(1000, "bye")],
        ),
        row(
            "a ping before a broken frame is answered",
            [ping("last words"), text("broken").reserved(1)],
            [came_pong("last words"), refused()],
        ),
        row(
            "nothing comes of a ping without its last byte",
            [ping("hello").without_last_byte()],
            [Came::End],
        ),
    ]
}

fn pongs() -> Vec<Row> {
    vec![
        row("an empty pong is taken in silence", [pong("")], []),
        row(
            "a pong that nobody asked for is taken in silence",
            [pong("here I am")],
            [],
        ),
        row(
            "a pong of 125 bytes is taken in silence",
            [pong([0xA5; 125])],
            [],
        ),
        row(
            "a pong may carry bytes that are no text",
            [pong([0x80, 0xC0, 0xFF])],
            [],
        ),
        row(
            "a pong does not stand for a ping",
            [pong("mine"), ping("yours")],
            [came_pong("yours")],
        ),
        row(
            "a ping with the payload of a pong before it is answered",
            [pong("same"), ping("same"), pong("same")],
            [came_pong("same")],
        ),
        row(
            "messages pass between pongs",
            [pong("a"), text("b"), pong("c"), binary("d"), pong("e")],
            [came_text("b"), came_binary("d")],
        ),
        row(
            "a hundred pongs are taken in silence",
            vec![pong("tick"); 100],
            [],
        ),
    ]
}

/// A control frame has its length in the second byte and nowhere else.
fn too_long() -> Vec<Row> {
    vec![
        row(
            "a ping of 126 bytes is refused",
            [ping([1; 126])],
            [refused()],
        ),
        row(
            "a pong of 126 bytes is refused",
            [pong([1; 126])],
            [refused()],
        ),
        row(
            "a ping of 65,536 bytes is refused",
            [ping(vec![1; 65_536])],
            [refused()],
        ),
        row(
            "a pong of 65,536 bytes is refused",
            [pong(vec![1; 65_536])],
            [refused()],
        ),
        row(
            "a short ping with its length in two bytes is refused",
            [ping("short").length_in(2)],
            [refused()],
        ),
        row(
            "a short ping with its length in eight bytes is refused",
            [ping("short").length_in(8)],
            [refused()],
        ),
        row(
            "a short pong with its length in two bytes is refused",
            [pong("short").length_in(2)],
            [refused()],
        ),
        row(
            "a short pong with its length in eight bytes is refused",
            [pong("short").length_in(8)],
            [refused()],
        ),
        row(
            "a ping that is too long is refused by its first two bytes",
            [ping([1; 126]).cut_to(2)],
            [refused()],
        ),
        row(
            "a pong that is too long is refused by its first two bytes",
            [pong([1; 126]).cut_to(2)],
            [refused()],
        ),
        row(
            "a message before a ping that is too long comes back",
            [text("good"), ping([1; 200])],
            [came_text("good"), refused()],
        ),
    ]
}

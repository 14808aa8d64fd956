//! Section 1: heads, lengths, masks and payloads of whole messages.

use super::frame::{Frame, binary, bytes, close, last, letters, ping, pong, text};
use super::peer::Came;
use super::table::{Row, Table, came_binary, came_pong, came_text, refused, row};

/// Lengths where a length form begins or ends.
const EDGES: [usize; 9] = [0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537];

#[tokio::test]
async fn whole_messages_are_framed_as_rfc_6455_says() {
    table().check(66).await;
}

pub(super) fn table() -> Table {
    let mut rows = Vec::new();
    for len in EDGES {
        let letters = letters(len);
        rows.push(row(
            format!("a text of {len} bytes comes back"),
            [text(&letters)],
            [came_text(&letters)],
        ));
        rows.push(row(
            format!("a binary message of {len} bytes comes back"),
            [binary(bytes(len))],
            [came_binary(bytes(len))],
        ));
    }
    rows.extend(length_forms());
    rows.extend(masks());
    rows.extend(unmasked());
    rows.extend(payloads());
    rows.extend(sequences());
    rows.extend(unfinished());
    Table::new(rows)
}

/// A longer form than necessary is against section 5.2 for the sender; the service takes it.
fn length_forms() -> Vec<Row> {
    [
        (0, 2),
        (1, 2),
        (125, 2),
        (0, 8),
        (125, 8),
        (126, 8),
        (65_535, 8),
    ]
    .map(|(len, form)| {
        row(
            format!("a message of {len} bytes is taken with its length in {form} bytes"),
            [binary(bytes(len)).length_in(form)],
            [came_binary(bytes(len))],
        )
    })
    .into()
}

fn masks() -> Vec<Row> {
    let mut rows = vec![
        row(
            "a masking key of zeros leaves the payload as it is",
            [text("plain").masked_by([0; 4])],
            [came_text("plain")],
        ),
        row(
            "a masking key of ones inverts the payload",
            [text("inverted").masked_by([0xFF; 4])],
            [came_text("inverted")],
        ),
        row(
            "a masking key may make the payload zeros",
            [text("abcdabcda").masked_by(*b"abcd")],
            [came_text("abcdabcda")],
        ),
        row(
            "a masking key may look like a head",
            [binary([0; 40]).masked_by([0x81, 0xFF, 0x81, 0xFF])],
            [came_binary([0; 40])],
        ),
        row(
            "each frame has a masking key of its own",
            [
                text("one").masked_by([1, 2, 3, 4]),
                text("two").masked_by([4, 3, 2, 1]),
                text("three").masked_by([0, 0, 0, 1]),
            ],
            ["one", "two", "three"].map(came_text),
        ),
        row(
            "a masking key is sent though there is nothing to mask",
            [text("").masked_by([9; 4]), binary("").masked_by([0; 4])],
            [came_text(""), came_binary("")],
        ),
    ];
    // Around four bytes, the length of the key, and around words of the processor.
    for len in [3, 4, 5, 7, 8, 9, 15, 16, 17, 63, 64, 65] {
        rows.push(row(
            format!("the key goes round a payload of {len} bytes"),
            [binary(bytes(len)).masked_by([0x01, 0x20, 0x44, 0x80])],
            [came_binary(bytes(len))],
        ));
    }
    rows
}

fn unmasked() -> Vec<Row> {
    vec![
        row(
            "an unmasked text is refused",
            [text("open").unmasked()],
            [refused()],
        ),
        row(
            "an unmasked binary message is refused",
            [binary([1, 2, 3]).unmasked()],
            [refused()],
        ),
        row(
            "an unmasked text of nothing is refused",
            [text("").unmasked()],
            [refused()],
        ),
        row(
            "an unmasked ping is refused",
            [ping("open").unmasked()],
            [refused()],
        ),
        row(
            "an unmasked pong is refused",
            [pong("open").unmasked()],
            [refused()],
        ),
        row(
            "an unmasked close is refused and not echoed",
            [close(1000, "open").unmasked()],
            [refused()],
        ),
        row(
            "an unmasked first fragment is refused",
            [text("open").unfinished().unmasked()],
            [refused()],
        ),
        row(
            "an unmasked last fragment is refused",
            [text("masked").unfinished(), last("open").unmasked()],
            [refused()],
        ),
        row(
            "an unmasked message with its length in two bytes is refused",
            [binary(bytes(126)).unmasked()],
            [refused()],
        ),
        row(
            "an unmasked message with its length in eight bytes is refused",
            [binary(bytes(65_536)).unmasked()],
            [refused()],
        ),
        row(
            "an unmasked message behind a masked one is refused",
            [text("masked"), text("open").unmasked()],
            [came_text("masked"), refused()],
        ),
    ]
}

fn payloads() -> Vec<Row> {
    let controls: String = (0..0x20).map(char::from).collect();
    vec![
        row(
            "a text may hold every control character of ASCII",
            [text(&controls)],
            [came_text(&controls)],
        ),
        row(
            "a binary message may hold every byte",
            [binary(bytes(256))],
            [came_binary(bytes(256))],
        ),
        row(
            "a binary message may hold a frame",
            [binary(text("inside").bytes())],
            [came_binary(text("inside").bytes())],
        ),
        row(
            "a text may look like a request",
            [text("GET / HTTP/1.1\r\n\r\n")],
            [came_text("GET / HTTP/1.1\r\n\r\n")],
        ),
    ]
}

fn sequences() -> Vec<Row> {
    let kinds: Vec<(Frame, Came)> = (0..200)
        .map(|number| {
            let word = format!("number {number}");
            match number % 3 {
                0 => (text(&word), came_text(&word)),
                1 => (binary(&word), came_binary(&word)),
                _ => (ping(&word), came_pong(&word)),
            }
        })
        .collect();
    let (frames, came): (Vec<_>, Vec<_>) = kinds.into_iter().unzip();
    let growing: Vec<usize> = (120..135).collect();
    vec![
        row(
            "a text and a binary message with the same payload keep their kinds",
            [text("same"), binary("same"), text("same")],
            [came_text("same"), came_binary("same"), came_text("same")],
        ),
        row(
            "two hundred frames of all kinds keep their order",
            frames,
            came,
        ),
        row(
            "messages of all length forms follow each other",
            growing
                .iter()
                .map(|len| text(letters(*len)))
                .collect::<Vec<_>>(),
            growing
                .iter()
                .map(|len| came_text(letters(*len)))
                .collect::<Vec<_>>(),
        ),
    ]
}

/// Nothing comes of a frame that is not all there, and the end of the connection is answered by its end.
fn unfinished() -> Vec<Row> {
    vec![
        row("a client may end without a frame", [], [Came::End]),
        row(
            "nothing comes of the first byte of a frame",
            [text("hello").cut_to(1)],
            [Came::End],
        ),
        row(
            "nothing comes of half a masking key",
            [text("hello").cut_to(4)],
            [Came::End],
        ),
        row(
            "nothing comes of a head",
            [text("hello").head_only()],
            [Came::End],
        ),
        row(
            "nothing comes of a message without its last byte",
            [text("hello").without_last_byte()],
            [Came::End],
        ),
    ]
}

//! Section 5: messages in fragments, and what may stand between them.

use super::frame::{
    Frame, bare_close, binary, close, fragments_of, last, middle, ping, pong, text,
};
use super::peer::Came;
use super::table::{Row, Table, came_binary, came_close, came_pong, came_text, refused, row};

#[tokio::test]
async fn fragments_are_joined_and_broken_orders_are_refused() {
    table().check(62).await;
}

pub(super) fn table() -> Table {
    let mut rows = joined();
    rows.extend(empty());
    rows.extend(controls());
    rows.extend(fragmented_controls());
    rows.extend(nothing_to_continue());
    rows.extend(messages_in_messages());
    rows.extend(sequences());
    Table::new(rows)
}

fn joined() -> Vec<Row> {
    let long = "0123456789".repeat(7000);
    vec![
        row(
            "a text in two fragments comes back whole",
            [text("frag").unfinished(), last("ments")],
            [came_text("fragments")],
        ),
        row(
            "a binary message in two fragments comes back whole",
            [binary([0xFF, 0]).unfinished(), last([0xFE, 1])],
            [came_binary([0xFF, 0, 0xFE, 1])],
        ),
        row(
            "a text in three fragments comes back whole",
            [text("a").unfinished(), middle("b"), last("c")],
            [came_text("abc")],
        ),
        row(
            "a binary message in three fragments comes back whole",
            [binary("a").unfinished(), middle("b"), last("c")],
            [came_binary("abc")],
        ),
        row(
            "a text in fragments of one byte comes back whole",
            fragments_of(&text(&long[..300]), 1),
            [came_text(&long[..300])],
        ),
        row(
            "a binary message in fragments of one byte comes back whole",
            fragments_of(&binary(&long[..300]), 1),
            [came_binary(&long[..300])],
        ),
        row(
            "fragments of all length forms are joined",
            [
                text(&long[..125]).unfinished(),
                middle(&long[125..251]),
                last(&long[251..]),
            ],
            [came_text(&long)],
        ),
        row(
            "fragments may have longer length forms than necessary",
            [
                text("a").unfinished().length_in(2),
                middle("b").length_in(8),
                last("c").length_in(2),
            ],
            [came_text("abc")],
        ),
        row(
            "each fragment has a masking key of its own",
            [
                binary("one").unfinished().masked_by([1, 2, 3, 4]),
                middle("two").masked_by([0; 4]),
                last("three").masked_by([0xFF; 4]),
            ],
            [came_binary("onetwothree")],
        ),
        row(
            "the first fragment tells the kind of a binary message that could be a text",
            [binary("text").unfinished(), last("ual")],
            [came_binary("textual")],
        ),
    ]
}

fn empty() -> Vec<Row> {
    vec![
        row(
            "the first fragment of a text may be empty",
            [text("").unfinished(), last("end")],
            [came_text("end")],
        ),
        row(
            "the last fragment of a text may be empty",
            [text("begin").unfinished(), last("")],
            [came_text("begin")],
        ),
        row(
            "a middle fragment of a text may be empty",
            [text("a").unfinished(), middle(""), last("b")],
            [came_text("ab")],
        ),
        row(
            "all fragments of a text may be empty",
            [text("").unfinished(), middle(""), last("")],
            [came_text("")],
        ),
        row(
            "all fragments of a binary message may be empty",
            [binary("").unfinished(), middle(""), middle(""), last("")],
            [came_binary("")],
        ),
        row(
            "all but the middle fragment may be empty",
            [text("").unfinished(), middle("middle"), last("")],
            [came_text("middle")],
        ),
        row(
            "two hundred empty fragments add nothing",
            [
                vec![text("a").unfinished()],
                vec![middle(""); 200],
                vec![last("b")],
            ]
            .concat(),
            [came_text("ab")],
        ),
    ]
}

/// Control frames between the fragments of a message.
fn controls() -> Vec<Row> {
    let (a, b) = (text("a").unfinished(), last("b"));
    let between = |frames: Vec<Frame>| [vec![a.clone()], frames, vec![b.clone()]].concat();
    let interleaved = fragments_of(&binary([7; 50]), 1)
        .into_iter()
        .flat_map(|fragment| [fragment, ping("so far")])
        .collect::<Vec<_>>();
    let mut pongs = vec![came_pong("so far"); 50];
    // The last ping comes behind the message.
    pongs.insert(49, came_binary([7; 50]));
    vec![
        row(
            "a ping between fragments is answered before the message is whole",
            between(vec![ping("now")]),
            [came_pong("now"), came_text("ab")],
        ),
        row(
            "an empty ping between fragments is answered",
            between(vec![ping("")]),
            [came_pong(""), came_text("ab")],
        ),
        row(
            "a ping of 125 bytes between fragments is answered",
            between(vec![ping([3; 125])]),
            [came_pong([3; 125]), came_text("ab")],
        ),
        row(
            "a pong between fragments is taken in silence",
            between(vec![pong("quiet")]),
            [came_text("ab")],
        ),
        row(
            "pings and pongs between fragments do not add to the message",
            between(vec![
                ping("1"),
                middle("-"),
                pong("2"),
                middle("-"),
                ping("3"),
            ]),
            [came_pong("1"), came_pong("3"), came_text("a--b")],
        ),
        row("a ping may stand behind each fragment", interleaved, pongs),
        row(
            "a close between fragments is echoed and the message is lost",
            [a.clone(), close(1000, "enough")],
            [came_close(1000, "enough")],
        ),
        row(
            "the last fragment behind a close means nothing",
            [a.clone(), close(1000, "enough"), b.clone()],
            [came_close(1000, "enough")],
        ),
        row(
            "a ping of 126 bytes between fragments is refused",
            between(vec![ping([3; 126])]),
            [refused()],
        ),
        row(
            "the end between fragments is answered by the end",
            [a.clone()],
            [Came::End],
        ),
        row(
            "a message may be left unfinished and the connection open",
            [a.clone(), middle("more"), ping("still here?")],
            [came_pong("still here?")],
        ),
    ]
}

fn fragmented_controls() -> Vec<Row> {
    vec![
        row(
            "a ping in fragments is refused",
            [ping("frag").unfinished(), last("ment")],
            [refused()],
        ),
        row(
            "a pong in fragments is refused",
            [pong("frag").unfinished(), last("ment")],
            [refused()],
        ),
        row(
            "a close in fragments is refused",
            [bare_close(b"\x03").unfinished(), last(b"\xE8")],
            [refused()],
        ),
        row(
            "an empty ping that is not final is refused",
            [ping("").unfinished()],
            [refused()],
        ),
        row(
            "an empty pong that is not final is refused",
            [pong("").unfinished()],
            [refused()],
        ),
        row(
            "an empty close that is not final is refused",
            [bare_close("").unfinished()],
            [refused()],
        ),
        row(
            "a ping that is not final between fragments is refused",
            [text("a").unfinished(), ping("b").unfinished(), last("c")],
            [refused()],
        ),
        row(
            "a ping that is not final is refused by its first two bytes",
            [ping("frag").unfinished().cut_to(2)],
            [refused()],
        ),
    ]
}

fn nothing_to_continue() -> Vec<Row> {
    vec![
        row(
            "a last fragment without a first is refused",
            [last("end")],
            [refused()],
        ),
        row(
            "a middle fragment without a first is refused",
            [middle("middle")],
            [refused()],
        ),
        row(
            "an empty last fragment without a first is refused",
            [last("")],
            [refused()],
        ),
        row(
            "an empty middle fragment without a first is refused",
            [middle("")],
            [refused()],
        ),
        row(
            "a last fragment behind a whole text is refused",
            [text("whole"), last("more")],
            [came_text("whole"), refused()],
        ),
        row(
            "a middle fragment behind a whole binary message is refused",
            [binary("whole"), middle("more"), last("end")],
            [came_binary("whole"), refused()],
        ),
        row(
            "a last fragment behind another is refused",
            [text("a").unfinished(), last("b"), last("c")],
            [came_text("ab"), refused()],
        ),
        row(
            "a middle fragment behind the last is refused",
            [binary("a").unfinished(), last("b"), middle("c")],
            [came_binary("ab"), refused()],
        ),
        row(
            "a ping is nothing to continue",
            [ping("a"), last("b")],
            [came_pong("a"), refused()],
        ),
        row(
            "a pong is nothing to continue",
            [pong("a"), last("b")],
            [refused()],
        ),
        row(
            "a last fragment without a first is refused by its first two bytes",
            [last("end").cut_to(2)],
            [refused()],
        ),
    ]
}

fn messages_in_messages() -> Vec<Row> {
    let kinds = [
        ("text", text as fn(&'static str) -> Frame),
        ("binary message", binary as fn(&'static str) -> Frame),
    ];
    let mut rows = Vec::new();
    for (outer_name, outer) in kinds {
        for (inner_name, inner) in kinds {
            rows.push(row(
                format!("a whole {inner_name} within an unfinished {outer_name} is refused"),
                [outer("outer").unfinished(), inner("inner"), last("")],
                [refused()],
            ));
            rows.push(row(
                format!(
                    "a second first fragment, of a {inner_name} within a {outer_name}, is refused"
                ),
                [
                    outer("outer").unfinished(),
                    inner("inner").unfinished(),
                    last(""),
                ],
                [refused()],
            ));
        }
    }
    rows.extend([
        row(
            "an empty text within an unfinished text is refused",
            [text("outer").unfinished(), text(""), last("")],
            [refused()],
        ),
        row(
            "a text within an unfinished one is refused by its first two bytes",
            [text("outer").unfinished(), text("inner").cut_to(2)],
            [refused()],
        ),
    ]);
    rows
}

fn sequences() -> Vec<Row> {
    vec![
        row(
            "messages in fragments follow each other",
            [
                text("a").unfinished(),
                last("b"),
                binary("c").unfinished(),
                last("d"),
                text("e").unfinished(),
                last("f"),
            ],
            [came_text("ab"), came_binary("cd"), came_text("ef")],
        ),
        row(
            "a whole message follows one in fragments",
            [text("a").unfinished(), last("b"), text("whole")],
            [came_text("ab"), came_text("whole")],
        ),
        row(
            "a message in fragments follows a whole one",
            [binary("whole"), binary("a").unfinished(), last("b")],
            [came_binary("whole"), came_binary("ab")],
        ),
        row(
            "a long message in fragments leaves nothing for a short one",
            [
                binary(vec![1; 5000]).unfinished(),
                last(vec![2; 5000]),
                text("").unfinished(),
                last("short"),
            ],
            [
                came_binary([[1; 5000], [2; 5000]].concat()),
                came_text("short"),
            ],
        ),
        row(
            "a first fragment behind a whole message makes none",
            [text("whole"), text("unfinished").unfinished()],
            [came_text("whole")],
        ),
    ]
}

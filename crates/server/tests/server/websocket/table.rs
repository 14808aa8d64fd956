//! Rows, and how they are put to the service.

use std::fmt::Write;

use futures_util::{StreamExt, stream};
use serde_json::json;

use super::frame::{Frame, close, ping};
use super::peer::{Came, Peer};
use crate::support::Service;

const INVALID: &str = "The client frame is invalid.";
const TOO_LARGE: &str = "The client message is too large.";
/// The payload of the ping, and of the pong, behind a row after which the connection is still open.
const FENCE: &str = "that was all";
const GOODBYE: &str = "goodbye";
/// Connections that are open at once.
const AT_ONCE: usize = 24;
/// Rows up to this length are sent byte by byte. Bytes.
const SINGLE_BYTES_MAX: usize = 2048;
/// Pieces of longer rows. Bytes.
const PIECE: usize = 997;
/// How much is printed of what differs.
const SHOWN: usize = 4;

/// Rows that are put to one service.
pub(super) struct Table {
    /// The limit of the service if it is not the default one.
    pub(super) message_max: Option<usize>,
    rows: Vec<Row>,
}

/// What a client sends and what must come of it.
pub(super) struct Row {
    name: String,
    frames: Vec<Frame>,
    came: Vec<Came>,
}

/// A row. If `came` ends with a close frame, the end of the connection must follow it. If it ends with [`Came::End`], the client
/// ends its side after its last byte. Otherwise the connection must be open after it, and nothing else may have come.
pub(super) fn row(
    name: impl Into<String>,
    frames: impl Into<Vec<Frame>>,
    came: impl Into<Vec<Came>>,
) -> Row {
    Row {
        name: name.into(),
        frames: frames.into(),
        came: came.into(),
    }
}

pub(super) fn came_text(text: impl Into<String>) -> Came {
    Came::Text(text.into())
}

pub(super) fn came_binary(bytes: impl AsRef<[u8]>) -> Came {
    Came::Binary(bytes.as_ref().to_vec())
}

pub(super) fn came_pong(payload: impl AsRef<[u8]>) -> Came {
    Came::Pong(payload.as_ref().to_vec())
}

pub(super) fn came_close(code: u16, reason: &str) -> Came {
    Came::Close(Some(code), reason.to_owned())
}

/// The close that answers broken framing.
pub(super) fn refused() -> Came {
    came_close(1002, INVALID)
}

/// The close that answers text that is not UTF-8.
pub(super) fn not_utf8() -> Came {
    came_close(1007, INVALID)
}

/// The close that answers a message beyond the limit.
pub(super) fn too_large() -> Came {
    came_close(1009, TOO_LARGE)
}

/// How the bytes of a row are chopped into writes.
#[derive(Clone, Copy, Debug)]
enum Chop {
    /// One write.
    Whole,
    /// One write for each byte, or for each small piece of a long row.
    Fine,
    /// Each head is cut after its first byte and within its masking key.
    InHeads,
}

impl Table {
    pub(super) fn new(rows: Vec<Row>) -> Self {
        Self {
            message_max: None,
            rows,
        }
    }

    /// A table for a service with this limit.
    pub(super) fn with_limit(message_max: usize, rows: Vec<Row>) -> Self {
        Self {
            message_max: Some(message_max),
            rows,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the name and the bytes of each row.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (&str, Vec<u8>)> {
        self.rows.iter().map(|row| {
            let frames: Vec<Vec<u8>> = row.frames.iter().map(Frame::bytes).collect();
            (row.name.as_str(), frames.concat())
        })
    }

    /// Puts all rows to a service of their own and asserts that each holds, and how many they are.
    pub(super) async fn check(&self, count: usize) {
        let service = Service::start_with(|config| {
            if let Some(message_max) = self.message_max {
                config.limits.message_max = message_max;
            }
        })
        .await;
        let service = &service;
        let chops = [Chop::Whole, Chop::Fine, Chop::InHeads];
        let plans: Vec<Plan<'_>> = self.rows.iter().map(Row::plan).collect();
        let runs = plans.iter().enumerate().flat_map(|(number, plan)| {
            chops.map(|chop| async move {
                let group = format!("{number}-{chop:?}");
                plan.run(service, &group, chop).await
            })
        });
        let results: Vec<Result<(), String>> =
            stream::iter(runs).buffer_unordered(AT_ONCE).collect().await;
        let faults: Vec<String> = results.into_iter().filter_map(Result::err).collect();
        assert!(
            faults.is_empty(),
            "{} of {} runs failed:\n{}",
            faults.len(),
            self.rows.len() * chops.len(),
            faults.join("\n")
        );
        assert_eq!(self.rows.len(), count, "rows of this table");
    }
}

/// A row with all that is sent and all that must come.
struct Plan<'a> {
    name: &'a str,
    /// The bytes of each frame and the length of its head.
    frames: Vec<(Vec<u8>, usize)>,
    expected: Vec<Came>,
    /// The client ends its side after its last byte.
    hangs_up: bool,
    /// The client goes on after its close frame.
    goes_on: bool,
}

impl Row {
    fn plan(&self) -> Plan<'_> {
        let mut frames = self.frames.clone();
        let mut expected = self.came.clone();
        let hangs_up = expected.last() == Some(&Came::End);
        if !matches!(expected.last(), Some(Came::Close(..) | Came::End)) {
            frames.extend([ping(FENCE), close(1000, GOODBYE)]);
            expected.extend([came_pong(FENCE), came_close(1000, GOODBYE)]);
        }
        if !hangs_up {
            expected.push(Came::End);
        }
        Plan {
            name: &self.name,
            goes_on: frames.iter().rev().skip(1).any(Frame::is_close),
            frames: frames
                .iter()
                .map(|frame| (frame.bytes(), frame.head_len()))
                .collect(),
            expected,
            hangs_up,
        }
    }
}

impl Plan<'_> {
    /// Puts the row to the service over a connection of its own, which is the only one in `group`.
    async fn run(&self, service: &Service, group: &str, chop: Chop) -> Result<(), String> {
        let claims = json!({ "role": "webpubsub.sendToGroup", "webpubsub.group": group });
        let path = service.client_path("chat", claims);
        let path = format!("{path}&webpubsub_mode=sendToGroup&group={group}");
        let peer = Peer::connect(service, &path).await;
        let mut came = peer
            .exchange(&chop.pieces(&self.frames), self.hangs_up)
            .await;
        // Who goes on after the closing handshake may write to a socket that is no more.
        if self.goes_on
            && let Some(last @ Came::Reset) = came.last_mut()
        {
            *last = Came::End;
        }
        match came == self.expected {
            true => Ok(()),
            false => Err(self.describe(chop, &came)),
        }
    }

    fn describe(&self, chop: Chop, came: &[Came]) -> String {
        let same = self.expected.iter().zip(came).take_while(|(a, b)| a == b);
        let same = same.count();
        let mut text = format!("{} ({chop:?})\n", self.name);
        for (what, list) in [("expected", &self.expected[..]), ("came", came)] {
            let rest = &list[same..list.len().min(same + SHOWN)];
            writeln!(text, "    {what} after {same}: {rest:?}").unwrap();
        }
        text
    }
}

impl Chop {
    /// Returns what is written at once each time.
    fn pieces(self, frames: &[(Vec<u8>, usize)]) -> Vec<Vec<u8>> {
        let whole = || -> Vec<u8> {
            let frames: Vec<&[u8]> = frames.iter().map(|(bytes, _)| bytes.as_slice()).collect();
            frames.concat()
        };
        match self {
            Self::Whole => vec![whole()],
            Self::Fine => {
                let whole = whole();
                let len = match whole.len() {
                    0..=SINGLE_BYTES_MAX => 1,
                    _ => PIECE,
                };
                whole.chunks(len).map(<[u8]>::to_vec).collect()
            }
            Self::InHeads => {
                let mut pieces = vec![Vec::new()];
                for (bytes, head_len) in frames {
                    let first = bytes.len().min(1);
                    let second = bytes.len().min(head_len - 2).max(first);
                    let [.., piece] = pieces.as_mut_slice() else {
                        unreachable!("it begins with one");
                    };
                    piece.extend_from_slice(&bytes[..first]);
                    pieces.push(bytes[first..second].to_vec());
                    pieces.push(bytes[second..].to_vec());
                }
                pieces.retain(|piece| !piece.is_empty());
                pieces
            }
        }
    }
}

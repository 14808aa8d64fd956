//! RFC 6455 against the running service: rows of client frames and of what must come of them, grouped as the well-known public suite
//! groups its cases.
//!
//! The client is a simple one that publishes to a group that it alone is in, so what it sends comes back to it: text as text, binary
//! as binary. Each row has a connection of its own for each way to chop its bytes into writes.

mod closes;
mod fragments;
mod frame;
mod framing;
mod large;
mod limits;
mod opcodes;
mod peer;
mod pings;
mod reserved_bits;
mod table;
mod utf8;

use std::collections::{HashMap, HashSet};

use table::Table;

/// Rows in all tables together, at the least.
const ROWS_MIN: usize = 200;

/// A row that has a name or the bytes of another one would be counted twice.
#[test]
fn there_are_two_hundred_rows_at_least_and_no_two_are_the_same() {
    let tables = [
        framing::table(),
        pings::table(),
        reserved_bits::table(),
        opcodes::table(),
        fragments::table(),
        utf8::table(),
        closes::table(),
        limits::table(),
        large::table(),
    ];
    let count: usize = tables.iter().map(Table::len).sum();
    assert!(count >= ROWS_MIN, "there are {count} rows");
    let mut names = HashSet::new();
    let mut inputs = HashMap::new();
    for table in &tables {
        for (name, bytes) in table.inputs() {
            assert!(names.insert(name), "two rows are called \"{name}\"");
            let other = inputs.insert((table.message_max, bytes), name);
            assert!(other.is_none(), "\"{name}\" sends the bytes of {other:?}");
        }
    }
}

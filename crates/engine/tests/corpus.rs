//! The fuzz target of this crate, on its committed corpus and on a bounded number of changed inputs.

use std::path::Path;

#[path = "../../../fuzz/src/permission_pattern.rs"]
pub mod permission_pattern;
#[path = "../../../fuzz/src/replay.rs"]
pub mod replay;

#[test]
fn patterns_match_as_the_reference_does_on_the_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/permission_pattern");
    replay::run(&corpus, 20_000, permission_pattern::run);
}

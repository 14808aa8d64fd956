//! The fuzz target of this crate, on its committed corpus and on a bounded number of changed inputs.

use std::path::Path;

#[path = "../../../fuzz/src/continuation_token.rs"]
pub mod continuation_token;
#[path = "../../../fuzz/src/replay.rs"]
pub mod replay;

#[test]
fn only_tokens_of_this_service_and_list_open_on_the_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/continuation_token");
    replay::run(&corpus, 2_000, continuation_token::run);
}

//! The fuzz target of this crate, on its committed corpus and on a bounded number of changed inputs.

use std::path::Path;

#[path = "../../../fuzz/src/replay.rs"]
pub mod replay;
#[path = "../../../fuzz/src/ws_decode.rs"]
pub mod ws_decode;

#[test]
fn decoder_keeps_its_contract_on_the_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/ws_decode");
    replay::run(&corpus, 20_000, ws_decode::run);
}

//! The fuzz targets of this crate, on their committed corpora and on a bounded number of changed inputs.

use std::path::{Path, PathBuf};

#[path = "../../../fuzz/src/json_message.rs"]
pub mod json_message;
#[path = "../../../fuzz/src/names.rs"]
pub mod names;
#[path = "../../../fuzz/src/replay.rs"]
pub mod replay;
#[path = "../../../fuzz/src/token.rs"]
pub mod token;

#[test]
fn parser_and_encoder_of_json_messages_agree_on_the_corpus() {
    replay::run(&corpus("json_message"), 20_000, json_message::run);
}

#[test]
fn only_signed_tokens_are_good_on_the_corpus() {
    replay::run(&corpus("token"), 5_000, token::run);
}

#[test]
fn names_are_within_their_limits_on_the_corpus() {
    replay::run(&corpus("names"), 10_000, names::run);
}

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target)
}

//! The fuzz targets of this crate, on their committed corpora and on a bounded number of changed inputs.

use std::path::{Path, PathBuf};

#[path = "../../../fuzz/src/connection_string.rs"]
pub mod connection_string;
#[path = "../../../fuzz/src/content_type.rs"]
pub mod content_type;
#[path = "../../../fuzz/src/filter.rs"]
pub mod filter;
#[path = "../../../fuzz/src/http_path.rs"]
pub mod http_path;
#[path = "../../../fuzz/src/http_query.rs"]
pub mod http_query;
#[path = "../../../fuzz/src/json_message.rs"]
pub mod json_message;
#[path = "../../../fuzz/src/names.rs"]
pub mod names;
#[path = "../../../fuzz/src/protobuf_message.rs"]
pub mod protobuf_message;
#[path = "../../../fuzz/src/replay.rs"]
pub mod replay;
#[path = "../../../fuzz/src/token.rs"]
pub mod token;

#[test]
fn parser_and_encoder_of_json_messages_agree_on_the_corpus() {
    replay::run(&corpus("json_message"), 20_000, json_message::run);
}

#[test]
fn parser_and_encoder_of_protobuf_messages_agree_on_the_corpus() {
    replay::run(&corpus("protobuf_message"), 20_000, protobuf_message::run);
}

#[test]
fn only_signed_tokens_are_good_on_the_corpus() {
    replay::run(&corpus("token"), 5_000, token::run);
}

#[test]
fn names_are_within_their_limits_on_the_corpus() {
    replay::run(&corpus("names"), 10_000, names::run);
}

#[test]
fn connection_strings_survive_being_written_on_the_corpus() {
    replay::run(&corpus("connection_string"), 20_000, connection_string::run);
}

#[test]
fn content_types_mean_the_same_however_they_are_written_on_the_corpus() {
    replay::run(&corpus("content_type"), 20_000, content_type::run);
}

#[test]
fn filters_and_their_negations_exclude_each_other_on_the_corpus() {
    replay::run(&corpus("filter"), 20_000, filter::run);
}

#[test]
fn segments_of_paths_are_decoded_once_on_the_corpus() {
    replay::run(&corpus("http_path"), 20_000, http_path::run);
}

#[test]
fn parameters_of_queries_survive_being_encoded_on_the_corpus() {
    replay::run(&corpus("http_query"), 20_000, http_query::run);
}

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target)
}

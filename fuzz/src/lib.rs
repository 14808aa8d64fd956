//! What each fuzz target does with its input. Nothing here knows of libFuzzer, so the tests of the crates include these files
//! and run them on the committed corpus. From the root of the repository:
//!
//! ```text
//! cargo +nightly fuzz run ws_decode target/corpus/ws_decode fuzz/corpus/ws_decode
//! ```
//!
//! The first directory must exist and takes what the fuzzer finds; the second one is only read.

pub mod connection_string;
pub mod content_type;
pub mod continuation_token;
pub mod filter;
pub mod http_path;
pub mod http_query;
pub mod json_message;
pub mod names;
pub mod permission_pattern;
pub mod protobuf_message;
pub mod replay;
pub mod token;
pub mod ws_decode;

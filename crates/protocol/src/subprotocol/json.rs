//! `json.webpubsub.azure.v1` and its reliable variant, apart from the sequence ids. Source: client-protocols 3.

mod encode;
mod parse;

pub use encode::{encode_control, encode_data, encode_group_state};
pub use parse::parse;

//! `json.webpubsub.azure.v1` and its reliable variant, apart from the sequence ids that are sent. Source: client-protocols 3.

mod client;
mod encode;
mod parse;

pub use client::{encode_client, parse_service};
pub use encode::{encode_control, encode_data, encode_group_state};
pub use parse::parse;

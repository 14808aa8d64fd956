//! `protobuf.webpubsub.azure.v1` and its reliable variant, apart from the sequence ids. Source: client-protocols 4.

mod client;
mod encode;
#[allow(
    unreachable_pub,
    clippy::enum_variant_names,
    reason = "`cargo xtask generate` writes it, with the published names"
)]
#[rustfmt::skip]
mod generated;
mod parse;

pub use client::{encode_client, parse_service};
pub use encode::{encode_control, encode_data, encode_group_state};
pub use parse::parse;

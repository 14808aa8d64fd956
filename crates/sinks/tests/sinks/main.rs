//! Sinks that need nothing but this machine. Those with a broker are in `tests/brokers`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod http;
mod json;
mod lines;
mod settings;
#[path = "../support/events.rs"]
mod support;

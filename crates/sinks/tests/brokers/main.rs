//! Sinks at real brokers, seen by the clients of others. `cargo xtask conformance sinks` installs what they need and runs them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod kafka;
mod nats;
mod process;
#[path = "../support/events.rs"]
mod support;
mod tls;

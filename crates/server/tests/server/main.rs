//! The running server over real sockets, a file for each part of the checklist in client-protocols 12.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

mod abuse;
mod closing;
mod delivery;
mod handshake;
mod json;
mod limits;
mod operations;
mod permissions;
mod quotas;
mod raw;
mod tls;
mod websocket;

//! The Hubwire process: listeners, shards, REST, configuration, metrics.
//!
//! [`Server::start`] takes a [`config::Config`] and returns once every listener is bound. From a request to a socket:
//! `accept` → `http` → `rest` or `upgrade` → `node` → `shard_loop` → `socket`.

mod accept;
mod auth;
mod clock;
pub mod config;
mod http;
mod inbox;
mod metrics;
mod node;
mod quota;
mod rest;
mod server;
mod shard_loop;
mod socket;
mod tls;
mod upgrade;

pub use server::{BoundListener, Server, StartError};
pub use tls::CertificateError;

//! The Hubwire process: listeners, shards, REST, configuration, metrics.
//!
//! [`Server::start`] takes a [`config::Config`] and returns once every listener is bound. From a request to a socket:
//! `accept` → `http` → `rest` or `upgrade` → `node` → `shard_loop` → `socket`.

mod accept;
mod auth;
mod clock;
pub mod config;
mod events;
mod firewall;
mod http;
mod identity;
mod inbox;
mod metrics;
mod network_rules;
mod node;
mod quota;
mod reload;
mod rest;
mod server;
mod shard_loop;
mod sinks;
mod socket;
mod tls;
mod tunnel;
mod upgrade;
mod upstream_settings;

pub use reload::{FileWatch, ReloadError};
pub use server::{BoundListener, Server, StartError};
pub use tls::CertificateError;

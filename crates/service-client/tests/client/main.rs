//! The client against the running service, and against servers of the test that answer what a service rarely does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

mod errors;
mod groups;
mod identity;
mod keys;
mod lists;
mod logging;
mod messages;
mod permissions;
mod pipeline;
mod proxies;
mod redirects;
mod requests;
mod retries;
mod streams;
mod tokens;

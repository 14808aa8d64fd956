//! What handlers and listeners see of the service, and what it makes of their answers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod connect;
mod credentials;
mod invocations;
mod listeners;
mod logs;
mod notifications;
mod reload;
mod requests;
mod retries;
mod security;
mod settings;
mod state;
mod support;
mod tls;
mod user_events;
mod validation;

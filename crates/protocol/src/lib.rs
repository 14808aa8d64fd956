//! Bytes to meaning and back, for every official peer of the service.
//!
//! | peer | files |
//! | --- | --- |
//! | client | [`subprotocol`] (negotiation and one file per format), [`message`], [`payload`], [`metadata`], [`state`], [`close`] |
//! | caller of the REST API | [`rest`] (versions, error codes), [`token`], [`filter`], [`connection_string`] |
//! | event handlers and listeners | [`event`] |
//! | everyone | [`names`], [`pattern`], [`http`] (paths, queries, content types) |
//!
//! Nothing here reads a clock, a random number, a socket or a configuration: what depends on time takes it as an argument.

pub mod close;
pub mod connection_string;
mod entries;
pub mod event;
pub mod filter;
pub mod http;
pub mod message;
pub mod metadata;
pub mod names;
pub mod pattern;
pub mod payload;
pub mod rest;
pub mod state;
pub mod subprotocol;
pub mod token;

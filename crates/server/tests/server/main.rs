//! The running server over real sockets, a file for each part of the checklist in client-protocols 12.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

mod abuse;
mod closing;
mod delivery;
mod events;
mod firewall;
mod group_state;
mod handshake;
mod held_back;
mod identity;
mod invocations;
mod json;
mod limits;
mod network_rules;
mod operations;
mod permissions;
mod promises;
mod protobuf;
mod quotas;
mod raw;
mod reliable;
mod reload;
mod rest_audience;
mod rest_bodies;
mod rest_bulk;
mod rest_closes;
mod rest_cors;
mod rest_filters;
mod rest_groups;
mod rest_lists;
mod rest_local_auth;
mod rest_no_effect;
mod rest_paths;
mod rest_permissions;
mod rest_sends;
mod rest_tokens;
mod streams;
mod tls;
mod tunnel;
mod websocket;

//! The event handler: requests as services send them, and the running server with clients.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod application;
mod events;
mod outcomes;
mod requests;
mod signatures;

/// The running server and its clients, as its own tests have them.
#[path = "../../../server/tests/server"]
#[expect(dead_code, reason = "some of it is for the tests of the other crate")]
mod server {
    pub(crate) mod support;
}

use server::support;

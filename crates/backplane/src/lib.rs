//! Carries commands between the nodes of a service.
//!
//! A node hands every command that other nodes may be concerned with to its [`Backplane`], and tells it which buckets it has
//! members in. With one node there is nobody else: [`Local`].

mod local;

pub use local::Local;

use hubwire_engine::{Bucket, Command};

/// Connects a node to the others.
///
/// Implementations promise: commands of one node to one bucket or connection arrive in the order they were published; a bucket
/// set before a join is acked misses nothing afterwards; no method waits.
pub trait Backplane: Send + Sync + std::fmt::Debug {
    /// Returns this node's number, which is part of its connections' ids.
    fn node(&self) -> u16;

    /// Tells the others whether this node has members in a bucket.
    fn set_interest(&self, bucket: Bucket, is_interested: bool);

    /// Hands a command to every other node concerned.
    ///
    /// # Errors
    ///
    /// [`Overloaded`] if it cannot be taken now; then no other node gets it.
    fn publish(&self, command: &Command) -> Result<(), Overloaded>;
}

/// The backplane has no room; nothing was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded;

impl std::fmt::Display for Overloaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the backplane is overloaded")
    }
}

impl std::error::Error for Overloaded {}

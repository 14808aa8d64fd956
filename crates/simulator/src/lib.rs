//! Runs the engine in a simulated world, one seed a run, beside a reference model that knows what must come of it.
//!
//! A run is a function of its seed: shards, clients, a network that is slow and breaks, REST callers and a clock, all drawn from one
//! generator, without threads, sockets or a real clock. It can therefore be repeated, and a seed that breaks a [`Promise`] is a
//! bug report.
//!
//! | file | what |
//! | --- | --- |
//! | `run` | what happens next |
//! | `world` | shards, inboxes, sockets, the network: what the shell does around the engine |
//! | `model` | what must come of it, with plain lists and sets |
//! | `client` | what a client makes of what it gets |
//! | `wire` | frames, read and written without our codecs |
//! | `promise` | what is promised |

mod client;
mod model;
mod promise;
mod random;
mod run;
mod settings;
mod trace;
mod wire;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use promise::{Broken, Promise};
pub use trace::Line;
pub use world::Totals;

use crate::run::Run;
use crate::trace::Trace;

/// Runs a seed.
///
/// # Errors
///
/// The first promise that is broken. A panic of the engine is one of them.
pub fn simulate(seed: u64) -> Result<Totals, Broken> {
    let (result, totals, _) = execute(seed, Trace::new(false));
    result.map(|()| totals)
}

/// Runs a seed and returns everything that happened, and the promise that was broken at the end, if one was.
pub fn trace(seed: u64) -> (Vec<Line>, Option<Broken>) {
    let (result, _, lines) = execute(seed, Trace::new(true));
    (lines, result.err())
}

fn execute(seed: u64, trace: Trace) -> (Result<(), Broken>, Totals, Vec<Line>) {
    let mut run = Run::new(seed, trace);
    let result = catch_unwind(AssertUnwindSafe(|| run.run()));
    let result = result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        promise::broken(Promise::NoPanic, [], text.unwrap_or_default())
    });
    (result, run.world.totals, run.world.trace.into_lines())
}

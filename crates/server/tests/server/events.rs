//! Events over real HTTP: events-and-operations 1 to 5 and 15, client-protocols 12.

mod connect;
mod invocations;
mod life;
mod order;
mod outcomes;
mod presence;
mod user_events;

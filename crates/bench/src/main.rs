//! `hubwire-bench NAME`: measures what Hubwire costs, against the binary itself, on loopback only.

#![expect(clippy::print_stdout, reason = "a command-line tool talks on stdout")]

mod acks;
mod event_connect;
mod event_echo;
mod event_reload;
mod fleet;
mod frame;
mod handlers;
mod message;
mod meter;
mod process;
mod proxy;
mod random;
mod reliable_cost;
mod reliable_cuts;
mod reliable_memory;
mod report;
mod runs;
mod service;
mod socket;
mod statistics;
mod webhook;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures what Hubwire costs: starts the service on one core and its clients on another, and tells what was used. Exits with 1 if the
/// bar of the measurement is not held.
#[derive(Parser)]
#[command(name = "hubwire-bench", version)]
struct Arguments {
    /// The service to measure.
    #[arg(long, value_name = "FILE", default_value = "target/release/hubwire")]
    binary: PathBuf,
    /// Print JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    measurement: Measurement,
}

#[derive(Subcommand)]
enum Measurement {
    /// CPU of a delivery to reliable clients, beside plain ones.
    ReliableCost(reliable_cost::Options),
    /// Memory of messages kept for clients that lost their sockets.
    ReliableMemory(reliable_memory::Options),
    /// Deliveries to reliable clients whose sockets are cut again and again.
    ReliableCuts(reliable_cuts::Options),
    /// Connects that a webhook lets in, beside connects without one.
    EventConnect(event_connect::Options),
    /// User events that a webhook echoes.
    EventEcho(event_echo::Options),
    /// Webhooks that are changed while clients send events.
    EventReload(event_reload::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let report = match &arguments.measurement {
        Measurement::ReliableCost(options) => reliable_cost::run(&arguments.binary, options),
        Measurement::ReliableMemory(options) => reliable_memory::run(&arguments.binary, options),
        Measurement::ReliableCuts(options) => reliable_cuts::run(&arguments.binary, options),
        Measurement::EventConnect(options) => event_connect::run(&arguments.binary, options),
        Measurement::EventEcho(options) => event_echo::run(&arguments.binary, options),
        Measurement::EventReload(options) => event_reload::run(&arguments.binary, options),
    };
    match report {
        Ok(report) if arguments.json => {
            println!("{:#}", report.json);
            exit_code(report.is_passed)
        }
        Ok(report) => {
            print!("{}", report.text);
            exit_code(report.is_passed)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn exit_code(is_passed: bool) -> ExitCode {
    if is_passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

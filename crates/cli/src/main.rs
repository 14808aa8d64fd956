//! The `hubwire` binary: serves, checks and prints configurations, makes keys.

#![allow(
    rustdoc::bare_urls,
    rustdoc::broken_intra_doc_links,
    reason = "doc comments of arguments are help texts for a terminal"
)]

mod arguments;
mod check_config;
mod connect;
mod emulator;
mod failure;
mod keygen;
mod logging;
mod print_config;
mod serve;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Command};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        None => serve::run(&arguments.settings),
        Some(Command::Serve(settings)) => serve::run(&settings),
        Some(Command::CheckConfig(settings)) => check_config::run(&settings),
        Some(Command::Connect(arguments)) => connect::run(&arguments),
        Some(Command::PrintConfig(settings)) => print_config::run(&settings),
        Some(Command::Keygen(arguments)) => keygen::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

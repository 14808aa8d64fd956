//! `cargo xtask <command>`: the checks of this repository, the same ones on a desk and in CI.

#![expect(clippy::print_stdout, reason = "a command-line tool talks on stdout")]

mod bench;
mod conformance;
mod counts;
mod fuzz;
mod generate;
mod simulate;
mod suite;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

const HELP: &str = "\
Usage: cargo xtask <command>

Commands:
  test                            everything below but fuzz, bench and generate: format, lints, unit tests,
                                  documentation, tidy, simulation, conformance. Stops at the first
                                  failure; its last line is `N passed, N failed`
  conformance [SUITE]...          official SDKs, a browser and generated requests against the
                                  hubwire binary, and event listeners at real brokers; SUITE is
                                  python, js, browser, schema or sinks, all of them when none is
                                  named
  tidy                            crate arrows, banned words, file names, links in the
                                  documentation, the table of REST operations and its tests,
                                  generated code
  simulate [OPTION]...            the engine in a simulated world beside a model of it, 10,000 seeds
                                  unless told otherwise: --seeds N, --start S, --seed S for one,
                                  with --trace for everything that happens in it
  fuzz [TARGET] [--seconds N]     cargo-fuzz on one target or on each in turn, 60 seconds each
                                  unless told otherwise
  bench [NAME [OPTION]...]        measures the release build: NAME is reliable-cost, reliable-memory,
                                  reliable-cuts, event-connect, event-echo or event-reload; `help`
                                  and `help NAME` say more
  generate                        writes the Rust of the protobuf schema
  help                            this text

Environment:
  HUBWIRE_BIN                     a hubwire binary for `conformance` to test or `bench` to measure,
                                  instead of the one that is built
";

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<ExitCode> {
    let mut arguments = arguments.iter().map(String::as_str);
    let command = arguments.next().unwrap_or("help");
    let rest: Vec<&str> = arguments.collect();
    if matches!(command, "help" | "-h" | "--help") || asks_for_help(&rest) {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }

    let workspace = Workspace::find()?;
    match command {
        "test" if rest.is_empty() => return Ok(suite::run(&workspace)),
        "tidy" if rest.is_empty() => tidy::run(&workspace)?,
        "generate" if rest.is_empty() => generate::run(&workspace)?,
        "test" | "tidy" | "generate" => bail!("`{command}` takes no argument, got `{}`", rest[0]),
        "conformance" => {
            let suites = conformance::parse(&rest)?;
            let counts = conformance::run(&workspace, &suites)?;
            println!("{counts}");
        }
        "simulate" => simulate::run(&workspace, &rest)?,
        "bench" => bench::run(&workspace, &rest)?,
        "fuzz" => fuzz::run(&workspace, &fuzz::parse(&rest)?)?,
        other => bail!("there is no command `{other}`; `cargo xtask help` lists them"),
    }
    Ok(ExitCode::SUCCESS)
}

fn asks_for_help(arguments: &[&str]) -> bool {
    arguments
        .iter()
        .any(|argument| matches!(*argument, "-h" | "--help"))
}

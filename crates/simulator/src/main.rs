//! `cargo xtask simulate`: many seeds, or one with all that happened.

#![expect(clippy::print_stdout, reason = "a command-line tool talks on stdout")]

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::panic;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hubwire_simulator::{Broken, Line, Promise, Totals, simulate, trace};

const SEEDS_DEFAULT: u64 = 10_000;
/// Lines that are shown of a run that broke a promise.
const LINES_SHOWN: usize = 40;
const PROGRESS: Duration = Duration::from_millis(200);

/// What is to be run.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    start: u64,
    seeds: u64,
    shows_trace: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = match parse(&arguments) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    // A panic of the engine is reported with its seed.
    panic::set_hook(Box::new(|_| {}));
    if options.shows_trace {
        return show_trace(options.start);
    }
    let started = Instant::now();
    let (totals, failures) = run_all(&options);
    report(&options, started.elapsed(), totals, &failures)
}

/// Reads `[--seeds N] [--start S] [--seed S] [--trace]`.
fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options {
        start: 0,
        seeds: SEEDS_DEFAULT,
        shows_trace: false,
    };
    let mut has_seed = false;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--trace" {
            options.shows_trace = true;
            continue;
        }
        let is_known = ["--seeds", "--start", "--seed"].contains(&argument.as_str());
        if !is_known {
            return Err(format!("simulate has no option `{argument}`"));
        }
        let value = arguments.next().and_then(|value| value.parse().ok());
        let value = value.ok_or_else(|| format!("{argument} wants a whole number"))?;
        match argument.as_str() {
            "--seeds" => options.seeds = value,
            "--start" => options.start = value,
            _ => {
                has_seed = true;
                (options.start, options.seeds) = (value, 1);
            }
        }
    }
    match options.shows_trace && !has_seed {
        true => Err("--trace wants a --seed".to_owned()),
        false => Ok(options),
    }
}

/// Runs all seeds on all cores. Returns the totals and the seeds that broke a promise.
fn run_all(options: &Options) -> (Totals, Vec<(u64, Broken)>) {
    let next = AtomicU64::new(0);
    let done = AtomicU64::new(0);
    let is_over = AtomicBool::new(false);
    let sum = Mutex::new((Totals::default(), Vec::new()));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= options.seeds {
                            return;
                        }
                        let seed = options.start + index;
                        let result = simulate(seed);
                        done.fetch_add(1, Ordering::Relaxed);
                        let mut sum = sum.lock().expect("no worker panics");
                        match result {
                            Ok(totals) => add(&mut sum.0, totals),
                            Err(broken) => sum.1.push((seed, broken)),
                        }
                    }
                })
            })
            .collect();
        if std::io::stderr().is_terminal() {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    eprint!(
                        "\r{} of {} seeds ",
                        done.load(Ordering::Relaxed),
                        options.seeds
                    );
                    let _ = std::io::stderr().flush();
                    thread::sleep(PROGRESS);
                }
                eprint!("\r");
            });
        }
        for worker in workers {
            worker.join().expect("no worker panics");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let (totals, mut failures) = sum.into_inner().expect("no worker panics");
    failures.sort_by_key(|(seed, _)| *seed);
    (totals, failures)
}

fn add(sum: &mut Totals, totals: Totals) {
    sum.steps += totals.steps;
    sum.deliveries += totals.deliveries;
    sum.recoveries += totals.recoveries;
    sum.connections += totals.connections;
    sum.questions += totals.questions;
}

fn report(
    options: &Options,
    elapsed: Duration,
    totals: Totals,
    failures: &[(u64, Broken)],
) -> ExitCode {
    let seconds = elapsed.as_secs_f64();
    println!(
        "{} seeds in {seconds:.1} s ({:.0} a second): {} steps, {} connections, {} deliveries, {} recoveries, {} events",
        options.seeds,
        options.seeds as f64 / seconds,
        totals.steps,
        totals.connections,
        totals.deliveries,
        totals.recoveries,
        totals.questions,
    );
    for (seed, broken) in failures.iter().skip(1) {
        println!("seed {seed} breaks a promise: {}", broken.promise);
    }
    if let Some((seed, broken)) = failures.first() {
        let (lines, _) = trace(*seed);
        println!("\nseed {seed}, the last events that concern it:");
        show_last(&lines, broken);
        show_broken(*seed, broken);
    }
    let broken: BTreeSet<Promise> = failures.iter().map(|(_, broken)| broken.promise).collect();
    println!(
        "simulation result: {} passed; {} failed; {} of {} seeds broke a promise",
        Promise::ALL.len() - broken.len(),
        broken.len(),
        failures.len(),
        options.seeds,
    );
    match failures.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn show_trace(seed: u64) -> ExitCode {
    let (lines, broken) = trace(seed);
    for line in &lines {
        println!("{line}");
    }
    match broken {
        None => {
            println!("seed {seed} keeps every promise");
            ExitCode::SUCCESS
        }
        Some(broken) => {
            show_broken(seed, &broken);
            ExitCode::FAILURE
        }
    }
}

fn show_last(lines: &[Line], broken: &Broken) {
    let concerns = |line: &&Line| {
        line.clients.is_empty()
            || broken.clients.is_empty()
            || line
                .clients
                .iter()
                .any(|client| broken.clients.contains(client))
    };
    let mut last: Vec<&Line> = lines
        .iter()
        .rev()
        .filter(concerns)
        .take(LINES_SHOWN)
        .collect();
    last.reverse();
    for line in last {
        println!("{line}");
    }
}

fn show_broken(seed: u64, broken: &Broken) {
    println!("\nseed {seed} breaks a promise: {}", broken.promise);
    println!("  what happened: {}", broken.detail);
    println!("  clients concerned: {:?}", broken.clients);
    println!("  all of it: cargo xtask simulate --seed {seed} --trace");
    println!("  again: cargo xtask simulate --seed {seed}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Options, String> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&arguments)
    }

    #[test]
    fn one_seed_or_many_may_be_named() {
        let one = Options {
            start: 7,
            seeds: 1,
            shows_trace: true,
        };
        assert_eq!(parse_line("--seed 7 --trace"), Ok(one));
        let many = Options {
            start: 5,
            seeds: 3,
            shows_trace: false,
        };
        assert_eq!(parse_line("--start 5 --seeds 3"), Ok(many));
        let usual = Options {
            start: 0,
            seeds: SEEDS_DEFAULT,
            shows_trace: false,
        };
        assert_eq!(parse_line(""), Ok(usual));
    }

    #[test]
    fn nonsense_is_refused() {
        for line in ["--seeds", "--seeds x", "--fast 1", "--trace"] {
            assert!(parse_line(line).is_err(), "{line}");
        }
    }
}

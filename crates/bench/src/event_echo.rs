//! User events whose handler echoes them: how many a second one core carries, and what each costs.

mod load;

use std::path::Path;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::message;
use crate::report::{Report, count, table, verdict};
use crate::runs::Runs;
use crate::statistics::Spread;

/// Echoes a second that the cloud publishes for each unit of 1,000 connections. Source: events-and-operations 11.2.
const ECHOES_PER_UNIT: f64 = 500.0;
/// A core is to be worth this many of them. Source: ours.
const UNITS_MIN: f64 = 20.0;
/// Milliseconds in which 99 of 100 echoes are to be back. Source: events-and-operations 11.2.
const LATENCY_MAX_MS: f64 = 1000.0;

#[derive(Args)]
pub(crate) struct Options {
    /// Runs of each load for each kind of client, which take turns.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Measured seconds of each run, after one that is not measured.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Clients that send events.
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// Bytes of an event, at least 16.
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(16..=65_536))]
    size: u32,
    /// Kinds of clients: without a subprotocol, or of JSON with an ack for each event.
    #[arg(long, value_delimiter = ',', default_value = "raw,json")]
    kinds: Vec<Kind>,
    /// Events a second of each client in a second load, beside the first one where each has one under way; 0 leaves it out.
    #[arg(long, default_value_t = 1.0)]
    rate: f64,
    /// Has the service ask the handler first whether it agrees to get events.
    #[arg(long)]
    abuse_protection: bool,
    /// A run is dropped if other processes took more of a core than this, in per cent.
    #[arg(long, default_value_t = 5.0)]
    others_max: f64,
}

/// What clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Raw,
    Json,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Json => "json",
        }
    }

    fn subprotocol(self) -> &'static str {
        match self {
            Self::Raw => message::SIMPLE,
            Self::Json => message::PLAIN,
        }
    }
}

/// How much is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Load {
    /// Each client sends its next event when the last one is answered.
    OneEach,
    /// Events a second of each client.
    Rate(f64),
}

impl Load {
    fn name(self) -> String {
        match self {
            Self::OneEach => "1 under way each".to_owned(),
            Self::Rate(events) => format!("{events} a second each"),
        }
    }
}

/// What one run has measured.
#[derive(Clone, Debug, Serialize)]
struct Run {
    echoes_per_second: f64,
    /// CPU microseconds of the service for an event.
    user: f64,
    system: f64,
    /// Milliseconds until an event is answered.
    latency_median: f64,
    latency_99: f64,
    /// Per cent of a core.
    service_percent: f64,
    /// How much of its time the load generator, handler included, had something to do.
    generator_percent: f64,
    /// What other processes took, in per cent of a core.
    others_percent: f64,
    /// Connections that the handler was asked over, from the beginning on.
    handler_connections: u64,
    /// Why it ended early or with the wrong echoes.
    fault: Option<String>,
}

pub(crate) fn run(binary: &Path, options: &Options) -> Result<Report> {
    let rate = (options.rate > 0.0).then_some(Load::Rate(options.rate));
    let loads: Vec<Load> = [Load::OneEach].into_iter().chain(rate).collect();
    let mut cells: Vec<Cell> = loads
        .into_iter()
        .flat_map(|load| {
            let kinds = options.kinds.iter();
            kinds.map(move |kind| Cell::new(load, *kind, options.others_max))
        })
        .collect();
    for _ in 0..options.runs {
        for cell in &mut cells {
            let run = load::measure(binary, options, cell.load, cell.kind)?;
            eprintln!(
                "{}, {}: {:.0} echoes/s, {:.1} CPU µs, service {:.0} %, generator {:.0} %, others {:.1} %{}",
                cell.load.name(),
                cell.kind.name(),
                run.echoes_per_second,
                run.user + run.system,
                run.service_percent,
                run.generator_percent,
                run.others_percent,
                run.fault
                    .as_ref()
                    .map(|fault| format!(", fault: {fault}"))
                    .unwrap_or_default(),
            );
            cell.add(run);
        }
    }
    Ok(report(&cells))
}

/// The runs of one load and one kind of clients, those that were disturbed apart.
struct Cell {
    load: Load,
    kind: Kind,
    runs: Runs<Run>,
}

impl Cell {
    fn new(load: Load, kind: Kind, others_max: f64) -> Self {
        Self {
            load,
            kind,
            runs: Runs::new(others_max),
        }
    }

    fn add(&mut self, run: Run) {
        let others_percent = run.others_percent;
        self.runs.add(run, others_percent);
    }

    fn spread(&self, value: impl Fn(&Run) -> f64) -> Option<Spread> {
        Spread::of(self.runs.counted().iter().map(value))
    }

    /// Returns how many units' worth of echoes come back in a second; only under full load, where the core is used up.
    fn units(&self) -> Option<Spread> {
        match self.load {
            Load::OneEach => self.spread(|run| run.echoes_per_second / ECHOES_PER_UNIT),
            Load::Rate(_) => None,
        }
    }

    fn fault(&self) -> Option<&str> {
        self.runs
            .counted()
            .iter()
            .find_map(|run| run.fault.as_deref())
    }

    fn is_held(&self) -> bool {
        let is_fast = self
            .spread(|run| run.latency_99)
            .is_some_and(|latency| latency.median < LATENCY_MAX_MS);
        let is_worth_it = self.units().is_none_or(|units| units.median >= UNITS_MIN);
        self.fault().is_none() && is_fast && is_worth_it
    }

    fn row(&self) -> Vec<String> {
        let show = |spread: Option<Spread>, format: &dyn Fn(f64) -> String| {
            spread.map(|spread| spread.show(format)).unwrap_or_default()
        };
        let one = |value: f64| format!("{value:.1}");
        let percent = |value: f64| format!("{value:.0} %");
        vec![
            self.load.name(),
            self.kind.name().to_owned(),
            show(self.spread(|run| run.echoes_per_second), &count),
            show(self.spread(|run| run.user + run.system), &one),
            show(self.spread(|run| run.user), &one),
            show(self.spread(|run| run.latency_median), &one),
            show(self.spread(|run| run.latency_99), &one),
            show(self.spread(|run| run.service_percent), &percent),
            show(self.spread(|run| run.generator_percent), &percent),
            show(self.spread(|run| run.others_percent), &percent),
            show(self.units(), &one),
            self.runs.share(),
        ]
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "load": self.load.name(),
            "clients": self.kind.name(),
            "units": self.units(),
            "is_held": self.is_held(),
            "fault": self.fault(),
            "kept": self.runs.kept(),
            "disturbed": self.runs.disturbed(),
        })
    }
}

fn report(cells: &[Cell]) -> Report {
    let heads = [
        "load",
        "clients",
        "echoes/s",
        "CPU µs",
        "user µs",
        "median ms",
        "99 % ms",
        "service",
        "generator",
        "others",
        "units",
        "runs",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(cells.iter().map(Cell::row));
    let is_passed = cells.iter().all(Cell::is_held);
    let mut text = table(&rows);
    for cell in cells {
        if let Some(fault) = cell.fault() {
            let (load, kind) = (cell.load.name(), cell.kind.name());
            text.push_str(&format!("Fault at {load}, {kind}: {fault}\n"));
        }
    }
    text.push_str(&format!(
        "Medians (and ranges). CPU µs: of the service, user and system, for an event; user µs: those of its own code. Generator: how much\n\
         of its time the load generator, which is the handler too, had something to do on its core; near 100 % it is what limits.\n\
         Units: echoes a second by the {ECHOES_PER_UNIT:.0} that the cloud publishes for a unit of 1,000 connections.\n\
         Bar: every event is answered once with what it carried, 99 % of them within a second, and a core is worth {UNITS_MIN:.0} units: {}\n",
        verdict(is_passed)
    ));
    Report {
        text,
        json: json!({
            "measurement": "event-echo",
            "is_passed": is_passed,
            "loads": cells.iter().map(Cell::json).collect::<Vec<_>>(),
        }),
        is_passed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_of(echoes_per_second: f64, latency_99: f64, others_percent: f64) -> Run {
        Run {
            echoes_per_second,
            user: 20.0,
            system: 30.0,
            latency_median: latency_99 / 2.0,
            latency_99,
            service_percent: 100.0,
            generator_percent: 40.0,
            others_percent,
            handler_connections: 32,
            fault: None,
        }
    }

    fn cell(load: Load, runs: Vec<Run>) -> Cell {
        let mut cell = Cell::new(load, Kind::Raw, 5.0);
        runs.into_iter().for_each(|run| cell.add(run));
        cell
    }

    #[test]
    fn a_core_is_worth_the_units_of_its_undisturbed_runs() {
        let runs = vec![run_of(15_000.0, 80.0, 1.0), run_of(100.0, 5_000.0, 60.0)];
        let cell = cell(Load::OneEach, runs);
        assert_eq!(cell.units().map(|units| units.median), Some(30.0));
        assert!(cell.is_held());
    }

    #[test]
    fn late_or_wrong_echoes_break_the_bar() {
        let late = cell(Load::Rate(1.0), vec![run_of(1_000.0, 1_500.0, 1.0)]);
        assert!(!late.is_held());
        let mut wrong = run_of(1_000.0, 1.0, 1.0);
        wrong.fault = Some("wrong".to_owned());
        assert!(!cell(Load::Rate(1.0), vec![wrong]).is_held());
        let slow = cell(Load::OneEach, vec![run_of(9_999.0, 1.0, 1.0)]);
        assert!(!slow.is_held());
    }

    #[test]
    fn a_report_has_a_row_for_each_load_and_kind() {
        let cells = [cell(Load::OneEach, vec![run_of(15_000.0, 80.0, 1.0)])];
        let report = report(&cells);
        assert!(report.is_passed && report.text.contains("| 1 under way each | raw"));
    }
}

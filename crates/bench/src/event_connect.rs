//! Connects that a handler lets in, beside connects without a handler.

mod load;

use std::path::Path;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::report::{Report, count, table, verdict};
use crate::runs::Runs;
use crate::statistics::Spread;

/// A connect that a handler lets in may cost as much as this many without one. Source: ours.
const RATIO_MAX: f64 = 2.0;

#[derive(Args)]
pub(crate) struct Options {
    /// Pairs of a run without a handler and one with it, which take turns.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Measured seconds of each run, after one that is not measured.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Clients that connect at the same time.
    #[arg(long, default_value_t = 64)]
    connecting: usize,
    /// Has the service ask the handler first whether it agrees to get events.
    #[arg(long)]
    abuse_protection: bool,
    /// A pair is dropped if other processes took more of a core than this, in per cent.
    #[arg(long, default_value_t = 5.0)]
    others_max: f64,
}

/// Who lets clients in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Handled,
}

/// What one run has measured.
#[derive(Clone, Debug, Serialize)]
struct Run {
    connects_per_second: f64,
    /// CPU microseconds of the service for a connect, with the end of the connection.
    user: f64,
    system: f64,
    /// Milliseconds from the begin to the 101.
    latency_median: f64,
    latency_99: f64,
    /// Per cent of a core.
    service_percent: f64,
    /// How much of its time the load generator, handler included, had something to do.
    generator_percent: f64,
    /// Connections that the handler was asked over, from the beginning on.
    handler_connections: u64,
    /// Why it ended early or with the wrong connects.
    fault: Option<String>,
}

impl Run {
    fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

/// A run without a handler and one with it, by turns.
#[derive(Debug, Serialize)]
struct Pair {
    plain: Run,
    handled: Run,
    /// What other processes took, in per cent of a core.
    others_percent: f64,
}

impl Pair {
    /// Returns how many connects without a handler cost as much as one with it.
    fn ratio(&self) -> f64 {
        self.handled.cpu() / self.plain.cpu()
    }

    fn fault(&self) -> Option<&str> {
        let faults = [&self.plain.fault, &self.handled.fault];
        faults.into_iter().find_map(|fault| fault.as_deref())
    }
}

pub(crate) fn run(binary: &Path, options: &Options) -> Result<Report> {
    let mut pairs = Runs::new(options.others_max);
    for number in 0..options.runs {
        let first = match number % 2 {
            0 => Kind::Plain,
            _ => Kind::Handled,
        };
        let pair = load::measure(binary, options, first)?;
        eprintln!(
            "plain {:.0} connects/s, {:.1} CPU µs; handled {:.0} connects/s, {:.1} CPU µs; ratio {:.2}, others {:.1} %{}",
            pair.plain.connects_per_second,
            pair.plain.cpu(),
            pair.handled.connects_per_second,
            pair.handled.cpu(),
            pair.ratio(),
            pair.others_percent,
            pair.fault()
                .map(|fault| format!(", fault: {fault}"))
                .unwrap_or_default(),
        );
        let others_percent = pair.others_percent;
        pairs.add(pair, others_percent);
    }
    Ok(report(&pairs))
}

impl Runs<Pair> {
    fn ratio(&self) -> Option<Spread> {
        Spread::of(self.counted().iter().map(Pair::ratio))
    }

    fn fault(&self) -> Option<&str> {
        self.counted().iter().find_map(Pair::fault)
    }

    fn is_held(&self) -> bool {
        let is_cheap = self.ratio().is_some_and(|ratio| ratio.median <= RATIO_MAX);
        self.fault().is_none() && is_cheap
    }

    fn row(&self, kind: Kind) -> Vec<String> {
        let show = |value: &dyn Fn(&Run) -> f64, format: &dyn Fn(f64) -> String| {
            let runs = self.counted().iter().map(|pair| match kind {
                Kind::Plain => &pair.plain,
                Kind::Handled => &pair.handled,
            });
            let spread = Spread::of(runs.map(value));
            spread.map(|spread| spread.show(format)).unwrap_or_default()
        };
        let one = |value: f64| format!("{value:.1}");
        let percent = |value: f64| format!("{value:.0} %");
        let name = match kind {
            Kind::Plain => "none",
            Kind::Handled => "webhook",
        };
        let mut row = vec![
            name.to_owned(),
            show(&|run| run.connects_per_second, &count),
            show(&Run::cpu, &one),
            show(&|run| run.user, &one),
            show(&|run| run.latency_median, &one),
            show(&|run| run.latency_99, &one),
            show(&|run| run.service_percent, &percent),
            show(&|run| run.generator_percent, &percent),
        ];
        if kind == Kind::Handled {
            let others = Spread::of(self.counted().iter().map(|pair| pair.others_percent));
            let shown = |spread: Option<Spread>, format: &dyn Fn(f64) -> String| {
                spread.map(|spread| spread.show(format)).unwrap_or_default()
            };
            row.push(shown(others, &percent));
            row.push(shown(self.ratio(), &|value| format!("{value:.2}")));
            row.push(self.share());
        }
        row
    }
}

fn report(pairs: &Runs<Pair>) -> Report {
    let heads = [
        "handler",
        "connects/s",
        "CPU µs",
        "user µs",
        "median ms",
        "99 % ms",
        "service",
        "generator",
        "others",
        "ratio",
        "pairs",
    ];
    let rows = [
        heads.map(str::to_owned).to_vec(),
        pairs.row(Kind::Plain),
        pairs.row(Kind::Handled),
    ];
    let is_passed = pairs.is_held();
    let mut text = table(&rows);
    if let Some(fault) = pairs.fault() {
        text.push_str(&format!("Fault: {fault}\n"));
    }
    text.push_str(&format!(
        "Medians (and ranges). CPU µs: of the service, user and system, for a connect from accept to the end of the connection, which its\n\
         client resets once it is open; user µs: those of its own code. Generator: how much of its time the load generator, which is the\n\
         handler too, had something to do on its core; near 100 % it is what limits. Ratio: CPU of a pair of runs.\n\
         Bar: a ratio of at most {RATIO_MAX}, every client is let in, and the handler is asked once about each: {}\n",
        verdict(is_passed)
    ));
    Report {
        text,
        json: json!({
            "measurement": "event-connect",
            "is_passed": is_passed,
            "ratio": pairs.ratio(),
            "ratio_max": RATIO_MAX,
            "fault": pairs.fault(),
            "kept": pairs.kept(),
            "disturbed": pairs.disturbed(),
        }),
        is_passed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(plain: f64, handled: f64) -> Pair {
        let run = |cpu: f64| Run {
            connects_per_second: 5_000.0,
            user: cpu / 2.0,
            system: cpu / 2.0,
            latency_median: 1.0,
            latency_99: 2.0,
            service_percent: 100.0,
            generator_percent: 40.0,
            handler_connections: 0,
            fault: None,
        };
        Pair {
            plain: run(plain),
            handled: run(handled),
            others_percent: 1.0,
        }
    }

    #[test]
    fn the_ratio_is_the_median_of_undisturbed_pairs() {
        let mut pairs = Runs::new(5.0);
        for (plain, handled) in [(100.0, 150.0), (100.0, 160.0), (200.0, 340.0)] {
            pairs.add(pair(plain, handled), 1.0);
        }
        pairs.add(pair(100.0, 900.0), 60.0);
        assert!(
            pairs
                .ratio()
                .is_some_and(|ratio| (ratio.median - 1.6).abs() < 1e-9)
        );
        let report = report(&pairs);
        assert!(report.is_passed && report.text.contains("| webhook"));
        assert!(report.text.contains("3 of 4"));
    }

    #[test]
    fn a_client_that_is_not_let_in_breaks_the_bar() {
        let mut refused = pair(100.0, 150.0);
        refused.handled.fault = Some("refused".to_owned());
        let mut pairs = Runs::new(5.0);
        pairs.add(refused, 1.0);
        assert!(!report(&pairs).is_passed);
    }
}

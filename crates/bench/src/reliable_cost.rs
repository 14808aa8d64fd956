//! CPU of a delivery to reliable clients, beside plain ones.

mod load;

use std::path::Path;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::report::{Report, count, table, verdict};
use crate::runs::Runs;
use crate::statistics::Spread;

/// A delivery to a reliable client may cost this much of one to a plain client.
const RATIO_MAX: f64 = 1.3;

#[derive(Args)]
pub(crate) struct Options {
    /// Pairs of a plain and a reliable run for each load, which take turns.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Measured seconds of each run, after one that is not measured.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Clients in the group.
    #[arg(long, default_value_t = 1000)]
    subscribers: usize,
    /// Bytes of a payload.
    #[arg(long, default_value_t = 128)]
    size: usize,
    /// Messages under way at once; one load for each number.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    outstanding: Vec<u64>,
    /// Messages a second of one more load, with the default reliable buffer; 0 leaves it out.
    #[arg(long, default_value_t = 900)]
    rate: u64,
    /// How far apart the sequence ids of reliable clients may be, as those of clients are that came at different times.
    #[arg(long, default_value_t = 10)]
    spread_ids: usize,
    /// A pair is dropped if other processes took more of a core than this, in per cent.
    #[arg(long, default_value_t = 5.0)]
    others_max: f64,
}

/// Who receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Reliable,
}

/// How much is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    /// The next message is published when this many less one are still under way.
    Outstanding(u64),
    /// Messages a second.
    Rate(u64),
}

impl Load {
    fn name(self) -> String {
        match self {
            Self::Outstanding(messages) => format!("{messages} outstanding"),
            Self::Rate(messages) => format!("{messages} a second"),
        }
    }
}

/// What one run has measured.
#[derive(Clone, Debug, Serialize)]
struct Run {
    deliveries_per_second: f64,
    /// CPU seconds of the service for a million deliveries.
    user: f64,
    system: f64,
    /// Per cent of a core.
    service_percent: f64,
    /// Messages that a client got at once. The more, the less each of them costs.
    joined: f64,
    sequence_acks: u64,
    /// Why it ended early or with the wrong deliveries.
    fault: Option<String>,
}

impl Run {
    fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

/// A plain and a reliable run, by turns.
#[derive(Debug, Serialize)]
struct Pair {
    plain: Run,
    reliable: Run,
    /// What other processes took, in per cent of a core.
    others_percent: f64,
}

impl Pair {
    fn ratio(&self) -> f64 {
        self.reliable.cpu() / self.plain.cpu()
    }

    fn fault(&self) -> Option<&str> {
        self.plain
            .fault
            .as_deref()
            .or(self.reliable.fault.as_deref())
    }
}

pub(crate) fn run(binary: &Path, options: &Options) -> Result<Report> {
    let rate = (options.rate > 0).then_some(Load::Rate(options.rate));
    let loads: Vec<Load> = options
        .outstanding
        .iter()
        .map(|messages| Load::Outstanding(*messages))
        .chain(rate)
        .collect();
    let mut results = Vec::new();
    for load in loads {
        let mut pairs = Vec::new();
        for number in 0..options.runs {
            let first = if number % 2 == 0 {
                Kind::Plain
            } else {
                Kind::Reliable
            };
            pairs.push(run_pair(binary, options, load, first)?);
        }
        results.push(LoadResult::new(load, pairs, options.others_max));
    }
    Ok(report(&results))
}

/// Measures a pair and tells how it went.
fn run_pair(binary: &Path, options: &Options, load: Load, first: Kind) -> Result<Pair> {
    let pair = load::measure(binary, options, load, first)?;
    eprintln!(
        "{}: plain {:.3}, reliable {:.3} CPU s/M, ratio {:.2}, others {:.1} %{}",
        load.name(),
        pair.plain.cpu(),
        pair.reliable.cpu(),
        pair.ratio(),
        pair.others_percent,
        pair.fault()
            .map(|fault| format!(", fault: {fault}"))
            .unwrap_or_default(),
    );
    Ok(pair)
}

/// The pairs of one load, those that were disturbed apart.
struct LoadResult {
    load: Load,
    pairs: Runs<Pair>,
}

impl LoadResult {
    fn new(load: Load, pairs: Vec<Pair>, others_max: f64) -> Self {
        let mut all = Runs::new(others_max);
        for pair in pairs {
            let others_percent = pair.others_percent;
            all.add(pair, others_percent);
        }
        Self { load, pairs: all }
    }

    fn ratio(&self) -> Option<Spread> {
        Spread::of(self.pairs.counted().iter().map(Pair::ratio))
    }

    /// Returns the first fault of a pair that counts.
    fn fault(&self) -> Option<&str> {
        self.pairs.counted().iter().find_map(Pair::fault)
    }

    /// At a given rate the service has as much to do as there is: then the ratio tells nothing, but nobody may be lost.
    fn is_held(&self) -> bool {
        let is_cheap = self.ratio().is_some_and(|ratio| ratio.median <= RATIO_MAX);
        self.fault().is_none() && (is_cheap || matches!(self.load, Load::Rate(_)))
    }

    fn spread(&self, kind: Kind, value: impl Fn(&Run) -> f64) -> Option<Spread> {
        let runs = self.pairs.counted().iter().map(|pair| match kind {
            Kind::Plain => &pair.plain,
            Kind::Reliable => &pair.reliable,
        });
        Spread::of(runs.map(value))
    }

    fn rows(&self) -> [Vec<String>; 2] {
        let show = |spread: Option<Spread>, format: &dyn Fn(f64) -> String| {
            spread.map(|spread| spread.show(format)).unwrap_or_default()
        };
        let three = |value: f64| format!("{value:.3}");
        [Kind::Plain, Kind::Reliable].map(|kind| {
            let mut row = vec![
                self.load.name(),
                format!("{kind:?}").to_lowercase(),
                show(self.spread(kind, |run| run.deliveries_per_second), &count),
                show(self.spread(kind, Run::cpu), &three),
                show(self.spread(kind, |run| run.user), &three),
                show(self.spread(kind, |run| run.joined), &|value| {
                    format!("{value:.1}")
                }),
                show(self.spread(kind, |run| run.service_percent), &|value| {
                    format!("{value:.0} %")
                }),
            ];
            if kind == Kind::Reliable {
                let others = self.pairs.counted().iter().map(|pair| pair.others_percent);
                row.push(show(Spread::of(others), &|value| format!("{value:.1} %")));
                row.push(show(self.ratio(), &|value| format!("{value:.2}")));
                row.push(self.pairs.share());
            }
            row
        })
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "load": self.load.name(),
            "ratio": self.ratio(),
            "ratio_max": RATIO_MAX,
            "is_held": self.is_held(),
            "fault": self.fault(),
            "kept": self.pairs.kept(),
            "disturbed": self.pairs.disturbed(),
        })
    }
}

fn report(results: &[LoadResult]) -> Report {
    let heads = [
        "load",
        "clients",
        "deliveries/s",
        "CPU s/M",
        "user s/M",
        "joined",
        "service",
        "others",
        "ratio",
        "pairs",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(results.iter().flat_map(LoadResult::rows));
    let is_passed = results.iter().all(LoadResult::is_held);
    let mut text = table(&rows);
    for result in results {
        if let Some(fault) = result.fault() {
            text.push_str(&format!("Fault at {}: {fault}\n", result.load.name()));
        }
    }
    text.push_str(&format!(
        "Medians (and ranges). CPU s/M: CPU seconds of the service, user and system, for a million deliveries; user s/M: those of its own\n\
         code. Joined: messages that a client gets at once. Ratio: of a pair of runs, reliable to plain; at a given rate it tells nothing,\n\
         since there the service joins as few messages as it can afford.\n\
         Bar: a ratio of at most {RATIO_MAX}, and no delivery lost: {}\n",
        verdict(is_passed)
    ));
    Report {
        text,
        json: json!({
            "measurement": "reliable-cost",
            "is_passed": is_passed,
            "loads": results.iter().map(LoadResult::json).collect::<Vec<_>>(),
        }),
        is_passed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(plain: f64, reliable: f64, others_percent: f64) -> Pair {
        let run = |cpu: f64| Run {
            deliveries_per_second: 1000.0,
            user: cpu / 4.0,
            system: cpu * 3.0 / 4.0,
            service_percent: 100.0,
            joined: 1.0,
            sequence_acks: 0,
            fault: None,
        };
        Pair {
            plain: run(plain),
            reliable: run(reliable),
            others_percent,
        }
    }

    fn result(pairs: Vec<Pair>) -> LoadResult {
        LoadResult::new(Load::Outstanding(16), pairs, 5.0)
    }

    #[test]
    fn the_ratio_is_the_median_of_undisturbed_pairs() {
        let result = result(vec![
            pair(1.0, 1.1, 1.0),
            pair(1.0, 1.2, 2.0),
            pair(2.0, 2.6, 3.0),
            pair(1.0, 9.0, 50.0),
        ]);
        let ratio = result.ratio().expect("three pairs");
        assert!((ratio.median - 1.2).abs() < 1e-9 && (ratio.max - 1.3).abs() < 1e-9);
        assert!(result.is_held());
        assert_eq!(result.pairs.share(), "3 of 4");
    }

    #[test]
    fn disturbed_pairs_count_only_if_there_are_no_others() {
        let result = result(vec![pair(1.0, 2.0, 50.0)]);
        assert!(!result.is_held());
        assert_eq!(result.pairs.share(), "all 1 disturbed");
    }

    #[test]
    fn a_fault_counts_unless_its_pair_was_disturbed() {
        let faulty = |others_percent| {
            let mut pair = pair(1.0, 1.0, others_percent);
            pair.reliable.fault = Some("lost".to_owned());
            pair
        };
        assert!(!result(vec![faulty(1.0)]).is_held());
        assert!(result(vec![faulty(50.0), pair(1.0, 1.0, 1.0)]).is_held());
    }

    #[test]
    fn a_report_has_two_rows_for_each_load() {
        let report = report(&[result(vec![pair(1.0, 1.1, 1.0)])]);
        assert!(report.is_passed);
        assert_eq!(
            report
                .text
                .lines()
                .filter(|line| line.contains("16 outstanding"))
                .count(),
            2
        );
    }
}

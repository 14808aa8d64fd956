//! Event handlers that are changed while their clients send events.

mod traffic;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::handlers::{ConfigFile, Handler, Wanted};
use crate::report::{Report, table, verdict};
use crate::service::{HUB, Service};
use crate::statistics::{Spread, quantile};
use crate::webhook::Webhook;
use traffic::Traffic;

/// A change is to have its effect within this time. Milliseconds.
const EFFECT_MAX_MS: f64 = 2000.0;
/// Beyond it a change has none.
const EFFECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What the service logs of a file that is invalid.
const REFUSED: &str = "configuration not reloaded";
const MARKS: [&str; 2] = ["A", "B"];

#[derive(Args)]
pub(crate) struct Options {
    /// Connections that send events.
    #[arg(long, default_value_t = 5000)]
    connections: usize,
    /// Events a second of all of them together.
    #[arg(long, default_value_t = 1000.0)]
    rate: f64,
    /// Bytes of an event, at least 16.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(16..=65_536))]
    size: u32,
    /// Times that the handler is changed by the file, by a file that is invalid, and by the file with SIGHUP.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of traffic after each change.
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
}

/// How the service learns that its configuration has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notice {
    File,
    FileAndSignal,
}

/// What has been seen.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    connections: usize,
    /// Milliseconds from the write of the file to the first event at the new handler.
    by_file: Vec<f64>,
    /// The same where SIGHUP came after the write.
    by_signal: Vec<f64>,
    /// Files that were invalid.
    invalid_files: usize,
    /// Events that were sent while an invalid file was there.
    events_beside_invalid: u64,
    events: u64,
    answered_by_first: u64,
    answered_by_second: u64,
    /// What the handlers got.
    handled: u64,
    validations: u64,
    /// Milliseconds until an event is answered.
    latency_median: f64,
    latency_99: f64,
    latency_max: f64,
    /// What went wrong first.
    fault: Option<String>,
}

pub(crate) fn run(binary: &Path, options: &Options) -> Result<Report> {
    let handlers = [Webhook::listen(MARKS[0])?, Webhook::listen(MARKS[1])?];
    let entries = [0, 1].map(|index: usize| Handler {
        url_template: handlers[index].url_template(),
        wanted: Wanted::All,
        abuse_protection: true,
    });
    let file = ConfigFile::new(&entries[0])?;
    let service = Service::start_with(binary, &[], Some(file.path()))?;
    let traffic = Traffic::open(
        &service,
        handlers,
        options.connections,
        options.rate,
        options.size as usize,
    )?;
    let mut trial = Trial {
        traffic,
        service,
        file,
        entries,
        in_force: 0,
        pause: Duration::from_secs_f64(options.seconds),
        outcome: Outcome {
            connections: options.connections,
            ..Outcome::default()
        },
    };
    let fault = trial.run(options.rounds).err();
    let mut outcome = trial.finish();
    outcome.fault = fault.map(|fault| format!("{fault:#}"));
    Ok(report(&outcome))
}

struct Trial {
    // Dropped first, so that the service does not wait for its clients.
    traffic: Traffic,
    service: Service,
    file: ConfigFile,
    entries: [Handler; 2],
    /// The handler that the service is to use.
    in_force: usize,
    pause: Duration,
    outcome: Outcome,
}

impl Trial {
    fn run(&mut self, rounds: usize) -> Result<()> {
        self.traffic.expect(Some(0));
        self.traffic.run(self.pause)?;
        for _ in 0..rounds {
            let effect = self.change(Notice::File)?;
            self.outcome.by_file.push(effect);
            self.spoil()?;
            let effect = self.change(Notice::FileAndSignal)?;
            self.outcome.by_signal.push(effect);
        }
        self.traffic.drain()
    }

    /// Names the other handler, and waits until it gets an event. Returns how long that took, in milliseconds. From then on it is to
    /// get all.
    fn change(&mut self, notice: Notice) -> Result<f64> {
        let next = 1 - self.in_force;
        let before = self.traffic.handlers[next].asked.events;
        self.traffic.expect(None);
        let begin = Instant::now();
        self.file.write(&self.entries[next])?;
        if notice == Notice::FileAndSignal {
            self.service.reload()?;
        }
        while self.traffic.handlers[next].asked.events == before {
            if begin.elapsed() > EFFECT_TIMEOUT {
                bail!("{notice:?}: the change had no effect");
            }
            self.traffic.turn()?;
        }
        let effect = begin.elapsed().as_secs_f64() * 1e3;
        eprintln!("{notice:?}: handler {} after {effect:.1} ms", MARKS[next]);
        self.in_force = next;
        self.traffic.expect(Some(next));
        self.traffic.run(self.pause)?;
        Ok(effect)
    }

    /// Writes a file that names the other handler and is invalid, tells the service of it, and sees that nothing changes.
    fn spoil(&mut self) -> Result<()> {
        let before = self.traffic.sent;
        let other = self.entries[1 - self.in_force].to_toml();
        let _ = self.service.logged().count();
        self.file
            .write_text(&format!("{other}[hubs.{HUB}.no_such_setting]\n"))?;
        self.refused()?;
        self.service.reload()?;
        self.refused()?;
        self.traffic.run(self.pause)?;
        self.outcome.invalid_files += 1;
        self.outcome.events_beside_invalid += self.traffic.sent - before;
        Ok(())
    }

    /// Waits until the service says that it does not take the file.
    fn refused(&mut self) -> Result<()> {
        let begin = Instant::now();
        while !self.service.logged().any(|line| line.contains(REFUSED)) {
            if begin.elapsed() > EFFECT_TIMEOUT {
                bail!("the service did not say that a file is invalid");
            }
            self.traffic.run(Duration::from_millis(10))?;
        }
        Ok(())
    }

    fn finish(mut self) -> Outcome {
        let traffic = &mut self.traffic;
        let [first, second] = [0, 1].map(|index: usize| traffic.handlers[index].asked);
        let mut milliseconds = |share| {
            quantile(&mut traffic.latencies, share).map_or(f64::NAN, |us| f64::from(us) / 1e3)
        };
        Outcome {
            latency_median: milliseconds(0.5),
            latency_99: milliseconds(0.99),
            latency_max: milliseconds(1.0),
            events: traffic.sent,
            answered_by_first: traffic.answered_by[0],
            answered_by_second: traffic.answered_by[1],
            handled: first.events + second.events,
            validations: first.validations + second.validations,
            ..self.outcome
        }
    }
}

impl Outcome {
    fn is_held(&self) -> bool {
        let effects = self.by_file.iter().chain(&self.by_signal);
        let answered = self.answered_by_first + self.answered_by_second;
        self.fault.is_none()
            && !self.by_file.is_empty()
            && answered == self.events
            && self.handled == self.events
            && effects.into_iter().all(|effect| *effect <= EFFECT_MAX_MS)
    }
}

fn report(outcome: &Outcome) -> Report {
    let row = |name: &str, times: &[f64]| {
        let spread = Spread::of(times.iter().copied());
        let shown = spread.map(|spread| spread.show(|value| format!("{value:.1}")));
        vec![
            name.to_owned(),
            times.len().to_string(),
            shown.unwrap_or_default(),
        ]
    };
    let rows = [
        ["change", "times", "ms until its effect"]
            .map(str::to_owned)
            .to_vec(),
        row("file", &outcome.by_file),
        row("file and SIGHUP", &outcome.by_signal),
        vec![
            "invalid file".to_owned(),
            outcome.invalid_files.to_string(),
            "none".to_owned(),
        ],
    ];
    let is_passed = outcome.is_held();
    let mut text = table(&rows);
    text.push_str(&format!(
        "Connections: {}, none of which may end. Events: {}, answered by {}: {}, by {}: {}; the handlers got {}. Beside invalid files: {}.\n\
         Milliseconds until an event is answered: median {:.1}, 99 % {:.1}, longest {:.1}. Validations: {}.\n",
        outcome.connections,
        outcome.events,
        MARKS[0],
        outcome.answered_by_first,
        MARKS[1],
        outcome.answered_by_second,
        outcome.handled,
        outcome.events_beside_invalid,
        outcome.latency_median,
        outcome.latency_99,
        outcome.latency_max,
        outcome.validations,
    ));
    if let Some(fault) = &outcome.fault {
        text.push_str(&format!("Fault: {fault}\n"));
    }
    text.push_str(&format!(
        "Bar: no connection ends; each event is answered once, by the handler of before or the one of after, and by the latter if it was\n\
         sent after the effect; an invalid file changes nothing; a change has its effect within {:.0} s: {}\n",
        EFFECT_MAX_MS / 1e3,
        verdict(is_passed)
    ));
    Report {
        text,
        json: json!({
            "measurement": "event-reload",
            "is_passed": is_passed,
            "outcome": outcome,
        }),
        is_passed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        Outcome {
            connections: 10,
            by_file: vec![300.0, 200.0],
            by_signal: vec![3.0],
            invalid_files: 1,
            events: 100,
            answered_by_first: 60,
            answered_by_second: 40,
            handled: 100,
            ..Outcome::default()
        }
    }

    #[test]
    fn each_event_is_to_be_handled_and_answered_once() {
        assert!(report(&outcome()).is_passed);
        let lost = Outcome {
            answered_by_first: 59,
            ..outcome()
        };
        let repeated = Outcome {
            handled: 101,
            ..outcome()
        };
        assert!(!report(&lost).is_passed && !report(&repeated).is_passed);
    }

    #[test]
    fn a_slow_change_and_a_fault_break_the_bar() {
        let slow = Outcome {
            by_file: vec![2_500.0],
            ..outcome()
        };
        let faulty = Outcome {
            fault: Some("ended".to_owned()),
            ..outcome()
        };
        assert!(!report(&slow).is_passed && !report(&faulty).is_passed);
        assert!(report(&faulty).text.contains("Fault: ended"));
    }
}

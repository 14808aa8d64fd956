//! What processes and the machine have used, from `/proc`.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};

/// CPU time of a process, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cpu {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

impl Cpu {
    /// Reads what a process has used so far, its threads together.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/stat");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        parse_stat(&text, ticks_per_second()).with_context(|| format!("{path} has another form"))
    }

    pub(crate) fn total(self) -> f64 {
        self.user + self.system
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user - earlier.user,
            system: self.system - earlier.system,
        }
    }
}

/// What all processes together have used, and this one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    /// Seconds since some moment.
    at: f64,
    busy: f64,
    client: f64,
}

impl Machine {
    pub(crate) fn read() -> Result<Self> {
        static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        Ok(Self {
            at: BEGIN.get_or_init(Instant::now).elapsed().as_secs_f64(),
            busy: machine_busy()?,
            client: Cpu::of(std::process::id())?.total(),
        })
    }

    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            at: self.at - earlier.at,
            busy: self.busy - earlier.busy,
            client: self.client - earlier.client,
        }
    }

    /// Returns what neither this process nor the services have used, in per cent of a core.
    pub(crate) fn others_percent(&self, service: f64) -> f64 {
        ((self.busy - self.client - service) / self.at * 100.0).max(0.0)
    }
}

/// Reads the time that all cores together were busy, or taken away by the host of a virtual machine. Seconds.
fn machine_busy() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    parse_machine(&text, ticks_per_second()).context("/proc/stat has another form")
}

/// Reads the resident memory of a process, private and shared. Bytes.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    parse_resident(&text).with_context(|| format!("{path} names no Rss"))
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

/// Fields 14 and 15 of `/proc/PID/stat`. The second field is the name in parentheses, which may hold anything.
fn parse_stat(text: &str, ticks_per_second: f64) -> Option<Cpu> {
    let (_, after_name) = text.rsplit_once(')')?;
    let mut times = after_name
        .split_whitespace()
        .skip(11)
        .map(str::parse::<f64>);
    let mut next = || Some(times.next()?.ok()? / ticks_per_second);
    Some(Cpu {
        user: next()?,
        system: next()?,
    })
}

/// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal.
fn parse_machine(text: &str, ticks_per_second: f64) -> Option<f64> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let times: Vec<f64> = line
        .split_whitespace()
        .map_while(|time| time.parse().ok())
        .collect();
    let busy: f64 = [0, 1, 2, 5, 6, 7]
        .iter()
        .filter_map(|field| times.get(*field))
        .sum();
    (times.len() >= 8).then_some(busy / ticks_per_second)
}

fn parse_resident(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_times_are_found_behind_any_name() {
        let text = "12 (a) b) R 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 3 0 99 1000 20";
        let cpu = Cpu {
            user: 2.5,
            system: 0.5,
        };
        assert_eq!(parse_stat(text, 100.0), Some(cpu));
        assert_eq!(parse_stat("12 (a) R 1 2", 100.0), None);
    }

    #[test]
    fn a_machine_is_busy_while_it_is_not_idle() {
        let text = "cpu  100 1 50 9999 888 2 3 4 0 0\ncpu0 1 2 3\n";
        assert_eq!(parse_machine(text, 100.0), Some(1.6));
        assert_eq!(parse_machine("intr 1", 100.0), None);
    }

    #[test]
    fn others_have_used_what_is_left() {
        let before = Machine {
            at: 1.0,
            busy: 10.0,
            client: 1.0,
        };
        let after = Machine {
            at: 3.0,
            busy: 14.5,
            client: 3.0,
        };
        let used = after.since(&before);
        assert_eq!(used.others_percent(2.0), 25.0);
        assert_eq!(used.others_percent(2.6), 0.0);
    }

    #[test]
    fn resident_memory_is_in_bytes() {
        let text =
            "55d0-7ff0 ---p 0 00:00 0 [rollup]\nRss:           9216 kB\nPss:           8000 kB\n";
        assert_eq!(parse_resident(text), Some(9216 * 1024));
        assert_eq!(parse_resident("Pss: 1 kB"), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let pid = std::process::id();
        assert!(Cpu::of(pid).is_ok());
        assert!(machine_busy().is_ok_and(|busy| busy > 0.0));
        assert!(resident_bytes(pid).is_ok_and(|bytes| bytes > 0));
    }
}

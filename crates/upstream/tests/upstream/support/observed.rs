use std::sync::Mutex;
use std::time::Duration;

use hubwire_protocol::names::Hub;
use hubwire_upstream::{Kind, Observer, Outcome};

/// Remembers what can be counted, a line for each.
#[derive(Default)]
pub(crate) struct Observed(Mutex<Vec<String>>);

impl Observed {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|other| *other == line).count()
    }

    fn push(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }
}

impl Observer for Observed {
    fn handled(&self, hub: &Hub, kind: Kind, outcome: Outcome, _: Duration) {
        self.push(format!("{hub} {} {}", kind.as_str(), outcome.as_str()));
    }

    fn retried(&self) {
        self.push("retried");
    }

    fn abuse_protection_failed(&self) {
        self.push("abuse protection failed");
    }

    fn notification_dropped(&self, _: &Hub) {
        self.push("notification dropped");
    }

    fn listener_delivered(&self, _: &Hub) {
        self.push("listener delivered");
    }

    fn listener_dropped(&self, _: &Hub) {
        self.push("listener dropped");
    }
}

//! What happened in a run, line by line, if somebody wants to read it.

use std::fmt;

/// A line of a trace.
#[derive(Clone, Debug)]
pub struct Line {
    /// When. Milliseconds.
    pub time: u64,
    /// The clients concerned, by their numbers.
    pub clients: Vec<usize>,
    /// What.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8} ms  ", self.time)?;
        for client in &self.clients {
            write!(f, "client {client} ")?;
        }
        f.write_str(&self.text)
    }
}

/// The lines so far, or nothing at all where nobody reads them.
#[derive(Debug)]
pub(crate) struct Trace(Option<Vec<Line>>);

impl Trace {
    pub(crate) fn new(is_kept: bool) -> Self {
        Self(is_kept.then(Vec::new))
    }

    pub(crate) fn note(&mut self, time: u64, clients: &[usize], text: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.0 {
            lines.push(Line {
                time,
                clients: clients.to_vec(),
                text: text(),
            });
        }
    }

    pub(crate) fn into_lines(self) -> Vec<Line> {
        self.0.unwrap_or_default()
    }
}

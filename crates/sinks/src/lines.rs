//! JSON lines on the standard output or in a file. Source: events-and-operations 8.2.

mod file;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use hubwire_upstream::{ListenerEvent, Sink, SinkError, SinkFuture};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::json;
use file::FileOutput;

/// Time for the lines of a batch, and for those before it. A disk or a pipe that takes longer loses them.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Where lines go.
#[derive(Clone, Debug)]
pub(crate) enum Output {
    Stdout,
    File(PathBuf),
}

/// Writes events as lines, by a thread of its own: a file system or a pipe that hangs must not hold a thread of the runtime, nor
/// the end of the process.
pub(crate) struct LineSink {
    output: Output,
    writer: Mutex<Option<mpsc::Sender<Job>>>,
    /// Held while the thread has a job.
    turn: Arc<Semaphore>,
}

struct Job {
    turn: OwnedSemaphorePermit,
    lines: Vec<u8>,
    done: oneshot::Sender<Result<(), String>>,
}

impl LineSink {
    pub(crate) fn new(output: Output) -> Self {
        Self {
            output,
            writer: Mutex::new(None),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    async fn write(&self, events: &[ListenerEvent]) -> Result<(), String> {
        let mut lines = Vec::new();
        for event in events {
            json::append(event, &mut lines);
            lines.push(b'\n');
        }
        let turn = tokio::time::timeout(WRITE_TIMEOUT, self.turn.clone().acquire_owned());
        let Ok(Ok(turn)) = turn.await else {
            return Err(format!("{} takes no more", self.name()));
        };
        let (done, written) = oneshot::channel();
        self.send(Job { turn, lines, done })?;
        match tokio::time::timeout(WRITE_TIMEOUT, written).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(format!("the writer of {} is gone", self.name())),
            Err(_) => Err(format!("{} takes no more", self.name())),
        }
    }

    /// Gives a job to the thread, which is started for the first one.
    fn send(&self, job: Job) -> Result<(), String> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = match &*writer {
            Some(sender) => sender,
            None => {
                let (sender, receiver) = mpsc::channel();
                let output = self.output.clone();
                std::thread::Builder::new()
                    .name("event-lines".to_owned())
                    .spawn(move || run(output, &receiver))
                    .map_err(|error| format!("cannot start a thread: {error}"))?;
                writer.insert(sender)
            }
        };
        sender
            .send(job)
            .map_err(|_| format!("the writer of {} is gone", self.name()))
    }

    fn name(&self) -> String {
        match &self.output {
            Output::Stdout => "the standard output".to_owned(),
            Output::File(path) => path.display().to_string(),
        }
    }
}

impl Sink for LineSink {
    fn deliver<'a>(&'a self, events: &'a [ListenerEvent]) -> SinkFuture<'a> {
        Box::pin(async move {
            let outcome = self.write(events).await;
            outcome.map_err(|reason| SinkError::all(reason, events))
        })
    }
}

/// Does the jobs in turn until the sink is gone. There is at most one that waits.
fn run(output: Output, jobs: &mpsc::Receiver<Job>) {
    let mut file = match output {
        Output::Stdout => None,
        Output::File(path) => Some(FileOutput::new(path)),
    };
    while let Ok(Job { turn, lines, done }) = jobs.recv() {
        let outcome = match &mut file {
            Some(file) => file.write(&lines),
            None => write_to_stdout(&lines)
                .map_err(|error| format!("cannot write to the standard output: {error}")),
        };
        drop(turn);
        // Whoever waited may have given up.
        drop(done.send(outcome));
    }
}

fn write_to_stdout(lines: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(lines)?;
    stdout.flush()
}

//! JSON lines in files and on the standard output. Source: events-and-operations 8.2.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hubwire_sinks::{SinkSettings, sink};
use hubwire_upstream::{ListenerEvent, Sink};
use serde_json::Value;

use crate::support::{TEXT, user_event};

static FILES: AtomicUsize = AtomicUsize::new(0);
/// Makes the test below print, in a process of its own.
const PRINTS: &str = "HUBWIRE_TEST_PRINTS";

/// A path of which there is no file.
pub(crate) fn temporary(name: &str) -> PathBuf {
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sinks-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{name}-{number}.jsonl"))
}

pub(crate) fn file_sink(path: &Path) -> Arc<dyn Sink> {
    sink(SinkSettings::File(path.to_owned())).unwrap()
}

pub(crate) fn lines_of(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines().map(str::to_owned).collect()
}

fn events(ids: std::ops::Range<u64>) -> Vec<ListenerEvent> {
    ids.map(|id| user_event("c1", id, TEXT, b"hello")).collect()
}

fn ids(lines: &[String]) -> Vec<u64> {
    let id = |line: &String| {
        serde_json::from_str::<Value>(line).unwrap()["id"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    lines.iter().map(id).collect()
}

#[tokio::test]
async fn events_are_appended_in_their_order() {
    let path = temporary("order");
    std::fs::write(&path, "{\"id\":\"0\"}\n").unwrap();
    let sink = file_sink(&path);
    for range in [1..3, 3..4, 4..260] {
        sink.deliver(&events(range)).await.unwrap();
    }
    assert_eq!(ids(&lines_of(&path)), (0..260).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_file_that_was_rotated_away_is_made_anew() {
    let path = temporary("rotated");
    let away = path.with_extension("old");
    let sink = file_sink(&path);
    sink.deliver(&events(0..2)).await.unwrap();
    std::fs::rename(&path, &away).unwrap();
    sink.deliver(&events(2..4)).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "").unwrap();
    sink.deliver(&events(4..6)).await.unwrap();
    assert_eq!(ids(&lines_of(&away)), [0, 1]);
    assert_eq!(ids(&lines_of(&path)), [4, 5]);
}

#[tokio::test]
async fn a_file_that_was_cut_to_nothing_begins_anew() {
    let path = temporary("cut");
    let sink = file_sink(&path);
    sink.deliver(&events(0..2)).await.unwrap();
    std::fs::File::create(&path).unwrap();
    sink.deliver(&events(2..4)).await.unwrap();
    assert_eq!(ids(&lines_of(&path)), [2, 3]);
}

#[tokio::test]
async fn a_line_that_was_broken_off_does_not_spoil_the_next() {
    let path = temporary("torn");
    std::fs::write(&path, "{\"id\":").unwrap();
    file_sink(&path).deliver(&events(7..8)).await.unwrap();
    let lines = lines_of(&path);
    assert_eq!(lines[0], "{\"id\":");
    assert_eq!(ids(&lines[1..]), [7]);
}

#[tokio::test]
async fn a_folder_that_comes_later_is_waited_for() {
    let path = temporary("late").with_extension("").join("events.jsonl");
    let sink = file_sink(&path);
    let batch = events(0..1);
    let (outcome, ()) = tokio::join!(sink.deliver(&batch), async {
        // The first attempt has no chance; the last comes seconds later.
        tokio::task::yield_now().await;
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    });
    outcome.unwrap();
    assert_eq!(ids(&lines_of(&path)), [0]);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_loses_events_and_says_so() {
    let path = temporary("none").with_extension("").join("events.jsonl");
    let error = file_sink(&path).deliver(&events(0..2)).await.unwrap_err();
    assert_eq!(error.lost, [0, 1]);
    assert!(error.reason.contains(&*path.to_string_lossy()), "{error}");
}

#[tokio::test]
async fn a_pipe_is_refused_since_to_open_it_may_never_end() {
    let path = temporary("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    let error = file_sink(&path).deliver(&events(0..1)).await.unwrap_err();
    assert!(
        error
            .reason
            .ends_with("it is a pipe; write to a file or to the standard output"),
        "{error}"
    );
}

/// Prints for the next test.
#[tokio::test]
async fn prints_events_if_told_to() {
    if std::env::var_os(PRINTS).is_some() {
        let sink = sink(SinkSettings::Stdout).unwrap();
        for range in [0..2, 2..300] {
            sink.deliver(&events(range)).await.unwrap();
        }
    }
}

#[test]
fn the_standard_output_gets_lines() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lines::prints_events_if_told_to", "--nocapture"])
        .env(PRINTS, "yes")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    // The harness prints the name of the test, and no line break, first.
    let lines: Vec<String> = text
        .lines()
        .filter_map(|line| Some(line[line.find("{\"specversion\"")?..].to_owned()))
        .collect();
    assert_eq!(ids(&lines), (0..300).collect::<Vec<_>>());
}

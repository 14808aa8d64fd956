//! A file that lines are appended to, and that others may take away.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Duration;

/// Pauses before the attempts of a batch.
const PAUSES: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(3),
];
/// Events may hold what people say to each other: the owner writes, its group reads. Source: ours.
const MODE: u32 = 0o640;

/// Tells files apart: device and inode.
type FileId = (u64, u64);

pub(super) struct FileOutput {
    path: PathBuf,
    open: Option<(File, FileId)>,
}

/// How far the lines of a batch have come.
#[derive(Default)]
struct Progress {
    written: usize,
    /// The file that they are in.
    file: Option<FileId>,
}

impl FileOutput {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, open: None }
    }

    /// Appends lines by one write, unless that fails. Then the file is opened again and the rest is written.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), String> {
        let mut progress = Progress::default();
        let mut reason = String::new();
        for pause in PAUSES {
            std::thread::sleep(pause);
            match self.attempt(lines, &mut progress) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    self.open = None;
                    reason = format!("cannot write to {}: {error}", self.path.display());
                }
            }
        }
        Err(reason)
    }

    fn attempt(&mut self, lines: &[u8], progress: &mut Progress) -> io::Result<()> {
        if self.is_taken_away() {
            self.open = None;
        }
        let (file, id) = match &mut self.open {
            Some(open) => open,
            None => {
                let (mut file, id) = self.open()?;
                if progress.file != Some(id) {
                    // What is in another file by now ends with a line that may be broken off: that one is written again.
                    progress.written = start_of_line(lines, progress.written);
                    end_torn_line(&self.path, &mut file)?;
                }
                self.open.insert((file, id))
            }
        };
        progress.file = Some(*id);
        while progress.written < lines.len() {
            match file.write(&lines[progress.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => progress.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells whether the path names another file than the one that is open, or none: it was rotated.
    fn is_taken_away(&self) -> bool {
        self.open.as_ref().is_some_and(|(_, id)| {
            std::fs::metadata(&self.path).map_or(true, |found| file_id(&found) != *id)
        })
    }

    fn open(&self) -> io::Result<(File, FileId)> {
        if std::fs::metadata(&self.path).is_ok_and(|found| found.file_type().is_fifo()) {
            // To open one waits for its reader, without a bound.
            return Err(io::Error::other(
                "it is a pipe; write to a file or to the standard output",
            ));
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(MODE)
            .open(&self.path)?;
        let id = file_id(&file.metadata()?);
        Ok((file, id))
    }
}

fn file_id(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

fn start_of_line(lines: &[u8], at: usize) -> usize {
    let line_break = lines[..at].iter().rposition(|byte| *byte == b'\n');
    line_break.map_or(0, |index| index + 1)
}

/// Ends the last line of a file if whoever wrote it could not.
fn end_torn_line(path: &std::path::Path, file: &mut File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(());
    }
    // The file may be one that we write to but may not read.
    let mut last = [b'\n'];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut last, metadata.len() - 1));
    match (read, last) {
        (Ok(()), [b'\n']) | (Err(_), _) => Ok(()),
        (Ok(()), _) => file.write_all(b"\n"),
    }
}

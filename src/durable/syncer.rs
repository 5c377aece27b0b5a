//! Makes files durable while others are still being written: the disk works meanwhile.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::error::Error;

/// So many files wait at most, so that few are open.
const WAITING: usize = 16;
/// Bytes of a file after which the disk may begin with it.
const STEP: u64 = 128 << 20;

/// A thread that syncs the files it is given.
#[derive(Debug)]
pub struct Syncer {
    files: SyncSender<(File, PathBuf)>,
    thread: JoinHandle<Result<(), Error>>,
}

/// A file of which the disk writes the beginning while the rest is still to come.
#[derive(Debug)]
pub struct Paced<'a> {
    file: &'a File,
    path: &'a Path,
    syncer: Option<&'a Syncer>,
    since: u64,
}

impl Syncer {
    /// Starts the thread.
    pub fn start() -> Syncer {
        let (files, waiting) = sync_channel(WAITING);
        Syncer { files, thread: std::thread::spawn(move || sync_all(&waiting)) }
    }

    /// Hands it a file that is written; it lies at `path`.
    pub fn sync(&self, file: File, path: &Path) {
        // A thread that ended early has its error to tell at the end.
        let _ = self.files.send((file, path.to_owned()));
    }

    /// Waits until all files are durable.
    pub fn finish(self) -> Result<(), Error> {
        drop(self.files);
        self.thread.join().unwrap_or_else(|_| {
            let source = io::Error::other("the thread that syncs files failed");
            Err(Error::Io { doing: "syncing", path: PathBuf::new(), source })
        })
    }
}

impl<'a> Paced<'a> {
    /// Writes to `file`, which lies at `path`. Without a syncer that is all.
    pub fn new(file: &'a File, path: &'a Path, syncer: Option<&'a Syncer>) -> Paced<'a> {
        Paced { file, path, syncer, since: 0 }
    }
}

impl Write for Paced<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.since += written as u64;
        if let Some(syncer) = self.syncer.filter(|_| self.since >= STEP) {
            self.since = 0;
            let handle = self.file.try_clone()?;
            // A thread that is still busy with the last step takes this one with the next.
            let _ = syncer.files.try_send((handle, self.path.to_owned()));
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn sync_all(waiting: &Receiver<(File, PathBuf)>) -> Result<(), Error> {
    waiting.iter().try_for_each(|(file, path)| {
        // The error is told to one reader of the file alone, so it must not be lost. (Linux errseq_t)
        file.sync_data().map_err(|source| Error::Io { doing: "syncing", path, source })
    })
}

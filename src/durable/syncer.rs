//! Makes files durable while others are still being written: the disk works meanwhile.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::error::Error;

/// So many files wait at most, so that few are open.
const WAITING: usize = 16;

/// A thread that syncs the files it is given.
#[derive(Debug)]
pub struct Syncer {
    files: SyncSender<(File, PathBuf)>,
    thread: JoinHandle<Result<(), Error>>,
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
            let source = std::io::Error::other("the thread that syncs files failed");
            Err(Error::Io { doing: "syncing", path: PathBuf::new(), source })
        })
    }
}

fn sync_all(waiting: &Receiver<(File, PathBuf)>) -> Result<(), Error> {
    waiting.iter().try_for_each(|(file, path)| {
        // The error is told to one reader of the file alone, so it must not be lost. (Linux errseq_t)
        file.sync_all().map_err(|source| Error::Io { doing: "syncing", path, source })
    })
}

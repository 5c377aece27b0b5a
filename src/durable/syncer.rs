//! Makes files durable while others are still being written: the disk works meanwhile.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use super::error::Error;
use super::io_error::IoError;

/// Most files that wait, so that few are open.
const WAITING: usize = 16;
/// Bytes of a file after which the disk may begin with it.
const STEP: u64 = 128 << 20;

/// A thread that syncs the files it is given. Where no thread can be started, each file is synced at once.
#[derive(Debug)]
pub struct Syncer {
    thread: Option<Thread>,
    /// The first error without a thread.
    failed: Mutex<Result<(), Error>>,
}

/// A file that is written, and its path.
type Written = (File, PathBuf);
/// The thread, and the way to it.
type Thread = (SyncSender<Written>, JoinHandle<Result<(), Error>>);

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
        let thread = std::thread::Builder::new().spawn(move || waiting.iter().try_for_each(|file| sync(&file)));
        Syncer { thread: thread.ok().map(|thread| (files, thread)), failed: Mutex::new(Ok(())) }
    }

    /// Hands it a file that is written at `path`.
    pub fn sync(&self, file: File, path: &Path) {
        let written = (file, path.to_owned());
        match &self.thread {
            // A thread that ended early has its error to report at the end.
            Some((files, _)) => drop(files.send(written)),
            None => {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                if failed.is_ok() {
                    *failed = sync(&written);
                }
            }
        }
    }

    /// Waits until all files are durable.
    pub fn finish(self) -> Result<(), Error> {
        let Some((files, thread)) = self.thread else {
            return self.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        };
        drop(files);
        thread.join().unwrap_or_else(|_| {
            let source = io::Error::other("the thread that syncs files failed");
            Err(Error::Io(IoError { doing: "syncing", path: PathBuf::new(), source }))
        })
    }
}

impl<'a> Paced<'a> {
    /// Writes to `file`, which is at `path`. Without a syncer that is all.
    pub fn new(file: &'a File, path: &'a Path, syncer: Option<&'a Syncer>) -> Paced<'a> {
        Paced { file, path, syncer, since: 0 }
    }
}

impl Write for Paced<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.since += written as u64;
        if let Some((files, _)) = self.syncer.filter(|_| self.since >= STEP).and_then(|syncer| syncer.thread.as_ref()) {
            self.since = 0;
            let handle = self.file.try_clone()?;
            // A thread that is still busy with the last step takes this one with the next.
            let _ = files.try_send((handle, self.path.to_owned()));
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn sync((file, path): &Written) -> Result<(), Error> {
    // Only one reader of the file is given the error, so it must not be lost. (Linux errseq_t)
    file.sync_data().map_err(|source| Error::Io(IoError { doing: "syncing", path: path.clone(), source }))
}

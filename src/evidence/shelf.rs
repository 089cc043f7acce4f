//! A folder that holds so many files and bytes and no more: what is there stays, as somebody is about to look at it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Counters, Error};

/// Files of one sort in one folder.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    files: usize,
    bytes: u64,
    /// Bytes of the files that were stored: their number is counted.
    used: u64,
    /// Files that were promised a place.
    reserved: usize,
    counters: Counters,
    problem: Option<Error>,
}

impl Shelf {
    /// Makes the folder if it is not there, and tries whether it can be written to. What another run left in it does not
    /// count.
    pub(super) fn open(folder: PathBuf, files: usize, bytes: u64) -> Result<Self, Error> {
        fs::create_dir_all(&folder).map_err(|source| error(&folder, source))?;
        let trial = folder.join(".lockkeeper");
        fs::write(&trial, []).and_then(|()| fs::remove_file(&trial)).map_err(|source| error(&folder, source))?;
        Ok(Self { folder, files, bytes, used: 0, reserved: 0, counters: Counters::default(), problem: None })
    }

    /// Promises a place to a file that is to come. `false`: there is none for it.
    pub(super) fn reserve(&mut self) -> bool {
        let free = self.counters.files as usize + self.reserved < self.files;
        self.reserved += usize::from(free);
        self.counters.over_limit += u64::from(!free);
        free
    }

    /// Takes a promise back.
    pub(super) fn release(&mut self) {
        self.reserved = self.reserved.saturating_sub(1);
    }

    /// Stores a file that was promised a place. A reader sees all of it or nothing.
    pub(super) fn put(&mut self, name: &str, bytes: &[u8]) {
        self.release();
        let size = bytes.len() as u64;
        if self.used + size > self.bytes {
            self.counters.over_limit += 1;
            return;
        }
        let (path, part) = (self.folder.join(name), self.folder.join(format!(".{name}.part")));
        match fs::write(&part, bytes).and_then(|()| fs::rename(&part, &path)) {
            Ok(()) => {
                self.counters.files += 1;
                self.used += size;
            }
            Err(source) => {
                // A half that cannot be removed either is overwritten by the next of this name.
                let _ = fs::remove_file(&part);
                self.failed(&path, source);
            }
        }
    }

    /// What became of the files.
    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    /// The first thing that went wrong since this was asked last.
    pub(super) fn problem(&mut self) -> Option<Error> {
        self.problem.take()
    }

    fn failed(&mut self, path: &Path, source: io::Error) {
        self.counters.failed += 1;
        self.problem = self.problem.take().or_else(|| Some(error(path, source)));
    }
}

fn error(path: &Path, source: io::Error) -> Error {
    Error { path: path.display().to_string(), source }
}

//! A folder that holds so many files and bytes and no more.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Counters, Error, Full};

/// Files of one sort in one folder.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    files: usize,
    bytes: u64,
    full: Full,
    /// What is there and counts, the oldest first.
    stored: VecDeque<(PathBuf, u64)>,
    used: u64,
    /// Files that were promised a place.
    reserved: usize,
    counters: Counters,
    problem: Option<Error>,
}

impl Shelf {
    /// Makes the folder if it is not there, and tries whether it can be written to. Where the newest are kept, the files
    /// in it that are `ours` by their names count, and are removed in time; else they are what another run left.
    pub(super) fn open(
        folder: PathBuf,
        ours: impl Fn(&str) -> bool,
        files: usize,
        bytes: u64,
        full: Full,
    ) -> Result<Self, Error> {
        fs::create_dir_all(&folder).map_err(|source| error(&folder, source))?;
        let trial = folder.join(".lockkeeper");
        fs::write(&trial, []).and_then(|()| fs::remove_file(&trial)).map_err(|source| error(&folder, source))?;
        let stored = match full {
            Full::KeepOldest => VecDeque::new(),
            Full::KeepNewest => found(&folder, ours).map_err(|source| error(&folder, source))?,
        };
        let used = stored.iter().map(|(_, size)| size).sum();
        let (reserved, counters, problem) = (0, Counters::default(), None);
        Ok(Self { folder, files, bytes, full, stored, used, reserved, counters, problem })
    }

    /// Promises a place to a file that is to come. `false`: there is none for it.
    pub(super) fn reserve(&mut self) -> bool {
        let taken = match self.full {
            Full::KeepOldest => self.stored.len() + self.reserved,
            Full::KeepNewest => self.reserved,
        };
        let free = taken < self.files;
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
        if self.full == Full::KeepNewest {
            while self.stored.len() >= self.files || self.used + size > self.bytes {
                let Some((oldest, size)) = self.stored.pop_front() else { break };
                self.used -= size;
                self.remove(&oldest);
            }
        }
        if self.used + size > self.bytes {
            self.counters.over_limit += 1;
            return;
        }
        let (path, part) = (self.folder.join(name), self.folder.join(format!(".{name}.part")));
        match fs::write(&part, bytes).and_then(|()| fs::rename(&part, &path)) {
            Ok(()) => {
                self.counters.files += 1;
                self.used += size;
                self.stored.push_back((path, size));
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

    fn remove(&mut self, path: &Path) {
        match fs::remove_file(path) {
            Ok(()) => self.counters.removed += 1,
            // Somebody else tidied up.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => self.problem = self.problem.take().or_else(|| Some(error(path, source))),
        }
    }

    fn failed(&mut self, path: &Path, source: io::Error) {
        self.counters.failed += 1;
        self.problem = self.problem.take().or_else(|| Some(error(path, source)));
    }
}

/// The files with such names, the oldest first.
fn found(folder: &Path, ours: impl Fn(&str) -> bool) -> io::Result<VecDeque<(PathBuf, u64)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, data) = (entry.path(), entry.metadata()?);
        if data.is_file() && entry.file_name().to_str().is_some_and(&ours) {
            files.push((data.modified().unwrap_or(SystemTime::UNIX_EPOCH), path, data.len()));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path, size)| (path, size)).collect())
}

fn error(path: &Path, source: io::Error) -> Error {
    Error { path: path.display().to_string(), source }
}

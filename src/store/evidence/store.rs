//! Where the files go: what has room, what makes room, and what waits until the disk takes it.

use std::io;

use super::{Counters, Error, Settings};
use crate::fault::{self, Fault, FaultReport};
use crate::store::rotating_dir::{Limits, RotatingDir};

/// The files of one folder, and the promises that were made to some that are to come.
#[derive(Debug)]
pub(super) struct Store {
    dir: RotatingDir,
    rolling: bool,
    /// Files that are kept, at most.
    files: usize,
    promised: usize,
    counters: Counters,
    fault: Fault,
    /// Packet clock when a file could not be written.
    tried: i64,
    problem: Option<Error>,
}

impl Store {
    /// Opens the folder. In one that rolls, what an earlier run left counts; elsewhere it is none of our business.
    pub(super) fn open(settings: &Settings) -> Result<Self, Error> {
        let limits = Limits { files: settings.files, bytes: settings.bytes, is_ours };
        let name = format!("evidence {}", settings.folder.display());
        let mut dir = RotatingDir::new(settings.folder.clone(), limits);
        let mut fault = Fault::new("evidence.failed", name.clone());
        match if settings.rolling { dir.begin() } else { dir.try_it() } {
            Err(full) if settings.rolling && fault::is_full(&full) => fault.set(&full),
            opened => opened.map_err(|source| Error { name, source })?,
        }
        Ok(Self {
            dir,
            rolling: settings.rolling,
            files: settings.files,
            promised: 0,
            counters: Counters::default(),
            fault,
            tried: i64::MIN,
            problem: None,
        })
    }

    /// Promises a place to a file that is to come, while those that wait hold so many bytes. `false`: there is none for it.
    pub(super) fn reserve(&mut self, held: impl FnOnce() -> u64) -> bool {
        let free = if self.rolling {
            self.promised < MOST_PROMISED && held() < MOST_HELD
        } else {
            self.dir.files() + self.promised < self.files
        };
        self.promised += usize::from(free);
        self.counters.over_limit += u64::from(!free);
        free
    }

    /// Takes a promise back.
    pub(super) fn release(&mut self) {
        self.promised = self.promised.saturating_sub(1);
    }

    /// Whether a file may be tried, when it is `clock`: a disk that refuses is not asked all the time.
    pub(super) fn may_try(&self, clock: i64) -> bool {
        !self.fault.is_active() || clock >= self.tried.saturating_add(TRIED_EVERY)
    }

    /// Stores a file that was promised a place. `false`: it should be tried again later.
    pub(super) fn put(&mut self, name: &str, content: &[u8], clock: i64) -> bool {
        match self.store(name, content) {
            Ok(fits) => {
                self.fault.clear();
                self.counters.files += u64::from(fits);
                self.counters.over_limit += u64::from(!fits);
            }
            Err(source) if self.rolling => {
                self.fault.set(&source);
                self.tried = clock;
                return false;
            }
            Err(source) => {
                self.counters.failed += 1;
                self.problem = self.problem.take().or_else(|| Some(self.error(name, source)));
            }
        }
        self.release();
        true
    }

    /// Nothing is tried again: gives up a file that waits.
    pub(super) fn give_up(&mut self, name: &str) {
        let why = self.fault.report().map_or_else(String::new, |told| told.why);
        self.counters.failed += 1;
        self.problem = self.problem.take().or_else(|| Some(self.error(name, io::Error::other(why))));
        self.release();
    }

    /// `false`: it is too large, or too much is there already.
    fn store(&mut self, name: &str, content: &[u8]) -> io::Result<bool> {
        let size = content.len() as u64;
        if !self.rolling {
            let fits = self.dir.has_room(size);
            return if fits { self.dir.put(name, content).map(|()| true) } else { Ok(false) };
        }
        self.roll(name, content).or_else(|_| {
            // The folder may have gone away, or somebody may have put another in its place.
            self.dir.begin()?;
            self.roll(name, content)
        })
    }

    fn roll(&mut self, name: &str, content: &[u8]) -> io::Result<bool> {
        let fits = self.dir.make_room(content.len() as u64)?;
        if fits { self.dir.put(name, content).map(|()| true) } else { Ok(false) }
    }

    /// What became of the files.
    pub(super) fn counters(&self) -> Counters {
        Counters { rotated: self.dir.removed(), ..self.counters }
    }

    /// What keeps files from being written now.
    pub(super) fn fault(&self) -> Option<FaultReport> {
        self.fault.report()
    }

    /// The first thing that went wrong for good since this was asked last.
    pub(super) fn problem(&mut self) -> Option<Error> {
        self.problem.take()
    }

    fn error(&self, name: &str, source: io::Error) -> Error {
        Error { name: format!("evidence {}", self.dir.path(name).display()), source }
    }
}

/// `RULE-ID.pcapng`: a rule in lower case with dots and dashes, 32 digits of an id.
fn is_ours(name: &str) -> bool {
    let parts = name.strip_suffix(".pcapng").and_then(|stem| stem.rsplit_once('-'));
    parts.is_some_and(|(rule, id)| {
        let is_word = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || b".-".contains(&letter);
        rule.contains('.')
            && rule.bytes().all(is_word)
            && id.len() == 32
            && id.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

/// Files of a folder that rolls that wait to be complete or to be written, and the bytes that they may hold by then.
const MOST_PROMISED: usize = 1024;
const MOST_HELD: u64 = 64 << 20;

/// How long a disk that refused a file is left alone, nanoseconds of packet time.
const TRIED_EVERY: i64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_named_after_rule_and_id_are_ours() {
        let id = "0123456789abcdef0123456789abcdef";
        assert!(is_ours(&format!("flow.undeclared-peer-{id}.pcapng")));
        for name in [id.to_owned(), format!("{id}.pcapng"), format!("flow-{id}.pcapng"), "a.b-12.pcapng".to_owned()] {
            assert!(!is_ours(&name), "{name}");
        }
        assert!(!is_ours(&format!("Flow.x-{id}.pcapng")) && !is_ours(&format!("flow.x-{id}.pcap")));
    }

    #[test]
    fn a_file_that_the_disk_refuses_is_tried_again_and_told_until_it_is_written() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("evidence");
        let captures = Vec::new();
        let settings = Settings { folder: path.clone(), packets: 1, files: 2, bytes: 100, captures, rolling: true };
        let mut store = Store::open(&settings).expect("a folder");
        std::fs::remove_dir(&path).and_then(|()| std::fs::write(&path, "in the way")).expect("in the way");
        let name = "flow.undeclared-peer-0123456789abcdef0123456789abcdef.pcapng";
        assert!(store.reserve(|| 0) && !store.put(name, &[1; 10], 0));
        assert_eq!(store.fault().map(|told| told.what), Some("evidence.failed"));
        assert!(!store.may_try(TRIED_EVERY - 1) && store.may_try(TRIED_EVERY));
        std::fs::remove_file(&path).expect("out of the way");
        assert!(store.put(name, &[1; 10], TRIED_EVERY));
        assert!(store.fault().is_none() && store.problem().is_none() && path.join(name).exists());
        assert_eq!(store.counters(), Counters { files: 1, ..Counters::default() });
    }
}

//! The folder of evidence files: which file has room, which ones are deleted for it, and which ones are retried.

use std::io;

use super::{Counters, Error, Settings};
use crate::fault::{self, Fault, FaultReport};
use crate::store::rotating_dir::{Limits, RotatingDir};

/// The files of one folder, and the room reserved for files that are being collected.
#[derive(Debug)]
pub(super) struct Store {
    dir: RotatingDir,
    rolling: bool,
    /// Number of files, at most.
    files: usize,
    /// Files with reserved room.
    reserved: usize,
    counters: Counters,
    fault: Fault,
    /// Packet clock of the latest failure.
    failed_at: i64,
    problem: Option<Error>,
}

impl Store {
    /// Opens the folder. The files of earlier runs count if it is rolling, and are left alone otherwise.
    pub(super) fn open(settings: &Settings) -> Result<Self, Error> {
        let limits = Limits { files: settings.files, bytes: settings.bytes, is_ours };
        let name = format!("evidence {}", settings.folder.display());
        let mut dir = RotatingDir::new(settings.folder.clone(), limits);
        let mut fault = Fault::new("evidence.failed", name.clone());
        match if settings.rolling { dir.open() } else { dir.check_writable() } {
            Err(full) if settings.rolling && fault::is_full(&full) => fault.set(&full),
            opened => opened.map_err(|source| Error { name, source })?,
        }
        Ok(Self {
            dir,
            rolling: settings.rolling,
            files: settings.files,
            reserved: 0,
            counters: Counters::default(),
            fault,
            failed_at: i64::MIN,
            problem: None,
        })
    }

    /// Reserves room for a file that is to be collected; `held` gives the bytes that collections hold. `false`: there is no
    /// room, which is counted.
    pub(super) fn reserve(&mut self, held: impl FnOnce() -> u64) -> bool {
        let free = if self.rolling {
            self.reserved < MAX_RESERVED && held() < MAX_HELD
        } else {
            self.dir.files() + self.reserved < self.files
        };
        self.reserved += usize::from(free);
        self.counters.over_limit += u64::from(!free);
        free
    }

    /// Releases the room of one file.
    pub(super) fn release(&mut self) {
        self.reserved = self.reserved.saturating_sub(1);
    }

    /// Whether a file may be written at the packet clock `clock`: failures are retried after a pause.
    pub(super) fn may_write(&self, clock: i64) -> bool {
        !self.fault.is_active() || clock >= self.failed_at.saturating_add(RETRY_INTERVAL)
    }

    /// Writes a file with reserved room. `false`: it has to be written again later.
    pub(super) fn write(&mut self, name: &str, content: &[u8], clock: i64) -> bool {
        match self.try_write(name, content) {
            Ok(fits) => {
                self.fault.clear();
                self.counters.files += u64::from(fits);
                self.counters.over_limit += u64::from(!fits);
            }
            Err(source) if self.rolling => {
                self.fault.set(&source);
                self.failed_at = clock;
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

    /// Gives up a file that could not be written.
    pub(super) fn give_up(&mut self, name: &str) {
        let why = self.fault.report().map_or_else(String::new, |fault| fault.why);
        self.counters.failed += 1;
        self.problem = self.problem.take().or_else(|| Some(self.error(name, io::Error::other(why))));
        self.release();
    }

    /// Writes a file if it has room; `false`: it has none.
    fn try_write(&mut self, name: &str, content: &[u8]) -> io::Result<bool> {
        let size = content.len() as u64;
        if !self.rolling {
            let fits = self.dir.has_room(size);
            return if fits { self.dir.write(name, content).map(|()| true) } else { Ok(false) };
        }
        self.write_rolling(name, content).or_else(|_| {
            // The folder may have been removed or replaced.
            self.dir.open()?;
            self.write_rolling(name, content)
        })
    }

    /// Deletes the oldest files for a new one, and writes it; `false`: it is larger than the folder may be.
    fn write_rolling(&mut self, name: &str, content: &[u8]) -> io::Result<bool> {
        let fits = self.dir.make_room(content.len() as u64)?;
        if fits { self.dir.write(name, content).map(|()| true) } else { Ok(false) }
    }

    /// The files so far, by outcome.
    pub(super) fn counters(&self) -> Counters {
        Counters { rotated: self.dir.removed(), ..self.counters }
    }

    /// The current failure, while it is being retried.
    pub(super) fn fault(&self) -> Option<FaultReport> {
        self.fault.report()
    }

    /// Takes the first permanent failure since the last call.
    pub(super) fn take_problem(&mut self) -> Option<Error> {
        self.problem.take()
    }

    fn error(&self, name: &str, source: io::Error) -> Error {
        Error { name: format!("evidence {}", self.dir.path(name).display()), source }
    }
}

/// Whether a name has the form `RULE-ID.pcapng`: a rule in lower case with dots and dashes, and 32 hexadecimal digits.
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

/// Files of a rolling folder that may be collected or retried at once.
const MAX_RESERVED: usize = 1024;
/// Bytes of collected packets from which on a rolling folder starts no further collection.
const MAX_HELD: u64 = 64 << 20;

/// The pause before a failed write is retried, nanoseconds of packet time.
const RETRY_INTERVAL: i64 = 1_000_000_000;

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
    fn a_failed_write_is_retried_and_reported_until_it_succeeds() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("evidence");
        let captures = Vec::new();
        let settings = Settings { folder: path.clone(), packets: 1, files: 2, bytes: 100, captures, rolling: true };
        let mut store = Store::open(&settings).expect("a folder");
        std::fs::remove_dir(&path).and_then(|()| std::fs::write(&path, "in the way")).expect("in the way");
        let name = "flow.undeclared-peer-0123456789abcdef0123456789abcdef.pcapng";
        assert!(store.reserve(|| 0) && !store.write(name, &[1; 10], 0));
        assert_eq!(store.fault().map(|fault| fault.what), Some("evidence.failed"));
        assert!(!store.may_write(RETRY_INTERVAL - 1) && store.may_write(RETRY_INTERVAL));
        std::fs::remove_file(&path).expect("out of the way");
        assert!(store.write(name, &[1; 10], RETRY_INTERVAL));
        assert!(store.fault().is_none() && store.take_problem().is_none() && path.join(name).exists());
        assert_eq!(store.counters(), Counters { files: 1, ..Counters::default() });
    }
}

//! A policy that may change while the sensor runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::policy::{Policy, Severity};

/// The file that a policy is read from.
pub(super) struct PolicyFile {
    path: PathBuf,
    /// What it looked like when it was read last.
    read: Option<Stamp>,
    /// What it looked like the last time: a file that is still being written changes from look to look.
    seen: Option<Stamp>,
}

/// What changes when a file does.
type Stamp = (SystemTime, u64);

/// What came of looking at it.
pub(super) enum Reload {
    /// The policy is the same.
    Unchanged,
    /// Another policy.
    Changed(Arc<Policy>),
    /// A policy that cannot be used.
    Rejected {
        /// How many mistakes it has.
        errors: u64,
        /// The first of them.
        first: String,
    },
}

impl PolicyFile {
    /// A file that was just read.
    pub(super) fn new(path: &Path) -> Self {
        let now = stamp(path);
        Self { path: path.to_owned(), read: now, seen: now }
    }

    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Reads the file again if it has changed since, and no longer changes; or if somebody `asked` for it.
    pub(super) fn look(&mut self, asked: bool, current: &Policy) -> Reload {
        let now = stamp(&self.path);
        let settled = now == std::mem::replace(&mut self.seen, now);
        if !asked && (now == self.read || now.is_none() || !settled) {
            return Reload::Unchanged;
        }
        self.read = now;
        match Policy::load(&self.path) {
            Ok(policy) if policy.sha256 == current.sha256 => Reload::Unchanged,
            Ok(policy) => Reload::Changed(Arc::new(policy)),
            Err(found) => {
                let errors = found.count(Severity::Error);
                let first = found.to_string().lines().next().unwrap_or_default().to_owned();
                Reload::Rejected { errors: errors as u64, first }
            }
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a test ends where its ground is missing")]
mod tests {
    use super::*;

    const POLICY: &str = "schema = \"lockkeeper-policy/1\"\npolicy = { id = \"P\", version = \"1\" }\nzone.a.networks = [\"10.0.0.0/24\"]\n";

    fn file(text: &str) -> (tempfile::NamedTempFile, Policy) {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(file.path(), text).expect("written");
        let policy = Policy::load(file.path()).expect("sound");
        (file, policy)
    }

    #[test]
    fn a_file_that_is_still_written_is_read_when_it_no_longer_changes() {
        let (file, policy) = file(POLICY);
        let mut watched = PolicyFile::new(file.path());
        assert!(matches!(watched.look(false, &policy), Reload::Unchanged));
        fs::write(file.path(), POLICY.replace("version = \"1\"", "version = \"22\"")).expect("written");
        assert!(matches!(watched.look(false, &policy), Reload::Unchanged), "it has just changed");
        let Reload::Changed(changed) = watched.look(false, &policy) else { panic!("it was not read") };
        assert_eq!(changed.version, "22");
        assert!(matches!(watched.look(false, &changed), Reload::Unchanged), "it is read once");
    }

    #[test]
    fn whoever_asks_need_not_wait_and_the_same_policy_is_no_change() {
        let (file, policy) = file(POLICY);
        let mut watched = PolicyFile::new(file.path());
        assert!(matches!(watched.look(true, &policy), Reload::Unchanged));
        fs::write(file.path(), POLICY.replace("\"P\"", "\"Q\"")).expect("written");
        assert!(matches!(watched.look(true, &policy), Reload::Changed(_)));
    }

    #[test]
    fn mistakes_are_counted_and_the_first_is_told_with_its_place() {
        let (file, policy) = file(POLICY);
        let mut watched = PolicyFile::new(file.path());
        fs::write(file.path(), format!("{POLICY}zoen.b = 1\nzone.c.networsk = []\n")).expect("written");
        let Reload::Rejected { errors, first } = watched.look(true, &policy) else { panic!("it was accepted") };
        assert!(errors >= 2 && first.contains(":4:1: error: "), "{errors} {first}");
        fs::remove_file(file.path()).expect("removed");
        assert!(matches!(watched.look(false, &policy), Reload::Unchanged), "a missing file changes nothing by itself");
        fs::write(file.path(), POLICY).expect("written, so that it can be removed");
    }
}

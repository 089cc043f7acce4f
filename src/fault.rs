//! Failures of outputs that are retried: logged when they begin and when they end, and reported by the health page in
//! between.

use std::fmt::Display;
use std::io::{self, ErrorKind};

/// The state of an operation that can fail and is retried, such as writing a file.
#[derive(Clone, Debug)]
pub struct Fault {
    what: &'static str,
    subject: String,
    /// The current reason, while the operation fails.
    why: Option<String>,
}

/// An active fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultReport {
    /// A stable name for programs, such as `output.failed`.
    pub what: &'static str,
    /// The file or folder.
    pub subject: String,
    /// The reason, as the operating system words it.
    pub why: String,
}

impl Fault {
    /// An operation that has not failed yet. `what` is the name of its failure, `subject` the file or folder.
    pub const fn new(what: &'static str, subject: String) -> Self {
        Self { what, subject, why: None }
    }

    /// Notes that the operation fails for this reason. Logs the reason if it is new.
    pub fn set(&mut self, reason: &dyn Display) {
        let reason = reason.to_string();
        if self.why.as_ref() != Some(&reason) {
            tracing::warn!("{}: {reason}; it is tried again", self.subject);
            self.why = Some(reason);
        }
    }

    /// Notes that the operation has succeeded.
    pub fn clear(&mut self) {
        if self.why.take().is_some() {
            tracing::warn!("{} can be written again", self.subject);
        }
    }

    /// Whether the operation fails now.
    pub const fn is_active(&self) -> bool {
        self.why.is_some()
    }

    /// The fault, if it is active.
    pub fn report(&self) -> Option<FaultReport> {
        let Self { what, subject, why } = self;
        why.clone().map(|why| FaultReport { what, subject: subject.clone(), why })
    }
}

impl FaultReport {
    /// Subject and reason, for people.
    pub fn message(&self) -> String {
        format!("{}: {}", self.subject, self.why)
    }
}

/// Whether the disk is full: not a mistake in the configuration, and worth retrying.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_reported_until_it_is_cleared() {
        let mut fault = Fault::new("output.failed", "alerts.jsonl".to_owned());
        assert_eq!((fault.is_active(), fault.report()), (false, None));
        fault.set(&"no space left on device");
        let report = fault.report().expect("an active fault");
        assert_eq!(
            (report.what, report.message()),
            ("output.failed", "alerts.jsonl: no space left on device".to_owned())
        );
        fault.clear();
        assert!(!fault.is_active());
    }
}

//! What keeps a part of a running sensor from its work: logged once when it begins and once when it is over, and reported
//! by the health page in between.

use std::fmt::Display;
use std::io::{self, ErrorKind};

/// The state of one piece of work that can fail and is retried, such as writing a file.
#[derive(Clone, Debug)]
pub struct Fault {
    what: &'static str,
    subject: String,
    /// The current reason, while the work fails.
    why: Option<String>,
}

/// A fault that is active now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultReport {
    /// A stable word for programs, such as `output.failed`.
    pub what: &'static str,
    /// The file or folder.
    pub subject: String,
    /// The reason, as the operating system words it.
    pub why: String,
}

impl Fault {
    /// Work that has not failed yet. `what` is the word for its failure, `subject` the file or folder.
    pub const fn new(what: &'static str, subject: String) -> Self {
        Self { what, subject, why: None }
    }

    /// Notes that the work fails for this reason. Logs it unless it is the reason of before.
    pub fn set(&mut self, reason: &dyn Display) {
        let reason = reason.to_string();
        if self.why.as_ref() != Some(&reason) {
            tracing::warn!("{}: {reason}; it is tried again", self.subject);
            self.why = Some(reason);
        }
    }

    /// Notes that the work was done.
    pub fn clear(&mut self) {
        if self.why.take().is_some() {
            tracing::warn!("{} can be written again", self.subject);
        }
    }

    /// Whether the work fails now.
    pub const fn is_active(&self) -> bool {
        self.why.is_some()
    }

    /// The fault, if the work fails now.
    pub fn report(&self) -> Option<FaultReport> {
        let Self { what, subject, why } = self;
        why.clone().map(|why| FaultReport { what, subject: subject.clone(), why })
    }
}

impl FaultReport {
    /// A sentence for people.
    pub fn message(&self) -> String {
        format!("{}: {}", self.subject, self.why)
    }
}

/// Whether the disk has no room: no mistake in the configuration, and over when there is room again.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_known_until_it_is_over() {
        let mut fault = Fault::new("output.failed", "alerts.jsonl".to_owned());
        assert_eq!((fault.is_active(), fault.report()), (false, None));
        fault.set(&"no space left on device");
        let report = fault.report().expect("something is wrong");
        assert_eq!(
            (report.what, report.message()),
            ("output.failed", "alerts.jsonl: no space left on device".to_owned())
        );
        fault.clear();
        assert!(!fault.is_active());
    }
}

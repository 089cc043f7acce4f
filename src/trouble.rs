//! What keeps a part of a running sensor from its work: told in the log once when it begins and once when it is over, and
//! known in between to whoever asks how the sensor is.

use std::fmt::Display;
use std::io::{self, ErrorKind};

/// The work that may be kept from going on, and what keeps it at present.
#[derive(Clone, Debug)]
pub struct Trouble {
    what: &'static str,
    subject: String,
    why: Option<String>,
}

/// Something that is wrong now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// A stable word for programs, such as `output.failed`.
    pub what: &'static str,
    /// The file or folder.
    pub subject: String,
    /// What the system said.
    pub why: String,
}

impl Trouble {
    /// Nothing is wrong yet. `what`: the word for it when it is; `subject`: the file or folder.
    pub const fn new(what: &'static str, subject: String) -> Self {
        Self { what, subject, why: None }
    }

    /// The work cannot be done for this reason.
    pub fn is(&mut self, reason: &dyn Display) {
        let reason = reason.to_string();
        if self.why.as_ref() != Some(&reason) {
            tracing::warn!("{}: {reason}; it is tried again", self.subject);
            self.why = Some(reason);
        }
    }

    /// The work was done.
    pub fn is_over(&mut self) {
        if self.why.take().is_some() {
            tracing::warn!("{} can be written again", self.subject);
        }
    }

    /// Whether something is wrong now.
    pub const fn is_there(&self) -> bool {
        self.why.is_some()
    }

    /// What is wrong now.
    pub fn told(&self) -> Option<Told> {
        let Self { what, subject, why } = self;
        why.clone().map(|why| Told { what, subject: subject.clone(), why })
    }
}

impl Told {
    /// A sentence for people.
    pub fn message(&self) -> String {
        format!("{}: {}", self.subject, self.why)
    }
}

/// A disk that has no room: no mistake of whoever named a place on it, and over when there is room again.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_known_until_it_is_over() {
        let mut trouble = Trouble::new("output.failed", "alerts.jsonl".to_owned());
        assert_eq!((trouble.is_there(), trouble.told()), (false, None));
        trouble.is(&"no space left on device");
        let told = trouble.told().expect("something is wrong");
        assert_eq!((told.what, told.message()), ("output.failed", "alerts.jsonl: no space left on device".to_owned()));
        trouble.is_over();
        assert!(!trouble.is_there());
    }
}

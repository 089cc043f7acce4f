//! The worst violations of a run, for its summary.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::record::{Kind, Rendered, Severity};

/// Keeps the latest revision of each of the worst violations.
#[derive(Clone, Debug, Default)]
pub struct Highlights {
    /// By severity (worst first), then by order of appearance.
    kept: BTreeMap<(Reverse<Severity>, u64), Rendered>,
    seen: u64,
}

/// One violation, as the summary shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Highlight {
    /// The sentence of the alert.
    pub message: String,
    /// Occurrences.
    pub count: u64,
}

impl Highlights {
    /// Takes one revision of an alert.
    pub fn take(&mut self, alert: Rendered) {
        if alert.kind != Kind::Violation {
            return;
        }
        let same = |(_, known): &(_, &mut Rendered)| known.id == alert.id;
        if let Some((_, known)) = self.kept.iter_mut().find(same) {
            *known = alert;
            return;
        }
        self.seen += 1;
        self.kept.insert((Reverse(alert.severity), self.seen), alert);
        if self.kept.len() > KEPT {
            self.kept.pop_last();
        }
    }

    /// The violations with their severity: the worst first, those of one severity in order of appearance.
    pub fn worst(&self) -> impl Iterator<Item = (Severity, Highlight)> + '_ {
        self.kept.values().filter_map(|alert| Some((alert.severity, serde_json::from_slice(&alert.json).ok()?)))
    }
}

/// Most violations that are kept.
const KEPT: usize = 20;

//! `even_minutes = true`: the flow permits only in minutes with an even number. It proves the seam from the file to the
//! verdict, and is the model of a condition; no policy can write it outside of tests.

use std::sync::Arc;

use super::{Condition, Moment};
use crate::document::section::Section;
use crate::policy::Rule;
use crate::policy::model::Declared;

#[derive(Debug)]
struct EvenMinutes;

pub(super) fn read(section: &mut Section<'_>, _: &Declared) -> Option<Arc<dyn Condition>> {
    section.flag("even_minutes")?.then(|| Arc::new(EvenMinutes) as _)
}

impl Condition for EvenMinutes {
    fn holds(&self, at: &Moment<'_>) -> bool {
        at.time.div_euclid(MINUTE) % 2 == 0
    }

    fn rule(&self) -> Rule {
        // A condition of the language has a rule of its own.
        Rule::ConduitUndeclared
    }

    fn text(&self) -> String {
        "only in even minutes".to_owned()
    }
}

/// Nanoseconds.
const MINUTE: i64 = 60_000_000_000;

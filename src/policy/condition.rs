//! Conditions of a declared flow: what must hold at the time of a packet for the flow to permit anything.
//!
//! A condition is one file below this module and one row of [`CONDITIONS`]. Its file reads its key from `[[conduit.*.flow]]`,
//! and defines when it holds, which rule a packet outside of it violates, and the text of the alert. Parsing, judging,
//! messages and the plain permit use this module only, so that a new condition needs no edit there. It needs a rule of its
//! own in the table of rules, and its key in the reference of `rules/README.md`.
//!
//! A flow with conditions decides in full on every operation: [`Policy::flow_verdict`] never makes it the one flow by which
//! operations are permitted plainly. A condition depends on packet time and on what the policy declares, never on the
//! present time; what needs a memory across conversations, such as a rate, is judged by the correlator.

#[cfg(test)]
mod even_minutes;

use std::fmt;
use std::sync::Arc;

use super::flow_verdict::Candidate;
use super::model::Declared;
use super::{Denial, Policy, Reason, Rule, Verdict};
use crate::document::section::Section;

/// One condition of one flow.
pub trait Condition: fmt::Debug + Send + Sync {
    /// Whether the flow permits what it permits at this moment.
    fn holds(&self, at: &Moment<'_>) -> bool;

    /// The rule that anything outside of the condition violates.
    fn rule(&self) -> Rule;

    /// The condition as the end of a sentence that begins with `flow F-101 permits this `: `only on weekdays`.
    fn text(&self) -> String;
}

/// What a condition may depend on.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// Time of the packet, nanoseconds since 1970-01-01 UTC.
    pub time: i64,
    /// The flow (index) whose condition is evaluated.
    pub flow: u16,
    /// The policy that declares the flow: its schedules, grants and time zone.
    pub declared: &'a Declared,
}

/// The conditions of one flow, in the order of `CONDITIONS`.
#[derive(Clone, Debug, Default)]
pub struct Conditions(Vec<Arc<dyn Condition>>);

/// Reads one condition from the table of a flow: none where its key is not there. `declared` holds every section that the
/// file's walk reads before conduits, so that a condition can refer to a schedule by name.
type Reader = fn(&mut Section<'_>, declared: &Declared) -> Option<Arc<dyn Condition>>;

/// Every condition of the language, one row each.
const CONDITIONS: &[Reader] = &[
    #[cfg(test)]
    even_minutes::read,
];

impl Conditions {
    /// Reads the conditions of a flow; mistakes are noted in the section.
    pub(super) fn read(section: &mut Section<'_>, declared: &Declared) -> Self {
        Self(CONDITIONS.iter().filter_map(|read| read(section, declared)).collect())
    }

    /// `, only on weekdays`: what is written of them.
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|condition| format!(", {}", condition.text())).collect()
    }

    /// Whether the flow permits at any time.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first condition that does not hold.
    fn unmet(&self, at: &Moment<'_>) -> Option<&dyn Condition> {
        self.0.iter().find(|condition| !condition.holds(at)).map(|condition| &**condition)
    }

    /// The condition that makes a rule violated.
    fn of_rule(&self, rule: Rule) -> Option<&dyn Condition> {
        self.0.iter().find(|condition| condition.rule() == rule).map(|condition| &**condition)
    }
}

impl Policy {
    /// Whether a flow permits only under conditions.
    pub(super) fn has_conditions(&self, flow: u16) -> bool {
        self.flow(flow).is_some_and(|flow| !flow.conditions.is_empty())
    }

    /// The denial of everything that a flow permits, by its first condition that does not hold at a packet's time,
    /// nanoseconds since 1970-01-01 UTC. `undeclared_operation` does not apply: conditions are always meant.
    pub(super) fn denied_by_condition(&self, flow: u16, time: i64) -> Option<Verdict> {
        let conditions = self.flow(flow).map(|flow| &flow.conditions).filter(|conditions| !conditions.is_empty())?;
        let unmet = conditions.unmet(&Moment { time, flow, declared: &self.declared })?;
        Some(Verdict::Deny(Denial { rule: unmet.rule(), flow: Some(flow), reason: Reason::Plain }))
    }

    /// The permit by the first of some flows whose conditions hold, else the denial by the first flow; `None` of no flow.
    pub(super) fn permit_in_condition<'r>(
        &self,
        flows: impl Iterator<Item = &'r Candidate>,
        time: i64,
    ) -> Option<Verdict> {
        let mut denied = None;
        for one in flows {
            match self.denied_by_condition(one.flow, time) {
                None => return Some(Verdict::Permit { flow: Some(one.flow) }),
                denial => denied = denied.or(denial),
            }
        }
        denied
    }

    /// The sentence about a denial by a condition; none where no condition denied.
    pub(super) fn condition_message(&self, denial: &Denial) -> Option<String> {
        let flow = self.flow(denial.flow?)?;
        let condition = flow.conditions.of_rule(denial.rule)?;
        Some(format!("flow {} permits this {}", flow.id, condition.text()))
    }
}

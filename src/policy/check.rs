//! `lockkeeper policy check`: all mistakes of a policy, or its summary.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use super::Policy;
use super::diagnose::Severity;
use super::dialect::DIALECTS;
use super::explain::protocol_text;
use super::model::Flow;
use crate::document::suggest::list;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All policies load, perhaps with warnings: exit status 0.
    Sound,
    /// At least one policy does not load: exit status 2.
    Unsound,
}

/// Checks policies. Summaries go to `report`, errors and warnings to `diagnostics`.
pub fn check(
    paths: &[PathBuf],
    colour: bool,
    report: &mut dyn io::Write,
    diagnostics: &mut dyn io::Write,
) -> io::Result<Outcome> {
    let mut outcome = Outcome::Sound;
    for path in paths {
        match Policy::load(path) {
            Ok(policy) => {
                write!(diagnostics, "{}", policy.warnings().render(colour))?;
                write!(report, "{}: sound: {}", path.display(), policy.summary())?;
            }
            Err(wrong) => {
                outcome = Outcome::Unsound;
                write!(diagnostics, "{}", wrong.render(colour))?;
                let errors = wrong.count(Severity::Error) + wrong.left_out;
                let plural = if errors == 1 { "" } else { "s" };
                writeln!(diagnostics, "{}: {errors} error{plural}: this policy cannot be used", path.display())?;
            }
        }
    }
    Ok(outcome)
}

impl Policy {
    /// A summary for people: the policy's identity and counts, and what the flows of each conduit permit.
    pub fn summary(&self) -> String {
        let declared = &self.declared;
        let mut text = format!("{} {}\n", self.id, self.version);
        let counts = [
            (declared.zones.len(), "zone"),
            (declared.assets.len(), "asset"),
            (declared.points.len(), "point"),
            (declared.conduits.len(), "conduit"),
            (declared.flows.len(), "flow"),
            (declared.grants.len(), "grant"),
            (declared.exceptions.len(), "exception"),
        ];
        let counts: Vec<String> = counts.into_iter().filter(|(count, _)| *count > 0).map(counted).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {}", list(counts.iter().map(String::as_str)));
        for (at, conduit) in (0u16..).zip(&declared.conduits) {
            let zones = list(conduit.zones.iter().map(|&zone| self.zone_name(Some(zone))));
            let _ = writeln!(text, "  {} ({zones})", conduit.name);
            for flow in declared.flows.iter().filter(|flow| flow.conduit == at) {
                self.summarise(flow, &mut text);
            }
        }
        text
    }

    fn summarise(&self, flow: &Flow, text: &mut String) {
        let hosts = |endpoints: &[_]| {
            let names: Vec<String> = endpoints.iter().map(|endpoint| self.endpoint_text(endpoint)).collect();
            list(names.iter().map(String::as_str))
        };
        let (from, to, protocol) = (hosts(&flow.from), hosts(&flow.to), protocol_text(flow));
        let session: String = DIALECTS.iter().map(|dialect| dialect.session_text(&flow.session)).collect();
        let (conditions, kept) = (flow.conditions.text(), self.not_judged_yet(flow));
        let _ = writeln!(text, "    {}: {from} -> {to}, {protocol}{session}{conditions}{kept}", flow.id);
        for entry in &flow.allow {
            let _ = writeln!(text, "      {}", self.allow_text(entry));
        }
    }

    /// The settings of a flow that this version stores and does not judge: the summary must not suggest that they hold.
    fn not_judged_yet(&self, flow: &Flow) -> String {
        let kept = [
            (flow.schedule.is_some(), "schedule"),
            (flow.requires_grant, "grant"),
            (flow.allow.iter().any(|entry| entry.rate.is_some()), "rates"),
            (flow.expect_every.is_some(), "expect_every"),
            (flow.max_session.is_some(), "max_session"),
            (flow.tls_min_version.is_some(), "tls"),
        ];
        let kept = list(kept.into_iter().filter(|(is, _)| *is).map(|(_, word)| word));
        if kept.is_empty() { String::new() } else { format!(" (not judged yet: {kept})") }
    }
}

fn counted((count, noun): (usize, &str)) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

//! `lockkeeper policy check`: every mistake at once, or what the policy says in one page.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use super::Policy;
use super::diagnose::Severity;
use super::dialect::DIALECTS;
use super::explain::protocol_text;
use super::model::Flow;
use crate::document::suggest::list;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every policy can be used, though there may be warnings: exit status 0.
    Sound,
    /// At least one cannot: exit status 2.
    Unsound,
}

/// Checks policies. What each says goes to `report`; what is wrong with it, or probably not meant, to `diagnostics`.
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
    /// What the policy says, for people: its identity, its counts, and who may do what across each conduit.
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
        let _ = writeln!(text, "    {}: {from} -> {to}, {protocol}{session}{}", flow.id, self.not_judged_yet(flow));
        for entry in &flow.allow {
            let _ = writeln!(text, "      {}", self.allow_text(entry));
        }
    }

    /// What the flow says that is kept and not judged in this version: nobody should rely on it unknowingly.
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

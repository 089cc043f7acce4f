//! `lockkeeper policy check`: every mistake at once, or what the policy says in one page.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use super::Policy;
use super::diagnose::Severity;
use super::explain::protocol_text;
use super::model::{Flow, OpcUaSession, S7Session};
use super::words::list;

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
        let s7 = flow.s7.map(session_text).unwrap_or_default();
        let opcua = flow.opcua.as_ref().map(channel_text).unwrap_or_default();
        let _ = writeln!(text, "    {}: {from} -> {to}, {protocol}{s7}{opcua}{}", flow.id, self.not_judged_yet(flow));
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

/// `, connection OP rack 0 slot 2, password forbidden`: what is written of it.
fn session_text(s7: S7Session) -> String {
    let kind = s7.connection.map(|kind| format!(" {kind}"));
    let rack = s7.rack.map(|rack| format!(" rack {rack}"));
    let slot = s7.slot.map(|slot| format!(" slot {slot}"));
    let connection: String = [kind, rack, slot].into_iter().flatten().collect();
    let connection = if connection.is_empty() { connection } else { format!(", connection{connection}") };
    let password = s7.password.map(|password| format!(", password {}", password.name())).unwrap_or_default();
    format!("{connection}{password}")
}

/// `, at least Sign, policies Basic256Sha256, identity username, clients urn:a, certificates RSA from 2048 bits, no SHA-1`:
/// what is written of it.
fn channel_text(opcua: &OpcUaSession) -> String {
    let named = |word: &str, names: String| if names.is_empty() { names } else { format!(", {word} {names}") };
    let least = opcua.min_mode.map(|mode| format!(", at least {}", mode.name())).unwrap_or_default();
    let policies = named("policies", list(opcua.policies.iter().map(String::as_str)));
    let identity = named("identity", list(opcua.identity.iter().map(|kind| kind.name())));
    let clients = named("clients", list(opcua.client_uris.iter().map(String::as_str)));
    let rules = &opcua.certificates;
    let bits = rules.min_rsa_bits.map(|bits| format!("RSA from {bits} bits"));
    let sha1 = rules.forbid_sha1.then(|| "no SHA-1".to_owned());
    let own = rules.forbid_self_signed.then(|| "not self-signed".to_owned());
    let warn = rules.warn_before_expiry.map(|warn| format!("warned {} days before the end", warn.as_secs() / DAY));
    let certificates: Vec<String> = [bits, sha1, own, warn].into_iter().flatten().collect();
    let certificates = named("certificates", certificates.join(", "));
    format!("{least}{policies}{identity}{clients}{certificates}")
}

/// Seconds.
const DAY: u64 = 86_400;

fn counted((count, noun): (usize, &str)) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

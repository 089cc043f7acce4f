//! The result of a replay: statistics as JSON, and a summary as text.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use anstyle::{AnsiColor, Style};
use lockkeeper_protocols::REGISTRY;
use serde::Serialize;

use crate::capture::Capture;
use crate::metrics::{Counters, FailedConnections, Failures, NotJudged};
use crate::pipeline::{Incomplete, Replayed};
use crate::policy::{Policy, Rule};
use crate::record::highlights::Highlights;
use crate::record::unread::most_frequent;
use crate::record::{SensorRule, Severity, Unread};

/// The object of `--stats`.
#[derive(Debug, Serialize)]
struct Stats<'a> {
    schema: &'static str,
    captures: Vec<CaptureStats<'a>>,
    packets: u64,
    bytes: u64,
    flows: u64,
    operations: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    outcomes: BTreeMap<&'static str, u64>,
    not_judged: BTreeMap<&'static str, u64>,
    alerts: BTreeMap<&'static str, u64>,
    anomalies: BTreeMap<String, u64>,
    losses: BTreeMap<&'static str, u64>,
    checksums_not_believed: BTreeMap<String, u64>,
    unread: BTreeMap<String, u64>,
    tunnels: u64,
    failed_connections: FailedStats,
    pdus: BTreeMap<&'static str, BTreeMap<&'static str, BTreeMap<String, u64>>>,
}

#[derive(Debug, Serialize)]
struct CaptureStats<'a> {
    name: &'a str,
    format: &'a str,
    packets: u64,
    dropped_at_capture: u64,
    cut: Option<CutStats<'a>>,
}

#[derive(Debug, Serialize)]
struct CutStats<'a> {
    offset: u64,
    reason: &'a str,
}

#[derive(Debug, Serialize)]
struct FailedStats {
    unanswered: u64,
    refused: u64,
    servers: Vec<ServerStats>,
}

#[derive(Debug, Serialize)]
struct ServerStats {
    ip: IpAddr,
    port: u16,
    unanswered: u64,
    refused: u64,
}

impl FailedStats {
    fn of(failed: &FailedConnections) -> Self {
        let Failures { unanswered, refused } = failed.total;
        let (worst, _) = failed.worst(SERVERS_IN_STATS);
        let server = |((ip, port), Failures { unanswered, refused })| ServerStats { ip, port, unanswered, refused };
        Self { unanswered, refused, servers: worst.into_iter().map(server).collect() }
    }
}

/// Unread packets by the name of their kind, the most frequent ones; the rest is `other`.
fn unread_by_name(unread: &BTreeMap<Unread, u64>) -> BTreeMap<String, u64> {
    let (most, others) = most_frequent(unread, KINDS_IN_STATS);
    let others = (others > 0).then(|| ("other".to_owned(), others));
    most.into_iter().map(|(kind, count)| (kind.name(), count)).chain(others).collect()
}

impl<'a> CaptureStats<'a> {
    fn of(capture: &'a Capture) -> Self {
        Self {
            name: &capture.name,
            format: &capture.format,
            packets: capture.packets,
            dropped_at_capture: capture.dropped_at_capture,
            cut: capture.cut.as_ref().map(|cut| CutStats { offset: cut.offset, reason: &cut.reason }),
        }
    }
}

/// Writes the statistics as one JSON object and a line end. Fails if `out` does.
pub fn write_stats(replayed: &Replayed, out: &mut dyn Write) -> io::Result<()> {
    let counters = &replayed.counters;
    let stats = Stats {
        schema: "lockkeeper/stats/1",
        captures: replayed.captures.iter().map(CaptureStats::of).collect(),
        packets: counters.packets,
        bytes: counters.bytes,
        flows: counters.flows,
        operations: counters.operations(),
        outcomes: counters.outcomes.named().into_iter().collect(),
        not_judged: counters.not_judged.named().into_iter().collect(),
        alerts: alerts_by_rule(replayed),
        anomalies: counters.anomalies.iter().map(|((of, name), n)| (format!("{of}.{name}"), *n)).collect(),
        losses: counters.losses.named().collect(),
        checksums_not_believed: ignored_checksums(counters, MOST_SENDERS),
        unread: unread_by_name(&counters.unread),
        tunnels: counters.tunnels,
        failed_connections: FailedStats::of(&counters.failed),
        pdus: counters.pdus(),
    };
    serde_json::to_writer(&mut *out, &stats)?;
    out.write_all(b"\n")
}

/// The `limit` senders with the most wrong checksums among those whose packets were processed nevertheless, as of a host with
/// checksum offload; with the number of wrong checksums of each.
fn ignored_checksums(counters: &Counters, limit: usize) -> BTreeMap<String, u64> {
    let mut senders: Vec<_> = counters.ignored_checksums.iter().collect();
    senders.sort_by_key(|(address, wrong)| (Reverse(**wrong), **address));
    senders.into_iter().take(limit).map(|(address, wrong)| (address.to_string(), *wrong)).collect()
}

fn alerts_by_rule(replayed: &Replayed) -> BTreeMap<&'static str, u64> {
    let mut rules = BTreeMap::new();
    for (rule, _, tally) in &replayed.tallies {
        *rules.entry(*rule).or_default() += tally.alerts;
    }
    rules
}

/// Writes the summary. It always has colours; a writer such as `anstream` removes them. Fails if `out` does.
pub fn write_text(
    replayed: &Replayed,
    highlights: &Highlights,
    policy: &Policy,
    out: &mut dyn Write,
) -> io::Result<()> {
    write_incomplete(replayed, out)?;
    write_captures(replayed, out)?;
    write_operations(replayed, out)?;
    write_violations(replayed, highlights, policy, out)?;
    write_discoveries(replayed, out)?;
    write_sensor_alerts(replayed, out)?;
    write_failed_connections(replayed, out)?;
    write_unread(replayed, out)?;
    write_losses(replayed, out)?;
    write_checksums(&replayed.counters, out)
}

/// Writes why the run is incomplete, if it is: the rest of the summary depends on it, so it comes first.
fn write_incomplete(replayed: &Replayed, out: &mut dyn Write) -> io::Result<()> {
    let why = match replayed.incomplete() {
        None => return Ok(()),
        Some(Incomplete::NoPackets) => "there is no packet in it".to_owned(),
        Some(Incomplete::Unread { unread, packets }) if unread >= packets => {
            format!("none of the {} packets could be read", grouped(packets))
        }
        Some(Incomplete::Unread { unread, packets }) => {
            let share = unread as f64 * 100.0 / packets as f64;
            let [unread, packets] = [unread, packets].map(grouped);
            format!(
                "{unread} of {packets} packets ({share:.1} %) could not be read, and what they carried was not judged"
            )
        }
    };
    heading(out, "Incomplete")?;
    writeln!(out, "  {WARNING}This says less than it should{WARNING:#}: {why}.")
}

/// Writes whose checksums are not believed, if there are any.
fn write_checksums(counters: &Counters, out: &mut dyn Write) -> io::Result<()> {
    if counters.ignored_checksums.is_empty() {
        return Ok(());
    }
    heading(out, "Checksums")?;
    let shown: Vec<String> = ignored_checksums(counters, SHOWN_SENDERS).into_keys().collect();
    let more = counters.ignored_checksums.len() - shown.len();
    let more = if more > 0 { format!(" and {} more", grouped(more as u64)) } else { String::new() };
    let wrong = grouped(counters.ignored_checksums.values().sum());
    writeln!(
        out,
        "  {wrong} wrong ones of {}{more} are not believed: all or most of theirs are wrong, as where a capture is",
        shown.join(", ")
    )?;
    writeln!(out, "  made before a network card computes them. Their packets count; --checksums verify drops them.")
}

/// Most senders that the statistics and the summary name.
const MOST_SENDERS: usize = 100;
const SHOWN_SENDERS: usize = 3;

fn write_captures(replayed: &Replayed, out: &mut dyn Write) -> io::Result<()> {
    let counters = &replayed.counters;
    heading(out, "Captures")?;
    for capture in &replayed.captures {
        writeln!(out, "  {:<48} {:>12} packets  {}", capture.name, grouped(capture.packets), capture.format)?;
        if let Some(cut) = &capture.cut {
            writeln!(out, "    {WARNING}cut off{WARNING:#} at byte {}: {}", grouped(cut.offset), cut.reason)?;
        }
    }
    let [packets, bytes, flows] = [counters.packets, counters.bytes, counters.flows].map(grouped);
    writeln!(out, "  {packets} packets, {bytes} bytes, {flows} conversations")
}

fn write_operations(replayed: &Replayed, out: &mut dyn Write) -> io::Result<()> {
    let operations = replayed.counters.operations();
    heading(out, "Operations")?;
    if operations.is_empty() {
        let decoded: Vec<_> = REGISTRY.iter().map(|row| row.title).collect();
        return writeln!(out, "  none of {}", decoded.join(", "));
    }
    for (protocol, classes) in operations {
        for (class, count) in classes {
            writeln!(out, "  {protocol:<10} {class:<18} {:>12}", grouped(count))?;
        }
    }
    let ended = replayed.counters.outcomes.named();
    let ended = ended.into_iter().filter(|(_, count)| *count > 0);
    let ended: Vec<_> = ended.map(|(name, count)| format!("{} {}", grouped(count), name.replace('_', " "))).collect();
    writeln!(out, "  {}", ended.join(", "))?;
    write_not_judged(replayed, out)
}

/// Writes how many operations have no verdict, without which "no violations" would mislead.
fn write_not_judged(replayed: &Replayed, out: &mut dyn Write) -> io::Result<()> {
    let NotJudged { no_policy, no_zone } = replayed.counters.not_judged;
    for (count, why) in [(no_policy, "no policy"), (no_zone, "neither host is in a zone")] {
        if count > 0 {
            writeln!(out, "  {WARNING}not judged{WARNING:#} {:>29}  {why}", grouped(count))?;
        }
    }
    Ok(())
}

fn write_violations(
    replayed: &Replayed,
    highlights: &Highlights,
    policy: &Policy,
    out: &mut dyn Write,
) -> io::Result<()> {
    heading(out, "Violations")?;
    if !policy.judges() {
        return writeln!(out, "  {WARNING}not judged{WARNING:#}: no policy (--policy names one)");
    }
    if replayed.alerts.violations == 0 {
        return match replayed.incomplete() {
            None => writeln!(out, "  {GOOD}none{GOOD:#}"),
            Some(_) => writeln!(out, "  none in what could be read"),
        };
    }
    writeln!(out, "  {FAINT}{:<26} {:<22} {:>8} {:>12}{FAINT:#}", "rule", "conduit", "alerts", "occurrences")?;
    for (rule, conduit, tally) in replayed.tallies.iter().filter(|(rule, ..)| is_violation(rule)) {
        let conduit = conduit.map_or("no conduit", |conduit| policy.conduit_name(conduit));
        let [alerts, times] = [tally.alerts, tally.occurrences].map(grouped);
        writeln!(out, "  {rule:<26} {conduit:<22} {alerts:>8} {times:>12}")?;
    }
    writeln!(out)?;
    let mut shown = 0;
    for (severity, violation) in highlights.worst() {
        let colour = colour_of(severity);
        let times = if violation.count > 1 { format!(" ({} times)", grouped(violation.count)) } else { String::new() };
        writeln!(out, "  {colour}{:<8}{colour:#} {}{times}", severity.name(), violation.message)?;
        shown += 1;
    }
    match replayed.alerts.violations.saturating_sub(shown) {
        0 => Ok(()),
        more => writeln!(out, "  and {} more: --alerts writes them all", grouped(more)),
    }
}

/// Writes how many alerts of kind `asset` there are, by rule.
fn write_discoveries(replayed: &Replayed, out: &mut dyn Write) -> io::Result<()> {
    let is_discovery = |rule: &str| !is_violation(rule) && !is_about_sensor(rule);
    let mut found = replayed.tallies.iter().filter(|(rule, ..)| is_discovery(rule)).peekable();
    if found.peek().is_none() {
        return Ok(());
    }
    heading(out, "Inventory")?;
    let mut rules: BTreeMap<&str, u64> = BTreeMap::new();
    found.for_each(|(rule, _, tally)| *rules.entry(rule).or_default() += tally.alerts);
    for (rule, count) in rules {
        writeln!(out, "  {rule:<26} {:>12}", grouped(count))?;
    }
    Ok(())
}

/// Writes how many alerts of kind `sensor` there are, by rule.
fn write_sensor_alerts(replayed: &Replayed, out: &mut dyn Write) -> io::Result<()> {
    let raised: Vec<_> = replayed.tallies.iter().filter(|(rule, ..)| is_about_sensor(rule)).collect();
    if raised.is_empty() {
        return Ok(());
    }
    heading(out, "The sensor itself")?;
    for (rule, _, tally) in raised {
        writeln!(out, "  {rule:<26} {:>12}", grouped(tally.occurrences))?;
    }
    Ok(())
}

fn is_about_sensor(rule: &str) -> bool {
    SensorRule::ALL.iter().any(|one| one.id() == rule)
}

fn is_violation(rule: &str) -> bool {
    Rule::ALL.iter().any(|one| one.id() == rule)
}

/// Writes the connections that were refused or not answered, by server.
fn write_failed_connections(replayed: &Replayed, out: &mut dyn Write) -> io::Result<()> {
    let failed = &replayed.counters.failed;
    if failed.total.all() == 0 {
        return Ok(());
    }
    heading(out, "Failed connections")?;
    writeln!(out, "  {FAINT}{:<42} {:>12} {:>12}{FAINT:#}", "server", "unanswered", "refused")?;
    let (worst, others) = failed.worst(SHOWN);
    for ((ip, port), Failures { unanswered, refused }) in worst {
        let server = SocketAddr::new(ip, port).to_string();
        writeln!(out, "  {server:<42} {:>12} {:>12}", grouped(unanswered), grouped(refused))?;
    }
    match others {
        0 => Ok(()),
        more => writeln!(out, "  and {} to other servers", grouped(more)),
    }
}

/// Writes the packets that were not read, by kind.
fn write_unread(replayed: &Replayed, out: &mut dyn Write) -> io::Result<()> {
    let unread = &replayed.counters.unread;
    if unread.is_empty() {
        return Ok(());
    }
    heading(out, "Packets not read")?;
    let (most, others) = most_frequent(unread, SHOWN);
    for (kind, count) in most {
        writeln!(out, "  {:<42} {:>12}", kind.to_string(), grouped(count))?;
    }
    match others {
        0 => Ok(()),
        more => writeln!(out, "  {:<42} {:>12}", "of other kinds", grouped(more)),
    }
}

fn write_losses(replayed: &Replayed, out: &mut dyn Write) -> io::Result<()> {
    let lost: Vec<_> = replayed.counters.losses.named().filter(|(_, count)| *count > 0).collect();
    heading(out, "Not seen or given up")?;
    if lost.is_empty() {
        return writeln!(out, "  {GOOD}nothing{GOOD:#}");
    }
    for (name, count) in lost {
        writeln!(out, "  {:<42} {:>12}", name.replace('_', " "), grouped(count))?;
    }
    Ok(())
}

fn heading(out: &mut dyn Write, text: &str) -> io::Result<()> {
    writeln!(out, "\n{HEADING}{text}{HEADING:#}")
}

fn colour_of(severity: Severity) -> Style {
    match severity {
        Severity::Critical => AnsiColor::BrightRed.on_default().bold(),
        Severity::High => AnsiColor::Red.on_default(),
        Severity::Medium => AnsiColor::Yellow.on_default(),
        Severity::Low => AnsiColor::Blue.on_default(),
        Severity::Info => Style::new(),
    }
}

/// A number with separated thousands: `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Most rows of a list.
const SHOWN: usize = 8;
/// Most kinds of unread packets, and servers with failed connections, in the statistics.
const KINDS_IN_STATS: usize = 64;
const SERVERS_IN_STATS: usize = 64;

const HEADING: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const WARNING: Style = AnsiColor::Yellow.on_default();
const GOOD: Style = AnsiColor::Green.on_default();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let numbers = [0, 999, 1_000, 12_345, 1_234_567];
        assert_eq!(numbers.map(grouped), ["0", "999", "1,000", "12,345", "1,234,567"]);
    }
}

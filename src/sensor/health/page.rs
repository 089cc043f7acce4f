//! `lockkeeper status`: the status file as a page for people, as JSON, and as a verdict for monitoring.

use std::io::{self, Write};
use std::path::Path;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

use super::snapshot::{Interface, Recording, Snapshot, State};
use super::{file, now};
use crate::metrics::LatencySummary;
use crate::publish::sink::SinkHealth;

/// The result for monitoring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The sensor is ready.
    Ok,
    /// The sensor runs, and is not ready.
    Degraded,
    /// The sensor does not run, or its status is stale.
    Gone,
}

/// Writes the health of the sensor whose status file this is, as a page for people or as one JSON object.
pub fn status(path: &Path, json: bool, out: &mut dyn Write) -> io::Result<Verdict> {
    let read = file::read(path);
    let time = now();
    let verdict = read.as_ref().map_or(Verdict::Gone, |snapshot| assess(snapshot, time));
    match read {
        Ok(snapshot) if json => {
            serde_json::to_writer(&mut *out, &with_age(&snapshot, time, verdict)?)?;
            writeln!(out)?;
        }
        Ok(snapshot) => write_page(&snapshot, time, verdict, out)?,
        Err(error) => write_unknown(path, &error, json, out)?,
    }
    Ok(verdict)
}

fn assess(snapshot: &Snapshot, time: Timestamp) -> Verdict {
    let silent = time.as_second() - snapshot.time.as_second();
    if silent > i64::try_from(snapshot.good_for_seconds).unwrap_or(i64::MAX) {
        return Verdict::Gone;
    }
    if snapshot.state == State::Ready { Verdict::Ok } else { Verdict::Degraded }
}

/// The object in the file, with its age and whether it is stale.
fn with_age(snapshot: &Snapshot, time: Timestamp, verdict: Verdict) -> io::Result<serde_json::Value> {
    let mut status = serde_json::to_value(snapshot)?;
    status["age_seconds"] = (time.as_second() - snapshot.time.as_second()).max(0).into();
    status["stale"] = (verdict == Verdict::Gone).into();
    Ok(status)
}

/// Writes that there is no status, so that it is unknown whether a sensor runs.
fn write_unknown(path: &Path, error: &io::Error, json: bool, out: &mut dyn Write) -> io::Result<()> {
    let problem = match error.kind() {
        io::ErrorKind::NotFound => format!("there is no status file at {}", path.display()),
        _ => format!("{}: {error}", path.display()),
    };
    if json {
        let unknown = serde_json::json!({
            "schema": super::SCHEMA,
            "state": "unknown",
            "stale": true,
            "problem": problem,
            "help": HOW_TO_GET_ONE,
        });
        return writeln!(out, "{unknown}");
    }
    writeln!(out, "{BAD}unknown{BAD:#}: {problem}: whether a sensor runs cannot be told.\n\n{HOW_TO_GET_ONE}")
}

/// The help for a missing status file.
const HOW_TO_GET_ONE: &str = "\
A sensor writes its status every second:
  systemctl status lockkeeper                         whether the service runs
  lockkeeper watch --status-file FILE --interface ... for a sensor that is started by hand
  [health] status_file = FILE                         in its configuration; /run/lockkeeper/status.json is used without
                                                      it where that folder exists
  lockkeeper status --file FILE                       reads it from where it is written";

fn write_page(snapshot: &Snapshot, time: Timestamp, verdict: Verdict, out: &mut dyn Write) -> io::Result<()> {
    let Snapshot { sensor, site, version, state, .. } = snapshot;
    let age = u64::try_from(time.as_second() - snapshot.time.as_second()).unwrap_or(0);
    let colour = match verdict {
        Verdict::Ok => GOOD,
        Verdict::Degraded => WARNING,
        Verdict::Gone => BAD,
    };
    write!(out, "{HEADING}{sensor}{HEADING:#} at {site}, lockkeeper {version}: ")?;
    match verdict {
        Verdict::Gone => {
            let word = state.name();
            writeln!(out, "{colour}stale{colour:#}, last heard of {} ago, when it was {word}", duration_text(age))?;
        }
        _ => writeln!(out, "{colour}{}{colour:#}, up for {}", state.name(), duration_text(snapshot.uptime_seconds))?,
    }
    for reason in &snapshot.reasons {
        writeln!(out, "  {colour}{:<18}{colour:#} {}", reason.what, reason.message)?;
    }
    write_line(out, "confined", &snapshot.confinement.line())?;
    write_policy(snapshot, out)?;
    for interface in &snapshot.interfaces {
        write_line(out, &interface.name, &interface_text(interface))?;
    }
    write_traffic(snapshot, out)?;
    for (stage, latency) in snapshot.latency.iter().filter(|(_, latency)| latency.count > 0) {
        write_line(out, &format!("to {stage}"), &latency_text(latency))?;
    }
    for (sink, health) in snapshot.sinks.iter() {
        write_line(out, sink.name, &sink_text(health))?;
    }
    if let Some(recording) = &snapshot.recording {
        write_line(out, "recording", &recording_text(recording))?;
    }
    write_line(out, "memory", &format!("{:.1} MiB", snapshot.memory_bytes as f64 / 1048576.0))
}

fn write_policy(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let policy = &snapshot.policy;
    if policy.id.is_empty() {
        return write_line(out, "policy", "none: traffic is decoded and counted, not judged");
    }
    let sha256 = policy.sha256.get(..12).unwrap_or(&policy.sha256);
    let since = policy.loaded.map(|loaded| format!(", since {loaded:.0}")).unwrap_or_default();
    write_line(out, "policy", &format!("{} version {} ({sha256}){since}", policy.id, policy.version))
}

fn write_traffic(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let traffic = &snapshot.traffic;
    let flows = format!("{} open of {} begun", traffic.flows_open, traffic.flows);
    write_line(out, "conversations", &flows)?;
    for (protocol, classes) in &snapshot.operations {
        let classes: Vec<_> = classes.iter().map(|(class, count)| format!("{class} {count}")).collect();
        write_line(out, protocol, &classes.join(", "))?;
    }
    let not_judged = snapshot.not_judged.iter().filter(|(_, count)| **count > 0);
    let not_judged: Vec<_> = not_judged.map(|(why, count)| format!("{count} ({})", why.replace('_', " "))).collect();
    if !not_judged.is_empty() {
        write_line(out, "not judged", &not_judged.join(", "))?;
    }
    let alerts: Vec<_> =
        snapshot.alerts.iter().map(|count| format!("{} ({}) {}", count.rule, count.severity, count.alerts)).collect();
    write_line(out, "alerts", &if alerts.is_empty() { "none".to_owned() } else { alerts.join(", ") })?;
    let losses = snapshot.losses.iter().filter(|(_, count)| **count > 0);
    let losses: Vec<_> = losses.map(|(name, count)| format!("{} {count}", name.replace('_', " "))).collect();
    write_line(out, "not seen", &if losses.is_empty() { "nothing".to_owned() } else { losses.join(", ") })
}

fn interface_text(interface: &Interface) -> String {
    let Interface { state, packets, backlog, cut, .. } = interface;
    let lost = interface.lost();
    let silent = match interface.silent_seconds {
        None => ", silent from the start".to_owned(),
        Some(0..3) => String::new(),
        Some(seconds) => format!(", silent for {}", duration_text(seconds)),
    };
    let cut = if *cut > 0 { format!(", {cut} cut by the snap length") } else { String::new() };
    let waiting = if *backlog > 0 { format!(", {backlog} waiting") } else { String::new() };
    format!("{state}, {packets} packets, {lost} lost{cut}{waiting}{silent}")
}

fn sink_text(health: &SinkHealth) -> String {
    let SinkHealth { backlog, delivered, refused, dropped, retried, overdue, .. } = health;
    let state = if health.connected { "connected" } else { "not connected" };
    let again = if retried + overdue > 0 { format!(", {} sent again", retried + overdue) } else { String::new() };
    format!("{state}, {delivered} delivered, {backlog} waiting, {refused} refused, {dropped} dropped{again}")
}

fn recording_text(recording: &Recording) -> String {
    let Recording { files, bytes, oldest } = recording;
    let since = oldest.as_ref().map(|oldest| format!(", from {oldest} on")).unwrap_or_default();
    format!("{files} files, {:.1} MiB{since}", *bytes as f64 / 1048576.0)
}

fn latency_text(latency: &LatencySummary) -> String {
    let [p50, p99, max] = [latency.p50, latency.p99, latency.max].map(|nanoseconds| nanoseconds as f64 / 1e6);
    format!("{p50:.2} ms half of the time, {p99:.2} ms in 99 of 100, {max:.2} ms at most")
}

fn write_line(out: &mut dyn Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "  {FAINT}{name:<18}{FAINT:#} {value}")
}

/// A duration in its two largest units.
fn duration_text(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

const HEADING: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const WARNING: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default();

#[cfg(test)]
mod tests {
    use super::super::snapshot::Reason;
    use super::super::testing::snapshot;
    use super::*;

    fn after(snapshot: &Snapshot, seconds: i64) -> (Verdict, String) {
        let time = Timestamp::from_second(snapshot.time.as_second() + seconds).expect("a time");
        let verdict = assess(snapshot, time);
        let mut text = Vec::new();
        write_page(snapshot, time, verdict, &mut text).expect("written");
        (verdict, anstream::adapter::strip_str(&String::from_utf8(text).expect("text")).to_string())
    }

    #[test]
    fn the_page_shows_the_most_important_facts() {
        let (verdict, text) = after(&snapshot(), 1);
        assert_eq!(verdict, Verdict::Ok);
        for expected in [
            "lock-1 at lock, lockkeeper",
            ": ready, up for 1 h 0 min",
            "confined           full\n",
            "PLANT version 3 (0123456789ab), since 2026-11-24T10:00:00Z",
            "listening, 1000000 packets, 0 lost\n",
            "operation.undeclared (high) 3",
            "stream gaps 2",
            "2 files, 1.0 MiB, from recording-20261124T090000.000000000Z.pcapng on",
            "connected, 5 delivered, 0 waiting, 0 refused, 0 dropped",
            "5.0",
        ] {
            assert!(text.contains(expected), "{expected}:\n{text}");
        }
    }

    #[test]
    fn an_interface_shows_the_packets_that_its_snap_length_cut() {
        let mut snapshot = snapshot();
        snapshot.interfaces[0].cut = 3;
        let (_, text) = after(&snapshot, 1);
        assert!(text.contains("1000000 packets, 0 lost, 3 cut by the snap length\n"), "{text}");
    }

    #[test]
    fn the_page_shows_why_a_sensor_is_degraded_and_how_old_a_stale_status_is() {
        let mut snapshot = snapshot();
        snapshot.state = State::Degraded;
        snapshot.reasons =
            vec![Reason { what: "mqtt.disconnected".to_owned(), message: "connection refused".to_owned() }];
        let (verdict, text) = after(&snapshot, 10);
        assert_eq!(verdict, Verdict::Degraded);
        assert!(text.contains("degraded, up for") && text.contains("mqtt.disconnected  connection refused"), "{text}");
        let (verdict, text) = after(&snapshot, 75);
        assert_eq!(verdict, Verdict::Gone);
        assert!(text.contains("stale, last heard of 1 min 15 s ago, when it was degraded"), "{text}");
    }

    #[test]
    fn without_a_status_file_the_state_is_unknown_and_the_page_shows_a_remedy() {
        let people = ["unknown", "no status file at /nonexistent/status.json", "watch --status-file FILE"];
        let programs =
            ["\"stale\":true", "\"state\":\"unknown\"", "\"problem\":\"there is no status file at /nonexistent"];
        for (json, expected) in [(false, people), (true, programs)] {
            let mut text = Vec::new();
            let verdict = status(Path::new("/nonexistent/status.json"), json, &mut text).expect("written");
            let text = String::from_utf8(text).expect("text");
            assert_eq!(verdict, Verdict::Gone);
            assert!(expected.iter().all(|part| text.contains(part)), "{text}");
        }
    }

    #[test]
    fn durations_are_shown_in_their_two_largest_units() {
        let texts = [0, 59, 61, 3_600, 86_399, 90_000, 8_640_000].map(duration_text);
        assert_eq!(texts, ["0 s", "59 s", "1 min 1 s", "1 h 0 min", "23 h 59 min", "1 d 1 h", "100 d 0 h"]);
    }
}

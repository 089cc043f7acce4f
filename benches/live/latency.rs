//! From the moment at which the kernel saw a packet to the moment at which its alert is read by another process.

use std::error::Error;
use std::io::BufRead;
use std::process::Stdio;
use std::thread;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::Arguments;
use crate::cable::Cable;
use crate::capture::prepare;
use crate::files::Files;
use crate::generator::Settings;
use crate::sender::{Frames, Sender};
use crate::sensor::Sensor;

pub(crate) fn measure(arguments: &Arguments) -> Result<Value, Box<dyn Error>> {
    println!("Latency: from a packet to its alert on standard output");
    println!("  {:<8} {:>10} {:>8} {:>10} {:>10} {:>10}", "", "packets/s", "alerts", "p50 ms", "p99 ms", "max ms");
    Ok(json!({
        "idle": at(arguments, "idle", QUIET, 600_000)?,
        "busy": at(arguments, "busy", arguments.pps, 2_000)?,
    }))
}

/// One rate, with so many violations in a million requests.
fn at(arguments: &Arguments, name: &str, rate: u64, violations: u32) -> Result<Value, Box<dyn Error>> {
    let settings = Settings { packets: rate * arguments.seconds, violations, flows: 20, ..Settings::default() };
    let files = Files::default_for(&settings);
    let files = Files::beside(files.capture.with_file_name(format!("latency-{name}-{}.pcap", arguments.seconds)));
    prepare(&files, &settings)?;
    let frames = Frames::read(&files.capture)?;
    let cable = Cable::lay()?;
    let mut sensor = Sensor::start(&cable, &arguments.binary, &files.policy, &[], Stdio::piped())?;
    let lines = sensor.alerts().ok_or("no standard output")?;
    let reader = thread::spawn(move || lines.lines().map_while(Result::ok).filter_map(|line| delay(&line)).collect());
    Sender::open(&cable)?.send(&frames, 0..frames.len(), rate)?;
    sensor.stop()?;
    let mut delays: Vec<f64> = reader.join().map_err(|_| "the reader ended badly")?;
    delays.sort_by(f64::total_cmp);
    let part = |share: f64| delays.get(((delays.len() as f64 * share) as usize).min(delays.len().saturating_sub(1)));
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| part(share).copied().unwrap_or(f64::NAN));
    println!("  {name:<8} {rate:>10} {:>8} {p50:>10.2} {p99:>10.2} {max:>10.2}", delays.len());
    Ok(json!({ "pps": rate, "alerts": delays.len(), "p50_ms": p50, "p99_ms": p99, "max_ms": max }))
}

/// Milliseconds from the packet of a new alert until now.
fn delay(line: &str) -> Option<f64> {
    let now = jiff::Timestamp::try_from(SystemTime::now()).ok()?;
    let alert: Value = serde_json::from_str(line).ok()?;
    if alert["revision"] != 1 || alert["kind"] != "violation" {
        return None;
    }
    let seen: jiff::Timestamp = alert["time"].as_str()?.parse().ok()?;
    Some((now.as_nanosecond() - seen.as_nanosecond()) as f64 / 1e6)
}

/// Packets a second on a quiet wire.
const QUIET: u64 = 50;

//! The time from the kernel's timestamp of a packet to each stage of its alert, up to a subscriber of a broker.

use std::error::Error;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::Arguments;
use crate::broker::Broker;
use crate::cable::Cable;
use crate::capture::prepare;
use crate::files::Files;
use crate::generator::Settings;
use crate::sender::{Frames, Sender};
use crate::sensor::Sensor;

/// A distribution of latencies, milliseconds.
struct Row {
    until: &'static str,
    count: u64,
    /// Median, 90th and 99th percentile, maximum.
    quantiles: [f64; 4],
}

pub(crate) fn measure(arguments: &Arguments) -> Result<Value, Box<dyn Error>> {
    println!("Latency: milliseconds from the kernel's time stamp of a packet until ...");
    println!("  {:>9}  {:<15} {:>8} {:>8} {:>8} {:>8} {:>8}", "packets/s", "", "count", "p50", "p90", "p99", "max");
    Ok(json!({
        "idle": at(arguments, "idle", QUIET, 600_000)?,
        "busy": at(arguments, "busy", arguments.pps, 2_000)?,
    }))
}

/// One rate with a number of violations per million requests.
fn at(arguments: &Arguments, name: &str, rate: u64, violations: u32) -> Result<Value, Box<dyn Error>> {
    let settings = Settings { packets: rate * arguments.seconds, violations, flows: 20, ..Settings::default() };
    let files = Files::default_for(&settings);
    let files = Files::beside(files.capture.with_file_name(format!("latency-{name}-{}.pcap", arguments.seconds)));
    prepare(&files, &settings)?;
    let frames = Frames::read(&files.capture)?;
    let cable = Cable::lay()?;
    let broker = Broker::start(&cable)?;
    let timeout = arguments.block_timeout.to_string();
    let more = ["--mqtt", Broker::URL, "--block-timeout", &timeout];
    let sensor = Sensor::start(&cable, &arguments.binary, &files.policy, &more, Stdio::null())?;
    Sender::open(&cable)?.send(&frames, 0..frames.len(), rate)?;
    let told = sensor.status()?;
    let counted = sensor.stop()?;
    let lost = Sensor::lost(&counted);
    let mut rows: Vec<Row> = STAGES.iter().map(|(stage, until)| Row::told(until, &told["latency"][stage])).collect();
    rows.push(Row::measured(&broker.delays()?));
    rows.iter().for_each(|row| row.print(rate));
    let rows: serde_json::Map<_, _> = rows.iter().map(|row| (row.until.to_owned(), row.json())).collect();
    Ok(json!({ "pps": rate, "lost": lost, "until": rows }))
}

impl Row {
    /// A stage from the sensor's own histogram.
    fn told(until: &'static str, stage: &Value) -> Self {
        let quantiles = ["p50", "p90", "p99", "max"].map(|name| stage[name].as_f64().unwrap_or(f64::NAN) / 1e6);
        Self { until, count: stage["count"].as_u64().unwrap_or(0), quantiles }
    }

    /// The subscriber's measurements, sorted.
    fn measured(delays: &[f64]) -> Self {
        let place = |share: f64| ((delays.len() as f64 * share) as usize).min(delays.len().saturating_sub(1));
        let quantiles = [0.5, 0.9, 0.99, 1.0].map(|share| delays.get(place(share)).copied().unwrap_or(f64::NAN));
        Self { until: "subscriber", count: delays.len() as u64, quantiles }
    }

    fn print(&self, rate: u64) {
        let Self { until, count, quantiles: [p50, p90, p99, max] } = self;
        println!("  {rate:>9}  {until:<15} {count:>8} {p50:>8.2} {p90:>8.2} {p99:>8.2} {max:>8.2}");
    }

    fn json(&self) -> Value {
        let [p50, p90, p99, max] = self.quantiles;
        json!({ "count": self.count, "p50_ms": p50, "p90_ms": p90, "p99_ms": p99, "max_ms": max })
    }
}

/// The sensor's own histograms. `verdict` is measured for the oldest packet of each block, whatever its verdict.
const STAGES: [(&str, &str); 3] = [("verdict", "verdict"), ("alert", "alert"), ("acknowledgement", "acknowledged")];

/// Packets a second on a quiet wire.
const QUIET: u64 = 50;

//! The table for people and the line for programs.

use std::fs;

use serde_json::{Value, json};

use crate::measure::Sample;

/// All runs of one program.
pub(crate) struct Series {
    /// What the table calls it.
    pub(crate) name: String,
    /// One sample a round.
    pub(crate) samples: Vec<Sample>,
    /// Peak memory, KiB.
    pub(crate) peak: Option<u64>,
}

impl Series {
    fn wall(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.wall))
    }

    fn fastest(&self) -> f64 {
        self.samples.iter().map(|sample| sample.wall).fold(f64::INFINITY, f64::min)
    }

    fn cpu(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.cpu))
    }
}

/// The yardstick of the project.
pub(crate) const YARDSTICK: &str = "tcpdump";

/// The table, one row a program.
pub(crate) fn table(series: &[Series], packets: u64) -> String {
    let yardstick = series.iter().find(|one| one.name == YARDSTICK);
    let mut lines = vec![format!(
        "{:<26} {:>16} {:>8} {:>10} {:>12} {:>9} {:>9} {:>9}",
        "program", "wall s (min)", "CPU s", "CPU ns/pkt", "packets/s", "wall x", "CPU x", "peak MiB"
    )];
    for one in series {
        let ratio =
            |of: fn(&Series) -> f64| yardstick.map_or("-".to_owned(), |base| format!("{:.2}", of(one) / of(base)));
        lines.push(format!(
            "{:<26} {:>16} {:>8.3} {:>10.1} {:>12.0} {:>9} {:>9} {:>9}",
            one.name,
            format!("{:.3} ({:.3})", one.wall(), one.fastest()),
            one.cpu(),
            one.cpu() * 1e9 / packets as f64,
            packets as f64 / one.wall(),
            ratio(Series::wall),
            ratio(Series::cpu),
            one.peak.map_or("-".to_owned(), |kib| format!("{:.1}", kib as f64 / 1_024.0)),
        ));
    }
    lines.push(format!("medians; x: against `{YARDSTICK}`"));
    lines.join("\n")
}

/// The same as one JSON object.
pub(crate) fn line(series: &[Series], capture: &str, truth: &Value, agrees: bool) -> Value {
    let packets = truth["packets"].as_f64().unwrap_or(1.0);
    let yardstick = series.iter().find(|one| one.name == YARDSTICK);
    let results = series.iter().map(|one| {
        json!({
            "name": one.name,
            "runs": one.samples.len(),
            "wall_s": one.wall(),
            "wall_s_min": one.fastest(),
            "cpu_s": one.cpu(),
            "cpu_ns_per_packet": one.cpu() * 1e9 / packets,
            "wall_ratio": yardstick.map(|base| one.wall() / base.wall()),
            "cpu_ratio": yardstick.map(|base| one.cpu() / base.cpu()),
            "peak_kib": one.peak,
        })
    });
    json!({
        "schema": "lockkeeper/bench/1",
        "capture": capture,
        "packets": truth["packets"],
        "bytes": truth["bytes"],
        "agrees_with_truth": agrees,
        "machine": machine(),
        "results": results.collect::<Vec<_>>(),
    })
}

/// Processor, cores and load: what the numbers depend on.
pub(crate) fn machine() -> Value {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    json!({
        "processor": model.trim_start_matches([' ', '\t', ':']),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "load_1_min": load.split(' ').next().and_then(|load| load.parse::<f64>().ok()),
    })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

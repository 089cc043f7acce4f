//! The table for people and the line for programs.

use serde_json::{Value, json};

use crate::machine::{machine, median};
use crate::process::Sample;

/// All runs of one program.
pub(crate) struct Series {
    /// Its name in the table.
    pub(crate) name: String,
    /// One sample a round.
    pub(crate) samples: Vec<Sample>,
    /// Peak memory, KiB.
    pub(crate) peak: Option<u64>,
    /// Memory for each open flow, bytes, if also measured with few flows.
    pub(crate) per_flow: Option<f64>,
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

/// The program that all others are compared with.
pub(crate) const YARDSTICK: &str = "tcpdump";
/// Names of the rows with one worker and with two.
pub(crate) const ONE_WORKER: &str = "lockkeeper, 1 worker";
pub(crate) const TWO_WORKERS: &str = "lockkeeper, 2 workers";

/// The speed-up of two workers over one.
fn speed_up(series: &[Series]) -> Option<f64> {
    let wall = |name| series.iter().find(|one| one.name == name).map(Series::wall);
    Some(wall(ONE_WORKER)? / wall(TWO_WORKERS)?)
}

/// Flows of the capture for the comparison of memory.
pub(crate) const FEW_FLOWS: u32 = 200;

/// The table, one row a program.
pub(crate) fn table(series: &[Series], packets: u64) -> String {
    let yardstick = series.iter().find(|one| one.name == YARDSTICK);
    let mut lines = vec![format!(
        "{:<34} {:>16} {:>8} {:>10} {:>12} {:>8} {:>8} {:>9} {:>10}",
        "program", "wall s (min)", "CPU s", "CPU ns/pkt", "packets/s", "wall x", "CPU x", "peak MiB", "bytes/flow"
    )];
    for one in series {
        let ratio =
            |of: fn(&Series) -> f64| yardstick.map_or("-".to_owned(), |base| format!("{:.2}", of(one) / of(base)));
        lines.push(format!(
            "{:<34} {:>16} {:>8.3} {:>10.1} {:>12.0} {:>8} {:>8} {:>9} {:>10}",
            one.name,
            format!("{:.3} ({:.3})", one.wall(), one.fastest()),
            one.cpu(),
            one.cpu() * 1e9 / packets as f64,
            packets as f64 / one.wall(),
            ratio(Series::wall),
            ratio(Series::cpu),
            one.peak.map_or("-".to_owned(), |kib| format!("{:.1}", kib as f64 / 1_024.0)),
            one.per_flow.map_or("-".to_owned(), |bytes| format!("{bytes:.0}")),
        ));
    }
    lines.push(format!(
        "medians; x: against `{YARDSTICK}`; bytes/flow: peak memory against that with {FEW_FLOWS} flows"
    ));
    lines.extend(speed_up(series).map(|times| format!("two workers against one, wall: {times:.2} times faster")));
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
            "bytes_per_flow": one.per_flow,
        })
    });
    json!({
        "schema": "lockkeeper/bench/1",
        "capture": capture,
        "packets": truth["packets"],
        "bytes": truth["bytes"],
        "agrees_with_truth": agrees,
        "machine": machine(),
        "two_workers_against_one": speed_up(series),
        "results": results.collect::<Vec<_>>(),
    })
}

//! The tables for people and the line for programs.

use serde_json::{Value, json};

use crate::machine::{machine, median};
use crate::process::Sample;
use crate::steps::{Dimension, Step};
use crate::threads::Shares;

/// One step, measured.
pub(crate) struct Row {
    pub(crate) step: Step,
    /// Packets of its capture.
    pub(crate) packets: f64,
    pub(crate) ours: Cost,
    /// tcpdump, if it is installed.
    pub(crate) theirs: Option<Cost>,
}

/// Samples of a program.
#[derive(Default)]
pub(crate) struct Cost {
    /// One sample a round.
    pub(crate) samples: Vec<Sample>,
    /// Peak memory, KiB.
    pub(crate) peak: Option<u64>,
    /// The threads of each round, if they were sampled.
    pub(crate) shares: Vec<Shares>,
}

impl Cost {
    fn cpu(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.cpu))
    }

    fn wall(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.wall))
    }

    fn share(&self, of: impl Fn(&Shares) -> f64) -> f64 {
        median(self.shares.iter().map(of))
    }
}

/// A table for each dimension, and one for the distribution of work over workers.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut lines = Vec::new();
    let mut last = None;
    for row in rows {
        if last != Some(row.step.dimension) {
            last = Some(row.step.dimension);
            lines.push(format!(
                "\n{:>14} {:>10} {:>9} {:>10} {:>7} {:>10} {:>7} {:>10} {:>8}",
                row.step.dimension, "packets", "CPU ns", "tcpdump", "x", "wall ns", "x", "peak MiB", "tcpdump"
            ));
        }
        lines.push(cells(row));
    }
    lines.push("\nns: medians, for each packet; x: against tcpdump on the same file in the same rounds".to_owned());
    lines.extend(simulation(rows));
    lines.join("\n")
}

fn cells(row: &Row) -> String {
    let Row { step, packets, ours, theirs } = row;
    let each = |seconds: f64| format!("{:.1}", seconds * 1e9 / packets);
    let mebibytes = |cost: &Cost| cost.peak.map_or("-".to_owned(), |kib| format!("{:.1}", kib as f64 / 1_024.0));
    let beside = |of: &dyn Fn(&Cost) -> String| theirs.as_ref().map_or("-".to_owned(), of);
    format!(
        "{:>14} {:>10} {:>9} {:>10} {:>7} {:>10} {:>7} {:>10} {:>8}",
        step.value,
        packets,
        each(ours.cpu()),
        beside(&|theirs| each(theirs.cpu())),
        beside(&|theirs| format!("{:.2}", ours.cpu() / theirs.cpu())),
        each(ours.wall()),
        beside(&|theirs| format!("{:.2}", ours.wall() / theirs.wall())),
        mebibytes(ours),
        beside(&mebibytes),
    )
}

/// Simulated times with a core for each thread.
fn simulation(rows: &[Row]) -> Vec<String> {
    let watched: Vec<&Row> = rows.iter().filter(|row| !row.ours.shares.is_empty()).collect();
    let mut lines = Vec::new();
    if !watched.is_empty() {
        lines.push(format!("\n{:>14} {:>9} {:>9} {:>9}", "workers", "all", "busiest", "wall here"));
    }
    for row in &watched {
        let each = |seconds: f64| seconds * 1e9 / row.packets;
        lines.push(format!(
            "{:>14} {:>9.1} {:>9.1} {:>9.1}",
            row.step.value,
            each(row.ours.share(|shares| shares.all)),
            each(row.ours.share(|shares| shares.busiest)),
            each(row.ours.wall()),
        ));
    }
    if !watched.is_empty() {
        let legend =
            "processor ns of threads for each packet; with a core for each, a run takes no less than the busiest";
        lines.push(legend.to_owned());
    }
    lines
}

/// The same as one JSON object.
pub(crate) fn line(rows: &[Row]) -> Value {
    json!({
        "schema": "lockkeeper/bench-growth/1",
        "machine": machine(),
        "results": rows.iter().map(result).collect::<Vec<_>>(),
    })
}

fn result(row: &Row) -> Value {
    let each = |seconds: f64| seconds * 1e9 / row.packets;
    let cost = |cost: &Cost| {
        json!({
            "runs": cost.samples.len(),
            "cpu_ns_per_packet": each(cost.cpu()),
            "wall_ns_per_packet": each(cost.wall()),
            "peak_kib": cost.peak,
        })
    };
    let threads = (row.step.dimension == Dimension::Workers).then(|| {
        json!({
            "all_ns": each(row.ours.share(|shares| shares.all)),
            "busiest_ns": each(row.ours.share(|shares| shares.busiest)),
        })
    });
    json!({
        "grows": row.step.dimension.to_string(),
        "value": row.step.value,
        "packets": row.packets,
        "lockkeeper": cost(&row.ours),
        "tcpdump": row.theirs.as_ref().map(cost),
        "threads": threads,
    })
}

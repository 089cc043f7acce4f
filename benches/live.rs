//! The performance of a sensor on a wire: `cargo bench --bench live -- rate|latency|soak`, as root.
//!
//! A virtual cable lies in a separate network namespace. A sender puts a generated capture on one end with `sendmmsg`, and
//! `lockkeeper watch` captures at the other. Sender and sensor share the processors of one machine, so the results are
//! lower than on a machine without the sender.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads clocks")]
#![expect(clippy::print_stdout, reason = "the table and the JSON line are what this program is for")]

#[path = "generator/files.rs"]
mod files;
#[allow(dead_code, reason = "the table of one benchmark more than the generator writes")]
mod generator;

#[path = "measure/capture.rs"]
#[allow(dead_code, reason = "shared with the benchmarks of replays")]
mod capture;
#[path = "measure/machine.rs"]
#[allow(dead_code, reason = "shared with the benchmarks of replays")]
mod machine;

#[path = "measure/process.rs"]
#[allow(dead_code, reason = "shared with the benchmarks of replays")]
mod process;

#[path = "live/broker.rs"]
mod broker;
#[path = "live/cable.rs"]
mod cable;
#[path = "live/latency.rs"]
mod latency;
#[path = "live/rate.rs"]
mod rate;
#[path = "live/sender.rs"]
mod sender;
#[path = "live/sensor.rs"]
mod sensor;
#[path = "live/soak.rs"]
mod soak;

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde_json::json;

/// Measures `lockkeeper watch` on a virtual cable. Needs root.
#[derive(Parser)]
#[command(name = "live", after_help = "Example: cargo bench --bench live -- rate --packets 1000000")]
struct Arguments {
    /// The measurements [default: rate, then latency]
    #[arg(value_enum)]
    only: Vec<Question>,
    /// Packets of the generated capture
    #[arg(long, default_value_t = 1_000_000)]
    packets: u64,
    /// Flows that are open at once, of `soak`
    #[arg(long, default_value_t = 100_000)]
    flows: u32,
    /// Packets a second, of `soak` and of the busy half of `latency`
    #[arg(long, default_value_t = 50_000)]
    pps: u64,
    /// Seconds, of `soak` and of each half of `latency`
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// The `--block-timeout` of the sensor, of `latency`
    #[arg(long, value_name = "MS", default_value_t = 1)]
    block_timeout: u32,
    /// The lockkeeper to measure [default: this one, built for release]
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_lockkeeper"), hide_default_value = true)]
    binary: PathBuf,
    /// Write the JSON line to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Passed by cargo to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// A measurement.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Question {
    /// The highest rate without a loss, beside tcpdump, every packet accounted for; tcpreplay sends as well, where it is
    /// installed
    Rate,
    /// From a packet to its alert at a broker and its subscriber, on a quiet wire and on a busy one; needs mosquitto
    Latency,
    /// Memory and losses over a long time with new flows and a flood of SYN segments
    Soak,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let asked =
        if arguments.only.is_empty() { vec![Question::Rate, Question::Latency] } else { arguments.only.clone() };
    let mut results = serde_json::Map::new();
    results.insert("machine".to_owned(), machine::machine());
    for question in asked {
        let (name, result) = match question {
            Question::Rate => ("rate", rate::measure(&arguments)?),
            Question::Latency => ("latency", latency::measure(&arguments)?),
            Question::Soak => ("soak", soak::measure(&arguments)?),
        };
        results.insert(name.to_owned(), result);
    }
    let line = json!(results).to_string();
    println!("{line}");
    if let Some(path) = &arguments.json {
        fs::write(path, format!("{line}\n"))?;
    }
    Ok(())
}

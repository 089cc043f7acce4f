//! How cost and memory grow with packets, flows, the size of the policy, workers and the share of violations:
//! `cargo bench --bench growth`, some minutes.
//!
//! Each row is a step: a separate capture, replayed by a whole process, with tcpdump on the same file in the same rounds.
//! Rows of one dimension are comparable, because nothing else changes between them.

#[path = "generator/files.rs"]
mod files;
mod generator;

#[path = "measure/capture.rs"]
mod capture;
#[path = "measure/machine.rs"]
mod machine;
#[path = "measure/process.rs"]
mod process;

#[path = "growth/report.rs"]
mod report;
#[path = "growth/steps.rs"]
mod steps;
#[path = "growth/threads.rs"]
mod threads;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use capture::{prepare, replay_arguments};
use clap::Parser;
use files::Files;
use generator::{PolicyKind, Settings};
use process::{Contender, Scratch, installed};
use report::{Cost, Row};
use steps::{Dimension, Step, steps};

/// Measures how cost and memory grow, beside tcpdump.
#[derive(Parser)]
#[command(name = "growth", after_help = "Example: cargo bench --bench growth -- flows workers")]
struct Arguments {
    /// The growing dimension [default: each in turn]
    #[arg(value_enum, value_name = "DIMENSION")]
    only: Vec<Dimension>,
    /// Rounds; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
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

#[expect(clippy::print_stdout, reason = "the table and the JSON line are what this program is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let files = Files::beside(Files::default_for(&Settings::default()).capture.with_file_name("growth.pcap"));
    let scratch = Scratch::new(files.capture.parent().unwrap_or(Path::new(".")))?;
    let wanted = |step: &Step| arguments.only.is_empty() || arguments.only.contains(&step.dimension);
    let mut rows = Vec::new();
    for step in steps().into_iter().filter(wanted) {
        eprintln!("{} {}", step.dimension, step.value);
        rows.push(measure(&arguments, step, &files, &scratch)?);
    }
    let policies = files.policies().map(|(_, policy)| policy);
    policies.chain([files.capture.clone(), files.truth.clone()]).try_for_each(fs::remove_file)?;

    let line = report::line(&rows);
    println!("{}\n", machine::machine());
    println!("{}\n", report::table(&rows));
    println!("{line}");
    if let Some(path) = arguments.json {
        fs::write(path, format!("{line}\n"))?;
    }
    Ok(())
}

/// One step: memory first, which warms the page cache, then the rounds.
fn measure(arguments: &Arguments, step: Step, files: &Files, scratch: &Scratch) -> Result<Row, Box<dyn Error>> {
    let truth = prepare(files, &step.settings)?;
    let ours = lockkeeper(&arguments.binary, files, step.workers);
    let theirs = tcpdump(files);
    let mut row = Row { step, packets: truth["packets"].as_f64().unwrap_or(1.0), ours: Cost::default(), theirs: None };
    row.ours.peak = scratch.peak_memory(&ours)?;
    if let Some(theirs) = &theirs {
        row.theirs = Some(Cost { peak: scratch.peak_memory(theirs)?, ..Cost::default() });
    }
    for _ in 0..arguments.rounds {
        if let Some((cost, theirs)) = row.theirs.as_mut().zip(theirs.as_ref()) {
            cost.samples.push(scratch.run(theirs)?);
        }
        row.ours.samples.push(scratch.run(&ours)?);
        if row.step.dimension == Dimension::Workers {
            row.ours.shares.extend(threads::watch(&ours)?);
        }
    }
    Ok(row)
}

fn lockkeeper(binary: &Path, files: &Files, workers: u16) -> Contender {
    let mut command = vec![binary.display().to_string()];
    command.extend(replay_arguments(files, PolicyKind::Limited));
    command.extend(["--workers".to_owned(), workers.to_string()]);
    Contender { name: "lockkeeper".to_owned(), command, statuses: &[0, 1] }
}

fn tcpdump(files: &Files) -> Option<Contender> {
    let capture = files.capture.display().to_string();
    let command = ["tcpdump", "-r", &capture, "-w", "/dev/null"].map(str::to_owned).to_vec();
    let tcpdump = Contender { name: "tcpdump".to_owned(), command, statuses: &[0] };
    installed("tcpdump").then_some(tcpdump)
}

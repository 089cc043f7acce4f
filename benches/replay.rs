//! The whole replay as a process, compared with similar programs: `cargo bench --bench replay`.
//!
//! Every round runs each program once, so that a disturbance of the machine affects all of them; the table shows medians.
//! Before the measurement, the counts of `replay` are compared with the generated ones.

#[path = "generator/files.rs"]
mod files;
mod generator;

#[path = "measure/capture.rs"]
mod capture;
#[path = "measure/machine.rs"]
mod machine;
#[path = "measure/process.rs"]
mod process;

#[path = "replay/contenders.rs"]
mod contenders;
#[path = "replay/report.rs"]
mod report;

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use capture::{prepare, replay_arguments};
use clap::Parser;
use contenders::{contenders, ours};
use files::Files;
use generator::{PolicyKind, PolicySize, Settings, Speech};
use process::Scratch;
use report::{FEW_FLOWS, Series};
use serde_json::Value;

/// Measures the whole replay beside tcpdump and cat, on a generated capture, under policies of each kind.
#[derive(Parser)]
#[command(name = "replay", after_help = "Example: cargo bench --bench replay -- --flows 100000 --peers tshark")]
struct Arguments {
    /// The protocol or mixture of protocols of the capture
    #[arg(long, value_enum, default_value = "modbus/tcp")]
    speech: Speech,
    /// Packets of the capture
    #[arg(long, default_value_t = 2_000_000)]
    packets: u64,
    /// Flows of the capture
    #[arg(long, default_value_t = 200)]
    flows: u32,
    /// The policy names the nodes of OPC UA one by one, not their namespace
    #[arg(long)]
    policy_nodes: bool,
    /// Rounds; each runs every program once
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The lockkeeper to measure [default: this one, built for release]
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_lockkeeper"), hide_default_value = true)]
    binary: PathBuf,
    /// Programs to measure as well, if they are installed; tshark takes a minute a round
    #[arg(long, value_delimiter = ',', value_name = "NAME", value_parser = contenders::PEERS)]
    peers: Vec<String>,
    /// Write the JSON line to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Passed by cargo to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[expect(clippy::print_stdout, reason = "the table and the JSON line are what this program is for")]
fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::parse();
    let Arguments { speech, packets, flows, .. } = arguments;
    let policy = PolicySize { nodes: arguments.policy_nodes, ..PolicySize::default() };
    let settings = Settings { speech, packets, flows, policy, ..Settings::default() };
    let files = Files::default_for(&settings);
    let truth = prepare(&files, &settings)?;
    let scratch = Scratch::new(folder_of(&files))?;

    let counts = agrees(&arguments.binary, &files, speech, &truth)?;
    let agrees = judges(&arguments.binary, &files)? && counts;
    let series = measure(&arguments, &files, &scratch)?;
    let name = files.capture.file_name().unwrap_or_default().display().to_string();
    let line = report::line(&series, &name, &truth, agrees);
    println!("{}\n", machine::machine());
    println!("{}\n", report::table(&series, truth["packets"].as_u64().unwrap_or(1)));
    println!("{line}");
    if let Some(path) = arguments.json {
        fs::write(path, format!("{line}\n"))?;
    }
    Ok(if agrees { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The folder of the capture and of all output.
fn folder_of(files: &Files) -> &Path {
    files.capture.parent().unwrap_or(Path::new("."))
}

/// Whether the counts of replay equal the generated ones; prints differences.
fn agrees(binary: &Path, files: &Files, speech: Speech, truth: &Value) -> Result<bool, Box<dyn Error>> {
    let run = Command::new(binary)
        .args(replay_arguments(files, PolicyKind::Limited))
        .args(["--stats", "-"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let stats: Value = serde_json::from_slice(&run.stdout).map_err(|error| format!("no --stats to read: {error}"))?;
    let kinds = speech.parts().iter().flat_map(|part| {
        let protocol = part.protocol();
        truth[protocol].as_object().into_iter().flatten().map(move |(kind, sent)| (protocol, kind, sent))
    });
    let pdus = kinds.map(|(protocol, kind, sent)| (kind.as_str(), sent, &stats["pdus"][protocol][kind]));
    let compared = [("packets", &truth["packets"], &stats["packets"])].into_iter().chain(pdus);
    let differs = compared.filter(|(_, sent, counted)| sent != counted);
    let reported = differs.inspect(|(name, sent, counted)| eprintln!("{name}: generated {sent}, counted {counted}"));
    Ok(reported.count() == 0)
}

/// Whether each policy was applied: only the denying one finds violations. Prints failures.
fn judges(binary: &Path, files: &Files) -> io::Result<bool> {
    let mut right = true;
    for kind in PolicyKind::ALL {
        let run =
            Command::new(binary).args(replay_arguments(files, kind)).arg("--quiet").stdin(Stdio::null()).status()?;
        let expected = i32::from(kind == PolicyKind::Denied);
        if run.code() != Some(expected) {
            eprintln!("policy {}: ended with {run}, not with {expected}", kind.name());
            right = false;
        }
    }
    Ok(right)
}

/// Measures memory, which also warms the page cache, then runs the rounds.
fn measure(arguments: &Arguments, files: &Files, scratch: &Scratch) -> Result<Vec<Series>, Box<dyn Error>> {
    let contenders = contenders(arguments, files, folder_of(files))?;
    let mut series = Vec::with_capacity(contenders.len());
    for contender in &contenders {
        eprintln!("{}: {}", contender.name, contender.command.join(" "));
        let peak = scratch.peak_memory(contender)?;
        series.push(Series { name: contender.name.clone(), samples: Vec::new(), peak, per_flow: None });
    }
    memory_per_flow(arguments, scratch, &mut series)?;
    for round in 1..=arguments.rounds {
        eprintln!("Round {round} of {}", arguments.rounds);
        for (contender, series) in contenders.iter().zip(&mut series) {
            series.samples.push(scratch.run(contender)?);
        }
    }
    Ok(series)
}

/// Bytes of one more open flow: the peak compared with that of the same number of packets in few flows. Every flow of a
/// generated capture is opened before any is closed.
fn memory_per_flow(arguments: &Arguments, scratch: &Scratch, series: &mut [Series]) -> Result<(), Box<dyn Error>> {
    let Some(more) = arguments.flows.checked_sub(FEW_FLOWS).filter(|more| *more > 0) else { return Ok(()) };
    let Arguments { speech, packets, .. } = *arguments;
    let settings = Settings { speech, packets, flows: FEW_FLOWS, ..Settings::default() };
    let files = Files::default_for(&settings);
    prepare(&files, &settings)?;
    for contender in ours(&arguments.binary, &files) {
        let few = scratch.peak_memory(&contender)?;
        let same = |one: &&mut Series| one.name == contender.name;
        if let (Some(one), Some(few)) = (series.iter_mut().find(same), few) {
            one.per_flow = one.peak.map(|many| (many as f64 - few as f64) * 1_024.0 / f64::from(more));
        }
    }
    Ok(())
}

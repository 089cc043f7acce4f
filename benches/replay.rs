//! The whole replay as a process, beside the programs that people would hold it against: `cargo bench --bench replay`.
//!
//! Every round runs each program once, so that what disturbs the machine disturbs all of them; the table gives medians.
//! A fast program that skips half of its work is not fast: what replay counted is held against what was generated.

#[path = "generator/files.rs"]
mod files;
mod generator;
#[path = "replay/measure.rs"]
mod measure;
#[path = "replay/report.rs"]
mod report;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Parser;
use files::Files;
use generator::{Settings, Speech};
use measure::{Contender, Scratch, installed};
use report::{Series, YARDSTICK};
use serde_json::Value;

/// Measures the whole replay beside tcpdump and cat, on a generated capture.
#[derive(Parser)]
#[command(name = "replay", after_help = "Example: cargo bench --bench replay -- --flows 100000 --peers tshark")]
struct Arguments {
    /// What is spoken in the capture
    #[arg(long, alias = "protocol", value_enum, default_value = "modbus/tcp")]
    speech: Speech,
    /// Packets of the capture
    #[arg(long, default_value_t = 2_000_000)]
    packets: u64,
    /// Flows of the capture
    #[arg(long, default_value_t = 200)]
    flows: u32,
    /// Rounds; each runs every program once
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The lockkeeper to measure [default: this one, built for release]
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_lockkeeper"), hide_default_value = true)]
    binary: PathBuf,
    /// Slow programs to measure as well, where they are installed
    #[arg(long, value_delimiter = ',', value_name = "NAME", value_parser = ["tshark", "ndpiReader", "suricata"])]
    peers: Vec<String>,
    /// Write the JSON line to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[expect(clippy::print_stdout, reason = "the table and the JSON line are what this program is for")]
fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::parse();
    let Arguments { speech, packets, flows, .. } = arguments;
    let settings = Settings { speech, packets, flows, ..Settings::default() };
    let files = Files::default_for(&settings);
    let truth = prepare(&files, &settings)?;
    let scratch = Scratch::new(files.capture.parent().unwrap_or(Path::new(".")))?;

    let agrees = agrees(&arguments.binary, &files, speech.protocol(), &truth)?;
    let series = measure(&arguments, &files, &scratch)?;
    let name = files.capture.file_name().unwrap_or_default().display().to_string();
    let line = report::line(&series, &name, &truth, agrees);
    println!("{}\n", report::machine());
    println!("{}\n", report::table(&series, truth["packets"].as_u64().unwrap_or(1)));
    println!("{line}");
    if let Some(path) = arguments.json {
        fs::write(path, format!("{line}\n"))?;
    }
    Ok(if agrees { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The truth of the capture, which is generated unless it is there already.
fn prepare(files: &Files, settings: &Settings) -> Result<Value, Box<dyn Error>> {
    if let Some(truth) = existing(files, settings) {
        return Ok(truth);
    }
    eprintln!("Generating {}", files.capture.display());
    Ok(files.write(settings)?)
}

fn existing(files: &Files, settings: &Settings) -> Option<Value> {
    let truth: Value = serde_json::from_str(&fs::read_to_string(&files.truth).ok()?).ok()?;
    let same = truth["settings"] == files::described(settings) && truth["generator"] == files::GENERATOR;
    let whole = fs::metadata(&files.capture).is_ok_and(|file| truth["bytes"] == file.len());
    (same && whole && files.policy.exists()).then_some(truth)
}

/// Whether replay counted what was generated; says where it did not.
fn agrees(binary: &Path, files: &Files, protocol: &str, truth: &Value) -> Result<bool, Box<dyn Error>> {
    let run = Command::new(binary)
        .args(replay_arguments(files))
        .args(["--stats", "-"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let stats: Value = serde_json::from_slice(&run.stdout).map_err(|error| format!("no --stats to read: {error}"))?;
    let kinds = truth[protocol].as_object().into_iter().flatten();
    let pdus = kinds.map(|(kind, sent)| (kind.as_str(), sent, &stats["pdus"][protocol][kind]));
    let compared = [("packets", &truth["packets"], &stats["packets"])].into_iter().chain(pdus);
    let differs = compared.filter(|(_, sent, counted)| sent != counted);
    let reported = differs.inspect(|(name, sent, counted)| eprintln!("{name}: generated {sent}, counted {counted}"));
    let clean = run.status.code() == Some(0);
    if !clean {
        eprintln!("a capture that its policy permits ended with {}", run.status);
    }
    Ok(reported.count() == 0 && clean)
}

/// Warms the page cache and takes the memory first, then runs the rounds.
fn measure(arguments: &Arguments, files: &Files, scratch: &Scratch) -> Result<Vec<Series>, Box<dyn Error>> {
    let contenders = contenders(arguments, files);
    let mut series = Vec::with_capacity(contenders.len());
    for contender in &contenders {
        eprintln!("{}: {}", contender.name, contender.command.join(" "));
        let peak = scratch.peak_memory(contender)?;
        series.push(Series { name: contender.name.clone(), samples: Vec::new(), peak });
    }
    for round in 1..=arguments.rounds {
        eprintln!("Round {round} of {}", arguments.rounds);
        for (contender, series) in contenders.iter().zip(&mut series) {
            series.samples.push(scratch.run(contender)?);
        }
    }
    Ok(series)
}

fn contenders(arguments: &Arguments, files: &Files) -> Vec<Contender> {
    let capture = files.capture.display().to_string();
    let foreign = |name: &str, rest: &[&str]| {
        let command = [name].iter().chain(rest).map(|part| part.replace("FILE", &capture)).collect();
        Contender { name: name.to_owned(), command, statuses: &[0] }
    };
    let ours = |name: &str, rest: &[&str]| {
        let mut command = vec![arguments.binary.display().to_string()];
        command.extend(replay_arguments(files));
        command.extend(rest.iter().map(|part| (*part).to_owned()));
        Contender { name: name.to_owned(), command, statuses: &[0, 1] }
    };
    let mut all = vec![
        foreign("cat", &["FILE"]),
        foreign(YARDSTICK, &["-r", "FILE", "-w", "/dev/null"]),
        ours("lockkeeper", &[]),
        ours("lockkeeper, 1 worker", &["--workers", "1"]),
        ours("lockkeeper, transactions", &["--transactions", "/dev/null"]),
    ];
    let peers = arguments.peers.iter().map(|peer| match peer.as_str() {
        "tshark" => {
            let protocol = arguments.speech.protocol();
            let field = if protocol == "modbus" { "modbus.func_code" } else { "s7comm.param.func" };
            foreign(peer, &["-n", "-r", "FILE", "-Y", protocol, "-T", "fields", "-e", field])
        }
        "suricata" => foreign(peer, &["--runmode", "single", "-l", "/tmp", "-r", "FILE"]),
        _ => foreign(peer, &["-q", "-i", "FILE"]),
    });
    all.extend(peers);
    all.retain(|one| installed(&one.command[0]) || Path::new(&one.command[0]).is_file());
    all
}

fn replay_arguments(files: &Files) -> Vec<String> {
    let [capture, policy] = [&files.capture, &files.policy].map(|path| path.display().to_string());
    ["replay", &capture, "--policy", &policy, "--alerts", "/dev/null"].map(str::to_owned).to_vec()
}

//! The program: parses the arguments, runs the subcommand, and returns its exit status.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use lockkeeper::capture::{self, Live, ReplaySettings, Source};
use lockkeeper::cli::{self, Cli, Command, Generate, Policy as PolicyCommand, Replay, Watch};
use lockkeeper::config::{self, Destination, Destinations};
use lockkeeper::pipeline::{self, Outputs, Replayed};
use lockkeeper::policy::{self, Diagnostics, Policy};
use lockkeeper::publish::sink::{self, SinkSetup};
use lockkeeper::publish::{Jsonl, Lines, PublishError};
use lockkeeper::report::summary;
use lockkeeper::sensor::confine::{Confinement, confine};
use lockkeeper::sensor::health::{self, AlertTally, Board, Handles, Reporter};
use lockkeeper::sensor::interfaces;
use lockkeeper::sensor::{self, HealthUpdater};
use lockkeeper::store::evidence::EvidenceCollector;
use lockkeeper::store::recording::{Prepared, Recorder};
use lockkeeper_protocols::REGISTRY;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging();
    let outcome = match cli.command {
        Command::Replay(typed) => replay(&typed),
        Command::Watch(typed) => watch(&typed),
        Command::Status { file, json } => status(&file, json),
        Command::Interfaces { json } => list_interfaces(json),
        Command::Policy(PolicyCommand::Check { files }) => policy_check(&files),
        Command::Protocols => protocols(),
        Command::Generate(files) => generate(&files),
    };
    let status = outcome.unwrap_or_else(|error| {
        print_error(error.as_ref());
        Status::Error
    });
    ExitCode::from(status as u8)
}

/// The exit status.
enum Status {
    /// No violation.
    Clean = 0,
    /// Violations, or a degraded sensor.
    Violations = 1,
    /// Bad input, a bad policy, an unreachable receiver, or an incomplete observation.
    Error = 2,
}

type Outcome = Result<Status, Box<dyn Error>>;

/// `lockkeeper replay`: judges captures against a policy.
fn replay(typed: &Replay) -> Outcome {
    config::captures(&typed.captures)?;
    let destinations = Destinations::of(typed)?;
    let Some(policy) = load_policy(typed.run.policy.as_deref())? else { return Ok(Status::Error) };
    let mut source = capture::open(&typed.captures, &ReplaySettings::default())?;
    if !typed.quiet {
        print_left_out(source.skipped());
    }
    let names = source.captures().iter().map(|capture| config::capture_name(&capture.name)).collect();
    let settings = config::pipeline(typed, &policy, names, destinations.transactions.is_some())?;
    let mut outputs = open_outputs(&destinations, WriteMode::Replace)?;
    outputs.evidence = config::evidence(&typed.evidence, &settings.alerts).map(EvidenceCollector::new).transpose()?;
    let stats = destinations.stats.as_ref().map(open_stats).transpose()?;
    let unreachable = connect(config::sinks(&typed.sinks.0, &settings.alerts)?, &mut outputs);

    let bar = progress_bar(typed.quiet);
    let mut shown = 0;
    let replayed = pipeline::replay(&mut source, &policy, &settings, &mut outputs, &mut |packets, bytes, total| {
        if !bar.is_hidden() && bytes >= shown + PROGRESS {
            shown = bytes;
            bar.set_length(total.unwrap_or(bytes));
            bar.set_position(bytes);
            bar.set_message(speed(packets, bar.elapsed()));
        }
    });
    bar.finish_and_clear();

    write_results(&replayed, stats, (!typed.quiet).then_some(&outputs), &policy)?;
    unreachable.iter().for_each(|error| print_error(error));
    let is_cut = replayed.captures.iter().any(|capture| capture.cut.is_some());
    let failed = !unreachable.is_empty() || !replayed.problems.is_empty();
    Ok(if failed || is_cut || replayed.incomplete().is_some() {
        Status::Error
    } else if replayed.alerts.violations > 0 {
        Status::Violations
    } else {
        Status::Clean
    })
}

/// `lockkeeper watch`: judges live traffic until it is asked to stop.
fn watch(typed: &Watch) -> Outcome {
    let asked = match config::watch(typed) {
        Ok(asked) => asked?,
        Err(mistakes) => return print_mistakes(&mistakes).map(|()| Status::Error),
    };
    let Some(policy) = load_policy(asked.policy.as_deref())? else { return Ok(Status::Error) };
    let settings = asked.pipeline(&policy)?;
    let mut outputs = open_outputs(&asked.destinations, WriteMode::Append)?;
    outputs.evidence = asked.evidence(&settings).map(EvidenceCollector::new).transpose()?;
    let stats = asked.destinations.stats.as_ref().map(open_stats).transpose()?;
    let live = Live::open(&asked.interfaces)?;
    sensor::stop_on_signals(&live.stop())?;
    let handles = Handles::open(asked.metrics)?;
    let sinks = asked.sinks(&settings)?;
    let recorder = asked.recording(&live).map(Recorder::prepare).transpose()?;
    if !typed.quiet {
        let names: Vec<&str> = asked.interfaces.iter().map(|interface| interface.name.as_str()).collect();
        writeln!(anstream::stderr(), "Listening on {}. SIGINT or SIGTERM ends it.", names.join(", "))?;
    }
    // Everything is open, and there is no second thread yet.
    let confinement = asked.needs(live.sockets(), &sinks).map_or_else(Confinement::default, |it| confine(&it));
    outputs.recording = recorder.map(Prepared::start).transpose()?;
    for sink in sinks {
        outputs.publishers.push(sink.start()?);
    }
    let monitors = sink::monitors(&outputs.publishers);
    let board = Board::new(&settings.alerts.sensor, &settings.alerts.site);
    board.update(|snapshot| snapshot.confinement = confinement);
    outputs.publishers.push(Box::new(AlertTally::new(board.clone())));
    outputs.judged = Some(Box::new(health::measure_verdicts(board.clone())));
    let reporter = Reporter::start(board.clone(), asked.health(monitors), handles)?;
    let watched = sensor::run(live, &policy, &asked.sensor(), &settings, &mut outputs, HealthUpdater::new(board));
    reporter.stop();
    let watched = watched?;
    write_results(&watched, stats, (!typed.quiet).then_some(&outputs), &policy)?;
    Ok(if watched.problems.is_empty() { Status::Clean } else { Status::Error })
}

/// `lockkeeper status`: the health of the sensor on this machine.
fn status(file: &Path, json: bool) -> Outcome {
    Ok(match health::status(file, json, &mut anstream::stdout())? {
        health::Verdict::Ok => Status::Clean,
        health::Verdict::Degraded => Status::Violations,
        health::Verdict::Gone => Status::Error,
    })
}

/// `lockkeeper interfaces`: the interfaces that can be watched, and their problems.
fn list_interfaces(json: bool) -> Outcome {
    let found = interfaces::list()?;
    if json {
        interfaces::write_json(&found, &mut io::stdout())?;
    } else {
        interfaces::write_text(&found, &mut anstream::stdout())?;
    }
    Ok(Status::Clean)
}

/// Loads the policy; `None` after its mistakes were printed. Without a file, the policy permits everything.
fn load_policy(path: Option<&Path>) -> Result<Option<Arc<Policy>>, Box<dyn Error>> {
    let Some(path) = path else { return Ok(Some(Arc::new(Policy::permissive()))) };
    match Policy::load(path) {
        Ok(policy) => Ok(Some(Arc::new(policy))),
        Err(mistakes) => print_mistakes(&mistakes).map(|()| None),
    }
}

/// Prints the mistakes in a file, each with its place.
fn print_mistakes(mistakes: &Diagnostics) -> Result<(), Box<dyn Error>> {
    Ok(write!(anstream::stderr(), "{}", mistakes.render(true))?)
}

/// Writes the results of a run: the counts, the summary if `summarised` is given, and the failures of outputs.
fn write_results(
    run: &Replayed,
    stats: Option<Box<dyn Write + Send>>,
    summarised: Option<&Outputs>,
    policy: &Policy,
) -> Result<(), Box<dyn Error>> {
    if let Some(mut stats) = stats {
        summary::write_stats(run, &mut stats)?;
        stats.flush()?;
    }
    if let Some(outputs) = summarised {
        summary::write_text(run, &outputs.highlights, policy, &mut anstream::stderr())?;
    }
    for problem in &run.problems {
        print_error(problem);
    }
    Ok(())
}

/// Opens the outputs, before any packet is read: a path that cannot be written is an error at once.
fn open_outputs(destinations: &Destinations, mode: WriteMode) -> Result<Outputs, Box<dyn Error>> {
    let mut outputs = Outputs::default();
    if let Some(place) = &destinations.alerts {
        outputs.publishers.push(Box::new(Jsonl::new(open_lines(place, mode)?)));
    }
    outputs.transactions = destinations.transactions.as_ref().map(|place| open_lines(place, mode)).transpose()?;
    Ok(outputs)
}

/// How an output file is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WriteMode {
    /// A replay replaces the content.
    Replace,
    /// A sensor appends to the content of its earlier runs.
    Append,
}

/// Opens one output of lines.
fn open_lines(place: &Destination, mode: WriteMode) -> Result<Lines, PublishError> {
    match (place, mode) {
        (Destination::Stdout, _) => Ok(Lines::stdout(mode == WriteMode::Append)),
        (Destination::File(path), WriteMode::Replace) => Lines::create(path),
        (Destination::File(path), WriteMode::Append) => Lines::append(path),
    }
}

/// Opens the output of the counts.
fn open_stats(place: &Destination) -> Result<Box<dyn Write + Send>, Box<dyn Error>> {
    Ok(match place {
        Destination::Stdout => Box::new(io::stdout()),
        Destination::File(path) => {
            let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
            Box::new(BufWriter::new(file))
        }
    })
}

/// Opens the sinks of a replay. The captures are judged even if a receiver cannot be reached: the errors are returned, to
/// be reported at the end.
fn connect(sinks: Vec<Box<dyn SinkSetup>>, outputs: &mut Outputs) -> Vec<PublishError> {
    let mut unreachable = Vec::new();
    for sink in sinks {
        match sink.connect() {
            Ok(publisher) => outputs.publishers.push(publisher),
            Err(error) => unreachable.push(error),
        }
    }
    unreachable
}

/// A progress bar on a terminal; a hidden one elsewhere.
fn progress_bar(quiet: bool) -> ProgressBar {
    if quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:32} {percent:>3}%  {msg}  {binary_bytes_per_sec}  {eta} left");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Bytes between two updates of the progress bar: some milliseconds.
const PROGRESS: u64 = 1024 * 1024;

/// Packets so far, and their rate.
fn speed(packets: u64, elapsed: Duration) -> String {
    let rate = packets as f64 / elapsed.as_secs_f64().max(0.001);
    format!("{packets} packets, {rate:.0} packets/s")
}

/// `lockkeeper policy check`: what each policy permits, or its mistakes, each with its place and a remedy.
fn policy_check(files: &[PathBuf]) -> Outcome {
    let outcome = policy::check(files, true, &mut anstream::stdout(), &mut anstream::stderr())?;
    Ok(match outcome {
        policy::CheckOutcome::Sound => Status::Clean,
        policy::CheckOutcome::Unsound => Status::Error,
    })
}

/// `lockkeeper protocols`: the decoded protocols, one a line.
fn protocols() -> Outcome {
    let rows = REGISTRY.iter().map(|row| {
        let ports: Vec<String> = row.ports.iter().map(u16::to_string).collect();
        let ports =
            if ports.is_empty() { "any port".to_owned() } else { format!("port {}, and any other", ports.join(", ")) };
        [row.name.to_owned(), row.framing.to_owned(), row.title.to_owned(), ports]
    });
    write_table(&rows.collect::<Vec<_>>(), &mut anstream::stdout())?;
    Ok(Status::Clean)
}

/// Writes rows in columns, each as wide as its widest cell.
fn write_table<const COLUMNS: usize>(rows: &[[String; COLUMNS]], out: &mut dyn Write) -> io::Result<()> {
    let widths: [usize; COLUMNS] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// `lockkeeper generate`: files that a package installs.
fn generate(files: &Generate) -> Outcome {
    let (folder, written) = match files {
        Generate::Man { folder } => (folder, cli::write_man_pages(folder)),
        Generate::Completions { folder } => (folder, cli::write_completions(folder)),
    };
    written.map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(Status::Clean)
}

/// Sets up logging: warnings by default, more with `LOCKKEEPER_LOG=debug`.
fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("LOCKKEEPER_LOG").unwrap_or_else(|_| "warn".into());
    // Colours go through anstream, as everywhere: it removes them unless stderr is a terminal and NO_COLOR is not set.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(anstream::stderr);
    log.with_ansi(true).with_target(false).init();
}

/// Prints an error on one line, with every cause.
fn print_error(error: &dyn Error) {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        cause = error.source();
    }
    // There is no other place to report that standard error is closed.
    let _ = writeln!(anstream::stderr(), "{ERROR}error{ERROR:#}: {line}");
}

/// Prints the skipped files of the folders, each with its reason.
fn print_left_out(files: &[String]) {
    let (shown, more) = files.split_at(files.len().min(LEFT_OUT_SHOWN));
    let mut stderr = anstream::stderr();
    for file in shown {
        let _ = writeln!(stderr, "{NOTE}left out{NOTE:#}: {file}");
    }
    if !more.is_empty() {
        let _ = writeln!(stderr, "{NOTE}left out{NOTE:#}: {} more files that are no captures", more.len());
    }
}

/// Number of skipped files that are printed by name.
const LEFT_OUT_SHOWN: usize = 3;

const NOTE: anstyle::Style = anstyle::AnsiColor::Yellow.on_default();
const ERROR: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();

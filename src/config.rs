//! Command-line options and configuration files, resolved to the settings of each stage. No stage depends on this module.

mod file;
mod watch;

use std::hash::BuildHasher;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use foldhash::quality::RandomState;
use lockkeeper_protocols::Limits as DecoderLimits;

use crate::cli::{self, Limits, Replay, Vantage};
use crate::flow::{DuplicateSettings, StreamSettings, TableSettings};
use crate::frame::FragmentLimits;
use crate::keys::{self, KeyLog};
use crate::pipeline;
use crate::policy::Policy;
use crate::publish::PublishError;
use crate::publish::sink::{Origin, SinkOptions, SinkSetup};
use crate::record;
use crate::store::evidence;
use crate::worker::{self, Checksums};
pub use watch::{USUAL_CONFIGURATION, Watch, watch};

/// The destination of machine-readable output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file, created or overwritten.
    File(PathBuf),
}

/// A setting that is not valid.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Several outputs are directed to standard output.
    #[error(
        "only one of --alerts, --transactions and --stats can be written to standard output; give the others a file"
    )]
    StdoutTwice,
    /// `watch` has neither an interface nor a configuration.
    #[error(
        "nothing to listen to: name an interface with --interface IFACE (`lockkeeper interfaces` lists them), or a \
         configuration with --config FILE; without any option, {USUAL_CONFIGURATION} is taken, which does not exist"
    )]
    NothingToListenTo,
    /// `watch` has options, but no interface.
    #[error(
        "no interface to listen to: add --interface IFACE (`lockkeeper interfaces` lists them), or give everything in a \
         configuration with --config FILE instead"
    )]
    NoInterface,
    /// Standard input is given twice, or with other captures.
    #[error("`-` (standard input) can be given once")]
    StdinTwice,
    /// An invalid number of seconds.
    #[error("--{option} {value}: a number of seconds greater than 0 is needed")]
    Seconds {
        /// The option, without its dashes.
        option: &'static str,
        /// The value.
        value: f64,
    },
    /// An invalid percentage.
    #[error("--{option} {value}: a number of percent from 0 to 100 is needed")]
    Percent {
        /// The option, without its dashes.
        option: &'static str,
        /// The value.
        value: f64,
    },
    /// Invalid keys.
    #[error(transparent)]
    Keys(#[from] keys::Error),
    /// The files of a recording are too large for its size.
    #[error("a file of {file} MiB is too large for a recording of {all} MiB: it can have at most half of it")]
    FileSize {
        /// Size of a file, MiB.
        file: u32,
        /// Size of the recording, MiB.
        all: u32,
    },
    /// A bound of zero.
    #[error("--{option} 0: the bound must be at least 1")]
    Zero {
        /// The option, without its dashes.
        option: &'static str,
    },
    /// A budget that is too small to decode anything.
    #[error(
        "--max-memory {given}: conversations need at least {least} bytes, of which --max-recent-bytes takes its own"
    )]
    Memory {
        /// The budget, bytes.
        given: usize,
        /// The least budget, bytes.
        least: usize,
    },
}

/// The destinations of the outputs of a replay.
#[derive(Clone, Debug)]
pub struct Destinations {
    /// Alerts, one JSON object a line.
    pub alerts: Option<Destination>,
    /// Transactions, one JSON object a line.
    pub transactions: Option<Destination>,
    /// Counts, one JSON object.
    pub stats: Option<Destination>,
}

impl Destination {
    fn of(path: &Path) -> Self {
        if path.as_os_str() == "-" { Self::Stdout } else { Self::File(path.to_owned()) }
    }

    /// The folder of a file.
    fn folder(&self) -> Option<PathBuf> {
        let Self::File(path) = self else { return None };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        Some(parent.unwrap_or(Path::new(".")).to_owned())
    }
}

impl Destinations {
    /// Resolves the options. By default, alerts go to standard output, unless it is a terminal or the destination of another
    /// output.
    pub fn of(typed: &Replay) -> Result<Self, Error> {
        let run = &typed.run;
        Self::resolve([&run.alerts, &run.transactions, &run.stats], !io::stdout().is_terminal())
    }

    /// Destinations of alerts, transactions and counts. `fallback`: alerts without a destination go to standard output, unless
    /// another output goes there.
    fn resolve(typed: [&Option<PathBuf>; 3], fallback: bool) -> Result<Self, Error> {
        let [mut alerts, transactions, stats] = typed.map(|path| path.as_deref().map(Destination::of));
        let is_stdout = |place: &&Option<Destination>| **place == Some(Destination::Stdout);
        if alerts.is_none() && fallback && ![&transactions, &stats].iter().any(is_stdout) {
            alerts = Some(Destination::Stdout);
        }
        let taken = [&alerts, &transactions, &stats].into_iter().filter(is_stdout).count();
        if taken > 1 { Err(Error::StdoutTwice) } else { Ok(Self { alerts, transactions, stats }) }
    }
}

/// Validates the captures on the command line.
pub fn captures(typed: &[PathBuf]) -> Result<(), Error> {
    let stdin = typed.iter().filter(|path| path.as_os_str() == "-").count();
    if stdin > 1 { Err(Error::StdinTwice) } else { Ok(()) }
}

/// The name of a capture in alerts, without its folder: results do not depend on the location of the file.
pub fn capture_name(path: &str) -> String {
    Path::new(path).file_name().map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn workers(typed: Option<u16>) -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    typed.map_or(cores, usize::from).min(worker::SHARDS)
}

/// The settings of the pipeline. `captures`: their names, in order.
pub fn pipeline(
    typed: &Replay,
    policy: &Policy,
    captures: Vec<String>,
    transactions: bool,
) -> Result<pipeline::Settings, Error> {
    let keys = typed.opcua_keys.as_deref().map(keys::load).transpose()?.unwrap_or_default();
    let run = &typed.run;
    let names = Names {
        site: run.site.clone().unwrap_or_else(|| site_of(policy)),
        sensor: run.sensor.clone().unwrap_or_else(|| REPLAY_SENSOR.to_owned()),
        captures,
    };
    bounded(&typed.limits, &typed.vantage, run.workers, names, (transactions, keys))
}

fn percent(option: &'static str, value: f64) -> Result<f64, Error> {
    if (0.0..=100.0).contains(&value) { Ok(value) } else { Err(Error::Percent { option, value }) }
}

/// The names in alerts.
struct Names {
    site: String,
    sensor: String,
    captures: Vec<String>,
}

/// The settings of the pipeline for these limits.
fn bounded(
    limits: &Limits,
    vantage: &Vantage,
    typed_workers: Option<u16>,
    names: Names,
    (transactions, keys): (bool, KeyLog),
) -> Result<pipeline::Settings, Error> {
    Ok(pipeline::Settings {
        workers: workers(typed_workers),
        worker: worker_settings(limits, transactions, keys)?,
        fragments: FragmentLimits { datagrams: bound("max-fragmented", limits.max_fragmented)?, ..Default::default() },
        mirrors: vantage.mirror_sessions.clone(),
        alerts: record::Settings {
            unread_limit: percent("unread-limit", vantage.unread_limit)?,
            site: names.site,
            sensor: names.sensor,
            captures: names.captures,
            interval: nanoseconds("alert-interval", limits.alert_interval)?,
            live: bound("max-alerts", limits.max_alerts)?,
            ..Default::default()
        },
    })
}

/// The settings of the evidence of a replay.
pub fn evidence(typed: &cli::Evidence, names: &record::Settings) -> Option<evidence::Settings> {
    kept(typed, names, false)
}

/// The settings of evidence, in a rotating folder or another one.
fn kept(typed: &cli::Evidence, names: &record::Settings, rolling: bool) -> Option<evidence::Settings> {
    Some(evidence::Settings {
        folder: typed.folder.clone()?,
        packets: typed.packets.into(),
        files: typed.files as usize,
        bytes: u64::from(typed.mebibytes) << 20,
        captures: names.captures.clone(),
        rolling,
    })
}

/// The sinks for these options, validated but not open. They publish under the names in alerts.
pub fn sinks(options: &[SinkOptions], names: &record::Settings) -> Result<Vec<Box<dyn SinkSetup>>, PublishError> {
    let origin = Origin { site: &names.site, sensor: &names.sensor };
    options.iter().map(|options| options.configure(&origin)).collect()
}

fn worker_settings(limits: &Limits, transactions: bool, keys: KeyLog) -> Result<worker::Settings, Error> {
    let flows = bound("max-flows", limits.max_flows as usize)?;
    Ok(worker::Settings {
        table: TableSettings {
            capacity: flows.div_ceil(worker::SHARDS) as u32,
            stream_timeout: nanoseconds("idle-timeout", limits.idle_timeout)?,
            opening_timeout: nanoseconds("handshake-timeout", limits.handshake_timeout)?,
            seed: unpredictable(),
            ..Default::default()
        },
        streams: StreamSettings {
            held_bytes: bound("max-held-bytes", limits.max_held_bytes)?,
            recent_bytes: bound("max-recent-bytes", limits.max_recent_bytes)?.div_ceil(worker::SHARDS),
            ..Default::default()
        },
        duplicates: DuplicateSettings { seed: unpredictable(), ..Default::default() },
        checksums: match limits.checksums {
            cli::Checksums::Auto => Checksums::Auto,
            cli::Checksums::Verify => Checksums::Verify,
            cli::Checksums::Ignore => Checksums::Ignore,
        },
        decoder: DecoderLimits {
            pending: bound("max-pending", limits.max_pending)?,
            answer_timeout: nanoseconds("answer-timeout", limits.answer_timeout)?,
            ..Default::default()
        },
        transactions,
        memory: memory_of_shard(limits)?,
        neighbours: NEIGHBOURS,
        keys: Arc::new(keys),
    })
}

/// The part of `--max-memory` for the conversations of one shard, bytes: without the part for recent bytes.
fn memory_of_shard(limits: &Limits) -> Result<usize, Error> {
    let (memory, recent) = (bound("max-memory", limits.max_memory)?, limits.max_recent_bytes);
    match memory.checked_sub(recent).map(|memory| memory / worker::SHARDS) {
        Some(memory) if memory >= LEAST_MEMORY => Ok(memory),
        _ => Err(Error::Memory { given: memory, least: recent.saturating_add(LEAST_MEMORY * worker::SHARDS) }),
    }
}

fn bound(option: &'static str, value: usize) -> Result<usize, Error> {
    if value == 0 { Err(Error::Zero { option }) } else { Ok(value) }
}

fn nanoseconds(option: &'static str, seconds: f64) -> Result<i64, Error> {
    let usable = seconds.is_finite() && seconds > 0.0 && seconds < LONGEST_TIMEOUT;
    if usable { Ok((seconds * 1e9) as i64) } else { Err(Error::Seconds { option, value: seconds }) }
}

/// The name of the site where none is given: the id of the policy.
fn site_of(policy: &Policy) -> String {
    if policy.id.is_empty() { String::from("site") } else { policy.id.to_lowercase() }
}

/// The default name of the sensor in the alerts of a replay.
const REPLAY_SENSOR: &str = "replay";

/// An unpredictable seed for hash tables, against crafted collisions. No result depends on it.
fn unpredictable() -> u64 {
    RandomState::default().hash_one(())
}

/// Most hosts without IP in the list of one shard.
const NEIGHBOURS: usize = 4096;

/// Least memory for the conversations of one shard, bytes: an OPC UA chunk of the usual size.
const LEAST_MEMORY: usize = 64 * 1024;

/// Longest valid timeout, seconds: about 30 years.
const LONGEST_TIMEOUT: f64 = 1e9;

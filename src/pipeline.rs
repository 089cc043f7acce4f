//! Builds, feeds, drains and joins the threads.
//!
//! ```text
//!          by turns              N workers              by turns
//!  source -> deal == Job ==> Worker::judge_block == Job ==> Correlator, outputs
//!     ^                                                   |
//!     +===================== empty slots =================+
//! ```
//! Blocks travel in a circle, so that in steady state nothing is allocated; how many there are bounds the memory in
//! flight. The workers read, deal and collect by turns (`worker_pool`). One worker does it all block by block, which costs the
//! least and leaves the other cores to others.

mod control;
mod deal;
mod outputs;
mod tunnels;
mod worker_pool;

use std::net::IpAddr;
use std::sync::Arc;

use crate::capture::{self, Block, Capture, Source};
use crate::frame::FragmentLimits;
use crate::metrics::Counters;
use crate::policy::Policy;
use crate::publish::PublishError;
use crate::record::{self, Captures, Correlator, Report, Tally};
use crate::store::evidence;
use crate::store::recording;
use crate::worker::{self, Worker};
use control::Commands;
pub use control::{ControlCommand, ControlHandle, ControlPort, PipelineStatus, control_channel};
use deal::Dealer;
pub use outputs::Outputs;

/// What a run of the pipeline runs on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Worker threads (1..=[`worker::SHARDS`]).
    pub workers: usize,
    /// What each of them runs on.
    pub worker: worker::Settings,
    /// Bounds of IP reassembly.
    pub fragments: FragmentLimits,
    /// Ends of mirror sessions, which are no conversations of the plant: switches, collectors, this sensor.
    pub mirrors: Vec<IpAddr>,
    /// The volume rule, and the names that alerts carry.
    pub alerts: record::Settings,
}

/// What a replay came to.
#[derive(Debug)]
pub struct Replayed {
    /// The captures, with what was found wrong with them.
    pub captures: Vec<Capture>,
    /// What was counted on the way.
    pub counters: Counters,
    /// What the correlator did.
    pub alerts: record::Counters,
    /// How often each rule was hit, by rule and conduit.
    pub tallies: Vec<(&'static str, Option<u16>, Tally)>,
    /// What went wrong on the way. Everything that could be done was done all the same.
    pub problems: Vec<Problem>,
    /// Packets that were not read, in percent, above which the observation is incomplete.
    pub unread_limit: f64,
}

/// Why an observation says less than it seems to: no verdict on it is clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incomplete {
    /// There was no packet at all.
    NoPackets,
    /// So many of the packets were not read, or not all of them.
    Unread {
        /// How many.
        unread: u64,
        /// Of how many.
        packets: u64,
    },
}

impl Replayed {
    /// Whether too little was read to call anything clean: nothing at all, or more than the limit is missing, and that is
    /// not only a handful of packets ([`record::unread::is_too_much`]).
    pub fn incomplete(&self) -> Option<Incomplete> {
        let (unread, packets) = (self.counters.not_read(), self.counters.packets);
        if packets == 0 {
            return Some(Incomplete::NoPackets);
        }
        let too_much = record::unread::is_too_much(unread, packets, self.unread_limit);
        too_much.then_some(Incomplete::Unread { unread, packets })
    }
}

/// What can go wrong without ending a replay.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A capture could not be read to its end.
    #[error(transparent)]
    Capture(#[from] capture::Error),
    /// Alerts or transactions could not be written or delivered.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Packets around an alert could not be kept.
    #[error(transparent)]
    Evidence(#[from] evidence::Error),
    /// Packets could not be recorded.
    #[error(transparent)]
    Recording(#[from] recording::Error),
}

/// Reads a source to its end, judges it, and writes what was found. `progress` hears after each block how many packets
/// and bytes are done, and how many bytes there are.
pub fn replay(
    source: &mut dyn Source,
    policy: &Arc<Policy>,
    settings: &Settings,
    outputs: &mut Outputs,
    progress: Progress<'_>,
) -> Replayed {
    run(source, policy, settings, outputs, progress, None)
}

/// The same for a source that goes on until somebody stops it. What is found is seen by readers at once, and between two
/// blocks the pipeline does what it is told.
pub fn watch(
    source: &mut dyn Source,
    policy: &Arc<Policy>,
    settings: &Settings,
    outputs: &mut Outputs,
    control: &ControlPort,
) -> Replayed {
    outputs.prompt = true;
    run(source, policy, settings, outputs, &mut |_, _, _| {}, Some(control))
}

fn run(
    source: &mut dyn Source,
    policy: &Arc<Policy>,
    settings: &Settings,
    outputs: &mut Outputs,
    progress: Progress<'_>,
    control: Option<&ControlPort>,
) -> Replayed {
    let workers = settings.workers.clamp(1, worker::SHARDS);
    let captures = Arc::new(Captures::new(&settings.alerts.captures));
    let hire = |index| Worker::new(index, workers, settings.worker.clone(), Arc::clone(policy), Arc::clone(&captures));
    let alerts = record::Settings { about: outputs.evidence.is_some(), ..settings.alerts.clone() };
    let run = Run {
        dealer: Dealer::new(workers, settings),
        correlator: Correlator::new(Arc::clone(policy), alerts),
        outputs,
        progress,
        control,
    };
    let done = if workers == 1 { run.alone(source, hire(0)) } else { run.together(source, (0..workers).map(hire)) };
    let Done { mut dealer, correlator, mut counters, read } = done;
    dealer.count(&mut counters);
    counters.alerts(correlator.counters());
    counters.captures(source.captures());
    counters.drops(&source.drops());
    outputs.count(&mut counters);
    let mut problems: Vec<Problem> = read.err().map(Problem::Capture).into_iter().collect();
    problems.append(&mut outputs.problems);
    Replayed {
        captures: source.captures().to_vec(),
        counters,
        alerts: *correlator.counters(),
        tallies: correlator.tallies().collect(),
        problems,
        unread_limit: settings.alerts.unread_limit,
    }
}

/// Who hears how far a replay is: packets and bytes that are done, and how many bytes there are.
pub type Progress<'a> = &'a mut (dyn FnMut(u64, u64, Option<u64>) + Send);

/// What a replay works with, beside its source and its workers.
struct Run<'a> {
    dealer: Dealer,
    correlator: Correlator,
    outputs: &'a mut Outputs,
    progress: Progress<'a>,
    /// Where orders come from, if anybody gives some.
    control: Option<&'a ControlPort>,
}

/// What is left of it.
struct Done {
    dealer: Dealer,
    correlator: Correlator,
    counters: Counters,
    read: Result<(), capture::Error>,
}

impl Run<'_> {
    /// One worker, on this thread.
    fn alone(self, source: &mut dyn Source, mut worker: Worker) -> Done {
        let Self { mut dealer, mut correlator, outputs, progress, control } = self;
        let mut block = Block::default();
        let mut report = Report::default();
        let mut clock = i64::MIN;
        let read = loop {
            let read = source.fill(&mut block);
            let last = !matches!(read, Ok(true));
            let commands = control.and_then(|control| control.take(source, &mut dealer, clock));
            let commands = commands.as_deref();
            worker.begin_block(std::mem::take(&mut report));
            commands.inspect(|commands| commands.before(&mut worker));
            dealer.give(&mut block, &mut worker);
            clock = block.clock_after(clock);
            report = worker.end_block(clock, last);
            settle(&mut correlator, &block, std::slice::from_mut(&mut report), commands, clock, last, outputs);
            if let (Some(commands), Some(control)) = (commands, control) {
                control.answer(commands.status(commands.after(&mut worker).into_iter(), &correlator, outputs));
            }
            let (bytes, total) = source.progress();
            progress(dealer.packets, bytes, total);
            if last {
                break read.map(drop);
            }
        };
        outputs.finish();
        Done { dealer, correlator, counters: worker.counters(), read }
    }
}

/// Correlates and writes what the workers reported of one block.
fn settle(
    correlator: &mut Correlator,
    block: &Block,
    reports: &mut [Report],
    commands: Option<&Commands>,
    clock: i64,
    last: bool,
    outputs: &mut Outputs,
) {
    outputs.block(block);
    commands.inspect(|commands| commands.prepare(correlator));
    for (window, packets) in packets_by_window(block) {
        correlator.packets(window, packets);
    }
    correlator.block(reports, clock, &mut |alert| outputs.alert(alert));
    commands.inspect(|commands| commands.settle(correlator, &mut |alert| outputs.alert(alert)));
    if last {
        correlator.finish(&mut |alert| outputs.alert(alert));
    }
    outputs.transactions(reports);
    outputs.end_of_block(clock);
}

/// How many packets of a block fall into each [window](record::window_of) of packet time: nearly always one.
fn packets_by_window(block: &Block) -> impl Iterator<Item = (i64, u64)> {
    let mut rest = block.packets.as_slice();
    std::iter::from_fn(move || {
        let window = record::window_of(rest.first()?.stamp.clock);
        let last = record::window_of(rest.last()?.stamp.clock);
        let count = if last == window {
            rest.len()
        } else {
            rest.partition_point(|packet| record::window_of(packet.stamp.clock) <= window)
        };
        rest = rest.get(count..)?;
        Some((window, count as u64))
    })
}

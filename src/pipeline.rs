//! Builds, feeds, drains and joins the threads.
//!
//! ```text
//!          by turns              N workers              by turns
//!  source -> deal == Job ==> Worker::judge_block == Job ==> Correlator, outputs
//!     ^                                                   |
//!     +===================== empty slots =================+
//! ```
//! Blocks circulate, so that nothing is allocated in steady state; their number bounds the memory in flight. The workers take
//! turns at reading, dealing and collecting (`worker_pool`). A single worker does all of it block by block, which costs least
//! in total and uses one core.

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

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Worker threads (1..=[`worker::SHARDS`]).
    pub workers: usize,
    /// The settings of each worker.
    pub worker: worker::Settings,
    /// Bounds of IP reassembly.
    pub fragments: FragmentLimits,
    /// Ends of mirror sessions, whose packets carry captured traffic and are none of the plant: switches, collectors, this
    /// sensor.
    pub mirrors: Vec<IpAddr>,
    /// Settings of the correlator: the volume rule, and the names that alerts carry.
    pub alerts: record::Settings,
}

/// The result of a run.
#[derive(Debug)]
pub struct Replayed {
    /// The captures, each with its defects.
    pub captures: Vec<Capture>,
    /// The counters of all stages.
    pub counters: Counters,
    /// The counters of the correlator.
    pub alerts: record::Counters,
    /// Alerts by rule and conduit.
    pub tallies: Vec<(&'static str, Option<u16>, Tally)>,
    /// Outputs and captures that failed. Everything else was done.
    pub problems: Vec<Problem>,
    /// Share of packets that were not decoded, in percent, above which the observation is incomplete.
    pub unread_limit: f64,
}

/// Why an observation is incomplete, so that no verdict on it is clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incomplete {
    /// The capture has no packet.
    NoPackets,
    /// Too many packets were not decoded, or only in part.
    Unread {
        /// How many.
        unread: u64,
        /// Of how many.
        packets: u64,
    },
}

impl Replayed {
    /// Why too little was decoded for a clean verdict; none if enough was. A handful of packets never makes it incomplete
    /// ([`record::unread::is_too_much`]).
    pub fn incomplete(&self) -> Option<Incomplete> {
        let (unread, packets) = (self.counters.packets_not_read(), self.counters.packets);
        if packets == 0 {
            return Some(Incomplete::NoPackets);
        }
        let too_much = record::unread::is_too_much(unread, packets, self.unread_limit);
        too_much.then_some(Incomplete::Unread { unread, packets })
    }
}

/// A failure that does not end a run.
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

/// Reads a source to its end, judges it, and writes what was found. `progress` is called after each block with the packets and
/// bytes read so far, and the bytes in total.
pub fn replay(
    source: &mut dyn Source,
    policy: &Arc<Policy>,
    settings: &Settings,
    outputs: &mut Outputs,
    progress: Progress<'_>,
) -> Replayed {
    run(source, policy, settings, outputs, progress, None)
}

/// [Replays](replay) a source that continues until it is stopped. Outputs are flushed after each block, and commands from
/// `control` are carried out between two blocks.
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
    let make = |index| Worker::new(index, workers, settings.worker.clone(), Arc::clone(policy), Arc::clone(&captures));
    let alerts = record::Settings { evidence_requests: outputs.evidence.is_some(), ..settings.alerts.clone() };
    let run = Run {
        dealer: Dealer::new(workers, settings),
        correlator: Correlator::new(Arc::clone(policy), alerts),
        outputs,
        progress,
        control,
    };
    let done =
        if workers == 1 { run.run_alone(source, make(0)) } else { run.run_together(source, (0..workers).map(make)) };
    let Done { mut dealer, correlator, mut counters, read } = done;
    dealer.add_final_counters(&mut counters);
    counters.add_alerts(correlator.counters());
    counters.add_captures(source.captures());
    counters.add_drops(&source.drops());
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

/// Called with the packets and bytes read so far, and the bytes in total where they are known.
pub type Progress<'a> = &'a mut (dyn FnMut(u64, u64, Option<u64>) + Send);

/// A run, without its source and its workers.
struct Run<'a> {
    dealer: Dealer,
    correlator: Correlator,
    outputs: &'a mut Outputs,
    progress: Progress<'a>,
    /// The source of commands, if there is one.
    control: Option<&'a ControlPort>,
}

/// What remains of a run.
struct Done {
    dealer: Dealer,
    correlator: Correlator,
    counters: Counters,
    read: Result<(), capture::Error>,
}

impl Run<'_> {
    /// Runs one worker on this thread.
    fn run_alone(self, source: &mut dyn Source, mut worker: Worker) -> Done {
        let Self { mut dealer, mut correlator, outputs, progress, control } = self;
        let mut block = Block::default();
        let mut report = Report::default();
        let mut clock = i64::MIN;
        let read = loop {
            let read = source.fill(&mut block);
            let last = !matches!(read, Ok(true));
            let commands = control.and_then(|control| control.take_commands(source, &mut dealer, clock));
            let commands = commands.as_deref();
            worker.begin_block(std::mem::take(&mut report));
            commands.inspect(|commands| commands.prepare_worker(&mut worker));
            dealer.give_to(&mut block, &mut worker);
            clock = block.clock_after(clock);
            report = worker.end_block(clock, last);
            correlate_and_write(
                &mut correlator,
                &block,
                std::slice::from_mut(&mut report),
                commands,
                clock,
                last,
                outputs,
            );
            if let (Some(commands), Some(control)) = (commands, control) {
                control.reply(commands.pipeline_status(
                    commands.count_worker(&mut worker).into_iter(),
                    &correlator,
                    outputs,
                ));
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

/// Correlates and writes what the workers reported about one block.
fn correlate_and_write(
    correlator: &mut Correlator,
    block: &Block,
    reports: &mut [Report],
    commands: Option<&Commands>,
    clock: i64,
    last: bool,
    outputs: &mut Outputs,
) {
    outputs.take_block(block);
    commands.inspect(|commands| commands.prepare_correlator(correlator));
    for (window, packets) in packets_by_window(block) {
        correlator.add_packets(window, packets);
    }
    correlator.take_block(reports, clock, &mut |alert| outputs.take_alert(alert));
    commands.inspect(|commands| commands.publish_sensor_alerts(correlator, &mut |alert| outputs.take_alert(alert)));
    if last {
        correlator.finish(&mut |alert| outputs.take_alert(alert));
    }
    outputs.take_transactions(reports);
    outputs.end_block(clock);
}

/// The number of packets in each [window](record::window_of) of packet time in a block: nearly always one window.
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

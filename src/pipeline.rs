//! Builds, feeds, drains and joins the threads.
//!
//! ```text
//!   this thread            N workers             correlator thread
//!  source -> deal == Job ==> Worker::block == Job ==> Correlator, outputs
//!     ^                                                   |
//!     +==================== emptied Jobs ================-+
//! ```
//! A job is one block of packets for one worker. Jobs travel in a circle, so that in steady state nothing is allocated;
//! how many there are bounds the memory in flight. One worker needs no other thread: it reads, judges and correlates
//! block by block, which costs the least of all and leaves the other cores to others.

mod deal;
mod outputs;

use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::alert::{self, Captures, Correlator, Report, Tally};
use crate::capture::{self, Block, Capture, Source};
use crate::frame::FragmentLimits;
use crate::metrics::Counters;
use crate::policy::Policy;
use crate::publish::PublishError;
use crate::worker::{self, Item, Worker};
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
    /// The volume rule, and the names that alerts carry.
    pub alerts: alert::Settings,
}

/// What a replay came to.
#[derive(Debug)]
pub struct Replayed {
    /// The captures, with what was found wrong with them.
    pub captures: Vec<Capture>,
    /// What was counted on the way.
    pub counters: Counters,
    /// What the correlator did.
    pub alerts: alert::Counters,
    /// How often each rule was hit, by rule and conduit.
    pub tallies: Vec<(&'static str, Option<u16>, Tally)>,
    /// What went wrong on the way. Everything that could be done was done all the same.
    pub problems: Vec<Problem>,
}

/// What can go wrong without ending a replay.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A capture could not be read to its end.
    #[error(transparent)]
    Capture(#[from] capture::Error),
    /// Alerts could not be written or delivered.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Transactions could not be written.
    #[error("{path}: {source}")]
    Transactions {
        /// Where they were written to.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// One block of packets for one worker, and what it made of it.
struct Job {
    /// Number of the block, from 0.
    index: u64,
    worker: usize,
    block: Arc<Block>,
    items: Vec<Item>,
    /// Packet clock at the end of the block.
    clock: i64,
    /// The last one: nothing is in it, and nothing follows.
    last: bool,
    report: Report,
}

/// Reads a source to its end, judges it, and writes what was found. `progress` hears after each block how many packets
/// and bytes are done, and how many bytes there are.
pub fn replay(
    source: &mut dyn Source,
    policy: &Arc<Policy>,
    settings: &Settings,
    outputs: &mut Outputs,
    progress: &mut dyn FnMut(u64, u64, Option<u64>),
) -> Replayed {
    let workers = settings.workers.clamp(1, worker::SHARDS);
    let captures = Arc::new(Captures::new(&settings.alerts.captures));
    let hire = |index| Worker::new(index, workers, settings.worker.clone(), Arc::clone(policy), Arc::clone(&captures));
    let run = Run {
        dealer: Dealer::new(workers, settings.fragments),
        correlator: Correlator::new(Arc::clone(policy), settings.alerts.clone()),
        outputs,
        progress,
    };
    let done = if workers == 1 { run.alone(source, hire(0)) } else { run.together(source, (0..workers).map(hire)) };
    let Done { mut dealer, correlator, mut counters, read } = done;
    dealer.count(&mut counters);
    counters.alerts(correlator.counters());
    counters.captures(source.captures());
    counters.drops(&source.drops());
    let mut problems: Vec<Problem> = read.err().map(Problem::Capture).into_iter().collect();
    problems.append(&mut outputs.problems);
    Replayed {
        captures: source.captures().to_vec(),
        counters,
        alerts: *correlator.counters(),
        tallies: correlator.tallies().collect(),
        problems,
    }
}

/// What a replay works with, beside its source and its workers.
struct Run<'a> {
    dealer: Dealer,
    correlator: Correlator,
    outputs: &'a mut Outputs,
    progress: &'a mut dyn FnMut(u64, u64, Option<u64>),
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
        let Self { mut dealer, mut correlator, outputs, progress } = self;
        let mut block = Block::default();
        let mut report = Report::default();
        let mut clock = i64::MIN;
        let read = loop {
            let read = source.fill(&mut block);
            let last = !matches!(read, Ok(true));
            worker.open(std::mem::take(&mut report));
            dealer.give(&mut block, &mut worker);
            clock = block.clock_after(clock);
            report = worker.close(clock, last);
            settle(&mut correlator, std::slice::from_mut(&mut report), clock, last, outputs);
            let (bytes, total) = source.progress();
            progress(dealer.packets, bytes, total);
            if last {
                break read.map(drop);
            }
        };
        outputs.finish();
        Done { dealer, correlator, counters: worker.into_counters(), read }
    }

    /// Several workers, each on a thread of its own, and one more for the correlator.
    fn together(self, source: &mut dyn Source, workers: impl ExactSizeIterator<Item = Worker>) -> Done {
        let Self { mut dealer, correlator, outputs, progress } = self;
        let count = workers.len();
        let (done, finished) = bounded::<Job>(count * JOBS_IN_FLIGHT);
        let (empty, emptied) = bounded::<Emptied>(JOBS_IN_FLIGHT + 1);
        thread::scope(|scope| {
            let mut inboxes = Vec::new();
            let mut threads = Vec::new();
            for (index, worker) in workers.enumerate() {
                let (inbox, jobs) = bounded::<Job>(JOBS_IN_FLIGHT);
                let done = done.clone();
                let thread = thread::Builder::new().name(format!("worker-{index}"));
                let work = move || work(worker, &jobs, &done);
                threads.push(thread.spawn_scoped(scope, work).expect("the system has room for a thread"));
                inboxes.push(inbox);
            }
            drop(done);
            let collector = scope.spawn(move || correlate(correlator, count, &finished, &empty, outputs));
            let read = feed(source, &mut dealer, &inboxes, &emptied, progress);
            drop(inboxes);
            let mut counters = Counters::default();
            for thread in threads {
                counters.add(&thread.join().expect("a worker does not panic"));
            }
            let correlator = collector.join().expect("the correlator does not panic");
            Done { dealer, correlator, counters, read }
        })
    }
}

/// The capture thread: reads blocks and deals their packets to the workers.
fn feed(
    source: &mut dyn Source,
    dealer: &mut Dealer,
    inboxes: &[Sender<Job>],
    emptied: &Receiver<Emptied>,
    progress: &mut dyn FnMut(u64, u64, Option<u64>),
) -> Result<(), capture::Error> {
    let mut made = 0;
    let mut clock = i64::MIN;
    for index in 0.. {
        let mut empty = if made < JOBS_IN_FLIGHT {
            made += 1;
            Emptied::new(inboxes.len())
        } else {
            let Ok(empty) = emptied.recv() else { return Ok(()) };
            empty
        };
        let read = source.fill(&mut empty.block);
        let more = matches!(read, Ok(true));
        let Emptied { mut block, mut items, reports } = empty;
        dealer.deal(&mut block, &mut items);
        clock = block.clock_after(clock);
        let block = Arc::new(block);
        for (worker, (inbox, (items, report))) in inboxes.iter().zip(items.into_iter().zip(reports)).enumerate() {
            let job = Job { index, worker, block: Arc::clone(&block), items, clock, last: !more, report };
            // A worker hangs up only when it has panicked; joining it says so.
            if inbox.send(job).is_err() {
                return Ok(());
            }
        }
        let (bytes, total) = source.progress();
        progress(dealer.packets, bytes, total);
        if !more {
            return read.map(drop);
        }
    }
    Ok(())
}

/// A worker's thread.
fn work(mut worker: Worker, jobs: &Receiver<Job>, done: &Sender<Job>) -> Counters {
    for mut job in jobs {
        let report = std::mem::take(&mut job.report);
        job.report = worker.block(&job.block, &job.items, job.clock, job.last, report);
        if done.send(job).is_err() {
            break;
        }
    }
    worker.into_counters()
}

/// The correlator's thread: puts the workers' reports of each block together, in the order of the blocks.
fn correlate(
    mut correlator: Correlator,
    workers: usize,
    finished: &Receiver<Job>,
    empty: &Sender<Emptied>,
    outputs: &mut Outputs,
) -> Correlator {
    let mut waiting: Vec<Vec<Job>> = Vec::new();
    let mut next = 0;
    for job in finished {
        let ahead = (job.index - next) as usize;
        if waiting.len() <= ahead {
            waiting.resize_with(ahead + 1, Vec::new);
        }
        waiting[ahead].push(job);
        while waiting.first().is_some_and(|jobs| jobs.len() == workers) {
            let jobs = waiting.remove(0);
            next += 1;
            let emptied = collect(&mut correlator, jobs, outputs);
            // Nobody listens any more at the end of a replay.
            let _ = empty.try_send(emptied);
        }
    }
    outputs.finish();
    correlator
}

/// One block of the correlator's work.
fn collect(correlator: &mut Correlator, mut jobs: Vec<Job>, outputs: &mut Outputs) -> Emptied {
    jobs.sort_unstable_by_key(|job| job.worker);
    let last = jobs.iter().any(|job| job.last);
    let clock = jobs.first().map_or(i64::MIN, |job| job.clock);
    let mut emptied = Emptied::default();
    for job in jobs {
        // The workers are done with the block: whoever holds it last gives it back.
        if let Some(block) = Arc::into_inner(job.block) {
            emptied.block = block;
        }
        emptied.items.push(job.items);
        emptied.reports.push(job.report);
    }
    settle(correlator, &mut emptied.reports, clock, last, outputs);
    emptied
}

/// Correlates and writes what the workers reported of one block.
fn settle(correlator: &mut Correlator, reports: &mut [Report], clock: i64, last: bool, outputs: &mut Outputs) {
    correlator.block(reports, clock, &mut |alert| outputs.alert(alert));
    if last {
        correlator.finish(&mut |alert| outputs.alert(alert));
    }
    outputs.transactions(reports);
    outputs.end_of_block();
}

/// What comes back to be filled again: a block, and for each worker a list of items and a report.
#[derive(Default)]
struct Emptied {
    block: Block,
    items: Vec<Vec<Item>>,
    reports: Vec<Report>,
}

impl Emptied {
    fn new(workers: usize) -> Self {
        let mut new = Self::default();
        new.items.resize_with(workers, Vec::new);
        new.reports.resize_with(workers, Report::default);
        new
    }
}

/// Blocks in flight, at most: bounds the memory between the threads.
const JOBS_IN_FLIGHT: usize = 8;

//! Several workers that share all work of a run. A worker without a job reads and deals the next blocks, or collects finished
//! ones, so that none is idle while there is work.
//!
//! Reading and collecting are each done by one worker at a time, in order: by the holder of their [`Baton`]. A thread for
//! reading alone would compete with a worker for one of two cores, and be busy a fifth of the time on more; this way, a replay
//! on two cores takes a quarter less time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, select};

use super::control::{Commands, Count};
use super::deal::Dealer;
use super::{ControlPort, Done, Outputs, Progress, Run, correlate_and_write};
use crate::capture::{self, Block, Source};
use crate::metrics::Counters;
use crate::record::{Correlator, Report};
use crate::worker::{Item, Worker};

/// Blocks that are handed over together: waking a worker for each block costs more than the block, and makes a replay with two
/// workers take a third longer. Results do not depend on the size of batches.
#[derive(Default)]
struct Batch {
    blocks: Vec<Block>,
    /// Packet clock at the end of each block in use; blocks behind them are left from before.
    clocks: Vec<i64>,
    /// Whether this is the last batch: its last block is empty.
    last: bool,
    /// The commands to carry out with it, if there are any.
    commands: Option<Arc<Commands>>,
}

/// The share of one worker in a batch, by block: its items, and its reports.
#[derive(Default)]
struct Share {
    items: Vec<Vec<Item>>,
    reports: Vec<Report>,
}

/// One worker's share of a batch, on its way.
struct Job {
    /// Number of the batch, from 0.
    index: u64,
    worker: usize,
    batch: Arc<Batch>,
    share: Share,
    /// The counters of the worker, if a status is requested.
    count: Option<Count>,
}

/// A recycled batch, with a share for each worker.
#[derive(Default)]
struct BatchSlot {
    batch: Batch,
    shares: Vec<Share>,
}

/// Reads blocks and deals them.
struct BatchReader<'a> {
    source: &'a mut dyn Source,
    dealer: Dealer,
    progress: Progress<'a>,
    control: Option<&'a ControlPort>,
    /// The job queues of the workers, by worker.
    inboxes: Vec<Sender<Job>>,
    /// Number of the next batch.
    next: u64,
    clock: i64,
    /// The items of one block, by worker.
    items: Vec<Vec<Item>>,
}

/// Collects the reports of finished batches.
struct BatchCollector<'a> {
    correlator: Correlator,
    outputs: &'a mut Outputs,
    control: Option<&'a ControlPort>,
    /// Finished jobs of incomplete batches, from batch `next` on.
    incomplete: VecDeque<Vec<Job>>,
    next: u64,
    workers: usize,
    /// The reports of one block, by worker.
    reports: Vec<Report>,
}

/// Something that one worker holds at a time: a channel with one slot.
struct Baton<T>(Sender<T>, Receiver<T>);

/// What the workers share.
struct WorkerPool<'a> {
    reader: Baton<BatchReader<'a>>,
    collector: Baton<BatchCollector<'a>>,
    /// Finished jobs, to be collected. Has room for all jobs.
    done: (Sender<Job>, Receiver<Job>),
    /// Free batches. Has room for all batches.
    empty: (Sender<BatchSlot>, Receiver<BatchSlot>),
    /// What remains of reading after the last batch.
    ended: Baton<(Dealer, Result<(), capture::Error>)>,
}

impl Run<'_> {
    /// Runs several workers, each on a thread of its own.
    pub(super) fn run_together(self, source: &mut dyn Source, workers: impl ExactSizeIterator<Item = Worker>) -> Done {
        let Self { dealer, correlator, outputs, progress, control } = self;
        let count = workers.len();
        let (inboxes, jobs): (Vec<_>, Vec<_>) = (0..count).map(|_| bounded::<Job>(BATCHES_IN_FLIGHT)).unzip();
        let items = vec![Vec::new(); count];
        let reader = BatchReader { source, dealer, progress, control, inboxes, next: 0, clock: i64::MIN, items };
        let incomplete = VecDeque::with_capacity(BATCHES_IN_FLIGHT);
        let collector =
            BatchCollector { correlator, outputs, control, incomplete, next: 0, workers: count, reports: Vec::new() };
        let worker_pool = WorkerPool {
            reader: Baton::holding(reader),
            collector: Baton::holding(collector),
            done: bounded(count * BATCHES_IN_FLIGHT),
            empty: bounded(BATCHES_IN_FLIGHT),
            ended: Baton::vacant(),
        };
        for _ in 0..BATCHES_IN_FLIGHT {
            worker_pool.recycle(BatchSlot::new(count));
        }
        let mut counters = Counters::default();
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for (index, (worker, jobs)) in workers.zip(jobs).enumerate() {
                let (worker_pool, thread) = (&worker_pool, thread::Builder::new().name(format!("worker-{index}")));
                let work = move || worker_pool.run_worker(worker, &jobs);
                threads.push(thread.spawn_scoped(scope, work).expect("the system has room for a thread"));
            }
            for thread in threads {
                counters.add(&thread.join().expect("a worker does not panic"));
            }
        });
        let BatchCollector { correlator, outputs, .. } =
            worker_pool.collector.take().expect("every worker brought it back");
        outputs.finish();
        let (dealer, read) = worker_pool.ended.take().expect("workers end when reading has ended");
        Done { dealer, correlator, counters, read }
    }
}

impl<'a> WorkerPool<'a> {
    /// Runs one worker, until everything is read and judged.
    fn run_worker(&self, mut worker: Worker, inbox: &Receiver<Job>) -> Counters {
        loop {
            self.read_ahead();
            match inbox.try_recv() {
                Ok(job) => {
                    self.do_job(&mut worker, job);
                    continue;
                }
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {}
            }
            select! {
                recv(inbox) -> job => match job {
                    Ok(job) => self.do_job(&mut worker, job),
                    Err(_) => break,
                },
                recv(self.reader.1) -> reader => {
                    let reader = reader.expect("the worker pool holds the other end");
                    // No other worker deals now, and each batch in flight is free again once its jobs are done.
                    inbox.try_iter().for_each(|job| self.do_job(&mut worker, job));
                    let slot = self.empty.1.recv().expect("the worker pool holds the other end");
                    self.read(reader, slot);
                }
            }
        }
        worker.counters()
    }

    /// Reads a batch ahead, if the baton and a free batch are there.
    fn read_ahead(&self) {
        if !self.empty.1.is_empty()
            && let Some(reader) = self.reader.take()
        {
            match self.empty.1.try_recv() {
                Ok(slot) if reader.source.is_ready() => self.read(reader, slot),
                slot => {
                    self.reader.put_back(reader);
                    slot.into_iter().for_each(|slot| self.recycle(slot));
                }
            }
        }
    }

    fn read(&self, mut reader: BatchReader<'a>, slot: BatchSlot) {
        match reader.read_batch(slot) {
            Ok(true) => self.reader.put_back(reader),
            // Drops the job queues with it: each worker ends when its own is empty.
            ended => self.ended.put_back((reader.dealer, ended.map(drop))),
        }
    }

    /// Does one job, and collects finished jobs unless another worker is collector.
    fn do_job(&self, worker: &mut Worker, mut job: Job) {
        let Batch { blocks, clocks, last, commands } = &*job.batch;
        let shares = job.share.items.iter().zip(&mut job.share.reports);
        for (number, ((block, clock), (items, report))) in blocks.iter().zip(clocks).zip(shares).enumerate() {
            worker.begin_block(std::mem::take(report));
            if number == 0 {
                commands.iter().for_each(|commands| commands.prepare_worker(worker));
            }
            *report = worker.judge_block(block, items, *clock, *last && number + 1 == clocks.len());
        }
        job.count = commands.as_deref().and_then(|commands| commands.count_worker(worker));
        self.done.0.send(job).expect("the worker pool holds the other end");
        while !self.done.1.is_empty()
            && let Some(mut collector) = self.collector.take()
        {
            for job in self.done.1.try_iter() {
                collector.take_job(job, |slot| self.recycle(slot));
            }
            self.collector.put_back(collector);
            // A job that was finished meanwhile may have missed the baton: check again.
        }
    }

    fn recycle(&self, slot: BatchSlot) {
        self.empty.0.send(slot).expect("the worker pool holds the other end");
    }
}

impl BatchReader<'_> {
    /// Reads a batch and deals it to the workers: one block, and more as long as the source is ready. `false`: it was the last
    /// one.
    fn read_batch(&mut self, slot: BatchSlot) -> Result<bool, capture::Error> {
        let BatchSlot { mut batch, mut shares } = slot;
        batch.clocks.clear();
        batch.commands = None;
        let mut read = Ok(true);
        for (number, block) in batch.blocks.iter_mut().enumerate() {
            read = self.source.fill(block);
            if number == 0 {
                batch.commands =
                    self.control.and_then(|control| control.take_commands(self.source, &mut self.dealer, self.clock));
            }
            self.dealer.deal(block, &mut self.items);
            for (share, items) in shares.iter_mut().zip(&mut self.items) {
                if let Some(own) = share.items.get_mut(number) {
                    std::mem::swap(own, items);
                }
            }
            self.clock = block.clock_after(self.clock);
            batch.clocks.push(self.clock);
            if !matches!(read, Ok(true)) || !self.source.is_ready() {
                break;
            }
        }
        batch.last = !matches!(read, Ok(true));
        let (index, batch) = (self.next, Arc::new(batch));
        self.next += 1;
        for (worker, (inbox, share)) in self.inboxes.iter().zip(shares).enumerate() {
            // A worker hangs up only when it has panicked, which joining it shows.
            let _ = inbox.send(Job { index, worker, batch: Arc::clone(&batch), share, count: None });
        }
        let (bytes, total) = self.source.progress();
        (self.progress)(self.dealer.packets, bytes, total);
        read
    }
}

impl BatchCollector<'_> {
    /// Takes in a finished job, and collects the batches that it completes.
    fn take_job(&mut self, job: Job, mut recycle: impl FnMut(BatchSlot)) {
        let ahead = (job.index - self.next) as usize;
        if self.incomplete.len() <= ahead {
            self.incomplete.resize_with(ahead + 1, || Vec::with_capacity(self.workers));
        }
        self.incomplete[ahead].push(job);
        while let Some(mut jobs) = self.incomplete.pop_front_if(|jobs| jobs.len() == self.workers) {
            self.next += 1;
            jobs.sort_unstable_by_key(|job| job.worker);
            self.collect_batch(&mut jobs);
            recycle(BatchSlot::of(jobs));
        }
    }

    /// Correlates and writes one batch, block by block.
    fn collect_batch(&mut self, jobs: &mut [Job]) {
        let Some(batch) = jobs.first().map(|job| Arc::clone(&job.batch)) else { return };
        for (number, (block, clock)) in batch.blocks.iter().zip(&batch.clocks).enumerate() {
            let reports = jobs.iter_mut().filter_map(|job| job.share.reports.get_mut(number));
            self.reports.extend(reports.map(std::mem::take));
            let commands = batch.commands.as_deref().filter(|_| number == 0);
            let last = batch.last && number + 1 == batch.clocks.len();
            correlate_and_write(&mut self.correlator, block, &mut self.reports, commands, *clock, last, self.outputs);
            for (job, report) in jobs.iter_mut().zip(self.reports.drain(..)) {
                if let Some(own) = job.share.reports.get_mut(number) {
                    *own = report;
                }
            }
        }
        if let (Some(commands), Some(control)) = (&batch.commands, self.control) {
            let counts: Vec<Count> = jobs.iter_mut().filter_map(|job| job.count.take()).collect();
            control.reply(commands.pipeline_status(counts.into_iter(), &self.correlator, self.outputs));
        }
    }
}

impl<T> Baton<T> {
    fn vacant() -> Self {
        let (give, take) = bounded(1);
        Self(give, take)
    }

    fn holding(what: T) -> Self {
        let baton = Self::vacant();
        baton.put_back(what);
        baton
    }

    /// Takes it, unless another worker holds it.
    fn take(&self) -> Option<T> {
        self.1.try_recv().ok()
    }

    /// Puts it back, for any worker to take.
    fn put_back(&self, what: T) {
        assert!(self.0.try_send(what).is_ok(), "a baton has one holder and one slot");
    }
}

impl BatchSlot {
    fn new(workers: usize) -> Self {
        let mut new = Self::default();
        new.batch.blocks.resize_with(BLOCKS_TOGETHER, Block::default);
        new.shares.resize_with(workers, Share::new);
        new
    }

    /// A free batch, made of the jobs that are done with it.
    fn of(jobs: Vec<Job>) -> Self {
        let mut slot = Self::default();
        for job in jobs {
            // The last holder of the batch recovers it.
            if let Some(batch) = Arc::into_inner(job.batch) {
                slot.batch = batch;
            }
            slot.shares.push(job.share);
        }
        slot
    }
}

impl Share {
    fn new() -> Self {
        let mut new = Self::default();
        new.items.resize_with(BLOCKS_TOGETHER, Vec::new);
        new.reports.resize_with(BLOCKS_TOGETHER, Report::default);
        new
    }
}

/// Batches in flight, at most: bounds the memory between the threads.
const BATCHES_IN_FLIGHT: usize = 4;
/// Blocks in a batch, at most. With 16, the batches in flight exceed the 512 KiB cache of a core, and two workers spend a third
/// more processor time than one; with 4, a twentieth.
const BLOCKS_TOGETHER: usize = 4;

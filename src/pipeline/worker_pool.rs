//! Several workers that share all there is to do. None of them waits while there is something to do for any: whoever has
//! a hand free reads the next blocks and deals them, or puts the reports of finished ones together.
//!
//! Reading and collecting are each done by one worker at a time, in their order: whoever has taken the [`Baton`]. A thread
//! for reading alone would share a core with a worker where there are two of each, and be busy for a fifth of the time
//! where there are more; on two cores, this took a quarter off the time of a replay.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, select};

use super::control::{Commands, Count};
use super::deal::Dealer;
use super::{ControlPort, Done, Outputs, Progress, Run, settle};
use crate::capture::{self, Block, Source};
use crate::metrics::Counters;
use crate::record::{Correlator, Report};
use crate::worker::{Item, Worker};

/// Blocks that are handed over together: to wake a worker for each of them would cost more than the block, and made a
/// replay with two workers take a third longer. What comes out does not depend on it.
#[derive(Default)]
struct Batch {
    blocks: Vec<Block>,
    /// Packet clock at the end of each block that is in use; what is behind them is left from before.
    clocks: Vec<i64>,
    /// The last one: nothing is in its last block, and nothing follows.
    last: bool,
    /// What is to be done with it, where somebody gave orders.
    commands: Option<Arc<Commands>>,
}

/// What one worker has to do with a batch, and what it made of it, by block.
#[derive(Default)]
struct Share {
    items: Vec<Vec<Item>>,
    reports: Vec<Report>,
}

/// The share of one worker in a batch.
struct Job {
    /// Number of the batch, from 0.
    index: u64,
    worker: usize,
    batch: Arc<Batch>,
    share: Share,
    /// What the orders asked for.
    count: Option<Count>,
}

/// What a batch travels in: it comes back to be filled again, with a share for each worker.
#[derive(Default)]
struct BatchSlot {
    batch: Batch,
    shares: Vec<Share>,
}

/// What it takes to read blocks and to deal them.
struct Reading<'a> {
    source: &'a mut dyn Source,
    dealer: Dealer,
    progress: Progress<'a>,
    control: Option<&'a ControlPort>,
    /// Where the workers find their jobs, in their order.
    inboxes: Vec<Sender<Job>>,
    /// Number of the next batch.
    next: u64,
    clock: i64,
    /// The items of one block, by worker.
    items: Vec<Vec<Item>>,
}

/// What it takes to put the reports of a batch together.
struct Collecting<'a> {
    correlator: Correlator,
    outputs: &'a mut Outputs,
    control: Option<&'a ControlPort>,
    /// What came of the batches that are not complete, from `next` on.
    waiting: VecDeque<Vec<Job>>,
    next: u64,
    workers: usize,
    /// The reports of one block, by worker.
    reports: Vec<Report>,
}

/// Something that one worker has at a time: a channel of one place, from which it is taken and brought back.
struct Baton<T>(Sender<T>, Receiver<T>);

/// What the workers share.
struct WorkerPool<'a> {
    reading: Baton<Reading<'a>>,
    collecting: Baton<Collecting<'a>>,
    /// Jobs that are done, to be collected. All that there are have room.
    done: (Sender<Job>, Receiver<Job>),
    /// Slots that can be filled. All that there are have room.
    empty: (Sender<BatchSlot>, Receiver<BatchSlot>),
    /// What is left of reading, when there is nothing more to read.
    ended: Baton<(Dealer, Result<(), capture::Error>)>,
}

impl Run<'_> {
    /// Several workers, each on a thread of its own.
    pub(super) fn together(self, source: &mut dyn Source, workers: impl ExactSizeIterator<Item = Worker>) -> Done {
        let Self { dealer, correlator, outputs, progress, control } = self;
        let count = workers.len();
        let (inboxes, jobs): (Vec<_>, Vec<_>) = (0..count).map(|_| bounded::<Job>(BATCHES_IN_FLIGHT)).unzip();
        let items = vec![Vec::new(); count];
        let reading = Reading { source, dealer, progress, control, inboxes, next: 0, clock: i64::MIN, items };
        let waiting = VecDeque::with_capacity(BATCHES_IN_FLIGHT);
        let collecting =
            Collecting { correlator, outputs, control, waiting, next: 0, workers: count, reports: Vec::new() };
        let worker_pool = WorkerPool {
            reading: Baton::with(reading),
            collecting: Baton::with(collecting),
            done: bounded(count * BATCHES_IN_FLIGHT),
            empty: bounded(BATCHES_IN_FLIGHT),
            ended: Baton::vacant(),
        };
        for _ in 0..BATCHES_IN_FLIGHT {
            worker_pool.reusable(BatchSlot::new(count));
        }
        let mut counters = Counters::default();
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for (index, (worker, jobs)) in workers.zip(jobs).enumerate() {
                let (worker_pool, thread) = (&worker_pool, thread::Builder::new().name(format!("worker-{index}")));
                let work = move || worker_pool.work(worker, &jobs);
                threads.push(thread.spawn_scoped(scope, work).expect("the system has room for a thread"));
            }
            for thread in threads {
                counters.add(&thread.join().expect("a worker does not panic"));
            }
        });
        let Collecting { correlator, outputs, .. } =
            worker_pool.collecting.take().expect("every worker brought it back");
        outputs.finish();
        let (dealer, read) = worker_pool.ended.take().expect("workers end when reading has ended");
        Done { dealer, correlator, counters, read }
    }
}

impl<'a> WorkerPool<'a> {
    /// What one worker does, until everything is read and judged.
    fn work(&self, mut worker: Worker, inbox: &Receiver<Job>) -> Counters {
        loop {
            self.read_ahead();
            match inbox.try_recv() {
                Ok(job) => {
                    self.judge(&mut worker, job);
                    continue;
                }
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {}
            }
            select! {
                recv(inbox) -> job => match job {
                    Ok(job) => self.judge(&mut worker, job),
                    Err(_) => break,
                },
                recv(self.reading.1) -> reading => {
                    let reading = reading.expect("the worker pool holds the other end");
                    // Nobody else deals now, and every slot that is under way comes back once its jobs are done.
                    inbox.try_iter().for_each(|job| self.judge(&mut worker, job));
                    let slot = self.empty.1.recv().expect("the worker pool holds the other end");
                    self.read(reading, slot);
                }
            }
        }
        worker.counters()
    }

    /// Reads a batch if nobody else does and there is a slot for it, so that nobody has to wait for one later.
    fn read_ahead(&self) {
        if !self.empty.1.is_empty()
            && let Some(reading) = self.reading.take()
        {
            match self.empty.1.try_recv() {
                Ok(slot) if reading.source.is_ready() => self.read(reading, slot),
                slot => {
                    self.reading.bring(reading);
                    slot.into_iter().for_each(|slot| self.reusable(slot));
                }
            }
        }
    }

    fn read(&self, mut reading: Reading<'a>, slot: BatchSlot) {
        match reading.batch(slot) {
            Ok(true) => self.reading.bring(reading),
            // Nobody can send to the inboxes any more: each worker ends when its own is empty.
            ended => self.ended.bring((reading.dealer, ended.map(drop))),
        }
    }

    /// Does one job, and collects it unless somebody else is collecting anyway.
    fn judge(&self, worker: &mut Worker, mut job: Job) {
        let Batch { blocks, clocks, last, commands } = &*job.batch;
        let shares = job.share.items.iter().zip(&mut job.share.reports);
        for (number, ((block, clock), (items, report))) in blocks.iter().zip(clocks).zip(shares).enumerate() {
            worker.begin_block(std::mem::take(report));
            if number == 0 {
                commands.iter().for_each(|commands| commands.before(worker));
            }
            *report = worker.judge_block(block, items, *clock, *last && number + 1 == clocks.len());
        }
        job.count = commands.as_deref().and_then(|commands| commands.after(worker));
        self.done.0.send(job).expect("the worker pool holds the other end");
        while !self.done.1.is_empty()
            && let Some(mut collecting) = self.collecting.take()
        {
            for job in self.done.1.try_iter() {
                collecting.job(job, |slot| self.reusable(slot));
            }
            self.collecting.bring(collecting);
            // Whoever finished a job before this did not get the turn: one more look.
        }
    }

    fn reusable(&self, slot: BatchSlot) {
        self.empty.0.send(slot).expect("the worker pool holds the other end");
    }
}

impl Reading<'_> {
    /// Reads a batch and deals it to the workers: one block, and as many more as can be had without waiting. `false`: it
    /// was the last one.
    fn batch(&mut self, slot: BatchSlot) -> Result<bool, capture::Error> {
        let BatchSlot { mut batch, mut shares } = slot;
        batch.clocks.clear();
        batch.commands = None;
        let mut read = Ok(true);
        for (number, block) in batch.blocks.iter_mut().enumerate() {
            read = self.source.fill(block);
            if number == 0 {
                batch.commands =
                    self.control.and_then(|control| control.take(self.source, &mut self.dealer, self.clock));
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
            // A worker hangs up only when it has panicked; joining it says so.
            let _ = inbox.send(Job { index, worker, batch: Arc::clone(&batch), share, count: None });
        }
        let (bytes, total) = self.source.progress();
        (self.progress)(self.dealer.packets, bytes, total);
        read
    }
}

impl Collecting<'_> {
    /// Takes a job that is done; the batches that are complete with it go out.
    fn job(&mut self, job: Job, mut reusable: impl FnMut(BatchSlot)) {
        let ahead = (job.index - self.next) as usize;
        if self.waiting.len() <= ahead {
            self.waiting.resize_with(ahead + 1, || Vec::with_capacity(self.workers));
        }
        self.waiting[ahead].push(job);
        while let Some(mut jobs) = self.waiting.pop_front_if(|jobs| jobs.len() == self.workers) {
            self.next += 1;
            jobs.sort_unstable_by_key(|job| job.worker);
            self.collect(&mut jobs);
            reusable(BatchSlot::of(jobs));
        }
    }

    /// The correlator's work on one batch, block by block.
    fn collect(&mut self, jobs: &mut [Job]) {
        let Some(batch) = jobs.first().map(|job| Arc::clone(&job.batch)) else { return };
        for (number, (block, clock)) in batch.blocks.iter().zip(&batch.clocks).enumerate() {
            let reports = jobs.iter_mut().filter_map(|job| job.share.reports.get_mut(number));
            self.reports.extend(reports.map(std::mem::take));
            let commands = batch.commands.as_deref().filter(|_| number == 0);
            let last = batch.last && number + 1 == batch.clocks.len();
            settle(&mut self.correlator, block, &mut self.reports, commands, *clock, last, self.outputs);
            for (job, report) in jobs.iter_mut().zip(self.reports.drain(..)) {
                if let Some(own) = job.share.reports.get_mut(number) {
                    *own = report;
                }
            }
        }
        if let (Some(commands), Some(control)) = (&batch.commands, self.control) {
            let counts: Vec<Count> = jobs.iter_mut().filter_map(|job| job.count.take()).collect();
            control.answer(commands.status(counts.into_iter(), &self.correlator, self.outputs));
        }
    }
}

impl<T> Baton<T> {
    fn vacant() -> Self {
        let (give, take) = bounded(1);
        Self(give, take)
    }

    fn with(what: T) -> Self {
        let baton = Self::vacant();
        baton.bring(what);
        baton
    }

    /// Takes it, unless somebody has it.
    fn take(&self) -> Option<T> {
        self.1.try_recv().ok()
    }

    fn bring(&self, what: T) {
        assert!(self.0.try_send(what).is_ok(), "there is one of it, and a place for one");
    }
}

impl BatchSlot {
    fn new(workers: usize) -> Self {
        let mut new = Self::default();
        new.batch.blocks.resize_with(BLOCKS_TOGETHER, Block::default);
        new.shares.resize_with(workers, Share::new);
        new
    }

    /// What the jobs of one batch have left.
    fn of(jobs: Vec<Job>) -> Self {
        let mut slot = Self::default();
        for job in jobs {
            // The workers are done with the batch: whoever holds it last gives it back.
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

/// Batches under way, at most: bounds the memory between the threads.
const BATCHES_IN_FLIGHT: usize = 4;
/// Blocks in a batch, at most. With 16, what is under way does not fit into the caches of a core of 512 KiB: two workers
/// then spend a third more processor time than one, with 4 a twentieth.
const BLOCKS_TOGETHER: usize = 4;

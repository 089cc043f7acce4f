//! Several workers that share all there is to do. None of them waits while there is something to do for any: whoever has
//! a hand free reads the next block and deals it, or puts the reports of a finished block together.
//!
//! Reading and collecting are each done by one worker at a time, in the order of the blocks: whoever has taken the
//! [`Turn`]. A thread for reading alone would share a core with a worker where there are two of each, and be busy for a
//! fifth of the time where there are more; on two cores, this took a quarter off the time of a replay.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, select};

use super::deal::Dealer;
use super::orders::{Count, Orders};
use super::{Done, Outputs, Progress, Reins, Run, settle};
use crate::alert::{Correlator, Report};
use crate::capture::{self, Block, Source};
use crate::metrics::Counters;
use crate::worker::{Item, Worker};

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
    /// What is to be done with it, where somebody gave orders.
    orders: Option<Arc<Orders>>,
    count: Option<Count>,
    report: Report,
}

/// What a block travels in: it comes back to be filled again, with a list of items and a report for each worker.
#[derive(Default)]
struct Tray {
    block: Block,
    items: Vec<Vec<Item>>,
    reports: Vec<Report>,
}

/// What it takes to read blocks and to deal them.
struct Reading<'a> {
    source: &'a mut dyn Source,
    dealer: Dealer,
    progress: Progress<'a>,
    reins: Option<&'a Reins>,
    /// Where the workers find their jobs, in their order.
    inboxes: Vec<Sender<Job>>,
    /// Number of the next block.
    next: u64,
    clock: i64,
}

/// What it takes to put the reports of a block together.
struct Collecting<'a> {
    correlator: Correlator,
    outputs: &'a mut Outputs,
    reins: Option<&'a Reins>,
    /// What came of the blocks that are not complete, from `next` on.
    waiting: VecDeque<Vec<Job>>,
    next: u64,
    workers: usize,
}

/// Something that one worker has at a time: a channel of one place, from which it is taken and brought back.
struct Turn<T>(Sender<T>, Receiver<T>);

/// What the workers share.
struct Crew<'a> {
    reading: Turn<Reading<'a>>,
    collecting: Turn<Collecting<'a>>,
    /// Jobs that are done, to be collected. All that there are have room.
    done: (Sender<Job>, Receiver<Job>),
    /// Trays that can be filled. All that there are have room.
    empty: (Sender<Tray>, Receiver<Tray>),
    /// What is left of reading, when there is nothing more to read.
    ended: Turn<(Dealer, Result<(), capture::Error>)>,
}

impl Run<'_> {
    /// Several workers, each on a thread of its own.
    pub(super) fn together(self, source: &mut dyn Source, workers: impl ExactSizeIterator<Item = Worker>) -> Done {
        let Self { dealer, correlator, outputs, progress, reins } = self;
        let count = workers.len();
        let (inboxes, jobs): (Vec<_>, Vec<_>) = (0..count).map(|_| bounded::<Job>(BLOCKS_IN_FLIGHT)).unzip();
        let reading = Reading { source, dealer, progress, reins, inboxes, next: 0, clock: i64::MIN };
        let waiting = VecDeque::with_capacity(BLOCKS_IN_FLIGHT);
        let collecting = Collecting { correlator, outputs, reins, waiting, next: 0, workers: count };
        let crew = Crew {
            reading: Turn::with(reading),
            collecting: Turn::with(collecting),
            done: bounded(count * BLOCKS_IN_FLIGHT),
            empty: bounded(BLOCKS_IN_FLIGHT),
            ended: Turn::vacant(),
        };
        for _ in 0..BLOCKS_IN_FLIGHT {
            crew.reusable(Tray::new(count));
        }
        let mut counters = Counters::default();
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for (index, (worker, jobs)) in workers.zip(jobs).enumerate() {
                let (crew, thread) = (&crew, thread::Builder::new().name(format!("worker-{index}")));
                let work = move || crew.work(worker, &jobs);
                threads.push(thread.spawn_scoped(scope, work).expect("the system has room for a thread"));
            }
            for thread in threads {
                counters.add(&thread.join().expect("a worker does not panic"));
            }
        });
        let Collecting { correlator, outputs, .. } = crew.collecting.take().expect("every worker brought it back");
        outputs.finish();
        let (dealer, read) = crew.ended.take().expect("workers end when reading has ended");
        Done { dealer, correlator, counters, read }
    }
}

impl<'a> Crew<'a> {
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
                    let reading = reading.expect("the crew holds the other end");
                    // Nobody else deals now, and every tray that is under way comes back once its jobs are done.
                    inbox.try_iter().for_each(|job| self.judge(&mut worker, job));
                    let tray = self.empty.1.recv().expect("the crew holds the other end");
                    self.read(reading, tray);
                }
            }
        }
        worker.into_counters()
    }

    /// Reads a block if nobody else does and there is a tray for it, so that nobody has to wait for one later.
    fn read_ahead(&self) {
        if !self.empty.1.is_empty()
            && let Some(reading) = self.reading.take()
        {
            match self.empty.1.try_recv() {
                Ok(tray) if reading.source.is_ready() => self.read(reading, tray),
                tray => {
                    self.reading.bring(reading);
                    tray.into_iter().for_each(|tray| self.reusable(tray));
                }
            }
        }
    }

    fn read(&self, mut reading: Reading<'a>, tray: Tray) {
        match reading.block(tray) {
            Ok(true) => self.reading.bring(reading),
            // Nobody can send to the inboxes any more: each worker ends when its own is empty.
            ended => self.ended.bring((reading.dealer, ended.map(drop))),
        }
    }

    /// Does one job, and collects it unless somebody else is collecting anyway.
    fn judge(&self, worker: &mut Worker, mut job: Job) {
        worker.open(std::mem::take(&mut job.report));
        job.orders.as_deref().inspect(|orders| orders.before(worker));
        job.report = worker.block(&job.block, &job.items, job.clock, job.last);
        job.count = job.orders.as_deref().and_then(|orders| orders.after(worker));
        self.done.0.send(job).expect("the crew holds the other end");
        while !self.done.1.is_empty()
            && let Some(mut collecting) = self.collecting.take()
        {
            for job in self.done.1.try_iter() {
                collecting.job(job, |tray| self.reusable(tray));
            }
            self.collecting.bring(collecting);
            // Whoever finished a job before this did not get the turn: one more look.
        }
    }

    fn reusable(&self, tray: Tray) {
        self.empty.0.send(tray).expect("the crew holds the other end");
    }
}

impl Reading<'_> {
    /// Reads one block and deals it to the workers. `false`: it was the last one.
    fn block(&mut self, tray: Tray) -> Result<bool, capture::Error> {
        let Tray { mut block, mut items, reports } = tray;
        let read = self.source.fill(&mut block);
        let last = !matches!(read, Ok(true));
        let orders = self.reins.and_then(|reins| reins.take(self.source, &self.dealer, self.clock));
        self.dealer.deal(&mut block, &mut items);
        self.clock = block.clock_after(self.clock);
        let (index, clock, block) = (self.next, self.clock, Arc::new(block));
        self.next += 1;
        for (worker, (inbox, (items, report))) in self.inboxes.iter().zip(items.into_iter().zip(reports)).enumerate() {
            let (block, orders) = (Arc::clone(&block), orders.clone());
            let job = Job { index, worker, block, items, clock, last, orders, count: None, report };
            // A worker hangs up only when it has panicked; joining it says so.
            let _ = inbox.send(job);
        }
        let (bytes, total) = self.source.progress();
        (self.progress)(self.dealer.packets, bytes, total);
        read
    }
}

impl Collecting<'_> {
    /// Takes a job that is done; the blocks that are complete with it go out.
    fn job(&mut self, job: Job, mut reusable: impl FnMut(Tray)) {
        let ahead = (job.index - self.next) as usize;
        if self.waiting.len() <= ahead {
            self.waiting.resize_with(ahead + 1, || Vec::with_capacity(self.workers));
        }
        self.waiting[ahead].push(job);
        while let Some(jobs) = self.waiting.pop_front_if(|jobs| jobs.len() == self.workers) {
            self.next += 1;
            reusable(self.collect(jobs));
        }
    }

    /// One block of the correlator's work.
    fn collect(&mut self, mut jobs: Vec<Job>) -> Tray {
        jobs.sort_unstable_by_key(|job| job.worker);
        let (last, clock) = jobs.first().map_or((false, i64::MIN), |job| (job.last, job.clock));
        let orders = jobs.first().and_then(|job| job.orders.clone());
        let mut tray = Tray::default();
        let mut counts = Vec::new();
        for job in jobs {
            counts.extend(job.count);
            // The workers are done with the block: whoever holds it last gives it back.
            if let Some(block) = Arc::into_inner(job.block) {
                tray.block = block;
            }
            tray.items.push(job.items);
            tray.reports.push(job.report);
        }
        settle(&mut self.correlator, &tray.block, &mut tray.reports, orders.as_deref(), clock, last, self.outputs);
        if let (Some(orders), Some(reins)) = (orders, self.reins) {
            reins.answer(orders.census(counts.into_iter(), &self.correlator));
        }
        tray
    }
}

impl<T> Turn<T> {
    fn vacant() -> Self {
        let (give, take) = bounded(1);
        Self(give, take)
    }

    fn with(what: T) -> Self {
        let desk = Self::vacant();
        desk.bring(what);
        desk
    }

    /// Takes it, unless somebody has it.
    fn take(&self) -> Option<T> {
        self.1.try_recv().ok()
    }

    fn bring(&self, what: T) {
        assert!(self.0.try_send(what).is_ok(), "there is one of it, and a place for one");
    }
}

impl Tray {
    fn new(workers: usize) -> Self {
        let mut new = Self::default();
        new.items.resize_with(workers, Vec::new);
        new.reports.resize_with(workers, Report::default);
        new
    }
}

/// Blocks under way, at most: bounds the memory between the threads.
const BLOCKS_IN_FLIGHT: usize = 4;

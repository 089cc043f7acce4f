//! Merges the packets of several readers in order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Select, Sender, TryRecvError, bounded};

use super::reader::{QueueEnds, Reader};
use super::{InterfaceCounters, nanoseconds};
use crate::capture::{Block, Error};
use crate::clock::now;

/// Merges the queues of all readers.
#[derive(Default)]
pub(super) struct InterfaceMerge {
    queues: Vec<ReaderQueue>,
    sequence: u64,
    clock: i64,
}

/// The queue of one reader.
struct ReaderQueue {
    /// Batches from the reader.
    full: Receiver<Block>,
    /// Used blocks, back to the reader.
    empty: Sender<Block>,
    counters: Arc<InterfaceCounters>,
    /// Most time that a packet stays in the ring before the reader sees it, nanoseconds.
    window: i64,
    /// The current batch.
    block: Block,
    /// Index in `block` of the next packet.
    next: usize,
    /// When the current batch was received, nanoseconds since 1970.
    arrived: i64,
    /// The reader has stopped.
    ended: bool,
    thread: Option<JoinHandle<()>>,
}

impl InterfaceMerge {
    /// Starts the readers.
    pub(super) fn start(readers: Vec<Reader>) -> Result<Self, Error> {
        let queues = readers.into_iter().map(ReaderQueue::start).collect::<Result<_, _>>()?;
        Ok(Self { queues, sequence: 0, clock: i64::MIN })
    }

    /// Whether a packet is ready to be delivered or merged.
    pub(super) fn is_ready(&self) -> bool {
        self.queues.iter().any(|queue| queue.next_time().is_some() || !queue.full.is_empty())
    }

    /// Fills a block with the next packets, or with a tick if none arrived for [`TICK`]. Returns `false` if the readers have
    /// stopped and all their packets were delivered.
    pub(super) fn fill(&mut self, block: &mut Block) -> bool {
        block.clear();
        let more = match self.queues.as_mut_slice() {
            [queue] => queue.fill(block),
            queues => merge(queues, block),
        };
        for packet in &mut block.packets {
            self.clock = self.clock.max(packet.stamp.time);
            (packet.stamp.clock, packet.stamp.packet) = (self.clock, self.sequence);
            self.sequence += 1;
        }
        if let Some(tick) = &mut block.tick {
            self.clock = self.clock.max(*tick);
            *tick = self.clock;
        }
        more
    }
}

impl ReaderQueue {
    /// Starts a reader thread with a queue.
    fn start(reader: Reader) -> Result<Self, Error> {
        let (full, batches) = bounded(DEPTH);
        let (empty, blocks) = bounded(DEPTH);
        let (name, counters, window) = (reader.name().to_owned(), reader.counters(), reader.window());
        let ends = QueueEnds { full, empty: blocks };
        let thread = thread::Builder::new().name(format!("read-{name}")).spawn(move || reader.run(&ends));
        let thread = thread.map_err(|source| Error::Io { path: name, source })?;
        let mut queue = Self::new(batches, empty, counters, window);
        queue.thread = Some(thread);
        Ok(queue)
    }

    fn new(full: Receiver<Block>, empty: Sender<Block>, counters: Arc<InterfaceCounters>, window: i64) -> Self {
        let block = Block::default();
        Self { full, empty, counters, window, block, next: 0, arrived: i64::MIN, ended: false, thread: None }
    }

    /// Delivers the next batch as it is, for a single interface.
    fn fill(&mut self, block: &mut Block) -> bool {
        // Read before the queue: a packet that is not in the queue afterwards cannot be older.
        let quiet = self.quiet_until();
        match self.full.recv_timeout(TICK) {
            Ok(mut batch) => {
                std::mem::swap(block, &mut batch);
                self.recycle(batch, block.packets.len());
            }
            Err(RecvTimeoutError::Timeout) => block.tick = Some(quiet),
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        true
    }

    /// No packet from before this time is still in the ring; nanoseconds since 1970.
    fn quiet_until(&self) -> i64 {
        self.counters.idle_at.load(Acquire).saturating_sub(self.window)
    }

    /// Returns a block that held `packets` packets to the reader; drops it if the reader has enough.
    fn recycle(&self, block: Block, packets: usize) {
        self.counters.waiting.fetch_sub(packets as u64, Relaxed);
        let _ = self.empty.try_send(block);
    }

    /// Time of the next packet, if there is one.
    fn next_time(&self) -> Option<i64> {
        self.block.packets.get(self.next).map(|packet| packet.stamp.time)
    }

    /// Receives the next batch if the current one is used up.
    fn refill(&mut self) {
        if self.next_time().is_some() {
            return;
        }
        match self.full.try_recv() {
            Ok(batch) => {
                let done = std::mem::replace(&mut self.block, batch);
                (self.next, self.arrived) = (0, now());
                self.recycle(done, self.block.packets.len());
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => self.ended = true,
        }
    }
}

impl Drop for ReaderQueue {
    /// Joins the reader thread, which [`super::Live`] has asked to stop.
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // The thread does not panic; if it did, there would be nothing to clean up.
            let _ = thread.join();
        }
    }
}

/// Delivers packets of several queues by time. A packet is held until no other queue can have an earlier one.
fn merge(queues: &mut [ReaderQueue], block: &mut Block) -> bool {
    loop {
        let quiet: Vec<i64> = queues.iter().map(ReaderQueue::quiet_until).collect();
        queues.iter_mut().for_each(ReaderQueue::refill);
        let silent = queues.iter().zip(&quiet).filter(|(queue, _)| !queue.ended && queue.next_time().is_none());
        let limit = silent.map(|(_, quiet)| *quiet).min().unwrap_or(i64::MAX);
        if queues.iter().any(|queue| queue.next_time().is_some()) {
            // The merge does not wait for a queue that has been silent for too long.
            let overdue_before = now().saturating_sub(nanoseconds(LONGEST_WAIT));
            let too_long = queues.iter().any(|queue| queue.next_time().is_some() && queue.arrived < overdue_before);
            deliver(queues, if too_long { i64::MAX } else { limit }, block);
            if !block.packets.is_empty() {
                return true;
            }
            wait_for_batch(queues, RECHECK);
        } else if queues.iter().all(|queue| queue.ended) {
            return false;
        } else if !wait_for_batch(queues, TICK) {
            block.tick = quiet.into_iter().min();
            return true;
        }
    }
}

/// Copies packets up to the time `limit` into the block, until a queue is used up.
fn deliver(queues: &mut [ReaderQueue], limit: i64, block: &mut Block) {
    let heads = queues.iter().enumerate().filter_map(|(index, queue)| Some(Reverse((queue.next_time()?, index))));
    let mut heads: BinaryHeap<_> = heads.collect();
    let mut used = 0;
    while let Some(Reverse((time, index))) = heads.pop() {
        let Some(queue) = queues.get_mut(index) else { continue };
        if time > limit {
            return;
        }
        used = copy_next(queue, block, used);
        match queue.next_time() {
            Some(next) => heads.push(Reverse((next, index))),
            None => return,
        }
    }
}

/// Copies the next packet of a queue to offset `used` of the block; returns the offset after it.
fn copy_next(queue: &mut ReaderQueue, block: &mut Block, used: usize) -> usize {
    let Some(packet) = queue.block.packets.get(queue.next) else { return used };
    let bytes = queue.block.bytes_of(packet);
    let end = used + bytes.len();
    block.reserve(end);
    if let Some(place) = block.bytes.get_mut(used..end) {
        place.copy_from_slice(bytes);
    }
    block.packets.push(crate::capture::Packet { offset: used as u32, ..*packet });
    queue.next += 1;
    end
}

/// Waits until an empty queue receives a batch, at most `longest`; returns whether one did.
fn wait_for_batch(queues: &[ReaderQueue], longest: Duration) -> bool {
    let mut select = Select::new();
    for queue in queues.iter().filter(|queue| queue.next_time().is_none() && !queue.ended) {
        select.recv(&queue.full);
    }
    select.ready_timeout(longest).is_ok()
}

/// Most batches in one queue: some 50 MB with packets of 1500 bytes, usually far less.
const DEPTH: usize = 64;

/// Time without packets after which a tick is due.
const TICK: Duration = Duration::from_millis(100);

/// Interval for checking whether a held packet can be delivered.
const RECHECK: Duration = Duration::from_millis(1);

/// Most time that a packet is held for silent queues.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use lockkeeper_protocols::Stamp;

    use super::*;
    use crate::capture::{LinkType, Origin, Packet};

    /// Queues without readers, with the ends of the readers.
    fn queues(count: usize) -> (InterfaceMerge, Vec<Sender<Block>>, Vec<Arc<InterfaceCounters>>) {
        let mut ends = Vec::new();
        let mut counted = Vec::new();
        let made = (0..count).map(|_| {
            let ((full, batches), (empty, _)) = (bounded(DEPTH), bounded(DEPTH));
            let counters = Arc::new(InterfaceCounters::default());
            ends.push(full);
            counted.push(Arc::clone(&counters));
            ReaderQueue::new(batches, empty, counters, 5)
        });
        let queues = made.collect();
        (InterfaceMerge { queues, sequence: 0, clock: i64::MIN }, ends, counted)
    }

    /// A batch of packets at these times; each holds its time as its only byte.
    fn batch(capture: u16, times: &[i64]) -> Block {
        Block {
            bytes: times.iter().map(|time| *time as u8).collect(),
            packets: (0..).zip(times).map(|(offset, time)| packet(capture, offset, *time)).collect(),
            ..Block::default()
        }
    }

    fn packet(capture: u16, offset: u32, time: i64) -> Packet {
        let origin = Origin { capture, number: u64::from(offset) + 1 }.word();
        let stamp = Stamp { time, clock: i64::MIN, packet: 0, origin };
        Packet { stamp, link: LinkType::Ethernet, offset, captured: 1, original: 1 }
    }

    /// Time, clock and number of the next packets; checks their bytes against their times.
    fn next(queues: &mut InterfaceMerge) -> Vec<(i64, i64, u64)> {
        let mut block = Block::default();
        assert!(queues.fill(&mut block), "nothing is left");
        let sound = |packet: &Packet| block.bytes_of(packet) == [packet.stamp.time as u8];
        assert!(block.packets.iter().all(sound));
        block.packets.iter().map(|packet| (packet.stamp.time, packet.stamp.clock, packet.stamp.packet)).collect()
    }

    #[test]
    fn packets_of_several_queues_come_by_time_and_their_clock_never_runs_backwards() {
        let (mut queues, ends, counted) = queues(2);
        ends[0].send(batch(0, &[10, 30, 20])).expect("taken");
        ends[1].send(batch(1, &[15, 40])).expect("taken");
        counted.iter().for_each(|counters| counters.idle_at.store(1000, Relaxed));
        let mut found = Vec::new();
        while found.len() < 5 {
            found.extend(next(&mut queues));
        }
        // Each queue keeps its own order, even if that is not by time.
        assert_eq!(found, [(10, 10, 0), (15, 15, 1), (30, 30, 2), (20, 30, 3), (40, 40, 4)]);
    }

    #[test]
    fn a_packet_waits_until_a_silent_queue_cannot_have_an_earlier_one() {
        let (mut queues, ends, counted) = queues(2);
        counted[1].idle_at.store(14, Relaxed);
        ends[0].send(batch(0, &[9, 10])).expect("taken");
        assert_eq!(next(&mut queues), [(9, 9, 0)], "what arrives within the window of 5 may still be in the ring");
        let late = ends[1].clone();
        let other = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            late.send(batch(1, &[8])).expect("taken");
        });
        assert_eq!(next(&mut queues)[0], (8, 9, 1));
        other.join().expect("sent");
    }

    #[test]
    fn a_queue_that_is_silent_for_long_is_not_waited_for() {
        let (mut queues, ends, _counted) = queues(2);
        ends[0].send(batch(0, &[10])).expect("taken");
        assert_eq!(next(&mut queues), [(10, 10, 0)]);
    }

    #[test]
    fn when_nothing_arrives_the_clock_goes_on_as_far_as_all_queues_are_quiet() {
        for count in [1, 2] {
            let (mut queues, ends, counted) = queues(count);
            counted.iter().for_each(|counters| counters.idle_at.store(100, Relaxed));
            counted[0].idle_at.store(50, Relaxed);
            let mut block = Block::default();
            assert!(queues.fill(&mut block));
            assert_eq!((block.packets.len(), block.tick), (0, Some(45)), "{count} queues");
            // The clock continues from there, also for a late packet.
            ends[0].send(batch(0, &[40])).expect("taken");
            assert_eq!(next(&mut queues), [(40, 45, 0)]);
        }
    }

    #[test]
    fn the_end_comes_when_all_readers_have_stopped_and_all_is_delivered() {
        for count in [1, 2] {
            let (mut queues, ends, _counted) = queues(count);
            ends[0].send(batch(0, &[1, 2])).expect("taken");
            drop(ends);
            assert_eq!(next(&mut queues).len(), 2);
            assert!(!queues.fill(&mut Block::default()), "{count} queues");
        }
    }
}

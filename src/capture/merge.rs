//! Several captures in order of time.
//!
//! Each capture keeps its own order; among captures the next packet with the earliest time comes first, at equal times
//! that of the capture given first. A capture is opened when its first packet is due and closed after its last, so
//! that captures which follow each other in time cost no more than one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use lockkeeper_protocols::Stamp;

use super::reader::Reader;
use super::{Block, Capture, Cut, Packet, Secrets};

/// What decides which packet is next: its time, then the place of its capture on the command line.
type NextPacket = (i64, u16);

/// The captures that are merged.
pub(super) struct Merge {
    cursors: Vec<CaptureCursor>,
    /// The next packet of every capture that has one.
    heads: BinaryHeap<Reverse<NextPacket>>,
    /// Bytes that are read at once from each.
    size: usize,
    read: Arc<AtomicU64>,
    next_stamp: NextStamp,
}

/// What is counted over all captures.
#[derive(Clone, Copy)]
struct NextStamp {
    sequence: u64,
    clock: i64,
}

/// One of the captures that are merged.
struct CaptureCursor {
    index: u16,
    /// Where to open it when its first packet is due.
    closed_path: Option<PathBuf>,
    reader: Option<Box<Reader>>,
    /// Packets read ahead, and how many of them are delivered.
    block: Block,
    next: usize,
}

/// What to do after a cursor was served.
enum Delivered {
    /// Another cursor is next; this one is again at its turn.
    NextPacket(NextPacket),
    /// The cursor has no more packets.
    Ended,
    /// The block has no room for the packet of this turn.
    Full(NextPacket),
}

impl Merge {
    /// Merges captures that are [added](Self::add), reading `size` bytes of each at once and counting them in `read`.
    pub(super) fn new(size: usize, read: &Arc<AtomicU64>) -> Self {
        let next_stamp = NextStamp { sequence: 0, clock: i64::MIN };
        Self { cursors: Vec::new(), heads: BinaryHeap::new(), size, read: Arc::clone(read), next_stamp }
    }

    /// Adds the capture with the next index. It is closed until its first packet is due when `path` says how to open it
    /// again. `false`: it has no packets.
    pub(super) fn add(
        &mut self,
        index: u16,
        mut reader: Box<Reader>,
        path: Option<PathBuf>,
        capture: &mut Capture,
    ) -> bool {
        let mut block = Block::default();
        reader.fill(&mut block, self.size, capture);
        let first = block.packets.first().map(|packet| (packet.stamp.time, index));
        self.heads.extend(first.map(Reverse));
        let mut cursor = CaptureCursor { index, closed_path: path, reader: None, block: Block::default(), next: 0 };
        if cursor.closed_path.is_none() {
            (cursor.reader, cursor.block) = (Some(reader), block);
        }
        self.cursors.push(cursor);
        first.is_some()
    }

    /// Fills `block` with copies of the next packets, up to `size` bytes. `false`: nothing is left.
    pub(super) fn fill(&mut self, block: &mut Block, size: usize, captures: &mut [Capture]) -> bool {
        block.clear();
        block.reserve(size);
        let mut writer = BlockWriter { block, used: 0, next_stamp: self.next_stamp };
        while let Some(Reverse((time, index))) = self.heads.pop() {
            let rival = self.heads.peek().map(|Reverse(turn)| *turn);
            let place = usize::from(index);
            let (Some(cursor), Some(capture)) = (self.cursors.get_mut(place), captures.get_mut(place)) else {
                continue;
            };
            cursor.reopen(&self.read, capture);
            match cursor.deliver((time, index), rival, self.size, &mut writer, capture) {
                Delivered::NextPacket(turn) => self.heads.push(Reverse(turn)),
                Delivered::Ended => cursor.close(),
                Delivered::Full(turn) => {
                    self.heads.push(Reverse(turn));
                    break;
                }
            }
        }
        self.next_stamp = writer.next_stamp;
        !block.packets.is_empty()
    }
}

impl CaptureCursor {
    /// Opens the capture if it waits for its first packet.
    fn reopen(&mut self, read: &Arc<AtomicU64>, capture: &mut Capture) {
        let Some(path) = self.closed_path.take() else { return };
        match Reader::open(&path, self.index, read) {
            Ok(reader) => self.reader = Some(Box::new(reader)),
            Err(error) => {
                capture.packets = 0;
                capture.cut = Some(Cut { offset: 0, reason: format!("it cannot be opened a second time: {error}") });
            }
        }
    }

    /// Delivers packets until the `rival` is earlier, nothing is left, or the block is full.
    fn deliver(
        &mut self,
        mut turn: NextPacket,
        rival: Option<NextPacket>,
        size: usize,
        writer: &mut BlockWriter<'_>,
        capture: &mut Capture,
    ) -> Delivered {
        loop {
            let Some(packet) = self.block.packets.get(self.next) else {
                if !self.refill(size, capture) {
                    return Delivered::Ended;
                }
                continue;
            };
            turn.0 = packet.stamp.time;
            if rival.is_some_and(|rival| rival < turn) {
                return Delivered::NextPacket(turn);
            }
            if !writer.append(packet, self.block.bytes_of(packet)) {
                return Delivered::Full(turn);
            }
            writer.append_secrets(&mut self.block.secrets, self.next);
            self.next += 1;
        }
    }

    /// Reads the next packets. `false`: there are none. Secrets behind the last packet wait for the next.
    fn refill(&mut self, size: usize, capture: &mut Capture) -> bool {
        self.next = 0;
        let waiting = std::mem::take(&mut self.block.secrets);
        let reader = self.reader.as_mut();
        if !reader.is_some_and(|reader| reader.fill(&mut self.block, size, capture)) {
            return false;
        }
        self.block.secrets.splice(..0, waiting.into_iter().map(|secrets| Secrets { before: 0, ..secrets }));
        true
    }

    fn close(&mut self) {
        self.reader = None;
        self.block = Block::default();
    }
}

/// The block that is being filled.
struct BlockWriter<'a> {
    block: &'a mut Block,
    used: usize,
    next_stamp: NextStamp,
}

impl BlockWriter<'_> {
    /// Takes the secrets that stand before the packet which was taken last; in its own capture that was at `index`.
    fn append_secrets(&mut self, waiting: &mut Vec<Secrets>, index: usize) {
        let before = (self.block.packets.len() - 1) as u32;
        let due = waiting.partition_point(|secrets| secrets.before as usize <= index);
        self.block.secrets.extend(waiting.drain(..due).map(|secrets| Secrets { before, ..secrets }));
    }

    /// Copies a packet. `false`: there is no room for it.
    fn append(&mut self, packet: &Packet, bytes: &[u8]) -> bool {
        let end = self.used + bytes.len();
        if self.block.packets.is_empty() {
            self.block.reserve(end);
        }
        // Packets without bytes need a bound of their own.
        if self.block.packets.len() == self.block.bytes.len() / MIN_RECORD + 1 {
            return false;
        }
        let Some(place) = self.block.bytes.get_mut(self.used..end) else { return false };
        place.copy_from_slice(bytes);
        let NextStamp { sequence, clock } = self.next_stamp;
        let clock = clock.max(packet.stamp.time);
        self.next_stamp = NextStamp { sequence: sequence + 1, clock };
        let stamp = Stamp { clock, packet: sequence, ..packet.stamp };
        self.block.packets.push(Packet { stamp, offset: self.used as u32, ..*packet });
        self.used = end;
        true
    }
}

/// Bytes of the shortest record of a capture: no block holds more packets than one read from a single file can.
const MIN_RECORD: usize = 16;

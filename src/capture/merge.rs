//! Merges several captures in order of time.
//!
//! Each capture keeps its own order. Of the next packets of all captures, the earliest comes first; at equal times, that of
//! the capture that was given first. A capture is opened when its first packet is due and closed after its last one, so that
//! captures which follow each other in time cost no more than one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use lockkeeper_protocols::Stamp;

use super::reader::Reader;
use super::{Block, Capture, Cut, Packet, Secrets};

/// The merge order of a packet: its time, then the index of its capture.
type MergeKey = (i64, u16);

/// Merges captures.
pub(super) struct Merge {
    cursors: Vec<CaptureCursor>,
    /// The next packet of every capture that has one.
    heads: BinaryHeap<Reverse<MergeKey>>,
    /// Bytes read at once from each capture.
    size: usize,
    read: Arc<AtomicU64>,
    next_stamp: NextStamp,
}

/// Sequence number and packet clock of the next packet, over all captures.
#[derive(Clone, Copy)]
struct NextStamp {
    sequence: u64,
    clock: i64,
}

/// A capture in a merge, and how far it was delivered.
struct CaptureCursor {
    index: u16,
    /// The path to open when its first packet is due; none once it is open.
    closed_path: Option<PathBuf>,
    reader: Option<Box<Reader>>,
    /// Packets read ahead.
    block: Block,
    /// Index in `block` of the next packet.
    next: usize,
}

/// The result of delivering packets of one capture.
enum Delivered {
    /// A packet of another capture comes first; this is the next one of this capture.
    Later(MergeKey),
    /// The capture has no more packets.
    Ended,
    /// The block has no room for this packet.
    Full(MergeKey),
}

impl Merge {
    /// A merge without captures. Reads `size` bytes of each at once, and adds the number of bytes read to `read`.
    pub(super) fn new(size: usize, read: &Arc<AtomicU64>) -> Self {
        let next_stamp = NextStamp { sequence: 0, clock: i64::MIN };
        Self { cursors: Vec::new(), heads: BinaryHeap::new(), size, read: Arc::clone(read), next_stamp }
    }

    /// Adds the capture with the next index. With a `path` to reopen, it is closed until its first packet is due. Returns
    /// `false` if it has no packets.
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

    /// Fills `block` with copies of the next packets, up to `size` bytes. Returns `false` if none are left.
    pub(super) fn fill(&mut self, block: &mut Block, size: usize, captures: &mut [Capture]) -> bool {
        block.clear();
        block.reserve(size);
        let mut writer = BlockWriter { block, used: 0, next_stamp: self.next_stamp };
        while let Some(Reverse((time, index))) = self.heads.pop() {
            let other_head = self.heads.peek().map(|Reverse(head)| *head);
            let position = usize::from(index);
            let (Some(cursor), Some(capture)) = (self.cursors.get_mut(position), captures.get_mut(position)) else {
                continue;
            };
            cursor.reopen(&self.read, capture);
            match cursor.deliver((time, index), other_head, self.size, &mut writer, capture) {
                Delivered::Later(head) => self.heads.push(Reverse(head)),
                Delivered::Ended => cursor.close(),
                Delivered::Full(head) => {
                    self.heads.push(Reverse(head));
                    break;
                }
            }
        }
        self.next_stamp = writer.next_stamp;
        !block.packets.is_empty()
    }
}

impl CaptureCursor {
    /// Opens the capture if it is closed until its first packet.
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

    /// Delivers packets until `other_head`, the next packet of another capture, is earlier, none are left, or the block is full.
    fn deliver(
        &mut self,
        mut head: MergeKey,
        other_head: Option<MergeKey>,
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
            head.0 = packet.stamp.time;
            if other_head.is_some_and(|other_head| other_head < head) {
                return Delivered::Later(head);
            }
            if !writer.append(packet, self.block.bytes_of(packet)) {
                return Delivered::Full(head);
            }
            writer.append_secrets(&mut self.block.secrets, self.next);
            self.next += 1;
        }
    }

    /// Reads the next packets; returns `false` if there are none. Secrets behind the last packet go to the next one.
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

    /// Closes the capture after its last packet.
    fn close(&mut self) {
        self.reader = None;
        self.block = Block::default();
    }
}

/// Appends to the block that is being filled.
struct BlockWriter<'a> {
    block: &'a mut Block,
    used: usize,
    next_stamp: NextStamp,
}

impl BlockWriter<'_> {
    /// Appends the secrets before the packet that was appended last, whose index in its own block is `index`.
    fn append_secrets(&mut self, waiting: &mut Vec<Secrets>, index: usize) {
        let before = (self.block.packets.len() - 1) as u32;
        let due = waiting.partition_point(|secrets| secrets.before as usize <= index);
        self.block.secrets.extend(waiting.drain(..due).map(|secrets| Secrets { before, ..secrets }));
    }

    /// Appends a copy of a packet; returns `false` if there is no room for it.
    fn append(&mut self, packet: &Packet, bytes: &[u8]) -> bool {
        let end = self.used + bytes.len();
        if self.block.packets.is_empty() {
            self.block.reserve(end);
        }
        // Bounds the number of packets without bytes.
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

/// Bytes of the shortest record of a capture. Bounds the packets of a block as in a block of one file.
const MIN_RECORD: usize = 16;

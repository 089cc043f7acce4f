//! Deals the packets of a block to the shards, and reassembles IP fragments before: only the whole datagram shows its shard.

use std::hash::BuildHasher;
use std::hint::cold_path;
use std::ops::Range;

use foldhash::fast::FixedState;

use super::Settings;
use super::tunnels::Tunnels;
use crate::capture::{Block, Packet};
use crate::frame::{self, Body, FragmentDrop, Layers, Peek, Reassembled, Reassembler};
use crate::metrics::Counters;
use crate::worker::{Item, SHARDS, Subject, Worker};

/// Deals packets to workers.
pub(super) struct Dealer {
    /// The worker of each shard. A table, because a division for each packet takes longer than all else in dealing.
    owners: [u8; SHARDS],
    /// A fixed seed: the shard of a packet decides which limit applies to it, and must not change from run to run.
    hash: FixedState,
    fragments: Reassembler,
    /// Buffer for a reassembled datagram.
    whole: Vec<u8>,
    tunnels: Tunnels,
    /// Tunnel headers of the latest packet.
    layers: Layers,
    /// Further items of the latest packet.
    due: Vec<Item>,
    /// Packets dealt so far.
    pub(super) packets: u64,
    bytes: u64,
}

impl Dealer {
    pub(super) fn new(workers: usize, settings: &Settings) -> Self {
        Self {
            owners: std::array::from_fn(|shard| (shard % workers) as u8),
            hash: FixedState::with_seed(0),
            fragments: Reassembler::new(settings.fragments),
            whole: Vec::new(),
            tunnels: Tunnels::new(settings.mirrors.clone()),
            layers: Layers::default(),
            due: Vec::new(),
            packets: 0,
            bytes: 0,
        }
    }

    /// Fills the list of each worker with the items of the block in its shards.
    pub(super) fn deal(&mut self, block: &mut Block, items: &mut [Vec<Item>]) {
        self.count_block(block);
        items.iter_mut().for_each(Vec::clear);
        for index in 0..block.packets.len() {
            if let Some(item) = self.item_of(index, block) {
                self.append(item, items);
            }
            if !self.due.is_empty() {
                let mut due = std::mem::take(&mut self.due);
                due.drain(..).for_each(|item| self.append(item, items));
                self.due = due;
            }
        }
    }

    /// Appends an item to the list of its worker.
    fn append(&self, item: Item, items: &mut [Vec<Item>]) {
        let owner = self.owners[usize::from(item.shard) % SHARDS];
        if let Some(own) = items.get_mut(usize::from(owner)) {
            own.push(item);
        }
    }

    /// Gives the items of the block to the only worker at once: most packets are parsed once for dealing and judging.
    pub(super) fn give_to(&mut self, block: &mut Block, worker: &mut Worker) {
        self.count_block(block);
        let mut first = 0;
        for secrets in std::mem::take(&mut block.secrets) {
            let next = secrets.before as usize;
            self.give_range(first..next, block, worker);
            worker.add_secrets(&secrets);
            first = next;
        }
        self.give_range(first..block.packets.len(), block, worker);
    }

    fn give_range(&mut self, indices: Range<usize>, block: &mut Block, worker: &mut Worker) {
        for index in indices {
            let Some(packet) = block.packets.get(index) else { return };
            let bytes = block.bytes_of(packet);
            if let Some(plain) = frame::plain_segment(packet.link, bytes, packet.original) {
                worker.judge_plain(&plain, packet, bytes, self.shard_of(plain.pair_key()));
            } else {
                cold_path();
                if let Some(item) = self.item_of(index, block) {
                    worker.judge_item(block, item);
                }
                self.due.drain(..).for_each(|item| worker.judge_item(block, item));
            }
        }
    }

    /// Counts the packets of a block, before reassembly replaces some.
    fn count_block(&mut self, block: &Block) {
        self.packets += block.packets.len() as u64;
        self.bytes += block.packets.iter().map(|packet| u64::from(packet.original)).sum::<u64>();
    }

    /// The item of a packet. `None` for a fragment whose datagram is incomplete; the fragment that completes it is replaced by
    /// the datagram.
    #[inline(always)]
    fn item_of(&mut self, index: usize, block: &mut Block) -> Option<Item> {
        let packet = block.packets.get(index)?;
        match frame::peek(packet.link, block.bytes_of(packet), packet.original, &mut self.layers) {
            Peek::Key(key) => Some(self.content_item(index, key)),
            Peek::Wrapped(key) => {
                self.add_due_tunnels(index, packet.stamp.clock);
                Some(self.content_item(index, key))
            }
            Peek::Fragment => {
                let packet = *packet;
                self.add_due_tunnels(index, packet.stamp.clock);
                self.take_fragment(index, packet, block)
            }
        }
    }

    /// Adds an item for each tunnel around a packet that is due to be judged.
    #[inline(never)]
    fn add_due_tunnels(&mut self, index: usize, clock: i64) {
        for (depth, tunnel) in self.layers.iter() {
            if self.tunnels.note_packet(&tunnel, clock) {
                let [one, other] = tunnel.ends;
                self.due.push(self.make_item(index, frame::pair_key(one, other), Subject::Wrapping(depth)));
            }
        }
    }

    fn content_item(&self, index: usize, key: u64) -> Item {
        self.make_item(index, key, Subject::Content)
    }

    fn make_item(&self, index: usize, key: u64, subject: Subject) -> Item {
        Item { packet: index as u32, shard: self.shard_of(key), subject }
    }

    /// Makes every tunnel due again, under another policy.
    pub(super) fn make_tunnels_due(&mut self) {
        self.tunnels.make_all_due();
    }

    fn shard_of(&self, key: u64) -> u8 {
        (self.hash.hash_one(key) as usize % SHARDS) as u8
    }

    /// Takes in a fragment; returns the item of the datagram that it completes and is replaced by.
    #[inline(never)]
    fn take_fragment(&mut self, index: usize, packet: Packet, block: &mut Block) -> Option<Item> {
        let mut whole = std::mem::take(&mut self.whole);
        let mut done = {
            let bytes = block.bytes_of(&packet);
            self.fragments.push(packet.link, bytes, packet.original, packet.stamp.clock, &mut whole)
        };
        let subject = if self.fragments.is_ambiguous() { Subject::Ambiguous } else { Subject::Content };
        let others = self.fragments.take_other_readings();
        if let Reassembled::Dropped(reason) = done
            && is_anomalous(reason)
        {
            self.add_useless_fragment(index, &packet, block);
        }
        let mut item = None;
        // A reassembled datagram may itself be a fragment of an outer one.
        for _ in 0..NESTED_FRAGMENTS {
            if !matches!(done, Reassembled::Complete) {
                break;
            }
            let peeked = frame::peek(packet.link, &whole, whole.len() as u32, &mut self.layers);
            if let Some(key) = peeked.key() {
                if let Peek::Wrapped(_) = peeked {
                    self.add_due_tunnels(index, packet.stamp.clock);
                }
                block.replace(index, &whole);
                item = Some(self.make_item(index, key, subject));
                break;
            }
            let part = std::mem::take(&mut whole);
            done = self.fragments.push(packet.link, &part, part.len() as u32, packet.stamp.clock, &mut whole);
        }
        self.whole = whole;
        for other in others {
            let peeked = frame::peek(packet.link, &other, other.len() as u32, &mut self.layers);
            if let Some(key) = peeked.key()
                && let Some(reading) = block.add_reading(index, &other)
            {
                self.due.push(self.make_item(reading, key, Subject::Ambiguous));
            }
        }
        item
    }

    /// Adds an item for a fragment that is of no use, so that its two hosts are judged nevertheless.
    fn add_useless_fragment(&mut self, index: usize, packet: &Packet, block: &Block) {
        let frame = frame::fragment(packet.link, block.bytes_of(packet), packet.original);
        if let Some(Body::Ip(pair, _)) = frame.map(|frame| frame.body) {
            let key = frame::pair_key(pair.source, pair.destination);
            self.due.push(self.make_item(index, key, Subject::Fragment));
        }
    }

    /// Adds its counters after the last block: incomplete datagrams are given up.
    pub(super) fn add_final_counters(&mut self, counters: &mut Counters) {
        self.fragments.finish();
        self.add_counters(counters);
    }

    /// Adds its counters so far.
    pub(super) fn add_counters(&self, counters: &mut Counters) {
        counters.packets += self.packets;
        counters.bytes += self.bytes;
        counters.add_fragments(&self.fragments.counters());
        counters.tunnels += self.tunnels.counters.begun;
        counters.losses.tunnels_forgotten += self.tunnels.counters.forgotten;
    }
}

/// Whether a useless fragment is one that no sender makes, rather than a loss of the capture.
const fn is_anomalous(reason: FragmentDrop) -> bool {
    match reason {
        FragmentDrop::Malformed | FragmentDrop::TooLarge | FragmentDrop::Contradiction => true,
        FragmentDrop::NoFragment | FragmentDrop::Undecoded(_) | FragmentDrop::Cut | FragmentDrop::Duplicate => false,
    }
}

/// Depth of fragments in fragments that are reassembled.
const NESTED_FRAGMENTS: usize = 4;

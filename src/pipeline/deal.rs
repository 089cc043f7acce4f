//! Deals the packets of a block to the shards, and puts IP fragments together on the way: a whole datagram is needed to
//! know where it belongs.

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
    /// The worker of each shard. Looked up, because a division for each packet takes longer than all else that is done to
    /// deal it.
    owners: [u8; SHARDS],
    /// Fixed: which shard a packet goes to decides which limit it meets, and that must not change from run to run.
    hash: FixedState,
    fragments: Reassembler,
    /// A datagram that has just been put together.
    whole: Vec<u8>,
    tunnels: Tunnels,
    /// What is around the latest packet that is wrapped.
    layers: Layers,
    /// What else of the latest packet is to be judged.
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

    /// Fills each worker's list with the packets of the block that belong to it.
    pub(super) fn deal(&mut self, block: &mut Block, items: &mut [Vec<Item>]) {
        self.count_block(block);
        items.iter_mut().for_each(Vec::clear);
        for index in 0..block.packets.len() {
            if let Some(item) = self.place(index, block) {
                self.hand(item, items);
            }
            if !self.due.is_empty() {
                let mut due = std::mem::take(&mut self.due);
                due.drain(..).for_each(|item| self.hand(item, items));
                self.due = due;
            }
        }
    }

    /// Hands an item to the worker of its shard.
    fn hand(&self, item: Item, items: &mut [Vec<Item>]) {
        let owner = self.owners[usize::from(item.shard) % SHARDS];
        if let Some(own) = items.get_mut(usize::from(owner)) {
            own.push(item);
        }
    }

    /// Gives the packets of the block to one worker, who has every shard: most are looked at once only, by both.
    pub(super) fn give(&mut self, block: &mut Block, worker: &mut Worker) {
        self.count_block(block);
        let mut first = 0;
        for secrets in std::mem::take(&mut block.secrets) {
            let next = secrets.before as usize;
            self.give_some(first..next, block, worker);
            worker.add_secrets(&secrets);
            first = next;
        }
        self.give_some(first..block.packets.len(), block, worker);
    }

    fn give_some(&mut self, indices: Range<usize>, block: &mut Block, worker: &mut Worker) {
        for index in indices {
            let Some(packet) = block.packets.get(index) else { return };
            let bytes = block.bytes_of(packet);
            if let Some(plain) = frame::plain(packet.link, bytes, packet.original) {
                worker.judge_plain(&plain, packet, bytes, self.shard_of(plain.pair_key()));
            } else {
                cold_path();
                if let Some(item) = self.place(index, block) {
                    worker.judge_item(block, item);
                }
                self.due.drain(..).for_each(|item| worker.judge_item(block, item));
            }
        }
    }

    /// Counts the packets of a block, before some are put together from others.
    fn count_block(&mut self, block: &Block) {
        self.packets += block.packets.len() as u64;
        self.bytes += block.packets.iter().map(|packet| u64::from(packet.original)).sum::<u64>();
    }

    /// Where a packet of the block belongs. `None`: a fragment, whose datagram is not complete. With the last one, the
    /// datagram is in its place.
    #[inline(always)]
    fn place(&mut self, index: usize, block: &mut Block) -> Option<Item> {
        let packet = block.packets.get(index)?;
        match frame::peek(packet.link, block.bytes_of(packet), packet.original, &mut self.layers) {
            Peek::Key(key) => Some(self.content(index, key)),
            Peek::Wrapped(key) => {
                self.find_tunnels(index, packet.stamp.clock);
                Some(self.content(index, key))
            }
            Peek::Fragment => {
                let packet = *packet;
                self.find_tunnels(index, packet.stamp.clock);
                self.fragment(index, packet, block)
            }
        }
    }

    /// Looks which of the tunnels around a packet are to be judged now.
    #[inline(never)]
    fn find_tunnels(&mut self, index: usize, clock: i64) {
        for (depth, tunnel) in self.layers.iter() {
            if self.tunnels.is_due(&tunnel, clock) {
                let [one, other] = tunnel.ends;
                self.due.push(self.item(index, frame::pair_key(one, other), Subject::Wrapping(depth)));
            }
        }
    }

    fn content(&self, index: usize, key: u64) -> Item {
        self.item(index, key, Subject::Content)
    }

    fn item(&self, index: usize, key: u64, subject: Subject) -> Item {
        Item { packet: index as u32, shard: self.shard_of(key), subject }
    }

    /// The tunnels that are known are to be judged again, by another policy.
    pub(super) fn judge_again(&mut self) {
        self.tunnels.judge_again();
    }

    fn shard_of(&self, key: u64) -> u8 {
        (self.hash.hash_one(key) as usize % SHARDS) as u8
    }

    /// Takes one fragment; the datagram that it completes takes its place, and has a shard.
    #[inline(never)]
    fn fragment(&mut self, index: usize, packet: Packet, block: &mut Block) -> Option<Item> {
        let mut whole = std::mem::take(&mut self.whole);
        let mut done = {
            let bytes = block.bytes_of(&packet);
            self.fragments.push(packet.link, bytes, packet.original, packet.stamp.clock, &mut whole)
        };
        let subject = if self.fragments.is_ambiguous() { Subject::Ambiguous } else { Subject::Content };
        let others = self.fragments.take_others();
        if let Reassembled::Dropped(reason) = done
            && is_told(reason)
        {
            self.tell_fragment(index, &packet, block);
        }
        let mut item = None;
        // A datagram may itself be a fragment of what wraps it.
        for _ in 0..NESTED_FRAGMENTS {
            if !matches!(done, Reassembled::Complete) {
                break;
            }
            let peeked = frame::peek(packet.link, &whole, whole.len() as u32, &mut self.layers);
            if let Some(key) = peeked.key() {
                if let Peek::Wrapped(_) = peeked {
                    self.find_tunnels(index, packet.stamp.clock);
                }
                block.replace(index, &whole);
                item = Some(self.item(index, key, subject));
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
                self.due.push(self.item(reading, key, Subject::Ambiguous));
            }
        }
        item
    }

    /// A fragment is of no use: its two hosts are to be judged all the same.
    fn tell_fragment(&mut self, index: usize, packet: &Packet, block: &Block) {
        let frame = frame::fragment(packet.link, block.bytes_of(packet), packet.original);
        if let Some(Body::Ip(pair, _)) = frame.map(|frame| frame.body) {
            let key = frame::pair_key(pair.source, pair.destination);
            self.due.push(self.item(index, key, Subject::Fragment));
        }
    }

    /// Adds what was counted here; datagrams that are not complete never will be.
    pub(super) fn count(&mut self, counters: &mut Counters) {
        self.fragments.finish();
        self.count_so_far(counters);
    }

    /// Adds what was counted here so far.
    pub(super) fn count_so_far(&self, counters: &mut Counters) {
        counters.packets += self.packets;
        counters.bytes += self.bytes;
        counters.fragments(&self.fragments.counters());
        counters.tunnels += self.tunnels.counters.begun;
        counters.losses.tunnels_forgotten += self.tunnels.counters.forgotten;
    }
}

/// Whether a fragment that is of no use is one that no sender makes, and no loss of the capture.
const fn is_told(reason: FragmentDrop) -> bool {
    match reason {
        FragmentDrop::Malformed | FragmentDrop::TooLarge | FragmentDrop::Contradiction => true,
        FragmentDrop::NoFragment | FragmentDrop::Undecoded(_) | FragmentDrop::Cut | FragmentDrop::Duplicate => false,
    }
}

/// Wrappings of fragments in fragments that are undone.
const NESTED_FRAGMENTS: usize = 4;

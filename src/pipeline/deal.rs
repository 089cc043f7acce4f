//! Deals the packets of a block to the shards, and puts IP fragments together on the way: a whole datagram is needed to
//! know where it belongs.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::capture::{Block, Packet};
use crate::frame::{self, FragmentLimits, Peek, Reassembled, Reassembler};
use crate::metrics::Counters;
use crate::worker::{Item, SHARDS};

/// Deals packets to workers.
pub(super) struct Dealer {
    workers: usize,
    /// Fixed: which shard a packet goes to decides which limit it meets, and that must not change from run to run.
    hash: FixedState,
    fragments: Reassembler,
    /// A datagram that has just been put together.
    whole: Vec<u8>,
    /// Packets dealt so far.
    pub(super) packets: u64,
    bytes: u64,
}

impl Dealer {
    pub(super) fn new(workers: usize, fragments: FragmentLimits) -> Self {
        Self {
            workers,
            hash: FixedState::with_seed(0),
            fragments: Reassembler::new(fragments),
            whole: Vec::new(),
            packets: 0,
            bytes: 0,
        }
    }

    /// Fills each worker's list with the packets of the block that belong to it.
    pub(super) fn deal(&mut self, block: &mut Block, items: &mut [Vec<Item>]) {
        items.iter_mut().for_each(Vec::clear);
        let mut next = 0;
        while let Some(fragment) = self.hand_out_from(next, block, items) {
            // What is put together from fragments is added behind, and dealt at the place of its last fragment.
            if let Some(packet) = block.packets.get(fragment).copied() {
                self.fragment(fragment, packet, block, items);
            }
            next = fragment + 1;
        }
    }

    /// Hands out the packets of a block from an index on, up to the next fragment: its index, if there is one.
    fn hand_out_from(&mut self, first: usize, block: &Block, items: &mut [Vec<Item>]) -> Option<usize> {
        for (index, packet) in block.packets.iter().enumerate().skip(first) {
            self.packets += 1;
            self.bytes += u64::from(packet.original);
            match frame::peek(packet.link, block.bytes_of(packet)) {
                Peek::Key(key) => self.hand_out(index, key, items),
                Peek::Fragment => return Some(index),
            }
        }
        None
    }

    #[inline]
    fn hand_out(&self, index: usize, key: u64, items: &mut [Vec<Item>]) {
        let shard = self.hash.hash_one(key) as usize % SHARDS;
        if let Some(own) = items.get_mut(shard % self.workers) {
            own.push(Item { packet: index as u32, shard: shard as u8 });
        }
    }

    /// Takes one fragment; the datagram that it completes takes its place.
    fn fragment(&mut self, index: usize, packet: Packet, block: &mut Block, items: &mut [Vec<Item>]) {
        let mut whole = std::mem::take(&mut self.whole);
        let mut done = {
            let bytes = block.bytes_of(&packet);
            self.fragments.push(packet.link, bytes, packet.original, packet.clock, &mut whole)
        };
        // A datagram may itself be a fragment of what wraps it.
        for _ in 0..NESTED_FRAGMENTS {
            if !matches!(done, Reassembled::Complete) {
                break;
            }
            if let Peek::Key(key) = frame::peek(packet.link, &whole) {
                block.replace(index, &whole);
                self.hand_out(index, key, items);
                break;
            }
            let part = std::mem::take(&mut whole);
            done = self.fragments.push(packet.link, &part, part.len() as u32, packet.clock, &mut whole);
        }
        self.whole = whole;
    }

    /// Adds what was counted here.
    pub(super) fn count(&mut self, counters: &mut Counters) {
        self.fragments.finish();
        counters.packets += self.packets;
        counters.bytes += self.bytes;
        counters.fragments(&self.fragments.counters());
    }
}

/// Wrappings of fragments in fragments that are undone.
const NESTED_FRAGMENTS: usize = 4;

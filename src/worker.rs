//! One worker: from packet to verdict. It owns its shards and everything in them, and shares nothing.
//!
//! A shard holds the conversations of some host pairs. Shards are dealt to workers; because every table is a shard's
//! own, its limits bite at the same packet whatever the number of workers.

mod adopt;
mod channel_security;
mod checksums;
mod context;
mod conversation;
mod counts;
mod due;
mod fast_path;
mod flow_facts;
mod flow_sink;
mod item;
mod memory;
mod neighbours;
mod packet;
mod pending;
mod readings;
mod settings;
mod shard;
mod sightings;
mod state;
mod timers;
mod unread;
mod wrapping;

use std::sync::Arc;

use crate::capture::{Block, Secrets};
use crate::flow::StreamCounters;
use crate::keys::{KeyLog, SECRETS_OF_OPC_UA};
use crate::policy::Policy;
use crate::record::{Captures, Report};
pub use checksums::Checksums;
use context::FlowContext;
pub use counts::Followed;
pub use item::{Item, SHARDS, Subject};
pub use settings::Settings;
use shard::Shard;
use state::WorkerState;
use timers::Timers;

/// One worker.
pub struct Worker {
    state: WorkerState,
    shards: Vec<Shard>,
    timers: Timers,
    streams: StreamCounters,
    settings: Settings,
    /// Before this packet clock, no conversation of any shard has been silent for too long. The least there is while that is
    /// not known.
    quiet_until: i64,
    /// Where each shard lies in `shards`: shard `s` lives on worker `s % workers`, and a division takes longer than a look.
    places: [u8; SHARDS],
    /// Counts what all workers see alike.
    is_first: bool,
}

impl Worker {
    /// Makes worker `index` of `workers`.
    pub fn new(index: usize, workers: usize, settings: Settings, policy: Arc<Policy>, captures: Arc<Captures>) -> Self {
        let shards = (index..SHARDS).step_by(workers).map(|_| Shard::new(&settings)).collect();
        let state = WorkerState::new(policy, captures, settings.decoder, settings.transactions);
        state.ring.add(&settings.keys);
        let (timers, streams) = (Timers::default(), StreamCounters::default());
        let places = std::array::from_fn(|shard| (shard / workers) as u8);
        let quiet_until = i64::MIN;
        Self { state, shards, timers, streams, settings, quiet_until, places, is_first: index == 0 }
    }

    /// Judges the packets of a block that belong to this worker, between [`Worker::open`] and what it returns: what it
    /// found. `clock`: the packet clock at the end of the block, for the timeouts of conversations that are silent. After
    /// the `last` block, what is still open is reported as open.
    pub fn block(&mut self, block: &Block, items: &[Item], clock: i64, last: bool) -> Report {
        let mut rest = items;
        for secrets in &block.secrets {
            let (earlier, later) = rest.split_at(rest.partition_point(|item| item.packet < secrets.before));
            self.items(block, earlier);
            self.unlock(secrets);
            rest = later;
        }
        self.items(block, rest);
        self.close(clock, last)
    }

    fn items(&mut self, block: &Block, items: &[Item]) {
        for item in items {
            self.item(block, *item);
        }
    }

    /// Begins a block: what is found in it goes into `report`. Then come its packets with [`Worker::block`], or one by one
    /// and [`Worker::close`].
    pub fn open(&mut self, report: Report) {
        self.state.open(report);
    }

    /// Ends a block: see [`Worker::block`].
    pub fn close(&mut self, clock: i64, last: bool) -> Report {
        self.tick(clock);
        if last {
            self.finish(clock);
        }
        self.state.close()
    }

    /// Takes the keys of a capture, for the packets that follow. Every worker needs them, and one counts.
    pub fn unlock(&mut self, secrets: &Secrets) {
        if secrets.kind != SECRETS_OF_OPC_UA {
            return;
        }
        match KeyLog::parse(&secrets.bytes) {
            Ok(log) => self.state.ring.add(&log),
            Err(_) => self.state.counters.losses.secrets_not_understood += u64::from(self.is_first),
        }
    }

    /// Judges one packet of a block, or something about it.
    #[inline]
    pub fn item(&mut self, block: &Block, item: Item) {
        let Some(packet) = block.packet(item.packet as usize) else { return };
        let bytes = block.bytes_of(packet);
        match item.subject {
            Subject::Content => self.packet(packet, bytes, item.shard),
            Subject::Ambiguous => self.ambiguous(packet, bytes, item.shard),
            Subject::Wrapping(depth) => self.wrapping(packet, bytes, depth),
            Subject::Fragment => self.fragment(packet, bytes, item.shard),
        }
    }

    /// Where a shard of this worker lies.
    #[inline(always)]
    fn index_of(&self, shard: u8) -> usize {
        usize::from(self.places[usize::from(shard) % SHARDS])
    }

    fn finish(&mut self, clock: i64) {
        let Self { state, shards, streams: counters, settings, .. } = self;
        state.last_call(clock);
        for Shard { flows, shared, .. } in shards {
            let context = &mut FlowContext::new(state, settings, counters, shared);
            for mut gone in flows.drain(clock) {
                gone.value.end(clock, context);
            }
        }
    }
}

//! One worker: from packet to verdict. It owns its shards and shares nothing with other workers.
//!
//! A shard holds the conversations of some host pairs. Shards are dealt to workers; every table belongs to one shard, so that
//! its limits take effect at the same packet whatever the number of workers.
//!
//! A packet takes this way:
//!
//! * `fast_path`: the next segment of a known connection, and operations that are certainly permitted;
//! * `packet`: every other packet: decoded, compared with copies, assigned to its conversation;
//! * `conversation`: its stream, its protocol, the verdict on it;
//! * `flow_sink`: takes what the decoder announces, asks the policy, reports;
//! * `state`: what the conversations of a worker share: policy, counters, the report of the block;
//! * `due`: timeouts, by packet time.
//!
//! Beside it: `wrapping` judges tunnels as such, `neighbours` and `sightings` hosts by their hardware addresses, `unread`
//! counts what could not be decoded, `memory` keeps the budget of a shard, `adopt` changes the policy.
//!
//! No file imports from one above it: `checksums`, `pending`, `readings`, `timers`, then `flow_facts`, `state`, `context`,
//! `flow_sink`, `conversation`, `shard`, this file, and the files that add to [`Worker`].

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
    /// No conversation of any shard expires before this packet clock; `i64::MIN` forces a recheck.
    quiet_until: i64,
    /// Index of each shard in `shards`: shard `s` belongs to worker `s % workers`. A lookup is faster than a division.
    shard_index: [u8; SHARDS],
    /// Whether this worker counts what every worker sees alike.
    is_first: bool,
}

impl Worker {
    /// Makes worker `index` of `workers`.
    pub fn new(index: usize, workers: usize, settings: Settings, policy: Arc<Policy>, captures: Arc<Captures>) -> Self {
        let shards = (index..SHARDS).step_by(workers).map(|_| Shard::new(&settings)).collect();
        let state = WorkerState::new(policy, captures, settings.decoder, settings.transactions);
        state.keys.add(&settings.keys);
        let (timers, streams) = (Timers::default(), StreamCounters::default());
        let shard_index = std::array::from_fn(|shard| (shard / workers) as u8);
        let quiet_until = i64::MIN;
        Self { state, shards, timers, streams, settings, quiet_until, shard_index, is_first: index == 0 }
    }

    /// Begins a block: findings go into `report`, a recycled one. Then the packets of the block follow, by
    /// [`Worker::judge_block`], or one by one before [`Worker::end_block`].
    pub fn begin_block(&mut self, report: Report) {
        self.state.begin_report(report);
    }

    /// Judges the packets of a block that belong to this worker, and [ends](Worker::end_block) the block.
    pub fn judge_block(&mut self, block: &Block, items: &[Item], clock: i64, last: bool) -> Report {
        let mut rest = items;
        for secrets in &block.secrets {
            let (earlier, later) = rest.split_at(rest.partition_point(|item| item.packet < secrets.before));
            self.judge_items(block, earlier);
            self.add_secrets(secrets);
            rest = later;
        }
        self.judge_items(block, rest);
        self.end_block(clock, last)
    }

    /// Ends a block, and returns what was found in it. `clock` is the packet clock at its end, by which silent conversations
    /// time out. After the `last` block, pending operations are reported as pending.
    pub fn end_block(&mut self, clock: i64, last: bool) -> Report {
        self.run_due(clock);
        if last {
            self.finish_conversations(clock);
        }
        self.state.end_report()
    }

    /// Adds the decryption secrets of a capture, for the packets that follow. Every worker needs them; the first one counts.
    pub fn add_secrets(&mut self, secrets: &Secrets) {
        if secrets.kind != SECRETS_OF_OPC_UA {
            return;
        }
        match KeyLog::parse(&secrets.bytes) {
            Ok(log) => self.state.keys.add(&log),
            Err(_) => self.state.counters.losses.secrets_not_understood += u64::from(self.is_first),
        }
    }

    fn judge_items(&mut self, block: &Block, items: &[Item]) {
        for item in items {
            self.judge_item(block, *item);
        }
    }

    /// Judges one item of a block.
    pub fn judge_item(&mut self, block: &Block, item: Item) {
        let Some(packet) = block.packet(item.packet as usize) else { return };
        let bytes = block.bytes_of(packet);
        match item.subject {
            Subject::Content => self.judge_packet(packet, bytes, item.shard),
            Subject::Ambiguous => self.judge_any(packet, bytes, self.index_of(item.shard), true),
            Subject::Wrapping(depth) => self.judge_wrapping(packet, bytes, depth),
            Subject::Fragment => self.judge_fragment(packet, bytes, item.shard),
        }
    }

    /// Index in `shards` of a shard that this worker owns.
    #[inline(always)]
    fn index_of(&self, shard: u8) -> usize {
        usize::from(self.shard_index[usize::from(shard) % SHARDS])
    }

    fn finish_conversations(&mut self, clock: i64) {
        let Self { state, shards, streams: counters, settings, .. } = self;
        state.order_rest_after(clock);
        for Shard { flows, shared, .. } in shards {
            let context = &mut FlowContext::new(state, settings, counters, shared);
            for mut gone in flows.drain(clock) {
                gone.value.end(clock, context);
            }
        }
    }
}

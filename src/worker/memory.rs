//! The memory budget of a shard.
//!
//! One budget bounds the conversations of a shard. When it is exceeded, those that hold most give up what they hold, until an
//! eighth of it is free: an attacker that fills it loses first, and visiting every conversation is amortised.

use std::cmp::Reverse;

use lockkeeper_protocols::Stamp;

use super::Worker;
use super::context::FlowContext;
use super::shard::Shard;
use crate::flow::Entry;

impl Worker {
    /// Measures the memory of a conversation, and frees memory if its shard exceeds the budget.
    #[inline(never)]
    pub(super) fn note_memory(&mut self, index: usize, entry: Entry, stamp: &Stamp) {
        self.state.took_memory = false;
        let Some(Shard { flows, shared, .. }) = self.shards.get_mut(index) else { return };
        if let Some((_, conversation)) = flows.get_mut(entry) {
            conversation.note_memory(&mut shared.memory);
        }
        if shared.memory > self.settings.memory {
            self.free_memory(index, stamp);
        }
    }

    /// Makes the conversations that hold most give up what they hold.
    fn free_memory(&mut self, index: usize, stamp: &Stamp) {
        let Self { state, shards, streams: counters, settings, .. } = self;
        let Some(Shard { flows, shared, .. }) = shards.get_mut(index) else { return };
        shared.memory = 0;
        let mut holders: Vec<_> = Vec::new();
        for conversation in flows.values_mut() {
            shared.memory += conversation.noted_memory() as usize;
            conversation.note_memory(&mut shared.memory);
            if conversation.noted_memory() > 0 {
                holders.push(conversation.rank());
            }
        }
        holders.sort_unstable();
        let enough = settings.memory - settings.memory / 8;
        let mut left = shared.memory;
        let is_spared = |(Reverse(taken), _): &&(Reverse<u32>, u64)| {
            let is_enough = left <= enough;
            left = left.saturating_sub(*taken as usize);
            is_enough
        };
        let spared = holders.iter().find(is_spared).copied().unwrap_or((Reverse(0), 0));
        let mut context = FlowContext::new(state, settings, counters, shared);
        for conversation in flows.values_mut().filter(|conversation| conversation.rank() < spared) {
            conversation.give_up_memory(stamp, &mut context);
            conversation.note_memory(&mut context.shared.memory);
        }
        context.state.took_memory = false;
    }
}

//! What a worker has counted.

use super::Worker;
use crate::keys::KeyCounters;
use crate::metrics::Counters;

/// Conversations that are followed at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// All of them.
    pub flows: u64,
    /// TCP conversations in which something was said.
    pub spoken: u64,
    /// Those of them of which only one end was heard.
    pub one_way: u64,
}

impl Worker {
    /// What this worker has counted so far.
    pub fn counters(&self) -> Counters {
        let mut counters = self.state.counters.clone();
        for shard in &self.shards {
            counters.table(shard.flows.counters());
            counters.copies(shard.copies.counters());
            shard.shared.senders.not_believed(&mut counters.not_believed);
            counters.failed.add(&shard.shared.failed);
        }
        let keys = self.state.ring.counters();
        // Every worker has the same keys.
        let not_kept = if self.is_first { keys.not_kept } else { 0 };
        counters.keys(&KeyCounters { not_kept, ..keys });
        counters.streams(&self.streams);
        counters
    }

    /// What conversations it follows now. Looks at each of them.
    pub fn follows(&mut self) -> Followed {
        let mut followed = Followed::default();
        for conversation in self.shards.iter_mut().flat_map(|shard| shard.flows.values_mut()) {
            followed.flows += 1;
            followed.spoken += u64::from(conversation.flow.is_spoken());
            followed.one_way += u64::from(conversation.flow.is_spoken() && conversation.flow.is_one_way());
        }
        followed
    }

    /// How many conversations it follows now.
    pub fn open_flows(&self) -> u64 {
        self.shards.iter().map(|shard| shard.flows.len() as u64).sum()
    }
}

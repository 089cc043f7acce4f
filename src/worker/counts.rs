//! What a worker has counted.

use super::Worker;
use crate::keys::KeyCounters;
use crate::metrics::Counters;

/// Conversations that are followed at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// All of them.
    pub flows: u64,
    /// TCP conversations with payload.
    pub spoken: u64,
    /// Those of them of which only one end was captured.
    pub one_way: u64,
}

impl Worker {
    /// What this worker has counted so far.
    pub fn counters(&self) -> Counters {
        let mut counters = self.state.counters.clone();
        for shard in &self.shards {
            counters.add_table(shard.flows.counters());
            counters.add_duplicates(shard.duplicates.counters());
            shard.shared.senders.add_ignored_checksums(&mut counters.ignored_checksums);
            counters.failed.add(&shard.shared.failed);
        }
        let keys = self.state.keys.counters();
        // Every worker has the same keys.
        let not_kept = if self.is_first { keys.not_kept } else { 0 };
        counters.add_keys(&KeyCounters { not_kept, ..keys });
        counters.add_streams(&self.streams);
        counters
    }

    /// Counts the conversations that are followed now, by visiting each of them.
    pub fn count_followed(&mut self) -> Followed {
        let mut followed = Followed::default();
        for conversation in self.shards.iter_mut().flat_map(|shard| shard.flows.values_mut()) {
            followed.flows += 1;
            followed.spoken += u64::from(conversation.flow.is_stream_with_payload());
            followed.one_way += u64::from(conversation.flow.is_stream_with_payload() && conversation.flow.is_one_way());
        }
        followed
    }

    /// How many conversations are followed now.
    pub fn open_flows(&self) -> u64 {
        self.shards.iter().map(|shard| shard.flows.len() as u64).sum()
    }
}

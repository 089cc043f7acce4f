//! Change of policy during conversations.

use std::sync::Arc;

use super::Worker;
use super::state::WorkerState;
use crate::policy::Policy;

impl Worker {
    /// Judges by another policy from here on, and judges open conversations again. `clock` is the packet clock, at which
    /// conversations are reported that the new policy denies.
    pub fn adopt(&mut self, policy: &Arc<Policy>, clock: i64) {
        let before = self.state.adopt(policy);
        for shard in &mut self.shards {
            shard.neighbours.forget_pairs();
            shard.sightings.forget();
        }
        for conversation in self.shards.iter_mut().flat_map(|shard| shard.flows.values_mut()) {
            conversation.flow.adopt(&before, clock, &mut self.state);
        }
    }
}

impl WorkerState {
    /// Replaces the policy, and returns the one before.
    fn adopt(&mut self, policy: &Arc<Policy>) -> Arc<Policy> {
        self.judging = policy.judges();
        self.watches_hardware = policy.watches_hardware();
        self.watches_vlans = policy.watches_vlans();
        self.forget_flow_verdicts();
        std::mem::replace(&mut self.policy, Arc::clone(policy))
    }
}

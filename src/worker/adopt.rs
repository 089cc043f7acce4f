//! Another policy while conversations go on.

use std::sync::Arc;

use super::Worker;
use super::state::WorkerState;
use crate::policy::Policy;

impl Worker {
    /// Judges by another policy from here on. `clock`: the packet clock, for what is reported about conversations that the new
    /// policy does not permit.
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
    /// Takes over a policy; returns the one before it.
    fn adopt(&mut self, policy: &Arc<Policy>) -> Arc<Policy> {
        self.judging = policy.judges();
        self.watches_hardware = policy.watches_hardware();
        self.watches_vlans = policy.watches_vlans();
        self.forget_flow_verdicts();
        std::mem::replace(&mut self.policy, Arc::clone(policy))
    }
}

//! Change of policy: a conversation keeps its state, and is judged again.

use std::sync::Arc;

use super::FlowState;
use crate::policy::{Denial, Policy, Verdict};
use crate::record::FindingKind;
use crate::worker::state::WorkerState;

impl FlowState {
    /// Judges the conversation by the worker's new policy, and reports if it is no longer permitted. Its protocol, its session
    /// and its pending operations stay.
    pub(in crate::worker) fn adopt(&mut self, before: &Policy, clock: i64, state: &mut WorkerState) {
        let facts = &mut self.facts;
        facts.last_values.carry_over(before, &state.policy);
        facts.forget_text();
        if let Some(rare) = facts.rare_mut() {
            // Verdicts on pending operations name flows of the old policy.
            rare.pending.values_mut().for_each(|pending| pending.verdict = under_another_policy(pending.verdict));
        }
        if facts.flow_verdict.take().is_none() {
            return;
        }
        let tuple = facts.tuple();
        if state.judging && state.policy.is_housekeeping(&tuple) {
            return;
        }
        let flow_verdict = state.flow_verdict(&tuple, facts.protocol_name());
        facts.keeps_delivered = state.judging && flow_verdict.is_judged();
        facts.flow_verdict = Some(Arc::clone(&flow_verdict));
        if !state.judging {
            return;
        }
        let stamp = facts.first.at(clock);
        for side in state.policy.unknown_sides(&flow_verdict) {
            state.report_finding(facts, FindingKind::UnknownAsset(side), None, None, &stamp);
        }
        let verdict = state.verdict_on_tunnel(
            state.verdict(&flow_verdict, self.identification(), stamp.time),
            &tuple,
            stamp.time,
        );
        let facts = &mut self.facts;
        let denied = match verdict {
            Verdict::Deny(denial) => Some(denial).filter(|denial| !facts.is_doubtful(denial)),
            Verdict::Permit { .. } | Verdict::Observe | Verdict::NotJudged => None,
        };
        let known = std::mem::replace(&mut facts.denied, denied.map(|denial| denial.rule));
        if let Some(denial) = denied.filter(|denial| known != Some(denial.rule)) {
            state.report_denied_flow(facts, denial, &stamp);
        }
    }
}

/// The verdict on a pending operation, without the flow of a policy that is no longer in force.
fn under_another_policy(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Deny(denial) => Verdict::Deny(Denial { flow: None, ..denial }),
        Verdict::Permit { .. } | Verdict::Observe => Verdict::Observe,
        Verdict::NotJudged => Verdict::NotJudged,
    }
}

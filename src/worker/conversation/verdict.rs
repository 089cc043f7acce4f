//! The verdict on a conversation as such.

use lockkeeper_protocols::{Side, Stamp};

use super::FlowState;
use super::content::Content;
use crate::policy::Verdict;
use crate::worker::flow_facts::{FlowFacts, Identification, NEVER};
use crate::worker::state::WorkerState;

impl FlowFacts {
    /// See [`FlowState::judge`].
    pub(in crate::worker) fn judge(&mut self, identification: Identification, stamp: &Stamp, state: &mut WorkerState) {
        let facts = self;
        facts.judge_by = NEVER;
        facts.keeps_delivered = false;
        if !state.judging {
            if facts.flow_verdict.is_none() {
                facts.flow_verdict = Some(state.flow_verdict(&facts.tuple(), facts.protocol_name()));
            }
            return;
        }
        let tuple = facts.tuple();
        if state.policy.is_housekeeping(&tuple) {
            return;
        }
        let first_time = facts.flow_verdict.is_none();
        facts.forget_text();
        let mut flow_verdict = state.flow_verdict(&tuple, facts.protocol_name());
        if flow_verdict.is_to_all(Side::Client) && !flow_verdict.is_to_all(Side::Server) && facts.is_guess() {
            facts.client = facts.client.other();
            flow_verdict = state.flow_verdict(&facts.tuple(), None);
        }
        let verdict = state.verdict_on_tunnel(
            state.verdict(&flow_verdict, identification, stamp.time),
            &facts.tuple(),
            stamp.time,
        );
        facts.keeps_delivered = flow_verdict.is_judged();
        facts.flow_verdict = Some(flow_verdict);
        if first_time {
            state.report_unknown_hosts(facts, stamp);
        }
        if let Verdict::Deny(denial) = verdict
            && facts.denied != Some(denial.rule)
            && !facts.is_doubtful(&denial)
        {
            facts.denied = Some(denial.rule);
            state.report_denied_flow(facts, denial, stamp);
        }
    }
}

impl FlowState {
    /// Judges the conversation as such: at its handshake, when its protocol is identified, or when [`FlowFacts::judge_by`] has
    /// passed.
    pub(in crate::worker) fn judge(&mut self, identification: Identification, stamp: &Stamp, state: &mut WorkerState) {
        self.facts.judge(identification, stamp, state);
    }

    /// What is known of its protocol.
    pub(super) fn identification(&self) -> Identification {
        match (&self.content, self.facts.protocol_name()) {
            (Content::Other(_), _) => Identification::Unrecognised,
            (_, Some(name)) => Identification::Protocol(name),
            (_, None) => Identification::Pending,
        }
    }
}

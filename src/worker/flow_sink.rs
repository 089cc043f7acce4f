//! What a decoder announces: counted, judged by the policy, reported.

use std::sync::Arc;

use lockkeeper_protocols::{
    Anomaly, AnomalyKind, Class, Identity, Keys, Namespaces, Operation, Outcome, Protocol, RequestRef, Security, Sink,
    Stamp,
};

use super::flow_facts::{FlowFacts, Identification};
use super::pending::PendingOperation;
use super::state::WorkerState;
use crate::policy::Verdict;
use crate::record::{Doubt, Ending, Event, FindingKind, OwnedOperation, OwnedValues, TRANSACTION_BYTES, short_name};

/// Takes in what the decoder of one conversation announces.
pub(super) struct FlowSink<'a> {
    pub(super) facts: &'a mut FlowFacts,
    pub(super) state: &'a mut WorkerState,
}

impl Sink for FlowSink<'_> {
    fn operation(&mut self, at: RequestRef, operation: &Operation<'_>, stamp: &Stamp) -> bool {
        self.state.counters.count_operations(self.facts.slot, operation.class, 1);
        match self.pass_operation(operation) {
            Some(needs_outcome) => needs_outcome,
            None => self.examine(at, operation, stamp),
        }
    }

    fn pass(&mut self, class: Class, namespaces: Namespaces, count: u32) -> bool {
        self.pass_operations(class, namespaces, count)
    }

    fn outcome(
        &mut self,
        at: RequestRef,
        operation: &Operation<'_>,
        outcome: Outcome,
        requested: &Stamp,
        stamp: &Stamp,
    ) {
        let Self { facts, state } = self;
        state.counters.outcomes.count(outcome);
        if outcome == Outcome::Accepted
            && state.judging
            && let Some(flow_verdict) = &facts.flow_verdict
        {
            state.policy.learn(flow_verdict, operation, &mut facts.last_values, &mut facts.session);
        }
        let Some(rare) = facts.rare_mut() else { return };
        let Some(pending) = rare.pending.remove(at) else { return };
        if pending.reported {
            let late = pending.overdue && !matches!(outcome, Outcome::NoResponse | Outcome::Pending);
            let (conversation, ending) = (facts.first.packet, Ending { outcome, late });
            state.report(facts, Event::Outcome { conversation, at, ending, is_last: true }, stamp);
        }
        if state.transactions {
            state.report_transaction(facts, (at, &pending), operation, outcome, requested, stamp);
        }
    }

    fn overdue(&mut self, at: RequestRef, _: &Operation<'_>, stamp: &Stamp) {
        let Self { facts, state } = self;
        let Some(pending) = facts.rare_mut().and_then(|rare| rare.pending.get_mut(at)) else { return };
        pending.overdue = true;
        if pending.reported {
            let (conversation, ending) = (facts.first.packet, Outcome::NoResponse.into());
            state.report(facts, Event::Outcome { conversation, at, ending, is_last: false }, stamp);
        }
    }

    fn request_unseen(&mut self, at: RequestRef, operation: &Operation<'_>, stamp: &Stamp) {
        let Self { facts, state } = self;
        state.counters.count_operations(facts.slot, operation.class, 1);
        state.counters.outcomes.count(Outcome::Accepted);
        state.counters.losses.requests_unseen += 1;
        let verdict = self.verdict_on(operation, stamp);
        let Self { facts, state } = self;
        if state.transactions {
            let values = OwnedValues::of(&operation.values, TRANSACTION_BYTES);
            let pending = PendingOperation { verdict, reported: false, overdue: false, request_seen: false, values };
            state.report_transaction(facts, (at, &pending), operation, Outcome::Accepted, stamp, stamp);
        }
        if let Verdict::Deny(denial) = verdict {
            state.report_finding(
                facts,
                FindingKind::RequestUnseen(denial),
                None,
                Some(OwnedOperation::from(operation)),
                stamp,
            );
        }
    }

    fn ended(&mut self, outcome: Outcome, count: u32) {
        self.state.counters.outcomes.count_all(outcome, count);
    }

    fn identity(&mut self, identity: &Identity<'_>, stamp: &Stamp) {
        let what = FindingKind::Identity {
            of: identity.of,
            unit: identity.unit,
            field: identity.field,
            value: String::from_utf8_lossy(&short_name(identity.value)).into_owned(),
        };
        self.state.report_finding(self.facts, what, None, None, stamp);
    }

    fn security(&mut self, fact: &Security<'_>, stamp: &Stamp) {
        self.handle_fact(fact, stamp);
    }

    fn anomaly(&mut self, anomaly: Anomaly, stamp: &Stamp) {
        let Self { facts, state } = self;
        let protocol = facts.protocol_name().unwrap_or_default();
        *state.counters.anomalies.entry((protocol, anomaly.name)).or_default() += 1;
        let losses = &mut state.counters.losses;
        match anomaly.kind {
            AnomalyKind::Unmatched => losses.unmatched_answers += 1,
            AnomalyKind::Limit => {
                losses.decoder_limits += 1;
                // Pending requests without answers hide no content.
                if anomaly.name != "pending_requests" {
                    return state.report_doubt(facts, Doubt::Limit(anomaly.name), stamp);
                }
            }
            AnomalyKind::Desynchronised => losses.desynchronisations += 1,
            AnomalyKind::Malformed | AnomalyKind::Echo => {}
        }
        if matches!(anomaly.kind, AnomalyKind::Malformed | AnomalyKind::Desynchronised) {
            state.report_malformed(facts, FindingKind::Malformed { name: anomaly.name, value: anomaly.value }, stamp);
        }
    }

    fn pdu(&mut self, group: usize, key: u32) {
        self.state.counters.count_pdu(self.facts.slot, group, key);
    }

    fn lost(&mut self, bytes: usize) {
        self.state.counters.losses.undecoded_bytes += bytes as u64;
    }

    fn takes_memory(&mut self) {
        self.state.took_memory = true;
    }

    fn protocol(&mut self, protocol: &'static Protocol, stamp: &Stamp) {
        self.facts.set_protocol(protocol, self.state);
        self.facts.judge(Identification::Protocol(protocol.name), stamp, self.state);
    }

    fn keys(&mut self) -> Option<Arc<dyn Keys>> {
        Some(Arc::clone(&self.state.keys) as _)
    }

    fn lend(&mut self, wanted: usize, most: usize) -> Vec<u8> {
        let spare_buffers = &mut self.state.spare_buffers;
        let best = |least| spare_buffers.iter().rposition(|spare| (least..=most).contains(&spare.capacity()));
        let place = best(wanted).or_else(|| best(0));
        place.map(|place| spare_buffers.remove(place)).unwrap_or_default()
    }

    fn give_back(&mut self, mut memory: Vec<u8>) {
        let spare_buffers = &mut self.state.spare_buffers;
        if (1..=SPARE_BYTES).contains(&memory.capacity()) && spare_buffers.len() < SPARES {
            memory.clear();
            spare_buffers.push(memory);
        }
    }
}

/// Spare buffers of a worker, at most, and the capacity of the largest, bytes: 2 MiB for a worker.
const SPARES: usize = 8;
const SPARE_BYTES: usize = 256 * 1024;

impl FlowSink<'_> {
    /// The verdict on an operation. Counts an operation that is not judged, by reason.
    fn verdict_on(&mut self, operation: &Operation<'_>, stamp: &Stamp) -> Verdict {
        let Self { facts, state } = self;
        let verdict = match &facts.flow_verdict {
            Some(flow_verdict) if state.judging => {
                state.policy.judge(flow_verdict, operation, &mut facts.last_values, facts.session, stamp.time)
            }
            _ => Verdict::NotJudged,
        };
        if verdict == Verdict::NotJudged {
            let counted = &mut state.counters.not_judged;
            *(if state.judging { &mut counted.no_zone } else { &mut counted.no_policy }) += 1;
        }
        verdict
    }

    /// Judges and reports an operation that may not pass. Returns whether its outcome is needed.
    #[inline(never)]
    fn examine(&mut self, at: RequestRef, operation: &Operation<'_>, stamp: &Stamp) -> bool {
        let verdict = self.verdict_on(operation, stamp);
        let Self { facts, state } = self;
        if facts.has_readings {
            facts.make_rare().readings.note(&state.fingerprints, operation);
        }
        let reported = match verdict {
            Verdict::Deny(denial) => facts.note_denial(&denial).then_some(denial),
            Verdict::Permit { .. } | Verdict::Observe | Verdict::NotJudged => None,
        };
        let is_open = reported.is_some() || state.transactions;
        if is_open {
            let values = match state.transactions {
                true => OwnedValues::of(&operation.values, TRANSACTION_BYTES),
                false => OwnedValues::None,
            };
            let pending = &mut facts.make_rare().pending;
            let before = pending.memory();
            pending.insert(
                at,
                PendingOperation { verdict, reported: reported.is_some(), overdue: false, request_seen: true, values },
            );
            state.took_memory |= pending.memory() > before;
        }
        if facts.awaits_use_by(operation.class) {
            self.judge_use(operation, stamp);
        }
        if let Some(denial) = reported {
            let operation = OwnedOperation::from(operation);
            self.state.report_finding(self.facts, FindingKind::Denied(denial), Some(at), Some(operation), stamp);
        }
        self.needs_outcome(is_open, operation.class)
    }
}

//! What the conversations of a worker share: the policy, the counters, the report of the block.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashSet;
use lockkeeper_protocols::{Limits, Operation, Outcome, RequestRef, Side, Stamp, Values};

use super::flow_facts::{FlowFacts, Identification};
use super::pending::PendingOperation;
use crate::capture::Origin;
use crate::keys::KeyRing;
use crate::metrics::Counters;
use crate::policy::{Carrier, Denial, FlowTuple, FlowVerdict, Policy, Verdict};
use crate::record::{
    Captures, ConversationText, Doubt, Ending, Endpoint, Event, Evidence, Fact, Finding, FindingKind, OperationView,
    OwnedOperation, OwnedValues, Report, SortKey, Transaction, ValuesView, write_transaction,
};

/// The state of one worker that its conversations share.
pub(super) struct WorkerState {
    pub(super) policy: Arc<Policy>,
    /// Whether there is a policy to judge by.
    pub(super) judging: bool,
    /// Whether the policy declares hardware addresses of assets, and VLANs of zones.
    pub(super) watches_hardware: bool,
    pub(super) watches_vlans: bool,
    pub(super) counters: Counters,
    pub(super) decoder: Limits,
    /// Keys for encrypted channels.
    pub(super) keys: Arc<KeyRing>,
    /// Whether every transaction is written.
    pub(super) transactions: bool,
    /// The seed of the fingerprints by which readings are compared.
    pub(super) fingerprints: RandomState,
    /// Buffers that conversations lend to each other.
    pub(super) spare_buffers: Vec<Vec<u8>>,
    /// Whether the conversation at hand has taken memory since it was measured.
    pub(super) took_memory: bool,
    captures: Arc<Captures>,
    /// Interned flow verdicts: conversations between hosts of the same zones often have the same.
    flow_verdicts: HashSet<Arc<FlowVerdict>>,
    pub(super) report: Report,
    /// Reports of this block so far: the last part of [`SortKey`].
    sub: u32,
    /// Where `sub` begins for what is reported now: a packet and its tunnels may belong to different workers.
    sub_from: u32,
    /// No report has an earlier clock: at the end of a capture, pending operations come after all answers.
    floor: i64,
}

impl WorkerState {
    pub(super) fn new(policy: Arc<Policy>, captures: Arc<Captures>, decoder: Limits, transactions: bool) -> Self {
        Self {
            judging: policy.judges(),
            watches_hardware: policy.watches_hardware(),
            watches_vlans: policy.watches_vlans(),
            policy,
            counters: Counters::default(),
            decoder,
            keys: Arc::default(),
            transactions,
            fingerprints: RandomState::default(),
            spare_buffers: Vec::new(),
            took_memory: false,
            captures,
            flow_verdicts: HashSet::new(),
            report: Report::default(),
            sub: 0,
            sub_from: 0,
            floor: i64::MIN,
        }
    }

    /// Begins the report of a block in a recycled one.
    pub(super) fn begin_report(&mut self, mut report: Report) {
        report.clear();
        self.report = report;
        self.sub = 0;
    }

    /// Orders all further reports behind `clock`.
    pub(super) fn order_rest_after(&mut self, clock: i64) {
        self.floor = clock.saturating_add(1);
    }

    /// Ends the report of a block, and returns it sorted.
    pub(super) fn end_report(&mut self) -> Report {
        let mut report = std::mem::take(&mut self.report);
        report.events.sort_unstable_by_key(|(order, _)| *order);
        report.transactions.sort_unstable_by_key(|(order, _)| *order);
        report
    }

    /// Reports from now on are about the tunnel header at `depth`, and come behind those about its content.
    pub(super) fn begin_tunnel_reports(&mut self, depth: u8) {
        self.sub_from = (u32::from(u8::MAX - depth) + 1) << WRAPPINGS_AT;
    }

    /// Reports from now on are about packets again.
    pub(super) fn end_tunnel_reports(&mut self) {
        self.sub_from = 0;
    }

    /// Forgets the interned verdicts of another policy.
    pub(super) fn forget_flow_verdicts(&mut self) {
        self.flow_verdicts.clear();
    }

    /// The interned [`Policy::flow_verdict`].
    pub(super) fn flow_verdict(&mut self, tuple: &FlowTuple, identification: Option<&str>) -> Arc<FlowVerdict> {
        let flow_verdict = self.policy.flow_verdict(tuple, identification);
        if let Some(known) = self.flow_verdicts.get(&flow_verdict) {
            return Arc::clone(known);
        }
        let flow_verdict = Arc::new(flow_verdict);
        if self.flow_verdicts.len() < SHARED_FLOW_VERDICTS {
            self.flow_verdicts.insert(Arc::clone(&flow_verdict));
        }
        flow_verdict
    }

    /// The verdict on a conversation as such. `time` is that of the packet, nanoseconds since 1970-01-01 UTC.
    pub(super) fn verdict(&self, flow_verdict: &FlowVerdict, identification: Identification, time: i64) -> Verdict {
        match identification {
            Identification::Pending => self.policy.judge_flow(flow_verdict, None, time),
            Identification::Protocol(name) => self.policy.judge_flow(flow_verdict, Some(name), time),
            Identification::Unrecognised => self.policy.judge_unrecognised(flow_verdict, time),
        }
    }

    /// Reports an event of a conversation.
    pub(super) fn report(&mut self, facts: &mut FlowFacts, event: Event, stamp: &Stamp) {
        let order = self.next_key(facts, stamp);
        self.report.events.push((order, event));
    }

    /// The sort key of the next report about a conversation, never before the last one: where the tap reordered packets, an
    /// answer may lie in an earlier packet than its request.
    fn next_key(&mut self, facts: &mut FlowFacts, stamp: &Stamp) -> SortKey {
        self.sub += 1;
        facts.last_report = facts.last_report.max((stamp.clock.max(self.floor), stamp.packet));
        let (clock, packet) = facts.last_report;
        SortKey { clock, packet, sub: self.sub_from + self.sub }
    }

    /// Reports a finding about a conversation.
    pub(super) fn report_finding(
        &mut self,
        facts: &mut FlowFacts,
        what: FindingKind,
        at: Option<RequestRef>,
        operation: Option<OwnedOperation>,
        stamp: &Stamp,
    ) {
        if let Some(finding) = finding(facts, what, at, operation, stamp) {
            self.report(facts, Event::Finding(finding), stamp);
        }
    }

    /// Reports a fact about a conversation, for the correlator to judge.
    pub(super) fn report_fact(&mut self, facts: &mut FlowFacts, fact: Fact, stamp: &Stamp) {
        // The correlator replaces this by what the fact amounts to.
        if let Some(base) = finding(facts, FindingKind::NewHost(Side::Client), None, None, stamp) {
            self.report(facts, Event::Fact(base, fact), stamp);
        }
    }

    /// Reports that a conversation as such is denied. Datagrams of one end alone may answer a broadcast of another
    /// conversation, which only the correlator can tell.
    pub(super) fn report_denied_flow(&mut self, facts: &mut FlowFacts, denial: Denial, stamp: &Stamp) {
        match facts.only_speaker() {
            Some(by) => self.report_fact(facts, Fact::Unasked { denial, by }, stamp),
            None => self.report_finding(facts, FindingKind::Denied(denial), None, None, stamp),
        }
    }

    /// Reports a PDU or segment that breaks its specification, if there is a policy.
    pub(super) fn report_malformed(&mut self, facts: &mut FlowFacts, what: FindingKind, stamp: &Stamp) {
        if self.judging {
            self.report_finding(facts, what, None, None, stamp);
        }
    }

    /// Reports that the content of a conversation is uncertain, where it is judged.
    pub(super) fn report_doubt(&mut self, facts: &mut FlowFacts, doubt: Doubt, stamp: &Stamp) {
        if self.judging && facts.keeps_delivered {
            self.report_finding(facts, FindingKind::Doubtful(doubt), None, None, stamp);
        }
    }

    /// Reports unknown assets and new hosts at the first verdict on a conversation.
    pub(super) fn report_unknown_hosts(&mut self, facts: &mut FlowFacts, stamp: &Stamp) {
        let Some(flow_verdict) = &facts.flow_verdict else { return };
        let places = [(Side::Client, flow_verdict.client), (Side::Server, flow_verdict.server)];
        let unknown: [bool; 2] = places.map(|(side, _)| self.policy.unknown_sides(flow_verdict).any(|one| one == side));
        let to_all = places.map(|(side, _)| flow_verdict.is_to_all(side));
        for (((side, place), unknown), to_all) in places.into_iter().zip(unknown).zip(to_all) {
            if to_all {
                continue;
            }
            if unknown {
                self.report_finding(facts, FindingKind::UnknownAsset(side), None, None, stamp);
            } else if place.asset.is_none() {
                self.report_finding(facts, FindingKind::NewHost(side), None, None, stamp);
            }
        }
    }

    /// Reports an event between two hosts that have no conversation in the table. `conversation` is the number that alerts show
    /// as the conversation: the running number of the first packet between the two.
    pub(super) fn report_between(
        &mut self,
        between: &Between,
        flow_verdict: FlowVerdict,
        conversation: u64,
        stamp: &Stamp,
        event: impl FnOnce(Box<Finding>) -> Event,
    ) {
        let finding = Finding {
            // A placeholder: `event` sets the kind.
            what: FindingKind::NewHost(Side::Client),
            time: stamp.time,
            proving_packet: evidence_of(stamp),
            conversation,
            at: None,
            client: between.client,
            server: between.server,
            carrier: between.carrier,
            flow_verdict: Arc::new(flow_verdict),
            protocol: None,
            operation: None,
        };
        self.sub += 1;
        let order = SortKey { clock: stamp.clock.max(self.floor), packet: stamp.packet, sub: self.sub };
        self.report.events.push((order, event(Box::new(finding))));
    }

    /// Writes a finished transaction.
    pub(super) fn report_transaction(
        &mut self,
        facts: &mut FlowFacts,
        (at, pending): (RequestRef, &PendingOperation),
        operation: &Operation<'_>,
        outcome: Outcome,
        requested: &Stamp,
        stamp: &Stamp,
    ) {
        let order = self.next_key(facts, stamp);
        let kept = facts.rare_mut().and_then(|rare| rare.text.take());
        let Some(flow_verdict) = &facts.flow_verdict else { return };
        let ends = (facts.endpoint(Side::Client), facts.endpoint(Side::Server));
        let make =
            || Box::new(ConversationText::new(&self.policy, flow_verdict, ends, facts.carrier, facts.protocol_name()));
        let text = kept.unwrap_or_else(make);
        let answered = !matches!(outcome, Outcome::NoResponse | Outcome::Pending);
        let transaction = Transaction {
            time: requested.time,
            request: at.request,
            operation: operation_view(operation, &pending.values),
            ending: Ending { outcome, late: pending.overdue && answered },
            latency: (answered && pending.request_seen).then(|| stamp.time.saturating_sub(requested.time)),
            verdict: pending.verdict,
            evidence: evidence_of(requested),
            request_seen: pending.request_seen,
            response_packet: answered.then(|| evidence_of(stamp).packet),
        };
        let start = self.report.lines.len();
        write_transaction(&mut self.report.lines, &self.policy, &self.captures, &text, &transaction);
        self.report.transactions.push((order, start..self.report.lines.len()));
        facts.make_rare().text = Some(text);
    }
}

/// Two hosts, and what carries traffic from the client to the server.
pub(super) struct Between {
    pub(super) client: Endpoint,
    pub(super) server: Endpoint,
    pub(super) carrier: Carrier,
}

impl Between {
    pub(super) fn tuple(&self) -> FlowTuple {
        let Self { client, server, carrier } = self;
        FlowTuple { client: client.host, server: server.host, transport: *carrier, server_port: server.port }
    }
}

/// A finding about a conversation; none before its first verdict.
fn finding(
    facts: &FlowFacts,
    what: FindingKind,
    at: Option<RequestRef>,
    operation: Option<OwnedOperation>,
    stamp: &Stamp,
) -> Option<Box<Finding>> {
    Some(Box::new(Finding {
        what,
        time: stamp.time,
        proving_packet: evidence_of(stamp),
        conversation: facts.first.packet,
        at,
        client: *facts.endpoint(Side::Client),
        server: *facts.endpoint(Side::Server),
        carrier: facts.carrier,
        flow_verdict: Arc::clone(facts.flow_verdict.as_ref()?),
        protocol: facts.protocol_name(),
        operation,
    }))
}

/// The packet of a stamp.
fn evidence_of(stamp: &Stamp) -> Evidence {
    let Origin { capture, number } = Origin::of(stamp);
    Evidence { capture, packet: number }
}

/// An operation with the values that were answered, or else those that were requested.
fn operation_view<'a>(operation: &Operation<'a>, requested: &'a OwnedValues) -> OperationView<'a> {
    let view = OperationView::from(operation);
    if operation.values == Values::None { OperationView { values: ValuesView::Owned(requested), ..view } } else { view }
}

/// Reports of one block are fewer than this power of two; those about tunnels are numbered above it.
const WRAPPINGS_AT: u32 = 23;

/// Interned flow verdicts of one worker, at most, 100 bytes each; further ones are not shared.
const SHARED_FLOW_VERDICTS: usize = 16_384;

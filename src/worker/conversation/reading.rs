//! Alternative readings of an ambiguous stream, decoded and judged beside the delivered one.
//!
//! A sender can send the same part of a stream twice with different bytes. Which of them the receiver took cannot be seen at
//! the tap. The first is delivered; the second is decoded by a decoder of its own, which continues with the stream until both
//! readings converge. Operations that only the second reading has are judged too, and denied ones become alerts marked as
//! ambiguous.

use foldhash::fast::RandomState;
use lockkeeper_protocols::{
    Anomaly, Decision, Identity, Operation, Outcome, Protocol, REGISTRY, RequestRef, Security, Session, Side, Sink,
    Stamp, Target, Transport,
};

use super::FlowState;
use crate::flow::{End, Reading, ReadingCause};
use crate::policy::{Denial, FlowVerdict, LastValues, Policy, SessionState, Verdict};
use crate::record::{Doubt, FindingKind, OwnedOperation};
use crate::worker::flow_facts::FlowFacts;
use crate::worker::readings::{MOST_NOTED, OpenReading, fingerprint};
use crate::worker::state::WorkerState;

/// What operations of an alternative reading are judged by.
struct ReadingJudge<'a> {
    policy: &'a Policy,
    flow_verdict: &'a FlowVerdict,
    last_values: LastValues,
    session: SessionState,
}

/// Collects what an alternative reading announces: fingerprints of all operations, and the denied ones.
struct ReadingSink<'a, 'b> {
    judge: Option<&'a mut ReadingJudge<'b>>,
    fingerprints: &'a RandomState,
    announced: Vec<u64>,
    denied: Vec<(u64, Denial, OwnedOperation, Stamp)>,
}

impl<'a, 'b> ReadingSink<'a, 'b> {
    fn new(fingerprints: &'a RandomState, judge: Option<&'a mut ReadingJudge<'b>>) -> Self {
        Self { judge, fingerprints, announced: Vec::new(), denied: Vec::new() }
    }

    fn take_operation(&mut self, operation: &Operation<'_>, stamp: &Stamp) {
        // A reading may begin inside a message that the delivered reading has whole.
        let is_unread = matches!(operation.target, Target::Unread { .. });
        if is_unread || self.announced.len() >= MOST_NOTED {
            return;
        }
        let print = fingerprint(self.fingerprints, operation);
        self.announced.push(print);
        let Some(judge) = &mut self.judge else { return };
        if let Verdict::Deny(denial) =
            judge.policy.judge(judge.flow_verdict, operation, &mut judge.last_values, judge.session, stamp.time)
        {
            let operation = OwnedOperation { ambiguous: true, ..OwnedOperation::from(operation) };
            self.denied.push((print, denial, operation, *stamp));
        }
    }
}

impl Sink for ReadingSink<'_, '_> {
    fn operation(&mut self, _: RequestRef, operation: &Operation<'_>, stamp: &Stamp) -> bool {
        self.take_operation(operation, stamp);
        false
    }

    fn request_unseen(&mut self, _: RequestRef, operation: &Operation<'_>, stamp: &Stamp) {
        self.take_operation(operation, stamp);
    }

    fn outcome(&mut self, _: RequestRef, _: &Operation<'_>, _: Outcome, _: &Stamp, _: &Stamp) {}
    fn ended(&mut self, _: Outcome, _: u32) {}
    fn identity(&mut self, _: &Identity<'_>, _: &Stamp) {}
    fn security(&mut self, _: &Security<'_>, _: &Stamp) {}
    fn anomaly(&mut self, _: Anomaly, _: &Stamp) {}
    fn pdu(&mut self, _: usize, _: u32) {}
    fn lost(&mut self, _: usize) {}
}

impl FlowState {
    /// Begins an alternative reading of the stream of an end.
    pub(in crate::worker) fn begin_reading(
        &mut self,
        from: End,
        reading: &Reading<'_>,
        stamp: &Stamp,
        state: &mut WorkerState,
    ) {
        if !self.facts.make_rare().readings.begin(stamp.clock) {
            state.counters.losses.readings_not_judged += 1;
            // A repeat that could not be compared is no sign of an attack.
            if reading.cause != ReadingCause::Unverified {
                state.report_doubt(&mut self.facts, Doubt::Limit("readings"), stamp);
            }
            return;
        }
        if reading.other.is_empty() {
            return;
        }
        let Some(protocol) = self.protocol_of(from, reading.other, state) else { return };
        let (side, transport) = (self.facts.side(from), Transport::Tcp);
        let flow_verdict = state.flow_verdict(&self.facts.tuple(), Some(protocol.name));
        let fingerprints = state.fingerprints.clone();
        let mut known = ReadingSink::new(&fingerprints, None);
        for delivered in reading.delivered {
            let mut session = Session::new(protocol, transport, &state.decoder, true);
            session.feed_stream(side, delivered, stamp, &mut known);
            session.finish(&mut known);
        }
        let delivered = known.announced;
        let mut session = Session::new(protocol, transport, &state.decoder, true);
        let mut judge = self.facts.reading_judge(&state.policy, &flow_verdict);
        let mut sink = ReadingSink::new(&fingerprints, Some(&mut judge));
        session.feed_stream(side, reading.other, stamp, &mut sink);
        if !reading.goes_on {
            session.finish(&mut sink);
        }
        let (announced, denied) = (sink.announced, sink.denied);
        let mut open = OpenReading { from, session, delivered, left: MOST_BYTES };
        open.report_denials(&announced, denied, &mut self.facts, state);
        let readings = &mut self.facts.make_rare().readings;
        if reading.goes_on && !open.session.is_in_step(side) && readings.open.len() < MOST_OPEN {
            readings.open.push(open);
            self.facts.has_readings = true;
            state.took_memory = true;
        }
    }

    /// The protocol by which an alternative reading is decoded: that of the conversation, or else the one that its bytes look
    /// like.
    fn protocol_of(&self, from: End, bytes: &[u8], state: &WorkerState) -> Option<&'static Protocol> {
        if let Some(protocol) = self.facts.protocol() {
            return Some(protocol);
        }
        let sides = if self.facts.side(from) == Side::Client { [bytes, &[]] } else { [&[], bytes] };
        match self.facts.identifier(self.facts.declared(state)).decide(REGISTRY, sides, true) {
            Decision::Identified { protocol, .. } => Some(protocol),
            Decision::Undecided | Decision::Unknown => None,
        }
    }

    /// Gives delivered bytes to the open readings, too.
    pub(in crate::worker) fn continue_readings(
        &mut self,
        from: End,
        bytes: &[u8],
        stamp: &Stamp,
        state: &mut WorkerState,
    ) {
        let Some(rare) = self.facts.rare_mut() else { return };
        let mut open = std::mem::take(&mut rare.readings.open);
        let (side, meets) = (self.facts.side(from), self.is_in_step(from));
        for reading in open.iter_mut().filter(|reading| reading.from == from) {
            let flow_verdict = state.flow_verdict(&self.facts.tuple(), self.facts.protocol_name());
            let fingerprints = state.fingerprints.clone();
            let mut judge = self.facts.reading_judge(&state.policy, &flow_verdict);
            let mut sink = ReadingSink::new(&fingerprints, Some(&mut judge));
            reading.session.feed_stream(side, bytes, stamp, &mut sink);
            reading.left = reading.left.saturating_sub(bytes.len());
            let (announced, denied) = (sink.announced, sink.denied);
            reading.report_denials(&announced, denied, &mut self.facts, state);
        }
        open.retain(|reading| reading.left > 0 && !(reading.from == from && meets && reading.session.is_in_step(side)));
        self.facts.has_readings = !open.is_empty();
        self.facts.make_rare().readings.open = open;
    }

    /// Ends the readings of an end, because bytes of it are missing.
    pub(in crate::worker) fn end_readings(&mut self, from: End) {
        if let Some(rare) = self.facts.rare_mut() {
            rare.readings.open.retain(|reading| reading.from != from);
            self.facts.has_readings = self.facts.rare().is_some_and(|rare| rare.readings.are_open());
        }
    }
}

impl FlowFacts {
    /// What an alternative reading is judged by: its own copy of the state of the conversation.
    fn reading_judge<'a>(&self, policy: &'a Policy, flow_verdict: &'a FlowVerdict) -> ReadingJudge<'a> {
        ReadingJudge { policy, flow_verdict, last_values: self.last_values.clone(), session: self.session }
    }
}

impl OpenReading {
    /// Reports the denied operations of this reading that the delivered one does not have.
    fn report_denials(
        &mut self,
        announced: &[u64],
        denied: Vec<(u64, Denial, OwnedOperation, Stamp)>,
        facts: &mut FlowFacts,
        state: &mut WorkerState,
    ) {
        let mut rest = denied.into_iter().peekable();
        for print in announced {
            let own = rest.next_if(|(of, ..)| of == print);
            if let Some(place) = self.delivered.iter().position(|other| other == print) {
                self.delivered.swap_remove(place);
            } else if let Some((_, denial, operation, stamp)) = own {
                state.report_finding(facts, FindingKind::Denied(denial), None, Some(operation), &stamp);
            }
        }
    }
}

/// Open readings of one conversation, at most.
const MOST_OPEN: usize = 4;
/// Most bytes for which a reading continues: the longest frame of OPC UA.
const MOST_BYTES: usize = 256 * 1024;

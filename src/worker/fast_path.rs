//! The fast path: every short way past work whose result is known without doing it.
//!
//! Nearly all packets of a plant are the next segment of a known connection, and nearly all operations are permitted by one
//! declared flow. Two kinds of short way serve them. Each asks one function whether it may be taken, changes nothing when it
//! may not, and leaves the rest to the full path; so the full path alone defines what a packet means. [`is_on`] switches
//! both kinds off in tests, and a test holds that alerts, transactions and statistics stay the same.
//!
//! # By packet: `Worker::judge_plain`
//!
//! A TCP segment in IPv4 without options on Ethernet, captured whole ([`PlainSegment`]), that is the next segment of a known
//! conversation (`Conversation::expects`). It skips
//!
//! * decoding of the whole frame: a plain segment has no other headers, is no fragment and is in no tunnel, so that there is
//!   nothing to count as unread and no tunnel to judge;
//! * the duplicate filter, which leaves TCP to reassembly: a copy is never the expected segment;
//! * the search by the full key: the brief key names the same conversation;
//! * hardware addresses and VLANs: the brief key holds the VLAN, and where the policy declares hardware, the sender must have
//!   the address that is known of it. Without such a policy, the addresses in alerts are those of the latest frame that took
//!   the full path;
//! * the table of senders with wrong checksums: the segment's own are verified where checksums count, and a right one is
//!   noted in the conversation (`FlowFacts::uncounted_right`), which vouches for its sender when one is wrong;
//! * timers and the memory budget, unless the conversation may need a timer (`Conversation::may_need_timer`) or its decoder
//!   took memory.
//!
//! # By operation: `FlowSink::pass_operation` and `FlowSink::pass_operations`
//!
//! An operation passes when [`FlowSink::may_pass`] says that only a verdict and a count come of it, and the policy permits it
//! plainly: by the one declared flow that decides, whatever happened before ([`Policy::permits_plainly`],
//! [`Policy::permits_all`]). A flow with conditions never decides alone, so nothing on it passes. It skips
//!
//! * the verdict itself: it would be a permit, or none where nothing is judged, which is counted alike;
//! * the record of its outcome: nothing reports it, so that the decoder counts it ([`Sink::ended`]) instead of keeping the
//!   request, unless the policy learns from answers ([`Policy::learns`]). An operation that took the full path and was
//!   permitted is counted in the same way.
//!
//! [`Policy::permits_plainly`]: crate::policy::Policy::permits_plainly
//! [`Policy::permits_all`]: crate::policy::Policy::permits_all
//! [`Policy::learns`]: crate::policy::Policy::learns
//! [`Sink::ended`]: lockkeeper_protocols::Sink::ended

#[cfg(test)]
mod tests;

use std::hint::cold_path;

use lockkeeper_protocols::{Class, Namespaces, Operation, Stamp};

use super::Worker;
use super::conversation::{Conversation, StreamSink};
use super::flow_facts::NEVER;
use super::flow_sink::FlowSink;
use super::state::WorkerState;
use crate::capture::Packet;
use crate::flow::{BriefKey, End, Progress, RecentBytes, Used};
use crate::frame::{PlainSegment, Segment};

/// Whether short ways are taken: always, except in the test that compares both paths.
#[cfg(not(test))]
const fn is_on() -> bool {
    true
}

#[cfg(test)]
fn is_on() -> bool {
    tests::ASKED.set(tests::ASKED.get() + 1);
    tests::ON.get()
}

impl Worker {
    /// Judges one packet that is a plain segment.
    #[inline(always)]
    pub fn judge_plain(&mut self, plain: &PlainSegment<'_>, packet: &Packet, bytes: &[u8], shard: u8) {
        let index = self.index_of(shard);
        if !self.next_segment(plain, packet, bytes, index) {
            cold_path();
            self.judge_any(packet, bytes, index, false);
        }
    }

    /// Judges a plain segment if it is the next of the stream of a known conversation; `false`: it is not, and nothing
    /// has changed.
    #[inline(always)]
    fn next_segment(&mut self, plain: &PlainSegment<'_>, packet: &Packet, bytes: &[u8], index: usize) -> bool {
        if !is_on() {
            return false;
        }
        let Some(shard) = self.shards.get_mut(index) else { return false };
        let (key, from) = BriefKey::of(plain);
        let Some(Used { slot, value: conversation, is_due }) = shard.flows.find(key, packet.stamp.clock) else {
            return false;
        };
        let segment = plain.segment();
        if !conversation.expects(from, &segment) {
            return false;
        }
        if self.state.watches_hardware && !conversation.is_from(from, bytes) {
            return false;
        }
        if shard.shared.senders.verifies() && !plain.has_right_checksums() {
            return false;
        }
        let progress =
            conversation.take_expected(from, &segment, &packet.stamp, &mut shard.shared.recent, &mut self.state);
        if is_due || conversation.may_need_timer() || progress == Progress::Closed {
            cold_path();
            if is_due {
                shard.flows.list_again(slot);
            }
            let entry = shard.flows.entry(slot);
            self.after_packet(index, entry, progress, &packet.stamp);
        }
        if self.state.took_memory {
            cold_path();
            let Some(shard) = self.shards.get(index) else { return true };
            self.note_memory(index, shard.flows.entry(slot), &packet.stamp);
        }
        true
    }
}

impl Conversation {
    /// Whether a segment is the next of its stream, from an end that has sent something before.
    #[inline(always)]
    fn expects(&self, from: End, segment: &Segment<'_>) -> bool {
        self.flow.facts.seen[from.index()] && self.tcp.is_expected(from, segment)
    }

    /// Takes in a segment that the conversation [expects](Conversation::expects), with right checksums where they count.
    #[inline(always)]
    fn take_expected(
        &mut self,
        from: End,
        segment: &Segment<'_>,
        stamp: &Stamp,
        recent: &mut RecentBytes,
        state: &mut WorkerState,
    ) -> Progress {
        let Self { tcp, flow } = self;
        let right = &mut flow.facts.uncounted_right[from.index()];
        *right = right.saturating_add(1);
        let recent = if flow.facts.keeps_delivered { Some(recent) } else { None };
        tcp.process_expected(from, segment, stamp, recent, &mut StreamSink { flow, state })
    }

    /// Whether the conversation may need an earlier timer than the one that is set. A request is later than those for which a
    /// timer is set, so that only disorder asks for an earlier one.
    pub(super) fn may_need_timer(&self) -> bool {
        self.flow.facts.armed == NEVER || self.tcp.deadline().is_some()
    }
}

impl FlowSink<'_> {
    /// Whether operations of a class may pass: permitted ones result only in a count and a verdict.
    fn may_pass(&self, class: Class) -> bool {
        is_on() && !self.state.transactions && !self.facts.awaits_use_by(class) && !self.facts.has_readings
    }

    /// Lets an operation pass that is certainly permitted, or that nothing judges. Returns whether its outcome is needed;
    /// `None`: the operation is to be examined, and nothing has changed.
    pub(super) fn pass_operation(&mut self, operation: &Operation<'_>) -> Option<bool> {
        if !self.may_pass(operation.class) {
            return None;
        }
        let Self { facts, state } = self;
        if !state.judging {
            state.counters.not_judged.no_policy += 1;
            return Some(false);
        }
        let flow_verdict = facts.flow_verdict.as_deref()?;
        if !state.policy.permits_plainly(flow_verdict, operation) {
            return None;
        }
        state.counters.not_judged.no_zone += u64::from(flow_verdict.is_unplaced());
        Some(state.policy.learns(flow_verdict, operation.class))
    }

    /// Lets `count` operations of a class on nodes of these namespaces pass at once, and counts them. `false`: each is to be
    /// examined, and nothing has changed.
    pub(super) fn pass_operations(&mut self, class: Class, namespaces: Namespaces, count: u32) -> bool {
        if !self.may_pass(class) {
            return false;
        }
        let Self { facts, state } = self;
        let not_judged = &mut state.counters.not_judged;
        if !state.judging {
            not_judged.no_policy += u64::from(count);
        } else {
            let Some(flow_verdict) = facts.flow_verdict.as_deref() else { return false };
            let policy = &state.policy;
            if !policy.permits_all(flow_verdict, class, namespaces) || policy.learns(flow_verdict, class) {
                return false;
            }
            if flow_verdict.is_unplaced() {
                not_judged.no_zone += u64::from(count);
            }
        }
        state.counters.count_operations(facts.slot, class, count);
        true
    }

    /// Whether the outcome of an examined operation is needed.
    pub(super) fn needs_outcome(&self, is_open: bool, class: Class) -> bool {
        let learns = |flow_verdict| self.state.judging && self.state.policy.learns(flow_verdict, class);
        is_open || self.facts.flow_verdict.as_deref().is_some_and(learns) || !is_on()
    }
}

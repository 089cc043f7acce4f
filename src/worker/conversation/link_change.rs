//! The link layer of a conversation: hardware addresses and VLANs of its ends, which may change during it.

use lockkeeper_protocols::{Side, Stamp};

use super::{Conversation, FlowState};
use crate::flow::End;
use crate::frame::Frame;
use crate::policy::{Carrier, Verdict};
use crate::record::Fact;
use crate::worker::flow_facts::FlowFacts;
use crate::worker::state::WorkerState;

/// What a frame changes in what is known of the links of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::worker) struct LinkChange {
    /// It is the first frame of its sender.
    pub(in crate::worker) is_first: bool,
    /// It is the first frame of its sender, and the other end was captured before.
    pub(in crate::worker) is_second: bool,
    /// The hardware address or VLAN of an end has changed.
    pub(in crate::worker) has_moved: bool,
}

impl LinkChange {
    /// The change by the first frame of a conversation.
    pub(in crate::worker) const FIRST_FRAME: Self = Self { is_first: true, is_second: false, has_moved: false };
}

impl FlowFacts {
    /// Notes the link-layer address of the sender, and that of the receiver until a frame of the receiver is captured.
    pub(in crate::worker) fn note_link(&mut self, from: End, frame: &Frame<'_>) -> LinkChange {
        let (own, other) = (from.index(), from.other().index());
        let is_first = !std::mem::replace(&mut self.seen[own], true);
        let is_alone = !self.seen[other];
        let (begins, is_second) = (is_first && is_alone, is_first && !is_alone);
        let [source, destination] = [frame.mac.map(|macs| macs.source), frame.mac.map(|macs| macs.destination)];
        let host = &mut self.ends[own].host;
        let mut has_moved = !begins && (host.mac, host.vlan) != (source, frame.vlan);
        (host.mac, host.vlan) = (source, frame.vlan);
        if is_alone {
            let host = &mut self.ends[other].host;
            has_moved |= !begins && (host.mac, host.vlan) != (destination, frame.vlan);
            (host.mac, host.vlan) = (destination, frame.vlan);
        }
        LinkChange { is_first, is_second, has_moved }
    }

    /// The only end that has sent datagrams so far, if there is one.
    pub(in crate::worker) fn only_speaker(&self) -> Option<Side> {
        let speaker = match self.seen {
            [true, false] => End::Low,
            [false, true] => End::High,
            _ => return None,
        };
        (self.carrier != Carrier::Tcp).then(|| self.side(speaker))
    }

    /// Reports a broadcast, at most once a second, so that the correlator takes what comes back for its answer.
    pub(super) fn note_broadcast(&mut self, from: End, stamp: &Stamp, state: &mut WorkerState) {
        let receiver = self.side(from.other());
        if state.judging && self.flow_verdict.as_ref().is_some_and(|flow_verdict| flow_verdict.is_to_all(receiver)) {
            self.report_broadcast(stamp, state);
        }
    }

    fn report_broadcast(&mut self, stamp: &Stamp, state: &mut WorkerState) {
        let last_broadcast = &mut self.make_rare().last_broadcast;
        if last_broadcast.is_none_or(|last| stamp.clock.saturating_sub(last) >= SECOND) {
            *last_broadcast = Some(stamp.clock);
            state.report_fact(self, Fact::Call, stamp);
        }
    }
}

/// One second, nanoseconds.
const SECOND: i64 = 1_000_000_000;

impl Conversation {
    /// Whether an Ethernet frame has the hardware address that is known of its sender.
    #[inline(always)]
    pub(in crate::worker) fn is_from(&self, from: End, bytes: &[u8]) -> bool {
        let Some(&[_, _, _, _, _, _, ref source @ ..]) = bytes.first_chunk::<12>() else { return false };
        self.flow.facts.ends[from.index()].host.mac.as_ref() == Some(source)
    }
}

impl FlowState {
    /// Draws the consequences of a change: judges the conversation again, or reports that a denied one is answered.
    pub(in crate::worker) fn apply_link_change(&mut self, change: LinkChange, stamp: &Stamp, state: &mut WorkerState) {
        if change.has_moved {
            self.judge_moved(stamp, state);
        }
        if change.is_second && self.facts.carrier != Carrier::Tcp && self.facts.denied.is_some() {
            self.report_answered(stamp, state);
        }
    }

    /// Reports that both ends have sent in a conversation that is not permitted, so that it is no lone answer to a call.
    fn report_answered(&mut self, stamp: &Stamp, state: &mut WorkerState) {
        let verdict = self
            .facts
            .flow_verdict
            .as_ref()
            .map(|flow_verdict| state.verdict(flow_verdict, self.identification(), stamp.time));
        if let Some(Verdict::Deny(denial)) = verdict {
            state.report_fact(&mut self.facts, Fact::Asked(denial), stamp);
        }
    }

    /// Judges the conversation again, because its ends may belong to other zones.
    fn judge_moved(&mut self, stamp: &Stamp, state: &mut WorkerState) {
        self.facts.forget_text();
        if self.facts.flow_verdict.is_some() {
            let judge_by = self.facts.judge_by;
            self.judge(self.identification(), stamp, state);
            self.facts.judge_by = judge_by;
        }
    }
}

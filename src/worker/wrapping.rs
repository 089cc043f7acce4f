//! The verdict on a tunnel as such: traffic between its two ends, whatever is inside.

use super::Worker;
use super::flow_facts::FlowFacts;
use super::state::WorkerState;
use crate::capture::Packet;
use crate::flow::FlowKey;
use crate::frame;
use crate::policy::{Carrier, Denial, FlowTuple, Rule, Verdict};
use crate::record::FindingKind;

impl Worker {
    /// Judges the tunnel header of a packet at `depth`, 0 outermost, by the pair of its ends. The dealer decides when that is
    /// due; no conversation is kept.
    pub(super) fn judge_wrapping(&mut self, packet: &Packet, bytes: &[u8], depth: u8) {
        if !self.state.judging {
            return;
        }
        let Some(frame) = frame::outer(packet.link, bytes, packet.original, depth) else { return };
        let Some((key, from)) = FlowKey::of(&frame) else { return };
        let mut facts = FlowFacts::new(&key, from, &frame, &packet.stamp);
        facts.note_link(from, &frame);
        // The ends of a tunnel are peers: the sender of the first packet stands for the client. Its port varies by content.
        facts.client = from;
        facts.ends[from.index()].port = 0;
        self.state.begin_tunnel_reports(depth);
        self.state.judge_tunnel(&mut facts, packet);
        self.state.end_tunnel_reports();
    }
}

impl WorkerState {
    /// Judges a tunnel, unless both hosts are in no zone. A flow may declare it in either direction.
    fn judge_tunnel(&mut self, facts: &mut FlowFacts, packet: &Packet) {
        let tuple = facts.tuple();
        let flow_verdict = self.flow_verdict(&tuple, None);
        if flow_verdict.client.zone.or(flow_verdict.server.zone).is_none() || self.policy.is_housekeeping(&tuple) {
            return;
        }
        let verdict = self.policy.judge_flow(&flow_verdict, None, packet.stamp.time);
        facts.flow_verdict = Some(flow_verdict);
        self.report_unknown_hosts(facts, &packet.stamp);
        if let Verdict::Deny(denial) = self.verdict_on_peers(verdict, &tuple, packet.stamp.time) {
            self.report_finding(facts, FindingKind::Denied(denial), None, None, &packet.stamp);
        }
    }

    /// Corrects the verdict on a conversation if it is a tunnel whose content could not be decoded.
    pub(super) fn verdict_on_tunnel(&self, verdict: Verdict, tuple: &FlowTuple, time: i64) -> Verdict {
        match tuple.transport {
            Carrier::Ip(protocol) if TUNNELS.contains(&protocol) => self.verdict_on_peers(verdict, tuple, time),
            _ => verdict,
        }
    }

    /// Corrects the verdict on two peers: a flow declared in one direction permits both.
    fn verdict_on_peers(&self, verdict: Verdict, tuple: &FlowTuple, time: i64) -> Verdict {
        if !matches!(verdict, Verdict::Deny(_)) {
            return verdict;
        }
        let back = FlowTuple { client: tuple.server, server: tuple.client, ..*tuple };
        match self.policy.judge_flow(&self.policy.flow_verdict(&back, None), None, time) {
            permit @ Verdict::Permit { .. } => permit,
            Verdict::Observe | Verdict::NotJudged | Verdict::Deny(_) => verdict,
        }
    }
}

impl FlowFacts {
    /// Whether the policy denies the conversation as such.
    pub(super) const fn is_denied(&self) -> bool {
        self.denied.is_some()
    }

    /// Whether a denial is uncertain, because this is TCP or UDP whose ports could not be read: it may be the declared
    /// protocol, or go in the declared direction.
    pub(super) fn is_doubtful(&self, denial: &Denial) -> bool {
        let is_declared_back = denial.rule == Rule::FlowUndeclaredPeer && denial.flow.is_some();
        self.carrier.hides_ports() && (denial.rule == Rule::FlowUndeclaredProtocol || is_declared_back)
    }
}

/// IP protocols of tunnels: IP in IP (4, 41), GRE, ESP, L2TP, MPLS.
const TUNNELS: [u8; 6] = [4, 41, 47, 50, 115, 137];

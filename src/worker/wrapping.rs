//! The verdict on a tunnel as such: its two ends speak to each other, whatever is inside.

use super::Worker;
use super::flow_facts::FlowFacts;
use super::state::WorkerState;
use crate::capture::Packet;
use crate::flow::FlowKey;
use crate::frame;
use crate::policy::{Carrier, Denial, FlowTuple, Rule, Verdict};
use crate::record::What;

impl Worker {
    /// Judges one wrapping of a packet, the one with `depth` others around it, by the pair of its ends. The dealer says
    /// when that is due; nothing is kept of it here.
    #[cold]
    pub(super) fn judge_wrapping(&mut self, packet: &Packet, bytes: &[u8], depth: u8) {
        if !self.state.judging {
            return;
        }
        let Some(frame) = frame::outer(packet.link, bytes, packet.original, depth) else { return };
        let Some((key, from)) = FlowKey::of(&frame) else { return };
        let mut facts = FlowFacts::new(&key, from, &frame, &packet.stamp);
        facts.note_link(from, &frame);
        // Nobody asks and nobody answers: the first packet comes from one of two peers. Its port differs by what is inside.
        facts.client = from;
        facts.ends[from.index()].port = 0;
        self.state.begin_wrapping(depth);
        self.state.judge_tunnel(&mut facts, packet);
        self.state.end_wrapping();
    }
}

impl WorkerState {
    /// A tunnel between hosts of no zone is not judged, as any of their traffic; a flow may declare it in either direction.
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
            self.report_finding(facts, What::Denied(denial), None, None, &packet.stamp);
        }
    }

    /// The verdict on a conversation, which may be a tunnel that nobody could look into.
    pub(super) fn verdict_on_tunnel(&self, verdict: Verdict, tuple: &FlowTuple, time: i64) -> Verdict {
        match tuple.transport {
            Carrier::Ip(protocol) if TUNNELS.contains(&protocol) => self.verdict_on_peers(verdict, tuple, time),
            _ => verdict,
        }
    }

    /// The verdict on two peers: what is declared in one direction is permitted in both.
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

    /// Whether this is TCP or UDP whose ports could not be read, so that it cannot be said to be what no flow declares, or to
    /// go in the wrong direction.
    pub(super) fn is_doubtful(&self, denial: &Denial) -> bool {
        let is_declared_back = denial.rule == Rule::FlowUndeclaredPeer && denial.flow.is_some();
        self.carrier.hides_ports() && (denial.rule == Rule::FlowUndeclaredProtocol || is_declared_back)
    }
}

/// IP protocols of tunnels: IP in IP (4, 41), GRE, ESP, L2TP, MPLS.
const TUNNELS: [u8; 6] = [4, 41, 47, 50, 115, 137];

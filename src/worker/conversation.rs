//! One conversation: its stream, its protocol, the verdict on it.

mod adopt;
mod content;
mod failure;
mod identify;
mod link_change;
mod memory;
mod probe_buffer;
mod reading;
mod stream_sink;
mod verdict;

use std::mem;

use lockkeeper_protocols::Stamp;

use super::checksums::Senders;
use super::context::FlowContext;
use super::flow_facts::{FlowFacts, Identification, NEVER};
use crate::flow::{Arrival, End, FlowKey, Progress, TcpFlow};
use crate::frame::{Body, Checksum, Frame};
use content::Content;
pub(super) use content::FlowState;
pub(super) use link_change::LinkChange;
pub(super) use stream_sink::StreamSink;

/// Everything kept about one conversation. Here and in its parts, the fields that every segment needs come first, in a few of
/// the six cache lines of its row: a test holds the size.
#[repr(C)]
pub(super) struct Conversation {
    pub(super) tcp: TcpFlow,
    pub(super) flow: FlowState,
}

impl Conversation {
    /// Begins a conversation with its first frame.
    pub(super) fn new(key: &FlowKey, from: End, frame: &Frame<'_>, stamp: &Stamp) -> Self {
        let mut facts = FlowFacts::new(key, from, frame, stamp);
        facts.note_link(from, frame);
        let flow = FlowState { facts, content: Content::Empty };
        Self { tcp: TcpFlow::default(), flow }
    }

    /// Takes in one frame, in either direction, of an end whose link was [noted](FlowFacts::note_link).
    pub(super) fn take_frame(
        &mut self,
        from: End,
        frame: &Frame<'_>,
        stamp: &Stamp,
        context: &mut FlowContext<'_>,
    ) -> Progress {
        let Self { tcp, flow } = self;
        let is_dropped = flow.facts.note_checksum(from, frame.checksum, context);
        match &frame.body {
            Body::Tcp(_, segment) => {
                // SYN with FIN or RST opens no connection (RFC 9293, 3.10.7).
                if segment.flags.syn && !segment.flags.fin && !segment.flags.rst && !is_dropped {
                    flow.facts.note_handshake(if segment.flags.ack { from.other() } else { from });
                    flow.judge(Identification::Pending, stamp, context.state);
                }
                let duplicate_window = context.duplicates.window(frame.redundancy);
                let arrival = Arrival { is_doubtful: is_dropped, duplicate_window };
                let taken = context.counters.taken_doubtful;
                let (assembly, state) = context.assembly(flow.facts.keeps_delivered);
                let progress = tcp.process(from, segment, arrival, stamp, assembly, &mut StreamSink { flow, state });
                if context.counters.taken_doubtful > taken {
                    flow.facts.disprove(from.other(), &mut context.shared.senders);
                }
                return progress;
            }
            Body::Udp(..) if is_dropped => context.state.counters.losses.packets_not_taken += 1,
            Body::Udp(_, datagram) => flow.take_bytes(from, datagram.payload, stamp, context.state),
            Body::Ip(..) | Body::Link { .. } => {}
        }
        if flow.facts.flow_verdict.is_none() {
            flow.judge(Identification::Pending, stamp, context.state);
        }
        flow.facts.note_broadcast(from, stamp, context.state);
        if let Some(reason) = frame.undecoded {
            context.state.report_undecoded(&mut flow.facts, reason, stamp);
        }
        Progress::Ok
    }

    /// Whether a frame in another encapsulation than the conversation's so far may belong to it: its sequence numbers are near
    /// the stream's, or its end was not captured before.
    pub(super) fn fits(&self, from: End, frame: &Frame<'_>) -> bool {
        match &frame.body {
            Body::Tcp(_, segment) => self.tcp.fits(from, segment),
            Body::Udp(..) | Body::Ip(..) | Body::Link { .. } => !self.flow.facts.seen[from.index()],
        }
    }

    /// Whether more was captured than an incomplete handshake.
    pub(super) fn is_established(&self) -> bool {
        !matches!(self.flow.content, Content::Empty) || self.tcp.is_established()
    }

    /// The earliest packet clock at which [`Conversation::expire`] has something to do.
    pub(super) fn due(&self) -> Option<i64> {
        let flow = &self.flow;
        let session = if let Content::Identified(session) = &flow.content { session.deadline() } else { None };
        // An answer or an identification is in time at its deadline; a hole is given up at its own.
        let judged = (flow.facts.judge_by != NEVER).then_some(flow.facts.judge_by);
        let after = [session, judged].into_iter().flatten().map(|deadline| deadline.saturating_add(1));
        after.chain(self.tcp.deadline()).min()
    }

    /// Does what is due at `clock`: gives up holes and answers, judges a conversation whose protocol is still unknown.
    pub(super) fn expire(&mut self, clock: i64, context: &mut FlowContext<'_>) {
        let Self { tcp, flow } = self;
        let (assembly, state) = context.assembly(flow.facts.keeps_delivered);
        tcp.expire(clock, assembly, &mut StreamSink { flow, state });
        flow.expire(clock, context.state);
    }

    /// Ends the conversation: delivers what is held, reports what is pending.
    pub(super) fn finish(&mut self, clock: i64, context: &mut FlowContext<'_>) {
        let Self { tcp, flow } = self;
        let (assembly, state) = context.assembly(flow.facts.keeps_delivered);
        tcp.finish(clock, assembly, &mut StreamSink { flow, state });
        flow.finish(clock, context.state);
    }
}

impl FlowFacts {
    /// Counts the checksums of a packet, and returns whether its receiver drops it.
    fn note_checksum(&mut self, from: End, checksum: Checksum, context: &mut FlowContext<'_>) -> bool {
        let Some(sender) = self.ends[from.index()].host.ip else { return false };
        let right = &mut self.uncounted_right[from.index()];
        let vouching = if checksum == Checksum::Wrong { mem::take(right) } else { 0 };
        context.shared.senders.note_checksum(sender, checksum, vouching.into())
    }

    /// Notes that the receiver took a packet of this end with a wrong checksum.
    fn disprove(&self, from: End, senders: &mut Senders) {
        if let Some(sender) = self.ends[from.index()].host.ip {
            senders.disprove(sender);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::FlowTable;

    #[test]
    fn a_conversation_in_its_table_takes_six_cache_lines_and_a_place_in_the_index() {
        let taken = FlowTable::<Conversation>::entry_size();
        assert!(taken <= 6 * 64 + 10, "{taken} bytes");
    }
}

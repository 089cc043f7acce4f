//! What is said in a conversation, and by which decoder it is decoded.

use lockkeeper_protocols::{Search, Session};

use super::probe_buffer::ProbeBuffer;
use crate::flow::End;
use crate::policy::Carrier;
use crate::worker::flow_facts::{FlowFacts, Identification};
use crate::worker::flow_sink::FlowSink;
use crate::worker::state::WorkerState;
use lockkeeper_protocols::Stamp;

/// What is said, and what is thought of it: all of a conversation but its TCP state.
#[repr(C)]
pub(in crate::worker) struct FlowState {
    pub(super) content: Content,
    pub(in crate::worker) facts: FlowFacts,
}

/// What the bytes of a conversation are.
pub(in crate::worker) enum Content {
    /// Nothing, so far.
    Silent,
    /// Not known yet.
    Unidentified(Box<ProbeBuffer>),
    /// A protocol of the registry.
    Identified(Session),
    /// Something else, perhaps not for ever: where a protocol is expected, it is looked for.
    Other(Option<Box<Search>>),
}

impl FlowState {
    /// Whether it is a stream in which something was said.
    pub(in crate::worker) fn is_stream_with_payload(&self) -> bool {
        self.facts.carrier == Carrier::Tcp && !matches!(self.content, Content::Silent)
    }

    /// Whether only one of its ends was sink.
    pub(in crate::worker) fn is_one_way(&self) -> bool {
        self.facts.seen != [true, true]
    }
}

/// Decoding: from the bytes of one end to what the protocol's decoder makes of them.
impl FlowState {
    /// Whether the next byte of an end begins a frame, as far as is known.
    pub(in crate::worker) fn is_in_step(&self, from: End) -> bool {
        if let Content::Identified(session) = &self.content { session.is_in_step(self.facts.side(from)) } else { true }
    }

    /// One end said something: the next bytes of its stream, or one datagram.
    #[inline(always)]
    pub(super) fn take_bytes(&mut self, from: End, bytes: &[u8], stamp: &Stamp, state: &mut WorkerState) {
        let Self { facts, content } = self;
        match content {
            Content::Identified(session) if facts.carrier != Carrier::Udp => {
                session.stream(facts.side(from), bytes, stamp, &mut FlowSink { facts, state });
            }
            _ => self.take_unidentified(from, bytes, stamp, state),
        }
    }

    #[cold]
    pub(super) fn take_unidentified(&mut self, from: End, bytes: &[u8], stamp: &Stamp, state: &mut WorkerState) {
        let Self { facts, content } = self;
        match content {
            Content::Identified(session) => {
                session.datagram(facts.side(from), bytes, stamp, &mut FlowSink { facts, state })
            }
            Content::Silent | Content::Unidentified(_) => self.identify(from, bytes, stamp, state),
            Content::Other(_) => self.search(from, bytes, stamp, state),
        }
    }

    pub(super) fn gap(&mut self, from: End, state: &mut WorkerState) {
        if matches!(self.content, Content::Other(_)) {
            return self.search_gap(from, state);
        }
        let Self { facts, content } = self;
        match content {
            Content::Identified(session) => session.gap(facts.side(from), &mut FlowSink { facts, state }),
            Content::Unidentified(buffer) => {
                facts.midstream = true;
                state.counters.losses.undecoded_bytes += buffer.forget(from);
            }
            Content::Silent => facts.midstream = true,
            Content::Other(_) => {}
        }
    }

    pub(super) fn expire(&mut self, clock: i64, state: &mut WorkerState) {
        let due = self.facts.judge_by;
        if due < clock {
            let stamp = self.facts.first.at(due.saturating_add(1));
            self.judge(Identification::Pending, &stamp, state);
        }
        let Self { facts, content } = self;
        if let Content::Identified(session) = content {
            session.expire(clock, &mut FlowSink { facts, state });
        }
    }

    /// Its stream is closed: what was asked long ago is not answered any more.
    pub(in crate::worker) fn close(&mut self, clock: i64, state: &mut WorkerState) {
        let Self { facts, content } = self;
        if let Content::Identified(session) = content {
            session.close(clock, &mut FlowSink { facts, state });
        }
    }

    pub(super) fn finish(&mut self, clock: i64, state: &mut WorkerState) {
        let stamp = self.facts.first.at(clock);
        self.conclude_identification(&stamp, state);
        state.counters.ended(self.facts.midstream, self.facts.seen != [true, true]);
        let Self { facts, content } = self;
        if let Content::Identified(session) = content {
            session.finish(&mut FlowSink { facts, state });
        }
    }
}

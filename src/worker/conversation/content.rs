//! The payload of a conversation, and its decoder.

use lockkeeper_protocols::{Search, Session, Stamp};

use super::probe_buffer::ProbeBuffer;
use crate::flow::End;
use crate::policy::Carrier;
use crate::worker::flow_facts::{FlowFacts, Identification};
use crate::worker::flow_sink::FlowSink;
use crate::worker::state::WorkerState;

/// A conversation without its TCP state: its payload, and what is known of it.
#[repr(C)]
pub(in crate::worker) struct FlowState {
    pub(super) content: Content,
    pub(in crate::worker) facts: FlowFacts,
}

/// What the payload of a conversation is.
pub(in crate::worker) enum Content {
    /// There is none so far.
    Empty,
    /// It is not identified yet.
    Unidentified(Box<ProbeBuffer>),
    /// A protocol of the registry.
    Identified(Session),
    /// Another protocol. Where a decoded one is expected, by port or policy, the search for it continues.
    Other(Option<Box<Search>>),
}

impl FlowState {
    /// Whether it is a TCP conversation with payload.
    pub(in crate::worker) fn is_stream_with_payload(&self) -> bool {
        self.facts.carrier == Carrier::Tcp && !matches!(self.content, Content::Empty)
    }

    /// Whether only one of its ends was captured.
    pub(in crate::worker) fn is_one_way(&self) -> bool {
        self.facts.seen != [true, true]
    }
}

/// Decoding: from payload to operations.
impl FlowState {
    /// Whether the next byte of an end begins a frame, as far as its decoder can tell.
    pub(in crate::worker) fn is_in_step(&self, from: End) -> bool {
        if let Content::Identified(session) = &self.content { session.is_in_step(self.facts.side(from)) } else { true }
    }

    /// Takes in payload of one end: the next bytes of its stream, or one datagram.
    #[inline(always)]
    pub(super) fn take_bytes(&mut self, from: End, bytes: &[u8], stamp: &Stamp, state: &mut WorkerState) {
        let Self { facts, content } = self;
        match content {
            Content::Identified(session) if facts.carrier != Carrier::Udp => {
                session.feed_stream(facts.side(from), bytes, stamp, &mut FlowSink { facts, state });
            }
            _ => self.take_uncommon(from, bytes, stamp, state),
        }
    }

    /// Takes in payload that is no stream of an identified protocol.
    #[cold]
    pub(super) fn take_uncommon(&mut self, from: End, bytes: &[u8], stamp: &Stamp, state: &mut WorkerState) {
        let Self { facts, content } = self;
        match content {
            Content::Identified(session) => {
                session.feed_datagram(facts.side(from), bytes, stamp, &mut FlowSink { facts, state })
            }
            Content::Empty | Content::Unidentified(_) => self.identify(from, bytes, stamp, state),
            Content::Other(_) => self.search(from, bytes, stamp, state),
        }
    }

    /// Notes that bytes of an end are missing.
    pub(super) fn gap(&mut self, from: End, state: &mut WorkerState) {
        if matches!(self.content, Content::Other(_)) {
            return self.search_gap(from, state);
        }
        let Self { facts, content } = self;
        match content {
            Content::Identified(session) => session.feed_gap(facts.side(from), &mut FlowSink { facts, state }),
            Content::Unidentified(buffer) => {
                facts.midstream = true;
                state.counters.losses.undecoded_bytes += buffer.forget(from);
            }
            Content::Empty => facts.midstream = true,
            Content::Other(_) => {}
        }
    }

    /// Does what is due at `clock` above TCP: judges a conversation whose protocol is still unknown, gives up answers.
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

    /// Gives up the pending operations of a closed stream whose answer timeout has passed.
    pub(in crate::worker) fn close(&mut self, clock: i64, state: &mut WorkerState) {
        let Self { facts, content } = self;
        if let Content::Identified(session) = content {
            session.close(clock, &mut FlowSink { facts, state });
        }
    }

    /// Ends the conversation above TCP: concludes its identification, reports what is pending.
    pub(super) fn finish(&mut self, clock: i64, state: &mut WorkerState) {
        let stamp = self.facts.first.at(clock);
        self.conclude_identification(&stamp, state);
        state.counters.count_ended_flow(self.facts.midstream, self.facts.seen != [true, true]);
        let Self { facts, content } = self;
        if let Content::Identified(session) = content {
            session.finish(&mut FlowSink { facts, state });
        }
    }
}

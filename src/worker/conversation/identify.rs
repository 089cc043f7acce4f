//! Identification of the protocol of a conversation: by its first bytes, or later, where one is expected.

use std::sync::Arc;

use lockkeeper_protocols::{
    Decision, Found, Hints, Identifier, Keys, Protocol, REGISTRY, Search, Session, Side, Stamp, Transport,
};

use super::FlowState;
use super::content::Content;
use super::probe_buffer::ProbeBuffer;
use crate::flow::End;
use crate::worker::flow_facts::{FlowFacts, Identification, JUDGE_AFTER, NEVER, NO_ROW};
use crate::worker::flow_sink::FlowSink;
use crate::worker::state::WorkerState;

impl FlowState {
    /// Collects the first bytes of a conversation until they identify its protocol.
    pub(super) fn identify(&mut self, from: End, bytes: &[u8], stamp: &Stamp, state: &mut WorkerState) {
        if bytes.is_empty() {
            return;
        }
        if matches!(self.content, Content::Empty) {
            self.content = Content::Unidentified(Box::new(ProbeBuffer::new(self.facts.declared(state))));
        }
        let Content::Unidentified(buffer) = &mut self.content else { return };
        let facts = &mut self.facts;
        if facts.judge_by == NEVER {
            facts.judge_by = stamp.clock.saturating_add(JUDGE_AFTER);
        }
        buffer.add(from, bytes, stamp);
        state.took_memory = true;
        let exhausted = buffer.is_full();
        self.try_identify(exhausted, stamp, state);
    }

    /// Identifies the protocol by the collected bytes, if they suffice. `exhausted`: no more will be collected.
    fn try_identify(&mut self, exhausted: bool, stamp: &Stamp, state: &mut WorkerState) {
        let Content::Unidentified(buffer) = &self.content else { return };
        let facts = &mut self.facts;
        let (declared, sides) = (buffer.declared, buffer.sides(facts.client));
        match facts.identifier(declared).decide(REGISTRY, sides, exhausted) {
            Decision::Undecided => {}
            Decision::Unknown => self.conclude_unrecognised(stamp, state),
            Decision::Identified { protocol, swapped } => {
                if swapped {
                    facts.client = facts.client.other();
                }
                let midstream = facts.midstream;
                let before = self.begin_decoding(protocol, midstream, declared, state);
                self.judge(Identification::Protocol(protocol.name), stamp, state);
                if let Content::Unidentified(buffer) = before {
                    self.decode_probe(&buffer, state);
                }
            }
        }
    }

    /// Begins to decode a protocol. Returns the content before.
    fn begin_decoding(
        &mut self,
        protocol: &'static Protocol,
        midstream: bool,
        declared: Hints,
        state: &mut WorkerState,
    ) -> Content {
        let facts = &mut self.facts;
        facts.set_protocol(protocol, state);
        let mut session = Session::new(protocol, facts.transport(), &state.decoder, midstream);
        session.expect(facts.expected(declared));
        let keys: Arc<dyn Keys> = Arc::clone(&state.keys) as _;
        session.unlock(&keys);
        std::mem::replace(&mut self.content, Content::Identified(session))
    }

    /// Decodes the collected bytes.
    fn decode_probe(&mut self, buffer: &ProbeBuffer, state: &mut WorkerState) {
        buffer.for_each_piece(|from, bytes, stamp| self.take_bytes(from, bytes, stamp, state));
    }

    /// Concludes that the payload is of another protocol, and searches it for an expected one from here on.
    fn conclude_unrecognised(&mut self, stamp: &Stamp, state: &mut WorkerState) {
        let Content::Unidentified(buffer) = &self.content else { return };
        let search = Search::new(self.facts.transport(), self.facts.expected(buffer.declared));
        let before = std::mem::replace(&mut self.content, Content::Other(search.map(Box::new)));
        self.facts.forget_decoded_port();
        self.judge(Identification::Unrecognised, stamp, state);
        if let Content::Unidentified(buffer) = before {
            self.decode_probe(&buffer, state);
        }
    }

    /// Searches the payload of an unrecognised conversation for an expected protocol.
    pub(super) fn search(&mut self, from: End, bytes: &[u8], stamp: &Stamp, state: &mut WorkerState) {
        let side = self.facts.side(from);
        match &mut self.content {
            Content::Other(Some(search)) => {
                let before = search.memory();
                let (given_up, found) = search.feed(side, bytes, stamp);
                state.took_memory |= search.memory() > before;
                self.take_found(given_up, found, state);
            }
            _ => state.counters.losses.other_protocol_bytes += bytes.len() as u64,
        }
    }

    /// Continues the search behind missing bytes.
    pub(super) fn search_gap(&mut self, from: End, state: &mut WorkerState) {
        let side = self.facts.side(from);
        if let Content::Other(Some(search)) = &mut self.content {
            let (given_up, found) = search.settle(side);
            self.take_found(given_up, found, state);
            if let Content::Identified(session) = &mut self.content {
                session.feed_gap(side, &mut FlowSink { facts: &mut self.facts, state });
            }
        }
    }

    /// Counts bytes that the search has given up, and begins to decode a protocol that it found.
    fn take_found(&mut self, given_up: usize, found: Option<Found>, state: &mut WorkerState) {
        state.counters.losses.other_protocol_bytes += given_up as u64;
        let Some(Found { protocol, bytes, on }) = found else { return };
        let declared = self.facts.declared(state);
        self.begin_decoding(protocol, false, declared, state);
        let stamp = bytes[on.index()].1;
        self.judge(Identification::Protocol(protocol.name), &stamp, state);
        let Self { facts, content: Content::Identified(session) } = self else { return };
        let flow_sink = &mut FlowSink { facts, state };
        // The other side came before, and may begin anywhere in a message.
        session.feed_gap(on.other(), flow_sink);
        for side in [on.other(), on] {
            let (bytes, stamp) = &bytes[side.index()];
            match session.transport() {
                Transport::Tcp => session.feed_stream(side, bytes, stamp, flow_sink),
                Transport::Udp => session.feed_datagram(side, bytes, stamp, flow_sink),
            }
        }
    }

    /// Concludes the identification: the bytes so far have to suffice.
    pub(in crate::worker) fn conclude_identification(&mut self, stamp: &Stamp, state: &mut WorkerState) {
        match &self.content {
            Content::Unidentified(buffer) if buffer.len() > 0 => self.try_identify(true, stamp, state),
            Content::Empty | Content::Unidentified(_) => self.judge(Identification::Pending, stamp, state),
            Content::Identified(_) | Content::Other(_) => {}
        }
        // A search concludes at the end of a stream as at a gap in it.
        for end in [self.facts.client, self.facts.client.other()] {
            self.search_gap(end, state);
        }
    }
}

impl FlowFacts {
    pub(in crate::worker) fn identifier(&self, declared: Hints) -> Identifier {
        Identifier {
            transport: self.transport(),
            server_port: self.endpoint(Side::Server).port,
            client_port: self.endpoint(Side::Client).port,
            declared,
            roles: self.roles,
            midstream: self.midstream,
        }
    }

    /// Protocols that the policy declares on either port. Asked once a conversation.
    pub(in crate::worker) fn declared(&self, state: &WorkerState) -> Hints {
        let names = self.ends.iter().flat_map(|end| state.policy.protocols_at((self.carrier, end.port)));
        names.map(Hints::of_protocol).fold(Hints::default(), Hints::and)
    }

    /// Protocols that are expected by ports or by the policy.
    fn expected(&self, declared: Hints) -> Hints {
        Hints::of_ports(self.ends.map(|end| end.port)).and(declared).in_any_framing()
    }

    /// Sets the protocol of the conversation.
    pub(in crate::worker) fn set_protocol(&mut self, protocol: &'static Protocol, state: &mut WorkerState) {
        self.row = row_of(protocol);
        self.slot = state.counters.protocol_slot(protocol);
        // An answer timeout of the protocol may be earlier than the timer in force.
        self.armed = NEVER;
    }
}

fn row_of(protocol: &Protocol) -> u8 {
    let row = REGISTRY.iter().position(|row| std::ptr::eq(*row, protocol));
    row.and_then(|row| u8::try_from(row).ok()).unwrap_or(NO_ROW)
}

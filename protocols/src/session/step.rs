//! One step through the bytes of a side: whole frames, and the search for the next one where there is none.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::kept::Lead;
use super::terms::Terms;
use crate::candidate::{Look, Place, Proof};
use crate::dissector::{Anomaly, AnomalyKind, Boundary, Dissector, FrameLen, Protocol, Side, Sink, Stamp};

/// What bytes of one side are decoded with.
pub(super) struct Step<'s> {
    pub(super) protocol: &'s mut &'static Protocol,
    pub(super) dissector: &'s mut Box<dyn Dissector>,
    pub(super) terms: &'s Terms,
    pub(super) from: Side,
    /// How that side stands, and what it knows if it is lost.
    pub(super) standing: &'s mut Standing,
    pub(super) lead: Lead,
    /// Nothing follows the bytes.
    pub(super) is_last: bool,
    pub(super) stamp: &'s Stamp,
    pub(super) sink: &'s mut dyn Sink,
}

/// How a side stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Frames follow each other.
    InStep,
    /// Lost at the first byte that was captured: as a rule, senders begin segments with frames.
    Joined,
    /// Lost anywhere else.
    Lost,
}

/// How far a step has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// Bytes that are done with.
    pub(super) used: usize,
    /// Another protocol is spoken from there on.
    pub(super) changed: bool,
}

/// Where a lost side goes on.
enum Found {
    /// A frame of the protocol that is spoken begins behind so many bytes.
    Own(usize),
    /// A frame of another protocol does.
    Other(&'static Protocol, usize),
    /// More bytes will tell. So many hold no frame start of any.
    None(usize),
}

/// Whether a frame starts at a position.
enum Stand {
    Yes,
    No,
    /// More bytes will tell.
    Open,
}

impl Step<'_> {
    /// Decodes every whole frame in `bytes`, up to a change of the protocol.
    pub(super) fn consume(&mut self, bytes: &[u8]) -> Taken {
        let mut used = 0;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            if rest.is_empty() {
                return Taken { used, changed: false };
            }
            if *self.standing != Standing::InStep {
                match self.search(rest) {
                    Found::None(skipped) => {
                        self.skip(skipped);
                        return Taken { used: used + skipped, changed: false };
                    }
                    Found::Own(skipped) => {
                        self.skip(skipped);
                        used += skipped;
                        self.find();
                        self.dissector.interrupted(self.from, self.sink);
                    }
                    Found::Other(protocol, skipped) => {
                        self.skip(skipped);
                        let is_torn = !self.lead.is_aligned;
                        self.change(protocol);
                        if is_torn {
                            self.dissector.interrupted(self.from, self.sink);
                        }
                        return Taken { used: used + skipped, changed: true };
                    }
                }
                continue;
            }
            let decoded = self.dissector.frames(self.from, rest, self.stamp, self.sink);
            used += decoded;
            let next = rest.get(decoded..).filter(|next| !next.is_empty());
            match next.map(|next| self.dissector.frame_len(self.from, next)) {
                Some(FrameLen::Invalid(_)) if !self.dissector.is_in_doubt(self.from) => {
                    *self.standing = Standing::Lost;
                    self.lead = Lead { is_aligned: true, refuted: 0 };
                }
                _ => return Taken { used, changed: false },
            }
        }
    }

    fn skip(&mut self, bytes: usize) {
        if bytes > 0 {
            self.sink.lost(bytes);
        }
    }

    /// The side is in step.
    fn find(&mut self) {
        *self.standing = Standing::InStep;
        self.lead = Lead::default();
    }

    /// Goes on with another protocol, which explains what the one before does not.
    pub(super) fn change(&mut self, protocol: &'static Protocol) {
        let mut next = self.terms.open(protocol);
        *next.next_request() = *self.dissector.next_request();
        self.dissector.finish(self.sink);
        self.sink.protocol(protocol, self.stamp);
        if let Some(keys) = self.sink.keys() {
            next.unlock(&keys);
        }
        (*self.dissector, *self.protocol) = (next, protocol);
        self.find();
    }

    /// Looks for the first position from which framing holds. Where a frame should begin, other protocols come first: what
    /// is not one of ours may well be one of theirs. Elsewhere one of theirs counts only where none of ours can be.
    fn search(&mut self, bytes: &[u8]) -> Found {
        if *self.standing == Standing::Joined {
            match self.dissector.begins_with_lies(self.from, bytes, self.is_last) {
                Some(true) => return Found::Own(0),
                None => return Found::None(0),
                Some(false) => *self.standing = Standing::Lost,
            }
        }
        if self.lead.is_aligned {
            match self.other_at(bytes, self.is_last, Proof::Aligned) {
                (Look::Yes { .. }, Some(protocol)) => return Found::Other(protocol, 0),
                (Look::Open, _) => return Found::None(0),
                _ => self.lose(bytes),
            }
        }
        let own = self.resynchronise(bytes);
        let (Ok(refuted) | Err(refuted)) = own;
        let is_over = self.is_last || own.is_ok();
        let (start, other) = self.first_other_in(bytes.get(..refuted).unwrap_or(bytes), is_over);
        match (other, own) {
            (Some(protocol), _) => Found::Other(protocol, start),
            (None, Ok(found)) => Found::Own(found),
            (None, Err(refuted)) => {
                self.lead.refuted = refuted - start;
                Found::None(start)
            }
        }
    }

    /// No frame starts where one should.
    fn lose(&mut self, bytes: &[u8]) {
        if let FrameLen::Invalid(name) = self.dissector.frame_len(self.from, bytes) {
            self.anomaly(AnomalyKind::Desynchronised, name);
        }
        self.lead.is_aligned = false;
    }

    /// The first position where framing holds, or else the first where it may.
    fn resynchronise(&self, bytes: &[u8]) -> Result<usize, usize> {
        let mut start = self.lead.refuted;
        while let Some(rest) = bytes.get(start..).filter(|rest| !rest.is_empty()) {
            match self.stands_at(rest) {
                Stand::Yes => return Ok(start),
                Stand::No => start += 1,
                Stand::Open if self.is_last => start += 1,
                Stand::Open => break,
            }
        }
        Err(start)
    }

    /// The first frame of another protocol in bytes that hold none of the protocol that is spoken; or else how many of them
    /// hold no start of one. `is_over`: what follows them belongs to something else.
    fn first_other_in(&self, bytes: &[u8], is_over: bool) -> (usize, Option<&'static Protocol>) {
        if self.terms.others(self.protocol).next().is_none() {
            return (bytes.len(), None);
        }
        let mut start = 0;
        while let Some(rest) = bytes.get(start..).filter(|rest| !rest.is_empty()) {
            match self.other_at(rest, is_over, Proof::Anywhere) {
                (Look::No, _) => start += 1,
                (_, found) => return (start, found),
            }
        }
        (start, None)
    }

    fn other_at(&self, bytes: &[u8], is_last: bool, proof: Proof) -> (Look, Option<&'static Protocol>) {
        let place = Place { transport: self.terms.transport, from: self.from, bytes, is_last };
        place.first_of(self.terms.others(self.protocol), proof)
    }

    /// Whether a frame starts here, judged by nothing but the bytes that follow.
    fn stands_at(&self, rest: &[u8]) -> Stand {
        if !self.dissector.may_start(self.from, rest) {
            return Stand::No;
        }
        let length = match self.dissector.frame_len(self.from, rest) {
            FrameLen::Bytes(length) => length.max(1),
            FrameLen::Unknown => return Stand::Open,
            FrameLen::Invalid(_) => return Stand::No,
        };
        let max_frame = self.protocol.max_frame;
        let Some((frame, next)) = rest.split_at_checked(length) else {
            // It may still be arriving, unless it claims more than a frame can have.
            return if length <= max_frame { Stand::Open } else { Stand::No };
        };
        match self.dissector.boundary(self.from, frame) {
            Boundary::Certain => return Stand::Yes,
            Boundary::Unlikely => return Stand::No,
            Boundary::Likely if self.is_last && next.is_empty() => return Stand::Yes,
            Boundary::Likely => {}
        }
        // Only a whole second frame counts: some framings know at its end that it was none.
        match self.dissector.frame_len(self.from, next) {
            FrameLen::Bytes(length) if length > max_frame => Stand::No,
            FrameLen::Bytes(length) if length <= next.len() => Stand::Yes,
            FrameLen::Bytes(_) | FrameLen::Unknown => Stand::Open,
            FrameLen::Invalid(_) => Stand::No,
        }
    }

    /// Holds what is kept to its limit, and the memory behind it to what it needs.
    pub(super) fn bound(&mut self, partial: &mut Vec<u8>) {
        let max_frame = self.protocol.max_frame;
        if partial.len() > (self.terms.partial as usize).max(2 * max_frame) {
            self.sink.lost(partial.len());
            self.anomaly(AnomalyKind::Limit, "partial_frame_too_long");
            *self.standing = Standing::Lost;
            self.lead = Lead::default();
            *partial = Vec::new();
        }
        let enough = partial.len().max(2 * max_frame);
        if partial.capacity() > 2 * enough {
            partial.shrink_to(enough);
        }
    }

    fn anomaly(&mut self, kind: AnomalyKind, name: &'static str) {
        self.sink.anomaly(Anomaly { kind, name, value: None, from: self.from }, self.stamp);
    }
}

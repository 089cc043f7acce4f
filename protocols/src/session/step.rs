//! One pass over the bytes of a side: decodes whole frames, and searches for the next one where framing is lost.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::kept::SearchProgress;
use super::settings::FlowSettings;
use crate::candidate::{Candidate, Match, Proof};
use crate::dissector::{Anomaly, AnomalyKind, Boundary, Dissector, FrameLen, Protocol, Side, Sink, Stamp};

/// One pass over bytes of one side, with everything that decoding them needs.
pub(super) struct Step<'s> {
    pub(super) protocol: &'s mut &'static Protocol,
    pub(super) dissector: &'s mut Box<dyn Dissector>,
    pub(super) settings: &'s FlowSettings,
    pub(super) from: Side,
    pub(super) framing: &'s mut Framing,
    pub(super) progress: SearchProgress,
    /// The stream ends with these bytes.
    pub(super) is_last: bool,
    pub(super) stamp: &'s Stamp,
    pub(super) sink: &'s mut dyn Sink,
}

/// Whether the frame boundaries of a side are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Frames follow each other.
    InStep,
    /// Unknown since the first captured byte, which is often the start of a frame: senders begin segments with frames.
    Joined,
    /// Unknown.
    Lost,
}

/// The result of a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Consumed {
    /// Number of bytes that were decoded or skipped.
    pub(super) used: usize,
    /// The protocol changes after them.
    pub(super) changed: bool,
}

/// Where a lost side continues.
enum Found {
    /// At a frame of the current protocol, after so many bytes.
    Own(usize),
    /// At a frame of another protocol, after so many bytes.
    Other(&'static Protocol, usize),
    /// More bytes are needed. No frame starts in the first so many bytes.
    None(usize),
}

/// Whether a frame starts at a position.
enum FrameStart {
    Yes,
    No,
    /// More bytes are needed.
    Unknown,
}

impl Step<'_> {
    /// Decodes every whole frame in `bytes`, up to a change of the protocol.
    pub(super) fn consume(&mut self, bytes: &[u8]) -> Consumed {
        let mut used = 0;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            if rest.is_empty() {
                return Consumed { used, changed: false };
            }
            if *self.framing != Framing::InStep {
                match self.find_frame(rest) {
                    Found::None(skipped) => {
                        self.report_lost(skipped);
                        return Consumed { used: used + skipped, changed: false };
                    }
                    Found::Own(skipped) => {
                        self.report_lost(skipped);
                        used += skipped;
                        self.set_in_step();
                        self.dissector.interrupt(self.from, self.sink);
                    }
                    Found::Other(protocol, skipped) => {
                        self.report_lost(skipped);
                        let is_torn = !self.progress.is_aligned;
                        self.change_protocol(protocol);
                        if is_torn {
                            self.dissector.interrupt(self.from, self.sink);
                        }
                        return Consumed { used: used + skipped, changed: true };
                    }
                }
                continue;
            }
            let decoded = self.dissector.decode_frames(self.from, rest, self.stamp, self.sink);
            used += decoded;
            let next = rest.get(decoded..).filter(|next| !next.is_empty());
            match next.map(|next| self.dissector.frame_len(self.from, next)) {
                Some(FrameLen::Invalid(_)) if !self.dissector.is_ambiguous(self.from) => {
                    *self.framing = Framing::Lost;
                    self.progress = SearchProgress { is_aligned: true, refuted: 0 };
                }
                _ => return Consumed { used, changed: false },
            }
        }
    }

    fn report_lost(&mut self, bytes: usize) {
        if bytes > 0 {
            self.sink.lost(bytes);
        }
    }

    fn set_in_step(&mut self) {
        *self.framing = Framing::InStep;
        self.progress = SearchProgress::default();
    }

    /// Ends the decoder of the current protocol and continues with that of another.
    pub(super) fn change_protocol(&mut self, protocol: &'static Protocol) {
        let mut next = self.settings.open(protocol);
        *next.next_request() = *self.dissector.next_request();
        self.dissector.finish(self.sink);
        self.sink.protocol(protocol, self.stamp);
        if let Some(keys) = self.sink.keys() {
            next.unlock(&keys);
        }
        (*self.dissector, *self.protocol) = (next, protocol);
        self.set_in_step();
    }

    /// Finds the first position where a frame starts. Where one is due, other protocols come first, as it was not one of the
    /// current protocol. Elsewhere, another protocol counts only where no frame of the current one can start.
    fn find_frame(&mut self, bytes: &[u8]) -> Found {
        if *self.framing == Framing::Joined {
            match self.dissector.begins_with_wrong_headers(self.from, bytes, self.is_last) {
                Some(true) => return Found::Own(0),
                None => return Found::None(0),
                Some(false) => *self.framing = Framing::Lost,
            }
        }
        if self.progress.is_aligned {
            match self.match_other(bytes, self.is_last, Proof::Aligned) {
                (Match::Yes { .. }, Some(protocol)) => return Found::Other(protocol, 0),
                (Match::Undecided, _) => return Found::None(0),
                _ => self.report_desync(bytes),
            }
        }
        let own = self.find_own_start(bytes);
        let (Ok(refuted) | Err(refuted)) = own;
        let is_over = self.is_last || own.is_ok();
        let (start, other) = self.find_other_start(bytes.get(..refuted).unwrap_or(bytes), is_over);
        match (other, own) {
            (Some(protocol), _) => Found::Other(protocol, start),
            (None, Ok(found)) => Found::Own(found),
            (None, Err(refuted)) => {
                self.progress.refuted = refuted - start;
                Found::None(start)
            }
        }
    }

    /// Reports that no frame starts where one is due.
    fn report_desync(&mut self, bytes: &[u8]) {
        if let FrameLen::Invalid(name) = self.dissector.frame_len(self.from, bytes) {
            self.anomaly(AnomalyKind::Desynchronised, name);
        }
        self.progress.is_aligned = false;
    }

    /// The first position where a frame of the current protocol starts, or as an error the first where one may start.
    fn find_own_start(&self, bytes: &[u8]) -> Result<usize, usize> {
        let mut start = self.progress.refuted;
        while let Some(rest) = bytes.get(start..).filter(|rest| !rest.is_empty()) {
            match self.frame_starts_at(rest) {
                FrameStart::Yes => return Ok(start),
                FrameStart::No => start += 1,
                FrameStart::Unknown if self.is_last => start += 1,
                FrameStart::Unknown => break,
            }
        }
        Err(start)
    }

    /// The position of the first frame of another protocol in bytes that hold none of the current one, with its protocol; or
    /// the number of bytes in which none starts. `is_over`: the bytes that follow belong to another frame.
    fn find_other_start(&self, bytes: &[u8], is_over: bool) -> (usize, Option<&'static Protocol>) {
        if self.settings.others(self.protocol).next().is_none() {
            return (bytes.len(), None);
        }
        let mut start = 0;
        while let Some(rest) = bytes.get(start..).filter(|rest| !rest.is_empty()) {
            match self.match_other(rest, is_over, Proof::Anywhere) {
                (Match::No, _) => start += 1,
                (_, found) => return (start, found),
            }
        }
        (start, None)
    }

    fn match_other(&self, bytes: &[u8], is_last: bool, proof: Proof) -> (Match, Option<&'static Protocol>) {
        let candidate = Candidate { transport: self.settings.transport, from: self.from, bytes, is_last };
        candidate.first_match(self.settings.others(self.protocol), proof)
    }

    /// Whether a frame of the current protocol starts with the first byte of `rest`.
    fn frame_starts_at(&self, rest: &[u8]) -> FrameStart {
        if !self.dissector.may_start(self.from, rest) {
            return FrameStart::No;
        }
        let length = match self.dissector.frame_len(self.from, rest) {
            FrameLen::Bytes(length) => length.max(1),
            FrameLen::Unknown => return FrameStart::Unknown,
            FrameLen::Invalid(_) => return FrameStart::No,
        };
        let max_frame = self.protocol.max_frame;
        let Some((frame, next)) = rest.split_at_checked(length) else {
            // It may still be arriving, unless it is longer than a frame can be.
            return if length <= max_frame { FrameStart::Unknown } else { FrameStart::No };
        };
        match self.dissector.boundary(self.from, frame) {
            Boundary::Certain => return FrameStart::Yes,
            Boundary::Unlikely => return FrameStart::No,
            Boundary::Likely if self.is_last && next.is_empty() => return FrameStart::Yes,
            Boundary::Likely => {}
        }
        // Only a whole second frame is proof: some framings reject a frame at its last bytes.
        match self.dissector.frame_len(self.from, next) {
            FrameLen::Bytes(length) if length > max_frame => FrameStart::No,
            FrameLen::Bytes(length) if length <= next.len() => FrameStart::Yes,
            FrameLen::Bytes(_) | FrameLen::Unknown => FrameStart::Unknown,
            FrameLen::Invalid(_) => FrameStart::No,
        }
    }

    /// Drops kept bytes beyond their limit, and frees memory that they do not need.
    pub(super) fn enforce_limit(&mut self, partial: &mut Vec<u8>) {
        let max_frame = self.protocol.max_frame;
        if partial.len() > (self.settings.partial as usize).max(2 * max_frame) {
            self.sink.lost(partial.len());
            self.anomaly(AnomalyKind::Limit, "partial_frame_too_long");
            *self.framing = Framing::Lost;
            self.progress = SearchProgress::default();
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

//! The one adapter between a stream and a protocol: partial input, resynchronisation, lost bytes.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::dissector::{Anomaly, AnomalyKind, Dissector, FrameLen, Limits, Protocol, Side, Sink, Stamp, Transport};

/// One protocol on one flow.
///
/// A side is *in step* while frames follow each other, and *lost* after a gap, a framing error, or a start in
/// mid-stream. A lost side is in step again where two frame headers follow each other, or where one frame ends exactly
/// with the bytes at hand. What lies before is counted.
pub struct Session {
    protocol: &'static Protocol,
    dissector: Box<dyn Dissector>,
    halves: [Half; 2],
    /// Longest partial input that is kept, bytes.
    partial_limit: usize,
}

#[derive(Default)]
struct Half {
    /// Bytes of a frame that has not arrived completely; empty in the common case.
    partial: Vec<u8>,
    lost: bool,
}

impl Session {
    /// Starts the protocol on a flow. `midstream`: the first bytes may not be the start of a frame.
    pub fn new(protocol: &'static Protocol, transport: Transport, limits: &Limits, midstream: bool) -> Self {
        let half = || Half { partial: Vec::new(), lost: midstream };
        Self {
            protocol,
            dissector: (protocol.open)(transport, limits),
            halves: [half(), half()],
            partial_limit: limits.partial.max(protocol.max_frame),
        }
    }

    /// The protocol that is spoken.
    pub fn protocol(&self) -> &'static Protocol {
        self.protocol
    }

    /// The next bytes that `from` sent, in order and without a gap before them.
    pub fn stream(&mut self, from: Side, bytes: &[u8], stamp: Stamp, sink: &mut dyn Sink) {
        self.expire(stamp.clock, sink);
        let Self { dissector, halves, partial_limit, protocol } = self;
        let Some(half) = halves.get_mut(from.index()) else { return };
        if half.partial.is_empty() {
            let used = half.consume(dissector.as_mut(), protocol, from, bytes, stamp, sink);
            half.keep(bytes.get(used..).unwrap_or_default(), *partial_limit, from, stamp, sink);
        } else {
            let mut joined = core::mem::take(&mut half.partial);
            joined.extend_from_slice(bytes);
            let used = half.consume(dissector.as_mut(), protocol, from, &joined, stamp, sink);
            joined.drain(..used.min(joined.len()));
            half.keep_joined(joined, *partial_limit, from, stamp, sink);
        }
    }

    /// One datagram that `from` sent: every frame in it is whole or broken.
    pub fn datagram(&mut self, from: Side, bytes: &[u8], stamp: Stamp, sink: &mut dyn Sink) {
        self.expire(stamp.clock, sink);
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.dissector.frame_len(from, rest) {
                FrameLen::Bytes(length) if length > 0 && length <= rest.len() => {
                    let (frame, tail) = rest.split_at(length);
                    self.dissector.frame(from, frame, stamp, sink);
                    rest = tail;
                }
                FrameLen::Bytes(_) | FrameLen::Unknown => {
                    return Self::give_up_datagram("datagram_ends_inside_frame", rest, from, stamp, sink);
                }
                FrameLen::Invalid(name) => return Self::give_up_datagram(name, rest, from, stamp, sink),
            }
        }
    }

    fn give_up_datagram(name: &'static str, rest: &[u8], from: Side, stamp: Stamp, sink: &mut dyn Sink) {
        sink.lost(rest.len());
        sink.anomaly(Anomaly { kind: AnomalyKind::Malformed, name, value: None, from }, stamp);
    }

    /// Bytes that `from` sent were not captured: what was begun is given up, and the next frame start is looked for.
    pub fn gap(&mut self, from: Side, sink: &mut dyn Sink) {
        let Some(half) = self.halves.get_mut(from.index()) else { return };
        sink.lost(half.partial.len());
        half.partial = Vec::new();
        half.lost = true;
    }

    /// Gives up on answers that are overdue at `clock`.
    pub fn expire(&mut self, clock: i64, sink: &mut dyn Sink) {
        if self.dissector.deadline().is_some_and(|deadline| deadline < clock) {
            self.dissector.expire(clock, sink);
        }
    }

    /// When [`Session::expire`] next has something to do, nanoseconds on the scale of [`Stamp::clock`].
    pub fn deadline(&self) -> Option<i64> {
        self.dissector.deadline()
    }

    /// The end of the flow or of the capture.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        for half in &mut self.halves {
            sink.lost(half.partial.len());
            half.partial = Vec::new();
        }
        self.dissector.finish(sink);
    }

    /// Bytes kept for frames that have not arrived completely.
    pub fn buffered(&self) -> usize {
        self.halves.iter().map(|half| half.partial.len()).sum()
    }
}

impl Half {
    /// Decodes every whole frame in `bytes`; returns how many bytes are done with.
    fn consume(
        &mut self,
        dissector: &mut dyn Dissector,
        protocol: &Protocol,
        from: Side,
        bytes: &[u8],
        stamp: Stamp,
        sink: &mut dyn Sink,
    ) -> usize {
        let mut used = 0;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            if rest.is_empty() {
                return used;
            }
            if self.lost {
                let (skipped, found) = resynchronise(dissector, protocol, from, rest);
                sink.lost(skipped);
                used += skipped;
                if !found {
                    return used;
                }
                self.lost = false;
                continue;
            }
            match dissector.frame_len(from, rest) {
                FrameLen::Bytes(length) => match rest.get(..length.max(1)) {
                    Some(frame) => {
                        dissector.frame(from, frame, stamp, sink);
                        used += frame.len();
                    }
                    None => return used,
                },
                FrameLen::Unknown => return used,
                FrameLen::Invalid(name) => {
                    sink.anomaly(Anomaly { kind: AnomalyKind::Desynchronised, name, value: None, from }, stamp);
                    self.lost = true;
                }
            }
        }
    }

    /// Keeps what is left of borrowed input.
    fn keep(&mut self, rest: &[u8], limit: usize, from: Side, stamp: Stamp, sink: &mut dyn Sink) {
        if !rest.is_empty() {
            self.keep_joined(rest.to_vec(), limit, from, stamp, sink);
        }
    }

    /// Keeps what is left of input that is already ours.
    fn keep_joined(&mut self, rest: Vec<u8>, limit: usize, from: Side, stamp: Stamp, sink: &mut dyn Sink) {
        if rest.len() > limit {
            sink.lost(rest.len());
            let anomaly = Anomaly { kind: AnomalyKind::Limit, name: "partial_frame_too_long", value: None, from };
            sink.anomaly(anomaly, stamp);
            self.lost = true;
            self.partial = Vec::new();
        } else {
            self.partial = rest;
        }
    }
}

/// Looks for the first position from which framing holds. Returns the bytes before it (or those that certainly hold no
/// frame start), and whether it was found.
fn resynchronise(dissector: &dyn Dissector, protocol: &Protocol, from: Side, bytes: &[u8]) -> (usize, bool) {
    for start in 0..bytes.len() {
        let rest = bytes.get(start..).unwrap_or_default();
        match dissector.frame_len(from, rest) {
            FrameLen::Invalid(_) => {}
            FrameLen::Unknown => return (start, false),
            FrameLen::Bytes(length) => match rest.get(length.max(1)..) {
                Some([]) => return (start, true),
                Some(next) => match dissector.frame_len(from, next) {
                    FrameLen::Bytes(_) => return (start, true),
                    FrameLen::Unknown => return (start, false),
                    FrameLen::Invalid(_) => {}
                },
                // The frame may still be arriving: wait for its end, unless it claims more than a frame can have.
                None if length <= protocol.max_frame => return (start, false),
                None => {}
            },
        }
    }
    (bytes.len(), false)
}

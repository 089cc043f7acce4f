//! The one adapter between a stream and a protocol: partial input, resynchronisation, lost bytes.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::dissector::{
    Anomaly, AnomalyKind, Boundary, Dissector, FrameLen, Limits, Protocol, Side, Sink, Stamp, Transport,
};

/// One protocol on one flow.
///
/// A side is *in step* while frames follow each other, and *lost* after a gap, a framing error, or a start in
/// mid-stream. A lost side is in step again where a frame convinces by its shape, where another frame follows one, or
/// where one ends exactly with the stream. What lies before is counted. Only the bytes decide, never how they were cut
/// into segments.
pub struct Session {
    protocol: &'static Protocol,
    dissector: Box<dyn Dissector>,
    halves: [Half; 2],
    /// Longest partial input that is kept, bytes: a side that is lost looks at two frames at once.
    partial_limit: usize,
    /// When the latest bytes came: a frame that only the end of the stream completes has no other time.
    latest: Stamp,
    /// No answer is overdue up to this clock; `i64::MAX` when none is waited for.
    wake: i64,
}

#[derive(Default)]
struct Half {
    /// Bytes of a frame that has not arrived completely; empty in the common case.
    partial: Vec<u8>,
    lost: bool,
}

/// What a chunk of input is decoded with.
struct Step<'s> {
    dissector: &'s mut dyn Dissector,
    max_frame: usize,
    from: Side,
    stamp: Stamp,
    sink: &'s mut dyn Sink,
}

impl Session {
    /// Starts the protocol on a flow. `midstream`: the first bytes may not be the start of a frame.
    pub fn new(protocol: &'static Protocol, transport: Transport, limits: &Limits, midstream: bool) -> Self {
        let half = || Half { partial: Vec::new(), lost: midstream };
        Self {
            protocol,
            dissector: (protocol.open)(transport, limits),
            halves: [half(), half()],
            partial_limit: limits.partial.max(2 * protocol.max_frame),
            latest: Stamp::default(),
            wake: i64::MAX,
        }
    }

    /// The protocol that is spoken.
    pub fn protocol(&self) -> &'static Protocol {
        self.protocol
    }

    /// The next bytes that `from` sent, in order and without a gap before them.
    pub fn stream(&mut self, from: Side, bytes: &[u8], stamp: Stamp, sink: &mut dyn Sink) {
        self.expire(stamp.clock, sink);
        self.latest = stamp;
        let Self { dissector, halves, partial_limit, protocol, .. } = self;
        let Some(half) = halves.get_mut(from.index()) else { return };
        let mut step = Step { dissector: dissector.as_mut(), max_frame: protocol.max_frame, from, stamp, sink };
        if half.partial.is_empty() {
            let used = half.consume(bytes, &mut step);
            half.partial.extend_from_slice(bytes.get(used..).unwrap_or_default());
        } else {
            let mut joined = core::mem::take(&mut half.partial);
            joined.extend_from_slice(bytes);
            let used = half.consume(&joined, &mut step);
            joined.drain(..used.min(joined.len()));
            half.partial = joined;
        }
        half.bound(*partial_limit, &mut step);
        self.set_wake();
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
                    self.set_wake();
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
        self.settle(from, sink);
        if let Some(half) = self.halves.get_mut(from.index()) {
            half.lost = true;
        }
        self.set_wake();
    }

    /// Gives up on answers that are overdue at `clock`.
    #[inline]
    pub fn expire(&mut self, clock: i64, sink: &mut dyn Sink) {
        if self.wake < clock {
            self.dissector.expire(clock, sink);
            self.wake = i64::MAX;
            self.set_wake();
        }
    }

    /// When [`Session::expire`] next has something to do, at the earliest: nanoseconds on the scale of
    /// [`Stamp::clock`].
    #[inline]
    pub fn deadline(&self) -> Option<i64> {
        (self.wake != i64::MAX).then_some(self.wake)
    }

    /// Deadlines only ever move on, so the decoder is asked for one when none is known, not at every frame.
    fn set_wake(&mut self) {
        if self.wake == i64::MAX {
            self.wake = self.dissector.deadline().unwrap_or(i64::MAX);
        }
    }

    /// The end of the flow or of the capture.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        for from in [Side::Client, Side::Server] {
            self.settle(from, sink);
        }
        self.dissector.finish(sink);
    }

    /// Bytes kept for frames that have not arrived completely.
    pub fn buffered(&self) -> usize {
        self.halves.iter().map(|half| half.partial.len()).sum()
    }

    /// Nothing follows what was kept: a whole frame that only lacked a second one beside it counts, the rest is lost.
    fn settle(&mut self, from: Side, sink: &mut dyn Sink) {
        let Some(half) = self.halves.get_mut(from.index()) else { return };
        let kept = core::mem::take(&mut half.partial);
        let is_frame = || {
            self.dissector.frame_len(from, &kept) == FrameLen::Bytes(kept.len())
                && self.dissector.boundary(from, &kept) != Boundary::Unlikely
        };
        if half.lost && is_frame() {
            self.dissector.interrupted(from, sink);
            self.dissector.frame(from, &kept, self.latest, sink);
        } else if !kept.is_empty() {
            sink.lost(kept.len());
        }
    }
}

impl Half {
    /// Decodes every whole frame in `bytes`; returns how many bytes are done with.
    fn consume(&mut self, bytes: &[u8], step: &mut Step<'_>) -> usize {
        let mut used = 0;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            if rest.is_empty() {
                return used;
            }
            if self.lost {
                let (skipped, found) = step.resynchronise(rest);
                used += skipped;
                if !found {
                    return used;
                }
                self.lost = false;
                step.dissector.interrupted(step.from, step.sink);
                continue;
            }
            match step.dissector.frame_len(step.from, rest) {
                FrameLen::Bytes(length) => match rest.get(..length.max(1)) {
                    Some(frame) => {
                        step.dissector.frame(step.from, frame, step.stamp, step.sink);
                        used += frame.len();
                    }
                    None => return used,
                },
                FrameLen::Unknown => return used,
                FrameLen::Invalid(name) => {
                    step.anomaly(AnomalyKind::Desynchronised, name);
                    self.lost = true;
                }
            }
        }
    }

    /// Holds what is kept to its limit, and the memory behind it to what it needs.
    fn bound(&mut self, limit: usize, step: &mut Step<'_>) {
        if self.partial.len() > limit {
            step.sink.lost(self.partial.len());
            step.anomaly(AnomalyKind::Limit, "partial_frame_too_long");
            self.lost = true;
            self.partial = Vec::new();
        }
        let enough = self.partial.len().max(2 * step.max_frame);
        if self.partial.capacity() > 2 * enough {
            self.partial.shrink_to(enough);
        }
    }
}

impl Step<'_> {
    /// Looks for the first position from which framing holds. Returns the bytes before it (or those that certainly hold
    /// no frame start), which are counted as lost, and whether it was found.
    fn resynchronise(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut start = 0;
        let found = loop {
            let rest = bytes.get(start..).unwrap_or_default();
            match self.stands_at(rest) {
                Stand::No if start < bytes.len() => start += 1,
                Stand::No | Stand::Open => break false,
                Stand::Yes => break true,
            }
        };
        if start > 0 {
            self.sink.lost(start);
        }
        (start, found)
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
        let Some((frame, next)) = rest.split_at_checked(length) else {
            // It may still be arriving, unless it claims more than a frame can have.
            return if length <= self.max_frame { Stand::Open } else { Stand::No };
        };
        match self.dissector.boundary(self.from, frame) {
            Boundary::Certain => return Stand::Yes,
            Boundary::Unlikely => return Stand::No,
            Boundary::Likely => {}
        }
        // Only a whole second frame counts: some framings know at its end that it was none.
        match self.dissector.frame_len(self.from, next) {
            FrameLen::Bytes(length) if length > self.max_frame => Stand::No,
            FrameLen::Bytes(length) if length <= next.len() => Stand::Yes,
            FrameLen::Bytes(_) | FrameLen::Unknown => Stand::Open,
            FrameLen::Invalid(_) => Stand::No,
        }
    }

    fn anomaly(&mut self, kind: AnomalyKind, name: &'static str) {
        self.sink.anomaly(Anomaly { kind, name, value: None, from: self.from }, self.stamp);
    }
}

/// Whether a frame starts at a position.
enum Stand {
    Yes,
    No,
    /// More bytes will tell.
    Open,
}

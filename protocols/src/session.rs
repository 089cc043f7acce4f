//! The one adapter between a stream and a protocol: partial input, resynchronisation, lost bytes.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hint::cold_path;

use crate::dissector::{
    Anomaly, AnomalyKind, Boundary, Dissector, FrameLen, Limits, Protocol, Side, Sink, Stamp, Transport,
};
use crate::keys::Keys;
use crate::memory;

/// One protocol on one flow.
///
/// A side is *in step* while frames follow each other, and *lost* after a gap, a framing error, or a start in
/// mid-stream. A lost side is in step again where a frame convinces by its shape, where another frame follows one, or
/// where one ends exactly with the stream. What lies before is counted. Only the bytes decide, never how they were cut
/// into segments.
pub struct Session {
    protocol: &'static Protocol,
    dissector: Box<dyn Dissector>,
    /// Which sides are lost.
    lost: [bool; 2],
    /// Longest partial input that is kept, bytes: a side that is lost looks at two frames at once.
    partial_limit: u32,
    /// How long an answer is waited for, tenths of a second; [partial input](PATIENCE) for several times as long.
    patience: u16,
    /// What has not arrived completely; none in the common case.
    kept: Option<Box<Kept>>,
    /// No answer is overdue up to this clock; `i64::MAX` when none is waited for.
    wake: i64,
}

/// Bytes of frames that have not arrived completely.
#[derive(Default)]
struct Kept {
    /// By side.
    partial: [Vec<u8>; 2],
    /// How long the frame is that each begins with, if that will not change; otherwise 0.
    awaited: [usize; 2],
    /// When the first bytes of each came, nanoseconds on the scale of [`Stamp::clock`].
    since: [i64; 2],
    /// When the latest bytes of either side came: a frame that only the end of the stream completes has no other time.
    latest: Stamp,
}

/// What a chunk of input is decoded with.
struct Step<'s> {
    dissector: &'s mut dyn Dissector,
    max_frame: usize,
    from: Side,
    /// Whether that side is lost.
    lost: &'s mut bool,
    stamp: &'s Stamp,
    sink: &'s mut dyn Sink,
}

impl Session {
    /// Starts the protocol on a flow. `midstream`: the first bytes may not be the start of a frame.
    pub fn new(protocol: &'static Protocol, transport: Transport, limits: &Limits, midstream: bool) -> Self {
        let partial_limit = limits.partial.max(2 * protocol.max_frame);
        Self {
            protocol,
            dissector: (protocol.open)(transport, limits),
            lost: [midstream; 2],
            partial_limit: u32::try_from(partial_limit).unwrap_or(u32::MAX),
            patience: u16::try_from(limits.answer_timeout / TENTH).unwrap_or(u16::MAX).max(1),
            kept: None,
            wake: i64::MAX,
        }
    }

    /// Hands the decoder keys for what is encrypted, before the first bytes.
    pub fn unlock(&mut self, keys: &Arc<dyn Keys>) {
        self.dissector.unlock(keys);
    }

    /// The protocol that is spoken.
    pub fn protocol(&self) -> &'static Protocol {
        self.protocol
    }

    /// The next bytes that `from` sent, in order and without a gap before them.
    #[inline]
    pub fn stream(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) {
        self.expire(stamp.clock, sink);
        // Nearly every segment holds whole frames and nothing else.
        let in_step = self.kept.is_none() && self.lost == [false; 2];
        let used = if in_step { self.dissector.frames(from, bytes, stamp, sink) } else { 0 };
        if used < bytes.len() {
            self.rest(from, bytes.get(used..).unwrap_or_default(), stamp, sink);
        }
        self.set_wake(stamp.clock);
    }

    /// What `from` sent after its last whole frame: a part of one, none at all, or anything while a side is lost or waits
    /// for the end of a frame.
    #[inline(never)]
    fn rest(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) {
        let goes_on = match &mut self.kept {
            Some(kept) => kept.append(from, bytes, stamp),
            None => self.begin(from, bytes, stamp, sink),
        };
        if goes_on {
            return;
        }
        let Self { protocol, dissector, lost, partial_limit, kept, .. } = self;
        let Some(lost) = lost.get_mut(from.index()) else { return };
        let mut step = Step { dissector: dissector.as_mut(), max_frame: protocol.max_frame, from, lost, stamp, sink };
        let before = kept.as_mut().and_then(|kept| kept.partial.get_mut(from.index())).map(core::mem::take);
        let mut partial = before.unwrap_or_default();
        let begins_anew = if partial.is_empty() {
            let used = step.consume(bytes);
            if let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
                partial = memory::lent(rest.len(), rest.len(), step.sink);
                memory::append(&mut partial, rest);
            }
            true
        } else {
            memory::append(&mut partial, bytes);
            let used = step.consume(&partial);
            partial.drain(..used.min(partial.len()));
            used > 0
        };
        step.bound(&mut partial, *partial_limit as usize);
        self.keep(from, partial, stamp, sink);
        if let Some(kept) = self.kept.as_mut().filter(|_| begins_anew) {
            kept.begun(from, stamp);
        }
    }

    /// Keeps the beginning of a frame whose length is known. `false`: it is something else.
    fn begin(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) -> bool {
        let awaited = if self.lost == [false; 2] { self.awaited(from, bytes) } else { 0 };
        let begins = bytes.len() < awaited;
        if begins {
            let wanted = room(awaited, bytes.len());
            let mut partial = memory::lent(bytes.len(), wanted, sink);
            partial.reserve_exact(wanted);
            memory::append(&mut partial, bytes);
            let kept = self.kept.get_or_insert_default();
            kept.put(from, partial, awaited, stamp);
            kept.begun(from, stamp);
        }
        begins
    }

    /// Keeps what has not arrived completely.
    fn keep(&mut self, from: Side, mut partial: Vec<u8>, stamp: &Stamp, sink: &mut dyn Sink) {
        if partial.is_empty() {
            sink.give_back(core::mem::take(&mut partial));
            if self.kept.is_none() {
                return;
            }
        }
        let awaited = self.awaited(from, &partial);
        let kept = self.kept.get_or_insert_default();
        kept.put(from, partial, awaited, stamp);
        if kept.partial.iter().all(Vec::is_empty) {
            self.kept = None;
        }
    }

    /// How long the frame is that `partial` begins with, if that is known for good; otherwise 0.
    fn awaited(&self, from: Side, partial: &[u8]) -> usize {
        let is_lost = self.lost.get(from.index()) != Some(&false);
        if is_lost || partial.is_empty() || !self.dissector.is_length_final() {
            return 0;
        }
        match self.dissector.frame_len(from, partial) {
            FrameLen::Bytes(length) if length <= self.protocol.max_frame => length,
            _ => 0,
        }
    }

    /// One datagram that `from` sent: every frame in it is whole or broken.
    pub fn datagram(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) {
        self.expire(stamp.clock, sink);
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.dissector.frame_len(from, rest) {
                FrameLen::Bytes(length) if length > 0 && length <= rest.len() => {
                    let (frame, tail) = rest.split_at(length);
                    self.dissector.frame(from, frame, stamp, sink);
                    self.set_wake(stamp.clock);
                    rest = tail;
                }
                FrameLen::Bytes(_) | FrameLen::Unknown => {
                    return Self::give_up_datagram("datagram_ends_inside_frame", rest, from, stamp, sink);
                }
                FrameLen::Invalid(name) => return Self::give_up_datagram(name, rest, from, stamp, sink),
            }
        }
    }

    fn give_up_datagram(name: &'static str, rest: &[u8], from: Side, stamp: &Stamp, sink: &mut dyn Sink) {
        sink.lost(rest.len());
        sink.anomaly(Anomaly { kind: AnomalyKind::Malformed, name, value: None, from }, stamp);
    }

    /// Bytes that `from` sent were not captured: what was begun is given up, and the next frame start is looked for.
    pub fn gap(&mut self, from: Side, sink: &mut dyn Sink) {
        self.settle(from, sink);
        if let Some(lost) = self.lost.get_mut(from.index()) {
            *lost = true;
        }
    }

    /// Gives up on answers, and on ends of frames, that are overdue at `clock`.
    #[inline]
    pub fn expire(&mut self, clock: i64, sink: &mut dyn Sink) {
        if self.wake < clock {
            cold_path();
            self.dissector.expire(clock, sink);
            self.give_up_frames(clock, sink);
            self.find_wake(clock);
        }
    }

    /// Gives up frames whose end has been waited for too long. Otherwise it would cost a sender nothing but one connection
    /// for each to have half frames kept for as long as connections are remembered.
    fn give_up_frames(&mut self, clock: i64, sink: &mut dyn Sink) {
        for from in [Side::Client, Side::Server] {
            let is_overdue = |kept: &&Kept| kept.due(from, self.patience).is_some_and(|due| due < clock);
            if let Some(kept) = self.kept.as_deref().filter(is_overdue) {
                let (kind, name) = (AnomalyKind::Limit, "frame_age");
                sink.anomaly(Anomaly { kind, name, value: None, from }, &kept.latest);
                self.gap(from, sink);
            }
        }
    }

    /// When [`Session::expire`] next has something to do, at the earliest: nanoseconds on the scale of
    /// [`Stamp::clock`].
    #[inline]
    pub fn deadline(&self) -> Option<i64> {
        (self.wake != i64::MAX).then_some(self.wake)
    }

    /// Deadlines only ever move on, so they are asked for when none is known, not at every frame.
    #[inline]
    fn set_wake(&mut self, now: i64) {
        if self.wake == i64::MAX {
            self.find_wake(now);
        }
    }

    /// What is asked for from now on is due no earlier than one answer's time from now: that of a frame, which is longer,
    /// is looked after as often.
    #[inline(never)]
    fn find_wake(&mut self, now: i64) {
        let soon = now.saturating_add(i64::from(self.patience) * TENTH);
        let frame = self.kept.as_ref().and_then(|kept| kept.deadline(self.patience)).map(|due| due.min(soon));
        self.wake = [frame, self.dissector.deadline()].into_iter().flatten().min().unwrap_or(i64::MAX);
    }

    /// The end of the flow or of the capture.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        for from in [Side::Client, Side::Server] {
            self.settle(from, sink);
        }
        self.dissector.finish(sink);
    }

    /// Whether the next byte of `from` begins a frame, as far as is known: framing is not lost, and nothing is begun.
    pub fn is_in_step(&self, from: Side) -> bool {
        let begun = |kept: &Kept| kept.partial.get(from.index()).is_some_and(|partial| !partial.is_empty());
        self.lost.get(from.index()) == Some(&false) && !self.kept.as_deref().is_some_and(begun)
    }

    /// Bytes kept for frames that have not arrived completely.
    pub fn buffered(&self) -> usize {
        self.kept.iter().flat_map(|kept| &kept.partial).map(Vec::len).sum()
    }

    /// Nothing follows what was kept: a whole frame that only lacked a second one beside it counts, the rest is lost.
    fn settle(&mut self, from: Side, sink: &mut dyn Sink) {
        let Some(kept) = &mut self.kept else { return };
        let (partial, latest) = (kept.partial.get_mut(from.index()).map(core::mem::take), kept.latest);
        let partial = partial.unwrap_or_default();
        self.keep(from, Vec::new(), &latest, sink);
        let is_frame = || {
            self.dissector.frame_len(from, &partial) == FrameLen::Bytes(partial.len())
                && self.dissector.boundary(from, &partial) != Boundary::Unlikely
        };
        if self.lost.get(from.index()) == Some(&true) && is_frame() {
            self.dissector.interrupted(from, sink);
            self.dissector.frame(from, &partial, &latest, sink);
        } else if !partial.is_empty() {
            sink.lost(partial.len());
        }
    }
}

impl Kept {
    /// A frame of `from` begins with what came now.
    fn begun(&mut self, from: Side, stamp: &Stamp) {
        if let Some(since) = self.since.get_mut(from.index()) {
            *since = stamp.clock;
        }
    }

    /// When the first of them is to be complete.
    fn deadline(&self, patience: u16) -> Option<i64> {
        [Side::Client, Side::Server].into_iter().filter_map(|from| self.due(from, patience)).min()
    }

    /// When the frame that `from` has begun is to be complete, if there is one.
    fn due(&self, from: Side, patience: u16) -> Option<i64> {
        let begun = self.partial.get(from.index()).is_some_and(|partial| !partial.is_empty());
        let since = self.since.get(from.index()).filter(|_| begun)?;
        Some(since.saturating_add(PATIENCE * i64::from(patience) * TENTH))
    }

    /// What `from` sent of a frame of `awaited` bytes, or of one whose length is not known.
    fn put(&mut self, from: Side, mut partial: Vec<u8>, awaited: usize, stamp: &Stamp) {
        partial.reserve_exact(room(awaited, partial.len()).saturating_sub(partial.len()));
        if let (Some(place), Some(length)) = (self.partial.get_mut(from.index()), self.awaited.get_mut(from.index())) {
            (*place, *length) = (partial, awaited);
        }
        self.latest = *stamp;
    }

    /// Adds bytes that do not complete the frame that they belong to, which nothing need be told about. `false`: they may
    /// complete it, and were not added.
    fn append(&mut self, from: Side, bytes: &[u8], stamp: &Stamp) -> bool {
        let (Some(partial), Some(awaited)) = (self.partial.get_mut(from.index()), self.awaited.get(from.index()))
        else {
            return false;
        };
        let goes_on = partial.len() + bytes.len() < *awaited;
        if goes_on {
            memory::append(partial, bytes);
            self.latest = *stamp;
        }
        goes_on
    }
}

impl Step<'_> {
    /// Decodes every whole frame in `bytes`; returns how many bytes are done with.
    fn consume(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            if rest.is_empty() {
                return used;
            }
            if *self.lost {
                let (skipped, found) = self.resynchronise(rest);
                used += skipped;
                if !found {
                    return used;
                }
                *self.lost = false;
                self.dissector.interrupted(self.from, self.sink);
                continue;
            }
            let decoded = self.dissector.frames(self.from, rest, self.stamp, self.sink);
            used += decoded;
            let next = rest.get(decoded..).filter(|next| !next.is_empty());
            match next.map(|next| self.dissector.frame_len(self.from, next)) {
                Some(FrameLen::Invalid(name)) => self.lose(name),
                _ => return used,
            }
        }
    }

    /// No frame starts where one should.
    fn lose(&mut self, name: &'static str) {
        self.anomaly(AnomalyKind::Desynchronised, name);
        *self.lost = true;
    }

    /// Holds what is kept to its limit, and the memory behind it to what it needs.
    fn bound(&mut self, partial: &mut Vec<u8>, limit: usize) {
        if partial.len() > limit {
            self.sink.lost(partial.len());
            self.anomaly(AnomalyKind::Limit, "partial_frame_too_long");
            *self.lost = true;
            *partial = Vec::new();
        }
        let enough = partial.len().max(2 * self.max_frame);
        if partial.capacity() > 2 * enough {
            partial.shrink_to(enough);
        }
    }

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

/// Room for all of a frame that is awaited, unless there is little to show for it.
fn room(awaited: usize, there: usize) -> usize {
    awaited.min(memory::GROWTH * there)
}

/// How many times as long as an answer the end of a frame is waited for: the longest one has time on a slow line.
const PATIENCE: i64 = 6;
/// A tenth of a second, nanoseconds.
const TENTH: i64 = 100_000_000;

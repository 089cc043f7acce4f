//! The adapter between a stream and a protocol: partial input, resynchronisation, lost bytes.

mod kept;
mod settings;
mod step;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use self::kept::{Kept, SearchProgress, capacity_for};
use self::settings::FlowSettings;
use self::step::{Framing, Step};
use crate::candidate::{Candidate, Proof};
use crate::dissector::{Anomaly, AnomalyKind, Dissector, FrameLen, Limits, Protocol, Side, Sink, Stamp, Transport};
use crate::identify::Hints;
use crate::keys::Keys;
use crate::memory;

/// Decodes the payload of one flow, which has one protocol at a time.
///
/// A side is *in step* while frames follow each other, and *lost* after a gap, a framing error, or a start in
/// mid-stream. A lost side is in step again at a frame that is certain by its structure, at a frame that another one
/// follows, or at one that ends exactly with the stream; after a start in mid-stream also at its first byte, if only frames
/// with wrong headers precede such a frame. The bytes before are counted as lost. The result depends on the bytes alone,
/// never on how they were cut into segments.
///
/// Where a frame is due and none starts, or where none can start while a side is lost, exact frames of another protocol
/// change the protocol of the flow: one of the same name, on the same port, or [expected](Session::expect) here. Both sides
/// change at once, and may change back.
pub struct Session {
    protocol: &'static Protocol,
    dissector: Box<dyn Dissector>,
    /// Of each side.
    framing: [Framing; 2],
    settings: FlowSettings,
    /// Incomplete frames; none in the common case.
    kept: Option<Box<Kept>>,
    /// No answer is overdue up to this clock; `i64::MAX` while no request is pending.
    wake: i64,
}

impl Session {
    /// Starts decoding a flow. `midstream`: its first bytes may be in the middle of a frame.
    pub fn new(protocol: &'static Protocol, transport: Transport, limits: &Limits, midstream: bool) -> Self {
        let settings = FlowSettings::new(transport, limits);
        let dissector = settings.open(protocol);
        let framing = if midstream { Framing::Joined } else { Framing::InStep };
        Self { protocol, dissector, framing: [framing; 2], settings, kept: None, wake: i64::MAX }
    }

    /// Sets the rows that the flow may change to, beside those of the same name or port.
    pub fn expect(&mut self, hints: Hints) {
        self.settings.hints = hints;
    }

    /// Gives the decoder keys for encrypted traffic. To be called before the first bytes.
    pub fn unlock(&mut self, keys: &Arc<dyn Keys>) {
        self.dissector.unlock(keys);
    }

    /// The current protocol.
    pub fn protocol(&self) -> &'static Protocol {
        self.protocol
    }

    /// The transport that carries the flow.
    pub fn transport(&self) -> Transport {
        self.settings.transport
    }

    /// Decodes the next bytes of `from`, which follow the bytes before without a gap.
    #[inline]
    pub fn feed_stream(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) {
        self.expire(stamp.clock, sink);
        // Nearly every segment holds whole frames and nothing else.
        let in_step = self.kept.is_none() && self.framing == [Framing::InStep; 2];
        let used = if in_step { self.dissector.decode_frames(from, bytes, stamp, sink) } else { 0 };
        if used < bytes.len() {
            self.feed_rest(from, bytes.get(used..).unwrap_or_default(), stamp, sink);
        }
        self.update_unset_wake();
    }

    /// Decodes or keeps the bytes of `from` after its last whole frame: part of a frame, no frame at all, or any bytes while
    /// a side is lost or a frame of either side is incomplete.
    fn feed_rest(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) {
        let is_kept = match &mut self.kept {
            Some(kept) => {
                kept.clock = stamp.clock;
                kept.append(from, bytes, stamp)
            }
            None => self.keep_frame_start(from, bytes, stamp, sink),
        };
        if is_kept {
            return;
        }
        let (mut partial, mut progress) = self.take_kept(from);
        if partial.is_empty() {
            let used = self.consume(from, bytes, (&mut progress, false), (stamp, sink));
            if let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
                partial = memory::lent(rest.len(), rest.len(), sink);
                partial.extend_from_slice(rest);
            }
        } else {
            partial.extend_from_slice(bytes);
            let used = self.consume(from, &partial, (&mut progress, false), (stamp, sink));
            partial.drain(..used.min(partial.len()));
        }
        let mut step = self.step(from, progress, (stamp, sink));
        step.enforce_limit(&mut partial);
        let progress = step.progress;
        self.keep(from, partial, progress, (stamp, sink));
    }

    /// Takes the kept bytes of a side out, with the progress of the search in them.
    fn take_kept(&mut self, from: Side) -> (Vec<u8>, SearchProgress) {
        let partial = self.kept.as_mut().map(|kept| kept.side_mut(from));
        partial.map(|partial| (core::mem::take(&mut partial.bytes), partial.progress)).unwrap_or_default()
    }

    /// Decodes every whole frame in `bytes`, across changes of the protocol, and returns the number of bytes consumed.
    /// `is_last`: the stream ends with them.
    fn consume(
        &mut self,
        from: Side,
        bytes: &[u8],
        (progress, is_last): (&mut SearchProgress, bool),
        (stamp, sink): (&Stamp, &mut dyn Sink),
    ) -> usize {
        let mut used = 0;
        loop {
            let mut step = Step { is_last, ..self.step(from, *progress, (stamp, sink)) };
            let consumed = step.consume(bytes.get(used..).unwrap_or_default());
            *progress = step.progress;
            used += consumed.used;
            if !consumed.changed {
                return used;
            }
            self.retry_kept(from.other(), sink);
        }
    }

    fn step<'s>(
        &'s mut self,
        from: Side,
        progress: SearchProgress,
        (stamp, sink): (&'s Stamp, &'s mut dyn Sink),
    ) -> Step<'s> {
        let Self { protocol, dissector, framing: [client, server], settings, .. } = self;
        let framing = if from == Side::Client { client } else { server };
        Step { protocol, dissector, settings, from, framing, progress, is_last: false, stamp, sink }
    }

    /// Searches the kept bytes of a lost side for frames of the new protocol, after the other side has changed it.
    fn retry_kept(&mut self, from: Side, sink: &mut dyn Sink) {
        let is_lost = self.is_lost(from);
        let Some(kept) = &mut self.kept else { return };
        kept.side_mut(from).awaited = 0;
        if is_lost {
            let stamp = kept.latest(from);
            let (mut partial, _) = self.take_kept(from);
            let mut step = self.step(from, SearchProgress::default(), (&stamp, sink));
            let used = step.consume(&partial).used;
            let progress = step.progress;
            partial.drain(..used.min(partial.len()));
            self.keep(from, partial, progress, (&stamp, sink));
            self.update_wake();
        }
    }

    /// Keeps the start of a frame of known length. Returns whether `bytes` are one.
    fn keep_frame_start(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) -> bool {
        let awaited = if self.framing == [Framing::InStep; 2] { self.awaited_length(from, bytes) } else { 0 };
        let begins = bytes.len() < awaited;
        if begins {
            let wanted = capacity_for(awaited, bytes.len());
            let mut partial = memory::lent(bytes.len(), wanted, sink);
            partial.reserve_exact(wanted);
            partial.extend_from_slice(bytes);
            self.kept.get_or_insert_default().replace(from, partial, awaited, SearchProgress::default(), stamp);
            sink.takes_memory();
        }
        begins
    }

    /// Keeps the bytes of an incomplete frame.
    fn keep(
        &mut self,
        from: Side,
        mut partial: Vec<u8>,
        progress: SearchProgress,
        (stamp, sink): (&Stamp, &mut dyn Sink),
    ) {
        if partial.is_empty() {
            sink.give_back(core::mem::take(&mut partial));
            if self.kept.is_none() {
                return;
            }
        }
        if !partial.is_empty() {
            sink.takes_memory();
        }
        let awaited = self.awaited_length(from, &partial);
        let kept = self.kept.get_or_insert_default();
        kept.replace(from, partial, awaited, progress, stamp);
        if kept.is_empty() {
            self.kept = None;
        }
    }

    /// The length of the frame that `partial` begins, if it is final; otherwise 0.
    fn awaited_length(&self, from: Side, partial: &[u8]) -> usize {
        if self.is_lost(from) || partial.is_empty() || !self.dissector.is_length_final() {
            return 0;
        }
        match self.dissector.frame_len(from, partial) {
            FrameLen::Bytes(length) if length <= self.protocol.max_frame => length,
            _ => 0,
        }
    }

    /// Decodes one datagram of `from`: every frame in it is whole or broken.
    pub fn feed_datagram(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) {
        self.expire(stamp.clock, sink);
        let mut used = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            let whole = self.dissector.decode_frames(from, rest, stamp, sink);
            let behind = rest.get(whole..).unwrap_or_default();
            let more = self.dissector.decode_last_frames(from, behind, stamp, sink);
            used += whole + more;
            let Some(rest) = behind.get(more..).filter(|rest| !rest.is_empty()) else { break };
            if !self.change_for_datagram(from, rest, stamp, sink) {
                let name = match self.dissector.frame_len(from, rest) {
                    FrameLen::Invalid(name) => name,
                    FrameLen::Bytes(_) | FrameLen::Unknown => "datagram_ends_inside_frame",
                };
                Self::report_broken_datagram(name, rest, from, stamp, sink);
                break;
            }
        }
        self.update_unset_wake();
    }

    /// Decodes the frames that are whole only because the stream ends here. If no frame can start with the remaining bytes,
    /// framing was lost, although they are too few to show how.
    fn decode_last_frames(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) -> usize {
        let used = self.dissector.decode_last_frames(from, bytes, stamp, sink);
        let rest = bytes.get(used..).filter(|rest| !rest.is_empty());
        if let Some(rest) = rest
            && self.dissector.frame_len(from, rest) == FrameLen::Unknown
            && !self.dissector.may_start(from, rest)
        {
            let (kind, name) = (AnomalyKind::Desynchronised, "frame_start");
            sink.anomaly(Anomaly { kind, name, value: None, from }, stamp);
        }
        used
    }

    /// Changes the protocol if the datagram is exactly one of another. Returns whether it is.
    fn change_for_datagram(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) -> bool {
        let candidate = Candidate { transport: Transport::Udp, from, bytes, is_last: true };
        let (_, found) = candidate.first_match(self.settings.others(self.protocol), Proof::Aligned);
        if let Some(protocol) = found {
            self.step(from, SearchProgress::default(), (stamp, sink)).change_protocol(protocol);
        }
        found.is_some()
    }

    fn report_broken_datagram(name: &'static str, rest: &[u8], from: Side, stamp: &Stamp, sink: &mut dyn Sink) {
        sink.lost(rest.len());
        sink.anomaly(Anomaly { kind: AnomalyKind::Malformed, name, value: None, from }, stamp);
    }

    /// Bytes that `from` sent are missing: its incomplete frame is dropped, and the side is lost up to its next frame.
    pub fn feed_gap(&mut self, from: Side, sink: &mut dyn Sink) {
        self.finish_side(from, sink);
        self.lose(from);
    }

    fn is_lost(&self, from: Side) -> bool {
        self.framing.get(from.index()) != Some(&Framing::InStep)
    }

    /// Marks the framing of a side as lost.
    fn lose(&mut self, from: Side) {
        if let Some(framing) = self.framing.get_mut(from.index()) {
            *framing = Framing::Lost;
        }
        // Kept requests may be older than the current deadline.
        self.update_wake();
    }

    /// Reports the requests whose answer is overdue at `clock`.
    #[inline]
    pub fn expire(&mut self, clock: i64, sink: &mut dyn Sink) {
        if self.wake < clock {
            self.dissector.expire(clock, sink);
            self.update_wake();
        }
    }

    /// The earliest time at which [`Session::expire`] has something to report, nanoseconds on the scale of
    /// [`Stamp::clock`].
    #[inline]
    pub fn deadline(&self) -> Option<i64> {
        (self.wake != i64::MAX).then_some(self.wake)
    }

    /// Deadlines only move forward: asking for one is needed only when none is known.
    #[inline]
    fn update_unset_wake(&mut self) {
        if self.wake == i64::MAX {
            self.update_wake();
        }
    }

    fn update_wake(&mut self) {
        self.wake = self.dissector.deadline().unwrap_or(i64::MAX);
    }

    /// The connection is closed at `clock`, nanoseconds: overdue requests end without an answer.
    pub fn close(&mut self, clock: i64, sink: &mut dyn Sink) {
        self.dissector.close(clock, sink);
        self.update_wake();
    }

    /// The flow or the capture ends: decodes what is complete, and ends all pending requests.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        for from in [Side::Client, Side::Server] {
            self.finish_side(from, sink);
        }
        self.dissector.finish(sink);
    }

    /// Whether the next byte of `from` should begin a frame: framing is not lost, and no frame is incomplete.
    pub fn is_in_step(&self, from: Side) -> bool {
        let has_begun = |kept: &Kept| !kept.side(from).bytes.is_empty();
        !self.is_lost(from) && !self.kept.as_deref().is_some_and(has_begun)
    }

    /// Bytes kept of incomplete frames, and of incomplete messages that span frames.
    pub fn buffered(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.len()) + self.dissector.buffered()
    }

    /// Approximate memory of the session, bytes: [buffered](Session::buffered) bytes, and the state that later frames refer
    /// to. [`Sink::takes_memory`] reports its growth.
    pub fn memory(&self) -> usize {
        let kept = self.kept.as_ref().map_or(0, |kept| kept.memory());
        kept + self.dissector.buffered() + self.dissector.remembered()
    }

    /// Drops the [buffered](Session::buffered) bytes, to free their memory: they are lost, and each side continues at its
    /// next frame. Requests stay pending.
    pub fn give_up(&mut self, stamp: &Stamp, sink: &mut dyn Sink) {
        for from in [Side::Client, Side::Server] {
            let (bytes, progress) = self.take_kept(from);
            self.keep(from, Vec::new(), progress, (stamp, &mut *sink));
            if !bytes.is_empty() {
                sink.lost(bytes.len());
                self.lose(from);
            }
            if self.dissector.give_up(from, stamp, sink) || !bytes.is_empty() {
                Self::report_given_up(from, stamp, sink);
            }
        }
    }

    /// Drops the state that later frames refer to, such as pending requests and subscriptions, to free its memory.
    pub fn forget(&mut self, stamp: &Stamp, sink: &mut dyn Sink) {
        if self.dissector.remembered() > 0 {
            self.dissector.forget(stamp, sink);
            Self::report_given_up(Side::Client, stamp, sink);
            self.update_wake();
        }
    }

    fn report_given_up(from: Side, stamp: &Stamp, sink: &mut dyn Sink) {
        let (kind, name) = (AnomalyKind::Limit, "given_up_for_memory");
        sink.anomaly(Anomaly { kind, name, value: None, from }, stamp);
    }

    /// Nothing follows the kept bytes of a side: decodes the frames that only lacked a successor; the rest is lost.
    fn finish_side(&mut self, from: Side, sink: &mut dyn Sink) {
        let Some(kept) = &self.kept else { return };
        let stamp = kept.latest(from);
        let (partial, mut progress) = self.take_kept(from);
        let mut used = 0;
        if self.is_lost(from) {
            used = self.consume(from, &partial, (&mut progress, true), (&stamp, sink));
        }
        if let Some(rest) = partial.get(used..).filter(|_| !self.is_lost(from)) {
            used += self.decode_last_frames(from, rest, &stamp, sink);
        }
        if used < partial.len() {
            sink.lost(partial.len() - used);
        }
        self.keep(from, Vec::new(), SearchProgress::default(), (&stamp, sink));
    }
}

//! The one adapter between a stream and a protocol: partial input, resynchronisation, lost bytes.

mod kept;
mod step;
mod terms;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use self::kept::{Kept, Lead, room};
use self::step::{Standing, Step};
use self::terms::Terms;
use crate::candidate::{Place, Proof};
use crate::dissector::{Anomaly, AnomalyKind, Dissector, FrameLen, Limits, Protocol, Side, Sink, Stamp, Transport};
use crate::identify::Hints;
use crate::keys::Keys;
use crate::memory;

/// What one flow speaks: one protocol, or one after the other.
///
/// A side is *in step* while frames follow each other, and *lost* after a gap, a framing error, or a start in
/// mid-stream. A lost side is in step again where a frame convinces by its shape, where another frame follows one, or
/// where one ends exactly with the stream; after a start in mid-stream also where it begins with nothing but frames whose
/// headers lie up to there. What lies before is counted. Only the bytes decide, never how they were cut
/// into segments.
///
/// Where a frame should begin and none does, or where none can be while a side is lost, exact frames of another protocol
/// change the protocol of the flow: of one with the same name or on the same port, or of one that is
/// [expected](Session::expect). Both sides change at once, and may change back.
pub struct Session {
    protocol: &'static Protocol,
    dissector: Box<dyn Dissector>,
    /// Of each side.
    standing: [Standing; 2],
    terms: Terms,
    /// What has not arrived completely; none in the common case.
    kept: Option<Box<Kept>>,
    /// No answer is overdue up to this clock; `i64::MAX` when none is waited for.
    wake: i64,
}

impl Session {
    /// Starts the protocol on a flow. `midstream`: the first bytes may not be the start of a frame.
    pub fn new(protocol: &'static Protocol, transport: Transport, limits: &Limits, midstream: bool) -> Self {
        let terms = Terms::new(transport, limits);
        let dissector = terms.open(protocol);
        let standing = if midstream { Standing::Joined } else { Standing::InStep };
        Self { protocol, dissector, standing: [standing; 2], terms, kept: None, wake: i64::MAX }
    }

    /// Rows that the flow may change to beside those that are close to the one that is spoken.
    pub fn expect(&mut self, hints: Hints) {
        self.terms.hints = hints;
    }

    /// Hands the decoder keys for what is encrypted, before the first bytes.
    pub fn unlock(&mut self, keys: &Arc<dyn Keys>) {
        self.dissector.unlock(keys);
    }

    /// The protocol that is spoken.
    pub fn protocol(&self) -> &'static Protocol {
        self.protocol
    }

    /// What carries the flow.
    pub fn transport(&self) -> Transport {
        self.terms.transport
    }

    /// The next bytes that `from` sent, in order and without a gap before them.
    #[inline]
    pub fn stream(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) {
        self.expire(stamp.clock, sink);
        // Nearly every segment holds whole frames and nothing else.
        let in_step = self.kept.is_none() && self.standing == [Standing::InStep; 2];
        let used = if in_step { self.dissector.frames(from, bytes, stamp, sink) } else { 0 };
        if used < bytes.len() {
            self.rest(from, bytes.get(used..).unwrap_or_default(), stamp, sink);
        }
        self.set_wake();
    }

    /// What `from` sent after its last whole frame: a part of one, none at all, or anything while a side is lost or waits
    /// for the end of a frame.
    fn rest(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) {
        let goes_on = match &mut self.kept {
            Some(kept) => {
                kept.clock = stamp.clock;
                kept.append(from, bytes, stamp)
            }
            None => self.begin(from, bytes, stamp, sink),
        };
        if goes_on {
            return;
        }
        let (mut partial, mut lead) = self.take(from);
        if partial.is_empty() {
            let used = self.consume(from, bytes, (&mut lead, false), (stamp, sink));
            if let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
                partial = memory::lent(rest.len(), rest.len(), sink);
                memory::append(&mut partial, rest);
            }
        } else {
            memory::append(&mut partial, bytes);
            let used = self.consume(from, &partial, (&mut lead, false), (stamp, sink));
            partial.drain(..used.min(partial.len()));
        }
        let mut step = self.step(from, lead, (stamp, sink));
        step.bound(&mut partial);
        let lead = step.lead;
        self.keep(from, partial, lead, (stamp, sink));
    }

    /// What waits of a side: nothing does afterwards.
    fn take(&mut self, from: Side) -> (Vec<u8>, Lead) {
        let waiting = self.kept.as_mut().map(|kept| kept.side_mut(from));
        waiting.map(|waiting| (core::mem::take(&mut waiting.bytes), waiting.lead)).unwrap_or_default()
    }

    /// Decodes every whole frame in `bytes`, whatever protocol they change to; returns how many bytes are done with.
    /// `is_last`: nothing follows them.
    fn consume(
        &mut self,
        from: Side,
        bytes: &[u8],
        (lead, is_last): (&mut Lead, bool),
        (stamp, sink): (&Stamp, &mut dyn Sink),
    ) -> usize {
        let mut used = 0;
        loop {
            let mut step = Step { is_last, ..self.step(from, *lead, (stamp, sink)) };
            let taken = step.consume(bytes.get(used..).unwrap_or_default());
            *lead = step.lead;
            used += taken.used;
            if !taken.changed {
                return used;
            }
            self.reread(from.other(), sink);
        }
    }

    fn step<'s>(&'s mut self, from: Side, lead: Lead, (stamp, sink): (&'s Stamp, &'s mut dyn Sink)) -> Step<'s> {
        let Self { protocol, dissector, standing: [client, server], terms, .. } = self;
        let standing = if from == Side::Client { client } else { server };
        Step { protocol, dissector, terms, from, standing, lead, is_last: false, stamp, sink }
    }

    /// The protocol has changed: what waits of the other side may make sense to this one.
    fn reread(&mut self, from: Side, sink: &mut dyn Sink) {
        let is_lost = self.is_lost(from);
        let Some(kept) = &mut self.kept else { return };
        kept.side_mut(from).awaited = 0;
        if is_lost {
            let stamp = kept.latest(from);
            let (mut partial, _) = self.take(from);
            let mut step = self.step(from, Lead::default(), (&stamp, sink));
            let used = step.consume(&partial).used;
            let lead = step.lead;
            partial.drain(..used.min(partial.len()));
            self.keep(from, partial, lead, (&stamp, sink));
            self.find_wake();
        }
    }

    /// Keeps the beginning of a frame whose length is known. `false`: it is something else.
    fn begin(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) -> bool {
        let awaited = if self.standing == [Standing::InStep; 2] { self.awaited(from, bytes) } else { 0 };
        let begins = bytes.len() < awaited;
        if begins {
            let wanted = room(awaited, bytes.len());
            let mut partial = memory::lent(bytes.len(), wanted, sink);
            partial.reserve_exact(wanted);
            memory::append(&mut partial, bytes);
            self.kept.get_or_insert_default().put(from, partial, awaited, Lead::default(), stamp);
            sink.takes_memory();
        }
        begins
    }

    /// Keeps what has not arrived completely.
    fn keep(&mut self, from: Side, mut partial: Vec<u8>, lead: Lead, (stamp, sink): (&Stamp, &mut dyn Sink)) {
        if partial.is_empty() {
            sink.give_back(core::mem::take(&mut partial));
            if self.kept.is_none() {
                return;
            }
        }
        if !partial.is_empty() {
            sink.takes_memory();
        }
        let awaited = self.awaited(from, &partial);
        let kept = self.kept.get_or_insert_default();
        kept.put(from, partial, awaited, lead, stamp);
        if kept.is_empty() {
            self.kept = None;
        }
    }

    /// How long the frame is that `partial` begins with, if that is known for good; otherwise 0.
    fn awaited(&self, from: Side, partial: &[u8]) -> usize {
        if self.is_lost(from) || partial.is_empty() || !self.dissector.is_length_final() {
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
        let mut used = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            let whole = self.dissector.frames(from, rest, stamp, sink);
            let behind = rest.get(whole..).unwrap_or_default();
            let more = self.dissector.last_frames(from, behind, stamp, sink);
            used += whole + more;
            let Some(rest) = behind.get(more..).filter(|rest| !rest.is_empty()) else { break };
            if !self.datagram_of_another(from, rest, stamp, sink) {
                let name = match self.dissector.frame_len(from, rest) {
                    FrameLen::Invalid(name) => name,
                    FrameLen::Bytes(_) | FrameLen::Unknown => "datagram_ends_inside_frame",
                };
                Self::give_up_datagram(name, rest, from, stamp, sink);
                break;
            }
        }
        self.set_wake();
    }

    /// Nothing follows what a side in step has sent: what counts as whole is decoded. Where no frame can begin with the rest,
    /// framing was lost, although too little is there to say how.
    fn last_frames(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) -> usize {
        let used = self.dissector.last_frames(from, bytes, stamp, sink);
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

    /// Changes to the protocol of a datagram, if it is exactly one of another.
    fn datagram_of_another(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) -> bool {
        let place = Place { transport: Transport::Udp, from, bytes, is_last: true };
        let (_, found) = place.first_of(self.terms.others(self.protocol), Proof::Aligned);
        if let Some(protocol) = found {
            self.step(from, Lead::default(), (stamp, sink)).change(protocol);
        }
        found.is_some()
    }

    fn give_up_datagram(name: &'static str, rest: &[u8], from: Side, stamp: &Stamp, sink: &mut dyn Sink) {
        sink.lost(rest.len());
        sink.anomaly(Anomaly { kind: AnomalyKind::Malformed, name, value: None, from }, stamp);
    }

    /// Bytes that `from` sent were not captured: what was begun is given up, and the next frame start is looked for.
    pub fn gap(&mut self, from: Side, sink: &mut dyn Sink) {
        self.settle(from, sink);
        self.lose(from);
    }

    fn is_lost(&self, from: Side) -> bool {
        self.standing.get(from.index()) != Some(&Standing::InStep)
    }

    fn lose(&mut self, from: Side) {
        if let Some(standing) = self.standing.get_mut(from.index()) {
            *standing = Standing::Lost;
        }
        // What was kept may have been asked long ago.
        self.find_wake();
    }

    /// Tells of answers that are overdue at `clock`.
    #[inline]
    pub fn expire(&mut self, clock: i64, sink: &mut dyn Sink) {
        if self.wake < clock {
            self.dissector.expire(clock, sink);
            self.find_wake();
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
    fn set_wake(&mut self) {
        if self.wake == i64::MAX {
            self.find_wake();
        }
    }

    fn find_wake(&mut self) {
        self.wake = self.dissector.deadline().unwrap_or(i64::MAX);
    }

    /// The connection is closed at `clock`, nanoseconds: what is overdue is no longer waited for.
    pub fn close(&mut self, clock: i64, sink: &mut dyn Sink) {
        self.dissector.close(clock, sink);
        self.find_wake();
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
        let begun = |kept: &Kept| !kept.side(from).bytes.is_empty();
        !self.is_lost(from) && !self.kept.as_deref().is_some_and(begun)
    }

    /// Bytes kept for frames, or for what spans them, that have not arrived completely.
    pub fn buffered(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.len()) + self.dissector.buffered()
    }

    /// Bytes of memory, nearly, that the session takes for what is [buffered](Session::buffered), and for what later frames
    /// refer to. [`Sink::takes_memory`] tells when it grows.
    pub fn memory(&self) -> usize {
        let kept = self.kept.as_ref().map_or(0, |kept| kept.memory());
        kept + self.dissector.buffered() + self.dissector.remembered()
    }

    /// Gives up what is [buffered](Session::buffered), because its memory is needed elsewhere: it is lost, and each side
    /// goes on where its next frame begins. What was asked still waits for its answer.
    pub fn give_up(&mut self, stamp: &Stamp, sink: &mut dyn Sink) {
        for from in [Side::Client, Side::Server] {
            let (bytes, lead) = self.take(from);
            self.keep(from, Vec::new(), lead, (stamp, &mut *sink));
            if !bytes.is_empty() {
                sink.lost(bytes.len());
                self.lose(from);
            }
            if self.dissector.give_up(from, stamp, sink) || !bytes.is_empty() {
                Self::tell_given_up(from, stamp, sink);
            }
        }
    }

    /// Gives up what later frames refer to, for the same reason: their requests and their subscriptions are not known then.
    pub fn forget(&mut self, stamp: &Stamp, sink: &mut dyn Sink) {
        if self.dissector.remembered() > 0 {
            self.dissector.forget(stamp, sink);
            Self::tell_given_up(Side::Client, stamp, sink);
            self.find_wake();
        }
    }

    fn tell_given_up(from: Side, stamp: &Stamp, sink: &mut dyn Sink) {
        let (kind, name) = (AnomalyKind::Limit, "given_up_for_memory");
        sink.anomaly(Anomaly { kind, name, value: None, from }, stamp);
    }

    /// Nothing follows what was kept: whole frames that only lacked others beside them count, the rest is lost.
    fn settle(&mut self, from: Side, sink: &mut dyn Sink) {
        let Some(kept) = &self.kept else { return };
        let stamp = kept.latest(from);
        let (partial, mut lead) = self.take(from);
        let mut used = 0;
        if self.is_lost(from) {
            used = self.consume(from, &partial, (&mut lead, true), (&stamp, sink));
        }
        if let Some(rest) = partial.get(used..).filter(|_| !self.is_lost(from)) {
            used += self.last_frames(from, rest, &stamp, sink);
        }
        if used < partial.len() {
            sink.lost(partial.len() - used);
        }
        self.keep(from, Vec::new(), Lead::default(), (&stamp, sink));
    }
}

//! Any packet: from bytes to its conversation.

use lockkeeper_protocols::Stamp;

use super::Worker;
use super::context::FlowContext;
use super::conversation::{Conversation, Sight};
use super::neighbours::is_neighbour_discovery;
use super::shard::Shard;
use super::unread;
use crate::capture::Packet;
use crate::flow::{End, FlowKey, Lifetime, Progress};
use crate::frame::{self, Body, Frame};
use crate::record::Doubt;

impl Worker {
    /// Judges one packet of a block, dealt to a shard.
    pub fn packet(&mut self, packet: &Packet, bytes: &[u8], shard: u8) {
        match frame::plain(packet.link, bytes, packet.original) {
            Some(plain) => self.plain(&plain, packet, bytes, shard),
            None => self.any(packet, bytes, self.index_of(shard), false),
        }
    }

    /// Judges one packet that was put together of fragments that contradict each other.
    #[inline(never)]
    pub(super) fn ambiguous(&mut self, packet: &Packet, bytes: &[u8], shard: u8) {
        self.any(packet, bytes, self.index_of(shard), true);
    }

    /// A fragment that no datagram can be made of is traffic between its two hosts.
    #[cold]
    pub(super) fn fragment(&mut self, packet: &Packet, bytes: &[u8], shard: u8) {
        if let Some(frame) = frame::fragment(packet.link, bytes, packet.original) {
            self.frame(&frame, packet, self.index_of(shard), false);
        }
    }

    /// Any packet.
    #[inline(never)]
    pub(super) fn any(&mut self, packet: &Packet, bytes: &[u8], index: usize, is_ambiguous: bool) {
        let clock = packet.stamp.clock;
        let frame = match frame::decode(packet.link, bytes, packet.original) {
            Ok(frame) => frame,
            Err(reason) => return self.state.unread(unread::of_refused(reason), clock),
        };
        if frame.cut > 0 || frame.undecoded.is_some() {
            self.state.not_all_read(&frame, clock);
        }
        let copies = self.shards.get_mut(index).map(|shard| &mut shard.copies);
        match copies.map(|copies| copies.is_copy(&frame, clock)) {
            Some(false) => self.frame(&frame, packet, index, is_ambiguous),
            // The same words from other hardware: a router, or somebody in between.
            Some(true) => self.note_sender(index, &frame, &packet.stamp),
            None => {}
        }
    }

    /// One frame that is no copy.
    pub(super) fn frame(&mut self, frame: &Frame<'_>, packet: &Packet, index: usize, is_ambiguous: bool) {
        let stamp = &packet.stamp;
        match FlowKey::of(frame) {
            Some((key, from)) if !is_neighbour_discovery(frame) => {
                self.converse(index, (&key, from), frame, stamp, is_ambiguous)
            }
            _ => {
                let Self { state, shards, settings, .. } = self;
                let Some(Shard { sightings, neighbours, .. }) = shards.get_mut(index) else { return };
                sightings.observe(frame, stamp, state);
                neighbours.observe(frame, settings.neighbours, stamp, state);
            }
        }
    }

    /// One frame of a conversation: found or begun, then heard.
    pub(super) fn converse(
        &mut self,
        index: usize,
        (key, from): (&FlowKey, End),
        frame: &Frame<'_>,
        stamp: &Stamp,
        is_ambiguous: bool,
    ) {
        let Self { state, shards, streams: counters, settings, .. } = self;
        let Some(Shard { flows, shared, .. }) = shards.get_mut(index) else { return };
        let context = &mut FlowContext::new(state, settings, counters, shared);
        let lifetime = match frame.body {
            Body::Tcp(_, segment) if segment.flags.syn => Lifetime::Opening,
            Body::Tcp(..) => Lifetime::Stream,
            _ => Lifetime::Datagram,
        };
        let fits = |conversation: &Conversation| conversation.fits(from, frame);
        let make = || Conversation::new(key, from, frame, stamp);
        let found = flows.get_or_insert_with(key, stamp.clock, lifetime, fits, make);
        if let Some(mut gone) = found.gone {
            gone.value.end(stamp.clock, context);
        }
        if found.fresh {
            self.quiet_until = i64::MIN;
        }
        let (entry, conversation) = (found.entry, found.value);
        let mut sight = Sight::BEGIN;
        if !found.fresh {
            sight = conversation.flow.facts.meet(from, frame);
            conversation.flow.takes_note(sight, stamp, context.state);
        }
        let mut progress = conversation.frame(from, frame, stamp, context);
        if progress == Progress::Restart {
            // A new handshake on the same ports: what was is over.
            let mut over = std::mem::replace(conversation, Conversation::new(key, from, frame, stamp));
            over.end(stamp.clock, context);
            progress = conversation.frame(from, frame, stamp, context);
        }
        if is_ambiguous {
            context.state.doubt(&mut conversation.flow.facts, Doubt::OverlappingFragments, stamp);
        }
        let holds = conversation.holds_memory() || context.state.took_memory;
        self.has_news(index, entry, progress, stamp);
        if holds {
            self.note_memory(index, entry, stamp);
        }
        if sight.is_first || sight.has_moved {
            self.note_sender(index, frame, stamp);
        }
    }

    /// Tells who sent a frame, where that is news.
    fn note_sender(&mut self, index: usize, frame: &Frame<'_>, stamp: &Stamp) {
        if let Some(shard) = self.shards.get_mut(index) {
            shard.sightings.observe(frame, stamp, &mut self.state);
        }
    }
}

//! The full path of a packet: decoded, compared with copies, assigned to its conversation.

use lockkeeper_protocols::Stamp;

use super::Worker;
use super::context::FlowContext;
use super::conversation::{Conversation, LinkChange};
use super::neighbours::is_neighbour_discovery;
use super::shard::Shard;
use super::unread;
use crate::capture::Packet;
use crate::flow::{End, FlowKey, Lifetime, Progress};
use crate::frame::{self, Body, Frame};
use crate::record::Doubt;

impl Worker {
    /// Judges one packet of a block, dealt to a shard.
    pub fn judge_packet(&mut self, packet: &Packet, bytes: &[u8], shard: u8) {
        match frame::plain_segment(packet.link, bytes, packet.original) {
            Some(plain) => self.judge_plain(&plain, packet, bytes, shard),
            None => self.judge_any(packet, bytes, self.index_of(shard), false),
        }
    }

    /// Judges a fragment that no datagram can be reassembled from, as traffic between its two hosts.
    pub(super) fn judge_fragment(&mut self, packet: &Packet, bytes: &[u8], shard: u8) {
        if let Some(frame) = frame::fragment(packet.link, bytes, packet.original) {
            self.judge_frame(&frame, packet, self.index_of(shard), false);
        }
    }

    /// Judges any packet. `is_ambiguous`: it was reassembled from fragments that contradict each other.
    #[inline(never)]
    pub(super) fn judge_any(&mut self, packet: &Packet, bytes: &[u8], index: usize, is_ambiguous: bool) {
        let clock = packet.stamp.clock;
        let frame = match frame::decode(packet.link, bytes, packet.original) {
            Ok(frame) => frame,
            Err(reason) => return self.state.count_unread(unread::of_refused(reason), clock),
        };
        if frame.cut > 0 || frame.undecoded.is_some() {
            self.state.count_partly_read(&frame, clock);
        }
        let duplicates = self.shards.get_mut(index).map(|shard| &mut shard.duplicates);
        match duplicates.map(|filter| filter.detect(&frame, clock)) {
            Some(false) => self.judge_frame(&frame, packet, index, is_ambiguous),
            // A copy from other hardware comes from a router, or from a man in the middle.
            Some(true) => self.report_sender(index, &frame, &packet.stamp),
            None => {}
        }
    }

    /// Judges one frame that is no copy.
    fn judge_frame(&mut self, frame: &Frame<'_>, packet: &Packet, index: usize, is_ambiguous: bool) {
        let stamp = &packet.stamp;
        match FlowKey::of(frame) {
            Some((key, from)) if !is_neighbour_discovery(frame) => {
                self.judge_in_conversation(index, (&key, from), frame, stamp, is_ambiguous)
            }
            _ => {
                let Self { state, shards, settings, .. } = self;
                let Some(Shard { sightings, neighbours, .. }) = shards.get_mut(index) else { return };
                sightings.observe(frame, stamp, state);
                neighbours.observe(frame, settings.neighbours, stamp, state);
            }
        }
    }

    /// Finds or begins the conversation of a frame, and gives the frame to it.
    fn judge_in_conversation(
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
        let mut change = LinkChange::FIRST_FRAME;
        if !found.fresh {
            change = conversation.flow.facts.note_link(from, frame);
            conversation.flow.apply_link_change(change, stamp, context.state);
        }
        let mut progress = conversation.take_frame(from, frame, stamp, context);
        if progress == Progress::Restart {
            // A new handshake on the same ports begins a new conversation.
            let mut over = std::mem::replace(conversation, Conversation::new(key, from, frame, stamp));
            over.end(stamp.clock, context);
            progress = conversation.take_frame(from, frame, stamp, context);
        }
        if is_ambiguous {
            context.state.report_doubt(&mut conversation.flow.facts, Doubt::OverlappingFragments, stamp);
        }
        let holds = conversation.holds_memory() || context.state.took_memory;
        self.after_packet(index, entry, progress, stamp);
        if holds {
            self.note_memory(index, entry, stamp);
        }
        if change.is_first || change.has_moved {
            self.report_sender(index, frame, stamp);
        }
    }

    /// Reports the sender of a frame where it is new to the shard.
    fn report_sender(&mut self, index: usize, frame: &Frame<'_>, stamp: &Stamp) {
        if let Some(shard) = self.shards.get_mut(index) {
            shard.sightings.observe(frame, stamp, &mut self.state);
        }
    }
}

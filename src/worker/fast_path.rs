//! The fast path.

use std::hint::cold_path;

use lockkeeper_protocols::Stamp;

use super::Worker;
use super::conversation::{Conversation, StreamSink};
use super::flow_facts::NEVER;
use super::state::WorkerState;
use crate::capture::Packet;
use crate::flow::{BriefKey, End, Progress, RecentBytes, Used};
use crate::frame::{Plain, Segment};

impl Worker {
    /// Judges one packet that was seen to be a plain segment.
    #[inline(always)]
    pub fn plain(&mut self, plain: &Plain<'_>, packet: &Packet, bytes: &[u8], shard: u8) {
        let index = self.index_of(shard);
        if !self.segment(plain, packet, bytes, index) {
            cold_path();
            self.any(packet, bytes, index, false);
        }
    }

    /// A plain segment of a known conversation that is the next of its stream, which is what nearly all packets are.
    /// `false`: it is not one, and nothing was done.
    #[inline(always)]
    fn segment(&mut self, plain: &Plain<'_>, packet: &Packet, bytes: &[u8], index: usize) -> bool {
        let Some(shard) = self.shards.get_mut(index) else { return false };
        let (key, from) = BriefKey::of(plain);
        let Some(Used { slot, value: conversation, is_due }) = shard.flows.find(key, packet.stamp.clock) else {
            return false;
        };
        let segment = plain.segment();
        if !conversation.expects(from, &segment) {
            return false;
        }
        if self.state.watches_hardware && !conversation.is_from(from, bytes) {
            return false;
        }
        if shard.shared.senders.verifies() && !plain.has_right_checksums() {
            return false;
        }
        let progress = conversation.next(from, &segment, &packet.stamp, &mut shard.shared.recent, &mut self.state);
        if is_due || conversation.may_need_timer() || progress == Progress::Closed {
            cold_path();
            if is_due {
                shard.flows.list_again(slot);
            }
            let entry = shard.flows.entry(slot);
            self.has_news(index, entry, progress, &packet.stamp);
        }
        if self.state.took_memory {
            cold_path();
            let Some(shard) = self.shards.get(index) else { return true };
            self.note_memory(index, shard.flows.entry(slot), &packet.stamp);
        }
        true
    }
}

impl Conversation {
    /// Whether a segment is the next of its stream, from an end that has sent something already.
    #[inline(always)]
    pub(super) fn expects(&self, from: End, segment: &Segment<'_>) -> bool {
        self.flow.facts.seen[from.index()] && self.tcp.is_expected(from, segment)
    }

    /// The next segment of a stream, with right checksums if they count: one that it [expects](Conversation::expects).
    #[inline(always)]
    pub(super) fn next(
        &mut self,
        from: End,
        segment: &Segment<'_>,
        stamp: &Stamp,
        recent: &mut RecentBytes,
        state: &mut WorkerState,
    ) -> Progress {
        let Self { tcp, flow } = self;
        let right = &mut flow.facts.right[from.index()];
        *right = right.saturating_add(1);
        let recent = if flow.facts.compares { Some(recent) } else { None };
        tcp.expected(from, segment, stamp, recent, &mut StreamSink { flow, state })
    }

    /// Whether it may need an earlier timer than it has. What waits for an answer was asked later than what a timer is
    /// set for, so that only disorder can make it need one.
    pub(super) fn may_need_timer(&self) -> bool {
        self.flow.facts.armed == NEVER || self.tcp.deadline().is_some()
    }
}

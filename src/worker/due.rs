//! Deadlines: what becomes due by packet time although no packet of its conversation arrives.

use lockkeeper_protocols::Stamp;

use super::Worker;
use super::context::FlowContext;
use super::conversation::Conversation;
use super::flow_facts::NEVER;
use super::shard::Shard;
use super::timers::{Timer, Timers};
use crate::flow::{Entry, Progress};

impl Worker {
    /// Runs the timers that are due by `clock`, in the order of their deadlines, and ends silent conversations.
    pub(super) fn run_due(&mut self, clock: i64) {
        let Self { state, shards, timers, streams: counters, settings, .. } = self;
        while let Some(timer) = timers.take_due(clock) {
            let index = timer.shard as usize;
            let Some(Shard { flows, shared, .. }) = shards.get_mut(index) else { continue };
            let context = &mut FlowContext::new(state, settings, counters, shared);
            let Some((_, conversation)) = flows.get_mut(timer.flow) else { continue };
            if conversation.flow.facts.armed == timer.due {
                conversation.flow.facts.armed = NEVER;
                conversation.expire(clock, context);
                arm(timers, conversation, index, timer.flow);
            }
        }
        // Shards are checked only when one of them may have something to end: their memory is cold at the end of a block.
        if clock >= self.quiet_until {
            for Shard { flows, shared, .. } in shards.iter_mut() {
                let context = &mut FlowContext::new(state, settings, counters, shared);
                flows.reap(clock, REAPED_AT_ONCE, |mut gone| gone.value.end(clock, context));
            }
            self.quiet_until = shards.iter().map(|shard| shard.flows.quiet_until()).min().unwrap_or(i64::MAX);
        }
    }

    /// After a packet: notes the end of its stream, sets an earlier timer where the conversation needs one, and updates the
    /// timeout of the conversation.
    #[inline(never)]
    pub(super) fn after_packet(&mut self, index: usize, entry: Entry, progress: Progress, stamp: &Stamp) {
        let Some(shard) = self.shards.get_mut(index) else { return };
        let Some((_, conversation)) = shard.flows.get_mut(entry) else { return };
        if progress == Progress::Closed {
            conversation.flow.close(stamp.clock, &mut self.state);
        }
        if conversation.may_need_timer() {
            arm(&mut self.timers, conversation, index, entry);
        }
        if shard.update_lifetime(entry, progress) {
            self.quiet_until = i64::MIN;
        }
    }
}

/// Sets the timer of a conversation if it needs an earlier one than it has.
fn arm(timers: &mut Timers, conversation: &mut Conversation, shard: usize, flow: Entry) {
    if let Some(due) = conversation.due()
        && due < conversation.flow.facts.armed
    {
        conversation.flow.facts.armed = due;
        timers.set(Timer { due, shard: shard as u32, flow });
    }
}

/// Conversations of one shard that are ended at the end of one block, at most: bounds the pause.
const REAPED_AT_ONCE: usize = 1024;

//! The memory that a conversation holds, and how it gives it up.

use std::cmp::Reverse;

use lockkeeper_protocols::Stamp;

use super::content::Content;
use super::stream_sink::StreamSink;
use super::{Conversation, FlowState};
use crate::record::Doubt;
use crate::worker::context::FlowContext;
use crate::worker::flow_sink::FlowSink;

impl Conversation {
    /// Approximate memory beside its row in the table, bytes: segments out of order, incomplete messages, pending operations.
    fn memory(&self) -> usize {
        let content = match &self.flow.content {
            Content::Empty | Content::Other(None) => 0,
            Content::Unidentified(buffer) => buffer.memory(),
            Content::Identified(session) => session.memory(),
            Content::Other(Some(search)) => search.memory(),
        };
        let rare = self.flow.facts.rare();
        let rare = rare.map_or(0, |rare| rare.pending.memory() + rare.readings.memory());
        self.tcp.held_bytes() + content + rare
    }

    /// Whether it held memory when it was measured last, or holds segments out of order now.
    pub(in crate::worker) fn holds_memory(&self) -> bool {
        self.noted_memory() > 0 || self.tcp.held_bytes() > 0
    }

    /// Memory as measured last, bytes.
    pub(in crate::worker) fn noted_memory(&self) -> u32 {
        self.flow.facts.rare().map_or(0, |rare| rare.memory)
    }

    /// Measures its memory, and adds the difference to `of_all`.
    pub(in crate::worker) fn note_memory(&mut self, of_all: &mut usize) {
        let now = u32::try_from(self.memory()).unwrap_or(u32::MAX);
        let before = self.noted_memory();
        if now != before {
            self.flow.facts.make_rare().memory = now;
            self.flow.facts.drop_empty_rare_state();
        }
        *of_all = of_all.saturating_sub(before as usize) + now as usize;
    }

    /// Returns its memory to the budget of the shard.
    pub(super) fn free_memory(&mut self, context: &mut FlowContext<'_>) {
        let memory = &mut context.shared.memory;
        *memory = memory.saturating_sub(self.noted_memory() as usize);
    }

    /// Gives up everything that it holds: bytes behind a hole are delivered without what is missing, incomplete messages are
    /// lost.
    pub(in crate::worker) fn give_up_memory(&mut self, stamp: &Stamp, context: &mut FlowContext<'_>) {
        let Self { tcp, flow } = self;
        if tcp.held_bytes() > 0 {
            context.state.report_doubt(&mut flow.facts, Doubt::GivenUp, stamp);
            context.counters.limit_reached += 1;
            let (assembly, state) = context.assembly(flow.facts.keeps_delivered);
            tcp.finish(stamp.clock, assembly, &mut StreamSink { flow, state });
        }
        flow.conclude_identification(stamp, context.state);
        let FlowState { facts, content } = flow;
        if let Content::Identified(session) = content {
            let flow_sink = &mut FlowSink { facts, state: &mut *context.state };
            session.give_up(stamp, flow_sink);
            session.forget(stamp, flow_sink);
        }
        if let Some(rare) = facts.rare_mut() {
            rare.readings.end_all();
            facts.has_readings = false;
        }
        context.state.counters.losses.conversations_given_up += 1;
    }
}

impl Conversation {
    /// Sorts conversations by memory, largest first, then by age, oldest first.
    pub(in crate::worker) fn rank(&self) -> (Reverse<u32>, u64) {
        (Reverse(self.noted_memory()), self.flow.facts.first.packet)
    }
}

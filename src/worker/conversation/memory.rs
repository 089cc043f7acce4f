//! What a conversation takes of the memory that all of them share, and how it gives that back.
//!
//! One budget holds for the conversations of a shard. Where it is exceeded, those that take most give up what they hold, until
//! an eighth of it is free: whoever fills it pays first, and a look at all conversations is worth its time.

use std::cmp::Reverse;

use lockkeeper_protocols::Stamp;

use super::content::Content;
use super::stream_sink::StreamSink;
use super::{Conversation, FlowState};
use crate::record::Doubt;
use crate::worker::context::FlowContext;
use crate::worker::flow_sink::FlowSink;

impl Conversation {
    /// Bytes of memory, nearly, that it takes beside its place in the table: for what is out of order or incomplete, and for
    /// what is waited for.
    fn memory(&self) -> usize {
        let content = match &self.flow.content {
            Content::Silent | Content::Other(None) => 0,
            Content::Unidentified(buffer) => buffer.memory(),
            Content::Identified(session) => session.memory(),
            Content::Other(Some(search)) => search.memory(),
        };
        let rare = self.flow.facts.rare();
        let rare = rare.map_or(0, |rare| rare.pending.memory() + rare.readings.memory());
        self.tcp.held_bytes() + content + rare
    }

    /// Whether it holds anything, as far as that was noted, or something is out of order.
    pub(in crate::worker) fn holds_memory(&self) -> bool {
        self.noted_memory() > 0 || self.tcp.held_bytes() > 0
    }

    /// What it took when that was noted last.
    pub(in crate::worker) fn noted_memory(&self) -> u32 {
        self.flow.facts.rare().map_or(0, |rare| rare.memory)
    }

    /// Notes what it takes now.
    pub(in crate::worker) fn note_memory(&mut self, of_all: &mut usize) {
        let now = u32::try_from(self.memory()).unwrap_or(u32::MAX);
        let before = self.noted_memory();
        if now != before {
            self.flow.facts.make_rare().memory = now;
            self.flow.facts.drop_empty_rare_state();
        }
        *of_all = of_all.saturating_sub(before as usize) + now as usize;
    }

    /// It has ended.
    pub(super) fn free_memory(&mut self, context: &mut FlowContext<'_>) {
        let memory = &mut context.shared.memory;
        *memory = memory.saturating_sub(self.noted_memory() as usize);
    }

    /// Gives up all that it holds: bytes that wait for others are delivered without them, and what is incomplete is lost.
    pub(in crate::worker) fn give_up_memory(&mut self, stamp: &Stamp, context: &mut FlowContext<'_>) {
        let Self { tcp, flow } = self;
        if tcp.held_bytes() > 0 {
            context.state.report_doubt(&mut flow.facts, Doubt::GivenUp, stamp);
            context.counters.limit_reached += 1;
            let (assembly, state) = context.assembly(flow.facts.compares);
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
            rare.readings.give_up();
            facts.reads_twice = false;
        }
        context.state.counters.losses.conversations_given_up += 1;
    }
}

impl Conversation {
    /// Whoever takes most comes first; of two that take the same, the older.
    pub(in crate::worker) fn rank(&self) -> (Reverse<u32>, u64) {
        (Reverse(self.noted_memory()), self.flow.facts.first.packet)
    }
}

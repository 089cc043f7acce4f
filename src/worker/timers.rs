//! Timers of conversations, by packet time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::flow::Entry;

/// Deadlines of conversations, earliest first. Only the earliest deadline of a conversation is in force (`FlowFacts::armed`);
/// later ones are ignored when they come up.
#[derive(Debug, Default)]
pub(super) struct Timers {
    set: BinaryHeap<Reverse<Timer>>,
}

/// One deadline. Every conversation with pending operations has one, so that its size matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(Rust, packed(4))]
pub(super) struct Timer {
    /// Packet clock, nanoseconds.
    pub(super) due: i64,
    /// Index of the shard among the worker's own.
    pub(super) shard: u32,
    /// The conversation in that shard.
    pub(super) flow: Entry,
}

impl Timers {
    pub(super) fn set(&mut self, timer: Timer) {
        self.set.push(Reverse(timer));
    }

    /// Takes the next timer that is due at `clock`.
    pub(super) fn take_due(&mut self, clock: i64) -> Option<Timer> {
        let Reverse(next) = self.set.peek()?;
        if next.due <= clock { self.set.pop().map(|Reverse(timer)| timer) } else { None }
    }
}

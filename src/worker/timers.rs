//! When which conversation has something to do, though nothing arrives for it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::flow::Entry;

/// Deadlines of conversations, earliest first. A conversation has at most one that matters: the earliest.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BinaryHeap<Reverse<Timer>>,
}

/// One deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer {
    /// Packet clock, nanoseconds.
    pub(super) deadline: i64,
    /// Which of the worker's own shards.
    pub(super) shard: u32,
    /// Which conversation of it.
    pub(super) flow: Entry,
}

impl Timers {
    pub(super) fn set(&mut self, timer: Timer) {
        self.due.push(Reverse(timer));
    }

    /// Takes the next timer whose deadline lies before `clock`.
    pub(super) fn take_due(&mut self, clock: i64) -> Option<Timer> {
        let Reverse(next) = self.due.peek()?;
        if next.deadline < clock { self.due.pop().map(|Reverse(timer)| timer) } else { None }
    }
}

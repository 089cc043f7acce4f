//! When which conversation has something to do, though nothing arrives for it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::flow::Entry;

/// Deadlines of conversations, earliest first. A conversation has at most one that matters: the earliest.
#[derive(Debug, Default)]
pub(super) struct Timers {
    set: BinaryHeap<Reverse<Timer>>,
}

/// One deadline. Every conversation that waits for something has one, so that its size counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(Rust, packed(4))]
pub(super) struct Timer {
    /// Packet clock, nanoseconds.
    pub(super) due: i64,
    /// Which of the worker's own shards.
    pub(super) shard: u32,
    /// Which conversation of it.
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

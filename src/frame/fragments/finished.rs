//! What was put together a moment ago.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use super::Key;
use crate::frame::walk::Fragment;

/// Stands for the place and the bytes of a fragment.
pub(super) type Print = u64;

/// Datagrams that were put together a moment ago, so that copies of their fragments are known: a port mirrors a packet
/// twice, and PRP and HSR send it twice. Same identification is not enough: who wants to hide a datagram sends a
/// harmless one before it. The seed of the prints is not to be guessed, and decides nothing.
#[derive(Debug, Default)]
pub(super) struct Finished {
    prints: HashMap<Key, Vec<Print>>,
    queue: VecDeque<(i64, Key)>,
    seed: RandomState,
    /// Sum of all `prints`.
    count: usize,
}

impl Finished {
    pub(super) fn print(&self, fragment: &Fragment<'_>) -> Print {
        self.seed.hash_one((fragment.offset, fragment.more, fragment.payload.bytes))
    }

    pub(super) fn insert(&mut self, key: Key, clock: i64, prints: Vec<Print>) {
        self.count += prints.len();
        match self.prints.insert(key, prints) {
            Some(older) => self.count -= older.len(),
            None => self.queue.push_back((clock, key)),
        }
        while self.count > MAX_PRINTS {
            self.pop();
        }
    }

    pub(super) fn expire(&mut self, clock: i64) {
        while self.queue.front().is_some_and(|(time, _)| clock.saturating_sub(*time) > COPY_DELAY) {
            self.pop();
        }
    }

    /// Whether this fragment was part of such a datagram.
    pub(super) fn contains(&self, key: &Key, print: Print) -> bool {
        self.prints.get(key).is_some_and(|prints| prints.contains(&print))
    }

    fn pop(&mut self) {
        if let Some(prints) = self.queue.pop_front().and_then(|(_, key)| self.prints.remove(&key)) {
            self.count -= prints.len();
        }
    }
}

/// How long after a datagram copies of its fragments are expected, nanoseconds.
pub(super) const COPY_DELAY: i64 = 100_000_000;
/// Fragments of which copies are expected, at most: 128 KiB; then the oldest are forgotten, and copies pass.
const MAX_PRINTS: usize = 16_384;

//! A bounded table that knows which of its entries was touched least recently.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// A map with an order of use. Memory grows with the number of entries only, and is reused.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    /// Slots by key: a key is kept once, in its slot. Never iterated, so no order shows.
    index: HashTable<u32>,
    /// Seeded at random: a hostile sender cannot choose keys that collide.
    hash: RandomState,
    slots: Vec<Slot<K, V>>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
}

#[derive(Debug)]
struct Slot<K, V> {
    entry: Option<(K, V)>,
    older: u32,
    newer: u32,
}

impl<K: Hash, V> Slot<K, V> {
    /// That of its key. An empty slot is not in the index.
    fn hash(&self, state: &RandomState) -> u64 {
        self.entry.as_ref().map_or(0, |(key, _)| state.hash_one(key))
    }
}

impl<K: Eq + Hash, V> Table<K, V> {
    pub(super) fn new() -> Self {
        Self {
            index: HashTable::new(),
            hash: RandomState::default(),
            slots: Vec::new(),
            free: Vec::new(),
            oldest: NONE,
            newest: NONE,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.position(key).is_some()
    }

    /// An entry, without touching it.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let slot = self.position(key)?;
        self.value(slot)
    }

    /// An entry, which becomes the most recently touched one.
    pub(super) fn touch(&mut self, key: &K) -> Option<&mut V> {
        let slot = self.position(key)?;
        if self.newest != slot {
            self.unlink(slot);
            self.link_newest(slot);
        }
        self.value(slot)
    }

    /// Adds an entry as the most recently touched one; one of the same key is replaced.
    pub(super) fn insert(&mut self, key: K, value: V) {
        self.remove(&key);
        let hash = self.hash.hash_one(&key);
        let entry = Some((key, value));
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize].entry = entry;
                slot
            }
            None => {
                self.slots.push(Slot { entry, older: NONE, newer: NONE });
                self.slots.len() as u32 - 1
            }
        };
        let (slots, state) = (&self.slots, &self.hash);
        self.index.insert_unique(hash, slot, |&other| slots.get(other as usize).map_or(0, |other| other.hash(state)));
        self.link_newest(slot);
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let slot = self.position(key)?;
        self.take(slot).map(|(_, value)| value)
    }

    /// The least recently touched entry.
    pub(super) fn oldest(&self) -> Option<(&K, &V)> {
        let slot = self.slots.get(self.oldest as usize)?;
        slot.entry.as_ref().map(|(key, value)| (key, value))
    }

    pub(super) fn pop_oldest(&mut self) -> Option<(K, V)> {
        if self.oldest == NONE {
            return None;
        }
        self.take(self.oldest)
    }

    fn value(&mut self, slot: u32) -> Option<&mut V> {
        self.slots.get_mut(slot as usize)?.entry.as_mut().map(|(_, value)| value)
    }

    fn position(&self, key: &K) -> Option<u32> {
        let is = |slot: &Slot<K, V>| slot.entry.as_ref().is_some_and(|(other, _)| other == key);
        self.index.find(self.hash.hash_one(key), |&slot| self.slots.get(slot as usize).is_some_and(is)).copied()
    }

    fn take(&mut self, slot: u32) -> Option<(K, V)> {
        let hash = self.slots[slot as usize].hash(&self.hash);
        if let Ok(found) = self.index.find_entry(hash, |&other| other == slot) {
            found.remove();
        }
        self.unlink(slot);
        self.free.push(slot);
        self.slots[slot as usize].entry.take()
    }

    fn unlink(&mut self, slot: u32) {
        let Slot { older, newer, .. } = self.slots[slot as usize];
        match self.slots.get_mut(older as usize) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
        match self.slots.get_mut(newer as usize) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
    }

    fn link_newest(&mut self, slot: u32) {
        let before = std::mem::replace(&mut self.newest, slot);
        let new = &mut self.slots[slot as usize];
        (new.older, new.newer) = (before, NONE);
        match self.slots.get_mut(before as usize) {
            Some(before) => before.newer = slot,
            None => self.oldest = slot,
        }
    }
}

/// No slot. A table has fewer: its owner holds it to a limit.
const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_one_touched_least_recently_goes_first() {
        let mut table = Table::new();
        (0..3).for_each(|key| table.insert(key, ()));
        table.touch(&0);
        table.touch(&2);
        let order: Vec<i32> = std::iter::from_fn(|| table.pop_oldest()).map(|(key, ())| key).collect();
        assert_eq!(order, [1, 0, 2]);
        assert_eq!(table.len(), 0);
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_list_that_is_searched(steps in prop::collection::vec((0_u8..4, 0_u8..6), 0..200)) {
            let mut table = Table::new();
            let mut list: Vec<(u8, usize)> = Vec::new();
            for (number, (step, key)) in steps.into_iter().enumerate() {
                let known = list.iter().position(|(other, _)| *other == key);
                match step {
                    0 => {
                        known.map(|position| list.remove(position));
                        list.push((key, number));
                        table.insert(key, number);
                    }
                    1 => {
                        let expected = known.map(|position| list.remove(position));
                        list.extend(expected);
                        prop_assert_eq!(table.touch(&key).copied(), expected.map(|(_, value)| value));
                    }
                    2 => {
                        let expected = known.map(|position| list.remove(position).1);
                        prop_assert_eq!(table.remove(&key), expected);
                    }
                    _ => {
                        let expected = (!list.is_empty()).then(|| list.remove(0));
                        prop_assert_eq!(table.pop_oldest(), expected);
                    }
                }
                prop_assert_eq!(table.len(), list.len());
                prop_assert_eq!(table.oldest().map(|(key, _)| *key), list.first().map(|(key, _)| *key));
            }
        }
    }
}

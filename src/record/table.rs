//! Bounded tables whose least recently used entry leaves first.

use std::hash::Hash;

use foldhash::fast::RandomState;
use hashlink::LinkedHashMap;

/// A map in order of use: `insert` and `to_back` make an entry the most recently used one, `pop_front` takes the least
/// recently used one. Seeded at random, so that a hostile sender cannot choose keys that collide.
pub(super) type LruTable<K, V> = LinkedHashMap<K, V, RandomState>;

/// Removes the least recently used entries until there is room for one more below `limit`. Returns how many were removed.
pub(super) fn make_room<K: Eq + Hash, V>(table: &mut LruTable<K, V>, limit: usize) -> u64 {
    let mut removed = 0;
    while table.len() >= limit && table.pop_front().is_some() {
        removed += 1;
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_entry_leaves_first() {
        let mut table = LruTable::default();
        (0..4).for_each(|key| _ = table.insert(key, ()));
        table.to_back(&0);
        table.insert(1, ());
        table.get_mut(&2);
        assert_eq!(make_room(&mut table, 2), 3, "one more fits below two");
        assert_eq!(table.keys().copied().collect::<Vec<_>>(), [1]);
        assert_eq!(make_room(&mut table, 2), 0);
    }
}

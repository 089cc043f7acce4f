//! The flows of one shard: bounded, found by key, aged by packet time.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::FlowKey;

/// What a [`FlowTable`] runs on. All times are nanoseconds of packet time.
#[derive(Clone, Copy, Debug)]
pub struct TableSettings {
    /// Most flows at a time. One costs [`FlowTable::entry_size`] bytes.
    pub capacity: u32,
    /// How long a stream may be silent.
    pub stream_timeout: i64,
    /// How long a conversation of datagrams may be silent.
    pub datagram_timeout: i64,
    /// How long a closed stream is remembered, for what arrives late.
    pub closed_timeout: i64,
    /// Seed of the hash, against senders who choose addresses that collide. Never changes what comes out.
    pub seed: u64,
}

impl Default for TableSettings {
    fn default() -> Self {
        Self {
            capacity: 16 * 1024,
            stream_timeout: 3_600_000_000_000,
            datagram_timeout: 300_000_000_000,
            closed_timeout: 10_000_000_000,
            seed: 0,
        }
    }
}

/// How long an entry may be idle, by what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Lifetime {
    /// An open TCP connection.
    Stream,
    /// Anything without a beginning and an end.
    Datagram,
    /// A TCP connection whose end was seen.
    Closed,
}

/// Names an entry for as long as it lives: for timers. A name that is out of date finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    slot: u32,
    generation: u32,
}

/// What [`FlowTable::get_or_insert_with`] found or made.
#[derive(Debug)]
pub struct Found<'t, T> {
    /// Its name.
    pub entry: Entry,
    /// The flow.
    pub value: &'t mut T,
    /// It was made just now.
    pub fresh: bool,
    /// The flow that had to go for it: finish it first.
    pub gone: Option<Gone<T>>,
}

/// A flow that left the table.
#[derive(Debug)]
pub struct Gone<T> {
    /// Its name while it lived.
    pub entry: Entry,
    /// Its key.
    pub key: FlowKey,
    /// Its state, to be finished.
    pub value: T,
    /// Why it left.
    pub cause: Cause,
    /// When it ended, nanoseconds of packet time: its timeout, however late that was noticed, or its eviction.
    pub at: i64,
}

/// Why a flow left the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its timeout passed.
    Expired,
    /// The table was full.
    Evicted,
    /// Its owner asked for it.
    Removed,
}

/// What a [`FlowTable`] counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCounters {
    /// Flows made.
    pub created: u64,
    /// Flows whose timeout passed.
    pub expired: u64,
    /// Flows that had to go because the table was full: a loss.
    pub evicted: u64,
}

/// Flows by key. The order in which they leave depends on packet time and use alone, never on the hash.
#[derive(Debug)]
pub struct FlowTable<T> {
    index: HashTable<u32>,
    hash: FixedState,
    /// What is looked at for every packet, close together.
    slots: Vec<Slot>,
    /// The flows themselves, by slot.
    values: Vec<Option<T>>,
    free: u32,
    /// By [`Lifetime`]: least recently used first, so that each list is sorted by age.
    lists: [List; 3],
    timeouts: [i64; 3],
    capacity: u32,
    counters: TableCounters,
}

#[derive(Debug)]
struct Slot {
    key: FlowKey,
    used: i64,
    previous: u32,
    /// The next slot in its list, or the next free one.
    next: u32,
    generation: u32,
    lifetime: Lifetime,
}

#[derive(Clone, Copy, Debug)]
struct List {
    head: u32,
    tail: u32,
}

impl<T> FlowTable<T> {
    /// An empty table.
    pub fn new(settings: &TableSettings) -> Self {
        Self {
            index: HashTable::new(),
            hash: FixedState::with_seed(settings.seed),
            slots: Vec::new(),
            values: Vec::new(),
            free: NONE,
            lists: [List { head: NONE, tail: NONE }; 3],
            timeouts: [settings.stream_timeout, settings.datagram_timeout, settings.closed_timeout],
            capacity: settings.capacity.clamp(1, NONE - 1),
            counters: TableCounters::default(),
        }
    }

    /// Bytes that one flow costs, the index at its usual load included.
    pub const fn entry_size() -> usize {
        size_of::<Slot>() + size_of::<Option<T>>() + 2 * (size_of::<u32>() + 1)
    }

    /// Flows in the table, expired ones that nobody noticed yet included.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// What was counted.
    pub const fn counters(&self) -> TableCounters {
        self.counters
    }

    /// The flow of `key`, now used at `clock`; one that expired, or none, is replaced by what `make` makes.
    pub fn get_or_insert_with(
        &mut self,
        key: &FlowKey,
        clock: i64,
        lifetime: Lifetime,
        make: impl FnOnce() -> T,
    ) -> Found<'_, T> {
        let hash = self.hash_of(key);
        let mut gone = None;
        if let Some(slot) = self.position(hash, key) {
            if !self.is_expired(slot, clock) {
                self.touch(slot, clock);
                return self.found(slot, false, None, make);
            }
            gone = self.expire(slot);
        } else if self.index.len() >= self.capacity as usize {
            gone = self.make_room(clock);
        }
        let slot = self.insert(hash, key, clock, lifetime);
        self.found(slot, true, gone, make)
    }

    fn found(&mut self, slot: u32, fresh: bool, gone: Option<Gone<T>>, make: impl FnOnce() -> T) -> Found<'_, T> {
        let entry = Entry { slot, generation: self.slots[slot as usize].generation };
        Found { entry, value: self.values[slot as usize].get_or_insert_with(make), fresh, gone }
    }

    /// The flow of that name, if it still lives. Does not count as use.
    pub fn get_mut(&mut self, entry: Entry) -> Option<(&FlowKey, &mut T)> {
        let slot = self.slots.get(entry.slot as usize).filter(|slot| slot.generation == entry.generation)?;
        self.values.get_mut(entry.slot as usize)?.as_mut().map(|value| (&slot.key, value))
    }

    /// From now on the flow ages as `lifetime` says.
    pub fn set_lifetime(&mut self, entry: Entry, lifetime: Lifetime) {
        if self.get_mut(entry).is_some() && self.slots[entry.slot as usize].lifetime != lifetime {
            self.unlink(entry.slot);
            self.slots[entry.slot as usize].lifetime = lifetime;
            self.link_by_age(entry.slot);
        }
    }

    /// Takes a flow out, as when its ports are used again.
    pub fn remove(&mut self, entry: Entry, clock: i64) -> Option<Gone<T>> {
        self.get_mut(entry)?;
        self.take(entry.slot, Cause::Removed, clock)
    }

    /// Takes out at most `limit` flows whose timeout has passed at `clock`. Says how many there were.
    pub fn reap(&mut self, clock: i64, limit: usize, mut each: impl FnMut(Gone<T>)) -> usize {
        let mut reaped = 0;
        while reaped < limit
            && let Some(slot) = self.oldest_expired(clock)
            && let Some(gone) = self.expire(slot)
        {
            each(gone);
            reaped += 1;
        }
        reaped
    }

    /// Takes out every flow, at the end of the capture: streams first, least recently used first.
    pub fn drain(&mut self, clock: i64) -> impl Iterator<Item = Gone<T>> {
        std::iter::from_fn(move || {
            let slot = self.lists.iter().map(|list| list.head).find(|&head| head != NONE)?;
            self.take(slot, Cause::Removed, clock)
        })
    }

    fn hash_of(&self, key: &FlowKey) -> u64 {
        self.hash.hash_one(key)
    }

    fn position(&self, hash: u64, key: &FlowKey) -> Option<u32> {
        self.index.find(hash, |&slot| self.slots[slot as usize].key == *key).copied()
    }

    fn insert(&mut self, hash: u64, key: &FlowKey, clock: i64, lifetime: Lifetime) -> u32 {
        let slot = self.vacant(*key, lifetime);
        self.slots[slot as usize].used = clock;
        self.link_last(slot);
        let (slots, seed) = (&self.slots, &self.hash);
        self.index.insert_unique(hash, slot, |&other| seed.hash_one(slots[other as usize].key));
        self.counters.created += 1;
        slot
    }

    fn vacant(&mut self, key: FlowKey, lifetime: Lifetime) -> u32 {
        if self.free != NONE {
            let slot = self.free;
            let vacant = &mut self.slots[slot as usize];
            self.free = vacant.next;
            (vacant.key, vacant.lifetime) = (key, lifetime);
            return slot;
        }
        let slot = u32::try_from(self.slots.len()).expect("the capacity is a u32");
        self.values.push(None);
        self.slots.push(Slot { key, used: 0, previous: NONE, next: NONE, generation: 0, lifetime });
        slot
    }

    /// Frees a place: an expired flow if there is one, else a closed one, else the one that was not used for longest.
    fn make_room(&mut self, clock: i64) -> Option<Gone<T>> {
        if let Some(slot) = self.oldest_expired(clock) {
            return self.expire(slot);
        }
        let [stream, datagram, closed] = self.lists.map(|list| list.head);
        let idle = |slot: u32| self.slots.get(slot as usize).map_or(i64::MAX, |slot| slot.used);
        let slot = match closed {
            NONE if idle(stream) <= idle(datagram) => stream,
            NONE => datagram,
            closed => closed,
        };
        self.counters.evicted += 1;
        self.take(slot, Cause::Evicted, clock)
    }

    fn is_expired(&self, slot: u32, clock: i64) -> bool {
        clock >= self.end_of(slot)
    }

    /// When its timeout passes.
    fn end_of(&self, slot: u32) -> i64 {
        let slot = &self.slots[slot as usize];
        slot.used.saturating_add(self.timeouts[slot.lifetime as usize])
    }

    fn oldest_expired(&self, clock: i64) -> Option<u32> {
        let heads = self.lists.iter().map(|list| list.head).filter(|&head| head != NONE);
        heads.filter(|&head| self.is_expired(head, clock)).min_by_key(|&head| self.end_of(head))
    }

    fn expire(&mut self, slot: u32) -> Option<Gone<T>> {
        self.counters.expired += 1;
        self.take(slot, Cause::Expired, self.end_of(slot))
    }

    fn take(&mut self, slot: u32, cause: Cause, at: i64) -> Option<Gone<T>> {
        self.unlink(slot);
        let hash = self.hash_of(&self.slots[slot as usize].key);
        if let Ok(found) = self.index.find_entry(hash, |&other| other == slot) {
            found.remove();
        }
        let taken = &mut self.slots[slot as usize];
        let entry = Entry { slot, generation: taken.generation };
        taken.generation = taken.generation.wrapping_add(1);
        taken.next = self.free;
        self.free = slot;
        let key = taken.key;
        self.values[slot as usize].take().map(|value| Gone { entry, key, value, cause, at })
    }

    fn touch(&mut self, slot: u32, clock: i64) {
        let at = &mut self.slots[slot as usize];
        at.used = clock;
        if self.lists[at.lifetime as usize].tail != slot {
            self.unlink(slot);
            self.link_last(slot);
        }
    }

    fn unlink(&mut self, slot: u32) {
        let Slot { previous, next, lifetime, .. } = self.slots[slot as usize];
        let list = &mut self.lists[lifetime as usize];
        match self.slots.get_mut(previous as usize) {
            Some(before) => before.next = next,
            None => list.head = next,
        }
        match self.slots.get_mut(next as usize) {
            Some(after) => after.previous = previous,
            None => list.tail = previous,
        }
    }

    fn link_last(&mut self, slot: u32) {
        let tail = self.lists[self.slots[slot as usize].lifetime as usize].tail;
        self.link_after(tail, slot);
    }

    /// A list stays sorted when a flow changes over to it; nearly always that is at its end.
    fn link_by_age(&mut self, slot: u32) {
        let Slot { used, lifetime, .. } = self.slots[slot as usize];
        let mut before = self.lists[lifetime as usize].tail;
        while let Some(younger) = self.slots.get(before as usize).filter(|other| other.used > used) {
            before = younger.previous;
        }
        self.link_after(before, slot);
    }

    fn link_after(&mut self, previous: u32, slot: u32) {
        let list = &mut self.lists[self.slots[slot as usize].lifetime as usize];
        let next = match self.slots.get_mut(previous as usize) {
            Some(before) => std::mem::replace(&mut before.next, slot),
            None => std::mem::replace(&mut list.head, slot),
        };
        match self.slots.get_mut(next as usize) {
            Some(after) => after.previous = slot,
            None => list.tail = slot,
        }
        let at = &mut self.slots[slot as usize];
        (at.previous, at.next) = (previous, next);
    }
}

/// No slot.
const NONE: u32 = u32::MAX;

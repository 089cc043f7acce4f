//! The flows of one shard: bounded, found by key, aged by packet time.

use hashbrown::{HashMap, HashTable};

use super::aliases::{ALIAS, Aliases};
use super::mix::Mixer;
use super::paged::Paged;
use super::slot::{LIFETIMES, Lifetime, ListLinks, NONE, Slot, Tag};
use super::{BriefKey, FlowKey};

/// Settings of a [`FlowTable`]. All times are nanoseconds of packet time.
#[derive(Clone, Copy, Debug)]
pub struct TableSettings {
    /// Most flows at a time. Each costs [`FlowTable::entry_size`] bytes.
    pub capacity: u32,
    /// How long an open TCP connection may be idle.
    pub stream_timeout: i64,
    /// How long traffic without connections may be idle.
    pub datagram_timeout: i64,
    /// How long a closed connection is kept for late segments.
    pub closed_timeout: i64,
    /// How long a connection that is not established may be idle. Limits the effect of a SYN flood.
    pub opening_timeout: i64,
    /// Seed of the hash, so that a sender cannot choose colliding addresses. It never changes the result.
    pub seed: u64,
}

impl Default for TableSettings {
    fn default() -> Self {
        Self {
            capacity: 16 * 1024,
            stream_timeout: 3_600_000_000_000,
            datagram_timeout: 300_000_000_000,
            closed_timeout: 10_000_000_000,
            opening_timeout: 60_000_000_000,
            seed: 0,
        }
    }
}

/// A handle of an entry, for example for timers. A handle of a removed entry finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    slot: u32,
    generation: u32,
}

/// The result of [`FlowTable::get_or_insert_with`].
#[derive(Debug)]
pub struct Found<'t, T> {
    /// Its handle.
    pub entry: Entry,
    /// The flow.
    pub value: &'t mut T,
    /// The flow was created by this call.
    pub fresh: bool,
    /// The flow that was removed to make room; the caller finishes it first.
    pub gone: Option<Removed<T>>,
}

/// The result of [`FlowTable::find`].
#[derive(Debug)]
pub struct Used<'t, T> {
    /// Its slot, for [`FlowTable::entry`] and [`FlowTable::list_again`] before any other call.
    pub slot: u32,
    /// The flow.
    pub value: &'t mut T,
    /// Its position in the expiry list is stale: the caller calls [`FlowTable::list_again`].
    pub is_due: bool,
}

/// A flow that was removed from the table.
#[derive(Debug)]
pub struct Removed<T> {
    /// Its former handle.
    pub entry: Entry,
    /// Its key.
    pub key: FlowKey,
    /// Its state, to be finished by the caller.
    pub value: T,
    /// Why it was removed.
    pub cause: RemovalCause,
    /// When it ended, nanoseconds of packet time: the end of its timeout, even if removed later, or its eviction.
    pub at: i64,
}

/// Why a flow was removed from the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalCause {
    /// Its timeout passed.
    Expired,
    /// The table was full.
    Evicted,
    /// The caller removed it.
    Requested,
}

/// What a [`FlowTable`] counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCounters {
    /// Flows created.
    pub created: u64,
    /// Flows whose timeout passed.
    pub expired: u64,
    /// Flows evicted because the table was full: a loss.
    pub evicted: u64,
}

/// Flows by key. The order of removal depends only on packet time and use, never on the hash.
///
/// There is an expiry list for each [`Lifetime`]. A use is recorded in the slot of the flow; the flow moves in its list only
/// when its position is stale, or when it would be evicted. Neighbours in a list are far apart in memory: moving a flow at
/// every packet costs three cache misses with many flows, and 50 instructions with few.
///
/// The fields that every packet needs come first: there are many tables, and their memory is rarely in the cache.
#[derive(Debug)]
#[repr(C)]
pub struct FlowTable<T> {
    /// By slot.
    rows: Paged<T>,
    /// By [`Lifetime`], nanoseconds.
    timeouts: [i64; LIFETIMES.len()],
    /// A cache of recently found slots, by [`BriefKey::recent_index`]. Nearly every packet hits it, which saves hashing and
    /// probing (60 instructions, and four dependent reads from memory).
    recents: [Recent; RECENTS],
    /// Slots, and the numbers of aliases.
    index: HashTable<u32>,
    aliases: Aliases,
    /// Hashes of entries that share their ends with many others: see [`FlowTable::index_key`].
    crowded: HashMap<u32, u64>,
    mixer: Mixer,
    free: u32,
    /// The expiry lists by [`Lifetime`], each sorted by [`Slot::listed`].
    lists: [List; LIFETIMES.len()],
    /// No flow expires before this packet time; `i64::MIN` forces a recheck.
    quiet_until: i64,
    capacity: u32,
    /// Number of flows.
    length: u32,
    counters: TableCounters,
}

/// An entry of the cache of recently found flows.
#[derive(Clone, Copy, Debug)]
struct Recent {
    key: BriefKey,
    slot: u32,
}

impl Recent {
    const NONE: Self = Self { key: BriefKey::NONE, slot: NONE };
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
            aliases: Aliases::default(),
            crowded: HashMap::new(),
            length: 0,
            mixer: Mixer::new(settings.seed),
            rows: Paged::new(),
            free: NONE,
            recents: [Recent::NONE; RECENTS],
            lists: [List { head: NONE, tail: NONE }; LIFETIMES.len()],
            timeouts: [
                settings.stream_timeout,
                settings.datagram_timeout,
                settings.closed_timeout,
                settings.opening_timeout,
            ],
            quiet_until: i64::MIN,
            capacity: settings.capacity.clamp(1, ALIAS - 1),
            counters: TableCounters::default(),
        }
    }

    /// Memory of one flow, bytes, including the index at its usual load.
    pub const fn entry_size() -> usize {
        Paged::<T>::ROW + 2 * (size_of::<u32>() + 1)
    }

    /// Number of flows, including expired ones that were not removed yet.
    pub fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether there are no flows.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The counters so far.
    pub const fn counters(&self) -> TableCounters {
        self.counters
    }

    /// Returns the flow of `key`, used at `clock`. Without one, returns the flow of the same ends in another encapsulation that
    /// `fits`. If there is none either, or it has expired, inserts the result of `make`.
    pub fn get_or_insert_with(
        &mut self,
        key: &FlowKey,
        clock: i64,
        lifetime: Lifetime,
        fits: impl Fn(&T) -> bool,
        make: impl FnOnce() -> T,
    ) -> Found<'_, T> {
        let hash = key.hash(self.mixer);
        let own = self.find_slot(hash, key.encapsulation(), |other| other == key);
        let (slot, gone) = match own.or_else(|| self.adopt_encapsulation(hash, key, clock, fits)) {
            Some(slot) if self.touch(slot, clock) => (slot, None),
            old => {
                let gone = self.make_way(old, clock);
                (self.insert(key, clock, lifetime), gone)
            }
        };
        let entry = self.entry(slot);
        let value = self.rows.value_mut(slot);
        let fresh = value.is_none();
        Found { entry, value: value.get_or_insert_with(make), fresh, gone }
    }

    /// Returns the flow of `key`, used at `clock`, unless it has expired. The fast path for nearly every packet.
    #[inline(always)]
    pub fn find(&mut self, key: BriefKey, clock: i64) -> Option<Used<'_, T>> {
        let recent = &self.recents[key.recent_index() % RECENTS];
        let slot = if recent.key == key { recent.slot } else { self.look_up(key)? };
        let (at, value) = self.rows.get_mut(slot)?;
        let timeout = at.tag.timeout(&self.timeouts);
        if at.idle_time(clock) >= timeout {
            return None;
        }
        at.used = clock;
        Some(Used { slot, value: value.as_mut()?, is_due: at.is_due(timeout) })
    }

    /// Finds a slot in the index, and adds it to the cache.
    #[cold]
    fn look_up(&mut self, key: BriefKey) -> Option<u32> {
        let slot = self.find_slot(key.hash(self.mixer), key.encapsulation(), |other| other.is(key))?;
        self.recents[key.recent_index() % RECENTS] = Recent { key, slot };
        Some(slot)
    }

    /// The handle of the flow that was just [found](Self::find) in a slot.
    pub fn entry(&self, slot: u32) -> Entry {
        Entry { slot, generation: self.rows[slot].tag.generation() }
    }

    /// Removes the expired predecessor `old` of a new flow, or makes room in a full table; returns the removed flow.
    fn make_way(&mut self, old: Option<u32>, clock: i64) -> Option<Removed<T>> {
        match old {
            Some(old) => self.remove_expired(old),
            None if self.length >= self.capacity => self.make_room(clock),
            None => None,
        }
    }

    /// The flow of a handle, if it still exists. Does not count as use.
    pub fn get_mut(&mut self, entry: Entry) -> Option<(&FlowKey, &mut T)> {
        let (slot, value) = self.rows.get_mut(entry.slot)?;
        value.as_mut().filter(|_| slot.tag.generation() == entry.generation).map(|value| (&slot.key, value))
    }

    /// The lifetime of a flow, if it still exists.
    pub fn lifetime(&self, entry: Entry) -> Option<Lifetime> {
        let slot = self.rows.get(entry.slot).filter(|slot| slot.tag.generation() == entry.generation)?;
        Some(slot.tag.lifetime())
    }

    /// Changes the lifetime of a flow.
    pub fn set_lifetime(&mut self, entry: Entry, lifetime: Lifetime) {
        if self.get_mut(entry).is_some() && self.rows[entry.slot].tag.lifetime() != lifetime {
            self.unlink(entry.slot);
            let slot = &mut self.rows[entry.slot];
            (slot.tag, slot.listed) = (slot.tag.with_lifetime(lifetime), slot.used);
            self.link_by_age(entry.slot);
        }
    }

    /// Removes a flow, for example when its ports are reused.
    pub fn remove(&mut self, entry: Entry, clock: i64) -> Option<Removed<T>> {
        self.get_mut(entry)?;
        self.remove_slot(entry.slot, RemovalCause::Requested, clock)
    }

    /// Removes at most `limit` flows whose timeout has passed at `clock`, and returns their number. A flow may be removed late
    /// by a hundredth of its timeout.
    pub fn reap(&mut self, clock: i64, limit: usize, mut each: impl FnMut(Removed<T>)) -> usize {
        let mut reaped = 0;
        while clock >= self.quiet_until && reaped < limit {
            let Some(gone) = self.oldest_expired(clock).and_then(|slot| self.remove_expired(slot)) else {
                self.quiet_until = self.list_heads().map(|head| self.expires_at(head)).min().unwrap_or(i64::MAX);
                break;
            };
            each(gone);
            reaped += 1;
        }
        reaped
    }

    /// No flow expires before this packet time, nanoseconds. Valid until a flow is inserted or changes its lifetime.
    pub const fn quiet_until(&self) -> i64 {
        self.quiet_until
    }

    /// Every flow, in no particular order. Does not count as use.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.values_mut()
    }

    /// Removes every flow, at the end of the capture: by lifetime, in the order of the expiry lists.
    pub fn drain(&mut self, clock: i64) -> impl Iterator<Item = Removed<T>> {
        std::iter::from_fn(move || {
            let slot = self.lists.iter().map(|list| list.head).find(|&head| head != NONE)?;
            self.remove_slot(slot, RemovalCause::Requested, clock)
        })
    }

    /// Finds the slot of a key in the index, also if it is an alias.
    fn find_slot(&self, hash: u64, encapsulation: u64, is: impl Fn(&FlowKey) -> bool) -> Option<u32> {
        let look = |hash| self.index.find(hash, |&entry| key_of(&self.rows, &self.aliases, entry).is_some_and(&is));
        let found = match look(hash) {
            None if !self.crowded.is_empty() => look(self.mixer.pair(hash, encapsulation)),
            found => found,
        };
        let found = *found?;
        if found & ALIAS == 0 { Some(found) } else { self.aliases.slot(found & !ALIAS) }
    }

    /// Adds `key` as an alias to the most recently used flow of the same ends that `fits`; returns its slot.
    fn adopt_encapsulation(&mut self, hash: u64, key: &FlowKey, clock: i64, fits: impl Fn(&T) -> bool) -> Option<u32> {
        let slots = self.index.iter_hash(hash).copied().filter(|entry| entry & ALIAS == 0).take(MAX_SAME_ENDS);
        let alike = slots.filter(|slot| self.rows.get(*slot).is_some_and(|slot| slot.key.has_ends_of(key)));
        let fitting = alike.filter(|slot| !self.is_expired(*slot, clock) && self.rows.value(*slot).is_some_and(&fits));
        let slot = fitting.max_by_key(|slot| (self.rows[*slot].used, *slot))?;
        let number = self.aliases.add(*key, slot)?;
        self.index_key(key, number | ALIAS);
        Some(slot)
    }

    /// Adds a slot or an alias to the index. Keys of the same ends have the same hash. If there are many, the hash includes
    /// the encapsulation, so that an attacker cannot slow the table down with thousands of VLANs.
    fn index_key(&mut self, key: &FlowKey, entry: u32) {
        let mut hash = key.hash(self.mixer);
        if self.index.iter_hash(hash).take(MAX_SAME_ENDS).count() == MAX_SAME_ENDS {
            hash = self.mixer.pair(hash, key.encapsulation());
            self.crowded.insert(entry, hash);
        }
        let (rows, aliases, mixer, crowded) = (&self.rows, &self.aliases, self.mixer, &self.crowded);
        let own = |other| key_of(rows, aliases, other).map_or(0, |key| key.hash(mixer));
        let hash_of = |other: &u32| crowded.get(other).copied().unwrap_or_else(|| own(*other));
        self.index.insert_unique(hash, entry, hash_of);
    }

    /// Removes a slot or an alias from the index.
    fn unindex_key(&mut self, key: &FlowKey, entry: u32) {
        let hash = self.crowded.remove(&entry).unwrap_or_else(|| key.hash(self.mixer));
        if let Ok(found) = self.index.find_entry(hash, |&other| other == entry) {
            found.remove();
        }
    }

    /// Inserts a flow without a value, and returns its slot.
    fn insert(&mut self, key: &FlowKey, clock: i64, lifetime: Lifetime) -> u32 {
        let slot = self.allocate_slot(*key, lifetime);
        (self.rows[slot].used, self.rows[slot].listed) = (clock, clock);
        self.link_last(slot);
        self.index_key(key, slot);
        self.length += 1;
        self.counters.created += 1;
        slot
    }

    /// Reuses a free slot or adds one.
    fn allocate_slot(&mut self, key: FlowKey, lifetime: Lifetime) -> u32 {
        if self.free != NONE {
            let slot = self.free;
            self.free = self.rows.link(slot).next;
            let vacant = &mut self.rows[slot];
            (vacant.key, vacant.tag) = (key, vacant.tag.with_lifetime(lifetime));
            return slot;
        }
        self.rows.push(Slot { key, tag: Tag::new(lifetime), used: 0, listed: 0 })
    }

    /// Removes one flow: an expired one, else a closed one, else one that was never established, so that a SYN flood evicts no
    /// other flow, else the least recently used one.
    fn make_room(&mut self, clock: i64) -> Option<Removed<T>> {
        if let Some(slot) = self.oldest_expired(clock) {
            return self.remove_expired(slot);
        }
        for lifetime in LIFETIMES {
            self.relist_used(lifetime);
        }
        let [stream, datagram, closed, opening] = self.lists.map(|list| list.head);
        let idle = |slot: u32| self.rows.get(slot).map_or(i64::MAX, |slot| slot.used);
        let slot = match (closed, opening) {
            (NONE, NONE) if idle(stream) <= idle(datagram) => stream,
            (NONE, NONE) => datagram,
            (NONE, opening) => opening,
            (closed, _) => closed,
        };
        self.counters.evicted += 1;
        self.remove_slot(slot, RemovalCause::Evicted, clock)
    }

    /// Moves flows at the head of a list whose position is stale, until the head is the least recently used flow. Each use
    /// causes at most one move, so the amortised cost is at most that of moving a flow at every use.
    fn relist_used(&mut self, lifetime: Lifetime) {
        let List { tail, .. } = self.lists[lifetime as usize];
        let Some(latest) = self.rows.get(tail).map(|slot| slot.listed) else { return };
        while let List { head, tail } = self.lists[lifetime as usize]
            && head != tail
            && self.rows[head].used > self.rows[head].listed
        {
            self.unlink(head);
            let slot = &mut self.rows[head];
            slot.listed = slot.used.max(latest);
            self.link_by_age(head);
        }
    }

    fn is_expired(&self, slot: u32, clock: i64) -> bool {
        let slot = &self.rows[slot];
        slot.idle_time(clock) >= slot.tag.timeout(&self.timeouts)
    }

    /// When its timeout passes, nanoseconds of packet time.
    fn expires_at(&self, slot: u32) -> i64 {
        let slot = &self.rows[slot];
        slot.used.saturating_add(slot.tag.timeout(&self.timeouts))
    }

    fn oldest_expired(&self, clock: i64) -> Option<u32> {
        self.list_heads().filter(|&head| self.is_expired(head, clock)).min_by_key(|&head| self.expires_at(head))
    }

    /// The head of each list that is not empty.
    fn list_heads(&self) -> impl Iterator<Item = u32> {
        self.lists.iter().map(|list| list.head).filter(|&head| head != NONE)
    }

    /// Removes a flow whose timeout has passed.
    fn remove_expired(&mut self, slot: u32) -> Option<Removed<T>> {
        self.counters.expired += 1;
        self.remove_slot(slot, RemovalCause::Expired, self.expires_at(slot))
    }

    /// Removes a flow from its list, the index and its slot.
    fn remove_slot(&mut self, slot: u32, cause: RemovalCause, at: i64) -> Option<Removed<T>> {
        self.unlink(slot);
        let Slot { key, tag, .. } = self.rows[slot];
        self.recents[key.brief().recent_index() % RECENTS] = Recent::NONE;
        self.unindex_key(&key, slot);
        self.length -= 1;
        if !self.aliases.is_empty() {
            self.remove_aliases(slot);
        }
        self.rows[slot].tag = tag.next();
        if let Some(link) = self.rows.link_mut(slot) {
            link.next = self.free;
        }
        self.free = slot;
        let entry = Entry { slot, generation: tag.generation() };
        self.rows.value_mut(slot).take().map(|value| Removed { entry, key, value, cause, at })
    }

    /// Removes the aliases of a flow.
    fn remove_aliases(&mut self, slot: u32) {
        for (number, key) in self.aliases.remove_all(slot) {
            self.recents[key.brief().recent_index() % RECENTS] = Recent::NONE;
            self.unindex_key(&key, number | ALIAS);
        }
    }

    /// Records a use at `clock`; returns `false` if the flow expired before it.
    fn touch(&mut self, slot: u32, clock: i64) -> bool {
        let at = &mut self.rows[slot];
        let timeout = at.tag.timeout(&self.timeouts);
        if at.idle_time(clock) >= timeout {
            return false;
        }
        at.used = clock;
        if at.is_due(timeout) {
            self.list_again(slot);
        }
        true
    }

    /// Moves a flow that was just [found](Self::find) to its current position in the expiry list.
    #[inline(never)]
    pub fn list_again(&mut self, slot: u32) {
        let at = &mut self.rows[slot];
        at.listed = at.used;
        if self.lists[at.tag.lifetime() as usize].tail != slot {
            self.unlink(slot);
            self.link_by_age(slot);
        }
    }

    /// Removes a slot from its list.
    fn unlink(&mut self, slot: u32) {
        let ListLinks { previous, next } = self.rows.link(slot);
        let list = &mut self.lists[self.rows[slot].tag.lifetime() as usize];
        match self.rows.link_mut(previous) {
            Some(before) => before.next = next,
            None => (list.head, self.quiet_until) = (next, i64::MIN),
        }
        match self.rows.link_mut(next) {
            Some(after) => after.previous = previous,
            None => list.tail = previous,
        }
    }

    /// Appends a slot to its list.
    fn link_last(&mut self, slot: u32) {
        let tail = self.lists[self.rows[slot].tag.lifetime() as usize].tail;
        self.link_after(tail, slot);
    }

    /// Inserts a slot into its list by age, searching from the end, where it nearly always belongs.
    fn link_by_age(&mut self, slot: u32) {
        let Slot { listed, tag, .. } = self.rows[slot];
        let mut before = self.lists[tag.lifetime() as usize].tail;
        while self.rows.get(before).is_some_and(|other| other.listed > listed) {
            before = self.rows.link(before).previous;
        }
        self.link_after(before, slot);
    }

    /// Inserts a slot into its list after `previous`, or at the head if that is [`NONE`].
    fn link_after(&mut self, previous: u32, slot: u32) {
        let list = &mut self.lists[self.rows[slot].tag.lifetime() as usize];
        let next = match self.rows.link_mut(previous) {
            Some(before) => std::mem::replace(&mut before.next, slot),
            None => {
                self.quiet_until = i64::MIN;
                std::mem::replace(&mut list.head, slot)
            }
        };
        match self.rows.link_mut(next) {
            Some(after) => after.previous = slot,
            None => list.tail = slot,
        }
        if let Some(link) = self.rows.link_mut(slot) {
            *link = ListLinks { previous, next };
        }
    }
}

/// The key of an entry of the index.
fn key_of<'t, T>(rows: &'t Paged<T>, aliases: &'t Aliases, entry: u32) -> Option<&'t FlowKey> {
    if entry & ALIAS == 0 { rows.get(entry).map(|slot| &slot.key) } else { aliases.key(entry & !ALIAS) }
}

/// Most flows of the same ends that are searched for one in another encapsulation.
const MAX_SAME_ENDS: usize = 64;
/// Size of the cache of recently found flows.
const RECENTS: usize = 64;

//! The flows of one shard: bounded, found by key, aged by packet time.

use hashbrown::{HashMap, HashTable};

use super::aliases::{ALIAS, Aliases};
use super::mix::Mixer;
use super::paged::Paged;
use super::slot::{LIFETIMES, Lifetime, ListLinks, NONE, Slot, Tag};
use super::{BriefKey, FlowKey};

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
    /// How long a connection that was not established may be silent: a flood of SYN segments is forgotten that soon.
    pub opening_timeout: i64,
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
            opening_timeout: 60_000_000_000,
            seed: 0,
        }
    }
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
    pub gone: Option<Removed<T>>,
}

/// What [`FlowTable::find`] found.
#[derive(Debug)]
pub struct Used<'t, T> {
    /// Where it is: for [`FlowTable::entry`] and [`FlowTable::list_again`], at once.
    pub slot: u32,
    /// The flow.
    pub value: &'t mut T,
    /// It has its place in the order of those that may leave for a while: [`FlowTable::list_again`] gives it the one that it
    /// has by now.
    pub is_due: bool,
}

/// A flow that left the table.
#[derive(Debug)]
pub struct Removed<T> {
    /// Its name while it lived.
    pub entry: Entry,
    /// Its key.
    pub key: FlowKey,
    /// Its state, to be finished.
    pub value: T,
    /// Why it left.
    pub cause: RemovalCause,
    /// When it ended, nanoseconds of packet time: its timeout, however late that was noticed, or its eviction.
    pub at: i64,
}

/// Why a flow left the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalCause {
    /// Its timeout passed.
    Expired,
    /// The table was full.
    Evicted,
    /// Its owner asked for it.
    Requested,
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
///
/// Use is noted in the flow's own slot, which is at hand; its place in the list of its kind changes only when it has been
/// there for a while, or when it would be its turn to leave. Neighbours in the list are far apart in memory, and moving
/// a flow at each packet cost three cache misses where flows are many, 50 instructions where they are few.
///
/// What every packet needs stands first: there are many tables, and each comes from memory that is far away.
#[derive(Debug)]
#[repr(C)]
pub struct FlowTable<T> {
    /// By slot.
    rows: Paged<T>,
    /// By [`Lifetime`], nanoseconds.
    timeouts: [i64; LIFETIMES.len()],
    /// Slots that were found lately, each at the place that its key gives it. Conversations take turns by the packet or by
    /// the exchange, so that a packet's is nearly always among them: then nothing is hashed and probed (60 instructions,
    /// and four reads from memory that wait for each other).
    recents: [Recent; RECENTS],
    /// Slots, and the numbers of aliases.
    index: HashTable<u32>,
    aliases: Aliases,
    /// The hashes of entries that share their ends with many others.
    crowded: HashMap<u32, u64>,
    mixer: Mixer,
    free: u32,
    /// By [`Lifetime`]: sorted by [`Slot::listed`].
    lists: [List; LIFETIMES.len()],
    /// Before this, no flow that is first in its list expires. The least there is while that is not known.
    quiet_until: i64,
    capacity: u32,
    /// How many there are.
    length: u32,
    counters: TableCounters,
}

/// A flow that was found lately.
#[derive(Clone, Copy, Debug)]
struct Recent {
    key: BriefKey,
    slot: u32,
}

impl Recent {
    const NONE: Self = Self { key: BriefKey::NOBODY, slot: NONE };
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

    /// Bytes that one flow costs, the index at its usual load included.
    pub const fn entry_size() -> usize {
        Paged::<T>::ROW + 2 * (size_of::<u32>() + 1)
    }

    /// Flows in the table, expired ones that nobody noticed yet included.
    pub fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// What was counted.
    pub const fn counters(&self) -> TableCounters {
        self.counters
    }

    /// The flow of `key`, now used at `clock`. Without one it is a flow of the same ends whose packets have gone other ways
    /// so far, if it `fits`. One that expired, or none, is replaced by what `make` makes.
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

    /// The flow of `key`, if it lives, now used at `clock`: the short cut for nearly every packet.
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

    /// The slot of a flow that was not found lately.
    #[cold]
    fn look_up(&mut self, key: BriefKey) -> Option<u32> {
        let slot = self.find_slot(key.hash(self.mixer), key.encapsulation(), |other| other.is(key))?;
        self.recents[key.recent_index() % RECENTS] = Recent { key, slot };
        Some(slot)
    }

    /// The name of the flow that has just been found in a slot.
    #[inline]
    pub fn entry(&self, slot: u32) -> Entry {
        Entry { slot, generation: self.rows[slot].tag.generation() }
    }

    /// Makes room for a flow, whose expired predecessor has the slot `old`. What goes for it is to be finished.
    fn make_way(&mut self, old: Option<u32>, clock: i64) -> Option<Removed<T>> {
        match old {
            Some(old) => self.remove_expired(old),
            None if self.length >= self.capacity => self.make_room(clock),
            None => None,
        }
    }

    /// The flow of that name, if it still lives. Does not count as use.
    #[inline]
    pub fn get_mut(&mut self, entry: Entry) -> Option<(&FlowKey, &mut T)> {
        let (slot, value) = self.rows.get_mut(entry.slot)?;
        value.as_mut().filter(|_| slot.tag.generation() == entry.generation).map(|value| (&slot.key, value))
    }

    /// How the flow ages, if it lives.
    pub fn lifetime(&self, entry: Entry) -> Option<Lifetime> {
        let slot = self.rows.get(entry.slot).filter(|slot| slot.tag.generation() == entry.generation)?;
        Some(slot.tag.lifetime())
    }

    /// From now on the flow ages as `lifetime` says.
    pub fn set_lifetime(&mut self, entry: Entry, lifetime: Lifetime) {
        if self.get_mut(entry).is_some() && self.rows[entry.slot].tag.lifetime() != lifetime {
            self.unlink(entry.slot);
            let slot = &mut self.rows[entry.slot];
            (slot.tag, slot.listed) = (slot.tag.with_lifetime(lifetime), slot.used);
            self.link_by_age(entry.slot);
        }
    }

    /// Takes a flow out, as when its ports are used again.
    pub fn remove(&mut self, entry: Entry, clock: i64) -> Option<Removed<T>> {
        self.get_mut(entry)?;
        self.remove_slot(entry.slot, RemovalCause::Requested, clock)
    }

    /// Takes out at most `limit` flows whose timeout has passed at `clock`. Says how many there were. One may be noticed
    /// a hundredth of its timeout late.
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

    /// Before this clock there is nothing to take out: nanoseconds of packet time. It holds until a flow is made, or ages
    /// otherwise.
    pub const fn quiet_until(&self) -> i64 {
        self.quiet_until
    }

    /// Every flow, in no order that means anything. Does not count as use.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.values_mut()
    }

    /// Takes out every flow, at the end of the capture: streams first, in the order of their lists.
    pub fn drain(&mut self, clock: i64) -> impl Iterator<Item = Removed<T>> {
        std::iter::from_fn(move || {
            let slot = self.lists.iter().map(|list| list.head).find(|&head| head != NONE)?;
            self.remove_slot(slot, RemovalCause::Requested, clock)
        })
    }

    #[inline]
    fn find_slot(&self, hash: u64, encapsulation: u64, is: impl Fn(&FlowKey) -> bool) -> Option<u32> {
        let look = |hash| self.index.find(hash, |&entry| key_of(&self.rows, &self.aliases, entry).is_some_and(&is));
        let found = match look(hash) {
            None if !self.crowded.is_empty() => look(self.mixer.pair(hash, encapsulation)),
            found => found,
        };
        let found = *found?;
        if found & ALIAS == 0 { Some(found) } else { self.aliases.slot(found & !ALIAS) }
    }

    /// The flow of the same ends that `fits` and was used last: from now on it has this key, too.
    fn adopt_encapsulation(&mut self, hash: u64, key: &FlowKey, clock: i64, fits: impl Fn(&T) -> bool) -> Option<u32> {
        let slots = self.index.iter_hash(hash).copied().filter(|entry| entry & ALIAS == 0).take(MAX_SAME_ENDS);
        let alike = slots.filter(|slot| self.rows.get(*slot).is_some_and(|slot| slot.key.has_ends_of(key)));
        let fitting = alike.filter(|slot| !self.is_expired(*slot, clock) && self.rows.value(*slot).is_some_and(&fits));
        let slot = fitting.max_by_key(|slot| (self.rows[*slot].used, *slot))?;
        let number = self.aliases.add(*key, slot)?;
        self.index_key(key, number | ALIAS);
        Some(slot)
    }

    /// Enters a slot or an alias into the index. Keys of the same ends have the same hash, unless there are many of them:
    /// then their encapsulation counts too, so that nobody can make the table slow with a thousand VLANs.
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

    /// Takes a slot or an alias out of the index.
    fn unindex_key(&mut self, key: &FlowKey, entry: u32) {
        let hash = self.crowded.remove(&entry).unwrap_or_else(|| key.hash(self.mixer));
        if let Ok(found) = self.index.find_entry(hash, |&other| other == entry) {
            found.remove();
        }
    }

    fn insert(&mut self, key: &FlowKey, clock: i64, lifetime: Lifetime) -> u32 {
        let slot = self.allocate_slot(*key, lifetime);
        (self.rows[slot].used, self.rows[slot].listed) = (clock, clock);
        self.link_last(slot);
        self.index_key(key, slot);
        self.length += 1;
        self.counters.created += 1;
        slot
    }

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

    /// Frees a place: an expired flow if there is one, else a closed one, else one that was never established, so that a
    /// flood of SYN segments costs no other flow, else the one that was not used for longest.
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

    /// Moves flows that were used since they got their place to the end of their list, until the first was not. Each use
    /// is answered by one move at most, so that this costs no more than moving a flow at every use.
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

    /// When its timeout passes.
    fn expires_at(&self, slot: u32) -> i64 {
        let slot = &self.rows[slot];
        slot.used.saturating_add(slot.tag.timeout(&self.timeouts))
    }

    fn oldest_expired(&self, clock: i64) -> Option<u32> {
        self.list_heads().filter(|&head| self.is_expired(head, clock)).min_by_key(|&head| self.expires_at(head))
    }

    /// The first of each list that has one.
    fn list_heads(&self) -> impl Iterator<Item = u32> {
        self.lists.iter().map(|list| list.head).filter(|&head| head != NONE)
    }

    fn remove_expired(&mut self, slot: u32) -> Option<Removed<T>> {
        self.counters.expired += 1;
        self.remove_slot(slot, RemovalCause::Expired, self.expires_at(slot))
    }

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

    /// Forgets the other keys of a flow that leaves.
    #[cold]
    fn remove_aliases(&mut self, slot: u32) {
        for (number, key) in self.aliases.remove_all(slot) {
            self.recents[key.brief().recent_index() % RECENTS] = Recent::NONE;
            self.unindex_key(&key, number | ALIAS);
        }
    }

    /// Notes a use; `false` if the flow expired before it.
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

    /// Gives a flow that has just been [found](Self::find) its place in the order of those that may leave.
    #[inline(never)]
    pub fn list_again(&mut self, slot: u32) {
        let at = &mut self.rows[slot];
        at.listed = at.used;
        if self.lists[at.tag.lifetime() as usize].tail != slot {
            self.unlink(slot);
            self.link_by_age(slot);
        }
    }

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

    fn link_last(&mut self, slot: u32) {
        let tail = self.lists[self.rows[slot].tag.lifetime() as usize].tail;
        self.link_after(tail, slot);
    }

    /// A list stays sorted when a flow changes over to it or gets a new place; nearly always that is at its end.
    fn link_by_age(&mut self, slot: u32) {
        let Slot { listed, tag, .. } = self.rows[slot];
        let mut before = self.lists[tag.lifetime() as usize].tail;
        while self.rows.get(before).is_some_and(|other| other.listed > listed) {
            before = self.rows.link(before).previous;
        }
        self.link_after(before, slot);
    }

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

/// The key that an entry of the index stands for.
#[inline]
fn key_of<'t, T>(rows: &'t Paged<T>, aliases: &'t Aliases, entry: u32) -> Option<&'t FlowKey> {
    if entry & ALIAS == 0 { rows.get(entry).map(|slot| &slot.key) } else { aliases.key(entry & !ALIAS) }
}

/// Flows of the same ends that are looked at for one that a packet of another encapsulation may belong to.
const MAX_SAME_ENDS: usize = 64;
/// Flows that are found without a look into the index.
const RECENTS: usize = 64;

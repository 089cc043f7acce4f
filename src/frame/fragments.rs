//! IP fragments into whole packets, in a table that is bounded in entries, bytes and age.
//!
//! Everything is decided by the order and the times of the packets, so a replay gives the same packets every time.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::IpAddr;

use super::walk::{Fragment, Span, Walk, Witness};
use super::{IpPair, Tunnel, Undecoded};
use crate::capture::Link;

/// Bounds of the table of a [`Reassembler`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentLimits {
    /// Incomplete datagrams kept at a time, at most; then the oldest is given up.
    pub datagrams: usize,
    /// Bytes kept for them, bookkeeping included, at most; then the oldest is given up.
    pub bytes: usize,
    /// How long a datagram may take from its first fragment on, nanoseconds of packet time.
    pub age: i64,
}

impl Default for FragmentLimits {
    /// 4096 datagrams, 16 MiB, and the 60 seconds of RFC 8200, 4.5.
    fn default() -> Self {
        Self { datagrams: 4096, bytes: 16 << 20, age: 60_000_000_000 }
    }
}

/// What became of the fragments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentCounters {
    /// Datagrams put together.
    pub reassembled: u64,
    /// Fragments that said nothing new: copies, also of datagrams that were put together a moment ago.
    pub duplicates: u64,
    /// Fragments that overlapped others and brought something else or something more. What came first stands.
    pub overlapping: u64,
    /// Fragments beyond the greatest datagram (65,535 bytes with its header).
    pub too_large: u64,
    /// Fragments that no sender makes: empty, or not the last and no multiple of 8 bytes, or
    /// refused by [`super::decode`].
    pub malformed: u64,
    /// Fragments cut by a snap length: their datagram cannot be put together.
    pub cut: u64,
    /// Datagrams given up because they took too long, or because the capture ended.
    pub aged_out: u64,
    /// Datagrams given up for want of room.
    pub evicted: u64,
    /// Bytes of payload that were given up with them.
    pub bytes_given_up: u64,
}

/// What [`Reassembler::push`] made of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reassembled {
    /// It was the last missing part: here is the whole packet.
    Complete,
    /// It is kept, and others are missing.
    Incomplete,
    /// It is of no use.
    Dropped(FragmentDrop),
}

/// Why a fragment is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FragmentDrop {
    /// It is none: see [`super::peek`].
    NoFragment,
    /// [`super::decode`] refuses it, too.
    Undecoded(Undecoded),
    /// A snap length cut it.
    Cut,
    /// No sender makes such a fragment.
    Malformed,
    /// It lies beyond the greatest datagram, or the room there is.
    TooLarge,
    /// It says nothing new.
    Duplicate,
    /// It disagrees about where the datagram ends.
    Contradiction,
}

/// Puts IP fragments together.
#[derive(Debug)]
pub struct Reassembler {
    limits: FragmentLimits,
    counters: FragmentCounters,
    /// The incomplete datagrams by age: a serial number grows as time does.
    datagrams: BTreeMap<u64, Datagram>,
    serials: HashMap<Key, u64>,
    next_serial: u64,
    /// Sum of the cost of all `datagrams`, bytes.
    cost: usize,
    finished: Finished,
}

/// Fragments with the same key belong to the same datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    vlan: Option<u16>,
    tunnel: Option<Tunnel>,
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
    /// 0 for IPv6, where it may differ from part to part (RFC 8200, 4.5).
    protocol: u8,
}

impl Key {
    fn of(fragment: &Fragment<'_>) -> Self {
        let IpPair { source, destination, .. } = fragment.pair;
        Self {
            vlan: fragment.vlan,
            tunnel: fragment.tunnel,
            source,
            destination,
            identification: fragment.identification,
            protocol: if source.is_ipv4() { fragment.protocol } else { 0 },
        }
    }
}

impl Reassembler {
    /// An empty table.
    pub fn new(limits: FragmentLimits) -> Self {
        Self {
            limits,
            counters: FragmentCounters::default(),
            datagrams: BTreeMap::new(),
            serials: HashMap::new(),
            next_serial: 0,
            cost: 0,
            finished: Finished::default(),
        }
    }

    /// What was counted so far.
    pub fn counters(&self) -> FragmentCounters {
        self.counters
    }

    /// Takes a packet that [`super::peek`] called a fragment; `clock` is the latest time of all packets so far.
    ///
    /// When it completes a datagram, `out` holds a packet of the same link type and nothing else: the first fragment
    /// up to and including its IP header, which now says that it is whole, then the whole payload. Checksums are not
    /// made anew, and headers around it have the length 0, which [`super::decode`] takes for "all that is there". The
    /// packet may in turn be a fragment of something that wraps it.
    pub fn push(&mut self, link: Link, bytes: &[u8], original: u32, clock: i64, out: &mut Vec<u8>) -> Reassembled {
        self.expire(clock);
        let mut walk = Walk::new(Finder::default());
        let walked = walk.link(link, Span::of_packet(bytes, original as usize));
        let added = match (walk.witness.fragment, walked) {
            (Some(fragment), _) => self.add(&fragment, bytes, &walk.witness.lengths, clock, out),
            (None, Err(error)) => Err(FragmentDrop::Undecoded(error)),
            (None, Ok(_)) => Err(FragmentDrop::NoFragment),
        };
        added.unwrap_or_else(|reason| {
            self.count(reason);
            Reassembled::Dropped(reason)
        })
    }

    /// Gives up what has taken too long by `clock`. [`Reassembler::push`] does so, too.
    pub fn expire(&mut self, clock: i64) {
        self.finished.expire(clock);
        while let Some(oldest) = self.datagrams.first_entry() {
            if clock.saturating_sub(oldest.get().started) <= self.limits.age {
                break;
            }
            let datagram = oldest.remove();
            self.forget(&datagram);
            self.counters.aged_out += 1;
            self.counters.bytes_given_up += datagram.received as u64;
        }
    }

    /// Gives up what is incomplete when the capture ends.
    pub fn finish(&mut self) {
        self.expire(i64::MAX);
    }

    fn add(
        &mut self,
        fragment: &Fragment<'_>,
        packet: &[u8],
        lengths: &[usize],
        clock: i64,
        out: &mut Vec<u8>,
    ) -> Result<Reassembled, FragmentDrop> {
        check(fragment)?;
        let key = Key::of(fragment);
        if self.finished.keys.contains(&key) {
            return Err(FragmentDrop::Duplicate);
        }
        let serial = self.serial(key, clock);
        let Some(datagram) = self.datagrams.get_mut(&serial) else { return Err(FragmentDrop::NoFragment) };
        let before = datagram.cost();
        if fragment.offset == 0 && datagram.head.is_none() {
            datagram.head = Head::of(fragment, packet, lengths);
        }
        let added = datagram.add(fragment);
        self.cost = self.cost + datagram.cost() - before;
        let complete = datagram.is_complete();
        if let Added::Overlapping = added? {
            self.counters.overlapping += 1;
        }
        if complete {
            return self.complete(serial, clock, out);
        }
        self.make_room();
        if self.datagrams.contains_key(&serial) { Ok(Reassembled::Incomplete) } else { Err(FragmentDrop::TooLarge) }
    }

    /// The datagram with this key, a new one if need be.
    fn serial(&mut self, key: Key, clock: i64) -> u64 {
        *self.serials.entry(key).or_insert_with(|| {
            let serial = self.next_serial;
            self.next_serial += 1;
            self.datagrams.insert(serial, Datagram::new(key, clock));
            self.cost += DATAGRAM_COST;
            serial
        })
    }

    fn complete(&mut self, serial: u64, clock: i64, out: &mut Vec<u8>) -> Result<Reassembled, FragmentDrop> {
        let datagram = self.datagrams.remove(&serial).ok_or(FragmentDrop::NoFragment)?;
        self.forget(&datagram);
        self.finished.insert(datagram.key, clock);
        datagram.write(out).ok_or(FragmentDrop::TooLarge)?;
        self.counters.reassembled += 1;
        Ok(Reassembled::Complete)
    }

    fn make_room(&mut self) {
        while self.datagrams.len() > self.limits.datagrams || self.cost > self.limits.bytes {
            let Some((_, datagram)) = self.datagrams.pop_first() else { break };
            self.forget(&datagram);
            self.counters.evicted += 1;
            self.counters.bytes_given_up += datagram.received as u64;
        }
    }

    /// What is kept beside a datagram that is no longer in the table.
    fn forget(&mut self, datagram: &Datagram) {
        self.serials.remove(&datagram.key);
        self.cost -= datagram.cost();
    }

    fn count(&mut self, reason: FragmentDrop) {
        match reason {
            FragmentDrop::Duplicate => self.counters.duplicates += 1,
            FragmentDrop::Contradiction => self.counters.overlapping += 1,
            FragmentDrop::TooLarge => self.counters.too_large += 1,
            FragmentDrop::Cut => self.counters.cut += 1,
            FragmentDrop::Malformed | FragmentDrop::Undecoded(_) => self.counters.malformed += 1,
            FragmentDrop::NoFragment => {}
        }
    }
}

/// Refuses what no datagram can be made of.
fn check(fragment: &Fragment<'_>) -> Result<(), FragmentDrop> {
    let payload = fragment.payload;
    if payload.missing() > 0 {
        return Err(FragmentDrop::Cut);
    }
    if payload.bytes.is_empty() || (fragment.more && !payload.bytes.len().is_multiple_of(8)) {
        return Err(FragmentDrop::Malformed);
    }
    if fragment.offset + payload.bytes.len() > MAX_DATAGRAM {
        return Err(FragmentDrop::TooLarge);
    }
    Ok(())
}

/// Learns of the first fragment on the way, and of the lengths before it.
#[derive(Default)]
struct Finder<'a> {
    lengths: Vec<usize>,
    fragment: Option<Fragment<'a>>,
}

impl<'a> Witness<'a> for Finder<'a> {
    fn length_at(&mut self, at: usize) {
        self.lengths.push(at);
    }

    fn fragment(&mut self, fragment: Fragment<'a>) -> bool {
        self.fragment = Some(fragment);
        false
    }
}

/// An incomplete datagram.
#[derive(Debug)]
struct Datagram {
    key: Key,
    started: i64,
    head: Option<Head>,
    /// Parts by their place in the datagram; none is empty, and no two overlap.
    parts: BTreeMap<usize, Vec<u8>>,
    /// Bytes in `parts`.
    received: usize,
    /// Length of the datagram, once the last fragment is there.
    total: Option<usize>,
}

/// Whether a fragment fitted.
enum Added {
    New,
    Overlapping,
}

impl Datagram {
    fn new(key: Key, started: i64) -> Self {
        Self { key, started, head: None, parts: BTreeMap::new(), received: 0, total: None }
    }

    /// Bytes of memory, about.
    fn cost(&self) -> usize {
        let head = self.head.as_ref().map_or(0, |head| head.bytes.len());
        DATAGRAM_COST + head + self.parts.len() * PART_COST + self.received
    }

    fn is_complete(&self) -> bool {
        self.total == Some(self.received) && self.head.is_some()
    }

    /// Takes those bytes of a fragment that are not there yet.
    fn add(&mut self, fragment: &Fragment<'_>) -> Result<Added, FragmentDrop> {
        let bytes = fragment.payload.bytes;
        let end = fragment.offset + bytes.len();
        let known_end = self.parts.last_key_value().map_or(0, |(offset, part)| offset + part.len());
        let contradicts = match self.total {
            Some(total) => end > total || (!fragment.more && end != total),
            None => !fragment.more && end < known_end,
        };
        if contradicts {
            return Err(FragmentDrop::Contradiction);
        }
        if !fragment.more {
            self.total = Some(end);
        }
        let (gaps, same) = self.gaps(fragment.offset, bytes);
        let added: usize = gaps.iter().map(|(_, part)| part.len()).sum();
        self.parts.extend(gaps.into_iter().map(|(offset, part)| (offset, part.to_vec())));
        self.received += added;
        match added {
            0 if same => Err(FragmentDrop::Duplicate),
            _ if added == bytes.len() => Ok(Added::New),
            _ => Ok(Added::Overlapping),
        }
    }

    /// Which of these bytes, whose place is `start`, are not there yet, and whether the others are the same.
    fn gaps<'b>(&self, start: usize, bytes: &'b [u8]) -> (Vec<(usize, &'b [u8])>, bool) {
        let end = start + bytes.len();
        let first = self.parts.range(..=start).next_back().map_or(start, |(offset, _)| *offset);
        let mut gaps = Vec::new();
        let mut same = true;
        let mut at = start;
        for (&offset, part) in self.parts.range(first..end) {
            let part_end = offset + part.len();
            if part_end <= at {
                continue;
            }
            if offset > at {
                gaps.extend(bytes.get(at - start..offset - start).map(|gap| (at, gap)));
            }
            let (from, to) = (offset.max(at), part_end.min(end));
            same &= part.get(from - offset..to - offset) == bytes.get(from - start..to - start);
            at = part_end;
        }
        gaps.extend(bytes.get(at - start..).filter(|gap| !gap.is_empty()).map(|gap| (at, gap)));
        (gaps, same)
    }

    /// The whole packet. `None` when its IP header cannot say how long it is.
    fn write(&self, out: &mut Vec<u8>) -> Option<()> {
        let head = self.head.as_ref()?;
        out.clear();
        out.extend_from_slice(&head.bytes);
        let length = u16::try_from(head.counted + self.received).ok()?;
        out.get_mut(head.length_at..)?.first_chunk_mut().map(|field| *field = length.to_be_bytes())?;
        self.parts.values().for_each(|part| out.extend_from_slice(part));
        Some(())
    }
}

/// What comes before the payload of a whole datagram.
#[derive(Debug)]
struct Head {
    bytes: Vec<u8>,
    /// Where its length is.
    length_at: usize,
    /// Bytes of the head that this length counts, too.
    counted: usize,
}

impl Head {
    /// The head of the first fragment, without what makes it a fragment. `None` would mean that its places are not in
    /// the packet.
    fn of(fragment: &Fragment<'_>, packet: &[u8], lengths: &[usize]) -> Option<Self> {
        let Fragment { header, kept, .. } = *fragment;
        let mut bytes = packet.get(..kept)?.to_vec();
        for &at in lengths {
            bytes.get_mut(at..)?.first_chunk_mut().map(|length| *length = [0; 2])?;
        }
        if fragment.pair.source.is_ipv4() {
            let (length_at, flags_at) = (header + 2, header + 6);
            bytes.get_mut(flags_at..)?.first_chunk_mut().map(|flags| *flags = [0; 2])?;
            return Some(Self { bytes, length_at, counted: kept - header });
        }
        *bytes.get_mut(fragment.next_header)? = fragment.protocol;
        Some(Self { bytes, length_at: header + 4, counted: (kept - header).saturating_sub(IPV6_HEADER) })
    }
}

/// Datagrams that were put together a moment ago, so that the copies of their fragments start no new ones: a port
/// mirrors a packet twice, and PRP and HSR send it twice.
#[derive(Debug, Default)]
struct Finished {
    keys: HashSet<Key>,
    queue: VecDeque<(i64, Key)>,
}

impl Finished {
    fn insert(&mut self, key: Key, clock: i64) {
        if self.queue.len() == MAX_FINISHED {
            self.pop();
        }
        if self.keys.insert(key) {
            self.queue.push_back((clock, key));
        }
    }

    fn expire(&mut self, clock: i64) {
        while self.queue.front().is_some_and(|(time, _)| clock.saturating_sub(*time) > COPY_DELAY) {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some((_, key)) = self.queue.pop_front() {
            self.keys.remove(&key);
        }
    }
}

/// Greatest datagram that IP can say, bytes.
const MAX_DATAGRAM: usize = 65_535;
/// Length of an IPv6 header, which its length does not count, bytes.
const IPV6_HEADER: usize = 40;
/// Memory of an entry and of a part beside their bytes, about.
const DATAGRAM_COST: usize = 256;
const PART_COST: usize = 48;
/// How long after a datagram copies of its fragments are expected, nanoseconds. Short, because identifications of
/// IPv4 come round again.
const COPY_DELAY: i64 = 100_000_000;
/// Datagrams whose copies are expected, at most; then the oldest is forgotten, and a copy costs an entry.
const MAX_FINISHED: usize = 1024;

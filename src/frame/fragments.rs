//! Reassembles IP fragments, in a table bounded in entries, bytes and age.
//!
//! The result depends only on the order and the times of the packets, so every replay gives the same packets.

mod datagram;
mod finished;
#[cfg(test)]
#[allow(clippy::panic, reason = "a test fails by a panic")]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use datagram::{Added, Datagram, Head};
use finished::{DUPLICATE_DELAY, Finished};

use super::walk::{Fragment, Observer, Span, Walk};
use super::{Checksum, IpHeader, Tunnel, Undecoded};
use crate::capture::LinkType;

/// Bounds of the table of a [`Reassembler`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentLimits {
    /// Most incomplete datagrams at a time; beyond it, the oldest is evicted.
    pub datagrams: usize,
    /// Most bytes for them, bookkeeping included; beyond it, the oldest is evicted.
    pub bytes: usize,
    /// Most time from the first fragment of a datagram to the last, nanoseconds of packet time.
    pub age: i64,
}

impl Default for FragmentLimits {
    /// 4096 datagrams, 16 MiB, and the 60 seconds of RFC 8200, 4.5.
    fn default() -> Self {
        Self { datagrams: 4096, bytes: 16 << 20, age: 60_000_000_000 }
    }
}

/// What a [`Reassembler`] counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentCounters {
    /// Datagrams reassembled.
    pub reassembled: u64,
    /// Fragments without new bytes: duplicates, also of recently reassembled datagrams.
    pub duplicates: u64,
    /// Fragments that overlapped others and had different or additional bytes. The first bytes stand.
    pub overlapping: u64,
    /// Fragments beyond the largest datagram (65,535 bytes with its header).
    pub too_large: u64,
    /// Invalid fragments: empty, not the last and no multiple of 8 bytes, or refused by [`super::decode`].
    pub malformed: u64,
    /// Fragments cut by a snap length: their datagram cannot be reassembled.
    pub cut: u64,
    /// Incomplete datagrams that exceeded the age limit or were left at the end of the capture.
    pub aged_out: u64,
    /// Incomplete datagrams that were evicted because a limit was reached.
    pub evicted: u64,
    /// Bytes of payload in the datagrams that aged out or were evicted.
    pub bytes_given_up: u64,
}

/// The result of [`Reassembler::push`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reassembled {
    /// The fragment completed its datagram.
    Complete,
    /// The fragment is stored; others are missing.
    Incomplete,
    /// The fragment was dropped.
    Dropped(FragmentDrop),
}

/// Why a fragment was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FragmentDrop {
    /// The packet is not a fragment: see [`super::peek()`].
    NoFragment,
    /// [`super::decode`] refuses the packet, too.
    Undecoded(Undecoded),
    /// A snap length cut it.
    Cut,
    /// It is empty, or not the last and no multiple of 8 bytes.
    Malformed,
    /// It lies beyond the largest datagram, or its datagram exceeds the limits.
    TooLarge,
    /// It has no new bytes.
    Duplicate,
    /// It contradicts other fragments about where the datagram ends.
    Contradiction,
}

/// Reassembles IP fragments.
#[derive(Debug)]
pub struct Reassembler {
    limits: FragmentLimits,
    counters: FragmentCounters,
    /// The incomplete datagrams by serial number, so the oldest is first.
    datagrams: BTreeMap<u64, Datagram>,
    serials: HashMap<Key, u64>,
    next_serial: u64,
    /// Sum of the cost of all `datagrams`, bytes.
    cost: usize,
    finished: Finished,
    /// See [`Reassembler::take_other_readings`].
    others: Vec<Vec<u8>>,
    /// See [`Reassembler::is_ambiguous`].
    is_ambiguous: bool,
}

/// Fragments with the same key belong to the same datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    vlan: Option<u16>,
    tunnel: Option<Tunnel>,
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
    /// 0 for IPv6, where it may differ between fragments (RFC 8200, 4.5).
    protocol: u8,
}

impl Key {
    fn of(fragment: &Fragment<'_>) -> Self {
        let IpHeader { source, destination, .. } = fragment.ip;
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
            others: Vec::new(),
            is_ambiguous: false,
        }
    }

    /// Takes the other readings of the datagram that the last [push](Self::push) completed, if its fragments contradict each
    /// other: whole packets like the one in `out`.
    pub fn take_other_readings(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.others)
    }

    /// Whether the fragments of the datagram that the last [push](Self::push) completed contradict each other.
    pub const fn is_ambiguous(&self) -> bool {
        self.is_ambiguous
    }

    /// What was counted_header_bytes so far.
    pub fn counters(&self) -> FragmentCounters {
        self.counters
    }

    /// Adds a packet that is a [`super::Peek::Fragment`]; `clock` is the latest time of all packets so far.
    ///
    /// If it completes a datagram, `out` is replaced by a packet of the same link type: the first fragment up to and including
    /// its IP header, with the length and fragment fields of the whole datagram, then the whole payload. The checksum of that
    /// header stays valid or invalid. Outer headers have the length 0, which [`super::decode`] takes for the rest of the
    /// packet. The packet may in turn be a fragment of an outer datagram.
    ///
    /// Contradicting fragments give several datagrams, and hosts differ in which one they accept. `out` has the one made of
    /// the first bytes; [`Reassembler::take_other_readings`] returns the others until the next push.
    pub fn push(&mut self, link: LinkType, bytes: &[u8], original: u32, clock: i64, out: &mut Vec<u8>) -> Reassembled {
        self.expire(clock);
        self.others.clear();
        self.is_ambiguous = false;
        let mut walk = Walk::new(Finder::default());
        let walked = walk.link(link, Span::of_packet(bytes, original as usize));
        let added = match (walk.observer.fragment, walked) {
            (Some(fragment), _) => {
                let added = self.add_fragment(&fragment, bytes, &walk.observer.lengths, clock, out);
                self.others.retain(|other| has_no_wrong_checksum(link, other));
                self.try_late_fragment(link, &fragment, clock, added, out)
            }
            (None, Err(error)) => Err(FragmentDrop::Undecoded(error)),
            (None, Ok(_)) => Err(FragmentDrop::NoFragment),
        };
        added.unwrap_or_else(|reason| {
            self.count_drop(reason);
            Reassembled::Dropped(reason)
        })
    }

    /// Drops incomplete datagrams that exceed the age limit at `clock`. [`Reassembler::push`] calls it.
    pub fn expire(&mut self, clock: i64) {
        self.finished.expire(clock);
        let age = self.limits.age;
        let is_late = |datagram: &Datagram| clock.saturating_sub(datagram.started) > age;
        while self.datagrams.first_key_value().is_some_and(|(_, oldest)| is_late(oldest)) {
            let Some(datagram) = self.remove_oldest() else { break };
            if !datagram.is_duplicate {
                self.counters.aged_out += 1;
                self.counters.bytes_given_up += datagram.received as u64;
            }
        }
    }

    /// Drops all incomplete datagrams at the end of the capture.
    pub fn finish(&mut self) {
        self.expire(i64::MAX);
    }

    /// Adds a fragment to its datagram, and writes the packet to `out` if that is complete.
    fn add_fragment(
        &mut self,
        fragment: &Fragment<'_>,
        packet: &[u8],
        lengths: &[usize],
        clock: i64,
        out: &mut Vec<u8>,
    ) -> Result<Reassembled, FragmentDrop> {
        check_fragment(fragment)?;
        let key = Key::of(fragment);
        let fingerprint = self.finished.fingerprint(fragment);
        let is_known = self.finished.contains(&key, fingerprint);
        let serial = self.open_datagram(key, clock);
        let Some(datagram) = self.datagrams.get_mut(&serial) else { return Err(FragmentDrop::NoFragment) };
        let before = datagram.cost();
        if fragment.offset == 0 && datagram.head.is_none() {
            datagram.head = Head::of(fragment, packet, lengths);
        }
        datagram.is_duplicate &= is_known;
        let added = datagram.add(fragment, fingerprint);
        self.cost = self.cost + datagram.cost() - before;
        let (is_complete, is_duplicate) = (datagram.is_complete(), datagram.is_duplicate);
        if let Added::Overlapping = added.inspect_err(|_| self.make_room())? {
            self.counters.overlapping += 1;
        }
        if is_complete {
            return self.finish_datagram(serial, clock, out);
        }
        self.make_room();
        match self.datagrams.contains_key(&serial) {
            _ if is_duplicate => Err(FragmentDrop::Duplicate),
            true => Ok(Reassembled::Incomplete),
            false => Err(FragmentDrop::TooLarge),
        }
    }

    /// Reads a fragment as a replacement for bytes of an already reassembled datagram: the host may have dropped the fragment
    /// that came first. Counts only if the result has right checksums or, within [`DUPLICATE_DELAY`], no wrong one, and if the
    /// fragment did not complete another datagram.
    fn try_late_fragment(
        &mut self,
        link: LinkType,
        fragment: &Fragment<'_>,
        clock: i64,
        added: Result<Reassembled, FragmentDrop>,
        out: &mut Vec<u8>,
    ) -> Result<Reassembled, FragmentDrop> {
        if added != Ok(Reassembled::Incomplete) || fragment.payload.missing() > 0 {
            return added;
        }
        match self.finished.reading_with(&Key::of(fragment), fragment, clock) {
            Some((whole, age))
                if has_right_checksums(link, &whole)
                    || age <= DUPLICATE_DELAY && has_no_wrong_checksum(link, &whole) =>
            {
                *out = whole;
                self.is_ambiguous = true;
                Ok(Reassembled::Complete)
            }
            _ => added,
        }
    }

    /// The serial number of the incomplete datagram with this key; starts a new one if there is none.
    fn open_datagram(&mut self, key: Key, clock: i64) -> u64 {
        if let Some(&serial) = self.serials.get(&key) {
            // Duplicates that come too late are fragments of a new datagram.
            let stale =
                |datagram: &Datagram| datagram.is_duplicate && clock.saturating_sub(datagram.started) > DUPLICATE_DELAY;
            if !self.datagrams.get(&serial).is_some_and(stale) {
                return serial;
            }
            self.remove(serial);
        }
        let serial = self.next_serial;
        self.next_serial += 1;
        self.serials.insert(key, serial);
        let datagram = Datagram::new(key, clock);
        self.cost += datagram.cost();
        self.datagrams.insert(serial, datagram);
        serial
    }

    /// Removes a complete datagram, and writes the packet to `out`.
    fn finish_datagram(&mut self, serial: u64, clock: i64, out: &mut Vec<u8>) -> Result<Reassembled, FragmentDrop> {
        let datagram = self.remove(serial).ok_or(FragmentDrop::NoFragment)?;
        if datagram.is_duplicate {
            return Err(FragmentDrop::Duplicate);
        }
        datagram.write_packet(out).ok_or(FragmentDrop::TooLarge)?;
        self.others = datagram.other_readings();
        self.is_ambiguous = datagram.is_ambiguous();
        let payload = datagram.payload();
        if let Some(head) = datagram.head {
            self.finished.keep_datagram(datagram.key, clock, head, payload);
        }
        self.finished.remember(datagram.key, clock, datagram.fingerprints);
        self.counters.reassembled += 1;
        Ok(Reassembled::Complete)
    }

    /// Evicts the oldest datagrams until the limits hold.
    fn make_room(&mut self) {
        while self.datagrams.len() > self.limits.datagrams || self.cost > self.limits.bytes {
            let Some(datagram) = self.remove_oldest() else { break };
            if !datagram.is_duplicate {
                self.counters.evicted += 1;
                self.counters.bytes_given_up += datagram.received as u64;
            }
        }
    }

    fn remove_oldest(&mut self) -> Option<Datagram> {
        let (&serial, _) = self.datagrams.first_key_value()?;
        self.remove(serial)
    }

    /// Removes a datagram from the table.
    fn remove(&mut self, serial: u64) -> Option<Datagram> {
        let datagram = self.datagrams.remove(&serial)?;
        self.serials.remove(&datagram.key);
        self.cost -= datagram.cost();
        Some(datagram)
    }

    fn count_drop(&mut self, reason: FragmentDrop) {
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

/// Whether the checksums of a packet are right.
fn has_right_checksums(link: LinkType, packet: &[u8]) -> bool {
    super::decode(link, packet, packet.len() as u32).is_ok_and(|frame| frame.checksum == Checksum::Right)
}

/// Whether a packet can be decoded and has no wrong checksum.
fn has_no_wrong_checksum(link: LinkType, packet: &[u8]) -> bool {
    super::decode(link, packet, packet.len() as u32).is_ok_and(|frame| frame.checksum != Checksum::Wrong)
}

/// Refuses fragments that no datagram can be made of.
fn check_fragment(fragment: &Fragment<'_>) -> Result<(), FragmentDrop> {
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

/// Finds the first fragment on a walk, and the length fields before it.
#[derive(Default)]
struct Finder<'a> {
    lengths: Vec<usize>,
    fragment: Option<Fragment<'a>>,
}

impl<'a> Observer<'a> for Finder<'a> {
    fn on_length(&mut self, at: usize) {
        self.lengths.push(at);
    }

    fn on_fragment(&mut self, fragment: Fragment<'a>) -> bool {
        self.fragment = Some(fragment);
        false
    }
}

/// Largest IP datagram, bytes.
const MAX_DATAGRAM: usize = 65_535;

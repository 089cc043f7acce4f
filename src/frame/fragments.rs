//! IP fragments into whole packets, in a table that is bounded in entries, bytes and age.
//!
//! Everything is decided by the order and the times of the packets, so a replay gives the same packets every time.

mod datagram;
mod finished;
#[cfg(test)]
#[allow(clippy::panic, reason = "a test fails by a panic")]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use datagram::{Added, Datagram, Head};
use finished::{COPY_DELAY, Finished};

use super::walk::{Fragment, Observer, Span, Walk};
use super::{Checksum, IpHeader, Tunnel, Undecoded};
use crate::capture::LinkType;

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
    /// It is none: see [`super::peek()`].
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
    /// What [`Reassembler::take_other_readings`] gives.
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
    /// 0 for IPv6, where it may differ from part to part (RFC 8200, 4.5).
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

    /// What else the datagram that was just completed may be, where its fragments contradict each other: whole packets, as
    /// the one in `out`.
    pub fn take_other_readings(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.others)
    }

    /// Whether the fragments of the datagram that was just completed contradict each other.
    pub const fn is_ambiguous(&self) -> bool {
        self.is_ambiguous
    }

    /// What was counted_header_bytes so far.
    pub fn counters(&self) -> FragmentCounters {
        self.counters
    }

    /// Takes a packet that [`super::peek()`] called a fragment; `clock` is the latest time of all packets so far.
    ///
    /// When it completes a datagram, `out` holds a packet of the same link type and nothing else: the first fragment
    /// up to and including its IP header, which now says that it is whole, then the whole payload. The checksum of that header
    /// is as right or wrong as before, and headers around it have the length 0, which [`super::decode`] takes for "all that is
    /// there". The packet may in turn be a fragment of something that wraps it.
    ///
    /// Fragments that overlap and differ make for several datagrams, of which hosts take this one or that. The one made of
    /// what came first is in `out`, the others are [taken](Reassembler::take_other_readings) at once.
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

    /// Gives up what has taken too long by `clock`. [`Reassembler::push`] does so, too.
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

    /// Gives up what is incomplete when the capture ends.
    pub fn finish(&mut self) {
        self.expire(i64::MAX);
    }

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
        let copy = self.finished.contains(&key, fingerprint);
        let serial = self.open_datagram(key, clock);
        let Some(datagram) = self.datagrams.get_mut(&serial) else { return Err(FragmentDrop::NoFragment) };
        let before = datagram.cost();
        if fragment.offset == 0 && datagram.head.is_none() {
            datagram.head = Head::of(fragment, packet, lengths);
        }
        datagram.is_duplicate &= copy;
        let added = datagram.add(fragment, fingerprint);
        self.cost = self.cost + datagram.cost() - before;
        let (complete, copies) = (datagram.is_complete(), datagram.is_duplicate);
        if let Added::Overlapping = added.inspect_err(|_| self.make_room())? {
            self.counters.overlapping += 1;
        }
        if complete {
            return self.finish_datagram(serial, clock, out);
        }
        self.make_room();
        match self.datagrams.contains_key(&serial) {
            _ if copies => Err(FragmentDrop::Duplicate),
            true => Ok(Reassembled::Incomplete),
            false => Err(FragmentDrop::TooLarge),
        }
    }

    /// A fragment of a datagram that was put together already may belong to it all the same: the host may have dropped what was
    /// taken for its place. Only where the checksum of the result says so, and where the fragment made nothing else.
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
        match self.finished.read_with(&Key::of(fragment), fragment, clock) {
            Some((whole, age))
                if has_right_checksums(link, &whole) || age <= COPY_DELAY && has_no_wrong_checksum(link, &whole) =>
            {
                *out = whole;
                self.is_ambiguous = true;
                Ok(Reassembled::Complete)
            }
            _ => added,
        }
    }

    /// The datagram with this key, a new one if need be.
    fn open_datagram(&mut self, key: Key, clock: i64) -> u64 {
        if let Some(&serial) = self.serials.get(&key) {
            let stale =
                |datagram: &Datagram| datagram.is_duplicate && clock.saturating_sub(datagram.started) > COPY_DELAY;
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

    /// Takes a datagram out of the table.
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

/// Whether a packet can be read, and no checksum of it is wrong.
fn has_no_wrong_checksum(link: LinkType, packet: &[u8]) -> bool {
    super::decode(link, packet, packet.len() as u32).is_ok_and(|frame| frame.checksum != Checksum::Wrong)
}

/// Refuses what no datagram can be made of.
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

/// Learns of the first fragment on the way, and of the lengths before it.
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

/// Greatest datagram that IP can say, bytes.
const MAX_DATAGRAM: usize = 65_535;

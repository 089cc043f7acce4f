//! Frames that arrive twice although they were sent once.
//!
//! A SPAN port that mirrors several VLANs or ports shows the same packet on its way in and on its way out, perhaps with
//! other MAC addresses, another VLAN and a lower TTL. PRP and HSR (IEC 62439-3) send every frame on two paths.

use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::fast::FixedState;

use super::mix::{Mixer, word};
use crate::frame::{Body, Datagram, Frame, IpPair, Macs, OtherIp, Plain, Redundancy, Segment};

/// What a [`CopyFilter`] runs on. Times are nanoseconds of packet time.
#[derive(Clone, Copy, Debug)]
pub struct CopySettings {
    /// Frames that are remembered, rounded up to a power of two: 16 bytes each, and as much again on a redundant
    /// network. A copy is missed when so many other frames, or an unlucky one, came between.
    pub slots: u32,
    /// How far apart two mirrored copies may be.
    pub mirror_window: i64,
    /// How far apart the two paths of PRP or HSR may be (IEC 62439-3 ages entries after 400 ms).
    pub redundancy_window: i64,
    /// Seed of the digests.
    pub seed: u64,
}

impl Default for CopySettings {
    fn default() -> Self {
        Self { slots: 128, mirror_window: 2_000_000, redundancy_window: 400_000_000, seed: 0 }
    }
}

/// What a [`CopyFilter`] counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyCounters {
    /// Frames that the tap delivered again.
    pub mirrored: u64,
    /// Frames that came on the other path of a redundant network.
    pub redundant: u64,
}

/// Recognises copies among the frames of one shard.
///
/// A mirrored copy has the same addresses, the same IP identification and the same transport header. A retransmission
/// within the window that repeats even the IP identification counts as a copy too, and so does a repeated bare
/// acknowledgement: neither says anything new. Datagrams are compared with their payload, so that devices which count
/// no identification lose nothing but true repetitions within the window.
#[derive(Debug)]
#[repr(C)]
pub struct CopyFilter {
    /// As many as a power of two.
    mirrored: Box<[Seen]>,
    mixer: Mixer,
    /// As many, or none until the first frame with a redundancy tag.
    redundant: Box<[Seen]>,
    settings: CopySettings,
    hash: FixedState,
    counters: CopyCounters,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    digest: u64,
    time: i64,
}

impl CopyFilter {
    /// A filter that has seen nothing.
    pub fn new(settings: &CopySettings) -> Self {
        let slots = (settings.slots.clamp(1, MAX_SLOTS) as usize).next_power_of_two();
        Self {
            mirrored: vec![Seen::NOTHING; slots].into(),
            redundant: Box::default(),
            settings: *settings,
            hash: FixedState::with_seed(settings.seed),
            mixer: Mixer::new(settings.seed),
            counters: CopyCounters::default(),
        }
    }

    /// What was counted.
    pub const fn counters(&self) -> CopyCounters {
        self.counters
    }

    /// Whether the frame, captured at `time`, was seen already, on this way or on another. Remembers it if not.
    pub fn is_copy(&mut self, frame: &Frame<'_>, time: i64) -> bool {
        if let (Some(tag), Some(macs)) = (frame.redundancy, frame.mac)
            && self.is_redundant(tag, macs, time)
        {
            self.counters.redundant += 1;
            return true;
        }
        self.digest(frame).is_some_and(|digest| self.is_mirrored(digest, time))
    }

    /// Remembers a segment that cannot be a copy, because its stream goes on with it. That needs no look at what is
    /// remembered already, which would be waited for (20 ns a packet where flows are many).
    #[inline(always)]
    pub fn remember(&mut self, plain: &Plain<'_>, time: i64) {
        let digest = self.digest_of(plain);
        let place = place_in(&self.mirrored, digest as usize);
        self.mirrored[place] = Seen { digest, time };
    }

    /// [`CopyFilter::is_copy`] of a plain segment.
    #[inline(always)]
    pub fn is_copy_of(&mut self, plain: &Plain<'_>, time: i64) -> bool {
        self.is_mirrored(self.digest_of(plain), time)
    }

    #[inline(always)]
    fn digest_of(&self, plain: &Plain<'_>) -> u64 {
        let ports = word(plain.ports(), plain.payload.len() as u32);
        let rest = word(both(plain.checksum(), plain.identification()), plain.flags());
        self.digest_words(plain.hosts(), plain.numbers(), ports, rest) | SEEN
    }

    #[inline(always)]
    fn is_mirrored(&mut self, digest: u64, time: i64) -> bool {
        let place = place_in(&self.mirrored, digest as usize);
        let slot = &mut self.mirrored[place];
        let copy = slot.digest == digest && slot.is_within(self.settings.mirror_window, time);
        if !copy {
            *slot = Seen { digest, time };
        }
        self.counters.mirrored += u64::from(copy);
        copy
    }

    /// Sequence numbers of a source are consecutive, so that its frames lie side by side in the table.
    fn is_redundant(&mut self, tag: Redundancy, macs: Macs, time: i64) -> bool {
        if self.redundant.is_empty() {
            self.redundant = vec![Seen::NOTHING; self.mirrored.len()].into();
        }
        let source = self.hash.hash_one(macs.source);
        let named = source & !TAG_BITS | u64::from(tag.sequence) << 8;
        let place = place_in(&self.redundant, (source as usize).wrapping_add(tag.sequence.into()));
        let slot = &mut self.redundant[place];
        let same = slot.digest & !LAN_BITS == named && slot.is_within(self.settings.redundancy_window, time);
        if same && slot.digest & LAN_BITS != u64::from(tag.lan) {
            return true;
        }
        *slot = Seen { digest: named | u64::from(tag.lan), time };
        false
    }

    /// What two copies of a frame have in common and two frames do not. `None` where nothing tells them apart.
    fn digest(&self, frame: &Frame<'_>) -> Option<u64> {
        let digest = match &frame.body {
            Body::Tcp(pair, segment) => self.digest_segment(self.hosts(pair), pair.identification, segment),
            Body::Udp(pair, datagram) => self.digest_datagram(pair, datagram),
            Body::Ip(IpPair { identification: 0, .. }, _) => return None,
            Body::Ip(pair, OtherIp { protocol, .. }) => {
                self.mixer.pair(self.hosts(pair), word(pair.identification.into(), (*protocol).into()))
            }
            Body::Link { ether_type, payload } => {
                let Macs { source, destination } = frame.mac?;
                self.hash.hash_one((source, destination, ether_type, payload))
            }
        };
        Some(digest | SEEN)
    }

    fn hosts(&self, pair: &IpPair) -> u64 {
        match (pair.source, pair.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => word(source.to_bits(), destination.to_bits()),
            addresses => self.hash.hash_one(addresses),
        }
    }

    fn digest_segment(&self, hosts: u64, identification: u16, segment: &Segment<'_>) -> u64 {
        let numbers = word(segment.sequence, segment.acknowledgement);
        let ports = word(both(segment.source_port, segment.destination_port), segment.length);
        let rest = word(both(segment.checksum, identification), segment.flags.bits());
        self.digest_words(hosts, numbers, ports, rest)
    }

    /// The same for a segment, however its header was read.
    #[inline(always)]
    fn digest_words(&self, hosts: u64, numbers: u64, ports: u64, rest: u64) -> u64 {
        self.mixer.pair(self.mixer.pair(hosts, numbers) ^ ports, rest)
    }

    fn digest_datagram(&self, pair: &IpPair, datagram: &Datagram<'_>) -> u64 {
        let ports = word(both(datagram.source_port, datagram.destination_port), datagram.length);
        let rest = word(datagram.checksum.into(), pair.identification.into());
        let header = self.mixer.pair(self.mixer.pair(self.hosts(pair), ports), rest);
        self.mixer.pair(header, self.hash.hash_one(datagram.payload))
    }
}

impl Seen {
    const NOTHING: Self = Self { digest: 0, time: i64::MIN };

    fn is_within(&self, window: i64, time: i64) -> bool {
        time.abs_diff(self.time) <= window.unsigned_abs()
    }
}

/// Where a number finds its place among slots.
#[inline(always)]
const fn place_in(slots: &[Seen], number: usize) -> usize {
    number & slots.len().wrapping_sub(1)
}

const fn both(upper: u16, lower: u16) -> u32 {
    (upper as u32) << 16 | lower as u32
}

/// Tells a digest from an empty slot, which has 0.
const SEEN: u64 = 1 << 63;
/// 1 MiB of memory.
const MAX_SLOTS: u32 = 1 << 16;
/// Where a redundancy entry keeps the LAN.
const LAN_BITS: u64 = 0xff;
/// Where it keeps the sequence number and the LAN.
const TAG_BITS: u64 = 0xff_ffff;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Link;
    use crate::frame::TcpFlags;

    const MILLISECOND: i64 = 1_000_000;

    fn filter() -> CopyFilter {
        CopyFilter::new(&CopySettings::default())
    }

    fn pair(identification: u16) -> IpPair {
        IpPair { source: [10, 0, 0, 1].into(), destination: [10, 0, 0, 2].into(), identification }
    }

    fn frame(body: Body<'_>) -> Frame<'_> {
        Frame { mac: None, vlan: None, tunnel: None, redundancy: None, body, cut: 0, undecoded: None }
    }

    fn segment(identification: u16, sequence: u32) -> Frame<'static> {
        let segment = Segment {
            source_port: 40_000,
            destination_port: 502,
            sequence,
            acknowledgement: 7,
            flags: TcpFlags { ack: true, ..TcpFlags::default() },
            checksum: 0xbeef,
            payload: b"abc",
            length: 3,
        };
        frame(Body::Tcp(pair(identification), segment))
    }

    fn datagram(identification: u16, payload: &[u8]) -> Frame<'_> {
        let datagram = Datagram { source_port: 1, destination_port: 2, checksum: 0, payload, length: 3 };
        frame(Body::Udp(pair(identification), datagram))
    }

    fn tagged(sequence: u16, lan: u8, body: u32) -> Frame<'static> {
        let macs = Macs { source: [2, 0, 0, 0, 0, 1], destination: [2, 0, 0, 0, 0, 2] };
        Frame { mac: Some(macs), redundancy: Some(Redundancy { sequence, lan }), ..segment(1, body) }
    }

    #[test]
    fn a_copy_from_another_vlan_is_recognised_within_the_window_only() {
        let mut filter = filter();
        let first = segment(9, 100);
        let copy = Frame { vlan: Some(20), ..first };
        assert!(!filter.is_copy(&first, 0));
        assert!(filter.is_copy(&copy, 2 * MILLISECOND));
        assert!(!filter.is_copy(&copy, 2 * MILLISECOND + 1));
        assert!(filter.is_copy(&first, MILLISECOND), "the clock of a merged capture may run backwards");
        assert_eq!(filter.counters(), CopyCounters { mirrored: 2, redundant: 0 });
    }

    #[test]
    fn the_short_cut_remembers_what_the_long_way_recognises() {
        const ETHERNET: [u8; 14] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
        const IP: [u8; 20] = [0x45, 0, 0, 43, 0x12, 0x34, 0x40, 0, 63, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        const TCP: [u8; 20] = [0x9c, 0x40, 1, 0xf6, 1, 2, 3, 4, 5, 6, 7, 8, 0x50, 0, 1, 0, 0xbe, 0xef, 0, 0];
        for flags in 0..=u8::MAX {
            let mut bytes = [&ETHERNET[..], &IP, &TCP, b"abc"].concat();
            bytes[14 + 20 + 13] = flags;
            let plain = crate::frame::plain(Link::Ethernet, &bytes, bytes.len() as u32).expect("it is plain");
            let frame = crate::frame::decode(Link::Ethernet, &bytes, bytes.len() as u32).expect("it is sound");
            let mut filter = filter();
            filter.remember(&plain, 0);
            assert!(filter.is_copy(&frame, 1) && filter.is_copy_of(&plain, 1));
        }
    }

    #[test]
    fn another_identification_or_sequence_number_is_another_frame() {
        let mut filter = filter();
        for (identification, sequence) in [(9, 100), (10, 100), (10, 103), (0, 100)] {
            assert!(!filter.is_copy(&segment(identification, sequence), 0));
        }
    }

    #[test]
    fn equal_datagrams_with_their_own_identification_are_kept() {
        let mut filter = filter();
        assert!(!filter.is_copy(&datagram(1, b"abc"), 0));
        assert!(!filter.is_copy(&datagram(2, b"abc"), 1));
        assert!(filter.is_copy(&datagram(2, b"abc"), 2));
    }

    #[test]
    fn datagrams_without_identification_are_told_apart_by_their_payload() {
        let mut filter = filter();
        assert!(!filter.is_copy(&datagram(0, b"abc"), 0));
        assert!(!filter.is_copy(&datagram(0, b"abd"), 1));
        assert!(filter.is_copy(&datagram(0, b"abd"), 2));
    }

    #[test]
    fn what_nothing_tells_apart_is_kept() {
        let mut filter = filter();
        let ping = frame(Body::Ip(pair(0), OtherIp { protocol: 1, neighbour_discovery: false }));
        assert!(!filter.is_copy(&ping, 0) && !filter.is_copy(&ping, 0));
        let numbered = frame(Body::Ip(pair(5), OtherIp { protocol: 1, neighbour_discovery: false }));
        assert!(!filter.is_copy(&numbered, 0) && filter.is_copy(&numbered, 0));
    }

    #[test]
    fn the_second_path_of_a_redundant_network_is_dropped() {
        let mut filter = filter();
        assert!(!filter.is_copy(&tagged(7, 0xa, 100), 0));
        assert!(!filter.is_copy(&tagged(8, 0xa, 103), MILLISECOND));
        assert!(filter.is_copy(&tagged(7, 0xb, 100), 300 * MILLISECOND));
        assert!(filter.is_copy(&tagged(8, 0xb, 103), 300 * MILLISECOND));
        assert!(!filter.is_copy(&tagged(7, 0xb, 200), 500 * MILLISECOND), "the sequence number came round again");
        assert_eq!(filter.counters(), CopyCounters { mirrored: 0, redundant: 2 });
    }

    #[test]
    fn link_frames_are_compared_as_a_whole() {
        let mut filter = filter();
        let macs = Some(Macs { source: [2, 0, 0, 0, 0, 1], destination: [255; 6] });
        let arp = |payload| Frame { mac: macs, ..frame(Body::Link { ether_type: 0x0806, payload }) };
        assert!(!filter.is_copy(&arp(b"who has 10.0.0.1"), 0));
        assert!(!filter.is_copy(&arp(b"who has 10.0.0.2"), 0));
        assert!(filter.is_copy(&arp(b"who has 10.0.0.1"), 1));
    }
}

//! Detects frames that were captured twice although they were sent once.
//!
//! A SPAN port that mirrors several VLANs or ports delivers the same packet on its way in and on its way out, possibly with
//! other MAC addresses, another VLAN and a lower TTL. PRP and HSR (IEC 62439-3) send every frame on two paths.
//!
//! TCP segments are not filtered: reassembly compares a repeated segment with the delivered bytes.

use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::fast::FixedState;

use super::mix::{Mixer, word};
use crate::frame::{Body, Datagram, Frame, IpHeader, Macs, OtherIp, Redundancy};

/// Settings of a [`DuplicateFilter`]. Times are nanoseconds of packet time.
#[derive(Clone, Copy, Debug)]
pub struct DuplicateSettings {
    /// Number of frames remembered: 16 bytes each, twice that on a redundant network. A duplicate that arrives after this many
    /// other frames is missed.
    pub slots: u32,
    /// Most time between two mirrored copies.
    pub mirror_window: i64,
    /// Most time between the two copies of PRP or HSR (IEC 62439-3 ages entries after 400 ms).
    pub redundancy_window: i64,
    /// Seed of the digests, so that a sender cannot choose colliding payloads.
    pub seed: u64,
}

impl Default for DuplicateSettings {
    fn default() -> Self {
        Self { slots: 128, mirror_window: 2_000_000, redundancy_window: 400_000_000, seed: 0 }
    }
}

impl DuplicateSettings {
    /// Most time between a frame and its duplicate, nanoseconds.
    pub const fn window(&self, redundancy: Option<Redundancy>) -> i64 {
        if redundancy.is_some() { self.redundancy_window } else { self.mirror_window }
    }
}

/// What a [`DuplicateFilter`] counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DuplicateCounters {
    /// Frames that the tap delivered twice.
    pub mirrored: u64,
    /// Frames that arrived on the second path of a redundant network.
    pub redundant: u64,
}

/// Detects duplicates among the frames of one shard that are not TCP.
///
/// A duplicate has the addresses, the IP identification and the payload of an earlier frame. A mirrored copy arrives within
/// [`DuplicateSettings::mirror_window`]; the second copy on a redundant network has the same sequence number and another LAN.
#[derive(Debug)]
pub struct DuplicateFilter {
    mirrored: Latest,
    mixer: Mixer,
    /// Empty until the first frame with a redundancy tag.
    redundant: Latest,
    settings: DuplicateSettings,
    hash: FixedState,
    counters: DuplicateCounters,
}

/// The latest frames, in order of arrival. Unlike in a hash table of fixed size, the result does not depend on the seed.
#[derive(Debug)]
struct Latest {
    ring: Box<[Seen]>,
    /// Index of the next write.
    next: usize,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    digest: u64,
    time: i64,
}

impl DuplicateFilter {
    /// A filter without frames.
    pub fn new(settings: &DuplicateSettings) -> Self {
        Self {
            mirrored: Latest::new(settings.slots),
            redundant: Latest::new(0),
            settings: *settings,
            hash: FixedState::with_seed(settings.seed),
            mixer: Mixer::new(settings.seed),
            counters: DuplicateCounters::default(),
        }
    }

    /// The counters so far.
    pub const fn counters(&self) -> DuplicateCounters {
        self.counters
    }

    /// The settings.
    pub const fn settings(&self) -> &DuplicateSettings {
        &self.settings
    }

    /// Returns whether the frame, captured at `time`, is a duplicate; remembers it if it is not. Always `false` for TCP.
    pub fn detect(&mut self, frame: &Frame<'_>, time: i64) -> bool {
        let Some(digest) = self.digest(frame) else { return false };
        if let (Some(tag), Some(macs)) = (frame.redundancy, frame.mac)
            && self.detect_redundant(digest, tag, macs, time)
        {
            self.counters.redundant += 1;
            return true;
        }
        self.detect_mirrored(digest, time)
    }

    /// Returns whether a frame is a mirrored copy; remembers it if it is not.
    fn detect_mirrored(&mut self, digest: u64, time: i64) -> bool {
        let is_duplicate = self.mirrored.contains(time, self.settings.mirror_window, |seen| seen == digest);
        if !is_duplicate {
            self.mirrored.push(Seen { digest, time });
        }
        self.counters.mirrored += u64::from(is_duplicate);
        is_duplicate
    }

    /// Returns whether a frame came on the second path of a redundant network; remembers it if it did not.
    fn detect_redundant(&mut self, content: u64, tag: Redundancy, macs: Macs, time: i64) -> bool {
        if self.redundant.ring.is_empty() {
            self.redundant = Latest::new(self.settings.slots);
        }
        let named = self.mixer.pair(content, self.hash.hash_one((macs.source, macs.destination, tag.sequence))) | SEEN;
        let (named, lan) = (named & !LAN_BITS, u64::from(tag.lan) & LAN_BITS);
        let took_another_path = |seen: u64| seen & !LAN_BITS == named && seen & LAN_BITS != lan;
        if self.redundant.contains(time, self.settings.redundancy_window, took_another_path) {
            return true;
        }
        self.redundant.push(Seen { digest: named | lan, time });
        false
    }

    /// A hash of the fields that are equal in duplicates and differ between frames. `None` if the frame has no such fields.
    fn digest(&self, frame: &Frame<'_>) -> Option<u64> {
        let digest = match &frame.body {
            Body::Tcp(..) | Body::Ip(IpHeader { identification: 0, .. }, _) => return None,
            Body::Udp(ip, datagram) => self.digest_datagram(ip, datagram),
            Body::Ip(ip, OtherIp { protocol, .. }) => {
                self.mixer.pair(self.hosts(ip), word(ip.identification.into(), (*protocol).into()))
            }
            Body::Link { ether_type, payload } => {
                let Macs { source, destination } = frame.mac?;
                self.hash.hash_one((source, destination, ether_type, payload))
            }
        };
        Some(digest | SEEN)
    }

    fn hosts(&self, ip: &IpHeader) -> u64 {
        match (ip.source, ip.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => word(source.to_bits(), destination.to_bits()),
            addresses => self.hash.hash_one(addresses),
        }
    }

    fn digest_datagram(&self, ip: &IpHeader, datagram: &Datagram<'_>) -> u64 {
        let ports = word(both(datagram.source_port, datagram.destination_port), datagram.length);
        let rest = word(datagram.checksum.into(), ip.identification.into());
        let header = self.mixer.pair(self.mixer.pair(self.hosts(ip), ports), rest);
        self.mixer.pair(header, self.hash.hash_one(datagram.payload))
    }
}

impl Latest {
    fn new(slots: u32) -> Self {
        Self { ring: vec![Seen::NOTHING; slots.min(MAX_SLOTS) as usize].into(), next: 0 }
    }

    /// Whether a digest that `is_it` accepts is at most `window` nanoseconds away. Usually even the latest frame is older.
    fn contains(&self, time: i64, window: i64, is_it: impl Fn(u64) -> bool) -> bool {
        let (newer, older) = self.ring.split_at(self.next);
        // Frames of a merged capture are not strictly in order of time.
        let is_recent = |seen: &&Seen| time.saturating_sub(seen.time) <= window.saturating_mul(2);
        let mut latest = newer.iter().rev().chain(older.iter().rev()).take_while(is_recent);
        latest.any(|seen| is_it(seen.digest) && seen.is_within(window, time))
    }

    fn push(&mut self, seen: Seen) {
        if let Some(place) = self.ring.get_mut(self.next) {
            *place = seen;
        }
        self.next = if self.next + 1 < self.ring.len() { self.next + 1 } else { 0 };
    }
}

impl Seen {
    const NOTHING: Self = Self { digest: 0, time: i64::MIN };

    fn is_within(&self, window: i64, time: i64) -> bool {
        time.abs_diff(self.time) <= window.unsigned_abs()
    }
}

const fn both(upper: u16, lower: u16) -> u32 {
    (upper as u32) << 16 | lower as u32
}

/// Flag in every digest; an empty slot has 0.
const SEEN: u64 = 1 << 63;
/// Bounds the work for one frame.
const MAX_SLOTS: u32 = 1024;
/// The bits of a redundancy digest that hold the LAN.
const LAN_BITS: u64 = 0xf;

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: i64 = 1_000_000;

    fn filter() -> DuplicateFilter {
        DuplicateFilter::new(&DuplicateSettings::default())
    }

    fn pair(identification: u16) -> IpHeader {
        IpHeader { source: [10, 0, 0, 1].into(), destination: [10, 0, 0, 2].into(), identification }
    }

    fn datagram(identification: u16, payload: &[u8]) -> Frame<'_> {
        let datagram = Datagram { source_port: 1, destination_port: 2, checksum: 0, payload, length: 3 };
        Frame::of_body(Body::Udp(pair(identification), datagram))
    }

    fn tagged(sequence: u16, lan: u8, payload: &[u8]) -> Frame<'_> {
        let macs = Macs { source: [2, 0, 0, 0, 0, 1], destination: [2, 0, 0, 0, 0, 2] };
        Frame { mac: Some(macs), redundancy: Some(Redundancy { sequence, lan }), ..datagram(1, payload) }
    }

    #[test]
    fn a_copy_from_another_vlan_is_recognised_within_the_window_only() {
        let mut filter = filter();
        let first = datagram(9, b"abc");
        let copy = Frame { vlan: Some(20), ..first };
        assert!(!filter.detect(&first, 0));
        assert!(filter.detect(&copy, 2 * MILLISECOND));
        assert!(!filter.detect(&copy, 2 * MILLISECOND + 1));
        assert!(filter.detect(&first, MILLISECOND), "the clock of a merged capture may run backwards");
        assert_eq!(filter.counters(), DuplicateCounters { mirrored: 2, redundant: 0 });
    }

    #[test]
    fn the_seed_does_not_change_which_frames_are_duplicates() {
        let payloads: Vec<[u8; 4]> = (0..128_u32).map(u32::to_be_bytes).collect();
        for seed in 0..64 {
            let mut filter = DuplicateFilter::new(&DuplicateSettings { seed, ..DuplicateSettings::default() });
            for payload in &payloads {
                assert!(!filter.detect(&datagram(9, payload), 0), "seed {seed}");
            }
            for payload in &payloads {
                assert!(filter.detect(&datagram(9, payload), MILLISECOND), "seed {seed}");
            }
            for (sequence, payload) in (0..128).zip(&payloads) {
                assert!(!filter.detect(&tagged(sequence, 0xa, payload), 10 * MILLISECOND), "seed {seed}");
            }
            for (sequence, payload) in (0..128).zip(&payloads) {
                assert!(filter.detect(&tagged(sequence, 0xb, payload), 300 * MILLISECOND), "seed {seed}");
            }
        }
    }

    #[test]
    fn a_frame_too_far_back_is_forgotten() {
        let mut filter = filter();
        let first = datagram(9, b"abc");
        assert!(!filter.detect(&first, 0));
        for number in 0..127_u32 {
            assert!(!filter.detect(&datagram(9, &number.to_be_bytes()), 1));
        }
        assert!(filter.detect(&first, 2));
        assert!(!filter.detect(&datagram(9, b"one more"), 2));
        assert!(!filter.detect(&first, 3));
    }

    #[test]
    fn equal_datagrams_with_their_own_identification_are_kept() {
        let mut filter = filter();
        assert!(!filter.detect(&datagram(1, b"abc"), 0));
        assert!(!filter.detect(&datagram(2, b"abc"), 1));
        assert!(filter.detect(&datagram(2, b"abc"), 2));
    }

    #[test]
    fn datagrams_without_identification_are_distinguished_by_their_payload() {
        let mut filter = filter();
        assert!(!filter.detect(&datagram(0, b"abc"), 0));
        assert!(!filter.detect(&datagram(0, b"abd"), 1));
        assert!(filter.detect(&datagram(0, b"abd"), 2));
    }

    #[test]
    fn frames_without_distinguishing_fields_are_kept() {
        let mut filter = filter();
        let ping =
            Frame::of_body(Body::Ip(pair(0), OtherIp { protocol: 1, neighbour_discovery: false, advertised: None }));
        assert!(!filter.detect(&ping, 0) && !filter.detect(&ping, 0));
        let numbered =
            Frame::of_body(Body::Ip(pair(5), OtherIp { protocol: 1, neighbour_discovery: false, advertised: None }));
        assert!(!filter.detect(&numbered, 0) && filter.detect(&numbered, 0));
    }

    #[test]
    fn the_second_path_of_a_redundant_network_is_dropped() {
        let mut filter = filter();
        assert!(!filter.detect(&tagged(7, 0xa, b"one"), 0));
        assert!(!filter.detect(&tagged(8, 0xa, b"two"), MILLISECOND));
        assert!(filter.detect(&tagged(7, 0xb, b"one"), 300 * MILLISECOND));
        assert!(filter.detect(&tagged(8, 0xb, b"two"), 300 * MILLISECOND));
        assert!(!filter.detect(&tagged(7, 0xb, b"six"), 500 * MILLISECOND), "the sequence number came round again");
        assert_eq!(filter.counters(), DuplicateCounters { mirrored: 0, redundant: 2 });
    }

    #[test]
    fn a_frame_with_the_tag_of_another_and_other_content_or_addresses_is_no_copy() {
        let mut filter = filter();
        let first = tagged(7, 0xa, b"one");
        assert!(!filter.detect(&first, 0));
        assert!(!filter.detect(&tagged(7, 0xb, b"two"), MILLISECOND), "another payload");
        assert!(!filter.detect(&first, 10 * MILLISECOND), "its own path again, too late for a mirrored copy");
        let macs = Macs { source: [2, 0, 0, 0, 0, 1], destination: [2, 0, 0, 0, 0, 3] };
        let elsewhere = Frame { mac: Some(macs), ..tagged(7, 0xb, b"one") };
        assert!(!filter.detect(&elsewhere, 20 * MILLISECOND), "to another host");
    }

    #[test]
    fn a_segment_is_never_a_copy_here() {
        use crate::frame::{Segment, TcpFlags};
        let segment = Segment {
            source_port: 40_000,
            destination_port: 502,
            sequence: 1,
            acknowledgement: 7,
            flags: TcpFlags { ack: true, ..TcpFlags::default() },
            urgent: 0,
            payload: b"abc",
            length: 3,
        };
        let segment = Frame::of_body(Body::Tcp(pair(3), segment));
        let mut filter = filter();
        assert!(!filter.detect(&segment, 0) && !filter.detect(&segment, 0));
    }

    #[test]
    fn link_frames_are_compared_as_a_whole() {
        let mut filter = filter();
        let macs = Some(Macs { source: [2, 0, 0, 0, 0, 1], destination: [255; 6] });
        let arp = |payload| Frame { mac: macs, ..Frame::of_body(Body::Link { ether_type: 0x0806, payload }) };
        assert!(!filter.detect(&arp(b"who has 10.0.0.1"), 0));
        assert!(!filter.detect(&arp(b"who has 10.0.0.2"), 0));
        assert!(filter.detect(&arp(b"who has 10.0.0.1"), 1));
    }
}

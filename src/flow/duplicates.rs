//! Frames that arrive twice although they were sent once.
//!
//! A SPAN port that mirrors several VLANs or ports shows the same packet on its way in and on its way out, perhaps with
//! other MAC addresses, another VLAN and a lower TTL. PRP and HSR (IEC 62439-3) send every frame on two paths.
//!
//! TCP needs none of this: a segment that comes twice says nothing new to its stream, and what it says again is compared
//! there.

use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::fast::FixedState;

use super::mix::{Mixer, word};
use crate::frame::{Body, Datagram, Frame, IpHeader, Macs, OtherIp, Redundancy};

/// What a [`DuplicateFilter`] runs on. Times are nanoseconds of packet time.
#[derive(Clone, Copy, Debug)]
pub struct DuplicateSettings {
    /// Frames that are remembered: 16 bytes each, and as much again on a redundant network. A copy is missed when so many other
    /// frames came between.
    pub slots: u32,
    /// How far apart two mirrored copies may be.
    pub mirror_window: i64,
    /// How far apart the two paths of PRP or HSR may be (IEC 62439-3 ages entries after 400 ms).
    pub redundancy_window: i64,
    /// Seed of the digests, against senders who choose payloads that collide.
    pub seed: u64,
}

impl Default for DuplicateSettings {
    fn default() -> Self {
        Self { slots: 128, mirror_window: 2_000_000, redundancy_window: 400_000_000, seed: 0 }
    }
}

impl DuplicateSettings {
    /// How soon after a frame the copy of it comes, nanoseconds.
    pub const fn window(&self, redundancy: Option<Redundancy>) -> i64 {
        if redundancy.is_some() { self.redundancy_window } else { self.mirror_window }
    }
}

/// What a [`DuplicateFilter`] counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DuplicateCounters {
    /// Frames that the tap delivered again.
    pub mirrored: u64,
    /// Frames that came on the other path of a redundant network.
    pub redundant: u64,
}

/// Recognises copies among the frames of one shard that are not TCP.
///
/// A copy has the same addresses, the same IP identification, and all of its payload is the same: otherwise it is a frame of
/// its own. A mirrored one comes almost at once; one that took the other path of a redundant network has the sequence number
/// of the first, and another LAN.
#[derive(Debug)]
pub struct DuplicateFilter {
    mirrored: Latest,
    mixer: Mixer,
    /// Takes no memory until the first frame with a redundancy tag.
    redundant: Latest,
    settings: DuplicateSettings,
    hash: FixedState,
    counters: DuplicateCounters,
}

/// The frames that came last, in the order in which they came: so what is found does not depend on the seed of the digests, as
/// it would in a table with a place for each digest.
#[derive(Debug)]
struct Latest {
    ring: Box<[Seen]>,
    /// The place of the next one.
    next: usize,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    digest: u64,
    time: i64,
}

impl DuplicateFilter {
    /// A filter that has seen nothing.
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

    /// What was counted.
    pub const fn counters(&self) -> DuplicateCounters {
        self.counters
    }

    /// What it runs on.
    pub const fn settings(&self) -> &DuplicateSettings {
        &self.settings
    }

    /// Whether the frame, captured at `time`, was seen already, on this way or on another. Remembers it if not. Never of TCP.
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

    fn detect_mirrored(&mut self, digest: u64, time: i64) -> bool {
        let is_copy = self.mirrored.have(time, self.settings.mirror_window, |seen| seen == digest);
        if !is_copy {
            self.mirrored.push(Seen { digest, time });
        }
        self.counters.mirrored += u64::from(is_copy);
        is_copy
    }

    fn detect_redundant(&mut self, content: u64, tag: Redundancy, macs: Macs, time: i64) -> bool {
        if self.redundant.ring.is_empty() {
            self.redundant = Latest::new(self.settings.slots);
        }
        let named = self.mixer.pair(content, self.hash.hash_one((macs.source, macs.destination, tag.sequence))) | SEEN;
        let (named, lan) = (named & !LAN_BITS, u64::from(tag.lan) & LAN_BITS);
        let took_another_path = |seen: u64| seen & !LAN_BITS == named && seen & LAN_BITS != lan;
        if self.redundant.have(time, self.settings.redundancy_window, took_another_path) {
            return true;
        }
        self.redundant.push(Seen { digest: named | lan, time });
        false
    }

    /// What two copies of a frame have in common and two frames do not. `None` where nothing tells them apart.
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

    /// Whether one of them that is not farther away than `window` is what is looked for. Most often, the latest are too old
    /// already.
    #[inline]
    fn have(&self, time: i64, window: i64, is_it: impl Fn(u64) -> bool) -> bool {
        let (newer, older) = self.ring.split_at(self.next);
        // Those of a merged capture are not strictly in the order of their times.
        let is_recent = |seen: &&Seen| time.saturating_sub(seen.time) <= window.saturating_mul(2);
        let mut latest = newer.iter().rev().chain(older.iter().rev()).take_while(is_recent);
        latest.any(|seen| is_it(seen.digest) && seen.is_within(window, time))
    }

    #[inline]
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

/// Tells a digest from an empty slot, which has 0.
const SEEN: u64 = 1 << 63;
/// Bounds what one frame can cost.
const MAX_SLOTS: u32 = 1024;
/// Where a redundancy entry keeps the LAN.
const LAN_BITS: u64 = 0xf;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Checksum;

    const MILLISECOND: i64 = 1_000_000;

    fn filter() -> DuplicateFilter {
        DuplicateFilter::new(&DuplicateSettings::default())
    }

    fn pair(identification: u16) -> IpHeader {
        IpHeader { source: [10, 0, 0, 1].into(), destination: [10, 0, 0, 2].into(), identification }
    }

    fn frame(body: Body<'_>) -> Frame<'_> {
        Frame {
            mac: None,
            vlan: None,
            tunnel: None,
            redundancy: None,
            checksum: Checksum::Right,
            body,
            cut: 0,
            undecoded: None,
        }
    }

    fn datagram(identification: u16, payload: &[u8]) -> Frame<'_> {
        let datagram = Datagram { source_port: 1, destination_port: 2, checksum: 0, payload, length: 3 };
        frame(Body::Udp(pair(identification), datagram))
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
    fn the_seed_does_not_decide_what_is_a_copy() {
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
    fn what_lies_too_far_back_is_no_longer_known() {
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
    fn datagrams_without_identification_are_told_apart_by_their_payload() {
        let mut filter = filter();
        assert!(!filter.detect(&datagram(0, b"abc"), 0));
        assert!(!filter.detect(&datagram(0, b"abd"), 1));
        assert!(filter.detect(&datagram(0, b"abd"), 2));
    }

    #[test]
    fn what_nothing_tells_apart_is_kept() {
        let mut filter = filter();
        let ping = frame(Body::Ip(pair(0), OtherIp { protocol: 1, neighbour_discovery: false, advertised: None }));
        assert!(!filter.detect(&ping, 0) && !filter.detect(&ping, 0));
        let numbered = frame(Body::Ip(pair(5), OtherIp { protocol: 1, neighbour_discovery: false, advertised: None }));
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
        let segment = frame(Body::Tcp(pair(3), segment));
        let mut filter = filter();
        assert!(!filter.detect(&segment, 0) && !filter.detect(&segment, 0));
    }

    #[test]
    fn link_frames_are_compared_as_a_whole() {
        let mut filter = filter();
        let macs = Some(Macs { source: [2, 0, 0, 0, 0, 1], destination: [255; 6] });
        let arp = |payload| Frame { mac: macs, ..frame(Body::Link { ether_type: 0x0806, payload }) };
        assert!(!filter.detect(&arp(b"who has 10.0.0.1"), 0));
        assert!(!filter.detect(&arp(b"who has 10.0.0.2"), 0));
        assert!(filter.detect(&arp(b"who has 10.0.0.1"), 1));
    }
}

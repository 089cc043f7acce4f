//! Rewrites captures: in other formats, and with the same data cut, duplicated and reordered.

use std::io::Write;
use std::ops::Range;
use std::path::Path;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use lockkeeper::capture::{self, Block, ReplaySettings, Source};

/// One packet of a capture.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// Nanoseconds since 1970.
    pub time: i64,
    /// LINKTYPE_*.
    pub link: u16,
    /// From the link layer on.
    pub bytes: Vec<u8>,
}

/// The packets of a capture.
pub(crate) fn read(path: &Path) -> Vec<Packet> {
    let mut source = capture::open(&[path.to_path_buf()], &ReplaySettings::default()).expect("a capture");
    let (mut block, mut packets) = (Block::default(), Vec::new());
    while source.fill(&mut block).expect("a readable capture") {
        for packet in &block.packets {
            let bytes = block.bytes_of(packet).to_vec();
            packets.push(Packet { time: packet.stamp.time, link: packet.link.linktype(), bytes });
        }
    }
    packets
}

/// A pcap file with nanoseconds, little-endian.
pub(crate) fn pcap(packets: &[Packet]) -> Vec<u8> {
    let mut out = Vec::new();
    let link = packets.first().map_or(1, |packet| packet.link);
    for word in [0xA1B2_3C4D_u32, 0x0004_0002, 0, 0, 262_144, u32::from(link)] {
        out.extend(word.to_le_bytes());
    }
    for packet in packets {
        let (seconds, fraction) = (packet.time.div_euclid(1_000_000_000), packet.time.rem_euclid(1_000_000_000));
        for word in [seconds as u32, fraction as u32, packet.bytes.len() as u32, packet.bytes.len() as u32] {
            out.extend(word.to_le_bytes());
        }
        out.extend(&packet.bytes);
    }
    out
}

/// A pcapng file, big-endian, with one interface of nanosecond resolution.
pub(crate) fn pcapng(packets: &[Packet]) -> Vec<u8> {
    let mut out = Vec::new();
    let link = packets.first().map_or(1, |packet| packet.link);
    block(&mut out, 0x0A0D_0D0A, &[&0x1A2B_3C4D_u32.to_be_bytes()[..], &[0, 1, 0, 0], &[0xFF; 8]].concat());
    let resolution = [0, 9, 0, 1, 9, 0, 0, 0, 0, 0, 0, 0];
    block(&mut out, 1, &[&link.to_be_bytes()[..], &[0, 0], &262_144_u32.to_be_bytes(), &resolution].concat());
    for packet in packets {
        let (time, length) = (packet.time as u64, packet.bytes.len() as u32);
        let mut body = Vec::new();
        for word in [0, (time >> 32) as u32, time as u32, length, length] {
            body.extend(word.to_be_bytes());
        }
        body.extend(&packet.bytes);
        body.resize(body.len().next_multiple_of(4), 0);
        block(&mut out, 6, &body);
    }
    out
}

fn block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = (body.len() as u32 + 12).to_be_bytes();
    out.extend(kind.to_be_bytes());
    out.extend(length);
    out.extend(body);
    out.extend(length);
}

/// Compresses with gzip.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).expect("writing to memory");
    packer.finish().expect("writing to memory")
}

/// Compresses with zstd.
pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("writing to memory")
}

/// Cuts every TCP segment into segments of one byte of payload.
pub(crate) fn single_bytes(packets: &[Packet]) -> Vec<Packet> {
    packets.iter().flat_map(|packet| cut(packet, |_| 1)).collect()
}

/// Cuts every TCP segment anywhere, into pieces of any size.
pub(crate) fn pieces(packets: &[Packet], dice: &mut Dice) -> Vec<Packet> {
    packets.iter().flat_map(|packet| cut(packet, |left| 1 + dice.roll(left))).collect()
}

/// Cuts one TCP segment behind its first bytes.
pub(crate) fn halves(packet: &Packet, first: usize) -> Vec<Packet> {
    let mut sizes = [first].into_iter();
    cut(packet, |left| sizes.next().unwrap_or(left))
}

/// Bytes that a packet carries over TCP.
pub(crate) fn payload(packet: &Packet) -> usize {
    Place::of(packet).map_or(0, |place| place.length)
}

/// The pieces of a plain TCP segment; `size` returns the length of the next piece, given the remaining length. Other packets
/// stay whole.
fn cut(packet: &Packet, mut size: impl FnMut(usize) -> usize) -> Vec<Packet> {
    let Some(place) = Place::of(packet) else { return vec![packet.clone()] };
    let (mut at, mut pieces) = (0, Vec::new());
    while at < place.length {
        let end = at + size(place.length - at).clamp(1, place.length - at);
        pieces.extend(piece(packet, &place, at..end));
        at = end;
    }
    pieces
}

fn piece(packet: &Packet, place: &Place, part: Range<usize>) -> Option<Packet> {
    let mut bytes = packet.bytes.get(..place.payload)?.to_vec();
    bytes.extend(packet.bytes.get(place.payload + part.start..place.payload + part.end)?);
    let sequence = place.sequence.wrapping_add(part.start as u32);
    bytes.get_mut(place.tcp + 4..place.tcp + 8)?.copy_from_slice(&sequence.to_be_bytes());
    let length = (bytes.len() - place.ip) as u16;
    let (at, length) = if place.v4 { (place.ip + 2, length) } else { (place.ip + 4, length - 40) };
    bytes.get_mut(at..at + 2)?.copy_from_slice(&length.to_be_bytes());
    seal(&mut bytes, place);
    Some(Packet { bytes, ..packet.clone() })
}

/// Computes the checksums of a segment, as the sender of a piece does.
fn seal(bytes: &mut [u8], place: &Place) {
    if place.v4 {
        set_checksum(&mut bytes[place.ip..place.tcp], 10, 0);
    }
    let addresses = if place.v4 { place.ip + 12..place.ip + 20 } else { place.ip + 8..place.ip + 40 };
    let length = (bytes.len() - place.tcp) as u32;
    let pseudo_header = words(&bytes[addresses]) + 6 + length;
    set_checksum(&mut bytes[place.tcp..], 16, pseudo_header);
}

/// Stores the checksum of `bytes`, added to the sum `before`, at offset `at`.
fn set_checksum(bytes: &mut [u8], at: usize, before: u32) {
    bytes[at..at + 2].fill(0);
    let sum = checksum(bytes, before);
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// The internet checksum (RFC 1071) of `bytes`, added to the sum `before`.
pub(crate) fn checksum(bytes: &[u8], before: u32) -> u16 {
    let mut sum = before + words(bytes);
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

fn words(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0))).sum()
}

/// Offsets of the layers of a plain TCP segment.
struct Place {
    v4: bool,
    ip: usize,
    tcp: usize,
    payload: usize,
    length: usize,
    sequence: u32,
}

impl Place {
    fn of(packet: &Packet) -> Option<Self> {
        if packet.link != 1 {
            return None;
        }
        let sliced = SlicedPacket::from_ethernet(&packet.bytes).ok()?;
        let at = |part: &[u8]| part.as_ptr() as usize - packet.bytes.as_ptr() as usize;
        let (v4, ip) = match sliced.net? {
            NetSlice::Ipv4(ip) => (true, at(ip.header().slice())),
            NetSlice::Ipv6(ip) => (false, at(ip.header().slice())),
            _ => return None,
        };
        let TransportSlice::Tcp(tcp) = sliced.transport? else { return None };
        let (payload, length) = (at(tcp.payload()), tcp.payload().len());
        let plain = length > 1 && !(tcp.syn() || tcp.fin() || tcp.rst());
        plain.then(|| Self { v4, ip, tcp: at(tcp.header_slice()), payload, length, sequence: tcp.sequence_number() })
    }
}

/// Pseudorandom numbers, the same for the same seed.
pub(crate) struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides.max(1)
    }
}

/// Duplicates some packets, up to four packets later.
pub(crate) fn duplicated(packets: &[Packet], dice: &mut Dice) -> Vec<Packet> {
    let mut out: Vec<Packet> = Vec::new();
    let mut again: Vec<(usize, Packet)> = Vec::new();
    for packet in packets {
        out.push(packet.clone());
        if dice.roll(4) == 0 {
            again.push((out.len() + dice.roll(5), packet.clone()));
        }
        let due: Vec<_> = again.extract_if(.., |(at, _)| *at <= out.len()).collect();
        out.extend(due.into_iter().map(|(_, copy)| Packet { time: packet.time, ..copy }));
    }
    out
}

/// Shuffles TCP segments among up to eight neighbours within ten milliseconds: packets change places, capture times stay.
pub(crate) fn reordered(packets: &[Packet], dice: &mut Dice) -> Vec<Packet> {
    let mut out = packets.to_vec();
    let mut start = 0;
    while start < out.len() {
        let first = out[start].time;
        let near = out[start..].iter().take(8).take_while(|packet| packet.time - first < 10_000_000).count();
        for offset in (1..near).rev() {
            let (a, b) = (start + offset, start + dice.roll(offset + 1));
            if is_tcp(&out[a]) && is_tcp(&out[b]) {
                swap_keeping_times(&mut out, a, b);
            }
        }
        start += near.max(1);
    }
    out
}

fn is_tcp(packet: &Packet) -> bool {
    let sliced = SlicedPacket::from_ethernet(&packet.bytes).ok();
    packet.link == 1 && matches!(sliced.and_then(|sliced| sliced.transport), Some(TransportSlice::Tcp(_)))
}

fn swap_keeping_times(packets: &mut [Packet], a: usize, b: usize) {
    let times = (packets[a].time, packets[b].time);
    packets.swap(a, b);
    (packets[a].time, packets[b].time) = times;
}

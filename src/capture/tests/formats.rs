//! The bytes of each format.

use lockkeeper_protocols::Stamp;

use super::*;
use crate::capture::LinkType;

/// One packet of 4 bytes at 1970-01-01 00:00:01.000002, big-endian.
const PCAP: &[u8] = &[
    0xa1, 0xb2, 0xc3, 0xd4, // magic: microseconds
    0x00, 0x02, 0x00, 0x04, // version 2.4
    0x00, 0x00, 0x00, 0x00, // reserved
    0x00, 0x00, 0x00, 0x00, // reserved
    0x00, 0x00, 0xff, 0xff, // snap length
    0x24, 0x00, 0x00, 0x01, // FCS of 2 words is there, LINKTYPE_ETHERNET
    0x00, 0x00, 0x00, 0x01, // seconds
    0x00, 0x00, 0x00, 0x02, // microseconds
    0x00, 0x00, 0x00, 0x04, // captured
    0x00, 0x00, 0x00, 0x40, // original
    0xde, 0xad, 0xbe, 0xef,
];

/// The same as `PCAP` with the record header of the magic number a1b2cd34, little-endian.
const MODIFIED: &[u8] = &[
    0x34, 0xcd, 0xb2, 0xa1, // magic: modified
    0x02, 0x00, 0x04, 0x00, // version 2.4
    0x00, 0x00, 0x00, 0x00, // reserved
    0x00, 0x00, 0x00, 0x00, // reserved
    0xff, 0xff, 0x00, 0x00, // snap length
    0x01, 0x00, 0x00, 0x00, // LINKTYPE_ETHERNET
    0x01, 0x00, 0x00, 0x00, // seconds
    0x02, 0x00, 0x00, 0x00, // microseconds
    0x04, 0x00, 0x00, 0x00, // captured
    0x40, 0x00, 0x00, 0x00, // original
    0x03, 0x00, 0x00, 0x00, // interface index
    0x08, 0x00, 0x00, 0x00, // protocol, packet type, padding
    0xde, 0xad, 0xbe, 0xef,
];

/// The same as `PCAP`, but 2 nanoseconds after the second, in the Ixia format.
const LCAP: &[u8] = &[
    0xac, 0x01, 0x00, 0x1c, // magic: hardware capture
    0x02, 0x00, 0x04, 0x00, // version 2.4
    0x00, 0x00, 0x00, 0x00, // reserved
    0x00, 0x00, 0x00, 0x00, // reserved
    0xff, 0xff, 0x00, 0x00, // snap length
    0x01, 0x00, 0x00, 0x00, // LINKTYPE_ETHERNET
    0x14, 0x00, 0x00, 0x00, // size of all records
    0x01, 0x00, 0x00, 0x00, // seconds
    0x02, 0x00, 0x00, 0x00, // nanoseconds
    0x04, 0x00, 0x00, 0x00, // captured
    0x40, 0x00, 0x00, 0x00, // original
    0xde, 0xad, 0xbe, 0xef,
];

/// One packet of 5 bytes, and 7 packets dropped.
const PCAPNG: &[u8] = &[
    0x0a, 0x0d, 0x0d, 0x0a, // section header block
    0x1c, 0x00, 0x00, 0x00, // 28 bytes
    0x4d, 0x3c, 0x2b, 0x1a, // byte-order magic: little-endian
    0x01, 0x00, 0x00, 0x00, // version 1.0
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // section length: unknown
    0x1c, 0x00, 0x00, 0x00, // 28 bytes
    0x01, 0x00, 0x00, 0x00, // interface description block
    0x20, 0x00, 0x00, 0x00, // 32 bytes
    0x71, 0x00, 0x00, 0x00, // LINKTYPE_LINUX_SLL
    0xff, 0xff, 0x00, 0x00, // snap length
    0x09, 0x00, 0x01, 0x00, // if_tsresol, 1 byte
    0x09, 0x00, 0x00, 0x00, // 10^-9 s, padding
    0x00, 0x00, 0x00, 0x00, // opt_endofopt
    0x20, 0x00, 0x00, 0x00, // 32 bytes
    0xbb, 0x0b, 0x00, 0x00, // an unknown type
    0x10, 0x00, 0x00, 0x00, // 16 bytes
    0x99, 0x99, 0x99, 0x99, //
    0x10, 0x00, 0x00, 0x00, // 16 bytes
    0x06, 0x00, 0x00, 0x00, // enhanced packet block
    0x28, 0x00, 0x00, 0x00, // 40 bytes
    0x00, 0x00, 0x00, 0x00, // interface 0
    0x01, 0x00, 0x00, 0x00, // time, upper half
    0x02, 0x00, 0x00, 0x00, // time, lower half
    0x05, 0x00, 0x00, 0x00, // captured
    0x3c, 0x00, 0x00, 0x00, // original
    0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x00, 0x00, 0x00, // the packet, padding
    0x28, 0x00, 0x00, 0x00, // 40 bytes
    0x05, 0x00, 0x00, 0x00, // interface statistics block
    0x2c, 0x00, 0x00, 0x00, // 44 bytes
    0x00, 0x00, 0x00, 0x00, // interface 0
    0x01, 0x00, 0x00, 0x00, // time, upper half
    0x03, 0x00, 0x00, 0x00, // time, lower half
    0x05, 0x00, 0x08, 0x00, // isb_ifdrop, 8 bytes
    0x07, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // 7
    0x00, 0x00, 0x00, 0x00, // opt_endofopt
    0x00, 0x00, 0x00, 0x00, // more bytes than an end needs
    0x2c, 0x00, 0x00, 0x00, // 44 bytes
];

#[test]
fn a_pcap_record_is_a_packet() {
    let expected = Packet {
        stamp: Stamp { time: 1_000_002_000, clock: 1_000_002_000, packet: 0, origin: 1 },
        link: LinkType::Ethernet,
        offset: 0,
        captured: 4,
        original: 64,
    };
    let (packets, capture) = read(PCAP);
    assert_eq!(without_place(&packets), [(expected, vec![0xde, 0xad, 0xbe, 0xef])]);
    assert_eq!((capture.format.as_str(), capture.cut), ("pcap", None));
}

#[test]
fn modified_pcap_headers_are_stepped_over() {
    let (packets, capture) = read(MODIFIED);
    assert_eq!(without_place(&packets), without_place(&read(PCAP).0));
    assert_eq!((capture.format.as_str(), capture.cut), ("modified pcap", None));

    let (packets, capture) = read(LCAP);
    assert_eq!((packets[0].0.stamp.time, packets[0].1.as_slice()), (1_000_000_002, &[0xde, 0xad, 0xbe, 0xef][..]));
    assert_eq!((capture.format.as_str(), capture.cut), ("Ixia lcap (hardware)", None));
}

#[test]
fn a_pcapng_block_is_a_packet_and_statistics_are_drops() {
    let (packets, capture) = read(PCAPNG);
    let [(packet, bytes)] = packets.as_slice() else { panic!("one packet") };
    assert_eq!((packet.stamp.time, packet.link, packet.original), ((1 << 32) + 2, LinkType::LinuxSll, 60));
    assert_eq!(bytes, b"hello");
    assert_eq!((capture.format.as_str(), capture.dropped_at_capture, capture.cut), ("pcapng", 7, None));
}

#[test]
fn the_same_packets_come_out_of_every_format() {
    let samples = samples();
    let plain = [
        pcap(ByteOrder::Little, MICROSECONDS, &samples),
        pcap(ByteOrder::Big, MICROSECONDS, &samples),
        pcap(ByteOrder::Little, NANOSECONDS, &samples),
        pcap(ByteOrder::Big, NANOSECONDS, &samples),
        pcapng(ByteOrder::Little, &samples),
        pcapng(ByteOrder::Big, &samples),
    ];
    let expected = without_place(&read(&plain[0]).0);
    assert_eq!(expected.len(), 5);
    for ((time, bytes, original), (packet, got)) in samples.iter().zip(&expected) {
        assert_eq!((packet.stamp.time, packet.original, got), ((time * 1000).cast_signed(), *original, bytes));
    }
    for bytes in &plain {
        let (two_parts, at) = (bytes.len() / 2, |place: usize| bytes.split_at(place));
        let (first, second) = at(two_parts);
        let forms = [
            (bytes.clone(), ""),
            (gzip(bytes), " (gzip)"),
            (zstd(bytes), " (zstd)"),
            ([gzip(first), gzip(second)].concat(), " (gzip)"),
            ([zstd(first), zstd(second)].concat(), " (zstd)"),
        ];
        for (form, suffix) in forms {
            let (packets, capture) = read(&form);
            assert_eq!(without_place(&packets), expected, "{}", capture.format);
            assert_eq!(capture.cut, None);
            assert!(capture.format.ends_with(suffix), "{}", capture.format);
        }
    }
}

#[test]
fn the_clock_never_runs_backwards() {
    let (packets, _) = read(&pcap(ByteOrder::Little, MICROSECONDS, &samples()));
    let clocks: Vec<i64> = packets.iter().map(|(packet, _)| packet.stamp.clock).collect();
    let latest = packets[2].0.stamp.time;
    assert_eq!(clocks, [packets[0].0.stamp.time, packets[1].0.stamp.time, latest, latest, packets[4].0.stamp.time]);
}

#[test]
fn lengths_that_old_pcap_versions_exchanged_are_put_right() {
    let file = |minor| {
        let head = Writer::new(ByteOrder::Little).u32(MICROSECONDS).u16(2).u16(minor).u64(0).u32(65_535).u32(1);
        head.u32(1).u32(0).u32(64).u32(2).raw(&[7, 7]).bytes
    };
    let (packets, capture) = read(&file(2));
    assert_eq!((packets[0].0.captured, packets[0].0.original, capture.cut), (2, 64, None));
    assert!(read(&file(4)).1.cut.is_some(), "version 2.4 means what it says");
}

#[test]
fn every_pcapng_interface_has_its_own_link_and_clock() {
    let power_of_two = [0x80 | 10]; // 1024 units a second
    let picoseconds = [12];
    let an_hour = 3600u64.to_le_bytes();
    let file = Writer::new(ByteOrder::Little)
        .section()
        .interface(1, &[])
        .interface(113, &[(9, &power_of_two)])
        .interface(228, &[(9, &picoseconds)])
        .interface(65_000, &[(14, &an_hour)])
        .enhanced(0, 5, b"a", 1)
        .enhanced(1, 512, b"b", 1)
        .enhanced(2, 7_999, b"c", 1)
        .enhanced(3, 1, b"d", 1);
    let (packets, capture) = read(&file.bytes);
    let seen: Vec<(i64, LinkType)> = packets.iter().map(|(packet, _)| (packet.stamp.time, packet.link)).collect();
    let expected = [
        (5_000, LinkType::Ethernet),
        (500_000_000, LinkType::LinuxSll),
        (7, LinkType::RawIp),
        (3_600_000_001_000, LinkType::Other(65_000)),
    ];
    assert_eq!((seen.as_slice(), capture.cut), (expected.as_slice(), None));
}

#[test]
fn times_beyond_the_range_saturate() {
    let before = i64::MIN.to_le_bytes();
    let file = Writer::new(ByteOrder::Little)
        .section()
        .interface(1, &[(9, &[0])])
        .interface(1, &[(9, &[0xff])])
        .interface(1, &[(9, &[127])])
        .interface(1, &[(14, &before)])
        .enhanced(3, 0, b"", 0)
        .enhanced(0, u64::MAX, b"", 0)
        .enhanced(1, u64::MAX, b"", 0)
        .enhanced(2, 12, b"", 0);
    let times: Vec<i64> = read(&file.bytes).0.iter().map(|(packet, _)| packet.stamp.time).collect();
    assert_eq!(times, [i64::MIN, i64::MAX, 0, 0]);
}

#[test]
fn sections_may_change_byte_order_and_forget_interfaces() {
    let drops =
        |count: u64| move |body: Writer| body.u32(0).u64(0).u16(5).u16(8).u64(count).u16(7).u16(8).u64(1).u16(0).u16(0);
    let first = Writer::new(ByteOrder::Little).section().interface(1, &[]).enhanced(0, 1, b"x", 1);
    let first = first.block(5, drops(2)).block(5, drops(4));
    let second = Writer::new(ByteOrder::Big).section().interface(101, &[]).enhanced(0, 2, b"y", 1).block(5, drops(10));
    let (packets, capture) = read(&[first.bytes.clone(), second.bytes].concat());
    assert_eq!(packets[1].0.link, LinkType::RawIp);
    assert_eq!((packets.len(), capture.dropped_at_capture, capture.cut), (2, 5 + 11, None));

    let orphan = Writer::new(ByteOrder::Big).section().enhanced(0, 2, b"y", 1);
    let offset = first.bytes.len() as u64 + 28;
    let (packets, capture) = read(&[first.bytes, orphan.bytes].concat());
    let cut = capture.cut.expect("the packet belongs to no interface");
    assert_eq!((packets.len(), cut.offset), (1, offset));
    assert!(cut.reason.contains("interface 0"), "{}", cut.reason);
}

#[test]
fn simple_and_obsolete_packet_blocks_are_packets() {
    let file = Writer::new(ByteOrder::Big)
        .section()
        .block(1, |body| body.u16(1).u16(0).u32(3))
        .block(3, |body| body.u32(2).padded(b"ab"))
        .block(2, |body| body.u16(0).u16(9).u32(0).u32(77).u32(2).u32(2).padded(b"cd"))
        .block(3, |body| body.u32(5).padded(b"efg"));
    let (packets, capture) = read(&file.bytes);
    let seen: Vec<(i64, &[u8], u32)> =
        packets.iter().map(|(packet, bytes)| (packet.stamp.time, bytes.as_slice(), packet.original)).collect();
    // Simple packets have no time and use the latest one.
    assert_eq!(seen, [(0, &b"ab"[..], 2), (77_000, b"cd", 2), (77_000, b"efg", 5)]);
    assert_eq!(capture.cut, None);
}

#[test]
fn a_block_of_no_interest_may_be_larger_than_any_buffer() {
    let large = vec![0x55; 3 * 1024 * 1024];
    let file = Writer::new(ByteOrder::Little).section().interface(1, &[]).enhanced(0, 1, b"x", 1);
    let start = file.bytes.len() as u64;
    let file = file.block(0x0000_000a, |body| body.raw(&large));
    let whole = file.clone().enhanced(0, 2, b"y", 1);
    for size in [4096, 512 * 1024, 16 * 1024 * 1024] {
        let (packets, capture) = read_in_blocks(&whole.bytes, size).unwrap();
        assert_eq!((packets.len(), capture.cut), (2, None), "blocks of {size}");
        let (packets, capture) = read_in_blocks(&file.bytes[..file.bytes.len() - 9], size).unwrap();
        assert_eq!((packets.len(), capture.cut.unwrap().offset), (1, start), "blocks of {size}");
    }
}

#[test]
fn link_numbers_are_mapped() {
    let known = [0, 1, 12, 14, 101, 108, 113, 228, 229, 276].map(LinkType::from_linktype);
    let raw = LinkType::RawIp;
    let expected = [
        LinkType::Null,
        LinkType::Ethernet,
        raw,
        raw,
        raw,
        LinkType::Loop,
        LinkType::LinuxSll,
        raw,
        raw,
        LinkType::LinuxSll2,
    ];
    assert_eq!(known, expected);
    assert_eq!(LinkType::from_linktype(147), LinkType::Other(147));
}

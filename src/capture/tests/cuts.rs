//! Captures that end early or continue with invalid bytes.

use proptest::prelude::*;

use super::*;

/// Reads a part of a capture and compares it with the whole.
fn is_a_prefix(part: &[u8], whole: &[Read]) -> Option<Capture> {
    let (packets, capture) = read_in_blocks(part, 512 * 1024)?;
    let (packets, whole) = (without_place(&packets), without_place(whole));
    assert!(whole.starts_with(&packets));
    Some(capture)
}

/// Packets that hardly compress, so that cut streams end inside packets.
fn many() -> Vec<Sample> {
    let noise = |seed: u64| {
        (0..60).map(move |place| (seed.wrapping_add(place).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
    };
    (0..8000).map(|number| (number, noise(number * 7919).collect(), 60)).collect()
}

#[test]
fn a_cut_at_any_byte_leaves_everything_before_it() {
    let samples = &samples()[..4];
    for file in [
        pcap(ByteOrder::Little, MICROSECONDS, samples),
        pcap(ByteOrder::Big, NANOSECONDS, samples),
        pcapng(ByteOrder::Little, samples),
        pcapng(ByteOrder::Big, samples),
    ] {
        let (whole, _) = read(&file);
        // A cut between records is not detectable.
        let mut clean = 0;
        for length in 4..file.len() {
            let capture = is_a_prefix(&file[..length], &whole).expect("the magic number is there");
            match capture.cut {
                Some(cut) => assert!(cut.offset < length as u64, "cut at {length}: {cut:?}"),
                None => clean += 1,
            }
        }
        assert!((4..=5).contains(&clean), "{clean} cuts were not seen");
        for length in 0..4 {
            assert!(read_in_blocks(&file[..length], 4096).is_none());
        }
    }
}

#[test]
fn a_cut_record_is_reported_where_it_begins() {
    let file = pcap(ByteOrder::Little, MICROSECONDS, &samples());
    let (packets, capture) = read(&file[..file.len() - 1]);
    let cut = capture.cut.unwrap();
    assert_eq!((packets.len(), cut.offset), (4, (file.len() - 16 - 1500) as u64));
    assert_eq!(cut.reason, "the capture ends inside a record: 1515 bytes of a record of at least 1516 are there");
}

#[test]
fn a_cut_compressed_capture_gives_its_decoded_part() {
    let file = pcap(ByteOrder::Little, MICROSECONDS, &many());
    let (whole, _) = read_in_blocks(&file, 4096).unwrap();
    for packed in [gzip(&file), zstd(&file)] {
        for part in [packed.len() / 3, packed.len() / 2, packed.len() - 1] {
            let capture = is_a_prefix(&packed[..part], &whole).expect("a capture");
            let cut = capture.cut.expect("the stream is cut");
            assert!(cut.reason.contains("stream is cut off"), "{}", cut.reason);
            assert!(cut.offset <= file.len() as u64);
        }
        let capture = is_a_prefix(&packed[..packed.len() - 1], &whole).unwrap();
        assert!(capture.packets > 6000, "{} packets before the last byte", capture.packets);
    }
}

#[test]
fn damage_in_a_compressed_capture_is_reported() {
    let file = pcap(ByteOrder::Little, MICROSECONDS, &many());
    let (whole, _) = read_in_blocks(&file, 4096).unwrap();
    let mut packed = gzip(&file);
    let trailer = packed.len() - 8;
    packed[trailer] ^= 0xff; // CRC32
    let capture = is_a_prefix(&packed, &whole).unwrap();
    assert_eq!(capture.packets, 8000);
    let cut = capture.cut.unwrap();
    assert_eq!(cut.offset, file.len() as u64);
    assert!(cut.reason.starts_with("the gzip stream is damaged"), "{}", cut.reason);
}

#[test]
fn a_record_of_impossible_length_ends_its_capture() {
    let good = pcap(ByteOrder::Little, MICROSECONDS, &samples());
    let offset = good.len() as u64;
    let file = Writer { order: ByteOrder::Little, bytes: good }.u64(0).u32(262_145).u32(262_145).raw(&[0; 400_000]);
    let (packets, capture) = read(&file.bytes);
    let cut = capture.cut.unwrap();
    assert_eq!((packets.len(), cut.offset), (5, offset));
    assert!(cut.reason.contains("262145"), "{}", cut.reason);

    let largest = vec![(1, vec![9; 262_144], 262_144)];
    assert_eq!(read(&pcap(ByteOrder::Little, MICROSECONDS, &largest)).1.packets, 1);
    assert_eq!(read(&pcapng(ByteOrder::Little, &largest)).1.packets, 1);
}

#[test]
fn bad_pcapng_lengths_end_the_capture_where_they_are() {
    let good = Writer::new(ByteOrder::Little).section().interface(1, &[]).enhanced(0, 1, b"x", 1);
    let offset = good.bytes.len() as u64;
    let cases = [
        (good.clone().u32(6).u32(8).u32(8), "least"),
        (good.clone().u32(6).u32(0).u32(0), "least"),
        (good.clone().u32(6).u32(u32::MAX).u32(0), "most"),
        (good.clone().u32(99).u32(16).u32(0).u32(20), "ends with a length of 20"),
        (good.clone().u32(6).u32(16).u32(0).u32(16), "too short"),
        (good.clone().block(6, |body| body.u32(0).u64(0).u32(5).u32(5).raw(b"abcd")), "room for 4"),
        (good.clone().block(3, |body| body.u32(5).raw(b"abcd")), "room for 4"),
        (good.clone().enhanced(1, 1, b"x", 1), "interface 1"),
        (good.clone().u32(0x0a0d_0d0a).u32(28).u32(0), "byte-order magic"),
        (good.u32(99).u32(0x7fff_fff0).u32(0), "ends inside a record"),
    ];
    for (file, reason) in cases {
        let (packets, capture) = read(&file.bytes);
        let cut = capture.cut.expect(reason);
        assert_eq!((packets.len(), cut.offset), (1, offset), "{reason}");
        assert!(cut.reason.contains(reason), "{} does not say {reason:?}", cut.reason);
    }
}

#[test]
fn a_magic_number_with_garbage_behind_it_is_an_empty_capture_with_a_cut() {
    for magic in [&[0xd4, 0xc3, 0xb2, 0xa1], &[0x0a, 0x0d, 0x0d, 0x0a]] {
        let (packets, capture) = read(&[&magic[..], &[0xff; 100]].concat());
        assert_eq!(packets.len(), 0);
        assert!(capture.cut.is_some());
    }
}

#[test]
fn interfaces_beyond_the_limit_end_the_capture() {
    let head = Writer::new(ByteOrder::Little).section();
    let file = (0..4097).fold(head, |file, _| file.interface(1, &[]));
    let (_, capture) = read_in_blocks(&file.bytes, 4096).unwrap();
    assert!(capture.cut.unwrap().reason.contains("more than 4096 interfaces"));
}

fn magic() -> impl Strategy<Value = Vec<u8>> {
    let orders = [ByteOrder::Little, ByteOrder::Big];
    let pcaps = orders.map(|order| pcap(order, MICROSECONDS, &[]));
    let pcapngs = orders.map(|order| pcapng(order, &[]));
    let sections = orders.map(|order| Writer::new(order).section().bytes);
    let bare = [vec![0x34, 0xcd, 0xb2, 0xa1], vec![0x1c, 0x00, 0x01, 0xab]];
    proptest::sample::select([pcaps, pcapngs, sections, bare].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_bytes_behind_a_magic_number_end_alike_in_blocks_of_any_size(
        magic in magic(),
        garbage in proptest::collection::vec(any::<u8>(), 0..600),
        sparse in any::<bool>(),
    ) {
        // Small numbers give nearly valid lengths.
        let garbage: Vec<u8> = garbage.into_iter().map(|byte| if sparse && byte > 40 { 0 } else { byte }).collect();
        read(&[magic, garbage].concat());
    }

    #[test]
    fn flipped_bytes_never_cost_the_packets_before_them(place in 0usize..1800, value in any::<u8>()) {
        let mut file = pcapng(ByteOrder::Little, &samples());
        let (whole, _) = read_in_blocks(&file, 4096).unwrap();
        let place = place % file.len();
        file[place] = value;
        if let Some((packets, _)) = read_in_blocks(&file, 4096) {
            let before = whole.iter().filter(|(packet, _)| (packet.offset + packet.captured) as usize + 8 <= place);
            let before = without_place(&before.cloned().collect::<Vec<_>>());
            prop_assert!(without_place(&packets).starts_with(&before));
        }
    }
}

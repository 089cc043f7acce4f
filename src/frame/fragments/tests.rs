use proptest::prelude::*;

use super::{FragmentCounters, FragmentDrop, FragmentLimits, Reassembled, Reassembler};
use crate::capture::LinkType;
use crate::frame::build::*;
use crate::frame::checksum::Sum;
use crate::frame::{Body, Frame, IpHeader, Peek, Redundancy, TunnelKind, decode};

const SECOND: i64 = 1_000_000_000;

fn reassembler() -> Reassembler {
    Reassembler::new(FragmentLimits::default())
}

/// A datagram of 8 + 40 bytes to cut up.
fn whole() -> Vec<u8> {
    let payload: Vec<u8> = (0..40).collect();
    udp(51234, 502, &payload)
}

fn part(identification: u16, range: std::ops::Range<usize>, more: bool) -> Vec<u8> {
    part_of(&whole(), identification, range, more)
}

fn part_of(datagram: &[u8], identification: u16, range: std::ops::Range<usize>, more: bool) -> Vec<u8> {
    let offset = range.start as u16;
    ethernet(0x0800, &ipv4_part(CLIENT, SERVER, 17, identification, offset, more, &datagram[range]))
}

/// The datagram in three fragments.
fn parts() -> [Vec<u8>; 3] {
    [part(1, 0..16, true), part(1, 16..40, true), part(1, 40..48, false)]
}

fn push(table: &mut Reassembler, packet: &[u8], clock: i64, out: &mut Vec<u8>) -> Reassembled {
    assert_eq!(peek(LinkType::Ethernet, packet), Peek::Fragment);
    table.push(LinkType::Ethernet, packet, packet.len() as u32, clock, out)
}

/// The whole packet that these fragments give; the last one must complete it.
fn completed(table: &mut Reassembler, packets: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut last = Reassembled::Incomplete;
    for packet in packets {
        assert_ne!(last, Reassembled::Complete);
        last = push(table, packet, SECOND, &mut out);
    }
    assert_eq!(last, Reassembled::Complete);
    out
}

fn decoded(packet: &[u8]) -> Frame<'_> {
    decode(LinkType::Ethernet, packet, packet.len() as u32).expect("a good packet")
}

fn payload(packet: &[u8]) -> Vec<u8> {
    match decoded(packet).body {
        Body::Udp(_, datagram) => {
            assert_eq!(datagram.length as usize, datagram.payload.len());
            datagram.payload.to_vec()
        }
        other => panic!("no UDP: {other:?}"),
    }
}

#[test]
fn fragments_make_the_packet_that_was_cut_up() {
    let [first, second, third] = parts();
    let out = completed(&mut reassembler(), &[&first, &second, &third]);
    assert_eq!(out, ethernet(0x0800, &ipv4_part(CLIENT, SERVER, 17, 1, 0, false, &whole())));
}

#[test]
fn fragments_may_come_in_any_order() {
    let expected = (0..40).collect::<Vec<u8>>();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let parts = parts();
        let out = completed(&mut reassembler(), &order.map(|index| &parts[index][..]));
        assert_eq!(payload(&out), expected, "{order:?}");
    }
}

#[test]
fn copies_of_fragments_change_nothing_and_start_nothing() {
    let mut table = reassembler();
    let mut out = Vec::new();
    let [first, second, third] = parts();
    let duplicate = Reassembled::Dropped(FragmentDrop::Duplicate);
    let sent = [&first, &first, &second, &second, &third, &third, &first, &second, &third];
    let results = sent.map(|packet| push(&mut table, packet, SECOND, &mut out));
    let incomplete = Reassembled::Incomplete;
    assert_eq!(results[..5], [incomplete, duplicate, incomplete, duplicate, Reassembled::Complete]);
    assert_eq!(results[5..], [duplicate; 4]);
    table.finish();
    assert_eq!(table.counters(), FragmentCounters { reassembled: 1, duplicates: 6, ..FragmentCounters::default() });
}

#[test]
fn a_datagram_that_hides_behind_another_of_its_number_is_seen() {
    let mut table = reassembler();
    let mut out = Vec::new();
    let harmless = whole();
    let mut hidden = whole();
    hidden[20] = 0xEE;
    for datagram in [&harmless, &hidden] {
        push(&mut table, &part_of(datagram, 1, 0..16, true), SECOND, &mut out);
        let last = push(&mut table, &part_of(datagram, 1, 16..48, false), SECOND, &mut out);
        assert_eq!(last, Reassembled::Complete);
        assert_eq!(payload(&out), datagram[8..]);
    }
}

#[test]
fn leftover_duplicates_do_not_mix_with_a_later_datagram_of_the_same_identification() {
    let mut table = reassembler();
    let mut out = Vec::new();
    let [first, second, third] = parts();
    for packet in [&first, &second, &third, &third] {
        push(&mut table, packet, SECOND, &mut out);
    }
    let mut later = whole();
    later[44] = 0xEE;
    push(&mut table, &part_of(&later, 1, 0..16, true), 2 * SECOND, &mut out);
    assert_eq!(push(&mut table, &part_of(&later, 1, 16..48, false), 2 * SECOND, &mut out), Reassembled::Complete);
    assert_eq!(payload(&out), later[8..]);
}

#[test]
fn the_first_bytes_win_where_fragments_overlap() {
    let mut table = reassembler();
    let mut other = whole();
    other.fill(0xFF);
    let wide = part_of(&other, 1, 8..48, false);
    let out = completed(&mut table, &[&part(1, 16..32, true), &wide, &part(1, 0..16, true)]);
    let mut expected = [0xFF; 40];
    expected[8..24].copy_from_slice(&whole()[16..32]);
    assert_eq!(payload(&out), expected);
    assert_eq!(table.counters().overlapping, 2);
}

#[test]
fn fragments_that_disagree_about_the_end_are_dropped() {
    let mut table = reassembler();
    let mut out = Vec::new();
    push(&mut table, &part(1, 40..48, false), SECOND, &mut out);
    let contradiction = Reassembled::Dropped(FragmentDrop::Contradiction);
    assert_eq!(push(&mut table, &part(1, 32..40, false), SECOND, &mut out), contradiction);
    let beyond = part_of(&[0; 64], 1, 48..56, true);
    assert_eq!(push(&mut table, &beyond, SECOND, &mut out), contradiction);
    assert_eq!(push(&mut table, &part(1, 0..40, true), SECOND, &mut out), Reassembled::Complete);
}

#[test]
fn fragments_of_different_datagrams_do_not_mix() {
    let mut table = reassembler();
    let mut out = Vec::new();
    let other_source = ethernet(0x0800, &ipv4_part(SWITCH, SERVER, 17, 1, 16, false, &whole()[16..]));
    let tagged_one = ethernet(0x8100, &tagged(7, 0x0800, &ipv4_part(CLIENT, SERVER, 17, 1, 16, false, &whole()[16..])));
    push(&mut table, &part(1, 0..16, true), SECOND, &mut out);
    for packet in [&part(2, 16..48, false), &other_source, &tagged_one] {
        assert_eq!(push(&mut table, packet, SECOND, &mut out), Reassembled::Incomplete);
    }
    table.finish();
    let expected = FragmentCounters { aged_out: 4, bytes_given_up: 16 + 3 * 32, ..FragmentCounters::default() };
    assert_eq!(table.counters(), expected);
}

#[test]
fn a_datagram_that_takes_too_long_is_given_up() {
    let mut table = reassembler();
    let mut out = Vec::new();
    let [first, second, third] = parts();
    push(&mut table, &first, SECOND, &mut out);
    push(&mut table, &second, 50 * SECOND, &mut out);
    assert_eq!(push(&mut table, &third, 62 * SECOND, &mut out), Reassembled::Incomplete);
    assert_eq!((table.counters().aged_out, table.counters().bytes_given_up), (1, 40));
}

#[test]
fn the_oldest_datagram_makes_room() {
    let mut table = Reassembler::new(FragmentLimits { datagrams: 2, ..FragmentLimits::default() });
    let mut out = Vec::new();
    for identification in 1..=3 {
        push(&mut table, &part(identification, 0..16, true), SECOND, &mut out);
    }
    assert_eq!((table.counters().evicted, table.counters().bytes_given_up), (1, 16));
    assert_eq!(push(&mut table, &part(3, 16..48, false), SECOND, &mut out), Reassembled::Complete);
    assert_eq!(push(&mut table, &part(1, 16..48, false), SECOND, &mut out), Reassembled::Incomplete);
}

#[test]
fn the_bytes_kept_are_bounded() {
    let limits = FragmentLimits { bytes: 10_000, ..FragmentLimits::default() };
    let mut table = Reassembler::new(limits);
    let mut out = Vec::new();
    for identification in 0..1000 {
        push(&mut table, &part_of(&[7; 2000], identification, 0..1200, true), SECOND, &mut out);
        assert!(table.cost <= limits.bytes);
    }
    let huge = part_of(&[7; 20_000], 1000, 0..16_000, true);
    let too_large = Reassembled::Dropped(FragmentDrop::TooLarge);
    assert_eq!(push(&mut table, &huge, SECOND, &mut out), too_large);
    table.finish();
    assert_eq!((table.cost, table.serials.len()), (0, 0));
}

#[test]
fn fragments_of_no_use_are_counted() {
    let mut table = reassembler();
    let mut out = Vec::new();
    let first = part(1, 0..16, true);
    let cut = table.push(LinkType::Ethernet, &first[..40], first.len() as u32, SECOND, &mut out);
    assert_eq!(cut, Reassembled::Dropped(FragmentDrop::Cut));
    let odd = part(1, 0..15, true);
    assert_eq!(push(&mut table, &odd, SECOND, &mut out), Reassembled::Dropped(FragmentDrop::Malformed));
    let empty = part(1, 16..16, false);
    assert_eq!(push(&mut table, &empty, SECOND, &mut out), Reassembled::Dropped(FragmentDrop::Malformed));
    let beyond = ethernet(0x0800, &ipv4_part(CLIENT, SERVER, 17, 1, 65_528, false, &[0; 16]));
    assert_eq!(push(&mut table, &beyond, SECOND, &mut out), Reassembled::Dropped(FragmentDrop::TooLarge));
    let none = table.push(LinkType::Ethernet, &request(), 66, SECOND, &mut out);
    assert_eq!(none, Reassembled::Dropped(FragmentDrop::NoFragment));
    let expected = FragmentCounters { cut: 1, malformed: 2, too_large: 1, ..FragmentCounters::default() };
    assert_eq!(table.counters(), expected);
}

/// An IPv6 fragment behind a hop-by-hop header.
fn part6(next: u8, range: std::ops::Range<usize>, more: bool) -> Vec<u8> {
    let place = range.start as u16 | u16::from(more);
    let hop_by_hop = hex("2C 00 0104 00000000 ; then the fragment header");
    let header = [&[next, 0][..], &place.to_be_bytes(), &hex("0000ABCD ; identification")].concat();
    let payload = join(&[&hop_by_hop, &header, &whole()[range]]);
    ethernet(0x86DD, &ipv6(CLIENT6, SERVER6, 0, &payload))
}

#[test]
fn an_ipv6_datagram_loses_its_fragment_header() {
    let out = completed(&mut reassembler(), &[&part6(60, 24..48, false), &part6(17, 0..24, true)]);
    let kept = join(&[&hex("11 00 0104 00000000 ; hop by hop, then UDP"), &whole()]);
    assert_eq!(out, ethernet(0x86DD, &ipv6(CLIENT6, SERVER6, 0, &kept)));
    assert_eq!(payload(&out), whole()[8..]);
}

/// An Ethernet frame in VXLAN, whose outer IP is cut in two at `at`.
fn vxlan_parts(frame: &[u8], at: usize) -> [Vec<u8>; 2] {
    let outer = udp(50_000, 4789, &join(&[&hex(VXLAN), frame]));
    let part = |offset: usize, more, bytes: &[u8]| {
        transport_ethernet(0x0800, &ipv4_part(SWITCH, SENSOR, 17, 9, offset as u16, more, bytes))
    };
    [part(0, true, &outer[..at]), part(at, false, &outer[at..])]
}

#[test]
fn a_wrapping_that_was_cut_up_is_put_together_and_undone() {
    let [first, second] = vxlan_parts(&request(), 40);
    let out = completed(&mut reassembler(), &[&second, &first]);
    assert_eq!(peek(LinkType::Ethernet, &out).key(), peek(LinkType::Ethernet, &request()).key());
    let frame = decoded(&out);
    let Body::Tcp(_, segment) = frame.body else { panic!("no TCP") };
    assert_eq!((segment.payload, frame.cut), (&modbus()[..], 0));
    assert_eq!(frame.tunnel.map(|tunnel| tunnel.kind), Some(TunnelKind::Vxlan));
}

/// A datagram with a right checksum, whose payload repeats one byte.
fn sound(fill: u8) -> Vec<u8> {
    let mut datagram = udp(51234, 502, &[fill; 40]);
    datagram[6..8].fill(0);
    let pair = IpHeader { source: CLIENT.into(), destination: SERVER.into(), identification: 0 };
    let sum = Sum::of_pseudo_header(&pair, 17, datagram.len()) + Sum::of(&datagram);
    let wrong = (0..=u16::MAX).find(|value| (sum + Sum::of(&value.to_be_bytes())).is_right());
    datagram[6..8].copy_from_slice(&wrong.expect("one of them").to_be_bytes());
    datagram
}

/// The datagram that the last fragment completes, and its other readings.
fn readings(packets: &[Vec<u8>]) -> (Vec<u8>, Vec<Vec<u8>>, bool) {
    let mut table = reassembler();
    let mut out = Vec::new();
    let (last, before) = packets.split_last().expect("there are some");
    for packet in before {
        push(&mut table, packet, SECOND, &mut out);
    }
    assert_eq!(push(&mut table, last, SECOND, &mut out), Reassembled::Complete);
    let others = table.take_other_readings().iter().map(|other| payload(other)).collect();
    (out, others, table.is_ambiguous())
}

#[test]
fn fragments_that_overlap_and_differ_make_every_datagram_that_its_checksum_allows() {
    let (real, decoy) = (sound(1), sound(2));
    let first = part_of(&real, 1, 0..16, true);
    let decoy_first = part_of(&decoy, 1, 16..48, false);
    let real_last = part_of(&real, 1, 16..48, false);
    let mixed = join(&[&real[8..16], &decoy[16..48]]);
    // The first datagram is complete before the second one starts, or at the same time.
    for order in [[&decoy_first, &real_last, &first], [&real_last, &decoy_first, &first]] {
        let (main, others, is_ambiguous) = readings(&order.map(Clone::clone));
        let is_real_first = order[0] == &real_last;
        assert!(is_ambiguous);
        assert_eq!(payload(&main), if is_real_first { real[8..].to_vec() } else { mixed.clone() });
        assert_eq!(others, if is_real_first { vec![] } else { vec![real[8..].to_vec()] });
    }
}

#[test]
fn a_late_fragment_belongs_to_its_datagram_if_the_checksum_confirms_it() {
    let (real, decoy) = (sound(1), sound(2));
    let mut table = reassembler();
    let mut out = Vec::new();
    push(&mut table, &part_of(&decoy, 1, 0..24, true), SECOND, &mut out);
    let done = push(&mut table, &part_of(&real, 1, 24..48, false), SECOND, &mut out);
    assert_eq!((done, table.is_ambiguous()), (Reassembled::Complete, false));
    // The host dropped the decoy and accepts this one.
    let late = push(&mut table, &part_of(&real, 1, 0..24, true), 20 * SECOND, &mut out);
    assert_eq!((late, payload(&out), table.is_ambiguous()), (Reassembled::Complete, real[8..].to_vec(), true));
    // The checksum of another datagram with the same identification does not match.
    let other = push(&mut table, &part_of(&sound(3), 1, 0..24, true), 21 * SECOND, &mut out);
    assert_eq!(other, Reassembled::Incomplete);
}

#[test]
fn a_fragment_that_ends_too_early_hides_nothing() {
    let (real, decoy) = (sound(1), sound(2));
    let fragments = [part_of(&real, 1, 0..24, true), part_of(&real, 1, 24..48, false)];
    let early = ethernet(0x0800, &ipv4_part(CLIENT, SERVER, 17, 1, 24, false, &decoy[24..32]));
    let (main, others, is_ambiguous) = readings(&[early, fragments[1].clone(), fragments[0].clone()]);
    assert!(is_ambiguous && others == [real[8..].to_vec()], "{others:?}");
    assert_eq!(main.len(), 14 + 20 + 32, "what came first ends there");
}

#[test]
fn fragments_inside_a_wrapping_are_put_together() {
    let wrap = |frame: &[u8]| over_udp(4789, VXLAN, frame);
    let [first, second, third] = parts().map(|part| wrap(&part));
    let out = completed(&mut reassembler(), &[&first, &third, &second]);
    assert_eq!(payload(&out), (0..40).collect::<Vec<u8>>());
    assert_eq!(decoded(&out).tunnel.map(|tunnel| tunnel.id), Some(0xBEE));
}

#[test]
fn fragments_inside_fragments_are_put_together() {
    let mut table = reassembler();
    let mut inner = Vec::new();
    for part in parts() {
        let [first, second] = vxlan_parts(&part, 48);
        let mut out = Vec::new();
        push(&mut table, &first, SECOND, &mut out);
        assert_eq!(push(&mut table, &second, SECOND, &mut out), Reassembled::Complete);
        inner.push(out);
    }
    let out = completed(&mut table, &[&inner[0], &inner[1], &inner[2]]);
    assert_eq!(payload(&out), (0..40).collect::<Vec<u8>>());
    assert_eq!(table.counters().reassembled, 4);
}

#[test]
fn the_tag_of_hsr_stays_on_the_whole_packet() {
    let tag = |part: &[u8]| ethernet(0x892F, &join(&[&hex(HSR_TAG), &part[14..]]));
    let [first, second, third] = parts().map(|part| tag(&part));
    let out = completed(&mut reassembler(), &[&first, &second, &third]);
    assert_eq!(decoded(&out).redundancy, Some(Redundancy { sequence: 0x0BAD, lan: 3 }));
}

#[test]
fn the_greatest_datagram_is_put_together_and_a_greater_one_refused() {
    for (length, fits) in [(65_535 - 20, true), (65_535 - 19, false)] {
        let mut table = reassembler();
        let mut out = Vec::new();
        let datagram = vec![7; length];
        push(&mut table, &part_of(&datagram, 1, 0..40_000, true), SECOND, &mut out);
        let last = push(&mut table, &part_of(&datagram, 1, 40_000..length, false), SECOND, &mut out);
        let expected = if fits { Reassembled::Complete } else { Reassembled::Dropped(FragmentDrop::TooLarge) };
        assert_eq!(last, expected);
        assert_eq!(out.len(), if fits { 14 + 65_535 } else { 0 });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_cut_in_any_order_with_copies_gives_the_same_datagram(
        length in 600_usize..1200,
        cuts in proptest::collection::btree_set(1_usize..75, 1..8),
        seed in any::<u64>(),
    ) {
        let payload: Vec<u8> = (0..length).map(|i| i as u8).collect();
        let datagram = udp(1, 2, &payload);
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut * 8).collect();
        ends.push(datagram.len());
        let mut start = 0;
        let mut packets = Vec::new();
        for &end in &ends {
            packets.push(part_of(&datagram, 1, start..end, end < datagram.len()));
            start = end;
        }
        packets.extend(packets.clone());
        let mut order = seed | 1;
        packets.sort_by_cached_key(|_| {
            order = order.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            order >> 32
        });
        let mut table = reassembler();
        let mut whole = Vec::new();
        for packet in &packets {
            let mut out = Vec::new();
            if push(&mut table, packet, SECOND, &mut out) == Reassembled::Complete {
                prop_assert!(whole.is_empty(), "twice");
                whole = out;
            }
        }
        let expected = ethernet(0x0800, &ipv4_part(CLIENT, SERVER, 17, 1, 0, false, &datagram));
        prop_assert_eq!(whole, expected);
        table.finish();
        prop_assert_eq!(table.counters().aged_out, 0);
    }

    #[test]
    fn any_fragments_keep_the_books_in_order(
        fragments in proptest::collection::vec((0_u16..3, 0_u16..20, 0_usize..64, any::<bool>(), any::<u8>()), 1..60),
    ) {
        let limits = FragmentLimits { datagrams: 2, bytes: 900, age: 10 };
        let mut table = Reassembler::new(limits);
        let mut out = Vec::new();
        for (clock, (identification, offset, length, more, fill)) in fragments.into_iter().enumerate() {
            let ip = ipv4_part(CLIENT, SERVER, 17, identification, offset * 8, more, &vec![fill; length]);
            table.push(LinkType::RawIp, &ip, ip.len() as u32, clock as i64, &mut out);
            prop_assert!(table.cost <= limits.bytes && table.datagrams.len() <= limits.datagrams);
            prop_assert_eq!(table.serials.len(), table.datagrams.len());
            let cost: usize = table.datagrams.values().map(|datagram| datagram.cost()).sum();
            prop_assert_eq!(table.cost, cost);
        }
    }
}

//! Properties that hold for any bytes.

use proptest::prelude::*;

use crate::capture::LinkType;
use crate::frame::build::*;
use crate::frame::{
    self, Body, FragmentLimits, Frame, Layers, Peek, Reassembler, decode, decode_by_walk, outer, plain,
};
use crate::frame::{mac_key, pair_key};

const LINKS: [LinkType; 7] = [
    LinkType::Ethernet,
    LinkType::LinuxSll,
    LinkType::LinuxSll2,
    LinkType::RawIp,
    LinkType::Null,
    LinkType::Loop,
    LinkType::Other(147),
];

fn payload_of<'a>(frame: &Frame<'a>) -> &'a [u8] {
    match frame.body {
        Body::Tcp(_, segment) => segment.payload,
        Body::Udp(_, datagram) => datagram.payload,
        Body::Link { payload, .. } => payload,
        Body::Ip(..) => &[],
    }
}

/// Everything that must hold for any packet.
fn check(link: LinkType, bytes: &[u8], original: u32) {
    let frame = decode(link, bytes, original);
    let mut layers = Layers::default();
    let peeked = frame::peek(link, bytes, original, &mut layers);
    assert_eq!(frame, decode_by_walk(link, bytes, original), "the short cut says something else");
    if let (LinkType::Ethernet, Some(key)) = (link, plain::host_key(bytes)) {
        assert_eq!(peeked, Peek::Key(key));
    }
    let mut out = Vec::new();
    Reassembler::new(FragmentLimits::default()).push(link, bytes, original, 0, &mut out);
    let Ok(frame) = frame else { return };
    if let Peek::Wrapped(_) = peeked {
        assert!(!layers.is_empty());
        for (depth, found) in layers.iter() {
            let frame = outer(link, bytes, original, depth).expect("what was seen is found again");
            let (Body::Ip(pair, _) | Body::Udp(pair, _)) = frame.body else { panic!("{frame:?}") };
            assert_eq!([pair.source.min(pair.destination), pair.source.max(pair.destination)], found.ends);
        }
    }
    if let Some(key) = peeked.key() {
        let expected = match frame.body {
            Body::Tcp(pair, _) | Body::Udp(pair, _) | Body::Ip(pair, _) => pair_key(pair.source, pair.destination),
            Body::Link { .. } => frame.mac.map_or(0, mac_key),
        };
        assert_eq!(key, expected);
    }
    let payload = payload_of(&frame);
    assert!(payload.is_empty() || bytes.windows(payload.len()).any(|window| window == payload));
    match frame.body {
        Body::Tcp(_, segment) => assert_eq!(segment.length as usize, payload.len() + frame.cut as usize),
        Body::Udp(_, datagram) => assert_eq!(datagram.length as usize, payload.len() + frame.cut as usize),
        _ => {}
    }
}

#[test]
fn every_encapsulation_cut_anywhere_keeps_the_captured_bytes() {
    let whole = modbus();
    for (name, packet) in wrapped(&request(), &request_ip()) {
        for length in 0..=packet.len() {
            let cut = &packet[..length];
            check(LinkType::Ethernet, cut, packet.len() as u32);
            check(LinkType::Ethernet, cut, length as u32);
            if let Ok(Frame { body: Body::Tcp(_, segment), .. }) = decode(LinkType::Ethernet, cut, packet.len() as u32)
            {
                assert!(whole.starts_with(segment.payload), "{name} cut at {length}");
                assert_eq!(segment.length, 12, "{name} cut at {length}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_on_any_link_are_no_trouble(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        more in 0_u32..2000,
    ) {
        for link in LINKS {
            check(link, &bytes, bytes.len() as u32 + more);
        }
    }

    #[test]
    fn any_bytes_in_any_wrapping_are_no_trouble(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        for (_, packet) in wrapped(&bytes, &bytes) {
            check(LinkType::Ethernet, &packet, packet.len() as u32);
        }
    }

    #[test]
    fn any_change_of_a_good_packet_is_no_trouble(
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((0_usize..120, any::<u8>()), 1..4),
        more in 0_u32..3,
    ) {
        let mut packets = wrapped(&request(), &request_ip());
        let mut packet = packets.swap_remove(which.index(packets.len())).1;
        for (at, value) in changes {
            let at = at % packet.len();
            packet[at] = value;
        }
        check(LinkType::Ethernet, &packet, packet.len() as u32 + more);
    }

    #[test]
    fn both_directions_share_a_key(source: [u8; 4], destination: [u8; 4], source6: [u8; 16], destination6: [u8; 16]) {
        let four = |a: [u8; 4], b: [u8; 4]| peek(LinkType::RawIp, &ipv4(a.into(), b.into(), 6, &tcp(&[])));
        prop_assert_eq!(four(source, destination), four(destination, source));
        let six = |a: [u8; 16], b: [u8; 16]| peek(LinkType::RawIp, &ipv6(a.into(), b.into(), 6, &tcp(&[])));
        prop_assert_eq!(six(source6, destination6), six(destination6, source6));
    }
}

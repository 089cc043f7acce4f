//! Link types, IP and its payloads, redundancy, snap lengths.

use crate::capture::LinkType;
use crate::frame::build::*;
use crate::frame::{self, Body, Datagram, Frame, IpHeader, OtherIp, Peek, Redundancy, Undecoded, decode};

fn decoded(link: LinkType, bytes: &[u8]) -> Frame<'_> {
    decode(link, bytes, bytes.len() as u32).expect("a good packet")
}

fn payload_of<'a>(frame: &Frame<'a>) -> &'a [u8] {
    match frame.body {
        Body::Tcp(_, segment) => segment.payload,
        Body::Udp(_, datagram) => datagram.payload,
        _ => panic!("neither TCP nor UDP: {frame:?}"),
    }
}

/// The same request on each link type.
fn links() -> Vec<(LinkType, Vec<u8>)> {
    let ip = request_ip();
    let with = |header: &str| join(&[&hex(header), &ip]);
    vec![
        (LinkType::Ethernet, request()),
        (LinkType::RawIp, ip.clone()),
        (LinkType::LinuxSll, with("0000 0001 0006 020000000002 0000 0800 ; to us, Ethernet, 6 bytes of address, IPv4")),
        (LinkType::LinuxSll2, with("0800 0000 00000002 0001 00 06 020000000002 0000 ; IPv4, interface 2, Ethernet")),
        (LinkType::Null, with("02000000 ; AF_INET of a little-endian host")),
        (LinkType::Null, with("00000002 ; AF_INET of a big-endian host")),
        (LinkType::Loop, with("00000002 ; AF_INET")),
    ]
}

#[test]
fn the_request_is_found_on_every_link_type() {
    for (link, packet) in links() {
        assert_eq!(payload_of(&decoded(link, &packet)), modbus(), "{link:?}");
        assert_eq!(peek(link, &packet), peek(LinkType::Ethernet, &request()), "{link:?}");
    }
    assert_eq!(decode(LinkType::Other(147), &request(), 66), Err(Undecoded::LinkType));
}

#[test]
fn cooked_captures_have_vlan_tags_and_ipv6_too() {
    let ip = ipv6(CLIENT6, SERVER6, 6, &tcp(&modbus()));
    let sll = join(&[&hex("0000 0001 0006 020000000002 0000 8100"), &tagged(7, 0x86DD, &ip)]);
    let frame = decoded(LinkType::LinuxSll, &sll);
    assert_eq!((payload_of(&frame), frame.vlan), (&modbus()[..], Some(7)));
    let null = join(&[&hex("1E000000 ; AF_INET6 of Darwin"), &ip]);
    assert_eq!(payload_of(&decoded(LinkType::Null, &null)), modbus());
}

#[test]
fn ethernet_padding_is_no_payload() {
    let ack = ethernet(0x0800, &ipv4(CLIENT, SERVER, 6, &tcp(&[])));
    let padded = join(&[&ack, &[0; 6]]);
    let frame = decoded(LinkType::Ethernet, &padded);
    assert_eq!((payload_of(&frame), frame.cut), (&[][..], 0));
}

#[test]
fn ip_options_and_tcp_options_are_passed_by() {
    let segment = hex("C822 01F6 00000064 000000C8 60 18 2000 BEEF 0000 ; 6 words of header
                       01010101 ; four times nothing");
    let ip = hex("47 00 0034 1234 0000 40 06 0000 ; 7 words of header, 52 bytes, TCP
                  0A140909 0A14010A               ; 10.20.9.9 -> 10.20.1.10
                  9404 0000 00000000              ; router alert, end");
    let packet = ethernet(0x0800, &join(&[&ip, &segment]));
    let Body::Tcp(pair, found) = decoded(LinkType::Ethernet, &packet).body else { panic!("no TCP") };
    assert_eq!((pair.source, found.source_port, found.length), (CLIENT.into(), 51234, 0));
    assert_eq!(peek(LinkType::Ethernet, &packet), peek(LinkType::Ethernet, &request()));
}

#[test]
fn a_datagram_ends_where_its_header_declares() {
    let datagram = join(&[&udp(51234, 502, &modbus()), b"more"]);
    let packet = ethernet(0x0800, &ipv4(CLIENT, SERVER, 17, &datagram));
    let Body::Udp(pair, found) = decoded(LinkType::Ethernet, &packet).body else { panic!("no UDP") };
    assert_eq!(pair, IpHeader { source: CLIENT.into(), destination: SERVER.into(), identification: 0x1234 });
    let payload = &modbus()[..];
    let expected = Datagram { source_port: 51234, destination_port: 502, checksum: 0xCAFE, payload, length: 12 };
    assert_eq!(found, expected);
}

#[test]
fn ipv6_extension_headers_are_passed_by() {
    let chain = hex("2B 00 0000 00000000      ; hop by hop, then routing
                     3C 00 0400 00000000      ; routing, no segments left, then destination options
                     33 00 0000 00000000      ; destination options, then authentication
                     2C 04 0000 00000001 00000001 0102030405060708090A0B0C ; authentication, then fragment
                     06 00 0000 0000ABCD      ; fragment that is all of it, then TCP");
    let packet = ethernet(0x86DD, &ipv6(CLIENT6, SERVER6, 0, &join(&[&chain, &tcp(&modbus())])));
    let frame = decoded(LinkType::Ethernet, &packet);
    assert_eq!(payload_of(&frame), modbus());
    let answer = ethernet(0x86DD, &ipv6(SERVER6, CLIENT6, 6, &tcp(&modbus())));
    assert_eq!(peek(LinkType::Ethernet, &packet), peek(LinkType::Ethernet, &answer));
}

#[test]
fn ipv4_behind_an_authentication_header_is_read() {
    let header = hex("06 04 0000 00000001 00000001 0102030405060708090A0B0C ; then TCP");
    let packet = ethernet(0x0800, &ipv4(CLIENT, SERVER, 51, &join(&[&header, &tcp(&modbus())])));
    assert_eq!(payload_of(&decoded(LinkType::Ethernet, &packet)), modbus());
}

#[test]
fn other_protocols_keep_their_number() {
    let ping = ethernet(0x0800, &ipv4(CLIENT, SERVER, 1, &hex("08 00 0000 0001 0001")));
    assert!(matches!(decoded(LinkType::Ethernet, &ping).body, Body::Ip(_, OtherIp { protocol: 1, .. })));
    let unknown = ethernet(0x8892, &modbus());
    let expected = Body::Link { ether_type: 0x8892, payload: &modbus() };
    assert_eq!(decoded(LinkType::Ethernet, &unknown).body, expected);
    let spanning_tree = ethernet(3, &hex("424203 0000000000 ; LLC, padding"));
    let expected = Body::Link { ether_type: 0, payload: &[0x42, 0x42, 0x03] };
    assert_eq!(decoded(LinkType::Ethernet, &spanning_tree).body, expected);
}

#[test]
fn stations_without_ip_share_a_key_in_both_directions() {
    let there = hex("020000000001 020000000002 8892 8000");
    let back = hex("020000000002 020000000001 8892 8000");
    assert!(matches!(peek(LinkType::Ethernet, &there), Peek::Key(key) if key != 0));
    assert_eq!(peek(LinkType::Ethernet, &there), peek(LinkType::Ethernet, &back));
}

#[test]
fn a_total_length_of_zero_means_all_that_is_there() {
    let mut packet = request();
    packet[16..18].fill(0);
    assert_eq!(payload_of(&decoded(LinkType::Ethernet, &packet)), modbus());
}

/// The addresses and protocol of a packet, and why its payload was not decoded.
fn undecoded(packet: &[u8]) -> (IpHeader, u8, Option<Undecoded>) {
    let frame = decoded(LinkType::Ethernet, packet);
    let Body::Ip(pair, other) = frame.body else { panic!("{frame:?}") };
    let key = peek(LinkType::Ethernet, packet).key();
    assert_eq!(key, Some(frame::pair_key(pair.source, pair.destination)), "it is dealt by the same pair");
    (pair, other.protocol, frame.undecoded)
}

#[test]
fn malformed_headers_still_give_their_addresses() {
    let broken = |at: usize, value: u8| {
        let mut packet = request();
        packet[at] = value;
        packet
    };
    let pair = IpHeader { source: CLIENT.into(), destination: SERVER.into(), identification: 0x1234 };
    let malformed = (pair, 6, Some(Undecoded::Malformed));
    assert_eq!(undecoded(&broken(14, 0x44)), malformed, "IPv4 header of 4 words");
    assert_eq!(undecoded(&broken(17, 19)), malformed, "shorter than its header");
    assert_eq!(undecoded(&broken(17, 53)), malformed, "longer than the frame");
    assert_eq!(undecoded(&broken(46, 0x40)), malformed, "TCP header of 4 words");
    assert_eq!(undecoded(&broken(46, 0xF0)), malformed, "TCP header longer than the datagram");
    let sound = broken(46, 0x80);
    assert_eq!(decoded(LinkType::Ethernet, &sound).undecoded, None, "TCP header that takes all there is");
    let other_version = broken(14, 0x65);
    let refused = decode(LinkType::Ethernet, &other_version, other_version.len() as u32);
    assert_eq!(refused, Err(Undecoded::Malformed), "version 6 in IPv4: nothing is where it should be");
}

#[test]
fn malformed_datagrams_still_give_their_addresses() {
    let pair = IpHeader { source: CLIENT.into(), destination: SERVER.into(), identification: 0x1234 };
    for length in [0x0007, 0x0017, 0xFFFF] {
        let mut datagram = udp(51234, 502, &modbus());
        datagram[4..6].copy_from_slice(&u16::to_be_bytes(length));
        let packet = ethernet(0x0800, &ipv4(CLIENT, SERVER, 17, &datagram));
        assert_eq!(undecoded(&packet), (pair, 17, Some(Undecoded::Malformed)), "UDP length {length:#x}");
    }
    let short = ethernet(0x0800, &ipv4(CLIENT, SERVER, 17, &hex("C822 01F6 ; ports, and no more")));
    assert_eq!(undecoded(&short), (pair, 17, Some(Undecoded::Malformed)));
    let short =
        ethernet(0x0800, &ipv4(CLIENT, SERVER, 6, &hex("C822 01F6 00000064 ; ports, sequence number, and no more")));
    assert_eq!(undecoded(&short), (pair, 6, Some(Undecoded::Malformed)));
}

#[test]
fn invalid_extension_headers_still_give_their_addresses() {
    let of = |next, chain: &[u8]| undecoded(&ethernet(0x86DD, &ipv6(CLIENT6, SERVER6, next, chain)));
    let pair = IpHeader { source: CLIENT6.into(), destination: SERVER6.into(), identification: 0 };
    let malformed = |protocol| (pair, protocol, Some(Undecoded::Malformed));
    assert_eq!(of(60, &hex("06 05 0000 00000000 ; longer than the packet")), malformed(60));
    assert_eq!(of(0, &hex("2B 00 0000 00000000 ; hop by hop, then routing\n 06 00")), malformed(43));
    assert_eq!(of(51, &hex("06 00 0000 00000001 00000001 ; authentication, too short for itself")), malformed(51));
    assert_eq!(of(44, &hex("06 00 ; a fragment header cut short")), malformed(44));
    assert_eq!(of(6, &hex("C822 01F6 00000064 000000C8 20 18 2000 BEEF 0000 ; TCP header of 2 words")), malformed(6));
    let endless = hex("3C 00 0000 00000000 ; destination options, then the same").repeat(18);
    assert_eq!(of(60, &endless), (pair, 60, Some(Undecoded::TooDeep)));
    let mut longer = ethernet(0x86DD, &ipv6(CLIENT6, SERVER6, 6, &tcp(&modbus())));
    longer[18] = 1;
    assert_eq!(undecoded(&longer), malformed(6), "longer than the frame");
}

#[test]
fn inside_a_wrapping_an_ip_header_has_to_be_sound() {
    let mut broken = request_ip();
    broken[0] = 0x44;
    let frame = over_gre("0000 0800", &broken);
    let frame = decoded(LinkType::Ethernet, &frame);
    assert!(matches!(frame.body, Body::Ip(_, OtherIp { protocol: 47, .. })));
    assert_eq!(frame.undecoded, Some(Undecoded::Content));
    let mut broken = request_ip();
    broken[32] = 0x20;
    let frame = over_gre("0000 0800", &broken);
    let frame = decoded(LinkType::Ethernet, &frame);
    assert!(matches!(frame.body, Body::Ip(pair, OtherIp { protocol: 6, .. }) if pair.source == CLIENT));
    assert_eq!(frame.undecoded, Some(Undecoded::Malformed), "TCP header of 2 words");
}

#[test]
fn a_packet_cut_by_the_snap_length_is_decoded_as_far_as_it_goes() {
    let packet = request();
    let at = |length: usize| decode(LinkType::Ethernet, &packet[..length], packet.len() as u32);
    for length in 0..34 {
        assert_eq!(at(length), Err(Undecoded::Truncated), "{length}");
    }
    let mut options = packet.clone();
    options[14] = 0x47;
    let cut = decode(LinkType::Ethernet, &options[..36], packet.len() as u32).expect("its addresses are there");
    assert_eq!(cut.undecoded, Some(Undecoded::Truncated));
    for length in 34..54 {
        let frame = at(length).expect("its IP header is there");
        assert!(matches!(frame.body, Body::Ip(_, OtherIp { protocol: 6, .. })), "{length}");
    }
    for length in 54..66 {
        let frame = at(length).expect("its TCP header is there");
        let Body::Tcp(_, segment) = frame.body else { panic!("{length}: no TCP") };
        assert_eq!((segment.payload, segment.length), (&modbus()[..length - 54], 12), "{length}");
        assert_eq!(frame.cut as usize, 66 - length);
    }
}

#[test]
fn a_tcp_header_cut_in_its_options_still_counts() {
    let segment = hex("C822 01F6 00000064 000000C8 80 18 2000 BEEF 0000 ; 8 words of header
                       0101080A 00000001 00000002 ; timestamps");
    let packet = ethernet(0x0800, &ipv4(CLIENT, SERVER, 6, &join(&[&segment, &modbus()])));
    let frame = decode(LinkType::Ethernet, &packet[..56], packet.len() as u32).expect("20 bytes of TCP are there");
    let Body::Tcp(_, found) = frame.body else { panic!("no TCP") };
    assert_eq!((found.sequence, found.payload, found.length, frame.cut), (100, &[][..], 12, 12));
}

/// A frame with a PRP trailer: 52 bytes of IP, then 0BAD (sequence), A (LAN), size, suffix.
fn prp(size: u16) -> Vec<u8> {
    join(&[&request(), &hex("0BAD"), &(0xA000 | size).to_be_bytes(), &hex("88FB")])
}

#[test]
fn the_trailer_of_prp_is_recognised_by_its_size() {
    let expected = Some(Redundancy { sequence: 0x0BAD, lan: 0xA });
    let frame = prp(58);
    let frame = decoded(LinkType::Ethernet, &frame);
    assert_eq!((frame.redundancy, payload_of(&frame)), (expected, &modbus()[..]));
    assert_eq!(decoded(LinkType::Ethernet, &prp(57)).redundancy, None);

    let mut tagged_frame = prp(58);
    tagged_frame.splice(12..12, hex("8100 0007 ; the size does not count the tag"));
    assert_eq!(decoded(LinkType::Ethernet, &tagged_frame).redundancy, expected);

    let profinet = ethernet(0x8892, &hex("8000 0102  0BAD B00A 88FB ; payload, then LAN B, size 10"));
    let frame = decoded(LinkType::Ethernet, &profinet);
    assert_eq!(frame.redundancy, Some(Redundancy { sequence: 0x0BAD, lan: 0xB }));
    assert_eq!(frame.body, Body::Link { ether_type: 0x8892, payload: &[0x80, 0, 1, 2] });
}

#[test]
fn payload_that_looks_like_a_trailer_is_payload() {
    let payload = hex("0000 0000 0BAD A034 88FB ; the size of its frame, but inside the datagram");
    let packet = ethernet(0x0800, &ipv4(CLIENT, SERVER, 6, &tcp(&payload)));
    assert_eq!(packet.len() - 14, 0x32);
    let mut fitting = packet;
    fitting[62] = 0x32;
    let frame = decoded(LinkType::Ethernet, &fitting);
    assert_eq!((frame.redundancy, payload_of(&frame).len()), (None, 10));
}

#[test]
fn the_tag_of_hsr_is_taken_off() {
    let packet = ethernet(0x892F, &join(&[&hex(HSR_TAG), &request_ip()]));
    let frame = decoded(LinkType::Ethernet, &packet);
    assert_eq!(frame.redundancy, Some(Redundancy { sequence: 0x0BAD, lan: 3 }));
    assert_eq!(payload_of(&frame), modbus());
}

#[test]
fn a_priority_tag_is_no_vlan() {
    let packet = ethernet(0x8100, &tagged(0xC000, 0x0800, &request_ip()));
    assert_eq!(decoded(LinkType::Ethernet, &packet).vlan, None);
}

#[test]
fn only_the_first_fragment_has_ports() {
    let whole = tcp(&[0; 12]);
    let first = ethernet(0x0800, &ipv4_part(CLIENT, SERVER, 6, 1, 0, true, &whole[..24]));
    let second = ethernet(0x0800, &ipv4_part(CLIENT, SERVER, 6, 1, 24, false, &whole[24..]));
    assert!(matches!(decoded(LinkType::Ethernet, &first).body, Body::Tcp(..)));
    assert!(matches!(decoded(LinkType::Ethernet, &second).body, Body::Ip(_, OtherIp { protocol: 6, .. })));
    assert_eq!(peek(LinkType::Ethernet, &first), Peek::Fragment);
    assert_eq!(peek(LinkType::Ethernet, &second), Peek::Fragment);
}

//! What is wrapped, and in what.

use crate::capture::Link;
use crate::frame::build::*;
use crate::frame::{Body, Frame, IpPair, OtherIp, Peek, Tunnel, TunnelKind, Undecoded, decode, peek};

fn decoded(bytes: &[u8]) -> Frame<'_> {
    decode(Link::Ethernet, bytes, bytes.len() as u32).expect("a good packet")
}

fn named(name: &str) -> Vec<u8> {
    let all = wrapped(&request(), &request_ip());
    all.into_iter().find(|(other, _)| *other == name).expect("a wrapping of that name").1
}

fn tunnel_of(name: &str) -> Option<(TunnelKind, u32)> {
    decoded(&named(name)).tunnel.map(|Tunnel { kind, id }| (kind, id))
}

#[test]
fn the_request_is_found_in_every_wrapping() {
    for (name, packet) in wrapped(&request(), &request_ip()) {
        let Body::Tcp(pair, segment) = decoded(&packet).body else { panic!("{name}: no TCP") };
        let expected = IpPair { source: CLIENT.into(), destination: SERVER.into(), identification: 0x1234 };
        assert_eq!(pair, expected, "{name}");
        assert_eq!(segment.payload, modbus(), "{name}");
        assert_eq!(segment.length, 12, "{name}");
        assert_eq!((segment.source_port, segment.destination_port), (51234, 502), "{name}");
        assert_eq!((segment.sequence, segment.acknowledgement, segment.urgent), (100, 200, 0), "{name}");
        assert!(segment.flags.ack && !segment.flags.syn && !segment.flags.fin && !segment.flags.rst, "{name}");
    }
}

#[test]
fn each_wrapping_says_its_kind_and_number() {
    assert_eq!(tunnel_of("plain"), None);
    assert_eq!(tunnel_of("QinQ"), None);
    assert_eq!(tunnel_of("GRE"), Some((TunnelKind::Gre, 0)));
    assert_eq!(tunnel_of("GRE with all options"), Some((TunnelKind::Gre, 0xC0FFEE)));
    assert_eq!(tunnel_of("Ethernet in GRE"), Some((TunnelKind::Gre, 0x1200)));
    assert_eq!(tunnel_of("ERSPAN I"), Some((TunnelKind::Erspan, 0)));
    assert_eq!(tunnel_of("ERSPAN II"), Some((TunnelKind::Erspan, 1)));
    assert_eq!(tunnel_of("ERSPAN III"), Some((TunnelKind::Erspan, 2)));
    assert_eq!(tunnel_of("VXLAN"), Some((TunnelKind::Vxlan, 0xBEE)));
    assert_eq!(tunnel_of("GENEVE"), Some((TunnelKind::Geneve, 0xBEE)));
    assert_eq!(tunnel_of("MPLS"), Some((TunnelKind::Mpls, 101)));
    assert_eq!(tunnel_of("pseudo-wire"), Some((TunnelKind::Mpls, 101)));
    assert_eq!(tunnel_of("PPPoE"), Some((TunnelKind::Pppoe, 42)));
    assert_eq!(tunnel_of("IP in IP"), Some((TunnelKind::IpInIp, 0)));
    assert_eq!(tunnel_of("VXLAN in GRE"), Some((TunnelKind::Vxlan, 0xBEE)));
}

#[test]
fn hardware_addresses_and_vlan_are_those_of_the_innermost_ethernet() {
    let inner = ethernet(0x8100, &tagged(7, 0x0800, &request_ip()));
    let packet = transport_ethernet(
        0x8100,
        &tagged(99, 0x0800, &ipv4(SWITCH, SENSOR, 17, &udp(1, 4789, &join(&[&hex(VXLAN), &inner])))),
    );
    let frame = decoded(&packet);
    assert_eq!(frame.vlan, Some(7));
    assert_eq!(frame.mac.map(|mac| mac.source), Some([2, 0, 0, 0, 0, 2]));
    assert_eq!(decoded(&named("VXLAN")).vlan, None);
    for bare in ["GRE", "IP in IP", "PPPoE", "MPLS"] {
        assert_eq!(decoded(&named(bare)).mac, None, "{bare}: those of the ends of the tunnel are nobody's in it");
    }
}

#[test]
fn erspan_says_the_vlan_of_a_frame_that_lost_its_tag() {
    assert_eq!(decoded(&named("ERSPAN II")).vlan, Some(42));
    let tagged_inside = over_gre(ERSPAN_II, &ethernet(0x8100, &tagged(7, 0x0800, &request_ip())));
    assert_eq!(decoded(&tagged_inside).vlan, Some(7));
}

#[test]
fn the_key_is_the_same_in_every_wrapping_and_both_directions() {
    let key = peek(Link::Ethernet, &request());
    assert!(matches!(key, Peek::Key(_)));
    for (name, packet) in wrapped(&request(), &request_ip()) {
        assert_eq!(peek(Link::Ethernet, &packet), key, "{name}");
    }
    for (name, packet) in wrapped(&ethernet(0x0800, &answer_ip()), &answer_ip()) {
        assert_eq!(peek(Link::Ethernet, &packet), key, "answer, {name}");
    }
    let other = ethernet(0x0800, &ipv4(CLIENT, SWITCH, 6, &tcp(&modbus())));
    assert_ne!(peek(Link::Ethernet, &other), key);
}

#[test]
fn the_inside_of_a_wrapping_may_be_cut_by_the_mirror_session() {
    let inner = request();
    let packet = over_gre(ERSPAN_II, &inner[..inner.len() - 5]);
    let frame = decoded(&packet);
    let Body::Tcp(_, segment) = frame.body else { panic!("no TCP") };
    assert_eq!((segment.payload, segment.length, frame.cut), (&modbus()[..7], 12, 5));
}

#[test]
fn what_only_looks_like_a_wrapping_stays_what_it_is() {
    let no_flag = over_udp(4789, "00 000000 000BEE 00", &request());
    let no_ethernet = over_udp(4789, VXLAN, &modbus());
    let broken_inside = over_udp(4789, VXLAN, &ethernet(0x0800, &hex("4F 00 0001")));
    let unknown_gre = over_gre("0000 1234", &request());
    let gre_of_pptp = over_gre("2001 880B 00000000", &request());
    let ppp_control = transport_ethernet(0x8864, &hex("11 00 002A 0004 C021 0101"));
    for packet in [&no_flag, &no_ethernet, &broken_inside] {
        let frame = decoded(packet);
        assert!(matches!(frame.body, Body::Udp(pair, _) if pair.source == SWITCH));
        assert_eq!((frame.tunnel, frame.mac.map(|mac| mac.source[5])), (None, Some(0x0B)));
    }
    for packet in [&unknown_gre, &gre_of_pptp] {
        assert!(matches!(decoded(packet).body, Body::Ip(_, OtherIp { protocol: 47, .. })));
    }
    assert!(matches!(decoded(&ppp_control).body, Body::Link { ether_type: 0x8864, .. }));
    assert_eq!(decoded(&ppp_control).tunnel, None);
}

#[test]
fn too_many_wrappings_are_refused() {
    let nested = |depth| (0..depth).fold(request_ip(), |inside, _| ipv4(SWITCH, SENSOR, 4, &inside));
    let deepest = ethernet(0x0800, &nested(8));
    assert!(matches!(decoded(&deepest).body, Body::Tcp(..)));
    let deeper = ethernet(0x0800, &nested(9));
    assert_eq!(decode(Link::Ethernet, &deeper, deeper.len() as u32), Err(Undecoded::TooDeep));
}

#[test]
fn too_many_tags_are_refused() {
    let stacked = |depth| (1..depth).fold(tagged(7, 0x0800, &request_ip()), |inside, _| tagged(7, 0x8100, &inside));
    let most = ethernet(0x8100, &stacked(8));
    assert!(matches!(decoded(&most).body, Body::Tcp(..)));
    let more = ethernet(0x8100, &stacked(9));
    assert_eq!(decode(Link::Ethernet, &more, more.len() as u32), Err(Undecoded::TooDeep));
}

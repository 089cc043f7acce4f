//! Encapsulations.

use crate::capture::LinkType;
use crate::frame::build::*;
use crate::frame::{
    self, Body, Frame, IpHeader, Layers, OtherIp, Outer, OuterCarrier, Peek, Tunnel, TunnelKind, Undecoded, decode,
    outer,
};

fn decoded(bytes: &[u8]) -> Frame<'_> {
    decode(LinkType::Ethernet, bytes, bytes.len() as u32).expect("a good packet")
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
        let expected = IpHeader { source: CLIENT.into(), destination: SERVER.into(), identification: 0x1234 };
        assert_eq!(pair, expected, "{name}");
        assert_eq!(segment.payload, modbus(), "{name}");
        assert_eq!(segment.length, 12, "{name}");
        assert_eq!((segment.source_port, segment.destination_port), (51234, 502), "{name}");
        assert_eq!((segment.sequence, segment.acknowledgement, segment.urgent), (100, 200, 0), "{name}");
        assert!(segment.flags.ack && !segment.flags.syn && !segment.flags.fin && !segment.flags.rst, "{name}");
    }
}

#[test]
fn each_encapsulation_gives_its_kind_and_id() {
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
    for tag in ["VN-Tag", "E-Tag", "Cisco time stamp", "Cisco meta data", "R-TAG", "QinQ 0x9200", "QinQ 0x9300"] {
        assert_eq!(tunnel_of(tag), None, "{tag}");
    }
    assert_eq!(tunnel_of("802.1ah"), Some((TunnelKind::Pbb, 0xBEE)));
    assert_eq!(tunnel_of("VXLAN on 8472"), Some((TunnelKind::Vxlan, 0xBEE)));
    assert_eq!(tunnel_of("VXLAN-GPE"), Some((TunnelKind::Vxlan, 0xBEE)));
    // Each direction has numbers of its own, or none.
    let others = [
        ("FabricPath", TunnelKind::FabricPath),
        ("TRILL", TunnelKind::Trill),
        ("NSH", TunnelKind::Nsh),
        ("PPTP", TunnelKind::Pptp),
        ("L2TP", TunnelKind::L2tp),
        ("L2TPv3", TunnelKind::L2tp),
        ("TZSP", TunnelKind::Tzsp),
    ];
    for (name, kind) in others {
        assert_eq!(tunnel_of(name), Some((kind, 0)), "{name}");
    }
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
    for name in ["QinQ", "QinQ 0x9200", "QinQ 0x9300", "VN-Tag and VLAN"] {
        assert_eq!(decoded(&named(name)).vlan, Some(7), "{name}");
    }
    assert_eq!(decoded(&named("802.1ah in a VLAN")).vlan, None, "the customer's frame has none");
}

#[test]
fn erspan_gives_the_vlan_of_a_frame_without_its_tag() {
    assert_eq!(decoded(&named("ERSPAN II")).vlan, Some(42));
    let tagged_inside = over_gre(ERSPAN_II, &ethernet(0x8100, &tagged(7, 0x0800, &request_ip())));
    assert_eq!(decoded(&tagged_inside).vlan, Some(7));
}

#[test]
fn the_key_is_the_same_in_every_wrapping_and_both_directions() {
    let Peek::Key(key) = peek(LinkType::Ethernet, &request()) else { panic!("nothing is around it") };
    for (name, packet) in wrapped(&request(), &request_ip()) {
        assert_eq!(peek(LinkType::Ethernet, &packet).key(), Some(key), "{name}");
    }
    for (name, packet) in wrapped(&ethernet(0x0800, &answer_ip()), &answer_ip()) {
        assert_eq!(peek(LinkType::Ethernet, &packet).key(), Some(key), "answer, {name}");
    }
    let other = ethernet(0x0800, &ipv4(CLIENT, SWITCH, 6, &tcp(&modbus())));
    assert_ne!(peek(LinkType::Ethernet, &other), Peek::Key(key));
}

/// The tunnels around a packet, with the depth of each.
fn around(packet: &[u8]) -> Vec<(u8, Outer)> {
    let mut layers = Layers::default();
    match frame::peek(LinkType::Ethernet, packet, packet.len() as u32, &mut layers) {
        Peek::Wrapped(_) => layers.iter().collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_wrapping_inside_ip_is_a_conversation_between_its_ends() {
    let ends = [SWITCH.into(), SENSOR.into()];
    let carried = |carrier| vec![(0, Outer { ends, carrier })];
    let protocols = [
        ("GRE", 47),
        ("ERSPAN II", 47),
        ("PPTP", 47),
        ("NSH in GRE", 47),
        ("IP in IP", 4),
        ("MPLS in IP", 137),
        ("L2TPv3", 115),
    ];
    for (name, protocol) in protocols {
        assert_eq!(around(&named(name)), carried(OuterCarrier::Ip(protocol)), "{name}");
    }
    let ports = [
        ("VXLAN", 4789),
        ("VXLAN on 8472", 8472),
        ("VXLAN-GPE with NSH", 4790),
        ("GENEVE", 6081),
        ("L2TP", 1701),
        ("TZSP", 37_008),
    ];
    for (name, port) in ports {
        assert_eq!(around(&named(name)), carried(OuterCarrier::Udp(port)), "{name}");
    }
    for name in ["plain", "QinQ", "VN-Tag", "MPLS", "PPPoE", "802.1ah", "FabricPath", "TRILL", "NSH"] {
        assert_eq!(around(&named(name)), [], "{name}");
    }
}

#[test]
fn each_of_several_tunnels_is_found_by_its_depth() {
    let packet = named("VXLAN in GRE");
    let found = around(&packet);
    let carriers: Vec<_> = found.iter().map(|(depth, outer)| (*depth, outer.carrier)).collect();
    assert_eq!(carriers, [(1, OuterCarrier::Udp(4789)), (0, OuterCarrier::Ip(47))]);
    for (depth, expected) in found {
        let frame = outer(LinkType::Ethernet, &packet, packet.len() as u32, depth).expect("it is there");
        let carrier = match frame.body {
            Body::Ip(_, other) => OuterCarrier::Ip(other.protocol),
            Body::Udp(_, datagram) => OuterCarrier::Udp(datagram.destination_port),
            other => panic!("{other:?}"),
        };
        assert_eq!((carrier, frame.undecoded), (expected.carrier, None));
        // Both are on the outer Ethernet.
        assert_eq!(frame.mac.map(|mac| mac.source), Some([2, 0, 0, 0, 0x0B, 0x0B]));
    }
    assert_eq!(outer(LinkType::Ethernet, &packet, packet.len() as u32, 2), None);
}

#[test]
fn both_directions_of_a_wrapping_are_one_conversation() {
    let [there, back] = [(SWITCH, SENSOR), (SENSOR, SWITCH)]
        .map(|(from, to)| transport_ethernet(0x0800, &ipv4(from, to, 4, &request_ip())));
    assert_eq!(around(&there), around(&back));
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
fn a_packet_that_only_resembles_a_tunnel_is_not_decoded_as_one() {
    let no_flag = over_udp(4789, "00 000000 000BEE 00", &request());
    let no_ethernet = over_udp(4789, VXLAN, &modbus());
    let broken_inside = over_udp(4789, VXLAN, &ethernet(0x0800, &hex("4F 00 0001")));
    let no_gpe = over_udp(4790, "3C 0000 03 000BEE 00 ; version 3", &request());
    let no_l2tp = over_udp(1701, "0005 0000 0000002A ; version 5", &request());
    let l2tp_control = over_udp(1701, "C802 000C 0000 0000 0000 0000 ; control, length, no tunnel yet", &[]);
    let wireless = over_udp(37_008, "01 00 0012 01 ; 802.11", &request());
    for packet in [&no_flag, &no_ethernet, &broken_inside, &no_gpe, &no_l2tp, &l2tp_control, &wireless] {
        let frame = decoded(packet);
        assert!(matches!(frame.body, Body::Udp(pair, _) if pair.source == SWITCH));
        assert_eq!((frame.tunnel, frame.mac.map(|mac| mac.source[5])), (None, Some(0x0B)));
        assert_eq!((frame.undecoded, around(packet)), (None, vec![]), "a port alone makes no tunnel");
    }
}

/// The EtherType or IP protocol of a packet that was not decoded further, and the reason.
fn unread(packet: &[u8]) -> (u32, Option<Undecoded>) {
    let frame = decoded(packet);
    assert_eq!(frame.tunnel, None);
    match frame.body {
        Body::Link { ether_type, .. } => (ether_type.into(), frame.undecoded),
        Body::Ip(_, other) => (other.protocol.into(), frame.undecoded),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wrapping_that_cannot_be_undone_is_content_that_was_not_read() {
    let content = Some(Undecoded::Content);
    assert_eq!(unread(&over_gre("0000 1234 ; a protocol of nobody", &request())), (47, content));
    assert_eq!(unread(&over_gre("4000 0800 ; source routing", &request())), (47, content));
    assert_eq!(unread(&over_ip(4, &hex("F5 00"))), (4, content));
    assert_eq!(unread(&over_ip(50, &hex("00000001 00000001 DEADBEEF ; ESP"))), (50, content));
    assert_eq!(unread(&over_ip(115, &hex("0000002A DEADBEEF ; L2TPv3 of something else"))), (115, content));
    let compressed = "11 00 002A 0004 00FD 9000 ; compressed, perhaps encrypted";
    assert_eq!(unread(&transport_ethernet(0x8864, &hex(compressed))), (0x8864, content));
    assert_eq!(unread(&transport_ethernet(0x8847, &hex("00064 1 40 ; label\n 30000000 ; no IP"))), (0x8847, content));
    assert_eq!(unread(&ethernet(0x88E5, &hex("0C 00 00000001 DEADBEEF ; MACsec"))), (0x88E5, content));
    assert_eq!(unread(&ethernet(0x1234, &request_ip())), (0x1234, content));
    assert_eq!(unread(&ethernet(0x9200, &tagged(300, 0x1234, &request_ip()))), (0x9200, content), "no tag");
    for llc in
        ["FEFE03 00 1DE0 ; ISO, inactive network layer, transport", "060603 4500 ; IP", "AAAA03 0000F8 0800 ; 802.1H"]
    {
        assert_eq!(unread(&ethernet(0x0006, &hex(llc))), (0, content), "{llc}");
    }
}

#[test]
fn the_signalling_of_a_wrapping_and_housekeeping_are_read() {
    assert_eq!(unread(&transport_ethernet(0x8864, &hex("11 00 002A 0004 C021 0101 ; LCP"))), (0x8864, None));
    assert_eq!(unread(&over_gre("2081 880B 0000 0001 00000001 ; PPTP, acknowledgement alone", &[])), (47, None));
    assert_eq!(unread(&over_gre("3001 880B 0006 0001 00000001 FF03 C021 0900", &[])), (47, None));
    assert_eq!(unread(&over_ip(115, &hex("00000000 C8030014 00000000 ; session 0: control"))), (115, None));
    assert_eq!(unread(&ethernet(0x0003, &hex("424203 ; spanning tree"))), (0, None));
    assert_eq!(unread(&ethernet(0x0004, &hex("FEFE03 83 ; IS-IS"))), (0, None));
    assert_eq!(unread(&ethernet(0x8892, &hex("8000"))), (0x8892, None));
    assert_eq!(unread(&over_ip(1, &hex("0800 0000"))), (1, None));
}

#[test]
fn too_many_wrappings_end_the_walk() {
    let nested = |depth| (0..depth).fold(request_ip(), |inside, _| ipv4(SWITCH, SENSOR, 4, &inside));
    let deepest = ethernet(0x0800, &nested(8));
    assert!(matches!(decoded(&deepest).body, Body::Tcp(..)));
    let deeper = ethernet(0x0800, &nested(9));
    let frame = decoded(&deeper);
    assert_eq!(frame.undecoded, Some(Undecoded::TooDeep));
    assert!(matches!(frame.body, Body::Ip(pair, OtherIp { protocol: 4, .. }) if pair.source == SWITCH));
    assert_eq!(around(&deeper).len(), 8, "each of those that were undone");
}

#[test]
fn service_headers_within_service_headers_have_an_end() {
    let nested = (0..5000).fold(request_ip(), |inside, _| join(&[&hex("0FC2 02 04 000064 FF ; NSH follows"), &inside]));
    let packet = transport_ethernet(0x894F, &nested);
    assert_eq!(decoded(&packet).undecoded, Some(Undecoded::TooDeep));
}

#[test]
fn too_many_tags_end_the_walk() {
    let stacked = |depth| (1..depth).fold(tagged(7, 0x0800, &request_ip()), |inside, _| tagged(7, 0x8100, &inside));
    let most = ethernet(0x8100, &stacked(8));
    assert!(matches!(decoded(&most).body, Body::Tcp(..)));
    let more = ethernet(0x8100, &stacked(9));
    let frame = decoded(&more);
    assert_eq!(frame.undecoded, Some(Undecoded::TooDeep));
    assert!(matches!(frame.body, Body::Link { ether_type: 0x8100, .. }));
}

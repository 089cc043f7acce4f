//! Packets for tests: annotated hex headers, with computed lengths.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Layers, Peek};
use crate::capture::LinkType;

/// Calls [`super::peek()`] with a packet captured whole.
pub(super) fn peek(link: LinkType, packet: &[u8]) -> Peek {
    super::peek(link, packet, packet.len() as u32, &mut Layers::default())
}

/// Bytes from hex digits; the rest of a line after `;` is a comment.
pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .lines()
        .filter_map(|line| line.split(';').next())
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).expect("tests are written in hex digits"))
        .collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

pub(super) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 20, 9, 9);
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 20, 1, 10);
pub(super) const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xDB8, 0, 9, 0, 0, 0, 9);
pub(super) const SERVER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xDB8, 0, 1, 0, 0, 0, 10);
/// The endpoints of tunnels.
pub(super) const SWITCH: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(super) const SENSOR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 200);

/// Read Holding Registers 107..109 of unit 17 (Modbus Application Protocol 1.1b3, 6.3).
pub(super) fn modbus() -> Vec<u8> {
    hex("0001      ; transaction 1
         0000      ; protocol 0: Modbus
         0006      ; 6 bytes follow
         11        ; unit 17
         03        ; Read Holding Registers
         006B 0003 ; from 107, 3 of them")
}

/// A TCP segment from port 51234 to 502 with PSH and ACK.
pub(super) fn tcp(payload: &[u8]) -> Vec<u8> {
    let header = hex("C822 01F6 ; ports 51234 -> 502
                      00000064  ; sequence 100
                      000000C8  ; acknowledgement 200
                      50 18     ; 5 words of header, PSH and ACK
                      2000 BEEF 0000 ; window, checksum, urgent");
    join(&[&header, payload])
}

pub(super) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let length = 8 + payload.len() as u16;
    join(&[&words(&[source, destination, length, 0xCAFE]), payload])
}

pub(super) fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_part(source, destination, protocol, 0x1234, 0, false, payload)
}

/// `offset` in bytes.
pub(super) fn ipv4_part(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    identification: u16,
    offset: u16,
    more: bool,
    payload: &[u8],
) -> Vec<u8> {
    let flags = (offset / 8) | (u16::from(more) << 13);
    let head = words(&[0x4500, 20 + payload.len() as u16, identification, flags]);
    let mut header = join(&[&head, &[64, protocol, 0, 0], &source.octets(), &destination.octets()]);
    let sum = header.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum::<u32>();
    let sum = !((sum & 0xFFFF) + (sum >> 16)) as u16;
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    join(&[&header, payload])
}

pub(super) fn ipv6(source: Ipv6Addr, destination: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let head = words(&[0x6000, 0, payload.len() as u16]);
    join(&[&head, &[next, 64], &source.octets(), &destination.octets(), payload])
}

/// From station 2 to station 1.
pub(super) fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let macs = hex("020000000001 020000000002 ; destination, source");
    join(&[&macs, &words(&[ether_type]), payload])
}

/// The outer Ethernet of tunnels, between other stations.
pub(super) fn transport_ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let macs = hex("020000000A0A 020000000B0B ; destination, source");
    join(&[&macs, &words(&[ether_type]), payload])
}

/// A tag, and the EtherType of the payload.
pub(super) fn tagged(id: u16, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&words(&[id, ether_type]), payload])
}

/// The request in TCP and IPv4.
pub(super) fn request_ip() -> Vec<u8> {
    ipv4(CLIENT, SERVER, 6, &tcp(&modbus()))
}

/// The same in the other direction.
pub(super) fn answer_ip() -> Vec<u8> {
    ipv4(SERVER, CLIENT, 6, &tcp(&modbus()))
}

/// The request in Ethernet, without encapsulation.
pub(super) fn request() -> Vec<u8> {
    ethernet(0x0800, &request_ip())
}

/// `payload` in UDP between the endpoints of a tunnel.
pub(super) fn over_udp(port: u16, header: &str, payload: &[u8]) -> Vec<u8> {
    over_ip(17, &udp(50_000, port, &join(&[&hex(header), payload])))
}

/// `payload` in GRE; `header` starts at the flags.
pub(super) fn over_gre(header: &str, payload: &[u8]) -> Vec<u8> {
    over_ip(47, &join(&[&hex(header), payload]))
}

pub(super) fn over_ip(protocol: u8, payload: &[u8]) -> Vec<u8> {
    transport_ethernet(0x0800, &ipv4(SWITCH, SENSOR, protocol, payload))
}

pub(super) fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// This Ethernet frame and this IP packet in each encapsulation, with its name.
pub(super) fn wrapped(ethernet_frame: &[u8], ip: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let tag = tagged(7, 0x0800, ip);
    vec![
        ("plain", ethernet(0x0800, ip)),
        ("VLAN", ethernet(0x8100, &tag)),
        ("QinQ", ethernet(0x88A8, &tagged(300, 0x8100, &tag))),
        ("old QinQ", ethernet(0x9100, &tagged(300, 0x8100, &tag))),
        ("HSR", ethernet(0x892F, &join(&[&hex(HSR_TAG), ip]))),
        ("SNAP", ethernet(8 + ip.len() as u16, &join(&[&hex("AAAA03 000000 0800"), ip]))),
        ("GRE", over_gre("0000 0800 ; no options, IPv4", ip)),
        ("GRE with all options", over_gre(GRE_ALL, ip)),
        ("Ethernet in GRE", over_gre("2000 6558 00001200 ; key 0x1200", ethernet_frame)),
        ("ERSPAN I", over_gre("0000 88BE ; no sequence number", ethernet_frame)),
        ("ERSPAN II", over_gre(ERSPAN_II, ethernet_frame)),
        ("ERSPAN III", over_gre(ERSPAN_III, ethernet_frame)),
        ("ERSPAN III with platform header", over_gre(ERSPAN_III_PLATFORM, ethernet_frame)),
        ("ERSPAN III with IP", over_gre(ERSPAN_III_IP, ip)),
        ("VXLAN", over_udp(4789, VXLAN, ethernet_frame)),
        ("GENEVE", over_udp(6081, GENEVE, ethernet_frame)),
        ("GENEVE with IP", over_udp(6081, "00 00 0800 000BEE 00", ip)),
        ("MPLS", transport_ethernet(0x8847, &join(&[&hex(LABELS), ip]))),
        ("MPLS in GRE", over_gre(&format!("0000 8847\n{LABELS}"), ip)),
        ("MPLS in IP", over_ip(137, &join(&[&hex(LABELS), ip]))),
        ("pseudo-wire", transport_ethernet(0x8847, &join(&[&hex(LABELS), &hex("00000000"), ethernet_frame]))),
        ("pseudo-wire without control word", transport_ethernet(0x8848, &join(&[&hex(LABELS), ethernet_frame]))),
        ("PPPoE", transport_ethernet(0x8864, &join(&[&hex(PPPOE), ip]))),
        ("IP in IP", over_ip(4, ip)),
        ("IP in IPv6", transport_ethernet(0x86DD, &ipv6(CLIENT6, SERVER6, 4, ip))),
        ("VXLAN in GRE", over_gre("0000 6558", &over_udp(4789, VXLAN, ethernet_frame))),
    ]
    .into_iter()
    .chain(switched(ethernet_frame, ip))
    .chain(tunnelled(ethernet_frame, ip))
    .collect()
}

/// The tags and encapsulations of switches, fabrics and backbones, as Wireshark 4.0 decodes them, except 0x9200 and 0x9300,
/// which it does not support.
fn switched(ethernet_frame: &[u8], ip: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let tag = tagged(7, 0x0800, ip);
    let tagged_by = |ether_type, header: &str| ethernet(ether_type, &join(&[&hex(header), ip]));
    let wrapped_by = |ether_type, header: &str| transport_ethernet(ether_type, &join(&[&hex(header), ethernet_frame]));
    let backbone = join(&[&hex("00 000BEE ; priority 0, service 3054"), ethernet_frame]);
    vec![
        ("QinQ 0x9200", ethernet(0x9200, &tagged(300, 0x8100, &tag))),
        ("QinQ 0x9300", ethernet(0x9300, &tagged(300, 0x8100, &tag))),
        ("VN-Tag", tagged_by(0x8926, "0000 0014 0800 ; to the bridge, destination 0; version 0, source 20; IPv4")),
        ("VN-Tag and VLAN", ethernet(0x8926, &join(&[&hex("0000 0014 8100"), &tag]))),
        ("E-Tag", tagged_by(0x893F, "2000 1014 0000 0800 ; priority 1; group 1, channel 20; no extensions; IPv4")),
        ("Cisco time stamp", tagged_by(0x8988, "000000000001 0800 ; time; IPv4")),
        ("Cisco meta data", tagged_by(0x8909, "01 01 0001 0064 0800 ; version 1, 4 bytes, security group, 100; IPv4")),
        ("R-TAG", tagged_by(0xF1C1, "0000 0BAD 0800 ; reserved, sequence number; IPv4")),
        ("MACsec in the clear", tagged_by(0x88E5, "00 00 00000001 0800 ; not encrypted; number; IPv4")),
        ("MACsec with a channel", tagged_by(0x88E5, "20 00 00000001 020000000002 0001 0800 ; channel")),
        ("802.1ah", transport_ethernet(0x88E7, &backbone)),
        ("802.1ah in a VLAN", transport_ethernet(0x88A8, &tagged(200, 0x88E7, &backbone))),
        ("FabricPath", wrapped_by(0x8903, "0060 ; tree 1, 32 hops left")),
        ("TRILL", wrapped_by(0x22F3, "0004 0001 0002 ; version 0, 4 hops left; egress 1, ingress 2")),
        ("TRILL with options", wrapped_by(0x22F3, "0044 0001 0002 00000000 ; 4 bytes of options")),
        ("NSH", wrapped_by(0x894F, NSH)),
        ("NSH with IP", transport_ethernet(0x894F, &join(&[&hex(NSH_CONTEXT), ip]))),
    ]
}

/// The less common tunnels over IP, as Wireshark 4.0 decodes them; for L2TPv3, it needs the lengths as preferences.
fn tunnelled(ethernet_frame: &[u8], ip: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let pptp = format!("3081 880B {:04X} 0001 00000001 00000001 FF03 0021", 4 + ip.len());
    let l2tp =
        format!("4002 {:04X} 0001 0002 FF03 0021 ; version 2, its length; tunnel, session; PPP, IPv4", 12 + ip.len());
    let over_l2tp = |header: &str| over_ip(115, &join(&[&hex(header), ethernet_frame]));
    vec![
        ("NSH in GRE", over_gre(&format!("0000 894F {NSH}"), ethernet_frame)),
        ("VXLAN on 8472", over_udp(8472, VXLAN, ethernet_frame)),
        ("VXLAN-GPE", over_udp(4790, "0C 0000 03 000BEE 00 ; network and protocol valid, Ethernet", ethernet_frame)),
        ("VXLAN-GPE with IP", over_udp(4790, "0C 0000 01 000BEE 00 ; IPv4", ip)),
        ("VXLAN-GPE with NSH", over_udp(4790, &format!("0C 0000 04 000BEE 00\n{NSH}"), ethernet_frame)),
        ("VXLAN-GPE as VXLAN", over_udp(4790, VXLAN, ethernet_frame)),
        // Version 1, with key, sequence number and acknowledgement; PPP; length, call; both numbers; PPP with IPv4.
        ("PPTP", over_gre(&pptp, ip)),
        ("L2TP", over_udp(1701, &l2tp, ip)),
        ("L2TP with all options", over_udp(1701, "0A02 0001 0002 0003 0004 0002 0000 21 ; numbers, padding of 2", ip)),
        ("L2TPv3", over_l2tp("0000002A ; session 42")),
        ("L2TPv3 with sublayer", over_l2tp("0000002A 40000001 ; sequence number 1")),
        ("L2TPv3 with cookie", over_l2tp("0000002A C00C1E00C00C1E00")),
        ("L2TPv3 with both", over_l2tp("0000002A C00C1E00C00C1E00 40000001")),
        ("L2TPv3 in UDP", over_udp(1701, "0003 0000 0000002A ; version 3, session 42", ethernet_frame)),
        ("TZSP", over_udp(37_008, "01 00 0001 01 ; version 1, received, Ethernet, end of fields", ethernet_frame)),
        ("TZSP with fields", over_udp(37_008, "01 00 0001 0A 01 C5 00 01 ; signal strength, padding", ethernet_frame)),
    ]
}

pub(super) const HSR_TAG: &str = "3 042 ; path 3, size 66
                                  0BAD  ; sequence
                                  0800  ; IPv4 follows";
pub(super) const GRE_ALL: &str = "B000 0800     ; checksum, key and sequence number; IPv4
                                  5555 0000     ; checksum, reserved
                                  00C0FFEE      ; key
                                  00000001      ; sequence number";
pub(super) const ERSPAN_II: &str = "1000 88BE 00000001 ; sequence number 1
                                    1 02A  ; version 1, VLAN 42
                                    1 801  ; class 0, tag taken off, session 1
                                    00000005 ; index";
pub(super) const ERSPAN_III: &str = "1000 22EB 00000001 ; sequence number 1
                                     2 000 00 02 ; version 2, no VLAN, session 2
                                     12345678    ; timestamp
                                     0000 0 000  ; group, Ethernet, no platform header";
pub(super) const ERSPAN_III_PLATFORM: &str = "1000 22EB 00000001
                                     2 000 00 02
                                     12345678
                                     0000 00 01        ; a platform header follows
                                     0000000000000000  ; it";
pub(super) const ERSPAN_III_IP: &str = "1000 22EB 00000001
                                     2 000 00 02
                                     12345678
                                     0000 08 00 ; frame type 2: IP";
pub(super) const VXLAN: &str = "08 000000 ; the network is valid
                                000BEE 00 ; network 3054";
pub(super) const GENEVE: &str = "02 00 6558  ; version 0, 2 words of options, Ethernet
                                 000BEE 00   ; network 3054
                                 0100 00 01 DEADBEEF ; an option";
pub(super) const LABELS: &str = "00064 0 40 ; label 100
                                 00065 1 40 ; label 101, bottom of stack";
pub(super) const NSH: &str = "0FC2 02 03 ; version 0, 63 hops left, 2 words; metadata of kind 2, Ethernet
                              000064 FF  ; path 100, index 255";
pub(super) const NSH_CONTEXT: &str = "0FC6 01 01 000064 FF ; 6 words, metadata of kind 1, IPv4
                                      00000000 00000000 00000000 00000000";
pub(super) const PPPOE: &str = "11 00 002A ; version 1, type 1, session data, session 42
                                0042 0021  ; length, IPv4";

//! The symmetric name of a conversation.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::frame::{Body, Frame, IpPair, TunnelKind};

/// One end of a conversation in the canonical order of its [`FlowKey`]: says nothing about who asks and who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum End {
    /// The end with the lower (address, port).
    Low,
    /// The end with the higher (address, port).
    High,
}

impl End {
    /// The other end.
    pub const fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }

    /// 0 for the low end, 1 for the high end: an index into per-end state.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What makes two frames the same conversation: addresses, ports, transport, VLAN and tunnel, whoever sent the frame.
///
/// Labels of MPLS are not part of it: each direction of a path has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    low: [u64; 2],
    high: [u64; 2],
    ports: u32,
    vlan: u16,
    protocol: u8,
    wrapping: u8,
    tunnel: u32,
}

impl Hash for FlowKey {
    /// Word by word: the derived way hashes arrays as byte strings, which costs twice as much.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b] = self.low;
        let [c, d] = self.high;
        [a, b, c, d].into_iter().for_each(|word| state.write_u64(word));
        state.write_u64(u64::from(self.ports) << 32 | u64::from(self.tunnel));
        state.write_u32(u32::from(self.vlan) << 16 | u32::from(self.protocol) << 8 | u32::from(self.wrapping));
    }
}

impl FlowKey {
    /// The key of a frame and the end that sent it. `None` for a frame without IP. IP that is neither TCP nor UDP has
    /// ports 0.
    pub fn of(frame: &Frame<'_>) -> Option<(Self, End)> {
        let (pair, source_port, destination_port, protocol) = match &frame.body {
            Body::Tcp(pair, segment) => (pair, segment.source_port, segment.destination_port, TCP),
            Body::Udp(pair, datagram) => (pair, datagram.source_port, datagram.destination_port, UDP),
            Body::Ip(pair, other) => (pair, 0, 0, other.protocol),
            Body::Link { .. } => return None,
        };
        Some(Self::ordered(frame, pair, (source_port, destination_port), protocol))
    }

    fn ordered(frame: &Frame<'_>, pair: &IpPair, (from, to): (u16, u16), protocol: u8) -> (Self, End) {
        let (source, destination) = (words(pair.source), words(pair.destination));
        let sender = if (source, from) <= (destination, to) { End::Low } else { End::High };
        let ((low, low_port), (high, high_port)) = match sender {
            End::Low => ((source, from), (destination, to)),
            End::High => ((destination, to), (source, from)),
        };
        let tunnel = frame.tunnel.filter(|tunnel| tunnel.kind != TunnelKind::Mpls);
        let version = if pair.source.is_ipv4() { IPV4 } else { 0 };
        let key = Self {
            low,
            high,
            ports: u32::from(low_port) << 16 | u32::from(high_port),
            vlan: frame.vlan.map_or(UNTAGGED, |id| id & VLAN_ID),
            protocol,
            wrapping: version | tunnel.map_or(0, |tunnel| tunnel.kind as u8 + 1),
            tunnel: tunnel.map_or(0, |tunnel| tunnel.id),
        };
        (key, sender)
    }

    /// Address of one end.
    pub fn address(&self, end: End) -> IpAddr {
        let [first, second] = match end {
            End::Low => self.low,
            End::High => self.high,
        };
        let address = Ipv6Addr::from(u128::from(first) << 64 | u128::from(second));
        if self.wrapping & IPV4 == 0 {
            return address.into();
        }
        Ipv4Addr::from(u32::try_from(second).unwrap_or_default()).into()
    }

    /// Port of one end, 0 where the protocol has none.
    pub const fn port(&self, end: End) -> u16 {
        let [high_0, high_1, low_0, low_1] = self.ports.to_be_bytes();
        match end {
            End::Low => u16::from_be_bytes([high_0, high_1]),
            End::High => u16::from_be_bytes([low_0, low_1]),
        }
    }

    /// IP protocol number: 6 TCP, 17 UDP.
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// VLAN id, if tagged.
    pub fn vlan(&self) -> Option<u16> {
        (self.vlan != UNTAGGED).then_some(self.vlan)
    }
}

/// An address as two words whose order is that of the addresses; the IP version is told apart in [`FlowKey`].
fn words(address: IpAddr) -> [u64; 2] {
    match address {
        IpAddr::V4(address) => [0, u64::from(u32::from(address))],
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h] = address.segments().map(u64::from);
            [a << 48 | b << 32 | c << 16 | d, e << 48 | f << 32 | g << 16 | h]
        }
    }
}

const TCP: u8 = 6;
const UDP: u8 = 17;
/// Flag in `wrapping`: both addresses are IPv4.
const IPV4: u8 = 0x80;
/// No VLAN id has more than 12 bits (IEEE 802.1Q, 9.6).
const VLAN_ID: u16 = 0x0fff;
const UNTAGGED: u16 = 0xffff;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Datagram, OtherIp, Tunnel};

    fn frame(source: &str, destination: &str, ports: (u16, u16)) -> Frame<'static> {
        let pair = IpPair {
            source: source.parse().expect("an address"),
            destination: destination.parse().expect("an address"),
            identification: 7,
        };
        let datagram =
            Datagram { source_port: ports.0, destination_port: ports.1, checksum: 0, payload: &[], length: 0 };
        let body = Body::Udp(pair, datagram);
        Frame { mac: None, vlan: None, tunnel: None, redundancy: None, body, cut: 0 }
    }

    fn key(frame: &Frame<'_>) -> (FlowKey, End) {
        FlowKey::of(frame).expect("IP")
    }

    #[test]
    fn both_directions_have_one_key_and_different_senders() {
        for (here, there) in [("10.0.0.2", "10.0.0.10"), ("fd00::2", "fd00::10"), ("10.0.0.2", "10.0.0.2")] {
            let (asked, asker) = key(&frame(here, there, (40_000, 502)));
            let (answered, answerer) = key(&frame(there, here, (502, 40_000)));
            assert_eq!(asked, answered);
            assert_eq!(asker, answerer.other());
        }
    }

    #[test]
    fn a_key_gives_back_its_addresses_and_ports() {
        for (here, there) in [("10.0.0.2", "10.0.0.10"), ("fd00::2", "fd00::1:0:0:10")] {
            let (key, sender) = key(&frame(here, there, (40_000, 502)));
            assert_eq!(key.address(sender), here.parse::<IpAddr>().expect("an address"));
            assert_eq!(key.address(sender.other()), there.parse::<IpAddr>().expect("an address"));
            assert_eq!((key.port(sender), key.port(sender.other())), (40_000, 502));
            assert_eq!((key.protocol(), key.vlan()), (17, None));
        }
    }

    #[test]
    fn vlan_tunnel_protocol_and_ip_version_keep_flows_apart() {
        let plain = frame("10.0.0.2", "10.0.0.10", (1, 2));
        let tagged = Frame { vlan: Some(0), ..plain };
        let wrapped = Frame { tunnel: Some(Tunnel { kind: TunnelKind::Vxlan, id: 5 }), ..plain };
        let elsewhere = Frame { tunnel: Some(Tunnel { kind: TunnelKind::Vxlan, id: 6 }), ..plain };
        let mapped = frame("::10.0.0.2", "::10.0.0.10", (1, 2));
        let Body::Udp(pair, _) = plain.body else { unreachable!("made above") };
        let other = Frame { body: Body::Ip(pair, OtherIp { protocol: 1, neighbour_discovery: false }), ..plain };
        let all = [plain, tagged, wrapped, elsewhere, mapped, other];
        for (at, one) in all.iter().enumerate() {
            for (beside, another) in all.iter().enumerate() {
                assert_eq!(at == beside, key(one).0 == key(another).0, "{at} and {beside}");
            }
        }
        assert_eq!(key(&tagged).0.vlan(), Some(0));
    }

    #[test]
    fn labels_of_mpls_differ_by_direction_and_are_left_out() {
        let label = |id| Some(Tunnel { kind: TunnelKind::Mpls, id });
        let there = Frame { tunnel: label(16), ..frame("10.0.0.2", "10.0.0.10", (1, 2)) };
        let back = Frame { tunnel: label(17), ..frame("10.0.0.10", "10.0.0.2", (2, 1)) };
        assert_eq!(key(&there).0, key(&back).0);
    }

    #[test]
    fn a_key_is_small_and_a_frame_without_ip_has_none() {
        assert!(size_of::<FlowKey>() <= 48);
        let body = Body::Link { ether_type: 0x0806, payload: &[] };
        assert_eq!(FlowKey::of(&Frame { body, ..frame("10.0.0.1", "10.0.0.2", (1, 2)) }), None);
    }
}

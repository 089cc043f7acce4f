//! The key of a conversation, the same in both directions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::mix::{Mixer, word};
use crate::frame::ip_protocol::{TCP, UDP};
use crate::frame::{Body, Frame, PlainSegment, TunnelKind};

/// One end of a conversation in the canonical order of its [`FlowKey`]. It is unrelated to the roles of client and server.
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

/// The key of a conversation: addresses, ports, transport, VLAN and tunnel, the same in both directions.
///
/// MPLS labels are not part of it, because each direction of a path has its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowKey {
    /// The words of the [`BriefKey`], lower half first. An alignment of 4 bytes lets a slot of the table fit in a cache line.
    brief: [u32; 4],
    /// The upper 96 bits of IPv6 addresses, of the low and of the high end.
    upper: [[u32; 3]; 2],
    tunnel: u32,
}

/// The complete key of a conversation over IPv4 outside tunnels, which is nearly every one: two words to hash and compare.
#[derive(Clone, Copy, Debug)]
pub struct BriefKey {
    /// The low and the high end. Each word holds half of the encapsulation word (see [`around`]), the address (for IPv6, its
    /// lowest 32 bits) and the port.
    ends: [u64; 2],
}

impl PartialEq for FlowKey {
    /// Compares without branches; the derived implementation calls `memcmp`.
    fn eq(&self, other: &Self) -> bool {
        let upper = self.upper.as_flattened().iter().zip(other.upper.as_flattened());
        let different = upper.fold(self.tunnel ^ other.tunnel, |different, (one, another)| different | (one ^ another));
        different == 0 && self.is(other.brief())
    }
}

impl Eq for FlowKey {}

impl PartialEq for BriefKey {
    /// Compares in registers; the derived implementation reads both words back from memory as one.
    fn eq(&self, other: &Self) -> bool {
        let ([low, high], [other_low, other_high]) = (self.ends, other.ends);
        (low ^ other_low) | (high ^ other_high) == 0
    }
}

impl Eq for BriefKey {}

impl BriefKey {
    /// The key of a segment, and the end that sent it.
    #[inline(always)]
    pub fn of(plain: &PlainSegment<'_>) -> (Self, End) {
        let (hosts, ports) = (plain.hosts(), plain.ports());
        let source = end((hosts >> 32) as u32, (ports >> 16) as u16);
        let destination = end(hosts as u32, ports as u16);
        let key = Self::around(around(plain.vlan, TCP) | IPV4, source.min(destination), source.max(destination));
        (key, sender(&source, &destination))
    }

    /// A key that no conversation has.
    pub(super) const NONE: Self = Self { ends: [0; 2] };

    /// Index into a small cache of recent flows: bits of ports and addresses, which differ between concurrent conversations.
    pub(super) const fn recent_index(self) -> usize {
        let [low, high] = self.ends;
        let both = low ^ high;
        (both ^ both >> 16) as usize
    }

    const fn around(around: u32, low: u64, high: u64) -> Self {
        Self { ends: [((around >> 16) as u64) << AROUND_AT | low, (around as u16 as u64) << AROUND_AT | high] }
    }

    /// A hash of the encapsulation: VLAN and tunnel kind.
    pub(super) const fn encapsulation(self) -> u64 {
        let [low, high] = self.ends;
        low & LOW_WAY | high >> 16 & HIGH_WAY >> 16
    }

    /// Equals [`FlowKey::hash`] of the same conversation.
    pub(super) fn hash(self, mixer: Mixer) -> u64 {
        let [low, high] = self.ends;
        mixer.pair(low & !LOW_WAY, high & !HIGH_WAY)
    }
}

/// Address and port in one word, ordered like the pair.
const fn end(address: u32, port: u16) -> u64 {
    (address as u64) << 16 | port as u64
}

impl FlowKey {
    /// Hash for a table of flows. Ignores the encapsulation.
    pub(super) fn hash(&self, mixer: Mixer) -> u64 {
        let short = self.brief().hash(mixer);
        if self.around() & IPV4 != 0 {
            return short;
        }
        let [[a, b, c], [d, e, f]] = self.upper;
        mixer.pair(mixer.pair(word(a, b), word(d, e)), short ^ word(c, f))
    }

    /// A hash of the encapsulation: VLAN, tunnel kind and tunnel id.
    pub(super) fn encapsulation(&self) -> u64 {
        self.brief().encapsulation() ^ u64::from(self.tunnel)
    }

    /// Whether another key has the same ends and transport, in any encapsulation.
    pub(super) fn has_ends_of(&self, other: &Self) -> bool {
        let ([low, high], [other_low, other_high]) = (self.brief().ends, other.brief().ends);
        self.upper == other.upper && (low ^ other_low) & !LOW_WAY == 0 && (high ^ other_high) & !HIGH_WAY == 0
    }

    /// Whether `brief` is the complete key of this conversation.
    pub(super) fn is(&self, brief: BriefKey) -> bool {
        // The encapsulation word differs for tunnels and IPv6.
        self.brief() == brief
    }

    /// Its brief key, which is the complete key for IPv4 outside tunnels.
    pub(super) const fn brief(&self) -> BriefKey {
        let [a, b, c, d] = self.brief;
        BriefKey { ends: [word(b, a), word(d, c)] }
    }

    /// The key of a frame, and the end that sent it. `None` without IP. Ports are 0 unless the frame is TCP or UDP.
    pub fn of(frame: &Frame<'_>) -> Option<(Self, End)> {
        let (ip, source_port, destination_port, protocol) = match &frame.body {
            Body::Tcp(ip, segment) => (ip, segment.source_port, segment.destination_port, TCP),
            Body::Udp(ip, datagram) => (ip, datagram.source_port, datagram.destination_port, UDP),
            Body::Ip(ip, other) => (ip, 0, 0, other.protocol),
            Body::Link { .. } => return None,
        };
        let tunnel = frame.tunnel.filter(|tunnel| tunnel.kind != TunnelKind::Mpls);
        let wrapping = tunnel.map_or(0, |tunnel| tunnel.kind as u32 + 1);
        let around = around(frame.vlan, protocol) | wrapping;
        let tunnel = tunnel.map_or(0, |tunnel| tunnel.id);
        let ends = [words(ip.source), words(ip.destination)];
        let [source, destination] = ends;
        let sender = sender(&(source, source_port), &(destination, destination_port));
        let version = if ip.source.is_ipv4() { IPV4 } else { 0 };
        Some((Self::ordered(sender, ends, (source_port, destination_port), [around | version, tunnel]), sender))
    }

    /// A key with the ends in canonical order, where `sender` is the end of the first address and port.
    fn ordered(
        sender: End,
        [source, destination]: [[u32; 4]; 2],
        ports: (u16, u16),
        [around, tunnel]: [u32; 2],
    ) -> Self {
        let ([a, b, c, from], [d, e, f, to]) = (source, destination);
        let (from, to) = (end(from, ports.0), end(to, ports.1));
        let (upper, low, high) = match sender {
            End::Low => ([[a, b, c], [d, e, f]], from, to),
            End::High => ([[d, e, f], [a, b, c]], to, from),
        };
        let [low, high] = BriefKey::around(around, low, high).ends;
        Self { brief: [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32], upper, tunnel }
    }

    /// VLAN, protocol, IP version and tunnel kind in one word.
    const fn around(&self) -> u32 {
        let [low, high] = self.brief().ends;
        ((low >> AROUND_AT) as u32) << 16 | (high >> AROUND_AT) as u32
    }

    const fn end(&self, end: End) -> u64 {
        self.brief().ends[end as usize]
    }

    /// Address of one end.
    pub fn address(&self, end: End) -> IpAddr {
        let [a, b, c] = self.upper[end.index()];
        let d = (self.end(end) >> 16) as u32;
        if self.around() & IPV4 != 0 {
            return Ipv4Addr::from_bits(d).into();
        }
        let bits = [a, b, c, d].into_iter().fold(0, |bits, word| bits << 32 | u128::from(word));
        Ipv6Addr::from_bits(bits).into()
    }

    /// Port of one end; 0 if the protocol has none.
    pub const fn port(&self, end: End) -> u16 {
        self.end(end) as u16
    }

    /// IP protocol number.
    pub const fn protocol(&self) -> u8 {
        (self.around() >> PROTOCOL_AT) as u8
    }

    /// VLAN id, if tagged.
    pub fn vlan(&self) -> Option<u16> {
        let vlan = (self.around() >> VLAN_AT) as u16;
        (vlan != UNTAGGED).then_some(vlan)
    }
}

/// The encapsulation word [`FlowKey::around`], without IP version and tunnel kind.
fn around(vlan: Option<u16>, protocol: u8) -> u32 {
    let vlan = vlan.map_or(UNTAGGED, |id| id & VLAN_ID);
    u32::from(vlan) << VLAN_AT | u32::from(protocol) << PROTOCOL_AT
}

/// The end that sent a frame.
fn sender<T: PartialOrd>(source: &T, destination: &T) -> End {
    if source <= destination { End::Low } else { End::High }
}

/// An address as words, ordered like the addresses. The IP version is in [`FlowKey::around`].
fn words(address: IpAddr) -> [u32; 4] {
    let bits = match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    [96, 64, 32, 0].map(|shift| (bits >> shift) as u32)
}

/// Bit positions in [`FlowKey::around`]. The tunnel kind, a [`TunnelKind`] plus 1 or 0, is in the lowest bits.
const VLAN_AT: u32 = 16;
const PROTOCOL_AT: u32 = 8;
/// Flag above the tunnel kind: both addresses are IPv4.
const IPV4: u32 = 0x80;
const WRAPPING: u32 = 0x7f;
/// The bits of the low end of a [`BriefKey`] that hold the VLAN, and of the high end that hold the tunnel kind.
const LOW_WAY: u64 = 0xffff << AROUND_AT;
const HIGH_WAY: u64 = (WRAPPING as u64) << AROUND_AT;
/// Bit position of the encapsulation in an end: above 32 bits of address and 16 of port.
const AROUND_AT: u32 = 48;
/// A VLAN id has 12 bits (IEEE 802.1Q, 9.6).
const VLAN_ID: u16 = 0x0fff;
const UNTAGGED: u16 = 0xffff;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Datagram, IpHeader, OtherIp, Tunnel};

    fn frame(source: &str, destination: &str, ports: (u16, u16)) -> Frame<'static> {
        let pair = IpHeader {
            source: source.parse().expect("an address"),
            destination: destination.parse().expect("an address"),
            identification: 7,
        };
        let datagram =
            Datagram { source_port: ports.0, destination_port: ports.1, checksum: 0, payload: &[], length: 0 };
        Frame::of_body(Body::Udp(pair, datagram))
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
        let Body::Udp(ip, _) = plain.body else { unreachable!("made above") };
        let other = Frame {
            body: Body::Ip(ip, OtherIp { protocol: 1, neighbour_discovery: false, advertised: None }),
            ..plain
        };
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
        assert!(size_of::<FlowKey>() <= 44);
        let body = Body::Link { ether_type: 0x0806, payload: &[] };
        assert_eq!(FlowKey::of(&Frame { body, ..frame("10.0.0.1", "10.0.0.2", (1, 2)) }), None);
    }
}

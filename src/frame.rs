//! One packet into one frame: the innermost addresses, ports and payload, whatever they are wrapped in.
//!
//! [`decode`] walks from the link layer inwards: `link` (Ethernet, tags, cooked captures), `ip` (both versions,
//! fragments, extension headers), `tunnel` and `fabric` (what wraps IP or Ethernet) and back to `link` or `ip`, until
//! `transport` or something that is not understood. A wrapping whose inside cannot be read is itself the innermost, and
//! what cannot be read behind an IP header is still traffic between its two addresses: [`Frame::undecoded`] says why.
//! [`peek()`] takes the same way to know only which packets belong together; both know a short cut to the same answer for
//! what nearly all packets are (`plain`). What wraps IP is a conversation of its own: [`outer()`]. [`Reassembler`] makes
//! whole packets of IP fragments, which are of little use before.

mod checksum;
mod ether_type;
mod fabric;
mod fragments;
mod host_key;
mod ip;
mod link;
mod neighbour;
mod outer;
mod peek;
mod plain;
mod redundancy;
mod transport;
mod tunnel;
mod walk;

#[cfg(test)]
mod build;
#[cfg(test)]
#[allow(clippy::panic, reason = "a test fails by a panic")]
mod tests;

use std::net::{IpAddr, Ipv6Addr};

use crate::capture::LinkType;

pub use checksum::Checksum;
pub use fragments::{FragmentCounters, FragmentDrop, FragmentLimits, Reassembled, Reassembler};
pub use host_key::{mac_key, pair_key};
pub use outer::{Layers, Outer, OuterCarrier, outer};
pub use peek::{Peek, peek};
pub use plain::PlainSegment;

/// Decodes one packet: `bytes` as captured, `original` their number on the wire.
pub fn decode<'a>(link: LinkType, bytes: &'a [u8], original: u32) -> Result<Frame<'a>, Undecoded> {
    let plain = match link {
        LinkType::Ethernet => plain::segment_frame(bytes, original).or_else(|| plain::datagram_frame(bytes, original)),
        _ => None,
    };
    plain.map_or_else(|| decode_by_walk(link, bytes, original), Ok)
}

/// What [`decode`] says where that is the TCP segment that nearly all packets are; else `None`.
#[inline(always)]
pub fn plain_segment(link: LinkType, bytes: &[u8], original: u32) -> Option<PlainSegment<'_>> {
    if link == LinkType::Ethernet { plain::plain_segment(bytes, original) } else { None }
}

/// What [`decode`] says, by the long way.
#[inline(never)]
fn decode_by_walk<'a>(link: LinkType, bytes: &'a [u8], original: u32) -> Result<Frame<'a>, Undecoded> {
    let mut walk = walk::Walk::new(());
    let leaf = walk.link(link, walk::Span::of_packet(bytes, original as usize))?;
    Ok(walk.context.frame(&leaf))
}

/// A part of an IP datagram, which has no ports of its own, as traffic between its two hosts.
pub fn fragment<'a>(link: LinkType, bytes: &'a [u8], original: u32) -> Option<Frame<'a>> {
    let frame = decode(link, bytes, original).ok()?;
    let (ip, protocol) = match frame.body {
        Body::Tcp(ip, _) => (ip, TCP),
        Body::Udp(ip, _) => (ip, UDP),
        Body::Ip(ip, other) => (ip, other.protocol),
        Body::Link { .. } => return None,
    };
    let body = Body::Ip(ip, OtherIp { protocol, neighbour_discovery: false, advertised: None });
    Some(Frame { body, undecoded: Some(Undecoded::Fragment), ..frame })
}

/// IP protocol numbers.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// What a packet turned out to carry. Everything is borrowed from the captured bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Source and destination hardware address of the innermost Ethernet header, if there is one in the innermost tunnel.
    pub mac: Option<Macs>,
    /// Innermost VLAN id (802.1Q, QinQ), if tagged.
    pub vlan: Option<u16>,
    /// Innermost tunnel it came through, if any.
    pub tunnel: Option<Tunnel>,
    /// Redundancy tag of PRP or HSR (IEC 62439-3), if any.
    pub redundancy: Option<Redundancy>,
    /// What the checksums of IPv4, TCP and UDP say.
    pub checksum: Checksum,
    /// What is inside.
    pub body: Body<'a>,
    /// Bytes missing at the end because the capture was cut by a snap length.
    pub cut: u32,
    /// Why the body is not what the packet carries in the end, where something inside it could not be read.
    pub undecoded: Option<Undecoded>,
}

/// Hardware addresses of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Macs {
    /// Who sent it.
    pub source: [u8; 6],
    /// To whom.
    pub destination: [u8; 6],
}

/// A wrapping that was undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tunnel {
    /// What sort.
    pub kind: TunnelKind,
    /// ERSPAN session, VXLAN or GENEVE network, GRE key, MPLS label, PPPoE session, service of 802.1ah; 0 without one,
    /// and where each direction has a number of its own.
    pub id: u32,
}

/// Sorts of wrapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the protocols'")]
pub enum TunnelKind {
    Gre,
    Erspan,
    Vxlan,
    Geneve,
    Mpls,
    Pppoe,
    IpInIp,
    L2tp,
    Pptp,
    Tzsp,
    Pbb,
    FabricPath,
    Trill,
    Nsh,
}

/// Which copy of a frame that PRP or HSR sent twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redundancy {
    /// Sequence number of the source, 16 bit.
    pub sequence: u16,
    /// LAN or ring direction, for telling the copies apart.
    pub lan: u8,
}

/// The layers above the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// A TCP segment.
    Tcp(IpHeader, Segment<'a>),
    /// A UDP datagram.
    Udp(IpHeader, Datagram<'a>),
    /// IP with another payload.
    Ip(IpHeader, OtherIp),
    /// No IP: the EtherType says what (0 where there is none, as in LLC frames).
    Link {
        /// EtherType.
        ether_type: u16,
        /// What follows the Ethernet header.
        payload: &'a [u8],
    },
}

/// Who speaks to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpHeader {
    /// Who sent it.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// IPv4 identification, 0 for IPv6: tells a mirrored copy from a retransmission.
    pub identification: u16,
}

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Sequence number of the first payload byte (of SYN if set).
    pub sequence: u32,
    /// Acknowledgement number; meaningful when `flags.ack`.
    pub acknowledgement: u32,
    /// The flags that matter.
    pub flags: TcpFlags,
    /// How many bytes from the first one on end with urgent data, by the urgent pointer, perhaps in later segments; 0 where
    /// there are none. A pointer of 0 is taken for one of 1, as Linux does.
    pub urgent: u16,
    /// Payload as captured.
    pub payload: &'a [u8],
    /// Payload length on the wire, bytes: more than `payload.len()` when cut.
    pub length: u32,
}

/// TCP flags that matter to reassembly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are TCP's (RFC 9293)")]
#[expect(clippy::struct_excessive_bools, reason = "they are independent flags on the wire")]
pub struct TcpFlags {
    pub syn: bool,
    pub ack: bool,
    pub fin: bool,
    pub rst: bool,
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// UDP checksum as captured.
    pub checksum: u16,
    /// Payload as captured.
    pub payload: &'a [u8],
    /// Payload length on the wire, bytes.
    pub length: u32,
}

/// IP that is neither TCP nor UDP, or that ends before its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherIp {
    /// IP protocol number.
    pub protocol: u8,
    /// It is how IPv6 hosts of one link find each other (RFC 4861), as ARP is for IPv4.
    pub neighbour_discovery: bool,
    /// Of a neighbour advertisement, the address that is advertised, and the hardware address if it is given.
    pub advertised: Option<(Ipv6Addr, Option<[u8; 6]>)>,
}

/// Why a packet could not be made into a frame, or only as far as its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Undecoded {
    /// A link type that is not understood.
    LinkType,
    /// The bytes end before the headers do.
    Truncated,
    /// A header contradicts itself.
    Malformed,
    /// More tags, extension headers or wrappings than the limit.
    TooDeep,
    /// Headers that are sound, with content that is not read: encrypted, or of an unknown kind.
    Content,
    /// A part of an IP datagram that no datagram can be made of.
    Fragment,
}

//! Decodes one packet into one frame: the innermost addresses, ports and payload, whatever the encapsulation.
//!
//! [`decode`] walks from the link layer inwards: `link` (Ethernet, tags, cooked captures), `ip` (both versions,
//! fragments, extension headers), `tunnel` and `fabric` (encapsulations of IP and Ethernet) and back to `link` or `ip`,
//! until it reaches `transport` or a payload that it does not decode. An encapsulation whose content cannot be decoded is
//! itself the innermost layer. A packet that cannot be decoded beyond an IP header is still traffic between two addresses;
//! [`Frame::undecoded`] gives the reason. [`peek()`] takes the same walk and returns only the key that packets of one
//! conversation share. `plain` is the fast path of both for the headers that nearly all packets have. A tunnel is a
//! conversation of its own: see [`outer()`]. [`Reassembler`] puts IP fragments together before they are decoded.

mod checksum;
mod ether_type;
mod fabric;
mod fragments;
mod host_key;
mod ip;
pub mod ip_protocol;
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
use ip_protocol::{TCP, UDP};

pub use checksum::Checksum;
pub use fragments::{FragmentCounters, FragmentDrop, FragmentLimits, Reassembled, Reassembler};
pub use host_key::{mac_key, pair_key};
pub use outer::{Layers, Outer, OuterCarrier, outer};
pub use peek::{Peek, peek};
pub use plain::PlainSegment;

/// Decodes one packet. `bytes` are the captured bytes, `original` is the length on the wire, in bytes.
pub fn decode<'a>(link: LinkType, bytes: &'a [u8], original: u32) -> Result<Frame<'a>, Undecoded> {
    let plain = match link {
        LinkType::Ethernet => plain::segment_frame(bytes, original).or_else(|| plain::datagram_frame(bytes, original)),
        _ => None,
    };
    plain.map_or_else(|| decode_by_walk(link, bytes, original), Ok)
}

/// The fast path of [`decode`]: returns the TCP segment of a packet without uncommon headers, `None` for any other packet.
#[inline(always)]
pub fn plain_segment(link: LinkType, bytes: &[u8], original: u32) -> Option<PlainSegment<'_>> {
    if link == LinkType::Ethernet { plain::plain_segment(bytes, original) } else { None }
}

/// [`decode`] without the fast path.
#[inline(never)]
fn decode_by_walk<'a>(link: LinkType, bytes: &'a [u8], original: u32) -> Result<Frame<'a>, Undecoded> {
    let mut walk = walk::Walk::new(());
    let leaf = walk.link(link, walk::Span::of_packet(bytes, original as usize))?;
    Ok(walk.context.frame(&leaf))
}

/// Decodes an IP fragment as traffic between its two hosts, without ports.
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

/// The innermost layers of a packet, borrowed from the captured bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Hardware addresses of the innermost Ethernet header inside the innermost tunnel, if it has one.
    pub mac: Option<Macs>,
    /// Innermost VLAN id (802.1Q, QinQ), if tagged.
    pub vlan: Option<u16>,
    /// Innermost tunnel, if any.
    pub tunnel: Option<Tunnel>,
    /// Redundancy tag of PRP or HSR (IEC 62439-3), if any.
    pub redundancy: Option<Redundancy>,
    /// Combined result of the IPv4, TCP and UDP checksums.
    pub checksum: Checksum,
    /// The innermost layer.
    pub body: Body<'a>,
    /// Bytes that a snap length cut off the end.
    pub cut: u32,
    /// Why `body` is not the innermost layer of the packet; `None` if it is.
    pub undecoded: Option<Undecoded>,
}

#[cfg(test)]
impl<'a> Frame<'a> {
    /// A frame of which only the body matters: without hardware addresses, VLAN and tunnel, captured whole and right.
    pub(crate) const fn of_body(body: Body<'a>) -> Self {
        let (mac, vlan, tunnel, redundancy) = (None, None, None, None);
        Self { mac, vlan, tunnel, redundancy, checksum: Checksum::Right, body, cut: 0, undecoded: None }
    }
}

/// Hardware addresses of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Macs {
    /// Address of the sender.
    pub source: [u8; 6],
    /// Address of the receiver.
    pub destination: [u8; 6],
}

/// A decoded encapsulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tunnel {
    /// Kind of encapsulation.
    pub kind: TunnelKind,
    /// ERSPAN session, VXLAN or GENEVE network, GRE key, MPLS label, PPPoE session or 802.1ah service; 0 if there is none
    /// or if each direction has a number of its own.
    pub id: u32,
}

/// Kinds of encapsulation.
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

/// The redundancy tag of a frame: which of the two copies that PRP or HSR sends it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redundancy {
    /// Sequence number of the source, 16 bit.
    pub sequence: u16,
    /// LAN or ring direction; differs between the two copies.
    pub lan: u8,
}

/// The innermost layer of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// A TCP segment.
    Tcp(IpHeader, Segment<'a>),
    /// A UDP datagram.
    Udp(IpHeader, Datagram<'a>),
    /// IP with another payload.
    Ip(IpHeader, OtherIp),
    /// No IP.
    Link {
        /// EtherType; 0 for frames without one, such as LLC.
        ether_type: u16,
        /// Captured bytes after the Ethernet header.
        payload: &'a [u8],
    },
}

/// The fields of an IP header that identify its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpHeader {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// IPv4 identification, 0 for IPv6. Equal in a mirrored copy, different in a retransmission.
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
    /// The flags that reassembly needs.
    pub flags: TcpFlags,
    /// Bytes from the first payload byte up to and including the urgent byte, which may lie in a later segment; 0 without
    /// URG. An urgent pointer of 0 counts as 1, as in Linux.
    pub urgent: u16,
    /// Payload as captured.
    pub payload: &'a [u8],
    /// Payload length on the wire, in bytes; more than `payload.len()` if a snap length cut the packet.
    pub length: u32,
}

/// The TCP flags that reassembly needs.
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
    /// Payload length on the wire, in bytes.
    pub length: u32,
}

/// IP whose payload is neither TCP nor UDP, or ends before the ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherIp {
    /// IP protocol number.
    pub protocol: u8,
    /// The payload is a message of IPv6 neighbour discovery (RFC 4861).
    pub neighbour_discovery: bool,
    /// For a neighbour advertisement: the advertised address, and its hardware address if the message gives one.
    pub advertised: Option<(Ipv6Addr, Option<[u8; 6]>)>,
}

/// Why a packet was not decoded, or only up to its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Undecoded {
    /// The link type is not supported.
    LinkType,
    /// The captured bytes end inside a header.
    Truncated,
    /// A header contradicts itself.
    Malformed,
    /// The packet has more tags, extension headers or encapsulations than the limit.
    TooDeep,
    /// The headers are valid, but the content is encrypted or of an unknown type.
    Content,
    /// The packet is an IP fragment that cannot be reassembled.
    Fragment,
}

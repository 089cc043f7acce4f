//! Link layers: Ethernet with its tags, LLC and SNAP, cooked Linux captures, loopback.

use super::walk::{Leaf, Span, Walk, Walked, Witness};
use super::{Macs, Undecoded, redundancy};
use crate::capture::Link;

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86DD;
pub(super) const MPLS: u16 = 0x8847;
pub(super) const MPLS_MULTICAST: u16 = 0x8848;
pub(super) const PPPOE_SESSION: u16 = 0x8864;
/// 802.1Q.
pub(super) const VLAN: u16 = 0x8100;
/// 802.1ad service tag.
pub(super) const SERVICE_VLAN: u16 = 0x88A8;
/// Service tag from before 802.1ad.
pub(super) const OLD_SERVICE_VLAN: u16 = 0x9100;

/// VLAN, HSR and SNAP headers after one Ethernet header, at most; more is [`Undecoded::TooDeep`].
const MAX_TAGS: usize = 8;
/// Up to here the type field of Ethernet is a length (IEEE 802.3, 3.2.6).
const MAX_LENGTH: u16 = 1500;
/// From here on it is an EtherType.
const MIN_ETHER_TYPE: u16 = 1536;
/// LLC for SNAP, and the OUI that says that an EtherType follows (RFC 1042).
const SNAP: [u8; 6] = [0xAA, 0xAA, 0x03, 0, 0, 0];
/// ARPHRD_NETLINK: its protocol field is no EtherType.
const NETLINK: u16 = 824;

impl<'a, W: Witness<'a>> Walk<'a, W> {
    /// From the first byte of a packet on.
    pub(super) fn link(&mut self, link: Link, span: Span<'a>) -> Walked<'a> {
        match link {
            Link::Ethernet => self.ethernet(span),
            Link::RawIp => self.ip(span),
            Link::LinuxSll => self.sll(span),
            Link::LinuxSll2 => self.sll2(span),
            Link::Null => self.null(span),
            Link::Loop => self.loopback(span),
            Link::Other(_) => Err(Undecoded::LinkType),
        }
    }

    /// An Ethernet header. What was known of an outer one is forgotten.
    pub(super) fn ethernet(&mut self, span: Span<'a>) -> Walked<'a> {
        let (&[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1], rest) = span.take()?;
        self.context.mac = Some(Macs { source: [s0, s1, s2, s3, s4, s5], destination: [d0, d1, d2, d3, d4, d5] });
        self.context.vlan = None;
        let ether_type = u16::from_be_bytes([t0, t1]);
        self.lsdu = Some((ether_type, rest));
        self.ether_type(ether_type, rest)
    }

    /// What follows a type field.
    pub(super) fn ether_type(&mut self, mut ether_type: u16, mut span: Span<'a>) -> Walked<'a> {
        for _ in 0..=MAX_TAGS {
            (ether_type, span) = match ether_type {
                IPV4 => return self.ipv4(span),
                IPV6 => return self.ipv6(span),
                VLAN | SERVICE_VLAN | OLD_SERVICE_VLAN => self.vlan_tag(span)?,
                redundancy::HSR => self.hsr_tag(span)?,
                MPLS | MPLS_MULTICAST => return self.unwrap_or(Leaf::link(ether_type, span), |walk| walk.mpls(span)),
                PPPOE_SESSION => return self.unwrap_or(Leaf::link(ether_type, span), |walk| walk.pppoe(span)),
                length @ ..=MAX_LENGTH => match snap(span) {
                    Some(inside) => inside,
                    None => return Ok(self.llc(length, span)),
                },
                _ => return Ok(self.unread(ether_type, span)),
            };
        }
        Err(Undecoded::TooDeep)
    }

    /// A VLAN tag. A tag with id 0 only carries a priority (802.1Q, 9.6).
    fn vlan_tag(&mut self, span: Span<'a>) -> Result<(u16, Span<'a>), Undecoded> {
        let (&[c0, c1, t0, t1], rest) = span.take()?;
        let id = u16::from_be_bytes([c0, c1]) & 0x0FFF;
        if id != 0 {
            self.context.vlan = Some(id);
        }
        let ether_type = u16::from_be_bytes([t0, t1]);
        self.lsdu = Some((ether_type, rest));
        Ok((ether_type, rest))
    }

    /// A tag of HSR.
    fn hsr_tag(&mut self, span: Span<'a>) -> Result<(u16, Span<'a>), Undecoded> {
        let (tag, rest) = span.take()?;
        let (redundancy, ether_type) = redundancy::hsr_tag(tag);
        self.context.redundancy = Some(redundancy);
        self.lsdu = None;
        Ok((ether_type, rest))
    }

    /// An 802.3 frame: its length says where the padding starts.
    fn llc(&mut self, length: u16, span: Span<'a>) -> Leaf<'a> {
        let payload = self.without_trailer(span);
        Leaf::link(0, payload.limit(usize::from(length), false).unwrap_or(payload))
    }

    /// A payload that is not IP.
    fn unread(&mut self, ether_type: u16, span: Span<'a>) -> Leaf<'a> {
        Leaf::link(ether_type, self.without_trailer(span))
    }

    /// Takes off the trailer of PRP, if there is one.
    fn without_trailer(&mut self, span: Span<'a>) -> Span<'a> {
        let before = self.context.redundancy;
        self.context.redundancy = None;
        self.note_trailer();
        let found = self.context.redundancy;
        self.context.redundancy = found.or(before);
        match (found, span.wire.checked_sub(redundancy::TRAILER)) {
            (Some(_), Some(length)) => span.limit(length, false).unwrap_or(span),
            _ => span,
        }
    }

    /// Looks for the trailer of PRP at the end of the Ethernet frame.
    pub(super) fn note_trailer(&mut self) {
        if let Some(redundancy) = self.lsdu.take().and_then(|(ether_type, lsdu)| redundancy::trailer(ether_type, lsdu))
        {
            self.context.redundancy = Some(redundancy);
        }
    }

    /// LINKTYPE_LINUX_SLL: packet type, ARPHRD type, address length (2 bytes each), address (8), protocol (2).
    fn sll(&mut self, span: Span<'a>) -> Walked<'a> {
        let (&[_, _, h0, h1, _, _, _, _, _, _, _, _, _, _, p0, p1], rest) = span.take()?;
        self.cooked(u16::from_be_bytes([h0, h1]), u16::from_be_bytes([p0, p1]), rest)
    }

    /// LINKTYPE_LINUX_SLL2: protocol, reserved (2 bytes each), interface (4), ARPHRD type (2), packet type and address
    /// length (1 each), address (8).
    fn sll2(&mut self, span: Span<'a>) -> Walked<'a> {
        let (&[p0, p1, _, _, _, _, _, _, h0, h1], rest) = span.take()?;
        self.cooked(u16::from_be_bytes([h0, h1]), u16::from_be_bytes([p0, p1]), rest.skip(10)?)
    }

    /// A cooked capture. It knows the sender's hardware address at most, so the frame has none.
    fn cooked(&mut self, hardware: u16, protocol: u16, rest: Span<'a>) -> Walked<'a> {
        if hardware == NETLINK || protocol < MIN_ETHER_TYPE {
            return Ok(Leaf::link(0, rest));
        }
        self.ether_type(protocol, rest)
    }

    /// LINKTYPE_NULL: the byte order is that of the capturing host, and families are small numbers.
    fn null(&mut self, span: Span<'a>) -> Walked<'a> {
        let (&family, rest) = span.take()?;
        self.family(u32::from_be_bytes(family).min(u32::from_le_bytes(family)), rest)
    }

    /// LINKTYPE_LOOP: big-endian.
    fn loopback(&mut self, span: Span<'a>) -> Walked<'a> {
        let (&family, rest) = span.take()?;
        self.family(u32::from_be_bytes(family), rest)
    }

    /// AF_INET is 2 everywhere, AF_INET6 is 10 on Linux, 23 on Windows, 24, 28 and 30 on the BSDs and Darwin.
    fn family(&mut self, family: u32, rest: Span<'a>) -> Walked<'a> {
        match family {
            2 => self.ipv4(rest),
            10 | 23 | 24 | 28 | 30 => self.ipv6(rest),
            _ => Ok(Leaf::link(0, rest)),
        }
    }
}

/// An EtherType behind LLC and SNAP.
fn snap(span: Span<'_>) -> Option<(u16, Span<'_>)> {
    let (&[l0, l1, l2, o0, o1, o2, t0, t1], rest) = span.take().ok()?;
    let ether_type = u16::from_be_bytes([t0, t1]);
    ([l0, l1, l2, o0, o1, o2] == SNAP && ether_type >= MIN_ETHER_TYPE).then_some((ether_type, rest))
}

/// Whether these bytes can be an Ethernet frame: its type is one that is met in plants and offices.
pub(super) fn is_plausible_ethernet(span: Span<'_>) -> bool {
    let Ok((&[.., t0, t1], _)) = span.take::<14>() else { return false };
    is_usual(u16::from_be_bytes([t0, t1]))
}

/// EtherTypes of what is walked through, of the housekeeping of networks, and of industrial protocols.
#[rustfmt::skip]
fn is_usual(ether_type: u16) -> bool {
    matches!(
        ether_type,
        0..=MAX_LENGTH | IPV4 | IPV6 | MPLS | MPLS_MULTICAST | PPPOE_SESSION | VLAN | SERVICE_VLAN | OLD_SERVICE_VLAN
            | redundancy::HSR | redundancy::SUPERVISION
            | 0x0806 // ARP
            | 0x8035 // RARP
            | 0x8809 // link aggregation
            | 0x8863 // PPPoE discovery
            | 0x888E // 802.1X
            | 0x8892 // PROFINET
            | 0x88A4 // EtherCAT
            | 0x88AB // POWERLINK
            | 0x88B8..=0x88BB // GOOSE, GSE, sampled values
            | 0x88CC // LLDP
            | 0x88E3 // MRP
            | 0x88E5 // MACsec
            | 0x88F7 // PTP
            | 0x8902 // connectivity fault management
            | 0x9000 // loop test
    )
}

//! Link layers: Ethernet with tags, LLC and SNAP, Linux cooked captures, loopback.

use super::ether_type::{
    BACKBONE, E_TAG, FABRIC_PATH, IPV4, IPV6, MACSEC, MAX_LENGTH, META_DATA, MIN_ETHER_TYPE, MPLS, MPLS_MULTICAST, NSH,
    OLD_SERVICE_VLAN, PPPOE_SESSION, R_TAG, SERVICE_VLAN, SERVICE_VLAN_9200, SERVICE_VLAN_9300, TIME_STAMP, TRILL,
    VLAN, VN_TAG, is_known, is_known_leaf,
};
use super::walk::{Leaf, Observer, Span, Walk, WalkResult};
use super::{Macs, Undecoded, redundancy};
use crate::capture::LinkType;

/// Tags and SNAP headers after one Ethernet header, at most; more is [`Undecoded::TooDeep`].
const MAX_TAGS: usize = 8;
/// MACsec flags E and C: the payload is encrypted or changed.
const MACSEC_CHANGED: u8 = 0x0C;
/// MACsec flag SC: a secure channel identifier follows.
const MACSEC_CHANNEL: u8 = 0x20;
/// The LLC header of SNAP and the OUI before an EtherType (RFC 1042).
const SNAP: [u8; 6] = [0xAA, 0xAA, 0x03, 0, 0, 0];
/// ARPHRD_NETLINK: the protocol field of such a cooked capture is no EtherType.
const NETLINK: u16 = 824;

impl<'a, W: Observer<'a>> Walk<'a, W> {
    /// Walks a packet from its first byte.
    pub(super) fn link(&mut self, link: LinkType, span: Span<'a>) -> WalkResult<'a> {
        match link {
            LinkType::Ethernet => self.ethernet(span),
            LinkType::RawIp => self.ip(span),
            LinkType::LinuxSll => self.sll(span),
            LinkType::LinuxSll2 => self.sll2(span),
            LinkType::Null => self.null(span),
            LinkType::Loop => self.loopback(span),
            LinkType::Other(_) => Err(Undecoded::LinkType),
        }
    }

    /// An Ethernet header. It replaces the addresses and the VLAN of an outer one.
    pub(super) fn ethernet(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let (&[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1], rest) = span.read()?;
        self.context.mac = Some(Macs { source: [s0, s1, s2, s3, s4, s5], destination: [d0, d1, d2, d3, d4, d5] });
        self.context.vlan = None;
        let ether_type = u16::from_be_bytes([t0, t1]);
        self.lsdu = Some((ether_type, rest));
        self.ether_type(ether_type, rest)
    }

    /// The content after an Ethernet type or length field.
    pub(super) fn ether_type(&mut self, mut ether_type: u16, mut span: Span<'a>) -> WalkResult<'a> {
        let outermost = (ether_type, span);
        for _ in 0..=MAX_TAGS {
            (ether_type, span) = match ether_type {
                IPV4 => return self.ipv4(span),
                IPV6 => return self.ipv6(span),
                VLAN | SERVICE_VLAN | OLD_SERVICE_VLAN => self.vlan_tag(span)?,
                redundancy::HSR => self.hsr_tag(span)?,
                length @ ..=MAX_LENGTH => match snap(span) {
                    Some(inside) => inside,
                    None => return Ok(self.llc(length, span)),
                },
                _ => match self.other_tag(ether_type, span)? {
                    Some(inside) => inside,
                    None => return self.walk_encapsulation(ether_type, span),
                },
            };
        }
        let (ether_type, span) = outermost;
        Ok(Leaf::link(ether_type, span).with_reason(Undecoded::TooDeep))
    }

    /// A VLAN tag. A tag with id 0 carries only a priority (802.1Q, 9.6).
    fn vlan_tag(&mut self, span: Span<'a>) -> Result<(u16, Span<'a>), Undecoded> {
        let (&[c0, c1, t0, t1], rest) = span.read()?;
        let id = u16::from_be_bytes([c0, c1]) & 0x0FFF;
        if id != 0 {
            self.context.vlan = Some(id);
        }
        Ok(self.after_tag([t0, t1], rest))
    }

    /// A less common tag; `None` if this type is no tag.
    fn other_tag(&mut self, ether_type: u16, span: Span<'a>) -> Result<Option<(u16, Span<'a>)>, Undecoded> {
        let length = match ether_type {
            // Not registered: a tag only if a known EtherType follows.
            SERVICE_VLAN_9200 | SERVICE_VLAN_9300 => {
                let (&[_, _, t0, t1], _) = span.read()?;
                let is_tag = is_known_ether_type(u16::from_be_bytes([t0, t1]));
                return is_tag.then(|| self.vlan_tag(span)).transpose();
            }
            // VN-Tag: direction, pointer, destination (16 bits), looped, version, source (16).
            VN_TAG => 4,
            // 802.1BR, 10.2: priority, source (16 bits), group, base channel (16), extensions of both (8 each).
            E_TAG => 6,
            // Time stamp (6 bytes).
            TIME_STAMP => 6,
            // 802.1CB, 7.8: reserved, sequence number (2 bytes each). Duplicates are detected by their content.
            R_TAG => 4,
            // Version, length (1 byte each), option type, security group (2 each). Like Wireshark, ignores the length.
            META_DATA => 6,
            // 802.1AE, 9.3: flags and association number, length (1 byte each), packet number (4), and with flag SC the
            // channel (8). Without flags E and C, the payload is in the clear.
            MACSEC => match span.read()? {
                (&[flags], _) if flags & MACSEC_CHANGED != 0 => return Ok(None),
                (&[flags], _) if flags & MACSEC_CHANNEL != 0 => 14,
                _ => 6,
            },
            _ => return Ok(None),
        };
        let (&tag, rest) = span.skip(length)?.read()?;
        Ok(Some(self.after_tag(tag, rest)))
    }

    /// The content after a tag that ends with this type.
    fn after_tag(&mut self, ether_type: [u8; 2], rest: Span<'a>) -> (u16, Span<'a>) {
        let ether_type = u16::from_be_bytes(ether_type);
        self.lsdu = Some((ether_type, rest));
        (ether_type, rest)
    }

    /// Walks into an encapsulation of a whole packet; any other payload becomes the leaf.
    fn walk_encapsulation(&mut self, ether_type: u16, span: Span<'a>) -> WalkResult<'a> {
        let inside: fn(&mut Self, Span<'a>) -> WalkResult<'a> = match ether_type {
            MPLS | MPLS_MULTICAST => Self::mpls,
            PPPOE_SESSION => Self::pppoe,
            BACKBONE => Self::backbone,
            FABRIC_PATH => Self::fabric_path,
            TRILL => Self::trill,
            NSH => Self::nsh,
            _ => return Ok(self.payload_leaf(ether_type, span)),
        };
        self.descend_or_leaf(Leaf::link(ether_type, span).with_reason(Undecoded::Content), |walk| inside(walk, span))
    }

    /// An HSR tag.
    fn hsr_tag(&mut self, span: Span<'a>) -> Result<(u16, Span<'a>), Undecoded> {
        let (tag, rest) = span.read()?;
        let (redundancy, ether_type) = redundancy::hsr_tag(tag);
        self.context.redundancy = Some(redundancy);
        self.lsdu = None;
        Ok((ether_type, rest))
    }

    /// An 802.3 frame: padding starts after `length` bytes.
    fn llc(&mut self, length: u16, span: Span<'a>) -> Leaf<'a> {
        let payload = self.strip_prp_trailer(span);
        let payload = payload.limit(usize::from(length), false).unwrap_or(payload);
        let leaf = Leaf::link(0, payload);
        if is_network_layer(payload.bytes) { leaf.with_reason(Undecoded::Content) } else { leaf }
    }

    /// The leaf of a payload that is not IP.
    fn payload_leaf(&mut self, ether_type: u16, span: Span<'a>) -> Leaf<'a> {
        let leaf = Leaf::link(ether_type, self.strip_prp_trailer(span));
        if is_known_leaf(ether_type) { leaf } else { leaf.with_reason(Undecoded::Content) }
    }

    /// Removes the PRP trailer, if there is one.
    fn strip_prp_trailer(&mut self, span: Span<'a>) -> Span<'a> {
        let before = self.context.redundancy;
        self.context.redundancy = None;
        self.find_prp_trailer();
        let found = self.context.redundancy;
        self.context.redundancy = found.or(before);
        match (found, span.wire.checked_sub(redundancy::TRAILER)) {
            (Some(_), Some(length)) => span.limit(length, false).unwrap_or(span),
            _ => span,
        }
    }

    /// Records the PRP trailer at the end of the Ethernet frame, if there is one.
    pub(super) fn find_prp_trailer(&mut self) {
        if let Some(redundancy) = self.lsdu.take().and_then(|(ether_type, lsdu)| redundancy::trailer(ether_type, lsdu))
        {
            self.context.redundancy = Some(redundancy);
        }
    }

    /// LINKTYPE_LINUX_SLL: packet type, ARPHRD type, address length (2 bytes each), address (8), protocol (2).
    fn sll(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let (&[_, _, h0, h1, _, _, _, _, _, _, _, _, _, _, p0, p1], rest) = span.read()?;
        self.cooked(u16::from_be_bytes([h0, h1]), u16::from_be_bytes([p0, p1]), rest)
    }

    /// LINKTYPE_LINUX_SLL2: protocol, reserved (2 bytes each), interface (4), ARPHRD type (2), packet type and address
    /// length (1 each), address (8).
    fn sll2(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let (&[p0, p1, _, _, _, _, _, _, h0, h1], rest) = span.read()?;
        self.cooked(u16::from_be_bytes([h0, h1]), u16::from_be_bytes([p0, p1]), rest.skip(10)?)
    }

    /// A cooked capture. The frame has no hardware addresses, because the header has at most that of the sender.
    fn cooked(&mut self, hardware: u16, protocol: u16, rest: Span<'a>) -> WalkResult<'a> {
        if hardware == NETLINK || protocol < MIN_ETHER_TYPE {
            return Ok(Leaf::link(0, rest));
        }
        self.ether_type(protocol, rest)
    }

    /// LINKTYPE_NULL: an address family in the byte order of the capturing host. Families are small numbers, so the smaller
    /// of both readings is the right one.
    fn null(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let (&family, rest) = span.read()?;
        self.address_family(u32::from_be_bytes(family).min(u32::from_le_bytes(family)), rest)
    }

    /// LINKTYPE_LOOP: an address family, big-endian.
    fn loopback(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let (&family, rest) = span.read()?;
        self.address_family(u32::from_be_bytes(family), rest)
    }

    /// AF_INET is 2 everywhere, AF_INET6 is 10 on Linux, 23 on Windows, 24, 28 and 30 on the BSDs and Darwin.
    fn address_family(&mut self, family: u32, rest: Span<'a>) -> WalkResult<'a> {
        match family {
            2 => self.ipv4(rest),
            10 | 23 | 24 | 28 | 30 => self.ipv6(rest),
            _ => Ok(Leaf::link(0, rest)),
        }
    }
}

/// An EtherType behind LLC and SNAP.
fn snap(span: Span<'_>) -> Option<(u16, Span<'_>)> {
    let (&[l0, l1, l2, o0, o1, o2, t0, t1], rest) = span.read().ok()?;
    let ether_type = u16::from_be_bytes([t0, t1]);
    ([l0, l1, l2, o0, o1, o2] == SNAP && ether_type >= MIN_ETHER_TYPE).then_some((ether_type, rest))
}

/// Whether LLC carries network layer data: ISO (S7comm without IP), IP, or frames encapsulated by bridges (802.1H). ES-IS and
/// IS-IS are routing protocols of ISO and do not count (ISO 9577: 0x82, 0x83).
fn is_network_layer(payload: &[u8]) -> bool {
    match payload {
        [0xFE, 0xFE, 0x03, protocol, ..] => !matches!(protocol, 0x82 | 0x83),
        [0x06, 0x06, 0x03, ..] | [0xAA, 0xAA, 0x03, 0x00, 0x00, 0xF8, ..] => true,
        _ => false,
    }
}

/// Whether this is a known EtherType rather than a length.
const fn is_known_ether_type(ether_type: u16) -> bool {
    ether_type >= MIN_ETHER_TYPE && is_known(ether_type)
}

/// Whether these bytes may be an Ethernet frame: their type field is known.
pub(super) fn is_plausible_ethernet(span: Span<'_>) -> bool {
    let Ok((&[.., t0, t1], _)) = span.read::<14>() else { return false };
    is_known(u16::from_be_bytes([t0, t1]))
}

/// Whether these bytes almost certainly are an Ethernet frame: the content matches the type, or an 802.3 length fits the
/// span. For encapsulations that do not declare where their content begins.
pub(super) fn is_certain_ethernet(span: Span<'_>) -> bool {
    let Ok((&[.., t0, t1], rest)) = span.read::<14>() else { return false };
    match (u16::from_be_bytes([t0, t1]), rest.bytes) {
        (IPV4, [0x45..=0x4F, ..]) | (IPV6, [0x60..=0x6F, ..]) => true,
        (IPV4 | IPV6, _) => false,
        (length @ ..=MAX_LENGTH, [0x42, 0x42, 0x03, ..] | [0xAA, 0xAA, 0x03, ..]) => usize::from(length) <= rest.wire,
        (..=MAX_LENGTH, _) => false,
        (ether_type, _) => is_known(ether_type),
    }
}

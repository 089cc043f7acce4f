//! Encapsulations over IP (GRE, PPTP, ERSPAN, VXLAN, GENEVE, L2TP, TZSP), and MPLS and PPPoE.

use super::ether_type::{IPV4, IPV6, MPLS, MPLS_MULTICAST, NSH, PPP, TRANSPARENT_ETHERNET};
use super::link;
use super::walk::{Observer, Span, Walk, WalkResult};
use super::{Tunnel, TunnelKind, Undecoded};

/// ERSPAN I and II inside GRE.
const ERSPAN: u16 = 0x88BE;
/// ERSPAN III inside GRE.
const ERSPAN_III: u16 = 0x22EB;
/// Labels of one MPLS stack, at most; more is [`Undecoded::TooDeep`].
const MAX_LABELS: usize = 16;

/// Flags of the GRE header (RFC 2890) for optional 4-byte fields, in this order.
const GRE_CHECKSUM: u16 = 0x8000;
const GRE_KEY: u16 = 0x2000;
const GRE_SEQUENCE: u16 = 0x1000;
/// Source routing (RFC 1701) and the version; 0 except in PPTP, otherwise the header is not decoded.
const GRE_UNREADABLE: u16 = 0x4007;
/// Version 1 (RFC 2637).
const GRE_PPTP: u16 = 1;
/// Flag of version 1: an acknowledgement number follows.
const GRE_ACKNOWLEDGEMENT: u16 = 0x0080;
/// VXLAN flag: the network identifier is valid.
const VXLAN_NETWORK: u8 = 0x08;
/// VXLAN-GPE flag: the next protocol is given.
const VXLAN_PROTOCOL: u8 = 0x04;
/// Flags of L2TP (RFC 2661, RFC 3931): control message, length, sequence numbers, offset; and the version.
const L2TP_CONTROL: u16 = 0x8000;
const L2TP_LENGTH: u16 = 0x4000;
const L2TP_SEQUENCE: u16 = 0x0800;
const L2TP_OFFSET: u16 = 0x0200;
const L2TP_VERSION: u16 = 0x000F;
/// Possible offsets of the frame in an L2TPv3 session, the most common first. Control messages negotiate a cookie of 0, 4 or
/// 8 bytes and a sublayer of 0 or 4.
const L2TP_HEADERS: [usize; 4] = [4, 0, 8, 12];
/// Tagged fields of TZSP, at most.
const TZSP_FIELDS: usize = 32;

impl<'a, W: Observer<'a>> Walk<'a, W> {
    /// Enters a tunnel. Drops the hardware addresses: they belong to the endpoints of the tunnel, not to the inner hosts.
    pub(super) fn enter_tunnel(&mut self, kind: TunnelKind, id: u32) {
        self.context.tunnel = Some(Tunnel { kind, id });
        self.context.mac = None;
    }

    /// GRE (RFC 2784, RFC 2890): flags and version (2 bytes), protocol (2), checksum, key, sequence (4 each).
    pub(super) fn gre(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let (&[f0, f1, p0, p1], mut rest) = span.read()?;
        let flags = u16::from_be_bytes([f0, f1]);
        match (flags & GRE_UNREADABLE, u16::from_be_bytes([p0, p1])) {
            (0, _) => {}
            (GRE_PPTP, PPP) => return self.pptp(flags, rest),
            _ => return Err(Undecoded::Malformed),
        }
        let mut key = [0; 4];
        if flags & GRE_CHECKSUM != 0 {
            rest = rest.skip(4)?;
        }
        if flags & GRE_KEY != 0 {
            let (field, after) = rest.read()?;
            (key, rest) = (*field, after);
        }
        let numbered = flags & GRE_SEQUENCE != 0;
        if numbered {
            rest = rest.skip(4)?;
        }
        self.enter_tunnel(TunnelKind::Gre, u32::from_be_bytes(key));
        self.gre_payload(u16::from_be_bytes([p0, p1]), numbered, rest)
    }

    /// The payload of GRE; `numbered` if the header has a sequence number.
    fn gre_payload(&mut self, protocol: u16, numbered: bool, rest: Span<'a>) -> WalkResult<'a> {
        match protocol {
            IPV4 | IPV6 | MPLS | MPLS_MULTICAST | NSH => self.ether_type(protocol, rest),
            TRANSPARENT_ETHERNET => self.ethernet(rest),
            ERSPAN if !numbered => {
                self.enter_tunnel(TunnelKind::Erspan, 0);
                self.ethernet(rest)
            }
            ERSPAN | ERSPAN_III => self.erspan(rest),
            _ => Err(Undecoded::Malformed),
        }
    }

    /// Enhanced GRE (RFC 2637, 4.1): payload length, call (2 bytes each), optional sequence and acknowledgement numbers (4
    /// each), PPP. Each direction has a call number of its own.
    fn pptp(&mut self, flags: u16, span: Span<'a>) -> WalkResult<'a> {
        let mut inside = span.skip(4)?;
        if flags & GRE_SEQUENCE == 0 {
            // Only an acknowledgement.
            self.is_signalling = true;
            return Err(Undecoded::Content);
        }
        inside = inside.skip(if flags & GRE_ACKNOWLEDGEMENT == 0 { 4 } else { 8 })?;
        self.enter_tunnel(TunnelKind::Pptp, 0);
        self.ppp(inside)
    }

    /// ERSPAN II and III both start with version (4 bits), VLAN (12), class and flags (6), session (10). Then II has 4 bytes,
    /// III has 8 and an optional platform specific part of 8.
    fn erspan(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let (&[v0, v1, s0, s1], rest) = span.read()?;
        self.enter_tunnel(TunnelKind::Erspan, u32::from(u16::from_be_bytes([s0, s1]) & 0x03FF));
        let leaf = match v0 >> 4 {
            1 => self.ethernet(rest.skip(4)?)?,
            2 => self.erspan_iii(rest)?,
            _ => return Err(Undecoded::Malformed),
        };
        // The switch removes the tag of a mirrored frame and records its id here.
        let vlan = u16::from_be_bytes([v0, v1]) & 0x0FFF;
        self.context.vlan = self.context.vlan.or((vlan != 0).then_some(vlan));
        Ok(leaf)
    }

    /// The rest of an ERSPAN III header: timestamp (4 bytes), group (2), P (1 bit), frame type (5), hardware (6),
    /// direction (1), granularity (2), O (1): a platform specific part follows.
    fn erspan_iii(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let (&[_, _, _, _, _, _, t0, t1], rest) = span.read()?;
        let inside = if t1 & 1 == 1 { rest.skip(8)? } else { rest };
        match (t0 >> 2) & 0x1F {
            0 => self.ethernet(inside),
            2 => self.ip(inside),
            _ => Err(Undecoded::Malformed),
        }
    }

    /// VXLAN (RFC 7348): flags (1 byte, bit 3 set), reserved (3), network (3), reserved (1). The flag and the bytes of the
    /// group policy extension may have any value.
    pub(super) fn vxlan(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let (&[flags, _, _, _, n0, n1, n2, reserved], rest) = span.read()?;
        if flags & 0x7F != VXLAN_NETWORK || reserved != 0 || !link::is_plausible_ethernet(rest) {
            return Err(Undecoded::Malformed);
        }
        self.enter_tunnel(TunnelKind::Vxlan, u32::from_be_bytes([0, n0, n1, n2]));
        self.ethernet(rest)
    }

    /// VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe-12): flags (1 byte: version in 2 bits, network valid, protocol valid), reserved
    /// (2), protocol (1), network (3), reserved (1). Without a protocol it is VXLAN.
    pub(super) fn vxlan_gpe(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let (&[flags, _, _, protocol, n0, n1, n2, reserved], rest) = span.read()?;
        if flags & VXLAN_PROTOCOL == 0 {
            return self.vxlan(span);
        }
        // The two lowest flags, for group messages and OAM, may be set.
        if flags & !0x03 != VXLAN_NETWORK | VXLAN_PROTOCOL || reserved != 0 {
            return Err(Undecoded::Malformed);
        }
        self.enter_tunnel(TunnelKind::Vxlan, u32::from_be_bytes([0, n0, n1, n2]));
        self.next_protocol(protocol, rest)
    }

    /// The content after a next protocol field of NSH (RFC 8300, 2.2) or VXLAN-GPE.
    pub(super) fn next_protocol(&mut self, protocol: u8, span: Span<'a>) -> WalkResult<'a> {
        match protocol {
            1 => self.ipv4(span),
            2 => self.ipv6(span),
            3 if link::is_plausible_ethernet(span) => self.ethernet(span),
            4 => self.ether_type(NSH, span),
            5 => self.mpls(span),
            _ => Err(Undecoded::Malformed),
        }
    }

    /// GENEVE (RFC 8926): version (2 bits, 0), length of the options in units of 4 bytes (6), flags (8), protocol (2 bytes),
    /// network (3), reserved (1).
    pub(super) fn geneve(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let (&[options, _, p0, p1, n0, n1, n2, reserved], rest) = span.read()?;
        if options >> 6 != 0 || reserved != 0 {
            return Err(Undecoded::Malformed);
        }
        let inside = rest.skip(usize::from(options & 0x3F) * 4)?;
        self.enter_tunnel(TunnelKind::Geneve, u32::from_be_bytes([0, n0, n1, n2]));
        match u16::from_be_bytes([p0, p1]) {
            TRANSPARENT_ETHERNET if link::is_plausible_ethernet(inside) => self.ethernet(inside),
            protocol @ (IPV4 | IPV6) => self.ether_type(protocol, inside),
            _ => Err(Undecoded::Malformed),
        }
    }

    /// MPLS (RFC 3032): label (20 bits), class (3), bottom of stack (1), hop limit (8) for each entry of the stack.
    pub(super) fn mpls(&mut self, mut span: Span<'a>) -> WalkResult<'a> {
        for _ in 0..MAX_LABELS {
            let (&entry, rest) = span.read()?;
            let entry = u32::from_be_bytes(entry);
            if entry & 0x100 != 0 {
                self.enter_tunnel(TunnelKind::Mpls, entry >> 12);
                return self.mpls_payload(rest);
            }
            span = rest;
        }
        Err(Undecoded::TooDeep)
    }

    /// MPLS does not declare its payload: IP is recognised by its version, an Ethernet pseudo-wire by its EtherType, with or
    /// without a control word (RFC 4448, 4.6: it starts with 16 zero bits).
    fn mpls_payload(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let (&[first, second, _, _], behind_control_word) = span.read()?;
        match (first >> 4, first, second) {
            (4 | 6, ..) => self.ip(span),
            (_, 0, 0) if link::is_plausible_ethernet(behind_control_word) => self.ethernet(behind_control_word),
            _ if link::is_plausible_ethernet(span) => self.ethernet(span),
            _ => Err(Undecoded::Malformed),
        }
    }

    /// PPPoE session (RFC 2516): version and type (1 byte), code (1), session (2), length (2), PPP. The length is ignored,
    /// because IP has its own.
    pub(super) fn pppoe(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let (&[version, code, s0, s1, _, _], rest) = span.read()?;
        if (version, code) != (0x11, 0) {
            return Err(Undecoded::Malformed);
        }
        self.enter_tunnel(TunnelKind::Pppoe, u32::from(u16::from_be_bytes([s0, s1])));
        self.ppp(rest)
    }

    /// PPP: optional address and control (FF 03, RFC 1662), then the protocol, in one byte if that is odd (RFC 1661, 6.5).
    /// Protocols from 0x8000 on are signalling.
    fn ppp(&mut self, mut span: Span<'a>) -> WalkResult<'a> {
        if let Ok((&[0xFF, 0x03], rest)) = span.read() {
            span = rest;
        }
        let (&[first], rest) = span.read()?;
        let (protocol, rest) = if first & 1 == 1 {
            (u16::from(first), rest)
        } else {
            let (&[second], rest) = rest.read()?;
            (u16::from_be_bytes([first, second]), rest)
        };
        match protocol {
            0x0021 => self.ipv4(rest),
            0x0057 => self.ipv6(rest),
            0x0281 | 0x0283 => self.mpls(rest),
            0x8000.. => {
                self.is_signalling = true;
                Err(Undecoded::Content)
            }
            _ => Err(Undecoded::Malformed),
        }
    }

    /// L2TP in UDP (RFC 2661, 3.1; RFC 3931, 4.1.2): flags and version (2 bytes). Version 2: optional length (2), tunnel,
    /// session (2 each), optional sequence numbers (4), optional offset (2) and padding, PPP. Version 3: reserved (2), then
    /// [`Walk::l2tp_session`].
    pub(super) fn l2tp_in_udp(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let (&flags, mut rest) = span.read()?;
        let flags = u16::from_be_bytes(flags);
        if flags & L2TP_CONTROL != 0 {
            return Err(Undecoded::Content);
        }
        match flags & L2TP_VERSION {
            2 => {}
            3 => return self.l2tp_session(rest.skip(2)?),
            _ => return Err(Undecoded::Malformed),
        }
        if flags & L2TP_LENGTH != 0 {
            rest = rest.skip(2)?;
        }
        rest = rest.skip(if flags & L2TP_SEQUENCE == 0 { 4 } else { 8 })?;
        if flags & L2TP_OFFSET != 0 {
            let (&padding, behind) = rest.read()?;
            rest = behind.skip(u16::from_be_bytes(padding).into())?;
        }
        self.enter_tunnel(TunnelKind::L2tp, 0);
        self.ppp(rest)
    }

    /// A session of L2TPv3 (RFC 3931, 4.1): session (4 bytes, 0 for control messages), a cookie and a sublayer whose lengths
    /// only control messages declare, an Ethernet frame. Each direction has a session number of its own.
    pub(super) fn l2tp_session(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let (&session, rest) = span.read()?;
        if session == [0; 4] {
            self.is_signalling = true;
            return Err(Undecoded::Content);
        }
        let frames = L2TP_HEADERS.into_iter().filter_map(|length| rest.skip(length).ok());
        let inside = frames.into_iter().find(|frame| link::is_certain_ethernet(*frame)).ok_or(Undecoded::Content)?;
        self.enter_tunnel(TunnelKind::L2tp, 0);
        self.ethernet(inside)
    }

    /// TZSP (Wireshark's packet-tzsp.c): version 1, type (1 byte each; 0 received, 1 sent), encapsulated protocol (2; 1 for
    /// Ethernet), tagged fields up to an end mark, the frame.
    pub(super) fn tzsp(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let (&[1, 0 | 1, 0, 1], mut rest) = span.read()? else { return Err(Undecoded::Malformed) };
        for _ in 0..TZSP_FIELDS {
            let (&[tag], behind) = rest.read()?;
            rest = match tag {
                0 => behind,
                1 => {
                    self.enter_tunnel(TunnelKind::Tzsp, 0);
                    return self.ethernet(behind);
                }
                _ => {
                    let (&[length], behind) = behind.read()?;
                    behind.skip(length.into())?
                }
            };
        }
        Err(Undecoded::TooDeep)
    }
}

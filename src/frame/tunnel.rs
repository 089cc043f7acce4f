//! Wrappings undone: GRE, ERSPAN, VXLAN, GENEVE, MPLS, PPPoE.

use super::link::{self, IPV4, IPV6};
use super::walk::{Span, Walk, Walked, Witness};
use super::{Tunnel, TunnelKind, Undecoded};

/// Ethernet inside GRE or GENEVE.
const TRANSPARENT_ETHERNET: u16 = 0x6558;
/// ERSPAN I and II inside GRE.
const ERSPAN: u16 = 0x88BE;
/// ERSPAN III inside GRE.
const ERSPAN_III: u16 = 0x22EB;
/// Labels of one MPLS stack, at most; more is [`Undecoded::TooDeep`].
const MAX_LABELS: usize = 16;

/// Flags of the GRE header (RFC 2890): optional 4-byte fields, in this order.
const GRE_CHECKSUM: u16 = 0x8000;
const GRE_KEY: u16 = 0x2000;
const GRE_SEQUENCE: u16 = 0x1000;
/// Source routing (RFC 1701) and the version: 0 in what we can read.
const GRE_UNREADABLE: u16 = 0x4007;

impl<'a, W: Witness<'a>> Walk<'a, W> {
    /// Into a tunnel. The hardware addresses before it are those of its ends, not of the hosts whose packets it brings.
    pub(super) fn through(&mut self, kind: TunnelKind, id: u32) {
        self.context.tunnel = Some(Tunnel { kind, id });
        self.context.mac = None;
    }

    /// GRE (RFC 2784, RFC 2890): flags and version (2 bytes), protocol (2), checksum, key, sequence (4 each).
    pub(super) fn gre(&mut self, span: Span<'a>) -> Walked<'a> {
        let (&[f0, f1, p0, p1], mut rest) = span.take()?;
        let flags = u16::from_be_bytes([f0, f1]);
        if flags & GRE_UNREADABLE != 0 {
            return Err(Undecoded::Malformed);
        }
        let mut key = [0; 4];
        if flags & GRE_CHECKSUM != 0 {
            rest = rest.skip(4)?;
        }
        if flags & GRE_KEY != 0 {
            let (field, after) = rest.take()?;
            (key, rest) = (*field, after);
        }
        let numbered = flags & GRE_SEQUENCE != 0;
        if numbered {
            rest = rest.skip(4)?;
        }
        self.through(TunnelKind::Gre, u32::from_be_bytes(key));
        self.gre_payload(u16::from_be_bytes([p0, p1]), numbered, rest)
    }

    fn gre_payload(&mut self, protocol: u16, numbered: bool, rest: Span<'a>) -> Walked<'a> {
        match protocol {
            IPV4 | IPV6 | link::MPLS | link::MPLS_MULTICAST => self.ether_type(protocol, rest),
            TRANSPARENT_ETHERNET => self.ethernet(rest),
            ERSPAN if !numbered => {
                self.through(TunnelKind::Erspan, 0);
                self.ethernet(rest)
            }
            ERSPAN | ERSPAN_III => self.erspan(rest),
            _ => Err(Undecoded::Malformed),
        }
    }

    /// ERSPAN II and III start alike: version (4 bits), VLAN (12), class and flags (6), session (10). Then II has 4
    /// bytes, III has 8 and perhaps a platform specific part of 8.
    fn erspan(&mut self, span: Span<'a>) -> Walked<'a> {
        let (&[v0, v1, s0, s1], rest) = span.take()?;
        self.through(TunnelKind::Erspan, u32::from(u16::from_be_bytes([s0, s1]) & 0x03FF));
        let leaf = match v0 >> 4 {
            1 => self.ethernet(rest.skip(4)?)?,
            2 => self.erspan_iii(rest)?,
            _ => return Err(Undecoded::Malformed),
        };
        // The switch takes the tag off what it mirrors and says here what it was.
        let vlan = u16::from_be_bytes([v0, v1]) & 0x0FFF;
        self.context.vlan = self.context.vlan.or((vlan != 0).then_some(vlan));
        Ok(leaf)
    }

    /// The rest of an ERSPAN III header: timestamp (4 bytes), group (2), P (1 bit), frame type (5), hardware (6),
    /// direction (1), granularity (2), O (1): a platform specific part follows.
    fn erspan_iii(&mut self, span: Span<'a>) -> Walked<'a> {
        let (&[_, _, _, _, _, _, t0, t1], rest) = span.take()?;
        let inside = if t1 & 1 == 1 { rest.skip(8)? } else { rest };
        match (t0 >> 2) & 0x1F {
            0 => self.ethernet(inside),
            2 => self.ip(inside),
            _ => Err(Undecoded::Malformed),
        }
    }

    /// VXLAN (RFC 7348): flags (1 byte, bit 3 set), reserved (3), network (3), reserved (1). The flag and the bytes
    /// that the group policy extension uses are let through.
    pub(super) fn vxlan(&mut self, span: Span<'a>) -> Walked<'a> {
        let (&[flags, _, _, _, n0, n1, n2, reserved], rest) = span.take()?;
        if flags & 0x7F != 0x08 || reserved != 0 || !link::is_plausible_ethernet(rest) {
            return Err(Undecoded::Malformed);
        }
        self.through(TunnelKind::Vxlan, u32::from_be_bytes([0, n0, n1, n2]));
        self.ethernet(rest)
    }

    /// GENEVE (RFC 8926): version (2 bits, 0), length of the options in 4 bytes (6), flags (8), protocol (2 bytes),
    /// network (3), reserved (1).
    pub(super) fn geneve(&mut self, span: Span<'a>) -> Walked<'a> {
        let (&[options, _, p0, p1, n0, n1, n2, reserved], rest) = span.take()?;
        if options >> 6 != 0 || reserved != 0 {
            return Err(Undecoded::Malformed);
        }
        let inside = rest.skip(usize::from(options & 0x3F) * 4)?;
        self.through(TunnelKind::Geneve, u32::from_be_bytes([0, n0, n1, n2]));
        match u16::from_be_bytes([p0, p1]) {
            TRANSPARENT_ETHERNET if link::is_plausible_ethernet(inside) => self.ethernet(inside),
            protocol @ (IPV4 | IPV6) => self.ether_type(protocol, inside),
            _ => Err(Undecoded::Malformed),
        }
    }

    /// MPLS (RFC 3032): labels (20 bits), class (3), bottom of stack (1), hops left (8).
    pub(super) fn mpls(&mut self, mut span: Span<'a>) -> Walked<'a> {
        for _ in 0..MAX_LABELS {
            let (&entry, rest) = span.take()?;
            let entry = u32::from_be_bytes(entry);
            if entry & 0x100 != 0 {
                self.through(TunnelKind::Mpls, entry >> 12);
                return self.mpls_payload(rest);
            }
            span = rest;
        }
        Err(Undecoded::TooDeep)
    }

    /// Nothing in MPLS says what it carries: IP is known by its version, an Ethernet pseudo-wire by the type in it,
    /// behind a control word (RFC 4448, 4.6: it starts with 16 zero bits) or without.
    fn mpls_payload(&mut self, span: Span<'a>) -> Walked<'a> {
        let (&[first, second, _, _], behind_control_word) = span.take()?;
        match (first >> 4, first, second) {
            (4 | 6, ..) => self.ip(span),
            (_, 0, 0) if link::is_plausible_ethernet(behind_control_word) => self.ethernet(behind_control_word),
            _ if link::is_plausible_ethernet(span) => self.ethernet(span),
            _ => Err(Undecoded::Malformed),
        }
    }

    /// PPPoE session (RFC 2516): version and type (1 byte), code (1), session (2), length (2), then the PPP protocol.
    /// The length is not needed: IP knows its own.
    pub(super) fn pppoe(&mut self, span: Span<'a>) -> Walked<'a> {
        let (&[version, code, s0, s1, _, _, p0, p1], rest) = span.take()?;
        self.through(TunnelKind::Pppoe, u32::from(u16::from_be_bytes([s0, s1])));
        match (version, code, u16::from_be_bytes([p0, p1])) {
            (0x11, 0, 0x0021) => self.ipv4(rest),
            (0x11, 0, 0x0057) => self.ipv6(rest),
            _ => Err(Undecoded::Malformed),
        }
    }
}

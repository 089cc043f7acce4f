//! Encapsulations of Ethernet in backbones and data centre fabrics.

use super::walk::{Observer, Span, Walk, WalkResult};
use super::{TunnelKind, Undecoded};

impl<'a, W: Observer<'a>> Walk<'a, W> {
    /// 802.1ah (802.1Q, 9.7): priority and flags (1 byte), service (3), the customer's Ethernet frame.
    pub(super) fn backbone(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let (&[_, s0, s1, s2], rest) = span.read()?;
        self.enter_tunnel(TunnelKind::Pbb, u32::from_be_bytes([0, s0, s1, s2]));
        self.ethernet(rest)
    }

    /// Cisco FabricPath (Wireshark's packet-cisco-fp-mim.c): distribution tree (10 bits), hop limit (6), the Ethernet
    /// frame. The outer addresses are those of switches.
    pub(super) fn fabric_path(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let rest = span.skip(2)?;
        self.enter_tunnel(TunnelKind::FabricPath, 0);
        self.ethernet(rest)
    }

    /// TRILL (RFC 6325, 3.2): version (2 bits, 0), reserved (2), multicast (1), length of the options in units of 4 bytes
    /// (5), hop limit (6), egress and ingress (2 bytes each), options, the Ethernet frame.
    pub(super) fn trill(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let (&[f0, f1, _, _, _, _], rest) = span.read()?;
        let flags = u16::from_be_bytes([f0, f1]);
        if flags >> 14 != 0 {
            return Err(Undecoded::Malformed);
        }
        let inside = rest.skip(usize::from(flags >> 6 & 0x1F) * 4)?;
        self.enter_tunnel(TunnelKind::Trill, 0);
        self.ethernet(inside)
    }

    /// The network service header (RFC 8300, 2.2): version (2 bits, 0), flags (2), hop limit (6), total length in units of 4
    /// bytes (6), metadata type (1 byte), next protocol (1), path and index (4), metadata. The path is not kept as a tunnel
    /// id because it differs between the directions.
    pub(super) fn nsh(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let (&[v0, v1, _, protocol], _) = span.read()?;
        let length = usize::from(v1 & 0x3F) * 4;
        if v0 >> 6 != 0 || length < 8 {
            return Err(Undecoded::Malformed);
        }
        let inside = span.skip(length)?;
        self.enter_tunnel(TunnelKind::Nsh, 0);
        self.next_protocol(protocol, inside)
    }
}

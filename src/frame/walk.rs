//! What all layers share: the span of bytes to decode, and the context from the headers decoded so far.

use super::checksum::Sum;
use super::ip_protocol::ICMPV6;
use super::{Body, Checksum, Frame, IpHeader, Macs, OtherIp, Redundancy, Tunnel, Undecoded, neighbour};

/// Most nested encapsulations that are decoded; more is [`Undecoded::TooDeep`].
pub(super) const MAX_ENCAPSULATIONS: usize = 8;

/// A contiguous part of a packet: its captured bytes and its length on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'a> {
    /// The captured bytes, never more than `wire`.
    pub(super) bytes: &'a [u8],
    /// Offset in the packet, in bytes.
    pub(super) at: usize,
    /// Length on the wire, in bytes.
    pub(super) wire: usize,
}

impl<'a> Span<'a> {
    /// A whole packet of `original` bytes, of which `bytes` were captured.
    pub(super) fn of_packet(bytes: &'a [u8], original: usize) -> Self {
        Self { bytes, at: 0, wire: original.max(bytes.len()) }
    }

    /// Reads the first `N` bytes; returns them and the rest.
    pub(super) fn read<const N: usize>(self) -> Result<(&'a [u8; N], Self), Undecoded> {
        let (head, bytes) = self.bytes.split_first_chunk().ok_or(Undecoded::Truncated)?;
        Ok((head, Self { bytes, at: self.at + N, wire: self.wire.saturating_sub(N) }))
    }

    /// Without its first `count` bytes.
    pub(super) fn skip(self, count: usize) -> Result<Self, Undecoded> {
        let bytes = self.bytes.get(count..).ok_or(Undecoded::Truncated)?;
        Ok(Self { bytes, at: self.at + count, wire: self.wire.saturating_sub(count) })
    }

    /// The first `count` bytes, where a header declares the count. A count beyond the wire length is malformed, unless
    /// `lenient`: then the rest counts as cut by a snap length.
    pub(super) fn limit(self, count: usize, lenient: bool) -> Result<Self, Undecoded> {
        if count > self.wire && !lenient {
            return Err(Undecoded::Malformed);
        }
        Ok(Self { bytes: self.bytes.get(..count).unwrap_or(self.bytes), at: self.at, wire: count })
    }

    /// Number of bytes on the wire that were not captured.
    pub(super) fn missing(self) -> u32 {
        u32::try_from(self.wire - self.bytes.len()).unwrap_or(u32::MAX)
    }
}

/// The layer at which a walk ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf<'a> {
    pub(super) body: Body<'a>,
    /// Bytes of its payload that were not captured.
    pub(super) cut: u32,
    /// Why the walk stopped, if there is more that could not be decoded.
    pub(super) undecoded: Option<Undecoded>,
}

impl<'a> Leaf<'a> {
    /// IP whose payload is not decoded further.
    pub(super) fn ip(ip: &IpHeader, protocol: u8, payload: Span<'a>) -> Self {
        let message = payload.bytes.first();
        let neighbour_discovery = protocol == ICMPV6 && message.is_some_and(|kind| NEIGHBOUR_DISCOVERY.contains(kind));
        let advertised = if neighbour_discovery { neighbour::advertised(payload.bytes) } else { None };
        Self::of(Body::Ip(*ip, OtherIp { protocol, neighbour_discovery, advertised }), payload)
    }

    /// An Ethernet payload that is not decoded further.
    pub(super) fn link(ether_type: u16, payload: Span<'a>) -> Self {
        Self::of(Body::Link { ether_type, payload: payload.bytes }, payload)
    }

    /// A leaf whose last part is `payload`.
    pub(super) fn of(body: Body<'a>, payload: Span<'a>) -> Self {
        Self { body, cut: payload.missing(), undecoded: None }
    }

    /// Adds the reason why its content was not decoded.
    pub(super) fn with_reason(self, reason: Undecoded) -> Self {
        Self { undecoded: Some(reason), ..self }
    }
}

/// The result of each layer: the leaf of the walk, or why the layer is not valid.
pub(super) type WalkResult<'a> = Result<Leaf<'a>, Undecoded>;

/// What the headers decoded so far contribute to the frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context {
    pub(super) mac: Option<Macs>,
    pub(super) vlan: Option<u16>,
    pub(super) tunnel: Option<Tunnel>,
    pub(super) redundancy: Option<Redundancy>,
    pub(super) checksum: Checksum,
    /// Headers may declare more bytes than there are: mirror sessions truncate frames, and fragments are incomplete.
    pub(super) lenient: bool,
}

impl Context {
    /// The frame that ends with `leaf`.
    pub(super) fn frame<'a>(&self, leaf: &Leaf<'a>) -> Frame<'a> {
        let Self { mac, vlan, tunnel, redundancy, checksum, .. } = *self;
        let Leaf { body, cut, undecoded } = *leaf;
        Frame { mac, vlan, tunnel, redundancy, checksum, body, cut, undecoded }
    }
}

/// An IP fragment, and where its headers are in the packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    pub(super) ip: IpHeader,
    pub(super) vlan: Option<u16>,
    pub(super) tunnel: Option<Tunnel>,
    /// IP protocol of the whole datagram.
    pub(super) protocol: u8,
    pub(super) identification: u32,
    /// Offset in the datagram, in bytes.
    pub(super) offset: usize,
    /// More fragments follow.
    pub(super) more: bool,
    pub(super) payload: Span<'a>,
    /// Offset of its IP header in the packet, in bytes.
    pub(super) header_at: usize,
    /// Offset of the end of the headers that the whole datagram keeps; an IPv6 fragment header comes after them.
    pub(super) headers_end_at: usize,
    /// Offset of the byte that names the header after the kept ones.
    pub(super) next_header_at: usize,
}

/// Receives events of a walk in addition to its result.
pub(super) trait Observer<'a> {
    /// There is a 16-bit length field at offset `at`, in which 0 means the rest of the packet.
    fn on_length(&mut self, _at: usize) {}

    /// Whether checksums are to be verified.
    fn wants_checksums(&self) -> bool {
        false
    }

    /// The walk met a fragment. Returns whether to continue into it.
    fn on_fragment(&mut self, _fragment: Fragment<'a>) -> bool {
        true
    }

    /// The content of an encapsulation was decoded. `outside` is the leaf that the encapsulation would be otherwise, `depth`
    /// the number of encapsulations around it. Called for the innermost first.
    fn on_encapsulation(&mut self, _depth: u8, _context: &Context, _outside: &Leaf<'a>) {}
}

impl Observer<'_> for () {
    fn wants_checksums(&self) -> bool {
        true
    }
}

/// One walk through a packet, from the link layer inwards.
pub(super) struct Walk<'a, W> {
    pub(super) context: Context,
    /// EtherType and content after the tags of the last Ethernet header, until an IP header inside determines whether there
    /// is room for a PRP trailer.
    pub(super) lsdu: Option<(u16, Span<'a>)>,
    pub(super) observer: W,
    depth: usize,
    /// The current encapsulation carries its own signalling and no packet.
    pub(super) is_signalling: bool,
}

impl<'a, W: Observer<'a>> Walk<'a, W> {
    pub(super) fn new(observer: W) -> Self {
        Self { context: Context::default(), lsdu: None, observer, depth: 0, is_signalling: false }
    }

    /// Whether the walk is inside an encapsulation.
    pub(super) const fn is_encapsulated(&self) -> bool {
        self.depth > 0
    }

    /// Verifies a checksum by the sum over all that it covers; `None` if not all of that was captured.
    pub(super) fn verify(&mut self, sum: impl FnOnce() -> Option<Sum>) {
        if self.observer.wants_checksums()
            && let Some(sum) = sum()
        {
            self.context.checksum = self.context.checksum.and(Checksum::of(sum));
        }
    }

    /// Walks into an encapsulation with `inside`. If the content cannot be decoded or is nested too deep, returns the leaf
    /// `outside`, which is the encapsulation itself.
    pub(super) fn descend_or_leaf(
        &mut self,
        outside: Leaf<'a>,
        inside: impl FnOnce(&mut Self) -> WalkResult<'a>,
    ) -> WalkResult<'a> {
        if self.depth == MAX_ENCAPSULATIONS {
            return Ok(outside.with_reason(Undecoded::TooDeep));
        }
        let depth = self.depth as u8;
        self.depth += 1;
        let before = self.context;
        self.context.lenient = true;
        match inside(self) {
            Ok(leaf) => {
                self.observer.on_encapsulation(depth, &before, &outside);
                Ok(leaf)
            }
            Err(_) => {
                self.context = before;
                let own = std::mem::take(&mut self.is_signalling);
                Ok(if own { Leaf { undecoded: None, ..outside } } else { outside })
            }
        }
    }
}

/// ICMPv6 types of router and neighbour solicitation, advertisement and redirect (RFC 4861, 4).
const NEIGHBOUR_DISCOVERY: std::ops::RangeInclusive<u8> = 133..=137;

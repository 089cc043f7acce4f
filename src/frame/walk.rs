//! What all layers share: the stretch of bytes at hand, and what is known so far.

use super::checksum::Sum;
use super::{Body, Checksum, Frame, IpHeader, Macs, OtherIp, Redundancy, Tunnel, Undecoded, neighbour};

/// Wrappings inside each other that are undone, at most; more is [`Undecoded::TooDeep`].
pub(super) const MAX_WRAPPINGS: usize = 8;

/// A stretch of a packet: what was captured of it, and how long it was on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'a> {
    /// As captured, never longer than `wire`.
    pub(super) bytes: &'a [u8],
    /// Where it starts in the packet, bytes.
    pub(super) at: usize,
    /// Length on the wire, bytes.
    pub(super) wire: usize,
}

impl<'a> Span<'a> {
    /// A whole packet of `original` bytes, of which `bytes` were captured.
    pub(super) fn of_packet(bytes: &'a [u8], original: usize) -> Self {
        Self { bytes, at: 0, wire: original.max(bytes.len()) }
    }

    /// Its first `N` bytes, and the rest.
    pub(super) fn read<const N: usize>(self) -> Result<(&'a [u8; N], Self), Undecoded> {
        let (head, bytes) = self.bytes.split_first_chunk().ok_or(Undecoded::Truncated)?;
        Ok((head, Self { bytes, at: self.at + N, wire: self.wire.saturating_sub(N) }))
    }

    /// Without its first `count` bytes.
    pub(super) fn skip(self, count: usize) -> Result<Self, Undecoded> {
        let bytes = self.bytes.get(count..).ok_or(Undecoded::Truncated)?;
        Ok(Self { bytes, at: self.at + count, wire: self.wire.saturating_sub(count) })
    }

    /// Its first `count` bytes by the word of a header. A header that promises more than there was on the wire
    /// contradicts it, unless `lenient`: then the rest is missing, as if cut by a snap length.
    pub(super) fn limit(self, count: usize, lenient: bool) -> Result<Self, Undecoded> {
        if count > self.wire && !lenient {
            return Err(Undecoded::Malformed);
        }
        Ok(Self { bytes: self.bytes.get(..count).unwrap_or(self.bytes), at: self.at, wire: count })
    }

    /// Bytes on the wire that were not captured.
    pub(super) fn missing(self) -> u32 {
        u32::try_from(self.wire - self.bytes.len()).unwrap_or(u32::MAX)
    }
}

/// Where a walk ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf<'a> {
    pub(super) body: Body<'a>,
    /// Bytes of its payload that were not captured.
    pub(super) cut: u32,
    /// Why it went no further, where there is more that could not be read.
    pub(super) undecoded: Option<Undecoded>,
}

impl<'a> Leaf<'a> {
    /// IP whose payload is not read any further.
    pub(super) fn ip(ip: &IpHeader, protocol: u8, payload: Span<'a>) -> Self {
        let message = payload.bytes.first();
        let neighbour_discovery = protocol == ICMPV6 && message.is_some_and(|kind| NEIGHBOUR_DISCOVERY.contains(kind));
        let advertised = if neighbour_discovery { neighbour::advertised(payload.bytes) } else { None };
        Self::of(Body::Ip(*ip, OtherIp { protocol, neighbour_discovery, advertised }), payload)
    }

    /// A payload of Ethernet that is not read any further.
    pub(super) fn link(ether_type: u16, payload: Span<'a>) -> Self {
        Self::of(Body::Link { ether_type, payload: payload.bytes }, payload)
    }

    /// What ends with `payload`.
    pub(super) fn of(body: Body<'a>, payload: Span<'a>) -> Self {
        Self { body, cut: payload.missing(), undecoded: None }
    }

    /// There is more in it, which could not be read.
    pub(super) fn with_reason(self, reason: Undecoded) -> Self {
        Self { undecoded: Some(reason), ..self }
    }
}

/// The outcome of each layer: where the walk ended, or why it could not.
pub(super) type WalkResult<'a> = Result<Leaf<'a>, Undecoded>;

/// What the headers passed so far have said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context {
    pub(super) mac: Option<Macs>,
    pub(super) vlan: Option<u16>,
    pub(super) tunnel: Option<Tunnel>,
    pub(super) redundancy: Option<Redundancy>,
    pub(super) checksum: Checksum,
    /// A header may promise more than is there: mirror sessions cut what they wrap, and fragments are parts.
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

/// One part of a datagram, and where it was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    pub(super) ip: IpHeader,
    pub(super) vlan: Option<u16>,
    pub(super) tunnel: Option<Tunnel>,
    /// What the whole datagram carries.
    pub(super) protocol: u8,
    pub(super) identification: u32,
    /// Its place in the datagram, bytes.
    pub(super) offset: usize,
    /// Others follow it.
    pub(super) more: bool,
    pub(super) payload: Span<'a>,
    /// Where its IP header starts in the packet, bytes.
    pub(super) header_at: usize,
    /// Where the headers end that the whole datagram keeps: the IPv6 fragment header comes after.
    pub(super) headers_end_at: usize,
    /// Where the byte is that names the next header after the kept ones.
    pub(super) next_header_at: usize,
}

/// Somebody who wants to know more of a walk than where it ends.
pub(super) trait Observer<'a> {
    /// At `at` is a 16-bit length of a header and what follows it, in which 0 means: all that is there.
    fn on_length(&mut self, _at: usize) {}

    /// Whether checksums are to be verified.
    fn wants_checksums(&self) -> bool {
        false
    }

    /// A part of a datagram. `false`: walk no further.
    fn on_fragment(&mut self, _fragment: Fragment<'a>) -> bool {
        true
    }

    /// The frame that a wrapping would be if its inside could not be read, which it was, and how many others are around
    /// it. The innermost comes first.
    fn on_wrapping(&mut self, _depth: u8, _context: &Context, _outside: &Leaf<'a>) {}
}

impl Observer<'_> for () {
    fn wants_checksums(&self) -> bool {
        true
    }
}

/// One way through a packet, from the link layer inwards.
pub(super) struct Walk<'a, W> {
    pub(super) context: Context,
    /// What follows the tags of the last Ethernet header, and its EtherType, until the IP header inside says where
    /// the trailer of PRP would be.
    pub(super) lsdu: Option<(u16, Span<'a>)>,
    pub(super) observer: W,
    depth: usize,
    /// What the wrapping at hand carries is its own signalling: nothing is inside.
    pub(super) is_signalling: bool,
}

impl<'a, W: Observer<'a>> Walk<'a, W> {
    pub(super) fn new(observer: W) -> Self {
        Self { context: Context::default(), lsdu: None, observer, depth: 0, is_signalling: false }
    }

    /// Whether a wrapping is around what is at hand.
    pub(super) const fn is_wrapped(&self) -> bool {
        self.depth > 0
    }

    /// Notes what a checksum says, given the sum over all that it covers. `None`: not all of that was captured.
    pub(super) fn verify(&mut self, sum: impl FnOnce() -> Option<Sum>) {
        if self.observer.wants_checksums()
            && let Some(sum) = sum()
        {
            self.context.checksum = self.context.checksum.and(Checksum::of(sum));
        }
    }

    /// Goes on inside a wrapping. If the inside cannot be read, the wrapping is the innermost: `outside`.
    pub(super) fn descend_or(
        &mut self,
        outside: Leaf<'a>,
        inside: impl FnOnce(&mut Self) -> WalkResult<'a>,
    ) -> WalkResult<'a> {
        if self.depth == MAX_WRAPPINGS {
            return Ok(outside.with_reason(Undecoded::TooDeep));
        }
        let depth = self.depth as u8;
        self.depth += 1;
        let before = self.context;
        self.context.lenient = true;
        match inside(self) {
            Ok(leaf) => {
                self.observer.on_wrapping(depth, &before, &outside);
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

/// IP protocol number of ICMPv6.
const ICMPV6: u8 = 58;

/// ICMPv6 types of router and neighbour solicitation, advertisement and redirect (RFC 4861, 4).
const NEIGHBOUR_DISCOVERY: std::ops::RangeInclusive<u8> = 133..=137;

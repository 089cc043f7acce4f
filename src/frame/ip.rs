//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers, fragments included. A packet that cannot be decoded behind its addresses
//! ends in a leaf with the reason, because it is still traffic between the two hosts.

use std::net::{IpAddr, Ipv4Addr};

use etherparse::err::{ip_auth, ipv4, ipv6};
use etherparse::{
    IpAuthHeaderSlice, IpNumber, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice,
};

use super::checksum::Sum;
use super::redundancy::TRAILER;
use super::walk::{Fragment, Leaf, Observer, Span, Walk, WalkResult};
use super::{IpHeader, TunnelKind, Undecoded};

/// Extension headers of one IPv6 header, at most; more is [`Undecoded::TooDeep`].
const MAX_EXTENSIONS: usize = 16;
/// Length of an IPv6 header, bytes.
const IPV6_HEADER: usize = 40;

/// An IP header and the extension headers walked so far.
#[derive(Clone, Copy)]
struct Chain<'a> {
    ip: IpHeader,
    protocol: u8,
    /// The bytes after the headers walked so far.
    rest: Span<'a>,
    /// Offset of the IP header in the packet, in bytes.
    header_at: usize,
    /// Offset of the byte that names `protocol`.
    next_header_at: usize,
}

impl<'a> Chain<'a> {
    fn leaf(self) -> Leaf<'a> {
        Leaf::ip(&self.ip, self.protocol, self.rest)
    }

    /// Skips an extension header of `length` bytes, whose first byte names the `next` header.
    fn skip_header(self, length: usize, next: IpNumber) -> Result<Self, Undecoded> {
        Ok(Self { protocol: next.0, rest: self.rest.skip(length)?, next_header_at: self.rest.at, ..self })
    }

    /// The fragment at hand, as if it were the first and last one.
    fn fragment<W>(self, walk: &Walk<'a, W>, headers_end_at: usize) -> Fragment<'a> {
        Fragment {
            ip: self.ip,
            vlan: walk.context.vlan,
            tunnel: walk.context.tunnel,
            protocol: self.protocol,
            identification: u32::from(self.ip.identification),
            offset: 0,
            more: false,
            payload: self.rest,
            header_at: self.header_at,
            headers_end_at,
            next_header_at: self.next_header_at,
        }
    }
}

impl<'a, W: Observer<'a>> Walk<'a, W> {
    /// IP of the version in the first four bits.
    pub(super) fn ip(&mut self, span: Span<'a>) -> WalkResult<'a> {
        match span.bytes.first().ok_or(Undecoded::Truncated)? >> 4 {
            4 => self.ipv4(span),
            6 => self.ipv6(span),
            _ => Err(Undecoded::Malformed),
        }
    }

    /// An IPv4 header.
    pub(super) fn ipv4(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let header = match Ipv4HeaderSlice::from_slice(span.bytes) {
            Ok(header) => header,
            Err(ipv4::HeaderSliceError::Len(_)) => return self.broken_ipv4(span, Undecoded::Truncated),
            Err(ipv4::HeaderSliceError::Content(_)) => return self.broken_ipv4(span, Undecoded::Malformed),
        };
        let length = header.slice().len();
        let total = usize::from(header.total_len());
        if total != 0 && total < length {
            return self.broken_ipv4(span, Undecoded::Malformed);
        }
        let ip = IpHeader {
            source: IpAddr::V4(header.source_addr()),
            destination: IpAddr::V4(header.destination_addr()),
            identification: header.identification(),
        };
        self.observer.on_length(span.at + 2);
        // A header without a length was captured before the network card completed it.
        self.verify(|| (total != 0).then(|| Sum::of(header.slice())));
        let protocol = header.protocol();
        let rest = match self.limit_to_datagram(span, total).and_then(|datagram| datagram.skip(length)) {
            Ok(rest) => rest,
            Err(reason) => return self.broken_ipv4(span, reason),
        };
        let walked = if !header.is_fragmenting_payload() && protocol != IpNumber::AUTHENTICATION_HEADER {
            self.ip_payload(&ip, protocol.0, rest)
        } else {
            let chain = Chain { ip, protocol: protocol.0, rest, header_at: span.at, next_header_at: span.at + 9 };
            self.fragment_or_authentication(chain, &header)
        };
        walked.or_else(|reason| Ok(Leaf::ip(&ip, protocol.0, rest).with_reason(reason)))
    }

    /// An IPv4 header that is truncated or contradicts itself. Outside any encapsulation it certainly is an IPv4 header, so
    /// its addresses count if they were captured.
    fn broken_ipv4(&mut self, span: Span<'a>, reason: Undecoded) -> WalkResult<'a> {
        let (header, rest) = span.read::<20>()?;
        let &[version, _, _, _, i0, i1, _, _, _, protocol, _, _, a0, a1, a2, a3, b0, b1, b2, b3] = header;
        if self.is_encapsulated() || version >> 4 != 4 {
            return Err(reason);
        }
        let ip = IpHeader {
            source: IpAddr::V4(Ipv4Addr::new(a0, a1, a2, a3)),
            destination: IpAddr::V4(Ipv4Addr::new(b0, b1, b2, b3)),
            identification: u16::from_be_bytes([i0, i1]),
        };
        Ok(Leaf::ip(&ip, protocol, rest).with_reason(reason))
    }

    /// An IPv4 fragment, of which only the first has ports, or an authentication header.
    fn fragment_or_authentication(&mut self, chain: Chain<'a>, header: &Ipv4HeaderSlice<'_>) -> WalkResult<'a> {
        if header.is_fragmenting_payload() {
            let part = chain.fragment(self, chain.rest.at);
            let offset = usize::from(header.fragments_offset().byte_offset());
            if !self.observer.on_fragment(Fragment { offset, more: header.more_fragments(), ..part }) || offset > 0 {
                return Ok(chain.leaf());
            }
            self.context.lenient = true;
        }
        if IpNumber(chain.protocol) != IpNumber::AUTHENTICATION_HEADER {
            return self.ip_payload(&chain.ip, chain.protocol, chain.rest);
        }
        match skip_authentication(chain)? {
            Some(inner) => self.ip_payload(&inner.ip, inner.protocol, inner.rest),
            None => self.incomplete_header(&chain.ip, chain.protocol, chain.rest),
        }
    }

    /// An IPv6 header.
    pub(super) fn ipv6(&mut self, span: Span<'a>) -> WalkResult<'a> {
        let header = Ipv6HeaderSlice::from_slice(span.bytes).map_err(|error| match error {
            ipv6::HeaderSliceError::Len(_) => Undecoded::Truncated,
            ipv6::HeaderSliceError::Content(_) => Undecoded::Malformed,
        })?;
        let ip = IpHeader {
            source: IpAddr::V6(header.source_addr()),
            destination: IpAddr::V6(header.destination_addr()),
            identification: 0,
        };
        let total = match header.payload_length() {
            0 => 0,
            length => IPV6_HEADER + usize::from(length),
        };
        self.observer.on_length(span.at + 4);
        let protocol = header.next_header().0;
        match self.limit_to_datagram(span, total).and_then(|datagram| datagram.skip(IPV6_HEADER)) {
            Ok(rest) => self.extensions(Chain { ip, protocol, rest, header_at: span.at, next_header_at: span.at + 6 }),
            Err(reason) if self.is_encapsulated() => Err(reason),
            Err(reason) => Ok(Leaf::ip(&ip, protocol, span.skip(IPV6_HEADER)?).with_reason(reason)),
        }
    }

    /// The extension headers of IPv6 (RFC 8200, 4), then its payload.
    fn extensions(&mut self, mut chain: Chain<'a>) -> WalkResult<'a> {
        for _ in 0..=MAX_EXTENSIONS {
            match self.extension(chain) {
                Ok(Part::Behind(next)) => chain = next,
                Ok(Part::Leaf(leaf)) => return Ok(leaf),
                Err(reason) => return Ok(chain.leaf().with_reason(reason)),
            }
        }
        Ok(chain.leaf().with_reason(Undecoded::TooDeep))
    }

    /// One header of the chain, or the payload behind the last one.
    fn extension(&mut self, chain: Chain<'a>) -> Result<Part<'a>, Undecoded> {
        let next = match IpNumber(chain.protocol) {
            IpNumber::IPV6_FRAGMENTATION_HEADER => return self.fragment6(chain),
            IpNumber::AUTHENTICATION_HEADER => skip_authentication(chain)?,
            number if Ipv6RawExtHeaderSlice::header_type_supported(number) => skip_extension(chain)?,
            _ => return self.ip_payload(&chain.ip, chain.protocol, chain.rest).map(Part::Leaf),
        };
        match next {
            Some(next) => Ok(Part::Behind(next)),
            None => self.incomplete_header(&chain.ip, chain.protocol, chain.rest).map(Part::Leaf),
        }
    }

    /// An IPv6 fragment header. One on a whole datagram is skipped (RFC 6946).
    fn fragment6(&mut self, chain: Chain<'a>) -> Result<Part<'a>, Undecoded> {
        let Ok(header) = Ipv6FragmentHeaderSlice::from_slice(chain.rest.bytes) else {
            return self.incomplete_header(&chain.ip, chain.protocol, chain.rest).map(Part::Leaf);
        };
        let inner = chain.skip_header(header.slice().len(), header.next_header())?;
        if !header.is_fragmenting_payload() {
            return Ok(Part::Behind(inner));
        }
        let offset = usize::from(header.fragment_offset().byte_offset());
        let go_on = self.observer.on_fragment(Fragment {
            offset,
            more: header.more_fragments(),
            identification: header.identification(),
            next_header_at: chain.next_header_at,
            ..inner.fragment(self, chain.rest.at)
        });
        if offset > 0 || !go_on {
            return Ok(Part::Leaf(inner.leaf()));
        }
        self.context.lenient = true;
        Ok(Part::Behind(inner))
    }

    /// Limits `span` to a datagram of `total` bytes, without Ethernet padding and PRP trailer. A trailer is looked for only
    /// if the datagram leaves room for one. Captures of offloading network cards have a total of 0: the datagram is all of
    /// `span`.
    fn limit_to_datagram(&mut self, span: Span<'a>, total: usize) -> Result<Span<'a>, Undecoded> {
        if total == 0 {
            self.lsdu = None;
            return Ok(span);
        }
        if span.wire >= total + TRAILER {
            self.find_prp_trailer();
        }
        self.lsdu = None;
        span.limit(total, self.context.lenient)
    }

    /// IP inside IP (RFC 2003, RFC 4213).
    pub(super) fn ip_in_ip(&mut self, span: Span<'a>) -> WalkResult<'a> {
        self.enter_tunnel(TunnelKind::IpInIp, 0);
        self.ip(span)
    }

    /// A payload too short for its header: a leaf if the capture or a fragment cut it, malformed otherwise.
    pub(super) fn incomplete_header(&self, ip: &IpHeader, protocol: u8, payload: Span<'a>) -> WalkResult<'a> {
        if payload.missing() == 0 && !self.context.lenient {
            return Err(Undecoded::Malformed);
        }
        Ok(Leaf::ip(ip, protocol, payload))
    }
}

/// What follows an extension header.
enum Part<'a> {
    /// The next header.
    Behind(Chain<'a>),
    /// The end of the walk.
    Leaf(Leaf<'a>),
}

/// Skips an authentication header (RFC 4302); `None` if it is incomplete.
fn skip_authentication(chain: Chain<'_>) -> Result<Option<Chain<'_>>, Undecoded> {
    match IpAuthHeaderSlice::from_slice(chain.rest.bytes) {
        Ok(header) => chain.skip_header(header.slice().len(), header.next_header()).map(Some),
        Err(ip_auth::HeaderSliceError::Len(_)) => Ok(None),
        Err(ip_auth::HeaderSliceError::Content(_)) => Err(Undecoded::Malformed),
    }
}

/// Skips hop-by-hop, routing or destination options; `None` if they are incomplete.
fn skip_extension(chain: Chain<'_>) -> Result<Option<Chain<'_>>, Undecoded> {
    match Ipv6RawExtHeaderSlice::from_slice(chain.rest.bytes) {
        Ok(header) => chain.skip_header(header.slice().len(), header.next_header()).map(Some),
        Err(_) => Ok(None),
    }
}

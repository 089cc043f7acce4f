//! TCP (RFC 9293) and UDP (RFC 768), and which of what IP carries is a wrapping.

use etherparse::err::tcp::HeaderSliceError;
use etherparse::{TcpHeader, TcpHeaderSlice, UdpHeader, UdpHeaderSlice, ip_number};

use super::checksum;
use super::walk::{Leaf, Span, Walk, Walked, Witness};
use super::{Body, Datagram, IpPair, Segment, TcpFlags, Undecoded};

/// Destination port of VXLAN (RFC 7348).
pub(super) const VXLAN_PORT: u16 = 4789;
/// Destination port of GENEVE (RFC 8926).
pub(super) const GENEVE_PORT: u16 = 6081;

impl<'a, W: Witness<'a>> Walk<'a, W> {
    /// What an IP header carries.
    pub(super) fn upper(&mut self, pair: &IpPair, protocol: u8, span: Span<'a>) -> Walked<'a> {
        const TCP: u8 = ip_number::TCP.0;
        const UDP: u8 = ip_number::UDP.0;
        const GRE: u8 = ip_number::GRE.0;
        const IPV4: u8 = ip_number::IPV4.0;
        const IPV6: u8 = ip_number::IPV6.0;
        const MPLS: u8 = ip_number::MPLS_IN_IP.0;
        let outside = || Leaf::ip(pair, protocol, span);
        match protocol {
            TCP => self.tcp(pair, span),
            UDP => self.udp(pair, span),
            GRE => self.unwrap_or(outside(), |walk| walk.gre(span)),
            IPV4 | IPV6 => self.unwrap_or(outside(), |walk| walk.ip_in_ip(span)),
            MPLS => self.unwrap_or(outside(), |walk| walk.mpls(span)),
            _ => Ok(outside()),
        }
    }

    fn tcp(&mut self, pair: &IpPair, span: Span<'a>) -> Walked<'a> {
        match TcpHeaderSlice::from_slice(span.bytes) {
            Ok(header) => {
                self.verify(|| {
                    (span.missing() == 0)
                        .then(|| checksum::pseudo_header(pair, ip_number::TCP.0, span.wire) + checksum::sum(span.bytes))
                });
                let payload = span.skip(header.slice().len())?;
                Ok(tcp_leaf(pair, &header, payload))
            }
            Err(HeaderSliceError::Content(_)) => Err(Undecoded::Malformed),
            Err(HeaderSliceError::Len(_)) => self.cut_tcp(pair, span),
        }
    }

    /// A TCP header whose options are cut off still says everything that matters.
    fn cut_tcp(&self, pair: &IpPair, span: Span<'a>) -> Walked<'a> {
        let mut padded = [0; TcpHeader::MAX_LEN];
        let known = padded.iter_mut().zip(span.bytes).map(|(to, from)| *to = *from).count();
        let header = match TcpHeaderSlice::from_slice(&padded) {
            Ok(header) if known >= TcpHeader::MIN_LEN => header,
            _ => return self.short(pair, ip_number::TCP.0, span),
        };
        match span.wire.checked_sub(header.slice().len()) {
            Some(wire) => Ok(tcp_leaf(pair, &header, Span { bytes: &[], at: span.at + span.bytes.len(), wire })),
            None if self.context.lenient => Ok(Leaf::ip(pair, ip_number::TCP.0, span)),
            None => Err(Undecoded::Malformed),
        }
    }

    fn udp(&mut self, pair: &IpPair, span: Span<'a>) -> Walked<'a> {
        let Ok(header) = UdpHeaderSlice::from_slice(span.bytes) else {
            return self.short(pair, ip_number::UDP.0, span);
        };
        let payload = match usize::from(header.length()) {
            0 => span,
            length if length < UdpHeader::LEN => return Err(Undecoded::Malformed),
            length => span.limit(length, self.context.lenient)?,
        };
        // A checksum of 0 is none (RFC 768).
        self.verify(|| {
            (header.checksum() != 0 && header.length() != 0 && payload.missing() == 0)
                .then(|| checksum::pseudo_header(pair, ip_number::UDP.0, payload.wire) + checksum::sum(payload.bytes))
        });
        let payload = payload.skip(UdpHeader::LEN)?;
        let body = Body::Udp(*pair, datagram(&header, payload.bytes, payload.wire));
        let outside = Leaf { body, cut: payload.missing() };
        match header.destination_port() {
            VXLAN_PORT => self.within_udp(span.at, outside, |walk| walk.vxlan(payload)),
            GENEVE_PORT => self.within_udp(span.at, outside, |walk| walk.geneve(payload)),
            _ => Ok(outside),
        }
    }

    /// A wrapping inside UDP, whose header starts at `at`.
    fn within_udp(&mut self, at: usize, outside: Leaf<'a>, inside: impl FnOnce(&mut Self) -> Walked<'a>) -> Walked<'a> {
        self.witness.length_at(at + 4);
        self.unwrap_or(outside, inside)
    }
}

fn tcp_leaf<'a>(pair: &IpPair, header: &TcpHeaderSlice<'_>, payload: Span<'a>) -> Leaf<'a> {
    let body = Body::Tcp(*pair, segment(header, payload.bytes, payload.wire));
    Leaf { body, cut: payload.missing() }
}

/// A TCP segment with `length` bytes of payload on the wire.
#[inline(always)]
pub(super) fn segment<'a>(header: &TcpHeaderSlice<'_>, payload: &'a [u8], length: usize) -> Segment<'a> {
    Segment {
        source_port: header.source_port(),
        destination_port: header.destination_port(),
        sequence: header.sequence_number(),
        acknowledgement: header.acknowledgment_number(),
        flags: TcpFlags { syn: header.syn(), ack: header.ack(), fin: header.fin(), rst: header.rst() },
        urgent: if header.urg() { header.urgent_pointer() } else { 0 },
        payload,
        length: u32::try_from(length).unwrap_or(u32::MAX),
    }
}

/// A UDP datagram with `length` bytes of payload on the wire.
#[inline(always)]
pub(super) fn datagram<'a>(header: &UdpHeaderSlice<'_>, payload: &'a [u8], length: usize) -> Datagram<'a> {
    Datagram {
        source_port: header.source_port(),
        destination_port: header.destination_port(),
        checksum: header.checksum(),
        payload,
        length: u32::try_from(length).unwrap_or(u32::MAX),
    }
}

//! TCP (RFC 9293) and UDP (RFC 768), and the encapsulations that IP and UDP carry.

use etherparse::err::tcp::HeaderSliceError;
use etherparse::{TcpHeader, TcpHeaderSlice, UdpHeader, UdpHeaderSlice, ip_number};

use super::checksum::Sum;
use super::ip_protocol::{ESP, L2TP, TCP, UDP};
use super::walk::{Leaf, Observer, Span, Walk, WalkResult};
use super::{Body, Datagram, IpHeader, Segment, TcpFlags, Undecoded};

/// Destination port of VXLAN (RFC 7348).
const VXLAN_PORT: u16 = 4789;
/// Port of VXLAN before IANA assigned one, still the default of Linux.
const LINUX_VXLAN_PORT: u16 = 8472;
/// Destination port of VXLAN-GPE.
const VXLAN_GPE_PORT: u16 = 4790;
/// Destination port of GENEVE (RFC 8926).
const GENEVE_PORT: u16 = 6081;
/// Port of L2TP (RFC 2661, RFC 3931).
const L2TP_PORT: u16 = 1701;
/// Destination port of TZSP, in which wireless sensors and MikroTik routers forward captured frames.
const TZSP_PORT: u16 = 37_008;

/// Whether UDP to this port may be a tunnel.
pub(super) const fn is_tunnel(destination_port: u16) -> bool {
    matches!(destination_port, VXLAN_PORT | LINUX_VXLAN_PORT | VXLAN_GPE_PORT | GENEVE_PORT | L2TP_PORT | TZSP_PORT)
}

impl<'a, W: Observer<'a>> Walk<'a, W> {
    /// The payload of an IP header.
    pub(super) fn ip_payload(&mut self, ip: &IpHeader, protocol: u8, span: Span<'a>) -> WalkResult<'a> {
        const GRE: u8 = ip_number::GRE.0;
        const IPV4: u8 = ip_number::IPV4.0;
        const IPV6: u8 = ip_number::IPV6.0;
        const MPLS: u8 = ip_number::MPLS_IN_IP.0;
        let outside = || Leaf::ip(ip, protocol, span).with_reason(Undecoded::Content);
        match protocol {
            TCP => self.tcp(ip, span),
            UDP => self.udp(ip, span),
            GRE => self.descend_or_leaf(outside(), |walk| walk.gre(span)),
            IPV4 | IPV6 => self.descend_or_leaf(outside(), |walk| walk.ip_in_ip(span)),
            MPLS => self.descend_or_leaf(outside(), |walk| walk.mpls(span)),
            L2TP => self.descend_or_leaf(outside(), |walk| walk.l2tp_session(span)),
            ESP => Ok(outside()),
            _ => Ok(Leaf::ip(ip, protocol, span)),
        }
    }

    fn tcp(&mut self, ip: &IpHeader, span: Span<'a>) -> WalkResult<'a> {
        match TcpHeaderSlice::from_slice(span.bytes) {
            Ok(header) => {
                self.verify(|| {
                    (span.missing() == 0).then(|| Sum::of_pseudo_header(ip, TCP, span.wire) + Sum::of(span.bytes))
                });
                let payload = span.skip(header.slice().len())?;
                Ok(tcp_leaf(ip, &header, payload))
            }
            Err(HeaderSliceError::Content(_)) => Err(Undecoded::Malformed),
            Err(HeaderSliceError::Len(_)) => self.cut_tcp(ip, span),
        }
    }

    /// A TCP header whose options were cut off; the fields that reassembly needs are complete.
    fn cut_tcp(&self, ip: &IpHeader, span: Span<'a>) -> WalkResult<'a> {
        let mut padded = [0; TcpHeader::MAX_LEN];
        let known = padded.iter_mut().zip(span.bytes).map(|(to, from)| *to = *from).count();
        let header = match TcpHeaderSlice::from_slice(&padded) {
            Ok(header) if known >= TcpHeader::MIN_LEN => header,
            _ => return self.incomplete_header(ip, TCP, span),
        };
        match span.wire.checked_sub(header.slice().len()) {
            Some(wire) => Ok(tcp_leaf(ip, &header, Span { bytes: &[], at: span.at + span.bytes.len(), wire })),
            None if self.context.lenient => Ok(Leaf::ip(ip, TCP, span)),
            None => Err(Undecoded::Malformed),
        }
    }

    fn udp(&mut self, ip: &IpHeader, span: Span<'a>) -> WalkResult<'a> {
        let Ok(header) = UdpHeaderSlice::from_slice(span.bytes) else {
            return self.incomplete_header(ip, UDP, span);
        };
        let payload = match usize::from(header.length()) {
            0 => span,
            length if length < UdpHeader::LEN => return Err(Undecoded::Malformed),
            length => span.limit(length, self.context.lenient)?,
        };
        // A checksum of 0 is none (RFC 768).
        self.verify(|| {
            (header.checksum() != 0 && header.length() != 0 && payload.missing() == 0)
                .then(|| Sum::of_pseudo_header(ip, UDP, payload.wire) + Sum::of(payload.bytes))
        });
        let payload = payload.skip(UdpHeader::LEN)?;
        let outside = Leaf::of(Body::Udp(*ip, datagram(&header, payload.bytes, payload.wire)), payload);
        let inside: fn(&mut Self, Span<'a>) -> WalkResult<'a> = match header.destination_port() {
            VXLAN_PORT | LINUX_VXLAN_PORT => Self::vxlan,
            VXLAN_GPE_PORT => Self::vxlan_gpe,
            GENEVE_PORT => Self::geneve,
            L2TP_PORT => Self::l2tp_in_udp,
            TZSP_PORT => Self::tzsp,
            _ => return Ok(outside),
        };
        self.within_udp(span.at, outside, |walk| inside(walk, payload))
    }

    /// A tunnel over UDP, whose header starts at `at`.
    fn within_udp(
        &mut self,
        at: usize,
        outside: Leaf<'a>,
        inside: impl FnOnce(&mut Self) -> WalkResult<'a>,
    ) -> WalkResult<'a> {
        self.observer.on_length(at + 4);
        self.descend_or_leaf(outside, inside)
    }
}

fn tcp_leaf<'a>(ip: &IpHeader, header: &TcpHeaderSlice<'_>, payload: Span<'a>) -> Leaf<'a> {
    Leaf::of(Body::Tcp(*ip, segment(header, payload.bytes, payload.wire)), payload)
}

/// A TCP segment with `length` bytes of payload on the wire.
pub(super) fn segment<'a>(header: &TcpHeaderSlice<'_>, payload: &'a [u8], length: usize) -> Segment<'a> {
    Segment {
        source_port: header.source_port(),
        destination_port: header.destination_port(),
        sequence: header.sequence_number(),
        acknowledgement: header.acknowledgment_number(),
        flags: TcpFlags { syn: header.syn(), ack: header.ack(), fin: header.fin(), rst: header.rst() },
        urgent: if header.urg() { header.urgent_pointer().max(1) } else { 0 },
        payload,
        length: u32::try_from(length).unwrap_or(u32::MAX),
    }
}

/// A UDP datagram with `length` bytes of payload on the wire.
pub(super) fn datagram<'a>(header: &UdpHeaderSlice<'_>, payload: &'a [u8], length: usize) -> Datagram<'a> {
    Datagram {
        source_port: header.source_port(),
        destination_port: header.destination_port(),
        checksum: header.checksum(),
        payload,
        length: u32::try_from(length).unwrap_or(u32::MAX),
    }
}

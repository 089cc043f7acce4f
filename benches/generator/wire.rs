//! Ethernet, VLAN (802.1Q), IPv4 and IPv6, TCP and UDP with correct lengths and checksums.

use std::net::IpAddr;

/// One end of a conversation.
pub(super) struct End {
    pub(super) mac: [u8; 6],
    pub(super) ip: IpAddr,
    pub(super) port: u16,
}

/// TCP flags (RFC 9293, 3.1).
pub(super) struct Flags;

impl Flags {
    pub(super) const FIN: u8 = 0x01;
    pub(super) const SYN: u8 = 0x02;
    pub(super) const PSH: u8 = 0x08;
    pub(super) const ACK: u8 = 0x10;
}

/// The transport protocol of the payload.
pub(super) enum Layer4 {
    Tcp { sequence: u32, acknowledgement: u32, flags: u8 },
    Udp,
}

impl Layer4 {
    fn protocol(&self) -> u8 {
        match self {
            Self::Tcp { .. } => TCP,
            Self::Udp => UDP,
        }
    }
}

/// The link: properties of every frame.
pub(super) struct Wire {
    pub(super) vlan: Option<u16>,
}

impl Wire {
    /// Replaces `out` by one whole packet between two ends, sender first.
    pub(super) fn packet(
        &self,
        ends: [&End; 2],
        layer4: &Layer4,
        payload: &[u8],
        identification: u16,
        out: &mut Vec<u8>,
    ) {
        let ip = self.link(ends, out);
        match ends[0].ip {
            IpAddr::V4(_) => ipv4(ends, layer4.protocol(), identification, DONT_FRAGMENT, out),
            IpAddr::V6(_) => ipv6(ends, layer4.protocol(), out),
        }
        let start = out.len();
        transport(ends, layer4, payload, out);
        finish_checksum(ends, layer4.protocol(), &mut out[start..]);
        finish_ip(ends, &mut out[ip..]);
    }

    /// Replaces `out` by the fragment at `offset` of a UDP datagram; returns the offset of the next one.
    pub(super) fn fragment(
        &self,
        ends: [&End; 2],
        payload: &[u8],
        identification: u16,
        offset: usize,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        let ip = self.link(ends, out);
        let whole = out.len();
        transport(ends, &Layer4::Udp, payload, out);
        finish_checksum(ends, UDP, &mut out[whole..]);
        let end = (offset + FRAGMENT).min(out.len() - whole);
        let more = end < out.len() - whole;
        let piece: [u8; FRAGMENT] = std::array::from_fn(|at| out.get(whole + offset + at).copied().unwrap_or(0));
        out.truncate(whole);
        let place = (offset / 8) as u16;
        match ends[0].ip {
            IpAddr::V4(_) => ipv4(ends, UDP, identification, place | if more { MORE_FRAGMENTS } else { 0 }, out),
            IpAddr::V6(_) => {
                ipv6(ends, FRAGMENT_HEADER, out);
                out.extend([UDP, 0]);
                out.extend((place << 3 | u16::from(more)).to_be_bytes());
                out.extend(u32::from(identification).to_be_bytes());
            }
        }
        out.extend(&piece[..end - offset]);
        finish_ip(ends, &mut out[ip..]);
        more.then_some(end)
    }

    /// Appends the link-layer header; returns the offset of the network layer.
    fn link(&self, [from, to]: [&End; 2], out: &mut Vec<u8>) -> usize {
        out.clear();
        out.extend(to.mac);
        out.extend(from.mac);
        if let Some(vlan) = self.vlan {
            out.extend([0x81, 0x00]);
            out.extend((vlan & 0x0FFF).to_be_bytes());
        }
        out.extend(if from.ip.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xDD] });
        out.len()
    }
}

/// IPv4 header (RFC 791, 3.1) without total length and checksum.
fn ipv4([from, to]: [&End; 2], protocol: u8, identification: u16, fragment: u16, out: &mut Vec<u8>) {
    out.extend([0x45, 0, 0, 0]); // version and header length, service, total length
    out.extend(identification.to_be_bytes());
    out.extend(fragment.to_be_bytes());
    out.extend([HOPS, protocol, 0, 0]); // time to live, protocol, checksum
    addresses(from, to, out);
}

/// IPv6 header (RFC 8200, 3) without payload length.
fn ipv6([from, to]: [&End; 2], next_header: u8, out: &mut Vec<u8>) {
    out.extend([0x60, 0, 0, 0, 0, 0, next_header, HOPS]); // version, class, label; payload length; next header
    addresses(from, to, out);
}

fn addresses(from: &End, to: &End, out: &mut Vec<u8>) {
    for end in [from, to] {
        match end.ip {
            IpAddr::V4(ip) => out.extend(ip.octets()),
            IpAddr::V6(ip) => out.extend(ip.octets()),
        }
    }
}

/// Fills in the length, and for IPv4 the checksum of the header.
fn finish_ip(ends: [&End; 2], packet: &mut [u8]) {
    if ends[0].ip.is_ipv6() {
        let length = (packet.len() - IPV6_HEADER) as u16;
        packet[4..6].copy_from_slice(&length.to_be_bytes());
        return;
    }
    let length = packet.len() as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    let checksum = !fold(sum(&packet[..IPV4_HEADER]));
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// Transport header without checksum, then the payload.
fn transport([from, to]: [&End; 2], layer4: &Layer4, payload: &[u8], out: &mut Vec<u8>) {
    out.extend(from.port.to_be_bytes());
    out.extend(to.port.to_be_bytes());
    match *layer4 {
        Layer4::Tcp { sequence, acknowledgement, flags } => {
            out.extend(sequence.to_be_bytes());
            out.extend(acknowledgement.to_be_bytes());
            out.extend([0x50, flags, 0xFA, 0xF0, 0, 0, 0, 0]); // header length, flags, window, checksum, urgent
        }
        Layer4::Udp => {
            out.extend((UDP_HEADER + payload.len() as u16).to_be_bytes());
            out.extend([0, 0]);
        }
    }
    out.extend(payload);
}

/// Checksum over the pseudo header and everything behind it (RFC 9293, 3.1; RFC 768; RFC 8200, 8.1).
fn finish_checksum([from, to]: [&End; 2], protocol: u8, segment: &mut [u8]) {
    let mut pseudo = u32::from(protocol) + segment.len() as u32;
    for end in [from, to] {
        pseudo += match end.ip {
            IpAddr::V4(ip) => sum(&ip.octets()),
            IpAddr::V6(ip) => sum(&ip.octets()),
        };
    }
    let checksum = match !fold(pseudo + sum(segment)) {
        0 if protocol == UDP => 0xFFFF, // 0 means no checksum
        checksum => checksum,
    };
    let at = if protocol == TCP { 16 } else { 6 };
    segment[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

/// Sum of 16-bit words; an odd last byte is padded with 0.
fn sum(bytes: &[u8]) -> u32 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let odd = rest.first().map_or(0, |last| u32::from(*last) << 8);
    pairs.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum::<u32>() + odd
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

const TCP: u8 = 6;
const UDP: u8 = 17;
const FRAGMENT_HEADER: u8 = 44;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const UDP_HEADER: u16 = 8;
const HOPS: u8 = 64;
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
/// Bytes of IP payload in one fragment: a multiple of 8, small enough that every request is cut.
const FRAGMENT: usize = 16;

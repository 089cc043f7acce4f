//! The short cuts for what nearly all packets are: Ethernet with at most two VLAN tags, IP in it that is no fragment, and
//! TCP or UDP in that which wraps nothing. They say what the walk would say, or nothing; tests hold them to it.
//!
//! Decoding is inlined as a whole where the frame is used, so that the frame is never written down: writing it and
//! copying it twice cost 100 of 190 instructions.

use std::net::{IpAddr, Ipv4Addr};

use etherparse::{IpNumber, TcpHeader, UdpHeaderSlice, ip_number};

use super::link::{IPV4, IPV6, SERVICE_VLAN, VLAN};
use super::peek::{key4, key6};
use super::transport::{GENEVE_PORT, VXLAN_PORT, datagram};
use super::{Body, Frame, IpPair, Macs, Segment, TcpFlags, redundancy};

/// What follows the tags, and what they say.
struct Untagged<'a> {
    vlan: Option<u16>,
    ether_type: u16,
    rest: &'a [u8],
}

/// Decodes IPv4 without options that was captured whole.
#[inline(always)]
pub(super) fn frame(bytes: &[u8], original: u32) -> Option<Frame<'_>> {
    let (&[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5], rest) = bytes.split_first_chunk()?;
    let Untagged { vlan, ether_type: IPV4, rest } = untagged(rest)? else { return None };
    let &[version, _, l0, l1, i0, i1, f0, f1, _, protocol, _, _, a0, a1, a2, a3, b0, b1, b2, b3] =
        rest.first_chunk()?;
    if version != 0x45 || is_fragment([f0, f1]) || bytes.len() < original as usize || may_have_trailer(bytes) {
        return None;
    }
    let payload = rest.get(IPV4_HEADER..usize::from(u16::from_be_bytes([l0, l1])))?;
    let pair = IpPair {
        source: IpAddr::V4(Ipv4Addr::new(a0, a1, a2, a3)),
        destination: IpAddr::V4(Ipv4Addr::new(b0, b1, b2, b3)),
        identification: u16::from_be_bytes([i0, i1]),
    };
    let mac = Macs { source: [s0, s1, s2, s3, s4, s5], destination: [d0, d1, d2, d3, d4, d5] };
    let body = match IpNumber(protocol) {
        ip_number::TCP => tcp(pair, payload)?,
        ip_number::UDP => udp(pair, payload)?,
        _ => return None,
    };
    Some(Frame { mac: Some(mac), vlan, tunnel: None, redundancy: None, body, cut: 0 })
}

#[inline(always)]
fn tcp(pair: IpPair, bytes: &[u8]) -> Option<Body<'_>> {
    let &[s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, _, _, c0, c1, _, _] = bytes.first_chunk()?;
    let header = usize::from(offset >> 4) * 4;
    if header < TcpHeader::MIN_LEN {
        return None;
    }
    let payload = bytes.get(header..)?;
    let is_set = |bit: u8| flags & bit != 0;
    let segment = Segment {
        source_port: u16::from_be_bytes([s0, s1]),
        destination_port: u16::from_be_bytes([d0, d1]),
        sequence: u32::from_be_bytes([q0, q1, q2, q3]),
        acknowledgement: u32::from_be_bytes([a0, a1, a2, a3]),
        flags: TcpFlags { fin: is_set(0x01), syn: is_set(0x02), rst: is_set(0x04), ack: is_set(0x10) },
        checksum: u16::from_be_bytes([c0, c1]),
        payload,
        length: payload.len() as u32,
    };
    Some(Body::Tcp(pair, segment))
}

#[inline(always)]
fn udp(pair: IpPair, bytes: &[u8]) -> Option<Body<'_>> {
    let header = UdpHeaderSlice::from_slice(bytes).ok()?;
    if usize::from(header.length()) != bytes.len() || is_tunnel(header.destination_port()) {
        return None;
    }
    let payload = bytes.get(header.slice().len()..)?;
    Some(Body::Udp(pair, datagram(&header, payload, payload.len())))
}

/// The key of [`super::peek()`].
pub(super) fn key(bytes: &[u8]) -> Option<u64> {
    let (_, rest) = bytes.split_at_checked(12)?;
    match untagged(rest)? {
        Untagged { ether_type: IPV4, rest, .. } => key_of_ipv4(rest),
        Untagged { ether_type: IPV6, rest, .. } => key_of_ipv6(rest),
        _ => None,
    }
}

/// IPv4 without options.
fn key_of_ipv4(bytes: &[u8]) -> Option<u64> {
    let (&[version, _, _, _, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3], payload) =
        bytes.split_first_chunk()?;
    if version != 0x45 || is_fragment([f0, f1]) || !is_innermost(protocol, payload) {
        return None;
    }
    Some(key4(u32::from_be_bytes([s0, s1, s2, s3]), u32::from_be_bytes([d0, d1, d2, d3])))
}

/// IPv6 without extension headers.
fn key_of_ipv6(bytes: &[u8]) -> Option<u64> {
    let (header, payload) = bytes.split_first_chunk::<40>()?;
    let (&[version, _, _, _, _, _, protocol, _], addresses) = header.split_first_chunk()?;
    let (source, destination) = addresses.split_first_chunk()?;
    if version >> 4 != 6 || !is_innermost(protocol, payload) {
        return None;
    }
    Some(key6(u128::from_be_bytes(*source), u128::from_be_bytes(*destination.first_chunk()?)))
}

/// Past at most two VLAN tags.
#[inline(always)]
fn untagged(mut bytes: &[u8]) -> Option<Untagged<'_>> {
    let mut vlan = None;
    for _ in 0..3 {
        let (&[t0, t1], rest) = bytes.split_first_chunk()?;
        let ether_type = u16::from_be_bytes([t0, t1]);
        if !matches!(ether_type, VLAN | SERVICE_VLAN) {
            return Some(Untagged { vlan, ether_type, rest });
        }
        let (&[c0, c1], rest) = rest.split_first_chunk()?;
        let id = u16::from_be_bytes([c0, c1]) & 0x0FFF;
        vlan = if id == 0 { vlan } else { Some(id) };
        bytes = rest;
    }
    None
}

/// More fragments follow, or others came before (RFC 791, 3.1).
fn is_fragment(flags_and_offset: [u8; 2]) -> bool {
    u16::from_be_bytes(flags_and_offset) & 0x3FFF != 0
}

fn may_have_trailer(bytes: &[u8]) -> bool {
    bytes.last_chunk() == Some(&redundancy::SUPERVISION.to_be_bytes())
}

/// TCP, or UDP that wraps nothing.
fn is_innermost(protocol: u8, payload: &[u8]) -> bool {
    match (protocol, payload) {
        (6, _) => true,
        (17, &[_, _, d0, d1, ..]) => !is_tunnel(u16::from_be_bytes([d0, d1])),
        _ => false,
    }
}

fn is_tunnel(destination_port: u16) -> bool {
    matches!(destination_port, VXLAN_PORT | GENEVE_PORT)
}

/// Bytes of an IPv4 header without options.
const IPV4_HEADER: usize = 20;
